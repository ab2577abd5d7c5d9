/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts on disk. */
#include "cli/context.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "cli/config-dir.h"
#include "sys/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define META_MAX (1U << 20)
#define PEM_MAX	 (4U << 20)

const char *const context_file_names[CONTEXT_FILES] = {"ca.pem", "cert.pem", "key.pem"};

void context_done(struct context *x)
{
	free(x->name);
	free(x->description);
	free(x->host);
	free(x->doc);
	free(x->meta_dir);
	free(x->tls_dir);
	for (size_t i = 0; i < CONTEXT_FILES; i++)
		free(x->files[i]);
	*x = (struct context){0};
}

int context_name_check(const char *name, struct err *e)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-";
	size_t n = strlen(name);

	if (n == 0)
		return err_set(e, ERR_INVALID, "context name cannot be empty");
	if (!strcmp(name, CONTEXT_DEFAULT))
		return err_set(e, ERR_INVALID, "\"default\" is a reserved context name");
	if (n < 2 || n >= CONTEXT_NAME_MAX || strspn(name, letters) != n || strchr("_.+-", name[0]))
		return err_set(e, ERR_INVALID,
			       "context name \"%s\" is invalid, names are validated against regexp "
			       "\"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\"",
			       name);
	return 0;
}

static void set_dirs(struct context *x)
{
	AUTO_FREE char *base = config_path("contexts");
	char hash[SHA256_HEX_MAX];

	sha256_hex(x->name, strlen(x->name), hash);
	x->meta_dir = xasprintf("%s/meta/%s", base ? base : "", hash);
	x->tls_dir = xasprintf("%s/tls/%s", base ? base : "", hash);
}

static int read_doc(struct context *x, struct json **ret, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/meta.json", x->meta_dir);
	AUTO_BUF struct buf text = BUF_INIT(META_MAX);
	int rc = fs_read_path(path, &text);

	if (rc == -ENOENT)
		return err_set(e, ERR_NOT_FOUND,
			       "context \"%s\": context not found: open %s: no such file or "
			       "directory",
			       x->name, path);
	if (rc < 0)
		return err_sys(e, rc, "context \"%s\": open %s", x->name, path);
	if (json_parse(buf_text(&text), text.n, ret, e) < 0)
		return err_wrap(e, "context \"%s\": %s", x->name, path);
	x->doc = buf_take(&text);
	return 0;
}

int context_load(const char *name, struct context *ret, struct err *e)
{
	AUTO(json) struct json *doc = NULL;
	AUTO_CONTEXT struct context x = {.name = xstrdup(name)};
	const struct json *endpoint;

	set_dirs(&x);
	if (read_doc(&x, &doc, e) < 0)
		return -1;
	endpoint = json_get(json_get(doc, "Endpoints"), "docker");
	x.host = xstrdup(json_str(json_get(endpoint, "Host")));
	x.skip_verify = json_bool(json_get(endpoint, "SkipTLSVerify"));
	x.description = xstrdup(json_str(json_get(json_get(doc, "Metadata"), "Description")));
	for (size_t i = 0; i < CONTEXT_FILES; i++) {
		x.files[i] = xasprintf("%s/docker/%s", x.tls_dir, context_file_names[i]);
		if (access(x.files[i], F_OK) < 0) {
			free(x.files[i]);
			x.files[i] = NULL;
		}
	}
	*ret = x;
	x = (struct context){0};
	return 0;
}

bool context_exists(const char *name)
{
	struct context x = {.name = xstrdup(name)};

	set_dirs(&x);
	AUTO_FREE char *path = xasprintf("%s/meta.json", x.meta_dir);
	bool yes = access(path, F_OK) == 0;
	context_done(&x);
	return yes;
}

/* ---- writing ---- */

struct rewrite {
	struct jw w;
	const struct context *x;
};

static void copy_member(const char *key, struct json *value, void *ud)
{
	struct rewrite *r = ud;
	static const char *const ours[] = {"Name",   "Metadata", "Endpoints",	 "Description",
					   "docker", "Host",	 "SkipTLSVerify"};
	AUTO_BUF struct buf text = BUF_INIT(META_MAX);

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (!strcmp(key, ours[i]))
			return;
	json_dump(value, &text);
	jw_key(&r->w, key);
	jw_raw(&r->w, buf_text(&text));
}

static void write_doc(struct rewrite *r, const struct json *old)
{
	const struct context *x = r->x;
	const struct json *endpoints = json_get(old, "Endpoints");

	jw_obj(&r->w);
	jw_kv_str(&r->w, "Name", x->name);
	jw_key(&r->w, "Metadata");
	jw_obj(&r->w);
	if (x->description && *x->description)
		jw_kv_str(&r->w, "Description", x->description);
	json_each(json_get(old, "Metadata"), copy_member, r);
	jw_obj_end(&r->w);
	jw_key(&r->w, "Endpoints");
	jw_obj(&r->w);
	jw_key(&r->w, "docker");
	jw_obj(&r->w);
	if (x->host && *x->host)
		jw_kv_str(&r->w, "Host", x->host);
	jw_kv_bool(&r->w, "SkipTLSVerify", x->skip_verify);
	json_each(json_get(endpoints, "docker"), copy_member, r);
	jw_obj_end(&r->w);
	json_each(endpoints, copy_member, r);
	jw_obj_end(&r->w);
	json_each(old, copy_member, r);
	jw_obj_end(&r->w);
}

static int write_file(const char *dir, const char *name, const char *text, mode_t mode,
		      struct err *e)
{
	int rc = fs_mkdirs(dir, 0755);
	AUTO_FD int fd = rc < 0 ? rc : fs_open_dir(dir);

	if (fd >= 0)
		rc = fs_write_atomic(fd, name, text, strlen(text), mode, true);
	return rc < 0 || fd < 0 ? err_sys(e, rc < 0 ? rc : fd, "write %s/%s", dir, name) : 0;
}

int context_make_doc(struct context *x, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(META_MAX);
	struct rewrite r = {JW_INIT(&text), x};

	write_doc(&r, NULL);
	if (text.overflow)
		return err_set(e, ERR_LIMIT, "the context is too large");
	free(x->doc);
	x->doc = xstrdup(buf_text(&text));
	return 0;
}

int context_save(const struct context *x, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(META_MAX);
	struct rewrite r = {JW_INIT(&text), x};
	AUTO(json) struct json *old = NULL;
	struct context at = {.name = xstrdup(x->name)};

	if (x->doc && json_parse(x->doc, strlen(x->doc), &old, e) < 0)
		return -1;
	write_doc(&r, old);
	set_dirs(&at);
	int rc = text.overflow ? err_set(e, ERR_LIMIT, "the context is too large")
			       : write_file(at.meta_dir, "meta.json", buf_text(&text), 0644, e);
	context_done(&at);
	return rc;
}

int context_save_file(const struct context *x, enum context_file f, const char *text, struct err *e)
{
	struct context at = {.name = xstrdup(x->name)};
	int rc = 0;

	set_dirs(&at);
	AUTO_FREE char *dir = xasprintf("%s/docker", at.tls_dir);
	AUTO_FREE char *path = xasprintf("%s/%s", dir, context_file_names[f]);
	if (!text)
		unlink(path);
	else
		rc = write_file(dir, context_file_names[f], text, 0600, e);
	if (rc == 0 && text)
		chmod(at.tls_dir, 0700);
	context_done(&at);
	return rc;
}

static void remove_below(const char *kind, const char *dir)
{
	AUTO_FREE char *base = config_path(kind);
	AUTO_FD int fd = base ? fs_open_dir(base) : FD_NONE;
	const char *slash = strrchr(dir, '/');

	if (fd >= 0 && slash)
		fs_remove_tree(fd, slash + 1);
}

int context_remove(const char *name, struct err *e)
{
	struct context at = {.name = xstrdup(name)};

	if (!context_exists(name)) {
		context_done(&at);
		return err_set(e, ERR_NOT_FOUND, "context \"%s\" does not exist", name);
	}
	set_dirs(&at);
	remove_below("contexts/meta", at.meta_dir);
	remove_below("contexts/tls", at.tls_dir);
	context_done(&at);
	return 0;
}

/* ---- all of them ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *name_in(const char *meta, const char *entry)
{
	AUTO_FREE char *path = xasprintf("%s/%s/meta.json", meta, entry);
	AUTO_BUF struct buf text = BUF_INIT(META_MAX);
	AUTO(json) struct json *doc = NULL;
	struct err e = ERR_INIT;
	char hash[SHA256_HEX_MAX];
	const char *name;

	if (fs_read_path(path, &text) < 0 || json_parse(buf_text(&text), text.n, &doc, &e) < 0)
		return NULL;
	name = json_str(json_get(doc, "Name"));
	if (!name)
		return NULL;
	sha256_hex(name, strlen(name), hash);
	return strcmp(hash, entry) == 0 ? xstrdup(name) : NULL;
}

char **context_names(void)
{
	AUTO_FREE char *meta = config_path("contexts/meta");
	DIR *d = meta ? opendir(meta) : NULL;
	const struct dirent *ent;
	size_t n = 0;
	char **names = xcalloc(2, sizeof(*names));

	while (d && (ent = readdir(d))) {
		char *name = ent->d_name[0] == '.' ? NULL : name_in(meta, ent->d_name);

		if (!name)
			continue;
		names = xrealloc(names, (n + 2) * sizeof(*names));
		names[n++] = name;
		names[n] = NULL;
	}
	if (d)
		closedir(d);
	qsort(names, n, sizeof(*names), by_name);
	return names;
}

char *context_chosen(void)
{
	AUTO_FREE char *path = config_path("config.json");
	AUTO_BUF struct buf text = BUF_INIT(PEM_MAX);
	AUTO(json) struct json *doc = NULL;
	struct err e = ERR_INIT;
	const char *name;

	if (!path || fs_read_path(path, &text) < 0 ||
	    json_parse(buf_text(&text), text.n, &doc, &e) < 0)
		return NULL;
	name = json_str(json_get(doc, "currentContext"));
	return name && *name ? xstrdup(name) : NULL;
}
