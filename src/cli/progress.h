/* SPDX-License-Identifier: Apache-2.0 */
/* Docker's stream of JSON progress messages, drawn for a person. */
#pragma once

#include "cli/cli.h"

#include <stdio.h>

/* Show the whole body of k on `out`; an error message in the stream is the result. */
int progress_show(struct conn *k, FILE *out, bool quiet, struct err *e);
/* aux gets what the messages carry for programs. */
int progress_show_aux(struct conn *k, FILE *out, bool quiet,
		      void (*aux)(void *ud, const struct json *value), void *ud, struct err *e);
