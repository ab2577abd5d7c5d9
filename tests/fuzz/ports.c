/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: values of -p and PortBindings. What is written again is read again to the same. */
#include "spec/ports.h"

#include <stdint.h>
#include <string.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct port_publishes *p, struct arena *a)
{
	AUTO_BUF struct buf text = BUF_INIT(64 << 20), once_more = BUF_INIT(64 << 20);
	struct jw w = JW_INIT(&text), v = JW_INIT(&once_more);
	struct port_publishes q = {0};
	struct err e = ERR_INIT;

	port_bindings_write(p, &w);
	ASSERT(port_bindings_parse(buf_text(&text), &q, a, &e) == 0);
	port_bindings_write(&q, &v);
	ASSERT(strcmp(buf_text(&text), buf_text(&once_more)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena) struct arena *a = arena_new();
	const char *text = arena_strndup(a, (const char *)data, size), *form;
	struct port_publishes p = {0}, q = {0};
	struct err e = ERR_INIT;

	if (size > 4096)
		return 0;
	if (port_publish_parse(text, &p, a, &e) == 0)
		again(&p, a);
	if (port_publish_long_form(text, &form, a, &e) == 0)
		port_publish_parse(form, &p, a, &e);
	if (port_bindings_parse(text, &q, a, &e) == 0)
		again(&q, a);
	return 0;
}
