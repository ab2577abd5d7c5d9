/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of zstd windows above 32 MiB: an unnamed file, of which only a few pieces are mapped. The
 * sender of a layer claims the window (up to 2 GiB by zstd's format), and this process must stay
 * small. The whole range is reserved without access; the first touch of a piece is a SIGSEGV, whose
 * handler opens that piece and closes the one that was opened first. Closed pieces keep their bytes
 * in the file; the kernel may write them out and drop them as any other page of a file.
 *
 * One at a time in a process: a worker decodes one stream. The handler does system calls only.
 */
#include "unpack/window.h"

#include "base/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/banned.h"

#define FILE_FROM   ((size_t)33 << 20) /* a window of 32 MiB with its buffers is below */
#define PIECE	    ((size_t)64 << 10)
#define OPEN_PIECES 256				     /* 16 MiB */
#define PIECES_MAX  (((size_t)2 << 30) / PIECE + 64) /* window and buffers */

static struct {
	unsigned char *base; /* NULL: there is none */
	size_t size;
	int fd;
	pthread_t owner;
	uint32_t open[OPEN_PIECES];	  /* ring of the pieces with access */
	uint8_t kept[PIECES_MAX / 8 + 1]; /* has room in the file */
	unsigned head, count;
	int failed; /* errno of the file */
	struct sigaction before;
} w = {.fd = FD_NONE};
static atomic_flag taken = ATOMIC_FLAG_INIT;

/* The file has no room: let the decoder come to an end with a page that nobody will look at. */
static void give_up(unsigned char *p, int error)
{
	w.failed = error;
	if (mmap(p, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		_exit(1);
}

static void open_piece(uint32_t i)
{
	unsigned char *p = w.base + i * PIECE;

	if (w.count == OPEN_PIECES) {
		unsigned char *old = w.base + w.open[w.head] * PIECE;

		mprotect(old, PIECE, PROT_NONE);
		madvise(old, PIECE, MADV_DONTNEED);
		w.head = (w.head + 1) % OPEN_PIECES;
		w.count--;
	}
	/* Before the first byte: a full disk would otherwise be a SIGBUS. */
	bool kept = w.kept[i / 8] >> i % 8 & 1;
	w.kept[i / 8] |= (uint8_t)(1 << i % 8);
	if (!kept && fallocate(w.fd, 0, (off_t)(i * PIECE), (off_t)PIECE) < 0 &&
	    errno != EOPNOTSUPP)
		give_up(p, errno);
	else if (mprotect(p, PIECE, PROT_READ | PROT_WRITE) < 0)
		give_up(p, errno);
	w.open[(w.head + w.count++) % OPEN_PIECES] = i;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	uintptr_t at = (uintptr_t)info->si_addr, base = (uintptr_t)w.base;

	(void)context;
	if (base && info->si_code == SEGV_ACCERR && pthread_equal(pthread_self(), w.owner) &&
	    at >= base && at < base + w.size)
		open_piece((uint32_t)((at - base) / PIECE));
	else
		sigaction(sig, &w.before, NULL); /* a fault of ours: once more, for good */
	errno = saved;
}

/* A file without a name; some file systems need a moment with one. */
static int unnamed_file(int dir_fd)
{
	static const char name[] = ".coracle-zstd-window";
	int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || errno != EOPNOTSUPP)
		return fd;
	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		unlinkat(dir_fd, name, 0);
	return fd;
}

static void *window_new(int dir_fd, size_t size)
{
	const struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	void *p;

	if (dir_fd < 0 || size > PIECES_MAX * PIECE || atomic_flag_test_and_set(&taken))
		return NULL;
	size = (size + PIECE - 1) / PIECE * PIECE;
	w.fd = unnamed_file(dir_fd);
	if (w.fd < 0 || ftruncate(w.fd, (off_t)size) < 0)
		goto fail;
	p = mmap(NULL, size, PROT_NONE, MAP_SHARED, w.fd, 0);
	if (p == MAP_FAILED)
		goto fail;
	w.size = size;
	w.head = w.count = 0;
	w.failed = 0;
	memset(w.kept, 0, sizeof(w.kept));
	w.owner = pthread_self();
	w.base = p;
	if (sigaction(SIGSEGV, &act, &w.before) == 0)
		return p;
	munmap(p, size);
	w.base = NULL;
fail:
	fd_close(&w.fd);
	atomic_flag_clear(&taken);
	return NULL;
}

void *window_alloc(void *dir_fd, size_t size)
{
	return size < FILE_FROM ? malloc(size) : window_new(*(const int *)dir_fd, size);
}

void window_free(void *dir_fd, void *p)
{
	(void)dir_fd;
	if (!p || p != w.base) {
		free(p);
		return;
	}
	sigaction(SIGSEGV, &w.before, NULL);
	munmap(w.base, w.size);
	w.base = NULL;
	fd_close(&w.fd);
	atomic_flag_clear(&taken);
}

int window_failed(void)
{
	return w.base ? w.failed : 0;
}
