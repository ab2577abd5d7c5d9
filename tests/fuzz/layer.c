/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: a layer, compressed or not, applied to a folder that is emptied in between. */
#include "unpack/unpack.h"

#include "base/mem.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libarchive 3.6 loses its sparse map (32 bytes a piece) on some malformed headers; the worker is
 * short-lived. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libarchive.so\n";
}

static char area[] = "/dev/shm/coracle-fuzz-XXXXXX";
static int area_fd = -1;

static void area_remove(void)
{
	rmdir(area);
}

static void area_open(void)
{
	if (area_fd >= 0)
		return;
	if (!mkdtemp(area) || (area_fd = open(area, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		abort();
	atexit(area_remove);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct unpack_apply apply = {.in = UNPACK_INPUT_INIT};
	struct unpack_result result;
	struct err e = ERR_INIT;

	area_open();
	AUTO_FD int fd = memfd_create("layer", MFD_CLOEXEC);
	if (fd < 0 || fs_write_all(fd, data, size) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	if (mkdirat(area_fd, "target", 0755) < 0)
		abort();
	AUTO_FD int target = openat(area_fd, "target", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	apply.in.fd = fd;
	apply.target_fd = target;
	apply.in.limits = (struct unpack_limits){.max_entries = 1000, .max_size = 16 << 20};
	unpack_apply(&apply, &result, &e);
	fs_remove_tree(area_fd, "target");
	/* Whatever the archive said, beside the target nothing may exist: then this succeeds. */
	if (unlinkat(AT_FDCWD, area, AT_REMOVEDIR) < 0)
		abort();
	if (mkdir(area, 0700) < 0)
		abort();
	fd_close(&area_fd);
	area_fd = open(area, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return 0;
}
