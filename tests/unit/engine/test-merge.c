/* SPDX-License-Identifier: Apache-2.0 */
/* Image config under the user's, as Docker lays them. */
#include "engine/engine-priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char image[] = "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Env\":["
			    "\"PATH=/bin\",\"A=image\"],\"Cmd\":[\"serve\"],"
			    "\"Entrypoint\":[\"/entry\"],\"WorkingDir\":\"/"
			    "srv\",\"User\":\"app\",\"Volumes\":{\"/data\":{}},"
			    "\"Labels\":{\"x\":\"image\",\"y\":\"1\"},\"StopSignal\":\"SIGQUIT\","
			    "\"ExposedPorts\":{\"80/tcp\":{}}}}";

static void merge(const char *json, struct container_config *ret, struct arena *a)
{
	struct err e = ERR_INIT;

	assert_int_equal(json_decode_text(json, strlen(json), &container_config_schema, ret, a, &e),
			 0);
	if (merge_image_config(ret, image, a, &e) < 0)
		fail_msg("%s", e.text);
}

static void test_everything_from_image(void **state)
{
	struct arena *a = arena_new();
	struct container_config c;

	merge("{}", &c, a);
	assert_string_equal(c.entrypoint.v[0], "/entry");
	assert_string_equal(c.cmd.v[0], "serve");
	assert_string_equal(c.working_dir, "/srv");
	assert_string_equal(c.user, "app");
	assert_string_equal(c.stop_signal, "SIGQUIT");
	assert_string_equal(c.volumes.v[0], "/data");
	assert_int_equal(c.env.n, 2);
	arena_free(a);
}

static void test_command_rules(void **state)
{
	struct arena *a = arena_new();
	struct container_config c;
	struct err e = ERR_INIT;

	merge("{\"Cmd\":[\"other\"]}", &c, a); /* a command keeps the entrypoint */
	assert_string_equal(c.entrypoint.v[0], "/entry");
	assert_string_equal(c.cmd.v[0], "other");
	merge("{\"Entrypoint\":[\"/mine\"]}", &c, a); /* an entrypoint drops the image's command */
	assert_string_equal(c.entrypoint.v[0], "/mine");
	assert_int_equal(c.cmd.n, 0);
	merge("{\"Entrypoint\":[\"\"],\"Cmd\":[\"sh\"]}", &c,
	      a); /* an empty one clears the image's */
	assert_int_equal(c.entrypoint.n, 0);
	assert_string_equal(c.cmd.v[0], "sh");
	memset(&c, 0, sizeof(c));
	assert_int_equal(merge_image_config(&c, "{\"config\":{}}", a, &e), -1);
	assert_string_equal(e.text, "no command specified");
	arena_free(a);
}

static void test_env_labels(void **state)
{
	struct arena *a = arena_new();
	struct container_config c;

	merge("{\"Env\":[\"A=user\",\"B=2\"],\"Labels\":{\"x\":\"user\"}}", &c, a);
	assert_int_equal(c.env.n, 3);
	assert_string_equal(c.env.v[0], "A=user");
	assert_string_equal(c.env.v[2], "PATH=/bin");
	assert_string_equal(strmap_get(&c.labels, "x"), "user");
	assert_string_equal(strmap_get(&c.labels, "y"), "1");
	arena_free(a);
}

static void test_defaults(void **state)
{
	struct arena *a = arena_new();
	struct host_config h = {.memory = 64 << 20};

	host_config_defaults(&h, a);
	assert_string_equal(h.network_mode, "bridge");
	assert_string_equal(h.log_config.type, "json-file");
	assert_string_equal(h.ipc_mode, "private");
	assert_string_equal(h.restart_policy.name, "no");
	assert_int_equal(h.shm_size, 64 << 20);
	assert_int_equal(h.memory_swap, 128 << 20);
	assert_true(h.masked_paths.n > 5);
	h = (struct host_config){.privileged = true};
	host_config_defaults(&h, a);
	assert_int_equal(h.masked_paths.n, 0);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_from_image),
		cmocka_unit_test(test_command_rules),
		cmocka_unit_test(test_env_labels),
		cmocka_unit_test(test_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
