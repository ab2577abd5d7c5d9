/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between engine and shim, and the shim's files, by field tables. */
#include "wire/shim-proto.h"

#include <string.h>

#include "base/banned.h"

static const char *const op_names[] = {
	[SHIM_OP_NONE] = "",
	[SHIM_OP_START] = "start",
	[SHIM_OP_ATTACH] = "attach",
	[SHIM_OP_RESIZE] = "resize",
	[SHIM_OP_SIGNAL] = "signal",
	[SHIM_OP_PAUSE] = "pause",
	[SHIM_OP_RESUME] = "resume",
	[SHIM_OP_UPDATE] = "update",
	[SHIM_OP_EXEC] = "exec",
	[SHIM_OP_EXEC_RESIZE] = "exec-resize",
	[SHIM_OP_EXEC_SIGNAL] = "exec-signal",
	[SHIM_OP_NETWORK] = "network",
	[SHIM_OP_QUIT] = "quit",
};
_Static_assert(ARRAY_SIZE(op_names) == SHIM_OP_COUNT, "a name for every request");

static const char *const event_names[] = {
	[SHIM_EV_NONE] = "",
	[SHIM_EV_HELLO] = "hello",
	[SHIM_EV_EXITED] = "exited",
	[SHIM_EV_ATTACH_DONE] = "attach-done",
	[SHIM_EV_EXEC_EXITED] = "exec-exited",
	[SHIM_EV_OOM] = "oom",
	[SHIM_EV_PAUSED] = "paused",
	[SHIM_EV_RESUMED] = "resumed",
	[SHIM_EV_NOTICE] = "notice",
	[SHIM_EV_NETNS] = "netns",
};
_Static_assert(ARRAY_SIZE(event_names) == SHIM_EV_COUNT, "a name for every event");

static int name_find(const char *const *names, int count, const char *name)
{
	if (!name)
		return 0;
	for (int i = 1; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return 0;
}

const char *shim_op_name(enum shim_op op)
{
	return (unsigned)op < SHIM_OP_COUNT ? op_names[op] : "";
}

enum shim_op shim_op_parse(const char *name)
{
	return (enum shim_op)name_find(op_names, SHIM_OP_COUNT, name);
}

const char *shim_event_name(enum shim_event ev)
{
	return (unsigned)ev < SHIM_EV_COUNT ? event_names[ev] : "";
}

enum shim_event shim_event_parse(const char *name)
{
	return (enum shim_event)name_find(event_names, SHIM_EV_COUNT, name);
}

#define REQ(type, member, key) JSON_FIELD(type, struct shim_request, member, key, JSON_OMITEMPTY)
static const struct json_field request_fields[] = {
	REQ(JT_U64, seq, "seq"),
	REQ(JT_STR, op, "op"),
	REQ(JT_STR, id, "id"),
	REQ(JT_BOOL, want_stdin, "stdin"),
	REQ(JT_BOOL, want_stdout, "stdout"),
	REQ(JT_BOOL, want_stderr, "stderr"),
	REQ(JT_BOOL, mux, "mux"),
	REQ(JT_BOOL, tty, "tty"),
	REQ(JT_STR, preface, "preface"),
	REQ(JT_I64, h, "h"),
	REQ(JT_I64, w, "w"),
	REQ(JT_I64, signo, "signo"),
	REQ(JT_STR, kind, "kind"),
	REQ(JT_STR, error, "error"),
	REQ(JT_RAW, resources, "resources"),
	REQ(JT_RAW, process, "process"),
	/* "" and absent differ here, so the encoder writes it by hand */
	REQ(JT_STR, detach_keys, "detachKeys"),
	{0},
};
const struct json_schema shim_request_schema = {
	"shim request",
	sizeof(struct shim_request),
	request_fields,
};

#define MSG(type, member, key) JSON_FIELD(type, struct shim_message, member, key, JSON_OMITEMPTY)
static const struct json_field message_fields[] = {
	MSG(JT_U64, seq, "seq"),
	MSG(JT_STR, event, "event"),
	MSG(JT_BOOL, ok, "ok"),
	MSG(JT_STR, kind, "kind"),
	MSG(JT_STR, error, "error"),
	MSG(JT_STR, id, "id"),
	MSG(JT_STR, reason, "reason"),
	MSG(JT_STR, state, "state"),
	MSG(JT_I64, pid, "pid"),
	MSG(JT_I64, code, "code"),
	MSG(JT_I64, signal, "signal"),
	MSG(JT_BOOL, oom, "oom"),
	MSG(JT_I64, started_at, "startedAt"),
	MSG(JT_I64, finished_at, "finishedAt"),
	{0},
};
const struct json_schema shim_message_schema = {
	"shim message",
	sizeof(struct shim_message),
	message_fields,
};

static const struct json_field log_fields[] = {
	JSON_FIELD(JT_STR, struct shim_log_config, driver, "driver", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct shim_log_config, path, "path", JSON_OMITEMPTY),
	JSON_FIELD(JT_I64, struct shim_log_config, max_size, "maxSize", JSON_OMITEMPTY),
	JSON_FIELD(JT_I64, struct shim_log_config, max_file, "maxFile", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct shim_log_config, compressor, "compressor", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct shim_log_config, attrs, "attrs", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct shim_log_config, address, "address", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct shim_log_config, tag, "tag", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct shim_log_config, format, "format", JSON_OMITEMPTY),
	JSON_FIELD(JT_I64, struct shim_log_config, facility, "facility", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct shim_log_config, tls_ca, "tlsCa", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct shim_log_config, tls_cert, "tlsCert", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct shim_log_config, tls_key, "tlsKey", JSON_OMITEMPTY),
	JSON_FIELD(JT_BOOL, struct shim_log_config, tls_skip_verify, "tlsSkipVerify",
		   JSON_OMITEMPTY),
	JSON_FIELD(JT_MAP, struct shim_log_config, fields, "fields", JSON_OMITEMPTY),
	JSON_FIELD(JT_BOOL, struct shim_log_config, non_blocking, "nonBlocking", JSON_OMITEMPTY),
	JSON_FIELD(JT_I64, struct shim_log_config, buffer, "buffer", JSON_OMITEMPTY),
	{0},
};
static const struct json_schema log_schema = {"log", sizeof(struct shim_log_config), log_fields};

static const struct json_field rootfs_fields[] = {
	JSON_FIELD(JT_STR, struct shim_rootfs_config, layers_dir, "layersDir", JSON_OMITEMPTY),
	JSON_FIELD(JT_STRS, struct shim_rootfs_config, lower, "lower", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct shim_rootfs_config, upper, "upper", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct shim_rootfs_config, work, "work", JSON_OMITEMPTY),
	JSON_FIELD(JT_BOOL, struct shim_rootfs_config, readonly, "readonly", JSON_OMITEMPTY),
	{0},
};
static const struct json_schema rootfs_schema = {
	"rootfs",
	sizeof(struct shim_rootfs_config),
	rootfs_fields,
};

static const struct json_field seccomp_fields[] = {
	JSON_FIELD(JT_STR, struct shim_seccomp_config, profile, "profile", JSON_OMITEMPTY),
	JSON_FIELD(JT_STR, struct shim_seccomp_config, cache_dir, "cacheDir", JSON_OMITEMPTY),
	{0},
};
static const struct json_schema seccomp_schema = {
	"seccomp",
	sizeof(struct shim_seccomp_config),
	seccomp_fields,
};

static const struct json_field volume_fields[] = {
	JSON_FIELD(JT_STR, struct shim_volume, path, "path", JSON_REQUIRED),
	JSON_FIELD(JT_STR, struct shim_volume, type, "type", JSON_REQUIRED),
	JSON_FIELD(JT_STR, struct shim_volume, device, "device", JSON_REQUIRED),
	JSON_FIELD(JT_STR, struct shim_volume, options, "options", JSON_OMITEMPTY),
	{0},
};
static const struct json_schema volume_schema = {
	"volume",
	sizeof(struct shim_volume),
	volume_fields,
};

#define CONF(type, member, key, flags) JSON_FIELD(type, struct shim_config, member, key, flags)
static const struct json_field config_fields[] = {
	CONF(JT_STR, id, "id", JSON_REQUIRED),
	JSON_SUB(JT_OBJ, struct shim_config, log, "log", 0, &log_schema),
	CONF(JT_BOOL, tty, "tty", JSON_OMITEMPTY),
	CONF(JT_BOOL, open_stdin, "openStdin", JSON_OMITEMPTY),
	CONF(JT_BOOL, stdin_once, "stdinOnce", JSON_OMITEMPTY),
	JSON_SUB(JT_OBJ, struct shim_config, rootfs, "rootfs", 0, &rootfs_schema),
	JSON_SUB(JT_OBJ, struct shim_config, seccomp, "seccomp", 0, &seccomp_schema),
	CONF(JT_STR, cgroup_parent, "cgroupParent", JSON_OMITEMPTY),
	CONF(JT_STR, helper, "helper", JSON_OMITEMPTY),
	CONF(JT_STR, init_path, "initPath", JSON_OMITEMPTY),
	JSON_SUB(JT_OBJS, struct shim_config, volumes, "volumes", JSON_OMITEMPTY, &volume_schema),
	CONF(JT_BOOL, network, "network", JSON_OMITEMPTY),
	CONF(JT_BOOL, trace, "trace", JSON_OMITEMPTY),
	{0},
};
const struct json_schema shim_config_schema = {
	"shim.json",
	sizeof(struct shim_config),
	config_fields,
};

static const struct json_field state_fields[] = {
	JSON_FIELD(JT_STR, struct shim_state, state, "state", JSON_REQUIRED),
	JSON_FIELD(JT_I64, struct shim_state, pid, "pid", 0),
	JSON_FIELD(JT_I64, struct shim_state, shim_pid, "shimPid", 0),
	JSON_FIELD(JT_U64, struct shim_state, start_ticks, "startTicks", 0),
	JSON_FIELD(JT_U64, struct shim_state, shim_start_ticks, "shimStartTicks", 0),
	JSON_FIELD(JT_I64, struct shim_state, started_at, "startedAt", 0),
	{0},
};
const struct json_schema shim_state_schema = {
	"state.json",
	sizeof(struct shim_state),
	state_fields,
};

static const struct json_field exit_fields[] = {
	JSON_FIELD(JT_I64, struct shim_exit, code, "code", JSON_REQUIRED),
	JSON_FIELD(JT_I64, struct shim_exit, signal, "signal", 0),
	JSON_FIELD(JT_BOOL, struct shim_exit, oom, "oom", 0),
	JSON_FIELD(JT_I64, struct shim_exit, started_at, "startedAt", 0),
	JSON_FIELD(JT_I64, struct shim_exit, finished_at, "finishedAt", 0),
	{0},
};
const struct json_schema shim_exit_schema = {
	"exit.json",
	sizeof(struct shim_exit),
	exit_fields,
};

int shim_request_encode(const struct shim_request *r, struct buf *out)
{
	struct jw w = JW_INIT(out);

	jw_obj(&w);
	json_encode_fields(&w, &shim_request_schema, r);
	if (r->detach_keys && !r->detach_keys[0])
		jw_kv_str(&w, "detachKeys", "");
	jw_obj_end(&w);
	return out->overflow ? -EMSGSIZE : 0;
}

int shim_message_encode(const struct shim_message *m, struct buf *out)
{
	struct jw w = JW_INIT(out);

	json_encode(&w, &shim_message_schema, m);
	return out->overflow ? -EMSGSIZE : 0;
}

int shim_request_decode(const char *p, size_t n, struct shim_request *ret, struct arena *a,
			struct err *e)
{
	struct shim_request r;

	if (n > SHIM_MSG_MAX)
		return err_set(e, ERR_LIMIT, "shim request of %zu bytes", n);
	if (json_decode_text(p, n, &shim_request_schema, &r, a, e) < 0)
		return -1;
	/* Filled even when the operation is unknown, so that the answer can carry its seq. */
	*ret = r;
	if (shim_op_parse(r.op) == SHIM_OP_NONE)
		return err_set(e, ERR_INVALID, "unknown shim request \"%s\"", r.op ? r.op : "");
	if (r.id && strlen(r.id) > SHIM_ID_MAX)
		return err_set(e, ERR_INVALID, "id is too long");
	return 0;
}

int shim_message_decode(const char *p, size_t n, struct shim_message *ret, struct arena *a,
			struct err *e)
{
	if (n > SHIM_MSG_MAX)
		return err_set(e, ERR_LIMIT, "shim message of %zu bytes", n);
	return json_decode_text(p, n, &shim_message_schema, ret, a, e);
}

int shim_message_error(const struct shim_message *m, struct err *e)
{
	enum err_kind kind = m->kind ? err_kind_parse(m->kind) : ERR_SYSTEM;

	return err_set(e, kind == ERR_NONE ? ERR_SYSTEM : kind, "%s",
		       m->error ? m->error : "the shim refused without a reason");
}

void mux_header(unsigned char ret[static MUX_HEADER], enum mux_stream stream, size_t n)
{
	memset(ret, 0, MUX_HEADER);
	ret[0] = (unsigned char)stream;
	for (int i = 0; i < 4; i++)
		ret[4 + i] = (unsigned char)(n >> (24 - 8 * i));
}
