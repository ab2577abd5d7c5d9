# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# make_certs DIR: a CA, a server's certificate for localhost and 127.0.0.1, a client's; and a stranger's.
make_certs() {
	mkdir -p "$1"
	(
		cd "$1" || exit 1
		new_ca() {
			openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$2" \
				-keyout "$1-key.pem" -out "$1.pem" -addext basicConstraints=critical,CA:true
		}
		signed() {
			openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" -keyout "$1-key.pem" -out "$1.csr"
			openssl x509 -req -in "$1.csr" -CA "$3.pem" -CAkey "$3-key.pem" -CAcreateserial -days 2 -out "$1.pem" \
				-extfile <(printf '%s\n' "$4")
		}
		new_ca ca 'test CA' && new_ca other 'another CA' &&
			signed server localhost ca 'subjectAltName=DNS:localhost,IP:127.0.0.1' &&
			signed cert client ca 'extendedKeyUsage=clientAuth' && mv cert-key.pem key.pem &&
			signed stranger stranger other 'extendedKeyUsage=clientAuth'
	) >"$1.log" 2>&1 || {
		cat "$1.log" >&2
		return 1
	}
}
