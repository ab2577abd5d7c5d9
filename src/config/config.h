/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine is told: /etc/coracle/config.json in the form and with the key names of Docker's
 * daemon.json, and the options of `coracled`. Both are one JSON document by the time they are
 * decoded: an option is a key given on the command line, and the same key in both is an error, as
 * dockerd has it. docs/configuration.md is the manual of the keys.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "base/opts.h"

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_FILE_MAX (1U << 20)

struct config_ulimit {
	const char *name;
	int64_t soft, hard; /* -1: unlimited */
};
struct config_runtime {
	const char *path;
	struct strs args;
	const char *type, *options; /* Docker's runtimeType and options (JSON) */
};
struct config_pool {
	const char *base; /* "10.0.0.0/16" */
	int64_t size;	  /* prefix length of each network */
};
struct config_proxies {
	const char *http, *https, *no_proxy;
};

/* Garbage collection of what nobody uses. Off unless enabled. */
struct config_gc {
	int8_t enabled;
	const char *interval, *unused_for, *keep_storage; /* as written */
	/* worked out from them */
	int64_t interval_ns;   /* between two runs; default an hour */
	int64_t unused_for_ns; /* only what is older; default a week */
	int64_t keep_bytes;    /* start above this size; 0: always */
};

/*
 * After config_load() every field has its effective value: no pointer that has a default is NULL,
 * switches are 1 or -1 (write `c->debug > 0`), numbers point to a value. A reload makes a new
 * object and frees the old one: keep no pointers into it.
 */
struct config {
	/* where things are */
	const char *data_root, *exec_root, *pidfile, *group;
	struct strs hosts;  /* unix://PATH, tcp://HOST:PORT, fd:// */
	bool hosts_default; /* nobody named them */
	int8_t tls, tlsverify;
	const char *tlscacert, *tlscert, *tlskey;
	const char *metrics_addr; /* "127.0.0.1:9323"; NULL: no listener */
	/* the engine */
	int8_t debug;
	const char *log_level, *log_format; /* debug info warn error; text json */
	struct strs labels;		    /* "key=value" */
	const int64_t *shutdown_timeout;    /* seconds; -1: no limit */
	int8_t live_restore;		    /* containers run on without the engine; default on */
	const char *features;		    /* JSON object of booleans, NULL */
	struct config_proxies proxies;
	struct config_gc gc;
	const char *storage_driver; /* "overlay2" */
	/* registries */
	struct strs insecure_registries, registry_mirrors;
	const int64_t *max_concurrent_downloads, *max_concurrent_uploads, *max_download_attempts;
	/* what containers get unless they say otherwise */
	const char *log_driver;
	struct strmap log_opts;
	struct objmap default_ulimits;	   /* struct config_ulimit */
	const char *default_shm_size_json; /* as written: a number or "64M" */
	int64_t default_shm_size;	   /* bytes, worked out */
	const char *default_runtime, *default_cgroupns_mode, *default_ipc_mode;
	struct objmap runtimes; /* struct config_runtime; "coracle" is built in and not listed */
	int8_t init, no_new_privileges;
	const char *cgroup_parent;   /* NULL: the engine's own choice */
	const char *seccomp_profile; /* path, "builtin" or "unconfined" */
	/* networks: kept for the network module */
	struct strs dns, dns_opts, dns_search;
	const char *bridge, *bip, *ip, *fixed_cidr, *fixed_cidr_v6, *default_gateway,
		*default_gateway_v6, *host_gateway_ip;
	const int64_t *mtu;
	struct objs default_address_pools; /* struct config_pool */
	int8_t ipv6, icc, iptables, ip6tables, ip_forward, ip_forward_no_drop, ip_masq,
		userland_proxy;
	const char *published_ports_policy; /* "accept", "user-chain": docs/networking.md */

	struct arena *arena; /* owns all of it, the struct too */
};
extern const struct json_schema config_schema;

/* The command line of coracled. */
struct config_args {
	struct opts opts;
	const char *file;	/* --config-file, else the default path */
	bool file_given;	/* then it must exist */
	bool validate, version; /* --validate, --version; opts.help for --help */
	char *default_file;	/* owner of `file` when it is the default */
};
extern const struct opt config_options[];
/* Returns 0, or -1 with Docker's text ("unknown flag: --x"). argv without the program's name. */
int config_args_parse(int argc, char **argv, struct config_args *ret, struct err *e);
void config_args_done(struct config_args *a);
/* What was said on the command line as a JSON object with the file's keys. */
void config_args_json(const struct config_args *a, struct buf *out);

/*
 * Read file and options, check all values, fill in defaults. Errors name the file, the key and the
 * reason: "unable to configure the coracle engine with file PATH: ...".
 */
int config_load(const struct config_args *a, struct config **ret, struct err *e);
/*
 * Again, for a running engine: keys that cannot change while it runs keep their old value; their
 * names are listed in `kept` ("data-root, hosts") when they differ. On failure the old one stands.
 */
int config_reload(const struct config_args *a, const struct config *old, struct config **ret,
		  struct buf *kept, struct err *e);
/* All defaults, as without file and options; never fails. */
struct config *config_default(void);
void config_free(struct config *c); /* NULL allowed */

/* The configuration as JSON, only keys that are set; for logs. */
void config_write(const struct config *c, struct buf *out);
bool config_key_reloads(const char *key);
/* Find "key" of "key=value" labels. NULL when absent. */
const char *config_label(const struct config *c, const char *key);
