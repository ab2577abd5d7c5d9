/* SPDX-License-Identifier: Apache-2.0 */
/* A process in the foreground: its terminal is copied, signals are forwarded, its end awaited. */
#include "base/log.h"
#include "oci/oci-priv.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>

#include "base/banned.h"

void oci_notice(void *ud, const char *text)
{
	(void)ud;
	log_warn("%s", text);
}

int oci_write_pid_file(pid_t pid, struct err *e)
{
	char text[24];

	if (!oci_opt.pid_file)
		return 0;
	int n = snprintf(text, sizeof(text), "%d", pid);
	AUTO_FD int fd = open(oci_opt.pid_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int rc = fd < 0 ? -errno : fs_write_all(fd, text, (size_t)n);
	return rc < 0 ? err_sys(e, rc, "write %s", oci_opt.pid_file) : 0;
}

int oci_send_console(int master, struct err *e)
{
	AUTO_FD int sock = fs_unix_connect(oci_opt.console_socket, SOCK_STREAM);

	if (sock < 0)
		return err_sys(e, sock, "connect to %s", oci_opt.console_socket);
	ssize_t rc = fs_send_fds(sock, "terminal", 8, &master, 1);
	return rc < 0 ? err_sys(e, (int)rc, "send the terminal") : 0;
}

static void copy_terminal(int master, int pidfd)
{
	struct termios old, raw;
	bool tty = tcgetattr(0, &old) == 0;
	char b[8192];
	bool in = true;

	if (tty) {
		struct winsize ws;
		raw = old;
		cfmakeraw(&raw);
		tcsetattr(0, TCSANOW, &raw);
		if (ioctl(0, TIOCGWINSZ, &ws) == 0)
			ioctl(master, TIOCSWINSZ, &ws);
	}
	for (;;) {
		struct pollfd p[3] = {
			{master, POLLIN, 0}, {in ? 0 : -1, POLLIN, 0}, {pidfd, POLLIN, 0}};
		if (poll(p, 3, -1) < 0)
			break;
		if (p[0].revents) {
			ssize_t n = read(master, b, sizeof(b));
			if (n <= 0 || fs_write_all(1, b, (size_t)n) < 0)
				break;
		} else if (p[2].revents) {
			break;
		}
		if (p[1].revents) {
			ssize_t n = read(0, b, sizeof(b));
			if (n <= 0)
				in = false;
			else
				fs_write_all(master, b, (size_t)n);
		}
	}
	if (tty)
		tcsetattr(0, TCSANOW, &old);
}

static pid_t forward_to;

static void on_signal(int sig)
{
	if (forward_to > 0)
		kill(forward_to, sig);
}

static void forward_signals(pid_t pid)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM};
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	forward_to = pid;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &sa, NULL);
}

int oci_wait(pid_t pid)
{
	int st;

	for (;;) {
		pid_t got = waitpid(-1, &st, 0);
		if (got == pid)
			return WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
		if (got < 0 && errno != EINTR)
			return 1;
	}
}

int oci_attend(pid_t pid, int pidfd, int console_fd)
{
	forward_signals(pid);
	if (console_fd >= 0)
		copy_terminal(console_fd, pidfd);
	return oci_wait(pid);
}
