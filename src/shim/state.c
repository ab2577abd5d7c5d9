/* SPDX-License-Identifier: Apache-2.0 */
/* The files of one container: shim.json read; state.json and exit.json written whole or not at all.
 */
#include "shim/shim-priv.h"

#include "base/log.h"
#include "sys/fs.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

int state_load(struct shim *s, struct shim_config *ret, struct arena *a, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(1 << 20);
	int rc = fs_read_at(s->dir_fd, SHIM_CONFIG_FILE, &text);

	if (rc < 0)
		return err_sys(e, rc, "read %s/%s", s->dir, SHIM_CONFIG_FILE);
	return json_decode_text(buf_text(&text), text.n, &shim_config_schema, ret, a, e);
}

/* Field 22 of /proc/PID/stat; the name in field 2 may hold anything. */
static uint64_t start_ticks(const char *pid)
{
	AUTO_BUF struct buf text = BUF_INIT(4096);
	char path[64];
	const char *p;
	uint64_t v = 0;

	snprintf(path, sizeof path, "/proc/%s/stat", pid);
	if (fs_read_path(path, &text) < 0)
		return 0;
	p = strrchr(buf_text(&text), ')');
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	for (p = p ? p + 1 : ""; *p >= '0' && *p <= '9'; p++)
		v = v * 10 + (uint64_t)(*p - '0');
	return v;
}

static void file_write(struct shim *s, const char *name, const struct json_schema *schema,
		       const void *v)
{
	AUTO_BUF struct buf text = BUF_INIT(4096);
	struct jw w = JW_INIT(&text);
	int rc;

	json_encode(&w, schema, v);
	rc = fs_write_atomic(s->dir_fd, name, text.p, text.n, 0600, false);
	if (rc < 0)
		log_error("write %s/%s: %s", s->dir, name, strerrordesc_np(-rc));
}

void state_write(struct shim *s)
{
	struct shim_state st = {
		.state = s->paused ? SHIM_STATE_PAUSED : SHIM_STATE_RUNNING,
		.pid = s->main.pid,
		.shim_pid = getpid(),
		.start_ticks = s->container.start_time,
		.shim_start_ticks = start_ticks("self"),
		.started_at = s->started_at,
	};

	file_write(s, SHIM_STATE_FILE, &shim_state_schema, &st);
}

void state_write_exit(struct shim *s)
{
	struct shim_exit x = {
		.code = s->main.code,
		.signal = s->main.signal,
		.oom = s->oom,
		.started_at = s->started_at,
		.finished_at = s->finished_at,
	};

	file_write(s, SHIM_EXIT_FILE, &shim_exit_schema, &x);
}
