#!/bin/bash
# Two builds on one store: both right, and a step that both need is executed once.
. "$(dirname "$0")/lib.sh"
need_root
busybox_base localhost/busybox
mkdir app side
cat >app/Dockerfile <<'END'
FROM localhost/busybox
RUN echo executed; sleep 2; head -c 8 /dev/urandom | hexdump > /random
RUN cat /random
END
for i in 1 2 3; do
  "$strake" build -t "app$i" app >"id$i" 2>"log$i" &
  pids[i]=$!
done
for i in 1 2 3; do wait "${pids[i]}" || { cat "log$i"; fail "build $i"; }; done
equal "all give the same image" "$(cat id1 id2 id3 | sort -u | wc -l)" 1
equal "the step ran once" "$(cat log1 log2 log3 | grep -c ' executed$')" 1

# Pruning waits for, or leaves alone, what a running build uses.
sed -i 's/executed/again/' app/Dockerfile
"$strake" build -t app4 app >/dev/null 2>log4 &
pid=$!
sleep 0.5
"$strake" prune --all --force >/dev/null 2>&1 || true
wait "$pid" || { cat log4; fail "a build was broken by prune"; }
ok "prune does not break a running build"
