/* SPDX-License-Identifier: Apache-2.0 */
/* GET /info, /version. */
#include "base/clock.h"
#include "engine/engine-priv.h"
#include "engine/network.h"
#include "sys/fs.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "base/banned.h"

static void os_name(char *ret, size_t n)
{
	AUTO_BUF struct buf text = BUF_INIT(1 << 16);
	struct str rest, line;

	snprintf(ret, n, "Linux");
	if (fs_read_path("/etc/os-release", &text) < 0)
		return;
	rest = str_of(buf_text(&text));
	while (rest.n > 0 && str_cut(&rest, '\n', &line)) {
		static const char key[] = "PRETTY_NAME=";

		if (line.n <= sizeof(key) || memcmp(line.p, key, sizeof(key) - 1) != 0)
			continue;
		line.p += sizeof(key) - 1;
		line.n -= sizeof(key) - 1;
		if (line.n >= 2 && line.p[0] == '"') {
			line.p++;
			line.n -= 2;
		}
		snprintf(ret, n, "%.*s", (int)line.n, line.p);
	}
}

static void list_key(struct jw *w, const char *key, const char *const *v)
{
	jw_key(w, key);
	jw_arr(w);
	for (; v && *v; v++)
		jw_str(w, *v);
	jw_arr_end(w);
}

static void count_containers(const struct engine *g, struct jw *w)
{
	int64_t all = 0, running = 0, paused = 0;

	LIST_FOR_EACH (it, &g->order) {
		const struct container *c = LIST_ENTRY(it, struct container, link);

		all++;
		paused += c->st.running && c->st.paused;
		running += c->st.running && !c->st.paused;
	}
	jw_kv_i64(w, "Containers", all);
	jw_kv_i64(w, "ContainersRunning", running);
	jw_kv_i64(w, "ContainersPaused", paused);
	jw_kv_i64(w, "ContainersStopped", all - running - paused);
}

static void write_driver(const struct engine *g, struct jw *w)
{
	static const char *const rows[][2] = {{"Supports d_type", "true"},
					      {"Native Overlay Diff", "true"}};

	jw_kv_str(w, "Driver", "overlay2");
	jw_key(w, "DriverStatus");
	jw_arr(w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		jw_arr(w);
		jw_str(w, rows[i][0]);
		jw_str(w, rows[i][1]);
		jw_arr_end(w);
	}
	jw_arr_end(w);
	jw_key(w, "Plugins");
	jw_obj(w);
	list_key(w, "Volume", (const char *const[]){"local", NULL});
	list_key(w, "Network", (const char *const[]){"host", "null", NULL});
	jw_key(w, "Authorization");
	jw_null(w);
	list_key(w, "Log", log_driver_names);
	jw_obj_end(w);
}

static void write_limits(struct jw *w)
{
	static const char *const yes[] = {"MemoryLimit", "SwapLimit",	  "CpuCfsPeriod",
					  "CpuCfsQuota", "CPUShares",	  "CPUSet",
					  "PidsLimit",	 "IPv4Forwarding"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		jw_kv_bool(w, yes[i], true);
	jw_kv_bool(w, "OomKillDisable", runtime_cgroup_version() == 1);
}

static void write_registry(const struct config *c, struct jw *w)
{
	jw_key(w, "RegistryConfig");
	jw_obj(w);
	jw_key(w, "AllowNondistributableArtifactsCIDRs");
	jw_null(w);
	jw_key(w, "AllowNondistributableArtifactsHostnames");
	jw_null(w);
	jw_key(w, "InsecureRegistryCIDRs");
	jw_arr(w);
	for (size_t i = 0; i < c->insecure_registries.n; i++)
		if (strchr(c->insecure_registries.v[i], '/'))
			jw_str(w, c->insecure_registries.v[i]);
	jw_str(w, "::1/128");
	jw_str(w, "127.0.0.0/8");
	jw_arr_end(w);
	jw_key(w, "IndexConfigs");
	jw_obj(w);
	for (size_t i = 0; i < c->insecure_registries.n; i++) {
		const char *name = c->insecure_registries.v[i];

		if (strchr(name, '/'))
			continue;
		jw_key(w, name);
		jw_obj(w);
		jw_key(w, "Mirrors");
		jw_arr(w);
		jw_arr_end(w);
		jw_kv_str(w, "Name", name);
		jw_kv_bool(w, "Official", false);
		jw_kv_bool(w, "Secure", false);
		jw_obj_end(w);
	}
	jw_key(w, "docker.io");
	jw_obj(w);
	jw_kv_strs(w, "Mirrors", &c->registry_mirrors);
	jw_kv_str(w, "Name", "docker.io");
	jw_kv_bool(w, "Official", true);
	jw_kv_bool(w, "Secure", true);
	jw_obj_end(w);
	jw_obj_end(w);
	jw_kv_strs(w, "Mirrors", &c->registry_mirrors);
	jw_obj_end(w);
}

/* A proxy's URL without its password. */
static void write_proxy(struct jw *w, const char *key, const char *url)
{
	const char *scheme = url ? strstr(url, "://") : NULL;
	const char *at = scheme ? strrchr(scheme, '@') : NULL;
	AUTO_BUF struct buf text = BUF_INIT(1 << 16);

	if (at) {
		buf_add(&text, url, (size_t)(scheme + 3 - url));
		buf_adds(&text, "xxxxx:xxxxx");
		url = at;
	}
	buf_adds(&text, url ? url : "");
	jw_kv_str(w, key, buf_text(&text));
}

static void write_runtimes(const struct config *c, struct jw *w)
{
	const struct config_runtime *r = c->runtimes.v;

	jw_key(w, "Runtimes");
	jw_obj(w);
	jw_key(w, "coracle");
	jw_raw(w, "{\"path\":\"coracle-runtime\"}");
	for (size_t i = 0; i < c->runtimes.n; i++) {
		jw_key(w, c->runtimes.k[i]);
		jw_obj(w);
		if (r[i].path)
			jw_kv_str(w, "path", r[i].path);
		if (r[i].args.n)
			jw_kv_strs(w, "runtimeArgs", &r[i].args);
		if (r[i].type)
			jw_kv_str(w, "runtimeType", r[i].type);
		jw_obj_end(w);
	}
	jw_obj_end(w);
	jw_kv_str(w, "DefaultRuntime", c->default_runtime);
}

int engine_info(struct engine *g, struct buf *out, struct err *e)
{
	struct jw w = JW_INIT(out);
	struct utsname u;
	struct sysinfo si;
	char when[CLOCK_TEXT_MAX], os[256], number[16];

	uname(&u);
	sysinfo(&si);
	os_name(os, sizeof(os));
	clock_format(clock_now_ns(), when);
	snprintf(number, sizeof(number), "%d", runtime_cgroup_version());
	jw_obj(&w);
	jw_kv_str(&w, "ID", g->engine_id);
	count_containers(g, &w);
	jw_kv_i64(&w, "Images", (int64_t)store_image_count(g->store));
	write_driver(g, &w);
	write_limits(&w);
	jw_kv_bool(&w, "Debug", g->config->debug > 0);
	jw_kv_i64(&w, "NFd", 0);
	jw_kv_i64(&w, "NGoroutines", 1);
	jw_kv_str(&w, "SystemTime", when);
	jw_kv_str(&w, "LoggingDriver", g->config->log_driver);
	jw_kv_str(&w, "CgroupDriver", "cgroupfs");
	jw_kv_str(&w, "CgroupVersion", number);
	jw_kv_i64(&w, "NEventsListener", 0);
	jw_kv_str(&w, "KernelVersion", u.release);
	jw_kv_str(&w, "OperatingSystem", os);
	jw_kv_str(&w, "OSVersion", "");
	jw_kv_str(&w, "OSType", "linux");
	jw_kv_str(&w, "Architecture", u.machine);
	jw_kv_str(&w, "IndexServerAddress", "https://index.docker.io/v1/");
	write_registry(g->config, &w);
	jw_kv_i64(&w, "NCPU", sysconf(_SC_NPROCESSORS_ONLN));
	jw_kv_i64(&w, "MemTotal", (int64_t)si.totalram * (int64_t)si.mem_unit);
	jw_key(&w, "GenericResources");
	jw_null(&w);
	jw_kv_str(&w, "DockerRootDir", g->data_dir);
	write_proxy(&w, "HttpProxy", g->config->proxies.http);
	write_proxy(&w, "HttpsProxy", g->config->proxies.https);
	jw_kv_str(&w, "NoProxy", g->config->proxies.no_proxy ? g->config->proxies.no_proxy : "");
	jw_kv_str(&w, "Name", u.nodename);
	jw_kv_strs(&w, "Labels", &g->config->labels);
	jw_kv_bool(&w, "ExperimentalBuild", false);
	jw_kv_str(&w, "ServerVersion", CORACLE_VERSION);
	write_runtimes(g->config, &w);
	jw_key(&w, "Swarm");
	jw_raw(&w, "{\"NodeID\":\"\",\"NodeAddr\":\"\",\"LocalNodeState\":\"inactive\","
		   "\"ControlAvailable\":false,"
		   "\"Error\":\"\",\"RemoteManagers\":null}");
	jw_kv_bool(&w, "LiveRestoreEnabled", g->config->live_restore > 0);
	jw_kv_str(&w, "Isolation", "");
	jw_kv_str(&w, "InitBinary", "coracle-init");
	jw_key(&w, "ContainerdCommit");
	jw_raw(&w, "{\"ID\":\"\"}");
	jw_key(&w, "RuncCommit");
	jw_raw(&w, "{\"ID\":\"" CORACLE_VERSION "\"}");
	jw_key(&w, "InitCommit");
	jw_raw(&w, "{\"ID\":\"" CORACLE_VERSION "\"}");
	list_key(&w, "SecurityOptions",
		 runtime_cgroup_version() == 2
			 ? (const char *const[]){"name=seccomp,profile=builtin", "name=cgroupns",
						 NULL}
			 : (const char *const[]){"name=seccomp,profile=builtin", NULL});
	list_key(&w, "CDISpecDirs", NULL);
	jw_key(&w, "Warnings");
	network_warnings(g, &w);
	jw_obj_end(&w);
	return 0;
}

int engine_version(struct engine *g, struct buf *out, struct err *e)
{
	struct jw w = JW_INIT(out);
	struct utsname u;
	const char *os, *arch, *variant;

	uname(&u);
	image_host_platform(&os, &arch, &variant);
	jw_obj(&w);
	jw_key(&w, "Platform");
	jw_obj(&w);
	jw_kv_str(&w, "Name", "coracle");
	jw_obj_end(&w);
	jw_key(&w, "Components");
	jw_arr(&w);
	jw_obj(&w);
	jw_kv_str(&w, "Name", "Engine");
	jw_kv_str(&w, "Version", CORACLE_VERSION);
	jw_key(&w, "Details");
	jw_obj(&w);
	jw_kv_str(&w, "ApiVersion", "1.51");
	jw_kv_str(&w, "Arch", arch);
	jw_kv_str(&w, "BuildTime", "");
	jw_kv_str(&w, "Experimental", "false");
	jw_kv_str(&w, "GitCommit", "");
	jw_kv_str(&w, "GoVersion", "");
	jw_kv_str(&w, "KernelVersion", u.release);
	jw_kv_str(&w, "MinAPIVersion", "1.24");
	jw_kv_str(&w, "Os", os);
	jw_obj_end(&w);
	jw_obj_end(&w);
	jw_arr_end(&w);
	jw_kv_str(&w, "Version", CORACLE_VERSION);
	jw_kv_str(&w, "ApiVersion", "1.51");
	jw_kv_str(&w, "MinAPIVersion", "1.24");
	jw_kv_str(&w, "GitCommit", "");
	jw_kv_str(&w, "GoVersion", "");
	jw_kv_str(&w, "Os", os);
	jw_kv_str(&w, "Arch", arch);
	jw_kv_str(&w, "KernelVersion", u.release);
	jw_kv_str(&w, "BuildTime", "");
	jw_obj_end(&w);
	return 0;
}
