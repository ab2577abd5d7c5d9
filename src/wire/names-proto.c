/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between the engine and coracle-names, by field tables. */
#include "wire/names-proto.h"

#include <string.h>

#include "base/banned.h"

static const char *const op_names[] = {
	[NAMES_OP_NONE] = "",
	[NAMES_OP_SYNC] = "sync",
	[NAMES_OP_SYNCED] = "synced",
	[NAMES_OP_NETWORK] = "network",
	[NAMES_OP_NETWORK_REMOVE] = "network-remove",
	[NAMES_OP_ENDPOINT] = "endpoint",
	[NAMES_OP_ENDPOINT_REMOVE] = "endpoint-remove",
	[NAMES_OP_RESOLVER] = "resolver",
	[NAMES_OP_RESOLVER_REMOVE] = "resolver-remove",
	[NAMES_OP_QUIT] = "quit",
};
_Static_assert(ARRAY_SIZE(op_names) == NAMES_OP_COUNT, "a name for every request");

static const char *const event_names[] = {
	[NAMES_EV_NONE] = "",
	[NAMES_EV_HELLO] = "hello",
	[NAMES_EV_NEED] = "need",
};
_Static_assert(ARRAY_SIZE(event_names) == NAMES_EV_COUNT, "a name for every event");

static int name_find(const char *const *names, int count, const char *name)
{
	for (int i = 1; name && i < count; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return 0;
}

const char *names_op_name(enum names_op op)
{
	return (unsigned)op < NAMES_OP_COUNT ? op_names[op] : "";
}

enum names_op names_op_parse(const char *name)
{
	return (enum names_op)name_find(op_names, NAMES_OP_COUNT, name);
}

const char *names_event_name(enum names_event ev)
{
	return (unsigned)ev < NAMES_EV_COUNT ? event_names[ev] : "";
}

enum names_event names_event_parse(const char *name)
{
	return (enum names_event)name_find(event_names, NAMES_EV_COUNT, name);
}

static const struct json_field membership_fields[] = {
	JSON_FIELD(JT_STR, struct names_membership, id, "id", JSON_REQUIRED),
	JSON_FIELD(JT_MAP, struct names_membership, links, "links", JSON_OMITEMPTY),
	{0},
};
static const struct json_schema membership_schema = {
	"membership",
	sizeof(struct names_membership),
	membership_fields,
};

#define REQ(type, member, key) JSON_FIELD(type, struct names_request, member, key, JSON_OMITEMPTY)
static const struct json_field request_fields[] = {
	REQ(JT_STR, op, "op"),
	REQ(JT_STR, id, "id"),
	REQ(JT_STR, network, "network"),
	REQ(JT_STR, name, "name"),
	REQ(JT_STRS, names, "names"),
	REQ(JT_STRS, addresses, "addresses"),
	JSON_SUB(JT_OBJS, struct names_request, networks, "networks", JSON_OMITEMPTY,
		 &membership_schema),
	REQ(JT_STRS, servers, "servers"),
	REQ(JT_BOOL, forward, "forward"),
	REQ(JT_BOOL, ndots, "ndots"),
	REQ(JT_STRS, host, "host"),
	{0},
};
const struct json_schema names_request_schema = {
	"request to coracle-names",
	sizeof(struct names_request),
	request_fields,
};

#define MSG(type, member, key) JSON_FIELD(type, struct names_message, member, key, JSON_OMITEMPTY)
static const struct json_field message_fields[] = {
	MSG(JT_STR, event, "event"),
	MSG(JT_STR, id, "id"),
	MSG(JT_STR, version, "version"),
	MSG(JT_I64, pid, "pid"),
	{0},
};
const struct json_schema names_message_schema = {
	"message of coracle-names",
	sizeof(struct names_message),
	message_fields,
};

int names_request_encode(const struct names_request *r, struct buf *out)
{
	struct jw w = JW_INIT(out);

	json_encode(&w, &names_request_schema, r);
	return out->overflow ? -EMSGSIZE : 0;
}

int names_message_encode(const struct names_message *m, struct buf *out)
{
	struct jw w = JW_INIT(out);

	json_encode(&w, &names_message_schema, m);
	return out->overflow ? -EMSGSIZE : 0;
}

int names_request_decode(const char *p, size_t n, struct names_request *ret, struct arena *a,
			 struct err *e)
{
	if (n > NAMES_MSG_MAX)
		return err_set(e, ERR_LIMIT, "request of %zu bytes", n);
	if (json_decode_text(p, n, &names_request_schema, ret, a, e) < 0)
		return -1;
	if (names_op_parse(ret->op) == NAMES_OP_NONE)
		return err_set(e, ERR_INVALID, "unknown request \"%s\"", ret->op ? ret->op : "");
	return 0;
}

int names_message_decode(const char *p, size_t n, struct names_message *ret, struct arena *a,
			 struct err *e)
{
	if (n > NAMES_MSG_MAX)
		return err_set(e, ERR_LIMIT, "message of %zu bytes", n);
	if (json_decode_text(p, n, &names_message_schema, ret, a, e) < 0)
		return -1;
	if (names_event_parse(ret->event) == NAMES_EV_NONE)
		return err_set(e, ERR_INVALID, "unknown event \"%s\"",
			       ret->event ? ret->event : "");
	return 0;
}
