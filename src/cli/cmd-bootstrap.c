/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image bootstrap: a minimal image from a distribution's own archive, made by mmdebstrap here and
 * streamed to the engine as an import. The archive's address is the one apt of this machine uses
 * for that distribution (or --mirror). mmdebstrap clamps times to SOURCE_DATE_EPOCH; with it the
 * image's own time is that too, and the same packages give the same image id.
 */
#include "cli/commands.h"
#include "base/mem.h"
#include "base/num.h"
#include "sys/fs.h"
#include "sys/spawn.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>

#include "base/banned.h"

#define TOOL	   "mmdebstrap"
#define OUTPUT_MAX ((size_t)1 << 20)
#define LABEL	   "coracle.bootstrap."

struct bootstrap {
	char *distribution, *suite;
	struct arena *arena;
	struct strs sources; /* lines of a sources.list */
	const char *variant, *include;
	char *tool;
	struct process proc;
	int out;
	char *first; /* what came before the engine was asked */
	size_t nfirst;
};

static char *find_program(const char *name)
{
	struct str rest = str_of(secure_getenv("PATH")), dir;

	while (str_cut(&rest, ':', &dir)) {
		if (!dir.n || dir.p[0] != '/')
			continue;
		char *path = xasprintf("%.*s/%s", (int)dir.n, dir.p, name);
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

static int start(const char *path, const char *const *argv, struct process *ret, int *ret_out,
		 struct err *e)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	const struct spawn_fd fds[] = {{p[1], 1}, {2, 2}};
	const struct spawn s = {.path = path, .argv = argv, .fds = fds, .nfds = 2};
	int rc = spawn_start(&s, ret);
	close(p[1]);
	if (rc < 0) {
		close(p[0]);
		return err_sys(e, rc, "cannot start %s", path);
	}
	*ret_out = p[0];
	return 0;
}

static int finish(struct process *p)
{
	int status = -1;

	while (spawn_wait(p, false, &status) == -EINTR)
		;
	fd_close(&p->pidfd);
	return status;
}

/* ---- where the packages come from ---- */

/* One target of apt: URI|release|component|origin|label. */
struct target {
	const char *uri, *release, *component, *origin, *label;
};

static bool parse_target(char *line, struct target *t)
{
	const char **field[] = {&t->uri, &t->release, &t->component, &t->origin, &t->label};

	for (size_t i = 0; i < ARRAY_SIZE(field); i++) {
		char *end = strchr(line, '|');
		if (!end && i + 1 < ARRAY_SIZE(field))
			return false;
		*field[i] = line;
		if (end)
			*end = '\0';
		line = end ? end + 1 : line + strlen(line);
	}
	return true;
}

static void add_source(struct bootstrap *b, const char *uri, const char *release)
{
	char *line = arena_printf(b->arena, "deb %s %s main", uri, release);

	for (size_t i = 0; i < b->sources.n; i++)
		if (!strcmp(b->sources.v[i], line))
			return;
	strs_push(&b->sources, b->arena, line);
}

/* The archive for the suite, and its updates and security fixes where apt here has them too. */
static void choose_sources(struct bootstrap *b, const char *text)
{
	const char *archive = NULL;

	for (int pass = 0; pass < 2; pass++) {
		AUTO_FREE char *copy = xstrdup(text);
		char *save = copy, *line;
		while ((line = strsep(&save, "\n"))) {
			struct target t;
			if (!parse_target(line, &t) || strcasecmp(t.origin, b->distribution) != 0)
				continue;
			size_t n = strlen(b->suite);
			bool fixes = !strncmp(t.release, b->suite, n) && t.release[n] == '-';
			if (pass == 0 && !archive && !strcasecmp(t.label, b->distribution)) {
				archive = arena_strdup(b->arena, t.uri);
				add_source(b, archive, b->suite);
			} else if (pass == 1 && archive && fixes && !strcmp(t.component, "main")) {
				add_source(b, arena_strdup(b->arena, t.uri), t.release);
			}
		}
	}
}

static int ask_apt(struct bootstrap *b, struct err *e)
{
	AUTO_FREE char *apt = find_program("apt-get");
	AUTO_BUF struct buf text = BUF_INIT(OUTPUT_MAX);
	AUTO_FD int out = FD_NONE;
	struct process proc;
	const char *argv[] = {"apt-get",
			      "indextargets",
			      "--format",
			      "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)|$(LABEL)",
			      "Created-By: Packages",
			      NULL};

	if (!apt)
		return err_set(e, ERR_INVALID,
			       "there is no apt here that knows an archive of %s: give one by "
			       "--mirror",
			       b->distribution);
	if (start(apt, argv, &proc, &out, e) < 0)
		return -1;
	int rc = fs_read_fd(out, &text);
	if (finish(&proc) != 0 || rc < 0)
		return err_set(e, ERR_SYSTEM, "apt-get does not tell its archives");
	choose_sources(b, buf_text(&text));
	if (!b->sources.n)
		return err_set(e, ERR_INVALID,
			       "apt of this machine has no archive of \"%s\": give one by --mirror "
			       "(is apt-get update needed?)",
			       b->distribution);
	return 0;
}

/* ---- mmdebstrap ---- */

static bool word_is_safe(const char *s, const char *more)
{
	if (!isalnum((unsigned char)*s))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr(more, *s))
			return false;
	return true;
}

static int start_tool(struct bootstrap *b, bool quiet, struct err *e)
{
	AUTO_FREE char *variant = xasprintf("--variant=%s", b->variant);
	AUTO_FREE char *include = xasprintf("--include=%s", b->include);
	AUTO_FREE const char **argv = xcalloc(b->sources.n + 12, sizeof(*argv));
	size_t n = 0;

	b->tool = find_program(TOOL);
	if (!b->tool)
		return err_set(e, ERR_INVALID,
			       TOOL " is not installed: it is in the package " TOOL
				    " (apt-get install " TOOL ")");
	argv[n++] = TOOL;
	argv[n++] = "--format=tar";
	argv[n++] = variant;
	if (*b->include)
		argv[n++] = include;
	if (quiet)
		argv[n++] = "--quiet";
	/* The host's own would make each machine's image another. */
	argv[n++] = "--customize-hook=rm -f \"$1\"/etc/hostname \"$1\"/etc/resolv.conf";
	argv[n++] = b->suite;
	argv[n++] = "-";
	for (size_t i = 0; i < b->sources.n; i++)
		argv[n++] = b->sources.v[i];
	return start(b->tool, argv, &b->proc, &b->out, e);
}

static int tool_end(struct bootstrap *b, struct err *e)
{
	int status = finish(&b->proc);

	if (status == 0)
		return 0;
	if (status > 0 && WIFSIGNALED(status))
		return err_set(e, ERR_CANCELLED, TOOL " was killed by signal %d", WTERMSIG(status));
	return err_set(e, ERR_CANCELLED, TOOL " could not make %s:%s (its messages are above)",
		       b->distribution, b->suite);
}

/* The archive as chunks; its end only when the tool says that it is whole. */
static int send_tar(struct conn *k, void *ud, struct err *e)
{
	struct bootstrap *b = ud;
	AUTO_FREE char *data = xmalloc(CONN_BUF);
	ssize_t n = (ssize_t)b->nfirst;
	const char *p = b->first;

	while (n) {
		if (n < 0 && errno != EINTR)
			return err_sys(e, -errno, "read from " TOOL);
		if (n > 0 && conn_send_chunk(k, p, (size_t)n, e) < 0)
			return -1;
		p = data;
		n = read(b->out, data, CONN_BUF);
	}
	return tool_end(b, e) < 0 ? -1 : conn_send_chunk(k, "", 0, e);
}

/* mmdebstrap writes at its very end: until then the engine has nothing to do with it. */
static int wait_first(struct bootstrap *b, struct err *e)
{
	ssize_t n;

	b->first = xmalloc(CONN_BUF);
	do
		n = read(b->out, b->first, CONN_BUF);
	while (n < 0 && errno == EINTR);
	b->nfirst = n > 0 ? (size_t)n : 0;
	if (n > 0)
		return 0;
	return tool_end(b, e) < 0 ? -1 : err_set(e, ERR_SYSTEM, TOOL " made an empty archive");
}

/* ---- the image ---- */

/* A source without user and password. */
static void add_public(struct buf *out, const char *line)
{
	const char *at = strchr(line, '@'), *scheme = strstr(line, "://");
	const char *path = scheme ? strchr(scheme + 3, '/') : NULL;

	if (!scheme || !at || (path && at > path)) {
		buf_adds(out, line);
		return;
	}
	buf_add(out, line, (size_t)(scheme + 3 - line));
	buf_adds(out, at + 1);
}

static void add_label(struct buf *path, const char *name, const char *value)
{
	AUTO_BUF struct buf text = BUF_INIT(OUTPUT_MAX);

	buf_addf(&text, "LABEL " LABEL "%s='", name);
	for (; *value; value++)
		if (*value != '\'')
			buf_addc(&text, *value);
	buf_addc(&text, '\'');
	url_query(path, "changes", buf_text(&text));
}

static void query_image(struct bootstrap *b, struct buf *path)
{
	AUTO_BUF struct buf sources = BUF_INIT(OUTPUT_MAX), note = BUF_INIT(OUTPUT_MAX);
	static const char *const small[] = {"extract", "custom"};
	const char *epoch = secure_getenv("SOURCE_DATE_EPOCH");
	bool shell = true;

	for (size_t i = 0; i < ARRAY_SIZE(small); i++)
		shell &= strcmp(b->variant, small[i]) != 0;
	for (size_t i = 0; i < b->sources.n; i++) {
		buf_adds(&sources, i ? ", " : "");
		add_public(&sources, b->sources.v[i]);
	}
	if (shell)
		url_query(path, "changes", "CMD [\"bash\"]");
	add_label(path, "distribution", b->distribution);
	add_label(path, "suite", b->suite);
	add_label(path, "variant", b->variant);
	if (*b->include)
		add_label(path, "include", b->include);
	add_label(path, "sources", buf_text(&sources));
	buf_addf(&note, TOOL " --variant=%s%s%s %s from %s", b->variant,
		 *b->include ? " --include=" : "", b->include, b->suite, buf_text(&sources));
	url_query(path, "message", buf_text(&note));
	if (epoch && *epoch)
		url_query(path, "created", epoch);
}

static int parse(struct bootstrap *b, const struct opts *o, struct err *e)
{
	const char *what = o->argv[0], *colon = strchr(what, ':');
	const char *mirror = opts_str(o, "mirror"), *epoch = secure_getenv("SOURCE_DATE_EPOCH");
	uint64_t seconds;

	b->arena = arena_new();
	b->distribution = xstrndup(what, colon ? (size_t)(colon - what) : strlen(what));
	b->suite = xstrdup(colon ? colon + 1 : "");
	b->variant = opts_str(o, "variant");
	b->include = opts_str(o, "include");
	if (!word_is_safe(b->distribution, "-") || !word_is_safe(b->suite, "-.+"))
		return err_set(e, ERR_INVALID,
			       "\"%s\" is no DISTRIBUTION:SUITE, as debian:bookworm", what);
	if (!word_is_safe(b->variant, "-") ||
	    (*b->include && !word_is_safe(b->include, "-.+:,/=~_")))
		return err_set(e, ERR_INVALID, "invalid --variant or --include");
	if (epoch && *epoch && num_parse_u64(epoch, 0, INT32_MAX, &seconds) < 0)
		return err_set(e, ERR_INVALID, "SOURCE_DATE_EPOCH is no number of seconds: %s",
			       epoch);
	if (!*mirror)
		return ask_apt(b, e);
	if (strpbrk(mirror, " \t\n"))
		return err_set(e, ERR_INVALID, "--mirror is not an address: %s", mirror);
	add_source(b, mirror, b->suite);
	return 0;
}

int cmd_image_bootstrap(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 20);
	struct bootstrap b = {.out = FD_NONE, .proc = {.pidfd = FD_NONE}};
	struct err e = ERR_INIT;

	buf_adds(&path, "/images/create");
	url_query(&path, "fromSrc", "-");
	query_name(&path, o->argc > 1 ? o->argv[1] : o->argv[0]);
	int rc = parse(&b, o, &e);
	rc = rc < 0 ? rc : start_tool(&b, opts_bool(o, "quiet"), &e);
	rc = rc < 0 ? rc : wait_first(&b, &e);
	if (rc == 0) {
		query_image(&b, &path);
		rc = import_stream(c, path.p, send_tar, &b, &e);
	}
	fd_close(&b.out); /* a tool that still writes ends with it */
	if (b.proc.pidfd >= 0)
		finish(&b.proc);
	free(b.distribution);
	free(b.suite);
	free(b.tool);
	free(b.first);
	arena_free(b.arena);
	return rc < 0 ? cli_fail(c, &e) : 0;
}
