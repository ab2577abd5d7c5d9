/* SPDX-License-Identifier: Apache-2.0 */
/* Container create and rename: look at the image, check, merge, write the row. */
#include "base/clock.h"
#include "base/log.h"
#include "engine/engine-priv.h"
#include "engine/links.h"
#include "engine/network.h"
#include "image/platform.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static int name_conflict(struct engine *g, const char *name, struct err *e)
{
	const struct container *c = map_get(g->by_name, name);

	if (!c)
		return 0;
	return err_set(e, ERR_CONFLICT,
		       "Conflict. The container name \"/%s\" is already in use by container "
		       "\"%s\". You have to remove "
		       "(or rename) that container to be able to reuse that name.",
		       name, c->id);
}

/* The name is shown as it came, with the slash that is not part of it. */
static int check_name(struct engine *g, const char *name, const char *shown, struct err *e)
{
	if (!name_is_valid(name))
		return err_set(
			e, ERR_INVALID,
			"Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
			shown);
	return name_conflict(g, name, e);
}

/* The container a "container:NAME" mode means must be there. */
static int check_peer(struct engine *g, const char *mode, struct arena *a, const char **ret,
		      struct err *e)
{
	const struct container *c;

	if (!mode || !str_starts(mode, "container:"))
		return 0;
	c = engine_container_get(g, mode + strlen("container:"), e);
	if (!c)
		return -1;
	*ret = arena_printf(a, "container:%s", c->id);
	return 0;
}

/* The container of "NAME:ALIAS" must be there. */
static int check_links(struct engine *g, const struct host_config *h, struct arena *a,
		       struct err *e)
{
	for (size_t i = 0; i < h->links.n; i++) {
		size_t n = strcspn(h->links.v[i], ":");
		const char *name = arena_strndup(a, h->links.v[i], n);

		if (engine_container_get(g, name, e))
			continue;
		e->kind = ERR_INVALID;
		return err_wrap(e, "could not get container for %s", name);
	}
	return 0;
}

static int check_peers(struct engine *g, struct host_config *h, struct arena *a, struct err *e)
{
	struct err later = ERR_INIT;

	/* As in Docker the other container's network is only looked for at start. */
	(void)check_peer(g, h->network_mode, a, &h->network_mode, &later);
	if (check_peer(g, h->pid_mode, a, &h->pid_mode, e) < 0 ||
	    check_peer(g, h->ipc_mode, a, &h->ipc_mode, e) < 0 || check_links(g, h, a, e) < 0)
		return -1;
	if (h->ipc_mode && str_starts(h->ipc_mode, "container:")) {
		const struct container *c = container_by_id(g, h->ipc_mode + strlen("container:"));

		if (c && strcmp(c->host.ipc_mode, "shareable") != 0 &&
		    strcmp(c->host.ipc_mode, "host") != 0)
			return err_set(e, ERR_CONFLICT,
				       "can't join IPC of container %s: non-shareable IPC (hint: "
				       "use IpcMode:shareable for "
				       "the donor container)",
				       c->id);
	}
	return 0;
}

/* An image for another machine starts at the user's own risk (binfmt may know it), but never
 * unsaid. */
static void warn_foreign(const char *os, const char *arch, struct warnings *warn)
{
	struct image_platform host;
	char text[96];

	image_platform_host(&host);
	if (!arch || !*arch || !strcmp(arch, host.arch))
		return;
	image_platform_format(&host, text);
	warnings_add(warn, arena_printf(warn->a,
					"The requested image's platform (%s/%s) does not match the "
					"detected host platform (%s) and no specific platform was "
					"requested",
					os && *os ? os : "linux", arch, text));
}

/* Which machine the image is for, when nobody asked for one. */
static void check_foreign(const struct store_image *img, struct warnings *warn)
{
	AUTO(json) struct json *j = NULL;
	struct err none = ERR_INIT;

	if (json_parse(img->config, strlen(img->config), &j, &none) == 0)
		warn_foreign(json_str(json_get(j, "os")), json_str(json_get(j, "architecture")),
			     warn);
}

/* Find the image; the embedded one is imported when it is missing. */
static int find_image(struct engine *g, const char *ref, const char *platform,
		      struct store_image **ret, struct err *e)
{
	struct digest id;

	if (image_default_is(ref) && image_default_ensure(g->images, e) < 0)
		return -1;
	if (image_find_platform(g->images, ref, platform, &id, e) < 0)
		return -1;
	return store_image_get(g->store, &id, ret, e);
}

static void command_line(struct container_meta *m, struct arena *a)
{
	const struct container_config *c = &m->config;
	size_t n = 0;
	const char **v = arena_alloc(a, (c->entrypoint.n + c->cmd.n + 1) * sizeof(*v));

	for (size_t i = 0; i < c->entrypoint.n; i++)
		v[n++] = c->entrypoint.v[i];
	for (size_t i = 0; i < c->cmd.n; i++)
		v[n++] = c->cmd.v[i];
	m->path = v[0];
	m->args = (struct strs){.v = v + 1, .n = n - 1, .set = true};
}

static void fill_config(struct engine *g, struct container_config *c, const struct host_config *h,
			const char *id, struct arena *a)
{
	char host[256] = "";

	if (!c->hostname || !*c->hostname) {
		if (strcmp(h->network_mode, "host") == 0 ||
		    (h->uts_mode && strcmp(h->uts_mode, "host") == 0)) {
			gethostname(host, sizeof(host) - 1);
			c->hostname = arena_strdup(a, host);
		} else if (str_starts(h->network_mode, "container:")) {
			const struct container *peer = container_by_id(
				g, h->network_mode + strlen("container:"));

			c->hostname = arena_strdup(a, peer ? peer->meta.config.hostname : "");
		} else {
			c->hostname = arena_strndup(a, id, 12);
		}
	}
	c->labels.set = true;
}

static int insert_row(struct engine *g, const char *id, const char *name,
		      const struct store_image *img, struct container_meta *m,
		      struct host_config *h, const char *networking, struct container **ret,
		      struct err *e)
{
	AUTO_BUF struct buf meta = BUF_INIT(ENGINE_TEXT_MAX), host = BUF_INIT(ENGINE_TEXT_MAX);
	struct jw w = JW_INIT(&meta);
	struct err ignored = ERR_INIT;
	struct store_container row = {
		.id = id, .name = name, .state = "{}", .created = clock_now_ns()};

	json_encode(&w, &container_meta_schema, m);
	w = (struct jw)JW_INIT(&host);
	json_encode(&w, &host_config_schema, h);
	if (meta.overflow || host.overflow)
		return err_set(e, ERR_LIMIT, "the container's configuration is too large");
	row.image_id = img->id.text;
	row.config = buf_text(&meta);
	row.hostconfig = buf_text(&host);
	if (store_container_insert(g->store, &row, &img->id, e) < 0)
		return -1;
	*ret = container_load(g, &row, e);
	if (*ret && endpoints_configure(*ret, networking, e) == 0 &&
	    (list_empty(&(*ret)->endpoints) || container_save_state(*ret, e) == 0))
		return 0;
	if (*ret)
		container_unlink(*ret);
	store_container_delete(g->store, id, &ignored);
	return -1;
}

int engine_container_create(struct engine *g, const char *name, const char *platform,
			    const struct container_create *body, struct arena *a,
			    struct engine_created *ret, struct err *e)
{
	struct container_meta m = {.config = body->config, .platform = "linux"};
	struct host_config h = body->host;
	struct warnings warn = {.a = a};
	AUTO(store_image) struct store_image *img = NULL;
	struct container *c;
	char made_up[64];

	trace_point("create: begin");
	const char *shown = name;
	if (name && *name == '/')
		name++;
	if (name && *name && check_name(g, name, shown, e) < 0)
		return -1;
	if (!m.config.image || !*m.config.image)
		return err_set(e, ERR_INVALID, "invalid reference format");
	if (validate_config(&m.config, e) < 0 || settings_defaults(g, &h, a, e) < 0 ||
	    validate_host_config(&h, &m.config, &warn, e) < 0)
		return -1;
	if (find_image(g, m.config.image, platform, &img, e) < 0)
		return -1;
	if (!platform || !*platform)
		check_foreign(img, &warn);
	/* Its volumes may want what the image has there. */
	if (engine_image_ready(g, &img->id, e) < 0)
		return -1;
	trace_point("create: image found");
	if (merge_image_config(&m.config, img->config, a, e) < 0 ||
	    validate_config(&m.config, e) < 0 || check_peers(g, &h, a, e) < 0 ||
	    links_check(g, &h, e) < 0)
		return -1;
	host_config_defaults(&h, a);
	id_random(ret->id);
	fill_config(g, &m.config, &h, ret->id, a);
	command_line(&m, a);
	if (mounts_resolve(g, &m.config, &h, &m.mounts, a, e) < 0)
		return -1;
	for (int i = 0; !name || !*name; i++) {
		name_random(made_up, sizeof(made_up));
		if (i > 4)
			snprintf(made_up + strlen(made_up), sizeof(made_up) - strlen(made_up), "%d",
				 i);
		if (!map_get(g->by_name, made_up))
			name = made_up;
	}
	if (insert_row(g, ret->id, name, img, &m, &h, body->networking, &c, e) < 0)
		return -1;
	trace_point("create: row written");
	if (c->meta.mounts.n > 0) {
		AUTO(store_snapshot) struct store_snapshot *sn = NULL;

		if (store_snapshot_get(g->store, c->id, &sn, e) < 0 ||
		    mounts_prepare(c, sn, e) < 0) {
			struct err ignored = ERR_INIT;

			mounts_release(c, true);
			store_container_delete(g->store, c->id, &ignored);
			container_unlink(c);
			return -1;
		}
	}
	container_event(c, "create", NULL);
	ret->warnings = (struct strs){
		.v = arena_alloc(a, (warn.n + 1) * sizeof(char *)), .n = warn.n, .set = true};
	for (size_t i = 0; i < warn.n; i++)
		ret->warnings.v[i] = warn.v[i];
	return 0;
}

int engine_container_rename(struct engine *g, struct container *c, const char *name, struct err *e)
{
	AUTO_FREE char *old = NULL;
	const char *shown_new = name;

	if (name && *name == '/')
		name++;
	if (!name || !*name)
		return err_set(e, ERR_INVALID, "Neither old nor new names may be empty");
	if (strcmp(name, c->name) == 0)
		return err_set(e, ERR_INVALID,
			       "Renaming a container with the same name as its current name");
	if (check_name(g, name, shown_new, e) < 0)
		return err_wrap(e, "Error when allocating new name");
	if (store_container_rename(g->store, c->id, name, e) < 0)
		return -1;
	old = c->name;
	map_del(g->by_name, old);
	c->name = xstrdup(name);
	map_set(g->by_name, c->name, c);
	names_changed(c);
	AUTO_FREE char *shown = xasprintf("/%s", old);

	container_event(c, "rename", "oldName", shown, NULL);
	return 0;
}
