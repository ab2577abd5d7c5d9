/* SPDX-License-Identifier: Apache-2.0 */
/* Is an unpacked layer still what its seal says? Both directions: every entry of the seal is there
 * as it was, and nothing else is. */
#include "unpack/seal-priv.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

struct known {
	struct seal_record r; /* name is the map's key; link is owned by the arena */
	dev_t dev;
	ino_t ino; /* of the first name found on disk */
	bool seen, summed;
};

struct check {
	const struct unpack_check *o;
	struct unpack_check_result *res;
	struct arena *arena;
	struct map *names;
};

static int learn(void *ud, const struct seal_record *r, struct err *e)
{
	struct check *c = ud;
	struct known *k = map_get(c->names, r->name);

	if (!k) {
		k = arena_alloc(c->arena, sizeof(*k));
		(void)map_set(c->names, r->name, k);
	}
	k->r = *r; /* a later entry replaces an earlier one */
	k->r.name = NULL;
	k->r.link = arena_strdup(c->arena, r->link);
	return 0;
}

static int found(struct check *c, const char *path, const char *what)
{
	c->res->problems++;
	return c->o->fn && c->o->fn(c->o->ud, *path ? path : "/", what) ? -1 : 0;
}

/* What a hard link stands for. */
static struct known *resolve(struct check *c, struct known *k)
{
	for (int i = 0; k && k->r.kind == SEAL_LINK && i < 64; i++)
		k = map_get(c->names, k->r.link);
	return k && k->r.kind == SEAL_ENTRY ? k : NULL;
}

static const char *compare(const struct seal_record *want, const struct seal_record *have)
{
	bool link = S_ISLNK(want->mode);

	if ((want->mode & S_IFMT) != (have->mode & S_IFMT))
		return "is of another type";
	if (want->flags & SEAL_NOOWNER)
		return want->size == have->size ? NULL : "is another device";
	if (!link && want->mode != have->mode)
		return "has another mode";
	if (want->uid != have->uid || want->gid != have->gid)
		return "has another owner";
	if (want->size != have->size)
		return S_ISREG(want->mode) ? "has another size" : "is another device";
	if (!(want->flags & SEAL_NOTIME) &&
	    (want->sec != have->sec || (have->nsec && want->nsec != have->nsec)))
		return "has another time";
	if ((want->flags & SEAL_OPAQUE) != (have->flags & SEAL_OPAQUE) ||
	    want->xattrs != have->xattrs)
		return "has other extended attributes";
	return NULL;
}

static int entry(void *ud, struct seal_record *have, const struct stat *st, int dir_fd,
		 const char *base, struct err *e)
{
	struct check *c = ud;
	struct known *k = map_get(c->names, have->name), *real;
	const char *what;
	uint64_t sum;

	c->res->entries++;
	if (!k) /* images need not name their root */
		return *have->name ? found(c, have->name, "is not part of the image") : 0;
	k->seen = true;
	real = resolve(c, k);
	if (!real)
		return found(c, have->name, "is not a hard link any more");
	if (!real->ino) {
		real->ino = st->st_ino;
		real->dev = st->st_dev;
	} else if (real->ino != st->st_ino || real->dev != st->st_dev) {
		return found(c, have->name, "is not a hard link any more");
	}
	what = compare(&real->r, have);
	if (what)
		return found(c, have->name, what);
	if (c->o->quick || real->summed || (real->r.flags & SEAL_NOSUM))
		return 0;
	real->summed = true;
	int rc = seal_tree_sum(have, dir_fd, base, &sum, &c->res->bytes);
	if (rc < 0)
		return found(c, have->name, "cannot be read");
	return sum == real->r.sum ? 0 : found(c, have->name, "has other content");
}

static int missing(struct check *c)
{
	const char *name;
	size_t pos = 0;
	void *value;

	while (map_next(c->names, &pos, &name, &value)) {
		const struct known *k = value;

		if (!k->seen && found(c, name, "is missing") < 0)
			return -1;
	}
	return 0;
}

int unpack_check(const struct unpack_check *o, struct unpack_check_result *ret, struct err *e)
{
	struct check c = {.o = o, .res = ret, .arena = arena_new(), .names = map_new()};
	struct seal_tree t = {.root_fd = o->dir_fd,
			      .user_xattrs = seal_user_xattrs(o->dir_fd),
			      .fn = entry,
			      .ud = &c};
	int rc;

	*ret = (struct unpack_check_result){.entries = 0};
	rc = seal_read(o->seal_fd, learn, &c, e);
	if (rc == 0)
		rc = seal_tree_walk(&t, e);
	if (rc == 0)
		rc = missing(&c);
	map_free(c.names);
	arena_free(c.arena);
	return rc;
}
