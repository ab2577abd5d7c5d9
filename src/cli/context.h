/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts: named engines, in the folder and form of Docker's clients, so that both see the same
 * ones. contexts/meta/SHA256(name)/meta.json
 * {"Name":..,"Metadata":{..},"Endpoints":{"docker":{..}}}
 *   contexts/tls/SHA256(name)/docker/{ca,cert,key}.pem
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct cli;

#define CONTEXT_DEFAULT	 "default"
#define CONTEXT_NAME_MAX 256

enum context_file { CONTEXT_CA, CONTEXT_CERT, CONTEXT_KEY, CONTEXT_FILES };
extern const char *const context_file_names[CONTEXT_FILES]; /* "ca.pem" ... */

struct context {
	char *name, *description, *host;
	bool skip_verify;
	char *doc; /* meta.json as it is on disk; NULL for a new one */
	char *meta_dir, *tls_dir;
	char *files[CONTEXT_FILES]; /* paths of those that exist */
};
#define AUTO_CONTEXT CLEANUP(context_done)
void context_done(struct context *x);

int context_name_check(const char *name, struct err *e); /* Docker's rule; "default" is reserved */
/* `context "x": context not found: ...` (ERR_NOT_FOUND). */
int context_load(const char *name, struct context *ret, struct err *e);
bool context_exists(const char *name);
/* The default one as an object: the endpoint without any context (cmd-context.c). */
int context_default(struct cli *c, struct context *ret, struct err *e);
/* Write meta.json with name, description, host and skip_verify; what else the document has stays.
 */
int context_save(const struct context *x, struct err *e);
/* The document of a context that is not on disk, as it would be written. */
int context_make_doc(struct context *x, struct err *e);
/* Copy a PEM file into the context; text NULL removes it. */
int context_save_file(const struct context *x, enum context_file f, const char *text,
		      struct err *e);
int context_remove(const char *name, struct err *e);
/* Names, sorted; heap array ending with NULL, free each and the array. */
char **context_names(void);
/* The one that `use` chose; heap, NULL: default. */
char *context_chosen(void);
