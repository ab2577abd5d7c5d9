# SPDX-License-Identifier: Apache-2.0
"""Puts images, artifacts and signatures into a registry over its API, the wrong ones too.

usage: artifacts.py images HOST     amd64 and arm64 images, as OCI and as Docker schema 2: a/m:ARCH-oci, a/m:ARCH-docker
       artifacts.py sign HOST REPO TAG KEY.pem [NAME=VALUE...]    a cosign signature, see sign() for what may be wrong
       artifacts.py attach HOST REPO TAG TYPE TEXT    an artifact that refers to an image, in the fallback tag
       artifacts.py serve FILE KEY.pem     a registry with the referrers API, its port in FILE: box:plain without
                                          referrers, box:signed with a signature and 5 more in pages of 2
       artifacts.py no-mount HOST FILE    a proxy before the registry that mounts nothing, its port in FILE; while
                                          FILE.lie exists, blobs are sent with a wrong byte
"""
import base64
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from imagelib import OCI, Image, Registry, Tar, busybox_tar, sha


class Remote:
    """One repository of a registry."""

    def __init__(self, host, repo):
        self.base = 'http://%s/v2/%s/' % (host, repo)

    def call(self, method, url, data=None, kind=None):
        request = urllib.request.Request(url if '://' in url else self.base + url, data=data, method=method,
                                         headers={'Content-Type': kind} if kind else {})
        with urllib.request.urlopen(request) as answer:
            return answer.read(), answer.headers

    def blob(self, data):
        where = self.call('POST', 'blobs/uploads/', b'')[1]['Location']
        self.call('PUT', where + ('&' if '?' in where else '?') + 'digest=' + sha(data), data, 'application/octet-stream')
        return {'digest': sha(data), 'size': len(data)}

    def manifest(self, doc, tag):
        data = doc if isinstance(doc, bytes) else json.dumps(doc).encode()
        self.call('PUT', 'manifests/' + tag, data, json.loads(data)['mediaType'])
        return {'mediaType': json.loads(data)['mediaType'], 'digest': sha(data), 'size': len(data)}

    def image(self, image, tag):
        for digest, data in image.blobs.items():
            if digest != sha(image.manifest_bytes):
                self.blob(data)
        return self.manifest(image.manifest_bytes, tag)


def images(host):
    repo = Remote(host, 'a/m')
    for arch in ('amd64', 'arm64'):
        tar = Tar().file('arch', arch).done()
        repo.image(Image([tar], arch=arch), arch + '-oci')
        repo.image(Image([tar], arch=arch, schema2=True), arch + '-docker')


SIG_LAYER = 'application/vnd.dev.cosign.simplesigning.v1+json'
SIG_ARTIFACT = 'application/vnd.dev.cosign.artifact.sig.v1+json'


def openssl_sign(key, data):
    with tempfile.NamedTemporaryFile() as f:
        f.write(data)
        f.flush()
        with open(key) as pem:
            ed = 'BEGIN PRIVATE' in pem.read() and b'ED25519' in subprocess.run(
                ['openssl', 'pkey', '-in', key, '-noout', '-text'], stdout=subprocess.PIPE, check=True).stdout
        how = ['pkeyutl', '-sign', '-rawin', '-inkey', key, '-in', f.name] if ed else ['dgst', '-sha256', '-sign', key, f.name]
        return subprocess.run(['openssl'] + how, stdout=subprocess.PIPE, check=True).stdout


def payload_of(digest, reference, **more):
    return {'critical': {'identity': {'docker-reference': reference}, 'image': {'docker-manifest-digest': digest},
                         'type': 'cosign container image signature'}, 'optional': None, **more}


def signature_of(payload, key, annotation=None):
    """Layer descriptor and bytes of one signature."""
    text = annotation or base64.b64encode(openssl_sign(key, payload)).decode()
    return {'mediaType': SIG_LAYER, 'digest': sha(payload), 'size': len(payload),
            'annotations': {'dev.cosignproject.cosign/signature': text}}


def artifact_of(config, layers, subject=None, kind=None):
    doc = {'schemaVersion': 2, 'mediaType': OCI + 'manifest.v1+json', 'config': config, 'layers': layers}
    if subject:
        doc.update(subject=subject, artifactType=kind)
    return doc


def get_manifest(repo, tag):
    request = urllib.request.Request(repo.base + 'manifests/' + tag, headers={'Accept': ', '.join(
        [OCI + 'manifest.v1+json', OCI + 'index.v1+json', 'application/vnd.docker.distribution.manifest.v2+json'])})
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def refer(repo, subject, manifest, kind):
    """Adds a descriptor to the index that stands for the referrers API."""
    tag = subject['digest'].replace(':', '-')
    try:
        index = json.loads(get_manifest(repo, tag))
    except urllib.error.HTTPError:
        index = {'schemaVersion': 2, 'mediaType': OCI + 'index.v1+json', 'manifests': []}
    index['manifests'].append(dict(manifest, artifactType=kind))
    repo.manifest(index, tag)


def subject_of(repo, tag, member=None):
    data = get_manifest(repo, tag)
    doc = json.loads(data)
    if member is not None:
        return doc['manifests'][int(member)]
    return {'mediaType': doc['mediaType'], 'digest': sha(data), 'size': len(data)}


def sign(host, name, tag, key, *options):
    """where=tag|referrers, member=N (of an index), reference=, digest=, type= (what the payload says), raw= (payload
    instead), flip=1 (a bit of the signature), annotation= (instead of it), huge=BYTES (of another annotation),
    pad=BYTES (of the payload), claim=N (size said), count=N (wrong ones before it)."""
    o = dict(x.split('=', 1) for x in options)
    repo = Remote(host, name)
    subject = subject_of(repo, tag, o.get('member'))
    payload = payload_of(o.get('digest', subject['digest']), o.get('reference', '%s/%s:%s' % (host, name, tag)))
    if 'type' in o:
        payload['critical']['type'] = o['type']
    if 'pad' in o:
        payload['optional'] = {'pad': 'x' * int(o['pad'])}
    data = o['raw'].encode() if 'raw' in o else json.dumps(payload).encode()
    layer = signature_of(data, key, o.get('annotation'))
    if 'flip' in o:
        raw = bytearray(base64.b64decode(layer['annotations']['dev.cosignproject.cosign/signature']))
        raw[-1] ^= 1
        layer['annotations']['dev.cosignproject.cosign/signature'] = base64.b64encode(raw).decode()
    if 'huge' in o:
        layer['annotations']['huge'] = 'x' * int(o['huge'])
    repo.blob(data)
    layers = []
    for n in range(int(o.get('count', 0))):
        other = json.dumps(payload_of('sha256:' + '%064x' % n, 'example.com/x')).encode()
        repo.blob(other)
        layers.append(signature_of(other, key))
    layers.append(dict(layer, size=int(o.get('claim', layer['size']))))
    if o.get('where') == 'referrers':
        doc = artifact_of(repo.blob(b'{}') | {'mediaType': SIG_ARTIFACT}, layers, subject, SIG_ARTIFACT)
        refer(repo, subject, repo.manifest(doc, sha(json.dumps(doc).encode())), SIG_ARTIFACT)
    else:
        config = repo.blob(b'{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":[]}}')
        doc = artifact_of(dict(config, mediaType=OCI + 'config.v1+json'), layers)
        repo.manifest(doc, subject['digest'].replace(':', '-') + '.sig')
    print(subject['digest'])


def attach(host, name, tag, kind, text):
    repo = Remote(host, name)
    subject = subject_of(repo, tag)
    layer = dict(repo.blob(text.encode()), mediaType='text/plain')
    config = dict(repo.blob(b'{}'), mediaType='application/vnd.oci.empty.v1+json')
    doc = artifact_of(config, [layer], subject, kind)
    refer(repo, subject, repo.manifest(doc, sha(json.dumps(doc).encode())), kind)
    print(subject['digest'])


def serve(port_file, key):
    reg = Registry()
    reg.page = 2
    for tag in ('plain', 'signed'):
        reg.add(Image([busybox_tar()], {'Labels': {'tag': tag}}, compression='plain'), 'box:' + tag)
    manifest, kind = reg.repos[('box', 'signed')]
    subject = {'mediaType': kind, 'digest': sha(manifest), 'size': len(manifest)}
    payload = json.dumps(payload_of(subject['digest'], '127.0.0.1:%d/box:signed' % reg.port)).encode()
    for n in range(5):
        reg.refer(subject, 'example/sbom', b'bill %d' % n)
    reg.refer(subject, SIG_ARTIFACT, payload, signature_of(payload, key))
    with open(port_file + '.tmp', 'w') as f:
        f.write(str(reg.port))
    os.rename(port_file + '.tmp', port_file)
    while os.getppid() != 1:
        time.sleep(1)


def no_mount(host, port_file):
    class Proxy(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def log_message(self, *args):
            pass

        def forward(self):
            path = re.sub(r'/blobs/uploads/\?mount=.*', '/blobs/uploads/', self.path)
            body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
            out = http.client.HTTPConnection(host)
            out.request(self.command, path, body, {k: v for k, v in self.headers.items() if k != 'Host'})
            answer = out.getresponse()
            data = answer.read()
            if self.command == 'GET' and '/blobs/' in path and os.path.exists(port_file + '.lie'):
                data = data[:-1] + bytes([data[-1] ^ 1])
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in ('transfer-encoding', 'connection'):
                    self.send_header(key, re.sub('^http://[^/]*', '', value) if key == 'Location' else value)
            self.end_headers()
            self.wfile.write(data)
            out.close()

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = forward

    server = ThreadingHTTPServer(('127.0.0.1', 0), Proxy)
    with open(port_file + '.tmp', 'w') as f:
        f.write(str(server.server_address[1]))
    os.rename(port_file + '.tmp', port_file)
    server.serve_forever()


if __name__ == '__main__':
    globals()[sys.argv[1].replace('-', '_')](*sys.argv[2:])
