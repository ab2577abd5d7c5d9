/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events on disk, so that `since` also knows what an earlier engine saw: one JSON object a line,
 * appended as it happens (a killed engine loses none), in two files of bounded size, the older one
 * with ".1". A line that a power cut tore is skipped by the reader.
 */
#include "base/log.h"
#include "base/num.h"
#include "engine/engine-priv.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define EVENT_LOG_MAX (1u << 20) /* bytes per file: some thousands of events */

struct event_log {
	char *path, *old_path;
	int fd;
	uint64_t size;
	bool failing; /* the last write failed: said once */
};

static int open_file(struct event_log *l)
{
	struct stat st;

	l->fd = open(l->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (l->fd < 0 || fstat(l->fd, &st) < 0)
		return -errno;
	l->size = (uint64_t)st.st_size;
	/* Behind a torn line the next one starts on its own. */
	if (l->size > 0 && fs_write_all(l->fd, "\n", 1) == 0)
		l->size++;
	return 0;
}

struct event_log *event_log_open(const char *data_dir)
{
	struct event_log *l = NEW(struct event_log);
	int rc;

	l->path = xasprintf("%s/events.json", data_dir);
	l->old_path = xasprintf("%s.1", l->path);
	rc = open_file(l);
	if (rc < 0)
		log_warn("events are not kept: %s: %s", l->path, strerror(-rc));
	return l;
}

void event_log_close(struct event_log *l)
{
	if (!l)
		return;
	fd_close(&l->fd);
	free(l->path);
	free(l->old_path);
	free(l);
}

static void rotate(struct event_log *l)
{
	fd_close(&l->fd);
	if (rename(l->path, l->old_path) < 0)
		log_warn("events: cannot rename %s: %s", l->path, strerror(errno));
	l->size = 0;
	open_file(l);
}

void event_log_add(struct event_log *l, const char *json, size_t n)
{
	AUTO_BUF struct buf line = BUF_INIT(n + 2);
	int rc;

	if (l->size + n + 1 > EVENT_LOG_MAX)
		rotate(l);
	if (l->fd < 0)
		return;
	buf_add(&line, json, n);
	buf_addc(&line, '\n');
	rc = fs_write_all(l->fd, line.p, line.n);
	if (rc == 0) {
		l->size += line.n;
	} else {
		/* half a line would spoil the next one */
		if (ftruncate(l->fd, (off_t)l->size) < 0 && !l->failing)
			log_warn("events: cannot cut %s: %s", l->path, strerror(errno));
		if (!l->failing)
			log_warn("events are not kept: %s: %s", l->path, strerror(-rc));
	}
	l->failing = rc < 0;
}

/* "timeNano":N at the end of a line: found without parsing the rest. */
static int64_t line_time(struct str line)
{
	static const char key[] = "\"timeNano\":";
	char number[24];
	int64_t ns;
	size_t i = line.n;

	while (i > 0 && line.p[i - 1] != ':')
		i--;
	if (i < sizeof(key) - 1 ||
	    memcmp(line.p + i - (sizeof(key) - 1), key, sizeof(key) - 1) != 0)
		return -1;
	snprintf(number, sizeof(number), "%.*s", (int)MIN(line.n - i, 23u), line.p + i);
	number[strcspn(number, "}")] = '\0';
	return num_parse_i64(number, 0, INT64_MAX, &ns) < 0 ? -1 : ns;
}

static void each_in(const char *path, int64_t since_ns, int64_t until_ns,
		    void (*fn)(const char *json, size_t n, void *ud), void *ud)
{
	AUTO_BUF struct buf text = BUF_INIT(4u * EVENT_LOG_MAX);
	struct str rest, line;

	if (fs_read_path(path, &text) < 0)
		return;
	rest = (struct str){buf_text(&text), text.n};
	while (rest.n > 0 && str_cut(&rest, '\n', &line)) {
		int64_t ns = line_time(line);

		if (ns >= since_ns && (!until_ns || ns <= until_ns))
			fn(line.p, line.n, ud);
	}
}

void event_log_each(const struct event_log *l, int64_t since_ns, int64_t until_ns,
		    void (*fn)(const char *json, size_t n, void *ud), void *ud)
{
	each_in(l->old_path, since_ns, until_ns, fn, ud);
	each_in(l->path, since_ns, until_ns, fn, ud);
}
