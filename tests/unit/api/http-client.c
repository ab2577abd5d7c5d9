/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking HTTP client of the tests; see http-client.h. */
#include "http-client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/banned.h"

int client_connect(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
	if (connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

void client_send(int fd, const void *p, size_t n)
{
	const char *s = p;

	while (n > 0) {
		ssize_t done = send(fd, s, n, MSG_NOSIGNAL);
		if (done <= 0)
			return;
		s += done;
		n -= (size_t)done;
	}
}

void client_text(int fd, const char *text)
{
	client_send(fd, text, strlen(text));
}

int client_read_head(int fd, struct answer *a)
{
	size_t n = 0;
	char *end;

	memset(a, 0, sizeof *a);
	do { /* byte by byte: nothing of what follows is taken */
		if (n + 1 >= sizeof a->head || read(fd, a->head + n, 1) != 1)
			return -1;
		a->head[++n] = '\0';
		end = strstr(a->head, "\r\n\r\n");
	} while (!end);
	if (strncmp(a->head, "HTTP/1.1 ", 9) != 0)
		return -1;
	for (const char *p = a->head + 9; *p >= '0' && *p <= '9'; p++)
		a->status = a->status * 10 + (*p - '0');
	return 0;
}

static int take(int fd, struct answer *a, size_t n)
{
	a->body = realloc(a->body, a->n + n + 1);
	while (n > 0) {
		ssize_t got = read(fd, a->body + a->n, n);
		if (got <= 0)
			return -1;
		a->n += (size_t)got;
		n -= (size_t)got;
	}
	a->body[a->n] = '\0';
	return 0;
}

static int read_chunks(int fd, struct answer *a)
{
	for (;;) {
		char line[32], c;
		size_t n = 0;
		while (read(fd, &c, 1) == 1 && c != '\n')
			if (n + 1 < sizeof line)
				line[n++] = c;
		line[n] = '\0';
		if (n == 0)
			return -1;
		size_t size = 0;
		for (const char *p = line; *p && *p != '\r'; p++)
			size = size * 16 + (size_t)(*p <= '9' ? *p - '0' : (*p | 32) - 'a' + 10);
		if (take(fd, a, size + 2) < 0)
			return -1;
		a->n -= 2;
		a->body[a->n] = '\0';
		if (size == 0)
			return 0;
	}
}

int client_read(int fd, struct answer *a)
{
	if (client_read_head(fd, a) < 0)
		return -1;
	const char *length = strcasestr(a->head, "\r\nContent-Length: ");
	int rc = 0;
	if (strcasestr(a->head, "\r\nTransfer-Encoding: chunked")) {
		rc = read_chunks(fd, a);
	} else if (length) {
		size_t n = 0;
		for (const char *p = length + 18; *p >= '0' && *p <= '9'; p++)
			n = n * 10 + (size_t)(*p - '0');
		rc = take(fd, a, n);
	}
	a->complete = rc == 0;
	return rc;
}

void answer_done(struct answer *a)
{
	free(a->body);
	memset(a, 0, sizeof *a);
}

int client_call(const char *path, const char *method, const char *target, const char *body,
		struct answer *a)
{
	char head[1024];
	int fd = client_connect(path);
	int rc;

	if (fd < 0)
		return -1;
	snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: d\r\n%s", method, target,
		 body ? "Content-Type: application/json\r\n" : "");
	client_send(fd, head, strlen(head));
	snprintf(head, sizeof head, "Content-Length: %zu\r\n\r\n", body ? strlen(body) : 0);
	client_send(fd, head, strlen(head));
	if (body)
		client_send(fd, body, strlen(body));
	rc = client_read(fd, a);
	close(fd);
	return rc;
}
