/* SPDX-License-Identifier: Apache-2.0 */
/* See signature.h. Nothing of a payload is looked at before its signature was found good. */
#include "image/signature.h"

#include "base/mem.h"
#include "sys/fs.h"
#include "wire/base64.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/banned.h"

struct signature_keys {
	size_t n;
	EVP_PKEY *v[];
};

void signature_keys_free(struct signature_keys *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->n; i++)
		EVP_PKEY_free(k->v[i]);
	free(k);
}

/* OpenSSL would ask on the terminal for the password of an encrypted file. */
static int no_password(char *buf, int size, int writing, void *ud)
{
	return -1;
}

static bool key_usable(const EVP_PKEY *key)
{
	char group[32];
	size_t n;

	if (EVP_PKEY_is_a(key, "ED25519"))
		return true;
	return EVP_PKEY_is_a(key, "EC") &&
	       EVP_PKEY_get_group_name(key, group, sizeof(group), &n) == 1 &&
	       (!strcmp(group, "prime256v1") || !strcmp(group, "secp384r1") ||
		!strcmp(group, "secp521r1"));
}

static int key_parse(const struct buf *pem, const char *what, EVP_PKEY **ret, struct err *e)
{
	BIO *bio = BIO_new_mem_buf(buf_text(pem), (int)pem->n);
	EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	if (!key)
		return err_set(e, ERR_INVALID, "%s is not a public key in PEM form", what);
	if (!key_usable(key)) {
		EVP_PKEY_free(key);
		return err_set(
			e, ERR_UNSUPPORTED,
			"%s is neither an ECDSA key (P-256, P-384, P-521) nor an Ed25519 one",
			what);
	}
	*ret = key;
	return 0;
}

static int add_file(struct signature_keys *k, const char *path, struct err *e)
{
	AUTO_BUF struct buf pem = BUF_INIT(SIGNATURE_KEY_MAX);
	AUTO_FREE char *what = xasprintf("key %.300s", path);
	int rc = fs_read_path(path, &pem);

	if (rc < 0)
		return err_sys(e, rc, "key %.300s", path);
	if (key_parse(&pem, what, &k->v[k->n], e) < 0)
		return -1;
	k->n++;
	return 0;
}

static int add_data(struct signature_keys *k, const char *data, size_t i, struct err *e)
{
	AUTO_BUF struct buf pem = BUF_INIT(SIGNATURE_KEY_MAX);
	AUTO_FREE char *what = xasprintf("keyData %zu", i);

	if (!base64_decode_any(data, strlen(data), &pem))
		return err_set(e, ERR_INVALID, "%s is not base64", what);
	if (key_parse(&pem, what, &k->v[k->n], e) < 0)
		return -1;
	k->n++;
	return 0;
}

int signature_keys_load(const struct policy_requirement *r, struct signature_keys **ret,
			struct err *e)
{
	AUTO(signature_keys)
	struct signature_keys *k = xcalloc(1, sizeof(*k) + (r->key_paths.n + r->key_datas.n) *
								   sizeof(k->v[0]));

	for (size_t i = 0; i < r->key_paths.n; i++)
		if (add_file(k, r->key_paths.v[i], e) < 0)
			return -1;
	for (size_t i = 0; i < r->key_datas.n; i++)
		if (add_data(k, r->key_datas.v[i], i, e) < 0)
			return -1;
	*ret = TAKE_PTR(k);
	return 0;
}

static bool verify_one(EVP_PKEY *key, const void *payload, size_t n, const struct buf *sig)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const EVP_MD *md = EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
	bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
		  EVP_DigestVerify(ctx, (const unsigned char *)buf_text(sig), sig->n, payload, n) ==
			  1;

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

int signature_verify(const struct signature_keys *k, const void *payload, size_t n,
		     const char *text, struct err *e)
{
	AUTO_BUF struct buf sig = BUF_INIT(SIGNATURE_TEXT_MAX);

	if (strlen(text) > SIGNATURE_TEXT_MAX)
		return err_set(e, ERR_DENIED, "the signature is longer than %d bytes",
			       SIGNATURE_TEXT_MAX);
	if (base64_decode(text, &sig) < 0 || !sig.n)
		return err_set(e, ERR_DENIED, "the signature is not base64");
	for (size_t i = 0; i < k->n; i++)
		if (verify_one(k->v[i], payload, n, &sig))
			return 0;
	return err_set(e, ERR_DENIED,
		       "cryptographic signature verification failed: invalid signature");
}

/* ---- payload ---- */

struct payload_image {
	const char *digest;
};
struct payload_identity {
	const char *reference;
};
struct payload_critical {
	const char *type;
	struct payload_image image;
	struct payload_identity identity;
};
struct payload {
	struct payload_critical critical;
	const char *optional;
};
static const struct json_field image_fields[] = {
	JSON_FIELD(JT_STR, struct payload_image, digest, "docker-manifest-digest", JSON_REQUIRED),
	{0},
};
static const struct json_schema image_schema = {"image", sizeof(struct payload_image),
						image_fields};
static const struct json_field identity_fields[] = {
	JSON_FIELD(JT_STR, struct payload_identity, reference, "docker-reference", JSON_REQUIRED),
	{0},
};
static const struct json_schema identity_schema = {"identity", sizeof(struct payload_identity),
						   identity_fields};
static const struct json_field critical_fields[] = {
	JSON_FIELD(JT_STR, struct payload_critical, type, "type", JSON_REQUIRED),
	JSON_SUB(JT_OBJ, struct payload_critical, image, "image", JSON_REQUIRED, &image_schema),
	JSON_SUB(JT_OBJ, struct payload_critical, identity, "identity", JSON_REQUIRED,
		 &identity_schema),
	{0},
};
static const struct json_schema critical_schema = {"critical", sizeof(struct payload_critical),
						   critical_fields};
static const struct json_field payload_fields[] = {
	JSON_SUB(JT_OBJ, struct payload, critical, "critical", JSON_REQUIRED, &critical_schema),
	JSON_FIELD(JT_RAW, struct payload, optional, "optional", 0),
	{0},
};
static const struct json_schema payload_schema = {"signature payload", sizeof(struct payload),
						  payload_fields};

int signature_payload_decode(const char *p, size_t n, struct signature_payload *ret,
			     struct arena *a, struct err *e)
{
	AUTO(json) struct json *j = NULL;
	AUTO_BUF struct buf unknown = BUF_INIT(512);
	struct payload d;
	struct digest digest;

	if (n > SIGNATURE_PAYLOAD_MAX)
		return err_set(e, ERR_LIMIT, "signature payload of %zu bytes, at most %zu", n,
			       SIGNATURE_PAYLOAD_MAX);
	if (json_parse(p, n, &j, e) < 0 || json_decode(j, &payload_schema, &d, a, e) < 0)
		return err_wrap(e, "signature payload");
	json_unknown_keys(j, &payload_schema, &unknown);
	if (unknown.n)
		return err_set(e, ERR_INVALID, "signature payload: unknown member %s",
			       buf_text(&unknown));
	if (strcmp(d.critical.type, SIGNATURE_TYPE) != 0)
		return err_set(e, ERR_INVALID, "signature payload of unknown type \"%.100s\"",
			       d.critical.type);
	if (digest_parse(d.critical.image.digest, &digest) < 0)
		return err_set(e, ERR_INVALID, "signature payload: invalid digest \"%.150s\"",
			       d.critical.image.digest);
	ret->digest = d.critical.image.digest;
	ret->reference = d.critical.identity.reference;
	return 0;
}

int signature_accepts(const struct policy_requirement *r, const struct signature_keys *k,
		      const struct image_ref *ref, const struct digest *manifest,
		      const char *payload, size_t n, const char *text, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct signature_payload p;

	if (signature_verify(k, payload, n, text, e) < 0 ||
	    signature_payload_decode(payload, n, &p, a, e) < 0)
		return -1;
	if (strcmp(p.digest, manifest->text) != 0)
		return err_set(e, ERR_DENIED, "Signature for digest %s is not for %s", p.digest,
			       manifest->text);
	return policy_identity_check(&r->identity, ref, p.reference, e);
}
