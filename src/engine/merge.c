/* SPDX-License-Identifier: Apache-2.0 */
/* What a container inherits: the image's config under the user's, and values shown for unset
 * HostConfig fields. */
#include "engine/engine-priv.h"

#include <string.h>

#include "base/banned.h"

/* Same variable name up to '='. */
static bool env_same(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return n == strcspn(b, "=") && memcmp(a, b, n) == 0;
}

static void merge_env(struct strs *user, const struct strs *image, struct arena *a)
{
	for (size_t i = 0; i < image->n; i++) {
		bool found = false;

		for (size_t k = 0; k < user->n && !found; k++)
			found = env_same(user->v[k], image->v[i]);
		if (!found)
			strs_push(user, a, image->v[i]);
	}
}

static void merge_set(struct strs *user, const struct strs *image, struct arena *a)
{
	for (size_t i = 0; i < image->n; i++) {
		bool found = false;

		for (size_t k = 0; k < user->n && !found; k++)
			found = strcmp(user->v[k], image->v[i]) == 0;
		if (!found)
			strs_push(user, a, image->v[i]);
	}
}

static void merge_labels(struct strmap *user, const struct strmap *image, struct arena *a)
{
	struct strmap m = {.set = true};

	m.v = arena_alloc(a, (user->n + image->n + 1) * sizeof(*m.v));
	for (size_t i = 0; i < image->n; i++)
		if (!strmap_get(user, image->v[i].k))
			m.v[m.n++] = image->v[i];
	for (size_t i = 0; i < user->n; i++)
		m.v[m.n++] = user->v[i];
	*user = m;
}

static const struct healthcheck *merge_health(const struct healthcheck *user,
					      const struct healthcheck *image, struct arena *a)
{
	struct healthcheck *h;

	if (!user || !image)
		return user ? user : image;
	h = arena_alloc(a, sizeof(*h));
	*h = *user;
	if (h->test.n == 0)
		h->test = image->test;
	h->interval = h->interval ? h->interval : image->interval;
	h->timeout = h->timeout ? h->timeout : image->timeout;
	h->start_period = h->start_period ? h->start_period : image->start_period;
	h->start_interval = h->start_interval ? h->start_interval : image->start_interval;
	h->retries = h->retries ? h->retries : image->retries;
	return h;
}

int merge_image_config(struct container_config *c, const char *image_json, struct arena *a,
		       struct err *e)
{
	struct container_config image = {0};
	AUTO(json) struct json *j = NULL;
	const struct json *config;

	if (image_json) {
		if (json_parse(image_json, strlen(image_json), &j, e) < 0)
			return err_wrap(e, "image config");
		config = json_get_icase(j, "config");
		if (json_kind_of(config) == JSON_OBJECT &&
		    json_decode(config, &container_config_schema, &image, a, e) < 0)
			return err_wrap(e, "image config");
	}
	if (c->entrypoint.n == 0 && c->cmd.n == 0)
		c->cmd = image.cmd;
	if (!c->entrypoint.set && c->entrypoint.n == 0) {
		c->entrypoint = image.entrypoint;
	} else if (c->entrypoint.n == 1 && !*c->entrypoint.v[0]) {
		/* --entrypoint "" clears the image's; its Cmd must not run either. */
		c->entrypoint = (struct strs){0};
	}
	merge_env(&c->env, &image.env, a);
	if (c->volumes.n == 0) /* null when neither has any, as Docker shows it */
		c->volumes = image.volumes;
	else
		merge_set(&c->volumes, &image.volumes, a);
	merge_set(&c->exposed_ports, &image.exposed_ports, a);
	merge_labels(&c->labels, &image.labels, a);
	if (!str_is_set(c->user))
		c->user = image.user;
	if (!str_is_set(c->working_dir))
		c->working_dir = image.working_dir;
	if (!str_is_set(c->stop_signal))
		c->stop_signal = image.stop_signal;
	if (!c->stop_timeout)
		c->stop_timeout = image.stop_timeout;
	if (c->shell.n == 0)
		c->shell = image.shell;
	c->healthcheck = merge_health(c->healthcheck, image.healthcheck, a);
	if (c->entrypoint.n == 0 && c->cmd.n == 0)
		return err_set(e, ERR_INVALID, "no command specified");
	return 0;
}

static void strs_default(struct strs *s, const char *const *v, struct arena *a)
{
	if (s->set)
		return;
	for (; *v; v++)
		strs_push(s, a, *v);
}

void host_config_defaults(struct host_config *h, struct arena *a)
{
	struct security sec = {0};
	struct err e = ERR_INIT;

	if (!str_is_set(h->network_mode) || strcmp(h->network_mode, "default") == 0)
		h->network_mode = "bridge";
	if (!h->port_bindings || strcmp(h->port_bindings, "null") == 0)
		h->port_bindings = "{}";
	if (!h->console_size || strcmp(h->console_size, "null") == 0)
		h->console_size = "[0,0]";
	if (!str_is_set(h->restart_policy.name))
		h->restart_policy.name = "no";
	if (!str_is_set(h->log_config.type))
		h->log_config.type = "json-file";
	if (!str_is_set(h->ipc_mode))
		h->ipc_mode = "private";
	if (!str_is_set(h->cgroupns_mode))
		h->cgroupns_mode = h->privileged || runtime_cgroup_version() != 2 ? "host"
										  : "private";
	if (!str_is_set(h->runtime))
		h->runtime = "coracle";
	if (h->memory_swappiness && *h->memory_swappiness == -1)
		h->memory_swappiness = NULL;
	if (h->pids_limit && *h->pids_limit <= 0)
		h->pids_limit = NULL; /* no limit, as any negative number always meant */
	if (h->shm_size == 0)
		h->shm_size = 64 << 20;
	if (h->memory > 0 && h->memory_swap == 0)
		h->memory_swap = h->memory * 2;
	if (security_parse(&h->security_opt, h->privileged, &sec, a, &e) == 0 && sec.unmask.n > 0 &&
	    strcmp(sec.unmask.v[0], "ALL") == 0)
		h->masked_paths.set = h->readonly_paths.set = true;
	if (h->privileged) {
		h->masked_paths = h->readonly_paths = (struct strs){0};
	} else {
		strs_default(&h->masked_paths, default_masked_paths, a);
		strs_default(&h->readonly_paths, default_readonly_paths, a);
	}
}
