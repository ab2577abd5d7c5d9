# SPDX-License-Identifier: Apache-2.0
# Manifest lists against a real docker-registry; Docker's own client and skopeo are the judges.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash
load registry.bash

setup_file() {
	start_engine
	start_registry "$HOME_DIR/registry"
	python3 "$E2E_DIR/artifacts.py" images "$REG"
}
teardown_file() {
	stop_registry
	stop_engine
}
setup() {
	needs docker-registry
	needs skopeo
}

raw() { skopeo inspect --raw --tls-verify=false "docker://$REG/$1"; }
# Every command of one session, as either client says it; failures belong to it.
session() {
	set +e
	local list=$REG/$1:1 t
	shift
	"$@" manifest inspect --insecure "$REG/a/m:amd64-oci"
	"$@" manifest inspect --insecure -v "$REG/a/m:amd64-docker"
	for t in '' '' --amend; do
		"$@" manifest create --insecure $t "$list" "$REG/a/m:amd64-docker" "$REG/a/m:arm64-docker"
		echo "code $?"
	done
	"$@" manifest annotate "$list" "$REG/a/m:arm64-docker" --variant v8 --os-version 10 --os-features b,a
	"$@" manifest annotate "$list" "$REG/a/m:none" --variant v8; echo "code $?"
	"$@" manifest annotate "$list" "$REG/a/m:arm64-docker" --os linux --arch foo; echo "code $?"
	"$@" manifest inspect --insecure "$list"
	"$@" manifest inspect --insecure -v "$list"
	"$@" manifest inspect --insecure "$list" "$REG/a/m:arm64-docker"
	"$@" manifest inspect --insecure -v "$list" "$REG/a/m:arm64-docker"
	"$@" manifest push --insecure -p "$list"; echo "code $?"
	"$@" manifest rm "$list"; echo "code $?"
	"$@" manifest inspect --insecure "$list"
	"$@" manifest inspect --insecure -v "$list"
	"$@" manifest create --insecure "$list" "$list"; echo "code $?"
	"$@" manifest inspect --insecure "$REG/a/m:none"; echo "code $?"
}
dockers() { DOCKER_CONFIG="$HOME_DIR/docker-config" docker "$@"; }

@test "manifest: every command says byte for byte what Docker's client says" {
	needs docker
	(session one/list dockers) >"$BATS_TEST_TMPDIR/docker" 2>&1 || true
	(session two/list coracle) 2>&1 | sed 's,/two/list,/one/list,' >"$BATS_TEST_TMPDIR/coracle"
	run -0 diff "$BATS_TEST_TMPDIR/docker" "$BATS_TEST_TMPDIR/coracle"
	equals "$(raw one/list:1 | sha256sum)" "$(raw two/list:1 | sha256sum)"
}

@test "manifest push: an OCI index when all members are OCI, else Docker's list" {
	coracle manifest create "$REG/kind/m:oci" "$REG/a/m:amd64-oci" "$REG/a/m:arm64-oci"
	coracle manifest create "$REG/kind/m:mixed" "$REG/a/m:amd64-oci" "$REG/a/m:arm64-docker"
	run -0 coracle manifest push "$REG/kind/m:oci"
	equals "${lines[-1]}" "sha256:$(raw kind/m:oci | sha256sum | cut -d' ' -f1)"
	coracle manifest push "$REG/kind/m:mixed"
	equals "$(raw kind/m:oci | jq -r .mediaType)" application/vnd.oci.image.index.v1+json
	equals "$(raw kind/m:mixed | jq -r .mediaType)" application/vnd.docker.distribution.manifest.list.v2+json
	equals "$(raw kind/m:mixed | jq -r '[.manifests[].platform.architecture] | join(" ")')" "amd64 arm64"
}

@test "manifest push: a pushed list is whole, for skopeo copy --all and for pull" {
	coracle manifest create "$REG/whole/m:1" "$REG/a/m:amd64-oci" "$REG/a/m:arm64-oci"
	coracle manifest annotate "$REG/whole/m:1" "$REG/a/m:arm64-oci" --variant v8
	coracle manifest push --purge "$REG/whole/m:1"
	skopeo copy -q --all --src-tls-verify=false "docker://$REG/whole/m:1" "oci:$BATS_TEST_TMPDIR/layout:1"
	equals "$(ls "$BATS_TEST_TMPDIR/layout/blobs/sha256" | wc -l)" 7
	coracle pull -q --platform linux/arm64 "$REG/whole/m:1"
	run -0 coracle image inspect --format '{{.Architecture}}' "$REG/whole/m:1"
	equals "$output" arm64
	no_leaks
}

@test "manifest: a list survives the engine" {
	coracle manifest create "$REG/kept/m:1" "$REG/a/m:amd64-oci"
	before=$(coracle manifest inspect -v "$REG/kept/m:1")
	kill -KILL "$(engine_pid)"
	run_engine
	equals "$(coracle manifest inspect -v "$REG/kept/m:1")" "$before"
	coracle manifest rm "$REG/kept/m:1"
	run ! coracle manifest inspect "$REG/kept/m:1"
}

@test "manifest create: nothing is kept when a member is missing or wrong" {
	run coracle manifest create "$REG/half/m:1" "$REG/a/m:amd64-oci" "$REG/a/m:none"
	code 1
	equals "$output" "no such manifest: $REG/a/m:none"
	run coracle manifest annotate "$REG/half/m:1" "$REG/a/m:amd64-oci" --arch amd64
	code 1
	run coracle manifest create "$REG/half/m:1" 'Bad/Ref'
	code 1
	contains "$output" "invalid reference format"
	run coracle manifest push "$REG/half/m:1"
	code 1
	equals "$output" "No such manifest: $REG/half/m:1"
	run coracle manifest create "$REG/half/m:1"
	contains "$output" "requires at least 2 arguments"
}

@test "manifest push: members of another registry are refused, as by Docker" {
	coracle manifest create "$REG/far/m:1" "$E2E_REGISTRY/box:gzip"
	run coracle manifest push "$REG/far/m:1"
	code 1
	equals "$output" "cannot use source images from a different registry than the target image: $E2E_REGISTRY != $REG"
}

@test "manifest push: what the registry does not mount is copied, byte for byte" {
	python3 "$E2E_DIR/artifacts.py" no-mount "$REG" "$BATS_TEST_TMPDIR/port" 3>&- 4>&- &
	proxy=$!
	wait_for 10 test -s "$BATS_TEST_TMPDIR/port"
	P=127.0.0.1:$(cat "$BATS_TEST_TMPDIR/port")
	coracle manifest create "$P/copy/m:1" "$P/a/m:amd64-oci"
	touch "$BATS_TEST_TMPDIR/port.lie"
	run coracle manifest push "$P/copy/m:1"
	rm "$BATS_TEST_TMPDIR/port.lie"
	code 1
	contains "$output" "has another digest: sha256:"
	run ! raw copy/m:1
	run coracle manifest push "$P/copy/m:1"
	kill "$proxy"
	code 0
	skopeo copy -q --all --src-tls-verify=false "docker://$REG/copy/m:1" "oci:$BATS_TEST_TMPDIR/layout:1"
	equals "$(find "$HOME_DIR/data/ingest" -type f | wc -l)" 0
	no_leaks
}

@test "manifest push: a blob that the source has lost" {
	coracle manifest create "$REG/cut/m:1" "$REG/a/m:amd64-oci"
	layer=$(coracle manifest inspect "$REG/a/m:amd64-oci" | jq -r '.layers[0].digest')
	rm -r "$HOME_DIR/registry/data/docker/registry/v2/repositories/a/m/_layers/sha256/${layer:7}"
	run coracle manifest push "$REG/cut/m:1"
	code 1
	contains "$output" "blob unknown"
	python3 "$E2E_DIR/artifacts.py" images "$REG"
	run -0 coracle manifest push "$REG/cut/m:1"
	no_leaks
}

@test "GET /distribution: descriptor and platforms, the shape of Docker's API" {
	coracle manifest create "$REG/dist/m:1" "$REG/a/m:amd64-oci" "$REG/a/m:arm64-oci"
	coracle manifest push -p "$REG/dist/m:1"
	run -0 api GET "/v1.41/distribution/$REG/dist/m:1/json"
	equals "$(jq -r .Descriptor.digest <<<"$output")" "sha256:$(raw dist/m:1 | sha256sum | cut -d' ' -f1)"
	equals "$(jq -c .Platforms <<<"$output")" '[{"architecture":"amd64","os":"linux"},{"architecture":"arm64","os":"linux"}]'
	run -0 api GET "/v1.41/distribution/$REG/a/m:amd64-docker/json"
	equals "$(jq -r '.Platforms[0].architecture + " " + .Descriptor.mediaType' <<<"$output")" \
		"amd64 application/vnd.docker.distribution.manifest.v2+json"
	run -0 status GET "/v1.41/distribution/$REG/a/m:none/json"
	equals "$output" 404
}

@test "manifest create: members of a second registry get that one's credentials, and no other" {
	local first=$REG first_pid=$REG_PID list
	export DOCKER_CONFIG=$BATS_TEST_TMPDIR
	python3 -W ignore -c "import crypt; print('me:' + crypt.crypt('pw', '\$2y\$05\$abcdefghijklmnopqrstuu'))" >"$BATS_TEST_TMPDIR/htpasswd"
	start_registry "$BATS_TEST_TMPDIR/closed" "auth: {htpasswd: {realm: r, path: $BATS_TEST_TMPDIR/htpasswd}}"
	local closed=$REG closed_pid=$REG_PID
	REG=$first REG_PID=$first_pid
	skopeo copy -q --src-tls-verify=false --dest-tls-verify=false --dest-creds me:pw \
		"docker://$first/a/m:amd64-oci" "docker://$closed/a/m:1"
	list=$first/two/m:1
	run -1 coracle manifest create "$list" "$closed/a/m:1" "$first/a/m:arm64-oci"
	contains "$output" "no basic auth credentials"
	echo pw | coracle login -u me --password-stdin "$closed" 2>/dev/null
	run -0 coracle manifest create "$list" "$closed/a/m:1" "$first/a/m:arm64-oci"
	equals "$(coracle manifest inspect "$list" | jq -r '.manifests | length')" 2
	run -1 coracle manifest push "$list"
	contains "$output" "$closed" # as Docker: a list has members of its own registry
	coracle manifest rm "$list"
	lacks "$(cat "$HOME_DIR/engine.log")" "pw"
	kill "$closed_pid"
}
