/* SPDX-License-Identifier: Apache-2.0 */
/* Content digests (OCI image-spec, "Digests"): sha256 and sha512. Implementation by OpenSSL EVP. */
#pragma once

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_TEXT_MAX (7 + 128 + 1)

/* "sha256:<64 hex>" or "sha512:<128 hex>", NUL-terminated; "" is none. Passed by value. */
struct digest {
	char text[DIGEST_TEXT_MAX];
};

int digest_parse(const char *s,
		 struct digest *ret); /* -EINVAL: malformed, upper case, unknown algorithm */
bool digest_eq(const struct digest *a, const struct digest *b);
bool digest_is_set(const struct digest *d);
const char *digest_hex(const struct digest *d); /* after the colon */

struct hasher;
struct hasher *hasher_new(const char *algorithm); /* "sha256"|"sha512"; NULL when unknown */
void hasher_add(struct hasher *h, const void *p, size_t n);
void hasher_final(struct hasher *h, struct digest *ret); /* then only hasher_free() */
void hasher_free(struct hasher *h);
DEFINE_AUTO(hasher);
void digest_of(const void *p, size_t n, struct digest *ret); /* sha256 */
