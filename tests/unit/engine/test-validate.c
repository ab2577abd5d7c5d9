/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of what a container may ask for: Docker's limits and words, refusal by name of what is not
 * built. */
#include "engine/engine-priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
	struct arena *a;
	struct container_create c;
	struct err e;
};

/* Decode a create body and run every check on it. */
static int check(struct fixture *f, const char *json)
{
	struct json *j = NULL;
	struct warnings w = {0};
	int rc;

	f->e = ERR_INIT;
	f->a = arena_new();
	w.a = f->a;
	assert_int_equal(json_parse(json, strlen(json), &j, &f->e), 0);
	assert_int_equal(container_create_decode(j, &f->c, f->a, &f->e), 0);
	rc = validate_config(&f->c.config, &f->e);
	if (rc == 0)
		rc = validate_host_config(&f->c.host, &f->c.config, &w, &f->e);
	json_free(j);
	arena_free(f->a);
	return rc;
}

static void refused(const char *json, enum err_kind kind, const char *text)
{
	struct fixture f;

	assert_int_equal(check(&f, json), -1);
	if (!strstr(f.e.text, text))
		fail_msg("%s\ngives \"%s\", not \"%s\"", json, f.e.text, text);
	assert_int_equal(f.e.kind, kind);
}

static void accepted(const char *json)
{
	struct fixture f;

	if (check(&f, json) != 0)
		fail_msg("%s\nis refused: %s", json, f.e.text);
}

static void test_limits(void **state)
{
	refused("{\"HostConfig\":{\"Memory\":1048576}}", ERR_INVALID,
		"Minimum memory limit allowed is 6MB");
	accepted("{\"HostConfig\":{\"Memory\":6291456}}");
	refused("{\"HostConfig\":{\"Memory\":10485760,\"MemorySwap\":6291456}}", ERR_INVALID,
		"Minimum memoryswap limit should be larger than memory limit");
	refused("{\"HostConfig\":{\"MemorySwap\":6291456}}", ERR_INVALID,
		"You should always set the Memory limit");
	accepted("{\"HostConfig\":{\"Memory\":10485760,\"MemorySwap\":-1}}");
	refused("{\"HostConfig\":{\"NanoCpus\":99000000000000}}", ERR_INVALID,
		"range of CPUs is from 0.01 to");
	refused("{\"HostConfig\":{\"NanoCpus\":1000000000,\"CpuQuota\":5000}}", ERR_INVALID,
		"Conflicting options");
	refused("{\"HostConfig\":{\"CpusetCpus\":\"3-1\"}}", ERR_INVALID,
		"Invalid value 3-1 for cpuset cpus");
	refused("{\"HostConfig\":{\"CpusetCpus\":\"4000\"}}", ERR_INVALID,
		"Requested CPUs are not available");
	refused("{\"HostConfig\":{\"OomScoreAdj\":2000}}", ERR_INVALID,
		"range for oom score adj is [-1000, 1000]");
	refused("{\"HostConfig\":{\"Ulimits\":[{\"Name\":\"nofile\",\"Soft\":20,\"Hard\":10}]}}",
		ERR_INVALID, "ulimit soft limit must be less than or equal to hard limit");
	accepted("{\"HostConfig\":{\"Ulimits\":[{\"Name\":\"memlock\",\"Soft\":-1,\"Hard\":-1}]}}");
}

static void test_not_built(void **state)
{
	refused("{\"HostConfig\":{\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"x\"}]}}}",
		ERR_INVALID, "invalid port specification: \"x\"");
	refused("{\"HostConfig\":{\"DeviceRequests\":[{\"Driver\":\"\",\"Count\":-1}]}}",
		ERR_UNSUPPORTED, "--gpus");
	refused("{\"HostConfig\":{\"StorageOpt\":{\"size\":\"1G\"}}}", ERR_UNSUPPORTED,
		"--storage-opt");
	refused("{\"HostConfig\":{\"LogConfig\":{\"Type\":\"fluentd\"}}}", ERR_UNSUPPORTED,
		"'fluentd'");
	refused("{\"HostConfig\":{\"LogConfig\":{\"Type\":\"nope\"}}}", ERR_INVALID,
		"plugin \"nope\" not found");
	refused("{\"HostConfig\":{\"Isolation\":\"vm\"}}", ERR_INVALID, "invalid isolation (vm)");
	/* What the Docker CLI sends without being asked. */
	accepted("{\"HostConfig\":{\"NetworkMode\":\"default\",\"PortBindings\":{},"
		 "\"RestartPolicy\":{\"Name\":\"no\","
		 "\"MaximumRetryCount\":0},\"LogConfig\":{\"Type\":\"\",\"Config\":{}},"
		 "\"DeviceRequests\":null,"
		 "\"Isolation\":\"\",\"MemorySwappiness\":-1,\"OomKillDisable\":false,"
		 "\"PidsLimit\":0,"
		 "\"BlkioWeightDevice\":[],\"Links\":null},\"NetworkingConfig\":{"
		 "\"EndpointsConfig\":{\"default\":{"
		 "\"IPAMConfig\":null,\"Links\":null,\"Aliases\":null,\"MacAddress\":\"\","
		 "\"GwPriority\":0}}}}");
}

static void test_security(void **state)
{
	struct strs opts = {.v = (const char *[]){"no-new-privileges", "seccomp=unconfined",
						  "unmask=/proc/kcore:/sys"},
			    .n = 3};
	struct security s;
	struct err e = ERR_INIT;
	struct arena *a = arena_new();

	assert_int_equal(security_parse(&opts, false, &s, a, &e), 0);
	assert_true(s.no_new_privileges);
	assert_string_equal(s.seccomp, "unconfined");
	assert_int_equal(s.unmask.n, 2);
	assert_string_equal(s.unmask.v[1], "/sys");
	arena_free(a);
	refused("{\"HostConfig\":{\"SecurityOpt\":[\"nonsense\"]}}", ERR_INVALID,
		"invalid --security-opt");
	refused("{\"HostConfig\":{\"SecurityOpt\":[\"apparmor=mine\"]}}", ERR_UNSUPPORTED,
		"apparmor");
	refused("{\"HostConfig\":{\"CapAdd\":[\"FLY\"]}}", ERR_INVALID,
		"invalid CapAdd: unknown capability: \"CAP_FLY\"");
	accepted("{\"HostConfig\":{\"CapAdd\":[\"net_admin\"],\"CapDrop\":[\"ALL\"]}}");
}

static void test_modes(void **state)
{
	refused("{\"HostConfig\":{\"PidMode\":\"private\"}}", ERR_INVALID,
		"invalid PID mode: private");
	refused("{\"HostConfig\":{\"IpcMode\":\"x\"}}", ERR_INVALID, "invalid IPC mode: x");
	refused("{\"Hostname\":\"a\",\"HostConfig\":{\"UTSMode\":\"host\"}}", ERR_INVALID,
		"conflicting options: hostname and the UTS mode");
	refused("{\"HostConfig\":{\"AutoRemove\":true,\"RestartPolicy\":{\"Name\":\"always\"}}}",
		ERR_INVALID, "can't create 'AutoRemove' container with restart policy");
	refused("{\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"sometimes\"}}}", ERR_INVALID,
		"unknown policy 'sometimes'");
	refused("{\"HostConfig\":{\"Sysctls\":{\"net.core.somaxconn\":\"1\"},\"NetworkMode\":"
		"\"host\"}}",
		ERR_INVALID, "not allowed in host network namespace");
	refused("{\"HostConfig\":{\"Runtime\":\"kata\"}}", ERR_INVALID,
		"unknown or invalid runtime name: kata");
	refused("{\"WorkingDir\":\"x\"}", ERR_INVALID, "the working directory 'x' is invalid");
	refused("{\"StopSignal\":\"SIGNOPE\"}", ERR_INVALID, "invalid signal: SIGNOPE");
	refused("{\"Env\":[\"=x\"]}", ERR_INVALID, "invalid environment variable: =x");
}

static void test_names(void **state)
{
	char name[64], id[ENGINE_ID_MAX];

	assert_true(name_is_valid("web-1_a.b"));
	assert_false(name_is_valid("a"));
	assert_false(name_is_valid("-a"));
	assert_false(name_is_valid("a/b"));
	assert_false(name_is_valid(""));
	for (int i = 0; i < 200; i++) {
		name_random(name, sizeof(name));
		assert_true(name_is_valid(name));
		assert_non_null(strchr(name, '_'));
		id_random(id);
		assert_int_equal(strlen(id), 64);
		assert_int_equal(strspn(id, "0123456789abcdef"), 64);
		assert_true(strcspn(id, "abcdef") < 12);
	}
}

static void test_signals(void **state)
{
	assert_int_equal(signal_parse("SIGTERM"), 15);
	assert_int_equal(signal_parse("kill"), 9);
	assert_int_equal(signal_parse("9"), 9);
	assert_int_equal(signal_parse("RTMIN+3"), 37);
	assert_int_equal(signal_parse("SIGRTMAX-1"), 63);
	assert_true(signal_parse("0") < 0);
	assert_true(signal_parse("65") < 0);
	assert_true(signal_parse("NOPE") < 0);
}

static void test_binds(void **state)
{
	struct arena *a = arena_new();
	struct mount_point m;
	struct err e = ERR_INIT;

	assert_int_equal(bind_parse("/src/../x/:/dst//y:ro", &m, a, &e), 0);
	assert_string_equal(m.type, "bind");
	assert_string_equal(m.source, "/x");
	assert_string_equal(m.destination, "/dst/y");
	assert_false(m.rw);
	assert_string_equal(m.propagation, "rprivate");
	assert_int_equal(bind_parse("data:/d:nocopy", &m, a, &e), 0);
	assert_string_equal(m.type, "volume");
	assert_string_equal(m.name, "data");
	assert_true(m.no_copy && m.rw);
	assert_int_equal(bind_parse("data:d", &m, a, &e), -1);
	assert_int_equal(bind_parse("data:/", &m, a, &e), -1);
	assert_non_null(strstr(e.text, "destination can't be '/'"));
	assert_int_equal(bind_parse("/a:/b:sideways", &m, a, &e), -1);
	assert_string_equal(e.text, "invalid mode: sideways");
	assert_int_equal(bind_parse("/a:/b:ro:rw", &m, a, &e), -1);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),	 cmocka_unit_test(test_not_built),
		cmocka_unit_test(test_security), cmocka_unit_test(test_modes),
		cmocka_unit_test(test_names),	 cmocka_unit_test(test_signals),
		cmocka_unit_test(test_binds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
