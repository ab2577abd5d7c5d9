/* SPDX-License-Identifier: Apache-2.0 */
/* GET /containers/{id}/json, field by field as Docker prints it. */
#include "base/clock.h"
#include "engine/engine-priv.h"
#include "engine/network.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static void write_state(const struct container *c, struct jw *w)
{
	char when[CLOCK_TEXT_MAX];

	jw_obj(w);
	jw_kv_str(w, "Status", container_status_name(c));
	jw_kv_bool(w, "Running", c->st.running || c->st.restarting);
	jw_kv_bool(w, "Paused", c->st.paused);
	jw_kv_bool(w, "Restarting", c->st.restarting);
	jw_kv_bool(w, "OOMKilled", c->st.oom_killed);
	jw_kv_bool(w, "Dead", c->st.dead);
	jw_kv_i64(w, "Pid", c->st.pid);
	jw_kv_i64(w, "ExitCode", c->st.exit_code);
	jw_kv_str(w, "Error", c->st.error ? c->st.error : "");
	clock_format(c->st.started_at, when);
	jw_kv_str(w, "StartedAt", when);
	clock_format(c->st.finished_at, when);
	jw_kv_str(w, "FinishedAt", when);
	if (c->health.enabled) {
		jw_key(w, "Health");
		health_write(c, w);
	}
	jw_obj_end(w);
}

static void write_path(struct jw *w, const char *key, const struct container *c, const char *file)
{
	AUTO_FREE char *path = container_data_path(c, file);

	jw_kv_str(w, key, path);
}

/* The members of old clients: the endpoint on the default bridge once more. */
static void write_default_endpoint(const struct container *c, struct jw *w, struct arena *a)
{
	struct endpoint_settings s = {.endpoint_id = "",
				      .gateway = "",
				      .global_ipv6_address = "",
				      .ip_address = "",
				      .ipv6_gateway = "",
				      .mac_address = ""};

	LIST_FOR_EACH (it, &c->endpoints) {
		const struct endpoint *ep = LIST_ENTRY(it, struct endpoint, link);

		if (ep->net && network_is_default(ep->net))
			endpoint_settings_of(ep, &s, a);
	}
	jw_kv_str(w, "EndpointID", s.endpoint_id);
	jw_kv_str(w, "Gateway", s.gateway);
	jw_kv_str(w, "GlobalIPv6Address", s.global_ipv6_address);
	jw_kv_i64(w, "GlobalIPv6PrefixLen", s.global_ipv6_prefix_len);
	jw_kv_str(w, "IPAddress", s.ip_address);
	jw_kv_i64(w, "IPPrefixLen", s.ip_prefix_len);
	jw_kv_str(w, "IPv6Gateway", s.ipv6_gateway);
	jw_kv_str(w, "MacAddress", s.mac_address);
}

static void write_network(const struct container *c, struct jw *w)
{
	AUTO(arena) struct arena *a = arena_new();
	bool own = c->st.running && strcmp(c->host.network_mode, "host") != 0;

	jw_obj(w);
	jw_kv_str(w, "Bridge", "");
	jw_kv_str(w, "SandboxID", c->st.running ? c->id : "");
	jw_kv_str(w, "SandboxKey",
		  own ? arena_printf(a, "/proc/%lld/ns/net", (long long)c->st.pid) : "");
	jw_key(w, "Ports");
	ports_write_inspect(c, w);
	jw_kv_bool(w, "HairpinMode", false);
	jw_kv_str(w, "LinkLocalIPv6Address", "");
	jw_kv_i64(w, "LinkLocalIPv6PrefixLen", 0);
	jw_key(w, "SecondaryIPAddresses");
	jw_null(w);
	jw_key(w, "SecondaryIPv6Addresses");
	jw_null(w);
	write_default_endpoint(c, w, a);
	jw_key(w, "Networks");
	networks_write(c, w);
	jw_obj_end(w);
}

static void write_graph_driver(const struct container *c, struct jw *w)
{
	AUTO(store_snapshot) struct store_snapshot *sn = NULL;
	AUTO_BUF struct buf lower = BUF_INIT(1 << 20);
	struct err e = ERR_INIT;

	jw_obj(w);
	jw_key(w, "Data");
	if (store_snapshot_get(c->g->store, c->id, &sn, &e) < 0) {
		jw_null(w);
	} else {
		for (size_t i = 0; i < sn->nlower; i++)
			buf_addf(&lower, "%s%s/%s", i ? ":" : "", sn->layers_dir, sn->lower[i]);
		jw_obj(w);
		jw_kv_str(w, "ID", c->id);
		jw_kv_str(w, "LowerDir", buf_text(&lower));
		jw_kv_str(w, "UpperDir", sn->upper);
		jw_kv_str(w, "WorkDir", sn->work);
		jw_obj_end(w);
	}
	jw_kv_str(w, "Name", "overlay2");
	jw_obj_end(w);
}

static void write_exec_ids(const struct container *c, struct jw *w)
{
	const char *id;
	void *v;
	size_t pos = 0, n = 0;

	while (map_next(c->g->execs, &pos, &id, &v)) {
		const struct exec *x = v;

		if (strcmp(x->cid, c->id) != 0 || !x->running)
			continue;
		if (n++ == 0)
			jw_arr(w);
		jw_str(w, id);
	}
	if (n == 0)
		jw_null(w);
	else
		jw_arr_end(w);
}

int engine_container_inspect(struct engine *g, struct container *c, bool size, struct buf *out,
			     struct err *e)
{
	struct jw w = JW_INIT(out);
	AUTO_FREE char *name = xasprintf("/%s", c->name);
	bool json_log;
	AUTO_FREE char *log = log_config_file(c, &json_log);
	char when[CLOCK_TEXT_MAX];

	jw_obj(&w);
	jw_kv_str(&w, "Id", c->id);
	clock_format(c->created, when);
	jw_kv_str(&w, "Created", when);
	jw_kv_str(&w, "Path", c->meta.path);
	jw_kv_strs(&w, "Args", &c->meta.args);
	jw_key(&w, "State");
	write_state(c, &w);
	jw_kv_str(&w, "Image", c->image_id);
	write_path(&w, "ResolvConfPath", c, "resolv.conf");
	write_path(&w, "HostnamePath", c, "hostname");
	write_path(&w, "HostsPath", c, "hosts");
	if (!json_log)
		jw_kv_str(&w, "LogPath", "");
	else
		write_path(&w, "LogPath", c, log);
	jw_kv_str(&w, "Name", name);
	jw_kv_i64(&w, "RestartCount", c->st.restart_count);
	jw_kv_str(&w, "Driver", "overlay2");
	jw_kv_str(&w, "Platform", c->meta.platform ? c->meta.platform : "linux");
	jw_kv_str(&w, "MountLabel", "");
	jw_kv_str(&w, "ProcessLabel", "");
	jw_kv_str(&w, "AppArmorProfile", "");
	jw_key(&w, "ExecIDs");
	write_exec_ids(c, &w);
	jw_key(&w, "HostConfig");
	json_encode(&w, &host_config_schema, &c->host);
	jw_key(&w, "GraphDriver");
	write_graph_driver(c, &w);
	if (size)
		container_size_write(c, NULL, &w);
	jw_key(&w, "Mounts");
	mounts_write(c, &w);
	jw_key(&w, "Config");
	json_encode(&w, &container_config_schema, &c->meta.config);
	jw_key(&w, "NetworkSettings");
	write_network(c, &w);
	jw_obj_end(&w);
	return out->overflow ? err_set(e, ERR_LIMIT, "the answer is too large") : 0;
}
