/* SPDX-License-Identifier: Apache-2.0 */
/* Where syslog messages go, and the words of its options. */
#include "logs/logs.h"

#include "base/mem.h"
#include "base/num.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/banned.h"

#define SYSLOG_PORT	514
#define SYSLOG_TLS_PORT 6514

static int path_address(const char *path, struct log_address *ret)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&ret->addr;
	size_t n = strlen(path);

	if (*path != '/' || n >= sizeof un->sun_path)
		return -EINVAL;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, n + 1);
	ret->len = sizeof *un;
	return 0;
}

int log_address_number(struct log_address *a, const char *number)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a->addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a->addr;

	if (inet_pton(AF_INET, number, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(a->port);
		a->len = sizeof *v4;
	} else if (inet_pton(AF_INET6, number, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(a->port);
		a->len = sizeof *v6;
	} else {
		a->addr.ss_family = AF_UNSPEC;
		return -EINVAL;
	}
	return 0;
}

/* What getaddrinfo may be asked for. */
static bool is_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");

	return n > 0 && !s[n] && *s != '-';
}

/* "192.0.2.1:514", "[2001:db8::1]:514", "logs.example:514", all also without the port. */
static int host_address(const char *text, struct log_address *ret)
{
	AUTO_FREE char *host = xstrdup(text);
	char *port, *end, *name = host;
	uint64_t number = ret->tls ? SYSLOG_TLS_PORT : SYSLOG_PORT;
	bool bracket = *name == '[';

	if (bracket) {
		end = strchr(++name, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		port = end[1] ? end + 2 : NULL;
		*end = '\0';
	} else {
		port = strchr(name, ':');
		if (port)
			*port++ = '\0';
	}
	if (strlen(name) >= sizeof ret->host ||
	    (port && num_parse_u64(port, 1, 65535, &number) < 0))
		return -EINVAL;
	memcpy(ret->host, name, strlen(name) + 1);
	ret->port = (uint16_t)number;
	if (log_address_number(ret, name) < 0 && (bracket || !is_name(name)))
		return -EINVAL;
	return 0;
}

int log_address_parse(const char *text, struct log_address *ret)
{
	static const struct {
		const char *prefix, *scheme;
		int type;
		bool path, tls;
	} schemes[] = {
		{"udp://", "udp", SOCK_DGRAM, false, false},
		{"tcp://", "tcp", SOCK_STREAM, false, false},
		{"tcp+tls://", "tcp+tls", SOCK_STREAM, false, true},
		{"unix://", "unix", SOCK_STREAM, true, false},
		{"unixgram://", "unixgram", SOCK_DGRAM, true, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (!str_starts(text, schemes[i].prefix))
			continue;
		*ret = (struct log_address){.type = schemes[i].type,
					    .scheme = schemes[i].scheme,
					    .tls = schemes[i].tls};
		text += strlen(schemes[i].prefix);
		return schemes[i].path ? path_address(text, ret) : host_address(text, ret);
	}
	return strstr(text, "://") ? -EPROTONOSUPPORT : -EINVAL;
}

static int word_index(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (words[i] && strcmp(words[i], word) == 0)
			return (int)i;
	return -EINVAL;
}

int log_syslog_format(const char *name)
{
	static const char *const names[] = {"", "rfc3164", "rfc5424", "rfc5424micro"};

	return word_index(names, ARRAY_SIZE(names), name ? name : "");
}

int log_syslog_facility(const char *name)
{
	static const char *const names[] = {
		"kern",	  "user",   "mail",	"daemon", "auth",   "syslog", "lpr",	"news",
		"uucp",	  "cron",   "authpriv", "ftp",	  NULL,	    NULL,     NULL,	NULL,
		"local0", "local1", "local2",	"local3", "local4", "local5", "local6", "local7"};
	uint64_t number;

	if (!name || !*name)
		name = "daemon";
	if (num_parse_u64(name, 0, ARRAY_SIZE(names) - 1, &number) == 0)
		return (int)number;
	return word_index(names, ARRAY_SIZE(names), name);
}
