/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a seal. It is our own file, but it lies on the same disk as what it vouches for: nothing
 * in it is believed before its own checksum was right. */
#include "unpack/seal-priv.h"

#include "base/buf.h"
#include "base/mem.h"
#include "sys/fs.h"

#include <string.h>

#include "base/banned.h"

#define SEAL_MAX ((size_t)256 << 20)

struct cursor {
	const unsigned char *p, *end;
	bool bad;
};

static uint64_t get_num(struct cursor *c)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && c->p < c->end; shift += 7) {
		unsigned char b = *c->p++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	c->bad = true;
	return 0;
}

static uint64_t get_u64(struct cursor *c)
{
	uint64_t v = 0;

	if (c->end - c->p < 8) {
		c->bad = true;
		return 0;
	}
	for (int i = 7; i >= 0; i--)
		v = v << 8 | c->p[i];
	c->p += 8;
	return v;
}

/* Bytes into text[at..], NUL-terminated. */
static void get_text(struct cursor *c, char *text, uint64_t at)
{
	uint64_t n = get_num(c);

	if (c->bad || at >= WRITER_PATH_MAX || n >= WRITER_PATH_MAX - at ||
	    n > (uint64_t)(c->end - c->p)) {
		c->bad = true;
		return;
	}
	memcpy(text + at, c->p, n);
	text[at + n] = '\0';
	c->p += n;
}

static void get_record(struct cursor *c, struct seal_record *r, char *name, char *link)
{
	size_t have = strlen(name);
	uint64_t shared = get_num(c);

	if (shared > have) {
		c->bad = true;
		return;
	}
	get_text(c, name, shared);
	r->name = name;
	r->link = NULL;
	if (r->kind == SEAL_LINK) {
		get_text(c, link, 0);
		r->link = link;
		return;
	}
	r->mode = (mode_t)get_num(c);
	r->uid = (uid_t)get_num(c);
	r->gid = (gid_t)get_num(c);
	r->sec = (int64_t)get_num(c);
	r->nsec = (uint32_t)get_num(c);
	r->size = get_num(c);
	r->sum = get_u64(c);
	r->xattrs = r->flags & SEAL_XATTRS ? get_u64(c) : 0;
}

static int damaged(struct err *e)
{
	return err_set(e, ERR_INVALID, "the seal of the layer is damaged");
}

/* The end record stands for the whole: found first, so that nothing unchecked is used. */
static int records(struct cursor *c,
		   int (*fn)(void *ud, const struct seal_record *r, struct err *e), void *ud,
		   struct err *e)
{
	char name[WRITER_PATH_MAX] = "", link[WRITER_PATH_MAX] = "";
	const unsigned char *start = c->p - 8;
	uint64_t n = 0;

	while (c->end - c->p >= 2) {
		const unsigned char *at = c->p;
		struct seal_record r = {.kind = (enum seal_kind)c->p[0], .flags = c->p[1]};

		c->p += 2;
		if (r.kind == SEAL_END) {
			uint64_t count = get_num(c), crc = get_u64(c);

			if (r.flags || c->bad || count != n || c->p != c->end ||
			    crc != seal_crc(0, start, (size_t)(at - start)))
				break;
			return 0;
		}
		if (r.kind != SEAL_ENTRY && r.kind != SEAL_LINK)
			break;
		get_record(c, &r, name, link);
		if (c->bad)
			break;
		n++;
		if (fn && fn(ud, &r, e) < 0)
			return -1;
	}
	return damaged(e);
}

int seal_read(int fd, int (*fn)(void *ud, const struct seal_record *r, struct err *e), void *ud,
	      struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(SEAL_MAX);
	int rc = fs_read_fd(fd, &text);

	if (rc < 0)
		return err_sys(e, rc, "read the layer's seal");
	if (text.n < 8 || memcmp(text.p, "CORSEAL1", 8) != 0)
		return damaged(e);
	const unsigned char *p = (const unsigned char *)text.p;
	struct cursor first = {p + 8, p + text.n, false}, second = first;
	if (records(&first, NULL, NULL, e) < 0)
		return -1;
	return records(&second, fn, ud, e);
}
