#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile documents and layers through `pull`: image-hostile.py IMAGE_TOOL PROGRAM_DIR [TEST...]

Each is refused with a message that names the blob (and the entry), the store stays as it was, and neither the
puller nor its workers ever hold more than 64 MiB.
"""
import gzip
import io
import json
import os
import subprocess
import tarfile
import time

import faultlib
from faultlib import OCI, PROGRAMS, Home, Image, Server, main, sha, tar_of, test

PEAK_KB = 64 << 10
QUICK = 'ASAN_OPTIONS' in os.environ  # its shadow memory counts

# In place of the worker: runs it and writes down its peak. Small, for the peak of a child is at least its parent's.
WRAPPER = '''#!/usr/bin/python3 -IS
import os, sys
pid = os.posix_spawn(%(program)r, ['coracle-unpack', *sys.argv[1:]], os.environ)
status, usage = os.wait4(pid, 0)[1:]
with open(%(peaks)r, 'a') as f:
    f.write('%%s %%d\\n' %% (sys.argv[1], usage.ru_maxrss))
os._exit(os.waitstatus_to_exitcode(status) & 255)
'''


class Measured(Home):
    """A home whose workers are measured."""

    def __init__(self):
        super().__init__()
        self.peaks = self.path + '/peaks'
        self.programs = self.path + '/bin'
        os.mkdir(self.programs)
        with open(self.programs + '/coracle-unpack', 'w') as f:
            f.write(WRAPPER % {'program': PROGRAMS + '/coracle-unpack', 'peaks': self.peaks})
        os.chmod(self.programs + '/coracle-unpack', 0o755)

    def tool(self, *args, timeout=60):
        faultlib.PROGRAMS, before = self.programs, faultlib.PROGRAMS
        try:
            return super().tool(*args, timeout=timeout)
        finally:
            faultlib.PROGRAMS = before

    def peak(self):
        if not os.path.exists(self.peaks):
            return 0
        with open(self.peaks) as f:
            return max(int(line.split()[1]) for line in f)


def hostile(image, *texts, fault=None, server=None, ref=None, timeout=60):
    """The pull ends with an error that has all the texts, and leaves nothing."""
    home, server = Measured(), server or Server(image, fault)
    code, out = home.tool('pull', ref or server.ref, timeout=timeout)
    error = ''.join(line for line in out.splitlines() if line.startswith('error: '))
    assert code == 1 and error, (texts, out)
    for text in texts:
        assert text in error, (text, error)
    assert len(error) < 2000 and error.isprintable(), error
    if not QUICK:
        assert home.peak() <= PEAK_KB, home.peak()
    home.clean()
    home.end()
    return error


def document(data, *texts, kind='manifest.v1+json', fault=None):
    """The manifest is `data`."""
    image = Image(1, 1000)
    image.manifest = data if isinstance(data, bytes) else json.dumps(data).encode()
    server = Server(image, lambda h, p, n: (fault and fault(h, p, n)) or ('/manifests/' in p and (
        h.send(200, image.manifest, {'Content-Type': OCI + kind}) or True)))
    return hostile(image, *texts, server=server)


@test
def manifests():
    image = Image(1, 1000)
    layer, config = image.doc['layers'][0], image.doc['config']
    many = json.dumps(dict(image.doc, layers=[layer] * 10000)).encode()
    document(many, '10000 layers, at most 500', sha(many))
    document(b'[' * 1000000, 'manifest')
    document(b'{"schemaVersion":2,"layers":' + b'[' * 100000 + b']' * 100000 + b'}', 'manifest')
    document(b'{"schemaVersion":2,"layers":[],"x":' + b'{"a":' * 50000 + b'1' + b'}' * 50000 + b'}', 'manifest')
    document(b'{"schemaVersion":2,"x":"' + b'a' * (5 << 20) + b'"}', 'larger than')
    document(b' ' * (5 << 20), 'larger than')
    document(dict(image.doc, config=dict(config, size=1 << 62)), 'config of 4611686018427387904 bytes')
    document(dict(image.doc, config=dict(config, size=-5)), config['digest'], 'negative size')
    for size in (-1, 1 << 63, 1 << 64, 1e300, '12', None, [], True, 0.5):
        document(dict(image.doc, layers=[dict(layer, size=size)]), 'size')
    for digest in ('', 'sha256:', 'sha256:' + 'A' * 64, 'sha256:' + 'a' * 63, 'sha256:../../../../etc/passwd', 'md5:' + 'a' * 32,
                   'sha256:' + 'a' * 64 + '\n', 7, None, 'x' * 100000):
        document(dict(image.doc, layers=[dict(layer, digest=digest)]), 'digest')
    for kind in ('application/vnd.cncf.helm.config.v1+json', 'application/vnd.unknown', 'x' * 100000):
        document(dict(image.doc, config=dict(config, mediaType=kind)), 'media type', config['digest'])
    document(dict(image.doc, mediaType='application/vnd.docker.distribution.manifest.v1+prettyjws', schemaVersion=1), 'schema version 1')
    document(dict(image.doc, manifests=[]), 'both')
    document(b'\xef\xbb\xbf{}', 'manifest')
    document(b'{"schemaVersion":2,"mediaType":"\xff\xfe"}', 'manifest')
    document(b'{"schemaVersion":2} trailing', 'manifest')
    document(b'\0' * 1000, 'manifest')


@test
def indexes():
    image = Image(1, 1000)
    entry = dict(Image.desc(image.manifest, 'manifest.v1+json'), platform={'os': 'linux', 'architecture': 'amd64'})

    def index(entries, **more):
        return json.dumps(dict({'schemaVersion': 2, 'mediaType': OCI + 'index.v1+json', 'manifests': entries}, **more)).encode()

    document(index([entry] * 5000), '5000 entries', kind='index.v1+json')
    document(index([]), 'no matching manifest for linux/amd64', kind='index.v1+json')
    document(index([dict(entry, size=1 << 50)]), entry['digest'], 'larger than', kind='index.v1+json')
    document(index([dict(entry, size=-1)]), entry['digest'], 'negative', kind='index.v1+json')
    document(index([dict(entry, platform=[])]), 'platform', kind='index.v1+json')

    # An index that answers for everything, itself included: the digest tells.
    loop = index([dict(entry, mediaType=OCI + 'index.v1+json', size=7)])
    document(loop, 'manifest verification failed for digest ' + entry['digest'], kind='index.v1+json')

    # A chain of honest indexes, each in the next.
    server, inner = Server(image), image.manifest
    kind = 'manifest.v1+json'
    for _ in range(40):
        outer = index([Image.desc(inner, kind)])
        server.manifests.update({sha(inner): inner, '1': outer, sha(outer): outer})
        inner, kind = outer, 'index.v1+json'
    hostile(image, 'more than 8 indexes', server=server)
    assert len(server.asked('/manifests/')) < 20, server.log

    # A tree of them: 64 in each of 64.
    server = Server(image)
    leaves = [index([], annotations={'n': str(i)}) for i in range(64)]
    top = index([Image.desc(leaf, 'index.v1+json') for leaf in leaves])
    server.manifests.update({sha(d): d for d in leaves + [top]})
    server.manifests['1'] = top
    hostile(image, 'more than 8 indexes', sha(top), server=server)
    assert len(server.asked('/manifests/')) < 20, server.log


@test
def configs():
    image = Image(2, 1000)
    good = json.loads(image.config)

    def config(data, *texts):
        image.config = data if isinstance(data, bytes) else json.dumps(data).encode()
        image.seal()
        hostile(image, *texts, sha(image.config))

    ids = good['rootfs']['diff_ids']
    config(b'[' * 1000000)
    config(b'{"rootfs":' + b'{"a":' * 100000)
    config(b'null')
    config(b'')
    config(dict(good, rootfs={'type': 'layers', 'diff_ids': ids * 5000}), '10000 layers')
    config(dict(good, rootfs={'type': 'layers', 'diff_ids': ids[:1]}), 'names 1 layers, the manifest 2')
    config(dict(good, rootfs={'type': 'layers', 'diff_ids': []}), 'names 0 layers')
    config(dict(good, rootfs={'type': 'layers', 'diff_ids': ['sha256:zz', ids[1]]}), 'diff id')
    config(dict(good, rootfs={'type': 'stairs', 'diff_ids': ids}), 'stairs')
    config(dict(good, config={'Env': {'a': 1}}), 'Env')
    config(dict(good, config={'Env': [7]}), 'Env')
    config(dict(good, config='x'), 'config')
    image.config = json.dumps(dict(good, os='windows')).encode()
    image.seal()
    hostile(image, 'windows')
    image.config = json.dumps(dict(good, rootfs={'type': 'layers', 'diff_ids': ids[::-1]})).encode()
    image.seal()
    hostile(image, 'diff id', 'layer')
    # An honest config of 9 MB.
    image.config = json.dumps(dict(good, author='a' * (9 << 20))).encode()
    image.seal()
    hostile(image, sha(image.manifest), 'at most')


def made_of(*blobs, diff=None):
    """An image of these layers, whose diff ids are right unless the blob cannot be inflated."""
    image = Image(1, 10)
    image.layers = list(blobs)
    image.config = json.dumps({'architecture': 'amd64', 'os': 'linux', 'rootfs': {'type': 'layers', 'diff_ids': diff or [
        'sha256:' + '1' * 64 for _ in blobs]}}).encode()
    image.seal()
    return image


def zeros(compress, mib):
    """A tar of one file of zeros, compressed piece by piece."""
    head = tarfile.TarInfo('zeros')
    head.size = mib << 20
    out = compress.stdin if hasattr(compress, 'stdin') else compress
    out.write(head.tobuf(tarfile.GNU_FORMAT))
    for _ in range(mib):
        out.write(bytes(1 << 20))
    out.write(bytes(1024))


@test
def bombs():
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode='wb', compresslevel=9, mtime=0) as z:
        zeros(z, 600)
    image = made_of(out.getvalue())
    hostile(image, sha(image.layers[0]), 'zeros', 'bomb')
    # The same by members: each is small and honest.
    member = gzip.compress(bytes(1 << 20), 9)
    image = made_of(gzip.compress(tar_of({'a': b'x'})[:512], 1) + member * 600)
    hostile(image, sha(image.layers[0]))
    zstd = subprocess.Popen(['zstd', '-q', '-19', '-c'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    feeder = os.fork()
    if not feeder:
        zstd.stdout.close()
        zeros(zstd, 600)
        os._exit(0)
    zstd.stdin.close()
    data = zstd.stdout.read()
    os.waitpid(feeder, 0)
    zstd.wait()
    image = made_of(data)
    hostile(image, sha(image.layers[0]), 'bomb')


def header(name='f', kind=tarfile.REGTYPE, size=0, **more):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    for key, value in more.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT)


@test
def large_windows():
    # What the best level makes of an input of unknown length claims 128 MiB; --long=31 claims two GiB.
    data = tar_of({'random': os.urandom(3000000)})
    for options in (['--ultra', '-22'], ['-1', '--long=31']):
        done = subprocess.run(['zstd', '-q', '-c', *options], input=data, stdout=subprocess.PIPE, check=True)
        image, home = made_of(done.stdout, diff=[sha(data)]), Measured()
        code, out = home.tool('pull', Server(image).ref)
        assert code == 0, out
        home.has(image)
        if not QUICK:
            assert home.peak() <= PEAK_KB, home.peak()
        home.end()


@test
def entries_that_lie():
    def layer(data, *texts):
        image = made_of(gzip.compress(data, 1), diff=[sha(data)])
        hostile(image, sha(image.layers[0]), *texts)

    layer(header('huge', size=1 << 60) + b'x' * 1024, 'huge')
    layer(header('cut', size=100000) + b'x' * 1024, 'cut')
    layer(header('first') + header('../up/../../etc/x') + bytes(1024), '../up')
    layer(header('n' * 90 + '/' + 'm' * 5000, kind=tarfile.REGTYPE) + bytes(1024), 'mmm')
    layer(header('/'.join(['d' * 60] * 200)) + bytes(1024), 'ddd')
    layer(header('link', kind=tarfile.LNKTYPE, linkname='../../../etc/passwd') + bytes(1024), 'link')
    layer(header('gone', kind=tarfile.LNKTYPE, linkname='not/there') + bytes(1024), 'gone')
    layer(header('file') + header('file/below') + bytes(1024))
    broken = bytearray(header('first') + header('second') + bytes(1024))
    broken[512 + 20] ^= 0x55
    layer(bytes(broken), 'first')
    info = tarfile.TarInfo('attributes')
    info.pax_headers = {'SCHILY.xattr.user.%d' % i: 'v' * 200 for i in range(20000)}
    layer(info.tobuf(tarfile.PAX_FORMAT) + bytes(1024), 'header too large')
    info = tarfile.TarInfo('value')
    info.pax_headers = {'SCHILY.xattr.user.big': 'v' * (2 << 20)}
    layer(info.tobuf(tarfile.PAX_FORMAT) + bytes(1024), 'header too large')
    for kind in (b'x', b'g', b'L', b'K'):
        layer(header('claims', kind=kind, size=1 << 31) + b'9' * (4 << 20))


@test
def a_registry_that_answers_forever():
    image = Image(1, 1000)

    def drip(where, line):
        def act(h, path, n):
            if where not in path:
                return False
            h.wfile.write(line[0])
            end = time.time() + 20
            while time.time() < end:
                h.wfile.write(line[1])
                h.wfile.flush()
                time.sleep(line[2])
            h.close_connection = True
            return True
        return act

    started = time.time()
    hostile(image, 'headers are larger', fault=drip('/manifests/', (b'', b'HTTP/1.1 100 Continue\r\n\r\n' * 4096, 0)))
    hostile(image, 'headers are larger', fault=drip('/v2/', (b'HTTP/1.1 401 x\r\n', b'WWW-Authenticate: Bearer realm="http://x/"\r\n' * 1024, 0)))
    hostile(image, 'header of the server is longer', fault=drip('/blobs/' + sha(image.config), (b'HTTP/1.1 200 OK\r\n', b'A: ' + b'b' * 60000, 0)))
    hostile(image, fault=drip('/manifests/', (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', b'1000\r\n' + b'{' * 4096 + b'\r\n', 0)))
    assert time.time() - started < 30, time.time() - started

    # A bearer realm that never ends, and one that is a token of megabytes.
    def token(data):
        def act(h, path, n):
            if path.startswith('/token'):
                h.send(200, data)
            else:
                h.send(401, b'', {'WWW-Authenticate': 'Bearer realm="http://%s/token",service="s"' % h.headers['Host']})
            return True
        return act
    hostile(image, fault=token(b'{"token":"' + b'a' * (4 << 20) + b'"}'))
    hostile(image, 'token', fault=token(b'{"token":"a\\r\\nX-Injected: 1"}'))
    hostile(image, 'token', fault=token(b'[' * 10000))
    hostile(image, fault=token(b'{"token":"' + b'a' * 60000 + b'"}'))
    # Realms that lead elsewhere.
    for realm in ('file:///etc/passwd', 'gopher://127.0.0.1/', '/token', '', 'http://'):
        hostile(image, fault=lambda h, p, n: h.send(401, b'', {'WWW-Authenticate': 'Bearer realm="%s"' % realm}) or True)

    # Endless new challenges for good tokens.
    count = []

    def again(h, path, n):
        if path.startswith('/token'):
            count.append(1)
            h.send(200, b'{"token":"t%d"}' % len(count))
        else:
            h.send(401, b'', {'WWW-Authenticate': 'Bearer realm="http://%s/token",service="s%d"' % (h.headers['Host'], n)})
        return True
    hostile(image, 'unauthorized', fault=again)
    assert len(count) < 20, len(count)


@test
def a_good_image_afterwards():
    """The same measuring says that an ordinary pull is below the line too."""
    image, home = Image(3, 3000000), Measured()
    server = Server(image)
    code, out = home.tool('pull', server.ref)
    assert code == 0, out
    home.has(image)
    assert home.peak() > 0
    if not QUICK:
        assert home.peak() <= PEAK_KB, home.peak()
    home.end()


main()
