#!/bin/bash
# Ctrl-C and a full disk: a clear end, nothing left, and the next build is right.
. "$(dirname "$0")/lib.sh"
need_root
busybox_base localhost/busybox
mkdir app
# Case D23: a stopped build ends its step, and says by its status which signal it was.
cat >app/Dockerfile <<'END'
FROM localhost/busybox
RUN echo started; (sleep 4321 &); sleep 4321
END
for signal in INT TERM HUP; do
  # A shell starts what runs in the background with SIGINT ignored.
  env --default-signal=INT "$strake" build -t app app >out 2>log &
  pid=$!
  for _ in $(seq 100); do grep -q 'started$' log && break; sleep 0.1; done
  kill -"$signal" "$pid"
  status=0
  wait "$pid" || status=$?
  equal "SIG$signal ends the build" "$status" "$((128 + $(kill -l "$signal")))"
  pgrep -f 'sleep 4321' >/dev/null && fail "SIG$signal left a process"
  equal "SIG$signal leaves no mount" "$(mounts)" 0
  equal "SIG$signal tags nothing" "$("$strake" images -q app)" ""
done
equal "nothing unfinished stays in the store" "$(find "$STRAKE_ROOT/ingest" -mindepth 2 -name 'tree' | wc -l)" 0

# A store on a file system of 12 MB.
mkdir small
mount -t tmpfs -o size=12m,mode=700 none small
at_end() { umount "$work/small" 2>/dev/null || true; }
export STRAKE_ROOT=$work/small/store
busybox_base localhost/busybox
cat >app/Dockerfile <<'END'
FROM localhost/busybox
RUN head -c 3000000 /dev/urandom > /a
RUN head -c 30000000 /dev/urandom > /b
END
status=0
"$strake" build -t app app >out 2>log || status=$?
[ "$status" != 0 ] || fail "a full disk was not noticed"
head -c 30000000 /dev/urandom >app/large
printf 'FROM localhost/busybox\nCOPY large /\n' >app/Dockerfile
refused 6 "COPY onto a full disk" 'no space left on device' "$strake" build -t app app
equal "nothing is tagged" "$("$strake" images -q app)" ""
rm app/large
printf 'FROM localhost/busybox\nRUN echo fits > /a\n' >app/Dockerfile
check "there is room again" "$strake" build -t app app
