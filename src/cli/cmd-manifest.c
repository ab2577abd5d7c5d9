/* SPDX-License-Identifier: Apache-2.0 */
/* manifest inspect, create, annotate, push, rm: the engine does the work, texts are Docker's. */
#include "cli/auth.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define DAEMON "Error response from daemon: "

/* Docker's client does all this by itself, so its messages name no daemon. */
static int manifest_fail(struct cli *c, struct err *e)
{
	size_t n = strlen(DAEMON);

	if (str_starts(e->text, DAEMON))
		memmove(e->text, e->text + n, strlen(e->text + n) + 1);
	return cli_fail(c, e);
}

static void manifest_path(struct buf *path, const char *name, const char *tail)
{
	buf_adds(path, "/coracle/manifests/");
	url_segment(path, name);
	buf_adds(path, tail);
}

static void add_switch(struct buf *path, const struct opts *o, const char *name)
{
	if (opts_bool(o, name))
		url_query(path, name, "1");
}

int cmd_manifest_inspect(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 16);
	AUTO_REPLY struct reply r = REPLY_INIT;
	struct err e = ERR_INIT;

	manifest_path(&path, o->argv[o->argc - 1], "/json");
	if (o->argc > 1)
		url_query(&path, "list", o->argv[0]);
	add_switch(&path, o, "verbose");
	add_switch(&path, o, "insecure");
	char *auth = auth_header(o->argv[o->argc - 1]);
	int rc = client_call_with(c, "GET", path.p, auth, NULL, &r, &e);
	auth_header_free(auth);
	if (rc < 0)
		return manifest_fail(c, &e);
	fwrite(r.body.p, 1, r.body.n, stdout);
	putchar('\n');
	return 0;
}

int cmd_manifest_create(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf body = BUF_INIT(1U << 20);
	AUTO(json) struct json *reply = NULL;
	AUTO_REPLY struct reply r = REPLY_INIT;
	struct jw w = JW_INIT(&body);
	struct err e = ERR_INIT;

	jw_obj(&w);
	jw_kv_str(&w, "List", o->argv[0]);
	jw_key(&w, "Manifests");
	jw_arr(&w);
	for (int i = 1; i < o->argc; i++)
		jw_str(&w, o->argv[i]);
	jw_arr_end(&w);
	jw_kv_bool(&w, "Amend", opts_bool(o, "amend"));
	jw_kv_bool(&w, "Insecure", opts_bool(o, "insecure"));
	jw_obj_end(&w);
	char *auth = auth_config_header(o->argv, o->argc);
	int rc = client_call_with(c, "POST", "/coracle/manifests/create", auth, buf_text(&body), &r,
				  &e);
	auth_header_free(auth);
	if (rc == 0)
		rc = json_parse(buf_text(&r.body), r.body.n, &reply, &e);
	if (rc < 0)
		return manifest_fail(c, &e);
	const char *name = json_str(json_get(reply, "Name"));
	printf("Created manifest list %s\n", name ? name : o->argv[0]);
	return 0;
}

/* "a,b" given once or several times. */
static void add_features(struct jw *w, const struct optval *v)
{
	jw_key(w, "OsFeatures");
	jw_arr(w);
	for (size_t i = 0; i < v->n; i++) {
		struct str rest = str_of(v->v[i]), one;

		while (str_cut(&rest, ',', &one))
			jw_strn(w, one.p, one.n);
	}
	jw_arr_end(w);
}

int cmd_manifest_annotate(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf body = BUF_INIT(1U << 20);
	AUTO_REPLY struct reply r = REPLY_INIT;
	struct jw w = JW_INIT(&body);
	struct err e = ERR_INIT;

	jw_obj(&w);
	jw_kv_str(&w, "List", o->argv[0]);
	jw_kv_str(&w, "Manifest", o->argv[1]);
	jw_kv_str(&w, "Os", opts_str(o, "os"));
	jw_kv_str(&w, "Architecture", opts_str(o, "arch"));
	jw_kv_str(&w, "OsVersion", opts_str(o, "os-version"));
	jw_kv_str(&w, "Variant", opts_str(o, "variant"));
	add_features(&w, opts_get(o, "os-features"));
	jw_obj_end(&w);
	return client_call(c, "POST", "/coracle/manifests/annotate", buf_text(&body), &r, &e) < 0
		       ? manifest_fail(c, &e)
		       : 0;
}

int cmd_manifest_push(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 16);
	struct conn k = CONN_INIT;
	struct err e = ERR_INIT;

	manifest_path(&path, o->argv[0], "/push");
	add_switch(&path, o, "purge");
	add_switch(&path, o, "insecure");
	char *auth = auth_header(o->argv[0]);
	int rc = conn_open(c, &k, &e);
	if (rc == 0)
		rc = conn_send(&k, "POST", path.p, auth, "text/plain", NULL, 0, &e);
	auth_header_free(auth);
	if (rc == 0)
		rc = conn_check(&k, &e);
	if (rc == 0)
		rc = progress_show(&k, stdout, false, &e);
	conn_close(c, &k);
	return rc < 0 ? manifest_fail(c, &e) : 0;
}

int cmd_manifest_rm(struct cli *c, struct opts *o)
{
	int code = 0;

	for (int i = 0; i < o->argc; i++) {
		AUTO_BUF struct buf path = BUF_INIT(1U << 16);
		AUTO_REPLY struct reply r = REPLY_INIT;
		struct err e = ERR_INIT;

		manifest_path(&path, o->argv[i], "");
		if (client_call(c, "DELETE", path.p, NULL, &r, &e) < 0)
			code = manifest_fail(c, &e);
	}
	return code;
}
