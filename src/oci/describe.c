/* SPDX-License-Identifier: Apache-2.0 */
/* features: what this runtime can do (runtime-spec "Features Structure"). spec: a configuration to
 * start from. */
#include "base/mem.h"
#include "oci/oci-priv.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/banned.h"

static void put_list(struct jw *w, const char *key, const char *const *v)
{
	jw_key(w, key);
	jw_arr(w);
	for (; *v; v++)
		jw_str(w, *v);
	jw_arr_end(w);
}
#define LIST(w, key, ...) put_list(w, key, (const char *const[]){__VA_ARGS__, NULL})

static void put_flag(struct jw *w, const char *key, bool on)
{
	jw_key(w, key);
	jw_obj(w);
	jw_kv_bool(w, "enabled", on);
	jw_obj_end(w);
}

int oci_features(char **args, int n, struct err *e)
{
	AUTO_BUF struct buf b = BUF_INIT(65536);
	struct jw w = JW_INIT(&b);

	(void)args;
	(void)n;
	(void)e;
	jw_obj(&w);
	jw_kv_str(&w, "ociVersionMin", OCI_VERSION_MIN);
	jw_kv_str(&w, "ociVersionMax", OCI_VERSION);
	LIST(&w, "hooks", "prestart", "createRuntime", "createContainer", "startContainer",
	     "poststart", "poststop");
	LIST(&w, "mountOptions", "async", "atime", "bind", "defaults", "dev", "diratime", "dirsync",
	     "exec", "noatime", "nodev", "nodiratime", "noexec", "norelatime", "nostrictatime",
	     "nosuid", "nosymfollow", "private", "rbind", "relatime", "remount", "ro", "rprivate",
	     "rro", "rrw", "rshared", "rslave", "runbindable", "rw", "shared", "slave",
	     "strictatime", "suid", "symfollow", "sync", "tmpcopyup", "unbindable");
	jw_key(&w, "linux");
	jw_obj(&w);
	LIST(&w, "namespaces", "cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts");
	jw_key(&w, "cgroup");
	jw_obj(&w);
	jw_kv_bool(&w, "v1", true);
	jw_kv_bool(&w, "v2", true);
	jw_kv_bool(&w, "systemd", false);
	jw_kv_bool(&w, "systemdUser", false);
	jw_obj_end(&w);
	put_flag(&w, "seccomp", true);
	put_flag(&w, "apparmor", true);
	put_flag(&w, "selinux", true);
	put_flag(&w, "intelRdt", false);
	jw_key(&w, "mountExtensions");
	jw_obj(&w);
	put_flag(&w, "idmap", true);
	jw_obj_end(&w);
	jw_obj_end(&w);
	jw_obj_end(&w);
	printf("%s\n", buf_text(&b));
	return 0;
}

/* ---- spec ---- */

static void put_mount(struct jw *w, const char *to, const char *type, const char *source,
		      const char *const *options)
{
	jw_obj(w);
	jw_kv_str(w, "destination", to);
	jw_kv_str(w, "type", type);
	jw_kv_str(w, "source", source);
	if (options)
		put_list(w, "options", options);
	jw_obj_end(w);
}
#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void put_mounts(struct jw *w, bool rootless)
{
	jw_key(w, "mounts");
	jw_arr(w);
	put_mount(w, "/proc", "proc", "proc", NULL);
	put_mount(w, "/dev", "tmpfs", "tmpfs",
		  OPTIONS("nosuid", "strictatime", "mode=755", "size=65536k"));
	put_mount(w, "/dev/pts", "devpts", "devpts",
		  rootless
			  ? OPTIONS("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")
			  : OPTIONS("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620",
				    "gid=5"));
	put_mount(w, "/dev/shm", "tmpfs", "shm",
		  OPTIONS("nosuid", "noexec", "nodev", "mode=1777", "size=65536k"));
	put_mount(w, "/dev/mqueue", "mqueue", "mqueue", OPTIONS("nosuid", "noexec", "nodev"));
	if (rootless)
		put_mount(w, "/sys", "none", "/sys",
			  OPTIONS("rbind", "nosuid", "noexec", "nodev", "ro"));
	else
		put_mount(w, "/sys", "sysfs", "sysfs", OPTIONS("nosuid", "noexec", "nodev", "ro"));
	put_mount(w, "/sys/fs/cgroup", "cgroup", "cgroup",
		  OPTIONS("nosuid", "noexec", "nodev", "relatime", "ro"));
	jw_arr_end(w);
}

static void put_process(struct jw *w)
{
	static const char *const sets[] = {"bounding", "effective", "permitted"};

	jw_key(w, "process");
	jw_obj(w);
	jw_kv_bool(w, "terminal", true);
	jw_key(w, "user");
	jw_raw(w, "{\"uid\":0,\"gid\":0}");
	LIST(w, "args", "sh");
	LIST(w, "env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	     "TERM=xterm");
	jw_kv_str(w, "cwd", "/");
	jw_key(w, "capabilities");
	jw_obj(w);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		LIST(w, sets[i], "CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE");
	jw_obj_end(w);
	jw_key(w, "rlimits");
	jw_raw(w, "[{\"type\":\"RLIMIT_NOFILE\",\"hard\":1024,\"soft\":1024}]");
	jw_kv_bool(w, "noNewPrivileges", true);
	jw_obj_end(w);
}

static void put_id_map(struct jw *w, const char *key, unsigned host)
{
	jw_key(w, key);
	jw_arr(w);
	jw_obj(w);
	jw_kv_i64(w, "containerID", 0);
	jw_kv_i64(w, "hostID", host);
	jw_kv_i64(w, "size", 1);
	jw_obj_end(w);
	jw_arr_end(w);
}

static void put_linux(struct jw *w, bool rootless)
{
	static const char *const kinds[] = {"pid",   "network", "ipc", "uts",
					    "mount", "cgroup",	"user"};

	jw_key(w, "linux");
	jw_obj(w);
	if (rootless) {
		put_id_map(w, "uidMappings", geteuid());
		put_id_map(w, "gidMappings", getegid());
	} else {
		jw_key(w, "resources");
		jw_raw(w, "{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]}");
	}
	jw_key(w, "namespaces");
	jw_arr(w);
	for (size_t i = 0; i < ARRAY_SIZE(kinds) - !rootless; i++) {
		if (rootless && i == 1) /* the caller's network: rootless has no other */
			continue;
		jw_obj(w);
		jw_kv_str(w, "type", kinds[i]);
		jw_obj_end(w);
	}
	jw_arr_end(w);
	LIST(w, "maskedPaths", "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys",
	     "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
	     "/sys/firmware", "/proc/scsi");
	LIST(w, "readonlyPaths", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
	     "/proc/sysrq-trigger");
	jw_obj_end(w);
}

int oci_spec(char **args, int n, struct err *e)
{
	AUTO_BUF struct buf b = BUF_INIT(65536);
	struct jw w = JW_INIT(&b);
	AUTO_FREE char *path = xasprintf("%s/config.json", oci_opt.bundle ? oci_opt.bundle : ".");

	(void)args;
	(void)n;
	jw_obj(&w);
	jw_kv_str(&w, "ociVersion", OCI_VERSION);
	put_process(&w);
	jw_key(&w, "root");
	jw_raw(&w, "{\"path\":\"rootfs\",\"readonly\":true}");
	jw_kv_str(&w, "hostname", "coracle");
	put_mounts(&w, oci_opt.rootless);
	put_linux(&w, oci_opt.rootless);
	jw_obj_end(&w);
	buf_addc(&b, '\n');
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return errno == EEXIST
			       ? err_set(e, ERR_CONFLICT, "file %s exists: remove it first", path)
			       : err_sys(e, -errno, "create %s", path);
	int rc = fs_write_all(fd, b.p, b.n);
	return rc < 0 ? err_sys(e, rc, "write %s", path) : 0;
}
