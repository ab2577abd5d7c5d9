/* SPDX-License-Identifier: Apache-2.0 */
/*
 * certs.d/HOST: hosts.toml as containerd reads it (server, [host."URL"] with capabilities, ca,
 * client, skip_verify, override_path, header) and the certificate files that Docker puts there
 * (*.crt: authorities; X.cert with X.key: the client's).
 */
#include "image/sources-priv.h"

#include "base/mem.h"
#include "sys/fs.h"
#include "wire/toml.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define CA_MAX ((size_t)1 << 20)

/* A file that was read, and whose folder its relative paths start from. */
struct hosts_file {
	char *path, *dir;
	struct arena *arena;
};

/* ---- the folder of a host ---- */

/* Names that a host's folder may have: "h:5000", "h_5000_" (for file systems without colons). */
static const char *folder_name(const char *host, int which, struct arena *a)
{
	const char *colon = strrchr(host, ':');
	if (which == 0)
		return host;
	if (which == 2)
		return "_default";
	return colon && !strchr(colon, ']')
		       ? arena_printf(a, "%.*s_%s_", (int)(colon - host), host, colon + 1)
		       : NULL;
}

static bool is_dir(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The nth folder for this host, NULL behind the last. */
static char *host_folder(const struct image_service *s, const char *host, size_t n, bool defaults,
			 struct arena *a)
{
	for (int which = 0; which < (defaults ? 3 : 2); which++)
		for (size_t i = 0; i < s->cert_dirs.n; i++) {
			const char *name = folder_name(host, which, a);
			if (!name)
				break;
			char *path = arena_printf(a, "%s/%s", s->cert_dirs.v[i], name);
			if (is_dir(path) && n-- == 0)
				return path;
		}
	return NULL;
}

/* ---- certificates ---- */

static int add_ca(struct buf *pem, const char *path, struct err *e)
{
	int rc = fs_read_path(path, pem);
	if (rc < 0)
		return err_sys(e, rc, "read %s", path);
	buf_addc(pem, '\n');
	return pem->overflow ? err_set(e, ERR_SYSTEM, "%s: too many certificates", path) : 0;
}

static int missing_half(const char *dir, const char *name, struct err *e)
{
	size_t stem = strlen(name) - 5 + str_ends(name, ".key");
	bool key = str_ends(name, ".key");
	if (key)
		return err_set(e, ERR_SYSTEM, "%s: missing client certificate %.*s.cert for key %s",
			       dir, (int)stem, name, name);
	return err_set(e, ERR_SYSTEM,
		       "%s: missing key %.*s.key for client certificate %s. CA certificates must "
		       "use the extension .crt",
		       dir, (int)stem, name, name);
}

static int add_client(struct source *to, const char *cert, const char *key, struct err *e)
{
	size_t n = 0;
	while (n < HTTP_CERTS_MAX && to->certs.v[n].cert)
		n++;
	if (n == HTTP_CERTS_MAX)
		return err_set(e, ERR_SYSTEM, "%s: more than %d client certificates for one host",
			       cert, HTTP_CERTS_MAX);
	to->certs.v[n].cert = cert;
	to->certs.v[n].key = key;
	return 0;
}

static int use_file(const char *dir, const char *name, struct arena *a, struct source *to,
		    struct buf *pem, struct err *e)
{
	struct stat st;
	bool cert = str_ends(name, ".cert"), key = str_ends(name, ".key");
	char *path = arena_printf(a, "%s/%s", dir, name);
	if (str_ends(name, ".crt"))
		return add_ca(pem, path, e);
	if (!cert && !key)
		return 0;
	int stem = (int)strlen(path) - (cert ? 5 : 4);
	char *other = arena_printf(a, "%.*s%s", stem, path, cert ? ".key" : ".cert");
	if (stat(other, &st) < 0)
		return missing_half(dir, name, e);
	return cert ? add_client(to, path, other, e) : 0;
}

static int visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

int host_certificates(const struct image_service *s, const char *host, struct arena *a,
		      struct source *to, struct err *e)
{
	AUTO_BUF struct buf pem = BUF_INIT(CA_MAX);
	const char *dir;
	for (size_t i = 0; (dir = host_folder(s, host, i, false, a)); i++) {
		struct dirent **names = NULL;
		int rc = 0, n = scandir(dir, &names, visible, alphasort);
		for (int k = 0; k < n; k++) {
			if (rc == 0)
				rc = use_file(dir, names[k]->d_name, a, to, &pem, e);
			free(names[k]);
		}
		free(names);
		if (rc < 0)
			return -1;
	}
	if (pem.n)
		to->ca = arena_strdup(a, buf_text(&pem));
	return 0;
}

/* ---- hosts.toml ---- */

static const char *beside(const struct hosts_file *f, const char *path)
{
	return *path == '/' ? path : arena_printf(f->arena, "%s/%s", f->dir, path);
}

static int take_ca(const struct hosts_file *f, const struct toml *t, struct source *to,
		   struct err *e)
{
	AUTO_BUF struct buf pem = BUF_INIT(CA_MAX);
	struct strs files = {0};
	if (config_strs(f->path, t, "ca", f->arena, &files, e) < 0)
		return -1;
	for (size_t i = 0; i < files.n; i++)
		if (add_ca(&pem, beside(f, files.v[i]), e) < 0)
			return err_wrap(e, "%s", f->path);
	if (pem.n)
		to->ca = arena_strdup(f->arena, buf_text(&pem));
	return 0;
}

static int client_pair(const struct hosts_file *f, const struct toml *at, const struct toml *cert,
		       const struct toml *key, struct source *to, struct err *e)
{
	if (!cert || cert->kind != TOML_STRING || (key && (key->kind != TOML_STRING || key->next)))
		return config_bad(e, f->path, at,
				  "client is a file, or a list of [certificate, key]");
	const char *path = beside(f, cert->text);
	return add_client(to, path, key && *key->text ? beside(f, key->text) : path, e);
}

/* client = "both.pem" | ["both.pem", "more.pem"] | [["a.cert", "a.key"], ["both.pem"]] */
static int take_client(const struct hosts_file *f, const struct toml *t, struct source *to,
		       struct err *e)
{
	const struct toml *m = toml_get(t, "client");
	if (!m)
		return 0;
	to->certs = (struct http_certs){0};
	if (m->kind != TOML_ARRAY)
		return client_pair(f, m, m, NULL, to, e);
	for (const struct toml *c = m->first; c; c = c->next) {
		bool pair = c->kind == TOML_ARRAY;
		const struct toml *cert = pair ? c->first : c;
		if (client_pair(f, m, cert, pair && cert ? cert->next : NULL, to, e) < 0)
			return -1;
	}
	return 0;
}

static int take_capabilities(const struct hosts_file *f, const struct toml *t, struct source *to,
			     struct err *e)
{
	struct strs names = {0};
	if (config_strs(f->path, t, "capabilities", f->arena, &names, e) < 0)
		return -1;
	to->resolve = to->pull = to->push = !toml_get(t, "capabilities");
	for (size_t i = 0; i < names.n; i++) {
		if (!strcmp(names.v[i], "pull"))
			to->pull = true;
		else if (!strcmp(names.v[i], "resolve"))
			to->resolve = true;
		else if (!strcmp(names.v[i], "push"))
			to->push = true;
		else if (strcmp(names.v[i], "referrers"))
			return config_bad(e, f->path, toml_get(t, "capabilities"),
					  "capabilities are pull, resolve, push");
	}
	return 0;
}

static bool header_valid(const char *name, const char *value)
{
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-_.!#$%&'*+^`|~", *p))
			return false;
	return *name && !strpbrk(value, "\r\n");
}

static int take_headers(const struct hosts_file *f, const struct toml *t, struct source *to,
			struct err *e)
{
	const struct toml *all = toml_get(t, "header");
	if (all && all->kind != TOML_TABLE)
		return config_bad(e, f->path, all, "header is a table");
	for (const struct toml *h = all ? all->first : NULL; h; h = h->next) {
		struct strs values = {0};
		if (config_strs(f->path, all, h->key, f->arena, &values, e) < 0)
			return -1;
		for (size_t i = 0; i < values.n; i++) {
			if (!header_valid(h->key, values.v[i]))
				return config_bad(e, f->path, h, "this is no HTTP header");
			strs_push(&to->headers, f->arena,
				  arena_printf(f->arena, "%s: %s", h->key, values.v[i]));
		}
	}
	return 0;
}

/* "https://host:port/path", or without a scheme: https, and either for loopback. */
static int take_url(const struct hosts_file *f, const struct toml *at, const char *url,
		    bool override_path, struct source *to, struct err *e)
{
	const char *host = url;
	to->scheme = SOURCE_TLS;
	if (str_starts(url, "http://"))
		to->scheme = SOURCE_PLAIN;
	else if (strstr(url, "://") && !str_starts(url, "https://"))
		return config_bad(e, f->path, at, "a host is an http or https URL");
	if (strstr(url, "://"))
		host = strstr(url, "://") + 3;
	size_t n = strcspn(host, "/"), path = strlen(host + n);
	while (path && host[n + path - 1] == '/')
		path--;
	if (!n || strpbrk(host, "@?#\r\n \"\\"))
		return config_bad(
			e, f->path, at,
			"a host is an http or https URL without user, query and fragment");
	to->host = arena_strndup(f->arena, host, n);
	to->path = arena_printf(f->arena, "%.*s%s", (int)path, host + n,
				override_path ? "" : "/v2");
	if (!strcmp(to->host, IMAGE_REF_HUB))
		to->host = "registry-1.docker.io";
	return 0;
}

static int take_host(const struct image_service *s, const struct hosts_file *f,
		     const struct toml *at, const char *url, const struct toml *t,
		     struct source *to, struct err *e)
{
	bool override_path = false;
	if (config_bool(f->path, t, "override_path", &override_path, e) < 0 ||
	    config_bool(f->path, t, "skip_verify", &to->skip_verify, e) < 0 ||
	    take_url(f, at, url, override_path, to, e) < 0)
		return -1;
	if (!strstr(url, "://") && service_insecure(s, to->host))
		to->scheme = SOURCE_EITHER;
	if (take_capabilities(f, t, to, e) < 0 || take_ca(f, t, to, e) < 0 ||
	    take_client(f, t, to, e) < 0 || take_headers(f, t, to, e) < 0)
		return -1;
	if (!to->ca && !to->certs.v[0].cert && host_certificates(s, to->host, f->arena, to, e) < 0)
		return -1;
	/* Who names an authority wants it to be asked. */
	if (!toml_get(t, "skip_verify"))
		to->skip_verify = !to->ca && (to->skip_verify || service_insecure(s, to->host));
	return 0;
}

static int take_mirrors(const struct image_service *s, const struct hosts_file *f,
			const struct toml *t, const struct source *first, struct sources *out,
			struct err *e)
{
	const struct toml *hosts = toml_get(t, "host");
	if (hosts && hosts->kind != TOML_TABLE)
		return config_bad(e, f->path, hosts, "write [host.\"https://...\"]");
	for (const struct toml *h = hosts ? hosts->first : NULL; h; h = h->next) {
		struct source m = {.repo = first->repo};
		if (h->kind != TOML_TABLE)
			return config_bad(e, f->path, h, "write [host.\"https://...\"]");
		if (take_host(s, f, h, h->key, h, &m, e) < 0)
			return -1;
		m.push = m.push && toml_get(h, "capabilities"); /* mirrors must say so */
		m.origin = first->origin && !strcmp(m.host, first->host);
		m.ns = m.origin ? NULL : first->ns;
		if (sources_add(out, &m, e) < 0)
			return err_wrap(e, "%s", f->path);
	}
	return 0;
}

/* What stands outside of [host] is about the server itself. */
static int take_server(const struct image_service *s, const struct hosts_file *f,
		       const struct toml *t, struct source *to, struct err *e)
{
	const struct toml *server = toml_get(t, "server");
	if (server && server->kind != TOML_STRING)
		return config_bad(e, f->path, server, "server is a URL");
	if (server && *server->text)
		return take_host(s, f, server, server->text, t, to, e);
	if (take_capabilities(f, t, to, e) < 0 || take_ca(f, t, to, e) < 0 ||
	    take_client(f, t, to, e) < 0 || take_headers(f, t, to, e) < 0)
		return -1;
	to->skip_verify = to->skip_verify && !to->ca;
	return config_bool(f->path, t, "skip_verify", &to->skip_verify, e);
}

int hosts_toml_apply(const struct image_service *s, const struct source *first, struct sources *out,
		     struct err *e)
{
	struct hosts_file f = {.arena = out->arena};
	struct source server = *first;
	const struct toml *t = NULL;
	const char *host = strcmp(first->host, "registry-1.docker.io") ? first->host
								       : IMAGE_REF_HUB;
	for (size_t i = 0; !t && (f.dir = host_folder(s, host, i, true, f.arena)); i++) {
		f.path = arena_printf(f.arena, "%s/hosts.toml", f.dir);
		if (config_file_read(f.path, f.arena, &t, e) < 0)
			return -1;
	}
	if (t &&
	    (take_mirrors(s, &f, t, first, out, e) < 0 || take_server(s, &f, t, &server, e) < 0))
		return -1;
	return sources_add(out, &server, e);
}
