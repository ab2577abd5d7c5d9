/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults and the checks of values, with Docker's words where dockerd has the same check. */
#include "base/mem.h"
#include "base/num.h"
#include "config/config-priv.h"
#include "wire/hostaddr.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define HOUR_NS 3600000000000LL

/* ---- defaults ---- */

static void set_i64(struct config *c, const int64_t **at, int64_t v, bool zero_is_unset)
{
	int64_t *p;

	if (*at && !(zero_is_unset && **at == 0))
		return;
	p = arena_alloc(c->arena, sizeof(*p));
	*p = v;
	*at = p;
}

static void set_str(const char **at, const char *v)
{
	if (!*at || !**at)
		*at = v;
}

static void set_bool(int8_t *at, bool v)
{
	if (*at == 0)
		*at = v ? 1 : -1;
}

static const char *absolute(struct config *c, const char *path)
{
	AUTO_FREE char *cwd = NULL;

	if (path[0] == '/')
		return path;
	cwd = getcwd(NULL, 0);
	return arena_printf(c->arena, "%s/%s", cwd ? cwd : "", path);
}

static void default_paths(struct config *c)
{
	const char *home = secure_getenv("CORACLE_HOME");

	if (home && *home) {
		home = absolute(c, home);
		set_str(&c->data_root, arena_printf(c->arena, "%s/data", home));
		set_str(&c->exec_root, arena_printf(c->arena, "%s/run", home));
	}
	set_str(&c->data_root, "/var/lib/coracle");
	set_str(&c->exec_root, "/run/coracle");
	c->data_root = absolute(c, c->data_root);
	c->exec_root = absolute(c, c->exec_root);
	set_str(&c->pidfile, arena_printf(c->arena, "%s/coracled.pid", c->exec_root));
	c->hosts_default = c->hosts.n == 0;
	if (c->hosts.n == 0)
		strs_push(&c->hosts, c->arena,
			  arena_printf(c->arena, "unix://%s/coracle.sock", c->exec_root));
}

static void defaults(struct config *c)
{
	default_paths(c);
	set_str(&c->log_level, "info");
	set_str(&c->log_format, "text");
	set_str(&c->storage_driver, "overlay2");
	set_str(&c->log_driver, "json-file");
	set_str(&c->default_runtime, "coracle");
	set_str(&c->default_ipc_mode, "private");
	set_str(&c->seccomp_profile, "builtin");
	set_i64(c, &c->shutdown_timeout, 15, false);
	set_i64(c, &c->max_concurrent_downloads, 3, true);
	set_i64(c, &c->max_concurrent_uploads, 5, true);
	set_i64(c, &c->max_download_attempts, 5, true);
	set_i64(c, &c->mtu, 1500, true);
	set_bool(&c->tlsverify, false);
	set_bool(&c->tls, c->tlsverify > 0);
	set_bool(&c->debug, false);
	set_bool(&c->live_restore, true);
	set_bool(&c->init, false);
	set_bool(&c->no_new_privileges, false);
	set_bool(&c->gc.enabled, false);
	set_bool(&c->ipv6, false);
	set_bool(&c->icc, true);
	set_bool(&c->iptables, true);
	set_bool(&c->ip6tables, true);
	set_bool(&c->ip_forward, true);
	set_bool(&c->ip_forward_no_drop, false);
	set_bool(&c->ip_masq, true);
	set_str(&c->published_ports_policy, "accept");
	set_bool(&c->userland_proxy, false);
}

/* ---- checks ---- */

static bool is_one_of(const char *s, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(s, *list))
			return true;
	return false;
}

static bool is_ip(const char *s)
{
	unsigned char a[16];

	return inet_pton(AF_INET, s, a) == 1 || inet_pton(AF_INET6, s, a) == 1;
}

static bool is_cidr(const char *s)
{
	char ip[64];
	const char *slash = strchr(s, '/');
	uint64_t bits;

	if (!slash || (size_t)(slash - s) >= sizeof(ip))
		return false;
	memcpy(ip, s, (size_t)(slash - s));
	ip[slash - s] = 0;
	return is_ip(ip) && num_parse_u64(slash + 1, 0, strchr(ip, ':') ? 128 : 32, &bits) == 0;
}

static int check_hosts(struct config *c, struct err *e)
{
	struct hostaddr a;
	bool insecure = c->tls < 0; /* said, not left out: before the defaults are in */

	for (size_t i = 0; i < c->hosts.n; i++) {
		const char *h = c->hosts.v[i];

		if (hostaddr_parse(h, &a) < 0 || a.kind == HOSTADDR_SSH)
			return err_set(e, ERR_INVALID,
				       "hosts: invalid address \"%s\": use unix:///PATH, "
				       "tcp://HOST:PORT or fd://",
				       h);
		if (a.kind == HOSTADDR_TCP && c->tls <= 0 && c->tlsverify <= 0 && !insecure)
			return err_set(
				e, ERR_INVALID,
				"hosts: %s without TLS gives root on this machine to everyone "
				"who reaches it: set tlsverify, tlscacert, tlscert and tlskey, or "
				"say \"tls\": false (--tls=false) if that is meant",
				h);
		for (size_t k = 0; k < i; k++)
			if (!strcmp(h, c->hosts.v[k]))
				return err_set(e, ERR_INVALID, "hosts: \"%s\" is listed twice", h);
	}
	if (c->metrics_addr && *c->metrics_addr && hostaddr_parse_port(c->metrics_addr, &a) < 0)
		return err_set(e, ERR_INVALID,
			       "metrics-addr: invalid address \"%s\": use HOST:PORT",
			       c->metrics_addr);
	return 0;
}

static int check_labels(const struct config *c, struct err *e)
{
	for (size_t i = 0; i < c->labels.n; i++) {
		const char *l = c->labels.v[i], *eq = strchr(l, '=');

		if (!eq || eq == l || !eq[1])
			return err_set(e, ERR_INVALID, "labels: bad attribute format: %s", l);
		for (size_t k = 0; k < i; k++)
			if (!strncmp(l, c->labels.v[k], (size_t)(eq - l) + 1) &&
			    strcmp(l, c->labels.v[k]) != 0)
				return err_set(e, ERR_INVALID, "conflict labels for %.*s=%s",
					       (int)(eq - l), l, eq + 1);
	}
	return 0;
}

static int check_messages(const struct config *c, struct err *e)
{
	static const char *const levels[] = {"debug", "info",  "warn",	"warning",
					     "error", "fatal", "panic", NULL};
	static const char *const formats[] = {"text", "json", NULL};

	if (!is_one_of(c->log_level, levels))
		return err_set(e, ERR_INVALID, "invalid logging level: %s", c->log_level);
	if (!is_one_of(c->log_format, formats))
		return err_set(e, ERR_INVALID, "invalid log format: %s", c->log_format);
	return 0;
}

static int check_numbers(const struct config *c, struct err *e)
{
	if (*c->max_concurrent_downloads < 0 || *c->max_concurrent_downloads > 100)
		return err_set(e, ERR_INVALID, "invalid max concurrent downloads: %lld",
			       (long long)*c->max_concurrent_downloads);
	if (*c->max_concurrent_uploads < 0 || *c->max_concurrent_uploads > 100)
		return err_set(e, ERR_INVALID, "invalid max concurrent uploads: %lld",
			       (long long)*c->max_concurrent_uploads);
	if (*c->max_download_attempts < 0 || *c->max_download_attempts > 1000)
		return err_set(e, ERR_INVALID, "invalid max download attempts: %lld",
			       (long long)*c->max_download_attempts);
	if (*c->shutdown_timeout < -1 || *c->shutdown_timeout > INT32_MAX)
		return err_set(e, ERR_INVALID, "invalid shutdown timeout: %lld",
			       (long long)*c->shutdown_timeout);
	if (*c->mtu < 68 || *c->mtu > 65535)
		return err_set(e, ERR_INVALID, "invalid default MTU: %lld", (long long)*c->mtu);
	return 0;
}

static int check_mirror(const char *m, struct err *e)
{
	const char *rest = str_starts(m, "https://")  ? m + 8
			   : str_starts(m, "http://") ? m + 7
						      : NULL;
	const char *scheme = strstr(m, "://");

	if (!rest && scheme)
		return err_set(e, ERR_INVALID,
			       "invalid mirror: unsupported scheme \"%.*s\" in \"%s\"",
			       (int)(scheme - m), m, m);
	if (!rest || !*rest || *rest == '/')
		return err_set(e, ERR_INVALID, "invalid mirror: \"%s\" is not a valid URI", m);
	if (strpbrk(rest, "?#"))
		return err_set(e, ERR_INVALID,
			       "invalid mirror: query or fragment at the end of the URI \"%s\"", m);
	if (strchr(rest, '@'))
		return err_set(e, ERR_INVALID,
			       "invalid mirror: username/password not allowed in URI \"%s\"", m);
	return 0;
}

static int check_registries(const struct config *c, struct err *e)
{
	for (size_t i = 0; i < c->insecure_registries.n; i++) {
		const char *r = c->insecure_registries.v[i];

		if (!*r || r[0] == '-' || strstr(r, "://") ||
		    (strchr(r, '/') ? !is_cidr(r) : strpbrk(r, " \t?#@") != NULL))
			return err_set(e, ERR_INVALID,
				       "insecure registry \"%s\" is not valid: use HOST, HOST:PORT "
				       "or a CIDR",
				       r);
	}
	for (size_t i = 0; i < c->registry_mirrors.n; i++)
		if (check_mirror(c->registry_mirrors.v[i], e) < 0)
			return -1;
	return 0;
}

static int check_dns(const struct config *c, struct err *e)
{
	for (size_t i = 0; i < c->dns.n; i++)
		if (!is_ip(c->dns.v[i]))
			return err_set(e, ERR_INVALID, "dns: %s is not an ip address", c->dns.v[i]);
	for (size_t i = 0; i < c->dns_search.n; i++) {
		const char *d = c->dns_search.v[i];

		if (!*d || strlen(d) > 255 ||
		    strspn(d, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "0123456789.-_") != strlen(d))
			return err_set(e, ERR_INVALID, "dns-search: %s is not a valid domain", d);
	}
	for (size_t i = 0; i < c->dns_opts.n; i++)
		if (!*c->dns_opts.v[i] || strpbrk(c->dns_opts.v[i], " \t\r\n"))
			return err_set(e, ERR_INVALID, "dns-opts: \"%s\" is not a valid option",
				       c->dns_opts.v[i]);
	return 0;
}

static int check_networks(const struct config *c, struct err *e)
{
	const struct {
		const char *key, *value;
		bool (*valid)(const char *);
		const char *what;
	} rows[] = {
		{"bip", c->bip, is_cidr, "a network in CIDR form"},
		{"ip", c->ip, is_ip, "an ip address"},
		{"fixed-cidr", c->fixed_cidr, is_cidr, "a network in CIDR form"},
		{"fixed-cidr-v6", c->fixed_cidr_v6, is_cidr, "a network in CIDR form"},
		{"default-gateway", c->default_gateway, is_ip, "an ip address"},
		{"default-gateway-v6", c->default_gateway_v6, is_ip, "an ip address"},
		{"host-gateway-ip", c->host_gateway_ip, is_ip, "an ip address"},
	};
	const struct config_pool *pool = c->default_address_pools.v;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].value && *rows[i].value && !rows[i].valid(rows[i].value))
			return err_set(e, ERR_INVALID, "%s: %s is not %s", rows[i].key,
				       rows[i].value, rows[i].what);
	if (strcmp(c->published_ports_policy, "accept") != 0 &&
	    strcmp(c->published_ports_policy, "user-chain") != 0)
		return err_set(e, ERR_INVALID,
			       "published-ports-policy: \"%s\" is neither accept nor user-chain",
			       c->published_ports_policy);
	if (c->bip && c->bridge && *c->bip && *c->bridge)
		return err_set(e, ERR_INVALID,
			       "conflicting options: bridge and bip cannot be used together");
	for (size_t i = 0; i < c->default_address_pools.n; i++)
		if (!is_cidr(pool[i].base) || pool[i].size < 0 || pool[i].size > 128)
			return err_set(e, ERR_INVALID,
				       "default-address-pools: invalid pool base=%s size=%lld",
				       pool[i].base, (long long)pool[i].size);
	return 0;
}

static int check_shm(struct config *c, struct err *e)
{
	AUTO(json) struct json *j = NULL;
	const char *text = c->default_shm_size_json;

	c->default_shm_size = 64 << 20;
	if (!text)
		return 0;
	if (json_parse(text, strlen(text), &j, e) < 0)
		return -1;
	if (json_kind_of(j) == JSON_INT)
		c->default_shm_size = json_i64(j);
	else if (!json_str(j) || num_parse_bytes(json_str(j), &c->default_shm_size) < 0)
		return err_set(e, ERR_INVALID, "default-shm-size: invalid size: %s", text);
	if (c->default_shm_size <= 0)
		return err_set(e, ERR_INVALID, "default-shm-size: invalid size: %s", text);
	return 0;
}

static int check_ulimits(const struct config *c, struct err *e)
{
	struct config_ulimit *u = c->default_ulimits.v;
	static const char *const names[] = {
		"core",	  "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue", "nice",
		"nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack",	 NULL};

	for (size_t i = 0; i < c->default_ulimits.n; i++) {
		const char *name = c->default_ulimits.k[i];

		if (!u[i].name || !*u[i].name)
			u[i].name = name;
		if (!is_one_of(u[i].name, names) || strcmp(u[i].name, name) != 0)
			return err_set(e, ERR_INVALID, "default-ulimits: invalid ulimit type: %s",
				       name);
		if (u[i].soft < -1 || u[i].hard < -1 ||
		    (u[i].hard != -1 && (u[i].soft == -1 || u[i].soft > u[i].hard)))
			return err_set(
				e, ERR_INVALID,
				"default-ulimits: %s: ulimit soft limit must be less than or equal "
				"to hard limit: %lld > %lld",
				name, (long long)u[i].soft, (long long)u[i].hard);
	}
	return 0;
}

static int check_runtimes(const struct config *c, struct err *e)
{
	const struct config_runtime *r = c->runtimes.v;
	bool found = !strcmp(c->default_runtime, "coracle") || !strcmp(c->default_runtime, "runc");

	for (size_t i = 0; i < c->runtimes.n; i++) {
		const char *name = c->runtimes.k[i];

		found = found || !strcmp(name, c->default_runtime);
		if (!*name || !strcmp(name, "coracle"))
			return err_set(e, ERR_INVALID, "runtimes: runtime name '%s' is reserved",
				       name);
		if (!r[i].path == !r[i].type)
			return err_set(e, ERR_INVALID,
				       "runtimes: runtime %s: either a path or a runtimeType must "
				       "be configured",
				       name);
	}
	if (!found)
		return err_set(e, ERR_INVALID, "specified default runtime '%s' does not exist",
			       c->default_runtime);
	return 0;
}

static int check_containers(struct config *c, struct err *e)
{
	const char *ns = c->default_cgroupns_mode, *ipc = c->default_ipc_mode;

	if (ns && *ns && strcmp(ns, "host") != 0 && strcmp(ns, "private") != 0)
		return err_set(e, ERR_INVALID,
			       "invalid default cgroup namespace (%s): use \"host\" or \"private\"",
			       ns);
	if (strcmp(ipc, "private") != 0 && strcmp(ipc, "shareable") != 0)
		return err_set(e, ERR_INVALID,
			       "IPC mode \"%s\" is not supported as default value; use \"private\" "
			       "or \"shareable\"",
			       ipc);
	if (c->cgroup_parent && strstr(c->cgroup_parent, ".."))
		return err_set(e, ERR_INVALID, "invalid cgroup-parent: %s", c->cgroup_parent);
	if (strcmp(c->seccomp_profile, "builtin") != 0 &&
	    strcmp(c->seccomp_profile, "unconfined") != 0 && c->seccomp_profile[0] != '/')
		return err_set(e, ERR_INVALID,
			       "seccomp-profile: \"%s\" is neither an absolute path nor builtin "
			       "nor unconfined",
			       c->seccomp_profile);
	if (check_shm(c, e) < 0 || check_ulimits(c, e) < 0)
		return -1;
	return check_runtimes(c, e);
}

static int check_storage(const struct config *c, struct err *e)
{
	if (strcmp(c->storage_driver, "overlay2") != 0)
		return err_set(e, ERR_INVALID,
			       "storage-driver: \"%s\" is not supported; coracle has overlay2 only",
			       c->storage_driver);
	return 0;
}

static int check_gc(struct config_gc *g, struct err *e)
{
	g->interval_ns = HOUR_NS;
	g->unused_for_ns = 7 * 24 * HOUR_NS;
	if (g->interval && (num_parse_duration(g->interval, &g->interval_ns) < 0 ||
			    g->interval_ns < HOUR_NS / 3600))
		return err_set(e, ERR_INVALID,
			       "gc.interval: \"%s\" is not a duration of a second or more",
			       g->interval);
	if (g->unused_for &&
	    (num_parse_duration(g->unused_for, &g->unused_for_ns) < 0 || g->unused_for_ns < 0))
		return err_set(e, ERR_INVALID, "gc.unused-for: invalid duration \"%s\"",
			       g->unused_for);
	if (g->keep_storage &&
	    (num_parse_bytes(g->keep_storage, &g->keep_bytes) < 0 || g->keep_bytes < 0))
		return err_set(e, ERR_INVALID, "gc.keep-storage: invalid size \"%s\"",
			       g->keep_storage);
	return 0;
}

static void check_feature(const char *key, struct json *value, void *ud)
{
	struct err *e = ud;

	if (e->kind == ERR_NONE && json_kind_of(value) != JSON_BOOL)
		err_set(e, ERR_INVALID, "features.%s: expected a boolean", key);
}

static int check_features(const struct config *c, struct err *e)
{
	AUTO(json) struct json *j = NULL;

	if (!c->features)
		return 0;
	if (json_parse(c->features, strlen(c->features), &j, e) < 0)
		return -1;
	if (json_kind_of(j) != JSON_OBJECT)
		return err_set(e, ERR_INVALID, "features: expected an object of booleans");
	json_each(j, check_feature, e);
	return e->kind == ERR_NONE ? 0 : -1;
}

static int check_proxies(const struct config *c, struct err *e)
{
	const char *const urls[][2] = {{"http-proxy", c->proxies.http},
				       {"https-proxy", c->proxies.https}};

	for (size_t i = 0; i < ARRAY_SIZE(urls); i++)
		if (urls[i][1] && strpbrk(urls[i][1], " \t\r\n"))
			return err_set(e, ERR_INVALID, "proxies.%s: invalid URL", urls[i][0]);
	return 0;
}

static int check_tls(struct config *c, struct err *e)
{
	if (c->tlsverify > 0)
		c->tls = 1;
	if (c->tls > 0 && (!c->tlscert || !c->tlskey))
		return err_set(e, ERR_INVALID, "tls needs tlscert and tlskey");
	if (c->tlsverify > 0 && !c->tlscacert)
		return err_set(e, ERR_INVALID, "tlsverify needs tlscacert");
	return 0;
}

int config_finish(struct config *c, struct err *e)
{
	static int (*const checks[])(const struct config *, struct err *) = {
		check_labels,	check_messages, check_numbers,	check_registries, check_dns,
		check_networks, check_storage,	check_features, check_proxies,
	};

	err_clear(e);
	if (check_hosts(c, e) < 0)
		return -1;
	defaults(c);
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		if (checks[i](c, e) < 0)
			return -1;
	if (check_tls(c, e) < 0 || check_containers(c, e) < 0)
		return -1;
	return check_gc(&c->gc, e);
}
