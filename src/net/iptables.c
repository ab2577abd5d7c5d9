/* SPDX-License-Identifier: Apache-2.0 */
/* Living beside programs that use iptables; see the header. */
#include "net/iptables.h"

#include "base/mem.h"
#include "net/program.h"
#include "sys/fs.h"

#include <string.h>

#include "base/banned.h"

#define SAVED_MAX (16U << 20)

struct wanted {
	const char *chain;
	const char *const *bridges;
	size_t n;
};

/* What is there, by the lines of iptables-save. */
struct found {
	bool drops, chain, jump;
	size_t rules, right; /* in our chain; those that are wanted */
};

static bool line_is(struct str line, const char *text)
{
	return str_eq(line, text);
}

static bool is_wanted_rule(struct str line, const struct wanted *w)
{
	for (size_t i = 0; i < w->n; i++) {
		AUTO_FREE char *in = xasprintf("-A %s -i %s -j ACCEPT", w->chain, w->bridges[i]);
		AUTO_FREE char *out = xasprintf("-A %s -o %s -j ACCEPT", w->chain, w->bridges[i]);

		if (line_is(line, in) || line_is(line, out))
			return true;
	}
	return false;
}

static struct found look(const char *saved, const struct wanted *w)
{
	AUTO_FREE char *declared = xasprintf(":%s ", w->chain);
	AUTO_FREE char *jump = xasprintf("-A FORWARD -j %s", w->chain);
	AUTO_FREE char *rule = xasprintf("-A %s ", w->chain);
	struct str rest = str_of(saved), line;
	struct found f = {0};

	while (rest.n > 0 && str_cut(&rest, '\n', &line)) {
		if (line.n >= 13 && memcmp(line.p, ":FORWARD DROP", 13) == 0)
			f.drops = true;
		else if (line.n > strlen(declared) &&
			 memcmp(line.p, declared, strlen(declared)) == 0)
			f.chain = true;
		else if (line_is(line, jump))
			f.jump = true;
		else if (line.n > strlen(rule) && memcmp(line.p, rule, strlen(rule)) == 0) {
			f.rules++;
			f.right += is_wanted_rule(line, w);
		}
	}
	return f;
}

static void text_of(const struct wanted *w, const struct found *f, struct buf *out)
{
	/* Declared anew the chain is empty again, in the same transaction. */
	buf_addf(out, "*filter\n:%s - [0:0]\n", w->chain);
	for (size_t i = 0; i < w->n; i++)
		buf_addf(out, "-A %s -i %s -j ACCEPT\n-A %s -o %s -j ACCEPT\n", w->chain,
			 w->bridges[i], w->chain, w->bridges[i]);
	if (w->n > 0 && !f->jump)
		buf_addf(out, "-A FORWARD -j %s\n", w->chain);
	if (w->n == 0 && f->jump)
		buf_addf(out, "-D FORWARD -j %s\n", w->chain);
	if (w->n == 0)
		buf_addf(out, "-X %s\n", w->chain);
	buf_adds(out, "COMMIT\n");
}

static int sync_one(const char *save, const char *restore, const struct wanted *w, struct err *e)
{
	AUTO_FREE char *save_path = program_find(save), *restore_path = program_find(restore);
	const char *const save_argv[] = {save, "-t", "filter", NULL};
	const char *const restore_argv[] = {restore, "-w", "5", "--noflush", NULL};
	AUTO_BUF struct buf saved = BUF_INIT(SAVED_MAX), text = BUF_INIT(SAVED_MAX);
	struct found f;

	if (!save_path || !restore_path)
		return err_set(e, ERR_SYSTEM,
			       "the FORWARD chain of iptables drops what we forward, and the "
			       "program %s to let it through is missing",
			       save_path ? restore : save);
	if (program_run(save_path, save_argv, "", 0, &saved, e) < 0)
		return -1;
	f = look(buf_text(&saved), w);
	if (w->n == 0 ? !f.chain
		      : (!f.drops && !f.chain) ||
				(f.jump && f.rules == w->n * 2 && f.right == f.rules))
		return 0;
	text_of(w, &f, &text);
	return program_run(restore_path, restore_argv, text.p, text.n, NULL, e);
}

static bool legacy_in_use(const char *names)
{
	AUTO_BUF struct buf text = BUF_INIT(4096);

	return fs_read_path(names, &text) == 0 && strstr(buf_text(&text), "filter");
}

int iptables_sync(const char *chain, const char *const *bridges, size_t n, bool matters4,
		  bool matters6, struct err *e)
{
	const struct wanted w = {chain, bridges, n};

	if (matters4 && sync_one("iptables-nft-save", "iptables-nft-restore", &w, e) < 0)
		return -1;
	if (matters6 && sync_one("ip6tables-nft-save", "ip6tables-nft-restore", &w, e) < 0)
		return -1;
	if (legacy_in_use("/proc/net/ip_tables_names") &&
	    sync_one("iptables-legacy-save", "iptables-legacy-restore", &w, e) < 0)
		return -1;
	if (legacy_in_use("/proc/net/ip6_tables_names") &&
	    sync_one("ip6tables-legacy-save", "ip6tables-legacy-restore", &w, e) < 0)
		return -1;
	return 0;
}
