# SPDX-License-Identifier: Apache-2.0
# Images of several platforms: the index stays with the image, and the tree shows its members.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	start_engine
	coracle pull -q "$E2E_REGISTRY/multi:latest"
	coracle pull -q "$E2E_REGISTRY/box:plain"
}
teardown_file() { stop_engine; }

@test "the index an image came from is kept and known" {
	want=$(curl -sI "http://$E2E_REGISTRY/v2/multi/manifests/latest" | tr -d '\r' | awk '/[Dd]ocker-[Cc]ontent/{print $2}')
	run -0 api GET "/v1.48/images/$E2E_REGISTRY/multi:latest/json"
	equals "$(jq -r '.Descriptor.digest + " " + .Descriptor.mediaType' <<<"$output")" "$want application/vnd.oci.image.index.v1+json"
	equals "$(jq -r '.RepoDigests[0]' <<<"$output")" "$E2E_REGISTRY/multi@$want"
	equals "sha256:$(sha256sum <"$HOME_DIR/data/blobs/sha256/${want:7}" | cut -d' ' -f1)" "$want"
	# Also after another pull of the same image without the index.
	member=$(jq -r '.manifests[1].digest' "$HOME_DIR/data/blobs/sha256/${want:7}")
	coracle pull -q "$E2E_REGISTRY/multi@$member"
	[ -e "$HOME_DIR/data/blobs/sha256/${want:7}" ]
	run -0 api GET "/v1.48/images/json?manifests=1"
	equals "$(jq -r --arg d "$want" '.[] | select(.Descriptor.digest == $d) | .Manifests | length' <<<"$output")" 2
}

@test "GET /images/json: manifests from 1.47, descriptors from 1.48" {
	equals "$(api GET '/v1.46/images/json?manifests=1' | jq '[.[] | has("Manifests") or has("Descriptor")] | any')" false
	equals "$(api GET '/v1.47/images/json?manifests=1' | jq '[.[] | has("Manifests") and (has("Descriptor") | not)] | all')" true
	equals "$(api GET '/v1.48/images/json?manifests=1' | jq '[.[] | has("Descriptor") and has("Manifests")] | all')" true
	equals "$(api GET '/v1.48/images/json' | jq '[.[] | has("Descriptor") or has("Manifests")] | any')" false
	c create --name user "$E2E_REGISTRY/multi:latest" true
	run -0 api GET '/v1.48/images/json?manifests=1&filters=%7B%22reference%22:%7B%22*/multi%22:true%7D%7D'
	here=$(jq -c '.[0].Manifests[] | select(.Available)' <<<"$output")
	equals "$(jq -r '.Kind + " " + .ImageData.Platform.architecture' <<<"$here")" "image amd64"
	equals "$(jq -r '.ImageData.Containers[0]' <<<"$here")" "$(c inspect --format '{{.Id}}' user)"
	equals "$(jq '.Size.Total == .Size.Content + .ImageData.Size.Unpacked and .Size.Content > 100000' <<<"$here")" true
	equals "$(jq '.[0].Size' <<<"$output")" "$(jq .Size.Total <<<"$here")"
	equals "$(jq -c '.[0].Manifests[] | select(.Available | not) | [.Size.Total, .ImageData.Platform.variant]' <<<"$output")" '[0,"v8"]'
	c rm user
}

@test "images --tree" {
	run -0 --separate-stderr c images --tree
	output=$(sed 's/\x1b\[[0-9;]*m//g' <<<"$output")
	matches "$output" 'IMAGE +ID +DISK USAGE +CONTENT SIZE +'
	matches "$output" "$E2E_REGISTRY/multi:latest +[0-9a-f]{12} +[0-9.]+MB +[0-9.]+[kM]B"
	matches "$output" '├─ linux/arm64/v8 +[0-9a-f]{12} +0B +0B'
	matches "$output" '└─ linux/amd64 +[0-9a-f]{12} +[0-9.]+MB +[0-9.]+[kM]B'
	contains "$output" "$E2E_REGISTRY/box:plain"
	# Docker's client draws the same table, below its warning and legend.
	run -0 coracle images --tree
	needs docker
	theirs=$(E2E_CLIENT=docker c images --tree 2>/dev/null | sed 's/\x1b\[[0-9;]*m//g; s/ *$//' | sed -n '/^IMAGE/,$p')
	run -0 diff <(echo "$theirs") <(sed 's/ *$//' <<<"$output")
	run c images --tree --digests
	[ "$status" -ne 0 ]
}

@test "the last image of an index takes the index with it" {
	coracle rmi -f "$(coracle images -q --no-trunc "$E2E_REGISTRY/multi")"
	coracle rmi -f "$E2E_REGISTRY/box:plain"
	wait_for 5 test -z "$(find "$HOME_DIR/data/blobs" -type f)"
	no_leaks
}
