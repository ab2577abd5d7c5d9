/* SPDX-License-Identifier: Apache-2.0 */
/* See base64.h. */
#include "wire/base64.h"

#include <string.h>

#include "base/banned.h"

#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const char standard[] = LETTERS_AND_DIGITS "+/";
static const char url[] = LETTERS_AND_DIGITS "-_";

static void encode(const char *alphabet, const void *p, size_t n, struct buf *out)
{
	const unsigned char *b = p;

	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		unsigned v = (unsigned)b[i] << 16 | (left > 1 ? (unsigned)b[i + 1] << 8 : 0) |
			     (left > 2 ? b[i + 2] : 0);
		char c[4] = {alphabet[v >> 18], alphabet[v >> 12 & 63],
			     left > 1 ? alphabet[v >> 6 & 63] : '=',
			     left > 2 ? alphabet[v & 63] : '='};

		buf_add(out, c, 4);
	}
}

void base64_encode(const void *p, size_t n, struct buf *out)
{
	encode(standard, p, n, out);
}

void base64url_encode(const void *p, size_t n, struct buf *out)
{
	encode(url, p, n, out);
}

static int digit(char c)
{
	const char *at = c ? strchr(standard, c) : NULL;

	return at ? (int)(at - standard) : -1;
}

int base64_decode(const char *text, struct buf *out)
{
	size_t n = strlen(text);

	if (n % 4)
		return -EINVAL;
	for (size_t i = 0; i < n; i += 4) {
		int pad = 0;
		unsigned v = 0;
		unsigned char b[3];

		if (i + 4 == n)
			pad = text[n - 1] != '=' ? 0 : text[n - 2] == '=' ? 2 : 1;
		for (int k = 0; k < 4; k++) {
			int d = k >= 4 - pad ? 0 : digit(text[i + (size_t)k]);

			if (d < 0)
				return -EINVAL;
			v = v << 6 | (unsigned)d;
		}
		b[0] = (unsigned char)(v >> 16);
		b[1] = (unsigned char)(v >> 8);
		b[2] = (unsigned char)v;
		buf_add(out, b, (size_t)(3 - pad));
	}
	return out->overflow ? -EMSGSIZE : 0;
}

bool base64_decode_any(const char *s, size_t n, struct buf *out)
{
	unsigned acc = 0, bits = 0;

	while (n && (s[n - 1] == '=' || s[n - 1] == '\n' || s[n - 1] == '\r'))
		n--;
	for (size_t i = 0; i < n; i++) {
		int v = digit(s[i] == '-' ? '+' : s[i] == '_' ? '/' : s[i]);

		if (s[i] == '\n' || s[i] == '\r')
			continue;
		if (v < 0)
			return false;
		acc = (acc << 6 | (unsigned)v) & 0xffffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			buf_addc(out, (char)(acc >> bits & 0xff));
		}
	}
	return !out->overflow;
}
