#!/bin/bash
# Transfers that are killed or cut off in the middle go on where they ended: kill -9 of a push and of a
# pull of a big layer, then again, costs at most 1.1 x the layer in all; a reset connection likewise.
# LAYER_MB=1024 for a bigger layer than usual.
. "$(dirname "$0")/lib.sh"
need_root
need python3 curl
local_registry
backend=$registry
layer=$((${LAYER_MB:-256} << 20))

# ---- The gateway: uploads that survive a cut, as the specification says --------------------------
gateway_pid=
at_end() {
  [ -z "$gateway_pid" ] || { kill "$gateway_pid" 2>/dev/null; wait "$gateway_pid" 2>/dev/null; } || true
}
python3 "$here/../support/resumable_registry.py" "$backend" "$work/uploads" "$work/port" &
gateway_pid=$!
for _ in $(seq 100); do [ -f "$work/port" ] && break; sleep 0.1; done
registry=127.0.0.1:$(cat "$work/port")
gateway() { curl -sf "$@"; }
passed() { gateway "http://$registry/gateway/counts" | sed "s/.*\"$1\": \([0-9]*\).*/\1/"; }
# once_passed DIRECTION BYTES PID: kills the process when so many more bytes have passed.
kill_once() {
  gateway "http://$registry/gateway/wait?$1=$(($(passed "$1") + $2))" >/dev/null
  kill -9 "$3"
  wait "$3" 2>/dev/null || true
}
# within WHAT BYTES: at most 1.1 x the layer, and not less than it (with a small image's other blobs).
within() {
  [ "$2" -le $((layer * 11 / 10)) ] || fail "$1: $2 bytes, the layer has $layer"
  [ "$2" -ge "$layer" ] || fail "$1: only $2 bytes, the layer has $layer"
  ok "$1: $2 bytes for a layer of $layer"
}

# ---- The image: one layer of random bytes, which no compression makes smaller --------------------
mkdir app
head -c "$layer" /dev/urandom >app/data
printf 'FROM scratch\nCOPY data /data\n' >app/Dockerfile
"$strake" build --progress quiet -t "$registry/app:1" app >/dev/null
"$strake" tag "$registry/app:1" "$registry/reset:1"
sum=$(sha256sum <app/data)

# check_image NAME: what is pulled into an empty store is what was built.
check_image() {
  rm -rf "$work/fresh"
  STRAKE_ROOT=$work/fresh "$strake" pull "$1" >/dev/null 2>"$work/log" || { cat "$work/log"; fail "pull $1"; }
  equal "content of $1" "$(content "$work/fresh")" "$sum"
}
content() { sha256sum <"$(find "$1/layers" -path '*/tree/data')"; }

# ---- Push ----------------------------------------------------------------------------------------
"$strake" push "$registry/app:1" >/dev/null 2>&1 &
kill_once received $((layer / 2)) $!
before=$(passed received)
[ "$before" -lt "$layer" ] || fail "the push was killed too late"
equal "records of the killed push" "$(find "$STRAKE_ROOT/uploads" -type f ! -name '*.lock' | wc -l)" 1
check "push after kill -9" "$strake" push "$registry/app:1"
within "push, killed and again" "$(passed received)"
equal "records after the push" "$(find "$STRAKE_ROOT/uploads" -type f | wc -l)" 0
check_image "$registry/app:1"

start=$(passed received)
gateway -X POST "http://$registry/gateway/reset?received=$((layer / 2))" >/dev/null
check "push through a reset connection" "$strake" push "$registry/reset:1"
within "push, reset" "$(($(passed received) - start))"

# ---- Pull ----------------------------------------------------------------------------------------
export STRAKE_ROOT=$work/puller
start=$(passed sent)
"$strake" pull "$registry/app:1" >/dev/null 2>&1 &
kill_once sent $((layer / 2)) $!
[ "$(($(passed sent) - start))" -lt "$layer" ] || fail "the pull was killed too late"
check "pull after kill -9" "$strake" pull "$registry/app:1"
within "pull, killed and again" "$(($(passed sent) - start))"
equal "content" "$(content "$STRAKE_ROOT")" "$sum"

export STRAKE_ROOT=$work/puller2
start=$(passed sent)
gateway -X POST "http://$registry/gateway/reset?sent=$((layer / 2))" >/dev/null
check "pull through a reset connection" "$strake" pull "$registry/app:1"
within "pull, reset" "$(($(passed sent) - start))"
equal "content" "$(content "$STRAKE_ROOT")" "$sum"
