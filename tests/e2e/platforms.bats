# SPDX-License-Identifier: Apache-2.0
# Images for several platforms under one name: pulled one after the other, loaded and saved with their
# index, pushed whole or in part, inspected and removed by platform. docker-registry and skopeo judge.
bats_require_minimum_version 1.5.0
load lib.bash
load registry.bash

setup_file() {
	start_engine
	start_registry "$HOME_DIR/registry"
}
teardown_file() {
	stop_registry
	stop_engine
}
setup() {
	needs docker-registry
	needs skopeo
	coracle image prune -af >/dev/null
}

raw() { skopeo inspect --raw --tls-verify=false "docker://$1"; }
sum() { sha256sum | cut -d' ' -f1; }
id_of() { coracle image inspect -f '{{.Id}}' "$@"; }
arch_of() { c image inspect -f '{{.Architecture}}' "$@"; }
has_platform() { "$1" "$2" --help | grep -q -- --platform; }
multi() { echo "$E2E_REGISTRY/multi:latest"; }
pull_both() {
	c pull -q "$(multi)"
	c pull -q --platform linux/arm64 "$(multi)"
}

@test "two platforms under one name: the host's is meant, the other is found by platform" {
	c pull -q --platform linux/arm64 "$(multi)"
	equals "$(arch_of "$(multi)")" arm64
	c pull -q "$(multi)"
	equals "$(arch_of "$(multi)")" amd64
	run -0 c pull --platform linux/arm64 "$(multi)"
	contains "$output" "Status: Image is up to date for $(multi)"
	equals "$(arch_of "$(multi)")" amd64
	equals "$(arch_of --platform linux/arm64 "$(multi)")" arm64
	equals "$(c history --platform linux/arm64 -q --no-trunc "$(multi)" | head -n 1)" "$(id_of --platform linux/arm64 "$(multi)")"
	run c image inspect --platform linux/s390x "$(multi)"
	code 1
	contains "$output" "image with reference $(multi) was found but does not provide the specified platform (linux/s390x)"
	equals "$(c images -q "$(multi)" | wc -l)" 1
	equals "$(c images -q --filter dangling=true)" ""
	run -0 c run --rm --pull never "$(multi)" sh -c 'echo $ARCH'
	equals "$output" amd64
	run -0 c create --platform linux/arm64 --pull never "$(multi)" true
	equals "$(c inspect -f '{{.Image}}' "$output")" "$(id_of --platform linux/arm64 "$(multi)")"
	c rm "$output"
}

@test "images --tree shows which platforms are here" {
	[ "$E2E_CLIENT" = coracle ] || docker images --help | grep -q -- --tree || skip 'this Docker client has no --tree'
	pull_both
	run -0 c images --tree "$(multi)"
	matches "$output" 'linux/arm64/v8 +[0-9a-f]{12} +[1-9]'
	matches "$output" 'linux/amd64 +[0-9a-f]{12} +[1-9]'
}

@test "rmi --platform takes one, rmi takes all" {
	pull_both
	local arm amd
	arm=$(id_of --platform linux/arm64 "$(multi)") amd=$(id_of "$(multi)")
	run c rmi --platform linux/arm64 "$(multi)"
	code 1
	contains "$output" "Content will be removed from all images referencing this variant"
	run -0 c rmi -f --platform linux/arm64 "$(multi)"
	contains "$output" "Deleted: $arm"
	lacks "$output" Untagged
	run ! coracle image inspect "$arm"
	equals "$(arch_of "$(multi)")" amd64
	c pull -q --platform linux/arm64 "$(multi)"
	c rmi -f --platform linux/amd64 "$(multi)"
	equals "$(arch_of "$(multi)")" arm64
	c pull -q "$(multi)"
	run -0 c rmi "$(multi)"
	contains "$output" "Untagged: $(multi)"
	contains "$output" "Deleted: $amd"
	contains "$output" "Deleted: $arm"
	equals "$(coracle images -aq)" ""
	no_leaks
}

@test "a container keeps its platform" {
	pull_both
	coracle create --name keeps --platform linux/arm64 --pull never "$(multi)" true >/dev/null
	run c rmi "$(multi)"
	code 1
	contains "$output" conflict
	run -0 c image prune -af
	equals "$(arch_of "$(multi)")" amd64
	run -0 c rmi -f "$(multi)"
	equals "$(coracle images -aq --no-trunc)" "$(coracle inspect -f '{{.Image}}' keeps)"
	coracle rm keeps >/dev/null
}

@test "push: the index byte for byte when all of it is here, else the platform that is" {
	local to=$REG/$E2E_CLIENT/multi:1 index
	index=$(curl -s "http://$E2E_REGISTRY/v2/multi/manifests/latest" | sum)
	c pull -q "$(multi)"
	c tag "$(multi)" "$to"
	run -0 c push "$to"
	contains "$output" "Not all multiplatform-content is present and only the available single-platform image was pushed"
	contains "$output" "sha256:$index"
	equals "$(raw "$to" | jq -r '.config.digest')" "$(id_of "$(multi)")"
	contains "$output" "1: digest: sha256:$(raw "$to" | sum) size: "
	c pull -q --platform linux/arm64 "$(multi)"
	c tag "$(multi)" "$to"
	run -0 c push "$to"
	lacks "$output" "Not all multiplatform-content"
	contains "$output" "1: digest: sha256:$index size: "
	equals "$(raw "$to" | sum)" "$index"
	skopeo copy -q --all --src-tls-verify=false "docker://$to" "dir:$BATS_TEST_TMPDIR/all"
	run -0 c push -q "$to"
	equals "$output" "$to"
}

@test "push --platform: that manifest alone" {
	has_platform "$E2E_CLIENT" push || skip 'this Docker client has no --platform for push'
	local to=$REG/$E2E_CLIENT/multi:arm
	pull_both
	c tag "$(multi)" "$to"
	run -0 c push --platform linux/arm64 "$to"
	contains "$output" "Info -> Using --platform pushes only the specified platform manifest of a multi-platform image index."
	equals "$(raw "$to" | jq -r .config.digest)" "$(id_of --platform linux/arm64 "$(multi)")"
	run -1 c push --platform linux/s390x "$to"
	contains "$output" "does not provide the specified platform (linux/s390x)"
}

@test "load keeps the index, with what is no image; save and push give it back" {
	local to=$REG/$E2E_CLIENT/whole:1 index
	index=$(tar -xOf "$E2E_TMP/images/whole.oci.tar" index.json | jq -r '.manifests[0].digest')
	equals "$(c load -q -i "$E2E_TMP/images/whole.oci.tar")" "Loaded image: whole:1"
	equals "$(arch_of whole:1)" amd64
	equals "$(c image inspect -f '{{index .Config.Labels "arch"}}' --platform linux/arm64 whole:1)" arm64
	equals "$(coracle image inspect -f '{{.Descriptor.digest}} {{index .RepoDigests 0}}' whole:1)" "$index whole@$index"
	c tag whole:1 "$to"
	run -0 c push "$to"
	contains "$output" "1: digest: $index size: "
	skopeo copy -q --all --src-tls-verify=false "docker://$to" "oci-archive:$BATS_TEST_TMPDIR/judge.tar"
	c save -o "$BATS_TEST_TMPDIR/saved.tar" whole:1
	equals "$(tar -xOf "$BATS_TEST_TMPDIR/saved.tar" index.json | jq -r '.manifests[0] | .digest, .annotations["io.containerd.image.name"]')" \
		"$index"$'\ndocker.io/library/whole:1'
	equals "$(tar -tf "$BATS_TEST_TMPDIR/saved.tar" | grep -c 'blobs/sha256/.')" "$(tar -tf "$E2E_TMP/images/whole.oci.tar" | grep -c blobs/)"
	c rmi whole:1 "$to"
	equals "$(coracle images -aq)" ""
	no_leaks
	equals "$(c load -q -i "$BATS_TEST_TMPDIR/saved.tar")" "Loaded image: whole:1"
	equals "$(coracle image inspect -f '{{.Descriptor.digest}}' whole:1)" "$index"
	equals "$(arch_of --platform linux/arm64 whole:1)" arm64
	run -0 coracle system fsck
	contains "$output" "no problems"
}

@test "load and save of one platform" {
	has_platform "$E2E_CLIENT" save || skip 'this Docker client has no --platform for save'
	local file=$BATS_TEST_TMPDIR/arm.tar
	c load -q --platform linux/arm64 -i "$E2E_TMP/images/whole.oci.tar"
	equals "$(arch_of whole:1)" arm64
	equals "$(coracle images -aq | wc -l)" 1
	c load -q -i "$E2E_TMP/images/whole.oci.tar"
	c save --platform linux/arm64 -o "$file" whole:1
	equals "$(tar -xOf "$file" manifest.json | jq -r '.[0].Config')" "blobs/sha256/$(id_of --platform linux/arm64 whole:1 | cut -c8-)"
	equals "$(tar -xOf "$file" index.json | jq -r '.manifests[0].mediaType')" application/vnd.oci.image.manifest.v1+json
	run c save --platform linux/s390x -o "$file.none" whole:1
	code 1
	contains "$output" "does not provide the specified platform (linux/s390x)"
}

@test "an archive with a part of its index" {
	local to=$REG/$E2E_CLIENT/part:1
	c load -q -i "$E2E_TMP/images/part.oci.tar"
	equals "$(arch_of part:1)" amd64
	c tag part:1 "$to"
	run -0 c push "$to"
	contains "$output" "only the available single-platform image was pushed"
	equals "$(raw "$to" | jq -r .config.digest)" "$(id_of part:1)"
	c save -o "$BATS_TEST_TMPDIR/part.tar" part:1
	skopeo inspect --config "oci-archive:$BATS_TEST_TMPDIR/part.tar:1" --override-arch amd64 | jq -e '.architecture == "amd64"'
}

@test "API: platform and platforms are JSON, since the versions that have them" {
	pull_both
	local name=${E2E_REGISTRY/:/%3A}%2Fmulti%3Alatest arm='%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22arm64%22%7D'
	equals "$(api GET "/v1.49/images/$name/json?platform=$arm" | jq -r .Architecture)" arm64
	equals "$(api GET "/v1.48/images/$name/json?platform=$arm" | jq -r .Architecture)" amd64
	equals "$(api GET "/v1.49/images/$name/json?platform=$arm" | jq -r .Descriptor.mediaType)" application/vnd.oci.image.manifest.v1+json
	equals "$(status GET "/v1.49/images/$name/json?platform=%7B%22os%22%3A%22linux%22%7D")" 400
	equals "$(status GET "/v1.49/images/$name/json?platform=$arm&manifests=1")" 400
	equals "$(api GET "/v1.48/images/$name/json?manifests=1" | jq -c '[.Manifests[] | .Available]')" '[true,true]'
	equals "$(api GET "/v1.48/images/$name/json" | jq 'has("Manifests")')" false
	equals "$(api GET "/v1.48/images/$name/history?platform=$arm" | jq -r '.[0].Id')" "$(id_of --platform linux/arm64 "$(multi)")"
	equals "$(status DELETE "/v1.50/images/$name?platforms=$arm")" 400
	equals "$(api DELETE "/v1.50/images/$name?force=1&platforms=$arm" | jq -c '[.[] | keys[0]] | unique')" '["Deleted"]'
	equals "$(status GET "/v1.49/images/$name/json?platform=$arm")" 404
}

@test "image inspect: the fields of each version of the API" {
	c load -q -i "$E2E_TMP/images/configured.tar"
	api GET /v1.43/images/configured/json | jq -e '.VirtualSize == .Size and (has("Descriptor") | not)'
	api GET /v1.44/images/configured/json | jq -e 'has("VirtualSize") | not'
	api GET /v1.49/images/configured/json | jq -e '.Config | .Tty == false and .Hostname == "" and .OnBuild == null'
	equals "$(api GET /v1.50/images/configured/json | jq -c '.Config | keys - ["ExposedPorts", "Healthcheck", "Shell", "StopSignal"]')" \
		'["Cmd","Entrypoint","Env","Labels","OnBuild","User","Volumes","WorkingDir"]'
	c load -q -i "$E2E_TMP/images/busybox.docker.tar"
	api GET /v1.50/images/busybox/json | jq -e '.Config.Labels == null and .RepoDigests == []'
	api GET /v1.43/images/json | jq -e 'all(.VirtualSize == .Size)'
	api GET /v1.47/images/json | jq -e 'all((has("VirtualSize") | not) and .Containers == -1)'
	api GET /v1.51/images/json | jq -e 'all(.Containers == 0)'
}

@test "image inspect: Descriptor says what the manifest says" {
	c pull -q "$E2E_REGISTRY/box:schema2"
	equals "$(api GET "/v1.50/images/${E2E_REGISTRY/:/%3A}%2Fbox%3Aschema2/json" | jq -r .Descriptor.mediaType)" \
		application/vnd.docker.distribution.manifest.v2+json
}
