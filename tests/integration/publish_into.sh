#!/bin/bash
# Jobs push their own platforms into one tag at the same time: it ends as the index of all of them.
# STRAKE_RACES=200 races that often.
. "$(dirname "$0")/lib.sh"
need python3
local_registry
races=${STRAKE_RACES:-10}

# index TAG: the digests of its entries, by platform.
index() {
  "$strake" index inspect --format json "$registry/team/app:$1" | python3 -c '
import json, sys
for entry in json.load(sys.stdin)["Manifest"]["manifests"]:
    platform = entry["platform"]
    print("/".join([platform["os"], platform["architecture"]]), entry["digest"])'
}
platforms() { index "$1" | cut -d" " -f1 | paste -sd, ; }

# Images of one file each; nothing of them runs.
mkdir context
cat >context/Dockerfile <<'END'
FROM scratch
ARG TARGETARCH
LABEL arch=$TARGETARCH
COPY file /
END
# image ARCHITECTURE VERSION: a local image app-ARCHITECTURE.
image() {
  echo "$2" >context/file
  "$strake" build --progress quiet --platform "linux/$1" -t "local/app-$1" context >/dev/null 2>build.log ||
    { cat build.log >&2; fail "build for $1"; }
}
push() { local arch=$1 tag=$2; shift 2; "$strake" push --progress quiet "local/app-$arch" --into "$registry/team/app:$tag" "$@"; }

for arch in amd64 arm64 s390x; do image "$arch" 1; done

first=$(push amd64 one 2>/dev/null)
equal "one platform is an index of one" "$(platforms one)" linux/amd64
equal "its digest is printed" "$first" "$("$strake" digest "$registry/team/app:one")"
push arm64 one >/dev/null
equal "the second one joins it" "$(platforms one)" linux/amd64,linux/arm64
again=$(push amd64 one)
equal "pushing again changes nothing" "$again" "$("$strake" digest "$registry/team/app:one")"
contains "markers name the parts" "$("$strake" tags "$registry/team/app")" one--part-linux-arm64

"$strake" index annotate "$registry/team/app:one" --annotation org.example.note=kept >/dev/null
push s390x one >/dev/null
equal "a third one joins" "$(platforms one)" linux/amd64,linux/arm64,linux/s390x
contains "annotations of the index survive" "$("$strake" index inspect "$registry/team/app:one")" \
  "org.example.note: kept"

image amd64 2
push amd64 one >/dev/null
equal "a new image replaces its platform" "$(platforms one)" linux/amd64,linux/arm64,linux/s390x
new=$("$strake" digest "$registry/team/app:one--part-linux-amd64")
contains "with the new image" "$(index one)" "linux/amd64 $new"

push amd64 one --require amd64,arm64 >/dev/null
equal "required platforms leave out what is built no more" "$(platforms one)" linux/amd64,linux/arm64

push amd64 both --require linux/amd64,linux/arm64 >out 2>err
equal "while one is missing there is no digest" "$(cat out)" ""
contains "it says what it waits for" "$(cat err)" "is waiting for linux/arm64"
refused 3 "and no tag" "not found" "$strake" digest "$registry/team/app:both"
push arm64 both --require linux/amd64,linux/arm64 >/dev/null
equal "the last one publishes" "$(platforms both)" linux/amd64,linux/arm64
refused 3 "a platform that is not required" "not one of the required" \
  "$strake" push --progress quiet local/app-s390x --into "$registry/team/app:both" --require amd64,arm64

long=$(printf 'x%.0s' $(seq 128))
push amd64 "$long" >/dev/null
push arm64 "$long" >/dev/null
equal "the longest tag has room for markers" "$(platforms "$long")" linux/amd64,linux/arm64

# What is in the index are the bytes that each job has pushed.
for arch in amd64 arm64; do
  digest=$(index one | sed -n "s,linux/$arch ,,p")
  equal "the child for $arch is byte-exact" \
    "sha256:$("$strake" index inspect --raw "$registry/team/app@$digest" | sha256sum | cut -d' ' -f1)" "$digest"
done

# A store each, as jobs on different machines have them.
mkdir race
for arch in amd64 arm64; do
  STRAKE_ROOT=$work/store-$arch image "$arch" 3
done
complete=0
for i in $(seq "$races"); do
  pids=
  for arch in amd64 arm64; do
    STRAKE_ROOT=$work/store-$arch push "$arch" "race-$i" >"race/$arch" 2>"race/$arch.err" &
    pids+=" $!"
  done
  for pid in $pids; do wait "$pid" || { cat race/*.err >&2; fail "a push of race $i failed"; }; done
  [ "$(platforms "race-$i")" = linux/amd64,linux/arm64 ] || fail "race $i: $(platforms "race-$i")"
  complete=$((complete + 1))
done
equal "complete indexes of $races races" "$complete" "$races"
