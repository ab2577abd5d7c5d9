/* SPDX-License-Identifier: Apache-2.0 */
/* See platform.h. An arm/v7 machine runs v6 and v5 images too; nothing else has an order. */
#include "image/platform.h"
#include "image/image.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/banned.h"

static const struct {
	const char *alias, *arch, *variant;
} ALIASES[] = {
	{"x86_64", "amd64", NULL},
	{"x86-64", "amd64", NULL},
	{"i386", "386", NULL},
	{"i486", "386", NULL},
	{"i686", "386", NULL},
	{"aarch64", "arm64", NULL},
	{"armhf", "arm", "v7"},
	{"armel", "arm", "v6"},
	{"armv7l", "arm", "v7"},
	{"armv6l", "arm", "v6"},
	{"armv8l", "arm", "v8"},
	{"ppc64el", "ppc64le", NULL},
	{"powerpc64le", "ppc64le", NULL},
	{"mips64", "mips64le", NULL},
	{"loongarch64", "loong64", NULL},
};

static const char *const ARCHES[] = {"amd64",	"386",	 "arm",	    "arm64",   "ppc64",
				     "ppc64le", "s390x", "riscv64", "loong64", "mips64le",
				     "mips64",	"mips",	 "mipsle",  "wasm"};

static bool arch_known(const char *arch)
{
	for (size_t i = 0; i < ARRAY_SIZE(ARCHES); i++)
		if (!strcmp(ARCHES[i], arch))
			return true;
	return false;
}

static void normalise(struct image_platform *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(ALIASES); i++)
		if (!strcmp(p->arch, ALIASES[i].alias)) {
			snprintf(p->arch, sizeof(p->arch), "%s", ALIASES[i].arch);
			if (ALIASES[i].variant && !p->variant[0])
				snprintf(p->variant, sizeof(p->variant), "%s", ALIASES[i].variant);
			break;
		}
	if (!strcmp(p->os, "macos"))
		snprintf(p->os, sizeof(p->os), "darwin");
	if (!strcmp(p->arch, "arm") && p->variant[0] >= '5' && p->variant[0] <= '8' &&
	    !p->variant[1])
		snprintf(p->variant, sizeof(p->variant), "v%c", (char)p->variant[0]);
	if (!strcmp(p->arch, "arm64") && !strcmp(p->variant, "8"))
		snprintf(p->variant, sizeof(p->variant), "v8");
}

void image_platform_host(struct image_platform *ret)
{
	struct utsname u;
	*ret = (struct image_platform){.os = "linux"};
	if (uname(&u) == 0)
		snprintf(ret->arch, sizeof(ret->arch), "%.31s", u.machine);
	normalise(ret);
	if (!strcmp(ret->arch, "arm64"))
		snprintf(ret->variant, sizeof(ret->variant), "v8");
}

void image_host_platform(const char **ret_os, const char **ret_arch, const char **ret_variant)
{
	static struct image_platform host;
	if (!host.os[0])
		image_platform_host(&host);
	*ret_os = host.os;
	*ret_arch = host.arch;
	*ret_variant = host.variant;
}

static bool part_valid(struct str s, size_t max)
{
	if (!s.n || s.n >= max)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '_' || c == '.' || c == '-'))
			return false;
	}
	return true;
}

static void copy_lower(char *to, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		to[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + 32) : s.p[i];
	to[s.n] = '\0';
}

/* {"architecture":"arm64","os":"linux","variant":"v8"}, as the API takes it since 1.48. */
static int parse_json(const char *text, struct image_platform *ret, struct err *e)
{
	AUTO(json) struct json *j = NULL;
	char plain[128];
	if (json_parse(text, strlen(text), &j, e) < 0)
		return err_wrap(e, "failed to parse platform");
	const char *os = json_str(json_get_icase(j, "os"));
	const char *arch = json_str(json_get_icase(j, "architecture"));
	const char *variant = json_str(json_get_icase(j, "variant"));
	if (!os || !arch || !*os || !*arch)
		return err_set(e, ERR_INVALID, "both OS and Architecture must be provided: %.200s",
			       text);
	snprintf(plain, sizeof(plain), "%.40s/%.40s%s%.30s", os, arch,
		 variant && *variant ? "/" : "", variant ? variant : "");
	return image_platform_parse(plain, ret, e);
}

int image_platform_parse(const char *text, struct image_platform *ret, struct err *e)
{
	struct image_platform p = {0}, host;
	struct str rest = str_of(text), part[4] = {0};
	size_t n = 0;
	if (*text == '{')
		return parse_json(text, ret, e);
	image_platform_host(&host);
	while (n < 4 && str_cut(&rest, '/', &part[n]))
		n++;
	if (!n || n > 3)
		return err_set(e, ERR_INVALID, "\"%.200s\" is an invalid OS/architecture specifier",
			       text);
	for (size_t i = 0; i < n; i++)
		if (!part_valid(part[i], i == 2 ? sizeof(p.variant) : sizeof(p.os)))
			return err_set(e, ERR_INVALID,
				       "\"%.200s\" is an invalid component of \"%.200s\": platform "
				       "specifier component must match \"^[A-Za-z0-9_.-]+$\"",
				       part[i].n ? part[i].p : "", text);
	if (n == 1) {
		copy_lower(p.arch, part[0]);
		normalise(&p);
		if (arch_known(p.arch)) {
			snprintf(p.os, sizeof(p.os), "%s", host.os);
		} else {
			p = host;
			copy_lower(p.os, part[0]);
			if (strcmp(p.os, "linux") && strcmp(p.os, "windows") &&
			    strcmp(p.os, "darwin") && strcmp(p.os, "freebsd") &&
			    strcmp(p.os, "macos"))
				return err_set(
					e, ERR_INVALID,
					"\"%.200s\": unknown operating system or architecture",
					text);
			normalise(&p);
		}
	} else {
		copy_lower(p.os, part[0]);
		copy_lower(p.arch, part[1]);
		if (n == 3)
			copy_lower(p.variant, part[2]);
		normalise(&p);
	}
	*ret = p;
	return 0;
}

void image_platform_format(const struct image_platform *p, char ret[static 96])
{
	snprintf(ret, 96, "%s/%s%s%s", p->os, p->arch, p->variant[0] ? "/" : "", p->variant);
}

/* Number behind "v"; arm without a variant means v7, arm64 v8. */
static int variant_level(const char *arch, const char *variant)
{
	if (variant && variant[0] == 'v' && variant[1] >= '1' && variant[1] <= '9')
		return variant[1] - '0';
	if (!strcmp(arch, "arm"))
		return 7;
	if (!strcmp(arch, "arm64"))
		return 8;
	return !strcmp(arch, "amd64") ? 1 : 0;
}

int image_platform_score(const struct image_platform *want, const struct oci_platform *have)
{
	struct image_platform h = {0};
	if (!have || !have->os || !have->architecture)
		return 0;
	snprintf(h.os, sizeof(h.os), "%s", have->os);
	snprintf(h.arch, sizeof(h.arch), "%s", have->architecture);
	snprintf(h.variant, sizeof(h.variant), "%s", have->variant ? have->variant : "");
	normalise(&h);
	if (strcmp(h.os, want->os))
		return 0;
	int w = variant_level(want->arch, want->variant), v = variant_level(h.arch, h.variant);
	if (!strcmp(h.arch, want->arch)) {
		if (w == v)
			return 100;
		return v < w && (!strcmp(h.arch, "arm") || !strcmp(h.arch, "amd64")) ? 50 + v : 0;
	}
	return 0;
}

const struct oci_descriptor *image_platform_choose(const struct image_platform *want,
						   const struct oci_index *index)
{
	const struct oci_descriptor *best = NULL;
	int best_score = 0;
	for (size_t i = 0; i < index->manifests.n; i++) {
		const struct oci_descriptor *d = oci_descriptor_at(&index->manifests, i);
		int score = image_platform_score(want, d->platform);
		if (score > best_score) {
			best_score = score;
			best = d;
		}
	}
	return best;
}

bool image_platform_fits(const struct image_platform *want, const struct image_config *have)
{
	const struct oci_platform p = {
		.os = have->os, .architecture = have->architecture, .variant = have->variant};
	return image_platform_score(want, &p) > 0;
}
