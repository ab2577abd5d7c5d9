/* SPDX-License-Identifier: Apache-2.0 */
/* Strict number parsing: whole string, no blanks, no sign tricks. 0 or -EINVAL / -ERANGE. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

int num_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
int num_parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret);
int num_parse_octal(const char *s, uint32_t max, uint32_t *ret);
/* Go's strconv.ParseBool: 1 t T true TRUE True and their opposites. */
int num_parse_bool(const char *s, bool *ret);
/* "512", "512b", "64k", "1.5g", "2GiB": bytes, powers of 1024 (Docker's units.RAMInBytes). */
int num_parse_bytes(const char *s, int64_t *ret);
/* "1.5" CPUs to 1500000000 billionths. */
int num_parse_nano(const char *s, int64_t *ret);
/* Go duration "1h2m3.5s", "150ms" to nanoseconds. */
int num_parse_duration(const char *s, int64_t *ret_ns);
