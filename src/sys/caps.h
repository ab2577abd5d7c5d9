/* SPDX-License-Identifier: Apache-2.0 */
/* Capability sets by raw system calls; names as in capabilities(7). Negative errno on failure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct caps {
	uint64_t bounding, effective, permitted, inheritable, ambient; /* one bit per capability */
};

int caps_by_name(const char *name); /* "CAP_CHOWN" or "chown", any case; number or -1 */
const char *caps_name(int cap);	    /* "CAP_CHOWN"; NULL when unknown */
uint64_t caps_kernel_mask(void);    /* every capability this kernel has */
uint64_t caps_from_names(const char *const *names, size_t n, const char **ret_unknown);
int caps_drop_bounding(uint64_t keep); /* needs CAP_SETPCAP */
int caps_keep_over_setuid(void);
uint64_t caps_permitted(void);	      /* of this thread */
int caps_raise(void);		      /* effective = permitted */
int caps_apply(const struct caps *c); /* effective, permitted, inheritable, then ambient */
