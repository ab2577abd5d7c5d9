/* SPDX-License-Identifier: Apache-2.0 */
/* The signature policy: what is valid, which scope counts, which identity is accepted; payloads. */
#include "image/signature.h"

#include "base/mem.h"
#include "cmocka-all.h"

#include <stdio.h>
#include <string.h>

#define D64    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ACCEPT "[{\"type\":\"insecureAcceptAnything\"}]"
#define REJECT "[{\"type\":\"reject\"}]"

static struct image_ref ref_of(const char *text)
{
	struct image_ref r;
	struct err e = ERR_INIT;

	assert_int_equal(image_ref_parse(text, &r, &e), 0);
	image_ref_default_tag(&r);
	return r;
}

static void validity(void **state)
{
	static const struct {
		const char *text, *why; /* NULL: valid */
	} t[] = {
		{"{\"default\":" ACCEPT "}", NULL},
		{"{\"default\":" REJECT ",\"transports\":{\"docker\":{},\"oci\":{\"\":" ACCEPT
		 "}}}",
		 NULL},
		{"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/k\"}]}", NULL},
		{"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/"
		 "k\",\"keyData\":\"AA\"}]}",
		 "exactly one of"},
		{"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPaths\":[]}]}", "empty list"},
		{"{\"default\":[{\"type\":\"sigstoreSigned\",\"keypath\":\"/k\"}]}",
		 "unknown member keypath"},
		{"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/"
		 "k\",\"signedIdentity\":{"
		 "\"type\":\"matchAll\"}}]}",
		 "unknown signedIdentity type"},
		{"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/"
		 "k\",\"signedIdentity\":{"
		 "\"type\":\"exactReference\"}}]}",
		 "wrong members"},
		{"{\"default\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"/"
		 "k\",\"signedIdentity\":{"
		 "\"type\":\"matchExact\",\"extra\":1}}]}",
		 "unknown member signedIdentity.extra"},
		{"{\"default\":" ACCEPT ",\"transports\":{\"docker\":{\"x\":[]}}}",
		 "scope \"x\": expected a list"},
		{"{\"default\":" ACCEPT ",\"transports\":{\"docker\":[]}}", "expected an object"},
		{"{\"default\":{}}", "expected a list"},
		{"[]", "expected an object"},
		{"{}", "is missing"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		AUTO(policy) struct policy *p = NULL;
		struct err e = ERR_INIT;
		int rc = policy_parse(t[i].text, strlen(t[i].text), &p, &e);

		if (rc != (t[i].why ? -1 : 0) || (t[i].why && !strstr(e.text, t[i].why)))
			fail_msg("%s: %d %s", t[i].text, rc, e.text);
	}
}

/* Each scope has a requirement list of its own, told apart by its length. */
static void scopes(void **state)
{
	static const char text[] =
		"{\"default\":" REJECT ",\"transports\":{\"docker\":{"
		"\"docker.io\":[{\"type\":\"reject\"},{\"type\":\"reject\"}],"
		"\"docker.io/library/"
		"alpine\":[{\"type\":\"reject\"},{\"type\":\"reject\"},{\"type\":"
		"\"reject\"}],"
		"\"docker.io/library/"
		"alpine:3\":[{\"type\":\"reject\"},{\"type\":\"reject\"},{\"type\":"
		"\"reject\"},{\"type\":\"reject\"}],"
		"\"*.example.com\":[{\"type\":\"reject\"},{\"type\":\"reject\"},{\"type\":"
		"\"reject\"},{"
		"\"type\":\"reject\"},{\"type\":\"reject\"}]}}}";
	static const struct {
		const char *ref;
		size_t n;
	} t[] = {
		{"alpine:3", 4},
		{"alpine", 3},
		{"alpine@sha256:" D64, 3},
		{"busybox", 2},
		{"me/alpine", 2},
		{"a.example.com/x", 5},
		{"b.a.example.com:5000/x", 1},
		{"b.a.example.com/x/y", 5},
		{"example.com/x", 1},
		{"docker.iox/x", 1},
	};
	AUTO(policy) struct policy *p = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(policy_parse(text, strlen(text), &p, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct image_ref r = ref_of(t[i].ref);
		size_t n = policy_for(p, &r)->n;

		if (n != t[i].n)
			fail_msg("%s: %zu instead of %zu", t[i].ref, n, t[i].n);
	}
}

static void identities(void **state)
{
	static const struct {
		struct policy_identity id;
		const char *ref, *signed_ref;
		bool ok;
	} t[] = {
		{{"matchExact"}, "alpine:3", "docker.io/library/alpine:3", true},
		{{"matchExact"}, "alpine:3", "alpine:4", false},
		{{"matchExact"}, "alpine:3", "alpine", false},
		{{"matchExact"}, "alpine@sha256:" D64, "alpine:3", false},
		{{"matchRepoDigestOrExact"}, "alpine:3", "alpine:3", true},
		{{"matchRepoDigestOrExact"}, "alpine:3", "alpine", false},
		{{"matchRepoDigestOrExact"}, "alpine@sha256:" D64, "alpine:9", true},
		{{"matchRepoDigestOrExact"}, "alpine@sha256:" D64, "busybox:9", false},
		{{"matchRepository"}, "alpine:3", "alpine", true},
		{{"matchRepository"}, "alpine:3", "alpine2", false},
		{{"exactReference", .reference = "x.example/a:1"},
		 "alpine:3",
		 "x.example/a:1",
		 true},
		{{"exactReference", .reference = "x.example/a:1"}, "alpine:3", "alpine:3", false},
		{{"exactRepository", .repository = "x.example/a"},
		 "alpine:3",
		 "x.example/a:7",
		 true},
		{{"remapIdentity", .prefix = "m.example/hub", .signed_prefix = "docker.io"},
		 "m.example/hub/library/alpine:3",
		 "alpine:3",
		 true},
		{{"remapIdentity", .prefix = "m.example/hub", .signed_prefix = "docker.io"},
		 "m.example/hubble/alpine:3",
		 "docker.io/alpine:3",
		 false},
		{{"matchRepository"}, "alpine:3", "Not A Reference", false},
		{{"matchRepository"}, "alpine:3", "", false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct image_ref r = ref_of(t[i].ref);
		struct err e = ERR_INIT;
		bool ok = policy_identity_check(&t[i].id, &r, t[i].signed_ref, &e) == 0;

		if (ok != t[i].ok)
			fail_msg("%s: %s signed as %s: %s", t[i].id.type, t[i].ref, t[i].signed_ref,
				 e.text);
	}
}

#define PAYLOAD(type, image, identity)                                                             \
	"{\"critical\":{\"type\":\"" type "\",\"image\":{" image "},\"identity\":{" identity       \
	"}},\"optional\":{\"a\":[1]}}"
#define IMAGE	 "\"docker-manifest-digest\":\"sha256:" D64 "\""
#define IDENTITY "\"docker-reference\":\"a:1\""

static void payloads(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} t[] = {
		{PAYLOAD(SIGNATURE_TYPE, IMAGE, IDENTITY), true},
		{PAYLOAD("atomic container signature", IMAGE, IDENTITY), false},
		{PAYLOAD(SIGNATURE_TYPE, IMAGE ",\"more\":1", IDENTITY), false},
		{PAYLOAD(SIGNATURE_TYPE, IMAGE, ""), false},
		{PAYLOAD(SIGNATURE_TYPE, "\"docker-manifest-digest\":\"sha256:1\"", IDENTITY),
		 false},
		{PAYLOAD(SIGNATURE_TYPE, "\"Docker-Manifest-Digest\":\"sha256:" D64 "\"", IDENTITY),
		 false},
		{"{\"critical\":null}", false},
		{"", false},
		{"[]", false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		AUTO(arena) struct arena *a = arena_new();
		struct signature_payload p;
		struct err e = ERR_INIT;

		if ((signature_payload_decode(t[i].text, strlen(t[i].text), &p, a, &e) == 0) !=
		    t[i].ok)
			fail_msg("%s: %s", t[i].text, e.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(validity),
		cmocka_unit_test(scopes),
		cmocka_unit_test(identities),
		cmocka_unit_test(payloads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
