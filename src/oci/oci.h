/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OCI runtime's command line (opencontainers/runtime-tools "command line interface") over the
 * runtime library, for containerd, CRI-O, Podman, Docker and scripts.
 */
#pragma once

#include "base/opts.h"

struct oci_command {
	const char *name;
	int (*run)(char **args, int n, struct err *e);
	int min, max; /* arguments; max -1: any */
	bool inside;  /* a copy of this process enters the container */
	const char *args, *what;
};

/* For the manual, too. The commands end with a NULL name. */
extern const struct oci_command oci_commands[];
extern const struct opt oci_global_options[], oci_command_options[];
extern const struct opt oci_list_options[]; /* of `list` and `ps` */

/* The whole program; its exit code. */
int oci_main(int argc, char **argv);
