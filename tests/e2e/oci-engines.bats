# SPDX-License-Identifier: Apache-2.0
# coracle-runtime as the OCI runtime of other engines: Docker, containerd, Podman.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() {
	D=$(mktemp -d "$E2E_TMP/engines.XXXXXX")
	RT=$(readlink -f "$BIN/coracle-runtime")
	export D RT
	mkdir -p "$D/root/bin"
	cp /bin/busybox "$D/root/bin/"
	local p
	for p in sh ls cat id sleep true ps; do ln -s busybox "$D/root/bin/$p"; done
	tar -C "$D/root" -cf "$D/root.tar" .
}
teardown_file() {
	rm -rf "$D"
}
docker_script() {
	cat <<'END'
	set -e
	printf '{"runtimes":{"coracle":{"path":"%s"}}}' "$RT" >"$D/daemon.json"
	dockerd --config-file "$D/daemon.json" --data-root "$D/data" --exec-root "$D/exec" --pidfile "$D/pid" -H "unix://$D/d.sock" \
		--storage-driver overlay2 --exec-opt native.cgroupdriver=cgroupfs --iptables=false --bridge=none >"$D/log" 2>&1 </dev/null &
	export DOCKER_HOST=unix://$D/d.sock DOCKER_CONFIG=$D/docker-config
	for i in $(seq 100); do docker version >/dev/null 2>&1 && break; sleep 0.1; done
	docker import - bb <"$D/root.tar" >/dev/null
	d() { docker run --runtime coracle --network none "$@"; }
	d --rm bb sh -c 'echo hello; exit 7' || echo "code $?"
	d --rm bb /no/such 2>&1 || echo "code $?"
	d -d --name c1 -m 32m --pids-limit 50 bb sleep 1000 >/dev/null
	docker exec c1 sh -c 'cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true'
	docker exec -t c1 sh -c 'test -t 0 && exit 3' || echo "code $?"
	docker pause c1 >/dev/null; docker ps --format '{{.Status}}' | grep -o Paused; docker unpause c1 >/dev/null
	docker update --pids-limit 60 c1 >/dev/null
	docker exec c1 sh -c 'cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; true'
	docker rm -f c1 >/dev/null
	d --rm --init --read-only --tmpfs /tmp --cap-drop ALL -u 5:6 bb sh -c 'id; cat /proc/1/comm'
	d --rm --privileged bb sh -c 'test -e /dev/loop0 && echo devices'
	ctr -a "$D/exec/containerd/containerd.sock" -n x images import <(docker save bb) >/dev/null
	ctr -a "$D/exec/containerd/containerd.sock" -n x run --rm --runc-binary "$RT" docker.io/library/bb:latest t1 /bin/sh -c 'echo in containerd'
	kill "$(cat "$D/pid")"
	wait
END
}

@test "Docker and containerd" {
	needs dockerd
	needs ctr
	run apart timeout 120 bash -c "$(docker_script)"
	[ "$status" = 0 ] || tail -n 5 "$D/log" >&2
	code 0
	local lines_wanted=(hello 'code 7' 'code 127' 'code 3' 50 60 Paused 'uid=5 gid=6' docker-init devices 'in containerd') line
	for line in "${lines_wanted[@]}"; do contains "$output" "$line"; done
	contains "$output" 'exec: "/no/such": stat /no/such: no such file or directory'
}

podman_script() {
	cat <<'END'
	set -e
	cd "$D"
	printf '[storage]\ndriver = "overlay"\ngraphroot = "%s/store"\nrunroot = "%s/run"\n' "$D" "$D" >storage.conf
	printf '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n[containers]\nlog_driver = "k8s-file"\ndefault_ulimits = ["nofile=%s:%s", "nproc=32768:32768"]\n' "$(ulimit -Hn)" "$(ulimit -Hn)" >containers.conf
	printf '{"default":[{"type":"insecureAcceptAnything"}]}' >policy.json
	export CONTAINERS_STORAGE_CONF=$D/storage.conf CONTAINERS_CONF=$D/containers.conf
	p() { podman --runtime "$RT" "$@"; }
	p import root.tar bb >/dev/null 2>&1
	p run --rm --network none bb sh -c 'echo hello; exit 7' || echo "code $?"
	p run -d --name c1 --network none --pids-limit 50 bb sleep 1000 >/dev/null
	p exec c1 sh -c 'echo from exec; exit 4' || echo "code $?"
	p ps --format '{{.Status}}' | grep -o Up
	p pause c1 >/dev/null && p unpause c1 >/dev/null
	p rm -f -t 0 c1 >/dev/null
	p run --rm --network none --uidmap 0:100000:5000 bb id -u
	p run --rm --network none bb /no/such 2>&1 || echo "code $?"
END
}

@test "Podman" {
	needs podman
	run apart timeout 120 bash -c "$(podman_script)"
	code 0
	local lines_wanted=(hello 'code 7' 'from exec' 'code 4' Up 'code 127') line
	for line in "${lines_wanted[@]}"; do contains "$output" "$line"; done
	matches "$output" $'(^|\n)0\r?(\n|$)'
}
