/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command line and results of coracle-unpack, the confined worker for hostile archives. Constants
 * only; whoever spawns the worker (image, build, engine) and the worker itself include it.
 *
 * Common: fd 0 is the input stream; fd 1 gets JSON lines; fd 2 diagnostics of crashes only.
 * Descriptors named by options are inherited numbers >= 3 (spawn_fd.child_fd). Exit status 0 after
 * a result line, 1 after an error line. No line (killed, out of memory) is an error of the
 * caller's words. Unknown fields are to be ignored.
 *   error:    {"kind":"<err_kind_name>","error":"<text>","entry":"<member, if it is about one>"}
 *   progress: {"progress":<input bytes consumed>}   only with --progress, at most ten per second
 *             {"syncing":true}   only with --progress and --sync or --sync-blob: all work but
 *             waiting for the disk is done
 *
 * apply: unpack one layer (tar, plain or gzip or zstd, sniffed) as an overlayfs lower directory.
 *   coracle-unpack apply --target-fd N [options]
 *     --blob-fd N         also write the input there (the blob's .partial file, read-write)
 *     --blob-have BYTES   so many bytes of the blob file are the start of the input already
 *     --digest D          expected digest of the input (else ERR_INVALID: commit nothing)
 *     --size BYTES        expected length of the input; more or less is ERR_INVALID
 *     --diff-id D         expected digest of the uncompressed tar
 *     --max-entries N     default UNPACK_MAX_ENTRIES
 *     --max-size BYTES    uncompressed, default UNPACK_MAX_SIZE
 *     --max-ratio N       uncompressed/compressed above 256 MiB, default UNPACK_MAX_RATIO
 *     --plain             ordinary extraction (docker cp, ADD): no whiteouts, merges with what is
 *                         below --target-fd
 *     --user-xattr        user.overlay.* instead of trusted.overlay.* (rootless)
 *     --seal-fd N         an empty file: gets the layer's seal, for `check`
 *     --sync              fsync the blob and syncfs the target before the result
 *     --sync-blob         only the blob, or the input if it is a file; the disk begins early
 *     --progress
 *     --decode            xz and bzip2 too: sizes and digests are then those of the decoded bytes
 *     --no-confine        tests only: skip the sandbox
 *   {"digest":"sha256:..","size":N,"diffId":"sha256:..","diffSize":N,"contentSize":N,"entries":N}
 *     and uidMin, uidMax, gidMin, gidMax, unless the layer is empty
 *     size: compressed bytes; diffSize: bytes of the tar; contentSize: sum of the regular files
 *   Without --target-fd nothing is unpacked: the input is hashed and written to --blob-fd.
 *
 * archive: stage the members of a docker-archive or oci-archive (plain, gzip, zstd, xz, bzip2).
 *   coracle-unpack archive --ingest-fd N --prefix P [--max-entries N] [--max-size BYTES]
 *     one line per member, in archive order:
 *     {"name":"blobs/sha256/..","file":"P.17","size":N,"digest":"sha256:.."}
 *       a regular file, staged under that name, on its way to the disk
 *     {"name":"ab12/layer.tar","link":"cd34/layer.tar"}
 *       a symbolic or hard link, normalised inside the archive
 *     then {"done":true,"members":N,"size":N}
 *   Names are normalised ("./manifest.json" is "manifest.json"); outside the archive is an error.
 *
 * tar: write a tar (docker save). Members come as JSON lines on fd 0, the tar goes to --out-fd.
 *   coracle-unpack tar --out-fd N [--dir-fd N]
 *     {"name":"manifest.json","text":"..."}                       small text member
 *     {"name":"blobs/sha256/ab..","file":"sha256/ab..","size":N}  a file below --dir-fd
 *     {"name":"blobs/","dir":true}      {"name":"x","link":"y"}   directory, symbolic link
 *       optional on each: "mode", "mtime" (seconds)
 *   {"done":true,"members":N,"size":N}
 *
 * pack: write a directory tree as tar (docker cp from, export, layer of a container).
 *   coracle-unpack pack --dir-fd N --out-fd N [--path P] [--name NAME] [--layer]
 *     --path    start there, inside --dir-fd (default "."); a file gives one member
 *     --name    name of the first member (default: last part of the path; "." for the whole tree)
 *     --layer   dir-fd is an overlayfs upper directory: devices 0:0 become .wh. files, opaque
 *               directories get .wh..wh..opq
 *   {"digest":"sha256:..","size":N,"entries":N}   of the tar written
 *
 * check: compare an unpacked layer with its seal.
 *   coracle-unpack check --dir-fd N --seal-fd N [--quick]
 *     --quick   everything but the content of the files
 *     {"path":"usr/bin/x","problem":"has other content"}   at most UNPACK_PROBLEMS_MAX of them
 *   {"done":true,"entries":N,"bytes":N,"problems":N}
 *
 * sync: syncfs of the file system of --dir-fd.
 *   coracle-unpack sync --dir-fd N
 *   {"done":true}
 *
 * compress: a layer compressed anew (docker push of layers that are stored as plain tar).
 *   coracle-unpack compress --out-fd N --compression gzip|zstd [--level N] [--threads N] [--digest
 * D]
 *                           [--size BYTES] [--diff-id D] [--max-size BYTES] [--sync] [--progress]
 *                           [--dir-fd N]
 *     the input may be plain, gzip or zstd; --digest and --size are the input's; zstd windows above
 *     32 MiB need --dir-fd, a writable folder (apply and archive use their own)
 *   {"digest":"sha256:..","size":N,"diffId":"sha256:..","diffSize":N}   of what was written
 */
#pragma once

#define UNPACK_PROGRAM	   "coracle-unpack"
#define UNPACK_MAX_ENTRIES 5000000ull
#define UNPACK_MAX_SIZE	   (1ull << 40)
#define UNPACK_MAX_RATIO   200ull

#define UNPACK_PROBLEMS_MAX 20
