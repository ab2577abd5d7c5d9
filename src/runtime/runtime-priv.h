/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the runtime library: what the parent prepares and the child executes. */
#pragma once

#include "runtime/runtime.h"

/* The child's view of one container; built by the parent before clone, read by the child after it.
 */
struct setup {
	const struct runtime_create *req;
	const struct oci_config *config;
	int status_fd; /* child's end: messages to the parent */
	int gate_fd;   /* child's end: one byte opens the gate */
	int cgroup_fds[16];
	size_t ncgroup_fds;  /* cgroup.procs files to join by writing "0" */
	const void *seccomp; /* struct sock_fprog *, NULL: none */
	int root_fd;	     /* the mounted root, while it is built */
	bool new_cgroup_ns, new_net, joined_mount_ns;
};

/* Mount the root file system in the child's mount namespace and open it: s->root_fd. */
int rootfs_mount(struct setup *s, struct err *e);
/* Make it "/" and drop the host's tree. */
int rootfs_pivot(struct setup *s, struct err *e);
/* mounts of the configuration, in order, below s->root_fd. */
int mounts_apply(struct setup *s, struct err *e);
/* /dev nodes and links, given devices. */
int devices_make(struct setup *s, struct err *e);
/* Masked and read-only paths, read-only root; after the pivot. */
int mounts_protect(struct setup *s, struct err *e);

struct identity {
	uid_t uid;
	gid_t gid;
	gid_t groups[OCI_GIDS_MAX];
	size_t ngroups;
	char home[1024]; /* "" when unknown */
};
/* Resolve process.user in the files of the root (root_fd). */
int identity_resolve(const struct oci_user *u, int root_fd, struct identity *ret, struct err *e);

/* The last steps before the program: ids, capabilities, seccomp, exec. Returns only with an error.
 */
struct launch {
	const struct oci_process *process;
	const void *seccomp;
	int root_fd;
	int gate_fd; /* FD_NONE: no gate */
	int status_fd;
	int stdio[3];
	int preserve_fds;
	const char *init_path; /* inside the container, or NULL */
};
int launch_program(const struct launch *l, struct err *e);

/* Messages on the status socket (SOCK_SEQPACKET): 'R' (ready, perhaps with the console fd) or 'E' +
 * struct. */
struct status_error {
	char tag; /* 'E' */
	int kind, sys;
	char text[ERR_TEXT_MAX];
};
void status_send_error(int fd, const struct err *e);
/* 0 ready, 1 end of file, -1 an error the child reported. *ret_fd gets a passed descriptor. */
int status_read(int fd, int *ret_fd, struct err *e);

/* Field 22 of /proc/PID/stat, 0 when the process is gone. */
uint64_t runtime_start_time(pid_t pid);

/* Terminal of the container: opened inside, master sent to the parent, slave as 0-2 and
 * /dev/console. */
int console_open(struct setup *s, const struct oci_process *p, int *ret_slave, struct err *e);
