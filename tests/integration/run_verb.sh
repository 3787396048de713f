#!/usr/bin/env bash
# strake run, and --on-error=shell: what the command sees, what it may change, how it ends, and that
# nothing is left of it.
. "$(dirname "$0")/lib.sh"
need_root
need python3
busybox_base bb

pid=
at_end() { [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true; }
terminal=$here/../support/terminal.py
run() { "$strake" run "$@"; }
# status_of COMMAND...: its exit status on stdout; what it says in $work/out and $work/err.
status_of() {
  local status=0
  "$@" >"$work/out" 2>"$work/err" || status=$?
  echo "$status"
}
# talk SCRIPT COMMAND...: a user who types what is in SCRIPT; sets $status.
talk() {
  local script=$1
  shift
  status=0
  python3 "$terminal" --timeout 60 "$script" "$@" >"$work/screen" 2>"$work/err" || status=$?
}

# ---- How it ends ----
equal "exit status" "$(status_of run bb sh -c 'exit 7')" 7
equal "killed by a signal" "$(status_of run bb sh -c 'kill -9 $$')" 137
equal "no such command" "$(status_of run bb nosuch)" 127
contains "it says which" "$(cat "$work/err")" 'command "nosuch" not found'
equal "no program" "$(status_of run bb /etc)" 126
equal "unknown option" "$(status_of run --nosuch bb)" 125
equal "no such image" "$(status_of run --pull never nosuch true)" 125
refused 125 "no command" "names no command" run bb
refused 125 "detached" "no daemon" run -d bb true
refused 125 "published ports" "host's network" run -p 80:80 bb true
refused 125 "terminal without one" "stdin is no terminal" run -it bb sh

# ---- Streams ----
run bb sh -c 'echo to stdout; echo to stderr >&2' >"$work/out" 2>"$work/err"
equal "stdout alone" "$(cat "$work/out")" "to stdout"
equal "stderr alone" "$(cat "$work/err")" "to stderr"
equal "no stdin" "$(echo text | run bb wc -c)" 0
equal "stdin with -i" "$(echo text | run -i bb cat)" text
head -c 3000000 /dev/urandom >"$work/data"
equal "three megabytes there and back" "$(run -i bb cat <"$work/data" | sha256sum)" \
  "$(sha256sum <"$work/data")"
equal "a reader that goes away" "$( (run bb yes || true) | head -n 1)" y
equal "no terminal" "$(run bb sh -c 'tty || true')" "not a tty"

# ---- Command, user, directory, variables ----
mkdir image
cat >image/Dockerfile <<'END2'
FROM bb
RUN echo 'app:x:1000:1000::/home/app:/bin/sh' > /etc/passwd; echo 'app:x:1000:' > /etc/group
ENV COLOUR=red SHAPE=round
WORKDIR /srv
USER app
VOLUME /var/data
STOPSIGNAL USR1
ENTRYPOINT ["echo", "entry"]
CMD ["by", "default"]
END2
"$strake" build --progress quiet -t app image >/dev/null
equal "entrypoint and CMD" "$(run app)" "entry by default"
equal "arguments in place of CMD" "$(run app -e x --help)" "entry -e x --help"
equal "another entrypoint, no CMD" "$(run --entrypoint /bin/pwd app)" /srv
equal "no entrypoint" "$(run --entrypoint '' app echo alone)" alone
equal "the image's user" "$(run --entrypoint id app)" "uid=1000(app) gid=1000(app) groups=1000(app)"
equal "another user" "$(run -u 0 --entrypoint id app -u)" 0
equal "user and group" "$(run -u 5:6 bb sh -c 'id -u; id -g' | tr '\n' ' ')" "5 6 "
equal "another directory" "$(run -w /made/here bb pwd)" /made/here
equal "its home" "$(run --entrypoint sh app -c 'echo $HOME')" /home/app
printf '# comment\nSHAPE=square\nFROM_HERE\n' >vars
equal "variables" "$(FROM_HERE=here run -e SIZE=big --env-file vars --entrypoint sh app \
  -c 'echo $COLOUR $SHAPE $SIZE $FROM_HERE $HOSTNAME')" "red square big here strake"
equal "a variable taken away" "$(run -e COLOUR --entrypoint sh app -c 'echo [$COLOUR]')" "[]"
equal "by id" "$(run "$("$strake" images -q app)")" "entry by default"
equal "its own host name" "$(run -h box bb hostname)" box
equal "a volume of the image is there" "$(run -u 0 --entrypoint sh app -c 'echo a > /var/data/f && cat /var/data/f')" a

# ---- Files ----
mkdir -p host/sub
echo of-host >host/file
equal "a directory of the host" "$(run -v "$work/host:/data" bb cat /data/file)" of-host
run -v ./host:/data bb sh -c 'echo changed > /data/new; mkdir /data/dir'
equal "changes stay" "$(cat host/new)" changed
[ -d host/dir ] || fail "a directory that the command made"
equal "read-only" "$(status_of run -v "$work/host:/data:ro" bb touch /data/no)" 1
equal "one file" "$(run -v "$work/host/file:/etc/one:ro" bb cat /etc/one)" of-host
equal "by --mount" "$(run --mount type=bind,src=host,dst=/data,readonly bb cat /data/file)" of-host
equal "nested" "$(run -v ./host:/a -v ./host/sub:/a/b/c bb ls /a/b)" c
[ ! -e host/b ] || fail "a place for a mount was left in the host's directory"
mount -t tmpfs none host/sub
touch host/sub/mounted
found=$(run -v ./host:/data bb ls /data/sub)
denied=$(status_of run -v ./host:/data:ro bb touch /data/sub/no)
umount host/sub
equal "what is mounted below" "$found" mounted
equal "and read-only too" "$denied" 1
refused 125 "a source that is not there" "no such file" run -v ./nosuch:/data bb true
refused 125 "a volume's name" "named volumes" run -v name:/data bb true
equal "memory of a size" "$(status_of run --tmpfs /m:size=64k bb dd if=/dev/zero of=/m/f bs=64k count=2)" 1
equal "not executable" "$(status_of run --tmpfs /m bb sh -c 'cp /bin/busybox /m/x; /m/x true')" 126
run bb sh -c 'echo gone > /kept; rm /bin/ls'
equal "nothing stays in the image" "$(run bb sh -c 'ls /kept 2>/dev/null; ls /bin/ls')" /bin/ls
equal "read-only root" "$(status_of run --read-only bb touch /file)" 1
equal "read-only root with places to write" \
  "$(run --read-only -v ./host:/data --tmpfs /run -u 0 --entrypoint sh app \
    -c 'touch /data/x /run/x /var/data/x && echo ok')" ok

# ---- Network ----
contains "none" "$(run --network none bb ip -o link)" "lo:"
equal "only that" "$(run --network none bb ip -o link | wc -l)" 1
contains "--add-host" "$(run --add-host db:10.0.0.5 bb cat /etc/hosts)" 10.0.0.5

# ---- Signals ----
# signalled SIGNALS SCRIPT [OPTIONS IMAGE]: what the script says and its status when strake gets the
# signals.
signalled() {
  local signals=$1 script=$2
  shift 2
  rm -f "$work/out"
  set -m  # else it would ignore SIGINT, as a background job
  "$strake" run --step-timeout 60s "${@:-bb}" sh -c "$script" >"$work/out" 2>&1 &
  pid=$!
  set +m
  for _ in $(seq 300); do grep -q ready "$work/out" 2>/dev/null && break; sleep 0.1; done
  for signal in $signals; do kill -s "$signal" $pid; sleep 0.5; done
  status=0
  wait $pid || status=$?
  pid=
}
waits='while :; do sleep 0.1; done'
signalled TERM "trap 'echo got it; exit 3' TERM; echo ready; $waits"
equal "SIGTERM goes to the command" "$status $(tail -n 1 "$work/out")" "3 got it"
signalled INT "trap 'echo got it; exit 4' INT; echo ready; $waits"
equal "SIGINT too" "$status $(tail -n 1 "$work/out")" "4 got it"
signalled HUP "echo ready; $waits"
equal "it dies of SIGHUP" "$status" 129
signalled "TERM TERM" "trap '' TERM; echo ready; $waits"
equal "the second one kills" "$status" 137
signalled TERM "trap 'exit 5' USR1; echo ready; $waits" --entrypoint '' app
equal "STOPSIGNAL" "$status" 5
signalled TERM "trap 'exit 6' QUIT; echo ready; $waits" --stop-signal SIGQUIT bb
equal "--stop-signal" "$status" 6

# ---- Terminals ----
cat >shell <<'END2'
expect #
raw yes
send tty; stty size\r
expect /dev/pts/0
expect 24 80
resize 30x100
send until [ "$(stty size)" = "30 100" ]; do sleep 0.1; done; echo si''zed\r
expect sized
send sh -c "echo rea''dy; exec sleep 100"\r
expect ready
send \x03
expect #
send echo rc=$?\r
expect rc=130
send exit 5\r
END2
talk shell "$strake" run -it bb sh
[ "$status" = 5 ] || cat "$work/screen" "$work/err" >&2
equal "a terminal, its size, Ctrl-C and the user's afterwards" "$status" 5
printf 'expect #\nsend kill -9 $$\\r\n' >crash
talk crash "$strake" run -it bb sh
equal "the user's terminal after a crash" "$status" 137
printf "expect #\nsend trap '' TERM; echo set''up\\\\r\nexpect setup\nsignal TERM\npause 0.5\nsignal TERM\n" >kill
talk kill "$strake" run -it bb sh
equal "and after two signals" "$status" 137
equal "a terminal without -i" "$(run -t bb sh -c '[ -t 1 ] && tty' | tr -d '\r')" /dev/pts/0

# ---- --on-error=shell ----
mkdir failing
cat >failing/Dockerfile <<'END2'
FROM bb
ENV COLOUR=red
WORKDIR /srv
RUN --mount=type=tmpfs,target=/memory echo kept > file; false
END2
cat >look <<'END2'
expect exit code 1
expect #
raw yes
send cat file; pwd; echo $COLOUR; mount | grep -c /memory\r
expect kept
expect /srv
expect red
expect 1
send echo typed > /other; exit 3\r
expect failed with exit code 1
END2
talk look "$strake" build --on-error=shell -t failed failing
equal "a shell where it failed; the build fails as before" "$status" 1
equal "no image" "$(status_of run --pull never failed true)" 125
talk look "$strake" build --progress plain --on-error=shell failing
equal "with plain progress" "$status" 1
refused 3 "without a terminal" "needs a terminal" \
  "$strake" build --on-error=shell failing </dev/null
refused 2 "another word" "use stop or shell" "$strake" build --on-error=later failing
printf 'expect --on-error=shell opens\n' >hint
talk hint "$strake" build failing
equal "a hint for people" "$status" 1
lacks "none for logs" "$("$strake" build failing 2>&1 || true)" on-error
printf 'FROM scratch\nCOPY busybox /busybox\nRUN ["/busybox", "false"]\n' >base/Dockerfile.bare
printf 'expect there is no shell\n' >none
talk none "$strake" build --on-error=shell -f base/Dockerfile.bare base
equal "an image without a shell" "$status" 1

# ---- Nothing is left ----
equal "unfinished work in the store" "$(find "$STRAKE_ROOT/ingest" -mindepth 1 -maxdepth 1 ! -name partial)" ""
"$strake" run bb sleep 1000 &
pid=$!
sleep 1
kill -9 $pid
wait $pid 2>/dev/null || true
pid=
sleep 0.3
lacks "processes after kill -9" "$(ps -eo args)" "sleep 1000"
ok "strake run"
