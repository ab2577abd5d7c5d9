/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File and options become one JSON object, checked for keys nobody knows and for keys given twice,
 * then decoded. A reload decodes both again and keeps what cannot change.
 */
#include "base/mem.h"
#include "config/config-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

static int parse(const struct buf *text, struct json **ret, struct err *e)
{
	size_t blank = strspn(buf_text(text), " \t\r\n");

	if (blank == text->n) /* an empty file, as Docker has it */
		return json_parse("{}", 2, ret, e);
	if (json_parse(buf_text(text), text->n, ret, e) < 0)
		return -1;
	if (json_kind_of(*ret) != JSON_OBJECT)
		return err_set(e, ERR_INVALID, "the file is not a JSON object");
	return 0;
}

static int read_all(int fd, struct buf *out)
{
	for (;;) {
		char *p = buf_room(out, 4096);
		ssize_t n;

		if (!p)
			return -EFBIG;
		n = read(fd, p, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		out->n += (size_t)n;
		p[n] = 0;
	}
}

/* *ret stays NULL when the default file does not exist. */
static int read_file(const struct config_args *a, struct json **ret, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(CONFIG_FILE_MAX);
	struct stat st;
	AUTO_FD int fd = a->file ? open(a->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -ENOENT;
	int rc = fd < 0 && a->file ? -errno : 0;

	if (!a->file || (rc == -ENOENT && !a->file_given))
		return 0;
	if (rc == 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
		rc = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if (rc == 0)
		rc = read_all(fd, &text);
	if (rc < 0)
		return err_sys(e, rc, "open %s", a->file);
	return parse(&text, ret, e);
}

/* ---- keys ---- */

static void split_known(const char *key, struct json *value, void *ud)
{
	static const char *const dockers[] = {
		"allow-direct-routing",
		"allow-nondistributable-artifacts",
		"api-cors-header",
		"authorization-plugins",
		"builder",
		"cdi-spec-dirs",
		"containerd",
		"containerd-namespace",
		"containerd-plugin-namespace",
		"cpu-rt-period",
		"cpu-rt-runtime",
		"default-network-opts",
		"exec-opts",
		"experimental",
		"firewall-backend",
		"graph",
		"init-path",
		"min-api-version",
		"network-control-plane-mtu",
		"node-generic-resources",
		"oom-score-adjust",
		"raw-logs",
		"selinux-enabled",
		"storage-opts",
		"swarm-default-advertise-addr",
		"userland-proxy-path",
		"userns-remap",
	};
	struct buf *out = ud;

	for (size_t i = 0; i < ARRAY_SIZE(dockers); i++)
		if (!strcmp(dockers[i], key))
			buf_addf(out, "%s%s", out->n ? ", " : "", key);
}

static int check_keys(const struct json *file, struct err *e)
{
	AUTO_BUF struct buf unknown = BUF_INIT(ERR_TEXT_MAX), later = BUF_INIT(ERR_TEXT_MAX);

	json_each(file, split_known, &later);
	if (later.n)
		return err_set(e, ERR_UNSUPPORTED,
			       "the following directives are Docker's and not built in coracle: %s",
			       buf_text(&later));
	json_unknown_keys(file, &config_schema, &unknown);
	if (unknown.n || unknown.overflow)
		return err_set(e, ERR_INVALID,
			       "the following directives don't match any configuration option: %s",
			       buf_text(&unknown));
	return 0;
}

/* A value as Docker prints it in messages: [a b], map[k:v]. */
static void plain_member(const char *key, struct json *value, void *ud);

static void plain_value(const struct json *v, struct buf *out)
{
	switch (json_kind_of(v)) {
	case JSON_STRING:
		buf_adds(out, json_str(v));
		break;
	case JSON_ARRAY:
		buf_addc(out, '[');
		for (size_t i = 0; i < json_len(v); i++) {
			if (i)
				buf_addc(out, ' ');
			plain_value(json_at(v, i), out);
		}
		buf_addc(out, ']');
		break;
	case JSON_OBJECT:
		buf_adds(out, "map[");
		json_each(v, plain_member, out);
		buf_addc(out, ']');
		break;
	default:
		json_dump(v, out);
	}
}

static void plain_member(const char *key, struct json *value, void *ud)
{
	struct buf *out = ud;

	if (out->n && out->p[out->n - 1] != '[')
		buf_addc(out, ' ');
	buf_addf(out, "%s:", key);
	plain_value(value, out);
}

struct conflicts {
	const struct json *file;
	struct buf text;
};

static void find_conflict(const char *key, struct json *from_flag, void *ud)
{
	struct conflicts *c = ud;
	const struct json *from_file = json_get(c->file, key);

	if (json_kind_of(from_file) == JSON_NULL)
		return;
	buf_addf(&c->text, "%s%s: (from flag: ", c->text.n ? ", " : "", key);
	plain_value(from_flag, &c->text);
	buf_adds(&c->text, ", from file: ");
	plain_value(from_file, &c->text);
	buf_addc(&c->text, ')');
}

static int check_conflicts(const struct json *file, const struct json *flags, struct err *e)
{
	struct conflicts c = {file, BUF_INIT(ERR_TEXT_MAX)};
	int rc = 0;

	json_each(flags, find_conflict, &c);
	if (c.text.n || c.text.overflow)
		rc = err_set(e, ERR_INVALID,
			     "the following directives are specified both as a flag and in the "
			     "configuration file: %s",
			     buf_text(&c.text));
	buf_done(&c.text);
	return rc;
}

/* ---- decode ---- */

static void write_member(const char *key, struct json *value, void *ud)
{
	struct jw *w = ud;
	AUTO_BUF struct buf text = BUF_INIT(CONFIG_FILE_MAX);

	json_dump(value, &text);
	jw_key(w, key);
	jw_raw(w, buf_text(&text));
}

/* Decode without the defaults. */
static int decode(const char *text, size_t n, struct config **ret, struct err *e)
{
	AUTO(arena) struct arena *arena = arena_new();
	AUTO(json) struct json *j = NULL;
	struct config *c = arena_alloc(arena, sizeof(*c));

	if (json_parse(text, n, &j, e) < 0)
		return -1;
	if (json_decode(j, &config_schema, c, arena, e) < 0)
		return -1;
	c->arena = TAKE_PTR(arena);
	*ret = c;
	return 0;
}

static int load_raw(const struct config_args *a, struct config **ret, struct err *e)
{
	AUTO(json) struct json *file = NULL;
	AUTO(json) struct json *flags = NULL;
	AUTO_BUF struct buf flag_text = BUF_INIT(CONFIG_FILE_MAX), all = BUF_INIT(CONFIG_FILE_MAX);
	struct jw w = JW_INIT(&all);

	if (read_file(a, &file, e) < 0)
		return -1;
	config_args_json(a, &flag_text);
	if (json_parse(buf_text(&flag_text), flag_text.n, &flags, e) < 0)
		return -1;
	if (file && (check_keys(file, e) < 0 || check_conflicts(file, flags, e) < 0))
		return -1;
	jw_obj(&w);
	json_each(file, write_member, &w);
	json_each(flags, write_member, &w);
	jw_obj_end(&w);
	if (all.overflow)
		return err_set(e, ERR_LIMIT, "the configuration is larger than %u bytes",
			       CONFIG_FILE_MAX);
	return decode(buf_text(&all), all.n, ret, e);
}

/* Options alone are blamed when there is no file. */
static int blame(const struct config_args *a, struct err *e)
{
	if (a->file && (a->file_given || access(a->file, F_OK) == 0))
		return err_wrap(e, "unable to configure the coracle engine with file %s", a->file);
	return err_wrap(e, "unable to configure the coracle engine");
}

int config_load(const struct config_args *a, struct config **ret, struct err *e)
{
	struct config *c = NULL;

	if (load_raw(a, &c, e) < 0 || config_finish(c, e) < 0) {
		config_free(c);
		return blame(a, e);
	}
	*ret = c;
	return 0;
}

struct config *config_default(void)
{
	const struct config_args none = {0};
	struct config *c = NULL;
	struct err e = ERR_INIT;

	ASSERT(config_load(&none, &c, &e) == 0);
	return c;
}

void config_free(struct config *c)
{
	if (c)
		arena_free(c->arena);
}

/* ---- reload ---- */

/* One key of a configuration: {"key":value} or {} when it is not set. */
static void write_key(const struct json_field *row, const struct config *c, struct jw *w)
{
	const struct json_field one[] = {*row, {0}};
	const struct json_schema schema = {config_schema.name, config_schema.size, one};

	json_encode_fields(w, &schema, c);
}

static bool key_differs(const struct json_field *row, const struct config *a,
			const struct config *b)
{
	AUTO_BUF struct buf x = BUF_INIT(CONFIG_FILE_MAX), y = BUF_INIT(CONFIG_FILE_MAX);
	struct jw wx = JW_INIT(&x), wy = JW_INIT(&y);

	write_key(row, a, &wx);
	write_key(row, b, &wy);
	return strcmp(buf_text(&x), buf_text(&y)) != 0;
}

int config_reload(const struct config_args *a, const struct config *old, struct config **ret,
		  struct buf *kept, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(CONFIG_FILE_MAX);
	struct jw w = JW_INIT(&text);
	struct config *fresh = NULL, *c = NULL;

	if (config_load(a, &fresh, e) < 0)
		return -1;
	jw_obj(&w);
	for (const struct json_field *f = config_schema.fields; f->key; f++) {
		bool reloads = config_key_reloads(f->key);

		if (!reloads && key_differs(f, old, fresh))
			buf_addf(kept, "%s%s", kept->n ? ", " : "", f->key);
		write_key(f, reloads ? fresh : old, &w);
	}
	jw_obj_end(&w);
	config_free(fresh);
	if (decode(buf_text(&text), text.n, &c, e) < 0 || config_finish(c, e) < 0) {
		config_free(c);
		return blame(a, e);
	}
	*ret = c;
	return 0;
}
