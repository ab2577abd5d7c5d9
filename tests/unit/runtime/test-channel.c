/* SPDX-License-Identifier: Apache-2.0 */
/* The channel between the caller and the half-built child: nothing that was said is lost. */
#include "cmocka-all.h"
#include "runtime/runtime-priv.h"
#include "sys/fs.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int ends[2];

static int open_ends(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}

static int close_ends(void **state)
{
	(void)state;
	fd_close(&ends[0]);
	fd_close(&ends[1]);
	return 0;
}

static void fail_and_end(const char *text)
{
	struct err e = ERR_INIT;

	err_set(&e, ERR_NOT_FOUND, "%s", text);
	channel_send_err(ends[1], &e);
	fd_close(&ends[1]);
}

static void test_error_arrives(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	fail_and_end("open bundle /x");
	assert_int_equal(channel_recv(ends[0], NULL, 0, NULL, NULL, &e), -1);
	assert_string_equal(e.text, "open bundle /x");
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

/* The child fails before it has read the gate that was opened for it. */
static void test_error_arrives_behind_an_unread_gate(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(channel_open_gate(ends[0], GATE_CGROUP), 0);
	fail_and_end("open bundle /x");
	assert_int_equal(channel_recv(ends[0], NULL, 0, NULL, NULL, &e), -1);
	assert_string_equal(e.text, "open bundle /x");
}

static void test_silent_end(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(channel_open_gate(ends[0], GATE_CGROUP), 0);
	fd_close(&ends[1]);
	assert_int_equal(channel_recv(ends[0], NULL, 0, NULL, NULL, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_error_arrives, open_ends, close_ends),
		cmocka_unit_test_setup_teardown(test_error_arrives_behind_an_unread_gate, open_ends,
						close_ends),
		cmocka_unit_test_setup_teardown(test_silent_end, open_ends, close_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
