/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the program runs as: "user[:group]" and extra groups, by name or number, from the image's own
 * /etc/passwd and /etc/group (never the host's). The rules are Docker's: a number needs no entry; a
 * name does.
 */
#include "base/mem.h"
#include "base/num.h"
#include "runtime/runtime-priv.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define ACCOUNT_FILE_MAX (4U << 20) /* hostile images may hold anything here */
#define ID_MAX_VALUE	 4294967294U

struct account {
	struct str name;
	uint32_t id, gid; /* gid: passwd only */
	struct str home, members;
};

static void read_accounts(int root_fd, const char *path, struct buf *out)
{
	AUTO_FD int fd = fs_open_in_root(root_fd, path, O_RDONLY | O_NONBLOCK, 0);

	if (fd >= 0 && fs_read_fd(fd, out) < 0)
		buf_reset(out);
}

static bool parse_id(struct str s, uint32_t *ret)
{
	char text[16];
	uint64_t v;

	if (s.n == 0 || s.n >= sizeof text)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	if (num_parse_u64(text, 0, ID_MAX_VALUE, &v) < 0)
		return false;
	*ret = (uint32_t)v;
	return true;
}

/* passwd(5): name:x:uid:gid:gecos:home:shell; group(5): name:x:gid:members */
static bool parse_line(struct str line, bool passwd, struct account *a)
{
	struct str f[7] = {{0}};
	size_t n = 0;

	while (n < ARRAY_SIZE(f) && str_cut(&line, ':', &f[n]))
		n++;
	if (n < 3 || !parse_id(f[2], &a->id))
		return false;
	a->name = f[0];
	if (passwd) {
		if (n < 4 || !parse_id(f[3], &a->gid))
			return false;
		a->home = f[5];
	} else {
		a->members = f[3];
	}
	return true;
}

/* The first entry whose name or, with by_id, whose number matches. */
static bool find_account(const struct buf *file, bool passwd, const char *name, bool by_id,
			 uint32_t id, struct account *ret)
{
	struct str rest = {buf_text(file), file->n}, line;

	while (str_cut(&rest, '\n', &line)) {
		struct account a = {0};
		if (parse_line(line, passwd, &a) && (by_id ? a.id == id : str_eq(a.name, name))) {
			*ret = a;
			return true;
		}
	}
	return false;
}

static bool is_member(struct str members, struct str user)
{
	struct str one;

	while (str_cut(&members, ',', &one))
		if (one.n && one.n == user.n && !memcmp(one.p, user.p, user.n))
			return true;
	return false;
}

static void add_group(struct identity *id, gid_t gid)
{
	for (size_t i = 0; i < id->ngroups; i++)
		if (id->groups[i] == gid)
			return;
	if (id->ngroups < OCI_GIDS_MAX)
		id->groups[id->ngroups++] = gid;
}

/* All groups that list the user. */
static void add_memberships(const struct buf *group, struct str user, struct identity *id)
{
	struct str rest = {buf_text(group), group->n}, line;

	while (user.n && str_cut(&rest, '\n', &line)) {
		struct account a = {0};
		if (parse_line(line, false, &a) && is_member(a.members, user))
			add_group(id, a.id);
	}
}

static int resolve_group(const struct buf *group, const char *name, gid_t *ret, struct err *e)
{
	struct account a;
	uint32_t id;

	if (find_account(group, false, name, false, 0, &a))
		*ret = a.id;
	else if (parse_id(str_of(name), &id))
		*ret = id;
	else
		return err_set(e, ERR_INVALID,
			       "unable to find group %s: no matching entries in group file", name);
	return 0;
}

static int resolve_user(const struct buf *passwd, const struct buf *group, const char *spec,
			struct identity *id, struct err *e)
{
	AUTO_FREE char *user = xstrdup(spec);
	char *colon = strchr(user, ':');
	struct account a = {0};
	uint32_t number = 0;
	bool found;

	if (colon)
		*colon = 0;
	bool numeric = parse_id(str_of(user), &number);
	found = *user && find_account(passwd, true, user, false, 0, &a);
	if (!found && numeric)
		found = find_account(passwd, true, user, true, number, &a);
	if (!found && !numeric && *user)
		return err_set(e, ERR_INVALID,
			       "unable to find user %s: no matching entries in passwd file", user);
	if (!*user)
		found = find_account(passwd, true, user, true, 0, &a);
	id->uid = found ? a.id : number;
	id->gid = found ? a.gid : 0;
	if (found && a.home.n < sizeof id->home)
		snprintf(id->home, sizeof id->home, "%.*s", (int)a.home.n,
			 a.home.n ? a.home.p : "");
	if (colon && colon[1])
		return resolve_group(group, colon + 1, &id->gid, e);
	if (found)
		add_memberships(group, a.name, id);
	return 0;
}

int identity_resolve(const struct oci_user *u, int root_fd, struct identity *ret, struct err *e)
{
	AUTO_BUF struct buf passwd = BUF_INIT(ACCOUNT_FILE_MAX), group = BUF_INIT(ACCOUNT_FILE_MAX);

	*ret = (struct identity){.uid = (uid_t)u->uid, .gid = (gid_t)u->gid};
	read_accounts(root_fd, "/etc/passwd", &passwd);
	read_accounts(root_fd, "/etc/group", &group);
	if (u->username) {
		if (resolve_user(&passwd, &group, u->username, ret, e) < 0)
			return -1;
	} else {
		struct account a;
		uint32_t gids[OCI_GIDS_MAX];
		int n = oci_gids_parse(u->additional_gids, gids, ARRAY_SIZE(gids));
		if (n < 0)
			return err_set(e, ERR_INVALID, "process.user.additionalGids: bad list");
		for (int i = 0; i < n; i++)
			add_group(ret, gids[i]);
		if (find_account(&passwd, true, "", true, ret->uid, &a) &&
		    a.home.n < sizeof ret->home)
			snprintf(ret->home, sizeof ret->home, "%.*s", (int)a.home.n,
				 a.home.n ? a.home.p : "");
	}
	for (size_t i = 0; i < u->group_add.n; i++) {
		gid_t gid;
		if (resolve_group(&group, u->group_add.v[i], &gid, e) < 0)
			return -1;
		add_group(ret, gid);
	}
	return 0;
}
