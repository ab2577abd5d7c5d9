/* SPDX-License-Identifier: Apache-2.0 */
/* The side of the command line: connect, check the server's name, copy. */
#include "tls/tls.h"

#include "base/mem.h"
#include "tls/pump-priv.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include "base/banned.h"

static int connect_tcp(const char *host, const char *port, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	int one = 1, fd = FD_NONE, rc = getaddrinfo(host, port, &hints, &list);

	if (rc)
		return err_set(e, ERR_UNAVAILABLE, "lookup %s: %s", host, gai_strerror(rc));
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) < 0)
			fd_close(&fd);
	}
	rc = -errno;
	freeaddrinfo(list);
	if (fd < 0)
		return err_sys(e, rc, "dial tcp %s:%s", host, port);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	return fd;
}

static int expect_name(SSL *ssl, const char *host, struct err *e)
{
	unsigned char ip[16];
	bool numeric = inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;

	if (numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) != 1
		    : SSL_set1_host(ssl, host) != 1)
		return tls_error(e, "server name");
	/* The index and not the macro: it casts away const. */
	if (!numeric && SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
				 (void *)(uintptr_t)host) != 1)
		return tls_error(e, "server name");
	return 0;
}

static int copy(struct pump *p, int plain, void (*ready)(void *ud), void *ud, struct err *e)
{
	for (;;) {
		enum pump_state st = pump_run(p, e);

		if (st == PUMP_FAILED)
			return -1;
		if (st == PUMP_DONE)
			return 0;
		if (st == PUMP_READY) {
			p->plain = plain;
			ready(ud);
			continue;
		}
		struct pollfd f[] = {
			{.fd = p->net_events ? p->net : -1, .events = p->net_events},
			{.fd = p->plain_events ? p->plain : -1, .events = p->plain_events}};
		poll(f, 2, -1);
	}
}

int tls_dial(const char *host, const char *port, int plain_fd, const struct tls_files *f,
	     void (*ready)(void *ud), void *ud, struct err *e)
{
	SSL_CTX *ctx = tls_context(f, false, e);
	int net = ctx ? connect_tcp(host, port, e) : -1, rc = -1;
	struct pump *p = net >= 0 ? pump_new(ctx, net, false) : NULL;

	if (p && (!f->verify || expect_name(p->ssl, host, e) == 0)) {
		if (fcntl(net, F_SETFL, O_NONBLOCK) < 0 || fcntl(plain_fd, F_SETFL, O_NONBLOCK) < 0)
			err_sys(e, -errno, "sockets");
		else
			rc = copy(p, plain_fd, ready, ud, e);
	}
	if (!p || p->plain < 0)
		fd_close(&plain_fd);
	pump_free(p);
	SSL_CTX_free(ctx);
	return rc;
}
