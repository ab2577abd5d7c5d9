/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of the configuration file, and which of them a running engine takes over on SIGHUP. */
#include "config/config-priv.h"

#include <string.h>

#include "base/banned.h"

#define UL(type, member, key) JSON_FIELD(type, struct config_ulimit, member, key, 0)
static const struct json_field ulimit_fields[] = {
	UL(JT_STR, name, "Name"),
	UL(JT_I64, soft, "Soft"),
	UL(JT_I64, hard, "Hard"),
	{0},
};
static const struct json_schema ulimit_schema = {"ulimit", sizeof(struct config_ulimit),
						 ulimit_fields};

#define RT(type, member, key) JSON_FIELD(type, struct config_runtime, member, key, JSON_OMITEMPTY)
static const struct json_field runtime_fields[] = {
	RT(JT_STR, path, "path"),
	RT(JT_STRS, args, "runtimeArgs"),
	RT(JT_STR, type, "runtimeType"),
	RT(JT_RAW, options, "options"),
	{0},
};
static const struct json_schema runtime_schema = {"runtime", sizeof(struct config_runtime),
						  runtime_fields};

static const struct json_field pool_fields[] = {
	JSON_FIELD(JT_STR, struct config_pool, base, "base", JSON_REQUIRED),
	JSON_FIELD(JT_I64, struct config_pool, size, "size", JSON_REQUIRED),
	{0},
};
static const struct json_schema pool_schema = {"address pool", sizeof(struct config_pool),
					       pool_fields};

#define PX(member, key) JSON_FIELD(JT_STR, struct config_proxies, member, key, JSON_OMITEMPTY)
static const struct json_field proxies_fields[] = {
	PX(http, "http-proxy"),
	PX(https, "https-proxy"),
	PX(no_proxy, "no-proxy"),
	{0},
};
static const struct json_schema proxies_schema = {"proxies", sizeof(struct config_proxies),
						  proxies_fields};

#define GC(type, member, key) JSON_FIELD(type, struct config_gc, member, key, JSON_OMITEMPTY)
static const struct json_field gc_fields[] = {
	GC(JT_OPT_BOOL, enabled, "enabled"),
	GC(JT_STR, interval, "interval"),
	GC(JT_STR, unused_for, "unused-for"),
	GC(JT_STR, keep_storage, "keep-storage"),
	{0},
};
static const struct json_schema gc_schema = {"gc", sizeof(struct config_gc), gc_fields};

#define CF(type, member, key) JSON_FIELD(type, struct config, member, key, JSON_OMITEMPTY)
#define CS(type, member, key, sub)                                                                 \
	JSON_SUB(type, struct config, member, key, JSON_OMITEMPTY, &(sub))
static const struct json_field config_fields[] = {
	CF(JT_STR, data_root, "data-root"),
	CF(JT_STR, exec_root, "exec-root"),
	CF(JT_STR, pidfile, "pidfile"),
	CF(JT_STR, group, "group"),
	CF(JT_STRS, hosts, "hosts"),
	CF(JT_OPT_BOOL, tls, "tls"),
	CF(JT_OPT_BOOL, tlsverify, "tlsverify"),
	CF(JT_STR, tlscacert, "tlscacert"),
	CF(JT_STR, tlscert, "tlscert"),
	CF(JT_STR, tlskey, "tlskey"),
	CF(JT_STR, metrics_addr, "metrics-addr"),
	CF(JT_OPT_BOOL, debug, "debug"),
	CF(JT_STR, log_level, "log-level"),
	CF(JT_STR, log_format, "log-format"),
	CF(JT_STRS, labels, "labels"),
	CF(JT_OPT_I64, shutdown_timeout, "shutdown-timeout"),
	CF(JT_OPT_BOOL, live_restore, "live-restore"),
	CF(JT_RAW, features, "features"),
	CS(JT_OBJ, proxies, "proxies", proxies_schema),
	CS(JT_OBJ, gc, "gc", gc_schema),
	CF(JT_STR, storage_driver, "storage-driver"),
	CF(JT_STRS, insecure_registries, "insecure-registries"),
	CF(JT_STRS, registry_mirrors, "registry-mirrors"),
	CF(JT_OPT_I64, max_concurrent_downloads, "max-concurrent-downloads"),
	CF(JT_OPT_I64, max_concurrent_uploads, "max-concurrent-uploads"),
	CF(JT_OPT_I64, max_download_attempts, "max-download-attempts"),
	CF(JT_STR, log_driver, "log-driver"),
	CF(JT_MAP, log_opts, "log-opts"),
	CS(JT_OBJMAP, default_ulimits, "default-ulimits", ulimit_schema),
	CF(JT_RAW, default_shm_size_json, "default-shm-size"),
	CF(JT_STR, default_runtime, "default-runtime"),
	CF(JT_STR, default_cgroupns_mode, "default-cgroupns-mode"),
	CF(JT_STR, default_ipc_mode, "default-ipc-mode"),
	CS(JT_OBJMAP, runtimes, "runtimes", runtime_schema),
	CF(JT_OPT_BOOL, init, "init"),
	CF(JT_OPT_BOOL, no_new_privileges, "no-new-privileges"),
	CF(JT_STR, cgroup_parent, "cgroup-parent"),
	CF(JT_STR, seccomp_profile, "seccomp-profile"),
	CF(JT_STRS, dns, "dns"),
	CF(JT_STRS, dns_opts, "dns-opts"),
	CF(JT_STRS, dns_search, "dns-search"),
	CF(JT_STR, bridge, "bridge"),
	CF(JT_STR, bip, "bip"),
	CF(JT_STR, ip, "ip"),
	CF(JT_STR, fixed_cidr, "fixed-cidr"),
	CF(JT_STR, fixed_cidr_v6, "fixed-cidr-v6"),
	CF(JT_STR, default_gateway, "default-gateway"),
	CF(JT_STR, default_gateway_v6, "default-gateway-v6"),
	CF(JT_STR, host_gateway_ip, "host-gateway-ip"),
	CF(JT_OPT_I64, mtu, "mtu"),
	CS(JT_OBJS, default_address_pools, "default-address-pools", pool_schema),
	CF(JT_OPT_BOOL, ipv6, "ipv6"),
	CF(JT_OPT_BOOL, icc, "icc"),
	CF(JT_OPT_BOOL, iptables, "iptables"),
	CF(JT_OPT_BOOL, ip6tables, "ip6tables"),
	CF(JT_OPT_BOOL, ip_forward, "ip-forward"),
	CF(JT_OPT_BOOL, ip_forward_no_drop, "ip-forward-no-drop"),
	CF(JT_OPT_BOOL, ip_masq, "ip-masq"),
	CF(JT_STR, published_ports_policy, "published-ports-policy"),
	CF(JT_OPT_BOOL, userland_proxy, "userland-proxy"),
	{0},
};
const struct json_schema config_schema = {"configuration", sizeof(struct config), config_fields};

const struct json_field *config_row(const char *key)
{
	for (const struct json_field *f = config_fields; f->key; f++)
		if (!strcmp(f->key, key))
			return f;
	return NULL;
}

/* Everything that is read when it is used; the others were used once, at start. */
bool config_key_reloads(const char *key)
{
	static const char *const keys[] = {
		"debug",
		"log-level",
		"log-format",
		"labels",
		"shutdown-timeout",
		"live-restore",
		"features",
		"proxies",
		"gc",
		"insecure-registries",
		"registry-mirrors",
		"max-concurrent-downloads",
		"max-concurrent-uploads",
		"max-download-attempts",
		"log-driver",
		"log-opts",
		"default-ulimits",
		"default-shm-size",
		"default-runtime",
		"default-cgroupns-mode",
		"default-ipc-mode",
		"runtimes",
		"init",
		"no-new-privileges",
		"cgroup-parent",
		"seccomp-profile",
		"dns",
		"dns-opts",
		"dns-search",
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(keys[i], key))
			return true;
	return false;
}

const char *config_label(const struct config *c, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < c->labels.n; i++)
		if (!strncmp(c->labels.v[i], key, n) && c->labels.v[i][n] == '=')
			return c->labels.v[i] + n + 1;
	return NULL;
}

void config_write(const struct config *c, struct buf *out)
{
	struct jw w = JW_INIT(out);

	json_encode(&w, &config_schema, c);
}
