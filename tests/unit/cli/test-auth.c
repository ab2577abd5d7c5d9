/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials: which key an image belongs to, files and helpers, changes that keep the rest. */
#include "cli/auth.h"
#include "base/buf.h"
#include "base/json.h"
#include "sys/fs.h"
#include "wire/base64.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cmocka-all.h"

static char dir[64];

static int setup(void **state)
{
	snprintf(dir, sizeof dir, "/dev/shm/coracle-auth.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	AUTO_FREE char *docker = xasprintf("%s/docker", dir);
	AUTO_FREE char *home = xasprintf("%s/home", dir);
	AUTO_FREE char *path = xasprintf("%s/bin:/usr/bin:/bin", dir);
	setenv("DOCKER_CONFIG", docker, 1);
	setenv("HOME", home, 1);
	setenv("PATH", path, 1);
	unsetenv("REGISTRY_AUTH_FILE");
	unsetenv("XDG_RUNTIME_DIR");
	unsetenv("XDG_CONFIG_HOME");
	return 0;
}

static int teardown(void **state)
{
	return fs_remove_tree(AT_FDCWD, dir);
}

static void put(const char *name, mode_t mode, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, name);
	AUTO_FREE char *parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	fs_mkdirs(parent, 0755);
	assert_int_equal(fs_write_atomic(AT_FDCWD, path, text, strlen(text), mode, false), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static char *get(const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, name);
	struct buf text = BUF_INIT(1 << 20);
	assert_int_equal(fs_read_path(path, &text), 0);
	return buf_take(&text);
}

static void assert_user(const char *server, const char *path, const char *user, const char *secret)
{
	AUTO_AUTH struct auth a = {0};
	struct err e = ERR_INIT;
	if (auth_find(server, path, &a, &e) < 0)
		fail_msg("%s: %s", server, e.text);
	if (!user) {
		assert_true(auth_is_empty(&a));
		return;
	}
	assert_non_null(a.user);
	assert_string_equal(a.user, user);
	assert_string_equal(a.secret, secret);
}

static void test_server(void **state)
{
	static const char *const rows[][2] = {
		{"alpine", AUTH_HUB_SERVER},
		{"me/app:1", AUTH_HUB_SERVER},
		{"docker.io/library/alpine", AUTH_HUB_SERVER},
		{"index.docker.io/a/b", AUTH_HUB_SERVER},
		{"localhost/a", "localhost"},
		{"localhost:5000/a/b:1", "localhost:5000"},
		{"reg.example/a@sha256:00", "reg.example"},
		{"Reg/a", "Reg"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_FREE char *s = auth_server_of(rows[i][0]);
		assert_string_equal(s, rows[i][1]);
	}
	AUTO_FREE char *host = auth_hostname("https://h:1/v2/");
	assert_string_equal(host, "h:1");
}

static void test_file(void **state)
{
	put("docker/config.json", 0600,
	    "{\"auths\":{\"r.example\":{\"auth\":\"dTpwOng=\"},\"https://old.example/v1/\":"
	    "{\"username\":\"o\",\"password\":\"q\"},\"t.example\":{\"identitytoken\":\"tok\"},"
	    "\"odd.example\":7,\"bad.example\":{\"auth\":\"***\"}}}");
	assert_user("r.example", NULL, "u", "p:x");
	assert_user("old.example", NULL, "o", "q");
	assert_user("odd.example", NULL, NULL, NULL);
	assert_user("bad.example", NULL, NULL, NULL);
	assert_user("none.example", NULL, NULL, NULL);
	AUTO_AUTH struct auth a = {0};
	struct err e = ERR_INIT;
	assert_int_equal(auth_find("t.example", NULL, &a, &e), 0);
	assert_string_equal(a.identity_token, "tok");
	put("docker/config.json", 0600, "{\"auths\":");
	assert_int_equal(auth_find("r.example", NULL, &a, &e), -1);
	assert_non_null(strstr(e.text, "config.json"));
}

static void test_podman(void **state)
{
	put("docker/config.json", 0600, "{\"auths\":{\"r.example\":{\"auth\":\"ZDpk\"}}}");
	put("home/.config/containers/auth.json", 0600,
	    "{\"auths\":{\"r.example\":{\"auth\":\"eDp4\"},\"p.example/team\":{\"auth\":\"dDp0\"},"
	    "\"p.example\":{\"auth\":\"cDpw\"},\"docker.io\":{\"auth\":\"aDpo\"}}}");
	assert_user("r.example", "a", "d", "d"); /* Docker's file is asked first */
	assert_user("p.example", "team/app", "t", "t");
	assert_user("p.example", "other/app", "p", "p");
	assert_user(AUTH_HUB_SERVER, "library/alpine", "h", "h");
	put("own.json", 0600, "{\"auths\":{\"p.example\":{\"auth\":\"Zzpn\"}}}");
	AUTO_FREE char *own = xasprintf("%s/own.json", dir);
	setenv("REGISTRY_AUTH_FILE", own, 1);
	assert_user("p.example", "team/app", "g", "g");
	assert_user(AUTH_HUB_SERVER, "library/alpine", NULL, NULL);
}

static void test_change(void **state)
{
	AUTO_FREE char *plain = NULL;
	struct err e = ERR_INIT;
	char user[] = "u", secret[] = "s", server[] = "new.example";
	struct auth a = {.server = server, .user = user, .secret = secret};
	struct stat st;

	put("docker/real.json", 0644,
	    "{\"psFormat\":\"x\",\"auths\":{\"r.example\":{\"auth\":\"dTpw\",\"email\":\"e\"}},"
	    "\"plugins\":{\"a\":{\"b\":[1,2.5,null]}}}");
	AUTO_FREE char *link = xasprintf("%s/docker/config.json", dir);
	assert_int_equal(symlink("real.json", link), 0);
	assert_int_equal(auth_store(&a, &plain, &e), 0);
	assert_string_equal(plain, link);
	AUTO_FREE char *text = get("docker/real.json");
	assert_string_equal(text,
			    "{\n\t\"psFormat\": \"x\",\n\t\"auths\": {\n\t\t\"r.example\": {\n"
			    "\t\t\t\"auth\": \"dTpw\",\n\t\t\t\"email\": \"e\"\n\t\t},\n"
			    "\t\t\"new.example\": {\n\t\t\t\"auth\": \"dTpz\"\n\t\t}\n\t},\n"
			    "\t\"plugins\": {\n\t\t\"a\": {\n\t\t\t\"b\": [\n\t\t\t\t1,\n"
			    "\t\t\t\t2.5,\n\t\t\t\tnull\n\t\t\t]\n\t\t}\n\t}\n}");
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(link, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(auth_erase("new.example", &e), 0);
	assert_user("new.example", NULL, NULL, NULL);
	assert_user("r.example", NULL, "u", "p");
	put("docker/real.json", 0600, "not json");
	assert_int_equal(auth_store(&a, &plain, &e),
			 -1); /* what it cannot read it does not replace */
	AUTO_FREE char *kept = get("docker/real.json");
	assert_string_equal(kept, "not json");
}

#define HELPER                                                                                     \
	"#!/bin/sh\n"                                                                              \
	"d=$(dirname \"$0\")\n"                                                                    \
	"case $1 in\n"                                                                             \
	"store) cat >\"$d/kept\" ;;\n"                                                             \
	"get) read -r s; grep -q \"\\\"$s\\\"\" \"$d/kept\" 2>/dev/null || {\n"                    \
	"  echo 'credentials not found in native keychain'; exit 1; }; cat \"$d/kept\" ;;\n"       \
	"erase) rm -f \"$d/kept\" ;;\n"                                                            \
	"esac\n"

static void test_helper(void **state)
{
	AUTO_FREE char *plain = NULL;
	struct err e = ERR_INIT;
	char user[] = "u", secret[] = "very secret", server[] = "h.example", token[] = "tok";
	struct auth a = {.server = server, .user = user, .secret = secret};

	put("bin/docker-credential-test", 0755, HELPER);
	put("docker/config.json", 0600,
	    "{\"credHelpers\":{\"h.example\":\"test\",\"up.example\":\"../bin/x\",\"gone.example\":"
	    "\"gone\"}}");
	assert_user("h.example", NULL, NULL, NULL);
	assert_int_equal(auth_store(&a, &plain, &e), 0);
	assert_null(plain);
	AUTO_FREE char *text = get("docker/config.json");
	assert_null(strstr(text, "secret"));
	assert_non_null(strstr(text, "\"h.example\": {}"));
	assert_user("h.example", NULL, "u", "very secret");
	assert_int_equal(auth_erase("h.example", &e), 0);
	assert_user("h.example", NULL, NULL, NULL);
	a.identity_token = token;
	assert_int_equal(auth_store(&a, &plain, &e), 0);
	AUTO_AUTH struct auth got = {0};
	assert_int_equal(auth_find("h.example", NULL, &got, &e), 0);
	assert_string_equal(got.identity_token, "tok");
	assert_null(got.user);
	assert_int_equal(auth_find("up.example", NULL, &got, &e), -1);
	assert_int_equal(auth_find("gone.example", NULL, &got, &e), -1);
	assert_non_null(strstr(e.text, "docker-credential-gone"));
}

static void test_header(void **state)
{
	char user[] = "u", secret[] = "p?>", server[] = "h.example";
	struct auth a = {.server = server, .user = user, .secret = secret};
	AUTO_BUF struct buf json = BUF_INIT(4096);
	char *h = auth_header_of(&a);

	assert_true(str_starts(h, "X-Registry-Auth: ") && str_ends(h, "\r\n"));
	assert_true(base64_decode_any(h + 17, strlen(h + 17), &json));
	assert_string_equal(buf_text(&json), "{\"username\":\"u\",\"password\":\"p?>\","
					     "\"serveraddress\":\"h.example\"}");
	auth_header_free(h);
	assert_null(auth_header_of(&(struct auth){.server = server}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_server, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_podman, setup, teardown),
		cmocka_unit_test_setup_teardown(test_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_helper, setup, teardown),
		cmocka_unit_test_setup_teardown(test_header, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
