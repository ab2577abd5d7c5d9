/* SPDX-License-Identifier: Apache-2.0 */
/* The key sequence that leaves an attached container: Docker's syntax and the filter over typed
 * bytes. */
#include "wire/shim-proto.h"

#include <string.h>
#include <strings.h>

#include "base/banned.h"

static int key_parse(struct str s)
{
	static const char named[] =
		"@abcdefghijklmnopqrstuvwxyz[\\]^_"; /* position = control code */
	const char *at;
	char c;

	if (s.n == 1)
		return (unsigned char)s.p[0];
	if (s.n == 3 && strncasecmp(s.p, "del", 3) == 0)
		return 127;
	if (s.n != 6 || strncasecmp(s.p, "ctrl-", 5) != 0)
		return -EINVAL;
	c = s.p[5];
	if (c >= 'A' && c <= 'Z')
		c = (char)(c - 'A' + 'a');
	at = memchr(named, c, sizeof(named) - 1);
	return at ? (int)(at - named) : -EINVAL;
}

int detach_keys_parse(const char *text, struct detach_keys *ret)
{
	struct detach_keys k = {.n = 0};
	struct str rest = str_of(text && text[0] ? text : "ctrl-p,ctrl-q");
	struct str field;

	while (str_cut(&rest, ',', &field)) {
		int code = key_parse(field);

		if (code < 0 || k.n == DETACH_KEYS_MAX)
			return -EINVAL;
		k.key[k.n++] = (unsigned char)code;
	}
	*ret = k;
	return 0;
}

/*
 * The held bytes followed by c do not continue the sequence: emit from the front until what is left
 * is again a beginning of it ("a,a,b" typed as a a a b must still match).
 */
static void keys_break(struct detach_keys *k, unsigned char c, struct buf *out)
{
	unsigned char held[DETACH_KEYS_MAX + 1];
	size_t n = k->seen;

	memcpy(held, k->key, n);
	held[n++] = c;
	for (size_t from = 1; from <= n; from++) {
		if (memcmp(held + from, k->key, n - from) == 0) {
			buf_add(out, held, from);
			k->seen = n - from;
			return;
		}
	}
}

bool detach_keys_feed(struct detach_keys *k, const void *p, size_t n, struct buf *out)
{
	const unsigned char *b = p;

	if (k->n == 0) {
		buf_add(out, p, n);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (b[i] != k->key[k->seen]) {
			keys_break(k, b[i], out);
			continue;
		}
		if (++k->seen == k->n) {
			k->seen = 0;
			return true;
		}
	}
	return false;
}
