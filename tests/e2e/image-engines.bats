# SPDX-License-Identifier: Apache-2.0
# Archives between engines: Docker and Podman load what we save, and we what they save.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	start_engine
	D=$(mktemp -d "$E2E_TMP/engines.XXXXXX")
	export D
	coracle run --name maker default sh -c 'mkdir /deep && echo layered >/deep/file && ln /deep/file /deep/hard && ln -s file /deep/soft && chmod 4755 /deep/file'
	coracle commit -c 'CMD ["cat", "/deep/file"]' -c 'ENV A=b' maker two:layers >/dev/null
	coracle rm maker >/dev/null
	coracle save -o "$D/ours.tar" two:layers
	ID=$(coracle image inspect -f '{{.Id}}' two:layers)
	LAYERS=$(coracle image inspect -f '{{json .RootFS.Layers}}' two:layers)
	export ID LAYERS
}
teardown_file() {
	rm -rf "$D"
	stop_engine
}

# Our engine reads ARCHIVE: the same image, and it runs.
takes_back() {
	coracle rmi -f two:layers >/dev/null
	run -0 coracle load -i "$1"
	coracle image inspect "$2" >/dev/null 2>&1 || coracle tag "$ID" "$2"
	equals "$(coracle image inspect -f '{{json .RootFS.Layers}}' "$2")" "$LAYERS"
	run -0 coracle run --rm "$2"
	equals "$output" layered
	run -0 coracle run --rm "$2" stat -c '%a %h %N' /deep/file /deep/soft
	equals "$output" $'4755 2 /deep/file\n777 1 \'/deep/soft\' -> \'file\''
	coracle rmi -f "$2" >/dev/null
	coracle load -q -i "$D/ours.tar" >/dev/null
}

docker_script() {
	cat <<'END'
	set -e
	dockerd --data-root "$D/data" --exec-root "$D/exec" --pidfile "$D/pid" -H "unix://$D/d.sock" --storage-driver overlay2 \
		--iptables=false --bridge=none >"$D/log" 2>&1 </dev/null &
	export DOCKER_HOST=unix://$D/d.sock DOCKER_CONFIG=$D/docker-config
	for i in $(seq 100); do docker version >/dev/null 2>&1 && break; sleep 0.1; done
	docker load -i "$D/ours.tar"
	docker image inspect -f '{{.Id}} {{json .RootFS.Layers}} {{json .Config.Cmd}}' two:layers
	docker run --rm --network none two:layers
	docker save -o "$D/docker.tar" two:layers
	kill "$(cat "$D/pid")"
	wait
END
}

@test "Docker" {
	needs dockerd
	run apart timeout 120 bash -c "$(docker_script)"
	[ "$status" = 0 ] || tail -n 5 "$D/log" >&2
	code 0
	contains "$output" "Loaded image: two:layers"
	contains "$output" "$ID $LAYERS [\"cat\",\"/deep/file\"]"
	contains "$output" $'\nlayered'
	takes_back "$D/docker.tar" two:layers
}

podman_script() {
	cat <<'END'
	set -e
	cd "$D"
	printf '[storage]\ndriver = "overlay"\ngraphroot = "%s/store"\nrunroot = "%s/run"\n' "$D" "$D" >storage.conf
	printf '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' >containers.conf
	export CONTAINERS_STORAGE_CONF=$D/storage.conf CONTAINERS_CONF=$D/containers.conf
	podman load -q -i ours.tar
	podman image inspect --format '{{.Id}} {{json .RootFS.Layers}}' two:layers
	podman save -q --format docker-archive -o podman-docker.tar two:layers
	podman save -q --format oci-archive -o podman-oci.tar two:layers
END
}

@test "Podman, in both of its formats" {
	needs podman
	run apart timeout 120 bash -c "$(podman_script)"
	code 0
	contains "$output" "${ID#sha256:} $LAYERS"
	takes_back "$D/podman-docker.tar" localhost/two:layers
	takes_back "$D/podman-oci.tar" localhost/two:layers
}
