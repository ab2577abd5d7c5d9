/* SPDX-License-Identifier: Apache-2.0 */
/* The service object, the common part of jobs, timers that run once. See service-priv.h. */
#include "image/hostmatch.h"
#include "image/fetch-priv.h"
#include "image/flush-priv.h"
#include "image/service-priv.h"

#include "base/mem.h"
#include "spec/unpack-proto.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define DOWNLOADS_DEFAULT 3
#define UPLOADS_DEFAULT	  5
#define ATTEMPTS_DEFAULT  5
#define STALL_SECONDS	  60
#define PARTIAL_KEPT_NS	  (24LL * 3600 * 1000000000)

static struct strs copy_list(const struct strs *from, struct arena *a)
{
	struct strs to = {.v = arena_alloc(a, (from->n + 1) * sizeof(char *)), .set = true};

	for (size_t i = 0; i < from->n; i++)
		to.v[to.n++] = arena_strdup(a, from->v[i]);
	return to;
}

void image_service_configure(struct image_service *s, const struct image_settings *o)
{
	struct arena *a = arena_new();
	struct proxy_rules proxies;

	s->settings = (struct image_settings){
		.insecure = copy_list(&o->insecure, a),
		.mirrors = copy_list(&o->mirrors, a),
		.downloads = o->downloads ? o->downloads : DOWNLOADS_DEFAULT,
		.uploads = o->uploads ? o->uploads : UPLOADS_DEFAULT,
		.attempts = o->attempts ? o->attempts : ATTEMPTS_DEFAULT,
		.http_proxy = arena_strdup(a, o->http_proxy),
		.https_proxy = arena_strdup(a, o->https_proxy),
		.no_proxy = arena_strdup(a, o->no_proxy),
	};
	arena_free(s->settings_arena);
	s->settings_arena = a;
	proxy_rules_env(&proxies);
	if (o->http_proxy)
		proxies.http = o->http_proxy;
	if (o->https_proxy)
		proxies.https = o->https_proxy;
	if (o->no_proxy)
		proxies.none = o->no_proxy;
	http_configure(s->http, &proxies, s->stall_s);
	if (!list_empty(&s->layer_sets))
		layers_poke(s);
}

/* Where registries.conf and certs.d are looked for: a home of its own never sees the host's. */
static void find_folders(struct image_service *s, const struct image_service_config *c)
{
	static const char *const conf[] = {"/etc/coracle", "/etc/containers"};
	static const char *const certs[] = {"/etc/coracle/certs.d", "/etc/containers/certs.d",
					    "/etc/containerd/certs.d", "/etc/docker/certs.d"};
	const char *home = secure_getenv("CORACLE_HOME");
	if (c->config_dirs || c->cert_dirs) {
		if (c->config_dirs)
			s->config_dirs = copy_list(c->config_dirs, s->arena);
		if (c->cert_dirs)
			s->cert_dirs = copy_list(c->cert_dirs, s->arena);
	} else if (home && *home) {
		strs_push(&s->config_dirs, s->arena, arena_printf(s->arena, "%s/etc", home));
		strs_push(&s->cert_dirs, s->arena, arena_printf(s->arena, "%s/etc/certs.d", home));
	} else {
		for (size_t i = 0; i < ARRAY_SIZE(conf); i++)
			strs_push(&s->config_dirs, s->arena, conf[i]);
		for (size_t i = 0; i < ARRAY_SIZE(certs); i++)
			strs_push(&s->cert_dirs, s->arena, certs[i]);
	}
}

int image_service_new(const struct image_service_config *c, struct image_service **ret,
		      struct err *e)
{
	static bool curl_ready;
	if (!curl_ready && curl_global_init(CURL_GLOBAL_ALL))
		return err_set(e, ERR_SYSTEM, "cannot initialise libcurl");
	curl_ready = true;
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigaction(SIGPIPE, &ignore, NULL);

	struct image_service *s = NEW(struct image_service);
	s->loop = c->loop;
	s->store = c->store;
	s->arena = arena_new();
	s->unpack = xasprintf("%s/%s", c->program_dir, UNPACK_PROGRAM);
	find_folders(s, c);
	s->stall_s = c->stall_s ? c->stall_s : STALL_SECONDS;
	s->policy = xstrdup(c->policy);
	s->http = http_new(c->loop);
	image_service_configure(s, &c->settings);
	list_init(&s->jobs);
	list_init(&s->dying);
	list_init(&s->fetches);
	list_init(&s->layer_sets);
	*ret = s;
	return 0;
}

/* What a job without success committed so far is nobody's; half downloads wait for a resume. */
void service_sweep(struct image_service *s)
{
	struct err none = ERR_INIT;
	store_gc(s->store, PARTIAL_KEPT_NS, NULL, &none);
}

static void reap(void *ud)
{
	struct image_service *s = ud;
	bool any = !list_empty(&s->dying);
	s->reaper = NULL;
	while (!list_empty(&s->dying)) {
		struct image_job *j = LIST_ENTRY(s->dying.next, struct image_job, link);
		list_del(&j->link);
		j->drop(j);
	}
	if (any)
		service_sweep(s);
}

void image_service_free(struct image_service *s)
{
	if (!s)
		return;
	while (!list_empty(&s->jobs))
		image_job_cancel(LIST_ENTRY(s->jobs.next, struct image_job, link));
	service_soon_cancel(s->reaper);
	reap(s);
	recheck_free(s);
	flush_free(s);
	service_soon_cancel(s->poke);
	http_free(s->http);
	arena_free(s->arena);
	arena_free(s->settings_arena);
	free(s->unpack);
	free(s->policy);
	free(s);
}

void image_service_on_event(struct image_service *s, image_event_fn fn, void *ud)
{
	s->on_event = fn;
	s->event_ud = ud;
}

void service_event(struct image_service *s, const char *action, const char *id, const char *name)
{
	if (s->on_event)
		s->on_event(s->event_ud, action, id, name ? name : "");
}

/* ---- jobs ---- */

void job_init(struct image_job *j, struct image_service *s, const struct image_job_events *ev,
	      void (*drop)(struct image_job *))
{
	j->service = s;
	if (ev)
		j->ev = *ev;
	j->drop = drop;
	list_add_tail(&s->jobs, &j->link);
}

void job_end(struct image_job *j, const char *id, const struct err *e)
{
	if (j->ended)
		return; /* cancelled: the reaper drops it */
	j->ended = true;
	list_del(&j->link);
	struct image_service *s = j->service;
	bool failed = e != NULL;
	if (j->ev.done)
		j->ev.done(j->ev.ud, failed ? NULL : id, e);
	j->drop(j);
	/* Its image may have been removed while the job held the parts. */
	if (store_lease_kept(s->store) || failed)
		service_sweep(s);
}

void image_job_cancel(struct image_job *j)
{
	if (!j || j->ended)
		return;
	j->ended = true;
	list_del(&j->link);
	list_add_tail(&j->service->dying, &j->link);
	if (!j->service->reaper)
		j->service->reaper = service_after(j->service, 0, reap, j->service);
}

static void tell(struct image_job *j, const struct image_progress *p)
{
	if (!j->ended && j->ev.progress)
		j->ev.progress(j->ev.ud, p);
}

void job_line(struct image_job *j, const char *id, const char *status)
{
	tell(j, &(struct image_progress){.id = id, .status = status});
}

void job_linef(struct image_job *j, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	job_line(j, NULL, text);
}

void job_streamf(struct image_job *j, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tell(j, &(struct image_progress){.stream = text});
}

void job_progress(struct image_job *j, const char *id, const char *status, int64_t current,
		  int64_t total)
{
	tell(j, &(struct image_progress){.id = id,
					 .status = status,
					 .has_detail = true,
					 .current = current,
					 .total = total});
}

/* ---- timers that run once ---- */

struct service_soon {
	uv_timer_t timer;
	void (*fn)(void *ud);
	void *ud;
};

static void soon_closed(uv_handle_t *h)
{
	free(h->data);
}

static void soon_run(uv_timer_t *t)
{
	struct service_soon *s = t->data;
	void (*fn)(void *) = s->fn;
	void *ud = s->ud;
	uv_close((uv_handle_t *)t, soon_closed);
	fn(ud);
}

struct service_soon *service_after(struct image_service *s, unsigned ms, void (*fn)(void *ud),
				   void *ud)
{
	struct service_soon *t = NEW(struct service_soon);
	t->fn = fn;
	t->ud = ud;
	uv_timer_init(s->loop, &t->timer);
	t->timer.data = t;
	uv_update_time(s->loop);
	uv_timer_start(&t->timer, soon_run, ms, 0);
	return t;
}

void service_soon_cancel(struct service_soon *t)
{
	if (t && !uv_is_closing((uv_handle_t *)&t->timer))
		uv_close((uv_handle_t *)&t->timer, soon_closed);
}

void digest_short(const struct digest *d, char ret[static 13])
{
	snprintf(ret, 13, "%.12s", digest_hex(d));
}

/* ---- which registries may be spoken to without TLS ---- */

bool service_insecure(const struct image_service *s, const char *host_port)
{
	struct host_port host, rule;
	struct host_ip ip;
	if (!host_port_parse(host_port, &host))
		return false;
	bool is_ip = host_ip_parse(host.host, &ip);
	if (host_is_loopback(host.host))
		return true;
	for (size_t i = 0; i < s->settings.insecure.n; i++) {
		if (strchr(s->settings.insecure.v[i], '/')
			    ? is_ip && host_ip_in(&ip, s->settings.insecure.v[i])
			    : host_port_parse(s->settings.insecure.v[i], &rule) &&
				      !strcmp(rule.host, host.host) &&
				      (!rule.port || rule.port == host.port))
			return true;
	}
	return false;
}
