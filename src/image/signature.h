/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sigstore's "simple signing": a signature of a small JSON document that names an image's manifest
 * and the reference it was signed as. Keys are PEM ("PUBLIC KEY"): ECDSA on P-256, P-384 or P-521
 * with SHA-256, or Ed25519. Pure functions over bytes; the cryptography is OpenSSL's.
 */
#pragma once

#include "image/policy.h"

#define SIGNATURE_LAYER_TYPE  "application/vnd.dev.cosign.simplesigning.v1+json"
#define SIGNATURE_ARTIFACT    "application/vnd.dev.cosign.artifact.sig.v1+json"
#define SIGNATURE_ANNOTATION  "dev.cosignproject.cosign/signature" /* base64 */
#define SIGNATURE_TYPE	      "cosign container image signature"
#define SIGNATURE_PAYLOAD_MAX ((size_t)256 << 10)
#define SIGNATURE_TEXT_MAX    4096 /* the annotation */
#define SIGNATURE_KEY_MAX     ((size_t)64 << 10)

struct signature_keys;
/* All keys of a requirement. ERR_INVALID names the file or the number of the key that is none. */
int signature_keys_load(const struct policy_requirement *r, struct signature_keys **ret,
			struct err *e);
void signature_keys_free(struct signature_keys *k); /* NULL allowed */
DEFINE_AUTO(signature_keys);

/* Is `text` (base64) the signature of the payload by one of the keys? ERR_DENIED when not. */
int signature_verify(const struct signature_keys *k, const void *payload, size_t n,
		     const char *text, struct err *e);

struct signature_payload {
	const char *digest, *reference; /* the arena's */
};
/* Strict: type, image and identity and nothing else below "critical". */
int signature_payload_decode(const char *p, size_t n, struct signature_payload *ret,
			     struct arena *a, struct err *e);

/* The whole judgement of one signature for one requirement. */
int signature_accepts(const struct policy_requirement *r, const struct signature_keys *k,
		      const struct image_ref *ref, const struct digest *manifest,
		      const char *payload, size_t n, const char *text, struct err *e);
