#!/bin/bash
# RUN --mount of every type, RUN --network, --security and their grants.
. "$(dirname "$0")/lib.sh"
need_root
busybox_base localhost/base
mkdir context

build() { "$strake" build --progress plain "$@" context 2>"$work/log"; }
# files OUT ARGS...: builds and writes the image's files to the directory OUT.
files() { local out=$1; shift; rm -rf "$out"; build -o "$out" "$@" >/dev/null || { cat "$work/log" >&2; fail "build for $out"; }; }

# ---- bind ----
mkdir context/src
echo one >context/src/a
echo ignored >context/src/left-out
echo src/left-out >context/.dockerignore
cat >context/Dockerfile <<'END'
FROM localhost/base AS tools
RUN mkdir -p /share/deep && echo tool >/share/deep/tool && echo other >/share/other
FROM localhost/base
RUN --mount=type=bind,source=src,target=/in cat /in/* >/seen && stat -c %u:%g /in/a >>/seen && ! touch /in/x
RUN --mount=source=src/a,target=/file cat /file >/from-file
RUN --mount=from=tools,source=/share,target=/share,rw echo changed >/share/other && cat /share/deep/tool /share/other >/from-stage
RUN --mount=type=bind,source=src,target=/w --mount=type=cache,target=/w/cache touch /w/cache/x && ls /w >/nested
END
files root
equal "a bind mount shows the context without what is ignored, owned by root" "$(cat root/seen)" "one
0:0"
equal "a file can be mounted" "$(cat root/from-file)" one
equal "what a step writes to a stage's files stays with the step" "$(cat root/from-stage)" "tool
changed"
equal "mounts lie inside of read-only mounts" "$(cat root/nested)" "a
cache"
[ ! -e root/in ] && [ ! -e root/share ] && [ ! -e root/w ] || fail "mount points were left in the image"
ok "no mount point is left in the image"

touch -d 2001-01-01 context/src/a
build -o root2 >/dev/null
equal "nothing runs again, whatever the times of mounted files" "$(count ' DONE' log)" 1  # the export
echo two >context/src/a
files root
equal "mounted files count by content" "$(head -1 root/seen)" two

# ---- cache, tmpfs ----
cat >context/Dockerfile <<'END'
FROM localhost/base
ARG ROUND
RUN --mount=type=cache,id=c,target=/cache,uid=7,mode=0711 echo $ROUND >>/cache/rounds && cp /cache/rounds /rounds && stat -c %u:%a /cache >/owner
RUN --mount=type=cache,id=c,target=/elsewhere,uid=7,mode=0711,readonly ! touch /elsewhere/x && cp /elsewhere/rounds /read
RUN --mount=type=cache,id=other,target=/cache ls /cache >/other
RUN --mount=type=tmpfs,target=/tmp,size=1m touch /tmp/x && ! dd if=/dev/zero of=/tmp/big bs=1M count=2 2>/dev/null
END
files root --build-arg ROUND=1
files root --build-arg ROUND=2
equal "a cache mount keeps its content" "$(cat root/rounds)" "1
2"
equal "a cache mount has the owner and mode asked for" "$(cat root/owner)" "7:711"
equal "a cache mount can be read-only" "$(cat root/read)" "$(cat root/rounds)"
equal "cache mounts of other ids are others" "$(cat root/other)" ""
[ -z "$(ls -A root/tmp 2>/dev/null)" ] || fail "a tmpfs leaks into the image"
ok "a tmpfs has its size and leaves nothing"

cat >context/Dockerfile <<'END'
FROM localhost/base AS a
RUN --mount=type=cache,id=l,sharing=locked,target=/c for i in 1 2 3 4 5 6 7 8; do echo a >>/c/log; sleep 0.02; done
FROM localhost/base AS b
RUN --mount=type=cache,id=l,sharing=locked,target=/c for i in 1 2 3 4 5 6 7 8; do echo b >>/c/log; sleep 0.02; done
FROM localhost/base
COPY --from=a /bin/busybox /a
COPY --from=b /bin/busybox /b
RUN --mount=type=cache,id=l,target=/c uniq /c/log >/runs
END
files root --jobs 4
equal "a locked cache mount serves one step at a time" "$(wc -l <root/runs)" 2

# ---- ssh ----
need ssh-agent ssh-add ssh-keygen
eval "$(ssh-agent -a "$work/agent.sock")" >/dev/null
at_end() { kill "$SSH_AGENT_PID" 2>/dev/null || true; }
cat >context/Dockerfile <<'END'
FROM localhost/base
RUN mkdir -m 1777 /tmp
USER 1234
RUN --mount=type=ssh,uid=1234 test -S "$SSH_AUTH_SOCK" && stat -c %u:%a "$SSH_AUTH_SOCK" >/tmp/agent
RUN --mount=type=ssh,target=/run/mine,required,mode=0666 test -S /run/mine && echo "$SSH_AUTH_SOCK" >>/tmp/agent
RUN --mount=type=ssh,id=another test -z "$SSH_AUTH_SOCK"
END
files root --ssh default
equal "the agent's socket has the owner and mode asked for" "$(cat root/tmp/agent)" "1234:600
/run/mine"
contains "an agent that was not given is noted" "$(cat log)" 'not given the ssh agent "another"'
printf 'FROM localhost/base\nRUN --mount=type=ssh,required true\n' >context/Dockerfile
refused 3 "a required agent that was not given" "add --ssh default" "$strake" build context
refused 2 "an agent that is not there" "no ssh agent" "$strake" build --ssh "default=$work/none" context

# ---- network, security ----
# Case D38: a Dockerfile cannot give its steps more rights than the command line grants.
cat >context/Dockerfile <<'END'
FROM localhost/base
RUN --network=none ls /sys/class/net >/nets
RUN --security=insecure mkdir /m && mount -t tmpfs none /m && umount /m && echo yes >/insecure
END
refused 4 "rights that were not granted" "add --allow security.insecure" "$strake" build context
files root --allow security.insecure
equal "no network but loopback" "$(cat root/nets)" lo
equal "an insecure step may mount" "$(cat root/insecure)" yes
