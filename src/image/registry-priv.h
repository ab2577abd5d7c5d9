/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A session with one repository of one registry, whichever of its sources (mirrors, then the
 * registry itself) answers: repeats what failed for a moment (with back-off, Retry-After, and from
 * the byte reached), goes on with the next source when one fails, and words errors as Docker does.
 */
#pragma once

#include "image/auth.h"
#include "image/http-priv.h"
#include "image/ref.h"

struct image_service;
struct registry;
struct registry_call;

struct registry_options {
	struct image_service *service;
	const struct image_ref *ref;
	const struct auth_credentials *auth; /* copied */
	const char *actions;		     /* "pull" or "pull,push"; "" asks for no scope */
	const struct strs *sources;	     /* repositories blobs are mounted from; copied; NULL */
	bool offline;  /* ask the token server for a refresh token: registry_identity() */
	bool insecure; /* this session may use plain HTTP or skip the check of certificates */
};
struct registry *registry_open(const struct registry_options *o);
/* Is the registry blocked, its configuration unreadable? Calls would fail with the same error. */
int registry_usable(const struct registry *r, struct err *e);
/* The identity token to keep instead of the password, "" for none; valid until the next call. */
const char *registry_identity(const struct registry *r);
/* Mirrors and the registry itself. A push has one. */
size_t registry_sources(const struct registry *r);
struct registry *registry_hold(struct registry *r); /* another owner */
void registry_close(struct registry *r); /* the last owner's cancels all calls; NULL allowed */

/* Who answered a call; the caller's memory, valid until the call is over. */
struct registry_trail {
	size_t source;	   /* the last one asked; the next one is a better choice for wrong bytes */
	bool mixed;	   /* the bytes came in several answers */
	unsigned attempts; /* requests sent */
	uint64_t received; /* body bytes that came in, the superfluous ones too */
};

struct registry_request {
	const char *method; /* GET, HEAD; POST, PUT, PATCH, DELETE are not repeated by themselves */
	const char *path; /* below /v2/NAME/ : "manifests/latest"; a whole URL; "/": /v2/ itself */
	const char *accept;
	const char *content_type;
	const char *content_range; /* "0-1023": part of an upload; NULL */
	const char *body;
	int body_fd; /* 0: none */
	uint64_t body_size, body_offset;
	uint64_t offset; /* GET: start there */
	uint64_t expect; /* GET: whole size of the object; 0: unknown */
	size_t max_body; /* collect the body up to this; 0: stream to data */
	/* Only bytes from `offset` on, contiguous over repetitions. Never called for errors. */
	enum http_data (*data)(void *ud, const void *p, size_t n);
	void (*sent)(void *ud, uint64_t total);
	/* e set: it failed for good. Otherwise status is 2xx (HEAD and uploads: whatever came, with
	 * `any_status`). */
	void (*done)(void *ud, const struct http_response *resp, const struct buf *body,
		     const struct err *e);
	bool any_status;
	size_t first_source;	      /* skip the ones before it */
	struct registry_trail *trail; /* NULL: not wanted */
	/* It failed for the moment; the next attempt is so many seconds away. NULL: not wanted. */
	void (*waiting)(void *ud, unsigned seconds);
	void *ud;
};
void registry_start(struct registry *r, const struct registry_request *q,
		    struct registry_call **ret);
void registry_resume(struct registry_call *c); /* after HTTP_DATA_PAUSE */
void registry_cancel(struct registry_call *c); /* NULL allowed */

/* "https://host/v2/" of the registry itself: valid once a call was answered. */
const char *registry_base(const struct registry *r);
