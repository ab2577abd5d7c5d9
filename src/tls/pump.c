/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copying of one connection. Each half has one buffer that must drain before more is read, so a
 * slow reader stops its writer. A half-close travels both ways: close_notify becomes
 * shutdown(SHUT_WR) and the other way round.
 */
#include "base/mem.h"
#include "tls/pump-priv.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/banned.h"

int tls_error(struct err *e, const char *what)
{
	unsigned long code = ERR_get_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return err_set(e, ERR_REMOTE, "%s: %s", what, reason ? reason : "the connection broke");
}

struct pump *pump_new(SSL_CTX *ctx, int net_fd, bool server)
{
	struct pump *p = NEW(struct pump);

	p->net = net_fd;
	p->plain = FD_NONE;
	p->ssl = SSL_new(ctx);
	if (!p->ssl || SSL_set_fd(p->ssl, net_fd) != 1) {
		pump_free(p);
		return NULL;
	}
	if (server)
		SSL_set_accept_state(p->ssl);
	else
		SSL_set_connect_state(p->ssl);
	return p;
}

void pump_free(struct pump *p)
{
	if (!p)
		return;
	SSL_free(p->ssl);
	fd_close(&p->net);
	fd_close(&p->plain);
	free(p);
}

/* After a call into OpenSSL that did not finish: 0 wait, 1 the peer ended its half, -1 broken. */
static int ssl_outcome(struct pump *p, int rc)
{
	switch (SSL_get_error(p->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		p->net_events |= POLLIN;
		return 0;
	case SSL_ERROR_WANT_WRITE:
		p->net_events |= POLLOUT;
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		return 1;
	default:
		return -1;
	}
}

static int handshake(struct pump *p, struct err *e)
{
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(p->ssl);
	if (rc == 1) {
		p->ready = true;
		return 1;
	}
	if (ssl_outcome(p, rc) == 0)
		return 0;
	long verdict = SSL_get_verify_result(p->ssl);
	if (verdict != X509_V_OK) {
		ERR_clear_error();
		return err_set(e, ERR_DENIED, "TLS handshake: %s",
			       X509_verify_cert_error_string(verdict));
	}
	return tls_error(e, "TLS handshake");
}

/* From the net: 1 progress, 0 wait, -1 broken. */
static int read_net(struct pump *p)
{
	int rc;

	if (p->in.n || p->in.eof)
		return 0;
	ERR_clear_error();
	rc = SSL_read(p->ssl, p->in.data, PUMP_CHUNK);
	if (rc > 0) {
		p->in.n = (size_t)rc;
		return 1;
	}
	rc = ssl_outcome(p, rc);
	p->in.eof = rc == 1;
	return rc;
}

static int write_plain(struct pump *p)
{
	ssize_t n;

	if (p->in.at == p->in.n) {
		if (!p->in.eof || p->in.closed)
			return 0;
		shutdown(p->plain, SHUT_WR);
		p->in.closed = true;
		return 1;
	}
	n = send(p->plain, p->in.data + p->in.at, p->in.n - p->in.at, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		p->plain_events |= POLLOUT;
		return 0;
	}
	if (n < 0)
		return -1;
	p->in.at += (size_t)n;
	if (p->in.at == p->in.n)
		p->in.at = p->in.n = 0;
	return 1;
}

static int read_plain(struct pump *p)
{
	ssize_t n;

	if (p->out.n || p->out.eof)
		return 0;
	n = recv(p->plain, p->out.data, PUMP_CHUNK, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		p->plain_events |= POLLIN;
		return 0;
	}
	if (n < 0)
		return -1;
	p->out.n = (size_t)n;
	p->out.eof = n == 0;
	return 1;
}

static int write_net(struct pump *p)
{
	int rc;

	if (p->out.at == p->out.n) {
		if (!p->out.eof || p->out.closed)
			return 0;
		ERR_clear_error();
		rc = SSL_shutdown(p->ssl);
		p->out.closed = rc >= 0 || ssl_outcome(p, rc) != 0;
		return p->out.closed;
	}
	ERR_clear_error();
	rc = SSL_write(p->ssl, p->out.data + p->out.at, (int)(p->out.n - p->out.at));
	if (rc <= 0)
		return ssl_outcome(p, rc) == 0 ? 0 : -1;
	p->out.at += (size_t)rc;
	if (p->out.at == p->out.n)
		p->out.at = p->out.n = 0;
	return 1;
}

/* After its close_notify: a half-close keeps the connection, an end closes that too. */
static bool peer_left(const struct pump *p)
{
	struct pollfd f = {.fd = p->net, .events = POLLRDHUP};

	return poll(&f, 1, 0) > 0;
}

enum pump_state pump_run(struct pump *p, struct err *e)
{
	static int (*const steps[])(struct pump *) = {read_net, write_plain, read_plain, write_net};
	int moved = 1;

	p->net_events = p->plain_events = 0;
	if (!p->ready) {
		int rc = handshake(p, e);

		return rc > 0 ? PUMP_READY : rc < 0 ? PUMP_FAILED : PUMP_MORE;
	}
	/* Some rounds, so that one busy connection does not starve the others. */
	for (int round = 0; moved && round < 16; round++) {
		moved = 0;
		p->net_events = p->plain_events = 0;
		for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
			int rc = steps[i](p);

			if (rc < 0)
				return PUMP_DONE;
			moved |= rc;
		}
	}
	if (p->in.closed && (p->out.closed || peer_left(p)))
		return PUMP_DONE;
	if (p->in.closed)
		p->net_events |= POLLRDHUP;
	if (moved) { /* the rounds are used up: come back at once */
		p->net_events |= POLLOUT;
		p->plain_events |= p->in.n ? POLLOUT : 0;
	}
	return PUMP_MORE;
}
