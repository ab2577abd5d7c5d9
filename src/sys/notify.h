/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to the service manager, by its protocol sd_notify(3). */
#pragma once

/* "READY=1", "STOPPING=1\nSTATUS=...". 1 sent, 0 nobody asked (NOTIFY_SOCKET is not set), negative
 * errno. */
int notify_send(const char *text);
