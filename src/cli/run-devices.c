/* SPDX-License-Identifier: Apache-2.0 */
/* Parsers of options about devices: rates and weights of block devices, requests for GPUs. */
#include "cli/run.h"
#include "base/mem.h"
#include "base/num.h"

#include <string.h>

#include "base/banned.h"

static int bad_value(const char *text, enum device_io kind, struct err *e)
{
	if (kind == DEVICE_WEIGHT)
		return err_set(e, ERR_INVALID, "invalid weight for device: %s", text);
	return err_set(e, ERR_INVALID,
		       "invalid rate for device: %s. The correct format is "
		       "<device-path>:<number>%s. Number must be a positive integer%s",
		       text, kind == DEVICE_BYTES ? "[<unit>]" : "",
		       kind == DEVICE_BYTES ? ". Unit is optional and can be kb, mb, or gb" : "");
}

int parse_device_io(struct jw *w, const char *text, enum device_io kind, struct err *e)
{
	const char *colon = strchr(text, ':');
	uint64_t number = 0;
	int64_t bytes = 0;
	int rc;

	if (!colon || colon == text)
		return err_set(e, ERR_INVALID, "bad format: %s", text);
	if (!str_starts(text, "/dev/"))
		return err_set(e, ERR_INVALID, "bad format for device path: %s", text);
	if (kind == DEVICE_BYTES) {
		rc = num_parse_bytes(colon + 1, &bytes);
		number = (uint64_t)bytes;
	} else {
		rc = num_parse_u64(colon + 1, 0, UINT64_MAX, &number);
	}
	if (rc < 0 || bytes < 0 ||
	    (kind == DEVICE_WEIGHT && number && (number < 10 || number > 1000)))
		return bad_value(text, kind, e);
	AUTO_FREE char *path = xstrndup(text, (size_t)(colon - text));
	jw_obj(w);
	jw_kv_str(w, "Path", path);
	jw_kv_u64(w, kind == DEVICE_WEIGHT ? "Weight" : "Rate", number);
	jw_obj_end(w);
	return 0;
}

/* ---- --gpus ---- */

struct gpus {
	int64_t count;
	bool has_count;
	const char *driver, *devices, *capabilities, *options;
};

static int gpus_count(struct gpus *g, const char *text, struct err *e)
{
	g->has_count = true;
	if (!strcmp(text, "all"))
		g->count = -1;
	else if (num_parse_i64(text, INT32_MIN, INT32_MAX, &g->count) < 0)
		return err_set(e, ERR_INVALID,
			       "count must be an integer: strconv.Atoi: parsing \"%s\": invalid "
			       "syntax",
			       text);
	return 0;
}

static int gpus_field(struct gpus *g, const char *field, struct err *e)
{
	const char *eq = strchr(field, '=');
	size_t n = strcspn(field, "=");
	struct {
		const char *key;
		const char **value;
	} texts[] = {{"driver", &g->driver},
		     {"device", &g->devices},
		     {"capabilities", &g->capabilities},
		     {"options", &g->options}};

	if (!eq || (n == 5 && !strncmp(field, "count", n))) {
		if (g->has_count)
			return err_set(e, ERR_INVALID,
				       "gpu request key 'count' can be specified only once");
		return gpus_count(g, eq ? eq + 1 : field, e);
	}
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (strlen(texts[i].key) != n || strncmp(field, texts[i].key, n) != 0)
			continue;
		if (*texts[i].value)
			return err_set(e, ERR_INVALID,
				       "gpu request key '%s' can be specified only once",
				       texts[i].key);
		*texts[i].value = eq + 1;
		return 0;
	}
	return err_set(e, ERR_INVALID, "unexpected key '%.*s' in '%s'", (int)n, field, field);
}

static void put_split(struct jw *w, const char *text)
{
	struct str rest = str_of(text), one;

	while (rest.n > 0 && str_cut(&rest, ',', &one))
		jw_strn(w, one.p, one.n);
}

static void gpus_write(struct jw *w, const struct gpus *g)
{
	struct str rest = str_of(g->options ? g->options : ""), one, key;

	jw_obj(w);
	jw_kv_str(w, "Driver", g->driver ? g->driver : "");
	jw_kv_i64(w, "Count", g->has_count ? g->count : g->devices ? 0 : 1);
	jw_key(w, "DeviceIDs");
	if (g->devices) {
		jw_arr(w);
		put_split(w, g->devices);
		jw_arr_end(w);
	} else {
		jw_null(w);
	}
	jw_key(w, "Capabilities");
	jw_arr(w);
	jw_arr(w);
	put_split(w, g->capabilities ? g->capabilities : "");
	jw_str(w, "gpu");
	jw_arr_end(w);
	jw_arr_end(w);
	jw_key(w, "Options");
	jw_obj(w);
	while (rest.n > 0 && str_cut(&rest, ',', &one)) {
		AUTO_FREE char *value = NULL, *name = NULL;

		if (!str_cut(&one, '=', &key))
			continue;
		name = xstrndup(key.p, key.n);
		value = xstrndup(one.n ? one.p : "", one.n);
		jw_kv_str(w, name, value);
	}
	jw_obj_end(w);
	jw_obj_end(w);
}

int parse_gpus(struct jw *w, const char *text, struct err *e)
{
	struct gpus g = {0};
	struct strs fields = {0};
	int rc = csv_split(text, &fields) < 0 ? err_set(e, ERR_INVALID, "bad list") : 0;

	for (size_t i = 0; rc == 0 && i < fields.n; i++)
		rc = gpus_field(&g, fields.v[i], e);
	if (rc == 0)
		gpus_write(w, &g);
	strs_free(&fields);
	return rc < 0 ? err_wrap(e, "invalid argument \"%s\" for \"--gpus\" flag", text) : 0;
}
