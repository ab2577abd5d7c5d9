# SPDX-License-Identifier: Apache-2.0
"""Turns the raw lines of bench/pull.sh ("what who seconds cpu-seconds") into medians and ratios.
usage: table.py RAW NOTES > table; NOTES holds "key value" lines for the second table"""
import statistics
import sys

runs = {}
for line in open(sys.argv[1]):
    what, who, wall, cpu = line.split()
    runs.setdefault(what, {}).setdefault(who, []).append((float(wall), float(cpu)))

print('| what | who | median s | min-max s | CPU s | to floor | to coracle |')
print('|---|---|---|---|---|---|---|')
for what, by in runs.items():
    mid = {who: statistics.median(r[0] for r in rs) for who, rs in by.items()}
    for who, rs in by.items():
        walls = [r[0] for r in rs]
        print('| %s | %s | %.2f | %.2f-%.2f | %.2f | %s | %s |' % (
            what, who, mid[who], min(walls), max(walls), statistics.median(r[1] for r in rs),
            '%.2f' % (mid[who] / mid['floor']) if 'floor' in mid else '',
            '%.2f' % (mid[who] / mid['coracle']) if 'coracle' in mid else ''))
print()
print('| what | measured | aim |')
print('|---|---|---|')
for line in open(sys.argv[2]):
    key, value, aim = (line.rstrip('\n').split('|') + [''])[:3]
    print('| %s | %s | %s |' % (key, value, aim))
