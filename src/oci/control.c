/* SPDX-License-Identifier: Apache-2.0 */
/* kill, delete, pause, resume, ps, update. */
#include "base/num.h"
#include "base/mem.h"
#include "oci/oci-priv.h"
#include "sys/fs.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define PIDS_MAX 32768

static int parse_signal(const char *s)
{
	uint64_t n;

	if (num_parse_u64(s, 0, 64, &n) == 0)
		return (int)n;
	if (strncasecmp(s, "SIG", 3) == 0)
		s += 3;
	for (int i = 1; i < NSIG; i++) {
		const char *name = sigabbrev_np(i);
		if (name && strcasecmp(name, s) == 0)
			return i;
	}
	if (strncasecmp(s, "RTMIN+", 6) == 0 && num_parse_u64(s + 6, 0, 30, &n) == 0)
		return SIGRTMIN + (int)n;
	return strcasecmp(s, "RTMIN") == 0 ? SIGRTMIN : strcasecmp(s, "RTMAX") == 0 ? SIGRTMAX : -1;
}

int oci_kill(char **args, int n, struct err *e)
{
	struct oci_state s;
	struct runtime_container c = RUNTIME_CONTAINER_INIT;
	const char *name = n > 1 ? args[1] : "TERM";
	int signo = parse_signal(name);

	if (signo < 0)
		return err_set(e, ERR_INVALID, "unknown signal %s", name);
	if (oci_state_load(args[0], &s, e) < 0)
		return -1;
	if (oci_opt.all && signo == SIGKILL) {
		c.cgroup_path = xstrdup(s.cgroup_path);
		return runtime_kill_all(&c, e);
	}
	if (strcmp(oci_status(&s), "stopped") == 0 || oci_adopt(&s, &c, e) < 0)
		return err_set(e, ERR_CONFLICT, "container not running");
	return runtime_kill(&c, signo, e);
}

static void kill_hard(const struct oci_state *s)
{
	struct runtime_container c = RUNTIME_CONTAINER_INIT;
	struct err ignored = ERR_INIT;

	if (oci_adopt(s, &c, &ignored) < 0)
		return;
	runtime_kill(&c, SIGKILL, &ignored);
	runtime_kill_all(&c, &ignored);
	struct pollfd p = {c.pidfd, POLLIN, 0};
	poll(&p, 1, 5000);
	runtime_container_done(&c);
}

int oci_delete(char **args, int n, struct err *e)
{
	struct oci_state s;
	struct oci_config cfg;
	struct err ignored = ERR_INIT;
	const char *id = args[0];

	(void)n;
	if (oci_state_load(id, &s, e) < 0) {
		if (!oci_opt.force || e->kind != ERR_NOT_FOUND)
			return -1;
		/* what a killed create left */
		err_clear(e);
		oci_destroy(id, NULL);
		return 0;
	}
	const char *status = oci_status(&s);
	if (strcmp(status, "stopped") != 0) {
		if (!oci_opt.force && strcmp(status, "created") != 0)
			return err_set(e, ERR_CONFLICT,
				       "cannot delete container %s that is not stopped: %s", id,
				       status);
		kill_hard(&s);
	}
	oci_destroy(id, s.cgroup_path);
	if (oci_state_config(&s, &cfg, &ignored) == 0 && cfg.hooks)
		oci_late_hooks(&cfg.hooks->poststop, &s, "stopped", &cfg);
	return 0;
}

static int freeze(const char *id, bool on, struct err *e)
{
	struct oci_state s;
	struct runtime_container c = RUNTIME_CONTAINER_INIT;

	if (oci_state_load(id, &s, e) < 0 || oci_adopt(&s, &c, e) < 0)
		return -1;
	return on ? runtime_pause(&c, e) : runtime_resume(&c, e);
}

int oci_pause(char **args, int n, struct err *e)
{
	(void)n;
	return freeze(args[0], true, e);
}

int oci_resume(char **args, int n, struct err *e)
{
	(void)n;
	return freeze(args[0], false, e);
}

int oci_ps(char **args, int n, struct err *e)
{
	struct oci_state s;
	struct runtime_container c = RUNTIME_CONTAINER_INIT;
	static pid_t pids[PIDS_MAX];

	(void)n;
	if (oci_state_load(args[0], &s, e) < 0)
		return -1;
	c.cgroup_path = xstrdup(s.cgroup_path);
	int count = runtime_pids(&c, pids, PIDS_MAX, e);
	runtime_container_done(&c);
	if (count < 0)
		return -1;
	bool json = strcmp(oci_opt.format, "json") == 0;
	printf(json ? "[" : "PID\n");
	for (int i = 0; i < MIN(count, PIDS_MAX); i++)
		printf(json ? "%s%d" : "%s%d\n", json && i ? "," : "", pids[i]);
	printf(json ? "]\n" : "");
	return 0;
}

int oci_update(char **args, int n, struct err *e)
{
	struct oci_state s;
	struct runtime_container c = RUNTIME_CONTAINER_INIT;
	struct oci_resources r = {0};
	AUTO_BUF struct buf b = BUF_INIT(OCI_CONFIG_MAX);

	(void)n;
	if (oci_state_load(args[0], &s, e) < 0 || oci_adopt(&s, &c, e) < 0)
		return -1;
	if (!oci_opt.resources)
		return err_set(e, ERR_INVALID, "update needs --resources FILE");
	int rc = strcmp(oci_opt.resources, "-") == 0 ? fs_read_fd(0, &b)
						     : fs_read_path(oci_opt.resources, &b);
	if (rc < 0)
		return err_sys(e, rc, "read %s", oci_opt.resources);
	if (json_decode_text(b.p, b.n, &oci_resources_schema, &r, oci_arena, e) < 0)
		return -1;
	return runtime_update(&c, &r, e);
}
