/* SPDX-License-Identifier: Apache-2.0 */
/* Networks of run and create: --network in its short and its long form, and the options that belong
 * to the first of them. */
#include "cli/run.h"

#include "base/mem.h"
#include "base/num.h"
#include "wire/ip.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define LIST_MAX 64

struct texts {
	const char *v[LIST_MAX];
	size_t n;
};

struct attachment {
	const char *name;
	struct texts aliases, links, link_local, driver_opts;
	const char *ip, *ip6, *mac;
	int64_t gw_priority;
	struct strs owned;
};

struct run_networks {
	struct attachment v[LIST_MAX];
	size_t n;
};

static int push(struct texts *t, const char *what, const char *v, struct err *e)
{
	if (t->n == LIST_MAX)
		return err_set(e, ERR_INVALID, "too many values for %s", what);
	t->v[t->n++] = v;
	return 0;
}

static bool user_defined(const char *name)
{
	static const char *const own[] = {"bridge", "default", "host", "none"};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (strcmp(name, own[i]) == 0)
			return false;
	return !str_starts(name, "container:");
}

static int long_field(struct attachment *a, const char *key, size_t n, const char *v, struct err *e)
{
	static const char *const keys[] = {"name",	 "alias",	"ip",
					   "ip6",	 "mac-address", "link-local-ip",
					   "driver-opt", "gw-priority"};
	size_t k = 0;

	while (k < ARRAY_SIZE(keys) && (strlen(keys[k]) != n || strncmp(keys[k], key, n) != 0))
		k++;
	switch (k) {
	case 0:
		a->name = v;
		return 0;
	case 1:
		return push(&a->aliases, "alias", v, e);
	case 2:
		a->ip = v;
		return 0;
	case 3:
		a->ip6 = v;
		return 0;
	case 4:
		a->mac = v;
		return 0;
	case 5:
		return push(&a->link_local, "link-local-ip", v, e);
	case 6:
		if (!strchr(v, '='))
			return err_set(e, ERR_INVALID,
				       "invalid key value pair format in driver options");
		return push(&a->driver_opts, "driver-opt", v, e);
	case 7:
		if (num_parse_i64(v, INT32_MIN, INT32_MAX, &a->gw_priority) < 0)
			return err_set(e, ERR_INVALID, "invalid gw-priority: invalid syntax");
		return 0;
	}
	return err_set(e, ERR_INVALID, "invalid field key %.*s", (int)n, key);
}

static int parse_attachment(const char *text, struct attachment *a, struct err *e)
{
	if (!strchr(text, '=')) {
		a->name = text;
		return *text ? 0
			     : err_set(e, ERR_INVALID,
				       "invalid argument \"\" for \"--network\" flag: "
				       "no name set for network");
	}
	if (csv_split(text, &a->owned) < 0)
		return err_set(e, ERR_INVALID,
			       "invalid argument \"%s\" for \"--network\" flag: bare \" in "
			       "non-quoted-field",
			       text);
	for (size_t i = 0; i < a->owned.n; i++) {
		const char *field = a->owned.v[i], *eq = strchr(field, '=');

		if (!eq || eq == field)
			return err_set(
				e, ERR_INVALID,
				"invalid argument \"%s\" for \"--network\" flag: invalid field %s",
				text, field);
		if (long_field(a, field, (size_t)(eq - field), eq + 1, e) < 0)
			return err_wrap(e, "invalid argument \"%s\" for \"--network\" flag", text);
	}
	if (!a->name || !*a->name)
		return err_set(
			e, ERR_INVALID,
			"invalid argument \"%s\" for \"--network\" flag: network name/id is not "
			"specified",
			text);
	return 0;
}

/* An option of the whole container against the same one of its first network. */
static int merge_list(struct texts *own, const struct optval *all, const char *option,
		      const char *what, struct err *e)
{
	if (all->n > 0 && own->n > 0)
		return err_set(e, ERR_INVALID,
			       "conflicting options: cannot specify both --%s and per-network %s",
			       option, what);
	for (size_t i = 0; i < all->n; i++)
		if (push(own, option, all->v[i], e) < 0)
			return -1;
	return 0;
}

static int merge_text(const char **own, const char *all, const char *option, const char *what,
		      struct err *e)
{
	if (!*all)
		return 0;
	if (*own)
		return err_set(e, ERR_INVALID,
			       "conflicting options: cannot specify both --%s and per-network %s",
			       option, what);
	*own = all;
	return 0;
}

static int merge_options(struct attachment *a, const struct opts *o, struct err *e)
{
	const struct optval *alias = opts_get(o, "network-alias");

	if (!alias->n)
		alias = opts_get(o, "net-alias");
	if (merge_list(&a->aliases, alias, "network-alias", "alias", e) < 0 ||
	    merge_list(&a->link_local, opts_get(o, "link-local-ip"), "link-local-ip",
		       "link-local IP addresses", e) < 0 ||
	    merge_text(&a->ip, opts_str(o, "ip"), "ip", "IPv4 address", e) < 0 ||
	    merge_text(&a->ip6, opts_str(o, "ip6"), "ip6", "IPv6 address", e) < 0 ||
	    merge_text(&a->mac, opts_str(o, "mac-address"), "mac-address", "MAC address", e) < 0)
		return -1;
	return user_defined(a->name)
		       ? merge_list(&a->links, opts_get(o, "link"), "link", "links", e)
		       : 0;
}

static int check_address(const char *text, uint8_t family, struct err *e)
{
	struct ip a;

	if (text && (ip_parse(text, &a) < 0 || a.family != family))
		return err_set(e, ERR_INVALID, "invalid IPv%d address: %s", family, text);
	return 0;
}

static int check_all(const struct run_networks *n, struct err *e)
{
	bool own = false, other = false;

	for (size_t i = 0; i < n->n; i++) {
		const struct attachment *a = &n->v[i];
		struct ip_mac mac;

		*(user_defined(a->name) ? &own : &other) = true;
		for (size_t k = 0; k < i; k++)
			if (strcmp(n->v[k].name, a->name) == 0)
				return err_set(e, ERR_INVALID,
					       "network \"%s\" is specified multiple times",
					       a->name);
		if (!user_defined(a->name) && a->aliases.n > 0)
			return err_set(e, ERR_INVALID,
				       "network-scoped aliases are only supported for user-defined "
				       "networks");
		if (check_address(a->ip, 4, e) < 0 || check_address(a->ip6, 6, e) < 0)
			return -1;
		if (a->mac && ip_mac_parse(a->mac, &mac) < 0)
			return err_set(e, ERR_INVALID, "%s is not a valid mac address", a->mac);
	}
	if (n->n > 1 && other)
		return err_set(e, ERR_INVALID,
			       "conflicting options: cannot attach both user-defined and "
			       "non-user-defined network-modes");
	(void)own;
	return 0;
}

void run_networks_free(struct run_networks *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n; i++)
		strs_free(&n->v[i].owned);
	free(n);
}

int run_networks_parse(const struct opts *o, struct run_networks **ret, struct err *e)
{
	struct run_networks *n = NEW(struct run_networks);
	const struct optval *v = opts_get(o, "network");

	if (!v->n)
		v = opts_get(o, "net");
	for (size_t i = 0; i < v->n; i++) {
		if (n->n == LIST_MAX) {
			err_set(e, ERR_INVALID, "too many networks");
			goto fail;
		}
		if (parse_attachment(v->v[i], &n->v[n->n++], e) < 0)
			goto fail;
	}
	if (n->n == 0)
		n->v[n->n++].name = "default";
	if (merge_options(&n->v[0], o, e) < 0 || check_all(n, e) < 0)
		goto fail;
	*ret = n;
	return 0;
fail:
	run_networks_free(n);
	return -1;
}

static void put_texts(struct jw *w, const char *key, const struct texts *t)
{
	if (t->n == 0)
		return;
	jw_key(w, key);
	jw_arr(w);
	for (size_t i = 0; i < t->n; i++)
		jw_str(w, t->v[i]);
	jw_arr_end(w);
}

static void put_pairs(struct jw *w, const char *key, const struct texts *t)
{
	if (t->n == 0)
		return;
	jw_key(w, key);
	jw_obj(w);
	for (size_t i = 0; i < t->n; i++) {
		const char *eq = strchr(t->v[i], '=');
		AUTO_FREE char *name = xstrndup(t->v[i],
						eq ? (size_t)(eq - t->v[i]) : strlen(t->v[i]));

		jw_kv_str(w, name, eq ? eq + 1 : "");
	}
	jw_obj_end(w);
}

static void put_settings(struct jw *w, const struct attachment *a)
{
	jw_obj(w);
	if (a->ip || a->ip6 || a->link_local.n > 0) {
		jw_key(w, "IPAMConfig");
		jw_obj(w);
		if (a->ip)
			jw_kv_str(w, "IPv4Address", a->ip);
		if (a->ip6)
			jw_kv_str(w, "IPv6Address", a->ip6);
		put_texts(w, "LinkLocalIPs", &a->link_local);
		jw_obj_end(w);
	}
	put_texts(w, "Aliases", &a->aliases);
	put_texts(w, "Links", &a->links);
	put_pairs(w, "DriverOpts", &a->driver_opts);
	if (a->mac)
		jw_kv_str(w, "MacAddress", a->mac);
	if (a->gw_priority)
		jw_kv_i64(w, "GwPriority", a->gw_priority);
	jw_obj_end(w);
}

void run_networks_host(const struct run_networks *n, const struct opts *o, struct jw *w)
{
	const struct optval *links = opts_get(o, "link");

	jw_kv_str(w, "NetworkMode", n->v[0].name);
	if (!links->n || user_defined(n->v[0].name))
		return;
	jw_key(w, "Links");
	jw_arr(w);
	for (size_t i = 0; i < links->n; i++)
		jw_str(w, links->v[i]);
	jw_arr_end(w);
}

void run_networks_config(const struct run_networks *n, struct jw *w)
{
	jw_key(w, "NetworkingConfig");
	jw_obj(w);
	jw_key(w, "EndpointsConfig");
	jw_obj(w);
	for (size_t i = 0; i < n->n; i++) {
		jw_key(w, n->v[i].name);
		put_settings(w, &n->v[i]);
	}
	jw_obj_end(w);
	jw_obj_end(w);
}

/* ---- network connect ---- */

int run_endpoint_body(const struct opts *o, const char *container, struct buf *out, struct err *e)
{
	struct run_networks n = {.n = 1};
	struct attachment *a = &n.v[0];
	struct jw w = JW_INIT(out);
	const struct optval *v = opts_get(o, "driver-opt");

	a->name = "a"; /* any network of the user's: the engine knows which it is */
	if (merge_list(&a->aliases, opts_get(o, "alias"), "alias", "", e) < 0 ||
	    merge_list(&a->links, opts_get(o, "link"), "link", "", e) < 0 ||
	    merge_list(&a->link_local, opts_get(o, "link-local-ip"), "link-local-ip", "", e) < 0 ||
	    merge_list(&a->driver_opts, v, "driver-opt", "", e) < 0)
		return -1;
	for (size_t i = 0; i < v->n; i++)
		if (!strchr(v->v[i], '='))
			return err_set(e, ERR_INVALID,
				       "invalid key/value pair format in driver options");
	a->ip = *opts_str(o, "ip") ? opts_str(o, "ip") : NULL;
	a->ip6 = *opts_str(o, "ip6") ? opts_str(o, "ip6") : NULL;
	a->gw_priority = opts_int(o, "gw-priority");
	if (check_all(&n, e) < 0)
		return -1;
	jw_obj(&w);
	jw_kv_str(&w, "Container", container);
	jw_key(&w, "EndpointConfig");
	put_settings(&w, a);
	jw_obj_end(&w);
	return 0;
}
