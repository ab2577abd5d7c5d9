# SPDX-License-Identifier: Apache-2.0
# start, stop, restart, kill, pause, rename, wait, update, rm, attach, top, port
n=(--network none)
d start nobody
d stop nobody
d restart nobody
d kill nobody
d pause nobody
d unpause nobody
d rename nobody x
d wait nobody
d update --memory 64m nobody
d rm nobody
d rm -f nobody
d attach nobody
d top nobody
d port nobody
d logs nobody
d diff nobody
d stats --no-stream nobody
d export nobody
d commit nobody
d inspect nobody
d container inspect nobody
quiet create --name cc "${n[@]}" box:1 sh -c 'trap "exit 3" TERM; sleep 1000 & while :; do wait; done'
d pause cc
d unpause cc
d stop cc
d kill cc
d attach cc
d top cc
d port cc
d exec cc true
d stats --no-stream --format '{{.Name}} {{.CPUPerc}} {{.PIDs}}' cc
d start cc
d start cc
d start -a -i cc cc
d pause cc
d pause cc
d ps --format '{{.Names}} {{.Status}} {{.State}}'
d exec cc true
d rm cc
d unpause cc
d unpause cc
d rename cc cc
d rename cc ''
d rename cc '/bad name'
d rename cc cc2
d rename cc2 cc
quiet create --name other "${n[@]}" box:1 true
d rename cc other
d rm cc
sh 'top' 'docker top cc -o pid,args | cut -c 20-'
d top cc -eo comm
d top cc nonsense
d top cc -o comm
d kill -s NOPE cc
d kill -s 0 cc
d kill -s 99 cc
d kill -s USR2000 cc
d kill -s SIGWINCH cc
d update --memory 1m cc
d update --cpus 0.5 --memory 128m --memory-swap 256m --restart on-failure:2 cc
d inspect -f '{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{json .HostConfig.RestartPolicy}}' cc
d update cc
d update --restart nope cc
d update --cpu-period 1 cc
d update --pids-limit 20 cc
d update --kernel-memory 4m cc
d stop -t 5 cc
d inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}' cc
d wait cc
d start cc
d restart -t 1 cc
d inspect -f '{{.State.Status}} {{.RestartCount}}' cc
d kill cc
d wait cc cc
d start -a other
d rm cc other nobody
d run -d --name rr "${n[@]}" --restart on-failure:1 box:1 false
for _ in $(seq 100); do [ "$(docker inspect -f '{{.RestartCount}} {{.State.Status}}' rr)" = '1 exited' ] && break; sleep 0.05; done
d inspect -f '{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}' rr
d rm rr
d run -d --name rmd --rm "${n[@]}" box:1 sleep 1000
d rm -f rmd
d rm rmd
d run -d --name hh "${n[@]}" --health-cmd 'echo fine' --health-interval 100ms box:1 sleep 1000
for _ in $(seq 100); do [ "$(docker inspect -f '{{.State.Health.Status}}' hh)" = healthy ] && break; sleep 0.05; done
d inspect -f '{{.State.Health.Status}} {{(index .State.Health.Log 0).ExitCode}} {{(index .State.Health.Log 0).Output}}' hh
d ps --format '{{.Names}} {{.Status}}'
d ps -q --filter health=healthy
d rm -fv hh
d stop -t x cc
d start
d kill
d wait
d rm
d rename a
d update
