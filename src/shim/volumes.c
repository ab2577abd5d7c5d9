/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes with a file system of their own: mounted at the volume's folder before the first
 * container that uses it is made; the engine unmounts them behind the last one. Names of servers
 * become addresses here, because the kernel's nfs and cifs know no names.
 */
#include "shim/shim-priv.h"

#include "sys/mnt.h"
#include "sys/resolve.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/banned.h"

/* "word=VALUE" in a list of options: where VALUE stands; n is 0 when it is not there. */
static struct str option_value(const char *options, const char *word)
{
	struct str rest = str_of(options), one;
	size_t n = strlen(word);

	while (rest.n > 0 && str_cut(&rest, ',', &one))
		if (one.n > n && one.p[n] == '=' && !memcmp(one.p, word, n))
			return (struct str){one.p + n + 1, one.n - n - 1};
	return (struct str){0};
}

/* text with the part at `at` replaced. */
static char *replaced(const char *text, struct str at, const char *by)
{
	return xasprintf("%.*s%s%s", (int)(at.p - text), text, by, at.p + at.n);
}

static int resolve(const char *helper, struct str name, char ret[static INET6_ADDRSTRLEN],
		   struct err *e)
{
	AUTO_FREE char *host = xstrndup(name.p, name.n);
	int rc = resolve_host(helper, host, ret);

	if (rc < 0)
		return err_set(e, ERR_INVALID,
			       "error resolving passed in network volume address: lookup %s: %s",
			       host, rc == -ENOENT ? "no such host" : strerrordesc_np(-rc));
	return 0;
}

/* addr=NAME, and for cifs without it the server in //NAME/share. */
static int resolve_server(const char *helper, const struct shim_volume *v, char **options,
			  char **device, struct err *e)
{
	struct str name = option_value(*options, "addr");
	char **where = options, address[INET6_ADDRSTRLEN];
	bool cifs = strcmp(v->type, "cifs") == 0;

	if (!cifs && strcmp(v->type, "nfs") != 0 && strcmp(v->type, "nfs4") != 0)
		return 0;
	if (name.n == 0 && cifs && str_starts(*device, "//")) {
		name = (struct str){*device + 2, strcspn(*device + 2, "/")};
		where = device;
	}
	if (name.n == 0)
		return 0;
	if (resolve(helper, name, address, e) < 0)
		return -1;

	char *text = replaced(*where, name, address);

	free(*where);
	*where = text;
	return 0;
}

static int volume_mount(const char *helper, const struct shim_volume *v, struct err *e)
{
	AUTO_FREE char *options = xstrdup(v->options ? v->options : ""),
		       *device = xstrdup(v->device);
	/* Two containers may start at once: the lock is on the folder below the mount. */
	AUTO_FD int dir = open(v->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct err why = ERR_INIT;
	int rc = dir < 0 ? -errno : 0;

	if (rc == 0 && flock(dir, LOCK_EX) < 0)
		rc = -errno;
	if (rc == 0 && mount_is_at(v->path))
		return 0;
	if (rc == 0 && resolve_server(helper, v, &options, &device, &why) < 0)
		return err_set(e, why.kind, "error while mounting volume '%s': %s", v->path,
			       why.text);
	if (rc == 0)
		rc = mount_at(v->path, v->type, device, options);
	if (rc == 0)
		return 0;

	struct str secret = option_value(options, "password");
	AUTO_FREE char *shown = secret.n ? replaced(options, secret, "********") : xstrdup(options);

	return err_sys(e, rc,
		       "error while mounting volume '%s': failed to mount local volume: mount "
		       "%s:%s, data: %s",
		       v->path, device, v->path, shown);
}

int volumes_mount(const struct shim_config *c, struct err *e)
{
	const struct shim_volume *v = c->volumes.v;

	for (size_t i = 0; i < c->volumes.n; i++)
		if (volume_mount(c->helper, &v[i], e) < 0)
			return -1;
	return 0;
}
