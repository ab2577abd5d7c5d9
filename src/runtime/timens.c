/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A time namespace (Linux 5.6). Its offsets can be set only while no process is in it, so the
 * caller makes it for its children, sets the offsets, clones, and goes back to its own.
 */
#include "runtime/runtime-priv.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/banned.h"

static void add_offset(struct buf *b, const char *clock, const struct oci_time_offset *o)
{
	if (o)
		buf_addf(b, "%s %lld %llu\n", clock, (long long)o->secs,
			 (unsigned long long)o->nanosecs);
}

int timens_enter(const struct setup *s, int *ret_own, struct err *e)
{
	const struct oci_time_offsets *o = s->cfg->linux_->time_offsets;
	AUTO_BUF struct buf b = BUF_INIT(256);

	if (!s->new_time_ns)
		return o ? err_set(e, ERR_INVALID,
				   "time offsets need a time namespace of the container's own")
			 : 0;
	*ret_own = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);
	if (*ret_own < 0 || unshare(CLONE_NEWTIME) < 0)
		return err_sys(e, -errno, "make a time namespace");
	if (o) {
		add_offset(&b, "monotonic", o->monotonic);
		add_offset(&b, "boottime", o->boottime);
	}
	int rc = b.n ? fs_write_file("/proc/self/timens_offsets", buf_text(&b)) : 0;
	return rc < 0 ? err_sys(e, rc, "set the offsets of the time namespace") : 0;
}

void timens_leave(int *own)
{
	if (*own >= 0)
		(void)setns(*own, CLONE_NEWTIME);
	fd_close(own);
}
