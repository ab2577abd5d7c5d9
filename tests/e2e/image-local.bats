# SPDX-License-Identifier: Apache-2.0
# Archives with foreign judges, names and removal, views of images.
# clients: coracle docker
load lib

setup_file() {
	start_engine
	coracle pull -q default
	mkdir -p "$HOME_DIR/tree"
	echo one >"$HOME_DIR/tree/one"
	tar cf "$HOME_DIR/tree.tar" -C "$HOME_DIR/tree" one
}
teardown_file() {
	stop_engine
}
teardown() {
	no_leaks
}
id_of() {
	c image inspect --format '{{.Id}}' "$1"
}
small() { # NAME [PLATFORM]: an image of one file
	coracle import ${2:+--platform "$2"} -m "$1" "$HOME_DIR/tree.tar" "$1"
}

@test "save: skopeo and umoci read it as docker-archive and as oci-archive, digests agree" {
	needs skopeo
	needs umoci
	c tag default:latest judge:1
	c save -o "$HOME_DIR/judge.tar" judge:1
	id=$(id_of judge:1)
	equals "sha256:$(skopeo inspect --raw --config "docker-archive:$HOME_DIR/judge.tar:judge:1" | sha256sum | cut -d' ' -f1)" "$id"
	equals "sha256:$(skopeo inspect --raw --config "oci-archive:$HOME_DIR/judge.tar" | sha256sum | cut -d' ' -f1)" "$id"
	skopeo copy -q "oci-archive:$HOME_DIR/judge.tar" "oci:$HOME_DIR/judge-oci:1"
	umoci unpack --rootless --image "$HOME_DIR/judge-oci:1" "$HOME_DIR/judge-bundle"
	[ -x "$HOME_DIR/judge-bundle/rootfs/bin/busybox" ]
	skopeo copy -q "docker-archive:$HOME_DIR/judge.tar" "docker-archive:$HOME_DIR/theirs.tar:judge:theirs"
	equals "$(c load -i "$HOME_DIR/theirs.tar")" 'Loaded image: judge:theirs'
	equals "$(c run --rm judge:theirs echo ran)" ran
	c rmi judge:1 judge:theirs
	rm -rf "$HOME_DIR"/judge*
}

@test "save and load: several images and names in one archive, through pipes and every compression" {
	a=$(small several:a)
	b=$(small several:b)
	c tag several:a other:a
	for how in cat gzip zstd xz bzip2; do
		c save several:a other:a several:b default | $how >"$HOME_DIR/all"
		c rmi several:a other:a several:b >/dev/null
		run c load <"$HOME_DIR/all"
		code 0
		for name in several:a other:a several:b default:latest; do contains "$output" "Loaded image: $name"; done
		equals "$(id_of several:a) $(id_of other:a) $(id_of several:b)" "$a $a $b"
	done
	c save "$a" | c load >"$HOME_DIR/said"
	equals "$(cat "$HOME_DIR/said")" "Loaded image ID: $a"
	c rmi several:a other:a several:b
}

@test "save and load --platform" {
	if [ "$E2E_CLIENT" = docker ]; then
		docker save --help | grep -q platform || skip 'this Docker client has no --platform for save'
	fi
	small plat:arm linux/arm64 >/dev/null
	small plat:amd linux/amd64 >/dev/null
	c save -o "$HOME_DIR/plat.tar" plat:arm plat:amd
	run c save --platform linux/s390x -o "$HOME_DIR/none.tar" plat:arm
	code 1
	contains "$output" 'does not match the specified platform (linux/s390x)'
	[ ! -e "$HOME_DIR/none.tar" ]
	c save --platform linux/arm64 plat:arm >/dev/null
	c rmi plat:arm plat:amd
	equals "$(c load --platform linux/arm64 -i "$HOME_DIR/plat.tar")" 'Loaded image: plat:arm'
	run c load --platform linux/s390x -i "$HOME_DIR/plat.tar"
	code 1
	contains "$output" 'the archive has no image for the platform linux/s390x'
	equals "$(status POST '/images/load?platform=%7B%22os%22%3A%22linux%22%7D')" 400
	c rmi plat:arm
}

@test "rmi: one of several names is untagged; an id with several names must be forced" {
	id=$(small names:a)
	c tag names:a names:b
	run c rmi "$id"
	code 1
	contains "$output" "conflict: unable to delete ${id:7:12} (must be forced) - image is referenced in multiple repositories"
	equals "$(c rmi names:a)" 'Untagged: names:a'
	run c rmi "${id:7:12}"
	code 0
	equals "$(head -n 2 <<<"$output")" "$(printf 'Untagged: names:b\nDeleted: %s' "$id")"
	id=$(small names:a)
	c tag names:a other:b
	run c rmi -f "$id"
	code 0
	contains "$output" 'Untagged: names:a'
	contains "$output" 'Untagged: other:b'
	contains "$output" "Deleted: $id"
	run c rmi "$id"
	code 1
	contains "$output" "No such image: $id"
	c rmi -f "$id"
}

@test "rmi: what containers use, stopped and running, by name and by id" {
	c tag default:latest used:1
	c create --name user used:1 true
	id=$(id_of used:1)
	cid=$(c inspect --format '{{.Id}}' user)
	equals "$(c rmi used:1)" 'Untagged: used:1'
	c commit user used:2 >/dev/null
	id=$(id_of used:2)
	c rm user
	c create --name user used:2 sleep 1000
	cid=$(c inspect --format '{{.Id}}' user)
	run c rmi used:2
	code 1
	contains "$output" "conflict: unable to remove repository reference \"used:2\" (must force) - container ${cid:0:12} is using its referenced image ${id:7:12}"
	run c rmi "$id"
	code 1
	contains "$output" "conflict: unable to delete ${id:7:12} (must be forced) - image is being used by stopped container ${cid:0:12}"
	c start user
	run c rmi -f "$id"
	code 1
	contains "$output" "conflict: unable to delete ${id:7:12} (cannot be forced) - image is being used by running container ${cid:0:12}"
	equals "$(c rmi -f used:2)" 'Untagged: used:2'
	contains "$(c images -q --no-trunc)" "$id"
	equals "$(c images --format '{{.Repository}}:{{.Tag}}' --filter dangling=true)" '<none>:<none>'
	c rm -f user
	contains "$(c image prune -f)" "deleted: $id"
}

@test "image mount: a read-only view that keeps the image, over a restart of the engine" {
	[ "$E2E_CLIENT" = coracle ] || skip 'a command of coracle only'
	c run --name two default sh -c 'echo new >/new; rm /bin/vi'
	c commit two view:1 >/dev/null
	c rm two
	mkdir -p "$HOME_DIR/at dir"
	equals "$(c image mount view:1 "$HOME_DIR/at dir")" "$HOME_DIR/at dir"
	equals "$(cat "$HOME_DIR/at dir/new")" new
	[ ! -e "$HOME_DIR/at dir/bin/vi" ]
	[ -x "$HOME_DIR/at dir/bin/busybox" ]
	run touch "$HOME_DIR/at dir/x"
	contains "$output" 'Read-only file system'
	contains "$(c image mount)" "$HOME_DIR/at dir"
	run c image mount view:1 "$HOME_DIR/at dir"
	code 1
	contains "$output" 'is mounted at'
	kill -KILL "$(engine_pid)"
	run_engine
	for force in '' -f; do
		run c rmi $force view:1
		code 1
		contains "$output" "(cannot be forced) - image is mounted at $HOME_DIR/at dir"
	done
	lacks "$(c image prune -af)" "$(id_of view:1)"
	equals "$(c image unmount "$HOME_DIR/at dir")" "$HOME_DIR/at dir"
	[ ! -e "$HOME_DIR/at dir/new" ]
	# One layer, a folder of the engine's, unmounted by hand.
	coracle pull -q default
	at=$(c image mount default)
	[ -x "$at/bin/busybox" ]
	umount "$at"
	equals "$(c image mount -q)" ''
	[ ! -e "$at" ]
	run c image unmount "$at"
	code 1
	contains "$output" "No such image mount: $at"
	c rmi view:1
}

@test "image mount: in a mount namespace that ends; busy; refusals" {
	[ "$E2E_CLIENT" = coracle ] || skip 'a command of coracle only'
	mkdir -p "$HOME_DIR/busy"
	unshare -m --propagation private "$BIN/coracle" image mount default "$HOME_DIR/busy" >/dev/null
	[ ! -e "$HOME_DIR/busy/bin" ]
	c image unmount --all >/dev/null
	equals "$(c image mount -q)" ''
	c image mount default "$HOME_DIR/busy" >/dev/null
	cd "$HOME_DIR/busy/bin"
	run c image unmount "$HOME_DIR/busy"
	code 1
	contains "$output" 'Device or resource busy'
	c image unmount -f "$HOME_DIR/busy"
	cd /
	run c image mount nothing:1 "$HOME_DIR/busy"
	code 1
	contains "$output" 'No such image: nothing:1'
	run c image mount default "$HOME_DIR/none"
	code 1
	contains "$output" 'No such file or directory'
	equals "$(status POST '/coracle/image-mounts?image=default&target=relative&namespace=1')" 400
	equals "$(status DELETE '/coracle/image-mounts/none')" 404
	equals "$(c image mount -q)" ''
}
