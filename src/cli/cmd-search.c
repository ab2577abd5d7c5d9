/* SPDX-License-Identifier: Apache-2.0 */
/* search: repositories of a registry whose name fits a term. */
#include "cli/auth.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static const struct format_header headers[] = {
	{"Name", "NAME"},	    {"Description", "DESCRIPTION"}, {"StarCount", "STARS"},
	{"IsOfficial", "OFFICIAL"}, {"IsAutomated", "AUTOMATED"},
};

static const char *yes_no(bool value, bool json)
{
	if (json)
		return value ? "true" : "false";
	return value ? "[OK]" : "";
}

static int row(struct list_out *l, const struct json *r, bool no_trunc, bool as_json, struct err *e)
{
	AUTO_BUF struct buf out = BUF_INIT(1U << 20);
	AUTO_BUF struct buf clean = BUF_INIT(1U << 20);
	AUTO_BUF struct buf text = BUF_INIT(1U << 20);
	struct jw w = JW_INIT(&out);
	const char *d = json_str(json_get(r, "description"));
	char stars[24];

	for (; d && *d; d++)
		buf_addc(&clean, *d == '\n' || *d == '\r' || *d == '\t' ? ' ' : *d);
	if (no_trunc)
		buf_adds(&text, buf_text(&clean));
	else
		format_ellipsis(buf_text(&clean), 45, &text);
	snprintf(stars, sizeof stars, "%lld", (long long)json_i64(json_get(r, "star_count")));
	jw_obj(&w);
	jw_kv_str(&w, "Description", buf_text(&text));
	jw_kv_str(&w, "IsAutomated", yes_no(json_bool(json_get(r, "is_automated")), as_json));
	jw_kv_str(&w, "IsOfficial", yes_no(json_bool(json_get(r, "is_official")), as_json));
	jw_kv_str(&w, "Name", json_str(json_get(r, "name")));
	jw_kv_str(&w, "StarCount", stars);
	jw_obj_end(&w);
	return list_row(l, buf_text(&out), e);
}

static int fetch(struct cli *c, struct opts *o, struct json **ret, struct err *e)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 16);
	AUTO_BUF struct buf body = BUF_INIT(16U << 20);
	struct conn k = CONN_INIT;
	int rc = -1;

	buf_adds(&path, "/images/search");
	url_query(&path, "term", o->argv[0]);
	if (opts_set(o, "limit")) {
		AUTO_FREE char *limit = xasprintf("%lld", (long long)opts_int(o, "limit"));
		url_query(&path, "limit", limit);
	}
	if (format_filters(&path, opts_get(o, "filter"), e) < 0 || conn_open(c, &k, e) < 0)
		return -1;
	char *auth = auth_header(o->argv[0]);
	if (conn_send(&k, "GET", path.p, auth, NULL, NULL, 0, e) == 0 && conn_check(&k, e) == 0 &&
	    conn_body(&k, &body, e) == 0)
		rc = json_parse(buf_text(&body), body.n, ret, e);
	auth_header_free(auth);
	conn_close(c, &k);
	return rc;
}

int cmd_search(struct cli *c, struct opts *o)
{
	AUTO(json) struct json *list = NULL;
	struct list_out l = {.type_name = "*formatter.searchContext",
			     .headers = headers,
			     .nheaders = ARRAY_SIZE(headers)};
	struct err e = ERR_INIT;
	const char *format = opts_str(o, "format");
	bool as_json = !strcmp(format, "json") || strstr(format, "{{json");
	int rc = fetch(c, o, &list, &e);

	if (rc == 0)
		rc = list_begin(
			&l, format,
			"table {{.Name}}\\t{{.Description}}\\t{{.StarCount}}\\t{{.IsOfficial}}",
			&e);
	for (size_t i = 0; rc == 0 && i < json_len(list); i++)
		rc = row(&l, json_at(list, i), opts_bool(o, "no-trunc"), as_json, &e);
	list_end(&l, rc == 0);
	return rc < 0 ? cli_fail(c, &e) : 0;
}
