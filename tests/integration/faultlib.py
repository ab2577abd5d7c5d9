# SPDX-License-Identifier: Apache-2.0
"""A registry that misbehaves on demand, images for it, and a home for the image module driven without an engine.

Tests register with @test and call main(); TAP output. Needs root (layers have owners).
"""
import gzip
import hashlib
import io
import json
import os
import re
import select
import shutil
import socket
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOOL, PROGRAMS = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
OCI = 'application/vnd.oci.image.'


def sha(data):
    return 'sha256:' + hashlib.sha256(data).hexdigest()


def tar_of(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w') as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Image:
    def __init__(self, nlayers=2, size=200000, arch='amd64', seed=0):
        tars = [tar_of({'file%d' % i: os.urandom(size) + bytes([seed])}) for i in range(nlayers)]
        self.layers = [gzip.compress(t, 1) for t in tars]
        self.config = json.dumps({'architecture': arch, 'os': 'linux', 'config': {'Cmd': ['x']}, 'rootfs': {
            'type': 'layers', 'diff_ids': [sha(t) for t in tars]}}).encode()
        self.seal()

    def seal(self, **changes):
        doc = {'schemaVersion': 2, 'mediaType': OCI + 'manifest.v1+json',
               'config': self.desc(self.config, 'config.v1+json'),
               'layers': [self.desc(l, 'layer.v1.tar+gzip') for l in self.layers]}
        doc.update(changes)
        self.doc = doc
        self.manifest = json.dumps(doc).encode()

    @staticmethod
    def desc(data, kind):
        return {'mediaType': OCI + kind, 'digest': sha(data), 'size': len(data)}


class Server:
    """blobs and manifests by path tail; `fault(handler, path, count)` may answer first (returns True then).

    `seen` has the headers of every request, `sent` the body bytes of blobs. With `tls` (an SSLContext) it speaks https.
    As a proxy it serves absolute addresses itself and tunnels CONNECT to `tunnel`.
    """

    def __init__(self, image, fault=None, tls=None, tunnel=None):
        self.manifests = {'1': image.manifest, sha(image.manifest): image.manifest}
        self.blobs = {sha(b): b for b in image.layers + [image.config]}
        self.fault, self.count, self.log, self.seen, self.sent = fault, {}, [], [], 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def log_message(self, *args):
                pass

            def send(self, status, data=b'', headers=None, length=None):
                self.send_response(status)
                self.send_header('Content-Length', str(len(data) if length is None else length))
                for key, value in (headers or {}).items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(data)
                outer.sent += len(data) if '/blobs/' in self.path else 0

            def do_CONNECT(self):
                outer.log.append((self.path, 'CONNECT'))
                if not tunnel:
                    return self.send(502)
                there = socket.create_connection(('127.0.0.1', tunnel))
                self.send_response(200)
                self.end_headers()
                self.wfile.flush()
                ends = {self.connection: there, there: self.connection}
                while True:
                    for end in select.select(list(ends), [], [])[0]:
                        data = end.recv(65536)
                        if not data:
                            there.close()
                            self.close_connection = True
                            return None
                        ends[end].sendall(data)

            def do_GET(self):
                if self.path.startswith('http://'):
                    outer.log.append((self.path, 'PROXY'))
                    self.path = '/' + self.path.split('/', 3)[3]
                outer.seen.append((self.path, dict(self.headers)))
                n = outer.count[self.path] = outer.count.get(self.path, 0) + 1
                outer.log.append((self.path, self.headers.get('Range')))
                try:
                    if not (outer.fault and outer.fault(self, self.path, n)):
                        self.ordinary()
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def ordinary(self):
                tail = self.path.partition('?ns=')[0].rsplit('/', 1)[-1]
                if self.path == '/v2/':
                    self.send(200, b'{}')
                elif '/manifests/' in self.path and tail in outer.manifests:
                    data = outer.manifests[tail]
                    self.send(200, data, {'Content-Type': json.loads(data).get('mediaType', 'text/plain')})
                elif '/blobs/' in self.path and tail in outer.blobs:
                    data = outer.blobs[tail]
                    found = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range') or '')
                    if found:
                        at = int(found.group(1))
                        self.send(206, data[at:], {'Content-Range': 'bytes %d-%d/%d' % (at, len(data) - 1, len(data))})
                    else:
                        self.send(200, data)
                else:
                    self.send(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')

            def do_POST(self):
                self.form = self.rfile.read(int(self.headers.get('Content-Length') or 0)).decode()
                self.do_GET()

            def cut(self, data, at, length=None):
                self.send(200, data[:at], length=len(data) if length is None else length)
                self.close_connection = True

        self.httpd = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.httpd.daemon_threads = True
        self.httpd.handle_error = lambda *args: None  # clients that go away are the point
        if tls:
            self.httpd.socket = tls.wrap_socket(self.httpd.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()
        self.port = self.httpd.server_address[1]
        self.host = '127.0.0.1:%d' % self.port
        self.ref = self.host + '/t:1'

    def asked(self, what):
        """Paths with `what` in them that were asked for."""
        return [p for p, r in self.log if what in p]


class Home:
    def __init__(self):
        self.path = tempfile.mkdtemp(prefix='image-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
        self.env = {}

    def write(self, name, text):
        """A file below etc/."""
        path = os.path.join(self.path, 'etc', name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as f:
            f.write(text)
        return path

    def has(self, image):
        """Every blob of the image is stored, byte for byte, and every layer is there."""
        for blob in image.layers + [image.config, image.manifest]:
            with open('%s/data/blobs/sha256/%s' % (self.path, sha(blob)[7:]), 'rb') as f:
                assert f.read() == blob
        assert len(self.files('layers')) == len(image.layers), self.files('layers')

    def tool(self, *args, timeout=60):
        env = dict({k: v for k, v in os.environ.items() if 'proxy' not in k.lower()}, CORACLE_HOME=self.path, **self.env)
        done = subprocess.run([TOOL, self.path, PROGRAMS, *args], capture_output=True, text=True, timeout=timeout, env=env)
        return done.returncode, done.stdout + done.stderr

    def files(self, folder):
        return sorted(os.listdir(os.path.join(self.path, 'data', folder)))

    def clean(self):
        """No image, no layer, nothing half made; a partial blob may wait for its resume."""
        listing = self.tool('list')[1]
        assert listing.endswith('\n[]\n'), listing
        assert listing.startswith('repair: 0 0 0 0 0'), listing
        assert self.files('layers') == [], self.files('layers')
        assert self.files('trash') == [], self.files('trash')

    def end(self):
        shutil.rmtree(self.path)


TESTS = []


def test(fn):
    TESTS.append(fn)
    return fn


def pull(home, server, want=0, *args):
    code, out = home.tool('pull', server.ref, *args)
    assert code == want, out
    return out


def refused(image, fault, *texts, env=None):
    """The pull fails with all of the texts in its answer and leaves a clean store."""
    home, server = Home(), Server(image, fault)
    home.env.update(env or {})
    out = pull(home, server, 1)
    for text in texts:
        assert text in out, (text, out)
    home.clean()
    home.end()
    return server


def succeeds(image, fault, env=None):
    home, server = Home(), Server(image, fault)
    home.env.update(env or {})
    out = pull(home, server)
    assert 'Downloaded newer image' in out, out
    home.has(image)
    home.end()
    return server


def on_blob(image, number, act):
    """Fault for the blob of one layer only."""
    digest = sha(image.layers[number])
    return lambda h, path, n: path.endswith(digest) and act(h, image.layers[number], n) is not False


def main():
    if os.geteuid() != 0:
        print('1..0 # SKIP needs root')
        return
    failed = 0
    only = sys.argv[3:]
    TESTS[:] = [fn for fn in TESTS if not only or fn.__name__ in only]
    print('1..%d' % len(TESTS), flush=True)
    for number, fn in enumerate(TESTS, 1):
        started = time.time()
        try:
            fn()
            print('ok %d - %s # %.1fs' % (number, fn.__name__, time.time() - started), flush=True)
        except Exception as e:  # a failed assertion, a timeout
            failed += 1
            print('not ok %d - %s' % (number, fn.__name__))
            print('\n'.join('# ' + line for line in ('%s: %s' % (type(e).__name__, e)).replace('\\n', '\n').split('\n')[:40]),
                  flush=True)
    if failed:
        sys.exit(1)
