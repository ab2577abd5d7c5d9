/* SPDX-License-Identifier: Apache-2.0 */
/* create, run, start. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "oci/oci-priv.h"
#include "sys/fs.h"

#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/banned.h"

struct made {
	struct oci_config cfg;
	struct oci_state st;
	struct runtime_container c;
	struct buf text;
};
#define MADE_INIT ((struct made){.c = RUNTIME_CONTAINER_INIT, .text = BUF_INIT(OCI_CONFIG_MAX)})

static char *state_text(const struct oci_state *s, const char *status, const struct oci_config *cfg)
{
	AUTO_BUF struct buf b = BUF_INIT(OCI_CONFIG_MAX);
	struct jw w = JW_INIT(&b);

	oci_state_put(&w, s, status, cfg);
	return xstrdup(buf_text(&b));
}

static char *hook_state(void *ud, pid_t pid, const char *status)
{
	struct made *m = ud;

	m->st.pid = pid;
	return state_text(&m->st, status, &m->cfg);
}

void oci_late_hooks(const struct objs *list, const struct oci_state *s, const char *status,
		    const struct oci_config *cfg)
{
	AUTO_FREE char *text = list->n ? state_text(s, status, cfg) : NULL;
	struct err e = ERR_INIT;

	if (text && runtime_run_hooks(list, text, &e) < 0)
		log_warn("%s", e.text);
}

static int read_config(const char *bundle, struct made *m, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/config.json", bundle);
	int rc = fs_read_path(path, &m->text);

	if (rc < 0)
		return err_sys(e, rc, "open %s", path);
	return json_decode_text(m->text.p, m->text.n, &oci_config_schema, &m->cfg, oci_arena, e);
}

static int claim(const char *id, struct err *e)
{
	AUTO_FREE char *dir = oci_container_dir(id);

	if (mkdir(dir, 0711) == 0)
		return 0;
	if (errno == ENOENT && fs_mkdirs(oci_opt.root, 0711) == 0 && mkdir(dir, 0711) == 0)
		return 0;
	return errno == EEXIST ? err_set(e, ERR_CONFLICT, "container with given ID already exists")
			       : err_sys(e, -errno, "create %s", dir);
}

/* The folder is claimed: everything that can still fail. */
static int build(const char *id, bool run, int bundle_fd, struct made *m, struct err *e)
{
	AUTO_FREE char *cache = xasprintf("%s/.seccomp", oci_opt.root);
	AUTO_FREE char *gate = xasprintf("%s/%s/gate", oci_opt.root, id);
	AUTO_FD int listener = run ? FD_NONE : fs_unix_listen(gate, SOCK_SEQPACKET, 4, 0600);
	struct runtime_create req = RUNTIME_CREATE_INIT;

	if (!run && listener < 0)
		return err_sys(e, listener, "listen on %s", gate);
	req.id = id;
	req.config = &m->cfg;
	req.bundle_fd = bundle_fd;
	for (int i = 0; i < 3; i++)
		req.stdio[i] = i;
	req.seccomp_cache_dir = cache;
	req.preserve_fds = oci_opt.preserve_fds;
	req.gate_listener = listener;
	req.notice = oci_notice;
	req.hook_state = hook_state;
	req.hook_ud = m;
	if (runtime_create(&req, &m->c, e) < 0)
		return -1;
	trace_point("created");
	m->st.pid = m->c.pid;
	m->st.start_time = (int64_t)m->c.start_time;
	m->st.cgroup_path = m->c.cgroup_path;
	if (oci_state_save(&m->st, e) == 0 && oci_write_pid_file(m->c.pid, e) == 0 &&
	    (m->c.console_fd < 0 || !oci_opt.console_socket ||
	     oci_send_console(m->c.console_fd, e) == 0))
		return 0;
	struct err ignored = ERR_INIT;
	runtime_kill(&m->c, SIGKILL, &ignored);
	oci_wait(m->c.pid);
	return -1;
}

static int make(const char *id, bool run, struct made *m, struct err *e)
{
	char created[CLOCK_TEXT_MAX], bundle[PATH_MAX];

	if (!oci_id_ok(id))
		return err_set(e, ERR_INVALID, "invalid container id format: %s", id);
	if (!realpath(oci_opt.bundle ? oci_opt.bundle : ".", bundle))
		return err_sys(e, -errno, "bundle %s", oci_opt.bundle);
	if (read_config(bundle, m, e) < 0 || claim(id, e) < 0)
		return -1;
	trace_point("config read");
	clock_format(clock_now_ns(), created);
	m->st = (struct oci_state){.oci_version = OCI_VERSION,
				   .id = id,
				   .bundle = arena_strdup(oci_arena, bundle),
				   .created = arena_strdup(oci_arena, created),
				   .started = run,
				   .config = buf_text(&m->text)};
	AUTO_FD int bundle_fd = fs_open_dir(bundle);
	if (build(id, run, bundle_fd, m, e) == 0)
		return 0;
	oci_destroy(id, m->c.cgroup_path);
	return -1;
}

int oci_create(char **args, int n, struct err *e)
{
	struct made m = MADE_INIT;

	(void)n;
	return make(args[0], false, &m, e);
}

int oci_run(char **args, int n, struct err *e)
{
	struct made m = MADE_INIT;
	const char *id = args[0];

	(void)n;
	if (make(id, true, &m, e) < 0)
		return -1;
	if (runtime_start(&m.c, e) < 0) {
		oci_wait(m.c.pid);
		oci_destroy(id, m.c.cgroup_path);
		return -1;
	}
	trace_point("started");
	if (m.cfg.hooks)
		oci_late_hooks(&m.cfg.hooks->poststart, &m.st, "running", &m.cfg);
	if (oci_opt.detach)
		return 0;
	int code = oci_attend(m.c.pid, m.c.pidfd,
			      oci_opt.console_socket ? FD_NONE : m.c.console_fd);
	trace_point("exited");
	if (!oci_opt.keep)
		oci_destroy(id, m.c.cgroup_path);
	if (m.cfg.hooks && !oci_opt.keep)
		oci_late_hooks(&m.cfg.hooks->poststop, &m.st, "stopped", &m.cfg);
	trace_point("removed");
	_exit(code);
}

int oci_start(char **args, int n, struct err *e)
{
	struct oci_state s;
	struct oci_config cfg;
	struct runtime_container c = RUNTIME_CONTAINER_INIT;

	(void)n;
	if (oci_state_load(args[0], &s, e) < 0 || oci_state_config(&s, &cfg, e) < 0)
		return -1;
	const char *status = oci_status(&s);
	if (strcmp(status, "created") != 0)
		return err_set(e, ERR_CONFLICT, "cannot start a container that has %s", status);
	if (oci_adopt(&s, &c, e) < 0)
		return -1;
	AUTO_FREE char *gate = xasprintf("%s/%s/gate", oci_opt.root, args[0]);
	c.status_fd = fs_unix_connect(gate, SOCK_SEQPACKET);
	if (c.status_fd < 0)
		return err_sys(e, c.status_fd, "connect to the container");
	s.started = true;
	if (oci_state_save(&s, e) < 0 || runtime_start(&c, e) < 0)
		return -1;
	unlink(gate);
	if (cfg.hooks)
		oci_late_hooks(&cfg.hooks->poststart, &s, "running", &cfg);
	return 0;
}
