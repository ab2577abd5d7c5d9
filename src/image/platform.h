/* SPDX-License-Identifier: Apache-2.0 */
/* Platforms: "os/arch[/variant]" texts, aliases, and the choice of a manifest from an index. */
#pragma once

#include "spec/image.h"

struct image_platform {
	char os[32], arch[32], variant[16];
};

/* "linux/arm64/v8", "arm64", "linux", or the API's JSON object; aliases resolved (x86_64, aarch64,
 * armhf ...). */
int image_platform_parse(const char *text, struct image_platform *ret, struct err *e);
void image_platform_host(struct image_platform *ret);
void image_platform_format(const struct image_platform *p, char ret[static 96]);
/* 0: does not match; larger is better (exact variant before a lower one). */
int image_platform_score(const struct image_platform *want, const struct oci_platform *have);
/* The platform of an image's config against the one wanted. */
bool image_platform_fits(const struct image_platform *want, const struct image_config *have);
/* The best runnable entry, NULL when there is none. */
const struct oci_descriptor *image_platform_choose(const struct image_platform *want,
						   const struct oci_index *index);
