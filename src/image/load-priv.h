/* SPDX-License-Identifier: Apache-2.0 */
/* The load job as the embedded image uses it. */
#pragma once

#include "image/service-priv.h"

/* A job that imports the embedded image and reports like a pull. */
int default_pull(struct image_service *s, const struct image_job_events *ev, struct image_job **ret,
		 struct err *e);
/* fd of the embedded archive, positioned at its start. */
int default_archive(struct err *e);
/* Report like a pull of the embedded image. */
void load_as_pull(struct image_job *j);
