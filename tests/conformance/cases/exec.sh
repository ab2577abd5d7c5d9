# SPDX-License-Identifier: Apache-2.0
# exec, attach, logs
n=(--network none)
quiet run -d --name cc "${n[@]}" -e CONT=1 box:1 sleep 1000
d exec cc true
d exec cc false
d exec cc sh -c 'echo out; echo err >&2; exit 9'
d exec cc /no/such
d exec cc nosuch
d exec cc /bin
d exec cc /etc/passwd
d exec cc
d exec nobody true
d exec -e A=1 -e B=2 cc env
d exec -u 5:6 cc id
d exec -u nobodyhere cc id
d exec -w /tmp cc pwd
d exec -w /no/such cc pwd
d exec -w relative cc pwd
d exec -d cc touch /tmp/x
d exec -t cc echo x
d exec --privileged cc grep CapEff /proc/self/status
d exec cc grep CapEff /proc/self/status
d exec cc sh -c 'kill -9 $$'
d exec --env-file /nonexistent cc env
d exec --detach-keys nonsense cc true
sh 'stdin of exec' 'printf "a\nb\n" | docker exec -i cc wc -l'
d exec -it cc true
sh 'exec by the API' 'id=$(curl -s --unix-socket $SOCK -H "Content-Type: application/json" -d "{\"Cmd\":[\"sleep\",\"100\"]}" http://d/v1.41/containers/cc/exec | cut -d\" -f4)
curl -s --unix-socket $SOCK http://d/v1.41/exec/$id/json; echo; curl -s --unix-socket $SOCK -H "Content-Type: application/json" -d "{\"Detach\":true}" http://d/v1.41/exec/$id/start
curl -s --unix-socket $SOCK http://d/v1.41/exec/$id/json; echo; curl -s --unix-socket $SOCK -H "Content-Type: application/json" -d "{\"Detach\":true}" http://d/v1.41/exec/$id/start'
a POST /exec/nobody/start '{}'
a GET /exec/nobody/json
a POST /exec/nobody/resize?h=1\&w=1
a POST /containers/cc/exec '{}'
a POST /containers/cc/exec '{"Cmd":[]}'
a POST /containers/cc/exec '{"Cmd":["x"],"User":"nobodyhere"}'
a POST /containers/cc/resize?h=x\&w=1
a POST /containers/nobody/resize?h=1\&w=1
a POST /containers/nobody/attach
a GET /containers/cc/logs
a GET '/containers/cc/logs?stdout=1&tail=x'
a GET '/containers/cc/logs?stdout=1&since=x'
quiet run --name ll "${n[@]}" box:1 sh -c 'for i in 1 2 3; do echo out$i; echo err$i >&2; sleep 0.05; done'
d logs ll
d logs -n 2 ll
d logs --tail 0 ll
d logs --tail -1 ll
d logs --tail x ll
d logs -t ll
d logs --since 1h ll
d logs --until 1h ll
d logs --since nonsense ll
d logs -f ll
d logs --details ll
quiet run --name ll2 "${n[@]}" --log-driver none box:1 echo x
d logs ll2
quiet create --name att -i "${n[@]}" box:1 cat
sh 'start -ai' 'echo hello | docker start -ai att'
d inspect -f '{{.Config.OpenStdin}} {{.Config.StdinOnce}} {{.Config.AttachStdin}}' att
