/* SPDX-License-Identifier: Apache-2.0 */
/* See manifest-list.h. One row per list: kind "manifest-list", key the list's canonical name. */
#include "image/manifest-list.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define KIND	 "manifest-list"
#define LIST_MAX ((size_t)64 << 20)

static const struct json_field member_fields[] = {
	JSON_FIELD(JT_STR, struct list_member, ref, "ref", JSON_REQUIRED),
	JSON_SUB(JT_OBJ, struct list_member, descriptor, "descriptor", JSON_REQUIRED,
		 &oci_descriptor_schema),
	JSON_FIELD(JT_STR, struct list_member, raw, "raw", JSON_REQUIRED),
	{0},
};
static const struct json_schema member_schema = {"member", sizeof(struct list_member),
						 member_fields};
static const struct json_field list_fields[] = {
	JSON_SUB(JT_OBJS, struct manifest_list, members, "members", JSON_REQUIRED, &member_schema),
	{0},
};
static const struct json_schema list_schema = {"manifest list", sizeof(struct manifest_list),
					       list_fields};

int manifest_ref_parse(const char *text, struct image_ref *ret,
		       char name[static IMAGE_REF_TEXT_MAX], struct err *e)
{
	if (image_ref_parse(text, ret, e) < 0)
		return -1;
	image_ref_default_tag(ret);
	image_ref_canonical(ret, name);
	return 0;
}

struct list_member *manifest_list_at(const struct manifest_list *l, size_t i)
{
	return (struct list_member *)l->members.v + i;
}

struct list_member *manifest_list_find(const struct manifest_list *l, const char *ref)
{
	for (size_t i = 0; i < l->members.n; i++)
		if (!strcmp(manifest_list_at(l, i)->ref, ref))
			return manifest_list_at(l, i);
	return NULL;
}

int manifest_list_add(struct manifest_list *l, const struct list_member *m, struct arena *a,
		      struct err *e)
{
	struct list_member *old = manifest_list_find(l, m->ref);

	if (old) {
		*old = *m;
		return 0;
	}
	if (l->members.n >= MANIFEST_LIST_MEMBERS_MAX)
		return err_set(e, ERR_LIMIT, "manifest list %s: at most %d manifests are accepted",
			       l->name, MANIFEST_LIST_MEMBERS_MAX);
	struct list_member *grown = arena_alloc(a, (l->members.n + 1) * sizeof(*grown));
	if (l->members.n)
		memcpy(grown, l->members.v, l->members.n * sizeof(*grown));
	grown[l->members.n++] = *m;
	l->members.v = grown;
	return 0;
}

int manifest_list_load(struct image_service *s, const char *text, struct manifest_list *l,
		       struct arena *a, struct err *e)
{
	AUTO_FREE char *json = NULL;
	struct manifest_list kept;

	*l = (struct manifest_list){0};
	if (manifest_ref_parse(text, &l->ref, l->name, e) < 0)
		return -1;
	if (store_doc_get(s->store, KIND, l->name, &json, e) < 0)
		return e->kind == ERR_NOT_FOUND
			       ? err_set(e, ERR_NOT_FOUND, "No such manifest: %s", l->name)
			       : -1;
	if (json_decode_text(json, strlen(json), &list_schema, &kept, a, e) < 0)
		return err_wrap(e, "manifest list %s", l->name);
	l->members = kept.members;
	return 0;
}

int manifest_list_save(struct image_service *s, const struct manifest_list *l, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(LIST_MAX);
	struct jw w = JW_INIT(&text);

	json_encode(&w, &list_schema, l);
	if (text.overflow)
		return err_set(e, ERR_LIMIT, "manifest list %s is larger than %zu bytes", l->name,
			       LIST_MAX);
	return store_doc_put(s->store, KIND, l->name, buf_text(&text), e);
}

void manifest_member_from(const struct remote_doc *doc, const struct oci_platform *platform,
			  struct list_member *ret, struct arena *a)
{
	char name[IMAGE_REF_TEXT_MAX];
	struct oci_platform *p = arena_alloc(a, sizeof(*p));

	*p = platform ? *platform : doc->platform;
	image_ref_canonical(doc->ref, name);
	*ret = (struct list_member){
		.ref = arena_strdup(a, name),
		.descriptor = {.media_type = doc->media_type,
			       .digest_text = arena_strdup(a, doc->digest.text),
			       .size = (int64_t)doc->n,
			       .platform = p->architecture || p->os ? p : NULL},
		.raw = doc->text,
	};
}

/* ---- changes ---- */

/* The pairs Go builds for; the client of Docker accepts no others. */
static bool platform_known(const char *os, const char *arch)
{
	static const struct {
		const char *os, *arches;
	} known[] = {
		{"darwin", " 386 amd64 arm arm64 "},
		{"dragonfly", " amd64 "},
		{"freebsd", " 386 amd64 arm "},
		{"linux", " 386 amd64 arm arm64 loong64 ppc64le mips64 mips64le riscv64 s390x "},
		{"netbsd", " 386 amd64 arm "},
		{"openbsd", " 386 amd64 arm "},
		{"plan9", " 386 amd64 "},
		{"solaris", " amd64 "},
		{"windows", " 386 amd64 arm64 "},
	};
	char word[64];

	if (!os || !arch || !*arch || strchr(arch, ' ') ||
	    (size_t)snprintf(word, sizeof(word), " %s ", arch) >= sizeof(word))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(known[i].os, os))
			return strstr(known[i].arches, word) != NULL;
	return false;
}

static void add_feature(struct strs *v, const char *feature, struct arena *a)
{
	for (size_t i = 0; i < v->n; i++)
		if (!strcmp(v->v[i], feature))
			return;
	strs_push(v, a, feature);
	v->set = true;
}

static void annotate(struct oci_platform *p, const struct image_manifest_annotate *o,
		     struct arena *a)
{
	if (o->os && *o->os)
		p->os = o->os;
	if (o->arch && *o->arch)
		p->architecture = o->arch;
	if (o->variant && *o->variant)
		p->variant = o->variant;
	if (o->os_version && *o->os_version)
		p->os_version = o->os_version;
	for (size_t i = 0; o->os_features && i < o->os_features->n; i++)
		add_feature(&p->os_features, o->os_features->v[i], a);
}

int image_manifest_annotate(struct image_service *s, const struct image_manifest_annotate *o,
			    struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	struct manifest_list l;
	struct image_ref ref;
	char name[IMAGE_REF_TEXT_MAX];
	struct list_member *m = NULL;
	struct oci_platform *p = arena_alloc(a, sizeof(*p));

	if (manifest_ref_parse(o->member, &ref, name, e) < 0)
		return err_wrap(e, "annotate: error parsing name for manifest %s", o->member);
	if (manifest_list_load(s, o->list, &l, a, e) == 0)
		m = manifest_list_find(&l, name);
	else if (e->kind != ERR_NOT_FOUND)
		return err_wrap(e, "annotate: manifest list %s", o->list);
	if (!m)
		return err_set(e, ERR_NOT_FOUND, "manifest for image %s does not exist in %s",
			       o->member, o->list);
	if (m->descriptor.platform)
		*p = *m->descriptor.platform;
	annotate(p, o, a);
	m->descriptor.platform = p;
	if (!platform_known(p->os, p->architecture))
		return err_set(e, ERR_INVALID,
			       "manifest entry for image has unsupported os/arch combination: "
			       "%s/%s",
			       p->os ? p->os : "", p->architecture ? p->architecture : "");
	return manifest_list_save(s, &l, e);
}

int image_manifest_rm(struct image_service *s, const char *list, struct err *e)
{
	struct image_ref ref;
	char name[IMAGE_REF_TEXT_MAX];
	AUTO_FREE char *json = NULL;

	if (manifest_ref_parse(list, &ref, name, e) < 0)
		return -1;
	if (store_doc_get(s->store, KIND, name, &json, e) < 0)
		return e->kind == ERR_NOT_FOUND
			       ? err_set(e, ERR_NOT_FOUND, "No such manifest: %s", name)
			       : -1;
	return store_doc_del(s->store, KIND, name, e);
}
