/* SPDX-License-Identifier: Apache-2.0 */
/* Digests by OpenSSL EVP. */
#include "base/digest.h"
#include "base/err.h"
#include "base/mem.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/banned.h"

static const struct {
	const char *name;
	size_t bytes;
	const EVP_MD *(*md)(void);
} algorithms[] = {
	{"sha256", 32, EVP_sha256},
	{"sha512", 64, EVP_sha512},
};

int digest_parse(const char *s, struct digest *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		size_t n = strlen(algorithms[i].name);
		if (strncmp(s, algorithms[i].name, n) != 0 || s[n] != ':')
			continue;
		size_t hex = strspn(s + n + 1, "0123456789abcdef");
		if (hex != algorithms[i].bytes * 2 || s[n + 1 + hex])
			return -EINVAL;
		memset(ret, 0, sizeof *ret);
		memcpy(ret->text, s, n + 1 + hex + 1);
		return 0;
	}
	return -EINVAL;
}

bool digest_eq(const struct digest *a, const struct digest *b)
{
	return a->text[0] && !strcmp(a->text, b->text);
}

bool digest_is_set(const struct digest *d)
{
	return d->text[0] != 0;
}

const char *digest_hex(const struct digest *d)
{
	const char *colon = strchr(d->text, ':');

	return colon ? colon + 1 : d->text;
}

struct hasher {
	EVP_MD_CTX *ctx;
	size_t algorithm;
};

struct hasher *hasher_new(const char *algorithm)
{
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		if (strcmp(algorithms[i].name, algorithm) != 0)
			continue;
		struct hasher *h = NEW(struct hasher);
		h->algorithm = i;
		h->ctx = EVP_MD_CTX_new();
		ASSERT(h->ctx && EVP_DigestInit_ex(h->ctx, algorithms[i].md(), NULL) == 1);
		return h;
	}
	return NULL;
}

void hasher_add(struct hasher *h, const void *p, size_t n)
{
	ASSERT(EVP_DigestUpdate(h->ctx, p, n) == 1);
}

void hasher_final(struct hasher *h, struct digest *ret)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	ASSERT(EVP_DigestFinal_ex(h->ctx, raw, &n) == 1 && n == algorithms[h->algorithm].bytes);
	memset(ret, 0, sizeof *ret);
	size_t at = strlen(algorithms[h->algorithm].name);
	memcpy(ret->text, algorithms[h->algorithm].name, at);
	ret->text[at++] = ':';
	for (unsigned i = 0; i < n; i++) {
		ret->text[at++] = hex[raw[i] >> 4];
		ret->text[at++] = hex[raw[i] & 15];
	}
}

void hasher_free(struct hasher *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

void digest_of(const void *p, size_t n, struct digest *ret)
{
	AUTO(hasher) struct hasher *h = hasher_new("sha256");

	hasher_add(h, p, n);
	hasher_final(h, ret);
}
