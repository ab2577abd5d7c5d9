/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json and auth.json: {"auths":{"KEY":{"auth":"base64 of
 * user:secret","identitytoken":".."}}}. Changing one rewrites the text around the other members,
 * whatever they are.
 */
#include "cli/auth-priv.h"
#include "cli/config-dir.h"
#include "cli/format.h"
#include "sys/fs.h"
#include "wire/base64.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>

#include "base/banned.h"

static char *env_path(const char *name, const char *below)
{
	const char *dir = secure_getenv(name);

	return dir && *dir ? xasprintf("%s%s", dir, below) : NULL;
}

char *auth_docker_file(void)
{
	return config_path("config.json");
}

char *auth_podman_file(unsigned i)
{
	char *given = env_path("REGISTRY_AUTH_FILE", "");

	if (given && i == 0)
		return given;
	if (given) { /* it stands for all the others */
		free(given);
		return NULL;
	}
	char *runtime = env_path("XDG_RUNTIME_DIR", "/containers/auth.json");
	char *config = env_path("XDG_CONFIG_HOME", "/containers/auth.json");
	if (!config)
		config = env_path("HOME", "/.config/containers/auth.json");
	char *all[] = {runtime, config, NULL}, *ret = NULL;
	for (unsigned k = 0, seen = 0; k < ARRAY_SIZE(all); k++)
		if (all[k] && seen++ == i)
			ret = TAKE_PTR(all[k]);
	free(all[0]);
	free(all[1]);
	return ret;
}

int auth_file_load(const char *path, struct json **ret, struct err *e)
{
	struct buf text = BUF_INIT(AUTH_FILE_MAX);
	struct err why = ERR_INIT;
	int rc = fs_read_path(path, &text);

	*ret = NULL;
	if (rc == -ENOENT || rc == -ENOTDIR || (rc == 0 && !text.n))
		rc = 0;
	else if (rc < 0)
		err_sys(e, rc, "Error loading config file: %s", path);
	else if (json_parse(text.p, text.n, ret, &why) < 0 || json_kind_of(*ret) != JSON_OBJECT)
		rc = err_set(e, ERR_INVALID, "Error loading config file: %s: %s", path,
			     *ret ? "not a JSON object" : why.text);
	if (text.p)
		explicit_bzero(text.p, text.n);
	buf_done(&text);
	return rc < 0 ? -1 : 0;
}

static void decode_pair(const char *text, struct auth *a)
{
	struct buf pair = BUF_INIT(AUTH_HELPER_MAX);

	if (text && base64_decode_any(text, strlen(text), &pair)) {
		const char *s = buf_text(&pair), *colon = strchr(s, ':');
		if (colon) {
			a->user = xstrndup(s, (size_t)(colon - s));
			a->secret = xstrdup(colon + 1);
		}
	}
	if (pair.p)
		explicit_bzero(pair.p, pair.n);
	buf_done(&pair);
}

static char *optional(const struct json *entry, const char *key)
{
	const char *s = json_str(json_get_icase(entry, key));

	return s && *s ? xstrdup(s) : NULL;
}

bool auth_file_entry(const struct json *file, const char *key, struct auth *ret)
{
	const struct json *entry = json_get(json_get(file, "auths"), key);

	if (json_kind_of(entry) != JSON_OBJECT)
		return false;
	decode_pair(json_str(json_get_icase(entry, "auth")), ret);
	if (!ret->user) {
		ret->user = optional(entry, "username");
		ret->secret = optional(entry, "password");
	}
	ret->identity_token = optional(entry, "identitytoken");
	ret->registry_token = optional(entry, "registrytoken");
	return true;
}

/* ---- change ---- */

struct change {
	struct jw w;
	const char *key, *entry;
	bool top;	    /* a member of the file itself, not of "auths" */
	bool auths, placed; /* written already */
};

static void write_value(struct jw *w, const char *key, const struct json *value)
{
	struct buf text = BUF_INIT(AUTH_FILE_MAX);

	json_dump(value, &text);
	jw_key(w, key);
	jw_raw(w, buf_text(&text));
	if (text.p)
		explicit_bzero(text.p, text.n);
	buf_done(&text);
}

static void place(struct change *c)
{
	if (c->entry && !c->placed) {
		jw_key(&c->w, c->key);
		jw_raw(&c->w, c->entry);
	}
	c->placed = true;
}

static void change_auth(const char *key, struct json *value, void *ud)
{
	struct change *c = ud;

	if (!strcmp(key, c->key))
		place(c);
	else
		write_value(&c->w, key, value);
}

static void change_auths(struct change *c, const struct json *auths)
{
	jw_key(&c->w, "auths");
	jw_obj(&c->w);
	json_each(auths, change_auth, c);
	place(c);
	jw_obj_end(&c->w);
	c->auths = true;
}

static void change_member(const char *key, struct json *value, void *ud)
{
	struct change *c = ud;

	if (!c->top && !strcmp(key, "auths"))
		change_auths(c, value);
	else if (c->top && !strcmp(key, c->key))
		place(c);
	else
		write_value(&c->w, key, value);
}

/* The directory and last name of what the path leads to. */
static int open_place(const char *path, char **ret_base, struct err *e)
{
	char real[PATH_MAX];
	AUTO_FREE char *whole = xstrdup(realpath(path, real) ? real : path);
	char *slash = strrchr(whole, '/');
	const char *dir = slash == whole ? "/" : slash ? whole : ".";

	*ret_base = xstrdup(slash ? slash + 1 : whole);
	if (slash)
		*slash = '\0';
	fs_mkdirs(dir, 0700);
	int fd = fs_open_dir(dir);
	return fd < 0 ? err_sys(e, fd, "open %s", dir) : fd;
}

static int change_file(const char *path, const char *key, const char *entry, bool top,
		       struct err *e)
{
	struct buf text = BUF_INIT(AUTH_FILE_MAX), nice = BUF_INIT(2 * AUTH_FILE_MAX);
	AUTO(json) struct json *old = NULL;
	AUTO_FREE char *base = NULL;
	AUTO_FD int dir = open_place(path, &base, e);
	struct change c = {.w = JW_INIT(&text), .key = key, .entry = entry, .top = top};
	int rc = 0;

	if (dir < 0)
		return -1;
	flock(dir, LOCK_EX); /* two logins at a time lose nothing; released with the descriptor */
	if (auth_file_load(path, &old, e) < 0)
		return -1;
	jw_obj(&c.w);
	json_each(old, change_member, &c);
	if (top)
		place(&c);
	else if (!c.auths)
		change_auths(&c, NULL);
	jw_obj_end(&c.w);
	json_indent(buf_text(&text), text.n, "\t", &nice);
	if (text.overflow || nice.overflow) {
		rc = err_set(e, ERR_LIMIT, "%s would become too large", path);
	} else {
		rc = fs_write_atomic(dir, base, nice.p, nice.n, 0600, true);
		if (rc < 0)
			err_sys(e, rc, "write %s", path);
	}
	if (text.p)
		explicit_bzero(text.p, text.n);
	if (nice.p)
		explicit_bzero(nice.p, nice.n);
	buf_done(&text);
	buf_done(&nice);
	return rc < 0 ? -1 : 0;
}

int auth_file_change(const char *path, const char *key, const char *entry, struct err *e)
{
	return change_file(path, key, entry, false, e);
}

int config_file_change(const char *key, const char *entry, struct err *e)
{
	AUTO_FREE char *path = config_path("config.json");

	if (!path)
		return err_set(e, ERR_INVALID, "neither DOCKER_CONFIG nor HOME is set");
	return change_file(path, key, entry, true, e);
}
