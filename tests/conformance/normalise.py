# SPDX-License-Identifier: Apache-2.0
"""What may differ from one run to the next is replaced by its name: ids, times, sizes, places."""
import json
import re

RULES = [
    (r'\x1b\[[0-9;?]*[A-Za-z]', ''),
    (r'\r', ''),
    (r'sha256:[0-9a-f]{64}', '<DIGEST>'),
    (r'\b[0-9a-f]{64}\b', '<ID>'),
    (r'\bsha256:[0-9a-f]{12}\b', '<digest>'),
    (r'\b[0-9a-f]{12}\b', '<id>'),
    (r'\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|[+-]\d\d:?\d\d))?( UTC)?', '<TIME>'),
    (r'\b(About an? (minute|hour)|Less than a second|\d+ (second|minute|hour|day|week|month|year)s?)( ago)?\b', '<AGO>'),
    (r'<AGO> ago', '<AGO>'),
    (r'(Processes\[\d+\]\[\d+\]) = "\d+"', r'\1 = "<N>"'),
    # The same texts in later versions of Docker begin small.
    (r'(daemon: |: |\.message = ")([A-Z])(?=[a-z])', lambda m: m[1] + m[2].lower()),
    (r'registry-1\.docker\.io.*', '<REGISTRY>'),
    (r'/proc/\d+/ns/net\b', '<NETNS>'),
    (r'\b\d+(\.\d+)? ?([kKMGT]i?)?B\b', '<SIZE>'),
    (r'\b\d+\.\d+%', '<PERCENT>'),
    (r'/tmp/[A-Za-z0-9._-]*case\.[A-Za-z0-9_]+', '<WORK>'),
]


def flatten(value, path, out):
    """One line per leaf of a JSON document, so that a difference names the field."""
    if isinstance(value, dict) and value:
        for k in sorted(value):
            flatten(value[k], path + '.' + k, out)
    elif isinstance(value, list) and value:
        for i, v in enumerate(value):
            flatten(v, '%s[%d]' % (path, i), out)
    else:
        out.append('%s = %s' % (path or '.', json.dumps(value)))


def json_lines(text):
    """Flattened JSON documents; None when the text is something else."""
    decoder, at, out = json.JSONDecoder(), 0, []
    text = text.strip()
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            if not isinstance(value, (dict, list)):
                return None
            flatten(value, '', out)
            while at < len(text) and text[at].isspace():
                at += 1
    except ValueError:
        return None
    return out


# Fields whose number is a measurement, or belongs to this process or machine.
NUMBERS = re.compile(r'\.(Pid|pid|Pids|Size|SizeRw|SizeRootFs|VirtualSize|SharedSize|LayersSize|SpaceReclaimed|timeNano|time|Created|'
                     r'CreatedAt|usage|max_usage|total_usage|usage_in_\w+|system_cpu_usage|online_cpus|limit|value|current|NCPU|MemTotal|NFd|'
                     r'NGoroutines|Images|exitDuration|execDuration|StartedAt|percpu_usage\[\d+\]|stats\.\w+) = -?\d+$')


def normalise(text, roots):
    for root in roots:
        text = re.sub(re.escape(root) + r'/case\.[a-z0-9_]+', '<WORK>', text)
    for root in roots:
        text = text.replace(root, '<ROOT>')
    lines = []
    for block in re.split(r'(?m)^(?=[=!] )', text):
        if block[:2] in ('= ', '! '):
            lines += block.rstrip('\n').split('\n')
            continue
        found = json_lines(block) if block.lstrip()[:1] in ('{', '[') else None
        lines += block.rstrip('\n').split('\n') if found is None else found
    out = []
    for line in lines:
        for pattern, name in RULES:
            line = re.sub(pattern, name, line)
        line = NUMBERS.sub(r'.\1 = <N>', line)
        # Columns are as wide as their longest word, which was just replaced.
        line = re.sub(r'(?<=\S)( {2,}|\t+)', '  ', line).rstrip()
        # Left out: what Docker's client says only when it loses a race, and the kernel's own list: each has another.
        if line.endswith('msg="error waiting for container: context canceled"'):
            continue
        if line and not line.startswith('.memory_stats.stats.'):
            out.append(line)
    return '\n'.join(out)
