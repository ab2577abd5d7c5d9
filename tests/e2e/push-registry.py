#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A registry that takes pushes, has a token server, and fails in the way the repository's name says.

usage: push-registry.py PREFIX     the port is written to PREFIX.port, every request to PREFIX.log
 cut/*      closes the connection after 100 kB of the first upload body; what arrived stays
 nomount/*  declines every mount, as do the others here    small/*  refuses bodies above 300 kB (413)
 busy/*     503 with Retry-After for the first POST      expire/*  tokens are good for six requests
 lost/*     forgets the upload once, after its first body     deny/*  the token has no push
Tokens are for user "me", password "pw"; user "id" with the same password gets a refresh token when asked for
offline access, which is good for tokens by POST. A mount needs a token that may pull from its source.
"""
import base64
import hashlib
import json
import os
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

NO_MOUNT = ('nomount', 'cut', 'lost', 'busy', 'small', 'expire')
blobs, manifests, uploads, tokens, done, refreshes = {}, {}, {}, {}, set(), []


def sha(data):
    return 'sha256:' + hashlib.sha256(data).hexdigest()


def once(what):
    if what in done:
        return False
    done.add(what)
    return True


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def answer(self, status, body=b'', **headers):
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        for key, value in headers.items():
            self.send_header(key.replace('_', '-'), value)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def error(self, status, code, **headers):
        self.answer(status, json.dumps({'errors': [{'code': code, 'message': code.lower().replace('_', ' ')}]}).encode(), **headers)

    def token(self, query):
        have, refresh = self.headers.get('Authorization'), None
        users = ['Basic ' + base64.b64encode(user + b':pw').decode() for user in (b'me', b'id')]
        if self.command == 'POST':
            query = parse_qs(self.rfile.read(int(self.headers['Content-Length'])).decode())
            have = query['refresh_token'][0]
            users = refreshes
        if have not in (None, *users):
            return self.error(401, 'UNAUTHORIZED')
        if self.command == 'GET' and have == users[1] and query.get('offline_token') == ['true']:
            refresh = 'refresh%d+/=' % len(tokens)
            refreshes.append(refresh)
        scopes = set(query.get('scope', []))
        if self.command == 'POST':  # OAuth2: one parameter
            scopes = set(query.get('scope', [''])[0].split())
        if not have:
            scopes = {s.replace('pull,push', 'pull') for s in scopes}
        scopes = {s.replace('pull,push', 'pull') if ':deny/' in s else s for s in scopes}
        name = 'token%d' % len(tokens)
        tokens[name] = [scopes, 6 if any(':expire/' in s for s in scopes) else 1000]
        self.answer(200, json.dumps({'token': name, **({'refresh_token': refresh} if refresh else {})}).encode())

    def allowed(self, repo, push):
        scopes, left = tokens.get((self.headers.get('Authorization') or '')[7:], [set(), 0])
        if left:
            tokens[self.headers['Authorization'][7:]][1] -= 1
        ok = 'repository:%s:pull,push' % repo in scopes or (not push and 'repository:%s:pull' % repo in scopes)
        if ok and left:
            return True
        known = left and bool(self.headers.get('Authorization'))
        scope = 'repository:%s:%s' % (repo, 'pull,push' if push else 'pull')
        self.drain()
        self.error(403 if known else 401, 'DENIED' if known else 'UNAUTHORIZED',
                   WWW_Authenticate='Bearer realm="http://%s/token",service="test",scope="%s"' % (self.headers['Host'], scope))
        return False

    def drain(self):
        self.rfile.read(int(self.headers.get('Content-Length') or 0))

    def handle_any(self):
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        with open(sys.argv[1] + '.log', 'a') as f:
            f.write('%s %s %s\n' % (self.command, self.path, self.headers.get('Content-Range') or ''))
        if url.path == '/token':
            return self.token(query)
        if url.path == '/v2/':
            if (self.headers.get('Authorization') or '')[7:] in tokens:
                return self.answer(200, b'{}')
            return self.error(401, 'UNAUTHORIZED', WWW_Authenticate='Bearer realm="http://%s/token",service="test"' % self.headers['Host'])
        match = re.fullmatch(r'/v2/(.+)/(manifests|blobs/uploads|blobs)/(.*)', url.path)
        if not match:
            return self.error(404, 'NOT_FOUND')
        repo, what, ref = match.groups()
        if not self.allowed(repo, self.command not in ('GET', 'HEAD')):
            return None
        return {'manifests': self.manifest, 'blobs': self.blob, 'blobs/uploads': self.upload}[what](repo, ref, query)

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = handle_any

    def manifest(self, repo, ref, query):
        if self.command == 'PUT':
            data = self.rfile.read(int(self.headers['Content-Length']))
            for key in (ref, sha(data)):
                manifests[repo, key] = (data, self.headers['Content-Type'])
            return self.answer(201, Docker_Content_Digest=sha(data), Location='/v2/x')
        data, kind = manifests.get((repo, ref), (None, None))
        if data is None:
            return self.error(404, 'MANIFEST_UNKNOWN')
        return self.answer(200, data, Content_Type=kind, Docker_Content_Digest=sha(data))

    def blob(self, repo, ref, query):
        if (repo, ref) not in blobs:
            return self.error(404, 'BLOB_UNKNOWN')
        return self.answer(200, blobs[repo, ref])

    def upload(self, repo, ref, query):
        kind = repo.split('/')[0]
        if self.command == 'POST':
            return self.start(repo, kind, query)
        if ref not in uploads:
            self.drain()
            return self.error(404, 'BLOB_UPLOAD_UNKNOWN')
        place = {'Location': '/v2/%s/blobs/uploads/%s?state=1' % (repo, ref)}
        if self.command != 'GET':
            if not self.body(ref, repo, kind):
                return None
        have = len(uploads[ref])
        if self.command == 'PUT':
            data, want = bytes(uploads.pop(ref)), query['digest'][0]
            if sha(data) != want:
                return self.error(400, 'DIGEST_INVALID')
            blobs[repo, want] = data
            return self.answer(201, Location='/v2/x', Docker_Content_Digest=want)
        return self.answer(204 if self.command == 'GET' else 202, Range='0-%d' % max(have - 1, 0), **place)

    def start(self, repo, kind, query):
        self.drain()
        if kind == 'busy' and once(repo):
            return self.error(503, 'UNAVAILABLE', Retry_After='1')
        if 'mount' in query and kind not in NO_MOUNT:
            source, digest = query['from'][0], query['mount'][0]
            scopes = tokens[self.headers['Authorization'][7:]][0]
            if (source, digest) in blobs and 'repository:%s:pull' % source in scopes:
                blobs[repo, digest] = blobs[source, digest]
                return self.answer(201, Location='/v2/x')
        name = 'u%d' % len(done)
        done.add(name)
        uploads[name] = bytearray()
        return self.answer(202, Location='/v2/%s/blobs/uploads/%s' % (repo, name), Range='0-0')

    def body(self, ref, repo, kind):
        length = int(self.headers.get('Content-Length') or 0)
        if kind == 'small' and length > 300000:
            self.error(413, 'SIZE_INVALID')
            self.close_connection = True
            return False
        span = re.fullmatch(r'(\d+)-(\d+)', self.headers.get('Content-Range') or '')
        if span and int(span.group(1)) != len(uploads[ref]):
            self.drain()
            self.error(416, 'RANGE_INVALID')
            return False
        if kind == 'cut' and length > 200000 and once(repo + 'cut'):
            uploads[ref] += self.rfile.read(100000)
            self.close_connection = True
            self.connection.close()
            return False
        data = self.rfile.read(length)
        if kind == 'lost' and length > 1000 and once(repo + 'lost'):
            del uploads[ref]
            self.error(404, 'BLOB_UPLOAD_UNKNOWN')
            return False
        uploads[ref] += data
        return True


server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
server.daemon_threads = True
with open(sys.argv[1] + '.port.new', 'w') as f:
    f.write(str(server.server_address[1]))
os.rename(sys.argv[1] + '.port.new', sys.argv[1] + '.port')
server.serve_forever()
