/* SPDX-License-Identifier: Apache-2.0 */
/* See members.h: the images of a name. */
#include "image/members.h"
#include "image/sources-priv.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

/* A short name that stands for others, as registries.conf says: the first that is here. */
static bool find_short(struct image_service *s, const char *text, const struct image_ref *ref,
		       struct digest *ret, char canonical[static MEMBER_REF_MAX])
{
	struct err none = ERR_INIT;
	struct short_names names;

	if (short_names_find(s, text, ref, &names, &none) < 0)
		return false;
	for (size_t i = 0; i < names.n; i++) {
		image_ref_canonical(&names.v[i], canonical);
		if (store_ref_get(s->store, canonical, ret, &none) == 0)
			return true;
	}
	return false;
}

int member_resolve(struct image_service *s, const char *text, struct digest *ret,
		   char canonical[static MEMBER_REF_MAX], struct err *e)
{
	struct image_ref ref;
	char familiar[IMAGE_REF_TEXT_MAX];
	struct err why = ERR_INIT;
	bool id = str_starts(text, "sha256:"), named = false;

	canonical[0] = '\0';
	if (!id && image_ref_parse(text, &ref, &why) == 0) {
		image_ref_default_tag(&ref);
		image_ref_canonical(&ref, canonical);
		named = true;
		if (store_ref_get(s->store, canonical, ret, e) == 0)
			return 0;
		if (e->kind != ERR_NOT_FOUND)
			return -1;
		err_clear(e);
	} else if (!id && strspn(text, "0123456789abcdef") != strlen(text)) {
		return err_set(e, ERR_INVALID, "%s", why.text);
	}
	canonical[0] = '\0';
	if (store_image_resolve(s->store, NULL, text, ret, e) == 0)
		return 0;
	if (named && e->kind == ERR_NOT_FOUND && find_short(s, text, &ref, ret, canonical)) {
		err_clear(e);
		return 0;
	}
	canonical[0] = '\0';
	if (e->kind == ERR_NOT_FOUND) {
		snprintf(familiar, sizeof(familiar), "%s", text);
		if (named)
			image_ref_familiar(&ref, familiar);
		err_set(e, ERR_NOT_FOUND, "No such image: %s", familiar);
	}
	return -1;
}

int image_find(struct image_service *s, const char *text, struct digest *ret, struct err *e)
{
	char canonical[MEMBER_REF_MAX];

	return member_resolve(s, text, ret, canonical, e);
}

/* ---- several ---- */

struct found {
	struct digest *v;
	size_t n;
};

static void add(struct found *l, const struct digest *d)
{
	for (size_t i = 0; i < l->n; i++)
		if (digest_eq(&l->v[i], d))
			return;
	l->v = xrealloc(l->v, (l->n + 1) * sizeof(*l->v));
	l->v[l->n++] = *d;
}

static void add_names(struct image_service *s, struct found *l, const char **refs, size_t n)
{
	struct err none = ERR_INIT;

	for (size_t i = 0; i < n; i++) {
		AUTO_FREE struct digest *v = NULL;
		size_t count = 0;

		if (store_ref_images(s->store, refs[i], &v, &count, &none) == 0)
			for (size_t k = 0; k < count; k++)
				add(l, &v[k]);
	}
}

int members_of(struct image_service *s, const char *text, struct digest **ret, size_t *ret_n,
	       struct err *e)
{
	AUTO(store_image) struct store_image *img = NULL;
	char canonical[MEMBER_REF_MAX];
	struct found l = {NULL, 0};
	struct digest id;

	if (member_resolve(s, text, &id, canonical, e) < 0)
		return -1;
	if (canonical[0])
		return store_ref_images(s->store, canonical, ret, ret_n, e);
	if (store_image_get(s->store, &id, &img, e) < 0)
		return -1;
	add(&l, &id);
	add_names(s, &l, img->tags, img->ntags);
	add_names(s, &l, img->digests, img->ndigests);
	add_names(s, &l, img->also, img->nalso);
	*ret = l.v;
	*ret_n = l.n;
	return 0;
}

static int config_of(struct image_service *s, const struct digest *id, struct image_config *ret,
		     struct arena *a, struct err *e)
{
	AUTO(store_image) struct store_image *img = NULL;

	if (store_image_get(s->store, id, &img, e) < 0)
		return -1;
	const char *text = arena_strdup(a, img->config);
	return image_config_decode(text, strlen(text), ret, a, e);
}

static int score(const struct image_platform *want, const struct image_config *c)
{
	const struct oci_platform have = {.os = c->os && *c->os ? c->os : "linux",
					  .architecture = c->architecture,
					  .variant = c->variant};

	if (!c->architecture || !*c->architecture)
		return 1; /* it does not say: as good as any, worse than the right one */
	return image_platform_score(want, &have);
}

static int no_platform(const char *text, const struct image_platform *want,
		       const struct image_config *only, struct err *e)
{
	char name[96], full[IMAGE_REF_TEXT_MAX];
	struct image_ref ref;
	struct err none = ERR_INIT;

	image_platform_format(want, name);
	snprintf(full, sizeof(full), "%s", text);
	if (!str_starts(text, "sha256:") && image_ref_parse(text, &ref, &none) == 0)
		image_ref_familiar(&ref, full);
	if (!only)
		return err_set(e, ERR_NOT_FOUND,
			       "image with reference %s was found but does not provide the "
			       "specified platform (%s)",
			       full, name);
	return err_set(e, ERR_NOT_FOUND,
		       "image with reference %s was found but its platform (%s/%s%s%s) does not "
		       "match the specified platform (%s)",
		       full, only->os && *only->os ? only->os : "linux",
		       only->architecture ? only->architecture : "",
		       only->variant && *only->variant ? "/" : "",
		       only->variant ? only->variant : "", name);
}

int member_for(struct image_service *s, const char *text, const struct image_platform *want,
	       struct digest *ret, struct err *e)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_FREE struct digest *v = NULL;
	struct image_config c = {0};
	size_t n = 0, best = 0;
	int best_score = 0;

	if (!want)
		return image_find(s, text, ret, e);
	if (members_of(s, text, &v, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (config_of(s, &v[i], &c, a, e) < 0)
			return -1;
		int is = score(want, &c);
		if (is > best_score) {
			best_score = is;
			best = i;
		}
	}
	if (!best_score)
		return no_platform(text, want, n == 1 ? &c : NULL, e);
	*ret = v[best];
	return 0;
}

int image_find_platform(struct image_service *s, const char *text, const char *platform,
			struct digest *ret, struct err *e)
{
	struct image_platform want;

	if (!platform || !*platform)
		return image_find(s, text, ret, e);
	if (image_platform_parse(platform, &want, e) < 0)
		return -1;
	return member_for(s, text, &want, ret, e);
}

/* ---- a name gets an image ---- */

static bool for_host(struct image_service *s, const struct digest *id)
{
	AUTO(arena) struct arena *a = arena_new();
	struct image_platform host;
	struct image_config c;
	struct err none = ERR_INIT;

	image_platform_host(&host);
	return config_of(s, id, &c, a, &none) == 0 && score(&host, &c) > 0;
}

int member_join(struct image_service *s, const char *canonical, const struct digest *image,
		const struct digest *target, struct err *e)
{
	struct err none = ERR_INIT;
	struct digest old;
	bool first = store_ref_get(s->store, canonical, &old, &none) < 0 || for_host(s, image) ||
		     !for_host(s, &old);

	return store_ref_join(s->store, canonical, image, target, first, e);
}
