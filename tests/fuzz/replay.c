/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target without a fuzzer: every file of the corpus folder as it is, then some hundred
 * mutations of each from a fixed seed, so that a plain `meson test` (and above all a sanitizer
 * build) exercises the decoders. REPLAY_MUTATIONS changes the number. Prints TAP, one line per
 * file.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* One to four small changes: flipped, set, doubled, removed or cut bytes. */
static size_t mutate(uint8_t *p, size_t n, size_t max)
{
	static const uint8_t favourites[] = {0,	  1,	0x7f, 0x80, 0xff, '"', '{',
					     '[', '\\', '/',  '.',  '\n', '9', '-'};

	for (uint64_t changes = 1 + next_random() % 4; changes && n; changes--) {
		size_t at = (size_t)(next_random() % n);
		size_t len = (size_t)(next_random() % 16) + 1;

		switch (next_random() % 5) {
		case 0:
			p[at] ^= (uint8_t)(1u << (next_random() % 8));
			break;
		case 1:
			p[at] = favourites[next_random() % sizeof favourites];
			break;
		case 2:
			if (len > n - at)
				len = n - at;
			if (n + len <= max) {
				memmove(p + at + len, p + at, n - at);
				n += len;
			}
			break;
		case 3:
			if (len > n - at)
				len = n - at;
			memmove(p + at, p + at + len, n - at - len);
			n -= len;
			break;
		default:
			if (next_random() % 8 == 0)
				n = at;
			break;
		}
	}
	return n;
}

/* Runs one input in a block of exactly its size, so that a sanitizer sees the first byte too many.
 */
static void run_exact(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	if (!copy)
		abort();
	memcpy(copy, p, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static int run_file(const char *path, long mutations)
{
	static uint8_t original[1 << 20], changed[(1 << 20) + 64];
	FILE *f = fopen(path, "re");

	if (!f)
		return -errno;
	size_t n = fread(original, 1, sizeof original, f);
	fclose(f);
	run_exact(original, n);
	for (long i = 0; i < mutations; i++) {
		memcpy(changed, original, n);
		run_exact(changed, mutate(changed, n, sizeof changed));
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *text = secure_getenv("REPLAY_MUTATIONS");
	long mutations = 300;
	int count = 0, failed = 0;

	if (text && *text >= '0' && *text <= '9')
		mutations = (*text - '0') * 1000L;
	if (argc != 2)
		return 2;
	DIR *d = opendir(argv[1]);
	if (!d) {
		perror(argv[1]);
		return 1;
	}
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		char path[PATH_MAX];

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
		int rc = run_file(path, mutations);
		printf("%s %d - %s\n", rc < 0 ? "not ok" : "ok", ++count, e->d_name);
		failed |= rc < 0;
	}
	closedir(d);
	printf("1..%d\n", count);
	return failed || !count;
}
