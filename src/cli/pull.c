/* SPDX-License-Identifier: Apache-2.0 */
/* Pulling images, and showing progress messages: bars on a terminal, lines otherwise. */
#include "cli/auth.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

char *image_split(const char *name, const char **ret_tag)
{
	const char *base = str_starts(name, "docker.io/library/") ? name + 18
			   : str_starts(name, "docker.io/")	  ? name + 10
								  : name;
	const char *at = strchr(base, '@');
	const char *slash = strrchr(base, '/');
	const char *colon = strchr(slash && (!at || slash < at) ? slash : base, ':');

	if (at) {
		*ret_tag = at + 1;
		return xstrndup(base, (size_t)((colon && colon < at ? colon : at) - base));
	}
	*ret_tag = colon ? colon + 1 : NULL;
	return colon ? xstrndup(base, (size_t)(colon - base)) : xstrdup(base);
}

char *image_familiar(const char *name)
{
	const char *tag;
	AUTO_FREE char *repo = image_split(name, &tag);

	if (strchr(name, '@'))
		return xasprintf("%s@%s", repo, tag);
	return xasprintf("%s:%s", repo, tag ? tag : "latest");
}

char *image_full_name(const char *name)
{
	AUTO_FREE char *familiar = image_familiar(name);
	size_t head = strcspn(familiar, "/");
	bool registry = familiar[head] &&
			(memchr(familiar, '.', head) || memchr(familiar, ':', head) ||
			 !strncmp(familiar, "localhost/", 10));

	return registry ? TAKE_PTR(familiar)
			: xasprintf("docker.io/%s%s", familiar[head] ? "" : "library/", familiar);
}

int image_pull(struct cli *c, const char *name, const char *platform, bool quiet, bool all_tags,
	       FILE *out, struct err *e)
{
	AUTO_BUF struct buf path = BUF_INIT(1U << 16);
	struct conn k = CONN_INIT;
	const char *tag;
	AUTO_FREE char *repo = image_split(name, &tag);
	/* Written in full it is sent in full: an alias is for the short name only. */
	bool full = str_starts(name, "docker.io/");
	AUTO_FREE char *from = xasprintf("%s%s", full ? "docker.io/" : "", repo);
	int rc = -1;

	buf_adds(&path, "/images/create");
	url_query(&path, "fromImage", from);
	if (!all_tags)
		url_query(&path, "tag", tag ? tag : "latest");
	if (platform)
		url_query(&path, "platform", platform);
	if (conn_open(c, &k, e) < 0)
		return -1;
	char *auth = auth_header(repo);
	if (conn_send(&k, "POST", path.p, auth, "text/plain", NULL, 0, e) == 0 &&
	    conn_check(&k, e) == 0)
		rc = progress_show(&k, out, quiet, e);
	auth_header_free(auth);
	conn_close(c, &k);
	return rc;
}
