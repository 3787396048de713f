#!/bin/bash
# What builds in a container of docker's default profile, where nothing can be mounted or unshared,
# and that its layers are those of the root rung. $STRAKE_CONTAINER runs a program as in one.
. "$(dirname "$0")/lib.sh"
need_root
container=${STRAKE_CONTAINER:?path of in_container}
export SOURCE_DATE_EPOCH=1700000000
busybox_base localhost/base
in_container() { STRAKE_ROOT=$work/other-store STRAKE_ISOLATION=chroot "$container" "$strake" "$@"; }
in_container build --progress quiet -t localhost/base "$work/base" >/dev/null

mkdir context
echo one >context/file
cat >context/Dockerfile <<'END'
FROM localhost/base AS build
RUN mkdir -p /out/keep /out/gone /opt /tmp && echo a >/out/a && ln /out/a /out/b && touch /out/gone/x
RUN rm -r /out/gone && chmod 600 /out/keep && mkdir /tmp/made && echo x >/tmp/made/x && mv /tmp/made /opt/made
RUN rm /out/b && rm -r /out/keep && mkdir /out/keep
RUN ln /out/a /out/c
RUN cp /bin/busybox /out/su && chmod 4755 /out/su && chown 7:8 /out/su && chown -R 9:9 /out/keep
RUN --mount=type=cache,target=/cache echo $((1 + $(cat /cache/count 2>/dev/null || echo 0))) >/cache/count
RUN --mount=type=secret,id=s,target=/run/secrets/s wc -c </run/secrets/s >/out/size
RUN true
FROM localhost/base
COPY --from=build /out /out
COPY file /file
WORKDIR /work
RUN --mount=from=build,source=/out,target=/in,rw cat /in/a /in/c >both && rm /in/a
RUN <<SCRIPT
touch /dev/null /etc/mine
ls /out >/work/list
SCRIPT
USER 1234
RUN id -u >/tmp/me 2>/dev/null || true
END
echo secret-content >secret

# build ROOT OUT COMMAND...: a store of its own, which has the base.
build() {
  local store=$1 out=$2
  shift 2
  STRAKE_ROOT=$store "$@" "$strake" build --progress plain --secret "id=s,src=secret" \
    -o "type=oci,dest=$out,tar=false" --compression none context >"$out.id" 2>"$out.log" ||
    { cat "$out.log" >&2; fail "build for $out"; }
}
layers_of() { grep -o '"diff_ids":\[[^]]*\]' "$1"/blobs/sha256/* | cut -d: -f2-; }

build "$STRAKE_ROOT" "$work/on-root" env
build "$work/other-store" "$work/in-container" env STRAKE_ISOLATION=chroot "$container"
equal "the layers are those of the root rung" \
  "$(layers_of "$work/in-container")" "$(layers_of "$work/on-root")"
contains "the user is told what is missing" "$(cat "$work/in-container.log")" "/proc"
lacks "secrets are not in the store" \
  "$(grep -rl secret-content "$work/other-store" || true)" "store"

cat >context/Dockerfile <<'END'
FROM localhost/base
ARG ROUND
RUN --mount=type=cache,target=/cache echo $((1 + $(cat /cache/count 2>/dev/null || echo 0))) >/cache/count && cp /cache/count /count
END
in_container build --progress quiet --build-arg ROUND=1 -o files context >/dev/null
equal "a cache mount keeps its content" "$(cat files/count)" 2

printf 'FROM localhost/base\nRUN --network=none true\n' >context/Dockerfile
refused 5 "no network of its own" "plain chroot" in_container build context
printf 'FROM localhost/base\nRUN touch /made && false\n' >context/Dockerfile
in_container build context >/dev/null 2>&1 && fail "a failing command fails the build"
[ -z "$(find "$work/other-store/ingest" -mindepth 1 -name 'root-*')" ] ||
  fail "copied roots were left behind"
ok "no copied root is left behind"
