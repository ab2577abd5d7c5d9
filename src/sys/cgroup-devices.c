/* SPDX-License-Identifier: Apache-2.0 */
/* Device rules of a control group: two files on v1, a BPF_PROG_TYPE_CGROUP_DEVICE program made here
 * on v2. */
#include "sys/cgroup.h"
#include "base/mem.h"

#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/banned.h"

static int set_v1(const char *path, const struct cgroup_device_rule *r)
{
	char text[64], major[24] = "*", minor[24] = "*";

	if (r->type == 'a' && r->major < 0 && r->minor < 0)
		return cgroup_write(CG_DEVICES, path, r->allow ? "devices.allow" : "devices.deny",
				    "a");
	if (r->major >= 0)
		snprintf(major, sizeof(major), "%lld", (long long)r->major);
	if (r->minor >= 0)
		snprintf(minor, sizeof(minor), "%lld", (long long)r->minor);
	/* the files know no "any type" together with numbers */
	const char *types = r->type == 'a' ? "bc" : r->type == 'b' ? "b" : "c";
	int rc = 0;
	for (; *types && rc == 0; types++) {
		snprintf(text, sizeof(text), "%c %s:%s %s%s%s", *types, major, minor,
			 r->r ? "r" : "", r->w ? "w" : "", r->m ? "m" : "");
		rc = cgroup_write(CG_DEVICES, path, r->allow ? "devices.allow" : "devices.deny",
				  text);
	}
	return rc;
}

#define INSN(c, d, s, o, i)                                                                        \
	((struct bpf_insn){                                                                        \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (short)(o), .imm = (i)})

/* One rule: fall through to its end when it does not match. Registers: r2 type, r3 access, r4
 * major, r5 minor. */
static size_t emit_rule(struct bpf_insn *p, const struct cgroup_device_rule *r)
{
	size_t n = 0, fix[4], nfix = 0;
	int access_bits = (r->m ? BPF_DEVCG_ACC_MKNOD : 0) | (r->r ? BPF_DEVCG_ACC_READ : 0) |
			  (r->w ? BPF_DEVCG_ACC_WRITE : 0);

	if (r->type != 'a') {
		fix[nfix++] = n;
		p[n++] = INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, 0,
			      r->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
	}
	if (access_bits != 7) {
		p[n++] = INSN(BPF_ALU | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0);
		p[n++] = INSN(BPF_ALU | BPF_AND | BPF_K, BPF_REG_1, 0, 0,
			      r->allow ? (~access_bits & 7) : access_bits);
		fix[nfix++] = n;
		/* allow: every wanted bit is in the rule; deny: one is */
		p[n++] = INSN(BPF_JMP | (r->allow ? BPF_JNE : BPF_JEQ) | BPF_K, BPF_REG_1, 0, 0, 0);
	}
	if (r->major >= 0) {
		fix[nfix++] = n;
		p[n++] = INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_4, 0, 0, (int)r->major);
	}
	if (r->minor >= 0) {
		fix[nfix++] = n;
		p[n++] = INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_5, 0, 0, (int)r->minor);
	}
	p[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, r->allow ? 1 : 0);
	p[n++] = INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	for (size_t i = 0; i < nfix; i++)
		p[fix[i]].off = (short)(n - fix[i] - 1);
	return n;
}

static int set_v2(const char *path, const struct cgroup_device_rule *rules, size_t count)
{
	AUTO_FREE struct bpf_insn *p = xcalloc(count * 10 + 16, sizeof(*p));
	size_t n = 0;
	int rc = 0;

	p[n++] = INSN(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, 0, 0);
	p[n++] = INSN(BPF_ALU | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
	p[n++] = INSN(BPF_ALU | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff);
	p[n++] = INSN(BPF_ALU | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16);
	p[n++] = INSN(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_4, BPF_REG_1, 4, 0);
	p[n++] = INSN(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_5, BPF_REG_1, 8, 0);
	bool decided = false;
	for (size_t i = count; i > 0 && !decided; i--) { /* later rules win: test them first */
		const struct cgroup_device_rule *r = &rules[i - 1];
		n += emit_rule(p + n, r);
		/* the verifier refuses code that is never reached */
		decided = r->type == 'a' && r->major < 0 && r->minor < 0 && r->r && r->w && r->m;
	}
	if (!decided) {
		p[n++] = INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0);
		p[n++] = INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	}
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
			       .insn_cnt = (uint32_t)n,
			       .insns = (uintptr_t)p,
			       .license = (uintptr_t) "Apache-2.0"};
	int prog = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	if (prog < 0)
		return -errno;
	int dir = cgroup_open_v2(path);
	union bpf_attr attach = {.target_fd = (uint32_t)dir,
				 .attach_bpf_fd = (uint32_t)prog,
				 .attach_type = BPF_CGROUP_DEVICE,
				 .attach_flags = 0};
	if (dir < 0 || syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)) < 0)
		rc = dir < 0 ? dir : -errno;
	if (dir >= 0)
		close(dir);
	close(prog);
	return rc;
}

int cgroup_set_devices(const char *path, const struct cgroup_device_rule *rules, size_t n)
{
	if (n == 0 || n > 400)
		return n ? -E2BIG : 0;
	if (cgroup_version() == 2)
		return set_v2(path, rules, n);
	for (size_t i = 0; i < n; i++) {
		int rc = set_v1(path, &rules[i]);
		if (rc < 0)
			return rc;
	}
	return 0;
}
