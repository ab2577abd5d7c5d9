# SPDX-License-Identifier: Apache-2.0
"""Samples the memory of all processes of this pid namespace whose name matches, until it is told to end.
usage: peak.py NAME-REGEX WORKER-REGEX OUTPUT     SIGTERM ends it; then OUTPUT gets "sum-of-PSS worker-peak-RSS" in KB"""
import os
import re
import signal
import sys
import time

want, worker = re.compile(sys.argv[1]), re.compile(sys.argv[2])
total = single = 0
going = True


def stop(*_):
    global going
    going = False


signal.signal(signal.SIGTERM, stop)
while going:
    now = 0
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/comm' % pid) as f:
                name = f.read().strip()
            if not want.fullmatch(name):
                continue
            with open('/proc/%s/smaps_rollup' % pid) as f:
                now += int(re.search(r'^Pss: +(\d+)', f.read(), re.M).group(1))
            if worker.fullmatch(name):
                with open('/proc/%s/status' % pid) as f:
                    single = max(single, int(re.search(r'^VmHWM:\s+(\d+)', f.read(), re.M).group(1)))
        except (OSError, AttributeError):
            continue
    total = max(total, now)
    time.sleep(0.02)
with open(sys.argv[3], 'w') as f:
    f.write('%d %d\n' % (total, single))
