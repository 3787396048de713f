#!/bin/bash
# strake index: indexes in registries, of images from anywhere; in docker's words too.
. "$(dirname "$0")/lib.sh"
need python3 skopeo
local_registry
first=$registry
first_pid=$registry_pid
start_registry "$work/other"
other=$registry
at_end() { kill "$first_pid" 2>/dev/null || true; wait "$first_pid" 2>/dev/null || true; }

mkdir context
printf 'FROM scratch\nCOPY file /\n' >context/Dockerfile
# image ARCHITECTURE NAME CONTENT: pushed to NAME.
image() {
  echo "$3" >context/file
  "$strake" build --progress quiet --platform "linux/$1" -t "$2" --push context >/dev/null 2>build.log ||
    { cat build.log >&2; fail "build for $1"; }
}
platforms() {
  "$strake" index inspect --format json "$1" | python3 -c '
import json, sys
print(",".join("/".join(e["platform"][k] for k in ("os", "architecture", "variant") if k in e["platform"])
               for e in json.load(sys.stdin)["Manifest"]["manifests"]))'
}
image amd64 "$first/a/amd:1" amd
image arm64 "$other/b/arm:1" arm
image arm/v7 "$first/a/arm7:1" arm7

digest=$("$strake" index create -t "$first/team/app:1" "$first/a/amd:1" "$other/b/arm:1" 2>/dev/null)
equal "an index of images of two registries" "$(platforms "$first/team/app:1")" linux/amd64,linux/arm64
equal "its digest is printed" "$digest" "$("$strake" digest "$first/team/app:1")"
equal "platforms are those of the configs, children byte-exact" \
  "$("$strake" digest --platform linux/arm64 "$first/team/app:1")" "$("$strake" digest "$other/b/arm:1")"
check "skopeo copies all of it" skopeo copy -q --all --src-tls-verify=false "docker://$first/team/app:1" oci:all:1

"$strake" index append "$first/team/app:1" "$first/a/arm7:1" >/dev/null 2>&1
equal "append" "$(platforms "$first/team/app:1")" linux/amd64,linux/arm64,linux/arm/v7
image arm64 "$other/b/arm:2" newer
"$strake" buildx imagetools create --append -t "$first/team/app:1" "$other/b/arm:2" >/dev/null 2>&1
equal "append replaces the same platform" "$(platforms "$first/team/app:1")" linux/amd64,linux/arm64,linux/arm/v7
equal "by the new image" "$("$strake" digest --platform linux/arm64 "$first/team/app:1")" "$("$strake" digest "$other/b/arm:2")"

"$strake" index remove "$first/team/app:1" linux/arm/v7 >/dev/null
equal "remove" "$(platforms "$first/team/app:1")" linux/amd64,linux/arm64
refused 3 "what is not there cannot be removed" "it has: linux/amd64, linux/arm64" \
  "$strake" index remove "$first/team/app:1" linux/s390x

"$strake" index annotate "$first/team/app:1" --annotation org.example.a=1 \
  --annotation 'manifest-descriptor[linux/arm64]:org.example.b=two words' >/dev/null
shown=$("$strake" imagetools inspect "$first/team/app:1")
contains "annotation of the index" "$shown" "org.example.a: 1"
contains "annotation of an entry" "$shown" "org.example.b: two words"
refused 3 "images are not annotated" "would change the images" \
  "$strake" index annotate "$first/team/app:1" --annotation manifest:a=b

before=$("$strake" digest "$first/team/app:1")
dry=$("$strake" index create --dry-run "$first/team/app:1" --platform linux/amd64)
contains "a dry run shows the index" "$dry" '"architecture": "amd64"'
lacks "of the platforms asked for" "$dry" '"arm64"'
equal "and writes nothing" "$("$strake" digest "$first/team/app:1")" "$before"

same=$("$strake" index create -t "$other/copy/app:1" "$first/team/app:1" 2>/dev/null)
equal "a lone index is copied as it is" "$same" "$before"
equal "a lone image becomes an index" \
  "$("$strake" index create -t "$first/team/one:1" "$first/a/amd:1" >/dev/null 2>&1; platforms "$first/team/one:1")" linux/amd64
equal "or not" "$("$strake" index create --prefer-index=false -t "$first/team/one:2" "$first/a/amd:1" 2>/dev/null)" \
  "$("$strake" digest "$first/a/amd:1")"
refused 3 "two images for one platform" "two images for linux/arm64" \
  "$strake" index create -t "$first/team/two:1" "$other/b/arm:1" "$other/b/arm:2"

cat >descriptor.json <<END
{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "$("$strake" digest "$first/a/amd:1")",
 "size": $("$strake" index inspect --raw "$first/a/amd:1" | wc -c), "platform": {"os": "linux", "architecture": "amd64"}}
END
"$strake" index create -t "$first/a/amd:index" -f descriptor.json >/dev/null 2>&1
equal "a descriptor from a file" "$(platforms "$first/a/amd:index")" linux/amd64

equal "a template" "$("$strake" index inspect --format '{{.Manifest.digest}}' "$first/team/app:1")" "$before"
equal "raw bytes" "sha256:$("$strake" index inspect --raw "$first/team/app:1" | sha256sum | cut -d' ' -f1)" "$before"

# Writers append at the same time to one index.
"$strake" index create -t "$first/team/many:1" "$first/a/amd:1" >/dev/null 2>&1
pids=
for variant in v5 v6 v7; do
  image "arm/$variant" "$first/a/many:$variant" "$variant"
done
for variant in v5 v6 v7; do
  "$strake" index append "$first/team/many:1" "$first/a/many:$variant" >/dev/null 2>"append.$variant" &
  pids+=" $!"
done
for pid in $pids; do wait "$pid" || { cat append.* >&2; fail "append"; }; done
equal "appending at the same time" "$(platforms "$first/team/many:1" | tr , '\n' | sort | paste -sd,)" \
  linux/amd64,linux/arm/v5,linux/arm/v6,linux/arm/v7

# Annotations of a build.
"$strake" build --progress quiet --platform linux/amd64,linux/arm64 -t "$first/noted:1" --push \
  --annotation org.example.m=image --annotation index:org.example.i=index \
  --annotation 'manifest-descriptor[linux/arm64]:org.example.d=entry' context >/dev/null 2>&1
noted=$("$strake" index inspect --raw "$first/noted:1")
contains "build annotates the index" "$noted" '"org.example.i": "index"'
contains "and its entries" "$noted" '"org.example.d": "entry"'
contains "and the images" "$("$strake" index inspect --raw \
  "$first/noted@$("$strake" digest --platform linux/arm64 "$first/noted:1")")" '"org.example.m": "image"'
