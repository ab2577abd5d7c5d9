/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coracled: the engine and its API in one process. Started on demand by `coracle` (which waits for
 * the ready byte on CORACLE_READY_FD), by a systemd socket unit (LISTEN_FDS) or by hand. Ends on
 * SIGTERM and SIGINT; containers go on.
 */
#include "api/server.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "config/config.h"
#include "engine/engine.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <uv.h>

#include "base/banned.h"

#define LISTEN_FDS_START 3
#define LISTEN_MAX	 8

struct daemon {
	const struct config_args *args;
	struct config *config;
	uv_loop_t *loop;
	struct engine *engine;
	struct api_server *api;
	uv_signal_t term, intr, hup;
	char *socket_path; /* ours to remove; NULL with socket activation */
	bool stopping;
};

static void usage(void)
{
	AUTO_BUF struct buf b = BUF_INIT(1U << 20);

	buf_adds(&b, "Usage:  coracled [OPTIONS]\n\n"
		     "The engine behind coracle: containers over the Docker Engine API\n");
	opts_help(&b, config_options, "Options");
	buf_adds(&b, "\nCORACLE_HOME=DIR puts everything below DIR; CORACLE_TRACE=1 prints where "
		     "time goes.\n");
	fputs(buf_text(&b), stdout);
}

static void setup_log(const struct config *c)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	enum log_level level = c->debug > 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR;

	for (size_t i = 0; c->debug <= 0 && i < ARRAY_SIZE(names); i++)
		if (str_starts(c->log_level, names[i]))
			level = (enum log_level)i;
	log_setup(level, strcmp(c->log_format, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT, 2);
}

/* Sockets systemd opened for us; the number of them. */
static size_t inherited_sockets(int *fds)
{
	const char *pid = secure_getenv("LISTEN_PID"), *count = secure_getenv("LISTEN_FDS");
	uint64_t p, n;

	if (!pid || !count || num_parse_u64(pid, 1, INT32_MAX, &p) < 0 || (pid_t)p != getpid() ||
	    num_parse_u64(count, 1, LISTEN_MAX, &n) < 0)
		return 0;
	for (uint64_t i = 0; i < n; i++) {
		fds[i] = LISTEN_FDS_START + (int)i;
		fcntl(fds[i], F_SETFD, FD_CLOEXEC);
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return n;
}

static void tell_ready(void)
{
	const char *text = secure_getenv("CORACLE_READY_FD");
	uint64_t fd;

	if (text && num_parse_u64(text, 3, 1024, &fd) == 0) {
		if (write((int)fd, "\n", 1) < 0)
			log_warn("cannot tell that the engine is ready: %m");
		close((int)fd);
	}
	unsetenv("CORACLE_READY_FD");
}

static void on_stopped(void *ud)
{
	struct daemon *d = ud;

	d->api = NULL;
	uv_stop(d->loop);
}

static void on_signal(uv_signal_t *h, int signo)
{
	struct daemon *d = h->data;

	if (d->stopping)
		return;
	d->stopping = true;
	log_info("stopping on signal %d; containers go on", signo);
	api_server_stop(d->api, on_stopped, d);
}

/* SIGHUP: the file again. One that is wrong changes nothing. */
static void on_reload(uv_signal_t *h, int signo)
{
	struct daemon *d = h->data;
	AUTO_BUF struct buf kept = BUF_INIT(ERR_TEXT_MAX);
	struct config *next = NULL, *old = d->config;
	struct err e = ERR_INIT;

	if (d->stopping)
		return;
	log_info("got signal to reload configuration, reloading from: %s", d->args->file);
	if (config_reload(d->args, old, &next, &kept, &e) < 0) {
		log_error("%s; the old settings stay", e.text);
		return;
	}
	setup_log(next);
	if (kept.n)
		log_warn("not changed before the engine restarts: %s", buf_text(&kept));
	d->config = next;
	engine_reconfigure(d->engine, next);
	config_free(old);
	log_info("reloaded the configuration");
}

static void close_handle(uv_handle_t *h, void *ud)
{
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static int listen_here(struct daemon *d, const char *host, int *ret, struct err *e)
{
	const char *path = host + strlen("unix://");

	/* The engine's lock is ours: whatever stands there is stale. */
	unlink(path);
	*ret = fs_unix_listen(path, SOCK_STREAM, 512, 0660);
	if (*ret < 0)
		return err_sys(e, *ret, "listen on %s", path);
	d->socket_path = xstrdup(path);
	return 0;
}

static void watch_signal(struct daemon *d, uv_signal_t *h, int signo, uv_signal_cb cb)
{
	uv_signal_init(d->loop, h);
	h->data = d;
	uv_signal_start(h, cb, signo);
}

static int serve(struct daemon *d, struct err *e)
{
	const struct config *c = d->config;
	AUTO_FREE char *programs = fs_program_dir();
	struct engine_options eo = {.data_dir = c->data_root,
				    .run_dir = c->exec_root,
				    .program_dir = programs,
				    .host = c->hosts.v[0],
				    .config = c,
				    .trace = trace_on};
	int fds[LISTEN_MAX];
	size_t n = inherited_sockets(fds);
	struct api_config ac = {.loop = d->loop, .listen_fds = fds};

	if (engine_open(d->loop, &eo, &d->engine, e) < 0)
		return -1;
	trace_point("engine open");
	if (n == 0 && listen_here(d, c->hosts.v[0], &fds[n++], e) < 0)
		return -1;
	ac.engine = d->engine;
	ac.nlisten = n;
	if (api_server_start(&ac, &d->api, e) < 0)
		return -1;
	watch_signal(d, &d->term, SIGTERM, on_signal);
	watch_signal(d, &d->intr, SIGINT, on_signal);
	watch_signal(d, &d->hup, SIGHUP, on_reload);
	tell_ready();
	trace_point("ready");
	log_info("coracled %s serves %s", CORACLE_VERSION, c->hosts.v[0]);
	uv_run(d->loop, UV_RUN_DEFAULT);
	return 0;
}

static int run(const struct config_args *args, struct config *config)
{
	struct daemon d = {.args = args, .config = config, .loop = uv_default_loop()};
	struct rlimit files;
	struct err e = ERR_INIT;
	int rc;

	setup_log(config);
	umask(022);
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	rc = serve(&d, &e);
	if (rc < 0)
		log_error("%s", e.text);
	engine_close(d.engine);
	if (d.socket_path)
		unlink(d.socket_path);
	uv_walk(d.loop, close_handle, NULL);
	uv_run(d.loop, UV_RUN_NOWAIT);
	free(d.socket_path);
	config_free(d.config);
	return rc < 0 ? 1 : 0;
}

/* Exit code of what needs no engine, or -1 with the configuration loaded. */
static int prepare(int argc, char **argv, struct config_args *args, struct config **ret)
{
	struct err e = ERR_INIT;

	if (config_args_parse(argc - 1, argv + 1, args, &e) < 0) {
		fprintf(stderr, "coracled: %s\nSee 'coracled --help'.\n", e.text);
		return 125;
	}
	if (args->opts.help) {
		usage();
		return 0;
	}
	if (args->version) {
		printf("coracled version %s\n", CORACLE_VERSION);
		return 0;
	}
	if (config_load(args, ret, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	if (!args->validate)
		return -1;
	puts("configuration OK");
	config_free(*ret);
	return 0;
}

int main(int argc, char **argv)
{
	struct config_args args = {0};
	struct config *config = NULL;
	int rc;

	trace_setup("coracled");
	rc = prepare(argc, argv, &args, &config);
	if (rc < 0)
		rc = run(&args, config);
	config_args_done(&args);
	return rc;
}
