/* SPDX-License-Identifier: Apache-2.0 */
/* Lists as documents: what is pushed, and what people see. The layout is that of Docker's client.
 */
#include "image/manifest-list.h"

#include "wire/base64.h"

#include <string.h>

#include "base/banned.h"

#define INDENT_PUSHED "   " /* the digest of a list depends on it */
#define INDENT_SHOWN  "\t"

static void add_str(struct jw *w, const char *key, const char *v)
{
	if (v && *v)
		jw_kv_str(w, key, v);
}

/* Docker's order differs from OCI's: this one is in the digests of pushed lists. */
static void add_platform(struct jw *w, const struct oci_platform *p)
{
	jw_key(w, "platform");
	jw_obj(w);
	jw_kv_str(w, "architecture", p->architecture ? p->architecture : "");
	jw_kv_str(w, "os", p->os ? p->os : "");
	add_str(w, "os.version", p->os_version);
	if (p->os_features.n)
		jw_kv_strs(w, "os.features", &p->os_features);
	add_str(w, "variant", p->variant);
	jw_obj_end(w);
}

static void add_descriptor(struct jw *w, const struct oci_descriptor *d, bool size_first)
{
	jw_obj(w);
	add_str(w, "mediaType", d->media_type);
	if (size_first)
		jw_kv_i64(w, "size", d->size);
	jw_kv_str(w, "digest", d->digest_text);
	if (!size_first)
		jw_kv_i64(w, "size", d->size);
	if (d->urls.n)
		jw_kv_strs(w, "urls", &d->urls);
	if (d->annotations.n)
		jw_kv_map(w, "annotations", &d->annotations);
	if (d->platform)
		add_platform(w, d->platform);
	add_str(w, "artifactType", d->artifact_type);
	jw_obj_end(w);
}

static void begin_index(struct jw *w, const char *type)
{
	jw_obj(w);
	jw_kv_i64(w, "schemaVersion", 2);
	jw_kv_str(w, "mediaType", type);
	jw_key(w, "manifests");
	jw_arr(w);
}

int manifest_list_encode(const struct manifest_list *l, struct buf *out, const char **ret_type,
			 struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_MANIFEST_MAX);
	struct jw w = JW_INIT(&text);
	bool oci = true;

	for (size_t i = 0; i < l->members.n; i++) {
		const struct list_member *m = manifest_list_at(l, i);
		const struct oci_platform *p = m->descriptor.platform;

		if (!p || !p->architecture || !*p->architecture || !p->os || !*p->os)
			return err_set(e, ERR_INVALID,
				       "manifest %s must have an OS and Architecture to be pushed "
				       "to a registry",
				       m->ref);
		oci = oci && !strcmp(m->descriptor.media_type, OCI_MANIFEST_TYPE);
	}
	*ret_type = oci ? OCI_INDEX_TYPE : DOCKER_LIST_TYPE;
	begin_index(&w, *ret_type);
	for (size_t i = 0; i < l->members.n; i++)
		add_descriptor(&w, &manifest_list_at(l, i)->descriptor, true);
	jw_arr_end(&w);
	jw_obj_end(&w);
	json_indent(buf_text(&text), text.n, INDENT_PUSHED, out);
	return text.overflow || out->overflow
		       ? err_set(e, ERR_LIMIT, "manifest list %s is too large", l->name)
		       : 0;
}

void manifest_index_print(const struct oci_index *index, const char *media_type, struct buf *out)
{
	AUTO_BUF struct buf text = BUF_INIT(out->max);
	struct jw w = JW_INIT(&text);

	begin_index(&w, media_type);
	for (size_t i = 0; i < index->manifests.n; i++)
		add_descriptor(&w, oci_descriptor_at(&index->manifests, i), true);
	jw_arr_end(&w);
	if (index->annotations.n)
		jw_kv_map(&w, "annotations", &index->annotations);
	jw_obj_end(&w);
	json_indent(buf_text(&text), text.n, INDENT_PUSHED, out);
}

static void add_member(struct jw *w, const struct list_member *m)
{
	AUTO_BUF struct buf raw = BUF_INIT(2 * IMAGE_MANIFEST_MAX);
	bool oci = strcmp(m->descriptor.media_type, DOCKER_MANIFEST_TYPE) != 0;

	base64_encode(m->raw, strlen(m->raw), &raw);
	jw_obj(w);
	jw_kv_str(w, "Ref", m->ref);
	jw_key(w, "Descriptor");
	add_descriptor(w, &m->descriptor, false);
	jw_kv_str(w, "Raw", buf_text(&raw));
	jw_key(w, oci ? "OCIManifest" : "SchemaV2Manifest");
	jw_raw(w, m->raw);
	jw_obj_end(w);
}

void manifest_members_print(const struct manifest_list *l, bool list, struct buf *out)
{
	AUTO_BUF struct buf text = BUF_INIT(out->max);
	struct jw w = JW_INIT(&text);

	if (list)
		jw_arr(&w);
	for (size_t i = 0; i < l->members.n; i++)
		add_member(&w, manifest_list_at(l, i));
	if (list)
		jw_arr_end(&w);
	json_indent(buf_text(&text), text.n, INDENT_SHOWN, out);
}

void manifest_print(const char *raw, struct buf *out)
{
	json_indent(raw, strlen(raw), INDENT_SHOWN, out);
}
