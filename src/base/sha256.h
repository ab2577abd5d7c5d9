/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4) of short texts, for programs that do not link libcrypto. Not for bulk data.
 */
#pragma once

#include <stddef.h>

#define SHA256_HEX_MAX 65

/* Lower-case hex and NUL. */
void sha256_hex(const void *p, size_t n, char ret[static SHA256_HEX_MAX]);
