#!/bin/bash
# strake copy, tags, digest, delete, referrers, attach: images where they are, as they are.
. "$(dirname "$0")/lib.sh"
need python3 skopeo
need docker-registry
start_registry "$work/registry"
first=$registry
first_pid=$registry_pid
# The other one allows to delete.
REGISTRY_STORAGE_DELETE_ENABLED=true start_registry "$work/other"
other=$registry
at_end() { kill "$first_pid" 2>/dev/null || true; wait "$first_pid" 2>/dev/null || true; }

mkdir context
printf 'FROM scratch\nCOPY file /\n' >context/Dockerfile
head -c 3000000 /dev/urandom >context/file
"$strake" build --progress quiet --platform linux/amd64,linux/arm64 -t "$first/team/app:1" --push context \
  >/dev/null 2>build.log || { cat build.log >&2; fail build; }
digest=$("$strake" digest "$first/team/app:1")
digest_of() { "$strake" digest "$1"; }

copy() { "$strake" copy --progress quiet "$@"; }
equal "between registries" "$(copy "$first/team/app:1" "$other/copy/app:1")" "$digest"
equal "the tag is there" "$(digest_of "$other/copy/app:1")" "$digest"
check "skopeo agrees" skopeo copy -q --all --src-tls-verify=false "docker://$other/copy/app:1" oci:by-skopeo:1
equal "again, with nothing to do" "$(copy "$first/team/app:1" "$other/copy/app:1")" "$digest"
equal "within a registry" "$(copy "$first/team/app:1" "$first/moved/app:2")" "$digest"
equal "to a layout" "$(copy "$first/team/app:1" oci:layout:v1)" "$digest"
equal "back from it" "$(copy oci:layout:v1 "$other/from/layout:1")" "$digest"
equal "umoci's and skopeo's layouts" "$(copy oci:by-skopeo:1 "$other/from/skopeo:1")" "$digest"
equal "to an archive" "$(copy "$first/team/app:1" oci-archive:app.tar:v1)" "$digest"
check "skopeo reads it" skopeo inspect --raw oci-archive:app.tar:v1
equal "back from it" "$(copy oci-archive:app.tar:v1 "$other/from/archive:1")" "$digest"
skopeo copy -q --all oci:by-skopeo:1 oci-archive:skopeo.tar:1
equal "skopeo's archives" "$(copy oci-archive:skopeo.tar "$other/from/archive:2")" "$digest"

arm=$("$strake" digest --platform linux/arm64 "$first/team/app:1")
equal "one platform is its image" "$(copy --platform linux/arm64 "$first/team/app:1" "$other/arm/app:1")" "$arm"
equal "a docker-archive of it" "$(copy --platform arm64 "$first/team/app:1" docker-archive:docker.tar:app:1)" "$arm"
equal "back from it" "$(copy docker-archive:docker.tar "$other/from/docker:1")" "$arm"
refused 3 "a docker-archive of two platforms" "more than one platform" \
  "$strake" copy --progress quiet "$first/team/app:1" docker-archive:two.tar
[ ! -e two.tar ] || fail "half an archive was left"
refused 3 "a platform that is not there" "it has: linux/amd64, linux/arm64" \
  "$strake" copy --progress quiet --platform linux/s390x "$first/team/app:1" oci:none

equal "to the store" "$(copy oci:layout:v1 store:local/app)" "$digest"
contains "it is a local image" "$("$strake" images)" local/app
equal "from the store" "$(copy store:local/app "$other/from/store:1")" "$digest"

copy "$first/team/app:1" "$first/team/app:2" >/dev/null
copy --all-tags "$first/team/app" "$other/all/app" >/dev/null
equal "all tags" "$("$strake" tags "$other/all/app" | sort | paste -sd,)" 1,2
equal "tags as JSON" "$("$strake" tags --format json "$other/all/app" | python3 -c 'import json,sys; print(sorted(json.load(sys.stdin)["tags"]))')" "['1', '2']"

# A damaged layout is noticed.
blob=$(ls -S layout/blobs/sha256 | head -1)
cp -r layout damaged
printf 'x' | dd of="damaged/blobs/sha256/$blob" conv=notrunc status=none
refused 1 "a damaged blob is not copied" "$blob" "$strake" copy --progress quiet oci:damaged:v1 "$other/damaged/app:1"
gzip -k app.tar
refused 5 "a compressed archive" "is compressed" "$strake" copy --progress quiet oci-archive:app.tar.gz oci:x

# This registry keeps no lists of referrers: the tag sha256-… does.
echo '{"sbom": true}' >sbom.json
attached=$("$strake" attach "$first/team/app:1" sbom.json:application/json --artifact-type application/vnd.example.sbom 2>/dev/null)
"$strake" attach "$first/team/app:1" sbom.json --artifact-type application/vnd.example.other -a note=x >/dev/null 2>&1
equal "referrers" "$("$strake" referrers "$first/team/app:1" --format json | python3 -c 'import json,sys; print(len(json.load(sys.stdin)))')" 2
equal "of one type" "$("$strake" referrers "$first/team/app:1" --artifact-type application/vnd.example.sbom --format json |
  python3 -c 'import json,sys; print([r["digest"] for r in json.load(sys.stdin)])')" "['$attached']"
contains "as a table" "$("$strake" referrers "$first/team/app:1")" application/vnd.example.sbom
copy --referrers "$first/team/app:1" "$other/signed/app:1" >/dev/null
contains "referrers are copied" "$("$strake" referrers "$other/signed/app:1")" "$attached"
pids=
for i in 1 2 3 4; do
  "$strake" attach "$other/copy/app:1" sbom.json --artifact-type application/vnd.example.many -a "n=$i" >/dev/null 2>"attach.$i" &
  pids+=" $!"
done
for pid in $pids; do wait "$pid" || { cat attach.* >&2; fail "attach"; }; done
equal "attaching at the same time" "$("$strake" referrers "$other/copy/app:1" --format json | python3 -c 'import json,sys; print(len(json.load(sys.stdin)))')" 4

refused 5 "a registry that deletes nothing" "does not allow it" "$strake" delete "$first/team/app@$digest"
refused 2 "a name without a tag" "neither a tag nor a digest" "$strake" delete "$other/all/app"
status=0
"$strake" delete "$other/all/app:2" >out 2>err || status=$?
if [ "$status" = 0 ]; then
  equal "a tag is deleted" "$("$strake" tags "$other/all/app")" 1
else
  contains "tags cannot be deleted here: what else names the manifest" "$(cat err)" "has the tags: 1, 2"
fi
contains "a manifest is deleted" "$("$strake" delete "$other/all/app@$digest")" "Deleted: $other/all/app@$digest"
refused 3 "and is gone" "all/app" "$strake" digest "$other/all/app@$digest"
