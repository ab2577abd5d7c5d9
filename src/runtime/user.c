/* SPDX-License-Identifier: Apache-2.0 */
/* Who the program runs as: numbers from the configuration, or names looked up in the image's own
 * passwd and group files. */
#include "base/num.h"
#include "runtime/runtime-priv.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define FILE_MAX_BYTES (4U << 20)

static void read_in_root(int root, const char *path, struct buf *out)
{
	/* O_NONBLOCK: a FIFO in the image's place must not hang us */
	AUTO_FD int fd = fs_open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
					 0);

	if (fd < 0 || fs_read_fd(fd, out) < 0)
		buf_reset(out);
}

/* Next line cut at ':' into fields[0..max); number of fields, -1 at the end. */
static int next_line(struct str *rest, struct str *fields, int max)
{
	struct str line, f;
	int n = 0;

	if (!str_cut(rest, '\n', &line))
		return -1;
	while (n < max && str_cut(&line, ':', &f))
		fields[n++] = f;
	return n;
}

static bool to_id(struct str s, uint32_t *ret)
{
	char t[16];
	uint64_t v;

	if (s.n == 0 || s.n >= sizeof(t))
		return false;
	memcpy(t, s.p, s.n);
	t[s.n] = '\0';
	if (num_parse_u64(t, 0, INT32_MAX, &v) < 0)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static void add_group(struct launch *l, uint32_t gid)
{
	for (int i = 0; i < l->ngroups; i++)
		if (l->groups[i] == gid)
			return;
	if (l->ngroups < OCI_GIDS_MAX)
		l->groups[l->ngroups++] = gid;
}

/* The passwd line of a name, or of the number when name is NULL. */
static bool find_passwd(const struct buf *b, const char *name, uint32_t uid, uint32_t *ret_uid,
			uint32_t *ret_gid, char *home, size_t home_n, char *login, size_t login_n)
{
	struct str rest = {b->p, b->n}, f[7];
	int n;

	while ((n = next_line(&rest, f, 7)) >= 0) {
		uint32_t u, g;
		if (n < 4 || !to_id(f[2], &u) || !to_id(f[3], &g))
			continue;
		if (name ? !str_eq(f[0], name) : u != uid)
			continue;
		*ret_uid = u;
		*ret_gid = g;
		snprintf(login, login_n, "%.*s", (int)MIN(f[0].n, (size_t)255), f[0].p);
		if (n >= 6 && f[5].n > 0 && f[5].n < home_n)
			snprintf(home, home_n, "%.*s", (int)f[5].n, f[5].p);
		return true;
	}
	return false;
}

static bool find_group(const struct buf *b, const char *name, uint32_t *ret)
{
	struct str rest = {b->p, b->n}, f[4];
	int n;

	while ((n = next_line(&rest, f, 4)) >= 0)
		if (n >= 3 && str_eq(f[0], name) && to_id(f[2], ret))
			return true;
	return false;
}

static void add_memberships(const struct buf *b, const char *login, struct launch *l)
{
	struct str rest = {b->p, b->n}, f[4], member;
	uint32_t gid;
	int n;

	while ((n = next_line(&rest, f, 4)) >= 0)
		while (n == 4 && str_cut(&f[3], ',', &member))
			if (str_eq(member, login) && to_id(f[2], &gid))
				add_group(l, gid);
}

static int resolve_names(struct launch *l, const struct buf *passwd, const struct buf *group,
			 struct err *e)
{
	const struct oci_user *u = &l->process->user;
	AUTO_FREE char *name = xstrdup(u->username ? u->username : "");
	char login[256] = "";
	char *colon = strchr(name, ':');
	bool found;

	if (colon)
		*colon = '\0';
	const char *group_name = colon && colon[1] ? colon + 1 : NULL;
	struct str n = str_of(name);
	uint32_t id = 0;
	/* Docker looks for the name first, also when it is a number */
	found = find_passwd(passwd, *name ? name : NULL, 0, &l->uid, &l->gid, l->home,
			    sizeof(l->home), login, sizeof(login));
	if (!found && *name) {
		if (!to_id(n, &id))
			return err_set(e, ERR_INVALID,
				       "unable to find user %s: no matching entries in passwd file",
				       name);
		l->uid = id;
		l->gid = 0;
		found = find_passwd(passwd, NULL, id, &l->uid, &l->gid, l->home, sizeof(l->home),
				    login, sizeof(login));
	}
	if (group_name && !find_group(group, group_name, &l->gid) &&
	    !to_id(str_of(group_name), &l->gid))
		return err_set(e, ERR_INVALID,
			       "unable to find group %s: no matching entries in group file",
			       group_name);
	/* As Docker does: without it a mode like 0705 lets the user in whose own group it shuts out
	 * (CVE-2022-36109). */
	add_group(l, l->gid);
	if (!group_name && found)
		add_memberships(group, login, l);
	return 0;
}

int user_resolve(int root, struct launch *l, struct err *e)
{
	const struct oci_user *u = &l->process->user;
	AUTO_BUF struct buf passwd = BUF_INIT(FILE_MAX_BYTES), group = BUF_INIT(FILE_MAX_BYTES);
	char login[256];
	uint32_t gid;

	l->uid = (uint32_t)u->uid;
	l->gid = (uint32_t)u->gid;
	l->ngroups = oci_gids_parse(u->additional_gids, l->groups, ARRAY_SIZE(l->groups));
	if (l->ngroups < 0)
		return err_sys(e, l->ngroups, "process.user.additionalGids");
	read_in_root(root, "etc/passwd", &passwd);
	if (u->username || u->group_add.n)
		read_in_root(root, "etc/group", &group);
	if (u->username && resolve_names(l, &passwd, &group, e) < 0)
		return -1;
	if (!u->username) {
		uint32_t x, y;
		find_passwd(&passwd, NULL, l->uid, &x, &y, l->home, sizeof(l->home), login,
			    sizeof(login));
	}
	for (size_t i = 0; i < u->group_add.n; i++) {
		if (!find_group(&group, u->group_add.v[i], &gid) &&
		    !to_id(str_of(u->group_add.v[i]), &gid))
			return err_set(e, ERR_INVALID,
				       "unable to find group %s: no matching entries in group file",
				       u->group_add.v[i]);
		add_group(l, gid);
	}
	return 0;
}

int runtime_user_find(int root, const char *user, uint32_t *ret_uid, uint32_t *ret_gid,
		      struct err *e)
{
	const struct oci_process p = {.user.username = user && *user ? user : NULL};
	AUTO_FREE struct launch *l = NEW(struct launch);

	l->process = &p;
	if (user_resolve(root, l, e) < 0)
		return -1;
	*ret_uid = l->uid;
	*ret_gid = l->gid;
	return 0;
}
