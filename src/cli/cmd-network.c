/* SPDX-License-Identifier: Apache-2.0 */
/* network commands. */
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/run.h"

#include "base/mem.h"
#include "wire/ip.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

/* ---- address management of create ---- */

#define SUBNETS_MAX 32

struct subnet {
	char text[IP_TEXT_MAX];
	struct ip_prefix p;
	char range[IP_TEXT_MAX], gateway[IP_TEXT_MAX];
	const char *aux[SUBNETS_MAX]; /* "name=address" */
	size_t naux;
};

struct plan {
	struct subnet v[SUBNETS_MAX];
	size_t n;
};

/* Values may come as one option each or as a list with commas. */
static int each_value(const struct optval *v,
		      int (*fn)(struct plan *p, const char *text, struct err *e), struct plan *p,
		      struct err *e)
{
	char text[IP_TEXT_MAX];

	for (size_t i = 0; i < v->n; i++) {
		struct str rest = str_of(v->v[i]), one;

		while (str_cut(&rest, ',', &one)) {
			if (one.n == 0 || one.n >= sizeof text)
				return err_set(e, ERR_INVALID, "invalid address: \"%s\"", v->v[i]);
			snprintf(text, sizeof text, "%.*s", (int)one.n, one.p);
			if (fn(p, text, e) < 0)
				return -1;
		}
	}
	return 0;
}

static int add_subnet(struct plan *p, const char *text, struct err *e)
{
	struct subnet *s = &p->v[p->n];

	if (p->n == SUBNETS_MAX)
		return err_set(e, ERR_INVALID, "too many subnets");
	if (ip_prefix_parse(text, &s->p) < 0)
		return err_set(e, ERR_INVALID, "invalid CIDR address: %s", text);
	for (size_t i = 0; i < p->n; i++)
		if (ip_prefix_overlap(p->v[i].p, s->p))
			return err_set(
				e, ERR_INVALID,
				"multiple overlapping subnet configuration is not supported");
	snprintf(s->text, sizeof s->text, "%s", text);
	p->n++;
	return 0;
}

static struct subnet *holder(struct plan *p, struct ip a)
{
	for (size_t i = 0; i < p->n; i++)
		if (ip_prefix_has(p->v[i].p, a))
			return &p->v[i];
	return NULL;
}

static int add_range(struct plan *p, const char *text, struct err *e)
{
	struct ip_prefix r;
	struct subnet *s;

	if (ip_prefix_parse(text, &r) < 0)
		return err_set(e, ERR_INVALID, "invalid CIDR address: %s", text);
	s = holder(p, r.ip);
	if (!s)
		return err_set(e, ERR_INVALID, "no matching subnet for range %s", text);
	if (*s->range)
		return err_set(e, ERR_INVALID,
			       "cannot configure multiple ranges (%s, %s) on the same subnet (%s)",
			       text, s->range, s->text);
	snprintf(s->range, sizeof s->range, "%s", text);
	return 0;
}

static int add_gateway(struct plan *p, const char *text, struct err *e)
{
	struct subnet *s;
	struct ip a;

	if (ip_parse(text, &a) < 0)
		return err_set(e, ERR_INVALID, "invalid gateway address: %s", text);
	s = holder(p, a);
	if (!s)
		return err_set(e, ERR_INVALID, "no matching subnet for gateway %s", text);
	if (*s->gateway)
		return err_set(
			e, ERR_INVALID,
			"cannot configure multiple gateways (%s, %s) for the same subnet (%s)",
			text, s->gateway, s->text);
	snprintf(s->gateway, sizeof s->gateway, "%s", text);
	return 0;
}

static int add_aux(struct plan *p, const char *text, struct err *e)
{
	const char *eq = strchr(text, '=');
	struct subnet *s;
	struct ip a;

	if (!eq || ip_parse(eq + 1, &a) < 0)
		return err_set(e, ERR_INVALID,
			       "invalid auxiliary address \"%s\": NAME=ADDRESS is wanted", text);
	s = holder(p, a);
	if (!s)
		return err_set(e, ERR_INVALID, "no matching subnet for aux-address %s", eq + 1);
	if (s->naux == SUBNETS_MAX)
		return err_set(e, ERR_INVALID, "too many auxiliary addresses");
	s->aux[s->naux++] = text;
	return 0;
}

static void put_plan(struct jw *w, const struct plan *p)
{
	jw_key(w, "Config");
	jw_arr(w);
	for (size_t i = 0; i < p->n; i++) {
		const struct subnet *s = &p->v[i];

		jw_obj(w);
		jw_kv_str(w, "Subnet", s->text);
		if (*s->range)
			jw_kv_str(w, "IPRange", s->range);
		if (*s->gateway)
			jw_kv_str(w, "Gateway", s->gateway);
		if (s->naux > 0) {
			struct optval v = {.v = (const char **)(uintptr_t)s->aux, .n = s->naux};

			jw_key(w, "AuxiliaryAddresses");
			parse_pairs(w, &v);
		}
		jw_obj_end(w);
	}
	jw_arr_end(w);
}

static int put_ipam(struct jw *w, const struct opts *o, struct err *e)
{
	AUTO_FREE struct plan *p = NEW(struct plan);
	const struct optval *aux = opts_get(o, "aux-address");

	if (each_value(opts_get(o, "subnet"), add_subnet, p, e) < 0)
		return -1;
	if (p->n == 0 && (opts_set(o, "ip-range") || opts_set(o, "gateway")))
		return err_set(e, ERR_INVALID,
			       "every ip-range or gateway must have a corresponding subnet");
	if (each_value(opts_get(o, "ip-range"), add_range, p, e) < 0 ||
	    each_value(opts_get(o, "gateway"), add_gateway, p, e) < 0)
		return -1;
	for (size_t i = 0; i < aux->n; i++)
		if (add_aux(p, aux->v[i], e) < 0)
			return -1;
	jw_key(w, "IPAM");
	jw_obj(w);
	jw_kv_str(w, "Driver", opts_str(o, "ipam-driver"));
	jw_key(w, "Options");
	parse_pairs(w, opts_get(o, "ipam-opt"));
	put_plan(w, p);
	jw_obj_end(w);
	return 0;
}

int cmd_network_create(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf body = BUF_INIT(1U << 20);
	AUTO(json) struct json *answer = NULL;
	struct jw w = JW_INIT(&body);
	struct err e = ERR_INIT;
	const char *warning;

	jw_obj(&w);
	jw_kv_str(&w, "Name", o->argv[0]);
	jw_kv_str(&w, "Driver", opts_str(o, "driver"));
	if (*opts_str(o, "scope"))
		jw_kv_str(&w, "Scope", opts_str(o, "scope"));
	if (opts_set(o, "ipv4"))
		jw_kv_bool(&w, "EnableIPv4", opts_bool(o, "ipv4"));
	if (opts_set(o, "ipv6"))
		jw_kv_bool(&w, "EnableIPv6", opts_bool(o, "ipv6"));
	jw_kv_bool(&w, "Internal", opts_bool(o, "internal"));
	jw_kv_bool(&w, "Attachable", opts_bool(o, "attachable"));
	jw_kv_bool(&w, "Ingress", opts_bool(o, "ingress"));
	jw_kv_bool(&w, "ConfigOnly", opts_bool(o, "config-only"));
	if (*opts_str(o, "config-from")) {
		jw_key(&w, "ConfigFrom");
		jw_obj(&w);
		jw_kv_str(&w, "Network", opts_str(o, "config-from"));
		jw_obj_end(&w);
	}
	if (put_ipam(&w, o, &e) < 0)
		return cli_fail(c, &e);
	jw_key(&w, "Options");
	parse_pairs(&w, opts_get(o, "opt"));
	jw_key(&w, "Labels");
	parse_pairs(&w, opts_get(o, "label"));
	jw_obj_end(&w);
	if (client_json(c, "POST", "/networks/create", buf_text(&body), &answer, &e) < 0)
		return cli_fail(c, &e);
	warning = json_str(json_get(answer, "Warning"));
	if (warning && *warning)
		fprintf(stderr, "WARNING: %s\n", warning);
	printf("%s\n", json_str(json_get(answer, "Id")));
	return 0;
}

/* ---- the others ---- */

int cmd_network_rm(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf errors = BUF_INIT(1U << 20);
	bool failed = false;

	for (int i = 0; i < o->argc; i++) {
		AUTO_REPLY struct reply r = REPLY_INIT;
		struct err e = ERR_INIT;
		AUTO_FREE char *path = url_path("/networks/%s", o->argv[i]);

		if (client_call(c, "DELETE", path, NULL, &r, &e) == 0)
			printf("%s\n", o->argv[i]), fflush(stdout);
		else if (!opts_bool(o, "force") || e.kind != ERR_NOT_FOUND)
			failed = true, buf_addf(&errors, "%s\n", e.text);
	}
	fputs(buf_text(&errors), stderr);
	return failed ? 1 : 0;
}

int cmd_network_connect(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf body = BUF_INIT(1U << 20);
	AUTO_REPLY struct reply r = REPLY_INIT;
	struct err e = ERR_INIT;
	AUTO_FREE char *path = url_path("/networks/%s/connect", o->argv[0]);

	if (run_endpoint_body(o, o->argv[1], &body, &e) < 0 ||
	    client_call(c, "POST", path, buf_text(&body), &r, &e) < 0)
		return cli_fail(c, &e);
	return 0;
}

int cmd_network_disconnect(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf body = BUF_INIT(1U << 16);
	AUTO_REPLY struct reply r = REPLY_INIT;
	struct jw w = JW_INIT(&body);
	struct err e = ERR_INIT;
	AUTO_FREE char *path = url_path("/networks/%s/disconnect", o->argv[0]);

	jw_obj(&w);
	jw_kv_str(&w, "Container", o->argv[1]);
	jw_kv_bool(&w, "Force", opts_bool(o, "force"));
	jw_obj_end(&w);
	if (client_call(c, "POST", path, buf_text(&body), &r, &e) < 0)
		return cli_fail(c, &e);
	return 0;
}

/* ---- ls ---- */

static const struct format_header network_headers[] = {
	{"ID", "NETWORK ID"},	  {"Name", "NAME"},	{"Driver", "DRIVER"},
	{"Scope", "SCOPE"},	  {"IPv4", "IPV4"},	{"IPv6", "IPV6"},
	{"Internal", "INTERNAL"}, {"Labels", "LABELS"}, {"CreatedAt", "CREATED AT"},
};

static void network_row(const struct json *n, bool no_trunc, struct buf *out)
{
	struct jw w = JW_INIT(out);
	AUTO_BUF struct buf labels = BUF_INIT(1U << 20);
	AUTO_BUF struct buf created = BUF_INIT(256);
	const char *time = json_str(json_get(n, "Created"));
	char id[13];

	format_labels(json_get(n, "Labels"), &labels);
	for (const char *s = time ? time : ""; *s; s++) {
		if (*s == 'T')
			buf_addc(&created, ' ');
		else if (*s == 'Z')
			buf_adds(&created, " +0000 UTC");
		else
			buf_addc(&created, *s);
	}
	jw_obj(&w);
	jw_kv_str(&w, "CreatedAt", buf_text(&created));
	jw_kv_str(&w, "Driver", json_str(json_get(n, "Driver")));
	jw_kv_str(&w, "ID", format_short_id(json_str(json_get(n, "Id")), no_trunc, id));
	jw_kv_str(&w, "IPv4", json_bool(json_get(n, "EnableIPv4")) ? "true" : "false");
	jw_kv_str(&w, "IPv6", json_bool(json_get(n, "EnableIPv6")) ? "true" : "false");
	jw_kv_str(&w, "Internal", json_bool(json_get(n, "Internal")) ? "true" : "false");
	jw_kv_str(&w, "Labels", buf_text(&labels));
	jw_kv_str(&w, "Name", json_str(json_get(n, "Name")));
	jw_kv_str(&w, "Scope", json_str(json_get(n, "Scope")));
	jw_obj_end(&w);
}

int cmd_network_ls(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 20);
	AUTO(json) struct json *j = NULL;
	struct list_out l = {.type_name = "*network.networkContext",
			     .headers = network_headers,
			     .nheaders = ARRAY_SIZE(network_headers)};
	struct err e = ERR_INIT;

	buf_adds(&path, "/networks");
	int rc = format_filters(&path, opts_get(o, "filter"), &e);
	if (rc == 0)
		rc = client_json(c, "GET", path.p, NULL, &j, &e);
	if (rc == 0)
		rc = list_begin(&l, opts_str(o, "format"),
				opts_bool(o, "quiet")
					? "{{.ID}}"
					: "table {{.ID}}\\t{{.Name}}\\t{{.Driver}}\\t{{.Scope}}",
				&e);
	if (rc == 0)
		rc = list_rows_by_name(&l, j, network_row, opts_bool(o, "no-trunc"), &e);
	list_end(&l, rc == 0);
	return rc < 0 ? cli_fail(c, &e) : 0;
}
