/* SPDX-License-Identifier: Apache-2.0 */
/* push: an image, or all tags of a repository, to its registry. */
#include "cli/auth.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

/* "linux/arm64/v8" as the API wants it. */
static void add_platform(struct buf *path, const char *platform)
{
	static const char *const keys[] = {"os", "architecture", "variant"};
	AUTO_BUF struct buf text = BUF_INIT(4096);
	struct jw w = JW_INIT(&text);
	struct str rest = str_of(platform), part;

	jw_obj(&w);
	for (size_t i = 0; i < ARRAY_SIZE(keys) && str_cut(&rest, '/', &part); i++) {
		jw_key(&w, keys[i]);
		jw_strn(&w, part.p, part.n);
	}
	jw_obj_end(&w);
	url_query(path, "platform", buf_text(&text));
}

static int push(struct cli *c, const struct opts *o, const char *repo, const char *tag,
		struct err *e)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 16);
	struct conn k = CONN_INIT;
	int rc = -1;

	buf_adds(&path, "/images/");
	url_segment(&path, repo);
	buf_adds(&path, "/push");
	if (tag)
		url_query(&path, "tag", tag);
	if (opts_set(o, "platform"))
		add_platform(&path, opts_str(o, "platform"));
	if (opts_set(o, "compression"))
		url_query(&path, "compression", opts_str(o, "compression"));
	if (opts_set(o, "compression-level")) {
		AUTO_FREE char *level = xasprintf("%lld",
						  (long long)opts_int(o, "compression-level"));
		url_query(&path, "compressionLevel", level);
	}
	if (conn_open(c, &k, e) < 0)
		return -1;
	char *auth = auth_header(repo);
	if (conn_send(&k, "POST", path.p, auth, "text/plain", NULL, 0, e) == 0 &&
	    conn_check(&k, e) == 0)
		rc = progress_show(&k, stdout, opts_bool(o, "quiet"), e);
	auth_header_free(auth);
	conn_close(c, &k);
	return rc;
}

int cmd_push(struct cli *c, struct opts *o)
{
	struct err e = ERR_INIT;
	const char *name = o->argv[0], *tag;
	bool all = opts_bool(o, "all-tags"), quiet = opts_bool(o, "quiet");
	AUTO_FREE char *repo = image_split(name, &tag);

	if (strchr(name, '@')) {
		fprintf(stderr, "cannot push a digest reference\n");
		return 1;
	}
	if (all && tag) {
		fprintf(stderr, "tag can't be used with --all-tags/-a\n");
		return 1;
	}
	if (!tag && !all && !quiet)
		printf("Using default tag: latest\n"), fflush(stdout);
	if (push(c, o, repo, all ? NULL : tag ? tag : "latest", &e) < 0)
		return cli_fail(c, &e);
	if (quiet) {
		AUTO_FREE char *full = image_full_name(name);
		printf("%s\n", full);
	}
	return 0;
}
