# SPDX-License-Identifier: Apache-2.0
"""The REST API driven by clients that are not ours: python3-docker, and raw sockets for what it never sends.

BIN is the folder of the programs. Without an engine there every test is skipped, or fails when
CORACLE_TESTS_MUST_RUN=1. One engine for the whole file, in a home of its own.
"""
import concurrent.futures
import http.client
import io
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tarfile
import tempfile
import threading
import time

import pytest

BIN = os.environ.get('BIN') or os.path.join(os.environ.get('CORACLE_BUILD', 'build'), 'src/main')
IMAGE = 'default'


def unavailable(why):
    if os.environ.get('CORACLE_TESTS_MUST_RUN') == '1':
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


class Engine:
    def __init__(self):
        self.home = tempfile.mkdtemp(prefix='coracle-api-', dir='/dev/shm')
        self.sock = os.path.join(self.home, 'run/coracle.sock')
        self.log = open(os.path.join(self.home, 'engine.log'), 'wb')
        self.process = subprocess.Popen([os.path.join(BIN, 'coracled')], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, env=dict(os.environ, CORACLE_HOME=self.home))
        for _ in range(500):
            try:
                if self.call('GET', '/_ping')[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError('the engine does not answer: ' + open(self.log.name).read())

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        s.connect(self.sock)
        return s

    def request(self, method, path, body=None, headers=None):
        c = http.client.HTTPConnection('d', timeout=20)
        c.sock = self.connect()
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers = {'Content-Type': 'application/json', **(headers or {})}
        c.request(method, path, body, headers or {})
        return c.getresponse()

    def call(self, method, path, body=None, headers=None):
        r = self.request(method, path, body, headers)
        data = r.read()
        if 'json' in (r.getheader('Content-Type') or '') and data.strip():
            data = json.loads(data) if data.count(b'\n') <= 1 else [json.loads(x) for x in data.splitlines()]
        return r.status, data

    def stop(self):
        try:
            for c in self.call('GET', '/containers/json?all=1')[1]:
                self.call('DELETE', f'/containers/{c["Id"]}?force=1&v=1')
        except (OSError, TypeError):
            pass
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.fixture(scope='module')
def engine():
    if os.geteuid() != 0:
        unavailable('needs root')
    if not os.access(os.path.join(BIN, 'coracled'), os.X_OK):
        unavailable(f'no engine in {BIN}')
    e = Engine()
    yield e
    e.stop()


@pytest.fixture(scope='module')
def docker(engine):
    module = pytest.importorskip('docker') if os.environ.get('CORACLE_TESTS_MUST_RUN') != '1' else __import__('docker')
    c = module.DockerClient(base_url='unix://' + engine.sock, version='auto', timeout=30)
    yield c
    c.close()


@pytest.fixture
def container(docker):
    made = []

    def make(command, **kw):
        kw.setdefault('network_mode', 'none')
        made.append(docker.containers.create(IMAGE, command, **kw))
        return made[-1]
    yield make
    for c in made:
        try:
            c.remove(force=True, v=True)
        except Exception:  # already gone
            pass


# ---- system ----

def test_ping(engine):
    for method in 'GET', 'HEAD':
        r = engine.request(method, '/_ping')
        assert r.status == 200
        assert r.getheader('Api-Version') == '1.51'
        assert r.getheader('Docker-Experimental') == 'false'
        assert r.getheader('Ostype') == 'linux'
        assert r.getheader('Builder-Version')
        assert r.read() == (b'OK' if method == 'GET' else b'')


def test_version_and_info(docker, engine):
    assert docker.version()['ApiVersion'] == '1.51'
    assert docker.version()['MinAPIVersion'] == '1.24'
    info = docker.info()
    assert info['OSType'] == 'linux' and info['NCPU'] >= 1
    assert info['DockerRootDir'].startswith(engine.home)


@pytest.mark.parametrize('version,status', [('1.24', 200), ('1.41', 200), ('1.51', 200), ('1.52', 400), ('1.23', 400)])
def test_version_negotiation(engine, version, status):
    got, body = engine.call('GET', f'/v{version}/version')
    assert got == status
    if version == '1.52':
        assert body['message'] == 'client version 1.52 is too new. Maximum supported API version is 1.51'
    if version == '1.23':
        assert body['message'].startswith('client version 1.23 is too old. Minimum supported API version is 1.24')


@pytest.mark.parametrize('path,message', [
    ('/swarm', 'This node is not a swarm manager.'), ('/nodes', 'This node is not a swarm manager.'),
    ('/services', 'This node is not a swarm manager.')])
def test_swarm_is_absent(engine, path, message):
    status, body = engine.call('GET', path)
    assert status == 503 and body['message'].startswith(message)


def test_what_is_not_built_says_so(engine):
    status, body = engine.call('POST', '/build', {})
    assert status == 501 and 'not supported yet by coracle' in body['message']
    assert engine.call('GET', '/plugins') == (200, [])


# ---- bad input ----

def test_unknown_paths_and_methods(engine):
    for method, path in ('GET', '/nope'), ('PATCH', '/info'), ('GET', '/containers/create'), ('POST', '/v1.41/'):
        assert engine.call(method, path) == (404, {'message': 'page not found'})


@pytest.mark.parametrize('body,status', [
    ('', 400), ('{', 400), ('[]', 400), ('{"Image": 1}', 400), ('{"Image":"default"} x', 400), ('null', 400),
    ('{"Image":"\ud800"}'.encode('utf-8', 'surrogatepass'), 400), ('[' * 100000, 400),
    ('{"Image":"default","HostConfig":{"Memory":"many"}}', 400), ('{"Image":"no-such-image"}', 404)])
def test_bad_create_bodies(engine, body, status):
    got, answer = engine.call('POST', '/containers/create', body, {'Content-Type': 'application/json'})
    assert got == status
    assert answer['message']


def test_unknown_fields_are_ignored(engine):
    status, made = engine.call('POST', '/containers/create', {'Image': IMAGE, 'Cmd': ['true'], 'FutureField': {'a': 1},
                                                             'HostConfig': {'NetworkMode': 'none', 'Another': 2}})
    assert status == 201 and made['Warnings'] == []
    assert engine.call('DELETE', f'/containers/{made["Id"]}')[0] == 204


def test_content_type_is_checked(engine):
    status, body = engine.call('POST', '/containers/create', '{}', {'Content-Type': 'text/plain'})
    assert status == 400 and body['message'] == "unsupported Content-Type header (text/plain): must be 'application/json'"


def test_huge_bodies(engine):
    s = engine.connect()
    s.sendall(b'POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n'
              b'Content-Length: 9999999999\r\n\r\n')
    assert s.recv(4096).startswith(b'HTTP/1.1 413 ')
    s.close()


def test_slow_and_vanishing_clients(engine):
    loris = [engine.connect() for _ in range(150)]
    for s in loris:
        s.sendall(b'GET /events HTT')
    for _ in range(20):
        s = engine.connect()
        s.sendall(b'GET /events HTTP/1.1\r\nHost: d\r\n\r\n')
        s.recv(10)
        s.close()
    assert engine.call('GET', '/_ping')[0] == 200
    for s in loris:
        s.close()


def test_two_hundred_clients(engine):
    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        assert set(pool.map(lambda _: engine.call('GET', '/containers/json?all=1')[0], range(600))) == {200}


@pytest.mark.parametrize('path', ['/containers/x/json', '/containers/x/logs?stdout=1', '/containers/x/start'])
def test_no_such_container(engine, path):
    status, body = engine.call('POST' if path.endswith('start') else 'GET', path)
    assert (status, body['message']) == (404, 'No such container: x')


# ---- images ----

def test_default_image(docker, engine):
    docker.containers.create(IMAGE, 'true', network_mode='none').remove()
    image = docker.images.get(IMAGE)
    assert 'default:latest' in image.tags
    assert image.attrs['Os'] == 'linux'
    assert any(i.id == image.id for i in docker.images.list())
    assert image.history()
    assert image.tag('other/name', 'v1')
    assert docker.images.get('other/name:v1').id == image.id
    docker.images.remove('other/name:v1')
    status, body = engine.call('GET', '/images/other/name:v1/json')
    assert status == 404 and 'No such image: other/name:v1' in body['message']


def test_load_garbage(engine):
    status, body = engine.call('POST', '/images/load', b'garbage' * 100000, {'Content-Type': 'application/x-tar'})
    last = body[-1] if isinstance(body, list) else body
    assert status in (400, 500) or 'error' in last
    assert last.get('message') or last['errorDetail']['message']


def test_pull_errors(engine):
    assert engine.call('POST', '/images/create?fromImage=UPPER&tag=1')[0] == 400
    status, body = engine.call('POST', '/images/create?fromImage=127.0.0.1:1/none&tag=1')
    text = json.dumps(body)
    assert status >= 400 or 'errorDetail' in text


def test_load_cut_short(engine):
    s = engine.connect()
    s.sendall(b'POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n' + b'\0' * 1000)
    s.close()
    assert engine.call('GET', '/_ping')[0] == 200


def image_archive(tag):
    """A docker-archive with one layer, built here."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode='w') as t:
        data = b'hello\n'
        info = tarfile.TarInfo('file')
        info.size = len(data)
        t.addfile(info, io.BytesIO(data))
    import hashlib
    config = json.dumps({'architecture': {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(os.uname().machine, 'amd64'),
                         'os': 'linux', 'config': {'Cmd': ['/file']},
                         'rootfs': {'type': 'layers', 'diff_ids': ['sha256:' + hashlib.sha256(layer.getvalue()).hexdigest()]}}).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w') as t:
        for name, data in (('config.json', config), ('layer.tar', layer.getvalue()),
                           ('manifest.json', json.dumps([{'Config': 'config.json', 'RepoTags': [tag],
                                                         'Layers': ['layer.tar']}]).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


def test_load_and_remove(docker):
    image = docker.images.load(image_archive('api/loaded:1'))[0]
    assert 'api/loaded:1' in image.tags
    docker.images.remove('api/loaded:1')
    assert 'api/loaded:1' not in [t for i in docker.images.list() for t in i.tags]


# ---- containers ----

def test_run_and_logs(docker):
    assert docker.containers.run(IMAGE, ['echo', 'hello'], network_mode='none', remove=True) == b'hello\n'
    with pytest.raises(Exception) as e:
        docker.containers.run(IMAGE, ['sh', '-c', 'echo bad >&2; exit 3'], network_mode='none', remove=True, stderr=True)
    assert e.value.exit_status == 3 and e.value.stderr == b'bad\n'


def test_life(docker, container):
    c = container(['sleep', '1000'], name='api-life', labels={'a': 'b'})
    c.start()
    c.start()   # 304
    assert docker.containers.get('api-life').status == 'running'
    assert [x.id for x in docker.containers.list(filters={'label': 'a=b'})] == [c.id]
    c.pause()
    c.reload()
    assert c.status == 'paused'
    c.unpause()
    c.rename('api-other')
    assert docker.containers.get('api-other').id == c.id
    c.kill('TERM') if False else c.kill()
    assert c.wait()['StatusCode'] == 137
    c.reload()
    assert c.attrs['State']['Status'] == 'exited' and c.attrs['State']['ExitCode'] == 137
    c.start()
    c.stop(timeout=0)
    assert c.wait()['StatusCode'] == 137


def test_conflicts(engine, container):
    container(['true'], name='api-twice')
    status, body = engine.call('POST', '/containers/create?name=api-twice', {'Image': IMAGE, 'HostConfig': {'NetworkMode': 'none'}})
    assert status == 409 and 'is already in use by container' in body['message']
    c = container(['true'])
    status, body = engine.call('POST', f'/containers/{c.id}/kill')
    assert status == 409 and 'is not running' in body['message']
    assert engine.call('POST', f'/containers/{c.id}/stop')[0] == 304


def test_no_program(engine, container):
    c = container(['/nope'])
    status, body = engine.call('POST', f'/containers/{c.id}/start')
    assert status == 400 and 'no such file or directory' in body['message']


def test_wait_sends_its_header_first(engine, container):
    c = container(['sh', '-c', 'exit 7'])
    r = engine.request('POST', f'/containers/{c.id}/wait?condition=next-exit')
    assert r.status == 200   # not started yet
    assert engine.call('POST', f'/containers/{c.id}/start')[0] == 204
    assert json.loads(r.read()) == {'StatusCode': 7}


def frames(data):
    while data:
        kind, size = struct.unpack('>BxxxL', data[:8])
        yield kind, data[8:8 + size]
        data = data[8 + size:]


def hijack(engine, path, body=b'', extra=b''):
    s = engine.connect()
    s.sendall(f'POST {path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n'
              f'Content-Length: {len(body)}\r\n\r\n'.encode() + body + extra)
    head = b''
    while not head.endswith(b'\r\n\r\n'):
        byte = s.recv(1)
        assert byte, head
        head += byte
    return s, head.decode()


def read_all(s):
    data = b''
    while True:
        part = s.recv(1 << 16)
        if not part:
            return data
        data += part


def test_attach_stdin_half_close(engine, container):
    c = container(['cat'], stdin_open=True)
    s, head = hijack(engine, f'/v1.51/containers/{c.id}/attach?stdin=1&stdout=1&stderr=1&stream=1')
    assert head.startswith('HTTP/1.1 101 ') and 'application/vnd.docker.multiplexed-stream' in head
    c.start()
    text = os.urandom(300000)
    threading.Thread(target=lambda: (s.sendall(text), s.shutdown(socket.SHUT_WR))).start()
    out = b''.join(p for kind, p in frames(read_all(s)) if kind == 1)
    assert out == text


def test_attach_old_version_and_streams(engine, container):
    c = container(['sh', '-c', 'echo out; echo err >&2'])
    s, head = hijack(engine, f'/v1.41/containers/{c.id}/attach?stdout=1&stderr=1&stream=1')
    assert 'application/vnd.docker.raw-stream' in head
    c.start()
    assert sorted(frames(read_all(s))) == [(1, b'out\n'), (2, b'err\n')]


def test_plain_hijack_gets_output(engine, container):
    c = container(['echo', 'plain'])
    r = engine.request('POST', f'/containers/{c.id}/attach?stdout=1&stream=1')
    assert r.status == 200
    c.start()
    assert list(frames(r.read())) == [(1, b'plain\n')]


def test_plain_hijack_takes_input(engine, container):
    """A client that asks for no upgrade writes its input behind the request."""
    c = container(['wc', '-c'], stdin_open=True)
    s = engine.connect()
    s.sendall(f'POST /containers/{c.id}/attach?stdin=1&stdout=1&stream=1 HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n'.encode())
    head = b''
    while b'\r\n\r\n' not in head:
        head += s.recv(1)
    assert b' 200 ' in head.splitlines()[0] and b'connection: close' in head.lower()
    c.start()
    s.sendall(b'x' * 3000000)
    s.shutdown(socket.SHUT_WR)
    assert c.wait()['StatusCode'] == 0
    assert c.logs().strip() == b'3000000'
    s.close()


def test_logs(container):
    c = container(['sh', '-c', 'for i in 1 2 3; do echo line $i; done; echo bad >&2'])
    c.start()
    c.wait()
    assert c.logs(stderr=False) == b'line 1\nline 2\nline 3\n'
    assert c.logs(stdout=False) == b'bad\n'
    # The tail counts the lines of both streams, as Docker does.
    assert c.logs(stderr=False, tail=1) + c.logs(stdout=False, tail=1) in (b'line 3\n', b'bad\n')
    assert sorted(c.logs(tail=2).splitlines()) in ([b'bad', b'line 3'], [b'line 2', b'line 3'])
    stamp, _, rest = c.logs(stdout=False, timestamps=True).partition(b' ')
    assert rest == b'bad\n' and stamp.endswith(b'Z')
    assert c.logs(stderr=False, since=int(time.time()) + 60) == b''


def test_logs_need_a_stream(engine, container):
    c = container(['true'])
    assert engine.call('GET', f'/containers/{c.id}/logs') == (
        400, {'message': 'Bad parameters: you must choose at least one stream'})


def test_logs_follow(container):
    c = container(['sh', '-c', 'echo one; sleep 0.3; echo two'])
    c.start()
    assert b''.join(c.logs(stream=True, follow=True)) == b'one\ntwo\n'


def test_clients_vanish_mid_stream(engine, container):
    c = container(['sh', '-c', 'while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done'],
                  log_config={'Type': 'json-file', 'Config': {'max-size': '1m'}})
    c.start()
    for path in f'/containers/{c.id}/logs?stdout=1&follow=1', f'/containers/{c.id}/stats':
        for _ in range(5):
            r = engine.request('GET', path)
            r.read(100)
            r.close()
    s, _ = hijack(engine, f'/containers/{c.id}/attach?stdout=1&stream=1')
    s.recv(1000)
    s.close()
    assert engine.call('GET', f'/containers/{c.id}/json')[1]['State']['Running']


def test_big_output(docker):
    out = docker.containers.run(IMAGE, ['sh', '-c', 'head -c 20000000 /dev/zero'], network_mode='none', remove=True)
    assert len(out) == 20000000


# ---- exec ----

def test_exec(engine, container):
    c = container(['sleep', '1000'])
    c.start()
    code, out = c.exec_run(['sh', '-c', 'echo from exec; exit 5'])
    assert (code, out) == (5, b'from exec\n')
    code, out = c.exec_run(['sh', '-c', 'echo $A; pwd'], environment={'A': 'b'}, workdir='/tmp')
    assert (code, out) == (0, b'b\n/tmp\n')
    made = engine.call('POST', f'/containers/{c.id}/exec', {'Cmd': ['cat'], 'AttachStdin': True, 'AttachStdout': True})
    assert made[0] == 201
    s, _ = hijack(engine, f'/exec/{made[1]["Id"]}/start', b'{"Detach":false,"Tty":false}')
    s.sendall(b'through cat')
    s.shutdown(socket.SHUT_WR)
    assert list(frames(read_all(s))) == [(1, b'through cat')]
    for _ in range(100):
        state = engine.call('GET', f'/exec/{made[1]["Id"]}/json')[1]
        if not state['Running']:
            break
        time.sleep(0.05)
    assert state['ExitCode'] == 0


def test_exec_errors(engine, container):
    c = container(['sleep', '1000'])
    assert engine.call('POST', f'/containers/{c.id}/exec', {'Cmd': ['true']})[0] == 409
    c.start()
    assert engine.call('POST', f'/containers/{c.id}/exec', {'Cmd': []})[0] == 400
    assert engine.call('POST', '/exec/nope/start', {'Detach': True})[0] == 404
    assert engine.call('GET', '/exec/nope/json')[0] == 404


# ---- volumes, networks, events ----

def test_volumes(docker, engine):
    v = docker.volumes.create('api-volume', labels={'k': 'v'})
    assert docker.volumes.get('api-volume').attrs['Labels'] == {'k': 'v'}
    assert [x.name for x in docker.volumes.list(filters={'label': 'k=v'})] == ['api-volume']
    docker.containers.run(IMAGE, ['sh', '-c', 'echo kept >/v/file'], volumes={'api-volume': {'bind': '/v'}}, network_mode='none', remove=True)
    assert docker.containers.run(IMAGE, ['cat', '/v/file'], volumes={'api-volume': {'bind': '/v', 'mode': 'ro'}},
                                 network_mode='none', remove=True) == b'kept\n'
    v.remove()
    assert engine.call('GET', '/volumes/api-volume')[0] == 404


def test_networks(docker, engine):
    assert sorted(n.name for n in docker.networks.list()) == ['bridge', 'host', 'none']
    assert docker.networks.get('none').attrs['Driver'] == 'null'
    assert engine.call('GET', '/networks/nope') == (404, {'message': 'network nope not found'})


def test_events(docker, container):
    since = int(time.time())
    c = container(['true'], name='api-events')
    c.start()
    c.wait()
    time.sleep(0.2)
    seen = [e for e in docker.events(since=since, until=int(time.time()) + 1, decode=True, filters={'container': c.id})]
    actions = [e['Action'] for e in seen]
    for action in 'create', 'start', 'die':
        assert action in actions
    die = seen[actions.index('die')]
    assert die['Type'] == 'container' and die['Actor']['ID'] == c.id and die['scope'] == 'local'
    assert die['Actor']['Attributes']['name'] == 'api-events' and die['Actor']['Attributes']['exitCode'] == '0'
    assert die['timeNano'] // 10**9 == die['time']


def test_disk_usage(docker):
    usage = docker.df()
    assert {'Images', 'Containers', 'Volumes'} <= set(usage)


# ---- files ----

@pytest.mark.parametrize('running', [True, False])
def test_archive(container, running):
    c = container(['sleep', '1000'])
    if running:
        c.start()
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode='w') as t:
        info = tarfile.TarInfo('dir/file')
        info.size, info.mode = 5, 0o640
        t.addfile(info, io.BytesIO(b'hello'))
        link = tarfile.TarInfo('dir/link')
        link.type, link.linkname = tarfile.SYMTYPE, 'file'
        t.addfile(link)
    assert c.put_archive('/etc', tar.getvalue())
    chunks, stat = c.get_archive('/etc/dir')
    assert stat['name'] == 'dir' and stat['mode'] & 1 << 31
    with tarfile.open(fileobj=io.BytesIO(b''.join(chunks))) as t:
        assert sorted(t.getnames()) == ['dir', 'dir/file', 'dir/link']
        assert t.extractfile('dir/file').read() == b'hello' and t.getmember('dir/file').mode == 0o640
    assert c.get_archive('/etc/dir/link')[1]['linkTarget'] == 'file'
    with tarfile.open(fileobj=io.BytesIO(b''.join(c.export()))) as t:
        names = t.getnames()
        assert 'etc/dir/file' in names and not any(n.startswith(('proc/', 'sys/')) for n in names)


def test_archive_errors(engine, container):
    c = container(['true'])
    for method in 'GET', 'HEAD':
        assert engine.call(method, f'/containers/{c.id}/archive?path=/nope')[0] == 404
    assert engine.call('GET', f'/containers/{c.id}/archive')[0] == 400
    assert engine.call('PUT', f'/containers/{c.id}/archive?path=/etc/passwd', b'x')[0] == 400
    assert engine.call('PUT', f'/containers/{c.id}/archive?path=/etc', b'garbage' * 10000)[0] >= 400
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode='w') as t:
        link = tarfile.TarInfo('up')
        link.type, link.linkname = tarfile.SYMTYPE, '/../../../../../../tmp'
        t.addfile(link)
        info = tarfile.TarInfo('up/coracle-escaped')
        t.addfile(info)
    engine.call('PUT', f'/containers/{c.id}/archive?path=/etc', evil.getvalue())
    assert not os.path.exists('/tmp/coracle-escaped')
