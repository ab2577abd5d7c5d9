/* SPDX-License-Identifier: Apache-2.0 */
/* login, logout: credentials are tried by the engine and kept on the client's side. */
#include "cli/auth.h"
#include "cli/commands.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <termios.h>

#include "base/banned.h"

#define LINE_LIMIT 4096

/* A line of stdin without its end; unbuffered, so that what follows stays for others. */
static char *read_line(struct err *e)
{
	char text[LINE_LIMIT];
	size_t n = 0;
	ssize_t got;

	while ((got = read(0, text + n, 1)) == 1 && text[n] != '\n')
		if (++n == sizeof text - 1)
			break;
	if (got < 0 || n == sizeof text - 1) {
		explicit_bzero(text, sizeof text);
		err_set(e, ERR_INVALID,
			got < 0 ? "cannot read from stdin" : "the input is too long");
		return NULL;
	}
	if (n && text[n - 1] == '\r')
		n--;
	char *line = xstrndup(text, n);
	explicit_bzero(text, sizeof text);
	return line;
}

static void trim(char *s)
{
	size_t n = strlen(s), from = strspn(s, " \t");

	while (n > from && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	memmove(s, s + from, n - from);
	s[n - from] = '\0';
}

/* All of stdin, its last line end removed. */
static char *read_secret(struct err *e)
{
	struct buf text = BUF_INIT(LINE_LIMIT);
	char part[512];
	ssize_t n;

	while ((n = read(0, part, sizeof part)) > 0)
		buf_add(&text, part, (size_t)n);
	explicit_bzero(part, sizeof part);
	if (n < 0 || text.overflow) {
		buf_done(&text);
		err_set(e, ERR_INVALID,
			n < 0 ? "cannot read from stdin" : "the password is too long");
		return NULL;
	}
	if (text.n && text.p[text.n - 1] == '\n')
		text.p[--text.n] = '\0';
	if (text.n && text.p[text.n - 1] == '\r')
		text.p[--text.n] = '\0';
	return buf_take(&text);
}

static char *ask_user(const char *known, struct err *e)
{
	if (known && *known)
		printf("Username (%s): ", known);
	else
		printf("Username: ");
	fflush(stdout);
	char *line = read_line(e);
	if (!line)
		return NULL;
	trim(line);
	if (!*line && known) {
		free(line);
		line = xstrdup(known);
	}
	if (*line)
		return line;
	free(line);
	err_set(e, ERR_INVALID, "Error: Non-null Username Required");
	return NULL;
}

static char *ask_secret(struct err *e)
{
	struct termios before, silent;
	bool terminal = tcgetattr(0, &before) == 0;

	if (terminal) { /* before the prompt: who answers at once is not echoed either */
		silent = before;
		silent.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(0, TCSAFLUSH, &silent);
	}
	printf("Password: ");
	fflush(stdout);
	char *line = read_line(e);
	if (terminal)
		tcsetattr(0, TCSAFLUSH, &before);
	printf("\n");
	if (line && !*line) {
		free(TAKE_PTR(line));
		err_set(e, ERR_INVALID, "Error: Password Required");
	}
	return line;
}

/* The argument is readable for everybody in /proc/PID/cmdline: take it away from there. */
static char *take_argument(const struct opts *o, const char *name)
{
	union {
		const char *text;
		char *argument;
	} u = {.text = opts_str(o, name)};
	char *copy = xstrdup(u.text);

	if (*u.text)
		explicit_bzero(u.argument, strlen(u.argument));
	return copy;
}

static int try_login(struct cli *c, struct auth *a, char **ret_status, struct err *e)
{
	struct buf body = BUF_INIT(64U << 10);
	struct jw w = JW_INIT(&body);
	AUTO(json) struct json *answer = NULL;

	jw_obj(&w);
	jw_kv_str(&w, "username", a->user ? a->user : "");
	jw_kv_str(&w, "password", a->secret ? a->secret : "");
	if (a->identity_token)
		jw_kv_str(&w, "identitytoken", a->identity_token);
	jw_kv_str(&w, "serveraddress", a->server);
	jw_obj_end(&w);
	int rc = client_json(c, "POST", "/auth", buf_text(&body), &answer, e);
	explicit_bzero(body.p, body.n);
	buf_done(&body);
	if (rc < 0)
		return -1;
	const char *token = json_str(json_get(answer, "IdentityToken"));
	if (token && *token) {
		free(a->identity_token);
		a->identity_token = xstrdup(token);
		if (a->secret)
			explicit_bzero(a->secret, strlen(a->secret));
	}
	const char *status = json_str(json_get(answer, "Status"));
	*ret_status = xstrdup(status ? status : "");
	return 0;
}

static int keep(const struct auth *a, struct err *e)
{
	AUTO_FREE char *plain = NULL;

	if (auth_store(a, &plain, e) < 0)
		return err_wrap(e, "Error saving credentials");
	if (plain && a->secret && *a->secret) {
		fflush(stdout);
		fprintf(stderr,
			"\nWARNING! Your credentials are stored unencrypted in '%s'.\n"
			"Configure a credential helper to remove this warning. See\n"
			"https://docs.docker.com/go/credential-store/\n\n",
			plain);
	}
	return 0;
}

/* What was given, else what the user types. */
static int ask(struct auth *a, char *user, char *secret, struct err *e)
{
	AUTO_FREE char *known = TAKE_PTR(a->user);

	free(a->identity_token);
	a->identity_token = NULL;
	if (!*secret && !isatty(0)) {
		free(user);
		free(secret);
		return err_set(e, ERR_INVALID,
			       "Error: Cannot perform an interactive login from a non TTY device");
	}
	trim(user);
	if (!*user) {
		free(user);
		user = ask_user(known, e);
	}
	if (user && !*secret) {
		free(secret);
		secret = ask_secret(e);
	}
	if (a->secret)
		explicit_bzero(a->secret, strlen(a->secret));
	free(a->secret);
	a->user = user;
	a->secret = secret;
	return user && secret ? 0 : -1;
}

/* 1: what was stored before still opens the registry. */
static int try_stored(struct cli *c, struct auth *a, char **ret_status)
{
	struct err e = ERR_INIT;

	fprintf(stderr, "Authenticating with existing credentials... [Username: %s]\n", a->user);
	fprintf(stderr,
		"\n Info -> To login with a different account, run '%s logout' followed by "
		"'%s login'\n\n\n",
		CLI_NAME, CLI_NAME);
	if (try_login(c, a, ret_status, &e) == 0)
		return 1;
	fprintf(stderr, "Login did not succeed, error: %s\n", e.text);
	return 0;
}

static int login(struct cli *c, struct opts *o, char *user, char *secret, struct err *e)
{
	AUTO_AUTH struct auth a = {0};
	AUTO_FREE char *status = NULL;
	const char *given = o->argc ? o->argv[0] : "";
	bool hub = !*given || !strcmp(given, "docker.io");
	AUTO_FREE char *server = hub ? xstrdup(AUTH_HUB_SERVER) : auth_hostname(given);
	struct err ignored = ERR_INIT;
	bool done = false;

	if (!*user && !*secret && auth_find(server, NULL, &a, &ignored) < 0)
		fprintf(stderr, "WARNING: %s\n", ignored.text);
	free(a.server);
	a.server = xstrdup(server);
	if (a.user && *a.user && a.secret && *a.secret)
		done = try_stored(c, &a, &status);
	if (done) {
		free(user);
		free(secret);
	} else {
		if (ask(&a, user, secret, e) < 0 || try_login(c, &a, &status, e) < 0)
			return -1;
	}
	if (keep(&a, e) < 0)
		return -1;
	if (*status)
		printf("%s\n", status);
	return 0;
}

int cmd_login(struct cli *c, struct opts *o)
{
	struct err e = ERR_INIT;
	AUTO_FREE char *user = xstrdup(opts_str(o, "username"));
	AUTO_FREE char *secret = take_argument(o, "password");

	if (opts_set(o, "password")) {
		fprintf(stderr, "WARNING! Using --password via the CLI is insecure. Use "
				"--password-stdin.\n");
		if (opts_bool(o, "password-stdin")) {
			fprintf(stderr, "conflicting options: cannot specify both --password and "
					"--password-stdin\n");
			return 1;
		}
	}
	if (opts_bool(o, "password-stdin")) {
		if (!*user) {
			fprintf(stderr,
				"the --password-stdin option requires --username to be set\n");
			return 1;
		}
		free(secret);
		secret = read_secret(&e);
		if (!secret)
			return cli_fail(c, &e);
	}
	return login(c, o, TAKE_PTR(user), TAKE_PTR(secret), &e) < 0 ? cli_fail(c, &e) : 0;
}

int cmd_logout(struct cli *c, struct opts *o)
{
	const char *given = o->argc ? o->argv[0] : "";
	bool hub = !*given || !strcmp(given, "docker.io");
	AUTO_FREE char *host = hub ? xstrdup(AUTH_HUB_SERVER) : auth_hostname(given);
	AUTO_FREE char *http = xasprintf("http://%s", host);
	AUTO_FREE char *https = xasprintf("https://%s", host);
	const char *const keys[] = {hub ? host : given, host, http, https};
	AUTO_BUF struct buf errors = BUF_INIT(64U << 10);
	size_t failed = 0, tried = 0;

	printf("Removing login credentials for %s\n", host);
	fflush(stdout);
	for (size_t i = 0; i < (hub ? 1 : ARRAY_SIZE(keys)); i++) {
		struct err e = ERR_INIT;
		if ((i == 1 && !strcmp(keys[1], keys[0])) || (i != 1 && i && !auth_known(keys[i])))
			continue;
		tried++;
		if (auth_erase(keys[i], &e) < 0) {
			failed++;
			buf_addf(&errors, "%s: %s\n", keys[i], e.text);
		}
	}
	if (failed == tried) {
		fprintf(stderr, "WARNING: could not erase credentials:\n%s", buf_text(&errors));
		return 0;
	}
	return 0;
}
