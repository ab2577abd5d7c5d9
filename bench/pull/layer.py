# SPDX-License-Identifier: Apache-2.0
"""An overlayfs upper directory as a layer tar on standard output: 0:0 devices become .wh. files, opaque
directories get .wh..wh..opq, hard links stay links. usage: layer.py DIRECTORY"""
import os
import stat
import sys
import tarfile


def members(top):
    """Yields (path, name in the archive), parents first, in a stable order."""
    for at, dirs, files in os.walk(top):
        dirs.sort()
        rel = os.path.relpath(at, top)
        rel = '' if rel == '.' else rel + '/'
        for name in sorted(dirs + files):
            yield os.path.join(at, name), rel + name


def marker(name):
    info = tarfile.TarInfo(name)
    info.mode = 0o600
    return info


def main(top):
    tar = tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=tarfile.PAX_FORMAT)
    for path, name in members(top):
        st = os.lstat(path)
        head, tail = os.path.split(name)
        if stat.S_ISCHR(st.st_mode) and st.st_rdev == 0:
            tar.addfile(marker(os.path.join(head, '.wh.' + tail)))
            continue
        if stat.S_ISSOCK(st.st_mode):
            continue
        info = tar.gettarinfo(path, name)
        info.uname = info.gname = ''
        for attr in os.listxattr(path, follow_symlinks=False):
            if attr == 'security.capability':
                value = os.getxattr(path, attr, follow_symlinks=False)
                info.pax_headers['SCHILY.xattr.' + attr] = value.decode('utf-8', 'surrogateescape')
        if info.isreg() and info.size:
            with open(path, 'rb') as file:
                tar.addfile(info, file)
        else:
            tar.addfile(info)
        if info.isdir() and 'trusted.overlay.opaque' in os.listxattr(path):
            tar.addfile(marker(name + '/.wh..wh..opq'))
    tar.close()


main(sys.argv[1])
