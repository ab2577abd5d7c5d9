# SPDX-License-Identifier: Apache-2.0
"""Builds images for the tests byte by byte, the wrong ones too, and serves them as a small registry.

An Image is a list of layers (tar bytes, each with a compression) and a configuration. It can be written
as an OCI layout, oci-archive or docker-archive, or served over HTTP with chosen lies (see Registry).
"""
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OCI = 'application/vnd.oci.image.'
DOCKER = 'application/vnd.docker.'
BUSYBOX = '/bin/busybox'


def sha(data):
    return 'sha256:' + hashlib.sha256(data).hexdigest()


class Tar:
    """A layer under construction. Every method takes the name verbatim: hostile names stay hostile."""

    def __init__(self, fmt=tarfile.PAX_FORMAT):
        self.raw = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.raw, mode='w', format=fmt)

    def add(self, name, kind, data=b'', **kw):
        info = tarfile.TarInfo(name)
        info.type = kind
        info.size = len(data)
        info.mtime = kw.pop('mtime', 1600000000)
        info.mode = kw.pop('mode', 0o755 if kind == tarfile.DIRTYPE else 0o644)
        info.uid = kw.pop('uid', 0)
        info.gid = kw.pop('gid', 0)
        for key, value in kw.pop('xattrs', {}).items():
            info.pax_headers['SCHILY.xattr.' + key] = value
        for key, value in kw.items():
            setattr(info, key, value)
        self.tar.addfile(info, io.BytesIO(data))
        return self

    def file(self, name, data=b'', **kw):
        return self.add(name, tarfile.REGTYPE, data if isinstance(data, bytes) else data.encode(), **kw)

    def dir(self, name, **kw):
        return self.add(name, tarfile.DIRTYPE, **kw)

    def link(self, name, target, **kw):
        return self.add(name, tarfile.SYMTYPE, linkname=target, **kw)

    def hard(self, name, target, **kw):
        return self.add(name, tarfile.LNKTYPE, linkname=target, **kw)

    def char(self, name, major, minor, **kw):
        return self.add(name, tarfile.CHRTYPE, devmajor=major, devminor=minor, **kw)

    def fifo(self, name, **kw):
        return self.add(name, tarfile.FIFOTYPE, **kw)

    def done(self):
        self.tar.close()
        return self.raw.getvalue()


def compress(data, how):
    if how == 'gzip':
        return gzip.compress(data, 1, mtime=0)
    if how == 'zstd':
        return subprocess.run(['zstd', '-q', '-1', '-c'], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


SUFFIX = {'gzip': '+gzip', 'zstd': '+zstd', 'plain': ''}


def busybox_tar():
    t = Tar()
    for d in ('bin', 'etc', 'home', 'root', 'sbin', 'usr', 'usr/bin', 'var'):
        t.dir(d)
    t.dir('tmp', mode=0o1777)
    with open(BUSYBOX, 'rb') as f:
        t.file('bin/busybox', f.read(), mode=0o755)
    for name in subprocess.run([BUSYBOX, '--list'], stdout=subprocess.PIPE, check=True).stdout.decode().split():
        if name != 'busybox':
            t.hard('bin/' + name, 'bin/busybox', mode=0o755)
    t.file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n')
    t.file('etc/group', 'root:x:0:\nweb:x:1000:\naudio:x:29:web\nextra:x:4242:\nnogroup:x:65534:\n')
    return t.done()


class Image:
    def __init__(self, layers, config=None, arch='amd64', compression='gzip', schema2=False, env=True):
        self.layers = layers
        self.how = compression
        self.schema2 = schema2
        self.blobs = {}
        self.descs = []
        for tar in layers:
            data = compress(tar, compression)
            kind = DOCKER + 'image.rootfs.diff.tar' + ('.gzip' if compression == 'gzip' else '') if schema2 \
                else OCI + 'layer.v1.tar' + SUFFIX[compression]
            self.descs.append(self.put(data, kind))
        base = {'Cmd': ['sh']}
        if env:
            base['Env'] = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin']
        base.update(config or {})
        self.config = {'created': '2024-01-02T03:04:05Z', 'architecture': arch, 'os': 'linux', 'config': base,
                       'rootfs': {'type': 'layers', 'diff_ids': [sha(t) for t in layers]},
                       'history': [{'created': '2024-01-02T03:04:05Z', 'created_by': 'test'} for _ in layers]}
        self.seal()

    def put(self, data, kind):
        self.blobs[sha(data)] = data
        return {'mediaType': kind, 'digest': sha(data), 'size': len(data)}

    def seal(self):
        """Writes configuration and manifest again, after a test has changed descs or config."""
        self.config_bytes = json.dumps(self.config).encode()
        kind = DOCKER + 'container.image.v1+json' if self.schema2 else OCI + 'config.v1+json'
        self.manifest = {'schemaVersion': 2,
                         'mediaType': DOCKER + 'distribution.manifest.v2+json' if self.schema2 else OCI + 'manifest.v1+json',
                         'config': self.put(self.config_bytes, kind), 'layers': self.descs}
        self.remanifest()
        return self

    def remanifest(self):
        self.manifest_bytes = json.dumps(self.manifest).encode()
        self.desc = self.put(self.manifest_bytes, self.manifest['mediaType'])
        return self


def index_of(images, platforms, schema2=False):
    """An image index over several images, as (bytes, media type)."""
    kind = DOCKER + 'distribution.manifest.list.v2+json' if schema2 else OCI + 'index.v1+json'
    entries = [dict(i.desc, platform=p) for i, p in zip(images, platforms)]
    return json.dumps({'schemaVersion': 2, 'mediaType': kind, 'manifests': entries}).encode(), kind


def attestation(subject):
    """BuildKit's form of a statement about an image: an image in form, its layer is a document."""
    doc = json.dumps({'_type': 'https://in-toto.io/Statement/v0.1', 'subject': [{'digest': {'sha256': subject.desc['digest'][7:]}}]}).encode()
    image = Image([doc], arch='unknown', compression='plain')
    image.blobs = {}
    image.config = {'architecture': 'unknown', 'os': 'unknown', 'config': {},
                    'rootfs': {'type': 'layers', 'diff_ids': [sha(doc)]}}
    image.descs = [image.put(doc, 'application/vnd.in-toto+json')]
    image.seal()
    image.desc['annotations'] = {'vnd.docker.reference.type': 'attestation-manifest',
                                 'vnd.docker.reference.digest': subject.desc['digest']}
    return image


def write_index_archive(images, platforms, path, name, leave_out=()):
    """An oci-archive whose only entry is an index. The content of images in leave_out is not in it."""
    data, kind = index_of(images, platforms)
    with tarfile.open(path, 'w') as tar:
        def put(member, content):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        blobs = {sha(data): data}
        for image in images:
            if image not in leave_out:
                blobs.update(image.blobs)
        for digest, content in blobs.items():
            put('blobs/sha256/' + digest[7:], content)
        put('oci-layout', b'{"imageLayoutVersion":"1.0.0"}')
        entry = {'mediaType': kind, 'digest': sha(data), 'size': len(data),
                 'annotations': {'io.containerd.image.name': 'docker.io/library/' + name}}
        put('index.json', json.dumps({'schemaVersion': 2, 'mediaType': OCI + 'index.v1+json', 'manifests': [entry]}).encode())


def write_layout(image, path, name):
    os.makedirs(path + '/blobs/sha256', exist_ok=True)
    for digest, data in image.blobs.items():
        with open(path + '/blobs/sha256/' + digest[7:], 'wb') as f:
            f.write(data)
    with open(path + '/oci-layout', 'w') as f:
        f.write('{"imageLayoutVersion":"1.0.0"}')
    desc = dict(image.desc, annotations={'org.opencontainers.image.ref.name': name.split(':')[-1],
                                         'io.containerd.image.name': 'docker.io/library/' + name})
    with open(path + '/index.json', 'w') as f:
        json.dump({'schemaVersion': 2, 'mediaType': OCI + 'index.v1+json', 'manifests': [desc]}, f)


def write_oci_archive(image, path, name):
    layout = path + '.d'
    write_layout(image, layout, name)
    with tarfile.open(path, 'w') as tar:
        tar.add(layout, arcname='.')
    subprocess.run(['rm', '-r', layout], check=True)


def write_docker_archive(image, path, names):
    with tarfile.open(path, 'w') as tar:
        def put(name, data):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        paths = []
        for number, layer in enumerate(image.layers):
            paths.append('%064x/layer.tar' % (number + 1))
            put(paths[-1], layer)
        config = sha(image.config_bytes)[7:] + '.json'
        put(config, image.config_bytes)
        put('manifest.json', json.dumps([{'Config': config, 'RepoTags': names, 'Layers': paths}]).encode())


class Registry:
    """A registry on a loopback port. `lies` maps a blob digest to a function(data) -> bytes to send;
    `stall` holds digests whose second half is never sent until the registry ends."""

    def __init__(self, port=0):
        self.repos = {}
        self.blobs = {}
        self.lies = {}
        self.slow = {}
        self.log = []
        self.referrers = {}
        self.page = 0  # entries in an answer of the referrers API; 0: a registry without it
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def log_message(self, *args):
                pass

            def do_HEAD(self):
                self.answer(False)

            def do_GET(self):
                self.answer(True)

            def answer(self, body):
                outer.log.append((self.command, self.path, self.headers.get('Range')))
                if self.path == '/v2/':
                    return self.reply(200, b'{}', 'application/json', body)
                found = re.fullmatch(r'/v2/(.+)/referrers/([^/?]+)(?:\?(.*))?', self.path)
                if found and outer.page:
                    return self.referrers(body, *found.groups())
                found = re.fullmatch(r'/v2/(.+)/(manifests|blobs)/([^/]+)', self.path)
                if not found:
                    return self.reply(404, b'{}', 'application/json', body)
                repo, what, ref = found.groups()
                if what == 'manifests':
                    data, kind = outer.repos.get((repo, ref), (None, None))
                    if data is None and ref in outer.blobs:
                        data = outer.blobs[ref]
                        kind = json.loads(data).get('mediaType', OCI + 'manifest.v1+json')
                    if data is None:
                        return self.reply(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}',
                                          'application/json', body)
                    return self.reply(200, data, kind, body, {'Docker-Content-Digest': sha(data)})
                data = outer.blobs.get(ref)
                if data is None:
                    return self.reply(404, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}',
                                      'application/json', body)
                if ref in outer.lies:
                    data = outer.lies[ref](data)
                start = 0
                rng = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range') or '')
                if rng and int(rng.group(1)) < len(data):
                    start = int(rng.group(1))
                    return self.reply(206, data[start:], 'application/octet-stream', body,
                                      {'Content-Range': 'bytes %d-%d/%d' % (start, len(data) - 1, len(data))}, ref)
                return self.reply(200, data, 'application/octet-stream', body, {}, ref)

            def referrers(self, body, repo, digest, query):
                """Pages of `page` entries; a type asked for is filtered, as the specification allows."""
                asked = urllib.parse.parse_qs(query or '')
                kind = asked.get('artifactType', [None])[0]
                found = [d for d in outer.referrers.get(digest, []) if kind in (None, d['artifactType'])]
                at = int(asked.get('at', ['0'])[0])
                headers = {'OCI-Filters-Applied': 'artifactType'} if kind else {}
                if at + outer.page < len(found):
                    more = {'at': at + outer.page} | ({'artifactType': kind} if kind else {})
                    headers['Link'] = '</v2/%s/referrers/%s?%s>; rel="next"' % (repo, digest, urllib.parse.urlencode(more))
                index = {'schemaVersion': 2, 'mediaType': OCI + 'index.v1+json', 'manifests': found[at:at + outer.page]}
                self.reply(200, json.dumps(index).encode(), OCI + 'index.v1+json', body, headers)

            def reply(self, status, data, kind, body, headers=None, ref=None):
                self.send_response(status)
                self.send_header('Content-Type', kind)
                claimed = len(data)
                cut = outer.slow.get(ref)
                self.send_header('Content-Length', str(claimed))
                for key, value in (headers or {}).items():
                    self.send_header(key, value)
                self.end_headers()
                if not body:
                    return
                try:
                    if cut:
                        cut(self.wfile, data)
                    else:
                        self.wfile.write(data)
                except (BrokenPipeError, ConnectionResetError):
                    pass

        self.server = ThreadingHTTPServer(('127.0.0.1', port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def add(self, image, name):
        repo, tag = name.split(':')
        self.blobs.update(image.blobs)
        self.repos[(repo, tag)] = (image.manifest_bytes, image.manifest['mediaType'])

    def refer(self, subject, kind, data, layer=None):
        """An artifact of one layer that refers to `subject`, a descriptor."""
        layer = layer or {'mediaType': 'text/plain', 'digest': sha(data), 'size': len(data)}
        doc = json.dumps({'schemaVersion': 2, 'mediaType': OCI + 'manifest.v1+json', 'artifactType': kind,
                          'config': {'mediaType': 'application/vnd.oci.empty.v1+json', 'digest': sha(b'{}'), 'size': 2},
                          'layers': [layer], 'subject': subject}).encode()
        self.blobs.update({sha(data): data, sha(b'{}'): b'{}', sha(doc): doc})
        self.referrers.setdefault(subject['digest'], []).append(
            {'mediaType': OCI + 'manifest.v1+json', 'digest': sha(doc), 'size': len(doc), 'artifactType': kind,
             'annotations': {'org.opencontainers.image.created': '2024-01-02T03:04:05Z'}})

    def add_index(self, name, images, platforms, schema2=False):
        repo, tag = name.split(':')
        for image in images:
            self.blobs.update(image.blobs)
        self.repos[(repo, tag)] = index_of(images, platforms, schema2)
