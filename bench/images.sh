#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Lists and questions in a store of many images: time from the command to its answer, memory of the engine.
# usage: bench/images.sh BUILD [IMAGES=1000] [RUNS=40]
set -euo pipefail
bin=$(cd "$1" && pwd)
[ -x "$bin/coracle" ] || bin=$bin/src/main
count=${2:-1000} runs=${3:-40}
home=$(mktemp -d "${TMPDIR:-/dev/shm}/coracle-images.XXXXXX")
export CORACLE_HOME=$home
"$bin/coracled" </dev/null >"$home/log" 2>&1 &
pid=$!
finish() {
	kill "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	rm -rf "$home"
}
trap finish EXIT
for _ in $(seq 100); do [ -S "$home/run/coracle.sock" ] && break; sleep 0.05; done
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$pid/status"; }
empty=$(rss)

# A docker-archive of small images with configurations of a usual length: a layer of its own each, on a shared one.
python3 - "$count" "$home/all.tar" <<'END'
import hashlib, io, json, sys, tarfile
count, path = int(sys.argv[1]), sys.argv[2]
def layer(name, data):
    b = io.BytesIO()
    with tarfile.open(fileobj=b, mode='w') as t:
        i = tarfile.TarInfo(name); i.size = len(data); t.addfile(i, io.BytesIO(data))
    return b.getvalue()
def add(t, name, data):
    i = tarfile.TarInfo(name); i.size = len(data); t.addfile(i, io.BytesIO(data))
base, entries = layer('base', b'x' * 4096), []
with tarfile.open(path, 'w') as t:
    add(t, 'base.tar', base)
    for n in range(count):
        own = layer('own', b'%d' % n)
        config = {'architecture': 'amd64', 'os': 'linux', 'created': '2024-01-%02dT00:00:%02dZ' % (n % 28 + 1, n % 60),
                  'config': {'Env': ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'N=%d' % n], 'Cmd': ['sh'],
                             'Labels': {'org.opencontainers.image.title': 'image %d' % n, 'maintainer': 'somebody'}},
                  'history': [{'created': '2024-01-01T00:00:00Z', 'created_by': 'step %d of a build file' % k, 'empty_layer': k > 1} for k in range(12)],
                  'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + hashlib.sha256(x).hexdigest() for x in (base, own)]}}
        add(t, 'l%d.tar' % n, own)
        add(t, 'c%d.json' % n, json.dumps(config).encode())
        entries.append({'Config': 'c%d.json' % n, 'RepoTags': ['team/app%d:v%d' % (n // 4, n % 4)], 'Layers': ['base.tar', 'l%d.tar' % n]})
    add(t, 'manifest.json', json.dumps(entries).encode())
END
"$bin/coracle" load -q -i "$home/all.tar" >/dev/null
rm "$home/all.tar"
loaded=$(rss)

python3 - "$bin/coracle" "$runs" "$home/run/coracle.sock" "$count" <<'END'
import socket, statistics, subprocess, sys, time
cli, runs, sock, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
def command(*args):
    t = time.perf_counter(); subprocess.run([cli, *args], stdout=subprocess.DEVNULL, check=True); return time.perf_counter() - t
def answer(path):
    t = time.perf_counter()
    s = socket.socket(socket.AF_UNIX); s.connect(sock)
    s.sendall(('GET %s HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n' % path).encode())
    n = 0
    while (b := s.recv(1 << 20)): n += len(b)
    s.close()
    return time.perf_counter() - t
rows = [('coracle images', lambda: command('images')), ('coracle images -q', lambda: command('images', '-q')),
        ('coracle images team/app7', lambda: command('images', 'team/app7')),
        ('coracle image inspect', lambda: command('image', 'inspect', 'team/app7:v1')),
        ('coracle system df', lambda: command('system', 'df')), ('coracle version', lambda: command('version')),
        ('GET /images/json', lambda: answer('/images/json')), ('GET /images/X/json', lambda: answer('/images/team/app7:v1/json')),
        ('GET /system/df', lambda: answer('/system/df'))]
print('| %d images | best ms | median ms | p90 ms |\n|---|---|---|---|' % count)
for name, fn in rows:
    fn()
    v = sorted(fn() * 1000 for _ in range(runs))
    print('| %s | %.2f | %.2f | %.2f |' % (name, v[0], statistics.median(v), v[int(len(v) * 0.9)]))
END
echo
echo "engine: $empty kB resident when empty, $loaded kB after the load, $(rss) kB after the questions"
