/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seccomp profiles (Docker's or the OCI form, see data/seccomp-default.json) to BPF. libseccomp
 * compiles what it knows; calls newer than it are decided by number in a prologue of ours, and
 * calls newer than our table give ENOSYS.
 */
#pragma once

#include "base/err.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

struct seccomp_prog {
	struct sock_filter *v; /* owned; NULL: nothing to install */
	size_t n;
	unsigned flags; /* of seccomp(2) */
};

struct seccomp_source {
	const char *json; /* NULL: the built-in default profile */
	size_t n;
	uint64_t caps;	       /* bounding set, for includes/excludes */
	const char *cache_dir; /* may be NULL */
};

/* Compiled program from the cache, or compiled in a short-lived child (libseccomp's heap never
 * stays with the caller). */
int seccomp_prepare(const struct seccomp_source *s, struct seccomp_prog *ret, struct err *e);
/* Compile in this process. */
int seccomp_compile(const struct seccomp_source *s, struct seccomp_prog *ret, struct err *e);
int seccomp_install(const struct seccomp_prog *p); /* -errno; async-signal-safe */
void seccomp_prog_done(struct seccomp_prog *p);
