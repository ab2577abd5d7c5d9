/* SPDX-License-Identifier: Apache-2.0 */
/* Field tables of image documents and the checks every decoder does. See image.h. */
#include "spec/image.h"

#include <string.h>

#include "base/banned.h"

#define INDEX_ENTRIES_MAX 4096

static const struct json_field platform_fields[] = {
	JSON_FIELD(JT_STR, struct oci_platform, architecture, "architecture", 0),
	JSON_FIELD(JT_STR, struct oci_platform, os, "os", 0),
	JSON_FIELD(JT_STR, struct oci_platform, os_version, "os.version", JSON_OMITEMPTY),
	JSON_FIELD(JT_STRS, struct oci_platform, os_features, "os.features", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct oci_platform, variant, "variant", JSON_OMITEMPTY),
	{0},
};
static const struct json_schema platform_schema = {"platform", sizeof(struct oci_platform),
						   platform_fields};

static const struct json_field descriptor_fields[] = {
	JSON_FIELD(JT_STR, struct oci_descriptor, media_type, "mediaType", 0),
	JSON_FIELD(JT_STR, struct oci_descriptor, digest_text, "digest", JSON_REQUIRED),
	JSON_FIELD(JT_I64, struct oci_descriptor, size, "size", JSON_REQUIRED),
	JSON_FIELD(JT_STRS, struct oci_descriptor, urls, "urls", JSON_OMITEMPTY),
	JSON_FIELD(JT_MAP, struct oci_descriptor, annotations, "annotations", JSON_OMITEMPTY),
	JSON_SUB(JT_OBJP, struct oci_descriptor, platform, "platform", JSON_OMITEMPTY,
		 &platform_schema),
	JSON_FIELD(JT_STR, struct oci_descriptor, artifact_type, "artifactType", JSON_OMITEMPTY),
	{0},
};
const struct json_schema oci_descriptor_schema = {"descriptor", sizeof(struct oci_descriptor),
						  descriptor_fields};

static const struct json_field index_fields[] = {
	JSON_FIELD(JT_I64, struct oci_index, schema_version, "schemaVersion", JSON_REQUIRED),
	JSON_FIELD(JT_STR, struct oci_index, media_type, "mediaType", JSON_OMITEMPTY),
	JSON_SUB(JT_OBJS, struct oci_index, manifests, "manifests", JSON_REQUIRED,
		 &oci_descriptor_schema),
	JSON_FIELD(JT_MAP, struct oci_index, annotations, "annotations", JSON_OMITEMPTY),
	{0},
};
static const struct json_schema index_schema = {"image index", sizeof(struct oci_index),
						index_fields};

static const struct json_field manifest_fields[] = {
	JSON_FIELD(JT_I64, struct oci_manifest, schema_version, "schemaVersion", JSON_REQUIRED),
	JSON_FIELD(JT_STR, struct oci_manifest, media_type, "mediaType", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct oci_manifest, artifact_type, "artifactType", JSON_OMITEMPTY),
	JSON_SUB(JT_OBJ, struct oci_manifest, config, "config", JSON_REQUIRED,
		 &oci_descriptor_schema),
	JSON_SUB(JT_OBJS, struct oci_manifest, layers, "layers", JSON_REQUIRED,
		 &oci_descriptor_schema),
	JSON_FIELD(JT_MAP, struct oci_manifest, annotations, "annotations", JSON_OMITEMPTY),
	{0},
};
static const struct json_schema manifest_schema = {"image manifest", sizeof(struct oci_manifest),
						   manifest_fields};

static const struct json_field history_fields[] = {
	JSON_FIELD(JT_STR, struct image_history, created, "created", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct image_history, created_by, "created_by", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct image_history, author, "author", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct image_history, comment, "comment", JSON_OMITEMPTY),
	JSON_FIELD(JT_BOOL, struct image_history, empty_layer, "empty_layer", JSON_OMITEMPTY),
	{0},
};
static const struct json_schema history_schema = {"history", sizeof(struct image_history),
						  history_fields};

static const struct json_field rootfs_fields[] = {
	JSON_FIELD(JT_STR, struct image_rootfs, type, "type", 0),
	JSON_FIELD(JT_STRS, struct image_rootfs, diff_ids, "diff_ids", 0),
	{0},
};
static const struct json_schema rootfs_schema = {"rootfs", sizeof(struct image_rootfs),
						 rootfs_fields};

static const struct json_field config_fields[] = {
	JSON_FIELD(JT_STR, struct image_config, created, "created", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct image_config, author, "author", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct image_config, architecture, "architecture", 0),
	JSON_FIELD(JT_STR, struct image_config, os, "os", 0),
	JSON_FIELD(JT_STR, struct image_config, os_version, "os.version", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct image_config, variant, "variant", JSON_OMITEMPTY),
	JSON_SUB(JT_OBJ, struct image_config, config, "config", JSON_OMITEMPTY,
		 &container_config_schema),
	JSON_FIELD(JT_RAW, struct image_config, config_raw, "config", JSON_OMITEMPTY),
	JSON_SUB(JT_OBJ, struct image_config, rootfs, "rootfs", 0, &rootfs_schema),
	JSON_SUB(JT_OBJS, struct image_config, history, "history", JSON_OMITEMPTY, &history_schema),
	JSON_FIELD(JT_STR, struct image_config, comment, "comment", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct image_config, docker_version, "docker_version", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct image_config, parent, "parent", JSON_OMITEMPTY),
	{0},
};
const struct json_schema image_config_schema = {"image config", sizeof(struct image_config),
						config_fields};

static const struct json_field archive_fields[] = {
	JSON_FIELD(JT_STR, struct archive_image, config, "Config", JSON_REQUIRED),
	JSON_FIELD(JT_STRS, struct archive_image, repo_tags, "RepoTags", 0),
	JSON_FIELD(JT_STRS, struct archive_image, layers, "Layers", JSON_NULL_EMPTY),
	{0},
};
static const struct json_schema archive_schema = {"manifest.json", sizeof(struct archive_image),
						  archive_fields};

#define CF(type, member, key, flags) JSON_FIELD(type, struct container_config, member, key, flags)
static const struct json_field shown_fields[] = {
	CF(JT_BOOL, args_escaped, "ArgsEscaped", JSON_OMITEMPTY),
	CF(JT_STRS, cmd, "Cmd", JSON_NULL_EMPTY),
	CF(JT_STRS, entrypoint, "Entrypoint", JSON_NULL_EMPTY),
	CF(JT_STRS, env, "Env", JSON_NULL_EMPTY),
	CF(JT_SET, exposed_ports, "ExposedPorts", JSON_OMITEMPTY),
	JSON_SUB(JT_OBJP, struct container_config, healthcheck, "Healthcheck", JSON_OMITEMPTY,
		 &healthcheck_schema),
	CF(JT_MAP, labels, "Labels", JSON_NULL_EMPTY),
	CF(JT_STRS, on_build, "OnBuild", JSON_NULL_EMPTY),
	CF(JT_STRS, shell, "Shell", JSON_OMITEMPTY),
	CF(JT_STR, stop_signal, "StopSignal", JSON_OMITEMPTY),
	CF(JT_STR, user, "User", 0),
	CF(JT_SET, volumes, "Volumes", JSON_NULL_EMPTY),
	CF(JT_STR, working_dir, "WorkingDir", 0),
	{0},
};
#undef CF
static const struct json_schema shown_schema = {"image config", sizeof(struct container_config),
						shown_fields};

void image_config_write(struct jw *w, const struct container_config *c, bool legacy)
{
	static const char *const falses[] = {"AttachStderr", "AttachStdin", "AttachStdout",
					     "OpenStdin",    "StdinOnce",   "Tty"};
	static const char *const empties[] = {"Domainname", "Hostname", "Image"};
	struct container_config shown = *c;
	struct strs *const lists[] = {&shown.cmd, &shown.entrypoint, &shown.env, &shown.on_build,
				      &shown.volumes};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		lists[i]->set = lists[i]->n > 0;
	shown.labels.set = shown.labels.n > 0;
	jw_obj(w);
	json_encode_fields(w, &shown_schema, &shown);
	for (size_t i = 0; legacy && i < ARRAY_SIZE(falses); i++)
		jw_kv_bool(w, falses[i], false);
	for (size_t i = 0; legacy && i < ARRAY_SIZE(empties); i++)
		jw_kv_str(w, empties[i], "");
	jw_obj_end(w);
}

const struct oci_descriptor *oci_descriptor_at(const struct objs *o, size_t i)
{
	return (const struct oci_descriptor *)o->v + i;
}

bool oci_layer_foreign(const struct oci_descriptor *d)
{
	return d->media_type && d->urls.n &&
	       (strstr(d->media_type, ".foreign.") || strstr(d->media_type, ".nondistributable."));
}

static int check_descriptor(const struct oci_descriptor *d, const char *what, struct err *e)
{
	struct digest digest;
	if (digest_parse(d->digest_text, &digest) < 0)
		return err_set(e, ERR_INVALID, "%s: invalid digest \"%.100s\"", what,
			       d->digest_text);
	if (d->size < 0)
		return err_set(e, ERR_INVALID, "%s: %s: negative size %lld", what, d->digest_text,
			       (long long)d->size);
	return 0;
}

int manifest_kind_of(const char *p, size_t n, const char *content_type, enum manifest_kind *ret,
		     struct err *e)
{
	AUTO(json) struct json *j = NULL;
	if (json_parse(p, n, &j, e) < 0)
		return err_wrap(e, "manifest");
	if (json_kind_of(j) != JSON_OBJECT)
		return err_set(e, ERR_INVALID, "manifest: expected an object");
	if (json_i64(json_get(j, "schemaVersion")) != 2)
		return err_set(e, ERR_INVALID,
			       "manifest: schema version %lld is not supported, only version 2 is",
			       (long long)json_i64(json_get(j, "schemaVersion")));
	const char *type = json_str(json_get(j, "mediaType"));
	bool layers = json_kind_of(json_get(j, "layers")) == JSON_ARRAY;
	bool manifests = json_kind_of(json_get(j, "manifests")) == JSON_ARRAY;
	if (layers && manifests)
		return err_set(e, ERR_INVALID, "manifest: has both \"layers\" and \"manifests\"");
	if (!type || !*type)
		type = content_type;
	if (type && (!strcmp(type, OCI_INDEX_TYPE) || !strcmp(type, DOCKER_LIST_TYPE)) && manifests)
		*ret = MANIFEST_INDEX;
	else if (type &&
		 (!strcmp(type, OCI_MANIFEST_TYPE) || !strcmp(type, DOCKER_MANIFEST_TYPE)) &&
		 layers)
		*ret = MANIFEST_IMAGE;
	else if (type && strstr(type, "manifest.") && !layers && !manifests)
		return err_set(e, ERR_INVALID,
			       "manifest: neither \"layers\" nor \"manifests\" in a document of "
			       "type \"%.100s\"",
			       type);
	else if (layers || manifests)
		*ret = layers ? MANIFEST_IMAGE : MANIFEST_INDEX;
	else
		return err_set(e, ERR_INVALID, "manifest: unsupported document of type \"%.100s\"",
			       type ? type : "");
	return 0;
}

int oci_index_decode(const char *p, size_t n, struct oci_index *ret, struct arena *a, struct err *e)
{
	if (json_decode_text(p, n, &index_schema, ret, a, e) < 0)
		return -1;
	if (ret->manifests.n > INDEX_ENTRIES_MAX)
		return err_set(e, ERR_LIMIT, "image index: %zu entries, at most %d are accepted",
			       ret->manifests.n, INDEX_ENTRIES_MAX);
	for (size_t i = 0; i < ret->manifests.n; i++)
		if (check_descriptor(oci_descriptor_at(&ret->manifests, i), "image index", e) < 0)
			return -1;
	return 0;
}

int oci_manifest_decode(const char *p, size_t n, struct oci_manifest *ret, struct arena *a,
			struct err *e)
{
	if (json_decode_text(p, n, &manifest_schema, ret, a, e) < 0)
		return -1;
	if (ret->layers.n > IMAGE_LAYERS_MAX)
		return err_set(e, ERR_LIMIT, "image manifest: %zu layers, at most %d are supported",
			       ret->layers.n, IMAGE_LAYERS_MAX);
	if (check_descriptor(&ret->config, "image manifest: config", e) < 0)
		return -1;
	if ((uint64_t)ret->config.size > IMAGE_CONFIG_MAX)
		return err_set(e, ERR_LIMIT,
			       "image manifest: config of %lld bytes, at most %zu are accepted",
			       (long long)ret->config.size, IMAGE_CONFIG_MAX);
	for (size_t i = 0; i < ret->layers.n; i++)
		if (check_descriptor(oci_descriptor_at(&ret->layers, i), "image manifest: layer",
				     e) < 0)
			return -1;
	return 0;
}

int image_config_decode(const char *p, size_t n, struct image_config *ret, struct arena *a,
			struct err *e)
{
	if (json_decode_text(p, n, &image_config_schema, ret, a, e) < 0)
		return -1;
	if (ret->rootfs.type && strcmp(ret->rootfs.type, "layers") != 0)
		return err_set(e, ERR_INVALID, "image config: rootfs of unknown type \"%.60s\"",
			       ret->rootfs.type);
	if (ret->rootfs.diff_ids.n > IMAGE_LAYERS_MAX)
		return err_set(e, ERR_LIMIT, "image config: %zu layers, at most %d are supported",
			       ret->rootfs.diff_ids.n, IMAGE_LAYERS_MAX);
	for (size_t i = 0; i < ret->rootfs.diff_ids.n; i++) {
		struct digest d;
		if (digest_parse(ret->rootfs.diff_ids.v[i], &d) < 0)
			return err_set(e, ERR_INVALID, "image config: invalid diff id \"%.100s\"",
				       ret->rootfs.diff_ids.v[i]);
	}
	return 0;
}

int archive_manifest_decode(const char *p, size_t n, struct objs *ret, struct arena *a,
			    struct err *e)
{
	AUTO(json) struct json *j = NULL;
	if (json_parse(p, n, &j, e) < 0)
		return err_wrap(e, "manifest.json");
	if (json_kind_of(j) != JSON_ARRAY)
		return err_set(e, ERR_INVALID, "manifest.json: expected an array");
	size_t len = json_len(j);
	if (len > INDEX_ENTRIES_MAX)
		return err_set(e, ERR_LIMIT, "manifest.json: %zu images, at most %d are accepted",
			       len, INDEX_ENTRIES_MAX);
	struct archive_image *v = arena_alloc(a, MAX(len, (size_t)1) * sizeof(*v));
	for (size_t i = 0; i < len; i++) {
		if (json_decode(json_at(j, i), &archive_schema, &v[i], a, e) < 0)
			return err_wrap(e, "manifest.json: image %zu", i);
		if (v[i].layers.n > IMAGE_LAYERS_MAX)
			return err_set(e, ERR_LIMIT,
				       "manifest.json: %zu layers, at most %d are supported",
				       v[i].layers.n, IMAGE_LAYERS_MAX);
	}
	*ret = (struct objs){.v = v, .n = len, .set = true};
	return 0;
}
