/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit: a container's changes as an image. The container is paused (unless it is not wanted or
 * needed), its upper directory packed by the image module's workers, and thawed again. The new
 * image's configuration is the container's with the instructions of `changes` applied.
 */
#include "base/log.h"
#include "engine/engine-priv.h"
#include "spec/instructions.h"
#include "sys/fs.h"

#include <string.h>

#include "base/banned.h"

#define THAW_TRIES    20
#define THAW_AGAIN_MS 100

struct commit {
	uv_timer_t *again;
	unsigned thaws; /* that failed */
	struct engine *g;
	struct arena *arena;
	char id[ENGINE_ID_MAX];
	struct image_make make;
	struct digest parent;
	struct container_config config;
	const char *ref; /* familiar, for the event */
	bool paused;	 /* by us */
	char image[DIGEST_TEXT_MAX];
	bool failed;
	struct err err;
	engine_json_fn cb;
	void *ud;
};

static void answer(struct commit *m)
{
	char json[DIGEST_TEXT_MAX + 16];
	struct container *c = container_by_id(m->g, m->id);

	snprintf(json, sizeof(json), "{\"Id\":\"%s\"}", m->image);
	if (!m->failed && c)
		container_event(c, "commit", "comment", m->make.comment ? m->make.comment : "",
				"imageID", m->image, "imageRef", m->ref, NULL);
	m->cb(m->ud, m->failed ? NULL : json, m->failed ? &m->err : NULL);
	arena_free(m->arena);
}

static void thaw(struct commit *m);

static void thaw_again(uv_timer_t *t)
{
	struct commit *m = t->data;

	engine_timer_free(&m->again);
	thaw(m);
}

/* Nobody but us knows that it is paused: one failure must not leave it so. */
static void thawed(void *ud, const struct err *e)
{
	struct commit *m = ud;
	struct container *c = container_by_id(m->g, m->id);

	if (!e || !c || !c->st.paused) { /* a container that died meanwhile needs no thawing */
		answer(m);
	} else if (m->g->closing || ++m->thaws == THAW_TRIES) {
		log_container(LOG_LEVEL_ERROR, m->id, "stays paused after a commit: %s", e->text);
		answer(m);
	} else {
		m->again = engine_timer(m->g, THAW_AGAIN_MS, thaw_again, m);
	}
}

static void thaw(struct commit *m)
{
	struct container *c = container_by_id(m->g, m->id);
	struct err e = ERR_INIT;

	if (!c || engine_container_unpause(m->g, c, thawed, m, &e) < 0)
		thawed(m, &e);
}

static void made(void *ud, const char *id, const struct err *e)
{
	struct commit *m = ud;

	m->failed = e != NULL;
	if (e)
		m->err = *e;
	else
		snprintf(m->image, sizeof(m->image), "%s", id);
	if (m->paused)
		thaw(m);
	else
		answer(m);
}

static int make(struct commit *m, struct err *e)
{
	const struct image_job_events ev = {.done = made, .ud = m};
	AUTO(store_snapshot) struct store_snapshot *sn = NULL;
	struct image_job *job;

	if (store_snapshot_get(m->g->store, m->id, &sn, e) < 0)
		return -1;
	m->make.upper_fd = fs_open_dir(sn->upper);
	if (m->make.upper_fd < 0)
		return err_sys(e, m->make.upper_fd, "open the changes of container %s", m->id);
	m->make.fd = FD_NONE;
	return image_make(m->g->images, &m->make, &ev, &job, e);
}

static void frozen(void *ud, const struct err *e)
{
	struct commit *m = ud;

	m->paused = !e; /* as with Docker, one that cannot be paused is committed as it is */
	if (make(m, &m->err) < 0) {
		struct err err = m->err;
		made(m, NULL, &err);
	}
}

/* The configuration: the body's or the container's, changed, over the container's. */
static int configure(struct commit *m, struct container *c, const struct engine_commit *o,
		     struct err *e)
{
	AUTO_BUF struct buf own = BUF_INIT(ENGINE_TEXT_MAX), whole = BUF_INIT(ENGINE_TEXT_MAX);
	AUTO_BUF struct buf given = BUF_INIT(ENGINE_TEXT_MAX);
	struct jw w = JW_INIT(&own), wg = JW_INIT(&given);

	json_encode(&w, &container_config_schema, &c->meta.config);
	json_encode(&wg, &container_config_schema, o->config ? o->config : &c->meta.config);
	buf_addf(&whole, "{\"config\":%s}", buf_text(&own));
	if (whole.overflow || given.overflow)
		return err_set(e, ERR_LIMIT, "the configuration is too large");
	if (json_decode_text(buf_text(&given), given.n, &container_config_schema, &m->config,
			     m->arena, e) < 0 ||
	    (o->changes && instructions_apply(o->changes, &m->config, m->arena, e) < 0))
		return -1;
	return merge_image_config(&m->config, buf_text(&whole), m->arena, e);
}

static const char *joined(const struct strs *s, struct arena *a)
{
	AUTO_BUF struct buf b = BUF_INIT(ENGINE_TEXT_MAX);

	for (size_t i = 0; i < s->n; i++)
		buf_addf(&b, "%s%s", i ? " " : "", s->v[i]);
	return arena_strdup(a, buf_text(&b));
}

static int prepare(struct commit *m, struct container *c, const struct engine_commit *o,
		   struct err *e)
{
	struct image_ref ref;
	char familiar[IMAGE_REF_TEXT_MAX];

	m->ref = "";
	if (o->repo && *o->repo) {
		if (image_make_ref(o->repo, o->tag, &ref, e) < 0)
			return -1;
		image_ref_familiar(&ref, familiar);
		m->ref = arena_strdup(m->arena, familiar);
	}
	if (c->st.dead || c->st.removing)
		return err_set(e, ERR_CONFLICT, "You cannot commit container %s which is %s", c->id,
			       c->st.dead ? "Dead" : "being removed");
	if (digest_parse(c->image_id, &m->parent) < 0)
		return err_set(e, ERR_INVALID, "container %s was not made from an image", c->id);
	if (configure(m, c, o, e) < 0)
		return -1;
	m->make = (struct image_make){
		.parent = &m->parent,
		.upper_fd = FD_NONE,
		.fd = FD_NONE,
		.ref = m->ref,
		.config = &m->config,
		.author = arena_strdup(m->arena, o->author),
		.comment = arena_strdup(m->arena, o->comment),
		.created_by = joined(&c->meta.config.cmd, m->arena),
		.container = m->id,
	};
	return 0;
}

int engine_container_commit(struct engine *g, struct container *c, const struct engine_commit *o,
			    engine_json_fn cb, void *ud, struct err *e)
{
	struct arena *a = arena_new();
	struct commit *m = arena_alloc(a, sizeof(*m));
	struct err none = ERR_INIT;

	*m = (struct commit){.g = g, .arena = a, .cb = cb, .ud = ud};
	snprintf(m->id, sizeof(m->id), "%s", c->id);
	if (prepare(m, c, o, e) < 0) {
		arena_free(a);
		return -1;
	}
	if (o->pause && c->st.running && !c->st.paused &&
	    engine_container_pause(g, c, frozen, m, &none) == 0)
		return 0;
	if (make(m, e) < 0) {
		arena_free(a);
		return -1;
	}
	return 0;
}
