/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cp: tar streams from and to a container. Where a source lands follows the rules of Docker's
 * client, which are those of cp -a with one addition: "DIR/." means the content of DIR.
 */
#include "cli/commands.h"
#include "cli/tar.h"
#include "base/mem.h"
#include "cli/units.h"
#include "wire/base64.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define LINKS_MAX 40
#define GO_DIR	  (1LL << 31) /* of Go's file mode */
#define GO_LINK	  (1LL << 27)

/* One end of a copy. */
struct place {
	char *path; /* absolute, cleaned, "/." at its end kept */
	bool exists, is_dir;
	char *name; /* what the entry is called when it was found through a link; or NULL */
};

static void place_done(struct place *p)
{
	free(p->path);
	free(p->name);
}
#define AUTO_PLACE CLEANUP(place_done)

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

/* ---- paths ---- */

static bool is_contents(const char *path)
{
	return !strcmp(path, ".") || str_ends(path, "/.");
}

/* A trailing slash or dot says: this is a directory. */
static bool says_dir(const char *path)
{
	return str_ends(path, "/") || is_contents(path);
}

/* base and path as one cleaned absolute path; what says that it is a directory is kept. */
static char *clean(const char *base, const char *path)
{
	AUTO_FREE char *whole = *path == '/' ? xstrdup(path) : xasprintf("%s/%s", base, path);
	struct str rest = str_of(whole), part;
	struct buf out = BUF_INIT(1U << 16);

	while (rest.n > 0 && str_cut(&rest, '/', &part)) {
		if (!part.n || str_eq(part, "."))
			continue;
		if (str_eq(part, "..")) {
			while (out.n > 0 && out.p[--out.n] != '/')
				;
			if (out.p)
				out.p[out.n] = 0;
			continue;
		}
		buf_addc(&out, '/');
		buf_add(&out, part.p, part.n);
	}
	if (is_contents(path))
		buf_adds(&out, "/.");
	else if (str_ends(path, "/") || !out.n)
		buf_addc(&out, '/');
	return buf_take(&out);
}

static char *clean_local(const char *path)
{
	AUTO_FREE char *cwd = get_current_dir_name();

	return clean(cwd ? cwd : "/", path);
}

/* Last component and what is before it; "/a/." gives "/a" and ".", "/" gives "/" and "/". */
static void split_path(const char *path, char **ret_dir, char **ret_name)
{
	size_t n = strlen(path), from;

	while (n > 1 && path[n - 1] == '/')
		n--;
	for (from = n; from > 0 && path[from - 1] != '/'; from--)
		;
	*ret_name = n == 1 && *path == '/' ? xstrdup("/") : xstrndup(path + from, n - from);
	*ret_dir = from > 1 ? xstrndup(path, from - 1) : xstrdup("/");
}

/* The target of a link found at path, with what the path said behind its name. */
static char *follow(const char *path, const char *target)
{
	AUTO_FREE char *dir = NULL, *name = NULL, *plain = xstrdup(path);
	const char *tail = is_contents(path) ? "/." : str_ends(path, "/") ? "/" : "";

	if (is_contents(plain))
		plain[strlen(plain) - 2] = 0;
	split_path(plain, &dir, &name);
	AUTO_FREE char *said = xasprintf("%s%s", target, says_dir(target) ? "" : tail);
	return clean(dir, said);
}

/* ---- the two sides ---- */

static int no_such(struct err *e, const char *path)
{
	return err_set(e, ERR_NOT_FOUND, "lstat %s: no such file or directory", path);
}

/* A local source: it must exist; a link itself unless it is followed. */
static int local_source(const char *arg, bool links, struct place *p, struct err *e)
{
	AUTO_FREE char *real = NULL, *dir = NULL, *base = NULL;
	struct stat st;

	p->path = clean_local(arg);
	if (lstat(p->path, &st) < 0)
		return errno == ENOTDIR ? err_set(e, ERR_INVALID, "not a directory")
					: no_such(e, p->path);
	if (links) {
		real = realpath(p->path, NULL);
		if (!real || stat(real, &st) < 0)
			return no_such(e, p->path);
		split_path(p->path, &dir, &base);
		if (!is_contents(p->path))
			p->name = xstrdup(base);
		free(p->path);
		p->path = says_dir(arg) ? xasprintf("%s%s", real, is_contents(arg) ? "/." : "/")
					: xstrdup(real);
	}
	p->exists = true;
	p->is_dir = S_ISDIR(st.st_mode);
	return 0;
}

/* A local destination: links are followed; its folder must exist. */
static int local_target(const char *arg, struct place *p, struct err *e)
{
	AUTO_FREE char *dir = NULL, *base = NULL;
	struct stat st;
	char target[PATH_MAX];

	p->path = clean_local(arg);
	for (int i = 0; lstat(p->path, &st) == 0 && S_ISLNK(st.st_mode); i++) {
		ssize_t n = readlink(p->path, target, sizeof target - 1);
		if (n < 0 || i == LINKS_MAX)
			return err_set(e, ERR_INVALID, "too many symlinks in %s", arg);
		target[n] = 0;
		char *next = follow(p->path, target);
		free(p->path);
		p->path = next;
	}
	p->exists = stat(p->path, &st) == 0;
	p->is_dir = p->exists && S_ISDIR(st.st_mode);
	if (p->exists && !p->is_dir && !S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID,
			       "invalid output path: \"%s\" must be a directory or a regular file",
			       arg);
	split_path(p->path, &dir, &base);
	if (!p->exists && (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode)))
		return err_set(e, ERR_INVALID,
			       "invalid output path: directory \"%s\" does not exist", dir);
	return 0;
}

/* Look at a path in the container; *ret_link is the target when it is a link. */
static int remote_stat(struct cli *c, const char *container, const char *path, struct place *p,
		       char **ret_link, struct err *e)
{
	AUTO_FREE char *request = archive_path(container, path, "");
	AUTO_BUF struct buf text = BUF_INIT(1U << 16);
	AUTO(json) struct json *j = NULL;
	struct conn k = CONN_INIT;
	int rc = conn_open(c, &k, e);

	if (rc == 0)
		rc = conn_send(&k, "HEAD", request, NULL, NULL, NULL, 0, e);
	if (rc == 0)
		rc = conn_head(&k, e);
	if (rc == 0 && k.h.status >= 400) {
		/* the answer to HEAD has no text; the same GET says why */
		conn_close(c, &k);
		k = CONN_INIT;
		rc = conn_open(c, &k, e);
		if (rc == 0)
			rc = conn_send(&k, "GET", request, NULL, NULL, NULL, 0, e);
		if (rc == 0)
			rc = conn_check(&k, e);
	}
	if (rc == 0 && (base64_decode(k.h.path_stat, &text) < 0 ||
			json_parse(buf_text(&text), text.n, &j, e) < 0))
		rc = err_set(e, ERR_REMOTE, "the engine's answer about %s makes no sense", path);
	conn_close(c, &k);
	if (rc < 0)
		return -1;
	int64_t mode = json_i64(json_get(j, "mode"));
	p->exists = true;
	p->is_dir = mode & GO_DIR;
	if (mode & GO_LINK)
		*ret_link = xstrdup(json_str(json_get(j, "linkTarget")));
	return 0;
}

/* Where the entry goes: the folder, and what its first component becomes (NULL: stays). */
static int landing(const struct place *from, const struct place *to, char **ret_dir,
		   char **ret_name, struct err *e)
{
	if (to->exists && to->is_dir) {
		*ret_dir = xstrdup(to->path);
		*ret_name = is_contents(from->path) ? xstrdup(".") : xstrdup(from->name);
		return 0;
	}
	if (to->exists && from->is_dir)
		return err_set(e, ERR_INVALID, "cannot copy directory");
	if (!to->exists && !from->is_dir && says_dir(to->path))
		return err_set(e, ERR_INVALID, "no such directory");
	AUTO_FREE char *plain = xstrdup(to->path);
	if (is_contents(plain))
		plain[strlen(plain) - 2] = 0;
	split_path(plain, ret_dir, ret_name);
	return 0;
}

static void told(const struct opts *o, uint64_t bytes, const char *where)
{
	char size[32];

	if (opts_bool(o, "quiet") || !isatty(2))
		return;
	units_decimal((double)bytes, 3, size, sizeof size);
	fprintf(stderr, "Successfully copied %s to %s\n", size, where);
}

/* ---- out of a container ---- */

static int copy_out(struct cli *c, const struct opts *o, const char *container, const char *source,
		    const char *target, struct err *e)
{
	AUTO_PLACE struct place from = {.path = clean("/", source)}, to = {0};
	AUTO_FREE char *link = NULL, *dir = NULL, *name = NULL;
	struct conn k = CONN_INIT;
	uint64_t bytes = 0;

	if (strcmp(target, "-") != 0 && local_target(target, &to, e) < 0)
		return -1;
	if (remote_stat(c, container, from.path, &from, &link, e) < 0)
		return -1;
	if (link && opts_bool(o, "follow-link")) {
		AUTO_FREE char *base = NULL;
		char *next = follow(from.path, link);

		split_path(from.path, &dir, &base);
		if (!is_contents(from.path))
			from.name = xstrdup(base);
		free(dir), dir = NULL;
		free(from.path);
		from.path = next;
		free(link), link = NULL;
		if (remote_stat(c, container, from.path, &from, &link, e) < 0)
			return -1;
	}
	AUTO_FREE char *path = archive_path(container, from.path, "");
	if (!strcmp(target, "-"))
		return download(c, path, "", e);
	if (landing(&from, &to, &dir, &name, e) < 0)
		return -1;
	int rc = conn_open(c, &k, e);
	if (rc == 0)
		rc = conn_send(&k, "GET", path, NULL, NULL, NULL, 0, e);
	if (rc == 0)
		rc = conn_check(&k, e);
	if (rc == 0)
		rc = tar_receive(&k, dir, name, e);
	bytes = k.got;
	conn_close(c, &k);
	if (rc == 0)
		told(o, bytes, target);
	return rc;
}

/* ---- into a container ---- */

/* A destination in the container that is not there is no error yet: its folder may be. */
static int remote_target(struct cli *c, const char *container, const char *path, struct place *to,
			 struct err *e)
{
	AUTO_FREE char *link = NULL;
	struct err absent = ERR_INIT;

	to->path = clean("/", path);
	if (remote_stat(c, container, to->path, to, &link, &absent) < 0) {
		*e = absent;
		return absent.kind == ERR_NOT_FOUND ? 0 : -1;
	}
	if (link) {
		char *next = follow(to->path, link);

		free(to->path);
		to->path = next;
		to->exists = to->is_dir = false;
		free(link), link = NULL;
		if (remote_stat(c, container, next, to, &link, &absent) < 0 &&
		    absent.kind != ERR_NOT_FOUND) {
			*e = absent;
			return -1;
		}
	}
	return 0;
}

static int copy_in(struct cli *c, const struct opts *o, const char *source, const char *container,
		   const char *target, struct err *e)
{
	AUTO_PLACE struct place from = {0}, to = {0};
	AUTO_FREE char *dir = NULL, *name = NULL, *base = NULL, *folder = NULL;
	struct err absent = ERR_INIT;
	struct conn k = CONN_INIT;
	uint64_t bytes = 0;
	bool from_stdin = !strcmp(source, "-");

	if (!from_stdin && local_source(source, opts_bool(o, "follow-link"), &from, e) < 0)
		return -1;
	if (remote_target(c, container, target, &to, &absent) < 0) {
		*e = absent;
		return -1;
	}
	if (from_stdin) {
		if (!to.is_dir)
			return err_set(e, ERR_INVALID, "destination \"%s:%s\" must be a directory",
				       container, target);
		dir = xstrdup(to.path);
	} else if (landing(&from, &to, &dir, &name, e) < 0) {
		return -1;
	}
	if (!name && !from_stdin) {
		split_path(from.path, &folder, &base);
		name = xstrdup(base);
	}
	AUTO_FREE char *path = archive_path(container, dir,
					    opts_bool(o, "archive")
						    ? "&noOverwriteDirNonDir=true&copyUIDGID=true"
						    : "&noOverwriteDirNonDir=true");
	int rc = conn_open(c, &k, e);
	if (rc == 0)
		rc = conn_send(&k, "PUT", path, "Transfer-Encoding: chunked\r\n",
			       "application/x-tar", NULL, 0, e);
	if (rc == 0)
		rc = from_stdin ? upload(&k, 0, e)
				: tar_send(&k, from.path, strcmp(name, ".") != 0 ? name : "", e);
	bytes = k.sent;
	struct err sent = *e;
	if (k.fd >= 0 && conn_check(&k, e) < 0)
		rc = -1;
	else if (rc < 0)
		*e = sent;
	AUTO_BUF struct buf rest = BUF_INIT(1U << 20);
	if (rc == 0)
		rc = conn_body(&k, &rest, e);
	conn_close(c, &k);
	if (rc == 0 && !from_stdin) {
		AUTO_FREE char *where = xasprintf("%s:%s", container, target);
		told(o, bytes, where);
	}
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
	if (!*source) {
		fprintf(stderr, "source can not be empty\n");
		return 1;
	}
	if (!*target) {
		fprintf(stderr, "destination can not be empty\n");
		return 1;
	}
	int rc = from ? copy_out(c, o, from, source, target, &e)
		      : copy_in(c, o, source, to, target, &e);
	return rc < 0 ? cli_fail(c, &e) : 0;
}
