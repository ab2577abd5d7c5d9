/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of an image's inspect that Docker gives to clients before API 1.45 only; docker-compose 1
 * reads them unasked. */
#include "image/service-priv.h"
#include "spec/image.h"

#include <string.h>

#include "base/banned.h"

int image_inspect_legacy(struct image_service *s, const char *text, struct buf *out, struct err *e)
{
	AUTO(store_image) struct store_image *img = NULL;
	AUTO(arena) struct arena *a = arena_new();
	AUTO(json) struct json *j = NULL;
	struct container_config c = {0};
	struct jw w = JW_INIT(out);
	struct digest id;

	if (image_find(s, text, &id, e) < 0 || store_image_get(s->store, &id, &img, e) < 0 ||
	    json_parse(img->config, strlen(img->config), &j, e) < 0)
		return -1;
	const struct json *config = json_get(j, "container_config");
	if (json_kind_of(config) == JSON_OBJECT &&
	    json_decode(config, &container_config_schema, &c, a, e) < 0)
		return err_wrap(e, "container_config");
	while (out->n > 0 && out->p[out->n - 1] != '}')
		out->p[--out->n] = '\0';
	if (out->n == 0)
		return err_set(e, ERR_SYSTEM, "no object to add to");
	out->p[--out->n] = '\0';
	const char *container = json_str(json_get(j, "container"));
	buf_adds(out, ",\"Container\":");
	jw_str(&w, container ? container : "");
	buf_adds(out, ",\"ContainerConfig\":");
	w = (struct jw)JW_INIT(out);
	json_encode(&w, &container_config_schema, &c);
	buf_addc(out, '}');
	return 0;
}
