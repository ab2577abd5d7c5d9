/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of the local volume driver: type, device and o, as of mount(8). A bind ("o=bind") is no
 * mount on the host: containers get the device's path itself, so that removing the volume can never
 * reach the user's files. Every other file system is mounted at the volume's folder while a
 * container that uses it runs, because they all must see the same one: tmpfs by the engine, what
 * may take long (nfs, cifs, block devices) by the shim.
 */
#include "engine/engine-priv.h"
#include "sys/fs.h"
#include "sys/mnt.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/banned.h"

static const struct json_field volume_local_fields[] = {
	JSON_FIELD(JT_STR, struct volume_local, type, "type", 0),
	JSON_FIELD(JT_STR, struct volume_local, device, "device", 0),
	JSON_FIELD(JT_STR, struct volume_local, o, "o", 0),
	{0},
};
static const struct json_schema volume_local_schema = {
	"volume options", sizeof(struct volume_local), volume_local_fields};

int volume_local_parse(const char *json, struct volume_local *ret, struct arena *a, struct err *e)
{
	*ret = (struct volume_local){0};
	if (!json || !*json || strcmp(json, "null") == 0)
		return 0;
	return json_decode_text(json, strlen(json), &volume_local_schema, ret, a, e);
}

static bool has_option(const char *o, const char *name)
{
	struct str rest = str_of(o ? o : ""), one;

	while (rest.n > 0 && str_cut(&rest, ',', &one))
		if (str_eq(one, name))
			return true;
	return false;
}

bool volume_local_is_bind(const struct volume_local *v)
{
	return v->type && (has_option(v->o, "bind") || has_option(v->o, "rbind"));
}

bool volume_local_is_ro(const struct volume_local *v)
{
	return has_option(v->o, "ro");
}

int volume_driver_unknown(const char *name, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND,
		       "error looking up volume plugin %s: plugin \"%s\" not found", name, name);
}

int volume_options_check(const struct strmap *options, struct err *e)
{
	static const char *const names[] = {"type", "device", "o"};
	const char *value[ARRAY_SIZE(names)];
	struct volume_local v;

	for (size_t i = 0; i < options->n; i++) {
		const char *k = options->v[i].k;

		if (strcmp(k, "size") == 0)
			return err_set(e, ERR_INVALID, "quota size requested but no quota support");
		if (strcmp(k, "type") != 0 && strcmp(k, "device") != 0 && strcmp(k, "o") != 0)
			return err_set(e, ERR_INVALID, "invalid option: \"%s\"", k);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		value[i] = strmap_get(options, names[i]);
	/* type and device need each other, o needs both */
	for (size_t i = 0; i < 2; i++)
		if (!value[i] && (value[1 - i] || value[2]))
			return err_set(e, ERR_INVALID, "missing required option: \"%s\"", names[i]);
	v = (struct volume_local){.type = value[0], .device = value[1], .o = value[2]};
	if (!v.type)
		return 0;
	if (volume_local_is_bind(&v)) {
		if (v.device[0] != '/')
			return err_set(e, ERR_INVALID, "device \"%s\" must be an absolute path",
				       v.device);
		return 0;
	}
	return 0;
}

const char *mount_real_source(const struct mount_point *m)
{
	return m->device ? m->device : m->source;
}

int volume_mount(struct container *c, const struct mount_point *m, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO(store_volume) struct store_volume *v = NULL;
	struct volume_local o;
	struct stat st;
	int rc;

	if (m->device) {
		if (stat(m->device, &st) < 0)
			return err_sys(e, -errno,
				       "error while mounting volume '%s': failed to mount local "
				       "volume: mount %s:%s, flags: 0x1000",
				       m->source, m->device, m->source);
		return 0;
	}
	if (!m->mounted || mount_is_at(m->source))
		return 0;
	if (store_volume_get(c->g->store, m->name, &v, e) < 0 ||
	    volume_local_parse(v->options, &o, a, e) < 0)
		return -1;
	if (o.type && strcmp(o.type, "tmpfs") != 0) {
		if (m->subpath)
			return err_set(e, ERR_UNSUPPORTED,
				       "volume-subpath of a volume of type \"%s\" that is not "
				       "mounted is not built in coracle yet",
				       o.type);
		return 0; /* the shim's: it may take long */
	}
	rc = mount_at(v->mountpoint, "tmpfs", o.device, o.o);
	return rc < 0 ? err_sys(e, rc,
				"error while mounting volume '%s': failed to mount local volume: "
				"mount %s:%s, data: %s",
				v->mountpoint, o.device, v->mountpoint, o.o ? o.o : "")
		      : 0;
}

int volumes_for_shim(struct container *c, struct objs *ret, struct arena *a, struct err *e)
{
	const struct mount_point *m = c->meta.mounts.v;
	struct shim_volume *out = arena_alloc(a, (c->meta.mounts.n + 1) * sizeof(*out));

	*ret = (struct objs){.v = out};
	for (size_t i = 0; i < c->meta.mounts.n; i++) {
		AUTO(store_volume) struct store_volume *v = NULL;
		struct volume_local o;

		if (!m[i].mounted || !m[i].name)
			continue;
		if (store_volume_get(c->g->store, m[i].name, &v, e) < 0 ||
		    volume_local_parse(v->options, &o, a, e) < 0)
			return -1;
		if (o.type && o.device && strcmp(o.type, "tmpfs") != 0)
			out[ret->n++] = (struct shim_volume){arena_strdup(a, v->mountpoint), o.type,
							     o.device, o.o};
	}
	return 0;
}

int volume_detach(const char *mountpoint, struct err *e)
{
	if (mount_is_at(mountpoint) && umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		return err_sys(e, -errno, "unmount %s", mountpoint);
	if (mount_is_at(mountpoint))
		return err_set(e, ERR_CONFLICT, "%s is still mounted", mountpoint);
	return 0;
}

static bool in_use_now(struct engine *g, const char *name)
{
	LIST_FOR_EACH (it, &g->order) {
		const struct container *c = LIST_ENTRY(it, struct container, link);
		const struct mount_point *m = c->meta.mounts.v;

		for (size_t i = 0;
		     (c->st.running || c->starting || c->adopting) && i < c->meta.mounts.n; i++)
			if (m[i].name && strcmp(m[i].name, name) == 0)
				return true;
	}
	return false;
}

void volumes_unmount(struct container *c)
{
	const struct mount_point *m = c->meta.mounts.v;

	for (size_t i = 0; i < c->meta.mounts.n; i++)
		if (m[i].mounted && mount_is_at(m[i].source) && !in_use_now(c->g, m[i].name))
			umount2(m[i].source, MNT_DETACH | UMOUNT_NOFOLLOW);
}
