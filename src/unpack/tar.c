/* SPDX-License-Identifier: Apache-2.0 */
/* docker save: a tar made of members given as JSON lines; contents inline or from files below one
 * directory. */
#include "unpack/sink-priv.h"

#include "base/buf.h"
#include "base/json.h"
#include "sys/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

#define LINE_MAX_BYTES (32u << 20) /* an inline manifest or configuration */
#define READ_STEP      (64 * 1024)

static int64_t number_or(const struct json *line, const char *key, int64_t otherwise)
{
	const struct json *v = json_get(line, key);

	return json_kind_of(v) == JSON_INT ? json_i64(v) : otherwise;
}

static int write_file(struct sink *k, const struct json *line, int dir_fd, const char *file,
		      struct err *e)
{
	struct stat st;
	AUTO_FD int fd = fs_open_beneath(dir_fd, file, O_RDONLY, 0);

	if (fd < 0)
		return err_sys(e, fd, "open \"%s\"", file);
	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "stat \"%s\"", file);
	if (!S_ISREG(st.st_mode) || number_or(line, "size", st.st_size) != st.st_size)
		return err_set(e, ERR_INVALID, "\"%s\" has not the size it should have", file);
	archive_entry_set_size(k->entry, st.st_size);
	if (sink_header(k, e) < 0)
		return -1;
	return sink_copy(k, fd, (uint64_t)st.st_size, e);
}

static int write_member(struct sink *k, const struct json *line, int dir_fd, struct err *e)
{
	const char *name = json_str(json_get(line, "name")),
		   *file = json_str(json_get(line, "file"));
	const char *text = json_str(json_get(line, "text")),
		   *link = json_str(json_get(line, "link"));
	bool dir = json_bool(json_get(line, "dir"));

	if (!name || !*name || (!!file + !!text + !!link + dir) != 1)
		return err_set(e, ERR_INVALID,
			       "a member needs a name and one of file, text, link, dir");
	archive_entry_clear(k->entry);
	archive_entry_set_pathname(k->entry, name);
	archive_entry_set_filetype(k->entry, dir ? AE_IFDIR : link ? AE_IFLNK : AE_IFREG);
	archive_entry_set_perm(k->entry, (unsigned)number_or(line, "mode",
							     dir    ? 0755
							     : link ? 0777
								    : 0644) &
						 07777);
	archive_entry_set_mtime(k->entry, number_or(line, "mtime", 0), 0);
	archive_entry_set_uid(k->entry, 0);
	archive_entry_set_gid(k->entry, 0);
	archive_entry_set_size(k->entry, text ? (int64_t)strlen(text) : 0);
	if (link)
		archive_entry_set_symlink(k->entry, link);
	if (file)
		return write_file(k, line, dir_fd, file, e);
	if (sink_header(k, e) < 0)
		return -1;
	return text ? sink_data(k, text, strlen(text), e) : 0;
}

static int one_line(struct sink *k, const char *p, size_t n, int dir_fd, struct unpack_result *ret,
		    struct err *e)
{
	AUTO(json) struct json *line = NULL;

	if (!n)
		return 0;
	if (json_parse(p, n, &line, e) < 0)
		return err_wrap(e, "member list");
	if (write_member(k, line, dir_fd, e) < 0) {
		const char *name = json_str(json_get(line, "name"));

		snprintf(ret->entry, sizeof(ret->entry), "%.*s", UNPACK_ENTRY_MAX - 1,
			 name ? name : "");
		return -1;
	}
	ret->entries++;
	return 0;
}

static int all_lines(struct sink *k, int list_fd, int dir_fd, struct unpack_result *ret,
		     struct err *e)
{
	AUTO_BUF struct buf b = BUF_INIT(LINE_MAX_BYTES);

	for (;;) {
		char *room = buf_room(&b, READ_STEP), *end;
		ssize_t n;

		if (!room)
			return err_set(e, ERR_LIMIT, "member list: a line of more than %u bytes",
				       LINE_MAX_BYTES);
		n = read(list_fd, room, READ_STEP);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, -errno, "read the member list");
		if (n == 0)
			return one_line(k, buf_text(&b), b.n, dir_fd, ret, e);
		b.n += (size_t)n;
		while (b.n && (end = memchr(b.p, '\n', b.n))) {
			size_t len = (size_t)(end - b.p);

			if (one_line(k, b.p, len, dir_fd, ret, e) < 0)
				return -1;
			buf_drop(&b, len + 1);
		}
	}
}

int unpack_tar(int list_fd, int dir_fd, int out_fd, struct unpack_result *ret, struct err *e)
{
	struct sink k;
	int rc;

	*ret = (struct unpack_result){.size = 0};
	rc = sink_init(&k, out_fd, true, e);
	rc = rc ? rc : all_lines(&k, list_fd, dir_fd, ret, e);
	rc = rc ? rc : sink_finish(&k, ret, e);
	sink_done(&k);
	return rc;
}
