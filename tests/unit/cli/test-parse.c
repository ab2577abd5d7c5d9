/* SPDX-License-Identifier: Apache-2.0 */
/* Values of options to pieces of the create body. */
#include "cmocka-all.h"
#include "cli/run.h"
#include "base/mem.h"

#include <string.h>

typedef int (*parser)(struct jw *w, const char *text, struct err *e);

static void check(parser fn, const char *text, const char *json, const char *error)
{
	struct buf out = BUF_INIT(1 << 20);
	struct jw w = JW_INIT(&out);
	struct err e = ERR_INIT;
	int rc = fn(&w, text, &e);

	if (json) {
		if (rc < 0)
			fail_msg("%s: %s", text, e.text);
		assert_string_equal(buf_text(&out), json);
	} else {
		if (rc == 0)
			fail_msg("%s: no error", text);
		if (!strstr(e.text, error))
			fail_msg("%s: \"%s\" lacks \"%s\"", text, e.text, error);
	}
	buf_done(&out);
}

static void mounts(void **state)
{
	(void)state;
	check(parse_mount, "type=bind,source=/a,target=/b,readonly",
	      "{\"Type\":\"bind\",\"Source\":\"/a\",\"Target\":\"/b\",\"ReadOnly\":true}", NULL);
	check(parse_mount, "type=bind,src=/a,dst=/b,ro=false,bind-propagation=rslave",
	      "{\"Type\":\"bind\",\"Source\":\"/a\",\"Target\":\"/"
	      "b\",\"BindOptions\":{\"Propagation\":"
	      "\"rslave\"}}",
	      NULL);
	check(parse_mount, "source=v,destination=/b,volume-nocopy,volume-label=a=b",
	      "{\"Type\":\"volume\",\"Source\":\"v\",\"Target\":\"/"
	      "b\",\"VolumeOptions\":{\"NoCopy\":true,"
	      "\"Labels\":{\"a\":\"b\"}}}",
	      NULL);
	check(parse_mount, "target=/b,\"volume-opt=o=a,b\",volume-driver=local",
	      "{\"Type\":\"volume\",\"Target\":\"/"
	      "b\",\"VolumeOptions\":{\"Labels\":{},\"DriverConfig\":{"
	      "\"Name\":\"local\",\"Options\":{\"o\":\"a,b\"}}}}",
	      NULL);
	check(parse_mount, "type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1770",
	      "{\"Type\":\"tmpfs\",\"Target\":\"/"
	      "t\",\"TmpfsOptions\":{\"SizeBytes\":67108864,\"Mode\":1016}}",
	      NULL);
	check(parse_mount, "type=bind,source=/a", NULL, "target is required");
	check(parse_mount, "x", NULL,
	      "invalid argument \"x\" for \"--mount\" flag: invalid field 'x' must be a key=value "
	      "pair");
	check(parse_mount, "foo=bar", NULL, "unexpected key 'foo' in 'foo=bar'");
	check(parse_mount, "type=tmpfs,target=/t,volume-nocopy", NULL,
	      "cannot mix 'volume-*' options with mount type 'tmpfs'");
	check(parse_mount, "type=bind,target=/t,ro=maybe", NULL, "invalid value for ro: maybe");
	check(parse_mount, "target=/b,\"open", NULL, "invalid --mount value");
}

static void ulimits(void **state)
{
	(void)state;
	check(parse_ulimit, "nofile=1024:2048", "{\"Name\":\"nofile\",\"Hard\":2048,\"Soft\":1024}",
	      NULL);
	check(parse_ulimit, "nproc=5", "{\"Name\":\"nproc\",\"Hard\":5,\"Soft\":5}", NULL);
	check(parse_ulimit, "core=-1", "{\"Name\":\"core\",\"Hard\":-1,\"Soft\":-1}", NULL);
	check(parse_ulimit, "x", NULL, "invalid ulimit argument: x");
	check(parse_ulimit, "foo=1", NULL, "invalid ulimit type: foo");
	check(parse_ulimit, "nofile=10:5", NULL,
	      "must be less than or equal to hard limit: 10 > 5");
	check(parse_ulimit, "nofile=a", NULL, "invalid syntax");
}

static void devices_and_hosts(void **state)
{
	(void)state;
	check(parse_device, "/dev/null",
	      "{\"PathOnHost\":\"/dev/null\",\"PathInContainer\":\"/dev/"
	      "null\",\"CgroupPermissions\":"
	      "\"rwm\"}",
	      NULL);
	check(parse_device, "/dev/a:/dev/b:r",
	      "{\"PathOnHost\":\"/dev/a\",\"PathInContainer\":\"/dev/"
	      "b\",\"CgroupPermissions\":\"r\"}",
	      NULL);
	check(parse_device, "/dev/a:rw",
	      "{\"PathOnHost\":\"/dev/a\",\"PathInContainer\":\"/dev/"
	      "a\",\"CgroupPermissions\":\"rw\"}",
	      NULL);
	check(parse_device, "/a:/b:q", NULL, "bad mode specified: q");
	check(parse_device, "/a:/b:r:x", NULL, "invalid device specification");
	check(parse_add_host, "db:1.2.3.4", "\"db:1.2.3.4\"", NULL);
	check(parse_add_host, "db=[::1]", "\"db:::1\"", NULL);
	check(parse_add_host, "db", NULL, "bad format for add-host: \"db\"");
	check(parse_restart, "on-failure:3", "{\"Name\":\"on-failure\",\"MaximumRetryCount\":3}",
	      NULL);
	check(parse_restart, "on-failure:x", NULL, "maximum retry count must be an integer");
	check(parse_restart, ":3", NULL, "no policy provided before colon");
}

static void csv(void **state)
{
	struct strs s = {0};

	(void)state;
	assert_int_equal(csv_split("a,\"b,\"\"c\"\"\",,d", &s), 0);
	assert_int_equal(s.n, 4);
	assert_string_equal(s.v[1], "b,\"c\"");
	assert_string_equal(s.v[2], "");
	strs_free(&s);
	assert_int_equal(csv_split("a,\"b", &s), -EINVAL);
	strs_free(&s);
	assert_int_equal(csv_split("a\"b", &s), -EINVAL);
	strs_free(&s);
}

static void detach_keys(void **state)
{
	char keys[8];

	(void)state;
	assert_int_equal(parse_detach_keys("ctrl-p,ctrl-q", keys, sizeof keys), 2);
	assert_memory_equal(keys, "\x10\x11", 2);
	assert_int_equal(parse_detach_keys("a,ctrl-@,ctrl-[", keys, sizeof keys), 3);
	assert_memory_equal(keys, "a\0\x1b", 3);
	assert_int_equal(parse_detach_keys("ctrl-P", keys, sizeof keys), -1);
	assert_int_equal(parse_detach_keys("foo", keys, sizeof keys), -1);
}

static void volumes(void **state)
{
	const char *list[] = {"/data", "/a:/b:ro", "name:/c"};
	const struct optval v = {.v = list, .n = 3};
	struct buf out = BUF_INIT(1 << 20);
	struct jw w = JW_INIT(&out);
	struct err e = ERR_INIT;

	(void)state;
	jw_arr(&w);
	assert_int_equal(parse_volumes(&w, &v, true, &e), 0);
	jw_arr_end(&w);
	assert_string_equal(buf_text(&out), "[\"/a:/b:ro\",\"name:/c\"]");
	buf_reset(&out);
	w = JW_INIT(&out);
	jw_obj(&w);
	assert_int_equal(parse_volumes(&w, &v, false, &e), 0);
	jw_obj_end(&w);
	assert_string_equal(buf_text(&out), "{\"/data\":{}}");
	buf_done(&out);
}

/* A whole command line to the body: only what was asked for, in Docker's names. */
static void bodies(void **state)
{
	char *argv[] = {
		(char[]){"-it"},   (char[]){"--rm"}, (char[]){"-m"},  (char[]){"64m"},
		(char[]){"-lA=1"}, (char[]){"-l"},   (char[]){"A=2"}, (char[]){"--entrypoint="},
		(char[]){"img"},   (char[]){"echo"}, (char[]){"-n"}};
	struct opts o;
	struct run_attach a;
	struct buf out = BUF_INIT(1 << 20);
	struct err e = ERR_INIT;
	struct json *j = NULL;

	(void)state;
	assert_int_equal(opts_parse(&o, run_options, 11, argv, false, &e), 0);
	assert_int_equal(run_body(&o, false, &out, &a, &e), 0);
	assert_true(a.in && a.out && a.err && a.tty);
	assert_int_equal(json_parse(buf_text(&out), out.n, &j, &e), 0);
	assert_string_equal(json_str(json_get(j, "Image")), "img");
	assert_int_equal(json_len(json_get(j, "Cmd")), 2);
	assert_string_equal(json_str(json_at(json_get(j, "Cmd"), 1)), "-n");
	assert_string_equal(json_str(json_at(json_get(j, "Entrypoint"), 0)), "");
	assert_true(json_bool(json_get(j, "StdinOnce")));
	assert_string_equal(json_str(json_get(json_get(j, "Labels"), "A")), "2");
	assert_int_equal(json_i64(json_get(json_get(j, "HostConfig"), "Memory")), 64 << 20);
	assert_true(json_bool(json_get(json_get(j, "HostConfig"), "AutoRemove")));
	assert_null(json_get(json_get(j, "HostConfig"), "CpuShares"));
	json_free(j);
	buf_done(&out);
	opts_done(&o);
}

static void names(void **state)
{
	static const char *const pairs[][2] = {
		{"busybox", "busybox:latest"},
		{"docker.io/library/busybox:1", "busybox:1"},
		{"docker.io/me/x", "me/x:latest"},
		{"host:5000/a/b", "host:5000/a/b:latest"},
		{"host:5000/a/b:t", "host:5000/a/b:t"},
		{"a@sha256:00", "a@sha256:00"},
		{"a:t@sha256:00", "a@sha256:00"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		AUTO_FREE char *name = image_familiar(pairs[i][0]);
		assert_string_equal(name, pairs[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mounts),
		cmocka_unit_test(ulimits),
		cmocka_unit_test(devices_and_hosts),
		cmocka_unit_test(csv),
		cmocka_unit_test(detach_keys),
		cmocka_unit_test(volumes),
		cmocka_unit_test(bodies),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
