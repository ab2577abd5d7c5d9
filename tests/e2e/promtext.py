#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A strict reader of Prometheus' text format 0.0.4 on standard input: fails on what a scraper would
refuse (no TYPE, samples of a name apart, a series twice, histogram out of order), prints the samples."""
import re
import sys

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
SAMPLE = re.compile(rf'^({NAME})(?:\{{(.*)\}})? (\S+)$')
LABEL = re.compile(rf'({NAME})="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)')
types, seen, current, closed, buckets = {}, set(), None, set(), {}
text = sys.stdin.read()
assert text.endswith('\n'), 'no newline at the end'
for line in text.splitlines():
    if line.startswith('# '):
        kind, name, rest = line[2:].split(' ', 2)
        assert kind in ('HELP', 'TYPE'), line
        if kind == 'TYPE':
            assert rest in ('counter', 'gauge', 'histogram') and name not in types, line
            types[name] = rest
            closed.add(current)
            current = name
        continue
    m = SAMPLE.match(line)
    assert m, line
    name, labels, value = m.group(1), m.group(2) or '', float(m.group(3))
    base = re.sub('_(bucket|sum|count)$', '', name) if types.get(current) == 'histogram' else name
    assert base == current and base not in closed, f'{line}: not behind its TYPE'
    pairs, at = {}, 0
    while at < len(labels):
        p = LABEL.match(labels, at)
        assert p and p.group(1) not in pairs, line
        pairs[p.group(1)] = p.group(2)
        at = p.end()
    key = (name, tuple(sorted(pairs.items())))
    assert key not in seen, f'{line}: twice'
    seen.add(key)
    if types[current] == 'counter':
        assert name.endswith('_total') and value >= 0, line
    if name.endswith('_bucket'):
        rest = tuple(sorted((k, v) for k, v in pairs.items() if k != 'le'))
        last = buckets.get(rest, (-1.0, 0.0))
        assert float(pairs['le']) > last[0] and value >= last[1], f'{line}: bucket out of order'
        buckets[rest] = (float(pairs['le']), value)
    if name.endswith('_count') and types[current] == 'histogram':
        assert buckets[tuple(sorted(pairs.items()))] == (float('inf'), value), line
    print(line)
