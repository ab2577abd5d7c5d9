/* SPDX-License-Identifier: Apache-2.0 */
/*
 * context export and import: a tar archive of meta.json and tls/docker/NAME.pem, as Docker's
 * clients write and read it. Entries with other names are refused; nothing of an archive becomes a
 * path.
 */
#include "cli/commands.h"
#include "cli/context.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define BLOCK	    512
#define ARCHIVE_MAX (16U << 20)
#define TLS_PREFIX  "tls/docker/"

/* ustar (POSIX 1003.1-1988), the fields used here. */
struct ustar {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
	char linkname[100], magic[6], version[2], rest[247];
};
_Static_assert(sizeof(struct ustar) == BLOCK, "a header is one block");

static unsigned checksum(const struct ustar *h)
{
	struct ustar copy = *h;
	const unsigned char *p = (const unsigned char *)&copy;
	unsigned sum = 0;

	memset(copy.checksum, ' ', sizeof(copy.checksum));
	for (size_t i = 0; i < BLOCK; i++)
		sum += p[i];
	return sum;
}

static void pad(struct buf *b)
{
	static const char zeros[BLOCK];

	buf_add(b, zeros, (BLOCK - b->n % BLOCK) % BLOCK);
}

static void add_entry(struct buf *b, const char *name, char type, unsigned mode, const char *text,
		      size_t n)
{
	struct ustar h = {.type = type, .magic = "ustar", .version = {'0', '0'}};

	snprintf(h.name, sizeof(h.name), "%s", name);
	snprintf(h.mode, sizeof(h.mode), "%07o", mode);
	snprintf(h.uid, sizeof(h.uid), "%07o", 0u);
	snprintf(h.gid, sizeof(h.gid), "%07o", 0u);
	snprintf(h.size, sizeof(h.size), "%011zo", n);
	snprintf(h.mtime, sizeof(h.mtime), "%011o", 0u);
	snprintf(h.checksum, sizeof(h.checksum), "%06o", checksum(&h));
	h.checksum[7] = ' ';
	buf_add(b, &h, sizeof(h));
	buf_add(b, text, n);
	pad(b);
}

static int write_archive(const struct context *x, struct buf *b, struct err *e)
{
	static const char end[2 * BLOCK];
	bool tls = false;

	add_entry(b, "meta.json", '0', 0644, x->doc, strlen(x->doc));
	for (size_t i = 0; i < CONTEXT_FILES; i++) {
		AUTO_BUF struct buf text = BUF_INIT(ARCHIVE_MAX);
		AUTO_FREE char *name = xasprintf(TLS_PREFIX "%s", context_file_names[i]);
		int rc = x->files[i] ? fs_read_path(x->files[i], &text) : 0;

		if (rc < 0)
			return err_sys(e, rc, "open %s", x->files[i]);
		if (!x->files[i])
			continue;
		if (!tls) {
			add_entry(b, "tls", '5', 0700, "", 0);
			add_entry(b, "tls/docker", '5', 0700, "", 0);
			tls = true;
		}
		add_entry(b, name, '0', 0600, buf_text(&text), text.n);
	}
	buf_add(b, end, sizeof(end));
	return b->overflow ? err_set(e, ERR_LIMIT, "the context is too large") : 0;
}

static int load_any(struct cli *c, const char *name, struct context *x, struct err *e)
{
	if (strcmp(name, CONTEXT_DEFAULT) == 0)
		return context_default(c, x, e) < 0 ? -1 : context_make_doc(x, e);
	return context_name_check(name, e) < 0 ? -1 : context_load(name, x, e);
}

int cmd_context_export(struct cli *c, struct opts *o)
{
	AUTO_CONTEXT struct context x = {0};
	AUTO_BUF struct buf b = BUF_INIT(ARCHIVE_MAX);
	AUTO_FREE char *named = xasprintf("%s.dockercontext", o->argv[0]);
	const char *path = o->argc > 1 ? o->argv[1] : named;
	bool to_stdout = !strcmp(path, "-");
	struct err e = ERR_INIT;
	AUTO_FD int fd = FD_NONE;
	int rc;

	if (load_any(c, o->argv[0], &x, &e) < 0 || write_archive(&x, &b, &e) < 0)
		return cli_fail(c, &e);
	if (to_stdout && isatty(1)) {
		err_set(&e, ERR_INVALID,
			"cowardly refusing to export to a terminal, specify a file path");
		return cli_fail(c, &e);
	}
	if (!to_stdout)
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	rc = to_stdout ? 1 : fd < 0 ? -errno : fd;
	if (rc >= 0)
		rc = fs_write_all(rc, b.p, b.n);
	if (rc < 0) {
		err_sys(&e, rc, "open %s", path);
		return cli_fail(c, &e);
	}
	if (!to_stdout)
		fprintf(stderr, "Written file \"%s\"\n", path);
	return 0;
}

/* ---- import ---- */

static int bad(struct err *e)
{
	return err_set(e, ERR_INVALID, "the file is no archive of a context");
}

static int octal(const char *p, size_t n, size_t *ret)
{
	size_t v = 0;

	for (size_t i = 0; i < n && p[i] && p[i] != ' '; i++) {
		if (p[i] < '0' || p[i] > '7' || v > ARCHIVE_MAX)
			return -1;
		v = v * 8 + (size_t)(p[i] - '0');
	}
	*ret = v;
	return 0;
}

static int take_meta(struct context *x, const char *text, struct err *e)
{
	AUTO(json) struct json *doc = NULL;

	if (json_parse(text, strlen(text), &doc, e) < 0)
		return err_wrap(e, "meta.json");
	const struct json *endpoint = json_get(json_get(doc, "Endpoints"), "docker");
	free(x->doc);
	x->doc = xstrdup(text);
	free(x->host);
	x->host = xstrdup(json_str(json_get(endpoint, "Host")));
	x->skip_verify = json_bool(json_get(endpoint, "SkipTLSVerify"));
	free(x->description);
	x->description = xstrdup(json_str(json_get(json_get(doc, "Metadata"), "Description")));
	return 0;
}

static int take_entry(struct context *x, char *files[CONTEXT_FILES], const char *name, char *text,
		      struct err *e)
{
	if (strcmp(name, "meta.json") == 0)
		return take_meta(x, text, e);
	for (size_t i = 0; i < CONTEXT_FILES; i++) {
		if (!str_starts(name, TLS_PREFIX) ||
		    strcmp(name + strlen(TLS_PREFIX), context_file_names[i]) != 0)
			continue;
		free(files[i]);
		files[i] = xstrdup(text);
		return 0;
	}
	return err_set(e, ERR_INVALID, "the archive has an entry that is no part of a context: %s",
		       name);
}

static int read_archive(const struct buf *b, struct context *x, char *files[CONTEXT_FILES],
			struct err *e)
{
	size_t at = 0;

	while (at + BLOCK <= b->n && b->p[at]) {
		struct ustar h;
		size_t size, sum;
		char name[sizeof(h.name) + 1] = "";

		memcpy(&h, b->p + at, sizeof(h));
		memcpy(name, h.name, sizeof(h.name));
		if (octal(h.size, sizeof(h.size), &size) < 0 ||
		    octal(h.checksum, sizeof(h.checksum), &sum) < 0 || sum != checksum(&h) ||
		    size > b->n - at - BLOCK)
			return bad(e);
		if (h.type == '0' || h.type == 0) {
			AUTO_FREE char *text = xstrndup(b->p + at + BLOCK, size);

			if (strlen(text) != size)
				return bad(e);
			if (take_entry(x, files, name, text, e) < 0)
				return -1;
		} else if (h.type != '5') {
			return bad(e);
		}
		at += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
	}
	return x->doc ? 0 : err_set(e, ERR_INVALID, "invalid context: no metadata found");
}

static int import_context(const char *name, const char *path, struct err *e)
{
	AUTO_CONTEXT struct context x = {0};
	AUTO_BUF struct buf b = BUF_INIT(ARCHIVE_MAX);
	char *files[CONTEXT_FILES] = {0};
	AUTO_FD int fd = FD_NONE;
	int rc;

	if (context_name_check(name, e) < 0)
		return -1;
	if (context_exists(name))
		return err_set(e, ERR_CONFLICT, "context \"%s\" already exists", name);
	if (strcmp(path, "-") != 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	rc = strcmp(path, "-") == 0 ? fs_read_fd(0, &b) : fd < 0 ? -errno : fs_read_fd(fd, &b);
	if (rc < 0)
		return err_sys(e, rc, "open %s", path);
	rc = read_archive(&b, &x, files, e);
	x.name = xstrdup(name);
	if (rc == 0)
		rc = context_save(&x, e);
	for (size_t i = 0; i < CONTEXT_FILES; i++) {
		if (rc == 0 && files[i])
			rc = context_save_file(&x, (enum context_file)i, files[i], e);
		free(files[i]);
	}
	return rc;
}

int cmd_context_import(struct cli *c, struct opts *o)
{
	struct err e = ERR_INIT;

	if (import_context(o->argv[0], o->argv[1], &e) < 0)
		return cli_fail(c, &e);
	puts(o->argv[0]);
	fprintf(stderr, "Successfully imported context \"%s\"\n", o->argv[0]);
	return 0;
}
