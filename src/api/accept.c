/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients come in here instead of in libmicrohttpd: after a lack of descriptors or memory that one
 * takes no more clients until one of those it has leaves, and even then not before something else
 * wakes it. Here the lack ends with a timer, and the limit of clients with the next that leaves.
 */
#include "api/server-priv.h"
#include "base/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/banned.h"

#define AT_ONCE	 64  /* clients per turn of the loop: others want their turn too */
#define AGAIN_MS 100 /* after a lack of descriptors or memory */

static void on_client(uv_poll_t *p, int status, int events);

static void listen_on(struct api_daemon *d)
{
	uv_poll_start(&d->listen, UV_READABLE, on_client);
}

static void on_again(uv_timer_t *t)
{
	listen_on(CONTAINER_OF(t, struct api_daemon, again));
}

static void lack(struct api_daemon *d, int error)
{
	if (!d->lacking)
		log_warn("no more clients can be taken for now: %s", strerrordesc_np(error));
	d->lacking = true;
	uv_poll_stop(&d->listen);
	uv_timer_start(&d->again, on_again, AGAIN_MS, 0);
}

static void on_client(uv_poll_t *p, int status, int events)
{
	struct api_daemon *d = CONTAINER_OF(p, struct api_daemon, listen);
	struct sockaddr_storage sa;
	size_t taken = 0;

	for (; taken < AT_ONCE; taken++) {
		socklen_t n = sizeof sa;
		int fd;

		if (d->server->connections >= API_CONNECTIONS_MAX) {
			uv_poll_stop(&d->listen); /* accept_freed() goes on */
			break;
		}
		fd = accept4(d->fd, (struct sockaddr *)&sa, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			    errno == ENOBUFS)
				lack(d, errno);
			break; /* anything else is that client's matter, or there is none */
		}
		d->lacking = false;
		/* Closes it when it fails. */
		if (MHD_add_connection(d->mhd, fd, (struct sockaddr *)&sa, n) != MHD_YES)
			log_warn("a client could not be taken: %s", strerrordesc_np(errno));
	}
	if (taken > 0)
		server_run(d);
}

void accept_freed(struct api_server *s)
{
	for (size_t i = 0; i < s->ndaemons && !s->stopping; i++)
		if (!s->daemons[i].lacking)
			listen_on(&s->daemons[i]);
}

int accept_start(struct api_daemon *d, int fd)
{
	int flags = fcntl(fd, F_GETFL), rc;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	rc = uv_poll_init(d->server->config.loop, &d->listen, fd);
	if (rc < 0)
		return rc;
	d->fd = fd;
	listen_on(d);
	return 0;
}
