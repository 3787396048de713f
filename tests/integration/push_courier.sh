#!/bin/bash
# kill -9 in the middle of a push to Docker's own registry, which loses an upload whose chunk was cut
# off: the courier finishes the chunk, and the next push goes on behind it. LAYER_MB=1024 for a bigger
# layer than usual.
. "$(dirname "$0")/lib.sh"
need_root
need python3
local_registry
layer=$((${LAYER_MB:-256} << 20))

proxy_pid=
at_end() {
  [ -z "$proxy_pid" ] || { kill "$proxy_pid" 2>/dev/null; wait "$proxy_pid" 2>/dev/null; } || true
}
python3 "$here/../support/counting_proxy.py" "$registry" "$work/ports" &
proxy_pid=$!
for _ in $(seq 100); do [ -f "$work/ports" ] && break; sleep 0.1; done
read -r port control_port <"$work/ports"
registry=127.0.0.1:$port
control() {
  exec 3<>"/dev/tcp/127.0.0.1/$control_port"
  echo "$*" >&3
  read -r received sent <&3
  exec 3>&-
}
couriers() { pgrep -cf "^/proc/self/exe upload-courier$" || true; }

mkdir app
head -c "$layer" /dev/urandom >app/data
printf 'FROM scratch\nCOPY data /data\n' >app/Dockerfile
"$strake" build --progress quiet -t "$registry/app:1" app >/dev/null
sum=$(sha256sum <app/data)
before=$(couriers)

"$strake" push "$registry/app:1" >/dev/null 2>&1 &
pid=$!
control wait $((layer / 2))
kill -9 "$pid"
wait "$pid" 2>/dev/null || true
control counts
[ "$received" -lt "$layer" ] || fail "the push was killed too late"
check "push after kill -9" "$strake" push "$registry/app:1"
control counts
[ "$received" -le $((layer * 11 / 10)) ] || fail "$received bytes were sent, the layer has $layer"
ok "$received bytes were sent for a layer of $layer"
for _ in $(seq 50); do [ "$(couriers)" -le "$before" ] && break; sleep 0.1; done
equal "couriers that are left" "$(couriers)" "$before"

STRAKE_ROOT=$work/fresh "$strake" pull "$registry/app:1" >/dev/null 2>"$work/log" ||
  { cat "$work/log"; fail "pull"; }
equal "content" "$(sha256sum <"$(find "$work/fresh/layers" -path '*/tree/data')")" "$sum"

# ---- Stopped in an orderly way, nothing goes on ---------------------------------------------------
rm -rf "$work/fresh"
control counts
start=$received
STRAKE_ROOT=$work/third "$strake" build --progress quiet -t "$registry/other:1" app >/dev/null
STRAKE_ROOT=$work/third "$strake" push "$registry/other:1" >/dev/null 2>&1 &
pid=$!
control wait $((start + layer / 2))
kill -TERM "$pid"  # a background job of a script ignores SIGINT
status=0
wait "$pid" || status=$?
equal "status of the interrupted push" "$status" 143
equal "couriers that are left" "$(couriers)" "$before"
