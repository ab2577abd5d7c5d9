/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image mount, image unmount. The engine names the layers and keeps the image; the overlay is
 * mounted here, read-only, in the mount namespace of whoever runs this command.
 */
#include "cli/commands.h"
#include "cli/format.h"
#include "base/mem.h"
#include "sys/fs.h"
#include "sys/mnt.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/banned.h"

#define API_PATH "/coracle/image-mounts"
#define ATTRS	 (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

static const char *text_of(const struct json *j, const char *key)
{
	const char *s = json_str(json_get(j, key));

	return s ? s : "";
}

static uint64_t own_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/mnt", &st) == 0 ? st.st_ino : 0;
}

/* ---- mount ---- */

/* One layer needs no overlay (and overlayfs refuses to be one of a single read-only layer). */
static int view_of_one(int layers, const char *lower, struct err *e)
{
	int fd = mount_clone(layers, lower, false);
	int rc = fd < 0 ? fd : mount_attr(fd, ATTRS, 0, MS_PRIVATE, false);

	if (rc < 0 && fd >= 0)
		close(fd);
	return rc < 0 ? err_sys(e, rc, "mount the layer of the image") : fd;
}

/* lowerdir+ (Linux 6.5) has no limit of a page for all names together. */
static int view_of_many(const char *dir, const struct json *lower, struct err *e)
{
	AUTO_FD int fs = fsopen("overlay", FSOPEN_CLOEXEC);
	AUTO_BUF struct buf all = BUF_INIT(4096);
	bool added = true;

	if (fs < 0)
		return err_sys(e, -errno, "overlay");
	for (size_t i = 0; i < json_len(lower); i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", dir, json_str(json_at(lower, i)));

		buf_addf(&all, "%s%s", i ? ":" : "", path);
		added = added && fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", path, 0) == 0;
	}
	if (!added &&
	    (all.overflow || fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", buf_text(&all), 0) < 0))
		return err_sys(e, -errno, "the layers of the image");
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(e, -errno, "mount the layers of the image");
	int fd = fsmount(fs, FSMOUNT_CLOEXEC, ATTRS);
	return fd < 0 ? err_sys(e, -errno, "mount the layers of the image") : fd;
}

static int do_mount(const struct json *m, struct err *e)
{
	const char *dir = text_of(m, "LayersDir"), *target = text_of(m, "Target");
	const struct json *lower = json_get(m, "Lower");
	AUTO_FD int layers = fs_open_dir(dir), at = fs_open_dir(target);

	if (layers < 0)
		return err_sys(e, layers, "open %s", dir);
	if (at < 0)
		return err_sys(e, at, "open %s", target);
	if (!json_len(lower))
		return err_set(e, ERR_INVALID, "the image has no layers");
	AUTO_FD int view = json_len(lower) == 1
				   ? view_of_one(layers, json_str(json_at(lower, 0)), e)
				   : view_of_many(dir, lower, e);
	if (view < 0)
		return -1;
	int rc = mount_attach(view, at);
	return rc < 0 ? err_sys(e, rc, "mount on %s", target) : 0;
}

static int tell(struct cli *c, const char *method, const char *fmt, const char *id, struct err *e)
{
	AUTO_FREE char *path = url_path(fmt, id);
	AUTO_REPLY struct reply r = REPLY_INIT;

	return client_call(c, method, path, NULL, &r, e);
}

static int forget(struct cli *c, const char *id, struct err *e)
{
	return tell(c, "DELETE", API_PATH "/%s", id, e);
}

static const struct format_header headers[] = {
	{"ID", "MOUNT ID"}, {"Image", "IMAGE"}, {"Target", "TARGET"}};

static int list_mounts(struct cli *c, struct opts *o)
{
	AUTO(json) struct json *list = NULL;
	struct err e = ERR_INIT;
	struct list_out l = {.type_name = "*image.mountContext",
			     .headers = headers,
			     .nheaders = ARRAY_SIZE(headers)};
	int rc = client_json(c, "GET", API_PATH, NULL, &list, &e);

	if (rc == 0)
		rc = list_begin(&l, opts_str(o, "format"),
				opts_bool(o, "quiet") ? "{{.ID}}"
						      : "table {{.ID}}\\t{{.Image}}\\t{{.Target}}",
				&e);
	for (size_t i = 0; rc == 0 && i < json_len(list); i++) {
		AUTO_BUF struct buf row = BUF_INIT(1U << 16);
		const struct json *m = json_at(list, i);
		struct jw w = JW_INIT(&row);
		char id[13];

		jw_obj(&w);
		jw_kv_str(&w, "ID",
			  format_short_id(text_of(m, "Id"), opts_bool(o, "no-trunc"), id));
		jw_kv_str(&w, "Image", text_of(m, "Name"));
		jw_kv_str(&w, "Target", text_of(m, "Target"));
		jw_obj_end(&w);
		rc = list_row(&l, buf_text(&row), &e);
	}
	list_end(&l, rc == 0);
	return rc < 0 ? cli_fail(c, &e) : 0;
}

int cmd_image_mount(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 16);
	AUTO(json) struct json *m = NULL;
	char target[PATH_MAX] = "", ns[32];
	struct err e = ERR_INIT, none = ERR_INIT;

	if (!o->argc)
		return list_mounts(c, o);
	if (o->argc > 1 && !realpath(o->argv[1], target)) {
		err_sys(&e, -errno, "%s", o->argv[1]);
		return cli_fail(c, &e);
	}
	snprintf(ns, sizeof ns, "%llu", (unsigned long long)own_namespace());
	buf_adds(&path, API_PATH);
	url_query(&path, "image", o->argv[0]);
	url_query(&path, "target", target);
	url_query(&path, "namespace", ns);
	if (client_json(c, "POST", path.p, NULL, &m, &e) < 0)
		return cli_fail(c, &e);
	if (do_mount(m, &e) < 0) {
		(void)forget(c, text_of(m, "Id"), &none);
		return cli_fail(c, &e);
	}
	if (tell(c, "POST", API_PATH "/%s/mounted", text_of(m, "Id"), &e) < 0)
		return cli_fail(c, &e);
	printf("%s\n", text_of(m, "Target"));
	return 0;
}

/* ---- unmount ---- */

static bool means(const struct json *m, const char *what)
{
	const char *id = text_of(m, "Image"), *hex = strchr(id, ':');
	char real[PATH_MAX];

	if (!strcmp(text_of(m, "Target"), what) || !strcmp(text_of(m, "Name"), what) ||
	    !strcmp(id, what))
		return true;
	if (strlen(what) >= 4 &&
	    (str_starts(text_of(m, "Id"), what) || (hex && str_starts(hex + 1, what))))
		return true;
	return realpath(what, real) && !strcmp(text_of(m, "Target"), real);
}

static int unmount_one(struct cli *c, const struct json *m, bool force, struct err *e)
{
	const char *target = text_of(m, "Target");

	if (json_u64(json_get(m, "Namespace")) != own_namespace()) {
		/* Perhaps its namespace is gone: then the engine forgets it. */
		if (forget(c, text_of(m, "Id"), e) < 0)
			return err_wrap(e, "unmount it in the mount namespace it is in");
	} else {
		if (umount2(target, UMOUNT_NOFOLLOW | (force ? MNT_DETACH : 0)) < 0 &&
		    errno != EINVAL && errno != ENOENT)
			return err_sys(e, -errno, "unmount %s", target);
		if (forget(c, text_of(m, "Id"), e) < 0)
			return -1;
	}
	printf("%s\n", target);
	return 0;
}

int cmd_image_unmount(struct cli *c, struct opts *o)
{
	AUTO(json) struct json *list = NULL;
	struct err e = ERR_INIT;
	bool all = opts_bool(o, "all");
	int code = 0;

	if (!all && !o->argc) {
		err_set(&e, ERR_INVALID, "name a mount, its folder or image, or say --all");
		return cli_fail(c, &e);
	}
	if (client_json(c, "GET", API_PATH, NULL, &list, &e) < 0)
		return cli_fail(c, &e);
	for (int k = 0; k < (all ? 1 : o->argc); k++) {
		bool any = all;
		for (size_t i = 0; i < json_len(list); i++) {
			const struct json *m = json_at(list, i);
			struct err one = ERR_INIT;
			if (!all && !means(m, o->argv[k]))
				continue;
			any = true;
			if (unmount_one(c, m, opts_bool(o, "force"), &one) < 0)
				code = cli_fail(c, &one);
		}
		if (!any) {
			err_set(&e, ERR_NOT_FOUND, "No such image mount: %s", o->argv[k]);
			code = cli_fail(c, &e);
		}
	}
	return code;
}
