# SPDX-License-Identifier: Apache-2.0
# events, prune, info, version, df, images
n=(--network none)
since=$(date +%s.%N)
quiet run --name cc "${n[@]}" -l a=b -v named:/n box:1 sh -c 'exit 3'
quiet start cc
quiet wait cc
quiet rename cc cc2
quiet rm cc2
quiet run -d --name ee "${n[@]}" box:1 sleep 1000
quiet exec ee true
quiet pause ee
quiet unpause ee
quiet cp ee:/etc/passwd "$WORK/x"
quiet cp "$WORK/x" ee:/tmp/x
quiet update --memory 128m --memory-swap 128m ee
quiet top ee
quiet stop -t 0 ee
quiet commit ee made:1
quiet tag made:1 made:2
quiet export -o "$WORK/x" ee
quiet rm ee
quiet rmi made:1 made:2
quiet volume create v
quiet volume rm v
until=$(date +%s.%N)
event_fields='{{.Type}} {{.Action}} {{range $k, $v := .Actor.Attributes}}{{$k}}={{$v}} {{end}}'
sh 'events in order' "docker events --since $since --until $until --format '$event_fields' | grep -v '^network'"
sh 'events of one kind' "docker events --since $since --until $until --filter type=volume --format '{{.Action}}'"
sh 'events of one container' "docker events --since $since --until $until --filter container=ee --filter event=die --filter event=start --format '{{.Action}} {{.From}} {{.Status}}'"
sh 'events by label' "docker events --since $since --until $until --filter label=a=b --filter type=container --format '{{.Action}}'"
sh 'an event as text' "docker events --since $since --until $until --filter event=create --filter type=container"
sh 'an event as JSON' "docker events --since $since --until $until --filter container=ee --filter event=die --format '{{json .}}'"
sh 'events of a bad time' "docker events --since nonsense --until 1"
sh 'images' 'docker images | sort; docker images -q --no-trunc | sort; docker images --digests | sort'
d images --format '{{json .}}' box
d images --filter dangling=true
d images --filter reference='b*'
d images --filter label=maker=me --format '{{.Repository}}:{{.Tag}}'
d images --filter before=nobody
d images --filter nope=1
d images nobody
d history box:1
d history --no-trunc --format '{{.CreatedBy}} {{.Comment}}' full:1
d history nobody
d tag box:1 new:2
d tag nobody x:1
d tag box:1 'BAD:1'
d rmi new:2
d rmi nobody
quiet create --name user "${n[@]}" full:1
d rmi full:1
d rmi -f nobody
d image prune -f
d image prune -f --filter nope=1
sh 'save' 'docker save box:1 | tar tf - | grep -cE "^(manifest.json|repositories)$"; docker save nobody; docker save -o $WORK/no/such box:1'
sh 'load' 'docker save -o $WORK/s.tar box:1; docker load -i $WORK/s.tar; docker load -q -i $WORK/s.tar; docker load -i $WORK/none'
d container prune -f --filter label=zzz
d container prune -f --filter until=nonsense
d container prune -f --filter nope=1
sh 'container prune' 'docker container prune -f | wc -l'
sh 'system prune' 'docker system prune -f --volumes | grep -v "<" | grep -vE "^[0-9a-f]{64}"'
d system df --format '{{.Type}}|{{.TotalCount}}|{{.Active}}'
d system df --format '{{json .}}'
d info --format '{{.OSType}} {{.CgroupVersion}} {{.LiveRestoreEnabled}} {{json .Swarm.LocalNodeState}}'
d info --format '{{.Nope}}'
d version --format '{{.Server.Os}} {{.Server.Arch}}'
d version --format '{{.Nope}}'
sh 'fields of info' 'curl -s --unix-socket $SOCK http://d/v1.41/info | python3 -c "import json,sys
for k,v in sorted(json.load(sys.stdin).items()): print(k, type(v).__name__)"'
sh 'fields of version' 'curl -s --unix-socket $SOCK http://d/v1.41/version | python3 -c "import json,sys
for k,v in sorted(json.load(sys.stdin).items()): print(k, type(v).__name__)"'
sh 'fields of system df' 'curl -s --unix-socket $SOCK http://d/v1.41/system/df | python3 -c "import json,sys
print(*sorted(json.load(sys.stdin)))"'
a GET /_ping
a GET /nope
a POST /containers/create '{'
a POST /containers/create '{}'
a POST /containers/create '{"Image":"nobody"}'
a POST /containers/create?name=x%20y '{"Image":"box:1"}'
a POST /containers/prune?filters=x
a GET /events?filters=x
a GET /images/nobody/json
a DELETE /images/nobody
a DELETE /containers/nobody
a POST /auth '{"username":"u"}'
a GET /swarm
a GET /plugins
a GET /distribution/127.0.0.1:1/x/json
d login 127.0.0.1:1 -u u -p p
d logout 127.0.0.1:1
d pull 127.0.0.1:1/x
d push 127.0.0.1:1/x
d network ls
d swarm leave
d plugin ls
