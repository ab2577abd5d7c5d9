/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OCI runtime's command line (opencontainers/runtime-tools "command line interface") over the
 * runtime library, for containerd, CRI-O, Podman, Docker and scripts.
 */
#pragma once

/* The whole program; its exit code. */
int oci_main(int argc, char **argv);
