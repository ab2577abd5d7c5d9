/* SPDX-License-Identifier: Apache-2.0 */
/* Strict number parsing. */
#include "base/num.h"
#include "base/attr.h"

#include <stdbool.h>
#include <string.h>

#include "base/banned.h"

/* Digits at *s to a value; moves *s behind them. -EINVAL without a digit, -ERANGE past 2^64-1. */
static int take_digits(const char **s, unsigned base, uint64_t *ret)
{
	const char *p = *s;
	uint64_t v = 0;

	while (*p >= '0' && *p < (char)('0' + base)) {
		if (__builtin_mul_overflow(v, base, &v) ||
		    __builtin_add_overflow(v, (unsigned)(*p - '0'), &v))
			return -ERANGE;
		p++;
	}
	if (p == *s)
		return -EINVAL;
	*s = p;
	*ret = v;
	return 0;
}

int num_parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v;
	int rc = take_digits(&s, 10, &v);

	if (rc < 0)
		return rc;
	if (*s)
		return -EINVAL;
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int num_parse_i64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = *s == '-';
	uint64_t v;

	if (negative || *s == '+')
		s++;
	int rc = take_digits(&s, 10, &v);
	if (rc < 0)
		return rc;
	if (*s)
		return -EINVAL;
	if (v > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	int64_t value = negative ? (int64_t)(0 - v) : (int64_t)v;
	if (value < min || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

int num_parse_octal(const char *s, uint32_t max, uint32_t *ret)
{
	uint64_t v;
	int rc = take_digits(&s, 8, &v);

	if (rc < 0)
		return rc;
	if (*s)
		return -EINVAL;
	if (v > max)
		return -ERANGE;
	*ret = (uint32_t)v;
	return 0;
}

/*
 * Decimal "12.345" as an integer count of 10^-digits, at most nine decimals counted (more are cut).
 * Moves *s behind the number.
 */
static int take_nano(const char **s, uint64_t *ret_whole, uint64_t *ret_nano)
{
	const char *p = *s;
	uint64_t whole = 0, nano = 0;
	bool digits = false;

	if (*p != '.') {
		int rc = take_digits(&p, 10, &whole);
		if (rc < 0)
			return rc;
		digits = true;
	}
	if (*p == '.') {
		uint64_t unit = 100000000;

		for (p++; *p >= '0' && *p <= '9'; p++, digits = true) {
			nano += unit * (unsigned)(*p - '0');
			unit /= 10;
		}
	}
	if (!digits)
		return -EINVAL;
	*s = p;
	*ret_whole = whole;
	*ret_nano = nano;
	return 0;
}

/* whole.nano * factor, as an integer. */
static int scale(uint64_t whole, uint64_t nano, uint64_t factor, int64_t *ret)
{
	unsigned __int128 v = (unsigned __int128)whole * factor +
			      (unsigned __int128)nano * factor / 1000000000U;

	if (v > (unsigned __int128)INT64_MAX)
		return -ERANGE;
	*ret = (int64_t)v;
	return 0;
}

int num_parse_bytes(const char *s, int64_t *ret)
{
	static const char letters[] = "bkmgtp";
	uint64_t whole, nano;
	unsigned shift = 0;
	bool negative = *s == '-';

	if (negative)
		s++;
	int rc = take_nano(&s, &whole, &nano);
	if (rc < 0)
		return rc;
	if (*s == ' ')
		s++;
	if (*s) {
		const char *at = strchr(letters, *s | 0x20);
		if (!at)
			return -EINVAL;
		shift = (unsigned)(at - letters) * 10;
		s++;
		if (shift && (*s == 'i' || *s == 'I'))
			s++;
		if (shift && (*s == 'b' || *s == 'B'))
			s++;
	}
	if (*s)
		return -EINVAL;
	rc = scale(whole, nano, 1ULL << shift, ret);
	if (rc == 0 && negative)
		*ret = -*ret;
	return rc;
}

int num_parse_nano(const char *s, int64_t *ret)
{
	uint64_t whole, nano;
	int rc = take_nano(&s, &whole, &nano);

	if (rc < 0)
		return rc;
	if (*s)
		return -EINVAL;
	return scale(whole, nano, 1000000000U, ret);
}

int num_parse_duration(const char *s, int64_t *ret_ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{"ns", 1},
		{"us", 1000},
		{"µs", 1000},
		{"ms", 1000000},
		{"s", 1000000000ULL},
		{"m", 60000000000ULL},
		{"h", 3600000000000ULL},
	};
	bool negative = *s == '-';
	int64_t total = 0;

	if (negative || *s == '+')
		s++;
	if (!strcmp(s, "0")) {
		*ret_ns = 0;
		return 0;
	}
	if (!*s)
		return -EINVAL;
	while (*s) {
		uint64_t whole, nano;
		int64_t part;
		size_t len = 0, i;
		int rc = take_nano(&s, &whole, &nano);

		if (rc < 0)
			return rc;
		while (s[len] && s[len] != '.' && (s[len] < '0' || s[len] > '9'))
			len++;
		for (i = 0; i < ARRAY_SIZE(units); i++)
			if (strlen(units[i].name) == len && !memcmp(units[i].name, s, len))
				break;
		if (i == ARRAY_SIZE(units))
			return -EINVAL;
		rc = scale(whole, nano, units[i].ns, &part);
		if (rc < 0 || __builtin_add_overflow(total, part, &total))
			return -ERANGE;
		s += len;
	}
	*ret_ns = negative ? -total : total;
	return 0;
}

int num_parse_bool(const char *s, bool *ret)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
	static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!strcmp(s, yes[i]) || !strcmp(s, no[i])) {
			*ret = !strcmp(s, yes[i]);
			return 0;
		}
	}
	return -EINVAL;
}
