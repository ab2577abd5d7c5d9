/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of coracled. Each sets one key of the configuration file; most share its name, lists
 * have Docker's singular. They become a JSON object, so that one decoder checks both sources.
 */
#include "base/mem.h"
#include "base/num.h"
#include "config/config-priv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

const struct opt config_options[] = {
	{0, "add-runtime", OPT_LIST, "runtime", "Register an OCI runtime (NAME=PATH)", NULL, 0},
	{0, "bip", OPT_STR, NULL, "Address and network of the default bridge", NULL, 0},
	{'b', "bridge", OPT_STR, NULL, "Attach containers to this bridge", NULL, 0},
	{0, "cgroup-parent", OPT_STR, NULL, "Parent cgroup of all containers", NULL, 0},
	{0, "config-file", OPT_STR, NULL, "Configuration file", "/etc/coracle/config.json", 0},
	{0, "data-root", OPT_STR, NULL, "Images, layers, containers, volumes", "/var/lib/coracle",
	 0},
	{'D', "debug", OPT_BOOL, NULL, "Debug messages", NULL, 0},
	{0, "default-address-pool", OPT_LIST, "pool-options",
	 "Address pool for networks (base=CIDR,size=BITS)", NULL, 0},
	{0, "default-cgroupns-mode", OPT_STR, NULL,
	 "Default cgroup namespace of containers (\"host\", \"private\")", NULL, 0},
	{0, "default-gateway", OPT_STR, "ip", "Default gateway of containers, IPv4", NULL, 0},
	{0, "default-gateway-v6", OPT_STR, "ip", "Default gateway of containers, IPv6", NULL, 0},
	{0, "default-ipc-mode", OPT_STR, NULL,
	 "Default ipc namespace of containers (\"shareable\", \"private\")", "private", 0},
	{0, "default-runtime", OPT_STR, NULL, "Default runtime of containers", "coracle", 0},
	{0, "default-shm-size", OPT_STR, "bytes", "Default size of /dev/shm", "64MiB", 0},
	{0, "default-ulimit", OPT_LIST, "ulimit", "Default ulimits (NAME=SOFT[:HARD])", NULL, 0},
	{0, "dns", OPT_LIST, NULL, "DNS servers of containers", NULL, 0},
	{0, "dns-opt", OPT_LIST, NULL, "DNS options of containers", NULL, 0},
	{0, "dns-search", OPT_LIST, NULL, "DNS search domains of containers", NULL, 0},
	{0, "exec-root", OPT_STR, NULL, "State of running containers", "/run/coracle", 0},
	{0, "feature", OPT_LIST, "map", "Switch a feature (NAME=true|false)", NULL, 0},
	{0, "fixed-cidr", OPT_STR, NULL, "IPv4 range for containers of the default bridge", NULL,
	 0},
	{0, "fixed-cidr-v6", OPT_STR, NULL, "IPv6 range for containers of the default bridge", NULL,
	 0},
	{'G', "group", OPT_STR, NULL, "Group of the unix socket", "coracle", 0},
	{'H', "host", OPT_LIST, NULL, "Sockets to listen on (unix://, tcp://, fd://)", NULL, 0},
	{0, "host-gateway-ip", OPT_STR, "ip", "Address that 'host-gateway' stands for", NULL, 0},
	{0, "http-proxy", OPT_STR, NULL, "Proxy for outgoing http://", NULL, 0},
	{0, "https-proxy", OPT_STR, NULL, "Proxy for outgoing https://", NULL, 0},
	{0, "icc", OPT_BOOL, NULL, "Containers of the default bridge may talk to each other", NULL,
	 0},
	{0, "init", OPT_BOOL, NULL, "Run an init in containers by default", NULL, 0},
	{0, "insecure-registry", OPT_LIST, NULL, "Registries that may be used without TLS", NULL,
	 0},
	{0, "ip", OPT_STR, "ip", "Default address of published ports", NULL, 0},
	{0, "ip-forward", OPT_BOOL, NULL, "Switch IP forwarding on", NULL, 0},
	{0, "ip-forward-no-drop", OPT_BOOL, NULL,
	 "Let other traffic be forwarded too when the engine switches forwarding on", NULL, 0},
	{0, "ip-masq", OPT_BOOL, NULL, "Masquerade the containers' addresses", NULL, 0},
	{0, "ip6tables", OPT_BOOL, NULL, "Filter rules for IPv6", NULL, 0},
	{0, "iptables", OPT_BOOL, NULL, "Filter rules for IPv4", NULL, 0},
	{0, "ipv6", OPT_BOOL, NULL, "IPv6 on the default bridge", NULL, 0},
	{0, "label", OPT_LIST, NULL, "Labels of the engine (KEY=VALUE)", NULL, 0},
	{0, "live-restore", OPT_BOOL, NULL, "Containers run on while the engine is stopped", "true",
	 0},
	{0, "log-driver", OPT_STR, NULL, "Default log driver of containers", "json-file", 0},
	{0, "log-format", OPT_STR, NULL, "Format of the engine's messages (\"text\", \"json\")",
	 "text", 0},
	{'l', "log-level", OPT_STR, NULL,
	 "The engine's messages (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")", "info", 0},
	{0, "log-opt", OPT_LIST, "map", "Default log options of containers", NULL, 0},
	{0, "max-concurrent-downloads", OPT_INT, NULL, "Layers downloaded at the same time", "3",
	 0},
	{0, "max-concurrent-uploads", OPT_INT, NULL, "Layers of a push at the same time", "5", 0},
	{0, "max-download-attempts", OPT_INT, NULL, "Attempts for each layer of a pull", "5", 0},
	{0, "metrics-addr", OPT_STR, NULL, "Address and port of the metrics listener", NULL, 0},
	{0, "mtu", OPT_INT, NULL, "MTU of the default bridge", NULL, 0},
	{0, "no-new-privileges", OPT_BOOL, NULL, "no-new-privileges for containers by default",
	 NULL, 0},
	{0, "no-proxy", OPT_STR, NULL, "Hosts that are reached without the proxy", NULL, 0},
	{'p', "pidfile", OPT_STR, NULL, "File for the engine's process id", NULL, 0},
	{0, "published-ports-policy", OPT_STR, NULL,
	 "Who accepts clients of published ports (\"accept\", \"user-chain\")", "accept", 0},
	{0, "registry-mirror", OPT_LIST, NULL, "Preferred mirrors of Docker Hub", NULL, 0},
	{0, "seccomp-profile", OPT_STR, NULL, "Default seccomp profile (path, \"unconfined\")",
	 "builtin", 0},
	{0, "shutdown-timeout", OPT_INT, NULL, "Seconds that containers get at shutdown", "15", 0},
	{'s', "storage-driver", OPT_STR, NULL, "Storage driver", "overlay2", 0},
	{0, "tls", OPT_BOOL, NULL, "Use TLS; implied by --tlsverify", NULL, 0},
	{0, "tlscacert", OPT_STR, NULL, "Trust clients whose certificate this CA signed", NULL, 0},
	{0, "tlscert", OPT_STR, NULL, "The engine's certificate", NULL, 0},
	{0, "tlskey", OPT_STR, NULL, "The engine's private key", NULL, 0},
	{0, "tlsverify", OPT_BOOL, NULL, "Use TLS and demand a client certificate", NULL, 0},
	{0, "userland-proxy", OPT_BOOL, NULL, "Proxy for loopback traffic of published ports", NULL,
	 0},
	{0, "validate", OPT_BOOL, NULL, "Check the configuration and quit", NULL, 0},
	{'v', "version", OPT_BOOL, NULL, "Print version information and quit", NULL, 0},
	OPT_END,
};

/* Options whose key has another name. */
static const struct {
	const char *option, *key;
} renamed[] = {
	{"add-runtime", "runtimes"},
	{"default-address-pool", "default-address-pools"},
	{"default-ulimit", "default-ulimits"},
	{"dns-opt", "dns-opts"},
	{"feature", "features"},
	{"host", "hosts"},
	{"insecure-registry", "insecure-registries"},
	{"label", "labels"},
	{"log-opt", "log-opts"},
	{"registry-mirror", "registry-mirrors"},
};

static const char *key_of(const char *option)
{
	for (size_t i = 0; i < ARRAY_SIZE(renamed); i++)
		if (!strcmp(renamed[i].option, option))
			return renamed[i].key;
	return option;
}

static char *default_file(void)
{
	const char *home = secure_getenv("CORACLE_HOME");

	if (home && *home)
		return xasprintf("%s/etc/config.json", home);
	return xstrdup("/etc/coracle/config.json");
}

int config_args_parse(int argc, char **argv, struct config_args *ret, struct err *e)
{
	*ret = (struct config_args){0};
	if (opts_parse(&ret->opts, config_options, argc, argv, true, e) < 0)
		return -1;
	if (ret->opts.help)
		return 0;
	if (ret->opts.argc > 0)
		return err_set(e, ERR_INVALID, "unexpected argument \"%s\"", ret->opts.argv[0]);
	ret->validate = opts_bool(&ret->opts, "validate");
	ret->version = opts_bool(&ret->opts, "version");
	ret->file_given = opts_set(&ret->opts, "config-file");
	ret->default_file = default_file();
	ret->file = ret->file_given ? opts_str(&ret->opts, "config-file") : ret->default_file;
	return 0;
}

void config_args_done(struct config_args *a)
{
	opts_done(&a->opts);
	free(a->default_file);
	*a = (struct config_args){0};
}

/* ---- to JSON ---- */

/* "nofile=1024:2048" and such: the text before '=' is the key; without one it is all of it. */
static struct str cut_key(const char *text, const char **ret_value)
{
	const char *eq = strchr(text, '=');

	*ret_value = eq ? eq + 1 : "";
	return (struct str){text, eq ? (size_t)(eq - text) : strlen(text)};
}

static void write_number(struct jw *w, struct str text)
{
	AUTO_FREE char *s = xstrndup(text.p, text.n);
	int64_t v;

	/* What is no number stays a string, which the decoder then refuses by name. */
	if (num_parse_i64(s, INT64_MIN, INT64_MAX, &v) == 0)
		jw_i64(w, v);
	else
		jw_str(w, s);
}

static void write_ulimit(struct jw *w, const char *name, const char *value)
{
	struct str rest = str_of(value), soft = {value, 0}, hard;

	str_cut(&rest, ':', &soft);
	hard = rest.n ? rest : soft;
	jw_obj(w);
	jw_kv_str(w, "Name", name);
	jw_key(w, "Soft");
	write_number(w, soft);
	jw_key(w, "Hard");
	write_number(w, hard);
	jw_obj_end(w);
}

static void write_pool(struct jw *w, const char *text)
{
	struct str rest = str_of(text), field;

	jw_obj(w);
	while (rest.n && str_cut(&rest, ',', &field)) {
		AUTO_FREE char *pair = xstrndup(field.p, field.n);
		const char *value;
		struct str k = cut_key(pair, &value);
		AUTO_FREE char *key = xstrndup(k.p, k.n);

		jw_key(w, key);
		if (!strcmp(key, "size"))
			write_number(w, str_of(value));
		else
			jw_str(w, value);
	}
	jw_obj_end(w);
}

static void write_pair(struct jw *w, const char *key, const char *text)
{
	const char *value;
	struct str k = cut_key(text, &value);
	AUTO_FREE char *name = xstrndup(k.p, k.n);

	jw_key(w, name);
	if (!strcmp(key, "runtimes")) {
		jw_obj(w);
		jw_kv_str(w, "path", value);
		jw_obj_end(w);
	} else if (!strcmp(key, "default-ulimits")) {
		write_ulimit(w, name, value);
	} else if (!strcmp(key, "features")) {
		jw_raw(w, !strcmp(value, "true")    ? "true"
			  : !strcmp(value, "false") ? "false"
						    : "null");
	} else {
		jw_str(w, value);
	}
}

static void write_list(struct jw *w, const struct json_field *row, const struct optval *v)
{
	bool map = row->type == JT_MAP || row->type == JT_OBJMAP || row->type == JT_RAW;

	if (map)
		jw_obj(w);
	else
		jw_arr(w);
	for (size_t i = 0; i < v->n; i++) {
		if (map)
			write_pair(w, row->key, v->v[i]);
		else if (row->type == JT_OBJS)
			write_pool(w, v->v[i]);
		else
			jw_str(w, v->v[i]);
	}
	if (map)
		jw_obj_end(w);
	else
		jw_arr_end(w);
}

static void write_option(struct jw *w, const struct opt *o, const struct optval *v)
{
	const struct json_field *row = config_row(key_of(o->name));

	if (!row || !v->set)
		return;
	jw_key(w, row->key);
	switch (o->type) {
	case OPT_BOOL:
		jw_bool(w, v->b);
		break;
	case OPT_INT:
		jw_i64(w, v->i);
		break;
	case OPT_LIST:
		write_list(w, row, v);
		break;
	default:
		jw_str(w, v->s);
	}
}

static void write_proxies(struct jw *w, const struct opts *o)
{
	static const char *const names[] = {"http-proxy", "https-proxy", "no-proxy"};
	bool open = false;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!opts_set(o, names[i]))
			continue;
		if (!open) {
			jw_key(w, "proxies");
			jw_obj(w);
		}
		open = true;
		jw_kv_str(w, names[i], opts_str(o, names[i]));
	}
	if (open)
		jw_obj_end(w);
}

void config_args_json(const struct config_args *a, struct buf *out)
{
	struct jw w = JW_INIT(out);

	jw_obj(&w);
	for (size_t i = 0; a->opts.table && config_options[i].name; i++)
		write_option(&w, &config_options[i], &a->opts.vals[i]);
	if (a->opts.table)
		write_proxies(&w, &a->opts);
	jw_obj_end(&w);
}
