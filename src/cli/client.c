/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to the engine: unix stream sockets, blocking, kept alive between requests. */
#include "cli/cli.h"

#include "sys/fs.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/banned.h"

int client_locate(struct cli *c, struct err *e)
{
	static const struct opts none;

	if (c->ep.host)
		return 0;
	if (endpoint_find(c->global ? c->global : &none, &c->ep, e) < 0) {
		endpoint_done(&c->ep);
		return -1;
	}
	c->socket = c->ep.addr.kind == HOSTADDR_UNIX ? c->ep.addr.path : NULL;
	return 0;
}

static void conn_reset(struct conn *k, int fd)
{
	if (!k->buf)
		k->buf = xmalloc(CONN_BUF);
	k->fd = fd;
	k->pos = k->n = 0;
	http1_init(&k->h);
}

int conn_open(struct cli *c, struct conn *k, struct err *e)
{
	if (c->spare >= 0) {
		conn_reset(k, TAKE_FD(c->spare));
		return 0;
	}
	if (client_locate(c, e) < 0)
		return -1;
	if (!c->socket) {
		int far = endpoint_dial(&c->ep, e);

		if (far >= 0)
			conn_reset(k, far);
		return far < 0 ? -1 : 0;
	}
	int fd = fs_unix_connect(c->socket, SOCK_STREAM);
	if ((fd == -ENOENT || fd == -ECONNREFUSED || fd == -ENOTDIR) && c->ep.ours) {
		if (autostart(c, e) < 0)
			return -1;
		fd = fs_unix_connect(c->socket, SOCK_STREAM);
	}
	if (fd == -EACCES)
		return err_set(e, ERR_DENIED,
			       "permission denied while trying to connect to the coracle engine "
			       "socket at unix://%s",
			       c->socket);
	if (fd < 0)
		return err_set(e, ERR_UNAVAILABLE,
			       "Cannot connect to the coracle engine at unix://%s. Is the engine "
			       "running?",
			       c->socket);
	conn_reset(k, fd);
	return 0;
}

void conn_close(struct cli *c, struct conn *k)
{
	bool clean = k->fd >= 0 && http1_done(&k->h) && k->h.keep_alive && k->pos == k->n;

	if (clean && c->spare < 0)
		c->spare = TAKE_FD(k->fd);
	fd_close(&k->fd);
	free(k->buf);
	k->buf = NULL;
}

static int send_all(int fd, struct iovec *iov, int n, struct err *e)
{
	while (n > 0) {
		struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};
		ssize_t w = sendmsg(fd, &m, MSG_NOSIGNAL);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return err_sys(e, -errno, "write to the engine");
		size_t left = (size_t)w;
		while (n > 0 && left >= iov->iov_len) {
			left -= iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + left;
			iov->iov_len -= left;
		}
	}
	return 0;
}

static void *unconst(const void *p)
{
	union {
		const void *in;
		void *out;
	} u = {.in = p};
	return u.out;
}

int conn_send(struct conn *k, const char *method, const char *path, const char *extra,
	      const char *type, const void *body, size_t n, struct err *e)
{
	AUTO_BUF struct buf head = BUF_INIT(1U << 20);

	buf_addf(&head,
		 "%s %s HTTP/1.1\r\nHost: docker\r\nUser-Agent: coracle/" CORACLE_VERSION "\r\n%s",
		 method, path, extra ? extra : "");
	if (type)
		buf_addf(&head, "Content-Type: %s\r\n", type);
	if (body || (!strcmp(method, "POST") && (!extra || !strstr(extra, "chunked"))))
		buf_addf(&head, "Content-Length: %zu\r\n", n);
	buf_adds(&head, "\r\n");
	if (head.overflow)
		return err_set(e, ERR_LIMIT, "request line is too long");
	http1_init(&k->h);
	k->h.head_request = !strcmp(method, "HEAD");
	struct iovec iov[2] = {{head.p, head.n}, {unconst(body), n}};
	return send_all(k->fd, iov, body ? 2 : 1, e);
}

int conn_send_chunk(struct conn *k, const void *p, size_t n, struct err *e)
{
	char size[24];
	struct iovec iov[3];

	int len = snprintf(size, sizeof size, "%zx\r\n", n);
	iov[0] = (struct iovec){size, (size_t)len};
	iov[1] = (struct iovec){unconst(p), n};
	iov[2] = (struct iovec){unconst("\r\n"), 2};
	k->sent += n;
	return send_all(k->fd, iov, 3, e);
}

/* More bytes into the empty buffer: > 0, 0 at the end of the connection, -1. */
static ssize_t fill(struct conn *k, struct err *e)
{
	ssize_t r;

	do
		r = read(k->fd, k->buf, CONN_BUF);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_sys(e, -errno, "read from the engine");
	k->pos = 0;
	k->n = (size_t)r;
	return r;
}

static int broken(struct err *e)
{
	return err_set(e, ERR_REMOTE, "the engine's answer is not valid HTTP");
}

int conn_head(struct conn *k, struct err *e)
{
	while (!k->h.headers_done) {
		const char *body;
		size_t n;

		if (k->pos == k->n) {
			ssize_t r = fill(k, e);
			if (r < 0)
				return -1;
			if (r == 0)
				return err_set(e, ERR_UNAVAILABLE,
					       "the engine closed the connection (unexpected EOF)");
		}
		/* line by line, so that no body byte is consumed here */
		char *end = memchr(k->buf + k->pos, '\n', k->n - k->pos);
		size_t part = end ? (size_t)(end + 1 - (k->buf + k->pos)) : k->n - k->pos;
		ssize_t used = http1_feed(&k->h, k->buf + k->pos, part, &body, &n);
		if (used < 0)
			return broken(e);
		k->pos += (size_t)used;
	}
	return 0;
}

ssize_t conn_read(struct conn *k, const char **ret, struct err *e)
{
	if (conn_head(k, e) < 0)
		return -1;
	while (!http1_done(&k->h)) {
		size_t n;

		if (k->pos == k->n) {
			ssize_t r = fill(k, e);
			if (r < 0)
				return -1;
			if (r == 0)
				return http1_eof(&k->h) < 0
					       ? err_set(e, ERR_UNAVAILABLE, "unexpected EOF")
					       : 0;
		}
		ssize_t used = http1_feed(&k->h, k->buf + k->pos, k->n - k->pos, ret, &n);
		if (used < 0)
			return broken(e);
		k->pos += (size_t)used;
		if (n) {
			k->got += n;
			return (ssize_t)n;
		}
	}
	return 0;
}

int conn_body(struct conn *k, struct buf *out, struct err *e)
{
	const char *p;
	ssize_t n;

	while ((n = conn_read(k, &p, e)) > 0)
		buf_add(out, p, (size_t)n);
	if (n == 0 && out->overflow)
		return err_set(e, ERR_LIMIT, "the engine's answer is too large");
	return (int)n;
}

int conn_lines(struct conn *k, conn_line_fn fn, void *ud, struct err *e)
{
	AUTO_BUF struct buf pending = BUF_INIT(16U << 20);
	const char *data;
	ssize_t n;

	while ((n = conn_read(k, &data, e)) > 0) {
		char *nl;

		buf_add(&pending, data, (size_t)n);
		while (pending.n && (nl = memchr(pending.p, '\n', pending.n))) {
			size_t len = (size_t)(nl - pending.p);
			size_t text = len && pending.p[len - 1] == '\r' ? len - 1 : len;

			if (text && fn(ud, pending.p, text, e) < 0)
				return -1;
			buf_drop(&pending, len + 1);
		}
	}
	if (n == 0 && pending.n)
		return fn(ud, pending.p, pending.n, e);
	return (int)n;
}

static enum err_kind kind_of_status(int status)
{
	switch (status) {
	case 400:
		return ERR_INVALID;
	case 401:
		return ERR_UNAUTHORIZED;
	case 403:
		return ERR_DENIED;
	case 404:
		return ERR_NOT_FOUND;
	case 409:
		return ERR_CONFLICT;
	case 501:
		return ERR_UNSUPPORTED;
	default:
		return ERR_REMOTE;
	}
}

static int error_from(int status, const struct buf *body, struct err *e)
{
	AUTO(json) struct json *j = NULL;
	struct err ignored = ERR_INIT;
	const char *text = NULL;

	if (json_parse(buf_text(body), body->n, &j, &ignored) == 0)
		text = json_str(json_get(j, "message"));
	if (!text)
		text = body->n ? buf_text(body) : NULL;
	if (!text)
		return err_set(e, kind_of_status(status),
			       "request returned status %d for the API route", status);
	return err_set(e, kind_of_status(status), "Error response from daemon: %s", text);
}

int conn_check(struct conn *k, struct err *e)
{
	AUTO_BUF struct buf body = BUF_INIT(1U << 20);

	if (conn_head(k, e) < 0)
		return -1;
	if (k->h.status < 400)
		return 0;
	if (conn_body(k, &body, e) < 0)
		return -1;
	while (body.n && body.p[body.n - 1] == '\n')
		body.p[--body.n] = 0;
	return error_from(k->h.status, &body, e);
}

void reply_done(struct reply *r)
{
	buf_done(&r->body);
}

int client_call_with(struct cli *c, const char *method, const char *path, const char *extra,
		     const char *body, struct reply *ret, struct err *e)
{
	struct conn k = CONN_INIT;
	int rc = -1;

	buf_reset(&ret->body);
	if (conn_open(c, &k, e) < 0)
		return -1;
	if (conn_send(&k, method, path, extra, body ? "application/json" : NULL, body,
		      body ? strlen(body) : 0, e) == 0 &&
	    conn_check(&k, e) == 0 && conn_body(&k, &ret->body, e) == 0) {
		ret->status = k.h.status;
		memcpy(ret->api_version, k.h.api_version, sizeof ret->api_version);
		rc = 0;
	}
	conn_close(c, &k);
	return rc;
}

int client_call(struct cli *c, const char *method, const char *path, const char *body,
		struct reply *ret, struct err *e)
{
	return client_call_with(c, method, path, NULL, body, ret, e);
}

int client_json(struct cli *c, const char *method, const char *path, const char *body,
		struct json **ret, struct err *e)
{
	AUTO_REPLY struct reply r = REPLY_INIT;

	if (client_call(c, method, path, body, &r, e) < 0)
		return -1;
	return json_parse(buf_text(&r.body), r.body.n, ret, e);
}

static void escape(struct buf *b, const char *s, const char *keep)
{
	for (; *s; s++) {
		unsigned char ch = (unsigned char)*s;
		if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
		    (ch >= '0' && ch <= '9') || strchr(keep, ch))
			buf_addc(b, *s);
		else
			buf_addf(b, "%%%02X", ch);
	}
}

void url_escape(struct buf *b, const char *s)
{
	escape(b, s, "-_.~");
}

void url_segment(struct buf *b, const char *s)
{
	escape(b, s, "-_.~/:@");
}

char *url_path(const char *fmt, const char *segment)
{
	struct buf b = BUF_INIT(1U << 16);
	const char *at = strstr(fmt, "%s");

	ASSERT(at);
	buf_add(&b, fmt, (size_t)(at - fmt));
	url_segment(&b, segment);
	buf_adds(&b, at + 2);
	return buf_take(&b);
}

void url_query(struct buf *b, const char *key, const char *value)
{
	buf_addc(b, strchr(buf_text(b), '?') ? '&' : '?');
	url_escape(b, key);
	buf_addc(b, '=');
	url_escape(b, value);
}

void url_platform(struct buf *b, const char *key, const char *platform)
{
	static const char *const keys[] = {"os", "architecture", "variant"};
	AUTO_BUF struct buf text = BUF_INIT(4096);
	struct jw w = JW_INIT(&text);
	struct str rest = str_of(platform), part;

	if (!strchr(platform, '/')) { /* half of it: the engine knows the other */
		url_query(b, key, platform);
		return;
	}
	jw_obj(&w);
	for (size_t i = 0; i < ARRAY_SIZE(keys) && str_cut(&rest, '/', &part); i++) {
		jw_key(&w, keys[i]);
		jw_strn(&w, part.p, part.n);
	}
	jw_obj_end(&w);
	url_query(b, key, buf_text(&text));
}
