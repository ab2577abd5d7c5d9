/* SPDX-License-Identifier: Apache-2.0 */
/* Names and ids of containers: the rule, and made-up ones in the shape users know (quality_person).
 */
#include "engine/engine-priv.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/banned.h"

static const char *const qualities[] = {
	"able",	   "agile",   "airy",	 "alert",   "amber",   "ample",	 "apt",	   "azure",
	"blithe",  "bold",    "brave",	 "breezy",  "bright",  "brisk",	 "calm",   "candid",
	"careful", "cheery",  "civil",	 "clear",   "clever",  "cosy",	 "crisp",  "curious",
	"daring",  "deft",    "eager",	 "earnest", "easy",    "exact",	 "fair",   "fearless",
	"fleet",   "fond",    "frank",	 "fresh",   "gentle",  "glad",	 "golden", "handy",
	"happy",   "hardy",   "honest",	 "jolly",   "keen",    "kind",	 "lively", "loyal",
	"lucid",   "lucky",   "mellow",	 "merry",   "mindful", "modest", "neat",   "nimble",
	"noble",   "patient", "placid",	 "plucky",  "polite",  "proud",	 "quick",  "quiet",
	"rapid",   "ready",   "rustic",	 "serene",  "sharp",   "silent", "silver", "sincere",
	"smart",   "snappy",  "sober",	 "solid",   "spry",    "steady", "sunny",  "swift",
	"tidy",	   "upbeat",  "valiant", "vivid",   "warm",    "wise",	 "witty",  "zealous",
};
static const char *const people[] = {
	"abel",		"agnesi",     "ampere",	   "avogadro",	  "babbage",	 "banach",
	"bernoulli",	"bessel",     "bohr",	   "boole",	  "brahe",	 "cantor",
	"carson",	"cauchy",     "cavendish", "celsius",	  "chandra",	 "church",
	"copernicus",	"coulomb",    "curie",	   "dalton",	  "darwin",	 "dirac",
	"doppler",	"eddington",  "einstein",  "erdos",	  "euclid",	 "euler",
	"faraday",	"fermat",     "fermi",	   "feynman",	  "fourier",	 "franklin",
	"galileo",	"galois",     "gauss",	   "germain",	  "godel",	 "goodall",
	"gray",		"halley",     "hamilton",  "herschel",	  "hertz",	 "hilbert",
	"hooke",	"hopper",     "hubble",	   "huygens",	  "hypatia",	 "jacobi",
	"joule",	"kelvin",     "kepler",	   "khayyam",	  "kirchhoff",	 "klein",
	"kovalevskaya", "lagrange",   "lamarr",	   "laplace",	  "leavitt",	 "leibniz",
	"linnaeus",	"lise",	      "lovelace",  "lyell",	  "mach",	 "maxwell",
	"mendel",	"mirzakhani", "napier",	   "newton",	  "nightingale", "noether",
	"ohm",		"pascal",     "pasteur",   "pauli",	  "payne",	 "planck",
	"poincare",	"ptolemy",    "raman",	   "ramanujan",	  "riemann",	 "ritchie",
	"rutherford",	"sagan",      "shannon",   "sommerville", "tesla",	 "thales",
	"turing",	"volta",      "watt",	   "weyl",	  "wiener",	 "wu",
	"yalow",
};

/* At most 256: so much comes whole or, before the machine's first entropy, not for a signal. */
static void random_bytes(void *p, size_t n)
{
	ssize_t got;

	do
		got = getrandom(p, n, 0);
	while (got < 0 && errno == EINTR);
	ASSERT(got == (ssize_t)n);
}

static uint64_t random_u64(void)
{
	uint64_t r;

	random_bytes(&r, sizeof(r));
	return r;
}

bool name_is_valid(const char *name)
{
	size_t n = strlen(name);

	if (n < 2 || n > 255 || !isalnum((unsigned char)name[0]))
		return false;
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("_.-", *p))
			return false;
	return true;
}

void name_random(char *ret, size_t n)
{
	uint64_t r = random_u64();

	snprintf(ret, n, "%s_%s", qualities[r % ARRAY_SIZE(qualities)],
		 people[(r >> 32) % ARRAY_SIZE(people)]);
}

void id_random(char ret[static ENGINE_ID_MAX])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char raw[32];
	bool digits_only;

	do {
		random_bytes(raw, sizeof(raw));
		digits_only = true;
		for (size_t i = 0; i < sizeof(raw); i++) {
			ret[2 * i] = hex[raw[i] >> 4];
			ret[2 * i + 1] = hex[raw[i] & 15];
			/* A short id must not read as a number (it is the hostname too). */
			if (i < 6 && (ret[2 * i] > '9' || ret[2 * i + 1] > '9'))
				digits_only = false;
		}
	} while (digits_only);
	ret[64] = '\0';
}
