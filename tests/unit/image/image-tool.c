/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives the image module without an engine, for tests/integration/image.sh:
 *   image-tool HOME PROGRAM_DIR COMMAND [ARGS]
 * pull REF [PLATFORM [AUTH]] | pull2 REF REF | cancel REF MS | load FILE | load-dir DIR | save FILE
 * REF... | push REF [AUTH] | search TERM [AUTH] | default | list | inspect REF | history REF | tag
 * REF NAME | rm REF [force] | prune | fsck Progress lines go to stdout as
 * "id|status|current|total"; an error ends with status 1 and "error: text". IMAGE_TOOL_STALL:
 * seconds until a slow transfer is broken off; IMAGE_TOOL_MIRROR: a mirror of Docker Hub;
 * IMAGE_TOOL_DOWNLOADS: max-concurrent-downloads.
 */
#include "image/image.h"
#include "store/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct run {
	unsigned waiting;
	bool failed;
};

static void progress(void *ud, const struct image_progress *p)
{
	if (p->stream)
		printf("%s", p->stream);
	else if (p->aux)
		printf("aux|%s\n", p->aux);
	else
		printf("%s|%s|%lld|%lld\n", p->id ? p->id : "", p->status, (long long)p->current,
		       (long long)p->total);
}

static void done(void *ud, const char *id, const struct err *e)
{
	struct run *r = ud;
	r->waiting--;
	if (e) {
		r->failed = true;
		printf("error: %s (%s)\n", e->text, err_kind_name(e->kind));
	} else {
		printf("done: %s\n", id ? id : "");
	}
}

static void on_event(void *ud, const char *action, const char *id, const char *name)
{
	printf("event: %s %s\n", action, id);
}

static void cancel_now(uv_timer_t *t)
{
	image_job_cancel(t->data);
	printf("cancelled\n");
	uv_close((uv_handle_t *)t, NULL);
}

static void answer(int rc, struct buf *out, const struct err *e, struct run *r)
{
	if (rc < 0) {
		printf("error: %s (%s)\n", e->text, err_kind_name(e->kind));
		r->failed = true;
	} else {
		printf("%s\n", buf_text(out));
	}
}

static int start(struct image_service *s, uv_loop_t *loop, int n, char **a, struct run *r,
		 struct err *e)
{
	static uv_timer_t timer;
	struct image_job *job = NULL;
	struct image_job_events ev = {.progress = progress, .done = done, .ud = r};
	const char *cmd = a[0];
	r->waiting = 1;
	if (!strcmp(cmd, "pull") || !strcmp(cmd, "cancel") || !strcmp(cmd, "pull2") ||
	    !strcmp(cmd, "pull-all")) {
		bool two = !strcmp(cmd, "pull2"), one = !strcmp(cmd, "pull");
		struct image_pull p = {.ref = a[1],
				       .platform = one && n > 2 ? a[2] : NULL,
				       .auth = one && n > 3 ? a[3] : NULL,
				       .all_tags = !strcmp(cmd, "pull-all")};
		if (image_pull(s, &p, &ev, &job, e) < 0)
			return -1;
		if (two) {
			p.ref = a[2];
			r->waiting = 2;
			return image_pull(s, &p, &ev, &job, e);
		}
		if (!strcmp(cmd, "cancel")) {
			r->waiting = 0;
			uv_timer_init(loop, &timer);
			timer.data = job;
			uv_timer_start(&timer, cancel_now, (uint64_t)strtoul(a[2], NULL, 10), 0);
		}
		return 0;
	}
	if (!strcmp(cmd, "load"))
		return image_load(s, &(struct image_load){.fd = open(a[1], O_RDONLY | O_CLOEXEC)},
				  &ev, &job, e);
	if (!strcmp(cmd, "load-dir"))
		return image_load(s,
				  &(struct image_load){
					  .fd = FD_NONE, .dir = a[1], .tag = n > 2 ? a[2] : NULL},
				  &ev, &job, e);
	if (!strcmp(cmd, "save"))
		return image_save(
			s,
			&(struct image_save){
				.refs = (const char *const *)&a[2],
				.n = (size_t)(n - 2),
				.fd = open(a[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)},
			&ev, &job, e);
	if (!strcmp(cmd, "search"))
		return image_search(
			s, &(struct image_search){.term = a[1], .auth = n > 2 ? a[2] : NULL}, &ev,
			&job, e);
	if (!strcmp(cmd, "push"))
		return image_push(s, &(struct image_push){.ref = a[1], .auth = n > 2 ? a[2] : NULL},
				  &ev, &job, e);
	return 1;
}

static void ask(struct image_service *s, struct store *st, int n, char **a, struct run *r,
		struct err *e)
{
	AUTO_BUF struct buf out = BUF_INIT((size_t)64 << 20);
	const struct image_inspect inspect = {.api = 51};
	const char *cmd = a[0];
	uint64_t freed = 0;
	r->waiting = 0;
	if (!strcmp(cmd, "default"))
		answer(image_default_ensure(s, e), &out, e, r);
	else if (!strcmp(cmd, "list"))
		answer(image_list_json(s, &(struct image_list){.all = true}, &out, e), &out, e, r);
	else if (!strcmp(cmd, "inspect"))
		answer(image_inspect_json(s, a[1], &inspect, &out, e), &out, e, r);
	else if (!strcmp(cmd, "history"))
		answer(image_history_json(s, a[1], NULL, &out, e), &out, e, r);
	else if (!strcmp(cmd, "tag"))
		answer(image_tag(s, a[1], a[2], NULL, e), &out, e, r);
	else if (!strcmp(cmd, "rm"))
		answer(image_remove(s, a[1], &(struct image_remove){.force = n > 2}, &out, e), &out,
		       e, r);
	else if (!strcmp(cmd, "prune"))
		answer(image_prune(s, NULL, &(struct image_remove){0}, &out, e), &out, e, r);
	else if (!strcmp(cmd, "gc"))
		answer(store_gc(st, 0, &freed, e), &out, e, r);
	else
		answer(-1, &out, e, r);
}

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct store *st;
	struct image_service *s;
	struct run r = {0};
	char data[512], run[512];
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 4)
		return 2;
	snprintf(data, sizeof(data), "%s/data", argv[1]);
	snprintf(run, sizeof(run), "%s/run", argv[1]);
	if (store_open(data, run, &st, &e) < 0) {
		printf("error: %s\n", e.text);
		return 1;
	}
	const struct store_repair *rep = store_repair_report(st);
	printf("repair: %u %u %u %u %u\n", rep->layers_orphan, rep->layers_lost, 0U,
	       rep->ingest_stale, rep->blobs_lost);
	uv_loop_t *loop = uv_default_loop();
	const char *downloads = getenv("IMAGE_TOOL_DOWNLOADS");
	const char *stall = getenv("IMAGE_TOOL_STALL"), *mirror = getenv("IMAGE_TOOL_MIRROR");
	struct image_service_config c = {
		.loop = loop,
		.store = st,
		.program_dir = argv[2],
		.settings.mirrors = {.v = &mirror, .n = mirror ? 1 : 0},
		.settings.downloads = downloads ? (unsigned)strtoul(downloads, NULL, 10) : 0,
		.stall_s = stall ? (unsigned)strtoul(stall, NULL, 10) : 0};
	if (image_service_new(&c, &s, &e) < 0)
		return 1;
	image_service_on_event(s, on_event, NULL);
	int rc = start(s, loop, argc - 3, argv + 3, &r, &e);
	if (rc < 0) {
		printf("error: %s (%s)\n", e.text, err_kind_name(e.kind));
		r.failed = true;
		r.waiting = 0;
	} else if (rc > 0) {
		ask(s, st, argc - 3, argv + 3, &r, &e);
	} else if (!strcmp(argv[3], "cancel")) {
		for (int i = 0; i < 400; i++) /* also after the cancellation */
			uv_run(loop, UV_RUN_NOWAIT), usleep(5000);
	}
	while (r.waiting && uv_run(loop, UV_RUN_ONCE))
		;
	image_service_free(s);
	uv_run(loop, UV_RUN_DEFAULT);
	store_close(st);
	if (store_trash_empty(data) < 0)
		printf("error: trash\n");
	return r.failed;
}
