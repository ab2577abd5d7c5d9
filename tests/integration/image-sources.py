#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Where a pull goes and how it gets there: mirrors, hosts.toml, registries.conf, TLS, proxies, tokens, retries.

image-sources.py IMAGE_TOOL PROGRAM_DIR [TEST...]. Each test asserts what was asked of whom, and that the store has
the right bytes or is as it was.
"""
import base64
import email.utils
import gzip
import hashlib
import json
import os
import re
import subprocess
import threading
import time

from certlib import Authority
from faultlib import OCI, PROGRAMS, TOOL, Home, Image, Server, main, on_blob, pull, refused, sha, succeeds, test

UNKNOWN = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'
CERTS = {}


def authority():
    """One authority for all tests."""
    if not CERTS:
        CERTS['ca'] = Authority()
        CERTS['server'] = CERTS['ca'].issue('registry', 'IP:127.0.0.1,DNS:registry.test')
        CERTS['other'] = CERTS['ca'].issue('other', 'DNS:other.test')
        CERTS['client'] = CERTS['ca'].issue('client')
    return CERTS['ca']


def mirrors(home, server, *hosts, extra=''):
    home.write('registries.conf', '[[registry]]\nlocation = "%s"\n%s' % (server.host, extra) + ''.join(
        '[[registry.mirror]]\nlocation = "%s"\n' % h for h in hosts))


def digest_of(data):
    return 'sha256:' + hashlib.sha256(data).hexdigest()


@test
def mirrors_in_order_then_the_registry():
    image = Image(2)
    empty = Server(image, lambda h, p, n: p != '/v2/' and (h.send(404, UNKNOWN) or True))
    broken = Server(image, lambda h, p, n: p != '/v2/' and (h.send(500) or True))
    good, origin, home = Server(image), Server(image), Home()
    mirrors(home, origin, '127.0.0.1:1', empty.host, broken.host, good.host)
    assert 'Downloaded newer image for ' + origin.ref in pull(home, origin)
    home.has(image)
    assert origin.log == [], origin.log
    assert empty.asked('/manifests/') and broken.asked('/manifests/') and len(good.asked('/blobs/')) == 3
    home.end()

    home = Home()
    mirrors(home, origin, '127.0.0.1:1', empty.host)
    pull(home, origin)
    home.has(image)
    assert len(origin.asked('/blobs/')) == 3, origin.log
    home.end()
    # Nobody has it: the registry's own answer is what the user sees.
    home, nothing = Home(), Server(image, lambda h, p, n: '/manifests/' in p and (h.send(404, UNKNOWN) or True))
    mirrors(home, nothing, empty.host)
    assert 'manifest for %s not found: manifest unknown' % nothing.ref in pull(home, nothing, 1)
    home.clean()
    home.end()


@test
def mirrors_are_left_blob_by_blob():
    image = Image(3, 3000000)
    big = sha(image.layers[1])

    def fault(h, path, n):
        if path.endswith(sha(image.layers[0])):
            return h.send(404, b'{}') or True
        if path.endswith(big):  # every connection is cut, the first after a third
            return h.cut(image.layers[1], 1000000) or True if n == 1 else h.cut(b'', 0, 10) or True
        return False
    mirror, origin, home = Server(image, fault), Server(image), Home()
    mirrors(home, origin, mirror.host)
    pull(home, origin)
    home.has(image)
    assert sorted(origin.asked('/blobs/')) == sorted('/v2/t/blobs/' + d for d in (sha(image.layers[0]), big)), origin.log
    rest = [r for p, r in origin.log if p.endswith(big)]
    assert rest == ['bytes=1000000-'], rest  # not a byte twice
    assert origin.sent == len(image.layers[0]) + len(image.layers[1]) - 1000000
    home.end()


@test
def wrong_bytes_of_a_mirror_are_refused():
    image, other = Image(2), Image(2)
    for wrong in (image.layers[1], image.config, image.manifest):
        def fault(h, path, n):
            if path.endswith(sha(wrong)):
                bad = bytearray(wrong)
                bad[len(bad) // 2] ^= 1
                return h.send(200, bytes(bad)) or True
            return False
        mirror, origin, home = Server(image, fault), Server(image), Home()
        mirrors(home, origin, mirror.host)
        code, out = home.tool('pull', origin.ref[:-2] + '@' + sha(image.manifest))
        assert code == 0, out
        home.has(image)
        assert [p for p, r in origin.log if p != '/v2/'] == ['/v2/t/%s/%s' % (
            'manifests' if wrong is image.manifest else 'blobs', sha(wrong))], origin.log
        home.end()
    # Longer than announced, and a half from the mirror that does not fit the rest.
    mirror = Server(image, on_blob(image, 0, lambda h, d, n: h.send(200, d + b'tail')))
    origin, home = Server(image), Home()
    mirrors(home, origin, mirror.host)
    pull(home, origin)
    home.has(image)
    home.end()
    mirror = Server(image, on_blob(image, 0, lambda h, d, n: h.cut(other.layers[0], 100000, len(d)) if n == 1 else h.send(404)))
    origin, home = Server(image), Home()
    mirrors(home, origin, mirror.host)
    pull(home, origin)
    home.has(image)
    home.end()
    # All of them lie: refused.
    bad = on_blob(image, 0, lambda h, d, n: h.send(200, d[:-1] + b'x'))
    mirror, origin, home = Server(image, bad), Server(image, bad), Home()
    mirrors(home, origin, mirror.host)
    assert sha(image.layers[0]) in pull(home, origin, 1)
    home.clean()
    home.end()


@test
def passwords_are_not_for_mirrors():
    image = Image(1)
    good = 'Basic ' + base64.b64encode(b'me:secret').decode()
    auth = base64.urlsafe_b64encode(b'{"username":"me","password":"secret"}').decode()

    def basic(h, path, n):
        if h.headers.get('Authorization') != good:
            return h.send(401, b'{}', {'WWW-Authenticate': 'Basic realm="x"'}) or True
        return False
    mirror, origin, home = Server(image, basic), Server(image, basic), Home()
    mirrors(home, origin, mirror.host)
    pull(home, origin, 0, '', auth)
    home.has(image)
    assert mirror.seen and not [h for p, h in mirror.seen if 'Authorization' in h], mirror.seen
    home.end()


@test
def hosts_toml():
    image = Image(2)
    first, second, origin, home = Server(image), Server(image), Server(image), Home()
    name = 'certs.d/%s/hosts.toml' % origin.host
    home.write(name, '''
server = "http://%s"
[host."http://%s"]
  capabilities = ["pull"]
[host."http://%s/some/where"]
  capabilities = ["pull", "resolve"]
  override_path = true
  [host."http://%s/some/where".header]
    X-Test = ["one", "two"]
''' % (origin.host, first.host, second.host, second.host))
    pull(home, origin)
    home.has(image)
    # By tag: only the second may resolve. By digest: the first, in the order of the file.
    assert [p for p, r in second.log] == ['/some/where/', '/some/where/t/manifests/1?ns=' + origin.host.replace(':', '%3A')], second.log
    assert len(first.asked('/v2/t/blobs/')) == 3 and not first.asked('/manifests/'), first.log
    assert origin.log == [], origin.log
    assert [h.get('X-Test') for p, h in second.seen], second.seen
    home.end()
    for text, want in (('server = 7\n', ':1:1: server is a URL'), ('[host."ftp://x"]\n', ':1:7: a host is an http or https URL'),
                       ('[host."http://x"]\ncapabilities=["fly"]\n', ':2:1: capabilities are pull, resolve, push'),
                       ('x = \n', ':1:5: a value is missing here'), ('[host."http://x"]\nca = "none.pem"\n', 'none.pem'),
                       ('[host."http://x".header]\n"a b" = "c"\n', ':2:1: this is no HTTP header')):
        home = Home()
        path = home.write(name, text)
        out = pull(home, origin, 1)
        assert want in out and path in out, out
        home.clean()
        assert origin.log == []
        home.end()


@test
def registries_conf():
    image = Image(1)
    server, home = Server(image), Home()
    path = home.write('registries.conf', '[[registry]]\nprefix = "127.0.0.1:%d/t"\nblocked = true\n' % server.port)
    out = pull(home, server, 1)
    assert 'registry %s is blocked by %s (denied)' % (server.host, path) in out, out
    assert server.log == []
    home.clean()
    # The longest prefix counts; a drop-in wins over the file; the location is where the bytes are.
    home.write('registries.conf.d/10.conf', '[[registry]]\nprefix = "127.0.0.1:%d/t"\nlocation = "%s/deep/er"\n' % (server.port, server.host))
    pull(home, server)
    home.has(image)
    assert server.asked('/v2/deep/er/manifests/1'), server.log
    home.end()
    # Mirrors for digests only, for tags only.
    for when, with_tag, with_digest in (('digest-only', 0, 1), ('tag-only', 1, 0), ('all', 1, 1)):
        for ref, want in ((':1', with_tag), ('@' + sha(image.manifest), with_digest)):
            mirror, server, home = Server(image), Server(image), Home()
            home.write('registries.conf', '[[registry]]\nlocation="%s"\n[[registry.mirror]]\nlocation="%s/x"\npull-from-mirror="%s"\n'
                       % (server.host + '/t', mirror.host, when))
            code, out = home.tool('pull', server.host + '/t' + ref)
            assert code == 0 and bool(mirror.asked('/v2/x/blobs')) == bool(want), (when, ref, mirror.log)
            home.end()
    home = Home()
    home.write('registries.conf', '[[registry]]\nlocation = "a"\n[[registry]]\nblocked = "no"\n')
    assert 'registries.conf:3:3: a registry needs a prefix or a location' in pull(home, server, 1)
    home.write('registries.conf', '[[registry]\n')
    assert 'registries.conf:1:11: ]] is missing here' in pull(home, server, 1)
    home.clean()
    home.end()


@test
def short_names():
    image = Image(1)
    empty = Server(image, lambda h, p, n: p != '/v2/' and (h.send(404, UNKNOWN) or True))
    server, home = Server(image), Home()
    home.write('registries.conf', 'unqualified-search-registries = ["%s", "%s"]\n[aliases]\n"known" = "%s/other/name"\n'
               % (empty.host, server.host, server.host))
    code, out = home.tool('pull', 'thing:1')
    assert code == 0 and 'Status: Downloaded newer image for %s/thing:1' % server.host in out, out
    assert empty.asked('/v2/thing/manifests/1')
    assert home.tool('inspect', 'thing:1')[0] == 0  # and is found under the short name
    code, out = home.tool('pull', 'known:1')
    assert code == 0 and server.asked('/v2/other/name/manifests/1') and not empty.asked('known'), out
    assert home.tool('inspect', 'known:1')[0] == 0
    home.end()


@test
def mirror_of_docker_hub():
    image = Image(1)
    server, home = Server(image), Home()
    home.env['IMAGE_TOOL_MIRROR'] = 'http://%s/' % server.host
    code, out = home.tool('pull', 'thing:1')
    assert code == 0 and 'Status: Downloaded newer image for thing:1' in out, out
    assert server.asked('/v2/library/thing/manifests/1'), server.log
    home.has(image)
    home.end()


@test
def proxies():
    image, ca = Image(1), authority()
    inside = Server(image, tls=ca.server(CERTS['server']))
    proxy, home = Server(image, tunnel=inside.port), Home()
    home.write('certs.d/registry.test/ca.crt', ca.text())
    home.env['HTTPS_PROXY'] = proxy.host
    code, out = home.tool('pull', 'registry.test/t:1')
    assert code == 0 and ('registry.test:443', 'CONNECT') in proxy.log, (out, proxy.log)
    home.has(image)
    home.end()
    # Plain: the proxy gets whole addresses.
    proxy, home = Server(image), Home()
    home.write('registries.conf', '[[registry]]\nlocation = "registry.test"\ninsecure = true\n')
    home.env.update(HTTP_PROXY='http://' + proxy.host, NO_PROXY='.registry.test,10.0.0.0/8')
    code, out = home.tool('pull', 'registry.test/t:1')
    assert code == 0 and ('http://registry.test/v2/t/manifests/1', 'PROXY') in proxy.log, (out, proxy.log)
    home.has(image)
    home.end()
    home = Home()
    home.env.update(HTTPS_PROXY='http://' + proxy.host, NO_PROXY='test')
    before = len(proxy.log)
    code, out = home.tool('pull', 'registry.test/t:1')
    assert code == 1 and 'no such host' in out and len(proxy.log) == before, out
    home.clean()
    home.end()


@test
def certificates():
    image, ca, stranger = Image(1), authority(), Authority('a stranger')
    plain = Server(image, tls=ca.server(CERTS['server']))
    mutual = Server(image, tls=ca.server(CERTS['server'], clients=True))
    misnamed = Server(image, tls=ca.server(CERTS['other']))

    def attempt(server, want, *files):
        home = Home()
        for name, text in files:
            home.write('certs.d/%s/%s' % (server.host, name), text)
        out = pull(home, server, 0 if want is None else 1)
        if want is None:
            home.has(image)
        else:
            assert want in out, out
            home.clean()
        home.end()
    own = ('ca.crt', ca.text())
    attempt(plain, None, own)
    attempt(plain, None, ('a.crt', stranger.text()), ('b.crt', ca.text()))
    attempt(plain, None)  # loopback without an authority: not verified, as Docker does it
    attempt(plain, 'x509: certificate signed by unknown authority', ('ca.crt', stranger.text()))
    attempt(misnamed, 'x509: certificate is not valid for 127.0.0.1', own)
    attempt(mutual, 'Get "https://%s/v2/": the server asks for a client certificate and none is configured (certs.d/%s/NAME.cert' % (
        mutual.host, mutual.host), own)
    pair = (('client.cert', ca.text(CERTS['client'][0])), ('client.key', ca.text(CERTS['client'][1])))
    attempt(mutual, None, own, *pair)
    attempt(mutual, 'missing key client.key for client certificate client.cert', own, pair[0])
    attempt(mutual, 'missing client certificate client.cert for key client.key', own, pair[1])
    secret = ca.run('pkey', '-in', CERTS['client'][1], '-aes128', '-passout', 'pass:x').decode()
    attempt(mutual, 'client certificate: unable to set private key file', own, pair[0], ('client.key', secret))  # nobody is asked
    hosts = 'server = "https://%s"\n%s'
    attempt(mutual, None, ('x.pem', ca.text()), *pair, ('hosts.toml', hosts % (
        mutual.host, 'ca = "x.pem"\nclient = [["client.cert", "client.key"]]\n')))
    attempt(plain, 'unknown authority', ('x.pem', stranger.text()), ('hosts.toml', hosts % (plain.host, 'ca = ["x.pem"]\n')))
    attempt(plain, None, ('x.pem', stranger.text()), ('hosts.toml', hosts % (plain.host, 'ca = ["x.pem"]\nskip_verify = true\n')))


@test
def all_tags_by_pages():
    image, other = Image(1), Image(1)
    pages = {'': (['1', '2'], '</v2/t/tags/list?last=2&n=2>; rel="next"'),
             'last=2&n=2': (['3', 'bad tag', '4'], '<http://127.0.0.1:1/v2/else/tags/list?last=4>; rel="next"'),
             'last=4': (['5'], '')}

    def tags(h, path, n):
        if '/tags/list' not in path:
            return False
        names, link = pages[path.partition('?')[2]]
        return h.send(200, json.dumps({'name': 't', 'tags': names}).encode(), {'Link': link} if link else {}) or True
    home, server = Home(), Server(image, tags)
    for tag in '245':
        server.manifests[tag] = image.manifest
    server.manifests['3'] = other.manifest
    server.blobs.update({sha(b): b for b in other.layers + [other.config]})
    code, out = home.tool('pull-all', server.host + '/t')
    assert code == 0 and out.count('Pulling from t') == 5 and out.count('Digest: ') == 5, out
    assert out.count('Status: ') == 1 and '|Status: Downloaded newer image for %s/t|' % server.host in out, out
    listing = home.tool('list')[1]
    for tag in '12345':
        assert '"%s/t:%s"' % (server.host, tag) in listing, listing
    code, out = home.tool('pull-all', server.host + '/t')
    assert code == 0 and '|Status: Image is up to date for %s/t|' % server.host in out, out
    home.end()
    pages['last=4'] = (['5'], '</v2/t/tags/list?last=4>; rel="next"')
    home = Home()
    code, out = home.tool('pull-all', server.host + '/t')
    assert code == 1 and "the registry's pages have no end" in out, out
    home.clean()
    home.end()


@test
def foreign_layers():
    image = Image(2)
    foreign = Image.desc(image.layers[1], 'layer.nondistributable.v1.tar+gzip')
    elsewhere = Server(image, lambda h, p, n: '/bad' in p and (h.send(200, b'x' * len(image.layers[1])) or True) or '/file' in p and (
        h.send(200, image.layers[1]) or True))
    base = 'http://%s/' % elsewhere.host
    for urls, asked in (([base + 'file'], 0), ([base + 'none', base + 'file'], 0), ([base + 'none'], 1), ([base + 'bad'], 1),
                        (['file:///etc/passwd'], 1), ([base + 'bad', base + 'file'], 0)):
        image.seal(layers=[image.doc['layers'][0], dict(foreign, urls=urls)])
        home, server = Home(), Server(image)
        auth = base64.urlsafe_b64encode(b'{"registrytoken":"sesame"}').decode()
        pull(home, server, 0, '', auth)
        home.has(image)
        assert len(server.asked(sha(image.layers[1]))) == asked, (urls, server.log)
        home.end()
    assert not [h for p, h in elsewhere.seen if 'Authorization' in h]


@test
def indexes_inside_indexes():
    image, other = Image(1), Image(1, arch='arm64')
    desc = lambda data, kind, **kw: dict(Image.desc(data, kind + '.v1+json'), **kw)
    index = lambda *entries: json.dumps({'schemaVersion': 2, 'mediaType': OCI + 'index.v1+json', 'manifests': entries}).encode()
    amd, arm = ({'os': 'linux', 'architecture': a} for a in ('amd64', 'arm64'))
    right = index(desc(image.manifest, 'manifest', platform=amd))
    wrong = index(desc(other.manifest, 'manifest', platform=arm))
    top = index(desc(wrong, 'index'), desc(right, 'index'))
    home, server = Home(), Server(image)
    for doc in (right, wrong, other.manifest, top):
        server.manifests[sha(doc)] = doc
    server.manifests['1'] = top
    out = pull(home, server, 0, 'linux/amd64')
    assert 'Digest: ' + sha(top) in out, out
    home.has(image)
    assert 'no matching manifest for linux/s390x in the manifest list entries' in pull(home, server, 1, 'linux/s390x')
    deep = right
    for i in range(12):
        deep = index(desc(deep, 'index'))
        server.manifests[sha(deep)] = deep
    server.manifests['1'] = deep
    assert 'more than 8 indexes' in pull(home, server, 1, 'linux/amd64')
    home.end()


@test
def platform_variants():
    variants = {v: Image(1, 2000, arch='arm') for v in ('v5', 'v6', 'v7')}
    entries = [dict(Image.desc(i.manifest, 'manifest.v1+json'), platform={'os': 'linux', 'architecture': 'arm', 'variant': v})
               for v, i in variants.items()]
    arm64 = Image(1, 2000, arch='arm64')
    entries.append(dict(Image.desc(arm64.manifest, 'manifest.v1+json'), platform={'os': 'linux', 'architecture': 'arm64'}))
    server = Server(arm64)
    for i in variants.values():
        server.manifests[sha(i.manifest)] = i.manifest
        server.blobs.update({sha(b): b for b in i.layers + [i.config]})
    server.manifests['1'] = json.dumps({'schemaVersion': 2, 'mediaType': OCI + 'index.v1+json', 'manifests': entries}).encode()
    home = Home()
    for platform, want in (('linux/arm/v6', 'v6'), ('linux/arm/v7', 'v7'), ('linux/arm', 'v7'), ('linux/arm/v8', 'v7'),
                           ('linux/armhf', 'v7'), ('linux/armel', 'v6'), ('linux/arm/v5', 'v5'), ('linux/arm64', None),
                           ('linux/arm64/v8', None), ('linux/aarch64', None)):
        image = variants.get(want, arm64)
        assert sha(image.config) in pull(home, server, 0, platform), platform
    assert 'no matching manifest for linux/arm/v4' in pull(home, server, 1, 'linux/arm/v4')
    home.end()


@test
def resume_costs_nothing_twice():
    image = Image(1, 4000000)
    size = len(image.layers[0])

    def cut_each(h, data, n):
        at = int((re.findall(r'\d+', h.headers.get('Range') or '') or ['0'])[0])
        part = data[at:at + 500000]
        h.send(206 if at else 200, part, {'Content-Range': 'bytes %d-%d/%d' % (at, size - 1, size)} if at else {}, size - at)
        h.close_connection = at + len(part) < size
    server = succeeds(image, on_blob(image, 0, cut_each))
    requests = len(server.asked(sha(image.layers[0])))
    assert requests == -(-size // 500000), requests
    assert server.sent == size + len(image.config), (server.sent, size)
    print('# %d connections for %d bytes, %d bytes sent twice' % (requests, size, server.sent - size - len(image.config)))
    # Without ranges every attempt starts over, and what is known already is skipped.
    server = succeeds(image, on_blob(image, 0, lambda h, d, n: h.cut(d, n * 1000000) if n < 4 else h.send(200, d)))
    print('# without ranges: %d bytes sent for %d' % (server.sent - len(image.config), size))
    # 416, then whole.
    server = succeeds(image, on_blob(image, 0, lambda h, d, n: h.cut(d, 700000) if n == 1 else h.send(416) if n == 2 else h.send(200, d)))
    assert [bool(r) for p, r in server.log if p.endswith(sha(image.layers[0]))] == [False, True, False], server.log


@test
def blob_changes_between_attempts():
    image, other = Image(1, 1000000), Image(1, 1000000)
    data, wrong = image.layers[0], other.layers[0]
    # Other bytes for the rest: thrown away, and fetched once more in one piece.
    server = succeeds(image, on_blob(image, 0, lambda h, d, n: h.cut(d, 400000) if n == 1 else n == 2 and h.send(
        206, (wrong + bytes(len(d)))[400000:len(d)], {'Content-Range': 'bytes 400000-%d/%d' % (len(d) - 1, len(d))})))
    assert [r for p, r in server.log if p.endswith(sha(data))] == [None, 'bytes=400000-', None], server.log
    # Another size, another place.
    for content in ('bytes 400000-999999/1000001', 'bytes 0-%d/%d' % (len(data) - 1, len(data)), 'rubbish'):
        refused(image, on_blob(image, 0, lambda h, d, n: h.cut(d, 400000) if n == 1 else h.send(
            206, d[400000:], {'Content-Range': content})), 'another range than asked for')


@test
def slow_drips():
    image = Image(1, 1500000)
    stall = threading.Event()

    def drip(h, data, n):
        if n > 1:
            return False
        h.send(200, data[:900000], length=len(data))
        while not stall.wait(0.2):
            h.wfile.write(b'')  # the connection stays, nothing comes
        h.close_connection = True
    began = time.time()
    server = succeeds(image, on_blob(image, 0, drip), env={'IMAGE_TOOL_STALL': '1'})
    stall.set()
    assert time.time() - began < 15
    assert [r for p, r in server.log if p.endswith(sha(image.layers[0]))] == [None, 'bytes=900000-'], server.log


@test
def waits_that_are_asked_for():
    image = Image(1)
    date = lambda s: email.utils.formatdate(time.time() + s, usegmt=True)
    began = time.time()
    server = succeeds(image, on_blob(image, 0, lambda h, d, n: n == 1 and h.send(503, b'', {'Retry-After': date(2)})))
    assert time.time() - began >= 1
    limit = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}'
    for headers, wait in (({'Retry-After': '3600'}, 3600), ({'RateLimit-Remaining': '0;w=21600', 'RateLimit-Reset': '1200'}, 1200)):
        began = time.time()
        server = refused(image, lambda h, p, n: '/manifests/' in p and (h.send(429, limit, headers) or True),
                         'toomanyrequests: You have reached your pull rate limit. (the registry asks to wait %d seconds)' % wait)
        assert len(server.asked('/manifests/')) == 1 and time.time() - began < 5
    home, server = Home(), Server(image, on_blob(image, 0, lambda h, d, n: n == 1 and h.send(429, b'', {'Retry-After': '1'})))
    assert 'Retrying in 1 second|' in pull(home, server)
    home.end()


@test
def answers_without_an_end():
    image = Image(1)

    def headers(h, path, n):
        if '/manifests/' not in path:
            return False
        h.wfile.write(b'HTTP/1.1 200 OK\r\n')
        while True:
            h.wfile.write(b'X-Long: ' + b'y' * 1000 + b'\r\n')
    refused(image, headers, "headers are larger than")

    def body(status, where):
        def act(h, path, n):
            if where not in path:
                return False
            h.send_response(status)
            h.send_header('Transfer-Encoding', 'chunked')
            if status == 307:
                h.send_header('Location', '/v2/t/manifests/gone')
            h.end_headers()
            while True:
                h.wfile.write(b'1000\r\n' + b'z' * 4096 + b'\r\n')
        return act
    refused(image, body(404, '/manifests/'), 'the registry answered 404')
    refused(image, body(307, '/manifests/1'), 'manifest unknown')
    refused(image, body(200, '/v2/'), 'error:')


@test
def redirects_take_no_secrets_along():
    image = Image(1)
    for same in (False, True):
        def fault(h, path, n):
            if '/blobs/' in path and '?' not in path:
                return h.send(307, b'', {'Location': (base + path if not same else path) + '?x'}) or True
            return False
        target = Server(image)
        target.blobs = {k + '?x': v for k, v in target.blobs.items()}
        base = 'http://' + target.host
        home, server = Home(), Server(image, fault)
        server.blobs = dict(target.blobs)
        home.write('certs.d/%s/hosts.toml' % server.host, 'server = "http://%s"\n[header]\nX-Key = "sesame"\n' % server.host)
        pull(home, server, 0, '', base64.urlsafe_b64encode(b'{"registrytoken":"hush"}').decode())
        home.has(image)
        got = [h for p, h in (server if same else target).seen if p.endswith('?x')]
        assert len(got) == 2 and all((h.get('Authorization') == 'Bearer hush' and h.get('X-Key') == 'sesame') == same for h in got), got
        if not same:
            assert not [h for h in got if 'Authorization' in h or 'X-Key' in h], got
        home.end()


@test
def tokens_are_renewed_in_the_middle():
    image = Image(1, 2000000)
    tokens = []

    def fault(h, path, n):
        if path.startswith('/token'):
            tokens.append((path, getattr(h, 'form', ''), h.headers.get('Authorization')))
            if len(tokens) == 2:
                return h.send(503) or True  # a bad moment of the token server
            return h.send(200, json.dumps({'access_token': 'token%d' % len(tokens), 'refresh_token': 'next%d' % len(tokens),
                                           'expires_in': 60}).encode()) or True
        have = h.headers.get('Authorization')
        if have != 'Bearer token%d' % len(tokens) or (path.endswith(sha(image.layers[0])) and n == 2):
            return h.send(401, b'', {'WWW-Authenticate': 'Bearer realm="http://%s/token",service="s"' % h.headers['Host']}) or True
        if path.endswith(sha(image.layers[0])) and n == 1:
            return h.cut(image.layers[0], 800000) or True
        return False
    home, server = Home(), Server(image, fault)
    out = pull(home, server, 0, '', base64.urlsafe_b64encode(b'{"identitytoken":"first+identity"}').decode())
    home.has(image)
    forms = [dict(x.split('=') for x in form.split('&')) for path, form, auth in tokens]
    assert [f['refresh_token'] for f in forms] == ['first%2Bidentity', 'next1', 'next1'], tokens
    assert all(f['grant_type'] == 'refresh_token' and f['scope'] == 'repository%3At%3Apull' and f['service'] == 's' for f in forms), forms
    assert [r for p, r in server.log if p.endswith(sha(image.layers[0]))] == [None, 'bytes=800000-', 'bytes=800000-'], server.log
    assert 'identity' not in out and 'token1' not in out, out
    home.end()
    # A token that is never good enough: an error, and no endless asking.
    home = Home()
    server = Server(image, lambda h, p, n: h.send(200, b'{"token":"x"}') or True if '/token' in p else h.send(
        401, b'', {'WWW-Authenticate': 'Bearer realm="http://%s/token"' % h.headers['Host']}) or True)
    assert 'unauthorized' in pull(home, server, 1) and len(server.log) < 8, server.log
    home.clean()
    home.end()


@test
def zstd_chunked():
    """Frames of their own, a skippable frame with the table of contents at the end and one in between."""
    image = Image(1)
    tar = gzip.decompress(image.layers[0])

    def frame(data):
        return subprocess.run(['zstd', '-q', '-c'], input=data, stdout=subprocess.PIPE, check=True).stdout

    def skippable(data):
        return (0x184D2A50).to_bytes(4, 'little') + len(data).to_bytes(4, 'little') + data
    toc = skippable(frame(b'{"version":1,"entries":[]}'))
    body = frame(tar[:1000]) + frame(tar[1000:50000]) + skippable(b'split') + frame(tar[50000:])
    image.layers = [body + toc + skippable(b'\0' * 56 + b'GNUlInUx')]
    layer = dict(image.desc(image.layers[0], 'layer.v1.tar+zstd'), annotations={
        'io.github.containers.zstd-chunked.manifest-checksum': digest_of(toc[8:]),
        'io.github.containers.zstd-chunked.manifest-position': '%d:%d:26:1' % (len(body) + 8, len(toc) - 8)})
    image.seal(layers=[layer])
    home, server = Home(), Server(image)
    pull(home, server)
    home.has(image)
    home.end()


main()
