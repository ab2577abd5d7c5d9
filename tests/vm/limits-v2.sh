# SPDX-License-Identifier: Apache-2.0
# Runs in the test guest: every limit on cgroup v2, in the kernel's files and in its effect. Prints TAP.
export CORACLE_HOME=/run/home
n=0
failed=0
check() { # NAME GOT EXPECTED
	n=$((n + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		echo "#   got:      $2" | head -n 5
		echo "#   expected: $3"
		failed=1
	fi
}
in_range() { # NAME GOT LOW HIGH
	n=$((n + 1))
	if [ "${2:-x}" -ge "$3" ] 2>/dev/null && [ "$2" -le "$4" ]; then
		echo "ok $n - $1 ($2)"
	else
		echo "not ok $n - $1: $2 is not in $3..$4"
		failed=1
	fi
}
r() { coracle run --rm --network none "$@" 2>&1; }
f() { # FILE FLAGS...: the container's own cgroup file
	file=$1
	shift
	r "$@" default cat "/sys/fs/cgroup/$file"
}

check "the guest is pure cgroup v2" "$(awk '$2 == "/sys/fs/cgroup" {print $3}' /proc/mounts)" cgroup2
coracled </dev/null >/run/engine.log 2>&1 &
i=0
until [ "$(r default echo up)" = up ] || [ $i -ge 20 ]; do i=$((i + 1)); sleep 0.2; done
check "a container runs" "$(r default echo up)" up
[ "$failed" = 0 ] || { echo "# $(r default echo up)"; tail -n 20 /run/engine.log; }
check "its kernel is the guest's" "$(r default uname -r)" "$(uname -r)"
check "info says version 2" "$(coracle info --format '{{.CgroupVersion}}')" 2

check "--memory: memory.max" "$(f memory.max --memory 50m)" 52428800
check "--memory: as much swap again" "$(f memory.swap.max --memory 50m)" 52428800
check "--memory-swap is the sum" "$(f memory.swap.max --memory 50m --memory-swap 70m)" 20971520
check "--memory-swap equal: no swap" "$(f memory.swap.max --memory 50m --memory-swap 50m)" 0
check "--memory-swap -1: any swap" "$(f memory.swap.max --memory 50m --memory-swap -1)" max
check "--memory-reservation: memory.low" "$(f memory.low --memory 50m --memory-reservation 20m)" 20971520
check "no limit is max" "$(f memory.max)" max
coracle run --network none --name oom --memory 16m --memory-swap 16m default tail /dev/zero >/dev/null 2>&1
check "over the limit: 137" $? 137
check "over the limit: OOMKilled" "$(coracle inspect --format '{{.State.OOMKilled}}' oom)" true
coracle rm oom >/dev/null

check "--pids-limit: pids.max" "$(f pids.max --pids-limit 20)" 20
check "--pids-limit holds" "$(r --pids-limit 8 default sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.2 & done; wait' | grep -c "can't fork")" 1

check "--cpus: cpu.max" "$(f cpu.max --cpus 0.5)" "50000 100000"
check "--cpu-quota and --cpu-period" "$(f cpu.max --cpu-quota 5000 --cpu-period 20000)" "5000 20000"
check "--cpu-shares 1024: cpu.weight" "$(f cpu.weight --cpu-shares 1024)" 39
check "--cpu-shares 2: the least weight" "$(f cpu.weight --cpu-shares 2)" 1
check "--cpu-shares 262144: the most" "$(f cpu.weight --cpu-shares 262144)" 10000
used=$(r --cpus 0.2 default sh -c 'end=$(($(date +%s) + 3)); while [ $(date +%s) -lt $end ]; do :; done; sed -n "s/^nr_throttled //p" /sys/fs/cgroup/cpu.stat')
in_range "--cpus throttles" "$used" 5 100

check "--cpuset-cpus" "$(f cpuset.cpus.effective --cpuset-cpus 1)" 1
check "--cpuset-mems" "$(f cpuset.mems.effective --cpuset-mems 0)" 0
check "--cpuset-cpus of what is not there is refused" "$(r --cpuset-cpus 7 default true >/dev/null; echo $?)" 125

check "devices: a foreign one is refused" \
	"$(r --cap-add MKNOD default sh -c 'mknod /k c 1 11 && head -c 1 /k' 2>&1 | grep -c 'not permitted')" 1
check "devices: /dev/zero is allowed" "$(r default sh -c 'head -c 4 /dev/zero | wc -c')" 4
check "--device allows one" "$(r --device /dev/vda:/dev/disk default sh -c 'head -c 4 /dev/disk | wc -c')" 4
check "--device :r forbids writing" \
	"$(r --device /dev/vda:/dev/disk:r default sh -c 'echo x >/dev/disk' 2>&1 | grep -c 'not permitted')" 1
check "--privileged reaches all devices" "$(r --privileged default sh -c 'head -c 4 /dev/vda | wc -c')" 4

check "a cgroup namespace of its own" "$(r default cat /proc/self/cgroup)" "0::/"
check "--cgroupns host shows the path" "$(r --cgroupns host default cat /proc/self/cgroup | grep -c '[0-9a-f]\{64\}')" 1
check "/sys/fs/cgroup is read-only" "$(r default mkdir /sys/fs/cgroup/x 2>&1 | grep -c 'Read-only')" 1
check "memory counts as the container's" "$(r --memory 50m default sh -c 'echo $(($(cat /sys/fs/cgroup/memory.current) < 52428800))')" 1

id=$(coracle run --network none -d --memory 30m default sh -c 'while :; do echo >>/t; sleep 0.02; done')
dir=$(find /sys/fs/cgroup -type d -name "*$id*" | head -n 1)
check "its cgroup is there, with its limit" "$(cat "$dir/memory.max")" 31457280
if why=$(coracle pause "$id" 2>&1); then
	check "pause freezes" "$(sed -n 's/^frozen //p' "$dir/cgroup.events")" 1
	coracle unpause "$id" >/dev/null
	check "unpause goes on" "$(sed -n 's/^frozen //p' "$dir/cgroup.events")" 0
else
	n=$((n + 1))
	echo "ok $n - pause and unpause # SKIP the command is not there yet: $why"
fi
coracle rm -f "$id" >/dev/null
sleep 0.2
check "gone with the container" "$(find /sys/fs/cgroup -type d -name "*$id*" | wc -l)" 0

# ---- everyday commands on this version ----
id=$(coracle run --network none -d --name live --memory 30m --cpus 0.5 default sh -c 'trap "exit 7" TERM; while :; do sleep 0.05; done')
dir=$(find /sys/fs/cgroup -type d -name "*$id*" | head -n 1)
check "exec joins the group" "$(coracle exec live sh -c 'grep -c . /proc/self/cgroup; cat /proc/self/cgroup')" "$(printf '1\n0::/')"
check "exec in it counts: limits hold" "$(coracle exec live cat /sys/fs/cgroup/memory.max)" 31457280
coracle update --memory 40m --memory-swap 40m --cpus 1.5 --pids-limit 77 live >/dev/null
check "update: memory.max" "$(cat "$dir/memory.max")" 41943040
check "update: cpu.max" "$(cat "$dir/cpu.max")" "150000 100000"
check "update: pids.max" "$(cat "$dir/pids.max")" 77
coracle update --restart on-failure:3 live >/dev/null
check "update: restart policy" "$(coracle inspect --format '{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}' live)" "on-failure 3"
coracle update --restart no live >/dev/null
check "stats: the limit" "$(coracle stats --no-stream --format '{{.MemUsage}}' live | sed 's/.* //')" 40MiB
in_range "stats: processes" "$(coracle stats --no-stream --format '{{.PIDs}}' live)" 1 3
(printf 'GET /containers/live/stats?stream=0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'; sleep 3) | coracle system dial-stdio >/run/stats.json
for word in '"inactive_file":' '"workingset_activate_file":' '"pgfault":' '"cpu_pressure":' '"memory_pressure":' '"avg10":'; do
	check "stats: has $word" "$(grep -c "$word" /run/stats.json)" 1
done
check "stats: no per-CPU numbers" "$(grep -c percpu_usage /run/stats.json)" 0
coracle pause live >/dev/null
check "paused" "$(coracle inspect --format '{{.State.Status}}' live)" paused
check "exec in a paused one is refused" "$(coracle exec live true >/dev/null 2>&1; echo $?)" 1
coracle kill live >/dev/null
coracle wait live >/dev/null
check "kill ends a paused one" "$(coracle inspect --format '{{.State.ExitCode}}' live)" 137
coracle start live >/dev/null
check "stop lets it say goodbye" "$(coracle stop live >/dev/null; coracle inspect --format '{{.State.ExitCode}}' live)" 7
coracle rm live >/dev/null
coracle run --network none -d --name child --memory 24m --memory-swap 24m default sh -c 'tail /dev/zero; sleep 100000' >/dev/null
i=0
until [ "$(coracle inspect --format '{{.State.OOMKilled}}' child)" = true ] || [ $i -ge 100 ]; do i=$((i + 1)); sleep 0.1; done
check "a child is killed for memory: OOMKilled, and it goes on" "$(coracle inspect --format '{{.State.OOMKilled}} {{.State.Running}}' child)" "true true"
coracle rm -f child >/dev/null
coracle create --network none --name imgbase default sh -c 'mkdir /m; echo two >/m/f' >/dev/null && coracle start -a imgbase && coracle commit imgbase two:1 >/dev/null && coracle rm imgbase >/dev/null
check "an image mount on this kernel" "$(r --mount type=image,source=two:1,target=/x,image-subpath=m default cat /x/f)" two

# The OCI runtime alone, with limits that no flag sets yet: io and hugetlb.
if command -v coracle-runtime >/dev/null; then
	mkdir -p /run/bundle/rootfs/bin /run/bundle/rootfs/proc /run/bundle/rootfs/sys /run/bundle/rootfs/dev
	cp /bin/busybox /run/bundle/rootfs/bin/
	dev=$(cat /sys/block/vda/dev)
	sed "s/MAJOR/${dev%:*}/; s/MINOR/${dev#*:}/" >/run/bundle/config.json <<-'END'
		{"ociVersion":"1.0.2","root":{"path":"rootfs"},"hostname":"b",
		 "process":{"args":["/bin/busybox","sh","-c","cd /sys/fs/cgroup; busybox cat io.max pids.max hugetlb.2MB.max"],
		  "env":["PATH=/bin"],"cwd":"/","user":{"uid":0,"gid":0}},
		 "mounts":[{"destination":"/proc","type":"proc","source":"proc"},
		  {"destination":"/sys","type":"sysfs","source":"sysfs","options":["ro"]},
		  {"destination":"/sys/fs/cgroup","type":"cgroup","source":"cgroup","options":["ro"]}],
		 "linux":{"namespaces":[{"type":"pid"},{"type":"mount"},{"type":"ipc"},{"type":"uts"},{"type":"cgroup"},{"type":"network"}],
		  "cgroupsPath":"/bundle-test",
		  "resources":{"pids":{"limit":33},"hugepageLimits":[{"pageSize":"2MB","limit":4194304}],
		   "blockIO":{"throttleReadBpsDevice":[{"major":MAJOR,"minor":MINOR,"rate":1048576}]}}}}
	END
	out=$(cd /run/bundle && coracle-runtime run b1 2>&1)
	check "runtime: io.max" "$(echo "$out" | sed -n 1p)" "$dev rbps=1048576 wbps=max riops=max wiops=max"
	check "runtime: pids.max" "$(echo "$out" | sed -n 2p)" 33
	check "runtime: hugetlb" "$(echo "$out" | sed -n 3p)" 4194304
	check "runtime: its cgroup is gone" "$(ls -d /sys/fs/cgroup/bundle-test 2>/dev/null)" ""
fi
[ "$failed" = 0 ] || sed 's/^/# engine: /' /run/engine.log | tail -n 15
echo "1..$n"
exit $failed
