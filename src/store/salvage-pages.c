/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages of an SQLite file, read without SQLite (https://www.sqlite.org/fileformat2.html): no
 * page is needed to find another one, so what is lost is what was in the damaged pages and no more.
 * A record counts when its lengths add up exactly. Nothing is believed: every offset is checked.
 */
#include "store/salvage-priv.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

#define PAGE_DEFAULT 4096u
#define DB_HEAD	     100u
#define WAL_HEAD     32u
#define FRAME_HEAD   24u
#define PAYLOAD_MAX  ((size_t)32 << 20)

enum page_type { INDEX_INTERIOR = 2, INDEX_LEAF = 10, TABLE_LEAF = 13 };

struct file {
	unsigned char *p;
	size_t n;
};

struct pages {
	struct file db, wal;
	size_t size; /* of a page */
	size_t n;
	const unsigned char **v; /* NULL: on the free list */
	struct buf payload;
	salvage_row_fn fn;
	void *ud;
};

static uint32_t be(const unsigned char *p, size_t n)
{
	uint32_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* Bytes used, 0: it does not end before `end`. */
static size_t varint(const unsigned char *p, const unsigned char *end, uint64_t *ret)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 9 && p + i < end; i++) {
		if (i == 8) {
			*ret = v << 8 | p[i];
			return 9;
		}
		v = v << 7 | (p[i] & 0x7f);
		if (!(p[i] & 0x80)) {
			*ret = v;
			return i + 1;
		}
	}
	return 0;
}

/* ---- the files ---- */

static int map_file(int fd, struct file *ret, struct err *e)
{
	struct stat st;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "look at the damaged database");
	if (!st.st_size)
		return 0;
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, -errno, "map the damaged database");
	*ret = (struct file){p, (size_t)st.st_size};
	return 0;
}

static size_t page_size(const struct pages *g)
{
	uint32_t n = 0;

	if (g->db.n >= DB_HEAD && !memcmp(g->db.p, "SQLite format 3", 16))
		n = be(g->db.p + 16, 2) == 1 ? 65536 : be(g->db.p + 16, 2);
	else if (g->wal.n >= WAL_HEAD)
		n = be(g->wal.p + 8, 4);
	return n >= 512 && n <= 65536 && !(n & (n - 1)) ? n : PAGE_DEFAULT;
}

/* The log's running checksum over n bytes, a multiple of 8. */
static void wal_sum(bool big, const unsigned char *p, size_t n, uint32_t sum[static 2])
{
	for (size_t i = 0; i + 8 <= n; i += 8) {
		uint32_t x = be(p + i, 4), y = be(p + i + 4, 4);

		if (!big) {
			x = __builtin_bswap32(x);
			y = __builtin_bswap32(y);
		}
		sum[0] += x + sum[1];
		sum[1] += y + sum[0];
	}
}

/* Frames up to the last commit; *ret_pages: the database's size after it, 0: no commit. */
static size_t wal_frames(const struct pages *g, size_t *ret_pages)
{
	const unsigned char *p = g->wal.p;
	size_t step = FRAME_HEAD + g->size, last = 0;
	uint32_t sum[2] = {0, 0};

	*ret_pages = 0;
	if (g->wal.n < WAL_HEAD || (be(p, 4) & ~1u) != 0x377f0682 || be(p + 8, 4) != g->size)
		return 0;
	bool big = be(p, 4) & 1;
	wal_sum(big, p, 24, sum);
	for (size_t i = 0; WAL_HEAD + (i + 1) * step <= g->wal.n; i++) {
		const unsigned char *f = p + WAL_HEAD + i * step;

		wal_sum(big, f, 8, sum);
		wal_sum(big, f + FRAME_HEAD, g->size, sum);
		if (memcmp(f + 8, p + 16, 8) != 0 || be(f + 16, 4) != sum[0] ||
		    be(f + 20, 4) != sum[1])
			break;
		if (!be(f + 4, 4))
			continue;
		last = i + 1;
		*ret_pages = be(f + 4, 4);
	}
	return last;
}

static void lay_out(struct pages *g)
{
	size_t pages, frames;

	g->size = page_size(g);
	frames = wal_frames(g, &pages);
	g->n = frames ? MIN(pages, g->db.n / g->size + frames) : g->db.n / g->size;
	g->v = xcalloc(g->n + 1, sizeof(*g->v));
	for (size_t i = 0; i < g->n && (i + 1) * g->size <= g->db.n; i++)
		g->v[i] = g->db.p + i * g->size;
	for (size_t i = 0; i < frames; i++) {
		const unsigned char *f = g->wal.p + WAL_HEAD + i * (FRAME_HEAD + g->size);
		size_t no = be(f, 4);

		if (no && no <= g->n)
			g->v[no - 1] = f + FRAME_HEAD;
	}
}

static const unsigned char *page(const struct pages *g, uint32_t no)
{
	return no && no <= g->n ? g->v[no - 1] : NULL;
}

/* What was deleted must not come back. */
static void drop_free(struct pages *g)
{
	const unsigned char *head = page(g, 1);

	if (!head || memcmp(head, "SQLite format 3", 16) != 0)
		return;
	uint32_t trunk = be(head + 32, 4);
	for (size_t i = 0; i < g->n && trunk > 1; i++) {
		const unsigned char *p = page(g, trunk);

		if (!p)
			return;
		uint32_t leaves = be(p + 4, 4);
		for (uint32_t k = 0; k < leaves && 8 + 4 * (k + 1) <= g->size; k++) {
			uint32_t no = be(p + 8 + 4 * (size_t)k, 4);

			if (no > 1 && no <= g->n && no != trunk)
				g->v[no - 1] = NULL;
		}
		g->v[trunk - 1] = NULL;
		trunk = be(p, 4);
	}
}

/* ---- records ---- */

static size_t type_size(uint64_t type)
{
	static const unsigned char fixed[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};

	if (type < sizeof(fixed))
		return fixed[type];
	return type < 12 ? SIZE_MAX : (size_t)MIN((type - 12) / 2, (uint64_t)PAYLOAD_MAX + 1);
}

static int64_t int_of(const unsigned char *p, size_t n)
{
	uint64_t v = n && (p[0] & 0x80) ? UINT64_MAX : 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return (int64_t)v;
}

static struct salvage_value value_of(uint64_t type, const unsigned char *p, size_t n)
{
	struct salvage_value v = {.type = SALVAGE_OTHER, .p = (const char *)p, .n = n};

	if (type == 0) {
		v.type = SALVAGE_NULL;
	} else if (type <= 6 || type == 8 || type == 9) {
		v.type = SALVAGE_INT;
		v.i = type > 6 ? (int64_t)type - 8 : int_of(p, n);
	} else if (type >= 13 && (type & 1) && !memchr(p, '\0', n)) {
		v.type = SALVAGE_TEXT;
	}
	return v;
}

static int record(struct pages *g, int64_t rowid, const unsigned char *p, size_t n, struct err *e)
{
	struct salvage_value v[SALVAGE_COLUMNS_MAX];
	const unsigned char *end;
	size_t cols = 0, at, used;
	uint64_t head = 0, type = 0;

	used = varint(p, p + n, &head);
	if (!used || head < used || head > n)
		return 0;
	end = p + head;
	at = (size_t)head;
	for (const unsigned char *q = p + used; q < end; q += used) {
		used = varint(q, end, &type);
		size_t size = used ? type_size(type) : SIZE_MAX;

		if (cols == SALVAGE_COLUMNS_MAX || size > n - at)
			return 0;
		v[cols++] = value_of(type, p + at, size);
		at += size;
	}
	return at == n ? g->fn(g->ud, rowid, v, cols, e) : 0;
}

/* How much of a payload lies in its own page. */
static size_t local_size(const struct pages *g, bool table, size_t n)
{
	size_t max = table ? g->size - 35 : (g->size - 12) * 64 / 255 - 23;
	size_t min = (g->size - 12) * 32 / 255 - 23, k;

	if (n <= max)
		return n;
	k = min + (n - min) % (g->size - 4);
	return k <= max ? k : min;
}

/* A payload that goes on in other pages, put together. False: its chain is broken. */
static bool gather(struct pages *g, const unsigned char *p, size_t local, size_t n)
{
	uint32_t next = be(p + local, 4);

	buf_reset(&g->payload);
	buf_add(&g->payload, p, local);
	while (g->payload.n < n) {
		const unsigned char *q = page(g, next);

		if (!q)
			return false;
		buf_add(&g->payload, q + 4, MIN(n - g->payload.n, g->size - 4));
		next = be(q, 4);
	}
	return true;
}

static int cell(struct pages *g, const unsigned char *pg, size_t off, enum page_type type,
		struct err *e)
{
	const unsigned char *p = pg + off, *end = pg + g->size;
	bool table = type == TABLE_LEAF;
	uint64_t n, rowid = 0;
	size_t used;

	if (type == INDEX_INTERIOR)
		p += 4;
	used = p < end ? varint(p, end, &n) : 0;
	p += used;
	if (!used || !n || n > PAYLOAD_MAX)
		return 0;
	used = table ? varint(p, end, &rowid) : 0;
	p += used;
	if (table && !used)
		return 0;
	size_t local = local_size(g, table, (size_t)n);
	if (local + (local < n ? 4 : 0) > (size_t)(end - p))
		return 0;
	if (local == n)
		return record(g, (int64_t)rowid, p, local, e);
	if (!gather(g, p, local, (size_t)n))
		return 0;
	return record(g, (int64_t)rowid, (const unsigned char *)g->payload.p, (size_t)n, e);
}

static int one_page(struct pages *g, size_t i, struct err *e)
{
	const unsigned char *pg = g->v[i], *head;
	size_t first, n;
	int rc = 0;

	if (!pg)
		return 0;
	head = pg + (i ? 0 : DB_HEAD);
	enum page_type type = (enum page_type)head[0];
	if (type != TABLE_LEAF && type != INDEX_LEAF && type != INDEX_INTERIOR)
		return 0;
	n = be(head + 3, 2);
	first = (size_t)(head - pg) + (type == INDEX_INTERIOR ? 12 : 8);
	for (size_t k = 0; rc == 0 && k < n && first + 2 * (k + 1) <= g->size; k++) {
		size_t off = be(pg + first + 2 * k, 2);

		if (off >= first && off < g->size)
			rc = cell(g, pg, off, type, e);
	}
	return rc;
}

int salvage_pages(int db_fd, int wal_fd, salvage_row_fn fn, void *ud, struct err *e)
{
	struct pages g = {.payload = BUF_INIT(PAYLOAD_MAX), .fn = fn, .ud = ud};
	int rc = map_file(db_fd, &g.db, e);

	rc = rc ? rc : map_file(wal_fd, &g.wal, e);
	if (rc == 0) {
		lay_out(&g);
		drop_free(&g);
	}
	for (size_t i = 0; rc == 0 && i < g.n; i++)
		rc = one_page(&g, i, e);
	if (g.db.p)
		munmap(g.db.p, g.db.n);
	if (g.wal.p)
		munmap(g.wal.p, g.wal.n);
	buf_done(&g.payload);
	free(g.v);
	return rc;
}
