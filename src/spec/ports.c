/* SPDX-License-Identifier: Apache-2.0 */
/* How users write ports; see the header. */
#include "spec/ports.h"

#include "base/mem.h"
#include "base/num.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/banned.h"

const char *const port_proto_names[PORT_PROTO_COUNT] = {"tcp", "udp", "sctp"};

int port_proto_parse(const char *text, size_t n, enum port_proto *ret)
{
	for (size_t i = 0; i < PORT_PROTO_COUNT; i++)
		if (strlen(port_proto_names[i]) == n &&
		    strncasecmp(text, port_proto_names[i], n) == 0) {
			*ret = (enum port_proto)i;
			return 0;
		}
	return -EINVAL;
}

uint8_t port_proto_number(enum port_proto p)
{
	static const uint8_t numbers[PORT_PROTO_COUNT] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

	return numbers[p];
}

static int number(const char *text, size_t n, uint16_t *ret)
{
	char digits[8];
	uint64_t v;

	if (n == 0 || n >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, n);
	digits[n] = '\0';
	if (num_parse_u64(digits, 0, 65535, &v) < 0)
		return -EINVAL;
	*ret = (uint16_t)v;
	return 0;
}

int port_numbers_parse(const char *text, size_t n, struct port_range *ret)
{
	const char *dash = memchr(text, '-', n);
	size_t first = dash ? (size_t)(dash - text) : n;

	if (number(text, first, &ret->first) < 0)
		return -EINVAL;
	ret->last = ret->first;
	if (dash && number(dash + 1, n - first - 1, &ret->last) < 0)
		return -EINVAL;
	return ret->last < ret->first ? -EINVAL : 0;
}

/* "80/tcp": the length of the numbers and the protocol's text; nothing behind "/" is tcp. */
static size_t split_proto(const char *text, const char **ret_proto)
{
	size_t n = strcspn(text, "/");

	*ret_proto = text[n] && text[n + 1] ? text + n + 1 : "tcp";
	return n;
}

int port_range_parse(const char *text, struct port_range *ret)
{
	const char *proto;
	size_t n = split_proto(text, &proto);

	return port_proto_parse(proto, strlen(proto), &ret->proto) < 0
		       ? -EINVAL
		       : port_numbers_parse(text, n, ret);
}

char *port_format(uint16_t port, enum port_proto proto, char ret[static PORT_TEXT_MAX])
{
	snprintf(ret, PORT_TEXT_MAX, "%u/%s", port, port_proto_names[proto]);
	return ret;
}

/* ---- -p ---- */

static int append(struct port_publishes *l, struct arena *a, struct port_publish p, struct err *e)
{
	if (l->n >= PORT_PUBLISH_MAX)
		return err_set(e, ERR_LIMIT, "more than %d published ports", PORT_PUBLISH_MAX);
	if ((l->n & (l->n - 1)) == 0) { /* a power of two: full */
		struct port_publish *more = arena_alloc(a, MAX(l->n * 2, 1u) * sizeof(*more));

		if (l->n > 0)
			memcpy(more, l->v, l->n * sizeof(*more));
		l->v = more;
	}
	l->v[l->n++] = p;
	return 0;
}

/* The address in front, as Docker shows it in its error; brackets around IPv6 go. */
static int address(const char *text, size_t n, struct port_publish *ret, struct arena *a,
		   struct err *e)
{
	char *s = arena_strndup(a, text, n);

	ret->host_text = "";
	if (n == 0)
		return 0;
	if (s[0] == '[') {
		if (n < 2 || s[n - 1] != ']')
			return err_set(e, ERR_INVALID, "invalid IP address %.100s: missing ']'", s);
		s[n - 1] = '\0';
		s++;
	}
	if (ip_parse(s, &ret->host) < 0)
		return err_set(e, ERR_INVALID, "invalid IP address: %.100s", s);
	ret->host_text = s;
	return 0;
}

int port_publish_parse(const char *text, struct port_publishes *ret, struct arena *a, struct err *e)
{
	const char *container = strrchr(text, ':'), *host = "", *proto;
	struct port_publish p = {.host_text = ""};
	struct port_range in, out = {0};
	size_t n, nhost = 0;

	if (container) { /* "host:container" or "address:host:container" */
		const char *end = container++;

		for (host = end; host > text && host[-1] != ':';)
			host--;
		nhost = (size_t)(end - host);
		if (host > text && address(text, (size_t)(host - 1 - text), &p, a, e) < 0)
			return -1;
	} else {
		container = text;
	}
	n = split_proto(container, &proto);
	if (n == 0)
		return err_set(e, ERR_INVALID, "no port specified: %.100s<empty>", text);
	if (port_numbers_parse(container, n, &in) < 0)
		return err_set(e, ERR_INVALID, "invalid containerPort: %.*s", (int)MIN(n, 100u),
			       container);
	if (nhost > 0 && port_numbers_parse(host, nhost, &out) < 0)
		return err_set(e, ERR_INVALID, "invalid hostPort: %.*s", (int)MIN(nhost, 100u),
			       host);
	/* A range of the host for one port of the container: one of them. */
	if (nhost > 0 && in.last - in.first != out.last - out.first && in.last != in.first)
		return err_set(e, ERR_INVALID,
			       "invalid ranges specified for container and host Ports: %.*s and "
			       "%.*s",
			       (int)MIN(n, 100u), container, (int)MIN(nhost, 100u), host);
	if (port_proto_parse(proto, strlen(proto), &p.proto) < 0)
		return err_set(e, ERR_INVALID, "invalid proto: %.100s", proto);
	for (unsigned i = 0; i <= (unsigned)(in.last - in.first); i++) {
		p.port = (uint16_t)(in.first + i);
		p.host_first = nhost > 0 ? (uint16_t)(out.first + i) : 0;
		p.host_last = in.first == in.last ? out.last : p.host_first;
		if (append(ret, a, p, e) < 0)
			return -1;
	}
	return 0;
}

int port_publish_long_form(const char *text, const char **ret, struct arena *a, struct err *e)
{
	const char *published = "", *target = "", *protocol = "tcp";
	struct str rest = str_of(text), field;

	if (!*text)
		return err_set(e, ERR_INVALID,
			       "invalid publish opts format (should be name=value but got '')");
	while (str_cut(&rest, ',', &field)) {
		const char *eq = field.n > 0 ? memchr(field.p, '=', field.n) : NULL;
		size_t nkey = eq ? (size_t)(eq - field.p) : 0;
		const char *value;

		if (nkey == 0)
			return err_set(
				e, ERR_INVALID,
				"invalid publish opts format (should be name=value but got '%.*s')",
				(int)MIN(field.n, 100u), field.p ? field.p : "");
		value = arena_strndup(a, eq + 1, field.n - nkey - 1);
		if (nkey == 9 && strncmp(field.p, "published", nkey) == 0)
			published = value;
		else if (nkey == 6 && strncmp(field.p, "target", nkey) == 0)
			target = value;
		else if (nkey == 8 && strncmp(field.p, "protocol", nkey) == 0)
			protocol = value;
	}
	*ret = arena_printf(a, "%s:%s/%s", published, target, protocol);
	return 0;
}

/* ---- PortBindings ---- */

struct reading {
	struct port_publishes *list;
	struct arena *a;
	struct err *e;
	bool failed;
};

static int invalid(struct err *e, const char *text)
{
	return err_set(e, ERR_INVALID, "invalid port specification: \"%.100s\"", text);
}

static int binding(struct port_publish p, const struct json *j, struct reading *r)
{
	const char *ip = json_str(json_get_icase(j, "HostIp"));
	const char *port = json_str(json_get_icase(j, "HostPort"));
	struct port_range out = {0};

	if (json_kind_of(j) != JSON_OBJECT)
		return err_set(r->e, ERR_INVALID, "HostConfig.PortBindings: expected an object");
	if (port && *port) {
		size_t n = strcspn(port, "/");

		if (port_numbers_parse(port, n, &out) < 0)
			return invalid(r->e, arena_strndup(r->a, port, n));
	}
	p.host_first = out.first;
	p.host_last = out.last;
	if (address(ip ? ip : "", ip ? strlen(ip) : 0, &p, r->a, r->e) < 0)
		return -1;
	return append(r->list, r->a, p, r->e);
}

static int one_port(const char *key, struct json *value, struct reading *r)
{
	struct port_publish p = {.host_text = ""};
	const char *proto;
	size_t n = split_proto(key, &proto);

	if (number(key, n, &p.port) < 0)
		return invalid(r->e, arena_strndup(r->a, key, n));
	if (port_proto_parse(proto, strlen(proto), &p.proto) < 0)
		return err_set(r->e, ERR_INVALID, "invalid proto: %.100s", proto);
	if (json_kind_of(value) != JSON_ARRAY && json_kind_of(value) != JSON_NULL)
		return err_set(r->e, ERR_INVALID,
			       "HostConfig.PortBindings: expected a list of bindings of %.100s",
			       key);
	for (size_t i = 0; i < json_len(value); i++)
		if (binding(p, json_at(value, i), r) < 0)
			return -1;
	return 0;
}

static void on_port(const char *key, struct json *value, void *ud)
{
	struct reading *r = ud;

	if (!r->failed)
		r->failed = one_port(key, value, r) < 0;
}

int port_bindings_parse(const char *json, struct port_publishes *ret, struct arena *a,
			struct err *e)
{
	AUTO(json) struct json *j = NULL;
	struct reading r = {ret, a, e, false};

	if (!json || !*json || strcmp(json, "{}") == 0)
		return 0;
	if (json_parse(json, strlen(json), &j, e) < 0)
		return -1;
	if (json_kind_of(j) != JSON_OBJECT && json_kind_of(j) != JSON_NULL)
		return err_set(e, ERR_INVALID, "HostConfig.PortBindings: expected an object");
	json_each(j, on_port, &r);
	return r.failed ? -1 : 0;
}

static void write_binding(const struct port_publish *p, struct jw *w)
{
	char text[32] = "";

	if (p->host_first != p->host_last)
		snprintf(text, sizeof(text), "%u-%u", p->host_first, p->host_last);
	else if (p->host_first)
		snprintf(text, sizeof(text), "%u", p->host_first);
	jw_obj(w);
	jw_kv_str(w, "HostIp", p->host_text);
	jw_kv_str(w, "HostPort", text);
	jw_obj_end(w);
}

static int by_port(const void *a, const void *b)
{
	const struct port_publish *x = *(const struct port_publish *const *)a,
				  *y = *(const struct port_publish *const *)b;

	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	if (x->proto != y->proto)
		return x->proto < y->proto ? -1 : 1;
	return x < y ? -1 : 1; /* as they were given */
}

void port_bindings_write(const struct port_publishes *p, struct jw *w)
{
	AUTO_FREE const struct port_publish **v = xcalloc(p->n + 1, sizeof(struct port_publish *));
	char key[PORT_TEXT_MAX];

	for (size_t i = 0; i < p->n; i++)
		v[i] = &p->v[i];
	qsort(v, p->n, sizeof(struct port_publish *), by_port);
	jw_obj(w);
	for (size_t i = 0; i < p->n;) {
		const struct port_publish *first = v[i];

		jw_key(w, port_format(first->port, first->proto, key));
		jw_arr(w);
		for (; i < p->n && v[i]->port == first->port && v[i]->proto == first->proto; i++)
			write_binding(v[i], w);
		jw_arr_end(w);
	}
	jw_obj_end(w);
}
