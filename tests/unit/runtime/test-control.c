/* SPDX-License-Identifier: Apache-2.0 */
/* Limits, freezing, exec, signals, removal. */
#include "cmocka-all.h"
#include "rig.h"
#include "sys/cgroup.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static struct rig r;
static struct buf out;

#define NEEDS_ROOT()                                                                               \
	do {                                                                                       \
		if (!rig_can_run())                                                                \
			skip();                                                                    \
	} while (0)

static int setup(void **state)
{
	(void)state;
	if (rig_can_run())
		rig_init(&r);
	out = BUF_INIT(1U << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (rig_can_run())
		rig_done(&r);
	buf_done(&out);
	return 0;
}

static void up(const char *script, const char *linux_)
{
	rig_config(&r, script, "", linux_, "");
	if (rig_create(&r) < 0 || rig_start(&r) < 0)
		fail_msg("%s", r.e.text);
}

#define LIMITS                                                                                     \
	"\"resources\":{\"memory\":{\"limit\":33554432,\"swap\":33554432},\"pids\":{\"limit\":16}" \
	","                                                                                        \
	"\"cpu\":{\"quota\":50000,\"period\":100000,\"shares\":512,\"cpus\":\"0\"},"               \
	"\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]}"

static void limits_are_in_the_kernel(void **state)
{
	NEEDS_ROOT();
	struct runtime_stats s;
	up("sleep 100", LIMITS);
	assert_int_equal(runtime_stats(&r.c, &s, &r.e), 0);
	assert_int_equal(s.mem_limit, 33554432);
	assert_int_equal(s.pids_limit, 16);
	assert_true(s.pids_current >= 1);
	if (runtime_cgroup_version() == 1) {
		assert_int_equal(cgroup_read_u64(CG_CPU, r.c.cgroup_path, "cpu.cfs_quota_us", 0),
				 50000);
		assert_int_equal(cgroup_read_u64(CG_CPU, r.c.cgroup_path, "cpu.shares", 0), 512);
		assert_int_equal(cgroup_read_u64(CG_CPUSET, r.c.cgroup_path, "cpuset.cpus", 9), 0);
	}
}

static void memory_hog_is_killed_and_told(void **state)
{
	NEEDS_ROOT();
	up("dd if=/dev/zero of=/dev/null bs=100M count=1; exit $?",
	   "\"resources\":{\"memory\":{\"limit\":16777216,\"swap\":16777216}}");
	assert_int_not_equal(rig_wait(r.c.pid), 0);
	r.c.pid = -1;
	assert_true(runtime_oom_kills(&r.c) > 0);
}

static void fork_bomb_stops_at_the_limit(void **state)
{
	NEEDS_ROOT();
	rig_config(&r, "i=0; while [ $i -lt 30 ]; do sleep 5 & i=$((i+1)); done 2>&1", "",
		   "\"resources\":{\"pids\":{\"limit\":8}}", "");
	assert_int_equal(rig_create(&r), 0);
	assert_int_equal(rig_start(&r), 0);
	rig_wait(r.c.pid);
	r.c.pid = -1;
	fs_read_fd(r.out, &out);
	assert_non_null(strstr(buf_text(&out), "fork"));
}

static void device_outside_the_list_is_refused(void **state)
{
	NEEDS_ROOT();
	rig_config(&r,
		   "head -c 1 /dev/kmsg && echo READ; head -c 1 /dev/zero >/dev/null && echo ZERO",
		   "",
		   "\"devices\":[{\"type\":\"c\",\"path\":\"/dev/"
		   "kmsg\",\"major\":1,\"minor\":11}]," LIMITS,
		   "");
	rig_run(&r, &out);
	assert_null(strstr(buf_text(&out), "READ"));
	assert_non_null(strstr(buf_text(&out), "ZERO"));
}

static void pause_stops_and_resume_continues(void **state)
{
	NEEDS_ROOT();
	char b[4096];
	up("while :; do echo x; done", "");
	assert_int_equal(runtime_pause(&r.c, &r.e), 0);
	assert_true(runtime_is_paused(&r.c));
	fcntl(r.out, F_SETFL, O_NONBLOCK);
	while (read(r.out, b, sizeof(b)) > 0)
		;
	struct pollfd p = {r.out, POLLIN, 0};
	assert_int_equal(poll(&p, 1, 50), 0);
	assert_int_equal(runtime_resume(&r.c, &r.e), 0);
	assert_false(runtime_is_paused(&r.c));
	assert_int_equal(poll(&p, 1, 5000), 1);
}

static int exec_in(const char *const *args, size_t n, const char *user, struct buf *ret)
{
	struct oci_process p = {.args = {(const char **)(uintptr_t)args, n, true}, .cwd = "/"};
	const char *env[] = {"PATH=/bin"};
	struct runtime_exec req = {.process = &p, .stdio = {FD_NONE, FD_NONE, FD_NONE}};
	struct runtime_process done = {-1, FD_NONE, FD_NONE};
	int fds[2];

	p.env = (struct strs){env, 1, true};
	p.user.username = user;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	req.stdio[1] = req.stdio[2] = fds[1];
	int rc = runtime_exec(&r.c, &req, &done, &r.e);
	close(fds[1]);
	if (rc == 0) {
		fs_read_fd(fds[0], ret);
		rc = rig_wait(done.pid);
		fd_close(&done.pidfd);
	}
	close(fds[0]);
	return rc;
}

static void exec_is_inside(void **state)
{
	NEEDS_ROOT();
	static const char *const args[] = {
		"sh", "-c",
		("hostname; id -u; cat /proc/1/cmdline | head -c 5; echo; "
		 "for i in /proc/self/fd/*; do [ -e $i ] && echo $i; done; exit 3")};
	pid_t pids[16];
	up("sleep 100; true", "");
	assert_int_equal(exec_in(args, 3, "app", &out), 3);
	assert_string_equal(
		buf_text(&out),
		"boat\n1000\n/bin/\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\n");
	assert_true(runtime_pids(&r.c, pids, 16, &r.e) >= 1);
}

static void exec_errors_have_kinds(void **state)
{
	NEEDS_ROOT();
	static const char *const missing[] = {"nope"}, *const denied[] = {"/bin/noexec"};
	up("sleep 100", "");
	assert_int_equal(exec_in(missing, 1, NULL, &out), -1);
	assert_int_equal(r.e.kind, ERR_NO_PROGRAM);
	assert_int_equal(exec_in(denied, 1, NULL, &out), -1);
	assert_int_equal(r.e.kind, ERR_NOT_EXECUTABLE);
}

static void signals_and_removal(void **state)
{
	NEEDS_ROOT();
	up("trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done", "");
	char c;
	assert_int_equal(read(r.out, &c, 1), 1);
	assert_int_equal(runtime_kill(&r.c, SIGTERM, &r.e), 0);
	assert_int_equal(rig_wait(r.c.pid), 7);
	r.c.pid = -1;
	assert_int_equal(runtime_kill(&r.c, SIGTERM, &r.e), -1);
	assert_int_equal(r.e.kind, ERR_CONFLICT);
	assert_int_equal(runtime_delete(&r.c, &r.e), 0);
	for (int i = 0; i < CG_CTRL_COUNT; i++)
		assert_false(cgroup_exists(r.c.cgroup_path, (enum cgroup_ctrl)i));
}

static void update_changes_limits(void **state)
{
	NEEDS_ROOT();
	const int64_t limit = 67108864, pids = 5;
	struct oci_memory m = {.limit = &limit, .swap = &limit};
	struct oci_pids p = {&pids};
	struct oci_cpu c = {.cpus = "0"};
	struct oci_resources res = {.memory = &m, .pids = &p, .cpu = &c};
	struct runtime_stats s;
	up("sleep 100", "\"resources\":{\"memory\":{\"limit\":33554432,\"swap\":33554432}}");
	if (runtime_update(&r.c, &res, &r.e) < 0)
		fail_msg("%s", r.e.text);
	assert_int_equal(runtime_stats(&r.c, &s, &r.e), 0);
	assert_int_equal(s.mem_limit, limit);
	assert_int_equal(s.pids_limit, pids);
	assert_true(cgroup_exists(r.c.cgroup_path, CG_CPUSET)); /* was not needed at the start */
}

static void terminal_is_the_containers(void **state)
{
	NEEDS_ROOT();
	rig_config(&r,
		   "ls -l /proc/self/fd/1; cat /dev/null > /dev/console && echo CONSOLE; stty size",
		   "\"terminal\":true,\"consoleSize\":{\"height\":33,\"width\":101}", "", "");
	assert_int_equal(rig_create(&r), 0);
	assert_true(r.c.console_fd >= 0);
	assert_int_equal(rig_start(&r), 0);
	for (ssize_t n; (n = read(r.c.console_fd, buf_room(&out, 4096), 4096)) > 0;)
		out.n += (size_t)n;
	buf_addc(&out, '\0');
	assert_non_null(strstr(buf_text(&out), "/dev/pts/0"));
	assert_non_null(strstr(buf_text(&out), "CONSOLE"));
}

static void shared_pid_namespace(void **state)
{
	NEEDS_ROOT();
	struct rig second;
	char path[64];
	up("exec sleep 100", "");
	rig_init(&second);
	rig_config(&second, "cat /proc/1/cmdline", "", "", "");
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", r.c.pid);
	((struct oci_namespace *)second.cfg.linux_->namespaces.v)[0].path = path;
	assert_int_equal(rig_run(&second, &out), 0);
	assert_int_equal(memcmp(buf_text(&out), "sleep", 5), 0);
	rig_done(&second);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(limits_are_in_the_kernel),
		T(memory_hog_is_killed_and_told),
		T(fork_bomb_stops_at_the_limit),
		T(device_outside_the_list_is_refused),
		T(pause_stops_and_resume_continues),
		T(exec_is_inside),
		T(exec_errors_have_kinds),
		T(signals_and_removal),
		T(update_changes_limits),
		T(terminal_is_the_containers),
		T(shared_pid_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
