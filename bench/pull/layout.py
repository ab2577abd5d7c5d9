# SPDX-License-Identifier: Apache-2.0
"""Writes manifest, configuration and index of an OCI layout whose layer blobs are there already.
usage: layout.py LAYOUT < lines "tag type diff-id digest size", the layers of each tag in order"""
import hashlib
import json
import os
import sys

OCI = 'application/vnd.oci.image.'
layout = sys.argv[1]


def put(document):
    data = json.dumps(document).encode()
    name = hashlib.sha256(data).hexdigest()
    with open(os.path.join(layout, 'blobs/sha256', name), 'wb') as file:
        file.write(data)
    return {'digest': 'sha256:' + name, 'size': len(data)}


tags = {}
for line in sys.stdin:
    tag, kind, diff, digest, size = line.split()
    tags.setdefault(tag, []).append((kind, diff, digest, int(size)))
index = []
for tag, layers in tags.items():
    config = put({'architecture': 'amd64', 'os': 'linux', 'created': '2024-01-02T03:04:05Z',
                  'config': {'Cmd': ['node'], 'User': 'app', 'WorkingDir': '/srv/app', 'Env': [
                      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin']},
                  'rootfs': {'type': 'layers', 'diff_ids': [l[1] for l in layers]},
                  'history': [{'created': '2024-01-02T03:04:05Z', 'created_by': 'bench'} for _ in layers]})
    manifest = put({'schemaVersion': 2, 'mediaType': OCI + 'manifest.v1+json',
                    'config': dict(config, mediaType=OCI + 'config.v1+json'),
                    'layers': [{'mediaType': OCI + 'layer.v1.tar+' + l[0], 'digest': l[2], 'size': l[3]}
                               for l in layers]})
    index.append(dict(manifest, mediaType=OCI + 'manifest.v1+json',
                      annotations={'org.opencontainers.image.ref.name': tag}))
with open(os.path.join(layout, 'index.json'), 'w') as file:
    json.dump({'schemaVersion': 2, 'mediaType': OCI + 'index.v1+json', 'manifests': index}, file)
with open(os.path.join(layout, 'oci-layout'), 'w') as file:
    file.write('{"imageLayoutVersion":"1.0.0"}')
