# SPDX-License-Identifier: Apache-2.0
# Everyday commands in depth: numbers of stats, expressions in ps filters.
bats_require_minimum_version 1.5.0
load lib.bash

setup_file() { start_engine; }
teardown_file() { stop_engine; }

@test "ps: name= takes regular expressions, wrong ones are refused" {
	for name in web1 web22 db-1 xweb1; do c create --name "$name" default true; done
	names() { c ps -a --filter "name=$1" --format '{{.Names}}' | sort | tr '\n' ' '; }
	equals "$(names 'web')" "web1 web22 xweb1 "
	equals "$(names '^web')" "web1 web22 "
	equals "$(names '^/web')" "web1 web22 "
	equals "$(names '^web[0-9]$')" "web1 "
	equals "$(names '^(web|db)[-0-9]+$')" "db-1 web1 web22 "
	equals "$(names 'web.{2}')" "web22 "
	equals "$(names '^w.*1$|^db')" "db-1 web1 "
	equals "$(names 'nothing')" ""
	for bad in '(' '[' 'a{900}{900}' '(a)\1'; do
		run c ps -a --filter "name=$bad"
		[ "$status" -ne 0 ]
		contains "$output" "error parsing regexp"
	done
	c rm web1 web22 db-1 xweb1
}

@test "stats: the kernel's memory.stat, the processors, the operations; no networks on none" {
	c run -d --name busy --network none --memory 64m default sh -c 'end=$(($(date +%s) + 1)); while [ $(date +%s) -lt $end ]; do :; done; exec sleep 100000'
	j=$(api GET "/containers/busy/stats?stream=false")
	equals "$(jq -r '.networks' <<<"$j")" null
	equals "$(jq -r '.memory_stats.limit' <<<"$j")" 67108864
	if [ "$(c info --format '{{.CgroupVersion}}')" = 1 ]; then
		group=/sys/fs/cgroup/memory/coracle/$(c inspect --format '{{.Id}}' busy)
		equals "$(jq -r '.memory_stats.stats | keys[]' <<<"$j" | sort)" "$(cut -d' ' -f1 "$group/memory.stat" | sort)"
		equals "$(jq -r '.memory_stats.stats.hierarchical_memory_limit' <<<"$j")" 67108864
		equals "$(jq -r '.pressure_stats' <<<"$j")" null
		equals "$(jq -r '.cpu_stats.cpu_usage.percpu_usage | length >= 1' <<<"$j")" true
		equals "$(jq -r '.cpu_stats.cpu_usage | (.percpu_usage | add) as $s | ($s - .total_usage | fabs) < 1e8' <<<"$j")" true
		equals "$(jq -c '.blkio_stats.sectors_recursive' <<<"$j")" "[]"
	fi
	equals "$(jq -r '.cpu_stats.cpu_usage.total_usage > 100000000' <<<"$j")" true
	run -0 c stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.NetIO}} {{.PIDs}}' busy
	matches "$output" '^busy [0-9.]+[KM]iB / 64MiB 0B / 0B [0-9]+$'
	c rm -f busy
}

@test "stats: a processor that is busy is 100 %, an idle container none" {
	c run -d --name spin --cpuset-cpus 0 default sh -c 'while :; do :; done'
	c run -d --name idle default sleep 100000
	spin=$(c stats --no-stream --format '{{.CPUPerc}}' spin)
	idle=$(c stats --no-stream --format '{{.CPUPerc}}' idle)
	c rm -f spin idle
	# other work may share the processor: only the upper bound is certain
	awk -v s="${spin%\%}" -v i="${idle%\%}" 'BEGIN {exit !(s > 5 && s <= 103 && i < 5)}' || { echo "$spin $idle"; false; }
}

@test "nothing is left of all this" {
	no_leaks
}
