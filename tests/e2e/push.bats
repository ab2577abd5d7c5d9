# SPDX-License-Identifier: Apache-2.0
# push and the credentials it needs: a real docker-registry (plain, htpasswd), and one of our own with a
# token server and faults. skopeo and a second engine's pull are the judges.
bats_require_minimum_version 1.5.0
load lib.bash
load registry.bash

setup_file() {
	start_engine
	export DOCKER_CONFIG=$HOME_DIR/docker-config HOME=$HOME_DIR/user
	unset REGISTRY_AUTH_FILE XDG_RUNTIME_DIR XDG_CONFIG_HOME
	start_registry "$HOME_DIR/registry"
	PLAIN=$REG PLAIN_PID=$REG_PID
	python3 -W ignore -c "import crypt; print('me:' + crypt.crypt('pw 1:x', '\$2y\$05\$abcdefghijklmnopqrstuu'))" >"$HOME_DIR/htpasswd"
	start_registry "$HOME_DIR/closed" "auth: {htpasswd: {realm: r, path: $HOME_DIR/htpasswd}}"
	CLOSED=$REG CLOSED_PID=$REG_PID
	python3 "$E2E_DIR/push-registry.py" "$HOME_DIR/faults" 3>&- 4>&- &
	FAULTS_PID=$!
	wait_for 10 test -s "$HOME_DIR/faults.port"
	FAULTS=127.0.0.1:$(cat "$HOME_DIR/faults.port")
	export PLAIN PLAIN_PID CLOSED CLOSED_PID FAULTS FAULTS_PID
	c pull -q "$E2E_REGISTRY/layered"
	coracle tag "$E2E_REGISTRY/layered" layered:pulled
	coracle load -q -i "$E2E_TMP/images/layered.tar"
}
teardown_file() {
	kill "$PLAIN_PID" "$CLOSED_PID" "$FAULTS_PID" 2>/dev/null || true
	stop_engine
}
setup() {
	needs docker-registry
	needs skopeo
	rm -f "$DOCKER_CONFIG/config.json"
	: >"$HOME_DIR/faults.log"
}
login_faults() { echo pw | coracle login -u me --password-stdin "$FAULTS" 2>/dev/null; }

raw() { skopeo inspect --raw --tls-verify=false "docker://$1"; }
log_of() { grep -E "$1" "$HOME_DIR/faults.log"; }

@test "push: the manifest arrives byte for byte, a second push uploads nothing" {
	local one=$PLAIN/$E2E_CLIENT/plain:1 digest
	c tag layered:pulled "$one"
	run -0 c push "$one"
	contains "$output" "The push refers to repository [$PLAIN/$E2E_CLIENT/plain]"
	contains "$output" ": Preparing"
	contains "$output" ": Pushed"
	digest=$(curl -s "http://$E2E_REGISTRY/v2/layered/manifests/latest" | sha256sum | cut -d' ' -f1)
	contains "$output" "1: digest: sha256:$digest size: "
	[ "$(raw "$one" | sha256sum | cut -d' ' -f1)" = "$digest" ]
	run -0 c push "$one"
	[ "$(grep -c ': Layer already exists' <<<"$output")" = 4 ]
	lacks "$output" ": Pushed"
	run -0 c push -q "$one"
	[ "$output" = "$one" ]
	skopeo copy -q --src-tls-verify=false "docker://$one" "dir:$BATS_TEST_TMPDIR/copy"
}

@test "push: schema 2 and zstd stay what they are" {
	local t
	# The layer is here as gzip: its zstd form is only in the registry.
	skopeo copy -q --src-tls-verify=false --dest-tls-verify=false "docker://$E2E_REGISTRY/box:zstd" \
		"docker://$PLAIN/$E2E_CLIENT/kept:seed"
	for t in schema2 zstd; do
		c pull -q "$E2E_REGISTRY/box:$t"
		c tag "$E2E_REGISTRY/box:$t" "$PLAIN/$E2E_CLIENT/kept:$t"
		run -0 c push "$PLAIN/$E2E_CLIENT/kept:$t"
		cmp <(curl -s "http://$E2E_REGISTRY/v2/box/manifests/$t") <(raw "$PLAIN/$E2E_CLIENT/kept:$t")
	done
}

@test "push: blobs are mounted from a repository that has them" {
	c tag layered:pulled "$PLAIN/$E2E_CLIENT/from:1"
	c push -q "$PLAIN/$E2E_CLIENT/from:1"
	c tag layered:pulled "$PLAIN/$E2E_CLIENT/to:1"
	run -0 c push "$PLAIN/$E2E_CLIENT/to:1"
	[ "$(grep -c ': Mounted from ' <<<"$output")" = 4 ]
	lacks "$output" ": Pushed"
	skopeo copy -q --src-tls-verify=false "docker://$PLAIN/$E2E_CLIENT/to:1" "dir:$BATS_TEST_TMPDIR/copy"
}

@test "push: plain layers are compressed, the same way each time" {
	local one=$PLAIN/$E2E_CLIENT/packed:1 first
	c tag layered:latest "$one"
	run -0 c push "$one"
	first=$(raw "$one")
	[ "$(jq -r '.layers[].mediaType' <<<"$first" | sort -u)" = application/vnd.oci.image.layer.v1.tar+gzip ]
	skopeo copy -q --src-tls-verify=false "docker://$one" "oci:$BATS_TEST_TMPDIR/copy:1"
	run -0 c push "$one"
	[ "$(grep -c ': Layer already exists' <<<"$output")" = 4 ]
	c tag layered:latest "$FAULTS/$E2E_CLIENT/packed:1"
	login_faults
	run -0 coracle push "$FAULTS/$E2E_CLIENT/packed:1" # packed again, there
	contains "$output" "digest: sha256:$(printf %s "$first" | sha256sum | cut -d' ' -f1)"
	run -0 coracle rmi -f "$one" "$FAULTS/$E2E_CLIENT/packed:1"
	run -0 c pull -q "$one"
	[ "$(coracle image inspect -f '{{.Id}}' "$one")" = "$(coracle image inspect -f '{{.Id}}' layered:latest)" ]
}

@test "push: all tags, and the errors Docker has" {
	c tag layered:pulled "$PLAIN/$E2E_CLIENT/tags:1"
	c tag layered:pulled "$PLAIN/$E2E_CLIENT/tags:2"
	run -0 c push -a "$PLAIN/$E2E_CLIENT/tags"
	contains "$output" "1: digest: sha256:"
	contains "$output" "2: digest: sha256:"
	[ "$(curl -s "http://$PLAIN/v2/$E2E_CLIENT/tags/tags/list" | jq -c '.tags|sort')" = '["1","2"]' ]
	run -1 c push -a "$PLAIN/$E2E_CLIENT/tags:1"
	contains "$output" "tag can't be used with --all-tags/-a"
	run -1 c push "$PLAIN/none:7"
	contains "$output" "An image does not exist locally with the tag: $PLAIN/none"
	run -1 c push --platform linux/s390x "$PLAIN/$E2E_CLIENT/tags:1"
	contains "$output" "does not match the specified platform (linux/s390x)"
	run -1 c push 127.0.0.1:1/none
	c tag layered:pulled 127.0.0.1:1/none
	run -1 c push 127.0.0.1:1/none
	contains "$output" "connection refused"
}

@test "login: htpasswd; push, pull and logout with it" {
	local one=$CLOSED/$E2E_CLIENT/x:1
	c tag layered:pulled "$one"
	run -1 c push "$one"
	contains "$output" "no basic auth credentials"
	run -1 bash -c "source '$E2E_DIR/lib.bash'; echo wrong | c login -u me --password-stdin '$CLOSED'"
	contains "$output" "401 Unauthorized"
	[ ! -e "$DOCKER_CONFIG/config.json" ]
	run -0 bash -c "source '$E2E_DIR/lib.bash'; echo 'pw 1:x' | c login -u me --password-stdin '$CLOSED'"
	contains "$output" "Login Succeeded"
	contains "$output" "WARNING! Your credentials are stored unencrypted in '$DOCKER_CONFIG/config.json'."
	[ "$(stat -c %a "$DOCKER_CONFIG/config.json")" = 600 ]
	run -0 c push "$one"
	contains "$output" "1: digest: sha256:"
	coracle rmi -f "$one"
	run -0 c pull -q "$one"
	skopeo inspect --tls-verify=false --authfile "$DOCKER_CONFIG/config.json" "docker://$one" >/dev/null
	run -0 c logout "$CLOSED"
	[ "$output" = "Removing login credentials for $CLOSED" ]
	run -1 c push "$one"
	contains "$output" "no basic auth credentials"
	run -1 grep -r "pw 1:x" "$HOME_DIR/engine.log" "$DOCKER_CONFIG"
}

@test "login: a credential helper keeps the secret" {
	[ "$E2E_CLIENT" = coracle ] || skip_because "the helper's place is ours to test"
	mkdir -p "$HOME_DIR/bin"
	cat >"$HOME_DIR/bin/docker-credential-e2e" <<-'END'
		#!/bin/sh
		kept=$(dirname "$0")/kept
		case $1 in
		store) cat >"$kept" ;;
		get) grep -q "$(cat)" "$kept" 2>/dev/null && cat "$kept" || { echo credentials not found in native keychain; exit 1; } ;;
		erase) rm -f "$kept" ;;
		esac
	END
	chmod 755 "$HOME_DIR/bin/docker-credential-e2e"
	echo '{"credsStore":"e2e"}' >"$DOCKER_CONFIG/config.json"
	local PATH=$HOME_DIR/bin:$PATH
	echo 'pw 1:x' | coracle login -u me --password-stdin "$CLOSED"
	grep -q 'pw 1:x' "$HOME_DIR/bin/kept"
	lacks "$(cat "$DOCKER_CONFIG/config.json")" auth\"
	coracle tag layered:pulled "$CLOSED/helped:1"
	run -0 coracle push "$CLOSED/helped:1"
	[ "$(DOCKER_CONFIG=$DOCKER_CONFIG docker -H "unix://$SOCK" push -q "$CLOSED/helped:1")" = "$CLOSED/helped:1" ]
	coracle logout "$CLOSED"
	[ ! -e "$HOME_DIR/bin/kept" ]
}

@test "login: a terminal is asked without echo" {
	[ "$E2E_CLIENT" = coracle ] || skip_because "Docker's client asks in its own way"
	needs expect
	run -0 expect -c "set timeout 20; spawn $BIN/coracle login $CLOSED" -c 'expect "Username: "; send "me\r"' \
		-c 'expect "Password: "; send "pw 1:x\r"' -c 'expect "Login Succeeded" {} timeout {exit 3}; expect eof'
	lacks "$output" "pw 1:x"
	run -1 coracle login -u me "$PLAIN" </dev/null
	contains "$output" "Error: Cannot perform an interactive login from a non TTY device"
}

@test "push: tokens for the repository and the sources of mounts" {
	local a=$FAULTS/$E2E_CLIENT/a:1 b=$FAULTS/$E2E_CLIENT/b:1
	c tag layered:pulled "$a"
	run -1 c push "$a"
	contains "$output" "denied"
	run -1 bash -c "source '$E2E_DIR/lib.bash'; echo no | c login -u me --password-stdin '$FAULTS'"
	contains "$output" "unauthorized"
	login_faults
	run -0 c push "$a"
	c tag layered:pulled "$b"
	run -0 c push "$b"
	contains "$output" "Mounted from $E2E_CLIENT/a"
	cmp <(raw "$PLAIN/$E2E_CLIENT/plain:1") <(skopeo inspect --raw --tls-verify=false --creds me:pw "docker://$b")
	c tag layered:pulled "$FAULTS/deny/x:1"
	run -1 c push "$FAULTS/deny/x:1"
	contains "$output" "denied"
}

@test "login: a refresh token is kept instead of the password" {
	local one=$FAULTS/$E2E_CLIENT/identity:1
	run -0 bash -c "source '$E2E_DIR/lib.bash'; echo pw | c login -u id --password-stdin '$FAULTS'"
	contains "$output" "Login Succeeded"
	matches "$(jq -r ".auths[\"$FAULTS\"].identitytoken" "$DOCKER_CONFIG/config.json")" '^refresh[0-9]+\+/=$'
	lacks "$(jq -r ".auths[\"$FAULTS\"].auth // \"\" | @base64d" "$DOCKER_CONFIG/config.json")" pw
	: >"$HOME_DIR/faults.log"
	c tag layered:pulled "$one"
	run -0 c push "$one"
	log_of '^POST /token '
	run -1 log_of '^GET /token'
	coracle rmi -f "$one"
	run -0 c pull -q "$one"
	run -1 grep -E 'refresh[0-9]' "$HOME_DIR/engine.log" "$HOME_DIR/faults.log"
	# A token the server does not know (any more).
	sed -i 's/refresh[0-9]*/refreshgone/' "$DOCKER_CONFIG/config.json"
	run -1 c push "$one"
	contains "$output" "unauthorized"
	lacks "$output" refreshgone
}

@test "login, push, pull: secrets are in no argument list, log, trace or message" {
	local secret=plantedsecret42 one=$CLOSED/$E2E_CLIENT/planted:1 watch
	c tag layered:pulled "$one"
	# Looks at every argument list of the machine until told to stop.
	python3 - "$secret" "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/seen" 3>&- 4>&- <<-'END' &
		import glob, os, sys
		want, looks = sys.argv[1].encode(), 0
		while not os.path.exists(sys.argv[2] + '/stop'):
		    for path in glob.glob('/proc/[0-9]*/cmdline'):
		        try:
		            text = open(path, 'rb').read()
		        except OSError:
		            continue
		        if want in text and str(os.getpid()) != path.split('/')[2]:
		            print(path, text)
		    looks += 1
		    open(sys.argv[2] + '/looks', 'w').write(str(looks))
	END
	watch=$!
	wait_for 10 test -s "$BATS_TEST_TMPDIR/looks"
	export CORACLE_TRACE=1
	run -1 c login -u me --password-stdin "$CLOSED" <<<"$secret"
	lacks "$output" "$secret"
	mkdir -p "$DOCKER_CONFIG"
	printf '{"auths":{"%s":{"auth":"%s"}}}' "$CLOSED" "$(printf 'me:%s' "$secret" | base64 -w0)" >"$DOCKER_CONFIG/config.json"
	run -1 c push "$one"
	lacks "$output" "$secret"
	run -1 c pull "$one"
	lacks "$output" "$secret"
	unset CORACLE_TRACE
	touch "$BATS_TEST_TMPDIR/stop"
	wait "$watch"
	[ "$(cat "$BATS_TEST_TMPDIR/looks")" -ge 2 ]
	[ ! -s "$BATS_TEST_TMPDIR/seen" ]
	run -1 grep -E "$secret|$(printf 'me:%s' "$secret" | base64 -w0)" "$HOME_DIR/engine.log"
}

@test "push: cuts, lost uploads, refusals and expired tokens are survived" {
	login_faults
	local kind
	for kind in cut lost busy small expire nomount; do
		: >"$HOME_DIR/faults.log"
		c tag layered:pulled "$FAULTS/$kind/$E2E_CLIENT:1"
		run -0 c push "$FAULTS/$kind/$E2E_CLIENT:1"
		contains "$output" "1: digest: sha256:"
		case $kind in
		cut) # the rest follows from where the registry was
			contains "$output" "Retrying in"
			log_of '^GET .*uploads'
			log_of '^PATCH .* 100000-'
			;;
		small) [ "$(log_of '^PATCH' | wc -l)" -ge 4 ] ;;
		nomount) contains "$output" ": Pushed" ;;
		esac
		cmp <(raw "$PLAIN/$E2E_CLIENT/plain:1") \
			<(skopeo inspect --raw --tls-verify=false --creds me:pw "docker://$FAULTS/$kind/$E2E_CLIENT:1")
	done
}

@test "push: zstd by choice, also of layers that are gzip" {
	local one=$PLAIN/$E2E_CLIENT/zstd:1
	coracle tag layered:pulled "$one"
	run -0 coracle push --compression zstd --compression-level 9 "$one"
	[ "$(raw "$one" | jq -r '.layers[].mediaType' | sort -u)" = application/vnd.oci.image.layer.v1.tar+zstd ]
	skopeo copy -q --src-tls-verify=false "docker://$one" "oci:$BATS_TEST_TMPDIR/copy:1"
	coracle rmi -f "$one"
	run -0 coracle pull -q "$one"
	[ "$(coracle image inspect -f '{{.Id}}' "$one")" = "$(coracle image inspect -f '{{.Id}}' layered:pulled)" ]
	run -1 coracle push --compression lzma "$one"
	contains "$output" 'invalid compression "lzma" (gzip or zstd)'
	run -1 coracle push --compression gzip --compression-level 12 "$one"
	contains "$output" "invalid compression level 12"
}

@test "search: the catalogue of a registry" {
	local t
	for t in one two; do
		skopeo copy -q --src-tls-verify=false --dest-tls-verify=false "docker://$E2E_REGISTRY/box:gzip" \
			"docker://$PLAIN/$E2E_CLIENT/find-$t:1"
	done
	run -0 c search "$PLAIN/find-"
	contains "${lines[0]}" "NAME"
	contains "${lines[0]}" "OFFICIAL"
	contains "$output" "$PLAIN/$E2E_CLIENT/find-one"
	lacks "$output" "/kept"
	run -0 c search --limit 1 --format '{{.Name}} {{.StarCount}}' "$PLAIN/$E2E_CLIENT/find-"
	[ "$output" = "$PLAIN/$E2E_CLIENT/find-one 0" ]
	run -0 c search -f stars=3 --format '{{.Name}}' "$PLAIN/find-"
	[ -z "$output" ]
	run -1 c search --limit 101 "$PLAIN/x"
	contains "$output" "limit 101 is outside the range of [1, 100]"
	run -1 c search "$CLOSED/x"
	contains "$output" "no basic auth credentials"
}

@test "push -q --all-tags prints the repository" {
	coracle tag layered:pulled "$PLAIN/$E2E_CLIENT/quiet:1"
	coracle tag layered:pulled "$PLAIN/$E2E_CLIENT/quiet:2"
	equals "$(c push -q -a "$PLAIN/$E2E_CLIENT/quiet")" "$PLAIN/$E2E_CLIENT/quiet"
}
