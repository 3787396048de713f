#!/bin/bash
# What steps may take and do: memory, processes, time, capabilities, system calls, networks, devices.
. "$(dirname "$0")/lib.sh"
need_root
busybox_base localhost/base
mkdir context

# dockerfile LINE...: the Dockerfile of the next builds.
dockerfile() { printf '%s\n' "FROM localhost/base" "$@" >context/Dockerfile; }
# shown ARGS...: builds and prints what the steps wrote.
shown() { "$strake" build --no-cache --progress plain "$@" context 2>&1 || { fail "build $*"; }; }
control_groups() { find /sys/fs/cgroup -type d -name 'strake-*' 2>/dev/null | wc -l; }

# ---- Limits ----
dockerfile 'RUN true'
if "$strake" build --no-cache --memory 64m context >/dev/null 2>err; then
  dockerfile 'RUN head -c 300000000 /dev/zero | tail >/dev/null'
  refused 1 "too much memory ends the step" "killed for lack of memory" \
    "$strake" build --memory 32m context
  contains "the limit is named" "$(cat err)" "its limit is 32m (--memory)"
  contains "the step is named" "$(cat err)" "Dockerfile:2"
  contains "the flag is named" "$(cat err)" "hint: raise it with --memory"
  dockerfile 'RUN f() { sleep 1 & sleep 1 & sleep 1 & sleep 1 & sleep 1 & sleep 1 & }; f; f'
  refused 1 "a step has only so many processes" "its limit is 8 (--pids-limit)" \
    "$strake" build --pids-limit 8 context
  dockerfile 'RUN nproc'
  contains "a step sees its processors" "$(shown --cpuset-cpus 0 | grep -v RUN)" "1"
  check "shares of processors" "$strake" build --no-cache --cpus 0.5 --cpu-shares 512 context
  equal "no control group is left" "$(control_groups)" 0
else
  cat err
  contains "limits that cannot be kept are refused" "$(cat err)" "cannot limit the resources of steps"
fi

dockerfile 'RUN ulimit -n; ulimit -Hn; df -k /dev/shm | tail -n 1'
contains "limits of processes" "$(shown --ulimit nofile=77:99)" "77"
contains "the size of shared memory" "$(shown --shm-size 3m)" " 3072 "

# ---- Time ----
dockerfile "RUN trap '' TERM; sleep 61 & sleep 62"
begin=$(date +%s)
refused 1 "a step that takes too long is stopped" "took longer than 1s and was stopped" \
  "$strake" build --step-timeout 1s context
[ $(($(date +%s) - begin)) -lt 40 ] || fail "it took too long to stop"
contains "it is said which" "$(cat err)" "Dockerfile:2"
pgrep -f 'sleep 6[12]' >/dev/null && fail "processes of the step live on"
ok "nothing of it lives on"
check "a step in time" "$strake" build --no-cache --step-timeout 5m -f - context <<<'FROM localhost/base
RUN true'

# ---- Rights ----
dockerfile 'RUN grep -E "CapBnd|Seccomp:|NoNewPrivs" /proc/self/status; hostname'
contains "docker's capabilities" "$(shown)" "00000000a80425fb"
contains "none of them" "$(shown --cap-drop ALL)" "0000000000000000"
contains "one of them" "$(shown --cap-drop ALL --cap-add CHOWN)" "0000000000000001"
contains "one more" "$(shown --cap-add cap_sys_ptrace)" "00000000a80c25fb"
plain_status=$(shown | tr -d '\t')
contains "a filter" "$plain_status" "Seccomp:2"
contains "no filter" "$(shown --security-opt seccomp=unconfined | tr -d '\t')" "Seccomp:0"
contains "no new privileges" "$(shown --security-opt no-new-privileges | tr -d '\t')" "NoNewPrivs:1"
contains "the name of the host" "$(shown --hostname box)" " box"
refused 2 "an unknown capability" "did you mean SYS_ADMIN?" "$strake" build --cap-add SYS_ADMN context
refused 2 "a profile that is not had" "one profile" "$strake" build --security-opt seccomp=x context

# ---- The cache ----
dockerfile 'RUN true'
cached() { "$strake" build --progress plain "$@" context 2>&1 | grep -c CACHED || true; }
cached >/dev/null
equal "limits are in no key" "$(cached --step-timeout 9m)" 1
equal "rights are" "$(cached --cap-drop CHOWN)" 0

# ---- Devices ----
dockerfile 'RUN head -c 5 /dev/mine | wc -c'
contains "a device for all steps" "$(shown --device /dev/zero:/dev/mine)" " 5"
refused 3 "what is no device" "is not a device" "$strake" build --no-cache --device /dev/shm/../../etc/passwd context
export STRAKE_CDI_DIRS=$work/none
refused 3 "GPUs without their specs" 'the device "nvidia.com/gpu=all" is not known on this machine' \
  "$strake" build --gpus all context

# ---- Networks ----
dockerfile 'RUN cat /etc/resolv.conf; cat /etc/hosts'
contains "name servers" "$(shown --dns 192.0.2.7 --dns-search a.example)" "nameserver 192.0.2.7"
dockerfile 'RUN --network=host true'
refused 4 "the host's network where the build has another one" "add --allow network.host" \
  "$strake" build --network none context
check "that can be granted" "$strake" build --network none --allow network.host context

refused 5 "a private network without a program" "install the package passt or slirp4netns" env PATH=/nowhere \
  "$strake" build --network private - <<<'FROM localhost/base
RUN true'
[ -c /dev/net/tun ] || { echo "no /dev/net/tun: private networks are not tested"; exit 0; }
need python3
mkdir served
python3 -u -m http.server --bind 127.0.0.1 --directory served 0 >server.log 2>&1 &
server=$!
at_end() { kill "$server" 2>/dev/null || true; }
until grep -q 'port [0-9]' server.log; do kill -0 "$server"; sleep 0.1; done
port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' server.log)
for program in pasta slirp4netns; do
  place=$(command -v "$program") || { echo "$program is not installed: not tested"; continue; }
  mkdir -p "path-$program"
  ln -sf "$place" "path-$program/$program"
  # The word must not stand in the command itself, which is shown too.
  dockerfile "RUN ip route | grep default; nc -w 2 127.0.0.1 $port </dev/null >/dev/null 2>&1 && echo rea''ched; true"
  contains "the host's network has its loopback" "$(shown)" " reached"
  text=$(PATH=$work/path-$program "$strake" build --no-cache --progress plain --network private context 2>&1)
  contains "$program: there is a way out" "$text" "default via"
  lacks "$program: the host's loopback is out of reach" "$text" " reached"
  # pasta may execute itself anew as passt.avx2.
  { pgrep -x "$program" || pgrep -x 'passt.*'; } >/dev/null && fail "$program lives on"
  ok "$program: nothing lives on"
done
