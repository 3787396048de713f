#!/bin/bash
# kill -9 at random moments: the next build succeeds, gives the right image, and nothing is left.
# KILLS=50 for more than the default number of rounds.
. "$(dirname "$0")/lib.sh"
need_root
local_registry
export SOURCE_DATE_EPOCH=1700000000
busybox_base localhost/busybox
mkdir app
seq 1 200000 >app/data
cat >app/Dockerfile <<'END'
FROM localhost/busybox
ARG N
RUN echo $N > /n; seq 1 50000 > /s; (sleep 1000 &) ; true
COPY data /data
RUN cp /data /data2 && rm /data2; mkdir /x; cp -r /bin /x/
WORKDIR /y
RUN find / -xdev > /list; sleep 0.05
END
build() { "$strake" build --build-arg "N=$1" -t "$registry/app:$1" --push app; }
# The image of round N, made without being disturbed, in a store of its own.
reference() { STRAKE_ROOT=$work/reference build "$1" 2>/dev/null; }
STRAKE_ROOT=$work/reference busybox_base localhost/busybox

for round in $(seq "${KILLS:-12}"); do
  "$strake" build --build-arg "N=$round" -t "$registry/app:$round" --push app >/dev/null 2>&1 &
  pid=$!
  sleep "$(awk -v seed="$RANDOM" 'BEGIN { srand(seed); printf "%.3f", rand() * 0.6 }')"
  kill -9 "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  for _ in $(seq 50); do
    pgrep -f 'sleep 1000' >/dev/null || break
    sleep 0.1
  done
  pgrep -fa 'sleep 1000' && fail "round $round: a process of a step lives"
  equal "round $round: mounts" "$(mounts)" 0
  build "$round" >id 2>log || { cat log; fail "round $round: the build after the kill"; }
  equal "round $round: image" "$(cat id)" "$(reference "$round")"
done
