/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least a container can cost on this kernel: cgroups, clone into new namespaces, overlay root
 * with proc, sys and dev, pivot_root, exec, wait, and all of it taken away again. Nothing is
 * parsed, checked or recorded. It is a yardstick for the benchmarks, not a tool.
 *
 *   floor LOWER-DIRECTORY SCRATCH-DIRECTORY PROGRAM [ARGUMENT...]
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUST(call)                                                                                 \
	do {                                                                                       \
		if ((call) < 0) {                                                                  \
			perror(#call);                                                             \
			_exit(111);                                                                \
		}                                                                                  \
	} while (0)

static const char *const controllers[] = {"memory", "cpu", "pids", "devices", "freezer"};
static char root[256], upper[256], work[256], layers[1024];
static int gate[2];
static char **program;

static void put_number(const char *path, long value)
{
	char text[24];
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	MUST(fd);
	MUST(write(fd, text, (size_t)snprintf(text, sizeof text, "%ld", value)));
	close(fd);
}

static void cgroup_path(char *out, size_t size, unsigned which, const char *file)
{
	snprintf(out, size, "/sys/fs/cgroup/%s/floor-%d%s", controllers[which], getpid(), file);
}

static void make_devices(void)
{
	static const struct {
		const char *name;
		unsigned minor;
	} nodes[] = {{"dev/null", 3},
		     {"dev/zero", 5},
		     {"dev/full", 7},
		     {"dev/random", 8},
		     {"dev/urandom", 9}};

	MUST(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
	for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++)
		MUST(mknod(nodes[i].name, S_IFCHR | 0666, makedev(1, nodes[i].minor)));
	MUST(mkdir("dev/pts", 0755));
	MUST(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		   "newinstance,ptmxmode=0666,mode=0620"));
	MUST(mkdir("dev/shm", 01777));
	MUST(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		   "mode=1777,size=65536k"));
}

static int inside(void *unused)
{
	char *const env[] = {"PATH=/bin:/usr/bin", NULL};
	char byte;

	(void)unused;
	MUST(read(gate[0], &byte, 1));
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	MUST(mount("overlay", root, "overlay", 0, layers));
	MUST(chdir(root));
	make_devices();
	MUST(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
	MUST(mount("sysfs", "sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
	MUST(syscall(SYS_pivot_root, ".", "."));
	MUST(umount2(".", MNT_DETACH));
	MUST(chdir("/"));
	MUST(sethostname("floor", 5));
	execve(program[0], program, env);
	perror(program[0]);
	return 127;
}

int main(int argc, char **argv)
{
	const int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET |
			  CLONE_NEWCGROUP;
	static char stack[64 << 10];
	char path[256];
	int status;

	if (argc < 4)
		return fprintf(stderr, "usage: floor LOWER SCRATCH PROGRAM [ARGUMENT...]\n"), 2;
	program = argv + 3;
	snprintf(root, sizeof root, "%s/root-%d", argv[2], getpid());
	snprintf(upper, sizeof upper, "%s/upper-%d", argv[2], getpid());
	snprintf(work, sizeof work, "%s/work-%d", argv[2], getpid());
	MUST(mkdir(root, 0755));
	MUST(mkdir(upper, 0755));
	MUST(mkdir(work, 0755));
	snprintf(layers, sizeof layers, "lowerdir=%s,upperdir=%s,workdir=%s", argv[1], upper, work);
	MUST(pipe2(gate, O_CLOEXEC));
	for (unsigned i = 0; i < sizeof controllers / sizeof *controllers; i++) {
		cgroup_path(path, sizeof path, i, "");
		MUST(mkdir(path, 0755));
	}
	pid_t pid = clone(inside, stack + sizeof stack, flags | SIGCHLD, NULL);
	MUST(pid);
	for (unsigned i = 0; i < sizeof controllers / sizeof *controllers; i++) {
		cgroup_path(path, sizeof path, i, "/cgroup.procs");
		put_number(path, pid);
	}
	MUST(write(gate[1], "", 1));
	MUST(waitpid(pid, &status, 0));
	for (unsigned i = 0; i < sizeof controllers / sizeof *controllers; i++) {
		cgroup_path(path, sizeof path, i, "");
		rmdir(path);
	}
	snprintf(path, sizeof path, "%s/work", work);
	rmdir(path);
	rmdir(work);
	rmdir(upper);
	rmdir(root);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
