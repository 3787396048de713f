#!/bin/bash
# A push sends what the registry lacks, and nothing else: by the registry's own access log.
. "$(dirname "$0")/lib.sh"
need_root
need skopeo
local_registry

# Requests since the last mark, and how many of them were of a kind, in all repositories or one.
mark() { marked=$(wc -l <"$work/registry/log"); }
requests() { tail -n +$((marked + 1)) "$work/registry/log"; }
uploads() { requests | grep -c "\"PUT /v2/${1:-[a-z/]*}/blobs/uploads/[^\"]*\" 201 " || true; }
chunks() { requests | grep -c "\"PATCH /v2/${1:-[a-z/]*}/blobs/uploads/" || true; }
mounts_of() { requests | grep "\"POST /v2/$1/blobs/uploads/" | grep -c "mount=.*\" 201 " || true; }

# sent WHAT UPLOADS [REPOSITORY]: so many blobs were uploaded, in one request each.
sent() {
  sleep 0.2  # the log is written after the answer
  equal "$1: blobs uploaded" "$(uploads "${3:-}")" "$2"
  equal "$1: no more than that" "$(chunks "${3:-}")" 0
}
digest_at() { skopeo inspect --tls-verify=false --raw "docker://$1" | sha256sum | cut -d' ' -f1; }

# A base of two layers, in the registry and in this store.
mkdir base app
head -c 300000 /dev/urandom >base/one
head -c 200000 /dev/urandom >base/two
printf 'FROM scratch\nCOPY one /one\nCOPY two /two\n' >base/Dockerfile
mark
check "a base is pushed" "$strake" build --push -t "$registry/team/base:1" base
sent "the base" 3 team/base

new_file() { head -c 100000 /dev/urandom >app/file; }
printf 'FROM %s\nCOPY file /file\n' "$registry/team/base:1" >app/Dockerfile

# One layer and one config are new each time, wherever the base is.
new_file
mark
check "build --push into the base's repository" "$strake" build --push -t "$registry/team/base:app" app
sent "the same repository" 2
equal "the same repository: mounts" "$(mounts_of team/base)" 0

new_file
mark
check "build --push into another repository" "$strake" build --push -t "$registry/team/app:1" app
sent "another repository" 2
equal "another repository: the base's layers are mounted" "$(mounts_of team/app)" 2

new_file
"$strake" build -t "$registry/other/app:1" app 2>/dev/null >/dev/null
mark
check "strake push into another repository" "$strake" push "$registry/other/app:1"
sent "strake push" 2
equal "strake push: the base's layers are mounted" "$(mounts_of other/app)" 2

# The second time, nothing at all.
mark
check "strake push again" "$strake" push "$registry/other/app:1"
sent "again" 0
mark
check "build --push again" "$strake" build --push -t "$registry/other/app:1" app
sent "build again" 0
mark
"$strake" tag "$registry/other/app:1" "$registry/other/app:2"
check "another tag" "$strake" push "$registry/other/app:2"
sent "another tag" 0

# A third repository gets everything from those that have it, and the config besides.
mark
"$strake" tag "$registry/other/app:1" "$registry/third/app:1"
check "a third repository" "$strake" push "$registry/third/app:1"
equal "a third repository: layers are mounted" "$([ "$(mounts_of third/app)" -ge 3 ] && echo yes)" yes
equal "a third repository: no layer is uploaded" "$([ "$(uploads)" -le 1 ] && echo yes)" yes
equal "it is the same image" "$(digest_at "$registry/third/app:1")" "$(digest_at "$registry/other/app:1")"

# Two names in different repositories: what is new goes up once, and is mounted into the other.
new_file
mark
check "two names" "$strake" build --push -t "$registry/left/app:1" -t "$registry/right/app:1" app
sent "two names" 2
equal "two names: mounts" "$(($(mounts_of left/app) + $(mounts_of right/app)))" 6
equal "two names: the same image" "$(digest_at "$registry/left/app:1")" "$(digest_at "$registry/right/app:1")"
mark
check "two names again" "$strake" build --push -t "$registry/left/app:1" -t "$registry/right/app:1" app
sent "two names again" 0

# An index: what both platforms have in common is in the registry once.
new_file
mark
check "a multi-platform base" "$strake" build --push --platform linux/amd64,linux/arm64 -t "$registry/multi/base:1" base
first=$(uploads)
equal "layers of two platforms with the same files" "$([ "$first" -le 4 ] && echo yes)" yes
printf 'FROM %s\nCOPY file /file\n' "$registry/multi/base:1" >app/Dockerfile
mark
check "an index on it" "$strake" build --push --platform linux/amd64,linux/arm64 -t "$registry/multi/app:1" app
# The layer of both platforms is one blob; their configs are two.
sent "an index" 3
mark
check "the index again" "$strake" build --push --platform linux/amd64,linux/arm64 -t "$registry/multi/app:1" app
sent "the index again" 0

# A store that has the base from that registry only.
export STRAKE_ROOT=$work/store2
printf 'FROM %s\nCOPY file /file\n' "$registry/team/base:1" >app/Dockerfile
new_file
mark
check "from a store that pulled the base" "$strake" build --push -t "$registry/pulled/app:1" app
sent "a pulled base" 2
equal "a pulled base: its layers are mounted" "$(mounts_of pulled/app)" 2
check "pull, then push elsewhere" "$strake" pull "$registry/left/app:1"
"$strake" tag "$registry/left/app:1" "$registry/copied/app:1"
mark
check "push of what was pulled" "$strake" push "$registry/copied/app:1"
equal "what was pulled: layers are mounted" "$(mounts_of copied/app | sed 's/[34]/all/')" all
equal "what was pulled: no layer is uploaded" "$([ "$(uploads)" -le 1 ] && echo yes)" yes
equal "what was pulled is the same image" "$(digest_at "$registry/copied/app:1")" "$(digest_at "$registry/left/app:1")"
