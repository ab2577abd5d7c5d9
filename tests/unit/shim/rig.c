/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include "base/clock.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define WAIT_MS 10000

static void write_files(struct rig *r, const struct rig_options *o)
{
	AUTO_BUF struct buf text = BUF_INIT(65536);
	struct jw w = JW_INIT(&text);
	AUTO_FREE char *log = xasprintf("%s/log", r->dir);
	struct shim_config cfg = {
		.id = "0123456789ab",
		.log = {o->no_log ? "none" : "json-file", log, o->max_size, o->max_file},
		.tty = o->tty,
		.open_stdin = o->open_stdin,
		.stdin_once = o->stdin_once,
	};
	AUTO_FD int dir = fs_open_dir(r->dir);

	json_encode(&w, &shim_config_schema, &cfg);
	assert_int_equal(fs_write_atomic(dir, SHIM_CONFIG_FILE, text.p, text.n, 0600, false), 0);
	buf_reset(&text);
	w = JW_INIT(&text);
	jw_obj(&w);
	jw_kv_str(&w, "ociVersion", "1.0.2");
	jw_key(&w, "process");
	jw_obj(&w);
	jw_kv_bool(&w, "terminal", o->tty);
	jw_kv_str(&w, "cwd", "/");
	jw_key(&w, "args");
	jw_arr(&w);
	for (size_t i = 0; o->argv[i]; i++)
		jw_str(&w, o->argv[i]);
	jw_arr_end(&w);
	jw_obj_end(&w);
	jw_obj_end(&w);
	assert_int_equal(fs_write_atomic(dir, SHIM_BUNDLE_FILE, text.p, text.n, 0600, false), 0);
}

void rig_start(struct rig *r, const struct rig_options *o)
{
	int pair[2];
	const char *argv[] = {"coracle-shim", r->dir, NULL};
	struct spawn sp = {.path = getenv("SHIM"), .argv = argv};
	struct spawn_fd fds[] = {{0, SHIM_CONTROL_FD}, {2, 2}};

	*r = (struct rig){.arena = arena_new()};
	snprintf(r->dir, sizeof r->dir, "/tmp/shim-test-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	write_files(r, o);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fds[0].parent_fd = pair[1];
	sp.fds = fds;
	sp.nfds = 2;
	assert_int_equal(spawn_start(&sp, &r->shim), 0);
	close(pair[1]);
	r->control = pair[0];
	while (!r->has_hello)
		assert_true(rig_event(r, WAIT_MS));
}

static struct shim_message take(struct rig *r, int ms, bool *ret)
{
	struct pollfd p = {r->control, POLLIN, 0};
	static char text[SHIM_MSG_MAX];
	struct shim_message m = {0};
	struct err e = ERR_INIT;
	ssize_t n;

	*ret = false;
	if (poll(&p, 1, ms) <= 0)
		return m;
	n = recv(r->control, text, sizeof text, 0);
	if (n <= 0)
		return m;
	*ret = true;
	if (shim_message_decode(text, (size_t)n, &m, r->arena, &e) < 0)
		fail_msg("%s", e.text);
	switch (shim_event_parse(m.event)) {
	case SHIM_EV_EXITED:
		assert_false(r->has_exited);
		r->exited = m;
		r->has_exited = true;
		break;
	case SHIM_EV_ATTACH_DONE:
		assert_true(r->ndone < ARRAY_SIZE(r->done));
		r->done[r->ndone++] = m;
		break;
	case SHIM_EV_EXEC_EXITED:
		r->exec_exited = m;
		r->has_exec_exited = true;
		break;
	case SHIM_EV_HELLO:
		r->hello = m;
		r->has_hello = true;
		break;
	default:
		break;
	}
	return m;
}

bool rig_event(struct rig *r, int ms)
{
	bool ok;

	take(r, ms, &ok);
	return ok;
}

struct shim_message rig_ask(struct rig *r, struct shim_request *q, int fd)
{
	AUTO_BUF struct buf text = BUF_INIT(SHIM_MSG_MAX);
	bool ok;

	q->seq = ++r->seq;
	assert_int_equal(shim_request_encode(q, &text), 0);
	assert_int_equal(fs_send_fds(r->control, text.p, text.n, &fd, fd >= 0), text.n);
	for (;;) {
		struct shim_message m = take(r, WAIT_MS, &ok);

		assert_true(ok);
		if (!m.event) {
			assert_int_equal(m.seq, q->seq);
			return m;
		}
	}
}

struct shim_message rig_op(struct rig *r, enum shim_op op)
{
	struct shim_request q = {.op = shim_op_name(op)};

	return rig_ask(r, &q, -1);
}

int rig_attach(struct rig *r, const char *id, bool in, bool mux, const char *keys)
{
	int pair[2];
	struct shim_request q = {
		.op = shim_op_name(SHIM_OP_ATTACH),
		.id = id,
		.want_stdin = in,
		.want_stdout = true,
		.want_stderr = true,
		.mux = mux,
		.detach_keys = keys,
	};

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_true(rig_ask(r, &q, pair[1]).ok);
	close(pair[1]);
	return pair[0];
}

void rig_wait_exit(struct rig *r)
{
	while (!r->has_exited)
		assert_true(rig_event(r, WAIT_MS));
}

const char *rig_wait_done(struct rig *r, const char *id)
{
	for (size_t i = 0;; i++) {
		while (i >= r->ndone)
			assert_true(rig_event(r, WAIT_MS));
		if (strcmp(r->done[i].id, id) == 0)
			return r->done[i].reason;
	}
}

char *rig_read_all(int fd, size_t *ret_n)
{
	struct buf b = BUF_INIT(1 << 30);

	assert_int_equal(fs_read_fd(fd, &b), 0);
	*ret_n = b.n;
	return buf_take(&b);
}

void rig_expect(int fd, const char *text)
{
	size_t n = strlen(text), have = 0;
	char got[4096] = {0};

	while (have < n) {
		struct pollfd p = {fd, POLLIN, 0};

		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		ssize_t k = read(fd, got + have, n - have);
		assert_true(k > 0);
		have += (size_t)k;
	}
	assert_memory_equal(got, text, n);
}

long rig_memory_kb(struct rig *r)
{
	AUTO_FREE char *path = xasprintf("/proc/%d/smaps_rollup", r->shim.pid);
	AUTO_BUF struct buf text = BUF_INIT(65536);
	const char *p;

	assert_int_equal(fs_read_path(path, &text), 0);
	p = strstr(buf_text(&text), "Private_Dirty:");
	return p ? strtol(p + 14, NULL, 10) : -1;
}

char *rig_file(struct rig *r, const char *name)
{
	AUTO_FD int dir = fs_open_dir(r->dir);
	struct buf b = BUF_INIT(1 << 28);

	assert_int_equal(fs_read_at(dir, name, &b), 0);
	return buf_take(&b);
}

void rig_stop(struct rig *r)
{
	AUTO_FD int tmp = fs_open_dir("/tmp");
	int status;

	if (r->control >= 0 && r->has_exited)
		rig_op(r, SHIM_OP_QUIT);
	else if (!r->has_exited)
		spawn_signal(&r->shim, SIGKILL);
	fd_close(&r->control);
	spawn_wait(&r->shim, false, &status);
	if (r->has_exited)
		assert_int_equal(status, 0);
	fd_close(&r->shim.pidfd);
	fs_remove_tree(tmp, r->dir + 5);
	arena_free(r->arena);
}
