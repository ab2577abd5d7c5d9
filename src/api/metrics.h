/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of the API: requests by class of path and status, and how long their answers took. */
#pragma once

#include "base/buf.h"

void metrics_write(struct buf *out); /* Prometheus' text format */
