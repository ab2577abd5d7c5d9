/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials of registries on the client's side. They are kept where Docker's and Podman's users
 * have them: config.json in DOCKER_CONFIG or ~/.docker (auths, credHelpers, credsStore), and, only
 * read, Podman's auth.json (REGISTRY_AUTH_FILE, XDG_RUNTIME_DIR/containers,
 * ~/.config/containers). Secrets travel in memory, on the engine's socket and on the standard
 * input of credential helpers; never in arguments or messages.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

#define AUTH_HUB_SERVER "https://index.docker.io/v1/" /* Docker Hub's key in the files */

struct auth {
	char *server; /* key: AUTH_HUB_SERVER or "host[:port]" */
	char *user, *secret;
	char *identity_token; /* a refresh token instead of the secret */
	char *registry_token; /* a ready-made bearer token */
};
#define AUTO_AUTH CLEANUP(auth_done)
void auth_done(struct auth *a); /* wipes; usable again afterwards */
bool auth_is_empty(const struct auth *a);

/* "https://host:5000/v2/" -> "host:5000". Heap. */
char *auth_hostname(const char *server);
/* Key of the registry an image name belongs to: AUTH_HUB_SERVER or "host[:port]". Heap. */
char *auth_server_of(const char *image);

/*
 * What is known for a registry; nothing known is success with an empty result. path: repository
 * below the server ("team/app"), for files that have credentials by namespace; NULL: none.
 * Errors: a credential helper that fails, a file that is not valid.
 */
int auth_find(const char *server, const char *path, struct auth *ret, struct err *e);

/*
 * "X-Registry-Auth: ...\r\n" for a request about `image` (a name; or a server alone for search),
 * NULL when nothing is known. Heap; the caller gives it to conn_send() and then to
 * auth_header_free(). Trouble with files or helpers is a warning on stderr, as the registry may not
 * need credentials at all.
 */
char *auth_header(const char *image);
char *auth_header_of(const struct auth *a);
/* "X-Registry-Config: ...": what is known for the registries of all these images, by server. */
char *auth_config_header(char *const *images, int n);
void auth_header_free(char *header); /* wipes; NULL allowed */

/*
 * Keep credentials: in the credential helper configured for the server, else in config.json.
 * *ret_plain is the file that now has a secret in clear, NULL when a helper has it. Heap.
 */
int auth_store(const struct auth *a, char **ret_plain, struct err *e);
/* Forget them, in the helper and in config.json. Absent is fine. */
int auth_erase(const char *server, struct err *e);
/* Does config.json name the server? */
bool auth_known(const char *server);
