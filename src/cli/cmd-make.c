/* SPDX-License-Identifier: Apache-2.0 */
/* commit and import: images made of a container's changes or of a tar. */
#include "cli/commands.h"
#include "cli/progress.h"
#include "base/mem.h"

#include <fcntl.h>
#include <string.h>

#include "base/banned.h"

void query_name(struct buf *path, const char *name)
{
	const char *slash = strrchr(name, '/');
	const char *colon = strchr(slash ? slash : name, ':');
	AUTO_FREE char *repo = xstrndup(name, colon && !strchr(name, '@') ? (size_t)(colon - name)
									  : strlen(name));

	url_query(path, "repo", repo);
	if (colon && !strchr(name, '@'))
		url_query(path, "tag", colon + 1);
}

static void query_changes(struct buf *path, const struct opts *o)
{
	const struct optval *changes = opts_get(o, "change");

	for (size_t i = 0; i < changes->n; i++)
		url_query(path, "changes", changes->v[i]);
}

int cmd_commit(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 20);
	AUTO(json) struct json *answer = NULL;
	struct err e = ERR_INIT;

	buf_adds(&path, "/commit");
	url_query(&path, "container", o->argv[0]);
	if (o->argc > 1)
		query_name(&path, o->argv[1]);
	url_query(&path, "comment", opts_str(o, "message"));
	url_query(&path, "author", opts_str(o, "author"));
	query_changes(&path, o);
	if (!opts_bool(o, "pause"))
		url_query(&path, "pause", "0");
	if (client_json(c, "POST", path.p, "null", &answer, &e) < 0)
		return cli_fail(c, &e);
	printf("%s\n", json_str(json_get(answer, "Id")));
	return 0;
}

int import_stream(struct cli *c, const char *path,
		  int (*send)(struct conn *k, void *ud, struct err *e), void *ud, struct err *e)
{
	struct conn k = CONN_INIT;
	int rc = conn_open(c, &k, e);

	if (rc == 0)
		rc = conn_send(&k, "POST", path, send ? "Transfer-Encoding: chunked\r\n" : NULL,
			       send ? "application/x-tar" : "text/plain", NULL, 0, e);
	if (rc == 0 && send)
		rc = send(&k, ud, e);
	if (rc < 0 && e->kind == ERR_CANCELLED) {
		fd_close(&k.fd); /* what was sent is not whole: the engine must not see its end */
		conn_close(c, &k);
		return -1;
	}
	struct err sent = *e;
	err_clear(e);
	if (k.fd >= 0 && conn_check(&k, e) < 0)
		rc = -1; /* the engine's own reason is better than a broken pipe */
	else if (rc < 0)
		*e = sent;
	if (rc == 0)
		rc = progress_show(&k, stdout, false, e);
	conn_close(c, &k);
	return rc;
}

static int send_file(struct conn *k, void *ud, struct err *e)
{
	return upload(k, *(int *)ud, e);
}

int cmd_import(struct cli *c, struct opts *o)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 20);
	AUTO_FD int file = FD_NONE;
	struct err e = ERR_INIT;
	const char *src = o->argv[0];
	bool remote = str_starts(src, "http://") || str_starts(src, "https://");
	int fd = 0;

	if (!remote && strcmp(src, "-") != 0) {
		file = fd = open(src, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			err_set(&e, ERR_INVALID, "open %s: %s", src,
				errno == ENOENT ? "no such file or directory" : strerror(errno));
			return cli_fail(c, &e);
		}
	}
	buf_adds(&path, "/images/create");
	url_query(&path, "fromSrc", remote ? src : "-");
	if (o->argc > 1)
		query_name(&path, o->argv[1]);
	url_query(&path, "message", opts_str(o, "message"));
	query_changes(&path, o);
	if (opts_set(o, "platform"))
		url_query(&path, "platform", opts_str(o, "platform"));
	return import_stream(c, path.p, remote ? NULL : send_file, &fd, &e) < 0 ? cli_fail(c, &e)
										: 0;
}
