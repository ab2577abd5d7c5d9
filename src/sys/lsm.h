/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels of AppArmor and SELinux without their libraries: procfs attributes
 * (Documentation/security: proc/PID/attr). 0/value or a negative errno.
 */
#pragma once

#include <stdbool.h>

bool lsm_apparmor_enabled(void);
bool lsm_selinux_enabled(void);
/*
 * The next execve() of the calling process changes to this profile or label; NULL or "": none.
 * proc_fd: the host's /proc, opened before the caller entered a container, whose own could lie.
 */
int lsm_exec_apparmor(int proc_fd, const char *profile);
int lsm_exec_selinux(int proc_fd, const char *label);
