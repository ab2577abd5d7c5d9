/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that have a better replacement here become compile errors. Include last. */
#pragma once

/* glibc has some of them as macros, and clang refuses to poison those. */
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat strncpy sprintf vsprintf strtok gets atoi atol atoll sscanf
#pragma GCC poison system popen tmpnam mktemp gmtime localtime asctime
