/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers for people, as docker/go-units writes them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* 1.5kB, 20MB: base 1000 with `precision` significant digits (images: 3, progress: 4). */
void units_decimal(double value, int precision, char *ret, size_t n);
/* 1.5KiB, 20MiB: base 1024, 4 significant digits. */
void units_binary(double value, char *ret, size_t n);
/* "3 hours ago" of an RFC 3339 time. */
void units_ago(const char *text, char *ret, size_t n);
