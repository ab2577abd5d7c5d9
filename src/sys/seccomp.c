/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cache file: "coracle-bpf 2\n", key length and bytes, flags, instruction count, instructions. The
 * key holds everything that decides about the program (profile text or the built-in's hash,
 * capabilities, kernel release, architecture), and is compared whole, so that the hash in the
 * file's name only has to be quick.
 */
#include "sys/seccomp.h"
#include "base/json.h"
#include "base/num.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "sys/seccomp-default.inc"
#include "sys/caps.h"

#include "base/banned.h"

#define MAGIC	    "coracle-bpf 2\n"
#define INSNS_MAX   32768
#define PROFILE_MAX (4U << 20)
#define NR_LIB_KNOWS                                                                               \
	450 /* set_mempolicy_home_node: from here on numbers are the same everywhere               \
	     */

/* Calls newer than libseccomp 2.5.4; numbers are common to all architectures. */
static const struct {
	const char *name;
	uint32_t nr;
} new_calls[] = {
	{"cachestat", 451},	    {"fchmodat2", 452},	       {"map_shadow_stack", 453},
	{"futex_wake", 454},	    {"futex_wait", 455},       {"futex_requeue", 456},
	{"statmount", 457},	    {"listmount", 458},	       {"lsm_get_self_attr", 459},
	{"lsm_set_self_attr", 460}, {"lsm_list_modules", 461}, {"mseal", 462},
	{"setxattrat", 463},	    {"getxattrat", 464},       {"listxattrat", 465},
	{"removexattrat", 466},	    {"open_tree_attr", 467},   {"file_getattr", 468},
	{"file_setattr", 469},
};
#define NR_NEWEST 469

struct build {
	scmp_filter_ctx ctx;
	uint32_t default_action;
	uint32_t new_action[ARRAY_SIZE(new_calls)];
	uint64_t caps;
	unsigned kmajor, kminor;
	struct err *e;
};

static bool parse_action(const char *s, const struct json *errno_ret, uint32_t *ret)
{
	uint16_t no = errno_ret ? (uint16_t)json_i64(errno_ret) : EPERM;
	const struct {
		const char *name;
		uint32_t action;
	} table[] = {
		{"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
		{"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(no)},
		{"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
		{"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
		{"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
		{"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
		{"SCMP_ACT_TRACE", SCMP_ACT_TRACE(no)},
		{"SCMP_ACT_LOG", SCMP_ACT_LOG},
	};

	for (size_t i = 0; s && i < ARRAY_SIZE(table); i++)
		if (strcmp(table[i].name, s) == 0) {
			*ret = table[i].action;
			return true;
		}
	return false;
}

static bool parse_op(const char *s, enum scmp_compare *ret)
{
	static const struct {
		const char *name;
		enum scmp_compare op;
	} table[] = {{"SCMP_CMP_NE", SCMP_CMP_NE},
		     {"SCMP_CMP_LT", SCMP_CMP_LT},
		     {"SCMP_CMP_LE", SCMP_CMP_LE},
		     {"SCMP_CMP_EQ", SCMP_CMP_EQ},
		     {"SCMP_CMP_GE", SCMP_CMP_GE},
		     {"SCMP_CMP_GT", SCMP_CMP_GT},
		     {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};

	for (size_t i = 0; s && i < ARRAY_SIZE(table); i++)
		if (strcmp(table[i].name, s) == 0) {
			*ret = table[i].op;
			return true;
		}
	return false;
}

static const char *arch_name(void)
{
	switch (seccomp_arch_native()) {
	case SCMP_ARCH_X86_64:
		return "amd64";
	case SCMP_ARCH_X86:
		return "x86";
	case SCMP_ARCH_AARCH64:
		return "arm64";
	case SCMP_ARCH_ARM:
		return "arm";
	case SCMP_ARCH_RISCV64:
		return "riscv64";
	case SCMP_ARCH_PPC64LE:
		return "ppc64le";
	case SCMP_ARCH_S390X:
		return "s390x";
	}
	return "";
}

/* want_all: does the process have every listed capability; else: has it any of them. */
static bool any_cap(const struct build *b, const struct json *list, bool want_all)
{
	for (size_t i = 0; i < json_len(list); i++) {
		const char *s = json_str(json_at(list, i));
		int c = s ? caps_by_name(s) : -1;
		bool has = c >= 0 && (b->caps >> c & 1);
		if (has != want_all)
			return has;
	}
	return want_all;
}

static bool arch_listed(const struct json *list)
{
	for (size_t i = 0; i < json_len(list); i++) {
		const char *s = json_str(json_at(list, i));
		if (s && strcmp(s, arch_name()) == 0)
			return true;
	}
	return false;
}

static bool kernel_at_least(const struct build *b, const char *version)
{
	unsigned major = 0, minor = 0;
	const char *p = version;

	for (; *p >= '0' && *p <= '9' && major < 1000; p++)
		major = major * 10 + (unsigned)(*p - '0');
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9' && minor < 1000; p++)
			minor = minor * 10 + (unsigned)(*p - '0');
	return b->kmajor > major || (b->kmajor == major && b->kminor >= minor);
}

static bool rule_applies(const struct build *b, const struct json *rule)
{
	const struct json *in = json_get(rule, "includes"), *ex = json_get(rule, "excludes"), *j;

	if ((j = json_get(in, "caps")) && json_len(j) && !any_cap(b, j, true))
		return false;
	if ((j = json_get(in, "arches")) && json_len(j) && !arch_listed(j))
		return false;
	if ((j = json_get(in, "minKernel")) && json_str(j) && !kernel_at_least(b, json_str(j)))
		return false;
	if ((j = json_get(ex, "caps")) && json_len(j) && any_cap(b, j, false))
		return false;
	if ((j = json_get(ex, "arches")) && json_len(j) && arch_listed(j))
		return false;
	if ((j = json_get(ex, "minKernel")) && json_str(j) && kernel_at_least(b, json_str(j)))
		return false;
	return true;
}

static int add_call(struct build *b, const char *name, uint32_t action,
		    const struct scmp_arg_cmp *args, unsigned nargs, bool same_arg)
{
	int rc = 0, nr;

	/* our table goes first, also for calls a patched library has learned; the prologue decides
	 * without arguments */
	for (size_t i = 0; i < ARRAY_SIZE(new_calls); i++)
		if (strcmp(new_calls[i].name, name) == 0) {
			if (nargs == 0 && b->new_action[i] == b->default_action)
				b->new_action[i] = action;
			return 0;
		}
	nr = seccomp_syscall_resolve_name(name);
	if (nr == __NR_SCMP_ERROR)
		return 0; /* a call of no kernel we know: above the table, so ENOSYS */
	/* the same argument twice means "or" in these profiles: one rule each */
	if (same_arg) {
		for (unsigned i = 0; i < nargs && rc >= 0; i++)
			rc = seccomp_rule_add_array(b->ctx, action, nr, 1, args + i);
	} else {
		rc = seccomp_rule_add_array(b->ctx, action, nr, nargs, args);
	}
	if (rc == -EEXIST || rc == -EDOM || rc == -EOPNOTSUPP)
		return 0; /* already decided, or not a call of this architecture */
	if (rc < 0)
		return err_sys(b->e, rc, "seccomp rule for %s", name);
	return 0;
}

static int add_rule(struct build *b, const struct json *rule)
{
	const struct json *names = json_get(rule, "names"), *args = json_get(rule, "args");
	const char *single = json_str(json_get(rule, "name"));
	struct scmp_arg_cmp cmp[6];
	uint32_t action, seen = 0;
	unsigned n = 0;
	bool same = false;

	if (!parse_action(json_str(json_get(rule, "action")), json_get(rule, "errnoRet"), &action))
		return err_set(b->e, ERR_INVALID, "seccomp profile: unsupported action %s",
			       json_str(json_get(rule, "action"))
				       ? json_str(json_get(rule, "action"))
				       : "(none)");
	if (!rule_applies(b, rule) || action == b->default_action)
		return 0;
	for (size_t i = 0; i < json_len(args); i++) {
		const struct json *a = json_at(args, i);
		uint64_t index = json_u64(json_get(a, "index")),
			 value = json_u64(json_get(a, "value"));
		enum scmp_compare op;

		if (index > 5 || n == ARRAY_SIZE(cmp) ||
		    !parse_op(json_str(json_get(a, "op")), &op))
			return err_set(b->e, ERR_INVALID, "seccomp profile: bad argument rule");
		same |= seen >> index & 1;
		seen |= 1U << index;
		/* MASKED_EQ: value is the mask, valueTwo what must come out */
		cmp[n++] = (struct scmp_arg_cmp){
			(unsigned)index, op, value,
			op == SCMP_CMP_MASKED_EQ ? json_u64(json_get(a, "valueTwo")) : 0};
	}
	if (single && add_call(b, single, action, cmp, n, same) < 0)
		return -1;
	for (size_t i = 0; i < json_len(names); i++) {
		const char *name = json_str(json_at(names, i));
		if (name && add_call(b, name, action, cmp, n, same) < 0)
			return -1;
	}
	return 0;
}

static void add_arch(struct build *b, const char *name)
{
	char low[32];
	size_t n = 0;

	if (!name || !str_starts(name, "SCMP_ARCH_"))
		return;
	for (const char *p = name + 10; *p && n < sizeof(low) - 1; p++)
		low[n++] = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
	low[n] = '\0';
	uint32_t token = seccomp_arch_resolve_name(low);
	if (token)
		seccomp_arch_add(b->ctx, token);
}

static void add_arches(struct build *b, const struct json *doc)
{
	const struct json *map = json_get(doc, "archMap"), *list = json_get(doc, "architectures");

	for (size_t i = 0; i < json_len(list); i++)
		add_arch(b, json_str(json_at(list, i)));
	for (size_t i = 0; i < json_len(map); i++) {
		const struct json *m = json_at(map, i), *subs = json_get(m, "subArchitectures");
		char want[32];
		const char *arch = json_str(json_get(m, "architecture"));

		snprintf(want, sizeof(want), "%s",
			 seccomp_arch_native() == SCMP_ARCH_X86_64    ? "SCMP_ARCH_X86_64"
			 : seccomp_arch_native() == SCMP_ARCH_AARCH64 ? "SCMP_ARCH_AARCH64"
			 : seccomp_arch_native() == SCMP_ARCH_S390X   ? "SCMP_ARCH_S390X"
								      : "");
		for (size_t k = 0; arch && strcmp(arch, want) == 0 && k < json_len(subs); k++)
			add_arch(b, json_str(json_at(subs, k)));
	}
}

static unsigned parse_flags(const struct json *doc)
{
	const struct json *list = json_get(doc, "flags");
	unsigned flags = 0;

	for (size_t i = 0; i < json_len(list); i++) {
		const char *s = json_str(json_at(list, i));
		if (s && strcmp(s, "SECCOMP_FILTER_FLAG_LOG") == 0)
			flags |= SECCOMP_FILTER_FLAG_LOG;
		else if (s && strcmp(s, "SECCOMP_FILTER_FLAG_SPEC_ALLOW") == 0)
			flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	}
	return flags;
}

/*
 * Our decisions by number, in front of libseccomp's program: nr <= 450 goes on to it; 451..newest
 * by table; above that ENOSYS, so that programs fall back as on an older kernel. ARM's private
 * calls (0xf0000) and x32 (bit 30) go on too.
 */
static size_t prologue(const struct build *b, struct sock_filter *f)
{
	bool deny = b->default_action != SCMP_ACT_ALLOW && b->default_action != SCMP_ACT_LOG;
	size_t n = 0, total = 3 + 2 * ARRAY_SIZE(new_calls) + (deny ? 1 : 0);

	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					      offsetof(struct seccomp_data, nr));
	f[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, NR_LIB_KNOWS, 0,
					    (uint8_t)(total - n - 1));
	n++;
	f[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0xf0000,
					    (uint8_t)(total - n - 1), 0);
	n++;
	for (size_t i = 0; i < ARRAY_SIZE(new_calls); i++) {
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, new_calls[i].nr, 0,
						      1);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, b->new_action[i]);
	}
	if (deny)
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	return n;
}

static int export_program(const struct build *b, struct seccomp_prog *ret)
{
	int rc, fd = memfd_create("seccomp", MFD_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	rc = seccomp_export_bpf(b->ctx, fd);
	if (rc == 0 && fstat(fd, &st) < 0)
		rc = -errno;
	if (rc == 0) {
		struct sock_filter *v = xcalloc((size_t)st.st_size / sizeof(*v) + 64, sizeof(*v));
		size_t head = prologue(b, v);

		if (pread(fd, v + head, (size_t)st.st_size, 0) != st.st_size)
			rc = -EIO;
		ret->v = v;
		ret->n = head + (size_t)st.st_size / sizeof(*v);
		if (ret->n > BPF_MAXINSNS)
			rc = -E2BIG;
	}
	close(fd);
	return rc;
}

int seccomp_compile(const struct seccomp_source *s, struct seccomp_prog *ret, struct err *e)
{
	AUTO(json) struct json *doc = NULL;
	struct build b = {.caps = s->caps, .e = e};
	struct utsname u;
	int rc = 0;

	*ret = (struct seccomp_prog){0};
	if (json_parse(s->json ? s->json : (const char *)seccomp_default,
		       s->json ? s->n : (size_t)seccomp_default_size, &doc, e) < 0)
		return err_wrap(e, "seccomp profile");
	uname(&u);
	char *dot = NULL;
	b.kmajor = (unsigned)strtoul(u.release, &dot, 10);
	b.kminor = *dot == '.' ? (unsigned)strtoul(dot + 1, NULL, 10) : 0;
	if (!parse_action(json_str(json_get(doc, "defaultAction")),
			  json_get(doc, "defaultErrnoRet"), &b.default_action))
		return err_set(e, ERR_INVALID,
			       "seccomp profile: defaultAction is missing or unsupported");
	for (size_t i = 0; i < ARRAY_SIZE(new_calls); i++)
		b.new_action[i] = b.default_action;
	b.ctx = seccomp_init(b.default_action);
	if (!b.ctx)
		return err_set(e, ERR_SYSTEM, "seccomp_init failed");
	seccomp_attr_set(b.ctx, SCMP_FLTATR_CTL_NNP, 0);
	seccomp_attr_set(b.ctx, SCMP_FLTATR_ACT_BADARCH, b.default_action);
	seccomp_attr_set(b.ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	add_arches(&b, doc);
	struct json *rules = json_get(doc, "syscalls");
	for (size_t i = 0; i < json_len(rules) && rc == 0; i++)
		rc = add_rule(&b, json_at(rules, i));
	if (rc == 0) {
		int x = export_program(&b, ret);
		if (x < 0)
			rc = err_sys(e, x, "compile the seccomp profile");
	}
	ret->flags = parse_flags(doc);
	seccomp_release(b.ctx);
	if (rc < 0)
		seccomp_prog_done(ret);
	return rc;
}

static uint64_t fnv(const void *p, size_t n)
{
	uint64_t h = 0xcbf29ce484222325U;

	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const unsigned char *)p)[i]) * 0x100000001b3U;
	return h;
}

static void make_key(const struct seccomp_source *s, struct buf *key)
{
	struct utsname u;

	uname(&u);
	buf_addf(key, "%s %s %llx ", u.machine, u.release, (unsigned long long)s->caps);
	if (s->json)
		buf_add(key, s->json, s->n);
	else
		buf_addf(key, "default %llx",
			 (unsigned long long)fnv(seccomp_default, seccomp_default_size));
}

struct file_head {
	char magic[16];
	uint64_t key_n, n, flags;
};

/* Parse head + key + instructions; false when it is anything else. */
static bool parse_image(const struct buf *b, const struct buf *key, struct seccomp_prog *ret)
{
	struct file_head h;

	if (b->n < sizeof(h))
		return false;
	memcpy(&h, b->p, sizeof(h));
	if (memcmp(h.magic, MAGIC, sizeof(MAGIC)) != 0 || h.n == 0 || h.n > INSNS_MAX ||
	    h.key_n != key->n || b->n != sizeof(h) + h.key_n + h.n * sizeof(struct sock_filter) ||
	    memcmp(b->p + sizeof(h), key->p, key->n) != 0)
		return false;
	ret->v = xmalloc(h.n * sizeof(struct sock_filter));
	memcpy(ret->v, b->p + sizeof(h) + h.key_n, h.n * sizeof(struct sock_filter));
	ret->n = h.n;
	ret->flags = (unsigned)h.flags;
	return true;
}

/* In the helper child: compile, send the image or "!" and the error text, keep it in the cache. */
static void compile_child(const struct seccomp_source *s, const struct buf *key, const char *name,
			  int fd)
{
	struct err e = ERR_INIT;
	struct seccomp_prog p;
	struct buf out = BUF_INIT(PROFILE_MAX * 2);
	struct file_head h = {.magic = MAGIC, .key_n = key->n};

	if (seccomp_compile(s, &p, &e) < 0) {
		buf_addf(&out, "!%s", e.text);
		fs_write_all(fd, out.p, out.n);
		_exit(1);
	}
	h.n = p.n;
	h.flags = p.flags;
	buf_add(&out, &h, sizeof(h));
	buf_add(&out, key->p, key->n);
	buf_add(&out, p.v, p.n * sizeof(*p.v));
	fs_write_all(fd, out.p, out.n);
	close(fd);
	if (s->cache_dir && fs_mkdirs(s->cache_dir, 0700) >= 0) {
		int dir = fs_open_dir(s->cache_dir);
		if (dir >= 0)
			fs_write_atomic(dir, name, out.p, out.n, 0600, false);
	}
	_exit(0);
}

int seccomp_prepare(const struct seccomp_source *s, struct seccomp_prog *ret, struct err *e)
{
	AUTO_BUF struct buf key = BUF_INIT(PROFILE_MAX), in = BUF_INIT(PROFILE_MAX * 2);
	char name[64];
	int fds[2], status;

	*ret = (struct seccomp_prog){0};
	make_key(s, &key);
	if (key.overflow)
		return err_set(e, ERR_LIMIT, "seccomp profile is too large");
	snprintf(name, sizeof(name), "%016llx.bpf", (unsigned long long)fnv(key.p, key.n));
	if (s->cache_dir) {
		AUTO_FREE char *path = xasprintf("%s/%s", s->cache_dir, name);
		if (fs_read_path(path, &in) >= 0 && parse_image(&in, &key, ret))
			return 0;
		buf_reset(&in);
	}
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "pipe");
	pid_t pid = fork();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return err_sys(e, -errno, "fork");
	}
	if (pid == 0) {
		close(fds[0]);
		compile_child(s, &key, name, fds[1]);
	}
	close(fds[1]);
	int rc = fs_read_fd(fds[0], &in);
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (rc >= 0 && parse_image(&in, &key, ret))
		return 0;
	return err_set(e, ERR_INVALID, "%s",
		       in.n > 1 && in.p[0] == '!' ? in.p + 1
						  : "compile the seccomp profile failed");
}

int seccomp_install(const struct seccomp_prog *p)
{
	struct sock_fprog f = {.len = (unsigned short)p->n, .filter = p->v};

	if (!p->v)
		return 0;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, p->flags, &f) < 0 ? -errno : 0;
}

void seccomp_prog_done(struct seccomp_prog *p)
{
	free(p->v);
	*p = (struct seccomp_prog){0};
}
