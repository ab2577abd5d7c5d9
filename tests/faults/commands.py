# SPDX-License-Identifier: Apache-2.0
"""The everyday commands as the fault tests need them: what each wants to find, its arguments, who may be killed
during it, and what its success promises.

`ready(name)` makes the need ready and gives a Command; `check` looks whether a promise was kept. A container that
a command leaves as it was is used again (`steady`); it has to live through everything, with its data.
"""
import io
import os
import random
import subprocess
import sys
import tarfile
import time

import rig as faults

LOOP = ['default', 'sh', '-c', 'trap "exit 0" TERM; echo begun; while :; do sleep 1000 & wait $!; done']
ENGINE, LIFE, WORK = 'engine client', 'engine shim client', 'engine shim client worker'


class Command:
    """expect: the exit code of success; out: its standard output; stream: it does not end by itself; steady: the
    container of that name serves it; undo: a command that brings that container back to what it was."""

    def __init__(self, *args, victims=ENGINE, promise=None, expect=0, out=None, stream=False, steady=False, undo=None):
        self.args, self.victims, self.promise, self.expect, self.out = args, victims, promise, expect, out
        self.stream, self.steady, self.undo = stream, steady, undo
        self.rc, self.got, self.err = None, b'', ''


class Commands:
    def __init__(self, rig):
        self.r = rig
        self.n = 0
        self.serving = None
        self.steady_pid = None
        self.kept = set()
        self.files = rig.home + '-files'
        os.makedirs(self.files, exist_ok=True)
        self.big = self.files + '/big'
        with open(self.big, 'wb') as f:
            f.write(os.urandom(1 << 20) * 6)
        with open(self.files + '/small', 'wb') as f:
            f.write(b'small\n')
        with tarfile.open(self.files + '/tiny.tar', 'w') as t:
            for i in range(3):
                e = tarfile.TarInfo('d%d/f' % i)
                e.size = 5
                t.addfile(e, io.BytesIO(b'data\n'))
        rig.must('tag', 'default', 'saved:1')
        rig.must('save', '-o', self.files + '/saved.tar', 'saved:1')
        rig.must('rmi', 'saved:1')
        self.registry = os.environ.get('E2E_REGISTRY')
        self.images = {t for i in rig.call('GET', '/images/json') for t in i['RepoTags'] or []}

    def close(self):
        if self.serving:
            self.serving.kill()
            self.serving.wait()
        subprocess.run(['rm', '-rf', self.files], check=False)

    def names(self, streams=False):
        all_ = [n[2:] for n in dir(self) if n.startswith('c_')]
        return [c for c in all_ if (self.registry or not c.startswith('pull')) and (streams or not c.startswith('stream'))]

    def ready(self, name):
        self.n += 1
        cmd = getattr(self, 'c_' + name)()
        cmd.name = name
        return cmd

    # ---- needs ----

    def name(self):
        return 'r%d' % self.n

    def fresh(self, running=False, *program):
        n = self.name()
        self.r.must(*(['run', '-d'] if running else ['create']), '--name', n, '-v', 'data-%s:/data' % n, *(program or LOOP))
        return n

    def steady(self):
        """A running container that commands may use, not change."""
        if self.steady_pid is None:
            self.r.must('run', '-d', '--name', 'steady', '-v', 'data-steady:/data', *LOOP)
            self.r.must('exec', 'steady', 'sh', '-c', 'echo kept >/data/f; echo own >/own')
            state = self.r.call('GET', '/containers/steady/json')
            self.steady_pid = state['State']['Pid']
            self.kept = {state['Id']}
            self.r.ids.add(state['Id'])
        return 'steady'

    def forget(self):
        """The steady container's shim is not watched any more, or its state is not known."""
        self.drop()

    def drop(self):
        if self.steady_pid is not None:
            self.r.remove('steady')
        self.steady_pid, self.kept = None, set()

    def thaw(self, undo=('unpause', 'steady')):
        """A new engine knows whether it is paused from the shim's hello, a moment after it answers."""
        def done():
            self.r.do(*undo)
            time.sleep(0.02)
            return not self.r.call('GET', '/containers/steady/json')['State']['Paused']
        done()
        faults.wait_for(5, done, 'it stays paused')

    def survivors(self, cmd):
        if self.steady_pid is None:
            return
        if cmd.undo:
            self.thaw(cmd.undo)
        state = self.r.call('GET', '/containers/steady/json')['State']
        if not state['Running'] or state['Paused'] or state['Pid'] != self.steady_pid:
            self.steady_pid = None
            raise faults.Broken('the container that should live on is %s' % state)
        if faults.read('/proc/%d/root/own' % self.steady_pid) != 'own\n' or \
                faults.read('/proc/%d/root/data/f' % self.steady_pid) != 'kept\n':
            raise faults.Broken('its files are not those from before')

    def clean(self, cmd):
        steady = self.steady_pid is not None
        self.r.sweep_up(keep=('witness', 'steady') if steady else ('witness',),
                        volumes=('kept', 'data-steady') if steady else ('kept',), images=self.images)

    # ---- promises ----

    def check(self, cmd):
        if cmd.out is not None and cmd.out != cmd.got:
            raise faults.Broken('success, but the output is %r instead of %r' % (cmd.got[-200:], cmd.out))
        if not cmd.promise:
            return
        kind, name = cmd.promise[:2]
        if isinstance(kind, str) and kind.startswith('pruned '):
            # What cannot be removed is left out of the list and logged, as Docker has it.
            if name.encode() not in cmd.got:
                return
            kind = 'no ' + kind[len('pruned '):]
        if callable(kind):
            kind(name)
            return
        want = not kind.startswith('no ')
        kind = kind.split()[-1]
        rc, _, err = self.r.do(kind, 'inspect', name)
        if (rc == 0) != want:
            raise faults.Broken('success was told, but %s %s is %s: %s' % (kind, name, 'not there' if want else 'there', err))

    def runs(self, name):
        state = self.r.call('GET', '/containers/%s/json' % name)['State']
        if not state['Running'] or state['Paused']:
            raise faults.Broken('success was told, but %s is %s' % (name, state))

    def stopped(self, name):
        state = self.r.call('GET', '/containers/%s/json' % name)['State']
        if state['Running']:
            raise faults.Broken('success was told, but %s is %s' % (name, state))

    def limited(self, name):
        have = self.r.call('GET', '/containers/%s/json' % name)['HostConfig']['PidsLimit']
        if have != self.limit:
            raise faults.Broken('success was told, but the limit is %s' % have)

    def copied_in(self, name):
        if self.r.must('exec', name, 'cat', '/small') != 'small':
            raise faults.Broken('success was told, but the copied file is another')

    def same_file(self, pair):
        with open(pair[0], 'rb') as f, open(pair[1], 'rb') as g:
            if f.read() != g.read():
                raise faults.Broken('success was told, but %s and %s differ' % pair)

    def is_tar(self, path):
        with tarfile.open(path) as t:
            if not t.getnames():
                raise faults.Broken('success was told, but the archive is empty')

    def healthy(self, name):
        def good():
            return self.r.call('GET', '/containers/%s/json' % name)['State'].get('Health', {}).get('Status') == 'healthy'
        faults.wait_for(8, good, lambda: 'never healthy: %s' % self.r.call('GET', '/containers/%s/json' % name)['State'])

    # ---- life ----

    def c_create(self):
        n = self.name()
        return Command('create', '--name', n, '-v', 'v-%s:/v' % n, *LOOP, promise=('container', n))

    def c_start(self):
        n = self.fresh()
        return Command('start', n, victims=LIFE, promise=(self.runs, n))

    def c_run(self):
        return Command('run', '--rm', '-v', '/anonymous', 'default', 'sh', '-c', 'echo x; exit 3', victims=LIFE, expect=3, out=b'x\n')

    def c_run_tty(self):
        return Command('run', '--rm', '-t', 'default', 'echo', 'x', victims=LIFE, out=b'x\r\n')

    def c_run_detached(self):
        n = self.name()
        return Command('run', '-d', '--name', n, '--restart', 'always', *LOOP, victims=LIFE, promise=(self.runs, n))

    def c_run_options(self):
        return Command('run', '--rm', '--init', '-m', '64m', '--cpus', '0.5', '--pids-limit', '50', '-u', '1000:1000', '--cap-drop', 'ALL',
                       '--read-only', '--tmpfs', '/t', '--hostname', 'h', '--ulimit', 'nofile=99', '--shm-size', '1m', '--device', '/dev/null:/dev/n',
                       '-e', 'A=b', '-w', '/t', 'default', 'sh', '-c', 'ulimit -n; id -u; hostname; pwd', victims=LIFE, out=b'99\n1000\nh\n/t\n')

    def c_run_healthy(self):
        n = self.name()
        return Command('run', '-d', '--name', n, '--health-cmd', 'true', '--health-interval', '100ms', *LOOP, victims=LIFE, promise=(self.healthy, n))

    def c_exec(self):
        return Command('exec', self.steady(), 'sh', '-c', 'echo x; sleep 0.02; exit 4', victims=LIFE, expect=4, out=b'x\n', steady=True)

    def c_exec_tty(self):
        return Command('exec', '-t', '-u', '1000', '-w', '/tmp', self.steady(), 'id', '-u', victims=LIFE, out=b'1000\r\n', steady=True)

    def c_exec_detached(self):
        return Command('exec', '-d', self.steady(), 'true', victims=LIFE, steady=True)

    def c_exec_witness(self):
        return Command('exec', 'witness', 'sh', '-c', 'echo x; sleep 0.02; echo y', victims=ENGINE, out=b'x\ny\n')

    def c_stop(self):
        n = self.fresh(True)
        return Command('stop', '-t', '1', n, victims=LIFE, promise=(self.stopped, n))

    def c_kill(self):
        return Command('kill', self.fresh(True), victims=LIFE)

    def c_restart(self):
        n = self.fresh(True)
        return Command('restart', '-t', '1', n, victims=LIFE, promise=(self.runs, n))

    def c_pause(self):
        return Command('pause', self.steady(), victims=LIFE, steady=True, undo=('unpause', 'steady'))

    def c_unpause(self):
        self.r.must('pause', self.steady())
        return Command('unpause', 'steady', victims=LIFE, promise=(self.runs, 'steady'), steady=True, undo=('unpause', 'steady'))

    def c_rm(self):
        n = self.fresh()
        return Command('rm', '-v', n, promise=('no container', n))

    def c_rm_force(self):
        n = self.fresh(True)
        return Command('rm', '-f', '-v', n, victims=LIFE, promise=('no container', n))

    def c_rename(self):
        n = self.fresh()
        return Command('rename', n, n + 'b', promise=('container', n + 'b'))

    def c_update(self):
        self.limit = 500 + self.n % 100
        return Command('update', '--pids-limit', str(self.limit), '--memory', '64m', '--memory-swap', '64m', self.steady(), victims=LIFE,
                       promise=(self.limited, 'steady'), steady=True)

    def c_container_prune(self):
        n = self.fresh()
        return Command('container', 'prune', '-f', promise=('pruned container', n))

    # ---- files ----

    def c_cp_in(self):
        return Command('cp', self.files + '/small', self.fresh(True) + ':/small', victims=WORK, promise=(self.copied_in, self.name()))

    def c_cp_in_big(self):
        return Command('cp', self.big, self.fresh(random.random() < 0.5) + ':/f', victims=WORK)

    def c_cp_out(self):
        out = self.files + '/out'
        return Command('cp', self.steady() + ':/own', out, victims=WORK, steady=True,
                       promise=(lambda _: faults.read(out) == 'own\n' or self.stale(out), None))

    def stale(self, path):
        raise faults.Broken('success was told, but %s holds %r' % (path, faults.read(path)))

    def c_cp_out_stopped(self):
        n = self.fresh()
        return Command('cp', n + ':/bin', self.files + '/out-' + n, victims=WORK)

    def c_commit(self):
        return Command('commit', self.steady(), 'made:' + self.name(), victims=WORK, promise=('image', 'made:' + self.name()), steady=True)

    def c_export(self):
        path = self.files + '/export.tar'
        return Command('export', '-o', path, self.steady(), victims=WORK, promise=(self.is_tar, path), steady=True)

    def c_diff(self):
        return Command('diff', self.steady(), victims=LIFE, steady=True)

    # ---- sight ----

    def c_logs(self):
        return Command('logs', self.steady(), out=b'begun\n', victims=LIFE, steady=True)

    def c_logs_follow(self):
        return Command('logs', '-f', self.fresh(True, 'default', 'sh', '-c', 'echo a; sleep 0.3; echo b'), victims=LIFE, out=b'a\nb\n')

    def c_attach(self):
        return Command('attach', '--no-stdin', self.fresh(True, 'default', 'sh', '-c', 'sleep 0.4; echo x; exit 5'), victims=LIFE, expect=5,
                       out=b'x\n')

    def c_wait(self):
        return Command('wait', self.fresh(True, 'default', 'sh', '-c', 'sleep 0.2; exit 6'), victims=LIFE, out=b'6\n')

    def c_top(self):
        return Command('top', self.steady(), victims=LIFE, steady=True)

    def c_stats(self):
        return Command('stats', '--no-stream', 'witness')

    def c_events(self):
        return Command('events', '--since', '1h', '--until', str(int(time.time())))

    def c_inspect(self):
        return Command('inspect', '-s', self.steady(), steady=True)

    def c_ps(self):
        return Command('ps', '-a', '-s')

    def c_df(self):
        return Command('system', 'df', '-v')

    def c_info(self):
        return Command('info')

    def c_stream_logs(self):
        return Command('logs', '-f', self.fresh(True), victims=LIFE, stream=True)

    def c_stream_attach(self):
        return Command('attach', '--no-stdin', self.fresh(True), victims=LIFE, stream=True)

    def c_stream_wait(self):
        return Command('wait', self.fresh(True), victims=LIFE, stream=True)

    def c_stream_events(self):
        return Command('events', '--since', '1h', stream=True)

    def c_stream_stats(self):
        return Command('stats', 'witness', stream=True)

    # ---- volumes ----

    def c_volume_create(self):
        return Command('volume', 'create', '--label', 'a=b', self.name(), promise=('volume', self.name()))

    def c_volume_rm(self):
        self.r.must('volume', 'create', self.name())
        return Command('volume', 'rm', self.name(), promise=('no volume', self.name()))

    def c_volume_prune(self):
        for i in range(3):
            self.r.must('volume', 'create', '%s-%d' % (self.name(), i))
        return Command('volume', 'prune', '-a', '-f', promise=('pruned volume', self.name() + '-1'))

    # ---- images ----

    def c_load(self):
        return Command('load', '-q', '-i', self.files + '/saved.tar', victims='engine client worker', promise=('image', 'saved:1'))

    def c_save(self):
        path = self.files + '/again.tar'
        return Command('save', '-o', path, 'default', victims='engine client worker', promise=(self.is_tar, path))

    def c_import(self):
        t = 'imported:' + self.name()
        return Command('import', self.files + '/tiny.tar', t, victims='engine client worker', promise=('image', t))

    def c_tag(self):
        t = 'tagged:' + self.name()
        return Command('tag', 'default', t, promise=('image', t))

    def c_image_rm(self):
        t = 'gone:' + self.name()
        self.r.must('import', self.files + '/tiny.tar', t)
        return Command('image', 'rm', t, promise=('no image', t))

    def c_image_prune(self):
        t = 'pruned:' + self.name()
        self.r.must('import', self.files + '/tiny.tar', t)
        return Command('image', 'prune', '-a', '-f', promise=('pruned image', t))

    def c_pull(self):
        t = self.registry + '/big:latest'
        return Command('pull', '-q', t, victims='engine client worker', promise=('image', t))

    def receiver(self):
        """A registry of our own that takes pushes."""
        if not self.serving:
            prefix = self.files + '/receiver'
            self.serving = subprocess.Popen([sys.executable, faults.TOP + '/tests/e2e/push-registry.py', prefix],
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            faults.wait_for(10, lambda: faults.read(prefix + '.port'), 'the registry does not begin')
        return '127.0.0.1:' + faults.read(self.files + '/receiver.port').strip()

    def c_login(self):
        return Command('login', '-u', 'me', '-p', 'pw', self.receiver())

    def c_push(self):
        t = '%s/open/%s:1' % (self.receiver(), self.name())
        self.r.must('login', '-u', 'me', '-p', 'pw', self.receiver())
        self.r.must('import', self.files + '/tiny.tar', t)
        return Command('push', '-q', t, victims='engine client worker')
