/* SPDX-License-Identifier: Apache-2.0 */
/* Command functions by the file that has them; the table is in commands.c. */
#pragma once

#include "cli/cli.h"

#define COMMAND(name) int cmd_##name(struct cli *c, struct opts *o)

COMMAND(run);
COMMAND(create);
