/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy of containers-policy.json(5): which images may be pulled. Understood are "default" and
 * "transports.docker.SCOPE" with the requirements insecureAcceptAnything, reject and sigstoreSigned
 * (keyPath, keyPaths, keyData, keyDatas, signedIdentity). Known requirements that we cannot check
 * (signedBy, and sigstoreSigned with fulcio, rekor or pki) refuse the image when they apply;
 * anything unknown makes the whole policy invalid, and an invalid policy refuses every pull.
 */
#pragma once

#include "base/json.h"
#include "image/ref.h"

#define POLICY_MAX ((size_t)1 << 20)

enum policy_kind { POLICY_ACCEPT, POLICY_REJECT, POLICY_SIGSTORE, POLICY_UNSUPPORTED };

struct policy_identity {
	const char *type;		    /* "matchRepoDigestOrExact" when none was given */
	const char *reference, *repository; /* exactReference, exactRepository */
	const char *prefix, *signed_prefix; /* remapIdentity */
};

struct policy_requirement {
	enum policy_kind kind;
	const char *type;		  /* as written */
	struct strs key_paths, key_datas; /* files; base64 of PEM */
	struct policy_identity identity;
};

struct policy;
int policy_parse(const char *p, size_t n, struct policy **ret, struct err *e);
/* The first of these files that exists; none: *ret is NULL, everything is accepted. */
int policy_load(const char *const *files, size_t n, struct policy **ret, struct err *e);
void policy_free(struct policy *p); /* NULL allowed */
DEFINE_AUTO(policy);

/* The requirements (policy_requirement, at least one) of the closest scope: the reference itself,
 * its repository, the folders above, the registry, "*.domain", "" of the transport, the default. */
const struct objs *policy_for(const struct policy *p, const struct image_ref *ref);

/* May a signature that names `signed_ref` stand for `ref`? ERR_DENIED says why not. */
int policy_identity_check(const struct policy_identity *id, const struct image_ref *ref,
			  const char *signed_ref, struct err *e);
