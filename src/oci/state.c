/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of containers between two commands: state.json, the kernel, the list of all. */
#include "base/log.h"
#include "base/mem.h"
#include "oci/oci-priv.h"
#include "sys/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

static const struct json_field state_fields[] = {
	JSON_FIELD(JT_STR, struct oci_state, oci_version, "ociVersion", 0),
	JSON_FIELD(JT_STR, struct oci_state, id, "id", JSON_REQUIRED),
	JSON_FIELD(JT_I64, struct oci_state, pid, "pid", 0),
	JSON_FIELD(JT_I64, struct oci_state, start_time, "startTime", 0),
	JSON_FIELD(JT_STR, struct oci_state, bundle, "bundle", 0),
	JSON_FIELD(JT_STR, struct oci_state, created, "created", 0),
	JSON_FIELD(JT_STR, struct oci_state, cgroup_path, "cgroupPath", JSON_REQUIRED),
	JSON_FIELD(JT_BOOL, struct oci_state, started, "started", 0),
	JSON_FIELD(JT_RAW, struct oci_state, config, "config", JSON_OMITEMPTY),
	{0},
};
static const struct json_schema state_schema = {"state", sizeof(struct oci_state), state_fields};

bool oci_id_ok(const char *id)
{
	if (!*id || strlen(id) > 1024 || strcmp(id, ".") == 0 || strcmp(id, "..") == 0)
		return false;
	for (const char *p = id; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= '0' && *p <= '9') || strchr("+-._", *p)))
			return false;
	return true;
}

char *oci_container_dir(const char *id)
{
	return xasprintf("%s/%s", oci_opt.root, id);
}

int oci_state_save(const struct oci_state *s, struct err *e)
{
	AUTO_FREE char *dir = oci_container_dir(s->id);
	AUTO_FD int fd = fs_open_dir(dir);
	AUTO_BUF struct buf b = BUF_INIT(OCI_CONFIG_MAX * 2);
	struct jw w = JW_INIT(&b);

	if (fd < 0)
		return err_sys(e, fd, "open %s", dir);
	json_encode(&w, &state_schema, s);
	int rc = fs_write_atomic(fd, "state.json", b.p, b.n, 0600, false);
	return rc < 0 ? err_sys(e, rc, "write state") : 0;
}

int oci_state_load(const char *id, struct oci_state *ret, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s/state.json", oci_opt.root, id);
	AUTO_BUF struct buf b = BUF_INIT(OCI_CONFIG_MAX * 2);

	if (!oci_id_ok(id))
		return err_set(e, ERR_INVALID, "invalid container id format: %s", id);
	if (fs_read_path(path, &b) < 0)
		return err_set(e, ERR_NOT_FOUND, "container does not exist");
	return json_decode_text(b.p, b.n, &state_schema, ret, oci_arena, e);
}

int oci_state_config(const struct oci_state *s, struct oci_config *ret, struct err *e)
{
	if (!s->config)
		return err_set(e, ERR_SYSTEM, "the state of %s has no configuration", s->id);
	return json_decode_text(s->config, strlen(s->config), &oci_config_schema, ret, oci_arena,
				e);
}

int oci_adopt(const struct oci_state *s, struct runtime_container *ret, struct err *e)
{
	return runtime_adopt((pid_t)s->pid, (uint64_t)s->start_time, s->cgroup_path, ret, e);
}

/* A zombie holds its number; for us it has stopped. */
static bool is_zombie(pid_t pid)
{
	char path[40];
	AUTO_BUF struct buf b = BUF_INIT(4096);

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (fs_read_path(path, &b) < 0)
		return true;
	const char *p = strrchr(buf_text(&b), ')');
	return !p || p[2] == 'Z' || p[2] == 'X';
}

const char *oci_status(const struct oci_state *s)
{
	struct runtime_container c = RUNTIME_CONTAINER_INIT;
	struct err e = ERR_INIT;
	const char *r = "stopped";

	if (s->pid > 0 && oci_adopt(s, &c, &e) == 0) {
		if (!is_zombie(c.pid))
			r = !s->started ? "created" : runtime_is_paused(&c) ? "paused" : "running";
		runtime_container_done(&c);
	}
	return r;
}

void oci_state_put(struct jw *w, const struct oci_state *s, const char *status,
		   const struct oci_config *cfg)
{
	jw_obj(w);
	jw_kv_str(w, "ociVersion", s->oci_version);
	jw_kv_str(w, "id", s->id);
	jw_kv_i64(w, "pid", strcmp(status, "stopped") == 0 ? 0 : s->pid);
	jw_kv_str(w, "status", status);
	jw_kv_str(w, "bundle", s->bundle);
	if (cfg->root && cfg->root->path) {
		AUTO_FREE char *root = cfg->root->path[0] == '/'
					       ? xstrdup(cfg->root->path)
					       : xasprintf("%s/%s", s->bundle, cfg->root->path);
		jw_kv_str(w, "rootfs", root);
	}
	if (s->created)
		jw_kv_str(w, "created", s->created);
	if (cfg->annotations.n)
		jw_kv_map(w, "annotations", &cfg->annotations);
	jw_kv_str(w, "owner", "");
	jw_obj_end(w);
}

void oci_destroy(const char *id, const char *cgroup)
{
	struct runtime_container c = RUNTIME_CONTAINER_INIT;
	struct err e = ERR_INIT;
	AUTO_FD int root = fs_open_dir(oci_opt.root);

	c.cgroup_path = xstrdup(cgroup);
	if (cgroup && runtime_delete(&c, &e) < 0)
		log_warn("%s", e.text);
	runtime_container_done(&c);
	if (root >= 0)
		fs_remove_tree(root, id);
}

int oci_show_state(char **args, int n, struct err *e)
{
	struct oci_state s;
	struct oci_config cfg;
	AUTO_BUF struct buf b = BUF_INIT(1U << 20);
	struct jw w = JW_INIT(&b);

	(void)n;
	if (oci_state_load(args[0], &s, e) < 0 || oci_state_config(&s, &cfg, e) < 0)
		return -1;
	oci_state_put(&w, &s, oci_status(&s), &cfg);
	printf("%s\n", buf_text(&b));
	return 0;
}

/* ---- list ---- */

static const char *owner_of(const char *id)
{
	AUTO_FREE char *dir = oci_container_dir(id);
	struct stat st;

	return stat(dir, &st) == 0 && st.st_uid == 0 ? "root" : "#";
}

static void list_row(const struct oci_state *s)
{
	const char *status = oci_status(s);

	printf("%-20s %-10lld %-10s %s %s %s\n", s->id,
	       (long long)(strcmp(status, "stopped") == 0 ? 0 : s->pid), status, s->bundle,
	       s->created, owner_of(s->id));
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int has_state(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

int oci_list(char **args, int n, struct err *e)
{
	struct dirent **names = NULL;
	AUTO_BUF struct buf b = BUF_INIT(16U << 20);
	struct jw w = JW_INIT(&b);
	bool json = strcmp(oci_opt.format, "json") == 0;
	int count = scandir(oci_opt.root, &names, has_state, by_name);

	(void)args;
	(void)n;
	if (count < 0 && errno != ENOENT)
		return err_sys(e, -errno, "read %s", oci_opt.root);
	jw_arr(&w);
	if (!json && !oci_opt.quiet)
		printf("%-20s %-10s %-10s %s %s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED",
		       "OWNER");
	for (int i = 0; i < count; i++) {
		struct oci_state s;
		struct oci_config cfg;
		struct err bad = ERR_INIT;
		/* a container that goes while we look is none */
		if (oci_state_load(names[i]->d_name, &s, &bad) == 0) {
			if (oci_opt.quiet)
				printf("%s\n", s.id);
			else if (!json)
				list_row(&s);
			else if (oci_state_config(&s, &cfg, &bad) == 0)
				oci_state_put(&w, &s, oci_status(&s), &cfg);
		}
		free(names[i]);
	}
	free(names);
	jw_arr_end(&w);
	if (json && !oci_opt.quiet)
		printf("%s\n", buf_text(&b));
	return 0;
}
