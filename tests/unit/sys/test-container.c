/* SPDX-License-Identifier: Apache-2.0 */
/* Pure parts of the container facilities: capability names, mount options, cgroup texts and paths.
 */
#include "cmocka-all.h"
#include "sys/caps.h"
#include "sys/cgroup.h"
#include "sys/mnt.h"

#include <string.h>
#include <sys/mount.h>

static void capability_names(void **state)
{
	const char *list[] = {"CAP_CHOWN", "net_raw", "CAP_FUTURE"}, *unknown = NULL;

	assert_int_equal(caps_by_name("CAP_SYS_ADMIN"), 21);
	assert_int_equal(caps_by_name("sys_admin"), 21);
	assert_int_equal(caps_by_name("CAP_CHECKPOINT_RESTORE"), 40);
	assert_int_equal(caps_by_name("CAP_"), -1);
	assert_int_equal(caps_from_names(list, 3, &unknown), 1U << 13 | 1U);
	assert_string_equal(unknown, "CAP_FUTURE");
	assert_string_equal(caps_name(40), "CAP_CHECKPOINT_RESTORE");
	assert_null(caps_name(41));
	assert_true(caps_kernel_mask() & 1);
}

static void mount_options(void **state)
{
	const char *list[] = {"rbind",	  "ro",	 "nosuid",    "rw",	"rslave",
			      "size=64k", "rro", "tmpcopyup", "noatime"};
	struct mount_opts o;

	mount_opts_parse(list, 9, &o);
	assert_true(o.bind && o.rbind && o.copy_up);
	assert_int_equal(o.attr_set, 0x2 | 0x10); /* the last of ro and rw wins */
	assert_true(o.attr_clr & 0x1);
	assert_int_equal(o.rattr_set, 0x1);
	assert_int_equal(o.propagation, MS_SLAVE | MS_REC);
	assert_int_equal(o.ndata, 1);
	assert_string_equal(o.data[0], "size=64k");
	mount_opts_done(&o);
}

static void cgroup_texts(void **state)
{
	uint64_t v = 0;

	assert_true(cgroup_field("low 0\noom 1\noom_kill 3\n", "oom_kill", &v));
	assert_int_equal(v, 3);
	assert_true(cgroup_field("low 0\noom 1\n", "oom", &v));
	assert_int_equal(v, 1);
	assert_false(cgroup_field("low 0\n", "lo", &v));
}

static void paths_that_are_not_ours_are_refused(void **state)
{
	static const char *const bad[] = {"/",	 "",	       "coracle/x", "/coracle/../x",
					  "/..", "/coracle/.."};
	char p[4096];

	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(cgroup_dir(CG_MEMORY, bad[i], p, sizeof(p)), -EINVAL);
		assert_int_equal(cgroup_remove(bad[i]), -EINVAL);
		assert_true(cgroup_write(CG_MEMORY, bad[i], "cgroup.procs", "0") < 0);
	}
	assert_int_equal(cgroup_write(CG_MEMORY, "/coracle-none", "../cgroup.procs", "0"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capability_names),
		cmocka_unit_test(mount_options),
		cmocka_unit_test(cgroup_texts),
		cmocka_unit_test(paths_that_are_not_ours_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
