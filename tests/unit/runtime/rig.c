/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/banned.h"

#define BUSYBOX "/bin/busybox"

int rig_can_run(void)
{
	return geteuid() == 0 && access(BUSYBOX, X_OK) == 0 && runtime_cgroup_version() != 0;
}

static void put(const char *dir, const char *name, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	fs_write_all(fd, text, strlen(text));
	close(fd);
}

static void make_root(const char *dir)
{
	static const char *const dirs[] = {"rootfs",	 "rootfs/bin", "rootfs/etc", "rootfs/proc",
					   "rootfs/sys", "rootfs/dev", "rootfs/tmp", "rootfs/data",
					   "upper",	 "work",       "lower"};
	static const char *const links[] = {"sh",	"cat",	   "id",    "ls",    "sleep",
					    "true",	"mount",   "chown", "mknod", "pwd",
					    "hostname", "touch",   "stat",  "grep",  "head",
					    "dd",	"unshare", "env",   "ulimit"};
	AUTO_BUF struct buf b = BUF_INIT(16U << 20);

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		AUTO_FREE char *p = xasprintf("%s/%s", dir, dirs[i]);
		mkdir(p, 0755);
	}
	fs_read_path(BUSYBOX, &b);
	AUTO_FREE char *exe = xasprintf("%s/rootfs/bin/busybox", dir);
	int fd = open(exe, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	fs_write_all(fd, b.p, b.n);
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		AUTO_FREE char *p = xasprintf("%s/rootfs/bin/%s", dir, links[i]);
		if (symlink("busybox", p) < 0)
			return;
	}
	put(dir, "rootfs/etc/passwd",
	    "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n7:x:1077:1078::/"
	    "seven:/bin/sh\n");
	put(dir, "rootfs/etc/group",
	    "root:x:0:\napp:x:1001:\nextra:x:2000:other,app\nmore:x:2001:\n");
	put(dir, "rootfs/bin/noexec", "#!/bin/sh\n");
	put(dir, "rootfs/bin/garbage",
	    "\x7f"
	    "ELF garbage");
	AUTO_FREE char *g = xasprintf("%s/rootfs/bin/garbage", dir);
	chmod(g, 0755);
}

void rig_init(struct rig *r)
{
	static int counter;

	*r = (struct rig){.out = FD_NONE, .c = RUNTIME_CONTAINER_INIT, .req = RUNTIME_CREATE_INIT};
	snprintf(r->dir, sizeof(r->dir), "/tmp/coracle-rt-XXXXXX");
	if (!mkdtemp(r->dir))
		abort();
	chmod(r->dir, 0755);
	snprintf(r->id, sizeof(r->id), "test-%d-%d", getpid(), counter++);
	r->arena = arena_new();
	make_root(r->dir);
}

void rig_config(struct rig *r, const char *script, const char *process, const char *linux_,
		const char *more)
{
	AUTO_BUF struct buf b = BUF_INIT(1U << 20), s = BUF_INIT(65536);
	struct jw w = JW_INIT(&s);

	jw_str(&w, script);
	buf_addf(&b,
		 "{\"process\":{\"user\":{},\"args\":[\"/bin/sh\",\"-c\",%s],\"env\":[\"PATH=/"
		 "bin\"],\"cwd\":\"/\"%s%s},"
		 "\"root\":{\"path\":\"%s/rootfs\"},\"hostname\":\"boat\","
		 "\"mounts\":["
		 "{\"destination\":\"/"
		 "proc\",\"type\":\"proc\",\"source\":\"proc\",\"options\":[\"nosuid\",\"noexec\","
		 "\"nodev\"]},"
		 "{\"destination\":\"/"
		 "dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"mode="
		 "755\",\"size=64k\"]},"
		 "{\"destination\":\"/dev/"
		 "pts\",\"type\":\"devpts\",\"source\":\"devpts\",\"options\":[\"newinstance\","
		 "\"ptmxmode=0666\",\"mode=0620\"]}"
		 "%s],\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":"
		 "\"ipc\"},{\"type\":\"uts\"},"
		 "{\"type\":\"network\"},{\"type\":\"cgroup\"}]%s%s}}",
		 buf_text(&s), *process ? "," : "", process, r->dir, more, *linux_ ? "," : "",
		 linux_);
	if (json_decode_text(b.p, b.n, &oci_config_schema, &r->cfg, r->arena, &r->e) < 0) {
		fprintf(stderr, "%s\n", r->e.text);
		abort();
	}
	r->req.id = r->id;
	r->req.config = &r->cfg;
	r->req.cgroup_parent = "/coracle-test";
}

int rig_create(struct rig *r)
{
	int fds[2], rc;

	if (pipe2(fds, O_CLOEXEC) < 0)
		abort();
	fd_close(&r->out);
	r->out = fds[0];
	r->req.stdio[0] = FD_NONE;
	r->req.stdio[1] = r->req.stdio[2] = fds[1];
	rc = runtime_create(&r->req, &r->c, &r->e);
	close(fds[1]);
	return rc;
}

int rig_start(struct rig *r)
{
	return runtime_start(&r->c, &r->e);
}

int rig_wait(pid_t pid)
{
	int st = 0;

	while (waitpid(pid, &st, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
}

int rig_run(struct rig *r, struct buf *out)
{
	if (rig_create(r) < 0)
		return -1;
	if (rig_start(r) < 0) {
		rig_wait(r->c.pid);
		r->c.pid = -1;
		return -1;
	}
	fs_read_fd(r->out, out);
	int code = rig_wait(r->c.pid);
	r->c.pid = -1;
	return code;
}

void rig_done(struct rig *r)
{
	struct err e = ERR_INIT;
	AUTO_FD int tmp = fs_open_dir("/tmp");

	if (r->c.pid > 0) {
		runtime_kill(&r->c, SIGKILL, &e);
		runtime_kill_all(&r->c, &e);
		rig_wait(r->c.pid);
	}
	runtime_delete(&r->c, &e);
	runtime_container_done(&r->c);
	fd_close(&r->out);
	arena_free(r->arena);
	fs_remove_tree(tmp, r->dir + 5);
}
