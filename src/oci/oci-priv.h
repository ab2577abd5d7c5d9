/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the OCI command line: one command per process, so the options and the arena are the
 * process' own. State is one JSON file per container below --root; a created container waits on a
 * socket in the same folder until `start` connects.
 */
#pragma once

#include "base/buf.h"
#include "base/json.h"
#include "runtime/runtime.h"
#include "spec/oci-config.h"

#define OCI_CONFIG_MAX	(4U << 20)
#define OCI_VERSION_MIN "1.0.0"
#define OCI_VERSION	"1.1.0"

/* What the command line asks for; strings belong to argv. */
struct oci_options {
	const char *root; /* state of all containers */
	const char *bundle, *pid_file, *console_socket, *process, *resources, *user, *cwd;
	const char *apparmor, *label; /* exec */
	const char *format;	      /* "table" or "json" */
	bool force, all, detach, tty, keep, no_new_privs, quiet, rootless;
	int preserve_fds;
	struct strs env, caps, groups;
};
extern struct oci_options oci_opt;
struct opts;
bool oci_is_listing(const char *command);
void oci_set_global(const struct opts *o); /* opens the log, too */
int oci_set_command(const struct opts *o, const char *command, struct err *e);
extern struct arena *oci_arena; /* everything decoded; lives as long as the process */

/* state.json */
struct oci_state {
	const char *oci_version, *id, *bundle, *created, *cgroup_path;
	int64_t pid, start_time;
	bool started;
	const char *config; /* the whole configuration, for exec and hooks */
};

/* state.c */
char *oci_container_dir(const char *id);
bool oci_id_ok(const char *id);
int oci_state_save(const struct oci_state *s, struct err *e);
int oci_state_load(const char *id, struct oci_state *ret, struct err *e);
int oci_state_config(const struct oci_state *s, struct oci_config *ret, struct err *e);
int oci_adopt(const struct oci_state *s, struct runtime_container *ret, struct err *e);
const char *oci_status(const struct oci_state *s); /* created running paused stopped */
/* The specification's state of a container. */
void oci_state_put(struct jw *w, const struct oci_state *s, const char *status,
		   const struct oci_config *cfg);
/* Cgroup (unless NULL) and folder are gone afterwards. */
void oci_destroy(const char *id, const char *cgroup);
/* Run hooks that belong to the caller's namespaces; failures are warnings. */
void oci_late_hooks(const struct objs *list, const struct oci_state *s, const char *status,
		    const struct oci_config *cfg);

/* attend.c: what a caller does for a process in the foreground */
void oci_notice(void *ud, const char *text);
int oci_write_pid_file(pid_t pid, struct err *e);
int oci_send_console(int master, struct err *e);
/* Copy the terminal, forward signals, wait; the exit code. console_fd FD_NONE: no terminal. */
int oci_attend(pid_t pid, int pidfd, int console_fd);
int oci_wait(pid_t pid);

/* The commands: 0, or -1 with *e. */
int oci_create(char **args, int n, struct err *e);
int oci_run(char **args, int n, struct err *e);
int oci_start(char **args, int n, struct err *e);
int oci_exec(char **args, int n, struct err *e);
int oci_show_state(char **args, int n, struct err *e);
int oci_list(char **args, int n, struct err *e);
int oci_kill(char **args, int n, struct err *e);
int oci_delete(char **args, int n, struct err *e);
int oci_pause(char **args, int n, struct err *e);
int oci_resume(char **args, int n, struct err *e);
int oci_ps(char **args, int n, struct err *e);
int oci_update(char **args, int n, struct err *e);
int oci_features(char **args, int n, struct err *e);
int oci_spec(char **args, int n, struct err *e);
