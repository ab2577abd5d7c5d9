/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coracled: the engine. Opens the state, listens on its Unix socket (or takes systemd's), serves
 * the API from one loop until SIGTERM or SIGINT. Containers go on under their shims when it ends.
 */
#include "api/server.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "engine/engine.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "base/banned.h"

#define LISTEN_FD_FIRST 3 /* sd_listen_fds(3) */

struct daemon {
	uv_loop_t loop;
	uv_signal_t term, intr, hangup;
	struct engine *engine;
	struct api_server *server;
	char *data_dir, *run_dir, *socket;
	bool owns_socket; /* not systemd's */
	bool debug;
};

static const char help[] =
	"Usage: coracled [OPTIONS]\n\n"
	"The coracle engine: containers, images and volumes over the Docker Engine API.\n\n"
	"  -D, --debug          Log debug messages\n"
	"      --log-format F   text (default) or json\n"
	"  -v, --version        Print the version and quit\n"
	"  -h, --help           This text\n\n"
	"CORACLE_HOME=DIR keeps data, runtime state and socket below DIR.\n"
	"CORACLE_TRACE=1 prints where the time of a start goes.\n";

static void choose_paths(struct daemon *d)
{
	const char *home = secure_getenv("CORACLE_HOME");

	if (home && *home) {
		d->data_dir = xasprintf("%s/data", home);
		d->run_dir = xasprintf("%s/run", home);
	} else {
		d->data_dir = xstrdup("/var/lib/coracle");
		d->run_dir = xstrdup("/run/coracle");
	}
	d->socket = xasprintf("%s/coracle.sock", d->run_dir);
}

/* Return: an exit status, or -1 to go on. */
static int parse_options(struct daemon *d, int argc, char **argv)
{
	enum log_format format = LOG_FORMAT_TEXT;

	for (int i = 1; i < argc; i++) {
		const char *o = argv[i];
		if (strcmp(o, "-D") == 0 || strcmp(o, "--debug") == 0) {
			d->debug = true;
		} else if (strcmp(o, "-v") == 0 || strcmp(o, "--version") == 0) {
			printf("coracled version %s\n", CORACLE_VERSION);
			return 0;
		} else if (strcmp(o, "-h") == 0 || strcmp(o, "--help") == 0) {
			fputs(help, stdout);
			return 0;
		} else if (strcmp(o, "--log-format=json") == 0 ||
			   (strcmp(o, "--log-format") == 0 && i + 1 < argc &&
			    strcmp(argv[++i], "json") == 0)) {
			format = LOG_FORMAT_JSON;
		} else if (!str_starts(o, "--log-format")) {
			fprintf(stderr, "coracled: unknown option %s\nSee 'coracled --help'.\n", o);
			return 2;
		}
	}
	log_setup(d->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, format, STDERR_FILENO);
	return -1;
}

/* Sockets given by systemd (LISTEN_PID is us), else 0. */
static size_t inherited_sockets(void)
{
	const char *pid = secure_getenv("LISTEN_PID"), *count = secure_getenv("LISTEN_FDS");
	uint64_t p, n;

	if (!pid || !count || num_parse_u64(pid, 1, INT32_MAX, &p) < 0 || (pid_t)p != getpid() ||
	    num_parse_u64(count, 0, 16, &n) < 0)
		return 0;
	for (uint64_t i = 0; i < n; i++)
		(void)fcntl(LISTEN_FD_FIRST + (int)i, F_SETFD, FD_CLOEXEC);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	return (size_t)n;
}

static int listen_own(struct daemon *d, int *ret_fd, struct err *e)
{
	/* The engine holds the lock of this home: a socket that is there belongs to nobody. */
	if (unlink(d->socket) < 0 && errno != ENOENT)
		return err_sys(e, -errno, "remove the old socket %s", d->socket);
	int fd = fs_unix_listen(d->socket, SOCK_STREAM, 512, 0660);
	if (fd < 0)
		return err_sys(e, fd, "listen on %s", d->socket);
	d->owns_socket = true;
	*ret_fd = fd;
	return 0;
}

static int serve(struct daemon *d, struct err *e)
{
	int fds[16] = {FD_NONE};
	size_t n = inherited_sockets();

	for (size_t i = 0; i < n; i++)
		fds[i] = LISTEN_FD_FIRST + (int)i;
	if (n == 0) {
		if (listen_own(d, &fds[0], e) < 0)
			return -1;
		n = 1;
	}
	struct api_config config = {
		.loop = &d->loop, .engine = d->engine, .listen_fds = fds, .nlisten = n};
	return api_server_start(&config, &d->server, e);
}

/* sd_notify(3): systemd waits for this with Type=notify. */
static void notify_systemd(const char *state)
{
	const char *path = secure_getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t n = path ? strlen(path) : 0;

	if (n < 2 || n >= sizeof sa.sun_path || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sa.sun_path, path, n);
	if (path[0] == '@')
		sa.sun_path[0] = '\0';
	AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sa,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
}

/* One byte tells whoever started us (the command line) that the socket answers. */
static void tell_ready(void)
{
	const char *text = secure_getenv("CORACLE_READY_FD");
	uint64_t fd;

	notify_systemd("READY=1");
	unsetenv("NOTIFY_SOCKET");
	if (!text || num_parse_u64(text, 3, INT32_MAX, &fd) < 0)
		return;
	(void)!write((int)fd, "1", 1);
	close((int)fd);
	unsetenv("CORACLE_READY_FD");
}

static void server_stopped(void *ud)
{
	struct daemon *d = ud;

	d->server = NULL;
	engine_close(TAKE_PTR(d->engine));
}

static void on_signal(uv_signal_t *s, int signo)
{
	struct daemon *d = s->data;

	if (!d->server)
		return;
	log_info("signal %d: stopping; containers go on", signo);
	if (d->owns_socket)
		unlink(d->socket);
	uv_close((uv_handle_t *)&d->term, NULL);
	uv_close((uv_handle_t *)&d->intr, NULL);
	uv_close((uv_handle_t *)&d->hangup, NULL);
	api_server_stop(d->server, server_stopped, d);
}

static void on_hangup(uv_signal_t *s, int signo)
{
	/* Nothing to read again: there is no configuration file. A closed terminal does not end the
	 * engine. */
}

static void watch_signals(struct daemon *d)
{
	uv_signal_init(&d->loop, &d->term);
	uv_signal_init(&d->loop, &d->intr);
	uv_signal_init(&d->loop, &d->hangup);
	d->term.data = d->intr.data = d->hangup.data = d;
	uv_signal_start(&d->term, on_signal, SIGTERM);
	uv_signal_start(&d->intr, on_signal, SIGINT);
	uv_signal_start(&d->hangup, on_hangup, SIGHUP);
}

static int start(struct daemon *d, struct err *e)
{
	AUTO_FREE char *program_dir = fs_program_dir();
	AUTO_FREE char *host = xasprintf("unix://%s", d->socket);
	struct rlimit files;
	int rc;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	umask(022);
	if ((rc = fs_mkdirs(d->data_dir, 0711)) < 0)
		return err_sys(e, rc, "create %s", d->data_dir);
	if ((rc = fs_mkdirs(d->run_dir, 0711)) < 0)
		return err_sys(e, rc, "create %s", d->run_dir);
	struct engine_options o = {
		.data_dir = d->data_dir,
		.run_dir = d->run_dir,
		.program_dir = program_dir,
		.host = host,
		.debug = d->debug,
		.trace = trace_on,
	};
	if (engine_open(&d->loop, &o, &d->engine, e) < 0 || serve(d, e) < 0)
		return -1;
	watch_signals(d);
	tell_ready();
	log_info("coracled %s listens on %s", CORACLE_VERSION, d->socket);
	return 0;
}

int main(int argc, char **argv)
{
	struct daemon d = {0};
	struct err e = ERR_INIT;
	int rc = parse_options(&d, argc, argv);

	if (rc >= 0)
		return rc;
	trace_setup("coracled");
	signal(SIGPIPE, SIG_IGN);
	choose_paths(&d);
	uv_loop_init(&d.loop);
	if (start(&d, &e) < 0) {
		log_error("%s", e.text);
		return 1;
	}
	trace_point("ready");
	uv_run(&d.loop, UV_RUN_DEFAULT);
	uv_loop_close(&d.loop);
	free(d.data_dir);
	free(d.run_dir);
	free(d.socket);
	return 0;
}
