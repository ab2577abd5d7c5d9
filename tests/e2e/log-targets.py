#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Judges of the log drivers: syslog and journal receivers, and an independent reader of "local" files.

log-targets.py udp|tcp PORT OUT      log-targets.py unix|unixgram PATH OUT
log-targets.py tls PORT OUT CERTS   (folder of ca, server, server-key.pem; asks the client for its certificate)
log-targets.py journal PATH OUT      (fields as JSON lines)
log-targets.py local FILE...         (records as JSON lines; exit status 1 on anything malformed)
"""
import array
import gzip
import json
import os
import socket
import ssl
import struct
import sys


def varint(b, i):
    value = shift = 0
    while True:
        value |= (b[i] & 0x7F) << shift
        shift += 7
        i += 1
        if not b[i - 1] & 0x80:
            return value, i


def message(b):
    fields, i = {}, 0
    while i < len(b):
        key, i = varint(b, i)
        if key & 7 == 0:
            fields[key >> 3], i = varint(b, i)
        elif key & 7 == 2:
            n, i = varint(b, i)
            assert i + n <= len(b), "field past its message"
            fields[key >> 3], i = b[i : i + n], i + n
        else:
            raise ValueError("wire type")
    return fields


def local(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
        data = f.read()
    i = 0
    while i < len(data):
        (n,) = struct.unpack(">I", data[i : i + 4])
        (again,) = struct.unpack(">I", data[i + 4 + n : i + 8 + n])
        assert n == again, f"{path}: lengths differ at {i}"
        m = message(data[i + 4 : i + 4 + n])
        out = {"source": m[1].decode(), "time": m[2], "line": m.get(3, b"").decode("utf-8", "replace"), "partial": bool(m.get(4))}
        if 5 in m:
            p = message(m[5])
            out.update(last=bool(p.get(1)), id=p[2].decode(), ordinal=p[3])
        print(json.dumps(out))
        i += n + 8


def journal_fields(data):
    fields, i = {}, 0
    while i < len(data):
        end = data.index(b"\n", i)
        line = data[i:end]
        i = end + 1
        if b"=" in line:
            name, value = line.split(b"=", 1)
        else:
            (n,) = struct.unpack("<Q", data[i : i + 8])
            name, value = line, data[i + 8 : i + 8 + n]
            assert data[i + 8 + n : i + 9 + n] == b"\n"
            i += n + 9
        fields[name.decode()] = value.decode("utf-8", "replace")
    return fields


def journal(sock, out):
    while True:
        data, control, _, _ = sock.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        for _, kind, raw in control:
            if kind == socket.SCM_RIGHTS:
                fds = array.array("i", raw[:4])
                data = os.pread(fds[0], os.fstat(fds[0]).st_size, 0)
                os.close(fds[0])
        out.write(json.dumps(journal_fields(data)).encode() + b"\n")


def main():
    kind, where = sys.argv[1:3]
    if kind == "local":
        for path in sys.argv[2:]:
            local(path)
        return
    out = open(sys.argv[3], "ab", 0)
    inet = kind in ("udp", "tcp", "tls")
    stream = kind in ("tcp", "tls", "unix")
    sock = socket.socket(socket.AF_INET if inet else socket.AF_UNIX, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if not inet and os.path.exists(where):
        os.unlink(where)
    sock.bind(("127.0.0.1", int(where)) if inet else where)
    if stream:
        sock.listen(8)
    if kind == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[4] + "/server.pem", sys.argv[4] + "/server-key.pem")
        context.load_verify_locations(sys.argv[4] + "/ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    open(sys.argv[3] + ".ready", "w").close()
    if kind == "journal":
        journal(sock, out)
    while True:
        if not stream:
            out.write(sock.recv(1 << 20))
            continue
        conn, _ = sock.accept()
        if kind == "tls":
            try:
                conn = context.wrap_socket(conn, server_side=True)
            except OSError:
                continue
        while data := conn.recv(65536):
            out.write(data)
        conn.close()


main()
