#!/bin/bash
# What a trivial RUN costs, counted in system calls of everything that takes part in it.
. "$(dirname "$0")/lib.sh"
need_root
need strace
busybox_base localhost/busybox

# counted STEPS: builds so many RUNs; their calls, one a line, are in the file "calls".
counted() {
  local i
  mkdir -p "context$1"
  {
    echo "FROM localhost/busybox"
    for i in $(seq "$1"); do echo "RUN echo $i > /step$i"; done
  } >"context$1/Dockerfile"
  check "$1 steps" "$strake" build -t steps "context$1" # what is made once for a store
  strace -f -qq -o calls -- "$strake" build --no-cache -t steps "context$1" >traced.log 2>&1 ||
    { cat traced.log >&2; fail "$1 traced steps"; }
  # A call that another thread interrupted is shown on two lines.
  grep -v -E ' <\.\.\. .* resumed>|^[0-9]+ (\+\+\+|---)' calls >"calls$1"
}
# calls STEPS NAMES [TEXT]: calls of these names (an expression), with a text in their line.
calls() { grep -c -E "^[0-9]+ +($2)\(.*${3:-}" "calls$1" || true; }

few=3 many=13
counted $few
counted $many

# per_step WHAT AT-MOST NAMES [TEXT]
per_step() {
  local tenths=$(($(calls $many "$3" "${4:-}") - $(calls $few "$3" "${4:-}")))
  [ "$tenths" -le $(($2 * 10)) ] || fail "$1: $tenths for ten steps, want at most $2 each"
  ok "$1 ($tenths for ten steps)"
}

equal "a build of RUN steps waits for no disk" \
  "$(calls $many 'fsync|fdatasync|sync|syncfs|sync_file_range|msync')" 0
per_step "a RUN starts process 1 and the command" 2 'clone|clone3|fork|vfork'
per_step "a RUN executes process 1 and the command" 2 'execve|execveat'
per_step "a RUN makes eight file systems" 8 'fsmount'
per_step "a RUN attaches what it needs" 30 'move_mount|mount'
per_step "a RUN reads the records of new layers only" 8 'open|openat' 'layer\.json'
per_step "all calls of a RUN, those of the command included" 900 '[a-z0-9_]+'

# Each layer below is opened, mounted and asked for, and nothing is read of it.
long=33
counted $long
grown=$((($(calls $long '[a-z0-9_]+') - $(calls $many '[a-z0-9_]+')) / 20))
base=$((($(calls $many '[a-z0-9_]+') - $(calls $few '[a-z0-9_]+')) / 10))
[ $((grown - base)) -le 180 ] || fail "a step on 23 layers costs $grown calls, on 8 layers $base"
ok "a step on 23 layers costs $grown calls, on 8 layers $base"
