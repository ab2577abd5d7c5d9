/* SPDX-License-Identifier: Apache-2.0 */
/* context create, update, use, show, ls, rm, inspect. */
#include "cli/commands.h"
#include "cli/config-dir.h"
#include "cli/context.h"
#include "cli/format.h"
#include "sys/fs.h"

#include <string.h>

#include "base/banned.h"

#define DEFAULT_DESCRIPTION "Current CORACLE_HOST based configuration"
#define PEM_MAX		    (4U << 20)

static const struct opts *globals(const struct cli *c)
{
	static const struct opts none;

	return c->global ? c->global : &none;
}

/* The default context as an object of its own: the endpoint without any context. */
int context_default(struct cli *c, struct context *x, struct err *e)
{
	struct endpoint p = {0};

	endpoint_name(globals(c), &p);
	if (!p.host)
		p.host = endpoint_default_host();
	x->name = xstrdup(CONTEXT_DEFAULT);
	x->description = xstrdup(DEFAULT_DESCRIPTION);
	x->host = TAKE_PTR(p.host);
	endpoint_done(&p);
	return 0;
}

static int load(struct cli *c, const char *name, struct context *x, struct err *e)
{
	return strcmp(name, CONTEXT_DEFAULT) == 0 ? context_default(c, x, e)
						  : context_load(name, x, e);
}

static char *current(const struct cli *c)
{
	struct endpoint p = {0};

	endpoint_name(globals(c), &p);
	char *name = TAKE_PTR(p.context);
	endpoint_done(&p);
	return name;
}

/* ---- create, update ---- */

struct wish {
	struct context *x;
	char *files[CONTEXT_FILES]; /* texts */
	bool set[CONTEXT_FILES];
	bool any;
};

static void wish_done(struct wish *w)
{
	for (size_t i = 0; i < CONTEXT_FILES; i++)
		free(w->files[i]);
}

static int read_pem(const char *path, char **ret, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(PEM_MAX);
	int rc = fs_read_path(path, &text);

	if (rc < 0)
		return err_sys(e, rc, "unable to create docker endpoint config: open %s", path);
	free(*ret);
	*ret = buf_take(&text);
	return 0;
}

static int take_setting(struct cli *c, struct wish *w, const char *key, const char *value,
			struct err *e)
{
	static const char *const pems[CONTEXT_FILES] = {"ca", "cert", "key"};

	for (size_t i = 0; i < CONTEXT_FILES; i++) {
		if (strcmp(key, pems[i]) != 0)
			continue;
		w->set[i] = true;
		return *value ? read_pem(value, &w->files[i], e) : 0;
	}
	if (strcmp(key, "host") == 0) {
		struct hostaddr a;

		if (*value && hostaddr_parse(value, &a) < 0)
			return err_set(e, ERR_INVALID,
				       "unable to create docker endpoint config: unable to parse "
				       "docker host `%s`",
				       value);
		free(w->x->host);
		w->x->host = xstrdup(value);
	} else if (strcmp(key, "skip-tls-verify") == 0) {
		if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
			return err_set(e, ERR_INVALID,
				       "unable to create docker endpoint config: skip-tls-verify: "
				       "strconv.ParseBool: parsing \"%s\": invalid syntax",
				       value);
		w->x->skip_verify = strcmp(value, "true") == 0;
	} else if (strcmp(key, "from") == 0) {
		AUTO_CONTEXT struct context from = {0};

		if (load(c, value, &from, e) < 0)
			return -1;
		free(w->x->host);
		w->x->host = TAKE_PTR(from.host);
		w->x->skip_verify = from.skip_verify;
		for (size_t i = 0; i < CONTEXT_FILES; i++)
			if (from.files[i] && read_pem(from.files[i], &w->files[i], e) < 0)
				return -1;
		memset(w->set, true, sizeof(w->set));
	} else {
		return err_set(e, ERR_INVALID,
			       "unable to create docker endpoint config: unrecognized config key: "
			       "%s",
			       key);
	}
	return 0;
}

/* --docker key=value,key=value, also repeated. */
static int take_settings(struct cli *c, struct wish *w, const struct optval *list, struct err *e)
{
	for (size_t i = 0; i < list->n; i++) {
		struct str rest = str_of(list->v[i]), field;

		while (rest.n && str_cut(&rest, ',', &field)) {
			AUTO_FREE char *pair = xstrndup(field.p, field.n);
			char *eq = strchr(pair, '=');

			if (!eq)
				return err_set(e, ERR_INVALID,
					       "invalid argument \"%s\" for \"--docker\" flag: %s "
					       "must be formatted as key=value",
					       list->v[i], pair);
			*eq = 0;
			w->any = true;
			if (take_setting(c, w, pair, eq + 1, e) < 0)
				return -1;
		}
	}
	return 0;
}

static int store(struct wish *w, struct err *e)
{
	if (context_save(w->x, e) < 0)
		return -1;
	for (size_t i = 0; i < CONTEXT_FILES; i++)
		if (w->set[i] && context_save_file(w->x, (enum context_file)i, w->files[i], e) < 0)
			return -1;
	return 0;
}

static int create(struct cli *c, struct opts *o, struct context *x, struct err *e)
{
	struct wish w = {.x = x};
	const char *from = opts_set(o, "from") ? opts_str(o, "from") : CONTEXT_DEFAULT;
	int rc = 0;

	if (context_name_check(o->argv[0], e) < 0)
		return -1;
	if (context_exists(o->argv[0]))
		return err_set(e, ERR_CONFLICT, "context \"%s\" already exists", o->argv[0]);
	/* Without an endpoint it is a copy, of the default one unless another is named. */
	if (!opts_set(o, "docker") || opts_set(o, "from")) {
		if (load(c, from, x, e) < 0)
			return -1;
		rc = take_setting(c, &w, "from", from, e);
	}
	free(x->name);
	x->name = xstrdup(o->argv[0]);
	free(x->doc);
	x->doc = NULL;
	if (opts_set(o, "description")) {
		free(x->description);
		x->description = xstrdup(opts_str(o, "description"));
	}
	if (rc == 0)
		rc = take_settings(c, &w, opts_get(o, "docker"), e);
	if (rc == 0)
		rc = store(&w, e);
	wish_done(&w);
	return rc;
}

int cmd_context_create(struct cli *c, struct opts *o)
{
	AUTO_CONTEXT struct context x = {0};
	struct err e = ERR_INIT;

	if (create(c, o, &x, &e) < 0)
		return cli_fail(c, &e);
	puts(x.name);
	fprintf(stderr, "Successfully created context \"%s\"\n", x.name);
	return 0;
}

int cmd_context_update(struct cli *c, struct opts *o)
{
	AUTO_CONTEXT struct context x = {0};
	struct wish w = {.x = &x};
	struct err e = ERR_INIT;
	int rc = context_name_check(o->argv[0], &e);

	if (rc == 0)
		rc = context_load(o->argv[0], &x, &e);
	if (rc == 0 && opts_set(o, "description")) {
		free(x.description);
		x.description = xstrdup(opts_str(o, "description"));
	}
	if (rc == 0)
		rc = take_settings(c, &w, opts_get(o, "docker"), &e);
	if (rc == 0)
		rc = store(&w, &e);
	wish_done(&w);
	if (rc < 0)
		return cli_fail(c, &e);
	puts(x.name);
	fprintf(stderr, "Successfully updated context \"%s\"\n", x.name);
	return 0;
}

/* ---- use, show, rm ---- */

int cmd_context_use(struct cli *c, struct opts *o)
{
	const char *name = o->argv[0];
	bool reset = strcmp(name, CONTEXT_DEFAULT) == 0;
	AUTO_CONTEXT struct context x = {0};
	AUTO_BUF struct buf text = BUF_INIT(1024);
	struct jw w = JW_INIT(&text);
	struct endpoint p = {0};
	struct err e = ERR_INIT;

	jw_str(&w, name);
	if ((!reset && (context_name_check(name, &e) < 0 || context_load(name, &x, &e) < 0)) ||
	    config_file_change("currentContext", reset ? NULL : buf_text(&text), &e) < 0)
		return cli_fail(c, &e);
	puts(name);
	fprintf(stderr, "Current context is now \"%s\"\n", name);
	endpoint_name(globals(c), &p);
	if (!reset && p.variable)
		fprintf(stderr,
			"Warning: %s environment variable overrides the active context. To use "
			"\"%s\", either set the global --context flag, or unset %s environment "
			"variable.\n",
			p.variable, name, p.variable);
	endpoint_done(&p);
	return 0;
}

int cmd_context_show(struct cli *c, struct opts *o)
{
	AUTO_FREE char *name = current(c);

	puts(name);
	return 0;
}

static int remove_one(struct cli *c, const char *name, bool force, struct err *e)
{
	AUTO_FREE char *now = current(c);

	if (strcmp(name, CONTEXT_DEFAULT) == 0)
		return err_set(e, ERR_INVALID, "context \"default\" cannot be removed");
	if (context_name_check(name, e) < 0)
		return -1;
	if (context_exists(name) && strcmp(name, now) == 0) {
		if (!force)
			return err_set(e, ERR_CONFLICT,
				       "context \"%s\" is in use, set -f flag to force remove",
				       name);
		if (config_file_change("currentContext", NULL, e) < 0)
			return -1;
	}
	return context_remove(name, e);
}

int cmd_context_rm(struct cli *c, struct opts *o)
{
	bool force = opts_bool(o, "force");
	int rc = 0;

	for (int i = 0; i < o->argc; i++) {
		struct err e = ERR_INIT;

		if (remove_one(c, o->argv[i], force, &e) == 0)
			puts(o->argv[i]);
		else if (!force || e.kind != ERR_NOT_FOUND)
			rc = cli_fail(c, &e);
	}
	return rc;
}

/* ---- ls ---- */

static const struct format_header context_headers[] = {
	{"Name", "NAME"},   {"Description", "DESCRIPTION"}, {"DockerEndpoint", "DOCKER ENDPOINT"},
	{"Error", "ERROR"}, {"Current", "CURRENT"},
};

static int list_one(struct cli *c, struct list_out *l, const char *name, const char *now,
		    bool quiet, struct err *e)
{
	AUTO_CONTEXT struct context x = {0};
	AUTO_BUF struct buf row = BUF_INIT(1U << 20);
	struct jw w = JW_INIT(&row);
	struct err broken = ERR_INIT;
	bool is_current = strcmp(name, now) == 0;

	if (quiet) {
		puts(name);
		return 0;
	}
	load(c, name, &x, &broken);
	jw_obj(&w);
	jw_kv_bool(&w, "Current", is_current);
	jw_kv_str(&w, "Description", x.description ? x.description : "");
	jw_kv_str(&w, "DockerEndpoint", x.host ? x.host : "");
	jw_kv_str(&w, "Error", broken.text);
	jw_kv_str(&w, "Name", name);
	jw_obj_end(&w);
	return list_row(l, buf_text(&row), e);
}

int cmd_context_ls(struct cli *c, struct opts *o)
{
	struct list_out l = {.type_name = "*formatter.clientContextContext",
			     .headers = context_headers,
			     .nheaders = ARRAY_SIZE(context_headers)};
	struct err e = ERR_INIT;
	AUTO_FREE char *now = current(c);
	char **names = context_names();
	bool quiet = opts_bool(o, "quiet"), told = false;
	int rc = list_begin(&l, opts_str(o, "format"),
			    "table {{.Name}}{{if .Current}} *{{end}}\\t{{.Description}}\\t"
			    "{{.DockerEndpoint}}\\t{{.Error}}",
			    &e);

	for (size_t i = 0; rc == 0; i++) {
		/* The default one stands in its place of the order. */
		if (!told && (!names[i] || strcmp(names[i], CONTEXT_DEFAULT) > 0)) {
			told = true;
			rc = list_one(c, &l, CONTEXT_DEFAULT, now, quiet, &e);
		}
		if (!names[i])
			break;
		if (rc == 0)
			rc = list_one(c, &l, names[i], now, quiet, &e);
	}
	list_end(&l, rc == 0 && !quiet);
	for (size_t i = 0; names[i]; i++)
		free(names[i]);
	free((void *)names);
	return rc < 0 ? cli_fail(c, &e) : 0;
}

/* ---- inspect ---- */

static void write_context(struct jw *w, const struct context *x)
{
	AUTO(json) struct json *doc = NULL;
	AUTO_BUF struct buf meta = BUF_INIT(1U << 20);
	struct err e = ERR_INIT;
	bool saved = x->doc && json_parse(x->doc, strlen(x->doc), &doc, &e) == 0;
	bool any = x->files[0] || x->files[1] || x->files[2];

	jw_obj(w);
	jw_kv_str(w, "Name", x->name);
	if (saved)
		json_dump(json_get(doc, "Metadata"), &meta);
	jw_key(w, "Metadata");
	jw_raw(w, meta.n ? buf_text(&meta) : "{}");
	buf_reset(&meta);
	jw_key(w, "Endpoints");
	if (saved) {
		json_dump(json_get(doc, "Endpoints"), &meta);
		jw_raw(w, buf_text(&meta));
	} else {
		jw_obj(w);
		jw_key(w, "docker");
		jw_obj(w);
		jw_kv_str(w, "Host", x->host);
		jw_kv_bool(w, "SkipTLSVerify", x->skip_verify);
		jw_obj_end(w);
		jw_obj_end(w);
	}
	jw_key(w, "TLSMaterial");
	jw_obj(w);
	if (any) {
		jw_key(w, "docker");
		jw_arr(w);
		for (size_t i = 0; i < CONTEXT_FILES; i++)
			if (x->files[i])
				jw_str(w, context_file_names[i]);
		jw_arr_end(w);
	}
	jw_obj_end(w);
	jw_key(w, "Storage");
	jw_obj(w);
	jw_kv_str(w, "MetadataPath", x->meta_dir ? x->meta_dir : "<IN MEMORY>");
	jw_kv_str(w, "TLSPath", x->tls_dir ? x->tls_dir : "<IN MEMORY>");
	jw_obj_end(w);
	jw_obj_end(w);
}

static int add_context(struct cli *c, const char *name, struct jw *w, struct err *e)
{
	AUTO_CONTEXT struct context x = {0};

	if (load(c, name, &x, e) < 0)
		return -1;
	write_context(w, &x);
	return 0;
}

static int print_contexts(const char *format, const struct buf *all, struct err *e)
{
	AUTO(json) struct json *list = NULL;
	AUTO_BUF struct buf out = BUF_INIT(CLI_BODY_MAX);

	if (!*format) {
		json_indent(all->p, all->n, "    ", &out);
		puts(buf_text(&out));
		return 0;
	}
	if (json_parse(all->p, all->n, &list, e) < 0)
		return -1;
	for (size_t i = 0; i < json_len(list); i++) {
		buf_reset(&out);
		if (format_document(format, json_at(list, i), "", &out, e) < 0)
			return -1;
		puts(buf_text(&out));
	}
	return 0;
}

int cmd_context_inspect(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf all = BUF_INIT(CLI_BODY_MAX), failed = BUF_INIT(1U << 20);
	struct jw w = JW_INIT(&all);
	struct err e = ERR_INIT;
	AUTO_FREE char *now = current(c);
	int rc = 0;

	jw_arr(&w);
	for (int i = 0; i < MAX(o->argc, 1); i++) {
		struct err one = ERR_INIT;

		if (add_context(c, o->argc ? o->argv[i] : now, &w, &one) < 0)
			buf_addf(&failed, "%s\n", one.text);
	}
	jw_arr_end(&w);
	if (print_contexts(opts_str(o, "format"), &all, &e) < 0)
		rc = cli_fail(c, &e);
	fflush(stdout);
	fputs(buf_text(&failed), stderr);
	return failed.n ? 1 : rc;
}
