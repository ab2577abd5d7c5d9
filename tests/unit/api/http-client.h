/* SPDX-License-Identifier: Apache-2.0 */
/* A small blocking HTTP client for tests; independent of the code under test. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct answer {
	int status;
	char head[4096];
	char *body; /* NUL-terminated; for chunked answers the decoded bytes */
	size_t n;
	bool complete;
};

int client_connect(const char *path);
void client_send(int fd, const void *p, size_t n);
void client_text(int fd, const char *text);
/* Header only: body stays on the socket, at most what came with the header is in `body`. */
int client_read_head(int fd, struct answer *a);
/* Header and body (by length, chunks or end of connection). */
int client_read(int fd, struct answer *a);
void answer_done(struct answer *a);
/* One request on a connection of its own. body NULL: none. */
int client_call(const char *path, const char *method, const char *target, const char *body,
		struct answer *a);
