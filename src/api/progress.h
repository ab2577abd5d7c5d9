/* SPDX-License-Identifier: Apache-2.0 */
/* Docker's progress messages: one line of JSON each. Pure. */
#pragma once

#include "base/buf.h"

#include <stdint.h>

struct image_progress;

void api_progress_line(const struct image_progress *p, struct buf *out);
void api_progress_error(const char *text, struct buf *out);
/* "[=====>    ]  1.2MB/3.4MB" as Docker draws it for a wide terminal; "" when there is nothing to
 * draw. */
void api_progress_bar(int64_t current, int64_t total, struct buf *out);
