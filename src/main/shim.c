/* SPDX-License-Identifier: Apache-2.0 */
/* coracle-shim RUNDIR/containers/ID: started by the engine with its connection as fd 3. */
#include "base/log.h"
#include "shim/shim.h"
#include "wire/shim-proto.h"

#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/banned.h"

int main(int argc, char **argv)
{
	int type = 0, control = SHIM_CONTROL_FD;
	socklen_t n = sizeof type;

	trace_setup("shim");
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		if (write(1, "coracle-shim " CORACLE_VERSION "\n", strlen(CORACLE_VERSION) + 14) <
		    0)
			return 1;
		return 0;
	}
	if (argc != 2) {
		log_error("usage: coracle-shim DIRECTORY (started by coracled)");
		return 1;
	}
	/* executed by a descriptor, the kernel would name it after that */
	(void)prctl(PR_SET_NAME, "coracle-shim", 0, 0, 0);
	(void)setsid();
	/* One small heap: no thresholds that grow with use. */
	(void)mallopt(M_MMAP_THRESHOLD, 64 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 16 * 1024);
	(void)mallopt(M_TOP_PAD, 4096);
	if (getsockopt(control, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_SEQPACKET)
		control = FD_NONE;
	else if (fcntl(control, F_SETFD, FD_CLOEXEC) < 0)
		return 1;
	return shim_main(argv[1], control);
}
