/* SPDX-License-Identifier: Apache-2.0 */
/* coracle-runtime: an OCI runtime for engines other than ours. */
#include "oci/oci.h"

#include "base/banned.h"

int main(int argc, char **argv)
{
	return oci_main(argc, argv);
}
