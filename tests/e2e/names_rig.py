#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""coracle-names without an engine: this program says what an engine would say, asks as clients do, and is the
upstream server. Run it in a network namespace of its own: unshare -n python3 names_rig.py PROGRAM CASE. For other
tests it is an upstream server only: names_rig.py serve ADDRESS LOG."""
import array
import json
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

A, NS, PTR, MX, TXT, AAAA, ANY, AXFR = 1, 2, 12, 15, 16, 28, 255, 252
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)


def name_wire(name):
    return b''.join(bytes([len(p)]) + p.encode() for p in name.split('.') if p) + b'\0'


def query(name, qtype=A, qid=None, edns=None, flags=0x0100, extra=b'', qclass=1):
    """edns: (udp size, version, options)"""
    qid = random.randrange(65536) if qid is None else qid
    opt = b''
    if edns:
        size, version, options = edns
        opt = b'\0' + struct.pack('!HHBBHH', 41, size, 0, version, 0, len(options)) + options
    return (struct.pack('!HHHHHH', qid, flags, 1, 0, 0, 1 if opt else 0) + name_wire(name)
            + struct.pack('!HH', qtype, qclass) + opt + extra)


class Answer:
    def __init__(self, data):
        self.data = data
        self.id, self.flags, qd, an, ns, ar = struct.unpack('!HHHHHH', data[:12])
        self.rcode, self.tc = self.flags & 15, bool(self.flags & 0x200)
        at = 12
        self.question = None
        for _ in range(qd):
            name, at = self.name(at)
            self.question = (name, *struct.unpack('!HH', data[at:at + 4]))
            at += 4
        self.records = []
        self.edns = None
        for section, count in enumerate((an, ns, ar)):
            for _ in range(count):
                name, at = self.name(at)
                kind, klass, ttl, n = struct.unpack('!HHIH', data[at:at + 10])
                rdata, at = data[at + 10:at + 10 + n], at + 10 + n
                if kind == 41:
                    self.edns = (klass, ttl >> 24, ttl >> 16 & 255)
                elif section == 0:
                    self.records.append((name, kind, ttl, rdata if kind != PTR else self.name(at - n)[0]))
        assert at == len(data), (at, len(data))

    def name(self, at):
        parts, end = [], None
        while self.data[at]:
            if self.data[at] >= 0xc0:
                end = end or at + 2
                at = struct.unpack('!H', self.data[at:at + 2])[0] & 0x3fff
                continue
            parts.append(self.data[at + 1:at + 1 + self.data[at]].decode())
            at += 1 + self.data[at]
        return '.'.join(parts), end or at + 1

    def addresses(self):
        return [socket.inet_ntop(socket.AF_INET if k == A else socket.AF_INET6, d)
                for _, k, _, d in self.records if k in (A, AAAA)]


class Upstream:
    """A server on 127.0.0.N:53, UDP and TCP; fn(query bytes, tcp) gives the answers, a list of byte strings."""

    def __init__(self, address, fn):
        self.fn, self.seen, self.ports, self.clients = fn, [], [], []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.udp.bind((address, 53))
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((address, 53))
        self.tcp.listen(16)
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    def serve_udp(self):
        while True:
            data, who = self.udp.recvfrom(65536)
            self.seen.append(data)
            self.ports.append(who[1])
            self.clients.append(who[0])
            for answer in self.fn(data, False):
                self.udp.sendto(answer, who)

    def serve_tcp(self):
        while True:
            conn, who = self.tcp.accept()
            threading.Thread(target=self.serve_conn, args=(conn, who), daemon=True).start()

    def serve_conn(self, conn, who):
        with conn:
            while True:
                try:
                    head = conn.recv(2, socket.MSG_WAITALL)
                except ConnectionResetError:  # it has what it wanted
                    return
                if len(head) < 2:
                    return
                data = conn.recv(struct.unpack('!H', head)[0], socket.MSG_WAITALL)
                self.seen.append(data)
                self.clients.append(who[0])
                for answer in self.fn(data, True):
                    conn.sendall(struct.pack('!H', len(answer)) + answer)


def reply(data, records=(), rcode=0, flags=0x8180, qid=None, question=None):
    """records: (type, rdata)"""
    end = data.index(b'\0', 12) + 5
    q = data[12:end] if question is None else question
    out = struct.pack('!HHHHHH', struct.unpack('!H', data[:2])[0] if qid is None else qid, flags | rcode, 1,
                      len(records), 0, 0) + q
    for kind, rdata in records:
        out += b'\xc0\x0c' + struct.pack('!HHIH', kind, 1, 60, len(rdata)) + rdata
    return out


def address(text):
    return (A, socket.inet_aton(text))


class Rig:
    def __init__(self, program):
        self.program = program
        subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
        self.path = os.path.join(tempfile.mkdtemp(prefix='names-rig-', dir='/dev/shm'), 'names.sock')
        self.listen = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listen.bind(self.path)
        self.listen.listen(4)
        self.process = None
        self.where = {}

    def start(self):
        def child():
            os.dup2(self.listen.fileno(), 3)
        self.process = subprocess.Popen([self.program], pass_fds=(3,), preexec_fn=child, stdin=subprocess.DEVNULL)
        self.connect()

    def connect(self):
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(5)
        self.control.connect(self.path)
        hello = self.event()
        assert hello['event'] == 'hello' and hello['pid'] == self.process.pid, hello

    def event(self):
        data = self.control.recv(65536)
        assert data, 'the name service closed the connection'
        return json.loads(data)

    def say(self, op, fds=(), **more):
        anc = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
        self.control.sendmsg([json.dumps(dict(op=op, **more)).encode()], anc)

    def network(self, name, **endpoints):
        """endpoints: names and addresses, each a list of text"""
        self.say('network', id='id-' + name, name=name)
        for ep, (names, addresses) in endpoints.items():
            self.say('endpoint', network='id-' + name, id=ep, names=names, addresses=addresses)

    def resolver(self, rid='c1', networks=('front',), sockets=True, links=None, address='127.0.0.11', **more):
        fds, keep = [], []
        if sockets:
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind((address, 0))
            tcp = socket.socket()
            tcp.bind((address, 0))
            tcp.listen(16)
            keep = [udp, tcp] + [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)] \
                + [socket.socket() for _ in range(2)]
            for s in keep:
                s.setblocking(False)
            fds = [s.fileno() for s in keep]
            self.where[rid] = (udp.getsockname(), tcp.getsockname())
        nets = [dict(id='id-' + n, **({'links': links} if links else {})) for n in networks]
        self.say('resolver', fds, id=rid, networks=nets, **more)
        for s in keep:
            s.close()

    def udp(self, packet, rid='c1', timeout=5):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(timeout)
            s.connect(self.where[rid][0])
            s.send(packet)
            try:
                return Answer(s.recv(65536))
            except socket.timeout:
                return None

    def ask(self, name, qtype=A, rid='c1', timeout=5, **more):
        packet = query(name, qtype, **more)
        answer = self.udp(packet, rid, timeout)
        if answer:
            assert packet[:2] == answer.data[:2] and answer.flags & 0x8000
        return answer

    def tcp(self, packets, rid='c1'):
        with socket.create_connection(self.where[rid][1], timeout=5) as s:
            for p in packets:
                s.sendall(struct.pack('!H', len(p)) + p)
            out = []
            for _ in packets:
                head = s.recv(2, socket.MSG_WAITALL)
                if len(head) < 2:
                    break
                out.append(Answer(s.recv(struct.unpack('!H', head)[0], socket.MSG_WAITALL)))
            return out

    def done(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
        os.unlink(self.path)
        os.rmdir(os.path.dirname(self.path))


def check(got, want):
    assert got == want, 'got %r, expected %r' % (got, want)


def web(rig, **more):
    """Two networks, three containers; c1 is in front only."""
    rig.start()
    rig.say('sync')
    rig.network('front', e1=(['web', 'www', '0123456789ab'], ['10.1.0.2']), e2=(['Api', 'www'], ['10.1.0.3', 'fd00::3']))
    rig.network('back', e3=(['db'], ['10.2.0.2']))
    rig.resolver(**more)
    rig.say('synced')


# ---- cases ----

def names(rig):
    web(rig)
    for name in 'web', 'WEB', 'wEb.', '0123456789ab', 'web.front', 'WEB.Front':
        a = rig.ask(name)
        check((a.rcode, a.addresses(), a.records[0][2]), (NOERROR, ['10.1.0.2'], 600))
        check(a.question[0], name.strip('.'))  # the client's spelling comes back
    check(rig.ask('api').addresses(), ['10.1.0.3'])
    check(rig.ask('api', AAAA).addresses(), ['fd00::3'])
    for kind in AAAA, MX, TXT, NS:  # known, but has none: not NXDOMAIN
        a = rig.ask('web', kind)
        check((a.rcode, a.records), (NOERROR, []))
    check(rig.ask('web', ANY).addresses(), ['10.1.0.2'])
    check(rig.ask('nobody').rcode, SERVFAIL)  # nobody to ask


def scope(rig):
    web(rig)
    for name in 'db', 'db.back', 'web.back':
        check(rig.ask(name).rcode, SERVFAIL)
    rig.resolver(networks=('front', 'back'), sockets=False)
    check(rig.ask('db').addresses(), ['10.2.0.2'])
    check(rig.ask('db.back').addresses(), ['10.2.0.2'])
    check(rig.ask('db.front').rcode, SERVFAIL)


def changes(rig):
    web(rig)
    rig.say('endpoint', network='id-front', id='e1', names=['renamed'], addresses=['10.1.0.2'])
    check(rig.ask('renamed').addresses(), ['10.1.0.2'])
    check(rig.ask('web').rcode, SERVFAIL)
    check(rig.ask('www').addresses(), ['10.1.0.3'])
    rig.say('endpoint-remove', network='id-front', id='e2')
    check(rig.ask('www').rcode, SERVFAIL)
    rig.say('network-remove', id='id-front')
    check(rig.ask('renamed').rcode, SERVFAIL)


def round_robin(rig):
    web(rig)
    first = {}
    for _ in range(200):
        a = rig.ask('www').addresses()
        check(sorted(a), ['10.1.0.2', '10.1.0.3'])
        first[a[0]] = first.get(a[0], 0) + 1
    assert len(first) == 2 and min(first.values()) > 40, first


def reverse(rig):
    web(rig)
    a = rig.ask('2.0.1.10.in-addr.arpa', PTR)
    check((a.rcode, a.records[0][3]), (NOERROR, 'web.front'))
    nibbles = '.'.join(reversed('fd000000000000000000000000000003'))
    check(rig.ask(nibbles + '.ip6.arpa', PTR).records[0][3].lower(), 'api.front')
    for name in '2.0.2.10.in-addr.arpa', '9.9.9.9.9.in-addr.arpa', '256.0.0.1.in-addr.arpa', 'in-addr.arpa', 'x.ip6.arpa':
        check(rig.ask(name, PTR).rcode, SERVFAIL)


def links(rig):
    web(rig, links={'database': 'web'})
    check(rig.ask('database').addresses(), ['10.1.0.2'])
    rig.resolver('c2')
    check(rig.ask('database', rid='c2').rcode, SERVFAIL)


def host_name(rig):
    web(rig, host=['10.1.0.1', 'fd00::1'])
    check(rig.ask('host.docker.internal').addresses(), ['10.1.0.1'])
    check(rig.ask('host.docker.internal', AAAA).addresses(), ['fd00::1'])
    rig.resolver('c2')
    check(rig.ask('host.docker.internal', rid='c2').rcode, SERVFAIL)


def large(rig):
    rig.start()
    rig.say('sync')
    rig.say('network', id='id-front', name='front')
    for i in range(200):
        rig.say('endpoint', network='id-front', id='e%d' % i, names=['all'], addresses=['10.1.1.%d' % i])
    rig.resolver()
    rig.say('synced')
    a = rig.ask('all')
    assert a.tc and len(a.data) <= 512 and len(a.records) == (512 - 12 - 9) // 16, (a.tc, len(a.data), len(a.records))
    a = rig.ask('all', edns=(1232, 0, b''))
    assert a.tc and 1100 < len(a.data) <= 1232 and a.edns[0] == 1232, (a.tc, len(a.data), a.edns)
    a = rig.ask('all', edns=(4096, 0, b''))
    assert not a.tc and len(a.records) == 200
    a, b = rig.tcp([query('all'), query('all', edns=(512, 0, b''))])
    assert not a.tc and len(a.records) == 200 and a.edns is None
    assert not b.tc and len(b.records) == 200 and b.edns


def edns(rig):
    web(rig)
    a = rig.ask('web', edns=(100, 0, struct.pack('!HH', 65001, 3) + b'xyz'))  # unknown option, silly size
    check((a.rcode, a.addresses(), a.edns[1:]), (NOERROR, ['10.1.0.2'], (0, 0)))
    a = rig.ask('web', edns=(1232, 1, b''))
    check((a.rcode, a.edns[1:], a.records), (0, (1, 0), []))  # BADVERS is 16: 1 in the OPT record
    assert rig.ask('web').edns is None


def garbage(rig):
    web(rig)
    for bad in b'', b'x', b'\0' * 11, query('web', flags=0x8100), os.urandom(5):
        assert rig.udp(bad, timeout=0.05) is None
    check(rig.udp(query('web', flags=0x2800)).rcode, NOTIMP)  # an UPDATE
    two = bytearray(query('web'))
    two[5] = 2
    check(rig.udp(bytes(two)).rcode, FORMERR)
    loop = struct.pack('!HHHHHH', 7, 0x100, 1, 0, 0, 0) + b'\xc0\x0c' + struct.pack('!HH', A, 1)
    check(rig.udp(loop).rcode, FORMERR)
    check(rig.udp(query('web')[:-1]).rcode, FORMERR)
    long = struct.pack('!HHHHHH', 7, 0x100, 1, 0, 0, 0) + (b'\x3f' + b'a' * 63) * 5 + b'\0' + struct.pack('!HH', A, 1)
    check(rig.udp(long).rcode, FORMERR)
    check(rig.ask('web', AXFR).rcode, REFUSED)
    rng = random.Random(4)
    good = query('web', edns=(1232, 0, b''))
    for _ in range(2000):  # whatever comes, the next answer is right
        bad = bytearray(good)
        for _ in range(rng.randrange(1, 5)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(bytes(bad[:rng.randrange(1, len(bad) + 1)]), rig.where['c1'][0])
    for junk in b'\xff\xff', b'\0\0', b'\0\1x', os.urandom(3000):
        with socket.create_connection(rig.where['c1'][1]) as s:
            s.sendall(junk)
    check(rig.ask('web').addresses(), ['10.1.0.2'])
    for junk in b'x', b'{}', b'{"op":"resolver"}', b'{"op":"endpoint","id":"e9"}', b'[' * 1000:
        rig.control.send(junk)
    check(rig.ask('web').addresses(), ['10.1.0.2'])


def forward(rig):
    def serve(data, tcp):
        if b'big' in data and not tcp:
            return [reply(data, flags=0x8380)]
        return [reply(data, [address('192.0.2.7' if not tcp else '192.0.2.8')])]
    up = Upstream('127.0.0.50', serve)
    web(rig, forward=True, servers=['127.0.0.50'])
    a = rig.ask('Example.Org', qid=77)
    check((a.id, a.addresses(), a.question[0]), (77, ['192.0.2.7'], 'Example.Org'))
    check(rig.ask('web').addresses(), ['10.1.0.2'])  # never asked upstream
    assert not any(b'web' in q for q in up.seen)
    check(rig.ask('web', NS).records, [])
    a = rig.ask('big.example.org')
    assert a.tc and not a.records
    check(rig.tcp([query('big.example.org')])[0].addresses(), ['192.0.2.8'])
    check([a.addresses()[0] for a in rig.tcp([query('x%d.example.org' % i) for i in range(40)])], ['192.0.2.8'] * 40)
    before = len(up.seen)
    for i in range(60):
        check(rig.ask('n%d.example.org' % i).addresses(), ['192.0.2.7'])
    ids = [struct.unpack('!H', q[:2])[0] for q in up.seen[before:]]
    ports = up.ports[-60:]
    # 60 random draws: equal ids or ports come in twos at the most, and no pattern of +1
    assert len(set(ids)) > 55 and len(set(ports)) > 50, (len(set(ids)), len(set(ports)))
    assert sum(b - a == 1 for a, b in zip(ids, ids[1:])) < 3
    check(rig.ask('3.2.0.192.in-addr.arpa', PTR).rcode, NOERROR)  # others' addresses are upstream's business
    with_edns = query('e.example.org', edns=(1400, 0, struct.pack('!HH', 65001, 1) + b'x'))
    rig.udp(with_edns)
    check(up.seen[-1][2:], with_edns[2:])


def many_at_once(rig):
    """More queries than upstream sockets: they share, wait, and all are answered."""
    def serve(data, tcp):
        return [reply(data, [address('192.0.2.7')])]
    Upstream('127.0.0.50', serve)
    web(rig, forward=True, servers=['127.0.0.50'])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        s.connect(rig.where['c1'][0])
        s.settimeout(5)
        for i in range(200):
            s.send(query('h%d.example.org' % i, qid=i))
        check(sorted(Answer(s.recv(4096)).id for _ in range(200)), list(range(200)))


def limits(rig):
    """A silent server: so many queries may wait, the next ones are refused at once; TCP connections too."""
    Upstream('127.0.0.50', lambda data, tcp: [])
    web(rig, forward=True, servers=['127.0.0.50'])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        s.connect(rig.where['c1'][0])
        s.settimeout(1)
        for i in range(300):
            s.send(query('h%d.example.org' % i, qid=i))
            if i % 50 == 49:
                rig.ask('web')  # it keeps up: nothing is lost in a full socket
        for i in range(256, 300):
            a = Answer(s.recv(4096))
            check((a.id, a.rcode), (i, SERVFAIL))
    check(rig.ask('web').addresses(), ['10.1.0.2'])  # own names need no place
    conns = [socket.create_connection(rig.where['c1'][1], timeout=5) for _ in range(40)]
    check(rig.tcp([query('web')])[0].addresses(), ['10.1.0.2'])
    closed = 0
    for c in conns:
        c.setblocking(False)
        try:
            closed += c.recv(1) == b''
        except BlockingIOError:
            pass
    assert closed >= 8, closed


def failover(rig):
    dead = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dead.bind(('127.0.0.51', 53))  # takes and says nothing
    refuse = Upstream('127.0.0.52', lambda data, tcp: [reply(data, rcode=REFUSED)])
    good = Upstream('127.0.0.53', lambda data, tcp: [reply(data, [address('192.0.2.7')])])
    nx = Upstream('127.0.0.54', lambda data, tcp: [reply(data, rcode=NXDOMAIN)])
    web(rig, forward=True, servers=['127.0.0.49', '127.0.0.52', '127.0.0.53'])
    check(rig.ask('a.example').addresses(), ['192.0.2.7'])  # closed port, refusal, then the good one
    assert refuse.seen and good.seen
    check(rig.tcp([query('a.example')])[0].addresses(), ['192.0.2.7'])
    rig.resolver('c2', forward=True, servers=['127.0.0.54', '127.0.0.53'])
    check(rig.ask('a.example', rid='c2').rcode, NXDOMAIN)  # that is an answer
    rig.resolver('c3', forward=True, servers=['127.0.0.52'])
    check(rig.ask('a.example', rid='c3').rcode, REFUSED)
    check(len(refuse.seen), 3)
    rig.resolver('c4', forward=True, servers=['127.0.0.51', '127.0.0.53'])
    start = time.monotonic()
    check(rig.ask('a.example', rid='c4').addresses(), ['192.0.2.7'])
    assert time.monotonic() - start > 1
    asked = len(good.seen)
    for i in range(20):  # the silent one is asked last for a while
        check(rig.ask('b%d.example' % i, rid='c4', timeout=1).addresses(), ['192.0.2.7'])
    check(len(good.seen), asked + 20)
    rig.resolver('c5', forward=True, servers=['127.0.0.51'])
    check(rig.ask('a.example', rid='c5', timeout=9).rcode, SERVFAIL)
    del nx


def hostile_upstream(rig):
    """Wrong ids, other questions, loops, halves, other ports: only the right answer comes through."""
    def serve(data, tcp):
        qid = struct.unpack('!H', data[:2])[0]
        end = data.index(b'\0', 12) + 5
        loop = reply(data, qid=qid)[:end] + b'\xc0' + bytes([end]) + struct.pack('!HHIH', A, 1, 60, 4) + b'evil'
        loop = loop[:7] + b'\1' + loop[8:]
        spoof = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        spoof.bind(('127.0.0.50', 0))
        if up.ports:
            spoof.sendto(reply(data, [address('6.6.6.6')]), ('127.0.0.1', up.ports[-1]))
        spoof.close()
        wrong = [b'', b'\0', os.urandom(400), data, reply(data, [address('6.6.6.1')], qid=qid ^ 1),
                 reply(data, [address('6.6.6.2')], question=name_wire('evil.org') + struct.pack('!HH', A, 1)),
                 reply(data, [address('6.6.6.3')], flags=0x0180), loop, reply(data, [address('6.6.6.4')])[:-2]]
        if tcp:
            return wrong[4:5] if b'bad' in data else [reply(data, [address('192.0.2.7')])]
        return wrong + [reply(data, [address('192.0.2.7')])]
    up = Upstream('127.0.0.50', serve)
    web(rig, forward=True, servers=['127.0.0.50'])
    for i in range(20):
        check(rig.ask('n%d.example.org' % i).addresses(), ['192.0.2.7'])
    check(rig.tcp([query('good.example.org')])[0].addresses(), ['192.0.2.7'])
    check(rig.tcp([query('bad.example.org')])[0].rcode, SERVFAIL)
    # larger than the client takes: cut, and TCP has it all
    big = [address('192.0.2.%d' % i) for i in range(100)]
    up.fn = lambda data, tcp: [reply(data, big)]
    a = rig.ask('large.example.org')
    assert a.tc and len(a.data) <= 512
    check(len(rig.tcp([query('large.example.org')])[0].records), 100)


def internal(rig):
    up = Upstream('127.0.0.50', lambda data, tcp: [reply(data, [address('192.0.2.7')])])
    web(rig, forward=False, servers=['127.0.0.50'])
    check(rig.ask('example.org').rcode, SERVFAIL)
    check(rig.ask('web').addresses(), ['10.1.0.2'])
    check(up.seen, [])


def ndots(rig):
    up = Upstream('127.0.0.50', lambda data, tcp: [reply(data, [address('192.0.2.7')])])
    web(rig, forward=True, ndots=True, servers=['127.0.0.50'])
    a = rig.ask('short')
    check((a.rcode, a.records, up.seen), (NOERROR, [], []))
    check(rig.ask('a.example').addresses(), ['192.0.2.7'])
    check(rig.ask('web').addresses(), ['10.1.0.2'])


def host_servers(rig):
    """"host:" servers are asked from the service's own namespace, with sockets it opens itself."""
    Upstream('127.0.0.50', lambda data, tcp: [reply(data, [address('192.0.2.7')])])
    web(rig, forward=True, servers=['host:127.0.0.50'])
    check(rig.ask('a.example').addresses(), ['192.0.2.7'])
    check(rig.tcp([query('a.example')])[0].addresses(), ['192.0.2.7'])
    before = len(os.listdir('/proc/%d/fd' % rig.process.pid))
    for i in range(50):
        rig.ask('n%d.example' % i)
    check(len(os.listdir('/proc/%d/fd' % rig.process.pid)), before)


def survives(rig):
    """The engine goes and comes: names answer all the time, and a sync forgets what is gone."""
    web(rig)
    rig.control.close()
    check(rig.ask('web').addresses(), ['10.1.0.2'])
    rig.connect()
    rig.say('sync')
    check(rig.ask('web').addresses(), ['10.1.0.2'])
    rig.network('front', e1=(['web'], ['10.1.0.2']))
    rig.resolver(sockets=False)
    rig.resolver('c7', sockets=False)
    rig.say('synced')
    check(rig.event(), {'event': 'need', 'id': 'c7'})
    check(rig.ask('web').addresses(), ['10.1.0.2'])
    check(rig.ask('api').rcode, SERVFAIL)
    old = rig.control
    rig.connect()  # the newest engine wins
    check(old.recv(1), b'')
    rig.say('sync')
    rig.say('synced')
    try:
        check(rig.ask('web', timeout=0.2), None)
    except ConnectionRefusedError:
        pass
    rig.say('quit')
    check(rig.process.wait(5), 0)


def confined(rig):
    web(rig)
    rig.ask('web')
    status = open('/proc/%d/status' % rig.process.pid).read()
    fields = dict(line.split(':\t') for line in status.splitlines() if ':\t' in line)
    check((fields['CapEff'], fields['CapPrm'], fields['CapBnd']), ('0' * 16,) * 3)
    check((fields['NoNewPrivs'], fields['Seccomp'], fields['Threads']), ('1', '2', '1'))


def tools(rig):
    """Clients that are not ours."""
    web(rig)
    host, port = rig.where['c1'][0]
    out = subprocess.run(['drill', '-p', str(port), 'www', '@' + host], capture_output=True, text=True, check=True)
    assert 'rcode: NOERROR' in out.stdout and 'ANSWER: 2' in out.stdout and '10.1.0.3' in out.stdout, out.stdout
    out = subprocess.run(['drill', '-t', '-p', str(rig.where['c1'][1][1]), '-x', '10.1.0.2', '@' + host],
                         capture_output=True, text=True, check=True)
    assert 'web.front.' in out.stdout, out.stdout


def unused(rig):
    """Nobody needs it: it leaves by itself."""
    rig.start()
    rig.control.close()
    check(rig.process.wait(20), 0)


def serve(where, log):
    """A server for engines' tests: *.test exists; what is asked, and from where, goes to the log."""
    def answer(data, tcp):
        name = Answer(data[:10] + b'\0\0' + data[12:data.index(b'\0', 12) + 5]).question[0].lower()
        if not name.endswith(('.test', '.arpa')) and name != 'four.corp.example':
            return [reply(data, rcode=NXDOMAIN)]
        if name.startswith('silent'):
            return []
        if name.startswith('big') and not tcp:
            return [reply(data, flags=0x8380)]
        return [reply(data, [address('192.0.2.8' if tcp else '192.0.2.7')])]
    up = Upstream(where, answer)
    with open(log, 'w') as out:
        said = 0
        print('ready', file=out, flush=True)
        while True:
            for i in range(said, len(up.clients)):
                print(up.clients[i], Answer(up.seen[i][:10] + b'\0\0' + up.seen[i][12:up.seen[i].index(b'\0', 12) + 5])
                      .question[0], file=out, flush=True)
                said += 1
            time.sleep(0.01)


if __name__ == '__main__' and sys.argv[1] == 'serve':
    serve(sys.argv[2], sys.argv[3])
elif __name__ == '__main__':
    the_rig = Rig(sys.argv[1])
    try:
        globals()[sys.argv[2]](the_rig)
        assert not the_rig.process or the_rig.process.poll() in (None, 0), 'the program ended: %s' % the_rig.process.poll()
    finally:
        the_rig.done()
