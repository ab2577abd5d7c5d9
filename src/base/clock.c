/* SPDX-License-Identifier: Apache-2.0 */
/* Times as nanoseconds and as RFC 3339 text. Calendar arithmetic by the days-from-civil method. */
#include "base/clock.h"
#include "base/num.h"
#include "base/attr.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/banned.h"

#define NS 1000000000LL

int64_t clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * NS + ts.tv_nsec;
}

int64_t clock_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * NS + ts.tv_nsec;
}

static void format_seconds(int64_t ns, char *ret, int64_t *ret_fraction)
{
	time_t sec = (time_t)(ns / NS);
	int64_t fraction = ns % NS;
	struct tm tm;

	if (fraction < 0) {
		fraction += NS;
		sec--;
	}
	gmtime_r(&sec, &tm);
	strftime(ret, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	*ret_fraction = fraction;
}

void clock_format_fixed(int64_t ns, char ret[static CLOCK_TEXT_MAX])
{
	int64_t fraction;

	format_seconds(ns, ret, &fraction);
	size_t n = strlen(ret);
	snprintf(ret + n, CLOCK_TEXT_MAX - n, ".%09ldZ", (long)fraction);
}

void clock_format(int64_t ns, char ret[static CLOCK_TEXT_MAX])
{
	if (ns == 0) {
		memcpy(ret, CLOCK_ZERO_TEXT, sizeof CLOCK_ZERO_TEXT);
		return;
	}
	clock_format_fixed(ns, ret);
	size_t n = strlen(ret) - 1; /* at the Z */
	while (ret[n - 1] == '0')
		n--;
	if (ret[n - 1] == '.')
		n--;
	memcpy(ret + n, "Z", 2);
}

static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

	return era * 146097 + doe - 719468;
}

/* n digits at *s with a range check. */
static bool take_number(const char **s, int n, int64_t min, int64_t max, int64_t *ret)
{
	int64_t v = 0;

	for (int i = 0; i < n; i++) {
		if ((*s)[i] < '0' || (*s)[i] > '9')
			return false;
		v = v * 10 + ((*s)[i] - '0');
	}
	*s += n;
	*ret = v;
	return v >= min && v <= max;
}

static bool take_char(const char **s, char c)
{
	if (**s != c && !(c == 'T' && (**s == ' ' || **s == 't')))
		return false;
	(*s)++;
	return true;
}

static bool take_date(const char **s, int64_t *ret_days, bool *ret_zero_year)
{
	int64_t y, m, d;

	if (!take_number(s, 4, 0, 9999, &y) || !take_char(s, '-') ||
	    !take_number(s, 2, 1, 12, &m) || !take_char(s, '-') || !take_number(s, 2, 1, 31, &d))
		return false;
	*ret_days = days_from_civil(y, m, d);
	*ret_zero_year = y <= 1;
	return true;
}

static bool take_fraction(const char **s, int64_t *ret_ns)
{
	int64_t unit = NS / 10, ns = 0;

	if (**s == '.') {
		(*s)++;
		if (**s < '0' || **s > '9')
			return false;
		for (; **s >= '0' && **s <= '9'; (*s)++, unit /= 10)
			ns += unit * (**s - '0');
	}
	*ret_ns = ns;
	return true;
}

/* "Z" or "+hh:mm"; nothing when optional. */
static bool take_zone(const char **s, bool optional, int64_t *ret_offset_s)
{
	int64_t h, m;

	*ret_offset_s = 0;
	if (!**s)
		return optional;
	if (**s == 'Z' || **s == 'z') {
		(*s)++;
		return !**s;
	}
	int64_t sign = **s == '-' ? -1 : 1;
	if (**s != '+' && **s != '-')
		return false;
	(*s)++;
	if (!take_number(s, 2, 0, 23, &h) || !take_char(s, ':') || !take_number(s, 2, 0, 59, &m))
		return false;
	*ret_offset_s = sign * (h * 3600 + m * 60);
	return !**s;
}

/* Full RFC 3339, or with `loose` also a date alone, a time without seconds and no zone (then UTC).
 */
static int parse_calendar(const char *s, bool loose, int64_t *ret_ns)
{
	int64_t days, h = 0, m = 0, sec = 0, fraction = 0, offset = 0;
	bool zero_year;

	if (!take_date(&s, &days, &zero_year))
		return -EINVAL;
	if (*s || !loose) {
		if (!take_char(&s, 'T') || !take_number(&s, 2, 0, 23, &h) || !take_char(&s, ':') ||
		    !take_number(&s, 2, 0, 59, &m))
			return -EINVAL;
		if (*s == ':' || !loose)
			if (!take_char(&s, ':') || !take_number(&s, 2, 0, 60, &sec) ||
			    !take_fraction(&s, &fraction))
				return -EINVAL;
		if (!take_zone(&s, loose, &offset))
			return -EINVAL;
	}
	int64_t seconds = days * 86400 + h * 3600 + m * 60 + sec - offset;
	if (zero_year)
		seconds = fraction = 0;
	if (__builtin_mul_overflow(seconds, NS, ret_ns) ||
	    __builtin_add_overflow(*ret_ns, fraction, ret_ns))
		return -ERANGE;
	return 0;
}

int clock_parse(const char *text, int64_t *ret_ns)
{
	return parse_calendar(text, false, ret_ns);
}

int clock_parse_when(const char *text, int64_t now_ns, int64_t *ret_ns)
{
	int64_t value;

	if (num_parse_nano(text, &value) == 0 || parse_calendar(text, true, &value) == 0) {
		*ret_ns = value;
		return 0;
	}
	if (num_parse_duration(text, &value) == 0) {
		*ret_ns = now_ns - value;
		return 0;
	}
	return -EINVAL;
}

void clock_human(int64_t duration_ns, char *ret, size_t n)
{
	long s = (long)(duration_ns / NS);
	/* go-units rounds minutes and hours down and hours to the nearest from half an hour on */
	long minutes = s / 60, hours = (s + 1800) / 3600;

	if (s < 1)
		snprintf(ret, n, "Less than a second");
	else if (s == 1)
		snprintf(ret, n, "1 second");
	else if (s < 60)
		snprintf(ret, n, "%ld seconds", s);
	else if (minutes == 1)
		snprintf(ret, n, "About a minute");
	else if (minutes < 60)
		snprintf(ret, n, "%ld minutes", minutes);
	else if (hours == 1)
		snprintf(ret, n, "About an hour");
	else if (hours < 48)
		snprintf(ret, n, "%ld hours", hours);
	else if (hours < 24 * 7 * 2)
		snprintf(ret, n, "%ld days", hours / 24);
	else if (hours < 24 * 30 * 2)
		snprintf(ret, n, "%ld weeks", hours / 24 / 7);
	else if (hours < 24 * 365 * 2)
		snprintf(ret, n, "%ld months", hours / 24 / 30);
	else
		snprintf(ret, n, "%ld years", s / 3600 / 24 / 365);
}

/* N/unit with up to nine decimals, trailing zeros dropped. */
static size_t add_decimal(char *ret, size_t size, uint64_t v, uint64_t unit, const char *name)
{
	char digits[12];
	size_t n = (size_t)snprintf(ret, size, "%llu", (unsigned long long)(v / unit));
	uint64_t rest = v % unit;
	int k = 0;

	for (; rest && k < 9; k++) {
		rest *= 10;
		digits[k] = (char)('0' + rest / unit);
		rest %= unit;
	}
	return n + (size_t)snprintf(ret + n, size - n, "%s%.*s%s", k ? "." : "", k, digits, name);
}

void clock_format_duration(int64_t ns, char ret[static CLOCK_TEXT_MAX])
{
	uint64_t v = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	const uint64_t second = 1000000000;
	size_t n = 0;

	if (ns < 0)
		ret[n++] = '-';
	if (v < second && v > 0) {
		uint64_t unit = v < 1000 ? 1 : v < 1000000 ? 1000 : 1000000;

		add_decimal(ret + n, CLOCK_TEXT_MAX - n, v, unit,
			    unit == 1	   ? "ns"
			    : unit == 1000 ? "\302\265s"
					   : "ms");
		return;
	}
	if (v >= 3600 * second)
		n += (size_t)snprintf(ret + n, CLOCK_TEXT_MAX - n, "%lluh",
				      (unsigned long long)(v / (3600 * second)));
	if (v >= 60 * second)
		n += (size_t)snprintf(ret + n, CLOCK_TEXT_MAX - n, "%llum",
				      (unsigned long long)(v / (60 * second) % 60));
	add_decimal(ret + n, CLOCK_TEXT_MAX - n, v % (60 * second), second, "s");
}
