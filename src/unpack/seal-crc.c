/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-64/XZ: ISA-L's with carry-less multiplication (more than 10 GB/s), or a table of our own. */
#include "unpack/seal-priv.h"

#ifdef HAVE_ISAL
#include <isa-l/crc64.h>
#endif

#include "base/banned.h"

#ifdef HAVE_ISAL

uint64_t seal_crc(uint64_t crc, const void *p, size_t n)
{
	return crc64_ecma_refl(crc, p, n);
}

#else

#define POLYNOMIAL 0xc96c5795d7870f42ull

uint64_t seal_crc(uint64_t crc, const void *p, size_t n)
{
	static uint64_t table[256];
	const unsigned char *b = p;

	if (!table[1])
		for (unsigned i = 0; i < 256; i++) {
			uint64_t v = i;

			for (int k = 0; k < 8; k++)
				v = v >> 1 ^ (v & 1 ? POLYNOMIAL : 0);
			table[i] = v;
		}
	crc = ~crc;
	for (size_t i = 0; i < n; i++)
		crc = table[(crc ^ b[i]) & 0xff] ^ crc >> 8;
	return ~crc;
}

#endif
