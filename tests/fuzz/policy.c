/* SPDX-License-Identifier: Apache-2.0 */
/* The signature policy and the payload of a signature: both JSON, one written by the administrator,
 * one by whoever can push to a registry. */
#include "image/signature.h"

#include "base/mem.h"

#include <string.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const refs[] = {"alpine", "127.0.0.1:5000/a/b/c:1", "x.example.com/y"};
	AUTO(policy) struct policy *p = NULL;
	AUTO(arena) struct arena *a = arena_new();
	struct signature_payload payload;
	struct err e = ERR_INIT;

	if (policy_parse((const char *)data, size, &p, &e) == 0) {
		for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
			struct image_ref ref;

			if (image_ref_parse(refs[i], &ref, &e) < 0)
				continue;
			const struct objs *found = policy_for(p, &ref);
			const struct policy_requirement *r = found->v;

			for (size_t k = 0; k < found->n; k++)
				if (r[k].identity.type)
					(void)policy_identity_check(&r[k].identity, &ref, refs[i],
								    &e);
			/* Files named by a policy are not read here; data is. */
			AUTO(signature_keys) struct signature_keys *keys = NULL;
			if (r[0].kind == POLICY_SIGSTORE && !r[0].key_paths.n)
				(void)signature_keys_load(&r[0], &keys, &e);
		}
	}
	(void)signature_payload_decode((const char *)data, size, &payload, a, &e);
	return 0;
}
