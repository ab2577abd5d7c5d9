/* SPDX-License-Identifier: Apache-2.0 */
/* What a registry answered, in Docker's words. */
#include "image/session-priv.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

/* When it makes sense to come again, if the registry said so; what it wanted besides. */
static void add_advice(const struct http_response *resp, struct err *e)
{
	int64_t s = resp->retry_after >= 0 ? resp->retry_after : resp->rate_reset;
	size_t n = strlen(e->text);
	if ((resp->status == 429 || resp->status == 503) && s > 0)
		snprintf(e->text + n, sizeof(e->text) - n,
			 " (the registry asks to wait %lld seconds)", (long long)s);
	else if (resp->cert_missing && resp->status >= 400 && resp->status <= 403)
		snprintf(e->text + n, sizeof(e->text) - n,
			 " (the registry asked for a client certificate, and none that it takes is "
			 "configured)");
}

void registry_status_error(const struct http_response *resp, const struct buf *body, struct err *e)
{
	struct err ignored = ERR_INIT;
	AUTO(json) struct json *j = NULL;
	enum err_kind kind = resp->status == 401   ? ERR_UNAUTHORIZED
			     : resp->status == 403 ? ERR_DENIED
			     : resp->status == 404 ? ERR_NOT_FOUND
						   : ERR_REMOTE;
	if (body->n && json_parse(buf_text(body), body->n, &j, &ignored) == 0) {
		struct json *first = json_at(json_get(j, "errors"), 0);
		const char *code = json_str(json_get(first, "code"));
		const char *msg = json_str(json_get(first, "message"));
		if (!code && json_str(json_get(j, "details"))) {
			msg = json_str(json_get(j, "details"));
			code = "unauthorized";
		}
		if (code) {
			char low[64];
			size_t i = 0;
			for (; code[i] && i < sizeof(low) - 1; i++)
				low[i] = code[i] == '_'			    ? ' '
					 : code[i] >= 'A' && code[i] <= 'Z' ? (char)(code[i] + 32)
									    : code[i];
			low[i] = '\0';
			err_set(e, kind, "%s: %.800s", low, msg && *msg ? msg : low);
			add_advice(resp, e);
			return;
		}
	}
	if (resp->status == 401)
		err_set(e, kind, "unauthorized: authentication required");
	else if (resp->status == 403)
		err_set(e, kind, "denied: requested access to the resource is denied");
	else if (resp->status == 404)
		err_set(e, kind, "not found: the registry answered 404");
	else if (resp->status == 429)
		err_set(e, kind, "toomanyrequests: too many requests");
	else
		err_set(e, kind, "received unexpected HTTP status: %ld", resp->status);
	add_advice(resp, e);
}
