# SPDX-License-Identifier: Apache-2.0
# system df adds up, to the byte, with what du finds below the data directory.
# clients: coracle docker
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	start_engine
	coracle pull -q "$E2E_REGISTRY/layered:latest" >/dev/null
	coracle pull -q "$E2E_REGISTRY/box:gzip" >/dev/null
	coracle tag "$E2E_REGISTRY/box:gzip" again:1
	coracle volume create vol >/dev/null
	coracle run --name user -v vol:/v "$E2E_REGISTRY/layered:latest" sh -c 'dd if=/dev/zero of=/v/f bs=4096 count=100; ln /v/f /v/g; dd if=/dev/zero of=/own bs=4096 count=50' >/dev/null 2>&1
	api GET /system/df >/dev/null # layers are measured the first time
}
teardown_file() { stop_engine; }

df_json() {
	api GET "/system/df$1" | python3 -c "import json,sys; d=json.load(sys.stdin); print($2)"
}

@test "the parts add up to the total, and the total is du's" {
	equals "$(df_json '' "d['Coracle']['Total'] == sum(v for k,v in d['Coracle'].items() if k != 'Total')")" True
	equals "$(df_json '' "d['Coracle']['Total']")" "$(du -s --block-size=1 "$HOME_DIR/data" | cut -f1)"
	equals "$(df_json '' "d['LayersSize']")" "$(($(du -s --block-size=1 "$HOME_DIR/data/layers" | cut -f1) + $(du -s --block-size=1 "$HOME_DIR/data/blobs" | cut -f1)))"
	equals "$(df_json '' "d['Volumes'][0]['UsageData']['Size']")" "$(du -s --block-size=1 "$HOME_DIR/data/volumes/vol" | cut -f1)"
	equals "$(df_json '' "[c['SizeRw'] for c in d['Containers'] if c['Names'] == ['/user']][0]")" "$(du -s --block-size=1 "$HOME_DIR"/data/containers/*/upper | cut -f1)"
}

@test "images: what each has alone, and what is shared once, is all of them" {
	# The layers' folder, the blobs' and that of sha256 belong to no image.
	own=$(($(stat -c '%b*%B' "$HOME_DIR/data/layers") + $(stat -c '%b*%B' "$HOME_DIR/data/blobs") + $(stat -c '%b*%B' "$HOME_DIR/data/blobs/sha256")))
	equals "$(df_json '' "d['LayersSize'] - sum(i['Size'] - i['SharedSize'] for i in d['Images']) - max(i['SharedSize'] for i in d['Images'])")" "$own"
}

@test "types: only what was asked for; others are refused" {
	equals "$(df_json '?type=volume' "d['Images'], d['Containers'], len(d['Volumes'])")" "None None 1"
	equals "$(df_json '?type=image&type=container' "len(d['Images']), len(d['Containers']), d['Volumes']")" "2 1 None"
	equals "$(status GET '/system/df?type=sheep')" 400
}

@test "both clients show it" {
	run -0 c system df
	contains "$output" "TYPE"
	matches "$output" 'Images +2 +1 '
	matches "$output" 'Containers +1 +0 '
	matches "$output" 'Local Volumes +1 +1 '
	run -0 c system df -v
	contains "$output" "SHARED SIZE"
	contains "$output" "vol "
	run -0 c system df --format '{{.Type}} {{.TotalCount}}'
	contains "$output" "Images 2"
	run -0 coracle system df -v
	contains "$output" "Total        "
}

@test "sizes follow changes; what is removed is counted nowhere" {
	before=$(df_json '' "d['Coracle']['Total']")
	c rm -v user
	c volume rm vol || true
	c rmi -f "$E2E_REGISTRY/layered:latest"
	trash_empty() { [ -z "$(ls -A "$HOME_DIR/data/trash")" ]; }
	wait_for 10 trash_empty
	after=$(df_json '' "d['Coracle']['Total']")
	[ "$after" -lt "$before" ]
	equals "$after" "$(du -s --block-size=1 "$HOME_DIR/data" | cut -f1)"
}
