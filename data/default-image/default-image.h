/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded default image: the bytes of an OCI archive (image-spec, "OCI Image Layout" in a
 * tar). */
#pragma once

extern const unsigned char default_image[] __attribute__((visibility("hidden")));
extern const unsigned char default_image_end[] __attribute__((visibility("hidden")));
