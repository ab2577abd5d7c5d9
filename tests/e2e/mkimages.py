#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the good test images: OCI layouts, archives, and serves them. See imagelib.py.

usage: mkimages.py DIR            writes the images below DIR
       mkimages.py --serve FILE   serves them and the hostile ones; the port is written to FILE
"""
import os
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import imagelib
from imagelib import Image, Tar, Registry, busybox_tar


def layered():
    """Three layers with everything a layer can hold; run-time tests look at each trace."""
    one = Tar()
    one.dir('keep').file('keep/a', 'a').file('keep/b', 'b')
    one.dir('gone').file('gone/x', 'x')
    one.dir('opaque').file('opaque/old', 'old')
    one.file('replaced', 'first', mode=0o600)
    one.dir('was-dir').file('was-dir/f', 'f')
    one.file('was-file', 'f')
    two = Tar()
    two.file('keep/.wh.a')
    two.file('.wh.gone')
    two.file('opaque/.wh..wh..opq').file('opaque/new', 'new')
    two.file('replaced', 'second', mode=0o640, uid=1000, gid=29, mtime=1234567890)
    two.file('.wh.was-dir').file('was-dir', 'now a file')
    two.dir('was-file').file('was-file/inside', 'i')
    three = Tar()
    three.dir('x')
    three.file('x/orig', 'linked', mode=0o4755)
    three.hard('x/hard', 'x/orig', mode=0o4755)
    three.link('x/sym', '../keep/b').link('x/abs', '/keep/b').link('x/dangling', '/nowhere')
    three.fifo('x/fifo', mode=0o622)
    three.char('x/null', 1, 3, mode=0o666)
    three.dir('x/sticky', mode=0o1777)
    long_name = 'x/' + 'n' * 200
    three.file(long_name, 'long')
    deep = 'x/' + '/'.join(['d' * 60] * 6)
    three.file(deep + '/leaf', 'deep')
    # cap_net_bind_service=ep, as the kernel stores it (revision 2)
    caps = struct.pack('<5I', 0x02000001, 1 << 10, 0, 0, 0)
    three.file('x/capable', 'x', mode=0o755, xattrs={'security.capability': caps.decode('latin-1')})
    # As libarchive writes them: twice, under two names.
    three.file('x/attr', 'x', pax_headers={'LIBARCHIVE.xattr.user.note': 'aGVsbG8', 'SCHILY.xattr.user.note': 'hello'})
    three.file('x/zeros', b'\0' * 3000000)
    return [busybox_tar(), one.done(), two.done(), three.done()]


def configured():
    base = Tar()
    base.dir('data').file('data/seed', 'seed', uid=1000, gid=1000, mode=0o640)
    base.dir('data/sub', uid=1000, gid=29, mode=0o2750)
    base.link('data/ln', 'seed')
    base.dir('work')
    base.file('entry.sh', '#!/bin/sh\necho "entry $*"\n', mode=0o755)
    base.file('notexec', 'plain text', mode=0o644)
    base.file('noshebang', '#!/no/such/interpreter\n', mode=0o755)
    config = {'Env': ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'FROM_IMAGE=yes', 'EMPTY='], 'WorkingDir': '/work',
              'User': 'web', 'Entrypoint': ['/entry.sh'], 'Cmd': ['one', 'two'], 'Volumes': {'/data': {}},
              'Labels': {'made': 'here', 'who': 'image'}, 'StopSignal': 'SIGUSR1', 'ExposedPorts': {'80/tcp': {}}}
    return Image([busybox_tar(), base.done()], config)


def big_image(megabytes=24, layers=4):
    """Several layers of data that does not compress, for pulls that are cut."""
    out = [busybox_tar()]
    for n in range(layers):
        t = Tar().dir('big%d' % n)
        seed = open('/dev/urandom', 'rb').read(megabytes * 1000000 // layers // 20)
        for i in range(20):
            t.file('big%d/f%d' % (n, i), seed)
        out.append(t.done())
    return Image(out, compression='plain')


def write_all(out):
    os.makedirs(out, exist_ok=True)
    box = Image([busybox_tar()])
    imagelib.write_layout(box, out + '/busybox', 'busybox:latest')
    imagelib.write_docker_archive(box, out + '/busybox.docker.tar', ['busybox:latest', 'box:two'])
    imagelib.write_oci_archive(Image([busybox_tar()], {'Labels': {'from': 'oci'}}, compression='zstd'),
                               out + '/busybox.oci.tar', 'ocibox:latest')
    imagelib.write_docker_archive(configured(), out + '/configured.tar', ['configured:latest'])
    imagelib.write_docker_archive(Image(layered()), out + '/layered.tar', ['layered:latest'])
    imagelib.write_layout(Image(layered(), compression='zstd'), out + '/layered', 'layered:zstd')
    native = Image([busybox_tar()], {'Labels': {'arch': 'amd64'}})
    arm = Image([busybox_tar(), imagelib.Tar().file('arm', 'for arm').done()], {'Labels': {'arch': 'arm64'}}, arch='arm64')
    places = [{'os': 'linux', 'architecture': 'arm64', 'variant': 'v8'}, {'os': 'linux', 'architecture': 'amd64'}]
    unknown = {'os': 'unknown', 'architecture': 'unknown'}
    imagelib.write_index_archive([arm, native, imagelib.attestation(native)], places + [unknown],
                                 out + '/whole.oci.tar', 'whole:1')
    imagelib.write_index_archive([arm, native], places, out + '/part.oci.tar', 'part:1', [arm])
    foreign = Image([busybox_tar()], arch='s390x')
    imagelib.write_docker_archive(foreign, out + '/foreign.tar', ['foreign:latest'])


def serve(port_file):
    import hostile
    reg = Registry()
    box = busybox_tar()
    for how in ('gzip', 'zstd', 'plain'):
        reg.add(Image([box], {'Labels': {'how': how}}, compression=how), 'box:' + how)
    reg.add(Image([box], schema2=True), 'box:schema2')
    reg.add(Image(layered()), 'layered:latest')
    reg.add(big_image(), 'big:latest')
    slow = big_image(8, 4)
    for desc in slow.descs[1:]:
        reg.slow[desc['digest']] = trickle
    reg.add(slow, 'slow:latest')
    native = Image([box], {'Env': ['PATH=/bin', 'ARCH=amd64']})
    other = Image([box], {'Env': ['PATH=/bin', 'ARCH=arm64']}, arch='arm64')
    places = [{'os': 'linux', 'architecture': 'arm64', 'variant': 'v8'}, {'os': 'linux', 'architecture': 'amd64'}]
    reg.add_index('multi:latest', [other, native], places)
    reg.add_index('multi:list', [other, native], places, schema2=True)
    reg.add_index('multi:foreign', [other], places[:1])
    hostile.fill(reg)
    with open(port_file + '.tmp', 'w') as f:
        f.write(str(reg.port))
    os.rename(port_file + '.tmp', port_file)
    while os.getppid() != 1:
        time.sleep(1)


def trickle(out, data):
    """About a second for a layer, so that a test can kill something in the middle."""
    step = max(1, len(data) // 50)
    for at in range(0, len(data), step):
        out.write(data[at:at + step])
        out.flush()
        time.sleep(0.02)


if __name__ == '__main__':
    if sys.argv[1] == '--serve':
        serve(sys.argv[2])
    else:
        write_all(sys.argv[1])
