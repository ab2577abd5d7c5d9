# SPDX-License-Identifier: Apache-2.0
"""Images that lie or attack. Each name says what is wrong; hostile.bats says what must happen.

Entries of ESCAPES must either be refused or stay inside the layer; all others must be refused.
"""
import json
import os

from imagelib import OCI, Image, Tar, busybox_tar, sha

VICTIM = os.environ.get('E2E_VICTIM', '/dev/shm/coracle-e2e-victim')


def escapes():
    up = '../' * 12 + VICTIM[1:]
    yield 'dotdot', [Tar().file(up + '/dotdot', 'x').done()]
    yield 'absolute', [Tar().file(VICTIM + '/absolute', 'x').done()]
    yield 'inner-dotdot', [Tar().dir('a').file('a/../../../../../../../../../..' + VICTIM + '/inner', 'x').done()]
    yield 'symlink-dir', [Tar().link('s', VICTIM).file('s/symlinkdir', 'x').done()]
    yield 'symlink-rel', [Tar().link('s', '../' * 12 + VICTIM[1:]).file('s/symlinkrel', 'x').done()]
    yield 'symlink-file', [Tar().link('f', VICTIM + '/file').file('f', 'overwritten').done()]
    yield 'hardlink-out', [Tar().hard('h', '../' * 12 + 'etc/passwd').done()]
    yield 'hardlink-abs', [Tar().hard('h', '/etc/passwd').file('h', 'x').done()]
    yield 'hardlink-via-link', [Tar().link('s', '/etc').hard('h', 's/passwd').done()]
    yield 'swapped-between-layers', [Tar().link('dir', VICTIM).done(), Tar().file('dir/swapped', 'x').done()]
    yield 'whiteout-through-link', [Tar().link('dir', VICTIM).done(), Tar().file('dir/.wh.file').done()]
    yield 'opaque-through-link', [Tar().link('dir', VICTIM).done(), Tar().file('dir/.wh..wh..opq').done()]
    yield 'whiteout-dotdot', [Tar().file('a/.wh...').done()]
    yield 'whiteout-empty', [Tar().file('a/.wh.').done()]
    yield 'dir-over-link', [Tar().link('d', VICTIM).dir('d', mode=0o700).file('d/dirover', 'x').done()]
    yield 'chmod-through-link', [Tar().link('l', VICTIM + '/file').link('l', VICTIM + '/file', mode=0o7777).done()]
    yield 'overlay-xattr', [Tar().dir('red', xattrs={'trusted.overlay.redirect': '/../..'}).done()]


def bad_documents(box):
    def manifest(data):
        image = Image([box])
        image.manifest_bytes = data
        return image
    yield 'manifest-garbage', manifest(b'\x00\xff not json')
    yield 'manifest-empty', manifest(b'')
    yield 'manifest-array', manifest(b'[1,2,3]')
    yield 'manifest-deep', manifest(b'[' * 100000)
    yield 'manifest-huge', manifest(b'{"schemaVersion":2,"x":"' + b'a' * 9000000 + b'"}')
    yield 'manifest-schema1', manifest(json.dumps({'schemaVersion': 1, 'fsLayers': []}).encode())
    image = Image([box])
    image.manifest['layers'] = 'none'
    yield 'manifest-types', image.remanifest()
    image = Image([box])
    image.manifest['layers'] = [dict(image.descs[0], digest='sha256:../../../../etc/passwd')]
    yield 'digest-path', image.remanifest()
    image = Image([box])
    image.manifest['layers'] = [dict(image.descs[0], digest='md5:' + 'a' * 32)]
    yield 'digest-algorithm', image.remanifest()
    # Layers of their own: a layer that is known already is not fetched again.
    image = Image([box, Tar().file('size', 'negative').done()])
    image.manifest['layers'] = [image.descs[0], dict(image.descs[1], size=-1)]
    yield 'size-negative', image.remanifest()
    image = Image([box, Tar().file('size', 'small').done()])
    image.manifest['layers'] = [image.descs[0], dict(image.descs[1], size=image.descs[1]['size'] - 1)]
    yield 'size-small', image.remanifest()
    image = Image([box, Tar().file('size', 'large').done()])
    image.manifest['layers'] = [image.descs[0], dict(image.descs[1], size=image.descs[1]['size'] + 1000)]
    yield 'size-large', image.remanifest()
    image = Image([box])
    image.manifest['layers'] = image.descs * 2
    yield 'layers-more-than-diffids', image.remanifest()
    image = Image([box])
    image.config['rootfs']['diff_ids'] = ['sha256:' + '0' * 64]
    yield 'diffid-wrong', image.seal()
    image = Image([box])
    image.config = ['not', 'an', 'object']
    yield 'config-array', image.seal()
    image = Image([box])
    bad = b'{"architecture":"amd64","os":"linux","config":{"Env":5},"rootfs":{}}'
    image.manifest['config'] = image.put(bad, OCI + 'config.v1+json')
    yield 'config-types', image.remanifest()


def bomb():
    """A gigabyte of zeros in about a megabyte, five times over in a sparse chain of layers."""
    import gzip
    import io
    import tarfile
    head = tarfile.TarInfo('zeros')
    head.size = 4 << 30
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode='wb', compresslevel=9, mtime=0) as z:
        z.write(head.tobuf(tarfile.GNU_FORMAT))
        block = bytes(1 << 20)
        for _ in range(4 << 10):
            z.write(block)
        z.write(bytes(1024))
    return out.getvalue()


def fill(reg):
    box = busybox_tar()
    for name, layers in escapes():
        reg.add(Image([box] + layers), 'escape-%s:latest' % name)
    for name, image in bad_documents(box):
        reg.add(image, 'bad-%s:latest' % name)

    def lying(name, lie, layers=None):
        image = Image(layers or [box, Tar().file(name, name).done()])
        reg.lies[image.descs[-1]['digest']] = lie
        reg.add(image, 'bad-%s:latest' % name)
    lying('blob-flipped', lambda d: d[:30] + bytes([d[30] ^ 1]) + d[31:])
    lying('blob-truncated', lambda d: d[:len(d) // 2])
    lying('blob-longer', lambda d: d + b'more')
    lying('blob-empty', lambda d: b'')
    lying('blob-other', lambda d: b'x' * len(d))
    image = Image([box], {'Labels': {'config': 'lies'}})
    reg.lies[image.manifest['config']['digest']] = lambda d: d.replace(b'lies', b'LIES')
    reg.add(image, 'bad-config-flipped:latest')

    def raw_layer(name, data, diff=None):
        image = Image([box])
        image.descs = [image.put(data, OCI + 'layer.v1.tar+gzip')]
        image.config['rootfs']['diff_ids'] = [diff or sha(data)]
        reg.add(image.seal(), 'bad-%s:latest' % name)
    raw_layer('layer-garbage', os.urandom(5000))
    raw_layer('layer-gzip-garbage', b'\x1f\x8b\x08\0\0\0\0\0\0\3' + os.urandom(5000))
    raw_layer('layer-zstd-garbage', b'\x28\xb5\x2f\xfd' + os.urandom(5000))
    raw_layer('layer-xz', b'\xfd7zXZ\0' + os.urandom(500))
    whole = Tar().file('f', 'x' * 5000).done()
    raw_layer('tar-truncated', whole[:1500])
    broken = bytearray(whole)
    broken[150] ^= 0x55
    raw_layer('tar-checksum', bytes(broken))
    if os.environ.get('E2E_BOMB'):
        raw_layer('bomb', bomb())
    many = Image([box])
    many.manifest['layers'] = many.descs * 500
    reg.add(many.remanifest(), 'bad-many-layers:latest')
