/* SPDX-License-Identifier: Apache-2.0 */
/* coracle-names: started by the engine with its listening socket as fd 3. */
#include "base/log.h"
#include "names/names.h"
#include "wire/names-proto.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/banned.h"

int main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	int listening = 0;
	socklen_t n = sizeof(listening);

	trace_setup("names");
	/* executed by a descriptor, the kernel would name it after that */
	(void)prctl(PR_SET_NAME, "coracle-names", 0, 0, 0);
	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
	if (getsockopt(NAMES_LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) < 0 ||
	    !listening || fcntl(NAMES_LISTEN_FD, F_SETFD, FD_CLOEXEC) < 0) {
		log_error("usage: coracle-names (started by coracled)");
		return 2;
	}
	if (names_main(NAMES_LISTEN_FD, &e) == 0)
		return 0;
	log_error("%s", e.text);
	return 1;
}
