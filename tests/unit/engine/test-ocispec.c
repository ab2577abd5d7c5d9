/* SPDX-License-Identifier: Apache-2.0 */
/* The OCI configuration of a container, field by field. */
#include "engine/engine-priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct arena *arena;
static struct container_create body;

static struct oci_config build(const char *json)
{
	struct err e = ERR_INIT;
	struct json *j = NULL;
	struct oci_config c;
	static struct strs args;
	static struct objs mounts;
	struct ocispec_in in = {.id = "abc",
				.config = &body.config,
				.host = &body.host,
				.mounts = &mounts,
				.path = "sh",
				.args = &args};

	arena_free(arena);
	arena = arena_new();
	assert_int_equal(json_parse(json, strlen(json), &j, &e), 0);
	assert_int_equal(container_create_decode(j, &body, arena, &e), 0);
	host_config_defaults(&body.host, arena);
	json_free(j);
	if (ocispec_build(&in, &c, arena, &e) < 0)
		fail_msg("%s", e.text);
	return c;
}

static const struct oci_mount *mount_at(const struct oci_config *c, const char *dst)
{
	const struct oci_mount *m = c->mounts.v, *found = NULL;

	for (size_t i = 0; i < c->mounts.n; i++)
		if (strcmp(m[i].destination, dst) == 0)
			found = &m[i];
	return found;
}

static bool has(const struct strs *s, const char *v)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i], v) == 0)
			return true;
	return false;
}

static const struct oci_namespace *namespace_of(const struct oci_config *c, const char *type)
{
	const struct oci_namespace *n = c->linux_->namespaces.v;

	for (size_t i = 0; i < c->linux_->namespaces.n; i++)
		if (strcmp(n[i].type, type) == 0)
			return &n[i];
	return NULL;
}

static void test_defaults(void **state)
{
	struct oci_config c = build("{\"Hostname\":\"box\",\"Env\":[\"A=1\"]}");
	const struct oci_process *p = c.process;

	assert_string_equal(p->args.v[0], "sh");
	assert_string_equal(p->cwd, "/");
	assert_true(has(&p->env, "A=1") && has(&p->env, "HOSTNAME=box"));
	assert_false(p->terminal || p->no_new_privileges);
	assert_int_equal(p->capabilities->bounding.n, 14);
	assert_false(has(&p->capabilities->bounding, "CAP_SYS_ADMIN"));
	assert_string_equal(c.hostname, "box");
	assert_true(has(&mount_at(&c, "/dev/shm")->options, "size=67108864"));
	assert_true(has(&mount_at(&c, "/sys")->options, "ro"));
	assert_non_null(namespace_of(&c, "network"));
	assert_null(namespace_of(&c, "user"));
	assert_true(has(&c.linux_->masked_paths, "/proc/kcore"));
	assert_true(has(&c.linux_->readonly_paths, "/proc/sys"));
	assert_null(c.linux_->resources->memory);
}

static void test_limits(void **state)
{
	struct oci_config c = build(
		"{\"HostConfig\":{\"Memory\":67108864,\"NanoCpus\":1500000000,\"CpuShares\":512,"
		"\"PidsLimit\":99,\"BlkioWeight\":300,\"CpusetCpus\":\"0\",\"Ulimits\":[{\"Name\":"
		"\"memlock\",\"Soft\":-1,\"Hard\":-1}]}}");
	const struct oci_resources *r = c.linux_->resources;
	const struct oci_rlimit *l = c.process->rlimits.v;

	assert_int_equal(*r->memory->limit, 67108864);
	assert_int_equal(*r->memory->swap, 2 * 67108864);
	assert_int_equal(*r->cpu->period, 100000);
	assert_int_equal(*r->cpu->quota, 150000);
	assert_int_equal(*r->cpu->shares, 512);
	assert_string_equal(r->cpu->cpus, "0");
	assert_int_equal(*r->pids->limit, 99);
	assert_int_equal(*r->block_io->weight, 300);
	assert_string_equal(l[0].type, "RLIMIT_MEMLOCK");
	assert_true(l[0].hard == UINT64_MAX);
}

static void test_capabilities(void **state)
{
	struct oci_config c = build(
		"{\"HostConfig\":{\"CapDrop\":[\"ALL\"],\"CapAdd\":[\"net_raw\"]}}");

	assert_int_equal(c.process->capabilities->bounding.n, 1);
	assert_string_equal(c.process->capabilities->bounding.v[0], "CAP_NET_RAW");
	c = build("{\"HostConfig\":{\"CapAdd\":[\"ALL\"],\"CapDrop\":[\"SYS_ADMIN\"]}}");
	assert_false(has(&c.process->capabilities->bounding, "CAP_SYS_ADMIN"));
	assert_true(has(&c.process->capabilities->bounding, "CAP_BPF"));
}

static void test_privileged(void **state)
{
	struct oci_config c = build("{\"HostConfig\":{\"Privileged\":true}}");
	const struct oci_device_rule *rules = c.linux_->resources->devices.v;
	const struct oci_device *d = c.linux_->devices.v;
	bool null_device = false;

	assert_true(has(&c.process->capabilities->bounding, "CAP_SYS_ADMIN"));
	assert_int_equal(c.linux_->masked_paths.n, 0);
	assert_int_equal(c.linux_->readonly_paths.n, 0);
	assert_int_equal(c.linux_->resources->devices.n, 1);
	assert_true(rules[0].allow);
	for (size_t i = 0; i < c.linux_->devices.n; i++)
		null_device |= strcmp(d[i].path, "/dev/null") == 0;
	assert_true(null_device);
	assert_true(has(&mount_at(&c, "/sys")->options, "rw"));
}

static void test_modes(void **state)
{
	struct oci_config c = build("{\"HostConfig\":{\"NetworkMode\":\"host\",\"PidMode\":"
				    "\"host\",\"IpcMode\":\"host\","
				    "\"UTSMode\":\"host\"}}");

	assert_null(namespace_of(&c, "network"));
	assert_null(namespace_of(&c, "pid"));
	assert_null(namespace_of(&c, "ipc"));
	assert_null(namespace_of(&c, "uts"));
	assert_null(c.hostname);
	assert_string_equal(mount_at(&c, "/dev/shm")->type, "bind");
	assert_int_equal(c.linux_->sysctl.n, 0);
}

static void test_tmpfs_and_unmask(void **state)
{
	struct oci_config c = build(
		"{\"HostConfig\":{\"Tmpfs\":{\"/t\":\"size=64k,exec\"},\"ReadonlyRootfs\":true,"
		"\"SecurityOpt\":[\"unmask=/proc/kcore\",\"no-new-privileges\"]}}");
	const struct oci_mount *m = mount_at(&c, "/t");

	assert_string_equal(m->type, "tmpfs");
	assert_true(has(&m->options, "size=64k") && has(&m->options, "exec") &&
		    has(&m->options, "nosuid"));
	assert_false(has(&m->options, "noexec"));
	assert_true(c.root->readonly);
	assert_true(c.process->no_new_privileges);
	assert_false(has(&c.linux_->masked_paths, "/proc/kcore"));
	assert_true(has(&c.linux_->masked_paths, "/proc/keys"));
}

static void test_device_rules(void **state)
{
	struct oci_device_rule r;
	struct arena *a = arena_new();

	assert_int_equal(ocispec_device_rule("c 1:* rw", &r, a), 0);
	assert_int_equal(*r.major, 1);
	assert_null(r.minor);
	assert_string_equal(r.access, "rw");
	assert_true(ocispec_device_rule("c 1:2", &r, a) < 0);
	assert_true(ocispec_device_rule("x 1:2 r", &r, a) < 0);
	assert_true(ocispec_device_rule("c 1:2 rx", &r, a) < 0);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),     cmocka_unit_test(test_limits),
		cmocka_unit_test(test_capabilities), cmocka_unit_test(test_privileged),
		cmocka_unit_test(test_modes),	     cmocka_unit_test(test_tmpfs_and_unmask),
		cmocka_unit_test(test_device_rules),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	arena_free(arena);
	return rc;
}
