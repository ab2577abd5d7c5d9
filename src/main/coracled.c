/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coracled: the engine and its API in one process. Started on demand by `coracle` (which waits for
 * the ready byte on CORACLE_READY_FD), by a systemd socket unit (LISTEN_FDS) or by hand. Ends on
 * SIGTERM and SIGINT; containers go on.
 */
#include "api/server.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "config/config.h"
#include "engine/engine.h"
#include "listen.h"
#include "sys/fs.h"
#include "sys/notify.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <uv.h>

#include "base/banned.h"

struct daemon {
	const struct config_args *args;
	struct config *config;
	uv_loop_t *loop;
	struct engine *engine;
	struct api_server *api, *metrics;
	uv_signal_t term, intr, hup;
	struct listeners listeners;
	int metrics_fd;
	bool pidfile;
	unsigned stopping; /* signals seen */
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
	if (notify_send("READY=1") < 0)
		log_warn("cannot tell the service manager that the engine is ready");
}

static void leave_loop(void *ud)
{
	struct daemon *d = ud;

	uv_stop(d->loop);
}

static void on_stopped(void *ud)
{
	struct daemon *d = ud;

	d->api = NULL;
	if (d->config->live_restore > 0)
		leave_loop(d);
	else
		engine_shutdown(d->engine, leave_loop, d);
}

/* The first signal ends in order, a third one at once, as dockerd has it. */
static void on_signal(uv_signal_t *h, int signo)
{
	struct daemon *d = h->data;

	if (d->stopping++ == 2) {
		log_warn("third signal: leaving at once");
		leave_loop(d);
	}
	if (d->stopping > 1)
		return;
	notify_send("STOPPING=1");
	log_info("stopping on signal %d; %s", signo,
		 d->config->live_restore > 0 ? "containers go on" : "containers stop too");
	listeners_close(&d->listeners);
	if (d->metrics)
		api_server_stop(TAKE_PTR(d->metrics), NULL, NULL);
	api_server_stop(d->api, on_stopped, d);
}

static void tell_reloading(void)
{
	char text[64];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
		 (long long)(clock_mono_ns() / 1000));
	notify_send(text);
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
	tell_reloading();
	log_info("got signal to reload configuration, reloading from: %s", d->args->file);
	if (config_reload(d->args, old, &next, &kept, &e) < 0) {
		log_error("%s; the old settings stay", e.text);
		notify_send("READY=1");
		return;
	}
	setup_log(next);
	if (kept.n)
		log_warn("not changed before the engine restarts: %s", buf_text(&kept));
	d->config = next;
	engine_reconfigure(d->engine, next);
	config_free(old);
	log_info("reloaded the configuration");
	notify_send("READY=1");
}

static void close_handle(uv_handle_t *h, void *ud)
{
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static int write_pidfile(struct daemon *d, struct err *e)
{
	AUTO_FREE char *text = xasprintf("%d\n", (int)getpid());
	AUTO_FREE char *dir = xstrdup(d->config->pidfile);
	char *slash = strrchr(dir, '/');
	int rc = -EINVAL;

	if (slash && slash[1]) {
		AUTO_FD int fd = FD_NONE;

		*slash = 0;
		fd = fs_open_dir(*dir ? dir : "/");
		rc = fd < 0 ? fd : fs_write_atomic(fd, slash + 1, text, strlen(text), 0644, false);
	}
	if (rc < 0)
		return err_sys(e, rc, "write the pid file %s", d->config->pidfile);
	d->pidfile = true;
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
	struct api_config ac = {.loop = d->loop, .listen_fds = d->listeners.fds};

	if (engine_open(d->loop, &eo, &d->engine, e) < 0)
		return -1;
	trace_point("engine open");
	if (write_pidfile(d, e) < 0 || listeners_open(&d->listeners, c, programs, e) < 0)
		return -1;
	ac.engine = d->engine;
	ac.nlisten = d->listeners.n;
	if (api_server_start(&ac, &d->api, e) < 0)
		return -1;
	ac.listen_fds = &d->metrics_fd;
	ac.nlisten = 1;
	if (c->metrics_addr && *c->metrics_addr) {
		d->metrics_fd = listen_metrics(c->metrics_addr, e);
		if (d->metrics_fd < 0 || api_metrics_start(&ac, &d->metrics, e) < 0)
			return -1;
	}
	listeners_watch(&d->listeners, d->loop);
	watch_signal(d, &d->term, SIGTERM, on_signal);
	watch_signal(d, &d->intr, SIGINT, on_signal);
	watch_signal(d, &d->hup, SIGHUP, on_reload);
	tell_ready();
	trace_point("ready");
	for (size_t i = 0; i < c->hosts.n; i++)
		log_info("coracled %s listens on %s", CORACLE_VERSION, c->hosts.v[i]);
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
	listeners_close(&d.listeners);
	engine_close(d.engine);
	if (d.pidfile)
		unlink(d.config->pidfile);
	uv_walk(d.loop, close_handle, NULL);
	uv_run(d.loop, UV_RUN_NOWAIT);
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

	/* Else each worker thread has a heap of its own, and keeps the most it ever needed. */
	(void)mallopt(M_ARENA_MAX, 1);
	trace_setup("coracled");
	rc = prepare(argc, argv, &args, &config);
	if (rc < 0)
		rc = run(&args, config);
	config_args_done(&args);
	return rc;
}
