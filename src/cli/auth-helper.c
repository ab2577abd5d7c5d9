/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs docker-credential-NAME. Protocol of docker/docker-credential-helpers: one argument (get,
 * store, erase), the request on standard input, JSON or a plain error sentence on standard output,
 * status 0 or not. stderr is the user's: a helper may ask for a passphrase there.
 */
#include "cli/auth-priv.h"
#include "sys/fs.h"
#include "sys/spawn.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/banned.h"

#define NOT_FOUND  "credentials not found in native keychain"
#define TOKEN_USER "<token>" /* instead of a user name: the secret is an identity token */

/* Full path of the program, NULL when it is not installed. */
static char *program_path(const char *name)
{
	AUTO_FREE char *program = xasprintf("docker-credential-%s", name);

	return *name ? spawn_find(program) : NULL;
}

bool auth_helper_exists(const char *name)
{
	AUTO_FREE char *path = program_path(name);

	return path != NULL;
}

/* A file in memory: a helper that does not read its input cannot stop us. */
static int input_fd(const char *text, struct err *e)
{
	AUTO_FD int fd = memfd_create("credentials", MFD_CLOEXEC);
	int rc = fd < 0 ? -errno : fs_write_all(fd, text, strlen(text));

	if (rc == 0 && lseek(fd, 0, SEEK_SET) < 0)
		rc = -errno;
	return rc < 0 ? err_sys(e, rc, "memfd") : TAKE_FD(fd);
}

/* Status of the helper (0, or not) with its output, -1. */
static int helper_run(const char *name, const char *verb, const char *input, struct buf *out,
		      struct err *e)
{
	AUTO_FREE char *path = program_path(name);
	const char *const argv[] = {path, verb, NULL};
	AUTO_FD int in = FD_NONE, read_fd = FD_NONE, write_fd = FD_NONE;
	struct process proc = {.pidfd = FD_NONE};
	int fds[2], status = 0;

	if (!path)
		return err_set(e, ERR_NOT_FOUND,
			       "exec: \"docker-credential-%s\": executable file not found in $PATH",
			       name);
	in = input_fd(input, e);
	if (in < 0)
		return -1;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	read_fd = fds[0];
	write_fd = fds[1];
	const struct spawn_fd give[] = {{in, 0}, {write_fd, 1}, {2, 2}};
	int rc = spawn_start(&(struct spawn){.path = path, .argv = argv, .fds = give, .nfds = 3},
			     &proc);
	if (rc < 0)
		return err_sys(e, rc, "cannot start %s", path);
	fd_close(&write_fd);
	rc = fs_read_fd(read_fd, out);
	fd_close(&read_fd);
	while (spawn_wait(&proc, false, &status) == -EINTR)
		;
	fd_close(&proc.pidfd);
	if (rc < 0)
		return err_sys(e, rc, "read what docker-credential-%s wrote", name);
	return status;
}

/* The sentence of a failed helper. Only of those that do not have to say secrets. */
static int helper_failed(const char *name, const char *what, struct buf *out, struct err *e)
{
	while (out->n && (out->p[out->n - 1] == '\n' || out->p[out->n - 1] == '\r'))
		out->p[--out->n] = '\0';
	return err_set(e, ERR_SYSTEM,
		       "error %s credentials - docker-credential-%s failed, out: `%.800s`", what,
		       name, buf_text(out));
}

static void wipe(struct buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->n);
	buf_done(b);
}

static int decode(const char *name, const struct buf *out, struct auth *ret, struct err *e)
{
	AUTO(json) struct json *j = NULL;
	struct err why = ERR_INIT;

	if (json_parse(buf_text(out), out->n, &j, &why) < 0)
		return err_set(e, ERR_INVALID,
			       "docker-credential-%s wrote something that is not JSON", name);
	const char *user = json_str(json_get(j, "Username"));
	const char *secret = json_str(json_get(j, "Secret"));
	if (!secret || !*secret)
		return 0;
	if (user && !strcmp(user, TOKEN_USER)) {
		ret->identity_token = xstrdup(secret);
	} else {
		ret->user = xstrdup(user);
		ret->secret = xstrdup(secret);
	}
	return 1;
}

int auth_helper_get(const char *name, const char *server, struct auth *ret, struct err *e)
{
	struct buf out = BUF_INIT(AUTH_HELPER_MAX);
	int rc = helper_run(name, "get", server, &out, e);

	if (rc > 0 && strstr(buf_text(&out), NOT_FOUND))
		rc = 0;
	else if (rc > 0)
		rc = helper_failed(name, "getting", &out, e);
	else if (rc == 0)
		rc = decode(name, &out, ret, e);
	wipe(&out);
	return rc;
}

int auth_helper_store(const char *name, const struct auth *a, struct err *e)
{
	struct buf out = BUF_INIT(AUTH_HELPER_MAX), in = BUF_INIT(AUTH_HELPER_MAX);
	struct jw w = JW_INIT(&in);
	bool token = a->identity_token && *a->identity_token;

	jw_obj(&w);
	jw_kv_str(&w, "ServerURL", a->server);
	jw_kv_str(&w, "Username", token ? TOKEN_USER : a->user);
	jw_kv_str(&w, "Secret", token ? a->identity_token : a->secret);
	jw_obj_end(&w);
	int rc = helper_run(name, "store", buf_text(&in), &out, e);
	if (rc > 0)
		rc = helper_failed(name, "storing", &out, e);
	wipe(&in);
	wipe(&out);
	return rc;
}

int auth_helper_erase(const char *name, const char *server, struct err *e)
{
	struct buf out = BUF_INIT(AUTH_HELPER_MAX);
	int rc = helper_run(name, "erase", server, &out, e);

	if (rc > 0 && strstr(buf_text(&out), NOT_FOUND))
		rc = 0;
	else if (rc > 0)
		rc = helper_failed(name, "erasing", &out, e);
	wipe(&out);
	return rc;
}
