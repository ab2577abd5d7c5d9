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
#include "engine/engine.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <getopt.h>
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

struct options {
	char *data_dir, *run_dir, *host;
	bool debug;
	enum log_format format;
	enum log_level level;
};

struct daemon {
	uv_loop_t *loop;
	struct engine *engine;
	struct api_server *api;
	uv_signal_t term, intr;
	char *socket_path; /* ours to remove; NULL with socket activation */
	bool stopping;
};

static void usage(FILE *f)
{
	fputs("Usage: coracled [OPTIONS]\n\n"
	      "The engine behind coracle: containers over the Docker Engine API.\n\n"
	      "Options:\n"
	      "  -H, --host URL            Socket to listen on (default unix://RUN/coracle.sock)\n"
	      "      --data-root DIR       Images, layers, containers, volumes (default "
	      "/var/lib/coracle)\n"
	      "      --exec-root DIR       State of running containers (default /run/coracle)\n"
	      "  -D, --debug               Debug messages\n"
	      "  -l, --log-level LEVEL     debug, info, warn, error (default info)\n"
	      "      --log-format FORMAT   text or json\n"
	      "  -v, --version             Print the version\n"
	      "  -h, --help                Print this help\n\n"
	      "CORACLE_HOME=DIR puts everything below DIR; CORACLE_TRACE=1 prints where time "
	      "goes.\n",
	      f);
}

static int parse_level(const char *s, enum log_level *ret)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i], s) == 0) {
			*ret = (enum log_level)i;
			return 0;
		}
	}
	return -1;
}

static void default_paths(struct options *o)
{
	const char *home = secure_getenv("CORACLE_HOME");

	if (home && *home) {
		AUTO_FREE char *absolute = NULL;

		if (home[0] != '/') {
			AUTO_FREE char *cwd = getcwd(NULL, 0);

			absolute = xasprintf("%s/%s", cwd ? cwd : "", home);
			home = absolute;
		}
		o->data_dir = xasprintf("%s/data", home);
		o->run_dir = xasprintf("%s/run", home);
	} else {
		o->data_dir = xstrdup("/var/lib/coracle");
		o->run_dir = xstrdup("/run/coracle");
	}
}

/* Exit code to end with, or -1 to go on. */
static int parse_options(int argc, char **argv, struct options *o)
{
	enum { DATA = 256, EXEC, FORMAT };
	static const struct option table[] = {
		{"host", required_argument, NULL, 'H'},
		{"data-root", required_argument, NULL, DATA},
		{"exec-root", required_argument, NULL, EXEC},
		{"debug", no_argument, NULL, 'D'},
		{"log-level", required_argument, NULL, 'l'},
		{"log-format", required_argument, NULL, FORMAT},
		{"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "H:Dl:vh", table, NULL)) != -1) {
		switch (c) {
		case 'H':
			free(o->host);
			o->host = xstrdup(optarg);
			break;
		case DATA:
			free(o->data_dir);
			o->data_dir = xstrdup(optarg);
			break;
		case EXEC:
			free(o->run_dir);
			o->run_dir = xstrdup(optarg);
			break;
		case 'D':
			o->debug = true;
			o->level = LOG_LEVEL_DEBUG;
			break;
		case 'l':
			if (parse_level(optarg, &o->level) == 0)
				break;
			fprintf(stderr, "coracled: unknown log level \"%s\"\n", optarg);
			return 2;
		case FORMAT:
			if (strcmp(optarg, "json") == 0 || strcmp(optarg, "text") == 0) {
				o->format = *optarg == 'j' ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT;
				break;
			}
			fprintf(stderr, "coracled: unknown log format \"%s\"\n", optarg);
			return 2;
		case 'v':
			printf("coracled version %s\n", CORACLE_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "coracled: unexpected argument \"%s\"\n", argv[optind]);
		return 2;
	}
	if (!o->host)
		o->host = xasprintf("unix://%s/coracle.sock", o->run_dir);
	if (!str_starts(o->host, "unix://")) {
		fprintf(stderr, "coracled: only unix:// sockets are supported, not \"%s\"\n",
			o->host);
		return 2;
	}
	return -1;
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

static int serve(struct daemon *d, const struct options *o, struct err *e)
{
	AUTO_FREE char *programs = fs_program_dir();
	struct engine_options eo = {.data_dir = o->data_dir,
				    .run_dir = o->run_dir,
				    .program_dir = programs,
				    .host = o->host,
				    .debug = o->debug,
				    .trace = trace_on};
	int fds[LISTEN_MAX];
	size_t n = inherited_sockets(fds);
	struct api_config ac = {.loop = d->loop, .listen_fds = fds};

	if (engine_open(d->loop, &eo, &d->engine, e) < 0)
		return -1;
	trace_point("engine open");
	if (n == 0 && listen_here(d, o->host, &fds[n++], e) < 0)
		return -1;
	ac.engine = d->engine;
	ac.nlisten = n;
	if (api_server_start(&ac, &d->api, e) < 0)
		return -1;
	uv_signal_init(d->loop, &d->term);
	uv_signal_init(d->loop, &d->intr);
	d->term.data = d->intr.data = d;
	uv_signal_start(&d->term, on_signal, SIGTERM);
	uv_signal_start(&d->intr, on_signal, SIGINT);
	tell_ready();
	trace_point("ready");
	log_info("coracled %s serves %s", CORACLE_VERSION, o->host);
	uv_run(d->loop, UV_RUN_DEFAULT);
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = {.level = LOG_LEVEL_INFO, .format = LOG_FORMAT_TEXT};
	struct daemon d = {.loop = uv_default_loop()};
	struct rlimit files;
	struct err e = ERR_INIT;
	int rc;

	trace_setup("coracled");
	default_paths(&o);
	rc = parse_options(argc, argv, &o);
	if (rc >= 0)
		return rc;
	log_setup(o.level, o.format, 2);
	umask(022);
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	rc = serve(&d, &o, &e);
	if (rc < 0)
		log_error("%s", e.text);
	engine_close(d.engine);
	if (d.socket_path)
		unlink(d.socket_path);
	uv_walk(d.loop, close_handle, NULL);
	uv_run(d.loop, UV_RUN_NOWAIT);
	free(d.socket_path);
	free(o.data_dir);
	free(o.run_dir);
	free(o.host);
	return rc < 0 ? 1 : 0;
}
