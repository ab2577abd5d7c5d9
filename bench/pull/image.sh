#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes the image of the pull benchmark as an OCI layout, once: eleven layers of Debian packages and made-up
# files, some 950 MB and 52,000 files unpacked; tags gzip and zstd, and gzip-new and zstd-new, which differ in
# the last layer and have one more.
# usage: bench/pull/image.sh LAYOUT-DIRECTORY     as root; Debian's mirror is taken from this machine's sources
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$1
[ ! -f "$out/index.json" ] || exit 0
if [ -z "${BENCH_IMAGE_INSIDE:-}" ]; then
	exec unshare --mount --propagation private env BENCH_IMAGE_INSIDE=1 "$0" "$out"
fi
work=/mnt
mount -t tmpfs -o size=4G bench-image "$work"
layout=$out.tmp
rm -rf "$layout"
mkdir -p "$layout/blobs/sha256" "$work/layers" "$work/root" "$work/work"
mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' \
	/etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1) || true

# One layer from a directory: both compressions, and its line for every tag that has it.
lines=$work/lines
seal() { # DIRECTORY TAG-SUFFIX...
	local dir=$1 diff kind digest suffix
	shift
	rm -f "$work/tar.gz" "$work/tar.zst" "$work/sum"
	mkfifo "$work/to-zstd" "$work/to-sum"
	zstd -q -3 <"$work/to-zstd" >"$work/tar.zst" &
	sha256sum <"$work/to-sum" >"$work/sum" &
	python3 "$here/layer.py" "$dir" | tee "$work/to-zstd" "$work/to-sum" | gzip -n >"$work/tar.gz"
	wait
	rm "$work/to-zstd" "$work/to-sum"
	diff=sha256:$(cut -d' ' -f1 "$work/sum")
	for kind in gzip zstd; do
		local file=$work/tar.gz
		[ $kind = gzip ] || file=$work/tar.zst
		digest=$(sha256sum <"$file" | cut -d' ' -f1)
		for suffix in "$@"; do
			echo "$kind$suffix $kind $diff sha256:$digest $(stat -c %s "$file")" >>"$lines"
		done
		cp "$file" "$layout/blobs/sha256/$digest"
	done
}

n=0
below=
step() { # COMMAND: runs in a chroot of all layers so far; what it changed is the next layer
	local root=$work/root rc=0
	n=$((n + 1))
	mkdir -p "$work/layers/$n" "$work/work/$n"
	mount -t overlay overlay -o "lowerdir=$below,upperdir=$work/layers/$n,workdir=$work/work/$n" "$root"
	mount -t proc proc "$root/proc"
	mount --rbind /dev "$root/dev"
	cat /etc/resolv.conf >"$root/etc/resolv.conf"
	for f in /etc/apt/apt.conf.d/*proxy* /etc/apt/apt.conf.d/*registry*; do [ ! -f "$f" ] || cat "$f" >"$root/etc/apt/apt.conf.d/${f##*/}"; done
	chroot "$root" sh -ec "export DEBIAN_FRONTEND=noninteractive; $1" </dev/null >>"$work/log" 2>&1 || rc=$?
	umount -R "$root/dev" "$root/proc"
	rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin "$root"/var/log/*
	umount "$root"
	[ $rc = 0 ] || {
		tail -n 5 "$work/log" >&2
		exit 1
	}
	below=$work/layers/$n:$below
	echo "layer $((n + 1)): ${1:0:60}" >&2
}

mkdir "$work/layers/base"
TMPDIR=$work mmdebstrap --variant=minbase --quiet bookworm "$work/base.tar" ${mirror:+"$mirror"} >>"$work/log" 2>&1
tar -C "$work/layers/base" --numeric-owner --xattrs --xattrs-include='*' -xpf "$work/base.tar" --exclude='./dev/*'
rm -rf "$work/base.tar" "$work"/layers/base/var/lib/apt/lists/* "$work"/layers/base/var/cache/apt/archives/*.deb
below=$work/layers/base
install='apt-get install -y -q --no-install-recommends'
step 'apt-get update -q'
step "$install ca-certificates curl perl git"
step "$install python3 python3-pip python3-venv"
step "$install gcc g++ libc6-dev make pkg-config"
step "$install nodejs"
step "$install npm"
step "$install python3-numpy python3-lxml python3-yaml"
# shellcheck disable=SC2016 # for the shell inside
step 'useradd -m app; mkdir -p /srv/app; for d in $(seq 100); do mkdir -p /srv/app/d$d; for f in $(seq 100); do
	echo "file $d $f $((d*f))" >/srv/app/d$d/f$f.txt; done; done; chown -R app /srv/app'
step 'rm -rf /usr/share/doc /usr/share/man /srv/app/d1 /srv/app/d2/*; rm -rf /var/lib/apt/lists'
step 'head -c 20000000 /dev/urandom >/srv/app/blob.bin; ln -s blob.bin /srv/app/blob
	ln /srv/app/blob.bin /srv/app/blob.hard; touch /srv/app/done'
last=$n
# The update: another last layer, and one more with a new program version's worth of files.
below=${below#*:}
step 'head -c 2000000 /dev/urandom >/srv/app/blob.bin; touch /srv/app/done'
# shellcheck disable=SC2016
step 'for f in $(seq 200); do echo "new $f" >/srv/app/d3/new$f.txt; done'

seal "$work/layers/base" "" -new
for i in $(seq $((last - 1))); do seal "$work/layers/$i" "" -new; done
seal "$work/layers/$last" ""
for i in $(seq $((last + 1)) "$n"); do seal "$work/layers/$i" -new; done
python3 "$here/layout.py" "$layout" <"$lines"
mv "$layout" "$out"
