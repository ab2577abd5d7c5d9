# SPDX-License-Identifier: Apache-2.0
# Limits, read where the kernel keeps them: the container's own cgroup files and /proc.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() { start_engine; }
teardown_file() { stop_engine; }

inside() { # FLAGS... FILE -> its content in the container
	local file=${*: -1}
	run -0 c run --rm "${@:1:$#-1}" default cat "$file"
}

@test "--memory" {
	inside --memory 50m "$(cg memory/memory.limit_in_bytes memory.max)"
	equals "$output" $((50 << 20))
}

@test "--memory sets swap to the double, --memory-swap to the sum" {
	if cgroup_v2; then
		inside --memory 50m "$(cg - memory.swap.max)"
		equals "$output" $((50 << 20))
		inside --memory 50m --memory-swap 70m "$(cg - memory.swap.max)"
		equals "$output" $((20 << 20))
	else
		[ -f /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes ] || skip_because "the kernel does not account swap"
		inside --memory 50m /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes
		equals "$output" $((100 << 20))
		inside --memory 50m --memory-swap 70m /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes
		equals "$output" $((70 << 20))
	fi
}

@test "--memory-reservation" {
	inside --memory 50m --memory-reservation 20m "$(cg memory/memory.soft_limit_in_bytes memory.low)"
	equals "$output" $((20 << 20))
}

@test "rates of a block device" {
	dev=$(lsblk -dnpo NAME,TYPE | awk '$2=="disk"{print $1; exit}')
	[ -b "$dev" ] || skip_because "there is no disk"
	number=$(lsblk -dno MAJ:MIN "$dev" | tr -d ' ')
	if cgroup_v2; then
		inside --device-read-bps "$dev:1mb" --device-write-iops "$dev:100" io.max
		contains "$output" "$number rbps=1048576"
		contains "$output" "wiops=100"
	else
		for pair in read-bps:1mb=1048576 write-bps:2mb=2097152 read-iops:100=100 write-iops:200=200; do
			flag=${pair%%:*} value=${pair##*=} given=${pair#*:}
			inside "--device-$flag" "$dev:${given%=*}" "/sys/fs/cgroup/blkio/blkio.throttle.${flag/-/_}_device"
			equals "$output" "$number $value"
		done
	fi
	for bad in sda:1mb /dev/sda /dev/sda:x /dev/sda:-1; do
		run c run --rm --device-read-bps "$bad" default true
		code 125
		contains "$output" "invalid argument \"$bad\" for \"--device-read-bps\" flag"
	done
	run c run --rm --blkio-weight-device "$dev:5" default true
	code 125
	contains "$output" "invalid weight for device"
}

@test "what this kernel or we cannot do is said by name" {
	run c run --rm --gpus all default true
	code 125
	contains "$output" "could not select device driver"
	[ "$E2E_CLIENT" = coracle ] || return 0
	run c run --rm --gpus 'device=0,bogus=1' default true
	code 125
	contains "$output" "unexpected key 'bogus'"
}

@test "contradictions are refused with Docker's words" {
	run c run --rm --memory 4m default true
	code 125
	contains "$output" "Minimum memory limit allowed is 6MB"
	run c run --rm --memory 50m --memory-swap 40m default true
	code 125
	contains "$output" "Minimum memoryswap limit should be larger than memory limit"
	run c run --rm --memory-swap 40m default true
	code 125
	contains "$output" "You should always set the Memory limit when using Memoryswap limit"
	run c run --rm --memory 50m --memory-reservation 60m default true
	code 125
	run c run --rm --cpus 1000 default true
	code 125
	contains "$output" "ange of CPUs is from 0.01 to"
	run c run --rm --cpus 1 --cpu-quota 1000 default true
	code 125
	run c run --rm --cpuset-cpus 900 default true
	code 125
	run c run --rm --memory 10x default true
	code 125
}

@test "over the memory limit: killed, 137, OOMKilled" {
	run c run --name oom --memory 10m --memory-swap 10m default sh -c 'dd if=/dev/zero of=/dev/shm/x bs=1M count=60; tail /dev/zero'
	code 137
	run -0 c inspect --format '{{.State.OOMKilled}} {{.State.ExitCode}}' oom
	equals "$output" "true 137"
	c rm oom
}

@test "--cpus, --cpu-period and --cpu-quota" {
	if cgroup_v2; then
		inside --cpus 0.5 /sys/fs/cgroup/cpu.max
		equals "$output" "50000 100000"
		inside --cpu-period 20000 --cpu-quota 5000 /sys/fs/cgroup/cpu.max
		equals "$output" "5000 20000"
	else
		run -0 c run --rm --cpus 0.5 default sh -c 'cd /sys/fs/cgroup/cpu; cat cpu.cfs_quota_us cpu.cfs_period_us'
		equals "$output" $'50000\n100000'
		run -0 c run --rm --cpu-period 20000 --cpu-quota 5000 default sh -c 'cd /sys/fs/cgroup/cpu; cat cpu.cfs_quota_us cpu.cfs_period_us'
		equals "$output" $'5000\n20000'
	fi
}

@test "--cpu-shares" {
	inside --cpu-shares 2048 "$(cg cpu/cpu.shares cpu.weight)"
	if cgroup_v2; then equals "$output" 79; else equals "$output" 2048; fi
}

@test "--cpuset-cpus and --cpuset-mems" {
	inside --cpuset-cpus 0 --cpuset-mems 0 "$(cg cpuset/cpuset.cpus cpuset.cpus)"
	equals "$output" 0
	run -0 c run --rm --cpuset-cpus 0 default grep Cpus_allowed_list /proc/self/status
	matches "$output" '0$'
}

@test "--pids-limit: the file, and that it holds" {
	inside --pids-limit 20 "$(cg pids/pids.max pids.max)"
	equals "$output" 20
	run c run --rm --pids-limit 10 default sh -c 'for i in $(seq 30); do sleep 1 & done; wait'
	[ "$status" -ne 0 ]
	contains "$output" "can't fork"
}

@test "--ulimit" {
	run -0 c run --rm --ulimit nofile=100:200 --ulimit core=0 default sh -c 'ulimit -Sn; ulimit -Hn; ulimit -c'
	equals "$output" $'100\n200\n0'
	run c run --rm --ulimit nofile=300:200 default true
	code 125
	contains "$output" "soft limit"
	run c run --rm --ulimit nosuch=1 default true
	code 125
}

@test "--oom-score-adj" {
	inside --oom-score-adj 500 /proc/self/oom_score_adj
	equals "$output" 500
	run c run --rm --oom-score-adj 2000 default true
	code 125
}

@test "limits are in inspect" {
	c create --name lim --memory 50m --cpus 1.5 --pids-limit 30 --cpu-shares 100 --ulimit nofile=10:20 default
	run -0 c inspect --format '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}} {{.HostConfig.CpuShares}} {{json .HostConfig.Ulimits}}' lim
	equals "$output" '52428800 1500000000 30 100 [{"Name":"nofile","Hard":20,"Soft":10}]' ||
		equals "$output" '52428800 1500000000 30 100 [{"Hard":20,"Name":"nofile","Soft":10}]'
	c rm lim
}

@test "a cgroup of the container's own, gone with it" {
	id=$(c run -d default sleep 1000)
	run find /sys/fs/cgroup -type d -name "*$id*"
	[ -n "$output" ]
	c rm -f "$id"
	sleep 0.1
	run find /sys/fs/cgroup -type d -name "*$id*"
	equals "$output" ""
}
