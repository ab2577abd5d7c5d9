# SPDX-License-Identifier: Apache-2.0
"""Layers unpacked by coracle-unpack and by GNU tar or umoci, compared entry by entry.

usage: difftree.py PROGRAM SCRATCH CASE     PROGRAM is coracle-unpack; prints differences, exit status 1 if any
       difftree.py PROGRAM SCRATCH tar FILE a layer (tar, gzip or zstd) against GNU tar
"""
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import time

from imagelib import Image, Tar, write_layout

PROGRAM, SCRATCH = sys.argv[1:3]
START = (time.time() - 600) * 1e9


def tree(top):
    """name -> everything a layer says about it; hard links by the first name of their inode."""
    out, first = {}, {}
    top = os.fsencode(top)
    for at, dirs, files in os.walk(top):
        for name in sorted(dirs + files) + ([b'.'] if at == top else []):
            path = os.path.join(at, name)
            st = os.lstat(path)
            kind = stat.S_IFMT(st.st_mode)
            content = None
            if kind == stat.S_IFREG:
                digest = hashlib.sha256()
                with open(path, 'rb') as f:
                    for block in iter(lambda: f.read(1 << 20), b''):
                        digest.update(block)
                content = (st.st_size, digest.hexdigest())
            elif kind == stat.S_IFLNK:
                content = os.readlink(path)
            elif kind in (stat.S_IFCHR, stat.S_IFBLK):
                content = (os.major(st.st_rdev), os.minor(st.st_rdev))
            attrs = {}
            for attr in os.listxattr(path, follow_symlinks=False):
                if not attr.startswith('trusted.overlay.'):
                    attrs[attr] = os.getxattr(path, attr, follow_symlinks=False)
            rel = os.path.relpath(path, top)
            link = None
            if kind != stat.S_IFDIR and st.st_nlink > 1:
                link = first.setdefault(st.st_ino, rel)
            out[rel] = {'mode': oct(st.st_mode), 'owner': (st.st_uid, st.st_gid), 'mtime': st.st_mtime_ns,
                        'content': content, 'xattrs': attrs, 'same file as': link}
    # A link to a name that cannot be seen (another layer hides it) is no link.
    shown = [o['same file as'] for o in out.values()]
    for o in out.values():
        if shown.count(o['same file as']) < 2:
            o['same file as'] = None
    return out


def same(ours, theirs, ignore=()):
    bad = 0
    for name in sorted(set(ours) | set(theirs)):
        a, b = ours.get(name), theirs.get(name)
        if a is None or b is None:
            print('%r: only in %s' % (name, 'theirs' if a is None else 'ours'))
            bad += 1
            continue
        for key in a:
            if key == 'mtime' and min(a[key], b[key]) > START:
                continue  # directories that no entry made have the time of unpacking
            if a[key] != b[key] and key not in ignore and (name, key) not in ignore:
                print('%r: %s is %r, theirs %r' % (name, key, a[key], b[key]))
                bad += 1
    return bad


def fresh(name):
    path = os.path.join(SCRATCH, name)
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path, 0o755)
    return path


def apply(layer, target):
    """Returns the result line; raises ValueError with the worker's words."""
    fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    source = {'stdin': layer} if hasattr(layer, 'fileno') else {'input': layer}
    try:
        p = subprocess.run([PROGRAM, 'apply', '--target-fd', str(fd)], stdout=subprocess.PIPE, pass_fds=[fd],
                           **source)
    finally:
        os.close(fd)
    line = json.loads(p.stdout.splitlines()[-1]) if p.stdout else {'error': 'no word, status %d' % p.returncode}
    if 'error' in line:
        raise ValueError(line['error'])
    return line


def against_tar(layer, ignore=(), options=()):
    """layer: bytes of a plain tar."""
    ours, theirs = fresh('ours'), fresh('theirs')
    apply(layer, ours)
    subprocess.run(['tar', '-x', '-C', theirs, '--numeric-owner', '--same-owner', '-p', '--xattrs', '--xattrs-include=*',
                    '--delay-directory-restore', *options], input=layer, check=True, stderr=subprocess.DEVNULL)
    return same(tree(ours), tree(theirs), tuple(ignore) + (('.', 'mtime'), (b'.', 'mtime'), (b'.', 'mode')))


# ---- one layer against GNU tar ----
def case_metadata(fmt=tarfile.PAX_FORMAT):
    t = Tar(fmt)
    t.dir('d', mode=0o1777, mtime=1234567890.25 if fmt == tarfile.PAX_FORMAT else 1234567890)
    t.file('d/setuid', 'x' * 1000, mode=0o4755, uid=12, gid=34)
    t.file('d/setgid', 'y', mode=0o2711, uid=1, gid=0)
    t.file('d/none', '', mode=0)
    t.file('d/setuid-owner', 'z', mode=0o6777, uid=1000000, gid=2000000)
    t.dir('g', mode=0o2775, gid=50).file('g/in', 'x', gid=0).dir('g/sub', mode=0o755).link('g/l', 'in')
    t.link('d/dangling', '/no/where/' + 'n' * 150).link('d/up', '../../../..')
    t.link('owned', 'x', uid=77, gid=88, mtime=5)
    t.hard('d/hard', 'd/setuid').hard('hard-to-link', 'd/dangling')
    t.char('null', 1, 3, mode=0o666).fifo('fifo', mode=0o600, uid=9)
    t.add('block', tarfile.BLKTYPE, devmajor=7, devminor=200, mode=0o660, gid=6)
    t.file('./dot/./slash', 'made on the way').file('/absolute', 'inside')
    t.file('n' * 255, 'long').dir('/'.join(['p' * 100] * 12)).file('/'.join(['p' * 100] * 12) + '/f', 'deep')
    if fmt == tarfile.PAX_FORMAT:
        t.file('ns', 'x', mtime=1600000000.5).file('old', 'x', mtime=-5.0).file('big-id', 'x', uid=4000000000)
        t.file('caps', 'x', mode=0o755, xattrs={'user.a': 'b', 'user.empty': ''})
    return against_tar(t.done())


def case_gnu():
    return case_metadata(tarfile.GNU_FORMAT)


def case_bytes():
    """Names that are no UTF-8, decomposed letters, case pairs, control characters: byte for byte."""
    t = tarfile.open(fileobj=(raw := io.BytesIO()), mode='w', format=tarfile.GNU_FORMAT, encoding='latin-1')
    for name in ('caf\xe9', '\xff\xfe', 'A\xcc\x8a', '\xc3\x85', 'x\ny', 'tab\t', ' ', 'back\\slash', '*', '-rf',
                 'Case', 'case', 'CASE', '\x01\x7f\x80' + 'l' * 200, '...', '.wh', 'a.wh.b', 'trailing '):
        info = tarfile.TarInfo(name)
        info.size = len(name)
        t.addfile(info, io.BytesIO(b'x' * len(name)))
        info = tarfile.TarInfo('l-' + name)
        info.type, info.linkname = tarfile.SYMTYPE, name
        t.addfile(info)
    t.close()
    bad = against_tar(raw.getvalue())
    t = Tar()
    t.file('caf\udce9', 'pax').file('\u00c5', '1').file('A\u030a', '2').file('\U0001f600' * 20, '3')
    t.hard('h-\u00c5', '\u00c5').link('s-\udce9', 'caf\udce9')
    return bad + against_tar(t.done())


def case_replaced():
    """Later entries of one name win, whatever the kinds."""
    t = Tar()
    t.file('f', '1').file('f', '22', mode=0o600).file('d', '').dir('d').file('d/x', 'x')
    t.link('l', 'f').file('l', 'file now').file('k', '').link('k', 'f').link('k', 'd')
    t.file('h', 'old').hard('h2', 'h').file('h', 'new: h2 keeps the old')
    t.dir('e', mode=0o700).dir('e', mode=0o755, uid=5).fifo('p').char('p', 1, 5)
    t.hard('f', 'f')
    return against_tar(t.done())


def case_dir_to_file():
    """GNU tar refuses to replace a full directory by a file; container tools do it. Then and back."""
    t = Tar().dir('d').file('d/a', '1').dir('d/s').file('d/s/b', '2').file('d', 'a file').dir('d').file('d/c', '3')
    ours = fresh('ours')
    apply(t.done(), ours)
    want = {'.', 'd', 'd/c'}
    got = {os.fsdecode(n) for n in tree(ours)}
    if got != want:
        print('got', got)
    return got != want


def case_sparse():
    bad = 0
    top = fresh('source')
    for name, spans, size in (('head', [(0, 5000)], 1 << 24), ('tail', [((1 << 24) - 9, 9)], 1 << 24),
                              ('many', [(i << 16, 4096) for i in range(0, 200)], 200 << 16),
                              ('holes', [], 5 << 20), ('huge', [(1 << 33, 10)], (1 << 33) + 10)):
        with open(os.path.join(top, name), 'wb') as f:
            for at, n in spans:
                f.seek(at)
                f.write(os.urandom(n))
            f.truncate(size)
    for options in (['--format=gnu'], ['--format=pax', '--sparse-version=0.0'], ['--format=pax', '--sparse-version=0.1'],
                    ['--format=pax', '--sparse-version=1.0']):
        layer = subprocess.run(['tar', '-c', '-C', top, '--sparse', *options, 'head', 'tail', 'many', 'holes'],
                               stdout=subprocess.PIPE, check=True).stdout
        n = against_tar(layer)
        print(*options, 'differs') if n else None
        layer = subprocess.run(['tar', '-c', '-C', top, '--sparse', *options, 'huge'],
                               stdout=subprocess.PIPE, check=True).stdout
        ours = fresh('ours')
        apply(layer, ours)
        st = os.stat(ours + '/huge')
        if st.st_size != (1 << 33) + 10 or st.st_blocks > 100:
            print(*options, 'size', st.st_size, 'blocks', st.st_blocks)
            n += 1
        with open(ours + '/huge', 'rb') as a, open(top + '/huge', 'rb') as b:
            a.seek(1 << 33), b.seek(1 << 33)
            if a.read() != b.read():
                print(*options, 'content')
                n += 1
        bad += n
    return bad


def case_mixed():
    """GNU long names inside pax archives, pax headers before GNU ones, global headers in between."""
    raw = io.BytesIO()
    t = tarfile.open(fileobj=raw, mode='w', format=tarfile.PAX_FORMAT, pax_headers={'comment': 'global', 'uname': 'x'})
    for fmt in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT):
        for i, name in enumerate(('s%d' % fmt, 'd/' * 40 + 'x' * 60 + str(fmt), 'u/' * 20 + 'y' * 50 + str(fmt))):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = 3, 1000 + i
            if fmt == tarfile.PAX_FORMAT:
                info.pax_headers = {'mtime': '1000.123456789', 'uid': '70000', 'SCHILY.xattr.user.k': 'v'}
            try:
                raw.write(info.tobuf(fmt, 'utf-8', 'surrogateescape'))
            except ValueError:
                continue  # ustar has no room for it
            raw.write(b'abc' + bytes(509))
    raw.write(bytes(10240))
    return against_tar(raw.getvalue())


# ---- several layers against umoci ----
def against_umoci(layers, ignore=()):
    layout, merged = fresh('layout'), fresh('merged')
    write_layout(Image(layers), layout, 'x:latest')
    below = []
    for i, layer in enumerate(layers):
        below.insert(0, fresh('layer%d' % i))
        apply(layer, below[0])
    shutil.rmtree(os.path.join(SCRATCH, 'bundle'), ignore_errors=True)
    subprocess.run(['umoci', 'unpack', '--image', layout + ':latest', os.path.join(SCRATCH, 'bundle')], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(['mount', '-t', 'overlay', 'overlay', '-o', 'ro,lowerdir=' + ':'.join(below + [fresh('nothing')]), merged],
                   check=True)
    try:
        ours = tree(merged)
    finally:
        subprocess.run(['umount', merged], check=True)
    theirs = tree(os.path.join(SCRATCH, 'bundle/rootfs'))
    return same(ours, theirs, tuple(ignore) + ((b'.', 'mtime'), (b'.', 'mode')))


def case_layers():
    base = (Tar().dir('keep').file('keep/a', '1').dir('gone').file('gone/x', 'x').dir('opaque').file('opaque/old', 'o')
            .file('tofile', '').dir('todir').file('todir/in', 'i').link('link', 'keep').file('file', 'f', mode=0o4755)
            .dir('again').file('again/1', '1').dir('deep').dir('deep/er').file('deep/er/f', 'x').hard('hard', 'file'))
    second = (Tar().file('.wh.gone').dir('opaque', mtime=7).file('opaque/.wh..wh..opq').file('opaque/new', 'n')
              .dir('tofile').file('tofile/now', 'a directory').file('todir', 'now a file').file('link', 'no link now')
              .file('.wh.again').file('keep/.wh.a').file('keep/b', '2').file('deep/er/.wh.f'))
    third = (Tar().dir('gone', mode=0o700).file('gone/y', 'back').file('.wh.tofile').dir('todir').file('todir/third', 't')
             .dir('again').file('again/2', '2').file('opaque/.wh.new').file('.wh.absent').file('.wh.hard')
             .dir('deep').file('deep/.wh.er'))
    fourth = Tar().file('tofile', 'a file once more').dir('hard').file('hard/in', 'x').link('deep', '/keep')
    # A directory that a layer only passes through is new in an overlay, as it is for Docker's overlay2;
    # umoci has one tree and leaves the time of the layer below.
    return against_umoci([base.done(), second.done(), third.done(), fourth.done()],
                         ignore=[(b'keep', 'mtime'), (b'deep', 'mtime'), (b'opaque', 'mtime'), (b'deep/er', 'mtime')])


def case_tar():
    with open(sys.argv[4], 'rb') as f:
        head = f.read(4)
    tool = {b'\x1f\x8b': 'gzip', b'\x28\xb5': 'zstd'}.get(head[:2])
    ours, theirs = fresh('ours'), fresh('theirs')
    with open(sys.argv[4], 'rb') as f:
        apply(f, ours)
    with open(sys.argv[4], 'rb') as f:
        subprocess.run(['tar', '-x', *(['--use-compress-program', tool] if tool else []), '-C', theirs, '-p', '--numeric-owner',
                        '--same-owner', '--xattrs', '--xattrs-include=*', '--delay-directory-restore'], stdin=f, check=True)
    a = tree(ours)
    print('compared %d entries' % len(a), file=sys.stderr)
    return same(a, tree(theirs), ((b'.', 'mtime'), (b'.', 'mode')))


# ---- must be refused, with the entry's name ----
def refused(layer, *words):
    ours = fresh('ours')
    try:
        apply(layer, ours)
    except ValueError as e:
        missing = [w for w in words if w not in str(e)]
        if not missing:
            return 0
        print('refused with "%s", which lacks %s' % (e, missing))
        return 1
    print('accepted, expected %s' % (words,))
    return 1


def number(layer, at, raw):
    """The layer's first header with other bytes at `at`, and a right checksum."""
    b = bytearray(layer)
    b[at:at + len(raw)] = raw
    b[148:156] = b' ' * 8
    b[148:156] = b'%06o\0 ' % sum(b[:512])
    return bytes(b)


def base256(value, n):
    return bytes([0x80 if value >= 0 else 0xff]) + (value % (1 << 8 * (n - 1))).to_bytes(n - 1, 'big')


def case_absurd():
    one = Tar(tarfile.GNU_FORMAT).file('victim', 'abc').done()
    bad = 0
    bad += refused(number(one, 108, base256(-1, 8)), 'victim', 'owner')
    bad += refused(number(one, 108, base256(1 << 32, 8)), 'victim', 'owner')
    bad += refused(number(one, 116, base256((1 << 32) - 1, 8)), 'victim', 'owner')
    bad += refused(number(one, 116, base256(1 << 50, 8)), 'victim', 'owner')
    before = Tar().file('before', 'x').done()[:1024]
    bad += refused(before + number(one, 124, base256(-512, 12)), 'entry')
    bad += refused(before + number(one, 124, base256(1 << 62, 12)), 'victim')
    bad += refused(before + number(one, 124, base256((1 << 63) - 1, 12)), 'entry')
    for uid in ('-1', '4294967295', '4294967296', '99999999999999999999'):
        t = Tar()
        info = tarfile.TarInfo('victim')
        info.pax_headers = {'uid': uid}
        t.tar.addfile(info)
        bad += refused(t.done(), 'victim')
    # Times the file system cannot keep are clamped by the kernel; nothing breaks.
    for when in (-1, -(1 << 31), 1 << 33, 1 << 40, 1 << 62):
        ours = fresh('ours')
        apply(number(one, 136, base256(when, 12)), ours)
        st = os.stat(ours + '/victim')
        if st.st_size != 3 or (abs(when) < 1 << 33 and st.st_mtime != when):
            print('time', when, st)
            bad += 1
    for when in ('-1.5', '9223372036854775807', '1e9', '1.9999999999', 'x'):
        t = Tar()
        info = tarfile.TarInfo('victim')
        info.pax_headers = {'mtime': when}
        t.tar.addfile(info)
        try:
            apply(t.done(), fresh('ours'))
        except ValueError as e:
            if 'victim' not in str(e) and 'tar' not in str(e):
                print(when, e)
                bad += 1
    return bad


def case_bombs():
    bad = refused(Tar().file('many', 'x', xattrs={'user.%d' % i: 'v' for i in range(1000)}).done(), 'many', 'attributes')
    bad += refused(Tar().file('big', 'x', xattrs={'user.big': 'v' * 70000}).done(), 'big', 'user.big')
    bad += refused(Tar().file('name', 'x', xattrs={'user.' + 'n' * 300: 'v'}).done(), 'name')
    bad += refused(Tar().file('ov', 'x', xattrs={'trusted.overlay.metacopy': ''}).done(), 'ov', 'trusted.overlay')
    bad += refused(Tar().file('n' * 256, 'x').done(), 'nnnn', 'too long')
    bad += refused(Tar().file('/'.join(['p' * 100] * 41), 'x').done(), 'pppp', 'too long')
    bad += refused(Tar().link('long', 't' * 5000).done(), 'long')
    bad += refused(Tar().file('/'.join(['d'] * 1500), 'x').done(), 'deep')
    bad += refused(Tar().hard('before', 'target').file('target', 'x').done(), 'before', 'target')
    # One header that claims gigabytes: refused or read over, never kept in memory.
    head = tarfile.TarInfo('pax')
    head.type, head.size = tarfile.XHDTYPE, 3 << 30
    bad += refused(head.tobuf(tarfile.USTAR_FORMAT) + b'9' * 100000, 'tar')
    head.type = tarfile.GNUTYPE_LONGNAME
    bad += refused(head.tobuf(tarfile.USTAR_FORMAT) + b'9' * 100000, 'tar')
    return bad


def main():
    os.umask(0o022)
    os.makedirs(SCRATCH, exist_ok=True)
    bad = globals()['case_' + sys.argv[3].replace('-', '_')]()
    sys.exit(1 if bad else 0)


main()
