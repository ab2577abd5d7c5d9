/* SPDX-License-Identifier: Apache-2.0 */
/* push: an image, or all tags of a repository, to its registry. */
#include "cli/auth.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "base/digest.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

/* As Docker: what a reader should know at the end, with a mark that his eye finds. */
static void note(const char *text)
{
	static const char *const head = " Info -> ";
	struct str rest = str_of(text), line;

	printf("\n%s", head);
	for (bool first = true; str_cut(&rest, '\n', &line); first = false)
		printf("%*s%.*s\n", first ? 0 : (int)strlen(head), "", (int)line.n, line.p);
	fflush(stdout);
}

/* Indexes that were not pushed, and what was instead. */
struct notes {
	struct stripped {
		char index[DIGEST_TEXT_MAX], manifest[DIGEST_TEXT_MAX];
	} * v;
	size_t n;
};

static void take_note(void *ud, const struct json *aux)
{
	struct notes *n = ud;
	const char *from = json_str(json_get(json_get(aux, "originalIndex"), "digest"));
	const char *to = json_str(json_get(json_get(aux, "selectedManifest"), "digest"));

	if (!json_bool(json_get(aux, "manifestPushedInsteadOfIndex")) || !from || !to)
		return;
	n->v = xrealloc(n->v, (n->n + 1) * sizeof(*n->v));
	snprintf(n->v[n->n].index, sizeof(n->v->index), "%s", from);
	snprintf(n->v[n->n++].manifest, sizeof(n->v->manifest), "%s", to);
}

static void say_notes(const struct notes *n)
{
	const char *red = isatty(1) ? "\033[31m" : "", *green = isatty(1) ? "\033[32m" : "";
	const char *plain = isatty(1) ? "\033[0m" : "";

	for (size_t i = 0; i < n->n; i++) {
		AUTO_FREE char *text = xasprintf(
			"Not all multiplatform-content is present and only the available "
			"single-platform image was pushed\n%s%s%s -> %s%s%s",
			red, n->v[i].index, plain, green, n->v[i].manifest, plain);
		note(text);
	}
}

static int push(struct cli *c, const struct opts *o, const char *repo, const char *tag,
		struct notes *n, struct err *e)
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
		url_platform(&path, "platform", opts_str(o, "platform"));
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
		rc = progress_show_aux(&k, stdout, opts_bool(o, "quiet"), take_note, n, e);
	auth_header_free(auth);
	conn_close(c, &k);
	return rc;
}

int cmd_push(struct cli *c, struct opts *o)
{
	struct notes n = {NULL, 0};
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
	if (opts_set(o, "platform"))
		note("Using --platform pushes only the specified platform manifest of a "
		     "multi-platform image index.\n"
		     "Other components, like attestations, will not be included.\n"
		     "To push the complete multi-platform image, remove the --platform flag.\n");
	if (!tag && !all && !quiet)
		printf("Using default tag: latest\n"), fflush(stdout);
	int rc = push(c, o, repo, all ? NULL : tag ? tag : "latest", &n, &e);
	if (rc == 0 && quiet) {
		AUTO_FREE char *full = image_full_name(name);
		if (all) /* the repository, without the tag that the name got */
			*strrchr(full, ':') = '\0';
		printf("%s\n", full);
	}
	say_notes(&n);
	free(n.v);
	return rc < 0 ? cli_fail(c, &e) : 0;
}
