/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which credentials belong to a registry. Docker's order: the helper named for the host, the store
 * named for all, the file itself; then Podman's files, most specific key first.
 */
#include "cli/auth-priv.h"
#include "wire/base64.h"

#include "base/map.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static void wipe_text(char **s)
{
	if (*s)
		explicit_bzero(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

void auth_done(struct auth *a)
{
	wipe_text(&a->server);
	wipe_text(&a->user);
	wipe_text(&a->secret);
	wipe_text(&a->identity_token);
	wipe_text(&a->registry_token);
}

bool auth_is_empty(const struct auth *a)
{
	return !str_is_set(a->user) && !str_is_set(a->secret) && !str_is_set(a->identity_token) &&
	       !str_is_set(a->registry_token);
}

char *auth_hostname(const char *server)
{
	const char *scheme = strstr(server, "://");
	const char *host = scheme ? scheme + 3 : server;

	return xstrndup(host, strcspn(host, "/"));
}

/* The registry part of an image name: Docker's rule for telling a host from a folder. */
static bool is_host(const char *s, size_t n)
{
	if (memchr(s, '.', n) || memchr(s, ':', n) || (n == 9 && !memcmp(s, "localhost", 9)))
		return true;
	for (size_t i = 0; i < n; i++)
		if (s[i] >= 'A' && s[i] <= 'Z')
			return true;
	return false;
}

static bool is_hub(const char *host)
{
	return !strcmp(host, "docker.io") || !strcmp(host, "index.docker.io") ||
	       !strcmp(host, "registry-1.docker.io") || !strcmp(host, AUTH_HUB_SERVER);
}

/* Server of the name and, when wanted, the repository below it without tag and digest. */
static char *split(const char *image, char **ret_path)
{
	size_t n = strcspn(image, "/");
	bool host = image[n] == '/' && is_host(image, n);
	const char *path = host ? image + n + 1 : image;

	if (ret_path)
		*ret_path = xstrndup(path, strcspn(path, ":@"));
	char *server = host ? xstrndup(image, n) : xstrdup("docker.io");
	if (is_hub(server)) {
		free(server);
		return xstrdup(AUTH_HUB_SERVER);
	}
	return server;
}

char *auth_server_of(const char *image)
{
	return split(image, NULL);
}

/* ---- config.json ---- */

static bool contains_auth(const struct json *file)
{
	return str_is_set(json_str(json_get(file, "credsStore"))) ||
	       json_len(json_get(file, "credHelpers")) || json_len(json_get(file, "auths"));
}

/* Name of the helper that keeps this server's credentials, "" for the file itself. */
static char *helper_of(const struct json *file, const char *server)
{
	const char *name = json_str(json_get(json_get(file, "credHelpers"), server));
	AUTO_FREE char *pass = NULL;

	if (!str_is_set(name))
		name = json_str(json_get(file, "credsStore"));
	if (str_is_set(name))
		return xstrdup(name);
	if (contains_auth(file))
		return xstrdup("");
	/* Nothing was ever configured: Docker takes the platform's own store when it is there. */
	struct str rest = str_of(secure_getenv("PATH")), dir;
	while (!pass && str_cut(&rest, ':', &dir)) {
		pass = xasprintf("%.*s/pass", (int)dir.n, dir.p);
		if (!dir.n || access(pass, X_OK) < 0)
			free(TAKE_PTR(pass));
	}
	name = pass ? "pass" : "secretservice";
	return xstrdup(auth_helper_exists(name) ? name : "");
}

struct by_host {
	const char *host;
	char *key;
};

static void match_host(const char *key, struct json *value, void *ud)
{
	struct by_host *m = ud;
	AUTO_FREE char *host = auth_hostname(key);

	if (!m->key && !strcmp(host, m->host))
		m->key = xstrdup(key);
}

/* Exact key, then keys of older clients: "https://host/v1/" for "host". */
static void file_find(const struct json *file, const char *server, struct auth *ret)
{
	struct by_host m = {.host = strcmp(server, AUTH_HUB_SERVER) ? server : "docker.io"};

	if (auth_file_entry(file, server, ret))
		return;
	json_each(json_get(file, "auths"), match_host, &m);
	if (m.key)
		auth_file_entry(file, m.key, ret);
	free(m.key);
}

static int docker_find(const char *server, struct auth *ret, struct err *e)
{
	AUTO_FREE char *path = auth_docker_file();
	AUTO(json) struct json *file = NULL;

	if (path && auth_file_load(path, &file, e) < 0)
		return -1;
	AUTO_FREE char *helper = helper_of(file, server);
	if (*helper)
		return auth_helper_get(helper, server, ret, e) < 0 ? -1 : 0;
	file_find(file, server, ret);
	return 0;
}

/* ---- Podman's files ---- */

/* host/team/app, host/team, host. */
static int podman_entry(const struct json *file, const char *host, const char *path,
			struct auth *ret, struct err *e)
{
	AUTO_FREE char *key = str_is_set(path) ? xasprintf("%s/%s", host, path) : xstrdup(host);

	for (;;) {
		const char *helper = json_str(json_get(json_get(file, "credHelpers"), key));
		if (str_is_set(helper)) {
			int rc = auth_helper_get(helper, key, ret, e);
			if (rc)
				return rc < 0 ? -1 : 0;
		}
		if (auth_file_entry(file, key, ret) && !auth_is_empty(ret))
			return 0;
		auth_done(ret);
		char *slash = strrchr(key, '/');
		if (!slash)
			return 0;
		*slash = '\0';
	}
}

static int podman_find(const char *server, const char *path, struct auth *ret, struct err *e)
{
	const char *host = is_hub(server) ? "docker.io" : server;

	for (unsigned i = 0; auth_is_empty(ret); i++) {
		AUTO_FREE char *name = auth_podman_file(i);
		AUTO(json) struct json *file = NULL;
		if (!name)
			break;
		if (auth_file_load(name, &file, e) < 0)
			return -1;
		if (file && podman_entry(file, host, path, ret, e) < 0)
			return -1;
	}
	return 0;
}

int auth_find(const char *server, const char *path, struct auth *ret, struct err *e)
{
	struct auth a = {0};
	int rc = docker_find(server, &a, e);

	if (rc == 0 && auth_is_empty(&a))
		rc = podman_find(server, path, &a, e);
	if (rc < 0) {
		auth_done(&a);
		return -1;
	}
	free(a.server);
	a.server = xstrdup(server);
	*ret = a;
	return 0;
}

/* ---- the header ---- */

static void put(struct jw *w, const char *key, const char *value)
{
	if (str_is_set(value))
		jw_kv_str(w, key, value);
}

static void put_all(struct jw *w, const struct auth *a)
{
	jw_obj(w);
	put(w, "username", a->user);
	put(w, "password", a->secret);
	put(w, "identitytoken", a->identity_token);
	put(w, "registrytoken", a->registry_token);
	put(w, "serveraddress", a->server);
	jw_obj_end(w);
}

/* The JSON text is wiped. */
static char *header_line(const char *name, struct buf *json)
{
	struct buf text = BUF_INIT(2 * json->max + 64);

	buf_addf(&text, "%s: ", name);
	base64url_encode(buf_text(json), json->n, &text);
	buf_adds(&text, "\r\n");
	if (json->p)
		explicit_bzero(json->p, json->n);
	buf_done(json);
	return buf_take(&text);
}

char *auth_header_of(const struct auth *a)
{
	struct buf json = BUF_INIT(AUTH_HELPER_MAX);
	struct jw w = JW_INIT(&json);

	if (auth_is_empty(a))
		return NULL;
	put_all(&w, a);
	return header_line("X-Registry-Auth", &json);
}

char *auth_config_header(char *const *images, int n)
{
	struct buf json = BUF_INIT(4 * AUTH_HELPER_MAX);
	struct jw w = JW_INIT(&json);
	AUTO(map) struct map *seen = map_new();

	jw_obj(&w);
	for (int i = 0; i < n; i++) {
		AUTO_FREE char *path = NULL;
		AUTO_FREE char *server = split(images[i], &path);
		AUTO_AUTH struct auth a = {0};
		struct err e = ERR_INIT;

		if (map_set(seen, server, seen))
			continue;
		if (auth_find(server, path, &a, &e) < 0)
			fprintf(stderr, "WARNING: %s\n", e.text);
		else if (!auth_is_empty(&a)) {
			jw_key(&w, server);
			put_all(&w, &a);
		}
	}
	jw_obj_end(&w);
	return header_line("X-Registry-Config", &json);
}

char *auth_header(const char *image)
{
	AUTO_FREE char *path = NULL;
	AUTO_FREE char *server = split(image, &path);
	AUTO_AUTH struct auth a = {0};
	struct err e = ERR_INIT;

	if (auth_find(server, path, &a, &e) < 0) {
		fprintf(stderr, "WARNING: %s\n", e.text);
		return NULL;
	}
	return auth_header_of(&a);
}

void auth_header_free(char *header)
{
	wipe_text(&header);
}

/* ---- changes ---- */

static char *writable_file(struct err *e)
{
	char *path = auth_docker_file();

	if (!path)
		err_set(e, ERR_INVALID, "neither DOCKER_CONFIG nor HOME is set");
	return path;
}

/* {"auth":"...","identitytoken":"..."}; a helper keeps the secret: {} */
static void entry_text(const struct auth *a, bool secret, struct buf *out)
{
	struct buf pair = BUF_INIT(AUTH_HELPER_MAX), text = BUF_INIT(2 * AUTH_HELPER_MAX);
	struct jw w = JW_INIT(out);

	jw_obj(&w);
	if (secret && str_is_set(a->user)) {
		buf_addf(&pair, "%s:%s", a->user, str_is_set(a->secret) ? a->secret : "");
		base64_encode(buf_text(&pair), pair.n, &text);
		jw_kv_str(&w, "auth", buf_text(&text));
		explicit_bzero(pair.p, pair.n);
		explicit_bzero(text.p, text.n);
	}
	if (secret)
		put(&w, "identitytoken", a->identity_token);
	jw_obj_end(&w);
	buf_done(&pair);
	buf_done(&text);
}

int auth_store(const struct auth *a, char **ret_plain, struct err *e)
{
	AUTO_FREE char *path = writable_file(e);
	AUTO(json) struct json *file = NULL;
	struct buf entry = BUF_INIT(2 * AUTH_HELPER_MAX);

	if (!path || auth_file_load(path, &file, e) < 0)
		return -1;
	AUTO_FREE char *helper = helper_of(file, a->server);
	if (*helper && auth_helper_store(helper, a, e) < 0)
		return -1;
	entry_text(a, !*helper, &entry);
	int rc = auth_file_change(path, a->server, buf_text(&entry), e);
	explicit_bzero(entry.p, entry.n);
	buf_done(&entry);
	if (rc == 0)
		*ret_plain = *helper ? NULL : TAKE_PTR(path);
	return rc;
}

int auth_erase(const char *server, struct err *e)
{
	AUTO_FREE char *path = writable_file(e);
	AUTO(json) struct json *file = NULL;

	if (!path || auth_file_load(path, &file, e) < 0)
		return -1;
	AUTO_FREE char *helper = helper_of(file, server);
	if (*helper && auth_helper_erase(helper, server, e) < 0)
		return -1;
	return json_get(json_get(file, "auths"), server) ? auth_file_change(path, server, NULL, e)
							 : 0;
}

bool auth_known(const char *server)
{
	AUTO_FREE char *path = auth_docker_file();
	AUTO(json) struct json *file = NULL;
	struct err none = ERR_INIT;

	return path && auth_file_load(path, &file, &none) == 0 &&
	       json_get(json_get(file, "auths"), server);
}
