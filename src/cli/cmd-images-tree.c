/* SPDX-License-Identifier: Apache-2.0 */
/* images --tree: each image with the platforms of its index, what is here and how large. */
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/units.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define UNTAGGED "<untagged>"
#define GAP	 "   "
#define BRANCH	 "\u251c\u2500 " /* three columns each */
#define LAST	 "\u2514\u2500 "

static void size_text(const struct json *n, char *ret, size_t len)
{
	units_decimal(json_double(n), 3, ret, len);
}

static bool is_image(const struct json *m)
{
	const char *kind = json_str(json_get(m, "Kind"));

	return kind && !strcmp(kind, "image");
}

static bool in_use(const struct json *image)
{
	const struct json *list = json_get(image, "Manifests");
	bool used = json_i64(json_get(image, "Containers")) > 0;

	for (size_t i = 0; !used && i < json_len(list); i++)
		used = json_len(json_get(json_get(json_at(list, i), "ImageData"), "Containers")) >
		       0;
	return used;
}

static char *platform_text(const struct json *m)
{
	const struct json *p = json_get(json_get(m, "ImageData"), "Platform");
	const char *os = json_str(json_get(p, "os")), *arch = json_str(json_get(p, "architecture"));
	const char *variant = json_str(json_get(p, "variant"));

	if (!os || !*os)
		return xstrdup("unknown");
	return xasprintf("%s%s%s%s%s", os, arch && *arch ? "/" : "", arch ? arch : "",
			 variant && *variant ? "/" : "", variant ? variant : "");
}

struct tree {
	size_t width;
	bool any_used;
};

static void details(const struct tree *t, const char *id, const char *disk, const char *content,
		    bool used)
{
	char shown[13];

	printf(GAP "%-12s" GAP "%10s" GAP "%12s" GAP "%-5s\n", format_short_id(id, false, shown),
	       disk, content,
	       used && t->any_used ? "U"
	       : t->any_used	   ? " "
				   : "");
}

static void print_names(const struct tree *t, const struct json *tags)
{
	size_t n = json_len(tags);

	if (!n)
		printf("%-*s", (int)t->width, UNTAGGED);
	for (size_t i = 0; i < n; i++)
		printf("%-*s%s", (int)t->width, json_str(json_at(tags, i)), i + 1 < n ? "\n" : "");
}

static void print_children(const struct tree *t, const struct json *list)
{
	size_t last = 0;
	char disk[32], content[32];

	for (size_t i = 0; i < json_len(list); i++)
		if (is_image(json_at(list, i)))
			last = i;
	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *m = json_at(list, i), *size = json_get(m, "Size");

		if (!is_image(m))
			continue;
		AUTO_FREE char *platform = platform_text(m);
		size_text(json_get(size, "Total"), disk, sizeof disk);
		size_text(json_get(size, "Content"), content, sizeof content);
		printf("%s%-*s", i == last ? LAST : BRANCH, (int)t->width - 3, platform);
		details(t, json_str(json_get(m, "ID")), disk, content,
			json_len(json_get(json_get(m, "ImageData"), "Containers")) > 0);
	}
}

static void print_image(const struct tree *t, const struct json *image)
{
	const struct json *list = json_get(image, "Manifests");
	char disk[32], content[32];
	double total = 0;

	for (size_t i = 0; i < json_len(list); i++)
		total += json_double(json_get(json_get(json_at(list, i), "Size"), "Content"));
	size_text(json_get(image, "Size"), disk, sizeof disk);
	units_decimal(total, 3, content, sizeof content);
	print_names(t, json_get(image, "RepoTags"));
	details(t, json_str(json_get(image, "Id")), disk, content, in_use(image));
	print_children(t, list);
	putchar('\n');
}

static void measure(struct tree *t, const struct json *image)
{
	const struct json *tags = json_get(image, "RepoTags"), *list = json_get(image, "Manifests");

	if (!json_len(tags))
		t->width = MAX(t->width, sizeof UNTAGGED - 1);
	for (size_t i = 0; i < json_len(tags); i++)
		t->width = MAX(t->width, strlen(json_str(json_at(tags, i))));
	for (size_t i = 0; i < json_len(list); i++) {
		AUTO_FREE char *platform = platform_text(json_at(list, i));

		t->width = MAX(t->width, strlen(platform) + 5); /* bytes of the branch, as Docker */
	}
	t->any_used = t->any_used || in_use(image);
}

int images_tree(struct cli *c, const struct json *images)
{
	struct tree t = {.width = strlen("IMAGE")};

	for (size_t i = 0; i < json_len(images); i++)
		measure(&t, json_at(images, i));
	printf("%-*s" GAP "%-12s" GAP "%10s" GAP "%12s" GAP "%-5s\n", (int)t.width, "IMAGE", "ID",
	       "DISK USAGE", "CONTENT SIZE", "EXTRA");
	for (size_t i = 0; i < json_len(images); i++)
		print_image(&t, json_at(images, i));
	return 0;
}
