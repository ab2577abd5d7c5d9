/* SPDX-License-Identifier: Apache-2.0 */
/* See policy.h. */
#include "image/policy.h"

#include "base/mem.h"
#include "sys/fs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define REQUIREMENTS_MAX 64
#define IDENTITY_DEFAULT "matchRepoDigestOrExact"

struct scope {
	const char *name;
	struct objs requirements;
};

struct policy {
	struct arena *arena;
	struct objs fallback; /* "default" */
	struct objs scopes;   /* of transport "docker"; struct scope */
};

void policy_free(struct policy *p)
{
	if (!p)
		return;
	arena_free(p->arena);
	free(p);
}

/* ---- requirements ---- */

struct identity_text {
	const char *type, *reference, *repository, *prefix, *signed_prefix;
};
static const struct json_field identity_fields[] = {
	JSON_FIELD(JT_STR, struct identity_text, type, "type", JSON_REQUIRED),
	JSON_FIELD(JT_STR, struct identity_text, reference, "dockerReference", 0),
	JSON_FIELD(JT_STR, struct identity_text, repository, "dockerRepository", 0),
	JSON_FIELD(JT_STR, struct identity_text, prefix, "prefix", 0),
	JSON_FIELD(JT_STR, struct identity_text, signed_prefix, "signedPrefix", 0),
	{0},
};
static const struct json_schema identity_schema = {"signedIdentity", sizeof(struct identity_text),
						   identity_fields};

struct requirement_text {
	const char *type, *key_path, *key_data;
	struct strs key_paths, key_datas;
	const char *key_type, *fulcio, *pki, *rekor_path, *rekor_paths, *rekor_data, *rekor_datas;
	const struct identity_text *identity;
};
static const struct json_field requirement_fields[] = {
	JSON_FIELD(JT_STR, struct requirement_text, type, "type", JSON_REQUIRED),
	JSON_FIELD(JT_STR, struct requirement_text, key_path, "keyPath", 0),
	JSON_FIELD(JT_STR, struct requirement_text, key_data, "keyData", 0),
	JSON_FIELD(JT_STRS, struct requirement_text, key_paths, "keyPaths", 0),
	JSON_FIELD(JT_STRS, struct requirement_text, key_datas, "keyDatas", 0),
	JSON_FIELD(JT_STR, struct requirement_text, key_type, "keyType", 0),
	JSON_FIELD(JT_RAW, struct requirement_text, fulcio, "fulcio", 0),
	JSON_FIELD(JT_RAW, struct requirement_text, pki, "pki", 0),
	JSON_FIELD(JT_RAW, struct requirement_text, rekor_path, "rekorPublicKeyPath", 0),
	JSON_FIELD(JT_RAW, struct requirement_text, rekor_paths, "rekorPublicKeyPaths", 0),
	JSON_FIELD(JT_RAW, struct requirement_text, rekor_data, "rekorPublicKeyData", 0),
	JSON_FIELD(JT_RAW, struct requirement_text, rekor_datas, "rekorPublicKeyDatas", 0),
	JSON_SUB(JT_OBJP, struct requirement_text, identity, "signedIdentity", 0, &identity_schema),
	{0},
};
static const struct json_schema requirement_schema = {
	"requirement", sizeof(struct requirement_text), requirement_fields};

/* Which members an identity must have, by its type. */
static int take_identity(const struct identity_text *t, struct policy_identity *ret, struct err *e)
{
	static const struct {
		const char *type;
		bool reference, repository, prefix;
	} known[] = {
		{"matchExact", false, false, false},
		{"matchRepoDigestOrExact", false, false, false},
		{"matchRepository", false, false, false},
		{"exactReference", true, false, false},
		{"exactRepository", false, true, false},
		{"remapIdentity", false, false, true},
	};
	struct image_ref ref;

	ret->type = IDENTITY_DEFAULT;
	if (!t)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(known[i].type, t->type) != 0)
			continue;
		if ((t->reference != NULL) != known[i].reference ||
		    (t->repository != NULL) != known[i].repository ||
		    (t->prefix != NULL) != known[i].prefix ||
		    (t->signed_prefix != NULL) != known[i].prefix)
			return err_set(e, ERR_INVALID, "signedIdentity %s: wrong members", t->type);
		if (t->reference && image_ref_parse(t->reference, &ref, e) < 0)
			return err_wrap(e, "dockerReference");
		if (t->repository && image_ref_parse(t->repository, &ref, e) < 0)
			return err_wrap(e, "dockerRepository");
		*ret = (struct policy_identity){.type = t->type,
						.reference = t->reference,
						.repository = t->repository,
						.prefix = t->prefix,
						.signed_prefix = t->signed_prefix};
		return 0;
	}
	return err_set(e, ERR_INVALID, "unknown signedIdentity type \"%.60s\"", t->type);
}

static bool has_keys(const struct requirement_text *t)
{
	return t->key_path || t->key_data || t->key_paths.set || t->key_datas.set;
}

static int take_sigstore(const struct requirement_text *t, struct policy_requirement *r,
			 struct arena *a, struct err *e)
{
	int sources = (t->key_path != NULL) + (t->key_data != NULL) + t->key_paths.set +
		      t->key_datas.set + (t->fulcio != NULL) + (t->pki != NULL);

	if (sources != 1)
		return err_set(e, ERR_INVALID,
			       "sigstoreSigned needs exactly one of keyPath, keyPaths, keyData, "
			       "keyDatas, fulcio and pki");
	if (t->key_type)
		return err_set(e, ERR_INVALID, "sigstoreSigned has no keyType");
	r->kind = has_keys(t) && !t->rekor_path && !t->rekor_paths && !t->rekor_data &&
				  !t->rekor_datas
			  ? POLICY_SIGSTORE
			  : POLICY_UNSUPPORTED;
	r->key_paths = t->key_paths;
	r->key_datas = t->key_datas;
	if (t->key_path)
		strs_push(&r->key_paths, a, t->key_path);
	if (t->key_data)
		strs_push(&r->key_datas, a, t->key_data);
	if (has_keys(t) && !r->key_paths.n && !r->key_datas.n)
		return err_set(e, ERR_INVALID, "sigstoreSigned with an empty list of keys");
	return take_identity(t->identity, &r->identity, e);
}

static int take_requirement(const struct json *j, struct policy_requirement *r, struct arena *a,
			    struct err *e)
{
	struct requirement_text t;
	AUTO_BUF struct buf unknown = BUF_INIT(512);

	if (json_decode(j, &requirement_schema, &t, a, e) < 0)
		return -1;
	json_unknown_keys(j, &requirement_schema, &unknown);
	if (unknown.n)
		return err_set(e, ERR_INVALID, "unknown member %s", buf_text(&unknown));
	r->type = t.type;
	if (!strcmp(t.type, "sigstoreSigned"))
		return take_sigstore(&t, r, a, e);
	if (!strcmp(t.type, "signedBy")) {
		r->kind = POLICY_UNSUPPORTED;
		return 0;
	}
	if (has_keys(&t) || t.identity || t.fulcio || t.pki || t.key_type)
		return err_set(e, ERR_INVALID, "requirement %.60s takes no other members", t.type);
	if (!strcmp(t.type, "insecureAcceptAnything"))
		r->kind = POLICY_ACCEPT;
	else if (!strcmp(t.type, "reject"))
		r->kind = POLICY_REJECT;
	else
		return err_set(e, ERR_INVALID, "unknown type \"%.60s\"", t.type);
	return 0;
}

static int take_requirements(const struct json *j, struct objs *ret, struct arena *a, struct err *e)
{
	size_t n = json_len(j);

	if (json_kind_of(j) != JSON_ARRAY || !n)
		return err_set(e, ERR_INVALID, "expected a list of at least one requirement");
	if (n > REQUIREMENTS_MAX)
		return err_set(e, ERR_LIMIT, "at most %d requirements are accepted",
			       REQUIREMENTS_MAX);
	struct policy_requirement *v = arena_alloc(a, n * sizeof(*v));
	for (size_t i = 0; i < n; i++)
		if (take_requirement(json_at(j, i), &v[i], a, e) < 0)
			return err_wrap(e, "requirement %zu", i);
	*ret = (struct objs){.v = v, .n = n, .set = true};
	return 0;
}

/* ---- scopes ---- */

struct reader {
	struct policy *p;
	struct err *e;
	int rc;
	bool docker;
	size_t n; /* scopes */
	struct scope *v;
};

static void take_scope(const char *key, struct json *value, void *ud)
{
	struct reader *r = ud;
	struct scope s = {.name = arena_strdup(r->p->arena, key)};

	if (r->rc < 0)
		return;
	if (take_requirements(value, &s.requirements, r->p->arena, r->e) < 0) {
		r->rc = err_wrap(r->e, "scope \"%.200s\"", key);
		return;
	}
	if (r->docker)
		r->v[r->n++] = s;
}

static void take_transport(const char *key, struct json *value, void *ud)
{
	struct reader *r = ud;

	if (r->rc < 0)
		return;
	if (json_kind_of(value) != JSON_OBJECT) {
		r->rc = err_set(r->e, ERR_INVALID, "transport \"%.60s\": expected an object", key);
		return;
	}
	r->docker = !strcmp(key, "docker");
	if (r->docker)
		r->v = arena_alloc(r->p->arena, (json_len(value) + 1) * sizeof(*r->v));
	json_each(value, take_scope, r);
	if (r->rc < 0)
		err_wrap(r->e, "transport \"%.60s\"", key);
}

static void take_top(const char *key, struct json *value, void *ud)
{
	struct reader *r = ud;

	if (r->rc < 0)
		return;
	if (!strcmp(key, "default")) {
		r->rc = take_requirements(value, &r->p->fallback, r->p->arena, r->e);
		if (r->rc < 0)
			err_wrap(r->e, "default");
	} else if (strcmp(key, "transports") != 0) {
		r->rc = err_set(r->e, ERR_INVALID, "unknown member \"%.60s\"", key);
	} else if (json_kind_of(value) != JSON_OBJECT) {
		r->rc = err_set(r->e, ERR_INVALID, "transports: expected an object");
	} else {
		json_each(value, take_transport, r);
	}
}

int policy_parse(const char *p, size_t n, struct policy **ret, struct err *e)
{
	AUTO(json) struct json *j = NULL;
	AUTO(policy) struct policy *out = NEW(struct policy);
	struct reader r = {.p = out, .e = e};

	out->arena = arena_new();
	if (json_parse(p, n, &j, e) < 0)
		return -1;
	if (json_kind_of(j) != JSON_OBJECT)
		return err_set(e, ERR_INVALID, "expected an object");
	json_each(j, take_top, &r);
	if (r.rc < 0)
		return -1;
	if (!out->fallback.set)
		return err_set(e, ERR_INVALID, "\"default\" is missing");
	out->scopes = (struct objs){.v = r.v, .n = r.n, .set = true};
	*ret = TAKE_PTR(out);
	return 0;
}

int policy_load(const char *const *files, size_t n, struct policy **ret, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		AUTO_BUF struct buf text = BUF_INIT(POLICY_MAX);
		int rc = files[i] ? fs_read_path(files[i], &text) : -ENOENT;

		if (rc == -ENOENT || rc == -ENOTDIR)
			continue;
		if (rc < 0)
			return err_sys(e, rc, "policy %s", files[i]);
		if (policy_parse(buf_text(&text), text.n, ret, e) < 0)
			return err_wrap(e, "policy %s", files[i]);
		return 0;
	}
	*ret = NULL;
	return 0;
}

static const struct objs *find_scope(const struct policy *p, const char *name, size_t n)
{
	const struct scope *v = p->scopes.v;

	for (size_t i = 0; i < p->scopes.n; i++)
		if (strlen(v[i].name) == n && !memcmp(v[i].name, name, n))
			return &v[i].requirements;
	return NULL;
}

const struct objs *policy_for(const struct policy *p, const struct image_ref *ref)
{
	char text[IMAGE_REF_TEXT_MAX], wild[260];
	const struct objs *found;

	image_ref_canonical(ref, text);
	found = find_scope(p, text, strlen(text));
	image_ref_name(ref, text);
	for (size_t n = strlen(text); !found && n;) {
		found = find_scope(p, text, n);
		while (n && text[n - 1] != '/')
			n--;
		n -= n > 0;
	}
	for (const char *dot = strchr(ref->domain, '.'); !found && dot;
	     dot = strchr(dot + 1, '.')) {
		snprintf(wild, sizeof(wild), "*%s", dot);
		found = find_scope(p, wild, strlen(wild));
	}
	if (!found)
		found = find_scope(p, "", 0);
	return found ? found : &p->fallback;
}

/* ---- identities ---- */

static bool same_name(const struct image_ref *a, const struct image_ref *b)
{
	return !strcmp(a->domain, b->domain) && !strcmp(a->path, b->path);
}

static bool same_exactly(const struct image_ref *a, const struct image_ref *b)
{
	return same_name(a, b) && !strcmp(a->tag, b->tag) &&
	       !strcmp(a->digest.text, b->digest.text) && (a->tag[0] || digest_is_set(&a->digest));
}

/* The reference under the other prefix, where the prefix is the whole of it or ends at a '/'. */
static int remap(const struct policy_identity *id, const struct image_ref *ref,
		 struct image_ref *ret, struct err *e)
{
	char name[IMAGE_REF_TEXT_MAX];
	size_t n = strlen(id->prefix);

	image_ref_name(ref, name);
	*ret = *ref;
	if (strncmp(name, id->prefix, n) != 0 || (name[n] && name[n] != '/'))
		return 0;
	AUTO_FREE char *text = xasprintf("%s%s", id->signed_prefix, name + n);
	struct image_ref other;
	if (image_ref_parse(text, &other, e) < 0)
		return err_wrap(e, "signedPrefix");
	memcpy(ret->domain, other.domain, sizeof(ret->domain));
	memcpy(ret->path, other.path, sizeof(ret->path));
	return 0;
}

int policy_identity_check(const struct policy_identity *id, const struct image_ref *ref,
			  const char *signed_ref, struct err *e)
{
	struct image_ref got, want = *ref;
	struct err why = ERR_INIT;
	bool ok;

	if (image_ref_parse(signed_ref, &got, &why) < 0)
		return err_set(e, ERR_DENIED, "Signature for identity \"%.200s\" is not accepted",
			       signed_ref);
	if (!strcmp(id->type, "exactReference") || !strcmp(id->type, "exactRepository")) {
		if (image_ref_parse(id->reference ? id->reference : id->repository, &want, e) < 0)
			return -1;
	} else if (!strcmp(id->type, "remapIdentity") && remap(id, ref, &want, e) < 0) {
		return -1;
	}
	if (!strcmp(id->type, "matchRepository") || !strcmp(id->type, "exactRepository"))
		ok = same_name(&want, &got);
	else if (!strcmp(id->type, "matchExact") || !strcmp(id->type, "exactReference"))
		ok = same_exactly(&want, &got);
	else /* matchRepoDigestOrExact, also behind remapIdentity */
		ok = digest_is_set(&want.digest) ? same_name(&want, &got)
						 : same_exactly(&want, &got);
	return ok ? 0
		  : err_set(e, ERR_DENIED, "Signature for identity \"%.200s\" is not accepted",
			    signed_ref);
}
