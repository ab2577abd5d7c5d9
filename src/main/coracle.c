/* SPDX-License-Identifier: Apache-2.0 */
/* coracle: the command line. Everything is in src/cli. */
#include "cli/cli.h"

#include "base/banned.h"

int main(int argc, char **argv)
{
	return cli_main(argc, argv);
}
