/* SPDX-License-Identifier: Apache-2.0 */
/* The shim's loop over a fake runtime: output, input, exit codes, clients good and bad, engines
 * that come and go. */
#include "rig.h"

#include "sys/fs.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define SH(script) ((const char *const[]){"/bin/sh", "-c", script, NULL})

static void test_exit_code_and_log(void **state)
{
	struct rig r;
	int c;

	rig_start(&r,
		  &(struct rig_options){.argv = SH("echo out; echo err >&2; printf part; exit 7")});
	assert_string_equal(r.hello.state, SHIM_STATE_CREATED);
	c = rig_attach(&r, "a", false, false, NULL);
	assert_true(rig_op(&r, SHIM_OP_START).pid > 0);
	rig_wait_exit(&r);
	assert_int_equal(r.exited.code, 7);
	assert_int_equal(r.exited.signal, 0);
	assert_false(r.exited.oom);
	assert_true(r.exited.finished_at >= r.exited.started_at && r.exited.started_at > 0);
	/* The client had everything before the exit was told. */
	assert_int_equal(r.ndone, 1);
	/* Pipes close a moment before the process is gone: both are true. */
	assert_true(strcmp(r.done[0].reason, SHIM_REASON_EXIT) == 0 ||
		    strcmp(r.done[0].reason, SHIM_REASON_EOF) == 0);

	size_t n;
	AUTO_FREE char *out = rig_read_all(c, &n);

	assert_int_equal(n, strlen("out\nerr\npart"));
	close(c);

	AUTO_FREE char *log = rig_file(&r, "log");
	AUTO_FREE char *ex = rig_file(&r, SHIM_EXIT_FILE);

	assert_non_null(strstr(log, "{\"log\":\"out\\n\",\"stream\":\"stdout\",\"time\":\"20"));
	assert_non_null(strstr(log, "{\"log\":\"err\\n\",\"stream\":\"stderr\""));
	assert_non_null(strstr(log, "{\"log\":\"part\",\"stream\":\"stdout\""));
	assert_non_null(strstr(ex, "\"code\":7"));
	rig_stop(&r);
}

static void test_signal(void **state)
{
	struct rig r;
	struct shim_request q = {.op = "signal", .signo = SIGTERM};

	rig_start(&r, &(struct rig_options){.argv = (const char *const[]){"sleep", "100", NULL}});
	assert_false(rig_ask(&r, &q, -1).ok); /* nothing runs yet */
	assert_true(rig_op(&r, SHIM_OP_START).ok);
	assert_false(rig_op(&r, SHIM_OP_START).ok);
	assert_false(rig_op(&r, SHIM_OP_QUIT).ok);
	q.signo = 900;
	assert_string_equal(rig_ask(&r, &q, -1).kind, "invalid");
	q.signo = SIGTERM;
	assert_true(rig_ask(&r, &q, -1).ok);
	rig_wait_exit(&r);
	assert_int_equal(r.exited.code, 128 + SIGTERM);
	assert_int_equal(r.exited.signal, SIGTERM);
	rig_stop(&r);
}

static void test_no_program(void **state)
{
	struct rig r;
	struct shim_message m;

	rig_start(&r, &(struct rig_options){.argv = (const char *const[]){"/no/such", NULL}});
	m = rig_op(&r, SHIM_OP_START);
	assert_false(m.ok);
	assert_string_equal(m.kind, err_kind_name(ERR_NO_PROGRAM));
	assert_non_null(strstr(m.error, "No such file"));
	assert_true(rig_op(&r, SHIM_OP_QUIT).ok);
	rig_stop(&r);
}

static void test_stdin_echo_and_half_close(void **state)
{
	struct rig r;
	int c;

	rig_start(&r, &(struct rig_options){.argv = (const char *const[]){"cat", NULL},
					    .open_stdin = true,
					    .stdin_once = true});
	c = rig_attach(&r, "a", true, false, NULL);
	assert_true(rig_op(&r, SHIM_OP_START).ok);
	assert_int_equal(write(c, "hello\n", 6), 6);
	rig_expect(c, "hello\n");
	assert_int_equal(write(c, "rest", 4), 4);
	shutdown(c, SHUT_WR);
	rig_expect(c, "rest");
	rig_wait_exit(&r);
	assert_int_equal(r.exited.code, 0);
	close(c);
	rig_stop(&r);
}

static void test_stdin_client_that_closes_at_once(void **state)
{
	struct rig r;
	int c, pair[2];
	AUTO_BUF struct buf b64 = BUF_INIT(100);
	struct shim_request q = {.op = "attach", .id = "in", .want_stdin = true};

	base64_encode("first ", 6, &b64);
	q.preface = buf_text(&b64);
	rig_start(&r, &(struct rig_options){.argv = SH("sleep 0.1; wc -c"),
					    .open_stdin = true,
					    .stdin_once = true});
	c = rig_attach(&r, "out", false, false, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_true(rig_ask(&r, &q, pair[1]).ok);
	close(pair[1]);
	/* More than the program's pipe holds, and gone before it reads. */
	char big[90000];
	memset(big, 'x', sizeof big);
	assert_int_equal(write(pair[0], big, sizeof big), sizeof big);
	close(pair[0]);
	assert_true(rig_op(&r, SHIM_OP_START).ok);
	rig_expect(c, "90006\n");
	rig_wait_exit(&r);
	assert_string_equal(rig_wait_done(&r, "in"), SHIM_REASON_GONE);
	close(c);
	rig_stop(&r);
}

static void test_stdin_stays_open_without_once(void **state)
{
	struct rig r;
	int c;

	rig_start(&r, &(struct rig_options){.argv = (const char *const[]){"cat", NULL},
					    .open_stdin = true});
	assert_true(rig_op(&r, SHIM_OP_START).ok);
	for (int i = 0; i < 3; i++) {
		char id[2] = {(char)('a' + i), 0};

		c = rig_attach(&r, id, true, false, NULL);
		assert_int_equal(write(c, "x\n", 2), 2);
		rig_expect(c, "x\n");
		close(c);
		assert_string_equal(rig_wait_done(&r, id), SHIM_REASON_GONE);
	}
	assert_false(r.has_exited);
	rig_stop(&r);
}

static void test_mux_frames(void **state)
{
	struct rig r;
	size_t n;
	int c;

	rig_start(&r, &(struct rig_options){.argv = SH("echo out; sleep 0.05; echo err >&2")});
	c = rig_attach(&r, "a", false, true, NULL);
	assert_true(rig_op(&r, SHIM_OP_START).ok);

	AUTO_FREE char *all = rig_read_all(c, &n);

	assert_int_equal(n, 24);
	assert_memory_equal(all, "\1\0\0\0\0\0\0\4out\n\2\0\0\0\0\0\0\4err\n", 24);
	close(c);
	rig_wait_exit(&r);
	rig_stop(&r);
}

/* 64 MiB of numbered lines through a client that pauses; another client vanishes in between. */
static void test_slow_reader(void **state)
{
	struct rig r;
	static char block[65536];
	uint64_t bytes = 0, sum = 0, want = 0;
	long most = 0;
	int c, gone;
	ssize_t n;

	rig_start(&r,
		  &(struct rig_options){
			  .argv = SH("i=0; head -c 67108864 /dev/zero | tr '\\0' 'k'; printf end"),
			  .no_log = true});
	c = rig_attach(&r, "slow", false, false, NULL);
	gone = rig_attach(&r, "gone", false, false, NULL);
	assert_true(rig_op(&r, SHIM_OP_START).ok);
	rig_expect(gone, "kkkk");
	close(gone);
	for (int reads = 0; (n = read(c, block, sizeof block)) > 0; reads++) {
		bytes += (uint64_t)n;
		for (ssize_t i = 0; i < n; i++)
			sum += (unsigned char)block[i];
		if (reads % 200 == 0) {
			poll(NULL, 0, 20);
			most = MAX(most, rig_memory_kb(&r));
		}
	}
	want = 67108864ULL * 'k' + 'e' + 'n' + 'd';
	assert_int_equal(bytes, 67108867);
	assert_int_equal(sum, want);
#ifndef __SANITIZE_ADDRESS__ /* its shadow memory is not the shim's */
	assert_true(most > 0 && most < 1500);
#endif
	assert_string_equal(rig_wait_done(&r, "gone"), SHIM_REASON_GONE);
	close(c);
	rig_wait_exit(&r);
	rig_stop(&r);
}

/* A client that never reads delays the end by a second, not for ever, and the log is whole. */
static void test_stalled_client(void **state)
{
	struct rig r;
	size_t n, lines = 0;
	int c;

	rig_start(&r, &(struct rig_options){.argv = SH("seq 1 60000")});
	c = rig_attach(&r, "a", false, false, NULL);
	assert_true(rig_op(&r, SHIM_OP_START).ok);
	/* seq fits the pipe and the chunk, so it has ended although nobody reads */
	rig_wait_exit(&r);

	AUTO_FREE char *log = rig_file(&r, "log");

	for (const char *p = log; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, 60000);
	assert_true(rig_op(&r, SHIM_OP_QUIT).ok);

	fd_close(&r.control);

	AUTO_FREE char *all = rig_read_all(c, &n); /* served to the end */

	assert_int_equal(n, 348894);
	close(c);
	rig_stop(&r);
}

static void test_tty(void **state)
{
	struct rig r;
	struct shim_request q = {.op = "resize", .h = 33, .w = 111};
	int c;

	rig_start(&r, &(struct rig_options){.argv = SH("read x; stty size; read y"),
					    .tty = true,
					    .open_stdin = true,
					    .stdin_once = true});
	c = rig_attach(&r, "a", true, true, "");
	assert_true(rig_op(&r, SHIM_OP_START).ok);
	assert_true(rig_ask(&r, &q, -1).ok);
	assert_int_equal(write(c, "go\n", 3), 3);
	rig_expect(c, "go\r\n33 111\r\n");
	/* One of the keys is passed on once something else follows. */
	assert_int_equal(write(c, "\x10z", 2), 2);
	rig_expect(c, "^Pz");
	assert_int_equal(write(c, "\x10", 1), 1);
	assert_int_equal(write(c, "\x11", 1), 1);
	assert_string_equal(rig_wait_done(&r, "a"), SHIM_REASON_DETACH);
	assert_int_equal(read(c, &(char){0}, 1), 0);
	close(c);
	assert_false(r.has_exited);
	c = rig_attach(&r, "b", true, true, "");
	assert_int_equal(write(c, "end\n", 4), 4);
	rig_wait_exit(&r);
	assert_string_equal(rig_wait_done(&r, "b"), SHIM_REASON_EXIT);
	close(c);
	rig_stop(&r);
}

static void test_grandchild_holds_the_pipe(void **state)
{
	struct rig r;
	int c;

	rig_start(&r, &(struct rig_options){.argv = SH("sleep 30 & echo $!; exit 3")});
	c = rig_attach(&r, "a", false, false, NULL);
	assert_true(rig_op(&r, SHIM_OP_START).ok);
	rig_wait_exit(&r);
	assert_int_equal(r.exited.code, 3);

	char pid[16] = {0};

	assert_true(read(c, pid, sizeof pid - 1) > 0);
	kill((pid_t)strtol(pid, NULL, 10), SIGKILL);
	close(c);
	rig_stop(&r);
}

static void test_engine_restart(void **state)
{
	struct rig r;
	char path[128];
	int c;

	rig_start(&r, &(struct rig_options){.argv = (const char *const[]){"cat", NULL},
					    .open_stdin = true,
					    .stdin_once = true});
	c = rig_attach(&r, "a", true, false, NULL);

	int64_t pid = rig_op(&r, SHIM_OP_START).pid;

	assert_int_equal(write(c, "one\n", 4), 4);
	rig_expect(c, "one\n");
	fd_close(&r.control);
	/* Nobody is there; the stream goes on. */
	assert_int_equal(write(c, "two\n", 4), 4);
	rig_expect(c, "two\n");
	snprintf(path, sizeof path, "%s/%s", r.dir, SHIM_SOCKET_FILE);
	r.control = fs_unix_connect(path, SOCK_SEQPACKET);
	assert_true(r.control >= 0);
	r.has_hello = false;
	while (!r.has_hello)
		assert_true(rig_event(&r, 5000));
	assert_string_equal(r.hello.state, SHIM_STATE_RUNNING);
	assert_int_equal(r.hello.pid, pid);
	shutdown(c, SHUT_WR);
	rig_wait_exit(&r);
	close(c);
	rig_stop(&r);
}

static void test_exit_without_engine(void **state)
{
	struct rig r;
	int status;

	rig_start(&r, &(struct rig_options){.argv = SH("sleep 0.1; exit 9")});
	assert_true(rig_op(&r, SHIM_OP_START).ok);
	fd_close(&r.control);
	assert_int_equal(spawn_wait(&r.shim, false, &status), 0);
	assert_int_equal(status, 0);

	AUTO_FREE char *ex = rig_file(&r, SHIM_EXIT_FILE);

	assert_non_null(strstr(ex, "\"code\":9"));
	rig_stop(&r);
}

static void test_exec(void **state)
{
	struct rig r;
	int pair[2];
	struct shim_request q = {
		.op = "exec",
		.id = "e1",
		.want_stdin = true,
		.want_stdout = true,
		.want_stderr = true,
		.mux = true,
		.process = "{\"cwd\":\"/\",\"args\":[\"sh\",\"-c\",\"cat; echo bad >&2; exit 5\"]}",
	};

	rig_start(&r, &(struct rig_options){.argv = (const char *const[]){"sleep", "100", NULL}});
	assert_string_equal(rig_ask(&r, &q, -1).kind, "conflict");
	assert_true(rig_op(&r, SHIM_OP_START).ok);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_true(rig_ask(&r, &q, pair[1]).pid > 0);
	close(pair[1]);
	assert_int_equal(write(pair[0], "in\n", 3), 3);
	shutdown(pair[0], SHUT_WR);

	size_t n;
	AUTO_FREE char *all = rig_read_all(pair[0], &n);

	assert_int_equal(n, 23);
	assert_memory_equal(all, "\1\0\0\0\0\0\0\3in\n\2\0\0\0\0\0\0\4bad\n", 23);
	close(pair[0]);
	while (!r.has_exec_exited)
		assert_true(rig_event(&r, 5000));
	assert_string_equal(r.exec_exited.id, "e1");
	assert_int_equal(r.exec_exited.code, 5);
	q.process = "{\"cwd\":\"/\",\"args\":[\"/nope\"]}";
	q.id = "e2";
	assert_string_equal(rig_ask(&r, &q, -1).kind, err_kind_name(ERR_NO_PROGRAM));
	rig_stop(&r);
}

static void test_bad_requests(void **state)
{
	struct rig r;
	struct shim_request q = {.op = "fly"};

	rig_start(&r, &(struct rig_options){.argv = SH("exit 0")});
	assert_string_equal(rig_ask(&r, &q, -1).kind, "invalid");
	q.op = "attach";
	assert_string_equal(rig_ask(&r, &q, -1).kind, "invalid"); /* no descriptor */
	q.detach_keys = "ctrl-1";
	assert_string_equal(rig_ask(&r, &q, 1).kind, "invalid");
	assert_int_equal(send(r.control, "{{{", 3, 0), 3);
	assert_true(rig_event(&r, 5000));
	assert_true(rig_op(&r, SHIM_OP_START).ok);
	rig_wait_exit(&r);
	rig_stop(&r);
}

static void test_shim_killed(void **state)
{
	struct rig r;
	int status;

	rig_start(&r, &(struct rig_options){.argv = (const char *const[]){"sleep", "100", NULL}});

	pid_t pid = (pid_t)rig_op(&r, SHIM_OP_START).pid;

	assert_int_equal(spawn_signal(&r.shim, SIGKILL), 0);
	assert_int_equal(spawn_wait(&r.shim, false, &status), 0);
	for (int i = 0; i < 100 && kill(pid, 0) == 0; i++) {
		AUTO_FREE char *path = xasprintf("/proc/%d/stat", pid);
		AUTO_BUF struct buf text = BUF_INIT(4096);

		if (fs_read_path(path, &text) == 0 && strstr(buf_text(&text), ") Z "))
			break; /* dead, nobody reaps it here */
		assert_true(i < 99);
		poll(NULL, 0, 20);
	}
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_code_and_log),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_no_program),
		cmocka_unit_test(test_stdin_echo_and_half_close),
		cmocka_unit_test(test_stdin_client_that_closes_at_once),
		cmocka_unit_test(test_stdin_stays_open_without_once),
		cmocka_unit_test(test_mux_frames),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_stalled_client),
		cmocka_unit_test(test_tty),
		cmocka_unit_test(test_grandchild_holds_the_pipe),
		cmocka_unit_test(test_engine_restart),
		cmocka_unit_test(test_exit_without_engine),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_shim_killed),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
