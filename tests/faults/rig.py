# SPDX-License-Identifier: Apache-2.0
"""What the fault tests share: an engine in a home of its own that can be killed and started again at any
moment, a witness container that must live through everything, and a list of all that could be left behind.

BIN is the folder of the programs, CORACLE_FAULTS_HOME the folder (a tmpfs) below which homes are made.
"""
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get('BIN') or os.path.join(TOP, 'build/src/main')
ID = re.compile(r'[0-9a-f]{64}')
# The witness writes a number that grows; a file of its own proves that its mounts are still there.
WITNESS = 'echo up >/own; n=0; while :; do n=$((n+1)); echo $n >/alive; sleep 0.1; done'


class Broken(Exception):
    """Something that must hold does not."""


class UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path, timeout=20):
        super().__init__('d', timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def wait_for(seconds, what, text):
    """Waits until what() is true; its last exception or the text says why it did not come."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise Broken(text() if callable(text) else text)
        time.sleep(0.01)


def pids():
    return [p for p in os.listdir('/proc') if p.isdigit()]


def read(path, default=''):
    try:
        with open(path, 'rb') as f:
            return f.read().decode('utf-8', 'replace')
    except OSError:
        return default


class Rig:
    def __init__(self, name, witness=True):
        base = os.environ.get('CORACLE_FAULTS_HOME') or os.environ.get('E2E_TMP') or '/dev/shm'
        self.home = tempfile.mkdtemp(prefix='coracle-%s-' % name, dir=base)
        self.sock = self.home + '/run/coracle.sock'
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(('CORACLE_', 'DOCKER_'))}
        self.env['CORACLE_HOME'] = self.home
        # With an address of its own the command line does not start an engine in the place of a killed one.
        self.env['CORACLE_HOST'] = 'unix://' + self.sock
        self.ids = set()
        self.engine = None
        self.log = open(self.home + '/engine.log', 'ab')
        self.witness = None
        self.start()
        if witness:
            self.must('run', '-d', '--name', 'witness', '-v', 'kept:/kept', 'default', 'sh', '-c', WITNESS)
            self.witness = self.call('GET', '/containers/witness/json')['Id']
            self.witness_pid = self.call('GET', '/containers/witness/json')['State']['Pid']
            wait_for(5, lambda: self.alive() is not None, 'the witness does not begin')

    # ---- the engine ----

    def start(self, *wrap):
        self.engine = subprocess.Popen([*wrap, BIN + '/coracled'], stdin=subprocess.DEVNULL, stdout=self.log,
                                       stderr=self.log, env=self.env)
        wait_for(15, self.ping, lambda: 'the engine does not answer; its last words:\n' + self.last_words())

    def ping(self):
        try:
            c = UnixHTTP(self.sock, 5)
            c.request('GET', '/_ping')
            return c.getresponse().read() == b'OK'
        except OSError:
            return False
        except http.client.HTTPException:
            return False

    def running(self):
        return self.engine is not None and self.engine.poll() is None

    def kill(self, sig=signal.SIGKILL):
        self.note()
        if self.running():
            self.engine.send_signal(sig)
        rc = self.engine.wait(20)
        self.note()
        return rc

    def restart(self, sig=signal.SIGTERM):
        rc = self.kill(sig)
        self.start()
        return rc

    def last_words(self, lines=12):
        return '\n'.join(read(self.home + '/engine.log').splitlines()[-lines:])

    # ---- clients ----

    def cli(self, *args, stdin=subprocess.DEVNULL, **kw):
        return subprocess.Popen([BIN + '/coracle', *args], stdin=stdin, stdout=kw.pop('stdout', subprocess.PIPE),
                                stderr=kw.pop('stderr', subprocess.PIPE), env=self.env, **kw)

    def do(self, *args, timeout=20):
        """Runs a command: (exit code, output, error text)."""
        p = self.cli(*args)
        try:
            out, err = p.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            p.kill()
            p.communicate()
            raise Broken('"coracle %s" does not end within %d s' % (' '.join(args), timeout))
        return p.returncode, out.decode('utf-8', 'replace'), err.decode('utf-8', 'replace')

    def must(self, *args):
        rc, out, err = self.do(*args)
        if rc != 0:
            raise Broken('"coracle %s" failed with %d: %s' % (' '.join(args), rc, err.strip()))
        return out.strip()

    def call(self, method, path, body=None, ok=(200, 201, 204, 304)):
        c = UnixHTTP(self.sock)
        c.request(method, '/v1.45' + path, body=None if body is None else json.dumps(body),
                  headers={'Content-Type': 'application/json'})
        r = c.getresponse()
        data = r.read()
        c.close()
        if r.status not in ok:
            raise Broken('%s %s: %d %s' % (method, path, r.status, data[:300]))
        return json.loads(data) if data[:1] in (b'{', b'[') else data

    # ---- what is there ----

    def processes(self):
        """Our programs of this home: {pid: name}."""
        mark, found = self.home.encode(), {}
        for p in pids():
            name = read('/proc/%s/comm' % p).strip()
            if name not in ('coracled', 'coracle-shim', 'coracle-unpack', 'coracle-tls', 'coracle-init'):
                continue
            try:
                with open('/proc/%s/cmdline' % p, 'rb') as f, open('/proc/%s/environ' % p, 'rb') as g:
                    if mark in f.read() or mark in g.read():
                        found[int(p)] = name
            except OSError:
                pass
        return found

    def workers(self):
        """The engine's children that are neither shims nor itself."""
        e = self.engine.pid
        kids = read('/proc/%d/task/%d/children' % (e, e)).split()
        return [int(k) for k in kids if read('/proc/%s/comm' % k).strip() not in ('coracle-shim', '')]

    def shims(self):
        found = {}
        for p, name in self.processes().items():
            if name == 'coracle-shim':
                m = ID.search(read('/proc/%d/cmdline' % p))
                found[p] = m.group(0) if m else ''
        return found

    def note(self):
        """Remembers the ids that are there now: their cgroups are looked for later."""
        for d in ('run/containers', 'data/containers'):
            try:
                self.ids.update(n for n in os.listdir(self.home + '/' + d) if len(n) == 64)
            except OSError:
                pass

    def fds(self):
        return len(os.listdir('/proc/%d/fd' % self.engine.pid))

    def memory(self):
        """The engine's own memory in kB. Not Pss: that grows when another program that shares a library ends."""
        m = re.search(r'^Anonymous: *(\d+)', read('/proc/%d/smaps_rollup' % self.engine.pid), re.M)
        return int(m.group(1)) if m else 0

    def alive(self):
        """The witness' counter as its own root shows it; None when it is not there."""
        text = read('/proc/%d/root/alive' % self.witness_pid)
        return int(text) if text.strip() else None

    def paths(self):
        """Every path of the home that no container owns: two levels, and what is in the folders of objects."""
        found = set()
        skip = ('/engine.log', '-wal', '-shm', '-journal', '.partial')
        for root, dirs, files in os.walk(self.home):
            rel = root[len(self.home):]
            if rel.count('/') >= 3:
                dirs[:] = []
                continue
            for n in dirs + files:
                path = rel + '/' + n
                if not path.endswith(skip) and '/events.json' not in path and not path.startswith('/run/seccomp/'):
                    found.add(path)
        return found

    def leaks(self, keep=()):
        """What is left that should not be, one text each."""
        left = []
        self.note()
        keep = set(keep) | ({self.witness} if self.witness else set())
        for d in ('run/containers', 'data/containers'):
            left += ['%s/%s' % (d, n) for n in os.listdir(self.home + '/' + d) if n not in keep]
        for n in os.listdir(self.home + '/data/trash'):
            left.append('data/trash/' + n)
        for n in os.listdir(self.home + '/data/ingest'):
            if not n.endswith('.partial'):
                left.append('data/ingest/' + n)
        left += ['mount ' + line.split()[4] for line in read('/proc/self/mountinfo').splitlines()
                 if self.home + '/' in line]
        left += ['shim %d of %s' % (p, i) for p, i in self.shims().items() if i not in keep]
        left += ['worker %d' % p for p in self.workers()]
        gone = self.ids - keep
        if gone:
            for root, dirs, _ in os.walk('/sys/fs/cgroup'):
                left += ['cgroup %s/%s' % (root, d) for d in dirs if any(i in gone for i in ID.findall(d))]
                if root.count('/') > 6:
                    dirs[:] = []
        return left

    def no_leaks(self, keep=(), seconds=8):
        wait_for(seconds, lambda: not self.leaks(keep), lambda: 'left behind: ' + '; '.join(self.leaks(keep)))

    def sound(self):
        """The witness runs untouched and is managed; the store has no damage."""
        if self.witness:
            state = self.call('GET', '/containers/witness/json')
            if not state['State']['Running'] or state['State']['Pid'] != self.witness_pid or state['RestartCount']:
                raise Broken('the witness is %s' % state['State'])
            before = self.alive()
            wait_for(5, lambda: (self.alive() or 0) > (before or 0), 'the witness does not go on')
            if self.must('exec', 'witness', 'cat', '/own') != 'up':
                raise Broken('exec in the witness gives something else')
        # What a cut pull, load or commit had complete waits for the next job or collection.
        self.must('system', 'gc', '--unused-for', '80000h')
        rc, out, err = self.do('system', 'fsck')
        if rc != 0:
            raise Broken('fsck: %d\n%s%s' % (rc, out, err))

    def remove(self, cid):
        """rm -f -v; another one may be under way (409), a start whose client is gone is waited for."""
        def done():
            self.call('DELETE', '/containers/%s?force=1&v=1' % cid, ok=(204, 404, 409))
            return b'No such' in json.dumps(self.call('GET', '/containers/%s/json' % cid, ok=(200, 404))).encode()
        wait_for(10, done, lambda: 'container %s cannot be removed: %s' % (
            cid, self.call('DELETE', '/containers/%s?force=1' % cid, ok=(204, 404, 409))))

    def sweep_up(self, keep=('witness',), volumes=('kept',), images=()):
        """Removes, by ordinary commands, what a round began; a failure of one is a failure of the test."""
        for c in self.call('GET', '/containers/json?all=1'):
            self.ids.add(c['Id'])
            if c['Names'][0].lstrip('/') not in keep:
                self.remove(c['Id'])
        for v in self.call('GET', '/volumes')['Volumes'] or []:
            if v['Name'] not in volumes:
                self.call('DELETE', '/volumes/' + v['Name'], ok=(204, 404))
        for i in self.call('GET', '/images/json'):
            tags = [t for t in i['RepoTags'] or [] if not t.startswith('<none>')]
            if not any(t in images for t in tags):
                self.call('DELETE', '/images/%s?force=1' % i['Id'].replace('sha256:', ''), ok=(200, 404, 409))

    def close(self):
        try:
            if not self.running():
                self.start()
            for c in self.call('GET', '/containers/json?all=1'):
                self.remove(c['Id'])
            self.witness = None
            self.no_leaks()
        finally:
            for p in self.processes():
                try:
                    os.kill(p, signal.SIGTERM)
                except OSError:
                    pass
            try:
                wait_for(10, lambda: not [p for p in self.processes() if not read('/proc/%d/stat' % p).split(') ')[-1].startswith('Z')], '')
            except Broken:
                for p in self.processes():
                    os.kill(p, signal.SIGKILL)
            self.engine.wait(10)
            if not os.environ.get('E2E_KEEP'):
                shutil.rmtree(self.home, ignore_errors=True)


def number(name, default):
    return int(os.environ.get(name) or default)


def seed():
    s = number('CORACLE_CRASH_SEED', random.randrange(1 << 30))
    random.seed(s)
    print('# seed %d (CORACLE_CRASH_SEED)' % s, file=sys.stderr)
    return s
