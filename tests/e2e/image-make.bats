# SPDX-License-Identifier: Apache-2.0
# Images made here: commit and import.
# clients: coracle docker
load lib

setup_file() {
	start_engine
	mkdir -p "$HOME_DIR/src/etc"
	echo one >"$HOME_DIR/src/etc/name"
	ln -s name "$HOME_DIR/src/etc/link"
	cp /bin/busybox "$HOME_DIR/src/busybox"
	tar cf "$HOME_DIR/src.tar" -C "$HOME_DIR/src" .
	coracle pull -q default
}
teardown_file() {
	stop_engine
}
teardown() {
	no_leaks
}
field() {
	c inspect --type image --format "{{$2}}" "$1"
}

@test "commit: changed, new and deleted files; author, message, instructions" {
	c run --name cmt default sh -c 'echo hi >/new; rm /bin/vi; mkdir -p /dir/sub; chmod 711 /root; ln -s new /link'
	run c commit -a 'Me <me@example.org>' -m 'a message' -c 'ENV GREETING="hello world"' \
		-c 'CMD ["cat","/new"]' -c 'LABEL a=b' -c 'EXPOSE 80 53/udp' -c 'WORKDIR /dir' -c 'USER 0:0' \
		-c 'VOLUME /vol' -c 'STOPSIGNAL SIGINT' -c 'HEALTHCHECK --interval=3s CMD true' -c 'ONBUILD RUN x' cmt made:1
	code 0
	matches "$output" '^sha256:[0-9a-f]{64}$'
	equals "$(c run --rm made:1)" hi
	equals "$(c run --rm made:1 sh -c 'stat -c %a /root; readlink /link; echo $GREETING; pwd; ls /bin/vi 2>&1')" \
		"$(printf '711\nnew\nhello world\n/dir\nls: /bin/vi: No such file or directory')"
	equals "$(field made:1 .Author)" 'Me <me@example.org>'
	equals "$(field made:1 .Comment)" 'a message'
	equals "$(field made:1 'json .Config.ExposedPorts')" '{"53/udp":{},"80/tcp":{}}'
	equals "$(field made:1 'json .Config.Volumes')" '{"/vol":{}}'
	equals "$(field made:1 .Config.StopSignal)" SIGINT
	equals "$(field made:1 'json .Config.OnBuild')" '["RUN x"]'
	equals "$(field made:1 'json .Config.Healthcheck.Test')" '["CMD-SHELL","true"]'
	equals "$(field made:1 'len .RootFS.Layers')" 2
	equals "$(c history --format '{{.Comment}}' made:1 | head -n 1)" 'a message'
	equals "$(c history -q made:1 | tail -n 1)" '<missing>'
	c rm cmt
	c rmi made:1
}

@test "commit: an unchanged container adds no layer; ENTRYPOINT takes the old command away" {
	c create --name cmt default sh -c 'echo x'
	c commit -c 'ENTRYPOINT ["echo","from"]' cmt made:2
	equals "$(field made:2 'len .RootFS.Layers')" 1
	equals "$(c run --rm made:2 here)" 'from here'
	equals "$(field made:2 'json .Config.Cmd')" null
	c rm cmt
	c rmi made:2
}

@test "commit: of a running container, paused meanwhile or not, and it goes on" {
	c run -d --name cmt default sh -c 'echo 1 >/count; sleep 1000'
	wait_for 5 c exec cmt test -s /count
	first=$(c commit cmt)
	second=$(c commit --pause=false cmt made:3)
	equals "$(state_of cmt)" running
	equals "$(c run --rm "$first" cat /count)" 1
	equals "$(c run --rm made:3 cat /count)" 1
	contains "$(c images --filter dangling=true -q --no-trunc)" "$first"
	c rm -f cmt
	c rmi "$first" made:3
	[ "$first" != "$second" ]
}

@test "commit: refusals leave nothing" {
	before=$(find "$HOME_DIR/data/blobs" "$HOME_DIR/data/layers" -maxdepth 2 | sort)
	c create --name cmt default true
	run c commit -c 'RUN rm' cmt
	code 1
	contains "$output" 'run is not a valid change command'
	run c commit cmt 'Bad:1'
	code 1
	contains "$output" 'invalid reference format: repository name (library/Bad) must be lowercase'
	run c commit nobody
	code 1
	contains "$output" 'No such container: nobody'
	equals "$(status POST '/commit?container=nobody')" 404
	c rm cmt
	equals "$(find "$HOME_DIR/data/blobs" "$HOME_DIR/data/layers" -maxdepth 2 | sort)" "$before"
}

@test "commit: an image made of an image made of an image" {
	local i
	c create --name cmt default sh -c 'echo a >>/log; cat /log'
	c start -a cmt >/dev/null
	c commit cmt chain:0
	c rm cmt
	for i in 1 2 3; do
		c run --name cmt "chain:$((i - 1))" >/dev/null
		c commit cmt "chain:$i"
		c rm cmt
	done
	equals "$(c run --rm chain:3 | wc -l)" 5
	equals "$(field chain:3 'len .RootFS.Layers')" 5
	c rmi chain:0 chain:1 chain:2
	equals "$(c run --rm chain:3 | wc -l)" 5
	c rmi chain:3
}

@test "import: plain, gzip, zstd, xz and bzip2 from a file and from standard input" {
	local how id
	for how in cat gzip zstd xz bzip2; do
		$how <"$HOME_DIR/src.tar" >"$HOME_DIR/src.packed"
		id=$(c import -c 'CMD ["/busybox","cat","/etc/link"]' "$HOME_DIR/src.packed" "imp:$how")
		matches "$id" '^sha256:[0-9a-f]{64}$'
		equals "$(c run --rm "imp:$how")" one
		c rmi "imp:$how" >/dev/null
		c import -c 'CMD ["/busybox","cat","/etc/name"]' - "imp:$how" <"$HOME_DIR/src.packed"
		equals "$(c run --rm "imp:$how")" one
		c rmi "imp:$how" >/dev/null
	done
}

@test "import: message, platform, no name" {
	id=$(c import -m 'from tests' --platform linux/arm64/v8 "$HOME_DIR/src.tar")
	equals "$(field "$id" '.Comment}} {{.Architecture}} {{.Os}} {{.Variant')" 'from tests arm64 linux v8'
	c rmi "$id"
	id=$(c import - <"$HOME_DIR/src.tar")
	equals "$(field "$id" .Comment)" 'Imported from -'
	equals "$(c history --format '{{.Comment}}' "$id")" 'Imported from -'
	c rmi "$id"
}

@test "import: from a URL" {
	python3 -c 'import functools,http.server as h,sys
s=h.HTTPServer(("127.0.0.1",0),functools.partial(h.SimpleHTTPRequestHandler,directory=sys.argv[1]))
open(sys.argv[1]+"/port.tmp","w").write(str(s.server_port))
import os; os.rename(sys.argv[1]+"/port.tmp",sys.argv[1]+"/port")
s.serve_forever()' "$HOME_DIR" >/dev/null 2>&1 3>&- &
	echo $! >>"$E2E_TMP/pids"
	server=$!
	wait_for 10 test -s "$HOME_DIR/port"
	url=http://127.0.0.1:$(cat "$HOME_DIR/port")
	run c import -c 'CMD ["/busybox","cat","/etc/name"]' "$url/src.tar" imp:url
	code 0
	contains "$output" "Downloading from $url/src.tar"
	equals "$(c run --rm imp:url)" one
	equals "$(field imp:url .Comment)" "Imported from $url/src.tar"
	c rmi imp:url
	run c import "$url/none.tar" imp:none
	code 1
	contains "$output" "failed to GET $url/none.tar with status 404"
	kill "$server"
	wait "$server" || true # its socket closes with it
	run c import "$url/src.tar"
	code 1
	contains "$output" 'connection refused'
}

@test "import: what is no archive, cut or empty is refused and leaves nothing" {
	before=$(find "$HOME_DIR/data/blobs" "$HOME_DIR/data/layers" -maxdepth 2 | sort)
	run c import - bad:1 < <(head -c 5000 /dev/urandom)
	code 1
	contains "$output" 'bad tar'
	xz <"$HOME_DIR/src.tar" | head -c 20000 >"$HOME_DIR/cut"
	run c import "$HOME_DIR/cut" bad:2
	code 1
	contains "$output" 'corrupt compressed data'
	run c import - bad:3 </dev/null
	code 1
	contains "$output" 'the archive is empty'
	run c import "$HOME_DIR/none.tar"
	code 1
	contains "$output" 'no such file or directory'
	run c import "$HOME_DIR/src.tar" 'x@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'
	code 1
	contains "$output" 'cannot import digest reference'
	run c import -c 'FOO bar' "$HOME_DIR/src.tar" bad:4
	code 1
	contains "$output" 'foo is not a valid change command'
	run c image inspect bad:1 bad:2 bad:3 bad:4
	code 1
	no_leaks
	equals "$(find "$HOME_DIR/data/blobs" "$HOME_DIR/data/layers" -maxdepth 2 | sort)" "$before"
}

@test "export of a container is an image again by import" {
	c run --name exp default sh -c 'echo kept >/kept'
	c export exp | c import -c 'CMD ["cat","/kept"]' - again:1
	equals "$(c run --rm again:1)" kept
	c rm exp
	c rmi again:1
}
