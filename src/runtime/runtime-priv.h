/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the runtime library: what the parent prepares before clone and the child uses afterwards
 * (a copy of memory). */
#pragma once

#include "runtime/runtime.h"
#include "sys/caps.h"
#include "sys/seccomp.h"

#include <sched.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

/* Stages of the channel between parent and child, one byte each. */
enum gate { GATE_MAPPED = 'u', GATE_CGROUP = 'c', GATE_GO = 'g' };
enum report {
	REPORT_READY = 'R',
	REPORT_ERROR = 'E',
	REPORT_CONSOLE = 'P',
	REPORT_PID = 'I',
	REPORT_NOTICE = 'N',
	REPORT_HOOKS = 'H', /* all is mounted: run the caller's hooks, then send two states */
};

struct join {
	int fd;
	int flag; /* CLONE_NEW* */
};

/* Everything about one program to be executed, for create and exec. */
struct launch {
	const struct oci_process *process;
	struct seccomp_prog seccomp;
	struct caps caps;
	bool have_caps;
	int stdio[3];
	int preserve_fds;
	bool die_with_caller;
	int sock;			/* channel to the parent */
	int console;			/* slave, FD_NONE without terminal */
	const char *init_argv0;		/* "/sbin/docker-init" or NULL */
	long personality;		/* for personality(2); -1: the caller's */
	int proc_fd;			/* the host's /proc for labels; FD_NONE without any */
	const struct objs *start_hooks; /* startContainer; NULL: none */
	char *start_state;		/* their input, owned */
	/* resolved in the child */
	uint32_t uid, gid;
	uint32_t groups[OCI_GIDS_MAX];
	int ngroups;
	char home[256];
};

struct setup {
	const struct runtime_create *req;
	const struct oci_config *cfg;
	struct launch launch;
	struct join joins[8];
	size_t njoins;
	unsigned clone_flags; /* new namespaces made by clone */
	bool new_cgroup_ns;   /* unshared by the child once it is in its cgroup */
	const char *cgroup_path;
	bool cgroup_ready;
	bool attach_self; /* v1: the child moves itself into its groups */
	int parent_sock;  /* the caller's end: the child closes its copy, so that the caller's death
			     ends it */
	int root;	  /* O_PATH of the container's root, in the child */
	int layers;	  /* O_PATH of the layers directory below it, in the child */
	int *made; /* per mount of the configuration: its tree when the caller made it, else 0;
		      owned */
	bool new_time_ns;
	char *bundle_path; /* of req->bundle_fd, read before clone; NULL: no bundle */
};

static inline bool setup_new(const struct setup *s, unsigned flag)
{
	return s->clone_flags & flag;
}

/* channel.c */
int channel_send(int sock, enum report kind, const void *p, size_t n, int fd);
void channel_send_err(int sock, const struct err *e);
/* Next report; text of an error goes to e (-1), end of file gives 0, else the kind. *ret_fd may get
 * a descriptor. */
int channel_recv(int sock, char *buf, size_t size, size_t *ret_n, int *ret_fd, struct err *e);
int channel_wait_gate(int sock, enum gate want); /* 0 or -errno; end of file: -EPIPE */
int channel_open_gate(int sock, enum gate which);

/* rootfs.c: in the child, before pivot */
int rootfs_mount(struct setup *s, struct err *e);
int rootfs_finish(struct setup *s, struct err *e); /* masks, read-only, pivot */
int setup_wait_cgroup(struct setup *s, struct err *e);
/* mounts.c */
int mounts_apply(struct setup *s, struct err *e);
int mounts_target(int root, const char *path, bool dir,
		  struct err *e); /* O_PATH fd, created when missing */
int mounts_cgroup(struct setup *s, const struct oci_mount *m, int target, struct err *e);
/* mounts-image.c */
int mounts_image(struct setup *s, const struct oci_mount *m, struct err *e);
/* dev.c */
int dev_populate(struct setup *s, struct err *e);
int dev_console(int root, struct launch *l, bool bind,
		struct err *e); /* makes a pty, sends the master */
/* user.c */
int user_resolve(int root, struct launch *l, struct err *e);
/* launch.c */
int launch_prepare(struct launch *l, const char *profile, const char *raw, const char *cache_dir,
		   bool off, struct err *e);
int launch_personality(struct launch *l, const struct oci_personality *p, struct err *e);
void launch_done(struct launch *l);
int launch_stdio(struct launch *l, struct err *e);
int launch_limits(const struct launch *l, struct err *e); /* rlimits, oom score: still privileged */
int launch_lookup(const struct launch *l, struct err *e); /* early "not found", for create */
int launch_exec(struct launch *l, struct err *e);	  /* returns only on failure */
/* resources.c */
int resources_apply(const char *cgroup, const struct oci_resources *r, bool update,
		    void (*notice)(void *, const char *), void *ud, struct err *e);
unsigned resources_controllers(const struct oci_resources *r);
/* hooks.c */
bool hooks_wanted(const struct oci_hooks *h);
int hooks_child(struct setup *s, struct err *e); /* before the root is entered */
int hooks_caller(const struct runtime_create *req, const struct runtime_container *c,
		 struct err *e); /* on REPORT_HOOKS */
/* idmap.c: in the caller */
int idmap_write(pid_t pid, const char *file, const struct objs *map);
struct mount_opts;
int idmap_mount(const struct setup *s, const struct oci_mount *m, const struct mount_opts *o,
		struct err *e); /* a detached tree with mapped ids, or -1 */
/* mounts-caller.c: fills and frees setup.made */
int caller_mounts_make(struct setup *s, struct err *e);
void caller_mounts_done(struct setup *s);
/* timens.c: in the caller, around clone; *own starts as FD_NONE */
int timens_enter(const struct setup *s, int *own, struct err *e);
void timens_leave(int *own);
/* child.c */
_Noreturn void child_main(struct setup *s);
/* clone.c */
pid_t clone_process(unsigned flags, int cgroup_fd, int *ret_pidfd);
uint64_t process_start_time(pid_t pid);
/* net.c */
int net_loopback_up(void);
