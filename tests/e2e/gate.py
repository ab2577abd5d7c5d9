#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A gate in front of a registry: gate.py REGISTRY-HOST:PORT PREFIX; its own port is written to PREFIX.port.

Blobs of more than 20 kB stop half-way, in both directions, until PREFIX.open exists; PREFIX.waiting tells that one does.
"""
import http.client
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TARGET, PREFIX = sys.argv[1:]
LARGE = 20000


def wait():
    open(PREFIX + '.waiting', 'w').close()
    end = time.time() + 60
    while not os.path.exists(PREFIX + '.open') and time.time() < end:
        time.sleep(0.02)


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def forward(self):
        length = int(self.headers.get('Content-Length') or 0)
        body = self.rfile.read(length // 2)
        if length > LARGE:
            wait()
        body += self.rfile.read(length - len(body))
        there = http.client.HTTPConnection(TARGET)
        there.request(self.command, self.path, body, dict(self.headers))
        answer = there.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in ('content-length', 'connection', 'transfer-encoding'):
                self.send_header(key, value)
        self.send_header('Content-Length', answer.getheader('Content-Length') or str(len(data)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(data[:len(data) // 2])
            if len(data) > LARGE and '/blobs/' in self.path:
                self.wfile.flush()
                wait()
            self.wfile.write(data[len(data) // 2:])
        there.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward


server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
server.daemon_threads = True
server.handle_error = lambda *args: None
with open(PREFIX + '.port.new', 'w') as f:
    f.write(str(server.server_address[1]))
os.rename(PREFIX + '.port.new', PREFIX + '.port')
server.serve_forever()
