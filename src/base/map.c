/* SPDX-License-Identifier: Apache-2.0 */
/* String map: open addressing with linear probing and tombstones, seeded FNV-1a with a final mix.
 */
#include "base/map.h"
#include "base/mem.h"

#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "base/banned.h"

struct slot {
	char *key; /* NULL: free; TOMBSTONE: was used */
	void *value;
};

struct map {
	struct slot *slots;
	size_t cap, used, live; /* used counts tombstones too */
	uint64_t seed;
};

static char tombstone_mark;
#define TOMBSTONE (&tombstone_mark)

static uint64_t hash_key(const struct map *m, const char *key)
{
	uint64_t h = 0xcbf29ce484222325ULL ^ m->seed;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 0x100000001b3ULL;
	h ^= h >> 32;
	h *= m->seed | 1;
	return h ^ (h >> 29);
}

struct map *map_new(void)
{
	struct map *m = NEW(struct map);

	if (getrandom(&m->seed, sizeof m->seed, GRND_NONBLOCK) != (ssize_t)sizeof m->seed)
		m->seed = (uint64_t)(uintptr_t)m * 0x9e3779b97f4a7c15ULL;
	return m;
}

void map_free(struct map *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i].key != TOMBSTONE)
			free(m->slots[i].key);
	free(m->slots);
	free(m);
}

static struct slot *find(const struct map *m, const char *key)
{
	if (!m->cap)
		return NULL;
	for (size_t i = hash_key(m, key) & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
		struct slot *s = &m->slots[i];
		if (!s->key)
			return NULL;
		if (s->key != TOMBSTONE && !strcmp(s->key, key))
			return s;
	}
}

static void insert_owned(struct map *m, char *key, void *value)
{
	size_t i = hash_key(m, key) & (m->cap - 1);

	while (m->slots[i].key)
		i = (i + 1) & (m->cap - 1);
	m->slots[i] = (struct slot){key, value};
	m->used++;
	m->live++;
}

static void rehash(struct map *m, size_t cap)
{
	struct slot *old = m->slots;
	size_t old_cap = m->cap;

	m->slots = xcalloc(cap, sizeof *m->slots);
	m->cap = cap;
	m->used = m->live = 0;
	for (size_t i = 0; i < old_cap; i++)
		if (old[i].key && old[i].key != TOMBSTONE)
			insert_owned(m, old[i].key, old[i].value);
	free(old);
}

void *map_get(const struct map *m, const char *key)
{
	struct slot *s = find(m, key);

	return s ? s->value : NULL;
}

void *map_set(struct map *m, const char *key, void *value)
{
	struct slot *s = find(m, key);

	if (s) {
		void *old = s->value;
		s->value = value;
		return old;
	}
	if ((m->used + 1) * 4 > m->cap * 3)
		rehash(m, m->live * 2 + 2 > m->cap / 2 ? MAX(m->cap * 2, (size_t)16) : m->cap);
	insert_owned(m, xstrdup(key), value);
	return NULL;
}

void *map_del(struct map *m, const char *key)
{
	struct slot *s = find(m, key);

	if (!s)
		return NULL;
	void *old = s->value;
	free(s->key);
	s->key = TOMBSTONE;
	s->value = NULL;
	m->live--;
	return old;
}

size_t map_count(const struct map *m)
{
	return m->live;
}

bool map_next(const struct map *m, size_t *pos, const char **ret_key, void **ret_value)
{
	for (; *pos < m->cap; (*pos)++) {
		struct slot *s = &m->slots[*pos];
		if (!s->key || s->key == TOMBSTONE)
			continue;
		if (ret_key)
			*ret_key = s->key;
		if (ret_value)
			*ret_value = s->value;
		(*pos)++;
		return true;
	}
	return false;
}
