/* SPDX-License-Identifier: Apache-2.0 */
/* image referrers: a list, or the artifacts themselves as an OCI layout. */
#include "cli/auth.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/tar.h"
#include "cli/units.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define CREATED "org.opencontainers.image.created"

static const struct format_header referrer_headers[] = {
	{"ArtifactType", "ARTIFACT TYPE"},
	{"Digest", "DIGEST"},
	{"MediaType", "MEDIA TYPE"},
	{"Size", "SIZE"},
	{"Created", "CREATED"},
};

static const char *text_of(const struct json *d, const char *key)
{
	const char *s = json_str(json_get(d, key));

	return s ? s : "";
}

static int referrer_row(struct list_out *l, const struct json *d, struct err *e)
{
	AUTO_BUF struct buf row = BUF_INIT(1U << 22), annotations = BUF_INIT(1U << 22);
	struct jw w = JW_INIT(&row);
	char size[32];
	const struct json *more = json_get(d, "annotations");

	units_decimal(json_double(json_get(d, "size")), 3, size, sizeof size);
	if (more)
		json_dump(more, &annotations);
	jw_obj(&w);
	jw_kv_str(&w, "ArtifactType", text_of(d, "artifactType"));
	jw_kv_str(&w, "Created", text_of(more, CREATED));
	jw_kv_str(&w, "Digest", text_of(d, "digest"));
	jw_kv_str(&w, "MediaType", text_of(d, "mediaType"));
	jw_kv_str(&w, "Size", size);
	jw_key(&w, "Annotations");
	jw_raw(&w, annotations.n ? buf_text(&annotations) : "{}");
	jw_obj_end(&w);
	return list_row(l, buf_text(&row), e);
}

static int list(struct cli *c, const struct opts *o, const char *path, const char *auth,
		struct err *e)
{
	AUTO_REPLY struct reply r = REPLY_INIT;
	AUTO(json) struct json *j = NULL;
	struct list_out l = {.type_name = "*referrers.context",
			     .headers = referrer_headers,
			     .nheaders = ARRAY_SIZE(referrer_headers)};
	const char *def =
		opts_bool(o, "quiet")
			? "{{.Digest}}"
			: "table {{.ArtifactType}}\\t{{.Digest}}\\t{{.Size}}\\t{{.Created}}";
	int rc = client_call_with(c, "GET", path, auth, NULL, &r, e);

	if (rc == 0)
		rc = json_parse(buf_text(&r.body), r.body.n, &j, e);
	if (rc == 0)
		rc = list_begin(&l, opts_str(o, "format"), def, e);
	const struct json *found = json_get(j, "Referrers");
	for (size_t i = 0; rc == 0 && i < json_len(found); i++)
		rc = referrer_row(&l, json_at(found, i), e);
	list_end(&l, rc == 0);
	return rc;
}

/* A layout of its own: nothing that is there is touched. */
static int make_dir(const char *path, struct err *e)
{
	int n = 0;

	if (mkdir(path, 0755) == 0)
		return 0;
	if (errno != EEXIST)
		return err_sys(e, -errno, "create %s", path);
	DIR *d = opendir(path);
	if (!d)
		return err_sys(e, -errno, "open %s", path);
	while (n <= 2 && readdir(d))
		n++;
	closedir(d);
	return n > 2 ? err_set(e, ERR_CONFLICT, "directory %s is not empty", path) : 0;
}

static int fetch(struct cli *c, const char *dir, const char *path, const char *auth, struct err *e)
{
	struct conn k = CONN_INIT;
	int rc = conn_open(c, &k, e);

	if (rc == 0)
		rc = conn_send(&k, "GET", path, auth, NULL, NULL, 0, e);
	if (rc == 0)
		rc = conn_check(&k, e);
	if (rc == 0)
		rc = make_dir(dir, e);
	if (rc == 0)
		rc = tar_receive(&k, dir, NULL, e);
	conn_close(c, &k);
	return rc;
}

int cmd_referrers(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 16);
	struct err e = ERR_INIT;
	const char *dir = opts_str(o, "output");

	buf_adds(&path, "/coracle/images/");
	url_segment(&path, o->argv[0]);
	buf_adds(&path, *dir ? "/referrers/get" : "/referrers");
	if (*opts_str(o, "artifact-type"))
		url_query(&path, "artifactType", opts_str(o, "artifact-type"));
	if (*opts_str(o, "platform"))
		url_query(&path, "platform", opts_str(o, "platform"));
	if (opts_bool(o, "insecure"))
		url_query(&path, "insecure", "1");
	char *auth = auth_header(o->argv[0]);
	int rc = *dir ? fetch(c, dir, path.p, auth, &e) : list(c, o, path.p, auth, &e);
	auth_header_free(auth);
	return rc < 0 ? cli_fail(c, &e) : 0;
}
