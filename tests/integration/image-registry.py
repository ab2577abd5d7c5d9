#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Pulls from a real docker-registry: plain, TLS with client certificates, passwords, tokens of a token server of ours.

image-registry.py IMAGE_TOOL PROGRAM_DIR [TEST...]. The token server signs what docker-registry demands: a JWT with
RS256 and the certificate chain in its header.
"""
import base64
import crypt
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from certlib import Authority
from faultlib import Home, Image, main, sha, test

USER, PASSWORD = 'me', 'a secret?'
BASIC = 'Basic ' + base64.b64encode(('%s:%s' % (USER, PASSWORD)).encode()).decode()


def auth(**fields):
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()


class Registry:
    """docker-registry on a free port; `config` is added to its configuration."""

    def __init__(self, config='', tls=None):
        self.dir = tempfile.mkdtemp(prefix='registry-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            self.port = s.getsockname()[1]
        self.host, self.tls = '127.0.0.1:%d' % self.port, None
        if tls:
            self.tls = ssl.create_default_context(cafile=tls['ca'])
            self.tls.load_cert_chain(*tls['client'])
        with open(self.dir + '/config.yml', 'w') as f:
            f.write('version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/data}}\n'
                    'http:\n  addr: "%s"\n%s%s' % (self.dir, self.host, tls['config'] if tls else '', config))
        self.log = open(self.dir + '/log', 'w')
        self.process = subprocess.Popen(['docker-registry', 'serve', self.dir + '/config.yml'], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        for _ in range(500):
            try:
                return socket.create_connection(('127.0.0.1', self.port)).close()
            except OSError:
                time.sleep(0.02)
        raise RuntimeError('docker-registry does not start: ' + open(self.dir + '/log').read())

    def request(self, method, path, body=None, **headers):
        c = http.client.HTTPSConnection(self.host, context=self.tls) if self.tls else http.client.HTTPConnection(self.host)
        c.request(method, path, body, {k.replace('_', '-'): v for k, v in headers.items()})
        answer = c.getresponse()
        answer.read()
        c.close()
        return answer

    def put(self, image, name, tag, **headers):
        for blob in image.layers + [image.config]:
            where = self.request('POST', '/v2/%s/blobs/uploads/' % name, b'', **headers).getheader('Location')
            where = urllib.parse.urlsplit(where)
            done = self.request('PUT', '%s?%s&digest=%s' % (where.path, where.query, sha(blob)), blob,
                                Content_Type='application/octet-stream', **headers)
            assert done.status == 201, done.status
        done = self.request('PUT', '/v2/%s/manifests/%s' % (name, tag), image.manifest, Content_Type=image.doc['mediaType'], **headers)
        assert done.status == 201, done.status

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir)


def pulled(home, image, ref, *args):
    code, out = home.tool('pull', ref, *args)
    assert code == 0, out
    home.has(image)
    return out


def refused(home, ref, want, *args):
    code, out = home.tool('pull', ref, *args)
    assert code == 1 and want in out and PASSWORD not in out, out
    home.clean()


@test
def plain_with_all_its_tags():
    registry, image, home = Registry(), Image(3), Home()
    for tag in ('1', '2', '3'):
        registry.put(image, 'a/b', tag)
    code, out = home.tool('pull-all', registry.host + '/a/b')
    assert code == 0 and out.count('Digest: ' + sha(image.manifest)) == 3 and out.count('Status: ') == 1, out
    home.has(image)
    code, out = home.tool('pull', registry.host + '/a/b@' + sha(image.manifest))
    assert code == 0 and 'up to date' not in out.split('Digest')[0], out
    home.end()
    home = Home()
    refused(home, registry.host + '/a/b:9', 'manifest for %s/a/b:9 not found: manifest unknown' % registry.host)
    home.end()
    registry.end()


@test
def a_private_authority_and_client_certificates():
    ca = Authority()
    cert, client = ca.issue('server', 'IP:127.0.0.1'), ca.issue('client')
    config = '  tls: {certificate: %s, key: %s, clientcas: [%s]}\n' % (*cert, ca.ca)
    registry, image, home = Registry(tls={'config': config, 'ca': ca.ca, 'client': client}), Image(2), Home()
    registry.put(image, 't', '1')
    ref, folder = registry.host + '/t:1', 'certs.d/%s/' % registry.host
    home.write(folder + 'ca.crt', ca.text())
    refused(home, ref, 'the server asks for a client certificate and none is configured (certs.d/%s/NAME.cert' % registry.host)
    # Of several the one counts that the registry's authority made.
    stranger = Authority('a stranger')
    for name in ('a', 'b', 'z'):
        other = stranger.issue(name)
        home.write(folder + name + '.cert', ca.text(other[0]))
        home.write(folder + name + '.key', ca.text(other[1]))
    refused(home, ref, 'of an authority that none of the 3 in certs.d/%s is from' % registry.host)
    home.write(folder + 'me.cert', ca.text(client[0]))
    home.write(folder + 'me.key', ca.text(client[1]))
    pulled(home, image, ref)
    # And back again: everything goes up with the same certificate.
    code, out = home.tool('tag', ref, registry.host + '/back/t:2')
    assert code == 0, out
    code, out = home.tool('push', registry.host + '/back/t:2')
    assert code == 0 and 'digest: sha256:' in out, out
    home.end()
    home = Home()
    for name, text in (('ca.crt', ca.text()), ('me.cert', ca.text(client[0])), ('me.key', ca.text(client[1]))):
        home.write(folder + name, text)
    pulled(home, image, registry.host + '/back/t:2')
    home.write('certs.d/%s/hosts.toml' % registry.host, 'server = "https://%s"\nca = "ca.crt"\nclient = [["%s", "%s"], ["%s", "%s"]]\n' % (
        registry.host, *other, *client))
    code, out = home.tool('push', registry.host + '/back/t:2')
    assert code == 0, out
    home.end()
    home = Home()
    home.write(folder + 'ca.crt', stranger.text())
    refused(home, ref, 'x509: certificate signed by unknown authority')
    home.end()
    registry.end()


@test
def passwords():
    users = tempfile.NamedTemporaryFile('w', delete=False)
    with users:
        users.write('%s:%s\n' % (USER, crypt.crypt(PASSWORD, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=32))))
    registry, image, home = Registry('auth: {htpasswd: {realm: test, path: %s}}\n' % users.name), Image(2), Home()
    registry.put(image, 't', '1', Authorization=BASIC)
    ref = registry.host + '/t:1'
    refused(home, ref, 'no basic auth credentials')
    refused(home, ref, 'unauthorized: ', '', auth(username=USER, password='wrong'))
    out = pulled(home, image, ref, '', auth(username=USER, password=PASSWORD))
    assert PASSWORD not in out
    home.end()
    # What Docker writes into its configuration: user and password in one value.
    home = Home()
    pulled(home, image, ref, '', auth(auth=BASIC[6:]))
    home.end()
    registry.end()
    os.unlink(users.name)


class TokenServer:
    """Tokens for `repos`: {name: who may read it, None: everybody}; refresh tokens by POST."""

    def __init__(self, ca, repos, lifetime=300):
        self.cert = ca.issue('tokens', key='rsa')
        self.asked, outer = [], self
        der = ca.run('x509', '-in', self.cert[0], '-outform', 'DER')

        def b64(data):
            return base64.urlsafe_b64encode(data).rstrip(b'=')

        def token(user, scopes):
            access = []
            for scope in scopes:
                kind, name, actions = scope.split(':')
                if repos.get(name, '') in (None, user):
                    access.append({'type': kind, 'name': name, 'actions': actions.split(',')})
            now = int(time.time())
            head = {'typ': 'JWT', 'alg': 'RS256', 'x5c': [base64.b64encode(der).decode()]}
            claims = {'iss': 'issuer', 'sub': user, 'aud': 'service', 'exp': now + lifetime, 'nbf': now - 5, 'iat': now, 'jti': 'x',
                      'access': access}
            text = b64(json.dumps(head).encode()) + b'.' + b64(json.dumps(claims).encode())
            return (text + b'.' + b64(ca.run('dgst', '-sha256', '-sign', outer.cert[1], input=text))).decode()

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def answer(self, status, doc):
                data = json.dumps(doc).encode()
                self.send_response(status)
                self.send_header('Content-Length', str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                have = self.headers.get('Authorization')
                outer.asked.append(('GET', query, have))
                if have not in (None, BASIC):
                    return self.answer(401, {'details': 'incorrect username or password'})
                return self.answer(200, {'token': token(USER if have else '', query.get('scope', [])), 'expires_in': lifetime})

            def do_POST(self):
                form = urllib.parse.parse_qs(self.rfile.read(int(self.headers['Content-Length'])).decode())
                outer.asked.append(('POST', form, None))
                if form.get('refresh_token') != ['identity+1']:
                    return self.answer(401, {'details': 'no such token'})
                return self.answer(200, {'access_token': token(USER, form.get('scope', [''])[0].split()), 'expires_in': lifetime})

        self.httpd = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.httpd.daemon_threads = True
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()
        self.config = 'auth: {token: {realm: "http://127.0.0.1:%d/token", service: service, issuer: issuer, rootcertbundle: %s}}\n' % (
            self.httpd.server_address[1], ca.ca)
        self.token = token


@test
def tokens():
    ca = Authority()
    server = TokenServer(ca, {'open': None, 'mine': USER})
    registry, image = Registry(server.config), Image(2)
    for name in ('open', 'mine'):
        bearer = 'Bearer ' + server.token(USER, ['repository:%s:pull,push' % name])
        registry.put(image, name, '1', Authorization=bearer)
    home = Home()  # anonymous: by a token all the same
    pulled(home, image, registry.host + '/open:1')
    assert [(m, q['scope'], h) for m, q, h in server.asked] == [('GET', ['repository:open:pull'], None)], server.asked
    home.end()
    home = Home()
    refused(home, registry.host + '/mine:1', 'authentication required')
    refused(home, registry.host + '/mine:1', 'unauthorized: incorrect username or password', '', auth(username=USER, password='no'))
    out = pulled(home, image, registry.host + '/mine:1', '', auth(username=USER, password=PASSWORD))
    assert PASSWORD not in out and server.asked[-1][1]['account'] == [USER], server.asked
    home.end()
    home = Home()
    refused(home, registry.host + '/mine:1', 'unauthorized', '', auth(identitytoken='identity 0'))
    server.asked.clear()
    pulled(home, image, registry.host + '/mine:1', '', auth(identitytoken='identity+1'))
    assert [m for m, q, h in server.asked] == ['POST'] and server.asked[0][1]['grant_type'] == ['refresh_token'], server.asked
    home.end()
    home = Home()
    ready = server.token(USER, ['repository:mine:pull'])
    pulled(home, image, registry.host + '/mine:1', '', auth(registrytoken=ready))
    home.end()
    registry.end()


@test
def push_with_a_private_authority():
    ca = Authority()
    registry = Registry(tls={'config': '  tls: {certificate: %s, key: %s}\n' % ca.issue('server', 'IP:127.0.0.1'), 'ca': ca.ca,
                             'client': ca.issue('client')})
    source, image, home = Registry(), Image(2, 300000), Home()
    source.put(image, 't', '1')
    pulled(home, image, source.host + '/t:1')
    target, folder = registry.host + '/far/t:1', 'certs.d/%s/' % registry.host
    code, out = home.tool('tag', source.host + '/t:1', target)
    assert code == 0, out
    home.write(folder + 'ca.crt', Authority('a stranger').text())
    code, out = home.tool('push', target)
    assert code == 1 and 'x509: certificate signed by unknown authority' in out, out
    assert registry.request('GET', '/v2/far/t/manifests/1').status == 404
    home.write(folder + 'ca.crt', ca.text())
    code, out = home.tool('push', target)
    assert code == 0 and 'digest: %s size: %d' % (sha(image.manifest), len(image.manifest)) in out, out
    home.end()
    home = Home()
    home.write(folder + 'ca.crt', ca.text())
    pulled(home, image, target)
    home.end()
    registry.end()
    source.end()


@test
def a_catalogue_behind_a_token():
    ca = Authority()
    server = TokenServer(ca, {'catalog': USER, 'team/app': USER, 'team/tool': USER})
    registry, image, home = Registry(server.config), Image(1), Home()
    for name in ('team/app', 'team/tool'):
        registry.put(image, name, '1', Authorization='Bearer ' + server.token(USER, ['repository:%s:pull,push' % name]))
    server.asked.clear()
    code, out = home.tool('search', registry.host + '/app', auth(username=USER, password=PASSWORD))
    assert code == 0 and '"%s/team/app"' % registry.host in out and 'team/tool' not in out and PASSWORD not in out, out
    assert ['registry:catalog:*'] in [q.get('scope') for m, q, h in server.asked], server.asked
    code, out = home.tool('search', registry.host + '/team')
    assert code == 1 and 'unauthorized: authentication required' in out, out
    code, out = home.tool('search', registry.host + '/team', auth(username=USER, password='wrong'))
    assert code == 1 and 'incorrect username or password' in out, out
    server.asked.clear()
    code, out = home.tool('search', registry.host + '/team', auth(identitytoken='identity+1'))
    assert code == 0 and out.count('is_official') == 2 and {m for m, q, h in server.asked} == {'POST'}, (out, server.asked)
    home.end()
    registry.end()


if shutil.which('docker-registry'):
    main()
elif os.environ.get('CORACLE_TESTS_MUST_RUN') == '1':
    sys.exit('must run, but: docker-registry is not installed')
else:
    print('1..0 # SKIP docker-registry is not installed')
