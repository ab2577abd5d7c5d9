/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of JSON in pull, push and load streams; see progress.h. */
#include "api/progress.h"

#include "base/json.h"
#include "image/image.h"

#include <stdio.h>

#include "base/banned.h"

#define BAR_WIDTH 50

/* Decimal, four significant digits: "512B", "1.024kB", "12.35MB". */
static void human_size(int64_t bytes, char *ret, size_t n)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	double v = (double)bytes;
	size_t i = 0;

	while (v >= 1000.0 && i + 1 < ARRAY_SIZE(units)) {
		v /= 1000.0;
		i++;
	}
	snprintf(ret, n, "%.4g%s", v, units[i]);
}

void api_progress_bar(int64_t current, int64_t total, struct buf *out)
{
	char now[32], all[32];

	if (current <= 0 && total <= 0)
		return;
	human_size(current, now, sizeof now);
	if (total > 0) {
		int full = (int)((double)current / (double)total * 100) / 2;
		full = MIN(MAX(full, 0), BAR_WIDTH);
		buf_addc(out, '[');
		for (int i = 0; i < full; i++)
			buf_addc(out, '=');
		buf_addc(out, '>');
		for (int i = full; i < BAR_WIDTH; i++)
			buf_addc(out, ' ');
		buf_adds(out, "] ");
	}
	buf_addf(out, "%8s", now);
	if (total > 0 && current <= total) {
		human_size(total, all, sizeof all);
		buf_addf(out, "/%s", all);
	}
}

void api_progress_line(const struct image_progress *p, struct buf *out)
{
	struct jw w = JW_INIT(out);

	jw_obj(&w);
	if (p->stream)
		jw_kv_str(&w, "stream", p->stream);
	if (p->status)
		jw_kv_str(&w, "status", p->status);
	if (p->has_detail || p->id) {
		jw_key(&w, "progressDetail");
		jw_obj(&w);
		if (p->has_detail && p->current)
			jw_kv_i64(&w, "current", p->current);
		if (p->has_detail && p->total)
			jw_kv_i64(&w, "total", p->total);
		jw_obj_end(&w);
	}
	if (p->has_detail) {
		AUTO_BUF struct buf bar = BUF_INIT(256);
		api_progress_bar(p->current, p->total, &bar);
		if (bar.n)
			jw_kv_str(&w, "progress", bar.p);
	}
	if (p->id)
		jw_kv_str(&w, "id", p->id);
	if (p->aux) {
		jw_key(&w, "aux");
		jw_raw(&w, p->aux);
	}
	jw_obj_end(&w);
	buf_adds(out, "\r\n");
}

void api_progress_error(const char *text, struct buf *out)
{
	struct jw w = JW_INIT(out);

	jw_obj(&w);
	jw_key(&w, "errorDetail");
	jw_obj(&w);
	jw_kv_str(&w, "message", text);
	jw_obj_end(&w);
	jw_kv_str(&w, "error", text);
	jw_obj_end(&w);
	buf_adds(out, "\r\n");
}
