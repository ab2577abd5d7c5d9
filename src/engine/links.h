/* SPDX-License-Identifier: Apache-2.0 */
/* --link on the default bridge (legacy): the linked container's address in /etc/hosts, and what its
 * ports and environment are in variables. In networks of users a link is a name of its own instead,
 * which the name service knows. */
#pragma once

#include "engine/engine-priv.h"

/* The container's endpoint on the default bridge, with addresses; NULL: none. */
struct endpoint *link_endpoint(const struct container *c);
/* The container that "name[:alias]" means; NULL: none. *ret_alias is part of the text. */
struct container *link_target(struct engine *g, const char *link, const char **ret_alias,
			      struct err *e);
/* At create: the linked containers exist. */
int links_check(struct engine *g, const struct host_config *h, struct err *e);
/* Variables of all links; an error when a linked container does not run. */
int links_env(const struct container *c, struct strs *ret, struct arena *a, struct err *e);
