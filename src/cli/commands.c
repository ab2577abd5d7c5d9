/* SPDX-License-Identifier: Apache-2.0 */
/* The table of all commands: names, arguments, options. Help and dispatch are made from it. */
#include "cli/commands.h"
#include "cli/run.h"

#include "base/banned.h"

const struct command cli_commands[] = {
	{"run", "container", "run", NULL, "IMAGE [COMMAND] [ARG...]",
	 "Create and run a new container from an image", run_options, 1, -1, false, GROUP_COMMON,
	 cmd_run},
	{"create", "container", "create", NULL, "IMAGE [COMMAND] [ARG...]",
	 "Create a new container", create_options, 1, -1, false, GROUP_PLAIN, cmd_create},
	{.run = NULL},
};
