#!/bin/bash
# The same context and SOURCE_DATE_EPOCH give the same manifest: in two stores, at other times,
# with any number of jobs.
. "$(dirname "$0")/lib.sh"
need_root
need skopeo
local_registry
export SOURCE_DATE_EPOCH=1700000000

build_in() { # build_in STORE JOBS
  export STRAKE_ROOT=$work/$1
  busybox_context "$1-context/app"
  seq 1 2000 >"$1-context/app/numbers"
  cat >"$1-context/Dockerfile" <<'END'
FROM scratch AS base
COPY app/busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
FROM base AS one
RUN seq 1 1000 > /one; mkdir -p /d/e; date > /dev/null; ln /one /d/e/hard
FROM base AS two
RUN seq 1 100000 > /two
FROM base
COPY --from=one /one /d /out/
COPY --from=two /two /out/
COPY app/numbers /n/
WORKDIR /w
RUN touch now && rm /bin/zcat
END
  "$strake" build --jobs "$2" --push -t "$registry/repro:$1" "$1-context" >/dev/null 2>log || { cat log; fail build; }
  skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$registry/repro:$1"
}

first=$(build_in one 1)
sleep 1.1
equal "the same manifest digest" "$(build_in two 4)" "$first"
