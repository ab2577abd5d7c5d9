/* SPDX-License-Identifier: Apache-2.0 */
/* Ports of the host: against whom they are held, and whom they wait for. */
#include "net/hostport.h"

#include "base/attr.h"
#include "cmocka-all.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct ip loopback = {.family = 4, .b = {127, 0, 0, 1}};

/* A server as most are: SO_REUSEADDR, bound, listening. Returns its socket, or -errno. */
static int server(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(*port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 1) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

/* One connection that the server ends: its side of it stays in TIME_WAIT. */
static void serve_one(int listener, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;
	char c;

	assert_int_equal(connect(client, (struct sockaddr *)&a, sizeof a), 0);
	peer = accept(listener, NULL, NULL);
	assert_true(peer >= 0);
	close(peer);
	assert_int_equal(read(client, &c, 1), 0);
	close(client);
}

static void test_listener(void **state)
{
	uint16_t port = 0;
	int s = server(&port);

	(void)state;
	assert_int_equal(hostport_bind(IPPROTO_TCP, loopback, port), -EADDRINUSE);
	close(s);
}

static void test_ended_server(void **state)
{
	uint16_t port = 0;
	int s = server(&port), plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), held;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	(void)state;
	serve_one(s, port);
	close(s);
	a.sin_port = htons(port);
	/* the port is really as this test needs it */
	assert_int_equal(bind(plain, (struct sockaddr *)&a, sizeof a), -1);
	assert_int_equal(errno, EADDRINUSE);
	close(plain);
	held = hostport_bind(IPPROTO_TCP, loopback, port);
	assert_true(held >= 0);
	/* and is held against servers and against us */
	assert_int_equal(server(&port), -EADDRINUSE);
	assert_int_equal(hostport_bind(IPPROTO_TCP, loopback, port), -EADDRINUSE);
	close(held);
	s = server(&port);
	assert_true(s >= 0);
	close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listener),
		cmocka_unit_test(test_ended_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
