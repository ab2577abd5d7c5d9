/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dockerfile instructions that change an image's configuration, as `commit --change` and `import
 * --change` take them: CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL USER VOLUME
 * WORKDIR. Nothing else of a Dockerfile is an instruction here.
 */
#pragma once

#include "spec/container.h"

/*
 * Apply the lines of all texts, in order, to c; new strings belong to a. Texts may hold several
 * lines, comments and continuations, as a Dockerfile. ERR_INVALID with Docker's words.
 */
int instructions_apply(const struct strs *texts, struct container_config *c, struct arena *a,
		       struct err *e);
