#!/bin/bash
# Dockerfiles, images and outputs that want to read or write files of the machine: on every rung,
# beside a canary that must stay as it is.
. "$(dirname "$0")/lib.sh"
need_root
. "$here/rungs.sh"
busybox_context "$work/base"
mkdir -p canary/etc context
mkdir -m 1777 tmp
export TMPDIR=$work/tmp
echo "the canary's secret" >canary/secret
ln -s secret canary/link
mkfifo canary/fifo
chmod 711 canary/etc
chmod 777 canary
state() {
  (cd canary && find . -printf '%p %y %m %U:%G %s %n %T@ %C@ %l\n' | sort && sha256sum secret)
  mounts
  ls -A "$TMPDIR"
}
core_pattern=$(cat /proc/sys/kernel/core_pattern)

cat >base/Dockerfile <<'END'
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
END
# build RUNG ARGS...: status of the build, which may fail; its output is in log.
build() {
  local rung=$1
  shift
  on_rung "$rung" "$strake" build --progress plain --pull=never "$@" >log 2>&1
}
must() { build "$@" || { cat log >&2; fail "build on $1"; }; }

for rung in root range one chroot; do
  must "$rung" -t localhost/base base
  before=$(state)

  # Case C05: destinations that are symlinks out of the image, dangling ones, and a FIFO.
  # Case C14: COPY to where a step has mounts is a COPY into the layer.
  cat >context/Dockerfile <<END
FROM localhost/base
RUN ln -s $work/canary /abs && ln -s ../../../../../../..$work/canary /up && ln -s nowhere /dangling \\
 && mkfifo /fifo && ln -s /proc/self/root$work/canary /magic && mkdir -p /etc && ln -s $work/canary/secret /etc/motd
COPY file /abs/secret
COPY file /up/link
COPY file /magic/
COPY file /dangling/
COPY file /etc/motd
COPY file /fifo
COPY file /proc/strake
COPY file /dev/null
COPY file /sys/strake
COPY file /etc/resolv.conf
RUN test -p /fifo || grep -q evil /fifo && grep -q evil $work/canary/secret
END
  echo evil >context/file
  must "$rung" -o "as-$rung/out" context
  # The files of the image, where its symlinks lead to inside of it.
  [ "$(cat "as-$rung/out/etc/resolv.conf")" = evil ] || fail "COPY onto resolv.conf on $rung"
  [ "$(cat "as-$rung/out/dev/null")" = evil ] || fail "COPY onto /dev/null on $rung"
  [ "$(cat "as-$rung/out$work/canary/secret")" = evil ] || fail "COPY through symlinks on $rung"
  ok "$rung: destinations are inside of the image"

  # Case C09: what is written to a directory stays in it: symlinks of the image, and one that was
  # planted there.
  mkdir -m 777 "as-$rung/planted"
  ln -s "$work/canary" "as-$rung/planted/abs"
  ln -s "$work/canary/secret" "as-$rung/planted/bin"
  build "$rung" -o "as-$rung/planted" context || true
  ok "$rung: an output stays in its directory"

  # Case C17: working directories that lead elsewhere, and one below a file.
  for directory in /proc/self/fd/7 /proc/self/cwd /proc/1/root /link /up/etc; do
    cat >context/Dockerfile <<END
FROM localhost/base
RUN ln -s /proc/self/fd/7 /link; ln -s ../../../../../../..$work/canary /up
WORKDIR $directory
RUN pwd; ls; echo evil > secret; true
END
    build "$rung" context || true
    lacks "$rung: WORKDIR $directory" "$(cat log)" "the canary"
  done
  printf 'FROM localhost/base\nWORKDIR /bin/busybox/x\nRUN true\n' >context/Dockerfile
  build "$rung" context && fail "a WORKDIR below a file"

  # Case C18: a Dockerfile does not choose the program that reads it.
  printf '# syntax=evil.example.com/frontend:1\nFROM scratch\n' >context/Dockerfile
  build "$rung" context && fail "another language"
  contains "$rung: another language is refused" "$(cat log)" 'Dockerfile:1'

  # Case C19: values that a reader of the image could take for something else.
  printf 'FROM localhost/base\nLABEL a="\x1b]0;evil\\n\\"}" b=<script>\nVOLUME /v\\"},x\nENV A="\x01\x7f"\nHEALTHCHECK CMD echo \x1b[2J\n' >context/Dockerfile
  must "$rung" -t localhost/values context
  on_rung "$rung" "$strake" inspect localhost/values >inspected
  python3 -m json.tool <inspected >/dev/null || fail "values on $rung are no JSON"
  if grep -q "$(printf '\x1b')" inspected log; then fail "escapes are printed on $rung"; fi
  for line in 'EXPOSE 80\x1b' 'EXPOSE 99999999' 'STOPSIGNAL SIG\x1bEVIL' 'HEALTHCHECK --interval=-1s CMD x' \
    'COPY --chmod=9999 file /' 'USER \x1b[2J\nRUN true'; do
    printf "FROM localhost/base\n$line\n" >context/Dockerfile
    build "$rung" context && fail "$rung takes $line"
    if grep -q "$(printf '\x1b')" log; then fail "escapes are printed on $rung"; fi
  done
  ok "$rung: values are refused or escaped"

  equal "$rung: the canary" "$(state)" "$before"
  equal "$rung: core_pattern" "$(cat /proc/sys/kernel/core_pattern)" "$core_pattern"
done
