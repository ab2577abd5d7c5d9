/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: the engine's configuration file, once loaded and once reloaded over the result. */
#include "config/config.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	char path[64];
	struct config_args a = {.file = path, .file_given = true};
	struct config *c = NULL, *next = NULL;
	struct buf kept = BUF_INIT(1024);
	struct err e = ERR_INIT;

	if (fd < 0)
		fd = memfd_create("config", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		return 0;
	if (config_load(&a, &c, &e) == 0) {
		/* What loads must load again to the same: nothing kept, no error. */
		ASSERT(config_reload(&a, c, &next, &kept, &e) == 0);
		ASSERT(kept.n == 0);
	}
	buf_done(&kept);
	config_free(next);
	config_free(c);
	return 0;
}
