/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets. A tcp:// socket with TLS belongs to a helper, coracle-tls, that hands its
 * clients to a private unix socket of the engine; so every socket that the API server sees is
 * plain.
 */
#include "listen.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "sys/fs.h"
#include "wire/hostaddr.h"

#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/banned.h"

#define LISTEN_FDS_START 3
#define BACKLOG		 512
#define PORT_PLAIN	 2375
#define PORT_TLS	 2376
#define GROUP_DEFAULT	 "coracle"

/* Sockets systemd opened for us. */
static void inherit(struct listeners *l)
{
	const char *pid = secure_getenv("LISTEN_PID"), *count = secure_getenv("LISTEN_FDS");
	uint64_t p, n = 0;

	if (pid && count && num_parse_u64(pid, 1, INT32_MAX, &p) == 0 && (pid_t)p == getpid() &&
	    num_parse_u64(count, 1, LISTEN_MAX, &n) == 0) {
		for (uint64_t i = 0; i < n; i++) {
			l->fds[l->n] = LISTEN_FDS_START + (int)i;
			fcntl(l->fds[l->n++], F_SETFD, FD_CLOEXEC);
		}
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

/* The default group may be missing, one that was named must not. */
static int set_group(const char *path, const char *name, struct err *e)
{
	bool given = name && *name;
	uint64_t number;
	gid_t gid;

	if (given && num_parse_u64(name, 0, UINT32_MAX - 1, &number) == 0) {
		gid = (gid_t)number;
	} else {
		char space[4096];
		struct group entry, *found = NULL;

		getgrnam_r(given ? name : GROUP_DEFAULT, &entry, space, sizeof(space), &found);
		if (!found)
			return given ? err_set(e, ERR_INVALID, "group %s not found", name) : 0;
		gid = found->gr_gid;
	}
	if (chown(path, 0, gid) < 0)
		return err_sys(e, -errno, "change the group of %s", path);
	return 0;
}

static int listen_unix(struct listeners *l, const char *path, const char *group, struct err *e)
{
	AUTO_FREE char *dir = xstrdup(path);
	char *slash = strrchr(dir, '/');
	int fd;

	if (slash && slash != dir) {
		*slash = 0;
		fs_mkdirs(dir, 0711);
	}
	unlink(path);
	fd = fs_unix_listen(path, SOCK_STREAM, BACKLOG, group ? 0660 : 0600);
	if (fd < 0)
		return err_sys(e, fd, "listen on %s", path);
	l->fds[l->n++] = fd;
	l->paths[l->npaths++] = xstrdup(path);
	return group ? set_group(path, group, e) : 0;
}

static int bind_tcp(const struct hostaddr *a, unsigned port, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
	char number[8];
	int fd = FD_NONE, one = 1, rc;

	snprintf(number, sizeof(number), "%u", port);
	rc = getaddrinfo(a->host[0] ? a->host : "127.0.0.1", number, &hints, &list);
	if (rc)
		return err_set(e, ERR_INVALID, "listen tcp: lookup %s: %s", a->host,
			       gai_strerror(rc));
	rc = 0;
	fd = socket(list->ai_family, list->ai_socktype | SOCK_CLOEXEC, list->ai_protocol);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, list->ai_addr, list->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		rc = -errno;
	freeaddrinfo(list);
	if (rc < 0) {
		fd_close(&fd);
		return err_sys(e, rc, "listen tcp %s:%u", a->host, port);
	}
	return fd;
}

/*
 * The socket behind a helper. The helper runs as nobody, so everyone may write to it; only root
 * gets through the folder it is in, and the helper by a descriptor it opened as root.
 */
static int listen_inner(struct listeners *l, const struct config *c, char **ret, struct err *e)
{
	AUTO_FREE char *dir = xasprintf("%s/tls", c->exec_root);
	int rc = fs_mkdirs(dir, 0700);

	if (rc == 0 && chmod(dir, 0700) < 0)
		rc = -errno;
	if (rc < 0)
		return err_sys(e, rc, "make %s", dir);
	*ret = xasprintf("%s/%zu.sock", dir, l->nhelpers);
	rc = listen_unix(l, *ret, NULL, e);
	if (rc == 0 && chmod(*ret, 0666) < 0)
		rc = err_sys(e, -errno, "change the mode of %s", *ret);
	return rc;
}

static int listen_tcp(struct listeners *l, const struct config *c, const struct hostaddr *a,
		      const char *program_dir, struct err *e)
{
	bool tls = c->tls > 0;
	unsigned port = a->port ? a->port : tls ? PORT_TLS : PORT_PLAIN;
	AUTO_FREE char *program = xasprintf("%s/coracle-tls", program_dir);
	AUTO_FREE char *inner = NULL;
	int fd, rc;

	fd = bind_tcp(a, port, e);
	if (fd < 0)
		return -1;
	if (!tls) {
		log_warn("the API is reachable on tcp://%s:%u without encryption and without any "
			 "check of who asks: everyone who reaches it is root on this machine",
			 a->host[0] ? a->host : "127.0.0.1", port);
		l->fds[l->n++] = fd;
		return 0;
	}
	if (c->tlsverify <= 0)
		log_warn("the API is reachable on tcp://%s:%u without a check of who asks: set "
			 "tlsverify",
			 a->host[0] ? a->host : "127.0.0.1", port);
	rc = listen_inner(l, c, &inner, e);
	if (rc < 0) {
		fd_close(&fd);
		return rc;
	}
	const struct tls_helper_options o = {.program = program,
					     .target = inner,
					     .cert = c->tlscert,
					     .key = c->tlskey,
					     .ca = c->tlsverify > 0 ? c->tlscacert : NULL,
					     .listener = fd};
	return tls_helper_start(&l->helpers[l->nhelpers++], &o, e);
}

int listeners_open(struct listeners *l, const struct config *c, const char *program_dir,
		   struct err *e)
{
	inherit(l);
	if (l->n > 0 && c->hosts_default)
		return 0;
	for (size_t i = 0; i < c->hosts.n; i++) {
		struct hostaddr a;
		int rc = 0;

		if (l->n == LISTEN_MAX)
			return err_set(e, ERR_LIMIT, "more than %d sockets to listen on",
				       LISTEN_MAX);
		if (hostaddr_parse(c->hosts.v[i], &a) < 0)
			return err_set(e, ERR_INVALID, "invalid address %s", c->hosts.v[i]);
		if (a.kind == HOSTADDR_UNIX)
			rc = listen_unix(l, a.path, c->group ? c->group : "", e);
		else if (a.kind == HOSTADDR_TCP)
			rc = listen_tcp(l, c, &a, program_dir, e);
		else if (l->n == 0)
			rc = err_set(
				e, ERR_INVALID,
				"no sockets found via socket activation: make sure the service "
				"was started by systemd");
		if (rc < 0)
			return -1;
	}
	return 0;
}

int listen_metrics(const char *address, struct err *e)
{
	struct hostaddr a;

	if (hostaddr_parse_port(address, &a) < 0)
		return err_set(e, ERR_INVALID, "metrics-addr: invalid address \"%s\"", address);
	if (a.host[0] && !hostaddr_is_loopback(a.host))
		log_warn("metrics are readable by everyone who reaches %s", address);
	return bind_tcp(&a, a.port, e);
}

void listeners_watch(struct listeners *l, uv_loop_t *loop)
{
	for (size_t i = 0; i < l->nhelpers; i++)
		tls_helper_watch(&l->helpers[i], loop);
}

void listeners_close(struct listeners *l)
{
	for (size_t i = 0; i < l->npaths; i++) {
		unlink(l->paths[i]);
		free(l->paths[i]);
	}
	for (size_t i = 0; i < l->nhelpers; i++)
		tls_helper_stop(&l->helpers[i]);
	l->npaths = l->nhelpers = 0;
}
