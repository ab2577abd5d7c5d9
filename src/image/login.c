/* SPDX-License-Identifier: Apache-2.0 */
/* image_login(): do these credentials open the registry? Nothing is kept here; clients keep them.
 */
#include "image/registry-priv.h"
#include "image/service-priv.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

struct login {
	struct image_job job;
	struct registry *registry;
	struct registry_call *call;
};

static void login_drop(struct image_job *j)
{
	struct login *l = CONTAINER_OF(j, struct login, job);
	registry_cancel(l->call);
	registry_close(l->registry);
	free(l);
}

static void login_done(void *ud, const struct http_response *resp, const struct buf *body,
		       const struct err *e)
{
	struct login *l = ud;
	struct err err = ERR_INIT;
	l->call = NULL;
	if (e && e->kind == ERR_UNAUTHORIZED && resp->status == 401)
		err_set(&err, ERR_UNAUTHORIZED,
			"login attempt to %s failed with status: 401 Unauthorized",
			registry_base(l->registry));
	else if (e)
		err = *e;
	/* A copy: job_end() closes the session that holds it. */
	AUTO_FREE char *token = xstrdup(e ? "" : registry_identity(l->registry));
	job_end(&l->job, token, e ? &err : NULL);
	explicit_bzero(token, strlen(token));
}

/* "https://index.docker.io/v1/", "host:port", "http://host/": the host part. */
static void server_host(const char *server, char *host, size_t n)
{
	const char *p = server ? strstr(server, "://") : NULL;
	p = p ? p + 3 : server ? server : "";
	snprintf(host, n, "%.*s", (int)strcspn(p, "/"), p);
	if (!*host || !strcmp(host, "index.docker.io") || !strcmp(host, "registry-1.docker.io"))
		snprintf(host, n, IMAGE_REF_HUB);
}

int image_login(struct image_service *s, const struct image_login *o,
		const struct image_job_events *ev, struct image_job **ret, struct err *e)
{
	struct auth_credentials auth = {0};
	struct image_ref ref = {0};
	server_host(o->server, ref.domain, sizeof(ref.domain));
	if ((size_t)snprintf(auth.user, sizeof(auth.user), "%s", o->user ? o->user : "") >=
		    sizeof(auth.user) ||
	    (size_t)snprintf(auth.secret, sizeof(auth.secret), "%s", o->secret ? o->secret : "") >=
		    sizeof(auth.secret) ||
	    (size_t)snprintf(auth.identity_token, sizeof(auth.identity_token), "%s",
			     o->identity_token ? o->identity_token : "") >=
		    sizeof(auth.identity_token)) {
		auth_credentials_wipe(&auth);
		return err_set(e, ERR_INVALID, "the credentials are too long");
	}
	struct login *l = NEW(struct login);
	job_init(&l->job, s, ev, login_drop);
	l->registry = registry_open(&(struct registry_options){
		.service = s, .ref = &ref, .auth = &auth, .actions = "", .offline = true});
	auth_credentials_wipe(&auth);
	struct registry_request q = {.method = "GET", .path = "/", .done = login_done, .ud = l};
	registry_start(l->registry, &q, &l->call);
	*ret = &l->job;
	return 0;
}
