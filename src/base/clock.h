/* SPDX-License-Identifier: Apache-2.0 */
/* Time as int64_t nanoseconds since the epoch (UTC); text as Docker and OCI write it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CLOCK_TEXT_MAX	40
#define CLOCK_ZERO_TEXT "0001-01-01T00:00:00Z" /* Go's zero time */

int64_t clock_now_ns(void);
int64_t clock_mono_ns(void);
/* RFC 3339 with nanoseconds, trailing zeros trimmed ("RFC3339Nano"); ns == 0 gives CLOCK_ZERO_TEXT.
 */
void clock_format(int64_t ns, char ret[static CLOCK_TEXT_MAX]);
/* The same with exactly nine decimals (log lines). */
void clock_format_fixed(int64_t ns, char ret[static CLOCK_TEXT_MAX]);
int clock_parse(const char *text, int64_t *ret_ns); /* RFC 3339; Go's zero time gives 0 */
/* --since/--until: RFC 3339, dates, Unix seconds[.nanos], or a Go duration before now. */
int clock_parse_when(const char *text, int64_t now_ns, int64_t *ret_ns);
/* "About a minute", "3 hours", "2 weeks" as docker/go-units HumanDuration. */
void clock_human(int64_t duration_ns, char *ret, size_t n);
/* As Go prints a duration: "1m30s", "500ms", "1.5s", "0s". */
void clock_format_duration(int64_t ns, char ret[static CLOCK_TEXT_MAX]);
