#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server and a client for tests of networks.

nettool.py serve [tcp:PORT] [udp:PORT] [sctp:PORT] ...   answers with the client's address; prints "ready"
nettool.py get HOST PORT [udp|sctp]   prints the answer, or refused, timeout, unreachable
"""
import os
import socket
import struct
import sys
import threading

TIMEOUT = float(os.environ.get('NETTOOL_TIMEOUT', '1'))


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def sctp(source, dest, tag, chunk):
    """A packet of one chunk, with its checksum."""
    head = struct.pack('!HHI', source, dest, tag)
    return head + struct.pack('<I', crc32c(head + bytes(4) + chunk)) + chunk


def init(kind, tag):
    return struct.pack('!BBHIIHHI', kind, 0, 20, tag, 65536, 1, 1, 1)


def serve_tcp(port, listening):
    s = socket.socket(socket.AF_INET6)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(('::', port))
    s.listen(64)
    listening.release()
    while True:
        c, peer = s.accept()
        c.sendall(peer[0].replace('::ffff:', '').encode())
        c.close()


def serve_udp(port, listening):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(('::', port))
    listening.release()
    while True:
        _, peer = s.recvfrom(100)
        s.sendto(peer[0].replace('::ffff:', '').encode(), peer)


def serve_sctp(port, listening):
    """The kernel may have no SCTP: the answer to an INIT, by hand."""
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_SCTP)
    listening.release()
    while True:
        packet, peer = s.recvfrom(2000)
        data = packet[(packet[0] & 15) * 4:]
        source, dest = struct.unpack('!HH', data[:4])
        if dest == port and data[12] == 1:
            tag = struct.unpack('!I', data[16:20])[0]
            s.sendto(sctp(port, source, tag, init(2, 7)), peer)


def get(host, port, kind):
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    if kind == 'sctp':
        s = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_SCTP)
        s.settimeout(TIMEOUT)
        s.connect((host, 0))
        s.send(sctp(4711, port, 0, init(1, 9)))
        while True:
            packet = s.recv(2000)
            data = packet[(packet[0] & 15) * 4:]
            if struct.unpack('!HH', data[:4]) == (port, 4711) and data[12] == 2:
                return 'init-ack'
    s = socket.socket(family, socket.SOCK_DGRAM if kind == 'udp' else socket.SOCK_STREAM)
    s.settimeout(TIMEOUT)
    s.connect((host, port))
    if kind == 'udp':
        s.send(b'?')
    return s.recv(100).decode()


def main():
    if sys.argv[1] == 'serve':
        listening = threading.Semaphore(0)
        for what in sys.argv[2:]:
            kind, port = what.split(':')
            threading.Thread(target=globals()['serve_' + kind], args=(int(port), listening), daemon=True).start()
        for _ in sys.argv[2:]:
            listening.acquire()
        print('ready', flush=True)
        threading.Event().wait()
        return
    try:
        print(get(sys.argv[2], int(sys.argv[3]), (sys.argv[4:] or ['tcp'])[0]))
    except ConnectionRefusedError:
        print('refused')
    except socket.timeout:
        print('timeout')
    except OSError as e:
        print('unreachable' if e.errno in (101, 113, 13, 1) else e.strerror)


main()
