# SPDX-License-Identifier: Apache-2.0
"""The two engines that tests/conformance compares, each in a home of its own."""
import os
import shutil
import signal
import subprocess
import tempfile
import time

from imagelib import Image, busybox_tar, write_docker_archive


class Engine:
    def __init__(self):
        self.home = tempfile.mkdtemp(prefix='judge.', dir=os.environ.get('TMPDIR', '/dev/shm'))
        self.sock = os.path.join(self.home, 'run/coracle.sock')
        self.roots = [self.home]
        os.makedirs(self.home + '/run')
        self.log = open(os.path.join(self.home, 'log'), 'wb')

    def docker(self, *args, **kw):
        return subprocess.run(['/usr/bin/docker', '-H', 'unix://' + self.sock, *args], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kw).stdout

    def wait_ready(self):
        for _ in range(300):
            if 'Server' in self.docker('version') and os.path.exists(self.sock) and 'error' not in self.docker('ps'):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        with open(self.log.name) as f:
            raise RuntimeError('no engine: ' + f.read()[-2000:])

    def load(self):
        """Both get images of the same bytes, with an entry for each field that commands show."""
        images = {
            'box:1': Image([busybox_tar()], {'Env': ['PATH=/bin'], 'Cmd': ['sh']}),
            'full:1': Image([busybox_tar()], {
                'Env': ['PATH=/bin', 'A=image'], 'Entrypoint': ['/bin/echo', 'entry'], 'Cmd': ['word'], 'WorkingDir': '/tmp',
                'User': '12:34', 'Labels': {'l': 'image', 'maker': 'me'}, 'ExposedPorts': {'80/tcp': {}}, 'StopSignal': 'SIGINT',
                'Volumes': {'/vol': {}},
                'Healthcheck': {'Test': ['CMD', 'true'], 'Interval': 3600000000000, 'Retries': 2}}),
        }
        for name, image in images.items():
            path = os.path.join(self.home, 'image.tar')
            write_docker_archive(image, path, [name])
            self.docker('load', '-i', path)
            os.unlink(path)

    def versions(self):
        return self.docker('version', '--format', 'client {{.Client.Version}}, server {{.Server.Version}}, '
                           'API {{.Client.APIVersion}}').strip()

    def clean(self):
        ids = self.docker('ps', '-aq').split()
        if ids:
            self.docker('rm', '-f', '-v', *ids)
        volumes = self.docker('volume', 'ls', '-q').split()
        if volumes:
            self.docker('volume', 'rm', '-f', *volumes)
        kept = {'box:1', 'full:1'}
        for name in self.docker('images', '--format', '{{.Repository}}:{{.Tag}}').split():
            if name not in kept and '<none>' not in name:
                self.docker('rmi', '-f', name)
        self.docker('image', 'prune', '-f')

    def stop(self):
        if self.process.poll() is None:
            self.clean()
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        shutil.rmtree(self.home, ignore_errors=True)


class Coracled(Engine):
    def __init__(self, build):
        super().__init__()
        program = next(p for p in (build + '/coracled', build + '/src/main/coracled') if os.access(p, os.X_OK))
        self.roots = [self.home + '/data', self.home + '/run', self.home]
        self.process = subprocess.Popen([program], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env=dict(os.environ, CORACLE_HOME=self.home))
        self.wait_ready()


class Dockerd(Engine):
    def __init__(self):
        super().__init__()
        subprocess.run(['umount', '/sys/fs/cgroup/unified'], stderr=subprocess.DEVNULL)
        self.roots = [self.home + '/data', self.home]
        with open(self.home + '/daemon.json', 'w') as f:
            f.write('{}')
        self.process = subprocess.Popen(
            ['dockerd', '--config-file', self.home + '/daemon.json', '--data-root', self.home + '/data', '--exec-root', self.home + '/exec', '--pidfile',
             self.home + '/pid', '-H', 'unix://' + self.sock, '--storage-driver', 'overlay2', '--exec-opt',
             'native.cgroupdriver=cgroupfs', '--iptables=false', '--bridge=none'],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.wait_ready()

    def stop(self):
        super().stop()
        # What its children still hold mounted here; the namespace is ours alone.
        with open('/proc/self/mounts') as f:
            for place in reversed([line.split()[1] for line in f if self.home + '/' in line]):
                subprocess.run(['umount', '-l', place], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.home, ignore_errors=True)
        # dockerd leaves its parent groups behind; only empty ones go.
        for controller in os.listdir('/sys/fs/cgroup'):
            try:
                os.rmdir('/sys/fs/cgroup/%s/docker' % controller)
            except OSError:
                pass
