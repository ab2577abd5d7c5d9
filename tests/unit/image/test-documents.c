/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests, indexes, configs: what is accepted and refused; the choice by platform. */
#include "image/platform.h"
#include "spec/image.h"

#include "cmocka-all.h"

#include <string.h>

#define D "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int kind(const char *text, const char *type)
{
	enum manifest_kind k;
	struct err e = ERR_INIT;
	return manifest_kind_of(text, strlen(text), type, &k, &e) < 0 ? -1 : (int)k;
}

static void kinds(void **state)
{
	assert_int_equal(
		kind("{\"schemaVersion\":2,\"layers\":[],\"config\":{}}", OCI_MANIFEST_TYPE),
		MANIFEST_IMAGE);
	assert_int_equal(kind("{\"schemaVersion\":2,\"mediaType\":\"" DOCKER_LIST_TYPE
			      "\",\"manifests\":[]}",
			      NULL),
			 MANIFEST_INDEX);
	assert_int_equal(kind("{\"schemaVersion\":2,\"manifests\":[]}", "text/plain"),
			 MANIFEST_INDEX);
	assert_int_equal(kind("{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}", NULL), -1);
	assert_int_equal(kind("{\"schemaVersion\":1,\"fsLayers\":[]}", NULL), -1);
	assert_int_equal(kind("[]", NULL), -1);
	assert_int_equal(kind("{\"schemaVersion\":2", NULL), -1);
	assert_int_equal(kind("<html>", "text/html"), -1);
}

static int manifest(const char *text)
{
	struct oci_manifest m;
	struct err e = ERR_INIT;
	AUTO(arena) struct arena *a = arena_new();
	return oci_manifest_decode(text, strlen(text), &m, a, &e) < 0 ? -(int)e.kind
								      : (int)m.layers.n;
}

static void manifests(void **state)
{
	assert_int_equal(manifest("{\"schemaVersion\":2,\"config\":{\"digest\":\"" D
				  "\",\"size\":2},\"layers\":["
				  "{\"digest\":\"" D "\",\"size\":1},{\"digest\":\"" D
				  "\",\"size\":0}]}"),
			 2);
	assert_int_equal(manifest("{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:12\","
				  "\"size\":2},\"layers\":[]}"),
			 -ERR_INVALID);
	assert_int_equal(manifest("{\"schemaVersion\":2,\"config\":{\"digest\":\"" D
				  "\",\"size\":-1},\"layers\":[]}"),
			 -ERR_INVALID);
	assert_int_equal(manifest("{\"schemaVersion\":2,\"config\":{\"digest\":\"" D
				  "\",\"size\":99999999},\"layers\":[]}"),
			 -ERR_LIMIT);
	assert_int_equal(
		manifest("{\"schemaVersion\":2,\"config\":{\"digest\":\"" D "\"},\"layers\":[]}"),
		-ERR_INVALID);
	assert_int_equal(manifest("{\"schemaVersion\":2,\"layers\":[]}"), -ERR_INVALID);
	AUTO_BUF struct buf many = BUF_INIT((size_t)8 << 20);
	buf_adds(&many,
		 "{\"schemaVersion\":2,\"config\":{\"digest\":\"" D "\",\"size\":2},\"layers\":[");
	for (int i = 0; i < 10000; i++)
		buf_addf(&many, "%s{\"digest\":\"" D "\",\"size\":1}", i ? "," : "");
	buf_adds(&many, "]}");
	assert_int_equal(manifest(buf_text(&many)), -ERR_LIMIT);
}

static void configs(void **state)
{
	struct image_config c;
	struct err e = ERR_INIT;
	AUTO(arena) struct arena *a = arena_new();
	const char *text = "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Cmd\":["
			   "\"sh\"],\"User\":\"me\"},"
			   "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" D "\"]}}";
	assert_int_equal(image_config_decode(text, strlen(text), &c, a, &e), 0);
	assert_string_equal(c.config.user, "me");
	assert_string_equal(c.config.cmd.v[0], "sh");
	assert_non_null(strstr(c.config_raw, "\"Cmd\""));
	text = "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"md5:1\"]}}";
	assert_int_equal(image_config_decode(text, strlen(text), &c, a, &e), -1);
	text = "{\"rootfs\":{\"type\":\"tree\",\"diff_ids\":[]}}";
	assert_int_equal(image_config_decode(text, strlen(text), &c, a, &e), -1);
}

static void platform_texts(void **state)
{
	static const struct {
		const char *text, *want;
	} t[] = {{"linux/arm64", "linux/arm64"},
		 {"linux/arm64/v8", "linux/arm64/v8"},
		 {"Linux/AMD64", "linux/amd64"},
		 {"x86_64", "linux/amd64"},
		 {"linux/aarch64", "linux/arm64"},
		 {"linux/armhf", "linux/arm/v7"},
		 {"linux/arm/v6", "linux/arm/v6"},
		 {"windows/amd64", "windows/amd64"},
		 {"", NULL},
		 {"a/b/c/d", NULL},
		 {"linux/", NULL},
		 {"lin ux/amd64", NULL}};
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct image_platform p;
		struct err e = ERR_INIT;
		char text[96];
		int rc = image_platform_parse(t[i].text, &p, &e);
		if (!t[i].want) {
			assert_int_equal(rc, -1);
			continue;
		}
		assert_int_equal(rc, 0);
		image_platform_format(&p, text);
		assert_string_equal(text, t[i].want);
	}
}

static const char *choose(const char *platform)
{
	static const char text[] =
		"{\"schemaVersion\":2,\"manifests\":["
		"{\"digest\":\"" D
		"\",\"size\":1,\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"}},"
		"{\"digest\":\"" D "\",\"size\":2,\"platform\":{\"os\":\"linux\",\"architecture\":"
		"\"arm\",\"variant\":\"v5\"}},"
		"{\"digest\":\"" D "\",\"size\":3,\"platform\":{\"os\":\"linux\",\"architecture\":"
		"\"arm\",\"variant\":\"v6\"}},"
		"{\"digest\":\"" D
		"\",\"size\":4,\"platform\":{\"os\":\"windows\",\"architecture\":\"amd64\"}},"
		"{\"digest\":\"" D "\",\"size\":5,\"platform\":{\"os\":\"linux\",\"architecture\":"
		"\"arm64\",\"variant\":\"v8\"}},"
		"{\"digest\":\"" D
		"\",\"size\":6,\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}},"
		"{\"digest\":\"" D "\",\"size\":7}]}";
	static char size[8];
	struct oci_index index;
	struct image_platform p;
	struct err e = ERR_INIT;
	AUTO(arena) struct arena *a = arena_new();
	assert_int_equal(image_platform_parse(platform, &p, &e), 0);
	assert_int_equal(oci_index_decode(text, sizeof(text) - 1, &index, a, &e), 0);
	const struct oci_descriptor *d = image_platform_choose(&p, &index);
	size[0] = d ? (char)('0' + d->size) : '-';
	return size;
}

static void choices(void **state)
{
	assert_string_equal(choose("linux/amd64"), "6");
	assert_string_equal(choose("linux/arm64"), "5");
	assert_string_equal(choose("linux/arm/v7"), "3");
	assert_string_equal(choose("linux/arm/v5"), "2");
	assert_string_equal(choose("linux/s390x"), "-");
	assert_string_equal(choose("windows/amd64"), "4");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),   cmocka_unit_test(manifests),
		cmocka_unit_test(configs), cmocka_unit_test(platform_texts),
		cmocka_unit_test(choices),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
