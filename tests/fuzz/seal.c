/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: the seal of a layer. The checksum at its end would stop nearly every mutation, so
 * each input is read as it is and once more with the checksum put right. */
#include "unpack/seal-priv.h"

#include "base/mem.h"
#include "sys/fs.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/banned.h"

#define HEAD 8 /* "CORSEAL1" */
#define SUM  8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int look(void *ud, const struct seal_record *r, struct err *e)
{
	size_t *n = ud;

	(void)e;
	ASSERT(r->name && strlen(r->name) < WRITER_PATH_MAX);
	ASSERT((r->kind == SEAL_LINK) == (r->link != NULL));
	(*n)++;
	return 0;
}

static void once(const uint8_t *data, size_t size)
{
	AUTO_FD int fd = memfd_create("seal", MFD_CLOEXEC);
	struct err e = ERR_INIT;
	size_t n = 0;

	if (fd < 0 || fs_write_all(fd, data, size) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	int rc = seal_read(fd, look, &n, &e);
	ASSERT(rc == 0 || (e.kind == ERR_INVALID && !n)); /* nothing of a damaged one is used */
}

/* The end record with a count below 128 is 11 bytes: kind, flags, count, checksum. */
static void set_sum(uint8_t *p, size_t size)
{
	size_t end = size - SUM - 3;
	uint64_t crc = seal_crc(0, p, end);

	p[end] = SEAL_END;
	p[end + 1] = 0;
	for (int i = 0; i < SUM; i++)
		p[end + 3 + (size_t)i] = (uint8_t)(crc >> (8 * i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	once(data, size);
	if (size < HEAD + SUM + 3)
		return 0;
	AUTO_FREE uint8_t *p = xmalloc(size);
	memcpy(p, data, size);
	memcpy(p, "CORSEAL1", HEAD);
	set_sum(p, size);
	once(p, size);
	return 0;
}
