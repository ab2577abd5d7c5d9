/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mount points: -v, --mount, Volumes of the image and --volumes-from become one list, resolved once
 * at create and kept in the container's row. Nothing is mounted here: the runtime does that inside
 * the container's own mount namespace.
 */
#include "engine/engine-priv.h"
#include "sys/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/banned.h"

#define MP(type_, member, key) JSON_FIELD(type_, struct mount_point, member, key, JSON_OMITEMPTY)
static const struct json_field mount_point_fields[] = {
	MP(JT_STR, type, "Type"),
	MP(JT_STR, name, "Name"),
	MP(JT_STR, source, "Source"),
	MP(JT_STR, destination, "Destination"),
	MP(JT_STR, driver, "Driver"),
	MP(JT_STR, mode, "Mode"),
	MP(JT_BOOL, rw, "RW"),
	MP(JT_STR, propagation, "Propagation"),
	MP(JT_BOOL, no_copy, "NoCopy"),
	MP(JT_BOOL, anonymous, "Anonymous"),
	MP(JT_BOOL, make_source, "MakeSource"),
	MP(JT_BOOL, non_recursive, "NonRecursive"),
	MP(JT_BOOL, shallow_ro, "ShallowReadOnly"),
	MP(JT_STR, subpath, "Subpath"),
	MP(JT_STR, options, "Options"),
	MP(JT_STR, device, "Device"),
	MP(JT_BOOL, device_ro, "DeviceReadOnly"),
	MP(JT_BOOL, mounted, "Tmpfs"),
	MP(JT_STR, image, "Image"),
	MP(JT_STR, image_ref, "ImageReference"),
	{0},
};
const struct json_schema mount_point_schema = {"mount point", sizeof(struct mount_point),
					       mount_point_fields};

bool tmpfs_option_is_known(const char *o)
{
	static const char *const flags[] = {
		"ro",	    "rw",	  "exec",	   "noexec",  "suid",	  "nosuid",
		"dev",	    "nodev",	  "atime",	   "noatime", "relatime", "strictatime",
		"diratime", "nodiratime", "norelatime",	   "sync",    "async",	  "remount",
		"mand",	    "nomand",	  "nostrictatime", "defaults"};
	static const char *const keys[] = {
		"size=", "mode=", "uid=", "gid=", "nr_inodes=", "nr_blocks=", "mpol=", "huge="};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (strcmp(o, flags[i]) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (str_starts(o, keys[i]))
			return true;
	return false;
}

/* Lexical clean-up of an absolute path: no empty parts, "." or "..". */
static char *path_clean(const char *path, struct arena *a)
{
	struct str rest = str_of(path), part;
	char *out = arena_alloc(a, strlen(path) + 2);
	size_t n = 0;

	while (rest.n > 0 && str_cut(&rest, '/', &part)) {
		if (part.n == 0 || str_eq(part, "."))
			continue;
		if (str_eq(part, "..")) {
			while (n > 0 && out[--n] != '/')
				;
			continue;
		}
		out[n++] = '/';
		memcpy(out + n, part.p, part.n);
		n += part.n;
	}
	if (n == 0)
		out[n++] = '/';
	out[n] = '\0';
	return out;
}

static bool is_propagation(const char *s)
{
	static const char *const p[] = {"private", "rprivate", "shared",
					"rshared", "slave",    "rslave"};

	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		if (strcmp(p[i], s) == 0)
			return true;
	return false;
}

static int parse_mode(const char *spec, const char *mode, struct mount_point *m, struct arena *a,
		      struct err *e)
{
	struct str rest = str_of(mode), field;

	while (rest.n > 0 && str_cut(&rest, ',', &field)) {
		const char *o = arena_strndup(a, field.p, field.n);

		if (strcmp(o, "ro") == 0)
			m->rw = false;
		else if (strcmp(o, "nocopy") == 0)
			m->no_copy = true;
		else if (is_propagation(o))
			m->propagation = o;
		else if (strcmp(o, "rw") != 0 && strcmp(o, "z") != 0 && strcmp(o, "Z") != 0 &&
			 strcmp(o, "consistent") != 0 && strcmp(o, "cached") != 0 &&
			 strcmp(o, "delegated") != 0)
			return err_set(e, ERR_INVALID, "invalid mode: %s", mode);
	}
	if (m->no_copy && strcmp(m->type, "volume") != 0)
		return err_set(e, ERR_INVALID, "invalid volume specification: '%s'", spec);
	return 0;
}

int bind_parse(const char *spec, struct mount_point *ret, struct arena *a, struct err *e)
{
	struct mount_point m = {.rw = true, .mode = ""};
	struct str rest = str_of(spec), src, dst;
	const char *s, *d;

	if (!str_cut(&rest, ':', &src) || !str_cut(&rest, ':', &dst) || src.n == 0 || dst.n == 0)
		return err_set(e, ERR_INVALID, "invalid volume specification: '%s'", spec);
	s = arena_strndup(a, src.p, src.n);
	d = arena_strndup(a, dst.p, dst.n);
	if (rest.n > 0 && memchr(rest.p, ':', rest.n))
		return err_set(e, ERR_INVALID, "invalid volume specification: '%s'", spec);
	if (d[0] != '/')
		return err_set(e, ERR_INVALID,
			       "invalid volume specification: '%s': invalid mount config for type "
			       "\"%s\": invalid mount "
			       "path: '%s' mount path must be absolute",
			       spec, s[0] == '/' ? "bind" : "volume", d);
	m.destination = path_clean(d, a);
	if (strcmp(m.destination, "/") == 0)
		return err_set(e, ERR_INVALID,
			       "invalid volume specification: '%s': invalid mount config for type "
			       "\"%s\": invalid specification: destination can't be '/'",
			       spec, s[0] == '/' ? "bind" : "volume");
	if (s[0] == '/') {
		m.type = "bind";
		m.source = path_clean(s, a);
		m.propagation = "rprivate";
		m.make_source = true;
	} else {
		m.type = "volume";
		m.name = s;
		m.driver = "local";
		m.propagation = "";
	}
	if (rest.n > 0) {
		m.mode = arena_strndup(a, rest.p, rest.n);
		if (parse_mode(spec, m.mode, &m, a, e) < 0)
			return -1;
	} else if (strcmp(m.type, "volume") == 0) {
		m.mode = "z";
	}
	*ret = m;
	return 0;
}

struct resolve {
	struct engine *g;
	struct objs *out;
	struct arena *a;
	struct err *e;
};

static struct mount_point *find_mount(const struct objs *o, const char *dst)
{
	struct mount_point *m = o->v;

	for (size_t i = 0; i < o->n; i++)
		if (strcmp(m[i].destination, dst) == 0)
			return &m[i];
	return NULL;
}

static void add_mount(struct resolve *r, const struct mount_point *m)
{
	struct mount_point *n = arena_alloc(r->a, (r->out->n + 1) * sizeof(*n));

	if (r->out->n > 0)
		memcpy(n, r->out->v, r->out->n * sizeof(*n));
	n[r->out->n++] = *m;
	r->out->v = n;
	r->out->set = true;
}

/* Make or find the volume of a mount; a mount without a name gets a new anonymous one. */
static int use_volume(struct resolve *r, struct mount_point *m,
		      const struct mount_volume_options *vo)
{
	AUTO(store_volume) struct store_volume *v = NULL;
	AUTO_BUF struct buf labels = BUF_INIT(1 << 16), options = BUF_INIT(1 << 16);
	struct volume_local local;
	struct jw w = JW_INIT(&labels);
	struct store_volume want = {.driver = "local"};
	char id[ENGINE_ID_MAX];
	bool made = false;

	if (!m->name || !*m->name) {
		id_random(id);
		m->name = arena_strdup(r->a, id);
		m->anonymous = want.anonymous = true;
	}
	want.name = m->name;
	if (vo && vo->labels.n > 0) {
		jw_obj(&w);
		for (size_t i = 0; i < vo->labels.n; i++)
			jw_kv_str(&w, vo->labels.v[i].k, vo->labels.v[i].v);
		jw_obj_end(&w);
		want.labels = buf_text(&labels);
	} else if (m->anonymous) {
		want.labels = "{\"com.docker.volume.anonymous\":\"\"}";
	}
	if (vo && vo->driver_config && vo->driver_config->options.n > 0) {
		map_text(&vo->driver_config->options, &options);
		want.options = buf_text(&options);
	}
	if (store_volume_name_check(m->name, r->e) < 0 ||
	    store_volume_create(r->g->store, &want, &v, &made, r->e) < 0)
		return -1;
	m->source = arena_strdup(r->a, v->mountpoint);
	if (volume_local_parse(v->options, &local, r->a, r->e) < 0)
		return -1;
	if (volume_local_is_bind(&local)) {
		m->device = path_clean(local.device, r->a);
		m->device_ro = volume_local_is_ro(&local);
	}
	m->mounted = local.type && !m->device;
	if (made)
		engine_event_publish(r->g, "volume", "create", m->name, "driver", "local", NULL);
	return 0;
}

static int invalid_mount(struct err *e, const char *type, const char *text)
{
	return err_set(e, ERR_INVALID, "invalid mount config for type \"%s\": %s", type, text);
}

/* TmpfsOptions.Options: [["noexec"],["uid","1000"]] */
static int tmpfs_options(struct resolve *r, const char *text, struct mount_point *m)
{
	AUTO(json) struct json *list = NULL;

	if (json_parse(text, strlen(text), &list, r->e) < 0)
		return -1;
	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *item = json_at(list, i);
		const char *k = json_str(json_at(item, 0)), *v = json_str(json_at(item, 1));
		AUTO_FREE char *word = v ? xasprintf("%s=%s", k ? k : "", v) : xstrdup(k ? k : "");

		if (json_len(item) > 2 || (json_len(item) == 2 && !v) || strchr(word, ',') ||
		    !tmpfs_option_is_known(word))
			return invalid_mount(r->e, "tmpfs",
					     arena_printf(r->a, "invalid option: \"%s\"", word));
		m->options = arena_printf(r->a, "%s,%s", m->options, word);
	}
	return 0;
}

static int mount_from_spec(struct resolve *r, const struct mount_spec *s, struct mount_point *m)
{
	const char *type = s->type ? s->type : "";
	struct err *e = r->e;
	struct stat st;

	*m = (struct mount_point){.type = type, .rw = !s->read_only, .mode = "", .propagation = ""};
	if (strcmp(type, "cluster") == 0 || strcmp(type, "npipe") == 0)
		return err_set(e, ERR_UNSUPPORTED,
			       "mounts of type \"%s\" are not built in coracle yet", type);
	if (strcmp(type, "bind") != 0 && strcmp(type, "volume") != 0 &&
	    strcmp(type, "tmpfs") != 0 && strcmp(type, "image") != 0)
		return invalid_mount(e, type, "mount type unknown");
	if (!s->target || !*s->target)
		return invalid_mount(e, type, "field Target must not be empty");
	if (s->target[0] != '/')
		return err_set(e, ERR_INVALID,
			       "invalid mount config for type \"%s\": invalid mount path: '%s' "
			       "mount path must be absolute",
			       type, s->target);
	m->destination = path_clean(s->target, r->a);
	if (strcmp(m->destination, "/") == 0)
		return invalid_mount(e, type, "invalid specification: destination can't be '/'");
	if ((s->bind && strcmp(type, "bind") != 0))
		return invalid_mount(e, type, "field BindOptions must not be specified");
	if ((s->volume && strcmp(type, "volume") != 0))
		return invalid_mount(e, type, "field VolumeOptions must not be specified");
	if ((s->tmpfs && strcmp(type, "tmpfs") != 0))
		return invalid_mount(e, type, "field TmpfsOptions must not be specified");
	if (s->image_options && strcmp(s->image_options, "null") != 0 && strcmp(type, "image") != 0)
		return invalid_mount(e, type, "field ImageOptions must not be specified");
	if (strcmp(type, "image") == 0)
		return mount_image_resolve(r->g, s, m, r->a, e);
	if (strcmp(type, "bind") == 0) {
		if (!s->source || !*s->source)
			return invalid_mount(e, type, "field Source must not be empty");
		if (s->source[0] != '/')
			return err_set(e, ERR_INVALID,
				       "invalid mount config for type \"bind\": invalid mount "
				       "path: '%s' mount path must be "
				       "absolute",
				       s->source);
		m->source = path_clean(s->source, r->a);
		m->propagation = s->bind && s->bind->propagation && *s->bind->propagation
					 ? s->bind->propagation
					 : "rprivate";
		if (!is_propagation(m->propagation))
			return err_set(e, ERR_INVALID,
				       "invalid mount config for type \"bind\": invalid "
				       "propagation mode: %s",
				       m->propagation);
		m->make_source = s->bind && s->bind->create_mountpoint;
		m->non_recursive = s->bind && s->bind->non_recursive;
		m->shallow_ro = s->bind && s->bind->read_only_non_recursive;
		if (!m->make_source && stat(m->source, &st) < 0)
			return err_set(e, ERR_INVALID,
				       "invalid mount config for type \"bind\": bind source path "
				       "does not exist: %s",
				       m->source);
		return 0;
	}
	if (strcmp(type, "tmpfs") == 0) {
		if (s->source && *s->source)
			return invalid_mount(e, type, "field Source must not be specified");
		if (s->tmpfs && s->tmpfs->size_bytes < 0)
			return invalid_mount(e, type, "field SizeBytes must not be negative");
		m->options = arena_printf(
			r->a, "mode=%04llo",
			(unsigned long long)(s->tmpfs && s->tmpfs->mode ? s->tmpfs->mode : 01777));
		if (s->tmpfs && s->tmpfs->size_bytes)
			m->options = arena_printf(r->a, "%s,size=%lld", m->options,
						  (long long)s->tmpfs->size_bytes);
		return s->tmpfs && s->tmpfs->options ? tmpfs_options(r, s->tmpfs->options, m) : 0;
	}
	m->name = s->source;
	m->driver = "local";
	m->mode = "z";
	if (s->volume) {
		const struct mount_driver_config *d = s->volume->driver_config;

		m->no_copy = s->volume->no_copy;
		m->subpath = s->volume->subpath && *s->volume->subpath ? s->volume->subpath : NULL;
		if (m->subpath && (m->subpath[0] == '/' || strstr(m->subpath, "..")))
			return invalid_mount(e, type,
					     "subpath must be a relative path within the volume");
		if (d && d->name && *d->name && strcmp(d->name, "local") != 0)
			return volume_driver_unknown(d->name, e);
		if (d && volume_options_check(&d->options, e) < 0)
			return -1;
	}
	return 0;
}

static int add_user_mount(struct resolve *r, struct mount_point *m,
			  const struct mount_volume_options *vo, const struct host_config *h)
{
	if (find_mount(r->out, m->destination) || strmap_get(&h->tmpfs, m->destination))
		return err_set(r->e, ERR_INVALID, "Duplicate mount point: %s", m->destination);
	if (strcmp(m->type, "volume") == 0 && use_volume(r, m, vo) < 0)
		return -1;
	add_mount(r, m);
	return 0;
}

static int volumes_from(struct resolve *r, const char *text, struct objs *inherited)
{
	const char *colon = strchr(text, ':');
	const char *ref = colon ? arena_strndup(r->a, text, (size_t)(colon - text)) : text;
	struct container *c = engine_container_get(r->g, ref, r->e);
	struct resolve into = {.g = r->g, .out = inherited, .a = r->a, .e = r->e};

	if (!c)
		return -1;
	if (colon && strcmp(colon + 1, "ro") != 0 && strcmp(colon + 1, "rw") != 0)
		return err_set(r->e, ERR_INVALID, "invalid mode: %s", colon + 1);
	for (size_t i = 0; i < c->meta.mounts.n; i++) {
		struct mount_point m = ((const struct mount_point *)c->meta.mounts.v)[i];

		if (strcmp(m.type, "tmpfs") == 0)
			continue;
#define COPY(member) m.member = arena_strdup(r->a, m.member)
		COPY(type);
		COPY(name);
		COPY(source);
		COPY(destination);
		COPY(driver);
		COPY(mode);
		COPY(propagation);
		COPY(subpath);
		COPY(device);
		COPY(image);
		COPY(image_ref);
		m.lower = (struct strs){0};
#undef COPY
		if (colon && strcmp(colon + 1, "ro") == 0)
			m.rw = false;
		if (!find_mount(inherited, m.destination))
			add_mount(&into, &m);
	}
	return 0;
}

int mounts_resolve(struct engine *g, const struct container_config *c, const struct host_config *h,
		   struct objs *ret, struct arena *a, struct err *e)
{
	struct objs out = {0}, inherited = {0};
	struct resolve r = {g, &out, a, e};
	const struct mount_spec *specs = h->mounts.v;
	const struct mount_point *in;
	struct mount_point m;

	for (size_t i = 0; i < h->volumes_from.n; i++)
		if (volumes_from(&r, h->volumes_from.v[i], &inherited) < 0)
			return -1;
	for (size_t i = 0; i < h->binds.n; i++)
		if (bind_parse(h->binds.v[i], &m, a, e) < 0 || add_user_mount(&r, &m, NULL, h) < 0)
			return -1;
	for (size_t i = 0; i < h->mounts.n; i++)
		if (mount_from_spec(&r, &specs[i], &m) < 0 ||
		    add_user_mount(&r, &m, specs[i].volume, h) < 0)
			return -1;
	in = inherited.v;
	for (size_t i = 0; i < inherited.n; i++)
		if (!find_mount(&out, in[i].destination))
			add_mount(&r, &in[i]);
	for (size_t i = 0; i < c->volumes.n; i++) {
		const char *dst = path_clean(c->volumes.v[i], a);

		if (strcmp(dst, "/") == 0)
			return err_set(e, ERR_INVALID,
				       "invalid specification: destination can't be '/'");
		if (find_mount(&out, dst) || strmap_get(&h->tmpfs, dst))
			continue;
		m = (struct mount_point){.type = "volume",
					 .destination = dst,
					 .rw = true,
					 .driver = "local",
					 .mode = "",
					 .propagation = ""};
		if (use_volume(&r, &m, NULL) < 0)
			return -1;
		add_mount(&r, &m);
	}
	*ret = out;
	return 0;
}

bool volume_in_use(struct engine *g, const char *name, const struct container *except)
{
	LIST_FOR_EACH (it, &g->order) {
		const struct container *c = LIST_ENTRY(it, struct container, link);
		const struct mount_point *m = c->meta.mounts.v;

		for (size_t i = 0; c != except && i < c->meta.mounts.n; i++)
			if (m[i].name && strcmp(m[i].name, name) == 0)
				return true;
	}
	return false;
}

void mounts_release(struct container *c, bool remove_anonymous)
{
	const struct mount_point *m = c->meta.mounts.v;

	for (size_t i = 0; remove_anonymous && i < c->meta.mounts.n; i++) {
		struct err e = ERR_INIT;

		if (!m[i].anonymous || volume_in_use(c->g, m[i].name, c))
			continue;
		if (volume_remove_row(c->g, m[i].name, &e) == 0)
			engine_event_publish(c->g, "volume", "destroy", m[i].name, "driver",
					     "local", NULL);
	}
}

void mounts_events(struct container *c, bool mount)
{
	const struct mount_point *m = c->meta.mounts.v;

	for (size_t i = 0; i < c->meta.mounts.n; i++) {
		if (strcmp(m[i].type, "volume") != 0)
			continue;
		if (mount)
			engine_event_publish(c->g, "volume", "mount", m[i].name, "container", c->id,
					     "destination", m[i].destination, "driver", "local",
					     "propagation", "", "read/write",
					     m[i].rw ? "true" : "false", NULL);
		else
			engine_event_publish(c->g, "volume", "unmount", m[i].name, "container",
					     c->id, "driver", "local", NULL);
	}
}

static bool dir_is_empty(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fs_dir_take(copy);
	const struct dirent *ent;
	bool empty = true;

	while (d && empty && (ent = readdir(d)))
		empty = strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0;
	if (d)
		closedir(d);
	return empty;
}

/* The image's layers as one tree: a detached overlay mount that no mount namespace ever sees.
 * FD_NONE when impossible. */
static int merged_root(const struct store_snapshot *sn)
{
	AUTO_FD int fs = FD_NONE;
	int fd;

	if (sn->nlower == 1) {
		AUTO_FREE char *path = xasprintf("%s/%s", sn->layers_dir, sn->lower[0]);

		return fs_open_dir(path);
	}
	fs = fsopen("overlay", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	for (size_t i = 0; i < sn->nlower; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", sn->layers_dir, sn->lower[i]);

		if (fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", path, 0) < 0)
			return -errno;
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
	return fd < 0 ? -errno : fd;
}

/* Without lowerdir+ (before Linux 6.5): the topmost layer that has the folder. */
static int layer_with(const struct store_snapshot *sn, const char *path)
{
	for (size_t i = 0; i < sn->nlower; i++) {
		AUTO_FREE char *dir = xasprintf("%s/%s", sn->layers_dir, sn->lower[i]);
		AUTO_FD int root = fs_open_dir(dir);
		AUTO_FD int fd = root < 0 ? FD_NONE
					  : fs_open_in_root(root, path, O_PATH | O_DIRECTORY, 0);

		if (fd >= 0)
			return TAKE_FD(root);
	}
	return -ENOENT;
}

int mounts_prepare(struct container *c, const struct store_snapshot *sn, struct err *e)
{
	struct mount_point *m = c->meta.mounts.v;

	for (size_t i = 0; sn && i < c->meta.mounts.n; i++) {
		AUTO_FD int root = FD_NONE, dst = FD_NONE;

		if (strcmp(m[i].type, "volume") != 0 || m[i].no_copy || m[i].subpath ||
		    m[i].mounted)
			continue;
		dst = fs_open_dir(mount_real_source(&m[i]));
		if (dst == -ENOENT && m[i].device)
			continue; /* the start says so */
		if (dst < 0)
			return err_sys(e, dst, "open volume %s", m[i].name);
		if (!dir_is_empty(dst))
			continue;
		root = merged_root(sn);
		if (root < 0)
			root = layer_with(sn, m[i].destination);
		if (root >= 0 && store_copy_tree(root, m[i].destination, dst, e) < 0)
			return err_wrap(e, "failed to populate volume");
	}
	return 0;
}

int mounts_sources(struct container *c, struct err *e)
{
	struct mount_point *m = c->meta.mounts.v;

	for (size_t i = 0; i < c->meta.mounts.n; i++) {
		struct stat st;
		int rc;

		if (strcmp(m[i].type, "tmpfs") == 0)
			continue;
		if (m[i].image) {
			if (mount_image_layers(c, &m[i], e) < 0)
				return -1;
			continue;
		}
		if ((m[i].device || m[i].mounted) && volume_mount(c, &m[i], e) < 0)
			return -1;
		if (m[i].subpath) {
			AUTO_FREE char *base = NULL;
			AUTO_FD int root = FD_NONE, fd = FD_NONE;
			AUTO(store_volume) struct store_volume *v = NULL;
			char link[64], path[4096];
			ssize_t n;

			if (store_volume_get(c->g->store, m[i].name, &v, e) < 0)
				return -1;
			root = fs_open_dir(m[i].device ? m[i].device : v->mountpoint);
			fd = root < 0 ? root : fs_open_in_root(root, m[i].subpath, O_PATH, 0);
			if (fd < 0)
				return err_set(
					e, ERR_INVALID,
					"cannot access path %s/%s: no such file or directory",
					v->mountpoint, m[i].subpath);
			snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
			n = readlink(link, path, sizeof(path) - 1);
			if (n < 0)
				return err_sys(e, -errno, "volume subpath");
			m[i].source = arena_strndup(c->arena, path, (size_t)n);
			continue;
		}
		if (stat(m[i].source, &st) == 0)
			continue;
		if (strcmp(m[i].type, "volume") == 0) {
			AUTO(store_volume) struct store_volume *v = NULL;
			struct store_volume want = {
				.name = m[i].name, .driver = "local", .anonymous = m[i].anonymous};

			if (store_volume_create(c->g->store, &want, &v, NULL, e) < 0)
				return -1;
			continue;
		}
		if (!m[i].make_source)
			return err_set(e, ERR_INVALID,
				       "invalid mount config for type \"bind\": bind source path "
				       "does not exist: %s",
				       m[i].source);
		rc = fs_mkdirs(m[i].source, 0755);
		if (rc < 0)
			return err_sys(e, rc, "error while creating mount source path '%s'",
				       m[i].source);
	}
	return 0;
}
