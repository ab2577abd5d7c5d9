/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP framework with routes of its own: the server runs in the main thread's loop, the client
 * in another thread. What is proved: waiting answers, back-pressure both ways, vanished and slow
 * clients, hijack with half-close.
 */
#include "api/request.h"
#include "base/mem.h"
#include "cmocka-all.h"
#include "http-client.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#define BIG ((size_t)64 << 20)

static char path[108];
static uv_loop_t loop;
static struct api_server *server;
static uv_async_t finished;
/* Written by the loop's thread; read by the client after it saw the effect. */
static volatile unsigned gone, freed;
static volatile size_t max_queued;

/* ---- routes ---- */

static void hello(struct api_request *r)
{
	api_reply(r, 200, "text/plain", "hi", 2);
}

static void echo(struct api_request *r)
{
	AUTO_BUF struct buf out = BUF_INIT(API_BODY_LIMIT);
	struct err e = ERR_INIT;
	struct json *j;

	if (api_body_json(r, false, &j, &e) < 0) {
		api_reply_error(r, &e);
		return;
	}
	json_dump(j, &out);
	api_reply_json(r, 200, &out);
}

static void timer_closed(uv_handle_t *h)
{
	free(h);
}

static void later_now(uv_timer_t *t)
{
	struct api_request *r = t->data;

	api_reply(r, 200, "text/plain", "late", 4);
	api_reply(r, 500, "text/plain", "twice", 5); /* ignored */
	api_drop(r);
	uv_close((uv_handle_t *)t, timer_closed);
}

static void later(struct api_request *r)
{
	uv_timer_t *t = NEW(uv_timer_t);

	api_hold(r);
	t->data = r;
	uv_timer_init(r->loop, t);
	uv_timer_start(t, later_now, 20, 0);
}

static void count_gone(struct api_request *r)
{
	gone++;
	api_abort(r);
}

static void count_free(struct api_request *r)
{
	freed++;
}

static void never(struct api_request *r)
{
	r->on_gone = count_gone;
	r->on_free = count_free;
}

static void silent(struct api_request *r) /* header at once, nothing behind it */
{
	r->on_gone = count_gone;
	r->on_free = count_free;
	api_stream_start(r, 200, "application/json");
}

static void big_more(struct api_request *r)
{
	static char block[65536];
	size_t *left = r->state;

	for (bool room = true; room && *left > 0;) {
		size_t n = MIN(sizeof block, *left);
		memset(block, 'a' + (char)(*left / sizeof block % 26), n);
		room = api_stream_write(r, block, n);
		*left -= n;
		max_queued = MAX(max_queued, api_stream_queued(r));
	}
	if (*left == 0)
		api_stream_end(r);
}

static void big(struct api_request *r)
{
	size_t *left = arena_alloc(r->arena, sizeof *left);

	*left = BIG;
	r->state = left;
	r->on_drain = big_more;
	r->on_gone = count_gone;
	r->on_free = count_free;
	api_stream_start(r, 200, "application/octet-stream");
	big_more(r);
}

struct worker {
	uv_work_t work;
	struct api_request *r;
	int fd;
	size_t n;
	char extra[64];
};

static void upload_work(uv_work_t *w)
{
	struct worker *k = CONTAINER_OF(w, struct worker, work);
	char data[65536];

	usleep(50000); /* the pipe fills up */
	for (ssize_t n; (n = read(k->fd, data, sizeof data)) > 0;)
		k->n += (size_t)n;
	close(k->fd);
}

static void upload_done(uv_work_t *w, int status)
{
	struct worker *k = CONTAINER_OF(w, struct worker, work);
	char text[32];

	snprintf(text, sizeof text, "%zu", k->n);
	api_reply(k->r, 200, "text/plain", text, strlen(text));
	api_drop(k->r);
	free(k);
}

static void upload(struct api_request *r)
{
	struct worker *k = NEW(struct worker);

	k->r = r;
	k->fd = TAKE_FD(r->body_fd);
	api_hold(r);
	uv_queue_work(r->loop, &k->work, upload_work, upload_done);
}

static void refuse(struct api_request *r)
{
	fd_close(&r->body_fd);
	api_reply_message(r, 400, "not today");
}

/* Stands for a shim: reads to the end, tells the count, writes BIG bytes, closes. */
static void raw_work(uv_work_t *w)
{
	struct worker *k = CONTAINER_OF(w, struct worker, work);
	static char data[65536];
	size_t n = strlen(k->extra);
	char text[128];

	(void)fcntl(k->fd, F_SETFL, fcntl(k->fd, F_GETFL) & ~O_NONBLOCK);
	for (ssize_t got; (got = read(k->fd, data, sizeof data)) > 0;)
		n += (size_t)got;
	snprintf(text, sizeof text, "extra=%s total=%zu\n", k->extra, n);
	client_send(k->fd, text, strlen(text));
	memset(data, 'z', sizeof data);
	for (size_t left = BIG; left > 0; left -= sizeof data)
		client_send(k->fd, data, sizeof data);
	shutdown(k->fd, SHUT_RDWR);
	close(k->fd);
}

static void raw_done(uv_work_t *w, int status)
{
	free(CONTAINER_OF(w, struct worker, work));
}

static void raw_socket(struct api_request *r, int fd, const void *extra, size_t n)
{
	struct worker *k = NEW(struct worker);

	k->fd = fd;
	memcpy(k->extra, extra, MIN(n, sizeof k->extra - 1));
	uv_queue_work(r->loop, &k->work, raw_work, raw_done);
}

static void raw(struct api_request *r)
{
	api_hijack(r, "application/vnd.docker.raw-stream", true, raw_socket);
}

static const struct api_route routes[] = {
	{"GET", "/hello", hello, API_BODY_JSON},
	{"HEAD", "/hello", hello, API_BODY_JSON},
	{"POST", "/echo", echo, API_BODY_JSON},
	{"GET", "/later", later, API_BODY_JSON},
	{"GET", "/never", never, API_BODY_JSON},
	{"GET", "/silent", silent, API_BODY_JSON},
	{"GET", "/big", big, API_BODY_JSON},
	{"POST", "/upload", upload, API_BODY_STREAM},
	{"POST", "/refuse", refuse, API_BODY_STREAM},
	{"POST", "/raw", raw, API_BODY_JSON},
	{0},
};
static const struct api_route *const tables[] = {routes, NULL};

/* ---- the frame ---- */

static void (*client_body)(void);

static void *client_main(void *ud)
{
	client_body();
	uv_async_send(&finished);
	return NULL;
}

static void stopped(void *ud)
{
	*(bool *)ud = true;
}

static bool was_stopped;

static void on_finished(uv_async_t *a)
{
	uv_close((uv_handle_t *)a, NULL);
	api_server_stop(server, stopped, &was_stopped);
}

/* A failure in the client's thread ends the program: cmocka cannot jump across threads. */
#define CHECK(expr)                                                                                \
	do {                                                                                       \
		if (!(expr)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                 \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static void run_client(void (*body)(void))
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct err e = ERR_INIT;
	pthread_t thread;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	gone = freed = 0;
	max_queued = 0;
	was_stopped = false;
	snprintf(path, sizeof path, "/tmp/coracle-test-http-%d", (int)getpid());
	unlink(path);
	snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
	assert_int_equal(listen(fd, 512), 0);
	assert_int_equal(uv_loop_init(&loop), 0);
	uv_async_init(&loop, &finished, on_finished);
	struct api_config config = {.loop = &loop, .listen_fds = &fd, .nlisten = 1};
	assert_int_equal(api_server_start_with(&config, tables, &server, &e), 0);
	client_body = body;
	pthread_create(&thread, NULL, client_main, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	pthread_join(thread, NULL);
	assert_true(was_stopped);
	assert_int_equal(uv_loop_close(&loop), 0);
	unlink(path);
}

static void expect(const char *method, const char *target, const char *body, int status,
		   const char *text)
{
	struct answer a;

	CHECK(client_call(path, method, target, body, &a) == 0);
	if (a.status != status || (text && strcmp(a.body ? a.body : "", text) != 0)) {
		fprintf(stderr, "%s %s: %d %s\n", method, target, a.status, a.body);
		_exit(1);
	}
	answer_done(&a);
}

/* ---- clients ---- */

static void basics(void)
{
	struct answer a;

	expect("GET", "/hello", NULL, 200, "hi");
	expect("GET", "/v1.41/hello?x=1", NULL, 200, "hi");
	expect("GET", "/v1.99/hello", NULL, 400,
	       "{\"message\":\"client version 1.99 is too new. Maximum supported API version is "
	       "1.51\"}\n");
	expect("GET", "/nope", NULL, 404, "{\"message\":\"page not found\"}\n");
	expect("PUT", "/hello", NULL, 404, "{\"message\":\"page not found\"}\n");
	expect("GET", "/hello%00", NULL, 400, NULL);
	expect("POST", "/echo", "{\"a\":[1,2]}", 200, "{\"a\":[1,2]}");
	expect("POST", "/echo", "{\"a\":", 400, NULL);
	expect("POST", "/echo", "{} {}", 400, NULL);
	expect("POST", "/echo", NULL, 400, NULL);
	expect("GET", "/later", NULL, 200, "late");
	/* HEAD, and two requests on one connection. */
	int fd = client_connect(path);
	client_text(fd, "HEAD /hello HTTP/1.1\r\nHost: d\r\n\r\n");
	CHECK(client_read_head(fd, &a) == 0 && a.status == 200);
	CHECK(strstr(a.head, "Api-Version: 1.51\r\n") && strstr(a.head, "Ostype: linux\r\n"));
	client_text(fd, "GET /later HTTP/1.1\r\nHost: d\r\n\r\n");
	CHECK(client_read(fd, &a) == 0 && a.status == 200 && strcmp(a.body, "late") == 0);
	answer_done(&a);
	close(fd);
}

static void test_basics(void **state)
{
	run_client(basics);
}

static void bad_clients(void)
{
	static const char lie[] = "POST /echo HTTP/1.1\r\nHost: d\r\nContent-Type: "
				  "application/json\r\nContent-Length: 99999999999\r\n\r\n{";
	static const char *const garbage[] = {
		"\x16\x03\x01\x02", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\r\n\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"};
	struct answer a;
	int loris[100];

	/* Half a request each; nobody else notices. */
	for (size_t i = 0; i < ARRAY_SIZE(loris); i++) {
		loris[i] = client_connect(path);
		client_text(loris[i], "GET /hello HT");
	}
	expect("GET", "/hello", NULL, 200, "hi");
	/* A body over the limit is refused before it is read; a growing one while it is. */
	int fd = client_connect(path);
	client_send(fd, lie, sizeof lie - 1);
	CHECK(client_read(fd, &a) == 0 && a.status == 413);
	answer_done(&a);
	close(fd);
	fd = client_connect(path);
	client_text(fd, "POST /echo HTTP/1.1\r\nHost: d\r\nContent-Type: "
			"application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
	char *block = xmalloc(1 << 20);
	memset(block, '1', 1 << 20);
	for (int i = 0; i < 6; i++) {
		client_text(fd, "100000\r\n");
		client_send(fd, block, 1 << 20);
		client_text(fd, "\r\n");
	}
	free(block);
	client_text(fd, "0\r\n\r\n");
	CHECK(client_read(fd, &a) == 0 && a.status == 413);
	answer_done(&a);
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		fd = client_connect(path);
		client_send(fd, garbage[i], strlen(garbage[i]));
		usleep(5000);
		close(fd);
	}
	expect("GET", "/hello", NULL, 200, "hi");
	for (size_t i = 0; i < ARRAY_SIZE(loris); i++)
		close(loris[i]);
}

static void test_bad_clients(void **state)
{
	run_client(bad_clients);
}

static void vanishing(void)
{
	static const char *const targets[] = {"/never", "/silent", "/big"};
	char head[128];
	struct answer a;

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		int fd = client_connect(path);
		snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: d\r\n\r\n", targets[i]);
		client_send(fd, head, strlen(head));
		if (i > 0) /* the header comes though no byte follows */
			CHECK(client_read_head(fd, &a) == 0 && a.status == 200);
		else
			usleep(20000);
		close(fd);
		for (int k = 0; k < 200 && freed <= i; k++)
			usleep(10000);
		CHECK(gone == i + 1 && freed == i + 1);
	}
	expect("GET", "/hello", NULL, 200, "hi");
	/* One more waits while the server stops. */
	int fd = client_connect(path);
	client_text(fd, "GET /never HTTP/1.1\r\nHost: d\r\n\r\n");
	usleep(20000);
}

static void test_vanishing(void **state)
{
	run_client(vanishing);
	assert_int_equal(gone, 4);
	assert_int_equal(freed, 4);
}

static void slow_reader(void)
{
	struct answer a;
	int fd = client_connect(path);

	client_text(fd, "GET /big HTTP/1.1\r\nHost: d\r\n\r\n");
	usleep(100000);
	CHECK(max_queued > 0 && max_queued < API_STREAM_HIGH + 65536 * 2); /* it waits for us */
	CHECK(client_read(fd, &a) == 0 && a.n == BIG);
	for (size_t i = 0; i < BIG; i += 65536)
		CHECK(a.body[i] == 'a' + (char)((BIG - i) / 65536 % 26));
	answer_done(&a);
	close(fd);
	CHECK(max_queued < API_STREAM_HIGH + 65536 * 2);
}

static void test_slow_reader(void **state)
{
	run_client(slow_reader);
	assert_int_equal(gone, 0);
	assert_int_equal(freed, 1);
}

static void uploads(void)
{
	char *block = xcalloc(1, 1 << 20), head[128];
	static const char *const targets[] = {"/upload", "/refuse"};
	struct answer a;

	for (size_t t = 0; t < 2; t++) {
		int fd = client_connect(path);
		snprintf(head, sizeof head,
			 "POST %s HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n",
			 targets[t]);
		client_send(fd, head, strlen(head));
		for (int i = 0; i < 100; i++) {
			client_text(fd, "100000\r\n");
			client_send(fd, block, 1 << 20);
			client_text(fd, "\r\n");
		}
		client_text(fd, "0\r\n\r\n");
		CHECK(client_read(fd, &a) == 0);
		if (t == 0)
			CHECK(a.status == 200 && strcmp(a.body, "104857600") == 0);
		else
			CHECK(a.status == 400 &&
			      strcmp(a.body, "{\"message\":\"not today\"}\n") == 0);
		answer_done(&a);
		close(fd);
	}
	free(block);
}

static void test_uploads(void **state)
{
	run_client(uploads);
}

static void hijack_one(const char *upgrade, int status, bool chunked)
{
	char head[256], text[64];
	struct answer a;
	int fd = client_connect(path);

	snprintf(head, sizeof head,
		 "POST /raw HTTP/1.1\r\nHost: d\r\n%sContent-Length: 0\r\n\r\n%s", upgrade,
		 chunked ? "" : "early");
	client_send(fd, head, strlen(head));
	if (chunked) {
		struct pollfd answered = {.fd = fd, .events = POLLIN};
		CHECK(poll(&answered, 1, 20000) == 1);
		client_text(fd, "behind");
		shutdown(fd, SHUT_WR);
		CHECK(client_read(fd, &a) == 0 && a.status == status);
		CHECK(strncmp(a.body, "extra= total=6\n", 15) == 0 && a.n == BIG + 15);
		answer_done(&a);
		close(fd);
		return;
	}
	CHECK(client_read_head(fd, &a) == 0 && a.status == status);
	CHECK(strstr(a.head, "Content-Type: application/vnd.docker.raw-stream\r\n") &&
	      strcasestr(a.head, "\r\nUpgrade: tcp\r\n"));
	client_text(fd, "then more");
	usleep(20000); /* libmicrohttpd has closed its descriptor by now */
	shutdown(fd, SHUT_WR);
	size_t n = 0, lines = 0;
	char *data = xmalloc(1 << 20);
	for (ssize_t got; (got = read(fd, data, 1 << 20)) > 0; n += (size_t)got)
		if (n == 0) {
			snprintf(text, sizeof text, "%.*s", (int)strcspn(data, "\n"), data);
			lines = strlen(text) + 1;
		}
	free(data);
	CHECK(strstr(text, "total=14"));
	CHECK(n == BIG + lines);
	close(fd);
}

static void hijacks(void)
{
	hijack_one("Connection: Upgrade\r\nUpgrade: tcp\r\n", 101, false);
	hijack_one("", 200, true);
}

static void test_hijacks(void **state)
{
	run_client(hijacks);
}

static void *one_of_many(void *ud)
{
	expect("GET", "/later", NULL, 200, "late");
	expect("POST", "/echo", "{\"n\":1}", 200, "{\"n\":1}");
	return NULL;
}

static void crowd(void)
{
	pthread_t threads[200];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		CHECK(pthread_create(&threads[i], NULL, one_of_many, NULL) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
}

static void test_crowd(void **state)
{
	run_client(crowd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_basics),	  cmocka_unit_test(test_bad_clients),
		cmocka_unit_test(test_vanishing), cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_uploads),	  cmocka_unit_test(test_hijacks),
		cmocka_unit_test(test_crowd),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
