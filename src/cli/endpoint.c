/* SPDX-License-Identifier: Apache-2.0 */
/* See endpoint.h. */
#include "cli/endpoint.h"

#include "base/buf.h"
#include "base/mem.h"
#include "cli/config-dir.h"
#include "cli/context.h"

#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define PORT_PLAIN 2375
#define PORT_TLS   2376

const struct opt global_options[] = {
	{0, "config", OPT_STR, NULL, "Folder of the client's files", "~/.docker", 0},
	{'c', "context", OPT_STR, NULL,
	 "Name of the context to use (overrides CORACLE_HOST and DOCKER_HOST)", NULL, 0},
	{'D', "debug", OPT_BOOL, NULL, "Debug messages", NULL, 0},
	{'H', "host", OPT_LIST, NULL, "Engine to connect to (unix://, tcp://, ssh://)", NULL, 0},
	{'l', "log-level", OPT_STR, NULL,
	 "Messages to show (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")", "info", 0},
	{0, "tls", OPT_BOOL, NULL, "Use TLS; implied by --tlsverify", NULL, 0},
	{0, "tlscacert", OPT_STR, NULL, "Trust only certificates signed by this CA",
	 "~/.docker/ca.pem", 0},
	{0, "tlscert", OPT_STR, NULL, "TLS certificate", "~/.docker/cert.pem", 0},
	{0, "tlskey", OPT_STR, NULL, "TLS key", "~/.docker/key.pem", 0},
	{0, "tlsverify", OPT_BOOL, NULL, "Use TLS and verify the engine", NULL, 0},
	{'v', "version", OPT_BOOL, NULL, "Print version information and quit", NULL, 0},
	OPT_END,
};

void endpoint_done(struct endpoint *p)
{
	free(p->host);
	free(p->context);
	free(p->ca);
	free(p->cert);
	free(p->key);
	*p = (struct endpoint){0};
}

char *endpoint_default_host(void)
{
	const char *home = secure_getenv("CORACLE_HOME");
	AUTO_FREE char *cwd = NULL;

	if (!home || !*home)
		return xstrdup("unix:///run/coracle/coracle.sock");
	if (home[0] != '/')
		cwd = getcwd(NULL, 0);
	return xasprintf("unix://%s%s%s/run/coracle.sock", cwd ? cwd : "", cwd ? "/" : "", home);
}

static const char *env(const char *name)
{
	const char *v = secure_getenv(name);

	return v && *v ? v : NULL;
}

static bool given(const struct opts *o, const char *name)
{
	return o->table && opts_set(o, name);
}

void endpoint_name(const struct opts *o, struct endpoint *p)
{
	static const char *const hosts[] = {"CORACLE_HOST", "CORACLE_HOME", "DOCKER_HOST"};

	if (given(o, "context")) {
		p->context = xstrdup(opts_str(o, "context"));
		return;
	}
	for (size_t i = 0; !given(o, "host") && i < ARRAY_SIZE(hosts); i++) {
		if (!env(hosts[i]))
			continue;
		if (strcmp(hosts[i], "CORACLE_HOME") != 0)
			p->host = xstrdup(env(hosts[i]));
		p->variable = hosts[i];
		p->context = xstrdup(CONTEXT_DEFAULT);
		return;
	}
	if (given(o, "host")) {
		p->host = xstrdup(opts_get(o, "host")->v[0]);
		p->context = xstrdup(CONTEXT_DEFAULT);
	} else if (env("DOCKER_CONTEXT")) {
		p->variable = "DOCKER_CONTEXT";
		p->context = xstrdup(env("DOCKER_CONTEXT"));
	} else {
		p->context = context_chosen();
		if (!p->context)
			p->context = xstrdup(CONTEXT_DEFAULT);
	}
}

static int from_context(struct endpoint *p, struct err *e)
{
	AUTO_CONTEXT struct context x = {0};

	if (context_load(p->context, &x, e) < 0)
		return err_wrap(e, "unable to resolve docker endpoint");
	if (!x.host || !*x.host)
		return err_set(e, ERR_INVALID, "context \"%s\" has no docker endpoint", x.name);
	p->host = TAKE_PTR(x.host);
	p->ca = TAKE_PTR(x.files[CONTEXT_CA]);
	p->cert = TAKE_PTR(x.files[CONTEXT_CERT]);
	p->key = TAKE_PTR(x.files[CONTEXT_KEY]);
	p->tls = p->ca || p->cert || x.skip_verify;
	p->verify = !x.skip_verify;
	return 0;
}

/* A file given must be there when it is used; a default one may be missing. */
static char *pem(const struct opts *o, const char *option, const char *name)
{
	const char *dir = env("DOCKER_CERT_PATH");
	char *path;

	if (given(o, option))
		return *opts_str(o, option) ? xstrdup(opts_str(o, option)) : NULL;
	path = dir ? xasprintf("%s/%s", dir, name) : config_path(name);
	if (path && access(path, F_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static void tls_options(const struct opts *o, struct endpoint *p)
{
	bool verify = given(o, "tlsverify") ? opts_bool(o, "tlsverify")
					    : env("DOCKER_TLS_VERIFY") != NULL;

	p->verify = verify;
	p->tls = verify || (given(o, "tls") && opts_bool(o, "tls"));
	if (!p->tls)
		return;
	p->ca = pem(o, "tlscacert", "ca.pem");
	p->cert = pem(o, "tlscert", "cert.pem");
	p->key = pem(o, "tlskey", "key.pem");
}

static int parse_host(struct endpoint *p, struct err *e)
{
	AUTO_FREE char *text = strstr(p->host, "://") ? xstrdup(p->host)
						      : xasprintf("tcp://%s", p->host);

	if (hostaddr_parse(text, &p->addr) < 0 || p->addr.kind == HOSTADDR_FD)
		return err_set(
			e, ERR_INVALID,
			"unable to parse docker host `%s`: use unix:///PATH, tcp://HOST:PORT "
			"or ssh://[USER@]HOST",
			p->host);
	if (p->addr.kind != HOSTADDR_TCP)
		return 0;
	if (!p->addr.port)
		p->addr.port = p->tls ? PORT_TLS : PORT_PLAIN;
	return 0;
}

int endpoint_find(const struct opts *o, struct endpoint *p, struct err *e)
{
	if (given(o, "host") && given(o, "context"))
		return err_set(e, ERR_INVALID,
			       "conflicting options: cannot specify both --host and --context");
	if (given(o, "host") && opts_get(o, "host")->n > 1)
		return err_set(e, ERR_INVALID, "specify only one -H");
	endpoint_name(o, p);
	if (!p->host && strcmp(p->context, CONTEXT_DEFAULT) != 0) {
		if (from_context(p, e) < 0)
			return -1;
	} else if (!p->host) {
		p->host = endpoint_default_host();
		p->ours = true;
	}
	if (strcmp(p->context, CONTEXT_DEFAULT) == 0)
		tls_options(o, p);
	return parse_host(p, e);
}
