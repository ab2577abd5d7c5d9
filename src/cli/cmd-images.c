/* SPDX-License-Identifier: Apache-2.0 */
/* images, history, rmi, tag, pull, load, save. */
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "cli/units.h"
#include "base/clock.h"
#include "base/mem.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

static const struct format_header image_headers[] = {
	{"ID", "IMAGE ID"},
	{"Repository", "REPOSITORY"},
	{"Tag", "TAG"},
	{"Digest", "DIGEST"},
	{"CreatedSince", "CREATED"},
	{"CreatedAt", "CREATED AT"},
	{"Size", "SIZE"},
	{"Containers", "CONTAINERS"},
	{"VirtualSize", "SIZE"},
	{"SharedSize", "SHARED SIZE"},
	{"UniqueSize", "UNIQUE SIZE"},
};

static void count_text(int64_t n, bool size, char *ret, size_t len)
{
	if (n < 0)
		snprintf(ret, len, "N/A");
	else if (size)
		units_decimal((double)n, 3, ret, len);
	else
		snprintf(ret, len, "%lld", (long long)n);
}

static int64_t optional(const struct json *j, const char *key)
{
	const struct json *v = json_get(j, key);

	return v ? json_i64(v) : -1;
}

void image_row(const struct json *i, const char *repo, const char *tag, const char *digest,
	       bool no_trunc, struct buf *out)
{
	struct jw w = JW_INIT(out);
	char id[13], created[64], ago[64], size[32], virtual[32], containers[24], shared[32];
	int64_t seconds = json_i64(json_get(i, "Created"));
	double bytes = json_double(json_get(i, "Size"));
	int64_t shared_n = optional(i, "SharedSize");
	char unique[32];

	format_unix(seconds, created, sizeof created);
	clock_human(clock_now_ns() - seconds * 1000000000LL, ago, sizeof ago);
	units_decimal(bytes, 3, size, sizeof size);
	units_decimal(bytes, 4, virtual, sizeof virtual);
	count_text(optional(i, "Containers"), false, containers, sizeof containers);
	count_text(shared_n, true, shared, sizeof shared);
	if (shared_n < 0)
		snprintf(unique, sizeof unique, "N/A");
	else
		units_decimal(bytes - (double)shared_n, 4, unique, sizeof unique);
	AUTO_FREE char *since = xasprintf("%s ago", ago);
	jw_obj(&w);
	jw_kv_str(&w, "Containers", containers);
	jw_kv_str(&w, "CreatedAt", created);
	jw_kv_str(&w, "CreatedSince", since);
	jw_kv_str(&w, "Digest", digest);
	jw_kv_str(&w, "ID", format_short_id(json_str(json_get(i, "Id")), no_trunc, id));
	jw_kv_str(&w, "Repository", repo);
	jw_kv_str(&w, "SharedSize", shared);
	jw_kv_str(&w, "Size", size);
	jw_kv_str(&w, "Tag", tag);
	jw_kv_str(&w, "UniqueSize", unique);
	jw_kv_str(&w, "VirtualSize", virtual);
	jw_obj_end(&w);
}

/* The digest known for this repository, or NULL. */
static const char *digest_for(const struct json *image, const char *repo)
{
	const struct json *list = json_get(image, "RepoDigests");
	size_t n = strlen(repo);

	for (size_t i = 0; i < json_len(list); i++) {
		const char *s = json_str(json_at(list, i));
		if (s && !strncmp(s, repo, n) && s[n] == '@')
			return s + n + 1;
	}
	return NULL;
}

/*
 * The two lists everybody asks for, without a detour over a JSON object and a template per row: a
 * thousand images in a third of the time. The same text as their formats in cmd_images() give.
 */
static void usual_row(struct list_out *l, const struct json *i, const char *repo, const char *tag,
		      bool no_trunc)
{
	char id[13], ago[64], size[32];
	const char *text = format_short_id(json_str(json_get(i, "Id")), no_trunc, id);

	if (l->usual == LIST_IDS) {
		buf_adds(&l->lines, text);
		buf_addc(&l->lines, '\n');
		return;
	}
	clock_human(clock_now_ns() - json_i64(json_get(i, "Created")) * 1000000000LL, ago,
		    sizeof ago);
	units_decimal(json_double(json_get(i, "Size")), 3, size, sizeof size);
	buf_addf(&l->lines, "%s\t%s\t%s\t%s ago\t%s\n", repo, tag, text, ago, size);
}

static int one_row(struct list_out *l, const struct json *image, const char *repo, const char *tag,
		   const char *digest, bool no_trunc, struct err *e)
{
	AUTO_BUF struct buf row = BUF_INIT(1U << 20);

	if (l->usual) {
		usual_row(l, image, repo, tag, no_trunc);
		return 0;
	}
	image_row(image, repo, tag, digest ? digest : "<none>", no_trunc, &row);
	return list_row(l, buf_text(&row), e);
}

int image_rows(struct list_out *l, const struct json *image, bool digests, bool no_trunc,
	       struct err *e)
{
	const struct json *tags = json_get(image, "RepoTags");
	const struct json *list = json_get(image, "RepoDigests");
	size_t shown = 0;

	for (size_t i = 0; i < json_len(tags); i++) {
		const char *name = json_str(json_at(tags, i));
		const char *colon = name ? strrchr(name, ':') : NULL;
		if (!colon || !strcmp(name, "<none>:<none>"))
			continue;
		AUTO_FREE char *repo = xstrndup(name, (size_t)(colon - name));
		shown++;
		if (one_row(l, image, repo, colon + 1, digest_for(image, repo), no_trunc, e) < 0)
			return -1;
	}
	for (size_t i = 0; !shown && i < json_len(list); i++) {
		const char *name = json_str(json_at(list, i));
		const char *at = name ? strchr(name, '@') : NULL;
		if (!at || !strcmp(name, "<none>@<none>"))
			continue;
		AUTO_FREE char *repo = xstrndup(name, (size_t)(at - name));
		if (one_row(l, image, repo, "<none>", at + 1, no_trunc, e) < 0)
			return -1;
		shown++;
		if (!digests)
			break;
	}
	if (!shown)
		return one_row(l, image, "<none>", "<none>", NULL, no_trunc, e);
	return 0;
}

int cmd_images(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 20);
	AUTO(json) struct json *list = NULL;
	struct list_out l = {.type_name = "*formatter.imageContext",
			     .headers = image_headers,
			     .nheaders = ARRAY_SIZE(image_headers)};
	struct err e = ERR_INIT;
	bool digests = opts_bool(o, "digests");
	struct optval filters = *opts_get(o, "filter");
	AUTO_FREE char *reference = o->argc ? xasprintf("reference=%s", o->argv[0]) : NULL;
	AUTO_FREE const char **all = xcalloc(filters.n + 1, sizeof *all);

	for (size_t i = 0; i < filters.n; i++)
		all[i] = filters.v[i];
	filters.v = all;
	if (reference)
		all[filters.n++] = reference;
	buf_adds(&path, "/images/json");
	if (opts_bool(o, "all"))
		url_query(&path, "all", "1");
	const char *def = opts_bool(o, "quiet") ? "{{.ID}}"
			  : digests
				  ? "table {{.Repository}}\\t{{.Tag}}\\t{{.Digest}}\\t{{.ID}}"
				    "\\t{{.CreatedSince}}\\t{{.Size}}"
				  : "table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t{{.CreatedSince}}"
				    "\\t{{.Size}}";
	bool tree = opts_bool(o, "tree");
	if (tree && (opts_bool(o, "quiet") || opts_bool(o, "no-trunc") || digests ||
		     *opts_str(o, "format"))) {
		fprintf(stderr, "--tree cannot be used with --quiet, --no-trunc, --digests and "
				"--format\n");
		return 1;
	}
	if (tree)
		url_query(&path, "manifests", "1");
	int rc = format_filters(&path, &filters, &e);
	if (rc == 0)
		rc = client_json(c, "GET", path.p, NULL, &list, &e);
	if (rc == 0 && tree)
		return images_tree(c, list);
	if (rc == 0)
		rc = list_begin(&l, opts_str(o, "format"), def, &e);
	if (!*opts_str(o, "format") && !digests)
		l.usual = opts_bool(o, "quiet") ? LIST_IDS : LIST_TABLE;
	for (size_t i = 0; rc == 0 && i < json_len(list); i++)
		rc = image_rows(&l, json_at(list, i), digests, opts_bool(o, "no-trunc"), &e);
	list_end(&l, rc == 0);
	return rc < 0 ? cli_fail(c, &e) : 0;
}

static const struct format_header history_headers[] = {
	{"ID", "IMAGE"},
	{"CreatedSince", "CREATED"},
	{"CreatedAt", "CREATED AT"},
	{"CreatedBy", "CREATED BY"},
	{"Size", "SIZE"},
	{"Comment", "COMMENT"},
};

static int history_row(struct list_out *l, const struct json *h, bool no_trunc, bool human,
		       struct err *e)
{
	AUTO_BUF struct buf row = BUF_INIT(1U << 20);
	AUTO_BUF struct buf by = BUF_INIT(1U << 20);
	AUTO_BUF struct buf clean = BUF_INIT(1U << 20);
	struct jw w = JW_INIT(&row);
	char id[13], created[CLOCK_TEXT_MAX], ago[80], size[32];
	int64_t ns = json_i64(json_get(h, "Created")) * 1000000000LL;
	const char *text = json_str(json_get(h, "CreatedBy"));
	double bytes = json_double(json_get(h, "Size"));

	clock_format(ns, created);
	clock_human(clock_now_ns() - ns, ago, sizeof ago);
	AUTO_FREE char *since = human && ns > 0 ? xasprintf("%s ago", ago)
				: ns > 0	? xstrdup(created)
						: xstrdup("N/A");
	if (human)
		units_decimal(bytes, 3, size, sizeof size);
	else
		snprintf(size, sizeof size, "%lld", (long long)bytes);
	for (const char *s = text ? text : ""; *s; s++)
		buf_addc(&clean, *s == '\t' ? ' ' : *s);
	if (no_trunc)
		buf_adds(&by, buf_text(&clean));
	else
		format_ellipsis(buf_text(&clean), 45, &by);
	jw_obj(&w);
	jw_kv_str(&w, "Comment", json_str(json_get(h, "Comment")));
	jw_kv_str(&w, "CreatedAt", created);
	jw_kv_str(&w, "CreatedBy", buf_text(&by));
	jw_kv_str(&w, "CreatedSince", since);
	jw_kv_str(&w, "ID", format_short_id(json_str(json_get(h, "Id")), no_trunc, id));
	jw_kv_str(&w, "Size", size);
	jw_obj_end(&w);
	return list_row(l, buf_text(&row), e);
}

int cmd_history(struct cli *c, struct opts *o)
{
	AUTO_FREE char *plain = url_path("/images/%s/history", o->argv[0]);
	AUTO_BUF struct buf path = BUF_INIT(1U << 16);
	AUTO(json) struct json *list = NULL;
	struct list_out l = {.type_name = "*history.historyContext",
			     .headers = history_headers,
			     .nheaders = ARRAY_SIZE(history_headers)};
	struct err e = ERR_INIT;
	const char *def = opts_bool(o, "quiet") ? "{{.ID}}"
			  : !opts_bool(o, "human")
				  ? "table {{.ID}}\\t{{.CreatedAt}}\\t{{.CreatedBy}}"
				    "\\t{{.Size}}\\t{{.Comment}}"
				  : "table {{.ID}}\\t{{.CreatedSince}}\\t{{.CreatedBy}}\\t{{.Size}}"
				    "\\t{{.Comment}}";

	buf_adds(&path, plain);
	if (opts_set(o, "platform"))
		url_platform(&path, "platform", opts_str(o, "platform"));
	int rc = client_json(c, "GET", path.p, NULL, &list, &e);
	if (rc == 0)
		rc = list_begin(&l, opts_str(o, "format"), def, &e);
	for (size_t i = 0; rc == 0 && i < json_len(list); i++)
		rc = history_row(&l, json_at(list, i), opts_bool(o, "no-trunc"),
				 opts_bool(o, "human"), &e);
	list_end(&l, rc == 0);
	return rc < 0 ? cli_fail(c, &e) : 0;
}

static void print_removed(const struct json *list)
{
	for (size_t i = 0; i < json_len(list); i++) {
		const char *untagged = json_str(json_get(json_at(list, i), "Untagged"));
		const char *deleted = json_str(json_get(json_at(list, i), "Deleted"));
		if (deleted && *deleted)
			printf("Deleted: %s\n", deleted);
		else if (untagged)
			printf("Untagged: %s\n", untagged);
	}
}

/* --platform a --platform b, or a,b. */
static void add_platforms(struct buf *path, const struct optval *v)
{
	for (size_t i = 0; i < v->n; i++) {
		struct str rest = str_of(v->v[i]), one;

		while (str_cut(&rest, ',', &one)) {
			AUTO_FREE char *text = xstrndup(one.p, one.n);

			url_platform(path, "platforms", text);
		}
	}
}

int cmd_rmi(struct cli *c, struct opts *o)
{
	int code = 0;

	for (int i = 0; i < o->argc; i++) {
		AUTO_BUF struct buf path = BUF_INIT(1U << 16);
		AUTO(json) struct json *list = NULL;
		struct err e = ERR_INIT;

		buf_adds(&path, "/images/");
		url_segment(&path, o->argv[i]);
		if (opts_bool(o, "force"))
			url_query(&path, "force", "1");
		if (opts_bool(o, "no-prune"))
			url_query(&path, "noprune", "1");
		add_platforms(&path, opts_get(o, "platform"));
		if (client_json(c, "DELETE", path.p, NULL, &list, &e) == 0) {
			print_removed(list);
		} else if (e.kind == ERR_NOT_FOUND && opts_bool(o, "force")) {
			fprintf(stderr, "%s\n", e.text);
		} else {
			code = cli_fail(c, &e);
		}
	}
	return code;
}

int cmd_tag(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 16);
	AUTO_REPLY struct reply r = REPLY_INIT;
	struct err e = ERR_INIT;
	const char *slash = strrchr(o->argv[1], '/');
	char *colon = strchr(slash ? slash : o->argv[1], ':');

	if (colon)
		*colon = 0;
	buf_adds(&path, "/images/");
	url_segment(&path, o->argv[0]);
	buf_adds(&path, "/tag");
	url_query(&path, "repo", o->argv[1]);
	url_query(&path, "tag", colon ? colon + 1 : "latest");
	return client_call(c, "POST", path.p, NULL, &r, &e) < 0 ? cli_fail(c, &e) : 0;
}

int cmd_pull(struct cli *c, struct opts *o)
{
	struct err e = ERR_INIT;
	const char *name = o->argv[0];
	const char *slash = strrchr(name, '/');
	bool quiet = opts_bool(o, "quiet"), all = opts_bool(o, "all-tags");
	bool tagged = strchr(slash ? slash : name, ':') || strchr(name, '@');

	if (all && tagged) {
		fprintf(stderr, "tag can't be used with --all-tags/-a\n");
		return 1;
	}
	if (!tagged && !all && !quiet)
		printf("Using default tag: latest\n"), fflush(stdout);
	if (image_pull(c, name, opts_set(o, "platform") ? opts_str(o, "platform") : NULL, quiet,
		       all, stdout, &e) < 0)
		return cli_fail(c, &e);
	AUTO_FREE char *full = image_full_name(name);
	printf("%s\n", full);
	return 0;
}

/* Upload an open file as the body of k's request. */
int upload(struct conn *k, int fd, struct err *e)
{
	AUTO_FREE char *data = xmalloc(CONN_BUF);
	ssize_t n;

	while ((n = read(fd, data, CONN_BUF)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, -errno, "read the archive");
		if (conn_send_chunk(k, data, (size_t)n, e) < 0)
			return -1;
	}
	return conn_send_chunk(k, "", 0, e);
}

static int load_open(const char *input, int *ret, struct err *e)
{
	struct stat st;

	if (!*input) {
		if (isatty(0))
			return err_set(e, ERR_INVALID,
				       "requested load from stdin, but stdin is "
				       "empty");
		*ret = FD_NONE;
		return 0;
	}
	if (stat(input, &st) == 0 && S_ISDIR(st.st_mode)) {
		*ret = -EISDIR;
		return 0;
	}
	*ret = open(input, O_RDONLY | O_CLOEXEC);
	if (*ret < 0)
		return err_set(e, ERR_INVALID, "open %s: %s", input,
			       errno == ENOENT ? "no such file or directory" : strerror(errno));
	return 0;
}

int cmd_load(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 16);
	struct conn k = CONN_INIT;
	struct err e = ERR_INIT;
	const char *input = opts_str(o, "input");
	int fd = FD_NONE;
	bool quiet = opts_bool(o, "quiet") || !isatty(1);

	if (load_open(input, &fd, &e) < 0)
		return cli_fail(c, &e);
	buf_adds(&path, "/images/load");
	url_query(&path, "quiet", quiet ? "1" : "0");
	if (opts_set(o, "platform"))
		url_platform(&path, "platform", opts_str(o, "platform"));
	bool dir = fd == -EISDIR;
	AUTO_FD int owned = fd >= 0 ? fd : FD_NONE;
	int rc = conn_open(c, &k, &e);
	if (rc == 0)
		rc = conn_send(&k, "POST", path.p, "Transfer-Encoding: chunked\r\n",
			       "application/x-tar", NULL, 0, &e);
	if (rc == 0)
		rc = dir ? load_dir(&k, input, &e) : upload(&k, fd >= 0 ? fd : 0, &e);
	struct err sent = e;
	if (k.fd >= 0 && conn_check(&k, &e) < 0)
		rc = -1; /* the engine's own reason is better than a broken pipe */
	else if (rc < 0)
		e = sent;
	if (rc == 0)
		rc = progress_show(&k, stdout, false, &e);
	conn_close(c, &k);
	return rc < 0 ? cli_fail(c, &e) : 0;
}

/* Body of a GET into a file (through a temporary name) or to stdout. */
int download(struct cli *c, const char *path, const char *output, struct err *e)
{
	struct conn k = CONN_INIT;
	AUTO_FREE char *temp = *output ? xasprintf("%s.%d.tmp", output, (int)getpid()) : NULL;
	AUTO_FD int file = FD_NONE;
	const char *data;
	ssize_t n = 0;

	int rc = conn_open(c, &k, e);
	if (rc == 0)
		rc = conn_send(&k, "GET", path, NULL, NULL, NULL, 0, e);
	if (rc == 0)
		rc = conn_check(&k, e);
	if (rc == 0 && temp) {
		file = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (file < 0)
			rc = err_sys(e, -errno, "create %s", output);
	}
	while (rc == 0 && (n = conn_read(&k, &data, e)) > 0) {
		int w = fs_write_all(file >= 0 ? file : 1, data, (size_t)n);
		if (w < 0)
			rc = err_sys(e, w, "write %s", *output ? output : "stdout");
	}
	if (n < 0)
		rc = -1;
	if (rc == 0 && temp && rename(temp, output) < 0)
		rc = err_sys(e, -errno, "rename to %s", output);
	if (rc < 0 && file >= 0)
		unlink(temp);
	conn_close(c, &k);
	return rc;
}

int cmd_save(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 16);
	struct err e = ERR_INIT;
	const char *output = opts_str(o, "output");

	if (!*output && isatty(1)) {
		fprintf(stderr, "cowardly refusing to save to a terminal. Use the -o flag or "
				"redirect\n");
		return 1;
	}
	buf_adds(&path, "/images/get");
	for (int i = 0; i < o->argc; i++)
		url_query(&path, "names", o->argv[i]);
	if (opts_set(o, "platform"))
		url_platform(&path, "platform", opts_str(o, "platform"));
	return download(c, path.p, output, &e) < 0 ? cli_fail(c, &e) : 0;
}
