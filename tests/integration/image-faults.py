#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The image module against a registry that misbehaves: image-faults.py IMAGE_TOOL PROGRAM_DIR [TEST...]

Each test serves a small image with one fault and says what must come out: a full image, or a refusal with the
store unchanged.
"""
import base64
import gzip
import json
import os
import subprocess
import threading
import time

from faultlib import OCI, PROGRAMS, TOOL, Home, Image, Server, main, on_blob, pull, refused, sha, succeeds, tar_of, test


@test
def ordinary_image_is_pulled_once():
    image = Image(4)
    home, server = Home(), Server(image)
    out = pull(home, server)
    for word in ('Pulling from t', 'Pulling fs layer', 'Waiting', 'Download complete', 'Pull complete',
                 'Digest: ' + sha(image.manifest), 'Status: Downloaded newer image for ' + server.ref):
        assert word in out, (word, out)
    before = len(server.log)
    out = pull(home, server)
    assert 'Already exists' in out and 'Status: Image is up to date for ' + server.ref in out, out
    assert not [p for p, r in server.log[before:] if '/blobs/' in p], server.log[before:]
    for blob in image.layers + [image.config, image.manifest]:
        with open('%s/data/blobs/sha256/%s' % (home.path, sha(blob)[7:]), 'rb') as f:
            assert f.read() == blob
    home.end()


@test
def wrong_blob_content():
    image = Image()
    bad = bytearray(image.layers[1])
    bad[len(bad) // 2] ^= 1
    refused(image, on_blob(image, 1, lambda h, d, n: h.send(200, bytes(bad))), sha(image.layers[1]))


@test
def other_blob_of_same_length():
    image, other = Image(1), Image(1)
    other.layers[0] = (other.layers[0] + b'\0' * 100)[:len(image.layers[0])].ljust(len(image.layers[0]), b'\0')
    refused(image, on_blob(image, 0, lambda h, d, n: h.send(200, other.layers[0])), sha(image.layers[0]))


@test
def blob_longer_than_announced():
    image = Image()
    refused(image, on_blob(image, 0, lambda h, d, n: h.send(200, d + b'tail')), 'more than the')


@test
def blob_shorter_than_announced_gives_up():
    image = Image(1)
    server = refused(image, on_blob(image, 0, lambda h, d, n: h.send(200, d[:1000]) if n == 1 else h.send(416)), 'error:')
    assert len(server.log) < 30


@test
def manifest_lies_about_size():
    image = Image()
    image.doc['layers'][0]['size'] -= 10
    image.seal(layers=image.doc['layers'])
    refused(image, None, 'more than the')
    image.doc['layers'][0]['size'] = 1 << 50
    image.seal(layers=image.doc['layers'])
    refused(image, lambda h, p, n: '/blobs/' in p and h.headers.get('Range') and (h.send(416) or True), 'error:')


@test
def never_ending_body():
    image = Image(1)

    def endless(h, data, n):
        h.send_response(200)
        h.send_header('Transfer-Encoding', 'chunked')
        h.end_headers()
        while True:
            h.wfile.write(b'10000\r\n' + b'x' * 65536 + b'\r\n')
    started = time.time()
    refused(image, on_blob(image, 0, endless), 'error:')

    def endless_manifest(h, path, n):
        if '/manifests/' in path:
            endless(h, b'', n)
        return False
    refused(image, endless_manifest, 'larger than')
    assert time.time() - started < 20


@test
def cut_connection_resumes():
    image = Image(1, 2000000)
    server = succeeds(image, on_blob(image, 0, lambda h, d, n: n <= 2 and not h.headers.get('Range') and h.cut(d, 700000)))
    ranges = [r for p, r in server.log if p.endswith(sha(image.layers[0]))]
    assert ranges[0] is None and ranges[1] and ranges[1].startswith('bytes='), ranges


@test
def resume_on_a_server_without_ranges():
    image = Image(1, 2000000)
    succeeds(image, on_blob(image, 0, lambda h, d, n: h.cut(d, 700000) if n == 1 else h.send(200, d)))


@test
def killed_pull_resumes():
    image = Image(1, 3000000)
    stall = threading.Event()

    def slow(h, data, n):
        if n > 1:
            return False
        h.send(200, data[:1500000], length=len(data))
        h.wfile.flush()
        stall.wait(20)
        h.close_connection = True
    home, server = Home(), Server(image, on_blob(image, 0, slow))
    p = subprocess.Popen([TOOL, home.path, PROGRAMS, 'pull', server.ref], stdout=subprocess.DEVNULL)
    for _ in range(200):
        parts = [f for f in home.files('ingest')] if os.path.isdir(home.path + '/data/ingest') else []
        if parts and os.path.getsize(home.path + '/data/ingest/' + parts[0]) >= 1000000:
            break
        time.sleep(0.02)
    p.kill()
    p.wait()
    stall.set()
    out = pull(home, server)
    assert 'Pull complete' in out
    assert server.log[-1][1] is not None, server.log
    assert home.files('ingest') == [], home.files('ingest')
    home.end()


@test
def damaged_partial_is_thrown_away():
    image = Image(1, 500000)
    home, server = Home(), Server(image)
    home.tool('list')
    with open('%s/data/ingest/%s.partial' % (home.path, sha(image.layers[0])[7:]), 'wb') as f:
        f.write(b'rubbish' * 1000)
    pull(home, server)
    home.end()


@test
def busy_server_with_retry_after():
    image = Image(1)
    began = time.time()
    succeeds(image, lambda h, p, n: n == 1 and p != '/v2/' and (h.send(429, b'', {'Retry-After': '1'}) or True))
    assert time.time() - began >= 2.9
    succeeds(image, lambda h, p, n: n <= 2 and p != '/v2/' and (h.send(503) or True))
    refused(image, lambda h, p, n: '/manifests/' in p and (h.send(503) or True), '503')


@test
def redirects():
    image = Image(1)
    target = Server(image)
    base = 'http://' + target.ref.split('/')[0]
    succeeds(image, lambda h, p, n: '/blobs/' in p and (h.send(307, b'moved', {'Location': base + p}) or True))
    assert [p for p, r in target.log if '/blobs/' in p]
    refused(image, lambda h, p, n: '/blobs/' in p and (h.send(302, b'', {'Location': p}) or True), 'redirects')
    refused(image, lambda h, p, n: '/blobs/' in p and (h.send(302, b'', {'Location': 'file:///etc/passwd'}) or True), 'error:')


@test
def garbage_documents():
    for data in (b'', b'<html>no</html>', b'{"schemaVersion":2', b'null', b'[1]', b'{"schemaVersion":1}',
                 b'{"schemaVersion":2,"config":{},"layers":[]}', b'{"schemaVersion":2,"layers":7,"config":7}'):
        refused(Image(1), lambda h, p, n: '/manifests/' in p and (h.send(200, data, {
            'Content-Type': OCI + 'manifest.v1+json'}) or True), 'error:')
    image = Image(1)
    image.config = b'{"rootfs":{"type":"layers","diff_ids":["sha256:' + b'0' * 64 + b'"]},"config":{"Cmd":7}}'
    image.seal()
    refused(image, None, 'error:')


@test
def diff_ids_do_not_match():
    image = Image(2)
    config = json.loads(image.config)
    config['rootfs']['diff_ids'].reverse()
    image.config = json.dumps(config).encode()
    image.seal()
    refused(image, None, 'error:')
    config['rootfs']['diff_ids'].pop()
    image.config = json.dumps(config).encode()
    image.seal()
    refused(image, None, 'names 1 layers')


@test
def wrong_config_and_manifest_digest():
    image = Image(1)
    refused(image, lambda h, p, n: p.endswith(sha(image.config)) and (h.send(200, image.config.replace(b'x', b'y')) or True),
            'image config verification failed')
    home = Home()
    server = Server(image, lambda h, p, n: '/manifests/' in p and (h.send(200, image.manifest + b' ') or True))
    code, out = home.tool('pull', server.ref.replace(':1', '') + '@' + sha(image.manifest))
    assert code == 1, out
    home.end()
    home = Home()
    code, out = home.tool('pull', server.ref[:-2] + '@' + sha(image.manifest))
    assert code == 1 and 'manifest verification failed for digest ' + sha(image.manifest) in out, out
    home.clean()
    home.end()


@test
def index_by_platform():
    one, two = Image(1), Image(1, arch='arm64')
    index = json.dumps({'schemaVersion': 2, 'mediaType': OCI + 'index.v1+json', 'manifests': [
        dict(Image.desc(two.manifest, 'manifest.v1+json'), platform={'os': 'linux', 'architecture': 'arm64', 'variant': 'v8'}),
        dict(Image.desc(one.manifest, 'manifest.v1+json'), platform={'os': 'linux', 'architecture': 'amd64'})]}).encode()
    home, server = Home(), Server(one)
    server.manifests.update({'1': index, sha(two.manifest): two.manifest})
    server.blobs.update({sha(b): b for b in two.layers + [two.config]})
    assert sha(one.config) in pull(home, server, 0, 'linux/amd64')
    assert sha(two.config) in pull(home, server, 0, 'linux/arm64')
    out = pull(home, server, 1, 'linux/s390x')
    assert 'no matching manifest for linux/s390x in the manifest list entries' in out, out
    listing = home.tool('list')[1]
    assert '@' + sha(index) in listing, listing
    home.end()


@test
def same_layer_twice_and_two_pulls():
    image = Image(1, 1000000)
    image.layers = image.layers * 3
    config = json.loads(image.config)
    config['rootfs']['diff_ids'] *= 3
    image.config = json.dumps(config).encode()
    image.seal()
    server = succeeds(image, None)
    assert len([p for p, r in server.log if p.endswith(sha(image.layers[0]))]) == 1
    image = Image(2, 1000000)
    home, server = Home(), Server(image)
    server.manifests['2'] = image.manifest
    code, out = home.tool('pull2', server.ref, server.ref[:-1] + '2')
    assert code == 0 and out.count('Downloaded newer image') == 2, out
    assert len([p for p, r in server.log if p.endswith(sha(image.layers[0]))]) == 1
    home.end()


@test
def the_limit_of_downloads_is_for_all_pulls_together():
    one, two = Image(4, 20000), Image(4, 20000)
    lock, running, most, full = threading.Lock(), [], [], threading.Event()

    def slow(h, path, n):
        if '/blobs/' not in path or path.endswith((sha(one.config), sha(two.config))):
            return False
        with lock:
            running.append(path)
            most.append(len(running))
            if len(running) == 2:
                full.set()
        full.wait(10)
        time.sleep(0.05)  # whoever is too many has the time to come
        with lock:
            running.remove(path)
        return False
    home, server = Home(), Server(one, slow)
    server.manifests['2'] = server.manifests[sha(two.manifest)] = two.manifest
    server.blobs.update({sha(b): b for b in two.layers + [two.config]})
    home.env['IMAGE_TOOL_DOWNLOADS'] = '2'
    code, out = home.tool('pull2', server.ref, server.ref[:-1] + '2')
    assert code == 0 and out.count('Downloaded newer image') == 2, out
    assert len(most) == 8 and max(most) == 2, most
    assert len(home.files('layers')) == 8
    home.end()


@test
def cancelled_pull_leaves_nothing():
    for ms in (0, 1, 5, 20, 60, 150):
        image = Image(3, 4000000)
        home, server = Home(), Server(image)
        code, out = home.tool('cancel', server.ref, str(ms))
        assert code == 0 and 'cancelled' in out, out
        if 'Pull complete' not in out:
            home.clean()
        pull(home, server)
        home.end()


@test
def authentication():
    image = Image(1)
    good = 'Basic ' + base64.b64encode(b'me:secret').decode()
    auth = base64.urlsafe_b64encode(b'{"username":"me","password":"secret"}').decode()
    wrong = base64.urlsafe_b64encode(b'{"username":"me","password":"no"}').decode()

    def basic(h, path, n):
        if h.headers.get('Authorization') != good:
            h.send(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}',
                   {'WWW-Authenticate': 'Basic realm="x"'})
            return True
        return False
    home, server = Home(), Server(image, basic)
    assert 'no basic auth credentials' in pull(home, server, 1)
    assert 'unauthorized' in pull(home, server, 1, '', wrong)
    home.clean()
    pull(home, server, 0, '', auth)
    home.end()

    tokens = []

    def bearer(h, path, n):
        if path.startswith('/token'):
            if h.headers.get('Authorization') not in (None, good):
                h.send(401)
            else:
                tokens.append(path)
                h.send(200, json.dumps({'token': 't%d' % len(tokens)}).encode())
            return True
        # The first token is good for three requests only.
        have = h.headers.get('Authorization')
        bearer.used[have] = bearer.used.get(have, 0) + 1
        if have not in ('Bearer t1', 'Bearer t2') or (have == 'Bearer t1' and bearer.used[have] > 1):
            h.send(401, b'', {'WWW-Authenticate': 'Bearer realm="http://%s/token",service="s",scope="repository:t:pull"'
                              % h.headers['Host']})
            return True
        return False
    bearer.used = {}
    home, server = Home(), Server(image, bearer)
    pull(home, server, 0, '', auth)
    assert len(tokens) == 2 and 'scope=repository%3At%3Apull' in tokens[0] and 'service=s' in tokens[0], tokens
    bearer.used, tokens[:] = {}, []
    out = pull(home, server, 1, '', wrong)
    assert 'incorrect username or password' in out and 'secret' not in out, out
    home.end()
    denied = b'{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}'
    refused(image, lambda h, p, n: '/manifests/' in p and (h.send(403, denied) or True),
            "repository does not exist or may require 'docker login': denied: requested access to the resource is denied")


@test
def archives_that_lie():
    image = Image(2)
    diff = json.loads(image.config)['rootfs']['diff_ids']
    plain = [gzip.decompress(l) for l in image.layers]

    def archive(layers, config=image.config, manifest=None):
        if manifest is None:
            manifest = json.dumps([{'Config': 'c.json', 'RepoTags': ['a/b:1'],
                                    'Layers': ['l%d/layer.tar' % i for i in range(len(layers))]}]).encode()
        files = {'c.json': config, 'manifest.json': manifest}
        files.update({'l%d/layer.tar' % i: d for i, d in enumerate(layers)})
        return tar_of(files)

    def load(data, want):
        home = Home()
        with open(home.path + '/in', 'wb') as f:
            f.write(data)
        code, out = home.tool('load', home.path + '/in')
        assert code == want, out
        if want:
            home.clean()
        home.end()
        return out
    assert 'Loaded image: a/b:1' in load(archive(plain), 0)
    assert 'Loaded image: a/b:1' in load(gzip.compress(archive(plain)), 0)
    load(archive([plain[1], plain[0]]), 1)
    load(archive(plain[:1]), 1)
    load(archive(plain, manifest=b'[{"Config":"../../etc/passwd","Layers":[]}]'), 1)
    load(archive(plain, manifest=b'[{"Config":"c.json","Layers":["gone"]}]'), 1)
    load(archive(plain, manifest=b'{}'), 1)
    load(archive(plain)[:150000], 1)
    load(b'', 1)
    load(os.urandom(100000), 1)


main()
