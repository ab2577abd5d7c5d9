/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that go into containers must not be writable from there: a process in a container can
 * reach the file of whatever executed it through /proc/PID/exe (the class of CVE-2019-5736). A
 * sealed program is executed from a read-only, detached copy of its mount, or where that is not
 * allowed from a sealed copy in memory; neither can be opened for writing or remounted by anybody.
 */
#pragma once

#include <stdbool.h>

/* Descriptor (close-on-exec, owned by the caller) to execute the program by, as "/proc/self/fd/N"
 * or with execveat(AT_EMPTY_PATH); negative errno. */
int seal_program(const char *path);
/* Does this process run from a sealed program? */
bool seal_is_sealed(void);
