# SPDX-License-Identifier: Apache-2.0
# What coracle-unpack makes of a layer, beside GNU tar and umoci: modes, owners, times, attributes, hard links,
# sparse files, odd names; and layers that must be refused, with the entry's name.
# clients: coracle
bats_require_minimum_version 1.5.0
load lib.bash

# A private mount namespace: nothing stays mounted, whatever happens.
compare() {
	run timeout 120 unshare --mount --propagation private /usr/bin/python3 "$E2E_DIR/difftree.py" "$BIN/coracle-unpack" \
		"$BATS_TEST_TMPDIR/work" "$@"
	[ "$status" -eq 0 ] || {
		printf '%s\n' "$output" | head -n 20 >&2
		return 1
	}
}

@test "modes, owners, times, links, devices as GNU tar has them (pax)" { compare metadata; }
@test "the same in GNU's format" { compare gnu; }
@test "names in any bytes are kept byte for byte" { compare bytes; }
@test "a later entry of the same name wins" { compare replaced; }
@test "a directory becomes a file and a directory again" { compare dir-to-file; }
@test "sparse files: GNU, pax 0.0, 0.1 and 1.0" { compare sparse; }
@test "pax, GNU and ustar headers mixed" { compare mixed; }
@test "four layers with whiteouts and changed kinds as umoci has them" {
	needs umoci
	compare layers
}
@test "negative and absurd numbers" { compare absurd; }
@test "attribute bombs, long names, deep trees, huge headers are refused by name" { compare bombs; }
@test "a real Debian layer is what GNU tar makes of it" {
	layer=$(find "$CORACLE_TEST_CACHE/debian12/blobs/sha256" -size +10M 2>/dev/null | head -n 1)
	[ -n "$layer" ] || skip_because "no Debian image in $CORACLE_TEST_CACHE (debian.bats makes it)"
	compare tar "$layer"
	contains "$output" compared
}

# The worker's peak memory, whatever the bytes claim: 64 MiB.
peak() { # COMMAND that writes a layer to standard output
	mkdir -p "$BATS_TEST_TMPDIR/t"
	run bash -c "set -o pipefail; $1 | /usr/bin/python3 -c '
import json, os, resource, subprocess, sys
fd = os.open(sys.argv[2], os.O_RDONLY)
subprocess.run([sys.argv[1], \"apply\", \"--target-fd\", str(fd)], pass_fds=[fd], stdout=subprocess.DEVNULL)
print(\"peak\", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' '$BIN/coracle-unpack' '$BATS_TEST_TMPDIR/t'"
	kb=$(sed -n 's/^peak //p' <<<"$output")
	[ -n "$kb" ] && [ "$kb" -le 65536 ] || {
		echo "peak ${kb:-unknown} KB: $output" >&2
		return 1
	}
}
made() { echo "/usr/bin/python3 -c 'import io, sys, tarfile
sys.path.insert(0, \"$E2E_DIR\")
from imagelib import Tar
out = sys.stdout.buffer
$1' 2>/dev/null"; }

@test "memory: zstd windows of 32 MiB to 2 GiB" {
	[ "${E2E_QUICK:-}" != 1 ] || skip "left out under sanitizers"
	head -c 70000000 /dev/urandom >"$BATS_TEST_TMPDIR/far"
	head -c 8000000 "$BATS_TEST_TMPDIR/far" >"$BATS_TEST_TMPDIR/head"
	cat "$BATS_TEST_TMPDIR/head" >>"$BATS_TEST_TMPDIR/far" # found again 70 MB back
	for long in 25 27 31; do
		tar -c -C "$BATS_TEST_TMPDIR" far | zstd -q -1 --long=$long >"$BATS_TEST_TMPDIR/z"
		peak "cat $BATS_TEST_TMPDIR/z"
		cmp "$BATS_TEST_TMPDIR/t/far" "$BATS_TEST_TMPDIR/far"
		[ $long = 25 ] || [ "$(stat -c %s "$BATS_TEST_TMPDIR/z")" -lt 71000000 ]
		rm "$BATS_TEST_TMPDIR/t/far"
	done
	head -c 300000 "$BATS_TEST_TMPDIR/head" >"$BATS_TEST_TMPDIR/near"
	tar -c -C "$BATS_TEST_TMPDIR" near near near near | zstd -q --ultra -22 >"$BATS_TEST_TMPDIR/z"
	peak "cat $BATS_TEST_TMPDIR/z"
	cmp "$BATS_TEST_TMPDIR/t/near" "$BATS_TEST_TMPDIR/near"
	# Two frames, the second cut: the window is given back, the error is one of the data.
	(cat "$BATS_TEST_TMPDIR/z" && head -c 100000 "$BATS_TEST_TMPDIR/z") >"$BATS_TEST_TMPDIR/cut"
	exec 5<"$BATS_TEST_TMPDIR/t"
	run -1 "$BIN/coracle-unpack" apply --target-fd 5 <"$BATS_TEST_TMPDIR/cut"
	exec 5<&-
	contains "$output" "ends too early"
}
@test "a zstd window that finds the disk full is an error" {
	head -c 40000000 /dev/urandom >"$BATS_TEST_TMPDIR/big"
	tar -c -C "$BATS_TEST_TMPDIR" big | zstd -q -1 --long=27 >"$BATS_TEST_TMPDIR/z"
	run -1 apart bash -c "mkdir '$BATS_TEST_TMPDIR/small' && mount -t tmpfs -o size=16m t '$BATS_TEST_TMPDIR/small' &&
		exec 5<'$BATS_TEST_TMPDIR/small' && '$BIN/coracle-unpack' apply --target-fd 5 <'$BATS_TEST_TMPDIR/z'"
	contains "$output" "No space left on device"
}
@test "memory: a pax header, a long name, an attribute that claim gigabytes" {
	[ "${E2E_QUICK:-}" != 1 ] || skip "left out under sanitizers"
	for kind in x g L K; do
		peak "$(made "
h = tarfile.TarInfo(\"h\")
h.type, h.size = b\"$kind\", 1 << 31
out.write(h.tobuf(tarfile.USTAR_FORMAT))
for _ in range(200): out.write(b\"9\" * (1 << 20))")"
	done
}
@test "memory: 100,000 names and one name with 8,000 attributes" {
	[ "${E2E_QUICK:-}" != 1 ] || skip "left out under sanitizers"
	peak "$(made "
for i in range(100000):
    h = tarfile.TarInfo(\"d%d/%s%d\" % (i % 3000, \"n\" * 80, i))
    h.type = tarfile.LNKTYPE if i > 2999 else tarfile.REGTYPE
    h.linkname = \"d%d/%s%d\" % (i % 3000, \"n\" * 80, i % 3000)
    out.write(h.tobuf(tarfile.USTAR_FORMAT))
out.write(bytes(1024))")"
	peak "$(made "
h = tarfile.TarInfo(\"h\")
h.pax_headers = {\"SCHILY.xattr.user.%d\" % i: \"v\" * 100 for i in range(8000)}
out.write(h.tobuf(tarfile.PAX_FORMAT) + bytes(1024))")"
}
