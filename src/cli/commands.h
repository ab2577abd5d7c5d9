/* SPDX-License-Identifier: Apache-2.0 */
/* Command functions by the file that has them; the table is in commands.c. */
#pragma once

#include "cli/cli.h"

#define COMMAND(name) int cmd_##name(struct cli *c, struct opts *o)

COMMAND(run);
COMMAND(create);
COMMAND(ps);
COMMAND(images);
COMMAND(history);
COMMAND(rmi);
COMMAND(tag);
COMMAND(pull);
COMMAND(load);
COMMAND(save);
COMMAND(push);
COMMAND(search);
COMMAND(login);
COMMAND(logout);

/* Shared by commands. */
int upload(struct conn *k, int fd, struct err *e);
int download(struct cli *c, const char *path, const char *output, struct err *e);
int load_dir(struct conn *k, const char *path, struct err *e);
/* "name:tag" as the query values repo and tag. */
void query_name(struct buf *path, const char *name);
/*
 * POST an import and show its progress. send streams the tar as chunks with its end (NULL: no
 * body); -1 with ERR_CANCELLED cuts the connection, so that the engine drops the half image.
 */
int import_stream(struct cli *c, const char *path,
		  int (*send)(struct conn *k, void *ud, struct err *e), void *ud, struct err *e);
int images_tree(struct cli *c, const struct json *images); /* prints; 0 */
struct list_out;
int image_rows(struct list_out *l, const struct json *image, bool digests, bool no_trunc,
	       struct err *e);
void image_row(const struct json *i, const char *repo, const char *tag, const char *digest,
	       bool no_trunc, struct buf *out);
void volume_row(const struct json *v, struct buf *out);

COMMAND(stop);
COMMAND(restart);
COMMAND(kill);
COMMAND(pause);
COMMAND(unpause);
COMMAND(rm);
COMMAND(rename);
COMMAND(wait);
COMMAND(update);
COMMAND(diff);
COMMAND(commit);
COMMAND(import);
COMMAND(image_bootstrap);
COMMAND(image_mount);
COMMAND(image_unmount);
COMMAND(port);
COMMAND(ports);
COMMAND(export);
COMMAND(top);
COMMAND(attach);
COMMAND(start);
COMMAND(exec);
COMMAND(logs);
COMMAND(inspect);
COMMAND(container_inspect);
COMMAND(image_inspect);
COMMAND(volume_inspect);
COMMAND(network_inspect);
COMMAND(volume_create);
COMMAND(volume_ls);
COMMAND(volume_rm);
COMMAND(volume_prune);
COMMAND(network_ls);
COMMAND(network_create);
COMMAND(network_connect);
COMMAND(network_disconnect);
COMMAND(network_rm);
COMMAND(network_prune);
COMMAND(container_prune);
COMMAND(image_prune);
COMMAND(system_prune);
COMMAND(version);
COMMAND(info);
COMMAND(events);
COMMAND(system_df);
COMMAND(system_fsck);
COMMAND(system_gc);
COMMAND(stats);
COMMAND(manifest_inspect);
COMMAND(manifest_create);
COMMAND(manifest_annotate);
COMMAND(manifest_push);
COMMAND(manifest_rm);
COMMAND(referrers);
COMMAND(cp);
COMMAND(completion);
COMMAND(complete);
COMMAND(context_create);
COMMAND(context_export);
COMMAND(context_import);
COMMAND(context_inspect);
COMMAND(context_ls);
COMMAND(context_rm);
COMMAND(context_show);
COMMAND(context_update);
COMMAND(context_use);
COMMAND(system_dial_stdio);
