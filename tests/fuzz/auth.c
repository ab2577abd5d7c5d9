/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: WWW-Authenticate challenges and the X-Registry-Auth header. */
#include "image/auth.h"
#include "wire/base64.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[4096];
	struct auth_challenge challenge;
	struct auth_credentials credentials;
	struct err e = ERR_INIT;

	if (size >= sizeof text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	auth_challenge_parse(text, &challenge);
	if (challenge.scheme == AUTH_BEARER && !challenge.realm[0])
		abort(); /* would be asked nowhere */
	if (auth_credentials_decode(text, &credentials, &e) < 0 && e.kind != ERR_INVALID)
		abort();
	AUTO_BUF struct buf out = BUF_INIT(sizeof(text));
	base64_decode_any(text, size, &out);
	if (out.n > size)
		abort();
	return 0;
}
