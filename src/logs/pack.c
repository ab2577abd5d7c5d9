/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rotated files are compressed by a process of their own, one at a time, while the log goes on.
 * Only the writer renames, so a file may move on under the process: the result goes to PATH.gz.tmp
 * and gets the name that fits when it is finished. Files that were rotated meanwhile come next.
 */
#include "logs/logs-priv.h"

#include "base/mem.h"
#include "spec/unpack-proto.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/banned.h"

static void tmp_of(const struct log_file *f, char ret[static PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%s.gz.tmp", f->path);
}

static int worker_start(struct log_file *f, int from, int to)
{
	const char *const argv[] = {UNPACK_PROGRAM, "compress",	 "--out-fd", "3", "--compression",
				    "gzip",	    "--threads", "1",	     NULL};
	const struct spawn_fd fds[] = {{from, 0}, {to, 3}};
	const struct spawn sp = {.path = f->compressor,
				 .argv = argv,
				 .fds = fds,
				 .nfds = ARRAY_SIZE(fds),
				 .die_with_parent = true};

	return spawn_start(&sp, &f->worker);
}

void log_pack_begin(struct log_file *f)
{
	char name[PATH_MAX];
	AUTO_FD int from = FD_NONE;
	AUTO_FD int to = FD_NONE;

	if (!f->compressor || f->packing)
		return;
	/* The oldest first: it is the next one that will be deleted, and the smallest change to
	 * read. */
	for (int64_t k = f->max_file - 1; k > 0 && from < 0; k--) {
		log_file_name(f->path, k, "", name);
		from = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		f->packing = from < 0 ? 0 : k;
	}
	if (from < 0)
		return;
	tmp_of(f, name);
	to = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (to < 0 || worker_start(f, from, to) < 0)
		f->packing = 0; /* it stays as it is, readable too */
}

static void worker_forget(struct log_file *f)
{
	char tmp[PATH_MAX];

	fd_close(&f->worker.pidfd);
	f->packing = 0;
	tmp_of(f, tmp);
	unlink(tmp);
}

void log_pack_drop(struct log_file *f)
{
	int status;

	if (!f->packing)
		return;
	spawn_signal(&f->worker, SIGKILL);
	spawn_wait(&f->worker, false, &status);
	worker_forget(f);
}

void log_pack_rotated(struct log_file *f)
{
	if (f->packing && ++f->packing >= f->max_file)
		log_pack_drop(f);
}

/* The compressed file takes the place of the other, and its times: a reader that has the other one
 * open finds out by them where it is. */
static void worker_finish(struct log_file *f)
{
	char tmp[PATH_MAX], plain[PATH_MAX], packed[PATH_MAX];
	struct stat st;

	tmp_of(f, tmp);
	log_file_name(f->path, f->packing, "", plain);
	log_file_name(f->path, f->packing, ".gz", packed);
	if (stat(plain, &st) < 0 ||
	    utimensat(AT_FDCWD, tmp, (const struct timespec[]){st.st_atim, st.st_mtim}, 0) < 0)
		return;
	if (rename(tmp, packed) == 0)
		unlink(plain);
}

void log_pack_serve(struct log_file *f)
{
	int status;

	if (!f->packing || spawn_wait(&f->worker, true, &status) < 0)
		return;

	bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	if (good)
		worker_finish(f);
	worker_forget(f);
	if (good)
		log_pack_begin(f);
}
