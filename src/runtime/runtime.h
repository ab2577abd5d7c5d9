/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime library: turns a decoded OCI configuration into a process in its namespaces and
 * cgroups. It knows bundles, not images; it keeps no state on disk and owns no thread. The caller
 * is single-threaded, is the parent of the container's first process and of exec'ed ones, and reaps
 * them (waitid on the pidfd, or SIGCHLD + waitpid).
 *
 * runtime_create() clones the child, which mounts the root, sets everything up and then waits at a
 * gate; runtime_start() opens the gate and returns when execve() has succeeded or failed. A failed
 * create leaves no process, mount or cgroup behind.
 */
#pragma once

#include "base/err.h"
#include "spec/oci-config.h"

#include <stdint.h>
#include <sys/types.h>

/* An overlay that is mounted inside the container's own mount namespace, never in the host's. */
struct runtime_rootfs {
	const char *layers_dir;	  /* absolute; lower names are relative to it */
	const char *const *lower; /* top layer first: "17/diff" */
	size_t nlower;
	const char *upper, *work; /* absolute; both NULL: a read-only root from the layers alone */
	bool readonly;		  /* remount the finished root read-only (--read-only) */
};

#define RUNTIME_CREATE_INIT                                                                        \
	((struct runtime_create){.bundle_fd = FD_NONE,                                             \
				 .stdio = {FD_NONE, FD_NONE, FD_NONE},                             \
				 .gate_listener = FD_NONE})

struct runtime_create { /* start from RUNTIME_CREATE_INIT */
	const char *id;
	const struct oci_config *config; /* borrowed for the call */
	int bundle_fd; /* base of a relative root.path; FD_NONE: working directory */
	const struct runtime_rootfs *overlay; /* NULL: config->root */
	int stdio[3]; /* borrowed; FD_NONE: /dev/null. Unused with process.terminal */
	const char *seccomp_profile;   /* "default", "unconfined", "/path.json", or NULL:
					  linux.seccomp of the config */
	const char *seccomp_cache_dir; /* compiled programs, or NULL */
	const char *cgroup_parent;     /* NULL: "/coracle"; the cgroup is PARENT/ID unless
					  linux.cgroupsPath is set */
	const char *init_path; /* coracle-init on the host, or NULL: becomes pid 1 (mounted at
				  /sbin/docker-init) */
	int preserve_fds; /* fds 3..3+n-1 stay open in the container (--preserve-fds, LISTEN_FDS) */
	bool privileged_seccomp_off; /* ignore any profile */
	/* SIGKILL to the first process when the calling thread dies (a shim, not the OCI command)
	 */
	bool die_with_caller;
	/* 0 or FD_NONE: none. A listening SEQPACKET socket: whoever connects there opens the gate.
	 */
	int gate_listener;
	/* Called once the first process exists, in namespaces that are still empty, while it mounts
	 * its root: what the caller adds to them. An error ends the creation. NULL: nothing. */
	int (*cloned)(void *ud, pid_t pid, struct err *e);
	void *cloned_ud;
	/* Needed when the configuration has hooks: the container's state as JSON for its pid and a
	 * status ("creating", "created"); heap. prestart, createRuntime and createContainer run
	 * within runtime_create(), startContainer within runtime_start(). */
	char *(*hook_state)(void *ud, pid_t pid, const char *status);
	void *hook_ud;
	void (*notice)(void *ud, const char *text); /* degradations worth a warning ("rlimit ... not
						       raised"); may be NULL */
	void *notice_ud;
};

/* Handle of one container; all members may be read. Start from RUNTIME_CONTAINER_INIT; end with
 * runtime_container_done(). */
struct runtime_container {
	pid_t pid;
	int pidfd;	/* owned */
	int console_fd; /* owned: pty master when process.terminal, else FD_NONE; take it with
			   TAKE_FD() */
	int gate_fd;	/* owned, internal: writing opens the gate, closing ends the child */
	int status_fd;	/* owned, internal: errors of the child; end of file when execve() succeeded
			 */
	char *cgroup_path;   /* owned: path below each hierarchy, e.g. "/coracle/ID" */
	uint64_t start_time; /* of the pid, clock ticks after boot (field 22 of /proc/PID/stat) */
};
#define RUNTIME_CONTAINER_INIT                                                                     \
	((struct runtime_container){.pid = -1,                                                     \
				    .pidfd = FD_NONE,                                              \
				    .console_fd = FD_NONE,                                         \
				    .gate_fd = FD_NONE,                                            \
				    .status_fd = FD_NONE})

int runtime_create(const struct runtime_create *req, struct runtime_container *ret, struct err *e);
/*
 * Blocks until the program runs (normally < 1 ms). Errors: ERR_NO_PROGRAM (127), ERR_NOT_EXECUTABLE
 * (126), ERR_SYSTEM; after an error the child is dead and must still be reaped.
 */
int runtime_start(struct runtime_container *c, struct err *e);
/* Closes fds and frees; never signals the process and never removes cgroups. */
void runtime_container_done(struct runtime_container *c);

/* Hooks (struct oci_hook) in the caller's namespaces, in order, with the state as their input; the
 * first that fails or outlives its timeout is the error. */
int runtime_run_hooks(const struct objs *hooks, const char *state, struct err *e);

/* Handle of a container another process created; checks that pid still has start_time when
 * start_time != 0. */
int runtime_adopt(pid_t pid, uint64_t start_time, const char *cgroup_path,
		  struct runtime_container *ret, struct err *e);

/* Signal the first process. ERR_CONFLICT when it is gone. */
int runtime_kill(const struct runtime_container *c, int signo, struct err *e);
/* SIGKILL every process of the cgroup (also those of a shared pid namespace). */
int runtime_kill_all(const struct runtime_container *c, struct err *e);
int runtime_pause(const struct runtime_container *c, struct err *e);
int runtime_resume(const struct runtime_container *c, struct err *e);
bool runtime_is_paused(const struct runtime_container *c);
/* Change limits; members that are NULL stay. */
int runtime_update(const struct runtime_container *c, const struct oci_resources *r, struct err *e);
/* Remove the cgroups; kills what is left in them. Also right after a crash, from the path alone. 0
 * when absent. */
int runtime_delete(const struct runtime_container *c, struct err *e);
/* How many processes of the cgroup the OOM killer ended. Ask before runtime_delete(). */
uint64_t runtime_oom_kills(const struct runtime_container *c);
/* A descriptor to poll for POLLIN on cgroup v1, for POLLPRI on v2, or FD_NONE: something happened
 * about memory, ask runtime_oom_kills(). */
int runtime_oom_fd(const struct runtime_container *c);
/* After it was ready, so that it is not at once again; negative errno: close it. */
int runtime_oom_drain(int fd);
/* Pids (of the caller's pid namespace) in the cgroup; the count, at most max are stored. */
int runtime_pids(const struct runtime_container *c, pid_t *ret, size_t max, struct err *e);

struct runtime_exec {
	const struct oci_process *process; /* borrowed; capabilities and seccomp as for create */
	int stdio[3];			   /* as in runtime_create */
	const char *seccomp_profile;
	const char *seccomp; /* raw linux.seccomp of the container's config when seccomp_profile is
				NULL */
	const char *seccomp_cache_dir;
	const struct oci_personality *personality; /* linux.personality of the container; NULL */
	int preserve_fds;
	void (*notice)(void *ud, const char *text);
	void *notice_ud;
};
struct runtime_process {
	pid_t pid;
	int pidfd;	/* owned */
	int console_fd; /* owned, as in runtime_container */
};
/* Run another program inside; it is a child of the caller and already executing when this returns
 * 0. */
int runtime_exec(const struct runtime_container *c, const struct runtime_exec *req,
		 struct runtime_process *ret, struct err *e);
/* Ends and reaps one that nobody has reaped yet, and closes what it holds. */
void runtime_process_end(struct runtime_process *p);

/* "Read", "Write", "Sync", "Async", "Discard", "Total" */
#define RUNTIME_BLKIO_OPS 6
extern const char *const runtime_blkio_ops[RUNTIME_BLKIO_OPS];
#define RUNTIME_CPUS_MAX  512 /* more are not told one by one */
#define RUNTIME_PRESSURES 3   /* cpu, memory, io */

struct runtime_blkio {
	unsigned major, minor;
	uint64_t read_bytes, write_bytes, reads, writes;
	unsigned ops; /* v1: which of runtime_blkio_ops the kernel counts, as bits */
	uint64_t op_bytes[RUNTIME_BLKIO_OPS], op_count[RUNTIME_BLKIO_OPS];
};
#define RUNTIME_BLKIO_MAX 16
struct runtime_stats {
	uint64_t cpu_total_ns, cpu_user_ns, cpu_system_ns;
	uint64_t throttle_periods, throttled_periods, throttled_ns;
	uint64_t mem_usage, mem_limit, mem_max_usage,
		mem_failcnt; /* limit: UINT64_MAX without one */
	uint64_t mem_inactive_file, mem_cache, mem_rss, mem_swap, mem_pgfault, mem_pgmajfault;
	uint64_t pids_current, pids_limit; /* limit: 0 without one */
	struct runtime_blkio blkio[RUNTIME_BLKIO_MAX];
	size_t nblkio;
	uint64_t percpu_ns[RUNTIME_CPUS_MAX]; /* v1 */
	size_t npercpu;
	char mem_stat[8192];		       /* memory.stat as the kernel wrote it */
	char pressure[RUNTIME_PRESSURES][256]; /* cpu.pressure and so on; "": none (v1) */
	bool cgroup_v2;
};
int runtime_stats(const struct runtime_container *c, struct runtime_stats *ret, struct err *e);

/* "name", "uid", "name:group"...: who that is by the files of a root directory. "" is root. */
int runtime_user_find(int root, const char *user, uint32_t *ret_uid, uint32_t *ret_gid,
		      struct err *e);

/* "1" or "2": what the host's controllers live on; for docker info. */
int runtime_cgroup_version(void);
