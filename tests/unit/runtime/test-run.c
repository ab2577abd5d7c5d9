/* SPDX-License-Identifier: Apache-2.0 */
/* Real containers: what the program inside sees, and what is left outside afterwards. */
#include "cmocka-all.h"
#include "rig.h"
#include "sys/cgroup.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define RUN(r, out) rig_run(&(r), &(out))
#define HAS(out, text)                                                                             \
	do {                                                                                       \
		if (!strstr(buf_text(&(out)), (text)))                                             \
			fail_msg("\"%s\" is not in:\n%s", (text), buf_text(&(out)));               \
	} while (0)
#define HAS_NOT(out, text)                                                                         \
	do {                                                                                       \
		if (strstr(buf_text(&(out)), (text)))                                              \
			fail_msg("\"%s\" is in:\n%s", (text), buf_text(&(out)));                   \
	} while (0)

static struct rig r;
static struct buf out;

static int setup(void **state)
{
	(void)state;
	if (!rig_can_run())
		return 0;
	rig_init(&r);
	out = BUF_INIT(1U << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (!rig_can_run())
		return 0;
	rig_done(&r);
	buf_done(&out);
	return 0;
}

#define NEEDS_ROOT()                                                                               \
	do {                                                                                       \
		if (!rig_can_run())                                                                \
			skip();                                                                    \
	} while (0)

static void namespaces_are_its_own(void **state)
{
	NEEDS_ROOT();
	rig_config(&r,
		   "echo pid $$; hostname; ls /proc/sys/net/ipv4/conf; cat /proc/net/dev; cat "
		   "/proc/self/cgroup",
		   "", "", "");
	assert_int_equal(RUN(r, out), 0);
	HAS(out, "pid 1\n");
	HAS(out, "boat\n");
	HAS(out, "lo:");
	HAS_NOT(out, "eth");
	HAS_NOT(out, r.id); /* a cgroup namespace hides the path */
}

static void loopback_is_up(void **state)
{
	NEEDS_ROOT();
	rig_config(&r, "cat /proc/net/if_inet6 /proc/net/fib_trie", "", "", "");
	assert_int_equal(RUN(r, out), 0);
	HAS(out, "127.0.0.1");
}

static void no_descriptor_leaks(void **state)
{
	NEEDS_ROOT();
	/* the glob itself opens the folder as 3 and is gone when it is printed */
	rig_config(&r, "for i in /proc/self/fd/*; do [ -e $i ] && echo $i; done; true", "", "", "");
	assert_int_equal(RUN(r, out), 0);
	assert_string_equal(buf_text(&out), "/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\n");
}

static void exit_status_is_kept(void **state)
{
	NEEDS_ROOT();
	rig_config(&r, "exit 42", "", "", "");
	assert_int_equal(RUN(r, out), 42);
}

static void user_by_name_has_groups_and_home(void **state)
{
	NEEDS_ROOT();
	rig_config(&r, "id; echo $HOME",
		   "\"user\":{\"username\":\"app\",\"groupAdd\":[\"more\",\"3000\"]}", "", "");
	assert_int_equal(RUN(r, out), 0);
	HAS(out, "uid=1000(app) gid=1001(app)");
	HAS(out, "2000(extra)");
	HAS(out, "2001(more)");
	HAS(out, "3000");
	HAS(out, "/home/app\n");
}

static void user_with_group_has_no_memberships(void **state)
{
	NEEDS_ROOT();
	rig_config(&r, "id", "\"user\":{\"username\":\"1000:more\"}", "", "");
	assert_int_equal(RUN(r, out), 0);
	HAS(out, "gid=2001(more)");
	HAS_NOT(out, "extra");
}

static void number_that_is_a_name_is_the_name(void **state)
{
	NEEDS_ROOT();
	rig_config(&r, "id -u", "\"user\":{\"username\":\"7\"}", "", "");
	assert_int_equal(RUN(r, out), 0);
	assert_string_equal(buf_text(&out), "1077\n");
}

static void unknown_user_is_an_error(void **state)
{
	NEEDS_ROOT();
	rig_config(&r, "id", "\"user\":{\"username\":\"nobody-here\"}", "", "");
	assert_int_equal(RUN(r, out), -1);
	assert_string_equal(r.e.text,
			    "unable to find user nobody-here: no matching entries in passwd file");
	assert_int_equal(r.e.kind, ERR_INVALID);
}

static void capabilities_are_exactly_those_given(void **state)
{
	NEEDS_ROOT();
	rig_config(&r,
		   "grep Cap /proc/self/status; chown 5:5 /tmp && echo CHOWNED; mount -t tmpfs x "
		   "/tmp || echo REFUSED",
		   "\"capabilities\":{\"bounding\":[\"CAP_CHOWN\"],\"effective\":[\"CAP_CHOWN\"],"
		   "\"permitted\":[\"CAP_CHOWN\"]}",
		   "", "");
	assert_int_equal(RUN(r, out), 0);
	HAS(out, "CapEff:\t0000000000000001\n");
	HAS(out, "CapBnd:\t0000000000000001\n");
	HAS(out, "CHOWNED");
	HAS(out, "REFUSED");
}

static void ambient_capability_for_a_user(void **state)
{
	NEEDS_ROOT();
	rig_config(&r, "grep CapEff /proc/self/status",
		   "\"user\":{\"uid\":1000,\"gid\":1000},\"capabilities\":{\"bounding\":[\"CAP_"
		   "CHOWN\"],\"permitted\":[\"CAP_CHOWN\"],"
		   "\"inheritable\":[\"CAP_CHOWN\"],\"ambient\":[\"CAP_CHOWN\"]}",
		   "", "");
	assert_int_equal(RUN(r, out), 0);
	HAS(out, "CapEff:\t0000000000000001\n");
}

static void masked_and_readonly_paths(void **state)
{
	NEEDS_ROOT();
	rig_config(&r,
		   "cat /proc/timer_list | head -c 1; ls /proc/acpi /data; echo x > "
		   "/proc/sys/kernel/hostname || echo RO",
		   "",
		   "\"maskedPaths\":[\"/proc/timer_list\",\"/proc/acpi\",\"/data\",\"/not/"
		   "there\"],\"readonlyPaths\":[\"/proc/sys\"]",
		   "");
	mkdir("/tmp", 0755);
	assert_int_equal(RUN(r, out), 0);
	HAS(out, "RO");
	HAS_NOT(out, "Timer");
}

static void root_is_read_only(void **state)
{
	NEEDS_ROOT();
	rig_config(&r, "touch /x || echo ROOT-RO; touch /dev/shm-x && echo DEV-RW", "", "", "");
	((struct oci_root *)(uintptr_t)r.cfg.root)->readonly = true;
	assert_int_equal(RUN(r, out), 0);
	HAS(out, "ROOT-RO");
	HAS(out, "DEV-RW");
}

static void overlay_takes_writes(void **state)
{
	NEEDS_ROOT();
	char upper[96], work[96], path[128];
	const char *lower[] = {"rootfs", "lower"};
	struct stat st;
	snprintf(upper, sizeof(upper), "%s/upper", r.dir);
	snprintf(work, sizeof(work), "%s/work", r.dir);
	struct runtime_rootfs o = {r.dir, lower, 2, upper, work, false};
	r.req.overlay = &o;
	rig_config(&r, "echo hi > /made; pwd", "\"cwd\":\"/new/work\"", "", "");
	assert_int_equal(RUN(r, out), 0);
	HAS(out, "/new/work\n");
	snprintf(path, sizeof(path), "%s/upper/made", r.dir);
	assert_int_equal(stat(path, &st), 0);
	snprintf(path, sizeof(path), "%s/rootfs/made", r.dir);
	assert_int_equal(stat(path, &st), -1);
	/* the mount was never visible here */
	snprintf(path, sizeof(path), "%s/made", r.dir);
	assert_int_equal(stat(path, &st), -1);
}

static void mount_point_links_stay_inside(void **state)
{
	NEEDS_ROOT();
	char link[128], more[256];
	struct stat st;
	snprintf(link, sizeof(link), "%s/rootfs/escape", r.dir);
	assert_int_equal(symlink("/../../../../../../tmp", link), 0);
	snprintf(more, sizeof(more),
		 ",{\"destination\":\"/escape/"
		 "coracle-escaped\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"},"
		 "{\"destination\":\"/ro\",\"type\":\"bind\",\"source\":\"%s/"
		 "lower\",\"options\":[\"rbind\",\"ro\"]}",
		 r.dir);
	rig_config(&r, "mount | grep escaped; touch /ro/x || echo BIND-RO", "", "", more);
	if (RUN(r, out) < 0)
		fail_msg("%s", r.e.text);
	HAS(out, "/tmp/coracle-escaped type tmpfs");
	HAS(out, "BIND-RO");
	assert_int_equal(stat("/tmp/coracle-escaped", &st), -1);
}

static void tmpfs_copies_up(void **state)
{
	NEEDS_ROOT();
	rig_config(&r, "cat /etc/group; touch /etc/new && echo WRITABLE", "", "",
		   ",{\"destination\":\"/"
		   "etc\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"tmpcopyup\","
		   "\"nodev\"]}");
	assert_int_equal(RUN(r, out), 0);
	HAS(out, "extra:x:2000");
	HAS(out, "WRITABLE");
}

static void program_not_found_is_127(void **state)
{
	NEEDS_ROOT();
	rig_config(&r, "", "\"args\":[\"nope\"]", "", "");
	assert_int_equal(RUN(r, out), -1);
	assert_int_equal(r.e.kind, ERR_NO_PROGRAM);
	assert_string_equal(r.e.text, "unable to start container process: exec: \"nope\": "
				      "executable file not found in $PATH");
}

static void path_not_found_is_127(void **state)
{
	NEEDS_ROOT();
	rig_config(&r, "", "\"args\":[\"/x\"]", "", "");
	assert_int_equal(RUN(r, out), -1);
	assert_int_equal(r.e.kind, ERR_NO_PROGRAM);
	assert_string_equal(r.e.text, "unable to start container process: exec: \"/x\": stat /x: "
				      "no such file or directory");
}

static void not_executable_is_126(void **state)
{
	NEEDS_ROOT();
	rig_config(&r, "", "\"args\":[\"/bin/noexec\"]", "", "");
	assert_int_equal(RUN(r, out), -1);
	assert_int_equal(r.e.kind, ERR_NOT_EXECUTABLE);
	assert_string_equal(
		r.e.text,
		"unable to start container process: exec: \"/bin/noexec\": permission denied");
}

static void bad_format_is_126(void **state)
{
	NEEDS_ROOT();
	rig_config(&r, "", "\"args\":[\"/bin/garbage\"]", "", "");
	assert_int_equal(RUN(r, out), -1);
	assert_int_equal(r.e.kind, ERR_NOT_EXECUTABLE);
	assert_non_null(strstr(r.e.text, "exec format error"));
	assert_false(cgroup_exists(r.c.cgroup_path, CG_PIDS) &&
		     cgroup_pids(r.c.cgroup_path, NULL, 0) > 0);
}

static void rlimits_and_sysctls(void **state)
{
	NEEDS_ROOT();
	rig_config(&r, "ulimit -n; ulimit -Hc; cat /proc/sys/kernel/msgmax",
		   "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":77,\"hard\":99},{\"type\":"
		   "\"RLIMIT_CORE\",\"soft\":0,\"hard\":0}]",
		   "\"sysctl\":{\"kernel.msgmax\":\"4242\"}", "");
	assert_int_equal(RUN(r, out), 0);
	assert_string_equal(buf_text(&out), "77\n0\n4242\n");
}

static void failed_mount_leaves_nothing(void **state)
{
	NEEDS_ROOT();
	char path[64];
	rig_config(&r, "", "", "",
		   ",{\"destination\":\"/data\",\"type\":\"bind\",\"source\":\"/does/not/"
		   "exist\",\"options\":[\"rbind\"]}");
	assert_int_equal(RUN(r, out), -1);
	assert_non_null(strstr(r.e.text, "bind source path does not exist: /does/not/exist"));
	snprintf(path, sizeof(path), "/coracle-test/%s", r.id);
	assert_false(cgroup_exists(path, CG_MEMORY));
	assert_false(cgroup_exists(path, CG_PIDS));
}

static void existing_file_devices(void **state)
{
	NEEDS_ROOT();
	rig_config(&r,
		   "stat -c '%t:%T %a %u' /dev/mine; head -c 4 /dev/zero | wc -c; ls -l /dev/ptmx",
		   "",
		   "\"devices\":[{\"type\":\"c\",\"path\":\"/dev/"
		   "mine\",\"major\":1,\"minor\":3,\"fileMode\":384,\"uid\":9}]",
		   "");
	assert_int_not_equal(RUN(r, out), -1);
	HAS(out, "1:3 600 9\n");
	HAS(out, "pts/ptmx");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(namespaces_are_its_own),
		T(loopback_is_up),
		T(no_descriptor_leaks),
		T(exit_status_is_kept),
		T(user_by_name_has_groups_and_home),
		T(user_with_group_has_no_memberships),
		T(number_that_is_a_name_is_the_name),
		T(unknown_user_is_an_error),
		T(capabilities_are_exactly_those_given),
		T(ambient_capability_for_a_user),
		T(masked_and_readonly_paths),
		T(root_is_read_only),
		T(overlay_takes_writes),
		T(mount_point_links_stay_inside),
		T(tmpfs_copies_up),
		T(program_not_found_is_127),
		T(path_not_found_is_127),
		T(not_executable_is_126),
		T(bad_format_is_126),
		T(rlimits_and_sysctls),
		T(failed_mount_leaves_nothing),
		T(existing_file_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
