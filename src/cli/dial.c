/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that are not a unix socket: TCP, TLS by coracle-tls, SSH by the user's ssh and
 * `coracle system dial-stdio` over there. Helpers get one end of a socket pair as their standard
 * input and output; what the caller sees is always a stream socket.
 */
#include "cli/endpoint.h"

#include "base/buf.h"
#include "base/mem.h"
#include "sys/fs.h"
#include "sys/spawn.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/banned.h"

#define ARGS_MAX 24

static int dial_tcp(const struct endpoint *p, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	char port[8];
	int fd = FD_NONE, one = 1;

	snprintf(port, sizeof(port), "%u", p->addr.port);
	int rc = getaddrinfo(p->addr.host[0] ? p->addr.host : "127.0.0.1", port, &hints, &list);
	if (rc)
		return err_set(e, ERR_UNAVAILABLE, "error during connect: lookup %s: %s",
			       p->addr.host, gai_strerror(rc));
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) < 0)
			fd_close(&fd);
	}
	freeaddrinfo(list);
	if (fd < 0)
		return err_set(e, ERR_UNAVAILABLE,
			       "Cannot connect to the coracle engine at %s. Is the engine running?",
			       p->host);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* Start a program with the other end of the socket returned; status >= 0 becomes its descriptor 3.
 */
static int start(const char *path, const char *const *argv, int status, struct err *e)
{
	struct process proc = {.pidfd = FD_NONE};
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(e, -errno, "socketpair");
	const struct spawn_fd fds[] = {{ends[1], 0}, {ends[1], 1}, {2, 2}, {status, 3}};
	/* A session of its own: Ctrl-C is for the command, which has it forwarded. */
	struct spawn s = {.path = path,
			  .argv = argv,
			  .fds = fds,
			  .nfds = status >= 0 ? 4 : 3,
			  .new_session = true,
			  .die_with_parent = true};
	int rc = spawn_start(&s, &proc);
	close(ends[1]);
	fd_close(&proc.pidfd);
	if (rc < 0) {
		close(ends[0]);
		return err_sys(e, rc, "start %s", path);
	}
	return ends[0];
}

/* ---- TLS ---- */

static int dial_tls(const struct endpoint *p, struct err *e)
{
	AUTO_FREE char *dir = fs_program_dir();
	AUTO_FREE char *program = xasprintf("%s/coracle-tls", dir ? dir : "/usr/bin");
	AUTO_BUF struct buf why = BUF_INIT(ERR_TEXT_MAX);
	const char *argv[ARGS_MAX] = {program, "dial"};
	char port[8];
	size_t n = 2;
	int status[2];

	snprintf(port, sizeof(port), "%u", p->addr.port);
	const char *const options[][2] = {
		{"--ca", p->verify ? p->ca : NULL}, {"--cert", p->cert}, {"--key", p->key}};
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (!options[i][1])
			continue;
		argv[n++] = options[i][0];
		argv[n++] = options[i][1];
	}
	if (p->verify)
		argv[n++] = "--verify";
	argv[n++] = p->addr.host[0] ? p->addr.host : "127.0.0.1";
	argv[n++] = port;
	if (pipe2(status, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	AUTO_FD int reader = status[0];
	AUTO_FD int writer = status[1];
	AUTO_FD int fd = start(program, argv, writer, e);
	if (fd < 0)
		return -1;
	fd_close(&writer);
	/* Until the handshake is done, or the reason why not. */
	int rc = fs_read_fd(reader, &why);
	if (rc < 0)
		return err_sys(e, rc, "wait for the TLS connection");
	if (why.n)
		return err_set(e, ERR_UNAVAILABLE, "error during connect: %s", buf_text(&why));
	return TAKE_FD(fd);
}

/* ---- SSH ---- */

/* The remote shell sees one word. */
static void quote(struct buf *b, const char *word)
{
	buf_addc(b, '\'');
	for (; *word; word++) {
		if (*word == '\'')
			buf_adds(b, "'\\''");
		else
			buf_addc(b, *word);
	}
	buf_addc(b, '\'');
}

static int dial_ssh(const struct endpoint *p, struct err *e)
{
	AUTO_FREE char *ssh = spawn_find("ssh");
	AUTO_BUF struct buf command = BUF_INIT(4096);
	const char *argv[ARGS_MAX] = {ssh, "-o", "ConnectTimeout=30", "-T"};
	char port[8];
	size_t n = 4;

	if (!ssh)
		return err_set(e, ERR_NOT_FOUND,
			       "error during connect: ssh is not installed, and %s needs it",
			       p->host);
	if (p->addr.user[0]) {
		argv[n++] = "-l";
		argv[n++] = p->addr.user;
	}
	if (p->addr.port) {
		snprintf(port, sizeof(port), "%u", p->addr.port);
		argv[n++] = "-p";
		argv[n++] = port;
	}
	argv[n++] = "--";
	argv[n++] = p->addr.host;
	buf_adds(&command, "coracle ");
	if (p->addr.path[0]) {
		AUTO_FREE char *host = xasprintf("unix://%s", p->addr.path);

		buf_adds(&command, "--host ");
		quote(&command, host);
		buf_addc(&command, ' ');
	}
	buf_adds(&command, "system dial-stdio");
	argv[n++] = buf_text(&command);
	return start(ssh, argv, -1, e);
}

int endpoint_dial(const struct endpoint *p, struct err *e)
{
	if (p->addr.kind == HOSTADDR_SSH)
		return dial_ssh(p, e);
	return p->tls ? dial_tls(p, e) : dial_tcp(p, e);
}
