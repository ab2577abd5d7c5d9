# SPDX-License-Identifier: Apache-2.0
"""A private certificate authority in a folder, by the openssl command, and SSL contexts from it."""
import atexit
import os
import shutil
import ssl
import subprocess
import tempfile


class Authority:
    def __init__(self, name='test authority'):
        self.dir = tempfile.mkdtemp(prefix='ca-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
        atexit.register(shutil.rmtree, self.dir, True)
        self.ca = self.dir + '/ca.crt'
        self.run('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30',
                 '-subj', '/CN=' + name, '-keyout', self.dir + '/ca.key', '-out', self.ca)

    @staticmethod
    def run(*args, **kw):
        return subprocess.run(['openssl', *args], check=True, capture_output=True, **kw).stdout

    def issue(self, name, san='', key='ec', days=20):
        """(certificate, key) files; `san` as openssl writes it: "IP:127.0.0.1,DNS:x"."""
        cert, keyfile, csr, ext = (self.dir + '/' + name + end for end in ('.cert', '.key', '.csr', '.ext'))
        kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] if key == 'ec' else ['-newkey', 'rsa:2048']
        self.run('req', *kind, '-nodes', '-subj', '/CN=' + name, '-keyout', keyfile, '-out', csr)
        with open(ext, 'w') as f:
            f.write('subjectAltName=%s\n' % san if san else 'basicConstraints=CA:FALSE\n')
        self.run('x509', '-req', '-in', csr, '-CA', self.ca, '-CAkey', self.dir + '/ca.key', '-CAcreateserial',
                 '-days', str(days), '-extfile', ext, '-out', cert)
        return cert, keyfile

    def server(self, cert, clients=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*cert)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context

    def text(self, path=None):
        with open(path or self.ca) as f:
            return f.read()
