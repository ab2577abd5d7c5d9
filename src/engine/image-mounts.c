/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views of images for people (`image mount`). The engine mounts nothing (docs/adr/0003): the
 * command line does, in its own mount namespace, with the layers named here. What the engine keeps
 * is a row per mount, so that the image stays while it is used: through restarts of the engine, not
 * of the machine. A row whose mount is gone (unmounted by hand, its namespace died) is found by
 * looking into a process of that namespace, and dropped.
 */
#include "engine/engine-priv.h"

#include "base/clock.h"
#include "base/num.h"
#include "sys/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define KIND	 "image-mount"
#define DIR_NAME "image-mounts"
/* Between the row and the mount itself; a client that dies in between leaves a row that long. */
#define GRACE_NS	(30LL * 1000000000)
#define MOUNTINFO_MAX	((size_t)16 << 20)
#define IMAGE_MOUNT_MAX 1000

struct image_mount {
	const char *id, *image, *name, *target, *boot;
	uint64_t ns;	 /* inode of the mount namespace */
	int64_t pending; /* ns: asked for then, and not said to be mounted yet; 0: it is */
};
static const struct json_field fields[] = {
	JSON_FIELD(JT_STR, struct image_mount, id, "Id", JSON_REQUIRED),
	JSON_FIELD(JT_STR, struct image_mount, image, "Image", JSON_REQUIRED),
	JSON_FIELD(JT_STR, struct image_mount, name, "Name", 0),
	JSON_FIELD(JT_STR, struct image_mount, target, "Target", JSON_REQUIRED),
	JSON_FIELD(JT_STR, struct image_mount, boot, "Boot", 0),
	JSON_FIELD(JT_U64, struct image_mount, ns, "Namespace", 0),
	JSON_FIELD(JT_I64, struct image_mount, pending, "Pending", 0),
	{0},
};
static const struct json_schema schema = {"image mount", sizeof(struct image_mount), fields};

static void boot_id(char ret[static 40])
{
	AUTO_BUF struct buf text = BUF_INIT(128);

	*ret = '\0';
	if (fs_read_path("/proc/sys/kernel/random/boot_id", &text) == 0)
		snprintf(ret, 40, "%.36s", buf_text(&text));
}

/* ---- is it still there? ---- */

/* "\040" and the like of mountinfo against plain text. */
static bool escaped_equals(const char *p, const char *end, const char *text)
{
	for (; p < end && *text; p++, text++) {
		unsigned char c = (unsigned char)*p;
		if (c == '\\' && end - p > 3) {
			c = (unsigned char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
			p += 3;
		}
		if (c != (unsigned char)*text)
			return false;
	}
	return p == end && !*text;
}

/* 1: a mount is there, 0: none is, -1: the process cannot tell. */
static int process_has_mount(const char *pid, const char *target)
{
	AUTO_BUF struct buf text = BUF_INIT(MOUNTINFO_MAX);
	char path[64];

	snprintf(path, sizeof(path), "/proc/%s/mountinfo", pid);
	if (fs_read_path(path, &text) < 0 || !text.n)
		return -1;
	for (const char *line = buf_text(&text); *line;) {
		const char *end = strchrnul(line, '\n'), *p = line;
		for (int field = 0; field < 4 && p < end; field++)
			p = memchr(p, ' ', (size_t)(end - p))
				    ? (const char *)memchr(p, ' ', (size_t)(end - p)) + 1
				    : end;
		const char *stop = p < end ? memchr(p, ' ', (size_t)(end - p)) : NULL;
		if (stop && escaped_equals(p, stop, target))
			return 1;
		line = *end ? end + 1 : end;
	}
	return 0;
}

static uint64_t namespace_of(int proc, const char *pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "%.20s/ns/mnt", pid);
	return fstatat(proc, path, &st, 0) == 0 ? st.st_ino : 0;
}

static bool mount_alive(const struct image_mount *m)
{
	char boot[40];
	struct dirent *d;
	bool alive = false;
	int fd = fs_open_dir("/proc");
	DIR *dir = fs_dir_take(fd);

	boot_id(boot);
	if (!dir)
		return true; /* never give an image away for want of an answer */
	if (m->boot && !strcmp(m->boot, boot)) {
		alive = m->pending && clock_now_ns() - m->pending < GRACE_NS;
		if (!alive && namespace_of(dirfd(dir), "self") == m->ns) {
			alive = process_has_mount("self", m->target) != 0;
			m = NULL;
		}
		while (!alive && m && (d = readdir(dir))) {
			if (d->d_name[0] < '1' || d->d_name[0] > '9' ||
			    namespace_of(dirfd(dir), d->d_name) != m->ns)
				continue;
			int has = process_has_mount(d->d_name, m->target);
			if (has < 0)
				continue; /* ended meanwhile */
			alive = has;
			break;
		}
	}
	closedir(dir);
	return alive;
}

/* ---- rows ---- */

struct rows {
	struct arena *arena;
	struct image_mount *v;
	size_t n;
};

static int collect(const char *key, const char *json, void *ud)
{
	struct rows *r = ud;
	struct err none = ERR_INIT;

	if (r->n < IMAGE_MOUNT_MAX &&
	    json_decode_text(json, strlen(json), &schema, &r->v[r->n], r->arena, &none) == 0)
		r->n++;
	return 0;
}

static void drop(struct engine *g, const struct image_mount *m)
{
	AUTO_FREE char *own = xasprintf("%s/" DIR_NAME "/", g->run_dir);
	struct err none = ERR_INIT;

	(void)store_doc_del(g->store, KIND, m->id, &none);
	if (str_starts(m->target, own))
		(void)rmdir(m->target);
}

/* All living mounts; the others are dropped on the way. */
static int load_rows(struct engine *g, struct rows *r, struct err *e)
{
	size_t n = 0;

	r->v = arena_alloc(r->arena, IMAGE_MOUNT_MAX * sizeof(*r->v));
	if (store_doc_each(g->store, KIND, collect, r, e) < 0)
		return -1;
	for (size_t i = 0; i < r->n; i++) {
		if (mount_alive(&r->v[i]))
			r->v[n++] = r->v[i];
		else
			drop(g, &r->v[i]);
	}
	r->n = n;
	return 0;
}

bool image_mounted_at(struct engine *g, const char *image, char *ret, size_t size)
{
	AUTO(arena) struct arena *a = arena_new();
	struct rows r = {.arena = a};
	struct err none = ERR_INIT;

	if (load_rows(g, &r, &none) < 0)
		return false;
	for (size_t i = 0; i < r.n; i++) {
		if (strcmp(r.v[i].image, image) != 0)
			continue;
		snprintf(ret, size, "%s", r.v[i].target);
		return true;
	}
	return false;
}

int engine_image_mounts(struct engine *g, struct buf *out, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct rows r = {.arena = a};
	struct jw w = JW_INIT(out);

	if (load_rows(g, &r, e) < 0)
		return -1;
	jw_arr(&w);
	for (size_t i = 0; i < r.n; i++)
		json_encode(&w, &schema, &r.v[i]);
	jw_arr_end(&w);
	return 0;
}

/* A folder of our own below the run folder. */
static int own_target(struct engine *g, const char *id, struct arena *a, const char **ret,
		      struct err *e)
{
	char *path = arena_printf(a, "%s/" DIR_NAME "/%.12s", g->run_dir, id);
	int rc = fs_mkdirs(path, 0755);

	*ret = path;
	return rc < 0 ? err_sys(e, rc, "create %s", path) : 0;
}

static int check_target(const struct rows *r, const char *target, struct err *e)
{
	if (*target != '/' || strlen(target) >= PATH_MAX)
		return err_set(e, ERR_INVALID, "the mount point must be an absolute path: %.200s",
			       target);
	for (size_t i = 0; i < r->n; i++)
		if (!strcmp(r->v[i].target, target))
			return err_set(e, ERR_CONFLICT, "image %s is mounted at %s already",
				       r->v[i].name, target);
	return r->n == IMAGE_MOUNT_MAX
		       ? err_set(e, ERR_LIMIT, "more than %d images are mounted", IMAGE_MOUNT_MAX)
		       : 0;
}

int engine_image_mount(struct engine *g, const char *ref, const char *target, const char *ns,
		       struct buf *out, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO(store_snapshot) struct store_snapshot *sn = NULL;
	AUTO_BUF struct buf text = BUF_INIT(64 << 10);
	struct image_mount m = {.name = ref, .pending = clock_now_ns()};
	struct rows r = {.arena = a};
	struct jw w = JW_INIT(out), wt = JW_INIT(&text);
	struct digest image;
	char id[ENGINE_ID_MAX], boot[40];

	id_random(id);
	boot_id(boot);
	m.id = id;
	m.boot = boot;
	if (!ns || num_parse_u64(ns, 1, UINT64_MAX, &m.ns) < 0)
		return err_set(e, ERR_INVALID, "the mount namespace of the client is not given");
	if (image_find(g->images, ref, &image, e) < 0 || load_rows(g, &r, e) < 0 ||
	    engine_image_ready(g, &image, e) < 0 ||
	    store_snapshot_of_image(g->store, &image, &sn, e) < 0)
		return -1;
	m.image = image.text;
	m.target = target;
	if ((!target || !*target) && own_target(g, id, a, &m.target, e) < 0)
		return -1;
	json_encode(&wt, &schema, &m);
	if (check_target(&r, m.target, e) < 0 ||
	    store_doc_put(g->store, KIND, id, buf_text(&text), e) < 0)
		return -1;
	jw_obj(&w);
	json_encode_fields(&w, &schema, &m);
	jw_kv_str(&w, "LayersDir", sn->layers_dir);
	jw_key(&w, "Lower");
	jw_arr(&w);
	for (size_t i = 0; i < sn->nlower; i++)
		jw_str(&w, sn->lower[i]);
	jw_arr_end(&w);
	jw_obj_end(&w);
	return 0;
}

static int get_row(struct engine *g, const char *id, struct image_mount *ret, struct arena *a,
		   struct err *e)
{
	AUTO_FREE char *json = NULL;

	if (store_doc_get(g->store, KIND, id, &json, e) < 0)
		return e->kind == ERR_NOT_FOUND
			       ? err_set(e, ERR_NOT_FOUND, "No such image mount: %.80s", id)
			       : -1;
	return json_decode_text(json, strlen(json), &schema, ret, a, e);
}

int engine_image_mounted(struct engine *g, const char *id, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_BUF struct buf text = BUF_INIT(64 << 10);
	struct jw w = JW_INIT(&text);
	struct image_mount m;

	if (get_row(g, id, &m, a, e) < 0)
		return -1;
	m.pending = 0;
	json_encode(&w, &schema, &m);
	return store_doc_put(g->store, KIND, id, buf_text(&text), e);
}

int engine_image_unmount(struct engine *g, const char *id, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct image_mount m;

	if (get_row(g, id, &m, a, e) < 0)
		return -1;
	m.pending = 0; /* whoever says that it is over needs no grace */
	if (mount_alive(&m))
		return err_set(e, ERR_CONFLICT, "image %s is still mounted at %s", m.name,
			       m.target);
	drop(g, &m);
	return 0;
}
