/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coracle-tls: TLS for the tcp:// sockets of the engine and for the command line, in a process that
 * holds nothing but keys and sockets.
 *
 *   coracle-tls serve TARGET   descriptor 3 listens; descriptor 4 ends with the engine
 *   coracle-tls dial HOST PORT descriptor 0 is the plain side; on 3 goes the reason of a failure,
 *                              or nothing
 *   coracle-tls resolve HOST   prints an address: for programs that are static
 */
#include "base/log.h"
#include "base/opts.h"
#include "tls/tls.h"

#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/banned.h"

#define FD_LISTEN 3
#define FD_ALIVE  4
#define FD_STATUS 3

static const struct opt options[] = {
	{0, "ca", OPT_STR, "file", "Who signs the peer's certificate", NULL, 0},
	{0, "cert", OPT_STR, "file", "Our certificate", NULL, 0},
	{0, "key", OPT_STR, "file", "Our private key", NULL, 0},
	{0, "verify", OPT_BOOL, NULL, "The peer must prove itself", NULL, 0},
	OPT_END,
};

static const char *value(const struct opts *o, const char *name)
{
	return opts_set(o, name) && *opts_str(o, name) ? opts_str(o, name) : NULL;
}

static void connected(void *ud)
{
	close(FD_STATUS);
}

static int serve(const struct opts *o, const struct tls_files *f)
{
	struct err e = ERR_INIT;

	if (tls_serve(FD_LISTEN, FD_ALIVE, o->argv[1], f, &e) == 0)
		return 0;
	log_error("tls: %s", e.text);
	return 1;
}

static int dial(const struct opts *o, const struct tls_files *f)
{
	struct err e = ERR_INIT;

	if (tls_dial(o->argv[1], o->argv[2], 0, f, connected, NULL, &e) == 0)
		return 0;
	dprintf(FD_STATUS, "%s", e.text); /* fails harmlessly once connected */
	return 1;
}

static int resolve(const char *host)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	char text[INET6_ADDRSTRLEN];

	if (getaddrinfo(host, NULL, &hints, &found) != 0)
		return 1;

	int rc = getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0,
			     NI_NUMERICHOST);

	freeaddrinfo(found);
	return rc != 0 || write(STDOUT_FILENO, text, strlen(text)) < 0;
}

int main(int argc, char **argv)
{
	struct opts o = {0};
	struct err e = ERR_INIT;
	int rc = 2;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* keys in memory */
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (opts_parse(&o, options, argc - 1, argv + 1, true, &e) == 0) {
		struct tls_files f = {.ca = value(&o, "ca"),
				      .cert = value(&o, "cert"),
				      .key = value(&o, "key"),
				      .verify = opts_bool(&o, "verify")};

		if (o.argc == 2 && strcmp(o.argv[0], "serve") == 0)
			rc = serve(&o, &f);
		else if (o.argc == 3 && strcmp(o.argv[0], "dial") == 0)
			rc = dial(&o, &f);
		else if (o.argc == 2 && strcmp(o.argv[0], "resolve") == 0)
			rc = resolve(o.argv[1]);
		else
			err_set(&e, ERR_INVALID,
				"usage: coracle-tls serve TARGET | dial HOST PORT | resolve HOST");
	}
	if (rc == 2)
		fprintf(stderr, "coracle-tls: %s\n", e.text);
	opts_done(&o);
	return rc;
}
