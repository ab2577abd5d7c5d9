/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to a socket (syslog, the journal), never waiting inside: what the socket does not take
 * stays in a bounded queue. A queue that is full stops the program when the socket is connected
 * and messages may not be dropped; otherwise the newest messages are dropped and counted. A target
 * that has gone is tried again once a second: it never stops the program. Both are told once.
 */
#include "logs/logs-priv.h"

#include "base/mem.h"
#include "sys/resolve.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>

#include "base/banned.h"

#define CONNECT_MS  5000
#define RETRY_NS    1000000000LL
#define BUFFER_SIZE (1 << 20) /* Docker's default too */
#define MESSAGE_MAX (LOG_LINE_MAX + (256 << 10))
#define SEND_SIZE   (1 << 20) /* room the kernel is asked for */

struct log_remote {
	enum log_socket kind;
	struct log_address to;
	struct log_tls tls; /* strings are ours */
	struct log_dial dial;
	char why[512]; /* of a failed handshake */
	char *name;    /* of the target, in messages */
	int fd;
	bool connecting, hurry;
	int64_t retry_at;  /* no socket: monotonic */
	struct buf queue;  /* messages, each behind its length */
	size_t head, sent; /* first message; bytes of it that a stream took */
	size_t limit;
	bool down_told, refused;
	uint64_t lost, lost_told;
	/* format */
	struct log_syslog_head syslog;
	char *tag, host[65];
	struct buf fields, message;
	void (*notice)(void *ud, const char *text);
	void *ud;
};

static void tell(struct log_remote *m, const char *what)
{
	AUTO_FREE char *text = xasprintf("%s: %s", m->name, what);

	if (m->notice)
		m->notice(m->ud, text);
}

static void went_down(struct log_remote *m, int error)
{
	fd_close(&m->fd);
	log_dial_end(&m->dial, false);
	m->connecting = false;
	m->sent = 0; /* a message of which a part arrived is sent again whole */
	m->retry_at = clock_mono_ns() + RETRY_NS;
	if (!m->down_told)
		tell(m, *m->why ? m->why : strerrordesc_np(error));
	m->why[0] = '\0';
	m->down_told = true;
}

static void came_up(struct log_remote *m)
{
	char text[96];

	m->connecting = false;
	if (!m->down_told)
		return;
	snprintf(text, sizeof text, "takes messages again, %llu were dropped",
		 (unsigned long long)(m->lost - m->lost_told));
	tell(m, text);
	m->down_told = false;
	m->lost_told = m->lost;
}

/* 0: connected or on the way. */
static int remote_connect(struct log_remote *m)
{
	const int size = SEND_SIZE;

	if (m->to.tls) {
		int res = log_dial_start(&m->dial, &m->tls, &m->to, &m->fd);

		m->connecting = res == 0;
		return res;
	}
	m->fd = socket(m->to.addr.ss_family, m->to.type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (m->fd < 0)
		return -errno;
	if (m->to.type == SOCK_DGRAM)
		(void)setsockopt(m->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	if (connect(m->fd, (struct sockaddr *)&m->to.addr, m->to.len) == 0) {
		m->connecting = false;
		return 0;
	}

	int rc = -errno;

	if (rc == -EINPROGRESS) {
		m->connecting = true;
		return 0;
	}
	fd_close(&m->fd);
	return rc;
}

static int connect_result(struct log_remote *m)
{
	int error = 0;
	socklen_t n = sizeof error;

	if (m->to.tls)
		return log_dial_result(&m->dial, m->why, sizeof m->why);
	return getsockopt(m->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0 ? -errno : -error;
}

static struct pollfd connect_poll(const struct log_remote *m)
{
	return m->to.tls ? (struct pollfd){.fd = m->dial.status_fd, .events = POLLIN}
			 : (struct pollfd){.fd = m->fd, .events = POLLOUT};
}

static int connect_wait(struct log_remote *m)
{
	int rc = remote_connect(m);

	if (rc == 0 && m->connecting) {
		struct pollfd p = connect_poll(m);

		rc = poll(&p, 1, CONNECT_MS) == 1 ? connect_result(m) : -ETIMEDOUT;
		m->connecting = false;
	}
	if (rc < 0) {
		fd_close(&m->fd);
		log_dial_end(&m->dial, false);
	}
	return rc;
}

/* This machine's syslog, as syslog(3) finds it. */
static int local_syslog(struct log_remote *m)
{
	static const char *const places[] = {"unixgram:///dev/log",	   "unix:///dev/log",
					     "unixgram:///var/run/syslog", "unix:///var/run/syslog",
					     "unixgram:///var/run/log",	   "unix:///var/run/log"};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (log_address_parse(places[i], &m->to) == 0 && connect_wait(m) == 0)
			return 0;
	return -ENOENT;
}

/* Once: a server that moves is found at the container's next start. The helper that dials TLS asks
 * every time. */
static int syslog_resolve(struct log_remote *m)
{
	char number[INET6_ADDRSTRLEN];
	int rc = m->to.addr.ss_family == AF_UNSPEC ? resolve_host(m->tls.helper, m->to.host, number)
						   : 0;

	if (rc < 0)
		snprintf(m->why, sizeof m->why, "lookup %s: %s", m->to.host,
			 rc == -ENOENT ? "no such host" : strerrordesc_np(-rc));
	else if (m->to.addr.ss_family == AF_UNSPEC)
		rc = log_address_number(&m->to, number);
	return rc;
}

static int syslog_open(struct log_remote *m, const struct log_options *o, struct err *e)
{
	int rc;

	m->syslog = (struct log_syslog_head){
		.format = o->syslog, .facility = o->facility, .tag = m->tag, .host = m->host};
	if (gethostname(m->host, sizeof m->host - 1) < 0)
		memcpy(m->host, "localhost", sizeof "localhost");
	if (!o->address || !*o->address)
		return local_syslog(m) < 0 ? err_set(e, ERR_SYSTEM, "Unix syslog delivery error")
					   : 0;
	rc = log_address_parse(o->address, &m->to);
	if (rc == 0 && !m->to.tls && *m->to.host)
		rc = syslog_resolve(m);
	if (rc == 0)
		rc = connect_wait(m);
	if (rc < 0 && *m->why)
		return err_set(e, ERR_SYSTEM, "dial %s: %s", o->address, m->why);
	if (rc < 0)
		return err_sys(e, rc, "dial %s: connect", o->address);
	return 0;
}

static int journal_open(struct log_remote *m, const struct log_options *o, struct err *e)
{
	if (o->fields)
		for (size_t i = 0; i < o->fields->n; i++)
			log_journal_field(&m->fields, o->fields->v[i].k, o->fields->v[i].v,
					  strlen(o->fields->v[i].v));
	if (log_address_parse("unixgram://" LOG_JOURNAL_SOCKET, &m->to) < 0 || connect_wait(m) < 0)
		return err_set(e, ERR_SYSTEM, "journald is not enabled on this host");
	return 0;
}

int log_remote_open(const struct log_options *o, struct log_remote **ret, struct err *e)
{
	struct log_remote *m = NEW(struct log_remote);
	size_t limit = o->buffer > 0 ? (size_t)o->buffer : BUFFER_SIZE;
	int rc;

	*m = (struct log_remote){.kind = o->socket,
				 .fd = FD_NONE,
				 .dial = {.status_fd = FD_NONE, .helper = {.pidfd = FD_NONE}},
				 .tls = {.helper = xstrdup(o->tls.helper),
					 .ca = xstrdup(o->tls.ca),
					 .cert = xstrdup(o->tls.cert),
					 .key = xstrdup(o->tls.key),
					 .skip_verify = o->tls.skip_verify},
				 .hurry = o->non_blocking,
				 .limit = limit,
				 .notice = o->notice,
				 .ud = o->ud,
				 .tag = xstrdup(o->tag ? o->tag : ""),
				 .fields = BUF_INIT(MESSAGE_MAX),
				 .message = BUF_INIT(2 * MESSAGE_MAX),
				 .queue = BUF_INIT(limit + 4 * MESSAGE_MAX)};
	m->name = xasprintf("log target %s", m->kind == LOG_JOURNAL	 ? LOG_JOURNAL_SOCKET
					     : o->address && *o->address ? o->address
									 : "syslog");
	rc = m->kind == LOG_JOURNAL ? journal_open(m, o, e) : syslog_open(m, o, e);
	if (rc < 0) {
		log_remote_free(m);
		return -1;
	}
	*ret = m;
	return 0;
}

/* A datagram that is too large travels as a sealed file. */
static ssize_t send_memfd(struct log_remote *m, const char *p, size_t n)
{
	AUTO_FD int fd = memfd_create("coracle-log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct msghdr msg = {.msg_control = &control, .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	if (fd < 0 || write(fd, p, n) != (ssize_t)n ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return -1;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	return sendmsg(m->fd, &msg, MSG_NOSIGNAL) < 0 ? -1 : (ssize_t)n;
}

/* Send what is possible of one message: true when it is done with (sent, or impossible). */
static bool message_send(struct log_remote *m, const char *p, size_t n)
{
	while (m->fd >= 0) {
		ssize_t k = send(m->fd, p + m->sent, n - m->sent, MSG_NOSIGNAL);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0 && (errno == EMSGSIZE || errno == ENOBUFS) && m->to.type == SOCK_DGRAM) {
			if (m->kind == LOG_JOURNAL)
				k = send_memfd(m, p, n);
			if (k < 0 && (errno == EMSGSIZE || errno == ENOBUFS)) {
				m->lost++;
				return true;
			}
		}
		if (k < 0 && (errno == EAGAIN || errno == ENOTCONN))
			return false;
		if (k < 0 && errno == ECONNREFUSED && m->to.addr.ss_family != AF_UNIX &&
		    m->to.type == SOCK_DGRAM) {
			/* About an earlier datagram; UDP never tells when somebody listens again.
			 */
			if (!m->refused)
				tell(m, strerrordesc_np(ECONNREFUSED));
			m->refused = true;
			continue;
		}
		if (k < 0) {
			went_down(m, errno);
			return false;
		}
		m->sent += (size_t)k;
		if (m->to.type == SOCK_DGRAM || m->sent == n) {
			m->sent = 0;
			return true;
		}
	}
	return false;
}

static void queue_send(struct log_remote *m)
{
	uint32_t n;

	while (m->fd >= 0 && !m->connecting && m->head < m->queue.n) {
		memcpy(&n, m->queue.p + m->head, sizeof n);
		if (!message_send(m, m->queue.p + m->head + sizeof n, n))
			break;
		m->head += sizeof n + n;
	}
	/* Moved to the front now and then, not for every message. */
	if (m->head == m->queue.n) {
		buf_reset(&m->queue);
		m->head = 0;
	} else if (m->head > m->queue.n / 2) {
		buf_drop(&m->queue, m->head);
		m->head = 0;
	}
}

static bool remote_is_up(const struct log_remote *m)
{
	return m->fd >= 0 && !m->connecting;
}

bool log_remote_full(const struct log_remote *m)
{
	return !m->hurry && remote_is_up(m) && m->queue.n - m->head >= m->limit;
}

void log_remote_hurry(struct log_remote *m)
{
	m->hurry = true;
}

void log_remote_add(struct log_remote *m, const struct log_record *r)
{
	uint32_t n;

	buf_reset(&m->message);
	if (m->kind == LOG_JOURNAL)
		log_journal_encode(&m->fields, r, &m->message);
	else
		log_syslog_encode(&m->syslog, r, &m->message);
	if (m->message.overflow) {
		m->lost++;
		return;
	}
	if (m->queue.n == m->head && remote_is_up(m) && message_send(m, m->message.p, m->message.n))
		return;
	if (m->queue.n - m->head + m->message.n > m->limit && m->queue.n > m->head &&
	    (m->hurry || !remote_is_up(m))) {
		m->lost++;
		return;
	}
	if (m->queue.n + m->message.n + sizeof n > m->queue.max) {
		buf_drop(&m->queue, m->head);
		m->head = 0;
	}
	n = (uint32_t)m->message.n;
	buf_add(&m->queue, &n, sizeof n);
	buf_add(&m->queue, m->message.p, n);
}

bool log_remote_poll(const struct log_remote *m, struct pollfd *ret)
{
	bool waits = m->connecting || m->head < m->queue.n;

	/* A stream also tells when its other end has gone. */
	if (m->fd < 0 || (!waits && m->to.type == SOCK_DGRAM))
		return false;
	if (m->connecting) {
		*ret = connect_poll(m);
		return true;
	}
	*ret = (struct pollfd){.fd = m->fd, .events = waits ? POLLOUT : POLLRDHUP};
	return true;
}

int log_remote_timeout_ms(const struct log_remote *m, int64_t mono_ns)
{
	int64_t left = m->retry_at - mono_ns;

	if (m->fd >= 0)
		return -1;
	return left <= 0 ? 0 : (int)(left / 1000000) + 1;
}

/* The other end of a stream may close it while nothing is sent; nobody sends us anything. */
static void stream_check(struct log_remote *m)
{
	struct pollfd p = {.fd = m->fd, .events = POLLRDHUP};

	if (m->to.type == SOCK_STREAM && poll(&p, 1, 0) == 1 &&
	    (p.revents & (POLLRDHUP | POLLHUP | POLLERR)))
		went_down(m, ECONNRESET);
}

void log_remote_serve(struct log_remote *m)
{
	int rc = 0;

	if (m->fd < 0) {
		if (clock_mono_ns() < m->retry_at)
			return;
		rc = remote_connect(m);
	} else if (m->connecting) {
		struct pollfd p = connect_poll(m);

		if (poll(&p, 1, 0) != 1)
			return;
		rc = connect_result(m);
		if (rc == -EAGAIN)
			return;
		m->connecting = false;
	}
	if (rc < 0) {
		went_down(m, -rc);
		return;
	}
	if (m->connecting)
		return;
	stream_check(m);
	if (m->fd >= 0 && m->down_told)
		came_up(m);
	queue_send(m);
}

void log_remote_trim(struct log_remote *m)
{
	buf_done(&m->message);
	if (m->head == m->queue.n)
		buf_done(&m->queue);
}

void log_remote_free(struct log_remote *m)
{
	if (!m)
		return;
	bool up = remote_is_up(m);

	fd_close(&m->fd);
	log_dial_end(&m->dial, up);
	free((void *)(uintptr_t)m->tls.helper);
	free((void *)(uintptr_t)m->tls.ca);
	free((void *)(uintptr_t)m->tls.cert);
	free((void *)(uintptr_t)m->tls.key);
	buf_done(&m->queue);
	buf_done(&m->fields);
	buf_done(&m->message);
	free(m->name);
	free(m->tag);
	free(m);
}
