# SPDX-License-Identifier: Apache-2.0
# The signature policy: what it refuses is refused before any layer is fetched.
bats_require_minimum_version 1.5.0
load lib.bash
load registry.bash

setup_file() {
	start_engine
	start_registry "$HOME_DIR/registry"
	KEYS=$HOME_DIR/keys
	export KEYS
	mkdir -p "$KEYS" "$HOME_DIR/etc"
	for k in good other; do
		openssl ecparam -name prime256v1 -genkey -noout -out "$KEYS/$k.pem"
		openssl pkey -in "$KEYS/$k.pem" -pubout -out "$KEYS/$k.pub"
	done
	openssl genpkey -algorithm ed25519 -out "$KEYS/ed.pem"
	openssl pkey -in "$KEYS/ed.pem" -pubout -out "$KEYS/ed.pub"
	artifacts images "$REG"
	(exec python3 "$E2E_DIR/artifacts.py" serve "$HOME_DIR/port" "$KEYS/good.pem" 3>&- 4>&-) &
	echo $! >"$HOME_DIR/serve.pid"
	wait_for 10 test -s "$HOME_DIR/port"
}
teardown_file() {
	kill "$(cat "$HOME_DIR/serve.pid")"
	stop_registry
	stop_engine
}
setup() {
	needs docker-registry
	needs skopeo
	POLICY=$HOME_DIR/etc/policy.json
	rm -f "$POLICY"
}
teardown() { rm -f "$HOME_DIR/etc/policy.json"; }

artifacts() { python3 "$E2E_DIR/artifacts.py" "$@"; }
# A repository of its own with one image: copy NAME
copy() { skopeo copy -q --src-tls-verify=false --dest-tls-verify=false "docker://$REG/a/m:amd64-oci" "docker://$REG/$1:1"; }
# The policy: nothing but what `scopes` (JSON members of transports.docker) allow.
only() { echo "{\"default\":[{\"type\":\"reject\"}],\"transports\":{\"docker\":{$1}}}" >"$POLICY"; }
# signed SCOPE [KEY-FILE] [MORE-MEMBERS]
signed() { only "\"$1\":[{\"type\":\"sigstoreSigned\",\"keyPath\":\"$KEYS/${2:-good}.pub\"${3:+,$3}}]"; }
refused() {
	run c pull "$1"
	[ "$status" -ne 0 ]
	contains "$output" "Source image rejected: $2"
	lacks "$output" "Pulling fs layer"
	said=$output
	run ! c image inspect "$1"
}
allowed() {
	run -0 c pull "$1"
	c rmi -f "$1" >/dev/null
}

@test "policy: reject, accept, and which scope counts" {
	allowed "$REG/a/m:amd64-oci"
	only ''
	refused "$REG/a/m:amd64-oci" "Running image docker://$REG/a/m:amd64-oci is rejected by policy."
	only "\"$REG/a\":[{\"type\":\"insecureAcceptAnything\"}]"
	allowed "$REG/a/m:amd64-oci"
	only "\"$REG/a\":[{\"type\":\"insecureAcceptAnything\"}],\"$REG/a/m:amd64-oci\":[{\"type\":\"reject\"}]"
	refused "$REG/a/m:amd64-oci" "Running image"
	allowed "$REG/a/m:amd64-docker"
	only '"":[{"type":"insecureAcceptAnything"}]'
	allowed "$REG/a/m:amd64-oci"
	no_leaks
}

@test "policy: a signature under cosign's tag, and what is wrong about others" {
	copy tag/m
	signed "$REG/tag"
	refused "$REG/tag/m:1" "A signature was required, but no signature exists"
	artifacts sign "$REG" tag/m 1 "$KEYS/good.pem"
	allowed "$REG/tag/m:1"
	signed "$REG/tag" other
	refused "$REG/tag/m:1" "cryptographic signature verification failed"
	artifacts sign "$REG" tag/m 1 "$KEYS/good.pem" flip=1
	signed "$REG/tag"
	refused "$REG/tag/m:1" "cryptographic signature verification failed"
	artifacts sign "$REG" tag/m 1 "$KEYS/good.pem" "digest=sha256:$(printf '%064d' 7)"
	refused "$REG/tag/m:1" "Signature for digest sha256:0000"
	artifacts sign "$REG" tag/m 1 "$KEYS/good.pem" "reference=$REG/tag/other:1"
	refused "$REG/tag/m:1" "Signature for identity \"$REG/tag/other:1\" is not accepted"
	artifacts sign "$REG" tag/m 1 "$KEYS/good.pem" type=other
	refused "$REG/tag/m:1" 'signature payload of unknown type "other"'
	artifacts sign "$REG" tag/m 1 "$KEYS/good.pem" raw='{"critical":'
	refused "$REG/tag/m:1" "signature payload"
	artifacts sign "$REG" tag/m 1 "$KEYS/good.pem" 'annotation=not base64!'
	refused "$REG/tag/m:1" "the signature is not base64"
	no_leaks
}

@test "policy: absurd sizes are refused, not read" {
	copy absurd/m
	signed "$REG/absurd"
	artifacts sign "$REG" absurd/m 1 "$KEYS/good.pem" pad=300000
	refused "$REG/absurd/m:1" "signature payload sha256:"
	artifacts sign "$REG" absurd/m 1 "$KEYS/good.pem" claim=3
	refused "$REG/absurd/m:1" "signature sha256:"
	artifacts sign "$REG" absurd/m 1 "$KEYS/good.pem" claim=9999999999999
	refused "$REG/absurd/m:1" "signature payload sha256:"
	contains "$said" "of 9999999999999 bytes, at most 262144 are accepted"
	artifacts sign "$REG" absurd/m 1 "$KEYS/good.pem" "annotation=$(head -c 6000 /dev/zero | tr '\0' A)"
	refused "$REG/absurd/m:1" "the signature is longer than 4096 bytes"
	artifacts sign "$REG" absurd/m 1 "$KEYS/good.pem" count=130
	refused "$REG/absurd/m:1" "None of the signatures were accepted, reasons: Signature for digest"
	artifacts sign "$REG" absurd/m 1 "$KEYS/good.pem" huge=1000000 count=3
	allowed "$REG/absurd/m:1"
	no_leaks
}

@test "policy: signatures among the referrers, by fallback tag and by API" {
	copy ref/m
	signed "$REG/ref"
	artifacts sign "$REG" ref/m 1 "$KEYS/good.pem" where=referrers "reference=$REG/ref/wrong:1"
	refused "$REG/ref/m:1" "Signature for identity"
	artifacts sign "$REG" ref/m 1 "$KEYS/good.pem" where=referrers
	allowed "$REG/ref/m:1"
	api=127.0.0.1:$(cat "$HOME_DIR/port")
	signed "$api"
	refused "$api/box:plain" "A signature was required, but no signature exists"
	allowed "$api/box:signed"
	signed "$api" other
	refused "$api/box:signed" "cryptographic signature verification failed"
	no_leaks
}

@test "policy: Ed25519, several keys, keys as data" {
	copy ed/m
	artifacts sign "$REG" ed/m 1 "$KEYS/ed.pem"
	signed "$REG/ed" ed
	allowed "$REG/ed/m:1"
	signed "$REG/ed"
	refused "$REG/ed/m:1" "cryptographic"
	only "\"$REG/ed\":[{\"type\":\"sigstoreSigned\",\"keyPaths\":[\"$KEYS/good.pub\",\"$KEYS/ed.pub\"]}]"
	allowed "$REG/ed/m:1"
	only "\"$REG/ed\":[{\"type\":\"sigstoreSigned\",\"keyData\":\"$(base64 -w0 "$KEYS/ed.pub")\"}]"
	allowed "$REG/ed/m:1"
	# Every requirement of a list must be met.
	one="{\"type\":\"sigstoreSigned\",\"keyPath\":\"$KEYS/ed.pub\"}"
	only "\"$REG/ed\":[$one,{\"type\":\"sigstoreSigned\",\"keyPath\":\"$KEYS/good.pub\"}]"
	refused "$REG/ed/m:1" "cryptographic"
}

@test "policy: identities" {
	copy id/m
	digest=$(artifacts sign "$REG" id/m 1 "$KEYS/good.pem" "reference=$REG/id/m")
	signed "$REG/id"
	refused "$REG/id/m:1" "Signature for identity \"$REG/id/m\" is not accepted"
	allowed "$REG/id/m@$digest"
	signed "$REG/id" good '"signedIdentity":{"type":"matchExact"}'
	refused "$REG/id/m@$digest" "Signature for identity"
	signed "$REG/id" good '"signedIdentity":{"type":"matchRepository"}'
	allowed "$REG/id/m:1"
	artifacts sign "$REG" id/m 1 "$KEYS/good.pem" reference=registry.example/upstream/m:1
	refused "$REG/id/m:1" "Signature for identity"
	signed "$REG/id" good '"signedIdentity":{"type":"exactRepository","dockerRepository":"registry.example/upstream/m"}'
	allowed "$REG/id/m:1"
	signed "$REG/id" good '"signedIdentity":{"type":"exactReference","dockerReference":"registry.example/upstream/m:2"}'
	refused "$REG/id/m:1" "Signature for identity"
	signed "$REG/id" good "\"signedIdentity\":{\"type\":\"remapIdentity\",\"prefix\":\"$REG/id\",\"signedPrefix\":\"registry.example/upstream\"}"
	allowed "$REG/id/m:1"
}

@test "policy: an index, signed itself or by the chosen member" {
	coracle manifest create "$REG/idx/m:1" "$REG/a/m:amd64-oci" "$REG/a/m:arm64-oci"
	coracle manifest push -p "$REG/idx/m:1"
	signed "$REG/idx"
	refused "$REG/idx/m:1" "A signature was required"
	artifacts sign "$REG" idx/m 1 "$KEYS/good.pem" member=1
	refused "$REG/idx/m:1" "A signature was required"
	artifacts sign "$REG" idx/m 1 "$KEYS/good.pem" member=0
	allowed "$REG/idx/m:1"
	skopeo delete --tls-verify=false "docker://$REG/idx/m:$(artifacts sign "$REG" idx/m 1 "$KEYS/good.pem" member=0 | tr : -).sig"
	artifacts sign "$REG" idx/m 1 "$KEYS/good.pem"
	allowed "$REG/idx/m:1"
}

@test "policy: what is not valid refuses everything and says where it is wrong" {
	bad() {
		printf '%s' "$1" >"$POLICY"
		refused "$REG/a/m:amd64-oci" "policy $POLICY: $2"
	}
	bad '' ''
	bad '{"default":[]}' 'default: expected a list of at least one requirement'
	bad '{"transports":{}}' '"default" is missing'
	bad '{"default":[{"type":"insecureAcceptAnything"}],"more":1}' 'unknown member "more"'
	bad '{"default":[{"type":"insecureAcceptAnything","keyPath":"x"}]}' 'default: requirement 0: requirement insecureAcceptAnything takes no other members'
	bad '{"default":[{"type":"nothing"}]}' 'default: requirement 0: unknown type "nothing"'
	bad '{"default":[{"type":"sigstoreSigned"}]}' 'default: requirement 0: sigstoreSigned needs exactly one of'
	signed "$REG" none
	refused "$REG/a/m:amd64-oci" "key $KEYS/none.pub: No such file"
	echo garbage >"$KEYS/garbage.pub"
	signed "$REG" garbage
	refused "$REG/a/m:amd64-oci" "key $KEYS/garbage.pub is not a public key in PEM form"
	openssl genrsa -out "$KEYS/rsa.pem" 2048 2>/dev/null
	openssl pkey -in "$KEYS/rsa.pem" -pubout -out "$KEYS/rsa.pub"
	signed "$REG" rsa
	refused "$REG/a/m:amd64-oci" "key $KEYS/rsa.pub is neither an ECDSA key"
	only "\"$REG\":[{\"type\":\"signedBy\",\"keyType\":\"GPGKeys\",\"keyPath\":\"/x\"}]"
	refused "$REG/a/m:amd64-oci" "the policy asks for signedBy in a form that is not supported"
}
