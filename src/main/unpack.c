/* SPDX-License-Identifier: Apache-2.0 */
/* coracle-unpack: command line of the worker for hostile archives. Options and results:
 * spec/unpack-proto.h. */
#include "unpack/unpack.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/num.h"
#include "spec/unpack-proto.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define RESULT_FD 1

struct args {
	struct unpack_input in;
	int target_fd, ingest_fd, dir_fd, out_fd, seal_fd;
	struct digest diff_id;
	const char *prefix, *path, *name;
	enum unpack_compression compression;
	uint64_t level, threads;
	bool plain, user_xattr, layer, no_confine, quick, decode, keep_types, own;
	uint32_t uid, gid;
};

enum {
	OPT_TARGET = 256,
	OPT_BLOB,
	OPT_HAVE,
	OPT_DIGEST,
	OPT_SIZE,
	OPT_DIFF_ID,
	OPT_ENTRIES,
	OPT_MAX_SIZE,
	OPT_RATIO,
	OPT_PLAIN,
	OPT_USER_XATTR,
	OPT_SYNC,
	OPT_PROGRESS,
	OPT_NO_CONFINE,
	OPT_INGEST,
	OPT_PREFIX,
	OPT_OUT,
	OPT_DIR,
	OPT_PATH,
	OPT_NAME,
	OPT_LAYER,
	OPT_COMPRESSION,
	OPT_LEVEL,
	OPT_THREADS,
	OPT_SEAL,
	OPT_SYNC_BLOB,
	OPT_QUICK,
	OPT_DECODE,
	OPT_KEEP_TYPES,
	OPT_OWNER
};

static const struct option options[] = {
	{"target-fd", required_argument, NULL, OPT_TARGET},
	{"blob-fd", required_argument, NULL, OPT_BLOB},
	{"blob-have", required_argument, NULL, OPT_HAVE},
	{"digest", required_argument, NULL, OPT_DIGEST},
	{"size", required_argument, NULL, OPT_SIZE},
	{"diff-id", required_argument, NULL, OPT_DIFF_ID},
	{"max-entries", required_argument, NULL, OPT_ENTRIES},
	{"max-size", required_argument, NULL, OPT_MAX_SIZE},
	{"max-ratio", required_argument, NULL, OPT_RATIO},
	{"plain", no_argument, NULL, OPT_PLAIN},
	{"user-xattr", no_argument, NULL, OPT_USER_XATTR},
	{"sync", no_argument, NULL, OPT_SYNC},
	{"sync-blob", no_argument, NULL, OPT_SYNC_BLOB},
	{"progress", no_argument, NULL, OPT_PROGRESS},
	{"no-confine", no_argument, NULL, OPT_NO_CONFINE},
	{"ingest-fd", required_argument, NULL, OPT_INGEST},
	{"prefix", required_argument, NULL, OPT_PREFIX},
	{"out-fd", required_argument, NULL, OPT_OUT},
	{"dir-fd", required_argument, NULL, OPT_DIR},
	{"path", required_argument, NULL, OPT_PATH},
	{"name", required_argument, NULL, OPT_NAME},
	{"layer", no_argument, NULL, OPT_LAYER},
	{"compression", required_argument, NULL, OPT_COMPRESSION},
	{"level", required_argument, NULL, OPT_LEVEL},
	{"threads", required_argument, NULL, OPT_THREADS},
	{"seal-fd", required_argument, NULL, OPT_SEAL},
	{"quick", no_argument, NULL, OPT_QUICK},
	{"decode", no_argument, NULL, OPT_DECODE},
	{"keep-types", no_argument, NULL, OPT_KEEP_TYPES},
	{"owner", required_argument, NULL, OPT_OWNER},
	{NULL, 0, NULL, 0},
};

static int fd_arg(const char *s, int *ret)
{
	uint64_t v;

	if (num_parse_u64(s, 3, INT_MAX, &v) < 0 || fcntl((int)v, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	*ret = (int)v;
	return 0;
}

/* "UID:GID" */
static int owner_arg(struct args *a, const char *text)
{
	struct str rest = str_of(text), uid;
	uint64_t u, g;

	str_cut(&rest, ':', &uid);
	AUTO_FREE char *first = xstrndup(uid.p, uid.n);
	if (num_parse_u64(first, 0, UINT32_MAX - 1, &u) < 0 ||
	    num_parse_u64(rest.n ? rest.p : "", 0, UINT32_MAX - 1, &g) < 0)
		return -1;
	a->own = true;
	a->uid = (uint32_t)u;
	a->gid = (uint32_t)g;
	return 0;
}

static int one_option(struct args *a, int opt, const char *v)
{
	switch (opt) {
	case OPT_TARGET:
		return fd_arg(v, &a->target_fd);
	case OPT_BLOB:
		return fd_arg(v, &a->in.blob_fd);
	case OPT_INGEST:
		return fd_arg(v, &a->ingest_fd);
	case OPT_OUT:
		return fd_arg(v, &a->out_fd);
	case OPT_DIR:
		return fd_arg(v, &a->dir_fd);
	case OPT_SEAL:
		return fd_arg(v, &a->seal_fd);
	case OPT_OWNER:
		return owner_arg(a, v);
	case OPT_KEEP_TYPES:
		a->keep_types = true;
		return 0;
	case OPT_HAVE:
		return num_parse_u64(v, 0, INT64_MAX, &a->in.blob_have);
	case OPT_SIZE:
		return num_parse_u64(v, 0, INT64_MAX, &a->in.size);
	case OPT_ENTRIES:
		return num_parse_u64(v, 1, INT64_MAX, &a->in.limits.max_entries);
	case OPT_MAX_SIZE:
		return num_parse_u64(v, 1, INT64_MAX, &a->in.limits.max_size);
	case OPT_RATIO:
		return num_parse_u64(v, 1, INT64_MAX, &a->in.limits.max_ratio);
	case OPT_DIGEST:
		return digest_parse(v, &a->in.digest);
	case OPT_DIFF_ID:
		return digest_parse(v, &a->diff_id);
	case OPT_PREFIX:
		a->prefix = v;
		return strchr(v, '/') || !*v ? -1 : 0;
	case OPT_PATH:
		a->path = v;
		return 0;
	case OPT_NAME:
		a->name = v;
		return 0;
	case OPT_PLAIN:
		a->plain = true;
		return 0;
	case OPT_USER_XATTR:
		a->user_xattr = true;
		return 0;
	case OPT_SYNC_BLOB:
		a->in.sync_blob = true;
		return 0;
	case OPT_SYNC:
		a->in.sync = true;
		return 0;
	case OPT_PROGRESS:
		a->in.progress_fd = RESULT_FD;
		return 0;
	case OPT_NO_CONFINE:
		a->no_confine = true;
		return 0;
	case OPT_LAYER:
		a->layer = true;
		return 0;
	case OPT_COMPRESSION:
		a->compression = !strcmp(v, "zstd") ? UNPACK_ZSTD : UNPACK_GZIP;
		return a->compression == UNPACK_ZSTD || !strcmp(v, "gzip") ? 0 : -1;
	case OPT_LEVEL:
		return num_parse_u64(v, 1, 19, &a->level);
	case OPT_THREADS:
		return num_parse_u64(v, 1, 64, &a->threads);
	case OPT_QUICK:
		a->quick = true;
		return 0;
	case OPT_DECODE:
		a->decode = true;
		return 0;
	default:
		return -1;
	}
}

static int parse(int argc, char **argv, struct args *a, struct err *e)
{
	int opt, at;

	*a = (struct args){.in = UNPACK_INPUT_INIT,
			   .target_fd = FD_NONE,
			   .ingest_fd = FD_NONE,
			   .dir_fd = FD_NONE,
			   .out_fd = FD_NONE,
			   .seal_fd = FD_NONE};
	opterr = 0;
	for (;;) {
		at = optind;
		opt = getopt_long(argc, argv, "", options, NULL);
		if (opt < 0)
			break;
		if (one_option(a, opt, optarg) < 0)
			return err_set(e, ERR_INVALID, "bad option or value: %s %s", argv[at],
				       optarg ? optarg : "");
	}
	if (optind != argc)
		return err_set(e, ERR_INVALID, "unexpected argument: %s", argv[optind]);
	return 0;
}

static void print_line(struct buf *b)
{
	buf_addc(b, '\n');
	(void)fs_write_all(RESULT_FD, b->p, b->n);
	buf_done(b);
}

static int apply(const struct args *a, struct unpack_result *res, struct err *e)
{
	struct unpack_apply o = {.in = a->in,
				 .target_fd = a->target_fd,
				 .diff_id = a->diff_id,
				 .seal_fd = a->seal_fd,
				 .plain = a->plain,
				 .user_xattr = a->user_xattr,
				 .keep_types = a->keep_types,
				 .own = a->own,
				 .uid = a->uid,
				 .gid = a->gid};
	struct buf b = BUF_INIT(4096);
	struct jw w = JW_INIT(&b);

	struct decode *d = NULL;

	o.in.scratch_fd = a->target_fd;
	if (!a->no_confine && unpack_confine(a->target_fd, true, !a->user_xattr, e) < 0)
		return err_wrap(e, "confine the unpacker");
	if (a->decode && decode_start(&o.in, &d, e) < 0)
		return -1;
	if (decode_verdict(d, unpack_apply(&o, res, e), e) < 0)
		return -1;
	jw_obj(&w);
	jw_kv_str(&w, "digest", res->digest.text);
	jw_kv_u64(&w, "size", res->size);
	if (a->target_fd >= 0) {
		jw_kv_str(&w, "diffId", res->diff_id.text);
		jw_kv_u64(&w, "diffSize", res->diff_size);
		jw_kv_u64(&w, "contentSize", res->content_size);
		jw_kv_u64(&w, "entries", res->entries);
	}
	if (a->target_fd >= 0 && res->uid_min <= res->uid_max) {
		jw_kv_u64(&w, "uidMin", res->uid_min);
		jw_kv_u64(&w, "uidMax", res->uid_max);
		jw_kv_u64(&w, "gidMin", res->gid_min);
		jw_kv_u64(&w, "gidMax", res->gid_max);
	}
	jw_obj_end(&w);
	print_line(&b);
	return 0;
}

/* One line per difference, up to UNPACK_PROBLEMS_MAX of them. */
static int print_problem(void *ud, const char *path, const char *what)
{
	AUTO_BUF struct buf b = BUF_INIT(64 * 1024);
	struct jw w = JW_INIT(&b);
	uint64_t *n = ud;

	if ((*n)++ >= UNPACK_PROBLEMS_MAX)
		return 0;
	jw_obj(&w);
	jw_kv_str(&w, "path", path);
	jw_kv_str(&w, "problem", what);
	jw_obj_end(&w);
	buf_addc(&b, '\n');
	return fs_write_all(RESULT_FD, b.p, b.n);
}

static int check(const struct args *a, struct err *e)
{
	uint64_t n = 0;
	struct unpack_check o = {.dir_fd = a->dir_fd,
				 .seal_fd = a->seal_fd,
				 .quick = a->quick,
				 .fn = print_problem,
				 .ud = &n};
	struct unpack_check_result res;
	struct buf b = BUF_INIT(4096);
	struct jw w = JW_INIT(&b);

	if (a->dir_fd < 0 || a->seal_fd < 0)
		return err_set(e, ERR_INVALID, "check needs --dir-fd and --seal-fd");
	if (!a->no_confine && unpack_confine(a->dir_fd, false, true, e) < 0)
		return err_wrap(e, "confine the checker");
	if (unpack_check(&o, &res, e) < 0)
		return -1;
	jw_obj(&w);
	jw_kv_bool(&w, "done", true);
	jw_kv_u64(&w, "entries", res.entries);
	jw_kv_u64(&w, "bytes", res.bytes);
	jw_kv_u64(&w, "problems", res.problems);
	jw_obj_end(&w);
	print_line(&b);
	return 0;
}

static int print_member(const char *name, const char *file, uint64_t size, const struct digest *d,
			const char *link, void *ud)
{
	AUTO_BUF struct buf b = BUF_INIT(64 * 1024);
	struct jw w = JW_INIT(&b);

	jw_obj(&w);
	jw_kv_str(&w, "name", name);
	if (link) {
		jw_kv_str(&w, "link", link);
	} else {
		jw_kv_str(&w, "file", file);
		jw_kv_u64(&w, "size", size);
		jw_kv_str(&w, "digest", d->text);
	}
	jw_obj_end(&w);
	buf_addc(&b, '\n');
	return fs_write_all(RESULT_FD, b.p, b.n);
}

static int archive(const struct args *a, struct unpack_result *res, struct err *e)
{
	struct unpack_stage o = {
		.in = a->in, .ingest_fd = a->ingest_fd, .prefix = a->prefix, .fn = print_member};
	struct buf b = BUF_INIT(4096);
	struct jw w = JW_INIT(&b);
	struct decode *d = NULL;

	o.in.scratch_fd = a->ingest_fd;
	if (a->ingest_fd < 0 || !a->prefix)
		return err_set(e, ERR_INVALID, "archive needs --ingest-fd and --prefix");
	if (!a->no_confine && unpack_confine(a->ingest_fd, true, false, e) < 0)
		return err_wrap(e, "confine the unpacker");
	if (decode_start(&o.in, &d, e) < 0 || decode_verdict(d, unpack_stage(&o, res, e), e) < 0)
		return -1;
	jw_obj(&w);
	jw_kv_bool(&w, "done", true);
	jw_kv_u64(&w, "members", res->entries);
	jw_kv_u64(&w, "size", res->size);
	jw_obj_end(&w);
	print_line(&b);
	return 0;
}

static int tar(const struct args *a, struct unpack_result *res, struct err *e)
{
	struct buf b = BUF_INIT(4096);
	struct jw w = JW_INIT(&b);

	if (a->out_fd < 0)
		return err_set(e, ERR_INVALID, "tar needs --out-fd");
	if (!a->no_confine && unpack_confine(a->dir_fd, false, false, e) < 0)
		return err_wrap(e, "confine the packer");
	if (unpack_tar(a->in.fd, a->dir_fd, a->out_fd, res, e) < 0)
		return -1;
	jw_obj(&w);
	jw_kv_bool(&w, "done", true);
	jw_kv_u64(&w, "members", res->entries);
	jw_kv_u64(&w, "size", res->size);
	jw_obj_end(&w);
	print_line(&b);
	return 0;
}

static int pack(const struct args *a, struct unpack_result *res, struct err *e)
{
	const struct unpack_pack o = {.dir_fd = a->dir_fd,
				      .out_fd = a->out_fd,
				      .path = a->path,
				      .name = a->name,
				      .layer = a->layer};
	struct buf b = BUF_INIT(4096);
	struct jw w = JW_INIT(&b);

	if (a->out_fd < 0 || a->dir_fd < 0)
		return err_set(e, ERR_INVALID, "pack needs --dir-fd and --out-fd");
	if (!a->no_confine && unpack_confine(a->dir_fd, false, a->layer, e) < 0)
		return err_wrap(e, "confine the packer");
	if (unpack_pack(&o, res, e) < 0)
		return -1;
	jw_obj(&w);
	jw_kv_str(&w, "digest", res->digest.text);
	jw_kv_u64(&w, "size", res->size);
	jw_kv_u64(&w, "entries", res->entries);
	jw_obj_end(&w);
	print_line(&b);
	return 0;
}

static int compress(const struct args *a, struct unpack_result *res, struct err *e)
{
	struct unpack_compress o = {.in = a->in,
				    .out_fd = a->out_fd,
				    .compression = a->compression,
				    .level = (int)a->level,
				    .threads = (unsigned)a->threads,
				    .diff_id = a->diff_id};
	struct buf b = BUF_INIT(4096);
	struct jw w = JW_INIT(&b);

	o.in.scratch_fd = a->dir_fd;
	if (a->out_fd < 0 || (a->compression == UNPACK_GZIP && a->level > 9))
		return err_set(e, ERR_INVALID,
			       "compress needs --out-fd, and a --level up to 9 with gzip");
	if (!a->no_confine && unpack_confine(a->dir_fd, true, false, e) < 0)
		return err_wrap(e, "confine the compressor");
	if (unpack_compress(&o, res, e) < 0)
		return -1;
	if (a->in.sync && fsync(a->out_fd) < 0)
		return err_sys(e, -errno, "fsync");
	jw_obj(&w);
	jw_kv_str(&w, "digest", res->digest.text);
	jw_kv_u64(&w, "size", res->size);
	jw_kv_str(&w, "diffId", res->diff_id.text);
	jw_kv_u64(&w, "diffSize", res->diff_size);
	jw_obj_end(&w);
	print_line(&b);
	return 0;
}

/* Everything on the file system of --dir-fd on the disk. */
static int sync_all(const struct args *a, struct err *e)
{
	static const char done[] = "{\"done\":true}\n";

	if (a->dir_fd < 0)
		return err_set(e, ERR_INVALID, "sync needs --dir-fd");
	if (!a->no_confine && unpack_confine(FD_NONE, false, false, e) < 0)
		return err_wrap(e, "confine the worker");
	if (syncfs(a->dir_fd) < 0)
		return err_sys(e, -errno, "sync the file system");
	return fs_write_all(RESULT_FD, done, sizeof(done) - 1);
}

static void print_error(const struct err *e, const char *entry)
{
	struct buf b = BUF_INIT(64 * 1024);
	struct jw w = JW_INIT(&b);

	jw_obj(&w);
	jw_kv_str(&w, "kind", err_kind_name(e->kind));
	jw_kv_str(&w, "error", e->text);
	if (*entry)
		jw_kv_str(&w, "entry", entry);
	jw_obj_end(&w);
	print_line(&b);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	struct unpack_result res = {.size = 0};
	struct err e = ERR_INIT;
	struct args a;
	int rc;

	if (parse(argc - (argc > 1), argv + (argc > 1), &a, &e) < 0)
		rc = -1;
	else if (!strcmp(mode, "apply"))
		rc = apply(&a, &res, &e);
	else if (!strcmp(mode, "archive"))
		rc = archive(&a, &res, &e);
	else if (!strcmp(mode, "tar"))
		rc = tar(&a, &res, &e);
	else if (!strcmp(mode, "pack"))
		rc = pack(&a, &res, &e);
	else if (!strcmp(mode, "compress"))
		rc = compress(&a, &res, &e);
	else if (!strcmp(mode, "sync"))
		rc = sync_all(&a, &e);
	else if (!strcmp(mode, "check"))
		rc = check(&a, &e);
	else
		rc = err_set(&e, ERR_INVALID,
			     "unknown mode \"%s\" (apply, archive, tar, pack, check, sync)", mode);
	if (rc < 0)
		print_error(&e, res.entry);
	/* Nothing is buffered; exit handlers would only meet the sandbox. */
	_exit(rc < 0 ? 1 : 0);
}
