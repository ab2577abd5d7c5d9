/* SPDX-License-Identifier: Apache-2.0 */
/* Published ports for people: the PORTS column of lists, `port`. */
#include "base/mem.h"
#include "base/num.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

/* ---- the column: ports that follow each other are one range, as Docker shows them ---- */

struct column_port {
	const char *ip, *type; /* ip NULL: only exposed */
	int64_t private, public;
};

static int compare_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int by_private(const void *a, const void *b)
{
	const struct column_port *x = a, *y = b;
	int d;

	if (x->private != y->private)
		return x->private < y->private ? -1 : 1;
	d = compare_text(x->ip, y->ip);
	if (d != 0)
		return d;
	if (x->public != y->public)
		return x->public < y->public ? -1 : 1;
	return compare_text(x->type, y->type);
}

struct column_group {
	const struct column_port *first;
	int64_t last;
};

static void add_address(const char *ip, struct buf *b)
{
	buf_addf(b, strchr(ip, ':') ? "[%s]:" : "%s:", ip);
}

static void add_range(int64_t first, int64_t last, struct buf *b)
{
	buf_addf(b, "%lld", (long long)first);
	if (last != first)
		buf_addf(b, "-%lld", (long long)last);
}

static void add_group(const struct column_group *g, struct buf *b)
{
	buf_adds(b, b->n ? ", " : "");
	if (g->first->ip) {
		add_address(g->first->ip, b);
		add_range(g->first->private, g->last, b);
		buf_adds(b, "->");
	}
	add_range(g->first->private, g->last, b);
	buf_addf(b, "/%s", g->first->type);
}

static bool same_group(const struct column_port *a, const struct column_port *b)
{
	return compare_text(a->ip, b->ip) == 0 && !a->ip == !b->ip && strcmp(a->type, b->type) == 0;
}

static size_t read_ports(const struct json *ports, struct column_port *v)
{
	size_t n = json_len(ports);

	for (size_t i = 0; i < n; i++) {
		const struct json *p = json_at(ports, i);
		const char *ip = json_str(json_get(p, "IP")), *type = json_str(json_get(p, "Type"));

		v[i] = (struct column_port){ip && *ip ? ip : NULL, type ? type : "tcp",
					    json_i64(json_get(p, "PrivatePort")),
					    json_i64(json_get(p, "PublicPort"))};
	}
	qsort(v, n, sizeof(*v), by_private);
	return n;
}

void ports_column(const struct json *ports, struct buf *out)
{
	AUTO_FREE struct column_port *v = xcalloc(json_len(ports) + 1, sizeof(*v));
	AUTO_FREE struct column_group *open = xcalloc(json_len(ports) + 1, sizeof(*open));
	size_t n = read_ports(ports, v), groups = 0;

	for (size_t i = 0; i < n; i++) {
		size_t g = 0;

		if (v[i].ip && v[i].public != v[i].private)
			continue;
		while (g < groups && !same_group(open[g].first, &v[i]))
			g++;
		if (g < groups && open[g].last + 1 == v[i].private) {
			open[g].last++;
			continue;
		}
		if (g < groups)
			add_group(&open[g], out);
		groups = MAX(groups, g + 1);
		open[g] = (struct column_group){&v[i], v[i].private};
	}
	for (size_t g = 0; g < groups; g++)
		add_group(&open[g], out);
	/* Those whose number changes stand alone, behind. */
	for (size_t i = 0; i < n; i++) {
		if (!v[i].ip || v[i].public == v[i].private)
			continue;
		buf_adds(out, out->n ? ", " : "");
		add_address(v[i].ip, out);
		buf_addf(out, "%lld->%lld/%s", (long long)v[i].public, (long long)v[i].private,
			 v[i].type);
	}
}

/* ---- ports ---- */

static const struct format_header exposure_headers[] = {
	{"Container", "CONTAINER"},
	{"ID", "CONTAINER ID"},
	{"Network", "NETWORK"},
	{"Port", "PORT"},
	{"Published", "PUBLISHED"},
	{"To", "LEADS TO"},
	{"Loopback", "LOOPBACK"},
	{"Host", "HOST"},
	{"Containers", "CONTAINERS"},
	{"Outside", "OUTSIDE"},
	{"Why", "WHY"},
};

static const char *text_of(const struct json *j, const char *key)
{
	const char *s = json_str(json_get(j, key));

	return s ? s : "";
}

static void exposure_row(const struct json *j, struct buf *out)
{
	static const char *const same[] = {"Container", "ID",	"Network",    "Port",	 "To",
					   "Loopback",	"Host", "Containers", "Outside", "Why"};
	const char *address = text_of(j, "Address");
	long long port = json_i64(json_get(j, "HostPort"));
	AUTO_FREE char *published = !port		   ? NULL
				    : strchr(address, ':') ? xasprintf("[%s]:%lld", address, port)
							   : xasprintf("%s:%lld", address, port);
	struct jw w = JW_INIT(out);

	jw_obj(&w);
	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		jw_kv_str(&w, same[i], text_of(j, same[i]));
	jw_kv_str(&w, "Published", published ? published : "-");
	jw_obj_end(&w);
}

static bool is_asked(const struct json *j, const struct opts *o)
{
	for (int i = 0; i < o->argc; i++)
		if (strcmp(text_of(j, "Container"), o->argv[i]) == 0 ||
		    (strlen(o->argv[i]) >= 4 && str_starts(text_of(j, "ID"), o->argv[i])))
			return true;
	return o->argc == 0;
}

/* Without --exposed only what is published by ports of the host. */
int cmd_ports(struct cli *c, struct opts *o)
{
	const char *usual = "table {{.Container}}\\t{{.Port}}\\t{{.Published}}";
	bool exposed = opts_bool(o, "exposed");
	struct list_out l = {.type_name = "*formatter.portsContext",
			     .headers = exposure_headers,
			     .nheaders = ARRAY_SIZE(exposure_headers)};
	AUTO(json) struct json *j = NULL;
	struct err e = ERR_INIT;
	int rc;

	if (exposed)
		usual = "table {{.Container}}\\t{{.Port}}\\t{{.Published}}\\t{{.Loopback}}\\t"
			"{{.Host}}\\t{{.Containers}}\\t{{.Outside}}\\t{{.Why}}";
	rc = client_json(c, "GET", "/coracle/exposure", NULL, &j, &e);
	if (rc == 0)
		rc = list_begin(&l, opts_str(o, "format"), usual, &e);
	for (size_t i = 0; rc == 0 && i < json_len(j); i++) {
		AUTO_BUF struct buf row = BUF_INIT(1 << 16);

		if (!is_asked(json_at(j, i), o) ||
		    (!exposed && !json_i64(json_get(json_at(j, i), "HostPort"))))
			continue;
		exposure_row(json_at(j, i), &row);
		rc = list_row(&l, buf_text(&row), &e);
	}
	list_end(&l, rc == 0);
	return rc < 0 ? cli_fail(c, &e) : 0;
}
