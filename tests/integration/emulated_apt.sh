#!/bin/bash
# apt-get in an image for another architecture, as root and as an ordinary user: maintainer scripts,
# many processes, owners of packages.
. "$(dirname "$0")/lib.sh"
. "$here/foreign.sh"
. "$here/rungs.sh"
need_root
need mmdebstrap
[ "$(dpkg --print-architecture)" != arm64 ] || skip "arm64 is native here"
local_registry

# On the spot this takes minutes; it is kept.
bases=${XDG_CACHE_HOME:-/var/tmp}/strake-test-base
mkdir -p "$bases"
import_debian "$strake" arm64 localhost/debian:arm64 "$bases" || skip "mmdebstrap cannot make a base here"
"$strake" tag localhost/debian:arm64 "$registry/debian:arm64"
"$strake" push -q "$registry/debian:arm64" >/dev/null

mkdir -p context
cat >context/Dockerfile <<END
FROM --platform=linux/arm64 $registry/debian:arm64
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update && apt-get install -y --no-install-recommends python3-minimal
RUN python3 -c 'import os, platform; print("python runs on", platform.machine(), "as", os.getuid())'
END
chmod -R a+rX context
for rung in ${STRAKE_RUNGS:-root range one}; do
  began=$SECONDS
  on_rung "$rung" "$strake" build --progress plain "$work/context" >"$rung.out" 2>"$rung.log" ||
    { tail -60 "$rung.log" >&2; fail "the build as $rung"; }
  contains "apt-get install as $rung ($((SECONDS - began)) s)" "$(cat "$rung.log")" "python runs on aarch64 as 0"
  grep 'emulated: ' "$rung.log"
  host_unchanged
done
