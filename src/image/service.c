/* SPDX-License-Identifier: Apache-2.0 */
/* The service object, the common part of jobs, timers that run once. See service-priv.h. */
#include "image/service-priv.h"

#include "base/mem.h"
#include "base/num.h"
#include "spec/unpack-proto.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define DOWNLOADS_DEFAULT 3
#define UPLOADS_DEFAULT	  5
#define ATTEMPTS_DEFAULT  5
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
	s->unpack = xasprintf("%s/%s", c->program_dir, UNPACK_PROGRAM);
	s->certs_dir = xstrdup(c->certs_dir);
	image_service_configure(s, &c->settings);
	s->http = http_new(c->loop);
	list_init(&s->jobs);
	list_init(&s->dying);
	list_init(&s->fetches);
	*ret = s;
	return 0;
}

/* What a job without success committed so far is nobody's; half downloads wait for a resume. */
static void sweep(struct image_service *s)
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
		sweep(s);
}

void image_service_free(struct image_service *s)
{
	if (!s)
		return;
	while (!list_empty(&s->jobs))
		image_job_cancel(LIST_ENTRY(s->jobs.next, struct image_job, link));
	service_soon_cancel(s->reaper);
	reap(s);
	http_free(s->http);
	arena_free(s->settings_arena);
	free(s->unpack);
	free(s->certs_dir);
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
	if (failed)
		sweep(s);
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

static bool in_cidr(const char *cidr, const struct in_addr *ip)
{
	char net[64];
	uint64_t bits;
	struct in_addr base;
	const char *slash = strchr(cidr, '/');
	if (!slash || (size_t)(slash - cidr) >= sizeof(net) ||
	    num_parse_u64(slash + 1, 0, 32, &bits) < 0)
		return false;
	snprintf(net, sizeof(net), "%.*s", (int)(slash - cidr), cidr);
	if (inet_pton(AF_INET, net, &base) != 1)
		return false;
	uint32_t mask = bits ? ~0u << (32 - bits) : 0;
	return ((ntohl(base.s_addr) ^ ntohl(ip->s_addr)) & mask) == 0;
}

bool service_insecure(const struct image_service *s, const char *host_port)
{
	char host[256];
	struct in_addr ip;
	snprintf(host, sizeof(host), "%s", host_port);
	char *colon = strrchr(host, ':');
	if (colon && !strchr(colon, ']'))
		*colon = '\0';
	bool is_ip = inet_pton(AF_INET, host, &ip) == 1;
	if (!strcmp(host, "localhost") || !strcmp(host, "[::1]") ||
	    (is_ip && in_cidr("127.0.0.0/8", &ip)))
		return true;
	for (size_t i = 0; i < s->settings.insecure.n; i++) {
		const char *rule = s->settings.insecure.v[i];
		if (!strcmp(rule, host_port) || !strcmp(rule, host) ||
		    (is_ip && in_cidr(rule, &ip)))
			return true;
	}
	return false;
}
