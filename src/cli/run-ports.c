/* SPDX-License-Identifier: Apache-2.0 */
/* -p, -P and --expose of run and create: ExposedPorts and PortBindings of the create body. */
#include "cli/run.h"
#include "spec/ports.h"

#include <string.h>

#include "base/banned.h"

static int parse_all(const struct strs *v, struct port_publishes *ret, struct arena *a,
		     struct err *e)
{
	for (size_t i = 0; i < v->n; i++)
		if (port_publish_parse(v->v[i], ret, a, e) < 0)
			return -1;
	return 0;
}

/* As Docker: when one value is not of the short form, all are of the long one. */
static int parse_publish(const struct optval *v, struct port_publishes *ret, struct arena *a,
			 struct err *e)
{
	struct strs given = {0}, rewritten = {0};
	struct err ignored = ERR_INIT;

	for (size_t i = 0; i < v->n; i++)
		strs_push(&given, a, v->v[i]);
	if (parse_all(&given, ret, a, &ignored) == 0)
		return 0;
	for (size_t i = 0; i < v->n; i++) {
		const char *text;

		if (port_publish_long_form(v->v[i], &text, a, e) < 0)
			return -1;
		strs_push(&rewritten, a, text);
	}
	*ret = (struct port_publishes){0};
	return parse_all(&rewritten, ret, a, e);
}

/* Each port is a key once. */
struct exposed {
	struct jw *w;
	bool *seen; /* by protocol and port */
};

static void put_port(struct exposed *x, uint16_t port, enum port_proto proto)
{
	bool *seen = &x->seen[proto * 65536 + port];
	char key[PORT_TEXT_MAX];

	if (*seen)
		return;
	*seen = true;
	jw_key(x->w, port_format(port, proto, key));
	jw_raw(x->w, "{}");
}

static int put_expose(struct exposed *x, const char *text, struct err *e)
{
	struct port_range r;

	if (strchr(text, ':'))
		return err_set(e, ERR_INVALID, "invalid port format for --expose: %s", text);
	if (port_range_parse(text, &r) < 0)
		return err_set(e, ERR_INVALID, "invalid range format for --expose: %s", text);
	for (unsigned port = r.first; port <= r.last; port++)
		put_port(x, (uint16_t)port, r.proto);
	return 0;
}

int put_exposed_ports(struct jw *w, const struct opts *o, struct err *e)
{
	const struct optval *expose = opts_get(o, "expose"), *publish = opts_get(o, "publish");
	AUTO(arena) struct arena *a = arena_new();
	AUTO_FREE bool *seen = xcalloc(65536 * PORT_PROTO_COUNT, sizeof(*seen));
	struct exposed x = {w, seen};
	struct port_publishes p = {0};

	if (parse_publish(publish, &p, a, e) < 0)
		return -1;
	if (!expose->n && !p.n)
		return 0;
	jw_key(w, "ExposedPorts");
	jw_obj(w);
	for (size_t i = 0; i < expose->n; i++)
		if (put_expose(&x, expose->v[i], e) < 0)
			return -1;
	for (size_t i = 0; i < p.n; i++)
		put_port(&x, p.v[i].port, p.v[i].proto);
	jw_obj_end(w);
	return 0;
}

int put_port_bindings(struct jw *w, const struct opts *o, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct port_publishes p = {0};

	if (parse_publish(opts_get(o, "publish"), &p, a, e) < 0)
		return -1;
	if (p.n > 0) {
		jw_key(w, "PortBindings");
		port_bindings_write(&p, w);
	}
	if (opts_bool(o, "publish-all"))
		jw_kv_bool(w, "PublishAllPorts", true);
	return 0;
}
