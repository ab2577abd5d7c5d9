/* SPDX-License-Identifier: Apache-2.0 */
/* cp: tar streams from and to a container. */
#include "cli/commands.h"
#include "cli/tar.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

/* CONTAINER:PATH split at the colon; NULL for a local path. */
static char *container_of(const char *arg, const char **ret_path)
{
	const char *colon = strchr(arg, ':');

	*ret_path = arg;
	if (*arg == '/' || *arg == '.' || !colon || colon == arg)
		return NULL;
	*ret_path = colon + 1;
	return xstrndup(arg, (size_t)(colon - arg));
}

static char *archive_path(const char *container, const char *path, const char *extra)
{
	struct buf b = BUF_INIT(1U << 16);

	buf_adds(&b, "/containers/");
	url_segment(&b, container);
	buf_adds(&b, "/archive");
	url_query(&b, "path", path);
	buf_adds(&b, extra);
	return buf_take(&b);
}

static bool is_contents(const char *path)
{
	return !strcmp(path, ".") || str_ends(path, "/.");
}

/* Last component without trailing slashes; parent "." or "/" when there is none. */
static void split_path(const char *path, char **ret_dir, char **ret_name)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	size_t from = n;
	while (from > 0 && path[from - 1] != '/')
		from--;
	*ret_name = xstrndup(path + from, n - from);
	*ret_dir = from > 1 ? xstrndup(path, from - 1) : xstrdup(from ? "/" : ".");
}

static int copy_out(struct cli *c, const char *container, const char *source, const char *target,
		    struct err *e)
{
	AUTO_FREE char *path = archive_path(container, source, "");
	AUTO_FREE char *dir = NULL;
	AUTO_FREE char *name = NULL;
	struct conn k = CONN_INIT;
	struct stat st;

	if (!strcmp(target, "-"))
		return download(c, path, "", e);
	bool exists = stat(target, &st) == 0;
	if (exists && S_ISDIR(st.st_mode)) {
		dir = xstrdup(target);
		name = is_contents(source) ? xstrdup(".") : NULL;
	} else {
		split_path(target, &dir, &name);
	}
	int rc = conn_open(c, &k, e);
	if (rc == 0)
		rc = conn_send(&k, "GET", path, NULL, NULL, NULL, 0, e);
	if (rc == 0)
		rc = conn_check(&k, e);
	if (rc == 0)
		rc = tar_receive(&k, dir, name, e);
	conn_close(c, &k);
	return rc;
}

/* Whether the path inside the container is a directory (false when it is absent). */
static bool is_dir_in(struct cli *c, const char *container, const char *path)
{
	AUTO_FREE char *request = archive_path(container, path, "&noOverwriteDirNonDir=true");
	struct conn k = CONN_INIT;
	struct err e = ERR_INIT;
	bool dir = false;

	/* a directory's archive starts with a directory entry; asking for its "." tells */
	AUTO_FREE char *inside = xasprintf("%s/.", path);
	AUTO_FREE char *probe = archive_path(container, inside, "");
	(void)request;
	if (conn_open(c, &k, &e) == 0 &&
	    conn_send(&k, "HEAD", probe, NULL, NULL, NULL, 0, &e) == 0 && conn_head(&k, &e) == 0)
		dir = k.h.status == 200;
	conn_close(c, &k);
	return dir;
}

static int copy_in(struct cli *c, const char *source, const char *container, const char *target,
		   struct err *e)
{
	AUTO_FREE char *dir = NULL;
	AUTO_FREE char *name = NULL;
	AUTO_FREE char *source_dir = NULL;
	AUTO_FREE char *source_name = NULL;
	struct conn k = CONN_INIT;
	struct stat st;
	bool from_stdin = !strcmp(source, "-");

	if (!from_stdin && lstat(source, &st) < 0)
		return err_set(e, ERR_NOT_FOUND, "lstat %s: no such file or directory", source);
	if (from_stdin || is_dir_in(c, container, target)) {
		dir = xstrdup(target);
		split_path(source, &source_dir, &source_name);
		name = is_contents(source) ? xstrdup("") : xstrdup(source_name);
	} else {
		split_path(target, &dir, &name);
	}
	AUTO_FREE char *path = archive_path(container, dir, "&noOverwriteDirNonDir=true");
	int rc = conn_open(c, &k, e);
	if (rc == 0)
		rc = conn_send(&k, "PUT", path, "Transfer-Encoding: chunked\r\n",
			       "application/x-tar", NULL, 0, e);
	if (rc == 0)
		rc = from_stdin ? upload(&k, 0, e) : tar_send(&k, source, name, e);
	struct err sent = *e;
	if (k.fd >= 0 && conn_check(&k, e) < 0)
		rc = -1;
	else if (rc < 0)
		*e = sent;
	AUTO_BUF struct buf rest = BUF_INIT(1U << 20);
	if (rc == 0)
		rc = conn_body(&k, &rest, e);
	conn_close(c, &k);
	return rc;
}

int cmd_cp(struct cli *c, struct opts *o)
{
	const char *source, *target;
	AUTO_FREE char *from = container_of(o->argv[0], &source);
	AUTO_FREE char *to = container_of(o->argv[1], &target);
	struct err e = ERR_INIT;

	if (from && to) {
		fprintf(stderr, "copying between containers is not supported\n");
		return 1;
	}
	if (!from && !to) {
		fprintf(stderr, "must specify at least one container source\n");
		return 1;
	}
	int rc = from ? copy_out(c, from, source, target, &e) : copy_in(c, source, to, target, &e);
	if (rc < 0)
		return cli_fail(c, &e);
	if (!opts_bool(o, "quiet") && strcmp(target, "-") && isatty(2))
		fprintf(stderr, "Successfully copied to %s\n", o->argv[1]);
	return 0;
}
