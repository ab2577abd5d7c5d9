/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: file, options, conflicts, checks, defaults, reload. */
#include "config/config.h"
#include "base/attr.h"
#include "cmocka-all.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OPTIONS_MAX 8

struct attempt {
	struct config_args args;
	struct config *c;
	struct err e;
	char file[64];
	int fd, rc;
};

static void write_file(struct attempt *t, const char *text)
{
	assert_int_equal(ftruncate(t->fd, 0), 0);
	assert_int_equal(pwrite(t->fd, text, strlen(text), 0), strlen(text));
}

/* Load `text` as the file with the options given (NULL ends). */
static struct attempt *load(const char *text, const char *const *options)
{
	struct attempt *t = test_calloc(1, sizeof(*t));
	char *argv[OPTIONS_MAX];
	int argc = 0;
	static char words[OPTIONS_MAX][128];

	t->fd = memfd_create("config", MFD_CLOEXEC);
	assert_true(t->fd >= 0);
	write_file(t, text);
	snprintf(t->file, sizeof(t->file), "--config-file=/proc/self/fd/%d", t->fd);
	argv[argc++] = t->file;
	for (; options && *options; options++, argc++) {
		snprintf(words[argc], sizeof(words[argc]), "%s", *options);
		argv[argc] = words[argc];
	}
	t->rc = config_args_parse(argc, argv, &t->args, &t->e);
	assert_int_equal(t->rc, 0);
	t->rc = config_load(&t->args, &t->c, &t->e);
	return t;
}

static void done(struct attempt *t)
{
	config_free(t->c);
	config_args_done(&t->args);
	close(t->fd);
	test_free(t);
}

static void refused(const char *text, const char *const *options, const char *why)
{
	struct attempt *t = load(text, options);

	assert_int_equal(t->rc, -1);
	if (!strstr(t->e.text, why) || !strstr(t->e.text, "/proc/self/fd/"))
		fail_msg("%s\ngives: %s\nwithout: %s", text, t->e.text, why);
	done(t);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"{\"foo\":1,\"gc\":{\"bar\":1},\"runtimes\":{\"x\":{\"path\":\"/x\",\"y\":1}}}",
		 "the following directives don't match any configuration option: foo, gc.bar, "
		 "runtimes.x.y"},
		{"{\"Debug\":true}", "don't match any configuration option: Debug"},
		{"{\"default-address-pools\":[{\"base\":\"10.0.0.0/8\",\"size\":24,\"x\":1}]}",
		 "don't match any configuration option: default-address-pools.x"},
		{"{\"exec-opts\":[]}", "Docker's and not built in coracle: exec-opts"},
		{"{\"debug\":\"yes\"}", "debug: expected a boolean, got a string"},
		{"{\"labels\":\"a=b\"}", "labels: expected a list of strings, got a string"},
		{"[]", "the file is not a JSON object"},
		{"{", "unexpected end of input"},
		{"{} {}", "unexpected bytes after the document"},
		{"{\"labels\":[\"a\"]}", "bad attribute format: a"},
		{"{\"labels\":[\"a=b\",\"a=c\"]}", "conflict labels for a=c"},
		{"{\"log-level\":\"loud\"}", "invalid logging level: loud"},
		{"{\"log-format\":\"xml\"}", "invalid log format: xml"},
		{"{\"max-concurrent-downloads\":-1}", "invalid max concurrent downloads: -1"},
		{"{\"max-concurrent-uploads\":1000}", "invalid max concurrent uploads: 1000"},
		{"{\"max-download-attempts\":-2}", "invalid max download attempts: -2"},
		{"{\"shutdown-timeout\":-2}", "invalid shutdown timeout: -2"},
		{"{\"dns\":[\"one\"]}", "one is not an ip address"},
		{"{\"dns-search\":[\"a b\"]}", "a b is not a valid domain"},
		{"{\"bip\":\"10.0.0.1\"}", "bip: 10.0.0.1 is not a network in CIDR form"},
		{"{\"ip\":\"x\"}", "ip: x is not an ip address"},
		{"{\"default-address-pools\":[{\"base\":\"x\",\"size\":24}]}",
		 "invalid pool base=x"},
		{"{\"default-address-pools\":[{\"base\":\"10.0.0.0/8\"}]}",
		 "default-address-pools[0].size: required field is missing"},
		{"{\"registry-mirrors\":[\"ftp://x\"]}", "unsupported scheme \"ftp\""},
		{"{\"registry-mirrors\":[\"x\"]}", "\"x\" is not a valid URI"},
		{"{\"insecure-registries\":[\"http://x\"]}", "insecure registry \"http://x\""},
		{"{\"insecure-registries\":[\"10.0.0.0/33\"]}",
		 "insecure registry \"10.0.0.0/33\""},
		{"{\"default-runtime\":\"x\"}", "specified default runtime 'x' does not exist"},
		{"{\"runtimes\":{\"coracle\":{\"path\":\"/x\"}}}", "'coracle' is reserved"},
		{"{\"runtimes\":{\"x\":{}}}", "either a path or a runtimeType"},
		{"{\"storage-driver\":\"vfs\"}", "\"vfs\" is not supported"},
		{"{\"default-shm-size\":\"1x\"}", "default-shm-size: invalid size"},
		{"{\"default-shm-size\":0}", "default-shm-size: invalid size"},
		{"{\"default-ulimits\":{\"bogus\":{}}}", "invalid ulimit type: bogus"},
		{"{\"default-ulimits\":{\"nofile\":{\"Soft\":3,\"Hard\":2}}}", "3 > 2"},
		{"{\"default-cgroupns-mode\":\"x\"}", "invalid default cgroup namespace (x)"},
		{"{\"default-ipc-mode\":\"host\"}", "IPC mode \"host\" is not supported"},
		{"{\"seccomp-profile\":\"p.json\"}", "neither an absolute path"},
		{"{\"cgroup-parent\":\"/../x\"}", "invalid cgroup-parent"},
		{"{\"hosts\":[\"http://x\"]}", "invalid address \"http://x\""},
		{"{\"hosts\":[\"fd://\",\"fd://\"]}", "is listed twice"},
		{"{\"metrics-addr\":\"localhost\"}", "metrics-addr: invalid address"},
		{"{\"tls\":true}", "tls needs tlscert and tlskey"},
		{"{\"tlsverify\":true,\"tlscert\":\"a\",\"tlskey\":\"b\"}",
		 "tlsverify needs tlscacert"},
		{"{\"features\":{\"x\":1}}", "features.x: expected a boolean"},
		{"{\"gc\":{\"interval\":\"5\"}}", "gc.interval"},
		{"{\"gc\":{\"keep-storage\":\"lots\"}}", "gc.keep-storage: invalid size \"lots\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		refused(rows[i].text, NULL, rows[i].why);
}

static void test_conflicts(void **state)
{
	static const char *const options[] = {"--debug", "--label=c=d", "--log-opt=x=y", NULL};

	(void)state;
	refused("{\"debug\":true,\"labels\":[\"a=b\",\"e=f\"],\"log-opts\":{\"max-size\":\"1m\"}}",
		options,
		"the following directives are specified both as a flag and in the configuration "
		"file: debug: (from flag: true, from file: true), labels: (from flag: [c=d], from "
		"file: [a=b e=f]), log-opts: (from flag: map[x:y], from file: map[max-size:1m])");
}

static void test_null_is_absent(void **state)
{
	static const char *const options[] = {"--debug", NULL};
	struct attempt *t = load("{\"debug\":null,\"labels\":null}", options);

	(void)state;
	assert_int_equal(t->rc, 0);
	assert_int_equal(t->c->debug, 1);
	done(t);
}

static void test_defaults(void **state)
{
	struct attempt *t = load(" \n", NULL);
	const struct config *c = t->c;

	(void)state;
	assert_int_equal(t->rc, 0);
	assert_int_equal(c->hosts.n, 1);
	assert_non_null(strstr(c->hosts.v[0], "/coracle.sock"));
	assert_string_equal(c->log_driver, "json-file");
	assert_int_equal(*c->max_concurrent_downloads, 3);
	assert_int_equal(*c->max_concurrent_uploads, 5);
	assert_int_equal(*c->max_download_attempts, 5);
	assert_int_equal(*c->shutdown_timeout, 15);
	assert_int_equal(c->default_shm_size, 64 << 20);
	assert_int_equal(c->live_restore, 1);
	assert_int_equal(c->debug, -1);
	assert_int_equal(c->tls, -1);
	assert_int_equal(c->gc.enabled, -1);
	assert_int_equal(c->gc.interval_ns, 3600000000000);
	done(t);
}

static void test_values(void **state)
{
	static const char *const options[] = {"--default-ulimit=nofile=1024:2048",
					      "--add-runtime=mine=/usr/bin/mine",
					      "--default-address-pool=base=10.9.0.0/16,size=26",
					      "--feature=x=true",
					      "--http-proxy=http://p:1",
					      NULL};
	struct attempt *t = load(
		"{\"default-shm-size\":\"128M\",\"shutdown-timeout\":0,"
		"\"live-restore\":false,\"max-concurrent-downloads\":0,"
		"\"gc\":{\"enabled\":true,\"keep-storage\":\"20GB\",\"unused-for\":\"24h\"},"
		"\"labels\":[\"zone=a\",\"zones=b\"],\"default-runtime\":\"mine\"}",
		options);
	const struct config *c = t->c;

	(void)state;
	assert_int_equal(t->rc, 0);
	assert_int_equal(c->default_shm_size, 128 << 20);
	assert_int_equal(*c->shutdown_timeout, 0);
	assert_int_equal(*c->max_concurrent_downloads, 3); /* 0 is the default, as dockerd has it */
	assert_int_equal(c->live_restore, -1);
	assert_int_equal(c->gc.enabled, 1);
	assert_true(c->gc.keep_bytes == 20LL << 30);
	assert_true(c->gc.unused_for_ns == 24 * 3600000000000);
	const struct config_ulimit *u = c->default_ulimits.v;
	assert_string_equal(u->name, "nofile");
	assert_int_equal(u->soft, 1024);
	assert_int_equal(u->hard, 2048);
	const struct config_runtime *r = c->runtimes.v;
	assert_string_equal(c->runtimes.k[0], "mine");
	assert_string_equal(r->path, "/usr/bin/mine");
	const struct config_pool *p = c->default_address_pools.v;
	assert_string_equal(p->base, "10.9.0.0/16");
	assert_int_equal(p->size, 26);
	assert_string_equal(c->features, "{\"x\":true}");
	assert_string_equal(c->proxies.http, "http://p:1");
	assert_string_equal(config_label(c, "zone"), "a");
	assert_null(config_label(c, "zon"));
	done(t);
}

static void test_reload(void **state)
{
	struct attempt *t = load("{\"debug\":false,\"data-root\":\"/one\",\"hosts\":[\"fd://\"]}",
				 NULL);
	struct buf kept = BUF_INIT(1024);
	struct config *next = NULL;

	(void)state;
	assert_int_equal(t->rc, 0);
	write_file(t, "{\"debug\":true,\"data-root\":\"/two\",\"labels\":[\"a=b\"]}");
	assert_int_equal(config_reload(&t->args, t->c, &next, &kept, &t->e), 0);
	assert_string_equal(buf_text(&kept), "data-root, hosts");
	assert_string_equal(next->data_root, "/one");
	assert_string_equal(next->hosts.v[0], "fd://");
	assert_int_equal(next->debug, 1);
	assert_string_equal(next->labels.v[0], "a=b");
	config_free(t->c);
	t->c = next;
	/* The next one is compared with what is in force. */
	write_file(t, "{\"data-root\":\"/one\",\"hosts\":[\"fd://\"]}");
	buf_reset(&kept);
	next = NULL;
	assert_int_equal(config_reload(&t->args, t->c, &next, &kept, &t->e), 0);
	assert_int_equal(kept.n, 0);
	assert_int_equal(next->debug, -1);
	assert_int_equal(next->labels.n, 0);
	config_free(next);
	write_file(t, "{\"debug\":3}");
	next = NULL;
	assert_int_equal(config_reload(&t->args, t->c, &next, &kept, &t->e), -1);
	assert_null(next);
	buf_done(&kept);
	done(t);
}

static void test_options(void **state)
{
	struct config_args a;
	struct err e = ERR_INIT;
	char bad[] = "--bogus", word[] = "word";
	char *one[] = {bad}, *two[] = {word};

	(void)state;
	assert_int_equal(config_args_parse(1, one, &a, &e), -1);
	assert_string_equal(e.text, "unknown flag: --bogus");
	config_args_done(&a);
	assert_int_equal(config_args_parse(1, two, &a, &e), -1);
	assert_string_equal(e.text, "unexpected argument \"word\"");
	config_args_done(&a);
}

/* Each option sets a key of the table, or is one of the few that set none. */
static void test_options_have_keys(void **state)
{
	static const char *const none[] = {"config-file", "http-proxy", "https-proxy",
					   "no-proxy",	  "validate",	"version"};

	(void)state;
	for (const struct opt *o = config_options; o->name; o++) {
		struct config_args a;
		struct err e = ERR_INIT;
		struct buf text = BUF_INIT(4096);
		char word[128];
		char *argv[] = {word};
		bool plain = false;

		for (size_t i = 0; i < ARRAY_SIZE(none); i++)
			plain = plain || !strcmp(none[i], o->name);
		snprintf(word, sizeof(word), "--%s=%s", o->name,
			 o->type == OPT_BOOL ? "true" : "1");
		assert_int_equal(config_args_parse(1, argv, &a, &e), 0);
		config_args_json(&a, &text);
		if (!plain && !strcmp(buf_text(&text), "{}"))
			fail_msg("--%s sets no key", o->name);
		buf_done(&text);
		config_args_done(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),	       cmocka_unit_test(test_conflicts),
		cmocka_unit_test(test_null_is_absent), cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),	       cmocka_unit_test(test_reload),
		cmocka_unit_test(test_options),	       cmocka_unit_test(test_options_have_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
