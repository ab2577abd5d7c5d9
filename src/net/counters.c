/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/net/dev: two lines of headings, then "  NAME: " and 16 numbers, the first eight
 * received (bytes packets errs drop fifo frame compressed multicast), the others sent. */
#include "net/counters.h"

#include "base/buf.h"
#include "base/num.h"
#include "sys/fs.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define COLUMNS 16

static size_t numbers(struct str rest, uint64_t v[static COLUMNS])
{
	size_t n = 0;
	struct str word;

	while (n < COLUMNS && rest.n > 0) {
		char text[24];

		str_cut(&rest, ' ', &word);
		if (word.n == 0)
			continue;
		snprintf(text, sizeof text, "%.*s", (int)MIN(word.n, sizeof text - 1), word.p);
		if (num_parse_u64(text, 0, UINT64_MAX, &v[n++]) < 0)
			return 0;
	}
	return n;
}

size_t net_counters_read(pid_t pid, struct net_counters *ret, size_t max)
{
	AUTO_BUF struct buf text = BUF_INIT(1 << 18);
	struct str rest, line, name;
	char path[40];
	size_t n = 0;

	snprintf(path, sizeof path, "/proc/%d/net/dev", pid);
	if (fs_read_path(path, &text) < 0)
		return 0;
	rest = str_of(buf_text(&text));
	while (n < max && rest.n > 0 && str_cut(&rest, '\n', &line)) {
		uint64_t v[COLUMNS];

		if (!memchr(line.p, ':', line.n))
			continue;
		str_cut(&line, ':', &name);
		for (; name.n > 0 && *name.p == ' '; name.p++, name.n--)
			;
		if ((name.n == 2 && memcmp(name.p, "lo", 2) == 0) || name.n >= IFNAMSIZ ||
		    numbers(line, v) < COLUMNS)
			continue;
		ret[n] = (struct net_counters){.rx = {v[0], v[1], v[2], v[3]},
					       .tx = {v[8], v[9], v[10], v[11]}};
		memcpy(ret[n++].name, name.p, name.n);
	}
	return n;
}
