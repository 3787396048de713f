#!/bin/bash
# What a trivial RUN step costs on each rung of the sandbox ladder: builds with 20 and with 120 steps
# that start /bin/true; the median difference of ROUNDS pairs, by step.
# Usage: STRAKE=path/to/strake STRAKE_CONTAINER=path/to/in_container trivial_steps.sh
. "$(dirname "$0")/../integration/lib.sh"
. "$here/rungs.sh"
need_root
rounds=${ROUNDS:-5}

mkdir context
cp /bin/busybox context/
for steps in 20 120; do
  {
    echo "FROM scratch"
    echo "COPY busybox /bin/true"
    for step in $(seq $steps); do echo "RUN [\"/bin/true\", \"$step\"]"; done
  } >context/$steps
done

milliseconds() { # milliseconds RUNG STEPS
  local started
  started=$(date +%s%N)
  on_rung "$1" "$strake" build --no-cache --progress quiet -f "context/$2" context >/dev/null 2>log || { cat log; fail "$1"; }
  echo $((($(date +%s%N) - started) / 1000000))
}

for rung in root range one chroot; do
  [ "$rung" != chroot ] || [ -n "${STRAKE_CONTAINER:-}" ] || continue
  milliseconds "$rung" 20 >/dev/null
  for round in $(seq "$rounds"); do
    few=$(milliseconds "$rung" 20)
    many=$(milliseconds "$rung" 120)
    echo $((many - few))
  done | sort -n | awk -v rung="$rung" '{ all[NR] = $1 } END {
    printf "%-7s %.2f ms a step (%.2f to %.2f)\n", rung, all[int((NR + 1) / 2)] / 100, all[1] / 100, all[NR] / 100 }'
done
