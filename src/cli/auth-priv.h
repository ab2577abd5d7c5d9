/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the credential look-up share. */
#pragma once

#include "cli/auth.h"
#include "base/json.h"

#define AUTH_FILE_MAX	((size_t)4 << 20)
#define AUTH_HELPER_MAX ((size_t)64 << 10)

/* ---- files (auth-file.c) ---- */

/* config.json of Docker's clients. Heap; NULL without DOCKER_CONFIG and home. */
char *auth_docker_file(void);
/* The i-th of Podman's files that is to be asked; NULL at the end. Heap. */
char *auth_podman_file(unsigned i);
/* *ret NULL when the file is absent or empty. */
int auth_file_load(const char *path, struct json **ret, struct err *e);
/* The entry of one key, decoded; false when there is none. */
bool auth_file_entry(const struct json *file, const char *key, struct auth *ret);
/*
 * Set (entry: JSON text of the value) or remove (NULL) auths[key]; everything else in the file
 * stays. Mode 0600, replaced in one step; a symbolic link stays one.
 */
int auth_file_change(const char *path, const char *key, const char *entry, struct err *e);

/* ---- helpers (auth-helper.c): docker-credential-NAME ---- */

/* 1: found, 0: the helper knows nothing about the server, -1. */
int auth_helper_get(const char *name, const char *server, struct auth *ret, struct err *e);
int auth_helper_store(const char *name, const struct auth *a, struct err *e);
int auth_helper_erase(const char *name, const char *server, struct err *e);
bool auth_helper_exists(const char *name);
