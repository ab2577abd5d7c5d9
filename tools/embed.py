#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# embed.py INPUT OUTPUT SYMBOL: a file as a C array with a NUL behind it (the NUL is not counted in SYMBOL_size).
import sys

data = open(sys.argv[1], "rb").read()
with open(sys.argv[2], "w") as out:
    out.write("/* generated from %s */\n" % sys.argv[1].split("/")[-1])
    out.write("static const unsigned char %s[] = {\n" % sys.argv[3])
    for i in range(0, len(data), 24):
        out.write("".join("%d," % b for b in data[i : i + 24]) + "\n")
    out.write("0};\nenum { %s_size = %d };\n" % (sys.argv[3], len(data)))
