/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words as a Dockerfile writes them: blanks separate, quotes and backslashes protect, $NAME,
 * ${NAME}, ${NAME:-word}, ${NAME:+word}, ${NAME:?word} (and the same without colon) are replaced.
 * Nothing is executed.
 */
#pragma once

#include "base/json.h"

/* Split at blanks outside quotes; quotes and backslashes stay in the words. */
void shellword_split(const char *text, struct strs *ret, struct arena *a);
/* One word with quotes removed and variables of env ("NAME=value") replaced. ERR_INVALID on
 * unbalanced quotes or braces; ERR_LIMIT when the result grows past 64 KiB. */
int shellword_expand(const char *word, const struct strs *env, const char **ret, struct arena *a,
		     struct err *e);
