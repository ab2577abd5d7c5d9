/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's switches that routing to containers needs; see the header. */
#include "net/forward.h"

#include "sys/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define CONF4 "/proc/sys/net/ipv4/conf"
#define CONF6 "/proc/sys/net/ipv6/conf"

static const char *conf_of(uint8_t family)
{
	return family == 6 ? CONF6 : CONF4;
}

/* The first character; 0 when there is none. */
static char value(const char *folder, const char *ifname, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s/%s", folder, ifname, name);
	AUTO_BUF struct buf text = BUF_INIT(32);

	return fs_read_path(path, &text) == 0 && text.n > 0 ? text.p[0] : 0;
}

static int put(const char *folder, const char *ifname, const char *name, const char *text,
	       struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s/%s", folder, ifname, name);
	int rc = fs_write_file(path, text);

	return rc < 0 ? err_sys(e, rc, "write %s to %s", text, path) : 0;
}

bool forward_is_on(uint8_t family)
{
	char v = value(conf_of(family), "all", "forwarding");

	return v == '1' || (family == 6 && v == 0);
}

int forward_check(uint8_t family, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/all/forwarding", conf_of(family));
	AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		return 0;
	return err_sys(e, -errno, "IPv%d forwarding is off and cannot be turned on: open %s",
		       family, path);
}

/* Calls for each interface but "all", "default" and "lo". */
static void each(const char *folder, void (*fn)(const char *ifname, void *ud), void *ud)
{
	DIR *d = opendir(folder);
	const struct dirent *ent;

	while (d && (ent = readdir(d)))
		if (ent->d_name[0] != '.' && strcmp(ent->d_name, "all") != 0 &&
		    strcmp(ent->d_name, "default") != 0 && strcmp(ent->d_name, "lo") != 0)
			fn(ent->d_name, ud);
	if (d)
		closedir(d);
}

struct off {
	const char *folder;
	struct strs *names;
	struct arena *a;
};

static void add_off(const char *ifname, void *ud)
{
	struct off *o = ud;

	if (value(o->folder, ifname, "forwarding") == '0')
		strs_push(o->names, o->a, arena_strdup(o->a, ifname));
}

void forward_off_interfaces(uint8_t family, struct strs *ret, struct arena *a)
{
	struct off o = {conf_of(family), ret, a};

	each(o.folder, add_off, &o);
}

static void keep_listening(const char *ifname, void *ud)
{
	struct err e = ERR_INIT;

	if (value(CONF6, ifname, "accept_ra") == '1')
		put(CONF6, ifname, "accept_ra", "2", &e);
}

int forward_turn_on(uint8_t family, struct err *e)
{
	if (family == 6)
		each(CONF6, keep_listening, NULL);
	return put(conf_of(family), "all", "forwarding", "1", e);
}

int forward_route_localnet(const char *ifname, struct err *e)
{
	if (value(CONF4, ifname, "route_localnet") == '1')
		return 0;
	return put(CONF4, ifname, "route_localnet", "1", e);
}
