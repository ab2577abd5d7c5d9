# SPDX-License-Identifier: Apache-2.0
"""Debian's python3-docker as its users use it: objects, streams, sockets, filters. The raw API is in test_api.py."""
import io
import os
import socket
import subprocess
import tarfile
import time

import pytest

from test_api import BIN, IMAGE, Engine, container, docker, engine  # noqa: F401  fixtures

NONE = {'network_mode': 'none'}


@pytest.fixture
def up(container):
    c = container(['sleep', '1000'], labels={'who': 'up'})
    c.start()
    return c


def read_socket(sock):
    """What a hijacked socket brings until its end."""
    raw = getattr(sock, '_sock', sock)
    raw.settimeout(20)
    out = b''
    while True:
        data = raw.recv(65536)
        if not data:
            return out
        out += data


# ---- containers ----

def test_run_returns_output_and_raises_exit_codes(docker):
    assert docker.containers.run(IMAGE, 'echo words', remove=True, **NONE) == b'words\n'
    assert docker.containers.run(IMAGE, ['sh', '-c', 'echo out; echo err >&2'], remove=True, stdout=False, stderr=True,
                                 **NONE) == b'err\n'
    with pytest.raises(Exception) as failed:
        docker.containers.run(IMAGE, ['sh', '-c', 'echo why >&2; exit 5'], remove=True, **NONE)
    assert failed.type.__name__ == 'ContainerError' and failed.value.exit_status == 5 and b'why' in failed.value.stderr
    with pytest.raises(Exception) as missing:
        docker.containers.create('nothing-like-it:1', **NONE)
    assert missing.type.__name__ == 'ImageNotFound'
    with pytest.raises(Exception) as nobody:
        docker.containers.get('nobody')
    assert nobody.type.__name__ == 'NotFound'


def test_run_detached_with_everything(docker, tmp_path):
    (tmp_path / 'f').write_text('bound')
    tmp_path.chmod(0o755)
    c = docker.containers.run(
        IMAGE, ['sh', '-c', 'cat /bound/f; env | grep ^A=; id -u; pwd; hostname; cat /proc/self/oom_score_adj; ulimit -n; exec sleep 1000'],
        detach=True, name='everything', environment={'A': 'b'}, user='5', working_dir='/tmp', hostname='named', mem_limit='64m',
        memswap_limit='64m', cpu_shares=100, nano_cpus=500000000, pids_limit=50, oom_score_adj=7, labels={'k': 'v'}, read_only=True,
        tmpfs={'/scratch': 'size=1m'}, volumes={str(tmp_path): {'bind': '/bound', 'mode': 'ro'}}, cap_drop=['ALL'],
        security_opt=['no-new-privileges'], restart_policy={'Name': 'on-failure', 'MaximumRetryCount': 3}, init=True,
        stop_signal='SIGKILL', shm_size='1m', log_config={'type': 'json-file', 'config': {'max-size': '1m'}}, network_mode='none',
        ulimits=[__import__('docker').types.Ulimit(name='nofile', soft=99, hard=100)])
    try:
        for _ in range(200):
            if c.logs().count(b'\n') >= 7 or len(c.logs().split()) >= 7:
                break
            time.sleep(0.02)
        assert c.logs().decode().split() == ['boundA=b', '5', '/tmp', 'named', '7', '99']
        c.reload()
        host = c.attrs['HostConfig']
        assert c.status == 'running' and c.labels['k'] == 'v' and c.name == 'everything' and c.short_id == c.id[:10]
        assert (host['Memory'], host['CpuShares'], host['NanoCpus'], host['PidsLimit'], host['ShmSize']) == (
            64 << 20, 100, 500000000, 50, 1 << 20)
        assert host['RestartPolicy'] == {'Name': 'on-failure', 'MaximumRetryCount': 3} and host['Init'] is True
        assert c.image.id == docker.images.get(IMAGE).id
    finally:
        c.remove(force=True)


def test_list_filters(docker, container, up):
    other = container(['true'], labels={'who': 'other'}, name='py-other')
    find = lambda **f: sorted(c.id for c in docker.containers.list(**f))  # noqa: E731
    assert find(filters={'label': 'who=up'}) == [up.id]
    assert find(all=True, filters={'label': ['who']}) == sorted([up.id, other.id])
    assert find(filters={'status': 'created'}) == [other.id]
    assert find(all=True, filters={'name': 'py-other'}) == [other.id]
    assert find(all=True, filters={'before': other.id, 'label': 'who'}) == [up.id]
    assert find(all=True, filters={'since': up.id}) == [other.id]
    assert find(limit=1) == [other.id]
    assert find(all=True, filters={'exited': 0, 'label': 'who'}) == []
    assert docker.containers.list(sparse=True, filters={'id': up.id})[0].attrs['State'] == 'running'


def test_life(up):
    up.pause()
    up.reload()
    assert up.status == 'paused'
    up.unpause()
    up.rename('py-renamed')
    up.update(mem_limit='128m', memswap_limit='256m', restart_policy={'Name': 'always'})
    up.reload()
    assert up.name == 'py-renamed' and up.attrs['HostConfig']['Memory'] == 128 << 20
    assert up.attrs['HostConfig']['RestartPolicy']['Name'] == 'always'
    up.restart(timeout=0)
    top = up.top()
    assert top['Titles'][-1] == 'CMD' and [p[-1] for p in top['Processes']] == ['sleep 1000']
    up.stop(timeout=0)
    assert up.wait(condition='not-running') == {'StatusCode': 137, 'Error': None} or up.wait()['StatusCode'] == 137
    up.start()
    up.kill('SIGKILL')
    assert up.wait()['StatusCode'] == 137


def test_health(container):
    test = __import__('docker').types.Healthcheck(test=['CMD', 'true'], interval=100 * 10**6, timeout=10**9, retries=2)
    c = container(['sleep', '1000'], healthcheck=test)
    c.start()
    for _ in range(300):
        c.reload()
        if c.attrs['State']['Health']['Status'] == 'healthy':
            break
        time.sleep(0.05)
    assert c.attrs['State']['Health']['Status'] == 'healthy' and c.attrs['State']['Health']['Log'][0]['ExitCode'] == 0


# ---- streams ----

def test_attach_socket(container):
    c = container('cat', stdin_open=True, tty=True)
    s = c.attach_socket(params={'stdin': 1, 'stdout': 1, 'stream': 1})
    c.start()
    raw = getattr(s, '_sock', s)
    raw.settimeout(20)
    raw.sendall(b'typed\n')
    seen = b''
    while seen.count(b'typed') < 2:  # the terminal's echo, and cat's
        seen += raw.recv(1000)
    c.resize(30, 90)
    raw.sendall(b'\x04')
    assert c.wait()['StatusCode'] == 0
    s.close()


def test_attach_stream_and_logs(container):
    c = container(['sh', '-c', 'for i in 1 2 3; do echo line $i; done; echo bad >&2'])
    stream = c.attach(stream=True, stdout=True, stderr=True, logs=True, demux=True)
    c.start()
    parts = list(stream)
    assert b''.join(o for o, _ in parts if o) == b'line 1\nline 2\nline 3\n' and b''.join(e for _, e in parts if e) == b'bad\n'
    assert b''.join(c.logs(stream=True, follow=True, stderr=False)) == b'line 1\nline 2\nline 3\n'
    assert c.logs(stderr=False, since=int(time.time()) + 60) == b'' and c.logs(until=1) == b''


def test_exec(up):
    code, out = up.exec_run(['sh', '-c', 'echo out; echo err >&2; exit 3'], demux=True)
    assert code == 3 and out == (b'out\n', b'err\n')
    assert up.exec_run('id -u', user='7').output == b'7\n'
    assert up.exec_run(['sh', '-c', 'echo $X $PWD'], environment={'X': 'y'}, workdir='/tmp').output == b'y /tmp\n'
    assert b''.join(up.exec_run(['sh', '-c', 'for i in 1 2 3; do echo $i; done'], stream=True).output) == b'1\n2\n3\n'
    assert up.exec_run('true', detach=True).output == ''
    code, out = up.exec_run('tty', tty=True)
    assert code == 0 and out.startswith(b'/dev/')
    s = up.exec_run(['wc', '-c'], stdin=True, socket=True).output
    raw = getattr(s, '_sock', s)
    raw.sendall(b'x' * 100000)
    raw.shutdown(socket.SHUT_WR)
    assert read_socket(s)[8:].strip() == b'100000'
    s.close()
    assert up.exec_run(['/no/such']).exit_code == 127


def test_output_that_comes_with_the_header_is_not_lost(up):
    """The client reads the header through a buffer and the stream past it."""
    assert [up.exec_run(['echo', str(i)]).output for i in range(40)] == [b'%d\n' % i for i in range(40)]


def test_events_and_stats(docker, container):
    live = docker.events(decode=True, filters={'label': 'py=events'})
    c = container(['sleep', '1000'], labels={'py': 'events'})
    c.start()
    one = c.stats(stream=False)
    assert one['memory_stats']['usage'] > 0
    stream = c.stats(decode=True)
    assert [next(stream)['id'], next(stream)['id']] == [c.id, c.id]
    c.remove(force=True)
    seen = []
    for e in live:
        seen.append(e['Action'])
        if e['Action'] == 'destroy':
            break
    live.close()
    assert seen == ['create', 'start', 'kill', 'die', 'destroy']


# ---- files, images, volumes ----

def test_files_commit_and_diff(docker, up):
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode='w') as t:
        info = tarfile.TarInfo('new')
        info.size = 4
        t.addfile(info, io.BytesIO(b'text'))
    assert up.put_archive('/tmp', tar.getvalue())
    bits, stat = up.get_archive('/tmp/new', encode_stream=True)
    assert stat['size'] == 4
    with tarfile.open(fileobj=io.BytesIO(b''.join(bits))) as t:
        assert t.extractfile('new').read() == b'text'
    assert {'Path': '/tmp/new', 'Kind': 1} in up.diff()
    assert len(b''.join(up.export())) > 10000
    image = up.commit(repository='py', tag='made', message='m', author='a', changes=['ENV E=1', 'CMD ["cat", "/tmp/new"]'])
    assert image.tags == ['py:made'] and image.attrs['Comment'] == 'm'
    assert docker.containers.run('py:made', remove=True, **NONE) == b'text'
    assert image.tag('py', 'again') and sorted(docker.images.get(image.id).tags) == ['py:again', 'py:made']
    assert len(image.history()) >= 2
    saved = b''.join(image.save(named='py:made'))
    docker.images.remove(image.id, force=True)
    assert not docker.images.list('py')
    assert [i.id for i in docker.images.load(saved)] == [image.id]
    docker.images.remove(image.id, force=True)


def test_volumes_and_prune(docker, container):
    v = docker.volumes.create('py-volume', labels={'l': '1'}, driver='local')
    assert v.name == 'py-volume' and docker.volumes.list(filters={'label': 'l'}) == [v]
    mount = __import__('docker').types.Mount('/data', 'py-volume', type='volume')
    c = container(['sh', '-c', 'echo kept >/data/f'], mounts=[mount])
    c.start()
    c.wait()
    with pytest.raises(Exception, match='volume is in use'):
        v.remove()
    assert open(os.path.join(v.attrs['Mountpoint'], 'f')).read() == 'kept\n'
    pruned = docker.containers.prune(filters={'until': '1s', 'label': 'none-has-this'})
    assert pruned['ContainersDeleted'] in (None, [])
    c.remove()
    v.remove()
    assert docker.volumes.list() == [] or all(x.name != 'py-volume' for x in docker.volumes.list())
    assert docker.volumes.prune()['SpaceReclaimed'] >= 0
    assert docker.images.prune()['SpaceReclaimed'] >= 0


# ---- TLS ----

def test_from_env_with_tls(tmp_path, monkeypatch):
    """DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH against tcp:// with certificates of both sides."""
    module = pytest.importorskip('docker')
    for name in 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE':  # requests prefers them to what the client says
        monkeypatch.delenv(name, raising=False)
    certs = tmp_path / 'certs'
    certs.mkdir()
    run = lambda text: subprocess.run(text, shell=True, check=True, cwd=certs, capture_output=True)  # noqa: E731
    run('openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca-key.pem -out ca.pem -subj /CN=ca -days 2')
    for name, more in ('server', 'subjectAltName=IP:127.0.0.1'), ('client', 'extendedKeyUsage=clientAuth'):
        out = {'server': 'server', 'client': ''}[name]
        cert, key = (f'{out}-cert.pem', f'{out}-key.pem') if out else ('cert.pem', 'key.pem')
        run(f'openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {key} -out {name}.csr -subj /CN={name}')
        (certs / 'ext').write_text(more)
        run(f'openssl x509 -req -in {name}.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -out {cert} -days 2 -extfile ext')
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    home = tmp_path / 'home'
    home.mkdir()
    with open(tmp_path / 'log', 'wb') as log:
        p = subprocess.Popen([os.path.join(BIN, 'coracled'), '-H', f'tcp://127.0.0.1:{port}', '--tlsverify', '--tlscacert', certs / 'ca.pem',
                              '--tlscert', certs / 'server-cert.pem', '--tlskey', certs / 'server-key.pem'],
                             stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ, CORACLE_HOME=str(home)))
    try:
        env = {'DOCKER_HOST': f'tcp://127.0.0.1:{port}', 'DOCKER_TLS_VERIFY': '1', 'DOCKER_CERT_PATH': str(certs)}
        why = None
        for _ in range(100):
            try:
                client = module.from_env(environment=env, version='auto')
                break
            except Exception as e:
                why = e
                assert p.poll() is None, (tmp_path / 'log').read_text()
                time.sleep(0.1)
        else:
            raise why
        assert client.ping()
        assert client.containers.run(IMAGE, 'echo over tls', remove=True, **NONE) == b'over tls\n'
        with pytest.raises(Exception):
            module.DockerClient(base_url=f'https://127.0.0.1:{port}', tls=False, timeout=5).ping()
        client.close()
    finally:
        p.terminate()
        p.wait(20)
