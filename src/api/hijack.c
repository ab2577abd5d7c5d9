/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hijacked connections. A client that asked for an upgrade gets 101 and its raw socket goes on as a
 * duplicate; libmicrohttpd then closes its own descriptor without shutdown(2), which leaves the
 * duplicate's connection alone. A client that did not ask (old "plain hijack") cannot be served
 * that way by libmicrohttpd: it gets 200 and the output as a chunked body through a socket pair,
 * and no input (docs/adr/0006-http-server.md).
 */
#include "api/server-priv.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/banned.h"

static void on_upgraded(void *cls, struct MHD_Connection *conn, void *con_cls, const char *extra,
			size_t n, MHD_socket sock, struct MHD_UpgradeResponseHandle *urh)
{
	struct request *r = cls;
	int fd = fcntl(sock, F_DUPFD_CLOEXEC, 3);

	if (fd >= 0) {
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		r->hijack(&r->pub, fd, extra, n);
	}
	r->urh = urh;
	list_add_tail(&r->server->upgraded, &r->upgraded);
}

/* ---- clients without upgrade ---- */

static void relay_start(struct request *r, const char *content_type)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
		api_reply_message(&r->pub, 500, "cannot relay the stream: %s", strerror(errno));
		return;
	}
	shutdown(fds[0], SHUT_WR); /* no input from this client */
	api_stream_start(&r->pub, 200, content_type);
	api_stream_from_fd(&r->pub, fds[0], content_type, NULL);
	r->hijack(&r->pub, fds[1], "", 0);
}

static bool wants_upgrade(const struct request *r)
{
	const char *upgrade = api_header(&r->pub, "Upgrade");

	return upgrade && strcasecmp(upgrade, "tcp") == 0;
}

void api_hijack(struct api_request *p, const char *content_type, api_hijack_fn fn)
{
	struct request *r = request_of(p);

	r->hijack = fn;
	if (!wants_upgrade(r)) {
		relay_start(r, content_type);
		return;
	}
	struct MHD_Response *response = MHD_create_response_for_upgrade(on_upgraded, r);
	MHD_add_response_header(response, "Upgrade", "tcp");
	MHD_add_response_header(response, "Content-Type", content_type);
	request_answer(r, MHD_HTTP_SWITCHING_PROTOCOLS, response);
}
