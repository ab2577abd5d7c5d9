/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees of new layers on their way to the disk, behind the pull that was told done already: one
 * syncfs(2) by a worker for all of them, then their marks go. A failure leaves the marks; the next
 * layer or the next start tries again.
 */
#pragma once

#include "image/service-priv.h"

void flush_soon(struct image_service *s); /* a layer was committed unsynced */
void flush_free(struct image_service *s); /* the marks stay */
