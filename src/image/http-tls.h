/* SPDX-License-Identifier: Apache-2.0 */
/* Part of http.c: authorities and client certificates of one request. */
#pragma once

#include "image/http-priv.h"

#include <curl/curl.h>

struct http_tls;
/* Sets the options of the handle that are about TLS; free it with the request. */
struct http_tls *http_tls_new(CURL *c, const struct http_options *o);
void http_tls_free(struct http_tls *t); /* NULL allowed */
/* The server asked for a client certificate and got none. */
bool http_tls_unanswered(const struct http_tls *t);
/* What to do about that. */
void http_tls_advice(const struct http_tls *t, const char *host, const char *port, char *ret,
		     size_t n);
