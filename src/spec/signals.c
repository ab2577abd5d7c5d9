/* SPDX-License-Identifier: Apache-2.0 */
/* Signal names as users write them. */
#include "spec/signals.h"

#include "base/attr.h"
#include "base/num.h"

#include <signal.h>
#include <string.h>
#include <strings.h>

#include "base/banned.h"

static const struct {
	const char *name;
	int signo;
} signals[] = {
	{"HUP", SIGHUP},       {"INT", SIGINT},	    {"QUIT", SIGQUIT}, {"ILL", SIGILL},
	{"TRAP", SIGTRAP},     {"ABRT", SIGABRT},   {"IOT", SIGIOT},   {"BUS", SIGBUS},
	{"FPE", SIGFPE},       {"KILL", SIGKILL},   {"USR1", SIGUSR1}, {"SEGV", SIGSEGV},
	{"USR2", SIGUSR2},     {"PIPE", SIGPIPE},   {"ALRM", SIGALRM}, {"TERM", SIGTERM},
	{"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD},   {"CLD", SIGCHLD},  {"CONT", SIGCONT},
	{"STOP", SIGSTOP},     {"TSTP", SIGTSTP},   {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},
	{"URG", SIGURG},       {"XCPU", SIGXCPU},   {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM},
	{"PROF", SIGPROF},     {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"POLL", SIGPOLL},
	{"PWR", SIGPWR},       {"SYS", SIGSYS},	    {"RTMIN", 34},     {"RTMAX", 64},
};

int signal_parse(const char *text)
{
	uint64_t n;

	if (num_parse_u64(text, 1, 64, &n) == 0)
		return (int)n;
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (strcasecmp(signals[i].name, text) == 0)
			return signals[i].signo;
	if (strncasecmp(text, "RTMIN+", 6) == 0 && num_parse_u64(text + 6, 0, 30, &n) == 0)
		return 34 + (int)n;
	if (strncasecmp(text, "RTMAX-", 6) == 0 && num_parse_u64(text + 6, 0, 30, &n) == 0)
		return 64 - (int)n;
	return -EINVAL;
}
