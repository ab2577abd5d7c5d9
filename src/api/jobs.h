/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request that is a job of the image module. The request is held until the job is done; a client
 * that leaves cancels its job.
 */
#pragma once

#include "api/request.h"
#include "engine/engine.h"
#include "image/image.h"

struct api_job {
	struct image_job *job;
};

/*
 * A stream of JSON lines as Docker's clients read them: an error before the first line is a plain
 * error answer, one after it a line {"errorDetail":{"message"},"error"}.
 */
void api_job_stream(struct api_request *r, struct api_job *t, struct image_job_events *ev);
/* A job whose `id` at the end is the JSON text of the answer. */
struct api_job *api_job_question(struct api_request *r, struct image_job_events *ev);
/* Both: start the job with *ev and &t->job, then api_settle(). `t` lives as long as the request. */
