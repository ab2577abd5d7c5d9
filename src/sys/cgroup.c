/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups by their files; the device filter of v2 is in cgroup-devices.c. */
#include "sys/cgroup.h"
#include "base/mem.h"
#include "base/num.h"
#include "sys/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include "base/banned.h"

#define ROOT "/sys/fs/cgroup"

static const char *const names[CG_CTRL_COUNT] = {"memory",  "pids",   "cpu",   "cpuacct", "devices",
						 "freezer", "cpuset", "blkio", "hugetlb"};
static const char *const names_v2[CG_CTRL_COUNT] = {"memory", "pids",	"cpu", NULL,	 NULL,
						    NULL,     "cpuset", "io",  "hugetlb"};

static int version = -1;
static unsigned present; /* bit per controller */

static bool is_fs(const char *path, long magic)
{
	struct statfs s;
	return statfs(path, &s) == 0 && s.f_type == magic;
}

static void detect(void)
{
	char p[64], text[512];

	if (version >= 0)
		return;
	version = 0;
	if (is_fs(ROOT, CGROUP2_SUPER_MAGIC)) {
		version = 2;
		AUTO_BUF struct buf b = BUF_INIT(sizeof(text));
		if (fs_read_path(ROOT "/cgroup.controllers", &b) < 0)
			return;
		snprintf(text, sizeof(text), " %s", buf_text(&b));
		for (char *c = text; *c; c++)
			if (*c == '\n')
				*c = ' ';
		for (int i = 0; i < CG_CTRL_COUNT; i++) {
			snprintf(p, sizeof(p), " %s ", names_v2[i] ? names_v2[i] : "");
			if (names_v2[i] && strstr(text, p))
				present |= 1U << i;
		}
		present |= 1U << CG_CPUACCT | 1U << CG_DEVICES | 1U << CG_FREEZER;
		return;
	}
	for (int i = 0; i < CG_CTRL_COUNT; i++) {
		snprintf(p, sizeof(p), ROOT "/%s", names[i]);
		if (is_fs(p, CGROUP_SUPER_MAGIC))
			present |= 1U << i;
	}
	if (present)
		version = 1;
}

int cgroup_version(void)
{
	detect();
	return version;
}

bool cgroup_has(enum cgroup_ctrl c)
{
	detect();
	return present >> c & 1;
}

const char *cgroup_name(enum cgroup_ctrl c)
{
	return names[c];
}

/* A group's path must be absolute, not the root, without "..": nothing that is not ours is ever
 * addressed. */
static bool path_ok(const char *path)
{
	if (!path || path[0] != '/' || path[1] == '\0' || strlen(path) > 3000)
		return false;
	for (const char *p = path; (p = strstr(p, "..")); p += 2)
		if (p[-1] == '/' && (p[2] == '/' || p[2] == '\0'))
			return false;
	return true;
}

int cgroup_dir(enum cgroup_ctrl c, const char *path, char *ret, size_t n)
{
	detect();
	if (!path_ok(path))
		return -EINVAL;
	int len = version == 2 ? snprintf(ret, n, ROOT "%s", path)
			       : snprintf(ret, n, ROOT "/%s%s", names[c], path);
	return (size_t)len < n ? 0 : -ENAMETOOLONG;
}

static int file_path(enum cgroup_ctrl c, const char *path, const char *file, char *ret, size_t n)
{
	int rc = cgroup_dir(c, path, ret, n);
	size_t len = rc == 0 ? strlen(ret) : 0;

	if (rc < 0)
		return rc;
	if (strchr(file, '/') || len + strlen(file) + 2 > n)
		return -EINVAL;
	ret[len] = '/';
	memcpy(ret + len + 1, file, strlen(file) + 1);
	return 0;
}

static int write_path(const char *p, const char *value)
{
	size_t n = strlen(value);
	int fd = open(p, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ssize_t w = write(fd, value, n);
	int rc = w == (ssize_t)n ? 0 : w < 0 ? -errno : -EIO;
	close(fd);
	return rc;
}

int cgroup_write(enum cgroup_ctrl c, const char *path, const char *file, const char *value)
{
	char p[PATH_MAX];
	int rc = file_path(c, path, file, p, sizeof(p));

	return rc < 0 ? rc : write_path(p, value);
}

int cgroup_write_u64(enum cgroup_ctrl c, const char *path, const char *file, uint64_t value)
{
	char v[24];

	snprintf(v, sizeof(v), "%llu", (unsigned long long)value);
	return cgroup_write(c, path, file, v);
}

static int read_path(const char *p, char *ret, size_t n)
{
	int fd = open(p, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ssize_t r = fs_read_full(fd, ret, n - 1);
	close(fd);
	ret[r > 0 ? r : 0] = '\0';
	return (int)r;
}

int cgroup_read(enum cgroup_ctrl c, const char *path, const char *file, char *ret, size_t n)
{
	char p[PATH_MAX];
	int rc = file_path(c, path, file, p, sizeof(p));

	ret[0] = '\0';
	return rc < 0 ? rc : read_path(p, ret, n);
}

uint64_t cgroup_read_u64(enum cgroup_ctrl c, const char *path, const char *file, uint64_t otherwise)
{
	char text[64];
	uint64_t v;

	if (cgroup_read(c, path, file, text, sizeof(text)) <= 0)
		return otherwise;
	text[strcspn(text, "\n")] = '\0';
	if (strcmp(text, "max") == 0)
		return UINT64_MAX;
	return num_parse_u64(text, 0, UINT64_MAX, &v) == 0 ? v : otherwise;
}

bool cgroup_field(const char *text, const char *key, uint64_t *ret)
{
	size_t n = strlen(key);

	for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (strncmp(p, key, n) == 0 && p[n] == ' ') {
			*ret = strtoull(p + n + 1, NULL, 10);
			return true;
		}
	return false;
}

/* A new cpuset of v1 is empty and takes no process: it starts with its parent's. */
static void inherit_cpuset(const char *dir)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
	char p[PATH_MAX], text[4096];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (snprintf(p, sizeof(p), "%s/%s", dir, files[i]) >= (int)sizeof(p) ||
		    read_path(p, text, sizeof(text)) < 0 || (text[0] != '\n' && text[0] != '\0'))
			continue;
		if (snprintf(p, sizeof(p), "%s/../%s", dir, files[i]) >= (int)sizeof(p) ||
		    read_path(p, text, sizeof(text)) <= 0)
			continue;
		snprintf(p, sizeof(p), "%s/%s", dir, files[i]);
		write_path(p, text);
	}
}

/* "+memory +pids ..." one by one, so that one missing controller does not cost the others. */
static void enable_v2(const char *dir)
{
	char p[PATH_MAX], value[32];

	if (snprintf(p, sizeof(p), "%s/cgroup.subtree_control", dir) >= (int)sizeof(p))
		return;
	AUTO_BUF struct buf b = BUF_INIT(4096), have = BUF_INIT(4096);
	fs_read_path(p, &b);
	buf_addf(&have, " %.*s ", (int)strcspn(buf_text(&b), "\n"), buf_text(&b));
	for (int i = 0; i < CG_CTRL_COUNT; i++) {
		char word[32];
		snprintf(word, sizeof(word), " %s ", names_v2[i] ? names_v2[i] : "");
		if (!names_v2[i] || !(present >> i & 1) || strstr(buf_text(&have), word))
			continue;
		snprintf(value, sizeof(value), "+%s", names_v2[i]);
		write_path(p, value);
	}
}

static int make_dirs(enum cgroup_ctrl c, const char *path)
{
	char dir[PATH_MAX];
	int rc = cgroup_dir(c, path, dir, sizeof(dir));

	if (rc < 0)
		return rc;
	size_t base = strlen(dir) - strlen(path);
	/* the usual case first: the parent exists */
	if (c != CG_CPUSET && version == 1 && mkdir(dir, 0755) == 0)
		return 0;
	for (char *p = dir + base; p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (p > dir + base && mkdir(dir, 0755) < 0 && errno != EEXIST)
			return -errno;
		if (version == 2)
			enable_v2(dir);
		else if (c == CG_CPUSET && p > dir + base)
			inherit_cpuset(dir);
		*p = '/';
	}
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (c == CG_CPUSET && version == 1)
		inherit_cpuset(dir);
	return 0;
}

int cgroup_make(const char *path, unsigned mask)
{
	int rc = 0;

	detect();
	if (version == 0)
		return -ENODEV;
	if (version == 2)
		return make_dirs(CG_MEMORY, path);
	for (int i = 0; i < CG_CTRL_COUNT && rc == 0; i++)
		if (mask & present & 1U << i)
			rc = make_dirs((enum cgroup_ctrl)i, path);
	if (rc < 0)
		cgroup_remove(path);
	return rc;
}

bool cgroup_exists(const char *path, enum cgroup_ctrl c)
{
	char dir[PATH_MAX];

	return cgroup_has(c) && cgroup_dir(c, path, dir, sizeof(dir)) == 0 &&
	       access(dir, F_OK) == 0;
}

int cgroup_attach(const char *path, pid_t pid)
{
	int rc = 0;

	detect();
	for (int i = 0; i < CG_CTRL_COUNT && rc == 0; i++) {
		if (!(present >> i & 1))
			continue;
		/*
		 * A single thread that moves itself ("0" into tasks) does not take the kernel's
		 * global lock of all thread groups, whose first writer waits for an RCU grace
		 * period: milliseconds saved.
		 */
		rc = cgroup_write_u64((enum cgroup_ctrl)i, path,
				      pid == 0 && version == 1 ? "tasks" : "cgroup.procs",
				      (uint64_t)pid);
		if (version == 2)
			break;
		if (rc == -ENOENT)
			rc = 0; /* not made in this hierarchy */
	}
	return rc;
}

int cgroup_open_v2(const char *path)
{
	char dir[PATH_MAX];
	int rc = cgroup_dir(CG_MEMORY, path, dir, sizeof(dir));

	return rc < 0 ? rc : fs_open_dir(dir);
}

int cgroup_freeze(const char *path, bool frozen)
{
	char text[32];

	detect();
	if (version == 2)
		return cgroup_write(CG_FREEZER, path, "cgroup.freeze", frozen ? "1" : "0");
	/* FREEZING is left by itself, but writing again helps when a process forked meanwhile */
	for (int i = 0; i < 1000; i++) {
		int rc = cgroup_write(CG_FREEZER, path, "freezer.state",
				      frozen ? "FROZEN" : "THAWED");
		if (rc < 0)
			return rc;
		rc = cgroup_read(CG_FREEZER, path, "freezer.state", text, sizeof(text));
		if (rc < 0)
			return rc;
		if (str_starts(text, frozen ? "FROZEN" : "THAWED"))
			return 0;
		poll(NULL, 0, 1);
	}
	if (frozen)
		cgroup_write(CG_FREEZER, path, "freezer.state", "THAWED");
	return -ETIMEDOUT;
}

bool cgroup_is_frozen(const char *path)
{
	char text[32];

	detect();
	if (version == 2)
		return cgroup_read_u64(CG_FREEZER, path, "cgroup.freeze", 0) == 1;
	return cgroup_read(CG_FREEZER, path, "freezer.state", text, sizeof(text)) > 0 &&
	       text[0] == 'F';
}

/* One hierarchy that has the group and is not shared with others' bookkeeping. */
static int any_dir(const char *path, char *ret, size_t n)
{
	for (int i = 0; i < CG_CTRL_COUNT; i++)
		if (cgroup_has((enum cgroup_ctrl)i) &&
		    cgroup_dir((enum cgroup_ctrl)i, path, ret, n) == 0 && access(ret, F_OK) == 0)
			return 0;
	return -ENOENT;
}

static int collect(const char *dir, pid_t *ret, size_t max, int depth)
{
	char p[PATH_MAX];
	int count = 0;

	if (depth > 16 || snprintf(p, sizeof(p), "%s/cgroup.procs", dir) >= (int)sizeof(p))
		return -ELOOP;
	AUTO_BUF struct buf b = BUF_INIT(4U << 20);
	if (fs_read_path(p, &b) >= 0)
		for (const char *s = buf_text(&b); *s;
		     s = strchr(s, '\n') ? strchr(s, '\n') + 1 : "") {
			if ((size_t)count < max)
				ret[count] = (pid_t)strtol(s, NULL, 10);
			count++;
		}
	DIR *d = opendir(dir);
	for (struct dirent *x; d && (x = readdir(d));)
		if (x->d_type == DT_DIR && x->d_name[0] != '.' &&
		    snprintf(p, sizeof(p), "%s/%s", dir, x->d_name) < (int)sizeof(p)) {
			size_t have = MIN((size_t)count, max);
			int n = collect(p, ret + have, max - have, depth + 1);
			count += n > 0 ? n : 0;
		}
	if (d)
		closedir(d);
	return count;
}

int cgroup_pids(const char *path, pid_t *ret, size_t max)
{
	char dir[PATH_MAX];
	int rc = any_dir(path, dir, sizeof(dir));

	return rc < 0 ? rc : collect(dir, ret, max, 0);
}

int cgroup_kill(const char *path)
{
	pid_t pids[256];

	detect();
	if (version == 2 && cgroup_write(CG_MEMORY, path, "cgroup.kill", "1") == 0) {
		for (int i = 0; i < 2000 && cgroup_pids(path, pids, 1) > 0; i++)
			poll(NULL, 0, 1);
		return 0;
	}
	for (int round = 0; round < 2000; round++) {
		int n = cgroup_pids(path, pids, ARRAY_SIZE(pids));
		if (n == -ENOENT || n == 0)
			return 0;
		if (n < 0)
			return n;
		for (int i = 0; i < MIN(n, (int)ARRAY_SIZE(pids)); i++)
			if (pids[i] > 0) /* 0: a process outside our pid namespace */
				kill(pids[i], SIGKILL);
		if (round == 0 && cgroup_is_frozen(path))
			cgroup_freeze(path, false);
		poll(NULL, 0, 1);
	}
	return -EBUSY;
}

static int remove_dir(const char *dir, int depth)
{
	char p[PATH_MAX];

	if (depth > 16)
		return -ELOOP;
	if (rmdir(dir) == 0 || errno == ENOENT)
		return 0;
	DIR *d = opendir(dir);
	for (struct dirent *x; d && (x = readdir(d));)
		if (x->d_type == DT_DIR && x->d_name[0] != '.' &&
		    snprintf(p, sizeof(p), "%s/%s", dir, x->d_name) < (int)sizeof(p))
			remove_dir(p, depth + 1);
	if (d)
		closedir(d);
	/* a process that was just killed keeps the group busy until it is gone */
	for (int i = 0; i < 500; i++) {
		if (rmdir(dir) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			return -errno;
		poll(NULL, 0, i < 20 ? 1 : 5);
	}
	return -EBUSY;
}

int cgroup_remove(const char *path)
{
	char dir[PATH_MAX];
	int rc = 0;

	detect();
	if (!path_ok(path))
		return -EINVAL;
	for (int i = 0; i < CG_CTRL_COUNT; i++) {
		if (!(present >> i & 1))
			continue;
		int r = cgroup_dir((enum cgroup_ctrl)i, path, dir, sizeof(dir));
		if (r == 0)
			r = remove_dir(dir, 0);
		if (r < 0)
			rc = r;
		if (version == 2)
			break;
	}
	return rc;
}
