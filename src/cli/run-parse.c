/* SPDX-License-Identifier: Apache-2.0 */
/* Parsers of option values: each turns text into one piece of the create body. */
#include "cli/run.h"
#include "base/mem.h"
#include "base/num.h"
#include "sys/fs.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

void strs_free(struct strs *s)
{
	for (size_t i = 0; i < s->n; i++) {
		union {
			const char *in;
			char *out;
		} u = {.in = s->v[i]};
		free(u.out);
	}
	free(s->v);
	*s = (struct strs){0};
}

static void strs_add(struct strs *s, char *text)
{
	s->v = xrealloc(s->v, (s->n + 1) * sizeof *s->v);
	s->v[s->n++] = text;
}

int csv_split(const char *line, struct strs *ret)
{
	const char *p = line;

	for (;;) {
		struct buf field = BUF_INIT(1U << 16);
		if (*p == '"') {
			for (p++; *p && (*p != '"' || p[1] == '"'); p++) {
				if (*p == '"')
					p++;
				buf_addc(&field, *p);
			}
			if (*p != '"' || (p[1] && p[1] != ',')) {
				buf_done(&field);
				return -EINVAL;
			}
			p++;
		} else {
			size_t n = strcspn(p, ",");
			if (memchr(p, '"', n))
				return -EINVAL;
			buf_add(&field, p, n);
			p += n;
		}
		strs_add(ret, buf_take(&field));
		if (!*p)
			return 0;
		p++;
	}
}

void parse_pairs(struct jw *w, const struct optval *v)
{
	jw_obj(w);
	for (size_t i = 0; i < v->n; i++) {
		const char *eq = strchr(v->v[i], '=');
		AUTO_FREE char *key = eq ? xstrndup(v->v[i], (size_t)(eq - v->v[i]))
					 : xstrdup(v->v[i]);
		jw_kv_str(w, key, eq ? eq + 1 : "");
	}
	jw_obj_end(w);
}

/* ---- --mount ---- */
struct mount {
	const char *type, *source, *target, *consistency, *propagation, *driver, *subpath;
	const char *size, *mode, *recursive, *image_subpath;
	bool readonly, nonrecursive, nocopy;
	bool has_bind, has_volume, has_tmpfs;
	struct optval labels, options;
};

static int mount_bool(const char *key, const char *value, bool *ret, struct err *e)
{
	if (!value || !strcmp(value, "1") || !strcmp(value, "true")) {
		*ret = true;
		return 0;
	}
	if (!strcmp(value, "0") || !strcmp(value, "false")) {
		*ret = false;
		return 0;
	}
	return err_set(e, ERR_INVALID, "invalid value for %s: %s", key, value);
}

static void optval_add(struct optval *v, const char *s)
{
	v->v = xrealloc(v->v, (v->n + 1) * sizeof *v->v);
	v->v[v->n++] = s;
}

static bool is_one_of(const char *key, const char *a, const char *b, const char *c)
{
	return !strcmp(key, a) || (b && !strcmp(key, b)) || (c && !strcmp(key, c));
}

static int mount_text_field(struct mount *m, const char *key, const char *value, struct err *e)
{
	if (is_one_of(key, "type", NULL, NULL))
		m->type = value;
	else if (is_one_of(key, "source", "src", NULL))
		m->source = value;
	else if (is_one_of(key, "target", "dst", "destination"))
		m->target = value;
	else if (!strcmp(key, "consistency"))
		m->consistency = value;
	else if (!strcmp(key, "bind-propagation"))
		m->propagation = value, m->has_bind = true;
	else if (!strcmp(key, "bind-recursive"))
		m->recursive = value, m->has_bind = true;
	else if (!strcmp(key, "volume-driver"))
		m->driver = value, m->has_volume = true;
	else if (!strcmp(key, "volume-subpath"))
		m->subpath = value, m->has_volume = true;
	else if (!strcmp(key, "image-subpath"))
		m->image_subpath = value;
	else if (!strcmp(key, "volume-label"))
		optval_add(&m->labels, value), m->has_volume = true;
	else if (!strcmp(key, "volume-opt"))
		optval_add(&m->options, value), m->has_volume = true;
	else if (!strcmp(key, "tmpfs-size"))
		m->size = value, m->has_tmpfs = true;
	else if (!strcmp(key, "tmpfs-mode"))
		m->mode = value, m->has_tmpfs = true;
	else
		return err_set(e, ERR_INVALID, "unexpected key '%s' in '%s=%s'", key, key, value);
	return 0;
}

static int mount_field(struct mount *m, char *field, struct err *e)
{
	char *value = strchr(field, '=');

	if (value)
		*value++ = 0;
	if (is_one_of(field, "readonly", "ro", NULL))
		return mount_bool(field, value, &m->readonly, e);
	if (!strcmp(field, "volume-nocopy")) {
		m->has_volume = true;
		return mount_bool(field, value, &m->nocopy, e);
	}
	if (!strcmp(field, "bind-nonrecursive")) {
		m->has_bind = true;
		return mount_bool(field, value, &m->nonrecursive, e);
	}
	if (!value)
		return err_set(e, ERR_INVALID, "invalid field '%s' must be a key=value pair",
			       field);
	return mount_text_field(m, field, value, e);
}

static int mount_check(const struct mount *m, struct err *e)
{
	if (!m->target)
		return err_set(e, ERR_INVALID, "target is required");
	if (m->has_volume && strcmp(m->type, "volume"))
		return err_set(e, ERR_INVALID, "cannot mix 'volume-*' options with mount type '%s'",
			       m->type);
	if (m->has_bind && strcmp(m->type, "bind"))
		return err_set(e, ERR_INVALID, "cannot mix 'bind-*' options with mount type '%s'",
			       m->type);
	if (m->image_subpath && strcmp(m->type, "image"))
		return err_set(e, ERR_INVALID, "cannot mix 'image-*' options with mount type '%s'",
			       m->type);
	if (m->has_tmpfs && strcmp(m->type, "tmpfs"))
		return err_set(e, ERR_INVALID, "cannot mix 'tmpfs-*' options with mount type '%s'",
			       m->type);
	return 0;
}

/* A source like ./dir is the client's directory. */
static char *absolute(const char *path)
{
	if (path[0] == '/' || !strcmp(path, "~") || path[0] != '.')
		return xstrdup(path);
	AUTO_FREE char *cwd = get_current_dir_name();
	const char *rest = path;
	if (!strcmp(rest, "."))
		rest = "";
	while (str_starts(rest, "./"))
		rest += 2;
	return *rest ? xasprintf("%s/%s", cwd ? cwd : "", rest) : xstrdup(cwd ? cwd : "/");
}

static int mount_write_options(struct jw *w, const struct mount *m, struct err *e)
{
	int64_t size = 0;
	uint32_t mode = 0;

	if (m->has_bind) {
		jw_key(w, "BindOptions");
		jw_obj(w);
		if (m->propagation)
			jw_kv_str(w, "Propagation", m->propagation);
		if (m->nonrecursive || (m->recursive && !strcmp(m->recursive, "disabled")))
			jw_kv_bool(w, "NonRecursive", true);
		if (m->recursive && !strcmp(m->recursive, "writable"))
			jw_kv_bool(w, "ReadOnlyNonRecursive", true);
		if (m->recursive && !strcmp(m->recursive, "readonly"))
			jw_kv_bool(w, "ReadOnlyForceRecursive", true);
		jw_obj_end(w);
	}
	if (m->image_subpath) {
		jw_key(w, "ImageOptions");
		jw_obj(w);
		jw_kv_str(w, "Subpath", m->image_subpath);
		jw_obj_end(w);
	}
	if (m->has_volume) {
		jw_key(w, "VolumeOptions");
		jw_obj(w);
		if (m->nocopy)
			jw_kv_bool(w, "NoCopy", true);
		jw_key(w, "Labels");
		parse_pairs(w, &m->labels);
		if (m->subpath)
			jw_kv_str(w, "Subpath", m->subpath);
		if (m->driver || m->options.n) {
			jw_key(w, "DriverConfig");
			jw_obj(w);
			if (m->driver)
				jw_kv_str(w, "Name", m->driver);
			jw_key(w, "Options");
			parse_pairs(w, &m->options);
			jw_obj_end(w);
		}
		jw_obj_end(w);
	}
	if (m->has_tmpfs) {
		if (m->size && num_parse_bytes(m->size, &size) < 0)
			return err_set(e, ERR_INVALID, "invalid value for tmpfs-size: %s", m->size);
		if (m->mode && num_parse_octal(m->mode, 07777, &mode) < 0)
			return err_set(e, ERR_INVALID, "invalid value for tmpfs-mode: %s", m->mode);
		jw_key(w, "TmpfsOptions");
		jw_obj(w);
		if (m->size)
			jw_kv_i64(w, "SizeBytes", size);
		if (m->mode)
			jw_kv_i64(w, "Mode", mode);
		jw_obj_end(w);
	}
	return 0;
}

static int mount_write(struct jw *w, const struct mount *m, struct err *e)
{
	if (mount_check(m, e) < 0)
		return -1;
	AUTO_FREE char *source = m->source && !strcmp(m->type, "bind") ? absolute(m->source)
								       : xstrdup(m->source);
	jw_obj(w);
	jw_kv_str(w, "Type", m->type);
	if (source)
		jw_kv_str(w, "Source", source);
	jw_kv_str(w, "Target", m->target);
	if (m->readonly)
		jw_kv_bool(w, "ReadOnly", true);
	if (m->consistency)
		jw_kv_str(w, "Consistency", m->consistency);
	int rc = mount_write_options(w, m, e);
	jw_obj_end(w);
	return rc;
}

int parse_mount(struct jw *w, const char *csv, struct err *e)
{
	struct mount m = {.type = "volume"};
	struct strs fields = {0};
	int rc = csv_split(csv, &fields) < 0
			 ? err_set(e, ERR_INVALID, "invalid --mount value '%s'", csv)
			 : 0;

	for (size_t i = 0; rc == 0 && i < fields.n; i++) {
		union {
			const char *in;
			char *out;
		} u = {.in = fields.v[i]};
		rc = mount_field(&m, u.out, e);
	}
	if (rc == 0)
		rc = mount_write(w, &m, e);
	free(m.labels.v);
	free(m.options.v);
	strs_free(&fields);
	return rc < 0 ? err_wrap(e, "invalid argument \"%s\" for \"--mount\" flag", csv) : 0;
}

int parse_volumes(struct jw *w, const struct optval *v, bool binds, struct err *e)
{
	for (size_t i = 0; i < v->n; i++) {
		const char *text = v->v[i];
		const char *colon = strchr(text, ':');

		if (!*text || *text == ':')
			return err_set(e, ERR_INVALID, "invalid volume specification: '%s'", text);
		if (!colon && !binds) {
			jw_key(w, text);
			jw_obj(w);
			jw_obj_end(w);
		} else if (colon && binds) {
			AUTO_FREE char *head = xstrndup(text, (size_t)(colon - text));
			AUTO_FREE char *source = absolute(head);
			AUTO_FREE char *whole = xasprintf("%s%s", source, colon);
			jw_str(w, whole);
		}
	}
	return 0;
}

/* ---- small ones ---- */
int parse_ulimit(struct jw *w, const char *text, struct err *e)
{
	const char *eq = strchr(text, '=');
	int64_t soft, hard;

	if (!eq || eq == text)
		return err_set(e, ERR_INVALID,
			       "invalid argument \"%s\" for \"--ulimit\" flag: invalid ulimit "
			       "argument: %s",
			       text, text);
	static const char *const names[] = {"core",    "cpu",	   "data",   "fsize",	   "locks",
					    "memlock", "msgqueue", "nice",   "nofile",	   "nproc",
					    "rss",     "rtprio",   "rttime", "sigpending", "stack"};
	AUTO_FREE char *name = xstrndup(text, (size_t)(eq - text));
	bool known = false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		known = known || !strcmp(names[i], name);
	if (!known)
		return err_set(
			e, ERR_INVALID,
			"invalid argument \"%s\" for \"--ulimit\" flag: invalid ulimit type: "
			"%s",
			text, name);
	AUTO_FREE char *values = xstrdup(eq + 1);
	char *colon = strchr(values, ':');
	if (colon)
		*colon = 0;
	if (num_parse_i64(values, -1, INT64_MAX, &soft) < 0 ||
	    num_parse_i64(colon ? colon + 1 : values, -1, INT64_MAX, &hard) < 0)
		return err_set(e, ERR_INVALID,
			       "invalid argument \"%s\" for \"--ulimit\" flag: strconv.ParseInt: "
			       "parsing \"%s\": invalid syntax",
			       text, values);
	if (hard != -1 && (soft > hard || soft == -1))
		return err_set(e, ERR_INVALID,
			       "invalid argument \"%s\" for \"--ulimit\" flag: ulimit soft limit "
			       "must be less than or equal to hard limit: %lld > %lld",
			       text, (long long)soft, (long long)hard);
	jw_obj(w);
	jw_kv_str(w, "Name", name);
	jw_kv_i64(w, "Hard", hard);
	jw_kv_i64(w, "Soft", soft);
	jw_obj_end(w);
	return 0;
}

static bool is_device_mode(const char *s)
{
	return *s && strspn(s, "rwm") == strlen(s) && strlen(s) <= 3;
}

int parse_device(struct jw *w, const char *text, struct err *e)
{
	AUTO_FREE char *copy = xstrdup(text);
	char *part[3] = {copy, NULL, NULL};
	int n = 1;

	for (char *s = copy; *s; s++) {
		if (*s != ':')
			continue;
		if (n == 3)
			return err_set(e, ERR_INVALID, "invalid device specification: %s", text);
		*s = 0;
		part[n++] = s + 1;
	}
	if (!*part[0])
		return err_set(e, ERR_INVALID, "invalid device specification: %s", text);
	const char *target = n > 1 && !(n == 2 && is_device_mode(part[1])) ? part[1] : part[0];
	const char *mode = n == 3 ? part[2] : n == 2 && is_device_mode(part[1]) ? part[1] : "rwm";
	if (!is_device_mode(mode))
		return err_set(e, ERR_INVALID, "bad mode specified: %s", mode);
	jw_obj(w);
	jw_kv_str(w, "PathOnHost", part[0]);
	jw_kv_str(w, "PathInContainer", *target ? target : part[0]);
	jw_kv_str(w, "CgroupPermissions", mode);
	jw_obj_end(w);
	return 0;
}

int parse_restart(struct jw *w, const char *text, struct err *e)
{
	const char *colon = strchr(text, ':');
	AUTO_FREE char *name = colon ? xstrndup(text, (size_t)(colon - text)) : xstrdup(text);
	int64_t count = 0;

	if (colon && !*name)
		return err_set(e, ERR_INVALID,
			       "invalid restart policy format: no policy provided before colon");
	if (colon && num_parse_i64(colon + 1, INT32_MIN, INT32_MAX, &count) < 0)
		return err_set(e, ERR_INVALID,
			       "invalid restart policy format: maximum retry count must be an "
			       "integer");
	jw_obj(w);
	jw_kv_str(w, "Name", name);
	jw_kv_i64(w, "MaximumRetryCount", count);
	jw_obj_end(w);
	return 0;
}

static int seccomp_file(struct jw *w, const char *path, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(16U << 20);
	AUTO_BUF struct buf out = BUF_INIT(32U << 20);
	AUTO(json) struct json *j = NULL;
	int rc = fs_read_path(path, &text);

	if (rc < 0)
		return err_set(e, ERR_INVALID, "opening seccomp profile (%s) failed: open %s: %s",
			       path, path,
			       rc == -ENOENT ? "no such file or directory" : strerror(-rc));
	if (json_parse(buf_text(&text), text.n, &j, e) < 0)
		return err_wrap(e, "compacting json for seccomp profile (%s) failed", path);
	buf_adds(&out, "seccomp=");
	json_dump(j, &out);
	jw_str(w, buf_text(&out));
	return 0;
}

int parse_security_opts(struct jw *w, const struct optval *v, bool *ret_unconfined_paths,
			struct err *e)
{
	*ret_unconfined_paths = false;
	for (size_t i = 0; i < v->n; i++) {
		const char *s = v->v[i];
		const char *sep = strpbrk(s, "=:");

		if (!strcmp(s, "systempaths=unconfined")) {
			*ret_unconfined_paths = true;
			continue;
		}
		if (!sep && strcmp(s, "no-new-privileges"))
			return err_set(e, ERR_INVALID, "Invalid --security-opt: \"%s\"", s);
		if ((str_starts(s, "seccomp=") || str_starts(s, "seccomp:")) &&
		    strcmp(sep + 1, "unconfined") && strcmp(sep + 1, "builtin")) {
			if (seccomp_file(w, sep + 1, e) < 0)
				return -1;
			continue;
		}
		jw_str(w, s);
	}
	return 0;
}

int parse_add_host(struct jw *w, const char *text, struct err *e)
{
	const char *sep = strchr(text, '=');

	if (!sep)
		sep = strchr(text, ':');
	if (!sep || sep == text || !sep[1])
		return err_set(e, ERR_INVALID,
			       "invalid argument \"%s\" for \"--add-host\" flag: bad format for "
			       "add-host: \"%s\"",
			       text, text);
	size_t n = strlen(sep + 1);
	bool brackets = sep[1] == '[' && sep[n] == ']';
	AUTO_FREE char *out = xasprintf("%.*s:%.*s", (int)(sep - text), text,
					(int)(brackets ? n - 2 : n), sep + 1 + brackets);
	jw_str(w, out);
	return 0;
}

/* Lines of an env or label file: blank lines and # comments are skipped. */
static int file_lines(const char *path, bool env, void (*fn)(const char *line, void *ud), void *ud,
		      struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(16U << 20);
	int rc = fs_read_path(path, &text);
	struct str line, rest;

	if (rc < 0)
		return err_set(e, ERR_INVALID, "open %s: %s", path,
			       rc == -ENOENT ? "no such file or directory" : strerror(-rc));
	rest = (struct str){buf_text(&text), text.n};
	if (text.n >= 3 && !memcmp(text.p, "\xef\xbb\xbf", 3)) {
		rest.p += 3;
		rest.n -= 3;
	}
	while (str_cut(&rest, '\n', &line)) {
		while (line.n && (*line.p == ' ' || *line.p == '\t'))
			line.p++, line.n--;
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		if (!line.n || *line.p == '#')
			continue;
		AUTO_FREE char *one = xstrndup(line.p, line.n);
		size_t key = strcspn(one, "=");
		if (!key)
			return err_set(e, ERR_INVALID, "no variable name on line '%s'", one);
		if (env && strcspn(one, " \t") < key)
			return err_set(e, ERR_INVALID, "variable '%.*s' contains whitespaces",
				       (int)key, one);
		fn(one, ud);
	}
	return 0;
}

static void env_line(const char *line, void *ud)
{
	if (strchr(line, '=')) {
		jw_str(ud, line);
		return;
	}
	const char *value = secure_getenv(line);
	if (value) {
		AUTO_FREE char *whole = xasprintf("%s=%s", line, value);
		jw_str(ud, whole);
	}
}

int parse_env(struct jw *w, const struct optval *files, const struct optval *env, struct err *e)
{
	for (size_t i = 0; i < files->n; i++)
		if (file_lines(files->v[i], true, env_line, w, e) < 0)
			return -1;
	for (size_t i = 0; i < env->n; i++) {
		const char *s = env->v[i];
		if (!*s || *s == '=')
			return err_set(e, ERR_INVALID,
				       "invalid argument \"%s\" for \"-e, --env\" flag: invalid "
				       "environment variable: %s",
				       s, s);
		if (strchr(s, '=') || !secure_getenv(s))
			jw_str(w, s);
		else
			env_line(s, w);
	}
	return 0;
}

static void label_line(const char *line, void *ud)
{
	const char *one[] = {line};
	const char *eq = strchr(one[0], '=');
	AUTO_FREE char *key = eq ? xstrndup(line, (size_t)(eq - line)) : xstrdup(line);

	jw_kv_str(ud, key, eq ? eq + 1 : "");
}

int parse_labels(struct jw *w, const struct optval *files, const struct optval *labels,
		 struct err *e)
{
	jw_obj(w);
	for (size_t i = 0; i < files->n; i++)
		if (file_lines(files->v[i], false, label_line, w, e) < 0)
			return -1;
	for (size_t i = 0; i < labels->n; i++) {
		/* a later label wins, as in a map */
		size_t key = strcspn(labels->v[i], "=");
		bool again = false;
		for (size_t k = i + 1; k < labels->n && !again; k++)
			again = strcspn(labels->v[k], "=") == key &&
				!memcmp(labels->v[k], labels->v[i], key);
		if (!again)
			label_line(labels->v[i], w);
	}
	jw_obj_end(w);
	return 0;
}

int parse_detach_keys(const char *text, char *ret, size_t size)
{
	struct str rest = str_of(text), key;
	size_t n = 0;

	while (str_cut(&rest, ',', &key)) {
		if (n == size)
			return -1;
		if (key.n == 1) {
			ret[n++] = key.p[0];
			continue;
		}
		if (key.n != 6 || strncmp(key.p, "ctrl-", 5))
			return -1;
		char c = key.p[5];
		const char *punct = "@abcdefghijklmnopqrstuvwxyz[\\]^_";
		const char *at = c ? strchr(punct, c) : NULL;
		if (!at)
			return -1;
		ret[n++] = (char)(at - punct);
	}
	return (int)n;
}
