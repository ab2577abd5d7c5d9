# SPDX-License-Identifier: Apache-2.0
# create and run: exit codes and refusals
n=(--network none)
# xx OPTIONS...: a create of its own
xx() {
	d create --name xx "$@"
	quiet rm -f xx
}
d create --name aa "${n[@]}" box:1 true
d create --name aa "${n[@]}" box:1 true
d create --name 'bad name' "${n[@]}" box:1
xx "${n[@]}" --memory 1m box:1
xx "${n[@]}" --memory 64m --memory-swap 32m box:1
xx "${n[@]}" --memory-swap 32m box:1
xx "${n[@]}" --memory 64m --memory-reservation 128m box:1
xx "${n[@]}" --memory-swappiness 200 box:1
xx "${n[@]}" --cpus 1000 box:1
xx "${n[@]}" --cpus 1 --cpu-quota 1000 box:1
xx "${n[@]}" --cpu-period 1 box:1
xx "${n[@]}" --cpu-quota 10 box:1
xx "${n[@]}" --cpuset-cpus 999 box:1
xx "${n[@]}" --cpuset-cpus nonsense box:1
xx "${n[@]}" --blkio-weight 5 box:1
xx "${n[@]}" --pids-limit -5 box:1
xx "${n[@]}" --oom-score-adj 2000 box:1
xx "${n[@]}" --restart sometimes box:1
xx "${n[@]}" --restart always:3 box:1
xx "${n[@]}" --restart on-failure:-1 box:1
xx "${n[@]}" --rm --restart always box:1
xx "${n[@]}" --cap-add NOPE box:1
xx "${n[@]}" --runtime nope box:1
xx "${n[@]}" --log-driver nope box:1
xx "${n[@]}" --ipc nope box:1
xx "${n[@]}" --pid nope box:1
xx "${n[@]}" --pid container:nobody box:1
xx "${n[@]}" --uts nope box:1
xx "${n[@]}" --security-opt nope box:1
xx "${n[@]}" --security-opt seccomp=/nonexistent box:1
xx "${n[@]}" --shm-size -1 box:1
xx "${n[@]}" --stop-signal NOPE box:1
xx "${n[@]}" --sysctl nokey box:1
xx "${n[@]}" --ulimit nofile=10:5 box:1
xx "${n[@]}" --ulimit nope=5 box:1
xx "${n[@]}" -v relative/path:/x box:1
xx "${n[@]}" -v /tmp:relative box:1
xx "${n[@]}" -v /tmp:/ box:1
xx "${n[@]}" -v /tmp:/x:nope box:1
xx "${n[@]}" -v /tmp:/x -v /var:/x box:1
xx "${n[@]}" --mount type=bind,src=/nonexistent,dst=/x box:1
xx "${n[@]}" --mount type=nope,dst=/x box:1
xx "${n[@]}" --mount type=bind,dst=/x box:1
xx "${n[@]}" --mount type=tmpfs,src=/y,dst=/x box:1
xx "${n[@]}" --mount type=volume,src=v box:1
xx "${n[@]}" --tmpfs relative box:1
xx "${n[@]}" --volumes-from nobody box:1
xx "${n[@]}" --workdir relative box:1
xx "${n[@]}" --device /nonexistent box:1
xx "${n[@]}" --env-file /nonexistent box:1
xx "${n[@]}" --hostname 'not valid!' box:1
xx "${n[@]}" --health-cmd true --health-interval 1us box:1
xx "${n[@]}" --health-cmd true --health-retries -1 box:1
xx "${n[@]}" --no-healthcheck --health-cmd true box:1
xx --network container:nobody box:1
xx --network container:aa --hostname h box:1
xx --network host --network-alias y box:1
xx "${n[@]}" --label = box:1
xx "${n[@]}" 'UPPER:x'
d create "${n[@]}"
d create --nope box:1
d run --rm "${n[@]}" box:1 true
d run --rm "${n[@]}" box:1 sh -c 'echo out; echo err >&2; exit 7'
d run --rm "${n[@]}" box:1 /no/such
d run --rm "${n[@]}" box:1 nosuch
d run --rm "${n[@]}" box:1 /bin
d run --rm "${n[@]}" box:1 /etc/passwd
d run --rm "${n[@]}" -w /etc/passwd box:1 true
d run --rm "${n[@]}" -w /new/dir box:1 pwd
d run --rm "${n[@]}" -u nobodyhere box:1 id
d run --rm "${n[@]}" -u 1000:nogroup box:1 id
d run --rm "${n[@]}" -u 77 box:1 id
d run --rm "${n[@]}" full:1
d run --rm "${n[@]}" full:1 other words
d run --rm "${n[@]}" --entrypoint id full:1
d run --rm "${n[@]}" --entrypoint '' full:1 id
d run --rm "${n[@]}" --entrypoint '' box:1
d run --rm "${n[@]}" -d -a stdout box:1 true
d run --rm "${n[@]}" box:1 sh -c 'kill -9 $$'
d run --rm "${n[@]}" box:1 sh -c 'kill -TERM $$'
d run --rm "${n[@]}" -h host1 box:1 hostname
d run --rm "${n[@]}" -e A=1 -e B -e C= box:1 sh -c 'env | sort'
d run --rm "${n[@]}" -t box:1 true
d run --rm "${n[@]}" --read-only box:1 touch /x
d run --rm "${n[@]}" --tmpfs /t:size=1m,mode=700 box:1 stat -c %a /t
d run --rm "${n[@]}" --cap-drop ALL box:1 grep Cap /proc/1/status
d run --rm "${n[@]}" box:1 grep -E 'Cap|Seccomp:|NoNewPrivs' /proc/1/status
# (--privileged needs capabilities that not every machine gives dockerd.)
d create --name x "${n[@]}" box:1
d run --rm "${n[@]}" box:1 cat /proc/1/oom_score_adj
d run --rm "${n[@]}" box:1 sh -c 'ls /dev | grep -v core'
d run --rm "${n[@]}" box:1 sh -c "cut -d' ' -f2-3 /proc/mounts | grep -v cgroup | sort"
d run --rm "${n[@]}" box:1 cat /etc/hosts /etc/hostname
d run --rm --network host box:1 cat /etc/hosts
d run --rm "${n[@]}" -v vol1:/v box:1 stat -c '%A %U %G' /v
d run --cidfile "$WORK/cid" "${n[@]}" --rm box:1 true
d run --cidfile "$WORK/cid" "${n[@]}" --rm box:1 true
d run "${n[@]}" --pull never box:1 true
d run "${n[@]}" --pull nope box:1 true
d run "${n[@]}" --isolation nope box:1 true
d run "${n[@]}" --gpus all box:1 true
d run "${n[@]}" --rm --link a:b box:1 true
