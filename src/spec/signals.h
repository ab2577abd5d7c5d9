/* SPDX-License-Identifier: Apache-2.0 */
/* Signal names as users write them. */
#pragma once

/* "TERM", "SIGTERM", "15"; -EINVAL. */
int signal_parse(const char *text);
