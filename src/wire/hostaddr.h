/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of engines as -H, DOCKER_HOST and contexts write them: unix:///PATH, tcp://HOST:PORT,
 * fd://[NAME], ssh://[USER@]HOST[:PORT][/SOCKET]. Pure text; nothing is looked up.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HOSTADDR_MAX 512

enum hostaddr_kind { HOSTADDR_UNIX, HOSTADDR_TCP, HOSTADDR_FD, HOSTADDR_SSH };

struct hostaddr {
	enum hostaddr_kind kind;
	char path[HOSTADDR_MAX]; /* unix: the socket; ssh: the socket over there or "" */
	char host[256];		 /* without the brackets of an IPv6 address; fd: the name or "" */
	char user[64];		 /* ssh, or "" */
	uint16_t port;		 /* 0: none given */
};

/* 0, or -EINVAL for what is none of the four, -ENAMETOOLONG. "tcp://" and "tcp://:2375" leave host
 * empty. */
int hostaddr_parse(const char *text, struct hostaddr *ret);
/* "HOST:PORT", "[::1]:PORT", ":PORT" of listeners. -EINVAL. */
int hostaddr_parse_port(const char *text, struct hostaddr *ret);
/* Is the host a numeric address of the loopback range, or "localhost"? */
bool hostaddr_is_loopback(const char *host);
