/* SPDX-License-Identifier: Apache-2.0 */
/* The side of the engine: accept, handshake, connect to the engine's private socket, copy. */
#include "tls/tls.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "sys/fs.h"
#include "tls/pump-priv.h"

#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/banned.h"

#define CLIENTS_MAX    1024
#define HANDSHAKE_NS   10000000000LL
#define MINUTE_NS      60000000000LL
#define REFUSALS_MAX   10    /* log lines a minute */
#define NOBODY	       65534 /* the kernel's overflow id: owns nothing */
#define FIXED_POLLS    2     /* the listener, the engine's end */
#define POLLS_PER_PUMP 2

struct client {
	struct pump *pump;
	int64_t deadline; /* of the handshake, monotonic */
	bool run;	  /* something happened */
};

struct server {
	SSL_CTX *ctx;
	char target[64]; /* by a descriptor: its folder is closed to us after the start */
	int target_fd;
	int64_t minute; /* of the refusals counted, monotonic start */
	unsigned refused;
	int listen_fd, alive_fd;
	struct client clients[CLIENTS_MAX];
	size_t n;
	struct pollfd polls[FIXED_POLLS + CLIENTS_MAX * POLLS_PER_PUMP];
};

static void drop_client(struct server *s, size_t i)
{
	pump_free(s->clients[i].pump);
	s->clients[i] = s->clients[--s->n];
}

static void accept_one(struct server *s)
{
	int one = 1;
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	struct pump *p = pump_new(s->ctx, fd, true);
	if (p)
		s->clients[s->n++] = (struct client){
			.pump = p, .deadline = clock_mono_ns() + HANDSHAKE_NS, .run = true};
}

static int connect_engine(const struct server *s, struct pump *p)
{
	int fd = fs_unix_connect(s->target, SOCK_STREAM);

	if (fd < 0)
		return fd;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		fd_close(&fd);
		return -errno;
	}
	p->plain = fd;
	return 0;
}

/* Anyone can be refused as often as he likes: the log must not grow with that. */
static void log_refusal(struct server *s, const char *why)
{
	int64_t now = clock_mono_ns();

	if (now - s->minute >= MINUTE_NS) {
		if (s->refused > REFUSALS_MAX)
			log_warn("tls: %u more clients were refused", s->refused - REFUSALS_MAX);
		s->minute = now;
		s->refused = 0;
	}
	if (s->refused++ < REFUSALS_MAX)
		log_warn("tls: a client was refused: %s", why);
	if (s->refused == REFUSALS_MAX)
		log_warn("tls: further refusals of this minute are only counted");
}

/* False when the client is gone. */
static bool run_client(struct server *s, struct client *c)
{
	struct err e = ERR_INIT;
	enum pump_state st = pump_run(c->pump, &e);

	if (st == PUMP_READY) {
		int rc = connect_engine(s, c->pump);

		if (rc < 0) {
			log_error("tls: connect to the engine: %s", strerrordesc_np(-rc));
			return false;
		}
		st = pump_run(c->pump, &e);
	}
	if (st == PUMP_FAILED)
		log_refusal(s, e.text);
	return st == PUMP_MORE;
}

static int wait_ms(const struct server *s)
{
	int64_t now = clock_mono_ns(), first = INT64_MAX;

	for (size_t i = 0; i < s->n; i++)
		if (!s->clients[i].pump->ready)
			first = MIN(first, s->clients[i].deadline);
	if (first == INT64_MAX)
		return -1;
	return first <= now ? 0 : (int)((first - now) / 1000000) + 1;
}

static void wait_events(struct server *s)
{
	s->polls[0] = (struct pollfd){.fd = s->n < CLIENTS_MAX ? s->listen_fd : -1,
				      .events = POLLIN};
	s->polls[1] = (struct pollfd){.fd = s->alive_fd, .events = POLLIN};
	for (size_t i = 0; i < s->n; i++) {
		const struct pump *p = s->clients[i].pump;
		struct pollfd *f = &s->polls[FIXED_POLLS + i * POLLS_PER_PUMP];

		/* Without a wish not even an error is reported: a peer that went is noticed
		 * when something is written to it. */
		f[0] = (struct pollfd){.fd = p->net_events ? p->net : -1, .events = p->net_events};
		f[1] = (struct pollfd){.fd = p->plain_events ? p->plain : -1,
				       .events = p->plain_events};
	}
	int rc = poll(s->polls, (nfds_t)(FIXED_POLLS + s->n * POLLS_PER_PUMP), wait_ms(s));
	for (size_t i = 0; i < s->n; i++) {
		const struct pollfd *f = &s->polls[FIXED_POLLS + i * POLLS_PER_PUMP];

		s->clients[i].run = rc > 0 && (f[0].revents || f[1].revents);
	}
	if (rc < 0)
		s->polls[0].revents = s->polls[1].revents = 0;
}

static void serve_clients(struct server *s)
{
	int64_t now = clock_mono_ns();

	for (size_t i = s->n; i-- > 0;) {
		struct client *c = &s->clients[i];
		bool late = !c->pump->ready && now >= c->deadline;

		if (late || (c->run && !run_client(s, c)))
			drop_client(s, i);
	}
}

/*
 * Keys are read, sockets are there: root is not needed again. Leaving uid 0 clears all
 * capabilities. In a user namespace that has no such id we stay who we are.
 */
static int become_nobody(struct err *e)
{
	if (geteuid() != 0)
		return 0;
	if ((setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
	     setresuid(NOBODY, NOBODY, NOBODY) < 0) &&
	    errno != EINVAL)
		return err_sys(e, -errno, "drop privileges");
	if (geteuid() == 0)
		log_warn("tls: no unprivileged user here; running on as root of this namespace");
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* keys in memory; the change of user set it anew */
	return 0;
}

static int prepare(struct server *s, const char *target, const struct tls_files *f, struct err *e)
{
	s->minute = clock_mono_ns();
	s->ctx = tls_context(f, true, e);
	if (!s->ctx)
		return -1;
	s->target_fd = open(target, O_PATH | O_CLOEXEC);
	if (s->target_fd < 0)
		return err_sys(e, -errno, "open %s", target);
	snprintf(s->target, sizeof(s->target), "/proc/self/fd/%d", s->target_fd);
	if (fcntl(s->listen_fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(e, -errno, "the listening socket");
	return become_nobody(e);
}

int tls_serve(int listen_fd, int alive_fd, const char *target, const struct tls_files *f,
	      struct err *e)
{
	struct server *s = NEW(struct server);

	s->listen_fd = listen_fd;
	s->alive_fd = alive_fd;
	s->target_fd = FD_NONE;
	if (prepare(s, target, f, e) < 0) {
		SSL_CTX_free(s->ctx);
		fd_close(&s->target_fd);
		free(s);
		return -1;
	}
	if (send(alive_fd, "\n", 1, MSG_NOSIGNAL) < 0) {
		err_sys(e, -errno, "tell the engine");
		SSL_CTX_free(s->ctx);
		fd_close(&s->target_fd);
		free(s);
		return -1;
	}
	while (s->listen_fd >= 0 || s->n > 0) {
		wait_events(s);
		if (s->polls[1].revents) {
			fd_close(&s->listen_fd);
			s->alive_fd = -1;
		}
		serve_clients(s);
		if (s->listen_fd >= 0 && s->polls[0].revents && s->n < CLIENTS_MAX) {
			accept_one(s);
			if (s->n > 0 && s->clients[s->n - 1].run)
				serve_clients(s);
		}
	}
	SSL_CTX_free(s->ctx);
	fd_close(&s->target_fd);
	free(s);
	return 0;
}
