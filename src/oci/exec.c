/* SPDX-License-Identifier: Apache-2.0 */
/* exec: another program in a container, described by --process or by options. */
#include "base/log.h"
#include "base/mem.h"
#include "oci/oci-priv.h"
#include "sys/fs.h"

#include <string.h>

#include "base/banned.h"

static void append(struct strs *list, const struct strs *more)
{
	struct strs copy = {0};

	for (size_t i = 0; i < list->n; i++)
		strs_push(&copy, oci_arena, list->v[i]);
	for (size_t i = 0; i < more->n; i++)
		strs_push(&copy, oci_arena, more->v[i]);
	*list = copy;
}

static void add_caps(struct oci_process *p)
{
	struct oci_capabilities *c = arena_alloc(oci_arena, sizeof(*c));

	*c = *p->capabilities;
	append(&c->bounding, &oci_opt.caps);
	append(&c->effective, &oci_opt.caps);
	append(&c->permitted, &oci_opt.caps);
	p->capabilities = c;
}

/* The container's own process with what the options change. */
static void from_options(const struct oci_config *cfg, char **args, int n, struct oci_process *p)
{
	*p = *cfg->process;
	p->terminal = oci_opt.tty;
	p->console_size = NULL;
	p->args = (struct strs){0};
	for (int i = 0; i < n; i++)
		strs_push(&p->args, oci_arena, args[i]);
	append(&p->env, &oci_opt.env);
	if (oci_opt.cwd)
		p->cwd = oci_opt.cwd;
	if (oci_opt.user)
		p->user.username = oci_opt.user;
	append(&p->user.group_add, &oci_opt.groups);
	if (oci_opt.no_new_privs)
		p->no_new_privileges = true;
	if (oci_opt.caps.n && p->capabilities)
		add_caps(p);
}

static int read_process(struct oci_process *p, struct err *e)
{
	AUTO_BUF struct buf b = BUF_INIT(OCI_CONFIG_MAX);
	int rc = fs_read_path(oci_opt.process, &b);

	if (rc < 0)
		return err_sys(e, rc, "read %s", oci_opt.process);
	return json_decode_text(b.p, b.n, &oci_process_schema, p, oci_arena, e);
}

int oci_exec(char **args, int n, struct err *e)
{
	struct oci_state s;
	struct oci_config cfg;
	struct oci_process p;
	struct runtime_container c = RUNTIME_CONTAINER_INIT;
	struct runtime_process done = {-1, FD_NONE, FD_NONE};
	AUTO_FREE char *cache = xasprintf("%s/.seccomp", oci_opt.root);

	if (oci_state_load(args[0], &s, e) < 0 || oci_state_config(&s, &cfg, e) < 0)
		return -1;
	const char *status = oci_status(&s);
	if (strcmp(status, "running") != 0 && strcmp(status, "created") != 0)
		return err_set(e, ERR_CONFLICT, "cannot exec in a %s container", status);
	if (!cfg.process)
		return err_set(e, ERR_INVALID, "the configuration lacks process");
	if (oci_opt.process) {
		if (read_process(&p, e) < 0)
			return -1;
	} else {
		from_options(&cfg, args + 1, n - 1, &p);
	}
	if (oci_opt.apparmor)
		p.apparmor_profile = oci_opt.apparmor;
	if (oci_opt.label)
		p.selinux_label = oci_opt.label;
	if (oci_adopt(&s, &c, e) < 0)
		return -1;
	struct runtime_exec req = {.process = &p,
				   .stdio = {0, 1, 2},
				   .seccomp = cfg.linux_ ? cfg.linux_->seccomp : NULL,
				   .seccomp_cache_dir = cache,
				   .personality = cfg.linux_ ? cfg.linux_->personality : NULL,
				   .preserve_fds = oci_opt.preserve_fds,
				   .notice = oci_notice};
	if (runtime_exec(&c, &req, &done, e) < 0)
		return -1;
	if (oci_write_pid_file(done.pid, e) < 0)
		return -1;
	if (done.console_fd >= 0 && oci_opt.console_socket &&
	    oci_send_console(done.console_fd, e) < 0)
		return -1;
	if (oci_opt.detach)
		return 0;
	_exit(oci_attend(done.pid, done.pidfd, oci_opt.console_socket ? FD_NONE : done.console_fd));
}
