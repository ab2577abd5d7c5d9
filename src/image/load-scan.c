/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an archive holds: manifest.json (docker-archive), index.json (OCI layout), or both, as
 * Docker and save.c write it. An entry that is an index is one image for several platforms: each
 * that is there becomes an image of the store; what else the index names stays with them.
 */
#include "image/load-priv.h"
#include "image/members.h"

#include "base/map.h"
#include "base/mem.h"
#include "sys/fs.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define LINKS_MAX  16
#define IMAGES_MAX 1000
#define EXTRAS_MAX 20000

struct member *load_member(struct load *l, const char *name)
{
	for (int i = 0; i < LINKS_MAX; i++) {
		struct member *m = map_get(l->members, name);
		if (!m || !m->link)
			return m;
		name = m->link;
	}
	return NULL;
}

/* A small member as text. */
int load_member_read(struct load *l, const char *name, struct buf *out, struct err *e)
{
	struct member *m = load_member(l, name);
	if (!m)
		return err_set(e, ERR_INVALID, "the archive has no member \"%.300s\"", name);
	if (m->size > out->max)
		return err_set(e, ERR_LIMIT,
			       "archive member \"%.300s\" has %llu bytes, at most %zu are accepted",
			       name, (unsigned long long)m->size, out->max);
	if (m->committed)
		return store_blob_read(l->job.service->store, &m->digest, out, e);
	int rc = fs_read_at(store_ingest_dir(l->job.service->store), m->file, out);
	return rc < 0 ? err_sys(e, rc, "cannot read archive member \"%.300s\"", name) : 0;
}

/* The member of a digest, checked: content and length are what the descriptor says. */
static const char *blob_member(struct load *l, const struct oci_descriptor *d, struct err *e)
{
	const char *colon = strchr(d->digest_text, ':');
	char *name = arena_printf(l->arena, "blobs/%.*s/%s", (int)(colon - d->digest_text),
				  d->digest_text, colon + 1);
	struct member *m = load_member(l, name);
	if (!m) {
		err_set(e, ERR_INVALID, "the archive has no member \"%s\"", name);
		return NULL;
	}
	if (strcmp(m->digest.text, d->digest_text)) {
		err_set(e, ERR_INVALID, "archive member \"%s\" has the digest %s", name,
			m->digest.text);
		return NULL;
	}
	if (d->size < 0 || m->size != (uint64_t)d->size) {
		err_set(e, ERR_INVALID,
			"archive member \"%s\" has %llu bytes, its descriptor says %lld", name,
			(unsigned long long)m->size, (long long)d->size);
		return NULL;
	}
	return name;
}

/* ---- manifest.json ---- */

static struct load_image *image_add(struct load *l, struct err *e)
{
	if (l->nimages == IMAGES_MAX) {
		err_set(e, ERR_LIMIT, "the archive has more than %d images", IMAGES_MAX);
		return NULL;
	}
	return &l->images[l->nimages++];
}

static int scan_docker(struct load *l, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_MANIFEST_MAX);
	struct objs list;
	if (load_member_read(l, "manifest.json", &text, e) < 0 ||
	    archive_manifest_decode(buf_text(&text), text.n, &list, l->arena, e) < 0)
		return -1;
	for (size_t i = 0; i < list.n; i++) {
		const struct archive_image *a = (const struct archive_image *)list.v + i;
		struct load_image *img = image_add(l, e);
		if (!img)
			return -1;
		struct oci_descriptor *d = arena_alloc(l->arena, (a->layers.n + 1) * sizeof(*d));
		for (size_t k = 0; k < a->layers.n; k++) {
			struct member *m = load_member(l, a->layers.v[k]);
			if (!m)
				return err_set(e, ERR_INVALID,
					       "the archive has no member \"%.300s\"",
					       a->layers.v[k]);
			d[k].digest_text = m->digest.text;
			d[k].size = (int64_t)m->size;
			d[k].media_type = a->layers.v[k]; /* member name, for commit */
		}
		img->config_member = a->config;
		img->layers = (struct objs){.v = d, .n = a->layers.n, .set = true};
		img->names = a->repo_tags;
	}
	return 0;
}

static int add_manifest(struct load *l, const char *member, const struct oci_manifest *m,
			const char *name, struct load_image **ret, struct err *e)
{
	struct load_image *img = image_add(l, e);
	if (!img)
		return -1;
	img->manifest = load_member(l, member)->digest;
	img->manifest_member = member;
	img->config_member = blob_member(l, &m->config, e);
	if (!img->config_member)
		return -1;
	img->layers = m->layers;
	struct oci_descriptor *d = img->layers.v;
	for (size_t i = 0; i < m->layers.n; i++) {
		img->plain_layers = img->plain_layers || !d[i].media_type ||
				    !strchr(d[i].media_type, '+');
		d[i].media_type = blob_member(l, &d[i], e);
		d[i].urls = (struct strs){0};
		if (!d[i].media_type)
			return -1;
	}
	if (name)
		strs_push(&img->names, l->arena, name);
	*ret = img;
	return 0;
}

static int scan_manifest(struct load *l, const char *member, const struct buf *text,
			 const char *name, struct err *e)
{
	struct load_image *img;
	struct oci_manifest m;
	if (oci_manifest_decode(buf_text(text), text->n, &m, l->arena, e) < 0)
		return err_wrap(e, "archive member \"%s\"", member);
	return add_manifest(l, member, &m, name, &img, e);
}

/* The name an index entry carries: containerd's annotation, or a ref.name that is a whole name. */
static const char *entry_name(const struct oci_descriptor *d)
{
	const char *name = strmap_get(&d->annotations, "io.containerd.image.name");
	if (name)
		return name;
	name = strmap_get(&d->annotations, "org.opencontainers.image.ref.name");
	return name && strpbrk(name, ":/") ? name : NULL;
}

/* ---- an index that is an image: one name, several platforms ---- */

struct platforms {
	struct load *l;
	struct oci_descriptor top; /* the index itself */
	const char *name;
	size_t documents, bytes, room;
	struct strs extras; /* members that are no image here, and stay with it */
};

static int push_extra(struct platforms *p, const char *member, struct err *e)
{
	if (p->extras.n >= EXTRAS_MAX)
		return err_set(e, ERR_LIMIT, "the image index names more than %d blobs",
			       EXTRAS_MAX);
	if (p->extras.n == p->room) {
		p->room = p->room ? 2 * p->room : 16;
		const char **v = arena_alloc(p->l->arena, p->room * sizeof(*v));
		if (p->extras.n)
			memcpy(v, p->extras.v, p->extras.n * sizeof(*v));
		p->extras.v = v;
	}
	p->extras.v[p->extras.n++] = member;
	return 0;
}

static const char *member_of(struct load *l, const struct oci_descriptor *d)
{
	const char *colon = strchr(d->digest_text, ':');
	return arena_printf(l->arena, "blobs/%.*s/%s", (int)(colon - d->digest_text),
			    d->digest_text, colon + 1);
}

static bool is_here(struct load *l, const struct oci_descriptor *d)
{
	return load_member(l, member_of(l, d)) != NULL;
}

static int add_extra(struct platforms *p, const struct oci_descriptor *d, struct err *e)
{
	const char *member = is_here(p->l, d) ? blob_member(p->l, d, e) : NULL;
	if (!member)
		return is_here(p->l, d) ? -1 : 0;
	return push_extra(p, member, e);
}

/* A statement about an image, another system's image, an artifact: kept, not unpacked. */
static int keep_document(struct platforms *p, const struct oci_descriptor *d,
			 const struct oci_manifest *m, struct err *e)
{
	if (add_extra(p, d, e) < 0 || add_extra(p, &m->config, e) < 0)
		return -1;
	for (size_t i = 0; i < m->layers.n; i++)
		if (add_extra(p, oci_descriptor_at(&m->layers, i), e) < 0)
			return -1;
	return 0;
}

static bool complete(struct load *l, const struct oci_manifest *m)
{
	for (size_t i = 0; i < m->layers.n; i++)
		if (!is_here(l, oci_descriptor_at(&m->layers, i)))
			return false;
	return is_here(l, &m->config);
}

/* 1: an image that can be unpacked here, and is wanted; 0: not. */
static int usable(struct platforms *p, const struct oci_descriptor *d, const struct oci_manifest *m,
		  bool *ret_other, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_CONFIG_MAX);
	struct image_config c;
	struct err none = ERR_INIT;
	const char *config = blob_member(p->l, &m->config, e);
	*ret_other = false;
	if (!config || load_member_read(p->l, config, &text, e) < 0)
		return -1;
	if (index_attests(d) || image_config_decode(buf_text(&text), text.n, &c, a, &none) < 0 ||
	    c.rootfs.diff_ids.n != m->layers.n || !c.rootfs.diff_ids.n ||
	    (c.os && *c.os && strcmp(c.os, "linux"))) {
		*ret_other = true;
		return 0;
	}
	return !p->l->platform_given || image_platform_fits(&p->l->platform, &c);
}

static int scan_platform(struct platforms *p, const struct oci_descriptor *d,
			 const struct buf *text, struct err *e)
{
	struct oci_manifest m;
	struct load_image *img;
	bool other = false;
	if (oci_manifest_decode(buf_text(text), text->n, &m, p->l->arena, e) < 0)
		return err_wrap(e, "archive member \"%s\"", member_of(p->l, d));
	if (!complete(p->l, &m))
		return 0; /* not saved with it */
	int rc = usable(p, d, &m, &other, e);
	if (rc < 0 || other)
		return rc < 0 ? -1 : keep_document(p, d, &m, e);
	if (!rc)
		return 0;
	const char *member = blob_member(p->l, d, e);
	if (!member || add_manifest(p->l, member, &m, p->name, &img, e) < 0)
		return -1;
	img->index = &p->top;
	return 0;
}

static int scan_platforms(struct platforms *p, const struct oci_descriptor *index, int depth,
			  struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_MANIFEST_MAX);
	enum manifest_kind kind;
	struct oci_index list;
	const char *member = blob_member(p->l, index, e);
	if (depth > INDEX_DEPTH_MAX)
		return err_set(e, ERR_LIMIT, "image indexes are nested more than %d deep",
			       INDEX_DEPTH_MAX);
	if (!member || load_member_read(p->l, member, &text, e) < 0)
		return -1;
	p->bytes += text.n;
	if (++p->documents > INDEX_DOCUMENTS_MAX || p->bytes > INDEX_BYTES_MAX)
		return err_set(e, ERR_LIMIT,
			       "the image index names more than %d documents, or more than %zu "
			       "bytes of them",
			       INDEX_DOCUMENTS_MAX, INDEX_BYTES_MAX);
	if (manifest_kind_of(buf_text(&text), text.n, index->media_type, &kind, e) < 0)
		return err_wrap(e, "archive member \"%s\"", member);
	if (kind == MANIFEST_IMAGE)
		return scan_platform(p, index, &text, e);
	if (oci_index_decode(buf_text(&text), text.n, &list, p->l->arena, e) < 0)
		return err_wrap(e, "archive member \"%s\"", member);
	if (push_extra(p, member, e) < 0)
		return -1;
	for (size_t i = 0; i < list.manifests.n; i++) {
		const struct oci_descriptor *d = oci_descriptor_at(&list.manifests, i);
		if (is_here(p->l, d) && scan_platforms(p, d, depth + 1, e) < 0)
			return -1;
	}
	return 0;
}

static int scan_multi(struct load *l, const struct oci_descriptor *d, const char *name, int depth,
		      struct err *e)
{
	struct platforms p = {.l = l, .top = *d, .name = name};
	size_t first = l->nimages;
	char want[96];
	if (scan_platforms(&p, d, depth, e) < 0)
		return -1;
	image_platform_format(&l->platform, want);
	if (first == l->nimages)
		return err_set(e, ERR_NOT_FOUND,
			       "no matching manifest for %s in the manifest list entries", want);
	struct oci_descriptor *top = arena_alloc(l->arena, sizeof(*top));
	*top = p.top;
	for (size_t i = first; i < l->nimages; i++) {
		l->images[i].index = top;
		l->images[i].more = i + 1 < l->nimages;
	}
	l->images[first].extras = p.extras;
	return 0;
}

/* ---- index.json ---- */

static int scan_descriptor(struct load *l, const struct oci_descriptor *d, const char *name,
			   struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_MANIFEST_MAX);
	enum manifest_kind kind;
	const char *member = blob_member(l, d, e);
	if (!member || load_member_read(l, member, &text, e) < 0)
		return -1;
	if (manifest_kind_of(buf_text(&text), text.n, d->media_type, &kind, e) < 0)
		return err_wrap(e, "archive member \"%s\"", member);
	if (kind == MANIFEST_INDEX)
		return scan_multi(l, d, name, 1, e);
	return scan_manifest(l, member, &text, name, e);
}

/* Entries without names that differ by platform are one image: keep the fitting one. */
static int scan_index(struct load *l, const struct buf *text, struct err *e)
{
	struct oci_index index;
	if (oci_index_decode(buf_text(text), text->n, &index, l->arena, e) < 0)
		return -1;
	size_t platforms = 0, named = 0, real = 0;
	for (size_t i = 0; i < index.manifests.n; i++) {
		const struct oci_descriptor *d = oci_descriptor_at(&index.manifests, i);
		if (index_attests(d))
			continue;
		real++;
		platforms += d->platform != NULL;
		named += entry_name(d) != NULL;
	}
	if (real > 1 && platforms == real && !named) {
		char want[96];
		const struct oci_descriptor *d = image_platform_choose(&l->platform, &index);
		image_platform_format(&l->platform, want);
		if (!d)
			return err_set(e, ERR_NOT_FOUND,
				       "no matching manifest for %s in the manifest list entries",
				       want);
		return scan_descriptor(l, d, NULL, e);
	}
	for (size_t i = 0; i < index.manifests.n; i++) {
		const struct oci_descriptor *d = oci_descriptor_at(&index.manifests, i);
		if (!index_attests(d) && scan_descriptor(l, d, entry_name(d), e) < 0)
			return -1;
	}
	return 0;
}

/* ---- both ---- */

/*
 * Entries of one image under several names are one image; the same image may also be in the list
 * of a docker-archive, which knows further names.
 */
static void merge_names(struct load *l, const struct archive_image *a)
{
	const struct member *config = load_member(l, a->config), *other;
	for (size_t i = 0; config && i < l->nimages; i++) {
		other = load_member(l, l->images[i].config_member);
		if (!other || !digest_eq(&other->digest, &config->digest))
			continue;
		for (size_t k = 0; k < a->repo_tags.n; k++)
			strs_push(&l->images[i].names, l->arena, a->repo_tags.v[k]);
		return;
	}
}

/*
 * Docker writes both lists. Indexes are only in the OCI one. A lone manifest with layers that are
 * not compressed is how Docker's classic store writes what it has, and no registry knows it: the
 * image is better without, since a push then compresses.
 */
static int scan_both(struct load *l, struct err *e)
{
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_MANIFEST_MAX);
	struct objs list;
	if (load_member_read(l, "manifest.json", &text, e) < 0 ||
	    archive_manifest_decode(buf_text(&text), text.n, &list, l->arena, e) < 0)
		return -1;
	for (size_t i = 0; i < list.n; i++)
		merge_names(l, (const struct archive_image *)list.v + i);
	for (size_t i = 0; i < l->nimages; i++) {
		struct load_image *img = &l->images[i];
		if (img->index || !img->plain_layers)
			continue;
		img->manifest = (struct digest){0};
		img->manifest_member = NULL;
	}
	return 0;
}

/* --platform: the images of another one are left out. */
static int keep_platform(struct load *l, struct err *e)
{
	char want[96];
	size_t n = 0;
	for (size_t i = 0; i < l->nimages; i++) {
		AUTO_BUF struct buf text = BUF_INIT(IMAGE_CONFIG_MAX);
		struct image_config config;
		if (load_member_read(l, l->images[i].config_member, &text, e) < 0 ||
		    image_config_decode(buf_text(&text), text.n, &config, l->arena, e) < 0)
			return -1;
		if (image_platform_fits(&l->platform, &config))
			l->images[n++] = l->images[i];
	}
	image_platform_format(&l->platform, want);
	if (!n && l->nimages)
		return err_set(e, ERR_NOT_FOUND, "the archive has no image for the platform %s",
			       want);
	l->nimages = n;
	return 0;
}

/* The names in manifest.json are the user's to change (and tools do): all of its images must be in
 * index.json too, else it alone counts. */
static bool oci_has_all(struct load *l)
{
	AUTO_BUF struct buf text = BUF_INIT(IMAGE_MANIFEST_MAX);
	struct err none = ERR_INIT;
	struct objs list;
	if (load_member_read(l, "manifest.json", &text, &none) < 0 ||
	    archive_manifest_decode(buf_text(&text), text.n, &list, l->arena, &none) < 0)
		return false;
	for (size_t i = 0; i < list.n; i++) {
		const struct archive_image *a = (const struct archive_image *)list.v + i;
		const struct member *config = load_member(l, a->config), *other;
		size_t k = 0;
		for (; config && k < l->nimages; k++) {
			other = load_member(l, l->images[k].config_member);
			if (other && digest_eq(&other->digest, &config->digest))
				break;
		}
		if (!config || k == l->nimages)
			return false;
	}
	return true;
}

int load_scan(struct load *l, struct err *e)
{
	bool oci = load_member(l, "index.json") && load_member(l, "oci-layout");
	bool docker = load_member(l, "manifest.json");
	l->images = arena_alloc(l->arena, IMAGES_MAX * sizeof(*l->images));
	if (oci) {
		AUTO_BUF struct buf text = BUF_INIT(IMAGE_MANIFEST_MAX);
		if (load_member_read(l, "index.json", &text, e) < 0)
			return -1;
		int rc = scan_index(l, &text, e);
		if (rc < 0 && !docker)
			return err_wrap(e, "index.json");
		if (docker && (rc < 0 || !oci_has_all(l))) {
			err_clear(e);
			memset(l->images, 0, IMAGES_MAX * sizeof(*l->images));
			l->nimages = 0;
			oci = false;
		}
	}
	if (docker && (oci ? scan_both(l, e) : scan_docker(l, e)) < 0)
		return -1;
	if (!oci && !docker && load_member(l, "repositories"))
		return err_set(e, ERR_UNSUPPORTED,
			       "the archive has only \"repositories\", no manifest.json: it was "
			       "saved by Docker before 1.10, which is not supported");
	if (!oci && !docker)
		return err_set(e, ERR_INVALID,
			       "open manifest.json: no such file or directory: neither a "
			       "docker-archive nor an OCI layout");
	if (!l->nimages)
		return err_set(e, ERR_INVALID, "the archive holds no image");
	return l->platform_given ? keep_platform(l, e) : 0;
}
