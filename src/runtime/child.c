/* SPDX-License-Identifier: Apache-2.0 */
/* The first process of a container between clone and execve: a copy of the caller's memory, alone
 * in new namespaces. */
#include "runtime/runtime-priv.h"
#include "sys/cgroup.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/banned.h"

int setup_wait_cgroup(struct setup *s, struct err *e)
{
	if (s->cgroup_ready)
		return 0;
	int rc = channel_wait_gate(s->launch.sock, GATE_CGROUP);
	if (rc < 0)
		return err_sys(e, rc, "wait for the control group");
	s->cgroup_ready = true;
	if (s->attach_self && (rc = cgroup_attach(s->cgroup_path, 0)) < 0)
		return err_sys(e, rc, "join control group %s", s->cgroup_path);
	/* only now: the namespace's root is the group we are in */
	if (s->new_cgroup_ns && unshare(CLONE_NEWCGROUP) < 0)
		return err_sys(e, -errno, "unshare the cgroup namespace");
	return 0;
}

static int join_namespaces(struct setup *s, struct err *e)
{
	/* the user namespace first: it decides about the right to join the others */
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < s->njoins; i++) {
			struct join *j = &s->joins[i];
			if ((j->flag == CLONE_NEWUSER) != (pass == 0) || j->flag == CLONE_NEWPID)
				continue;
			if (setns(j->fd, j->flag) < 0)
				return err_sys(e, -errno, "join a namespace");
		}
	return 0;
}

static int own_user_namespace(struct setup *s, struct err *e)
{
	if (!setup_new(s, CLONE_NEWUSER))
		return 0;
	int rc = channel_wait_gate(s->launch.sock, GATE_MAPPED);
	if (rc < 0)
		return err_sys(e, rc, "wait for the id mappings");
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_sys(e, -errno, "become root of the user namespace");
	return 0;
}

static int names(struct setup *s, struct err *e)
{
	const struct oci_config *c = s->cfg;

	if (!setup_new(s, CLONE_NEWUTS))
		return 0;
	if (c->hostname && *c->hostname && sethostname(c->hostname, strlen(c->hostname)) < 0)
		return err_sys(e, -errno, "sethostname");
	if (c->domainname && *c->domainname &&
	    setdomainname(c->domainname, strlen(c->domainname)) < 0)
		return err_sys(e, -errno, "setdomainname");
	return 0;
}

static bool dev_is_ours(const struct oci_config *c)
{
	/* a bind over /dev brings its own nodes */
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct oci_mount *m = (const struct oci_mount *)c->mounts.v + i;
		if (strcmp(m->destination, "/dev") == 0)
			return m->type && strcmp(m->type, "bind") != 0;
	}
	return true;
}

static int build(struct setup *s, struct err *e)
{
	struct launch *l = &s->launch;
	int rc;

	umask(0);
	if (own_user_namespace(s, e) < 0 || join_namespaces(s, e) < 0)
		return -1;
	if (launch_limits(l, e) < 0)
		return -1;
	if (setup_new(s, CLONE_NEWNET) && (rc = net_loopback_up()) < 0)
		return err_sys(e, rc, "bring up the loopback interface");
	if (names(s, e) < 0 || rootfs_mount(s, e) < 0)
		return -1;
	bool ours = dev_is_ours(s->cfg);
	if (ours && dev_populate(s, e) < 0)
		return -1;
	if (user_resolve(s->root, l, e) < 0)
		return -1;
	if (l->process->terminal && dev_console(s->root, l, ours, e) < 0)
		return -1;
	/* the control groups are the host's: reachable only before pivot_root */
	if (setup_wait_cgroup(s, e) < 0 || hooks_child(s, e) < 0)
		return -1;
	if (rootfs_finish(s, e) < 0 || launch_lookup(l, e) < 0)
		return -1;
	return launch_stdio(l, e);
}

_Noreturn void child_main(struct setup *s)
{
	struct err e = ERR_INIT;
	struct launch *l = &s->launch;

	/* nothing that joins our namespaces may look into this copy of the engine's memory */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	fd_close(&s->parent_sock);
	if (build(s, &e) < 0) {
		channel_send_err(l->sock, &e);
		_exit(1);
	}
	if (channel_send(l->sock, REPORT_READY, NULL, 0, FD_NONE) < 0)
		_exit(1);
	if (s->req->gate_listener > 2) {
		int sock = accept4(s->req->gate_listener, NULL, NULL, SOCK_CLOEXEC);
		if (sock < 0)
			_exit(1);
		fd_close(&l->sock);
		l->sock = sock;
	}
	if (channel_wait_gate(l->sock, GATE_GO) < 0)
		_exit(1);
	launch_exec(l, &e);
	channel_send_err(l->sock, &e);
	_exit(e.kind == ERR_NO_PROGRAM ? 127 : 126);
}
