/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor of one container: creates it, holds its stdio, writes its log, serves attach
 * clients, keeps its exit status. One thread, one ppoll loop, no state but two small files; see
 * wire/shim-proto.h for what it is told.
 *
 * Memory: parsed documents are freed before the container runs, stream buffers exist only while
 * bytes flow.
 */
#pragma once

#include "base/err.h"

/*
 * Serve the container whose files stand in dir. control_fd is the engine's connection (owned) or
 * FD_NONE. Returns the exit code of the program: 0 after "quit" or when there is nothing left to
 * do.
 */
int shim_main(const char *dir, int control_fd);
