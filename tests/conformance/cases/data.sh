# SPDX-License-Identifier: Apache-2.0
# cp, diff, commit, export, volumes
n=(--network none)
quiet run -d --name cc "${n[@]}" -v named:/vol box:1 sleep 1000
quiet exec cc sh -c 'mkdir /d; echo f >/d/f; ln -s f /d/l; ln -s /nowhere /d/dangling; rm /bin/yes; echo x >>/etc/passwd; echo v >/vol/v'
sh 'diff' 'docker diff cc | sort'
mkdir -p "$WORK/in/sub"; echo one >"$WORK/in/one"; echo two >"$WORK/in/sub/two"
d cp "$WORK/in/one" cc:/tmp
d cp "$WORK/in/one" cc:/tmp/new
d cp "$WORK/in/one" cc:/no/such/
d cp "$WORK/in/one" cc:/no/such
d cp "$WORK/in" cc:/tmp/dir
d cp "$WORK/in/." cc:/tmp/dir2
d cp "$WORK/in" cc:/etc/passwd
d cp "$WORK/nothing" cc:/tmp
d cp cc:/nothing "$WORK/x"
d cp cc:/d/f "$WORK/x"
d cp cc:/d/f "$WORK/no/such/x"
d cp cc:/d/l "$WORK/link"
d cp -L cc:/d/l "$WORK/followed"
d cp cc:/d/dangling "$WORK/dangling"
d cp -L cc:/d/dangling "$WORK/dangling2"
d cp cc:/d "$WORK/x"
d cp cc:/d cc:/e
d cp a b
sh 'cp to standard output' 'docker cp cc:/vol/v - | tar -xO'
sh 'what arrived' 'cd $WORK; ls -l x link followed dangling | tr -s " " | cut -d" " -f1,2,9-; docker exec cc find /tmp | sort'
sh 'tar out' 'docker cp cc:/d - | tar tf - | sort'
sh 'tar in' 'tar -C $WORK/in -cf - . | docker cp - cc:/tmp/dir2; docker cp - cc:/tmp </dev/null; echo garbage | docker cp - cc:/tmp'
sh 'nobody' 'docker cp nobody:/x $WORK/x; docker cp $WORK/x nobody:/x'
d commit -a me -m text -c 'ENV X=1' -c 'CMD ["a","b"]' -c 'LABEL k=v' cc made:1
d inspect -f '{{json .Config.Env}} {{json .Config.Cmd}} {{json .Config.Labels}} {{.Author}} {{.Comment}} {{len .RootFS.Layers}}' made:1
d inspect made:1
d history --format '{{.CreatedBy}}|{{.Comment}}' made:1
d commit -c 'NOPE x' cc made:2
d commit -c 'RUN x' cc made:2
d commit cc 'BAD:name'
d commit cc
sh 'export' 'docker export cc | tar tf - | grep -cE "^(d/f|etc/passwd|bin/sh)$"; docker export -o $WORK/no/such cc; docker export'
sh 'import' 'docker export cc | docker import -m msg -c "CMD x" - imp:1 | cut -c1-7; docker inspect -f "{{json .Config.Cmd}} {{.Comment}}" imp:1'
d volume create
d volume create v1 --label a=b
d volume create v1
d volume create 'bad name'
d volume create --driver nope v9
d volume create -o nope=1 v9
d volume create -o type=tmpfs -o device=tmpfs -o o=size=1m v2
d volume inspect v1
d volume inspect v2
d volume inspect v1 nobody
d volume inspect -f '{{.Name}} {{.Driver}} {{.Scope}}' v1
d volume ls --filter name=v
d volume ls --filter label=a --format '{{.Name}} {{.Driver}} {{.Labels}} {{.Scope}}'
d volume ls --filter dangling=false
d volume ls --filter driver=local -q --filter name=named
d volume ls --filter nope=1
d volume ls --filter dangling=x
d volume rm named
d volume rm nobody
d volume rm -f nobody
d volume rm v2 nobody
d volume prune -f --filter label=zzz
sh 'volume prune' 'docker volume prune -f --filter label=a'
a GET '/containers/cc/archive?path=/nothing'
a GET '/containers/cc/archive'
a PUT '/containers/cc/archive?path=/nothing'
a POST /volumes/create '{"Name":"x y"}'
a POST /volumes/create '{"Name":"api","Labels":{"a":"b"}}'
a DELETE /volumes/api
a DELETE /volumes/api
