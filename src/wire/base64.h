/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 of RFC 4648: section 4 (standard alphabet, padded) and section 5 (URL alphabet). */
#pragma once

#include "base/buf.h"

void base64_encode(const void *p, size_t n, struct buf *out);
void base64url_encode(const void *p, size_t n, struct buf *out); /* URL alphabet, padded */
/* Strict: standard alphabet, padded. -EINVAL, -EMSGSIZE when out is full. */
int base64_decode(const char *text, struct buf *out);
/* What clients and files of other programs write: either alphabet, padding optional, line ends
 * ignored. False when malformed or out is full. */
bool base64_decode_any(const char *s, size_t n, struct buf *out);
