# SPDX-License-Identifier: Apache-2.0
# ps: columns and filters
n=(--network none)
d ps
d ps -a
d ps -aq
quiet run -d --name one "${n[@]}" -l a=b box:1 sleep 1000
quiet run --name two "${n[@]}" -v named:/n box:1 sh -c 'exit 4'
quiet create --name three --network host full:1 a b
d ps
d ps -a
d ps -l
d ps -n 2
d ps -aq --no-trunc
d ps -as
d ps -a --no-trunc --format '{{.Names}}|{{.Image}}|{{.Command}}|{{.State}}|{{.Status}}|{{.Ports}}|{{.Mounts}}|{{.Networks}}|{{.LocalVolumes}}|{{.RunningFor}}'
d ps -a --format '{{json .}}' --filter name=one
d ps -a --format 'table {{.Names}}\t{{.Image}}'
d ps -a --format '{{.Label "a"}}'
d ps -a --format '{{.Nope}}'
d ps -a --format '{{'
for f in status=running status=exited status=created status=nope name=one name=^o 'name=^/one$' label=a label=a=b label=a=x exited=4 exited=x \
	ancestor=box:1 ancestor=full ancestor=nobody volume=named volume=/n volume=nope network=none network=host before=two since=two before=nobody \
	id=zzz health=none health=nope is-task=false isolation=default publish=80 publish=x expose=80 nope=1 nonsense; do
	d ps -a --format '{{.Names}}' --filter "$f"
done
d ps -a --format '{{.Names}}' --filter name=one --filter name=two --filter status=running
d container ls -a --format '{{.Names}}'
d stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.NetIO}} {{.BlockIO}} {{.PIDs}}' one
d stats --no-stream one two
d stats --no-stream -a --no-trunc --format '{{.Name}} {{.Container}} {{.ID}}'
a GET /containers/one/stats?stream=0\&one-shot=1
a GET /containers/two/stats?stream=0
