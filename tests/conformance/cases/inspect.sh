# SPDX-License-Identifier: Apache-2.0
# inspect: every field of containers with few and with many options, in each state
n=(--network none)
quiet create --name plain "${n[@]}" box:1
d inspect plain
quiet create --name many "${n[@]}" -i -t -a stdout -h many --domainname dom -e X=1 -l k=v --memory 64m --memory-reservation 32m --cpus 1.5 --cpu-shares 512 \
	--cpuset-cpus 0 --pids-limit 10 --blkio-weight 100 --oom-score-adj 5 --oom-kill-disable --restart on-failure:3 --cap-add NET_ADMIN \
	--cap-drop CHOWN --read-only --tmpfs /t:size=1m --shm-size 1m --sysctl net.ipv4.ip_forward=1 --ulimit nofile=10:20 \
	-v "$WORK:/w:ro" -v named:/n --mount type=tmpfs,dst=/mt,tmpfs-size=1000000 --mount type=bind,src="$WORK",dst=/mb,bind-propagation=rslave \
	--dns 1.2.3.4 --dns-search s --dns-option o --add-host a:1.2.3.4 --group-add 5 --init --ipc private --pid host --uts host --userns host \
	--security-opt no-new-privileges --device /dev/null:/dev/n:r --device-cgroup-rule 'c 1:3 r' --stop-signal INT --stop-timeout 7 \
	--log-opt max-size=1m --log-opt max-file=2 --health-cmd true --health-interval 30s --health-timeout 3s --health-retries 4 \
	--health-start-period 5s --annotation x=y -u 1:2 -w /w --label-file /dev/null --expose 81 --cgroup-parent /judge --cgroupns private full:1 a b
d inspect many
quiet create --name many "${n[@]}" -i -t -a stdout -h many --domainname dom -e X=1 -l k=v --memory 64m --memory-reservation 32m --cpus 1.5 --cpu-shares 512 \
	--cpuset-cpus 0 --pids-limit 10 --oom-score-adj 5 --restart on-failure:3 --cap-add NET_ADMIN \
	--cap-drop CHOWN --read-only --tmpfs /t:size=1m --shm-size 1m --ulimit nofile=10:20 \
	-v "$WORK:/w:ro" -v named:/n --mount type=tmpfs,dst=/mt,tmpfs-size=1000000 --mount type=bind,src="$WORK",dst=/mb,bind-propagation=rslave \
	--dns 1.2.3.4 --dns-search s --dns-option o --add-host a:1.2.3.4 --group-add 5 --init --ipc private --pid host --uts host \
	--security-opt no-new-privileges --device /dev/null:/dev/n:r --device-cgroup-rule 'c 1:3 r' --stop-signal INT --stop-timeout 7 \
	--log-opt max-size=1m --log-opt max-file=2 --health-cmd true --health-interval 30s --health-timeout 3s --health-retries 4 \
	--health-start-period 5s -u 1:2 -w /w --expose 81 full:1 a b
d inspect many
quiet create --name from "${n[@]}" --privileged --volumes-from many full:1
d inspect from
quiet run -d --name running "${n[@]}" box:1 sleep 1000
d inspect running
d inspect --size running
d inspect --type image running
d inspect --type volume running
d inspect --type nope running
d inspect running nobody
d inspect -f '{{.Nope}}' running
d inspect -f '{{.State.Nope' running
d inspect -f '{{json .State.Status}} {{.Name}} {{len .Id}} {{index .Config.Cmd 0}}' running
d inspect box:1
d inspect full:1
d image inspect running
d volume inspect named
d inspect named
quiet pause running
d inspect -f '{{json .State}}' running
quiet unpause running
quiet kill running
d inspect -f '{{json .State}}' running
quiet run --name failed "${n[@]}" box:1 /no/such
d inspect -f '{{json .State}}' failed
quiet run --name user --network host full:1
d inspect user
a GET /containers/running/json?size=1
a GET /containers/nobody/json
a GET '/containers/json?all=1&size=1'
a GET /images/box:1/history
a GET /volumes/none
a GET '/containers/json?filters=%7B%22nope%22:%5B%22x%22%5D%7D'
a GET '/containers/json?filters=x'
a GET '/containers/json?limit=x'
