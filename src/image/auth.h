/* SPDX-License-Identifier: Apache-2.0 */
/* WWW-Authenticate challenges and the X-Registry-Auth header. Pure text; no I/O. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum auth_scheme { AUTH_NONE, AUTH_BASIC, AUTH_BEARER };

struct auth_challenge {
	enum auth_scheme scheme;
	char realm[1024], service[256], scope[1024], error[128];
};
/* The strongest challenge of a header value that may hold several. AUTH_NONE when none is usable.
 */
void auth_challenge_parse(const char *header, struct auth_challenge *ret);

struct auth_credentials {
	char user[256];
	char secret[4096];	   /* password */
	char identity_token[4096]; /* refresh token */
	char registry_token[8192]; /* ready-made bearer token */
};
/* Value of X-Registry-Auth: base64 or base64url of a JSON object. Empty input: no credentials. */
int auth_credentials_decode(const char *header, struct auth_credentials *ret, struct err *e);
/* Those of one registry ("docker.io", "host:5000") in X-Registry-Config: an object of such objects
 * by server. */
int auth_credentials_pick(const char *header, const char *domain, struct auth_credentials *ret,
			  struct err *e);
void auth_credentials_wipe(struct auth_credentials *c);

/* "Basic xxxx" for the user and password. */
void auth_basic_value(const struct auth_credentials *c, struct buf *out);
/* Percent-encode for a query or form. */
void auth_url_encode(const char *s, struct buf *out);
