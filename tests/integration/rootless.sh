#!/bin/bash
# Builds of an ordinary user: what the ladder's choice is and says, where the store goes, that the
# layers are those of root, and that nothing is left behind.
. "$(dirname "$0")/lib.sh"
. "$here/rungs.sh"
need_root
need python3
export SOURCE_DATE_EPOCH=1700000000

context=$work/context
busybox_context "$context"
echo text >"$context/file"
cat >"$context/Dockerfile" <<'END_OF_FILE'
FROM scratch AS base
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
FROM base AS made
COPY --chown=1000:1000 file /given/file
WORKDIR /work
RUN mkdir -p a/b && echo one > a/b/f && ln a/b/f a/g && ln -s g a/l && mkfifo a/p \
 && chmod 4755 a/g && chmod 2775 a && touch -t 202001010000 a/l
RUN rm a/b/f && rmdir a/b && mkdir a/b && echo two > a/b/h && mv a/l a/m
FROM base
COPY --from=made /work /work
COPY --from=made /given /given
RUN rm -r /work/a/b /bin/yes && cat /proc/self/uid_map && test -c /dev/null && ls /sys/class >/dev/null
END_OF_FILE
chmod -R a+rX "$context"

build() { on_rung "$1" "$strake" build --progress plain "${@:2}" "$context" 2>"$work/log-$1" || { cat "$work/log-$1" >&2; fail "build on rung $1"; }; }
as_root=$(build root)
lacks "root is not told where it is" "$(cat "$work/log-root")" "isolation:"
for rung in range one; do
  id=$(build "$rung")
  equal "the image of rung $rung is that of root" "$id" "$as_root"
  equal "the image of rung $rung comes from the cache" "$(build "$rung")" "$as_root"
  contains "each step of it" "$(cat "$work/log-$rung")" CACHED
done

# Without being told: the store below the home, and the best rung there is.
unset STRAKE_ROOT
by_itself() {
  local ranges=$1 home=$work/as-$2
  shift 2
  mkdir -p "$home"
  chown $nobody:$nobody "$home"
  as_nobody "$ranges" env -u STRAKE_ROOT "HOME=$home" "$@"
}
by_itself "" home "$strake" build "$context" >/dev/null 2>log || { cat log >&2; fail "build without options"; }
contains "the rung is named, and why" "$(cat log)" 'isolation: user namespace with one id (no range in /etc/subuid for "nobody"; '
equal "the store is below the home" "$(stat -c %u:%a "$work/as-home/.local/share/strake")" $nobody:700
by_itself nobody:1000000:65536 ranges "$strake" build -v --progress plain "$context" >/dev/null 2>log || { cat log >&2; fail "build with a range"; }
contains "a range is used where there is one" "$(cat log)" "isolation: user namespace with a range of ids"
contains "and steps have it" "$(cat log)" "1000000      65536"
lacks "no warnings" "$(cat log)" warning

# What cannot be is refused with what would change it.
refused 5 "no root for nobody" "run as root" by_itself "" home "$strake" build --isolation root "$context"
refused 5 "no range" "usermod --add-subuids" by_itself "" home "$strake" build --isolation user "$context"
refused 5 "no chroot" "CAP_SYS_CHROOT" by_itself "" home env STRAKE_ISOLATION=chroot "$strake" build "$context"
refused 2 "words that are no rung" "did you mean" by_itself "" home "$strake" build --isolation user1 "$context"

rung_of() { by_itself "$1" home "$strake" doctor --format json | python3 -c 'import json,sys; d=json.load(sys.stdin); assert len(d["checks"]) > 20; print(d["isolation"])'; }
equal "the doctor says which rung without ids" "$(rung_of "")" user-one
equal "the doctor says which rung with ids" "$(rung_of nobody:1000000:65536)" user
contains "and what would be better" "$(by_itself "" home "$strake" doctor)" "to have it: as root: usermod"

# Verbs without trees work in any store, those with trees see everybody's files.
by_itself "" home "$strake" images >/dev/null || fail "images"
check "prune removes what the range owns" by_itself nobody:1000000:65536 ranges "$strake" prune --images --force
equal "and leaves no layer" "$(ls "$work/as-ranges/.local/share/strake/layers")" ""

# Where parts of /proc are covered, as in containers, a step cannot have its own.
cat >"$context/Dockerfile.proc" <<'END_OF_FILE'
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN { ! echo x >/proc/self/comm; } 2>/dev/null && seen=0 && for p in /proc/[0-9]*; do \
  if tr '\0' ' ' <$p/cmdline | grep -q 'strake[ ]build'; then seen=1; \
  if ls $p/root/ $p/cwd/ || cat $p/environ || cat $p/maps; then exit 1; fi 2>/dev/null; fi; done; test $seen = 1
END_OF_FILE
covered() {
  unshare --mount --propagation private bash -c '
    mount -t tmpfs none /proc/bus && exec setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"' \
    - $nobody env -u STRAKE_ROOT "HOME=$work/as-home" "$@"
}
covered "$strake" build --no-cache -f "$context/Dockerfile.proc" "$context" >/dev/null 2>log || { cat log >&2; fail "build with a covered /proc"; }
contains "a step then sees the builder's, and is told" "$(cat log)" "warning: steps see the builder's /proc, read-only"

# kill -9 takes the step along.
printf 'FROM scratch\nCOPY busybox /bin/sh\nRUN exec sleep 98765\n' >"$context/Dockerfile.long"
by_itself "" home bash -c 'echo $$ >"$HOME/pid"; exec "$@"' - "$strake" build -f "$context/Dockerfile.long" "$context" >/dev/null 2>&1 &
sleeping() { pgrep -f '^sleep 98765$' >/dev/null; }
for _ in $(seq 600); do sleeping && break; sleep 0.05; done
sleeping || fail "the step did not start"
kill -9 "$(cat "$work/as-home/pid")"
wait %% 2>/dev/null || true
for _ in $(seq 200); do sleeping || break; sleep 0.05; done
sleeping && fail "the step outlived the builder"
ok "kill -9 takes the step along"
check "and the store is as before" by_itself "" home "$strake" build "$context"
