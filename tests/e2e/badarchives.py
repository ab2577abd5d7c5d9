# SPDX-License-Identifier: Apache-2.0
"""Archives for load whose documents lie: badarchives.py DIRECTORY writes NAME.tar each, and NAME.want, a text
that the refusal must contain (empty: the archive is good)."""
import io
import json
import os
import sys
import tarfile

from imagelib import OCI, Image, Tar, sha, write_docker_archive, write_oci_archive

OUT = sys.argv[1]


def want(name, text):
    with open('%s/%s.want' % (OUT, name), 'w') as f:
        f.write(text)
    return '%s/%s.tar' % (OUT, name)


def members(name, text, files, links=()):
    with tarfile.open(want(name, text), 'w', format=tarfile.PAX_FORMAT) as tar:
        for path, data in files:
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for path, to in links:
            info = tarfile.TarInfo(path)
            info.type, info.linkname = tarfile.SYMTYPE, to
            tar.addfile(info)


def oci(name, text, change=None, layers=None, config=None):
    image = Image(layers or [Tar().file('who', name).done()], config)
    if change:
        change(image)
        image.remanifest()
    write_oci_archive(image, want(name, text), name + ':1')
    return image


def docker(name, text, manifest, layer=None):
    layer = layer or Tar().file('who', name).done()
    config = json.dumps({'architecture': 'amd64', 'os': 'linux', 'config': {},
                         'rootfs': {'type': 'layers', 'diff_ids': [sha(layer)]}}).encode()
    members(name, text, [('l.tar', layer), ('c.json', config), ('manifest.json', manifest)])


GARBAGE = {'garbage': b'\x00\xff{', 'empty': b'', 'cut': b'{"a":', 'deep': b'[' * 200000, 'number': b'1'}
for what, data in GARBAGE.items():
    docker('manifest.json-' + what, 'manifest.json', data)
    members('index.json-' + what, 'index.json', [('oci-layout', b'{"imageLayoutVersion":"1.0.0"}'), ('index.json', data)])
    image = Image([Tar().file('who', what).done()])
    image.manifest['config'] = image.put(data, OCI + 'config.v1+json')
    write_oci_archive(image.remanifest(), want('config-' + what, image.manifest['config']['digest'][7:]), 'config:1')
    image = Image([Tar().file('who', what).done()])
    image.manifest_bytes = data
    image.desc = image.put(data, OCI + 'manifest.v1+json')
    write_oci_archive(image, want('manifest-' + what, image.desc['digest'][7:]), 'manifest:1')

oci('size-negative', 'size', lambda i: i.manifest['layers'][0].update(size=-1))
oci('size-64', 'size', lambda i: i.manifest['layers'][0].update(size=1 << 64))
oci('size-63', 'bytes', lambda i: i.manifest['layers'][0].update(size=(1 << 63) - 1))
oci('size-32', 'bytes', lambda i: i.manifest['layers'][0].update(size=i.manifest['layers'][0]['size'] + (1 << 32)))
oci('size-text', 'size', lambda i: i.manifest['layers'][0].update(size='12'))
oci('layer-missing', 'no member', lambda i: i.manifest['layers'][0].update(digest='sha256:' + '5' * 64))
oci('layer-twice', 'layers', lambda i: i.manifest.update(layers=i.descs * 2))
oci('layers-none', 'layers', lambda i: i.manifest.update(layers=[]))
oci('layers-10000', 'layers', lambda i: i.manifest.update(layers=i.descs * 10000))


def diff(ids):
    def change(image):
        image.config['rootfs']['diff_ids'] = ids(image.config['rootfs']['diff_ids'])
        image.seal()
    return change


oci('diffid-wrong', 'diff id', diff(lambda v: ['sha256:' + '7' * 64]))
oci('diffid-fewer', 'layers', diff(lambda v: []))
oci('diffid-bad', 'diff id', diff(lambda v: ['sha256:zz']))
tar = Tar().file('same', 'x').done()
oci('good-layer-repeats', '', layers=[tar, tar, Tar().file('other', 'y').done(), tar])
image = Image([Tar().file('who', 'dup').done()])
image.manifest_bytes = image.manifest_bytes.replace(b'"schemaVersion": 2', b'"schemaVersion": 1, "schemaVersion": 2')
image.desc = image.put(image.manifest_bytes, OCI + 'manifest.v1+json')
write_oci_archive(image, want('good-keys-twice', ''), 'keys:1')

for what, tag in {'upper': 'Upper:1', 'unicode': 'b\u00f6x:1', 'wide': '\uff42ox:1', 'zero-width': 'b\u200box:1',
                  'control': 'b\x1b[31mx:1', 'dots': '../../etc:1', 'long': 'a' * 300 + ':1'}.items():
    docker('tag-' + what, 'invalid tag', json.dumps([{'Config': 'c.json', 'RepoTags': [tag], 'Layers': ['l.tar']}]).encode())
docker('config-outside', 'no member', json.dumps([{'Config': '../../etc/passwd', 'RepoTags': None, 'Layers': ['l.tar']}]).encode())
docker('layers-outside', 'no member', json.dumps([{'Config': 'c.json', 'Layers': ['/etc/shadow']}]).encode())
members('repositories-only', 'repositories', [('repositories', b'{"old":{"1":"' + b'a' * 64 + b'"}}'),
                                              ('a' * 64 + '/json', b'{}'), ('a' * 64 + '/layer.tar', tar)])
layer = Tar().file('linked', 'x').done()
config = json.dumps({'architecture': 'amd64', 'os': 'linux', 'config': {},
                     'rootfs': {'type': 'layers', 'diff_ids': [sha(layer)] * 2}}).encode()
manifest = json.dumps([{'Config': 'c.json', 'RepoTags': ['linked:1'], 'Layers': ['1/layer.tar', '2/layer.tar']}]).encode()
members('good-linked-layers', '', [('1/layer.tar', layer), ('c.json', config), ('manifest.json', manifest)],
        [('2/layer.tar', '../1/layer.tar')])
members('link-loop', 'no member', [('c.json', config), ('manifest.json', manifest)],
        [('1/layer.tar', '../2/layer.tar'), ('2/layer.tar', '../1/layer.tar')])
