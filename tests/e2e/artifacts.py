# SPDX-License-Identifier: Apache-2.0
"""Puts images, artifacts and signatures into a registry over its API, the wrong ones too.

usage: artifacts.py images HOST     amd64 and arm64 images, as OCI and as Docker schema 2: a/m:ARCH-oci, a/m:ARCH-docker
       artifacts.py no-mount HOST FILE    a proxy before the registry that mounts nothing, its port in FILE; while
                                          FILE.lie exists, blobs are sent with a wrong byte
"""
import http.client
import json
import os
import re
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from imagelib import Image, Tar, sha


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
