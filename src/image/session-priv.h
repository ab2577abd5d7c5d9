/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One source of a registry session: finds out scheme and authentication by a ping, fetches and
 * renews tokens. Calls are made by registry.c once the state is SESSION_READY.
 */
#pragma once

#include "image/auth.h"
#include "image/sources-priv.h"

struct session;

enum session_state { SESSION_NEW, SESSION_BUSY, SESSION_READY, SESSION_FAILED };

struct session_options {
	struct image_service *service;
	const struct source *source;	     /* borrowed, outlives the session */
	const struct auth_credentials *auth; /* borrowed, outlives the session; NULL: none */
	const char *actions;		     /* borrowed; of the scope */
	const struct strs *mounts;	     /* borrowed; more repositories to read from */
	bool offline;			     /* ask for a refresh token, for session_identity() */
	unsigned attempts;		     /* for a ping or token that fails for a moment */
	void (*changed)(void *ud); /* ready or failed; may run while session_start() does */
	void *ud;
};
struct session *session_new(const struct session_options *o);
void session_free(struct session *s); /* NULL allowed */

enum session_state session_state(const struct session *s);
const struct err *session_error(const struct session *s); /* SESSION_FAILED */
void session_start(struct session *s);			  /* SESSION_NEW: ping */
/* A 401 came for a call that used this generation of the token. False: it will not get better. */
bool session_renew(struct session *s, const char *challenge, unsigned generation);
unsigned session_generation(const struct session *s);
const char *session_base(const struct session *s);  /* "https://host/v2/" */
const char *session_token(const struct session *s); /* "Bearer ..."; "" for none */
/* The refresh token: the given identity token, or what the token server gave instead; "" for none.
 */
const char *session_identity(const struct session *s);

/* Milliseconds before the nth attempt (from 1): doubling, capped, with a random part. */
unsigned session_backoff(unsigned attempt);

/* ---- registry-text.c: Docker's words for what a registry answered ---- */

void registry_status_error(const struct http_response *resp, const struct buf *body, struct err *e);
