/* SPDX-License-Identifier: Apache-2.0 */
/* Human sizes and ages. */
#include "cli/units.h"

#include "base/clock.h"

#include <stdio.h>

#include "base/banned.h"

static void scaled(double v, double base, const char *const *names, int count, int precision,
		   char *ret, size_t n)
{
	int i = 0;

	while (v >= base && i < count - 1) {
		v /= base;
		i++;
	}
	snprintf(ret, n, "%.*g%s", precision, v, names[i]);
}

void units_decimal(double value, int precision, char *ret, size_t n)
{
	static const char *const names[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};

	scaled(value, 1000, names, 9, precision, ret, n);
}

void units_binary(double value, char *ret, size_t n)
{
	static const char *const names[] = {"B",   "KiB", "MiB", "GiB", "TiB",
					    "PiB", "EiB", "ZiB", "YiB"};

	scaled(value, 1024, names, 9, 4, ret, n);
}

void units_ago(const char *text, char *ret, size_t n)
{
	int64_t ns = 0;
	char human[64];

	if (!text || clock_parse(text, &ns) < 0 || ns == 0) {
		snprintf(ret, n, "N/A");
		return;
	}
	clock_human(clock_now_ns() - ns, human, sizeof human);
	snprintf(ret, n, "%s ago", human);
}
