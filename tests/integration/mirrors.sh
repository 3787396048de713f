#!/bin/bash
# Mirrors, blocked and moved registries, as strake.yaml, registries.conf and daemon.json name them. Who
# was asked, the access logs of two real registries tell.
. "$(dirname "$0")/lib.sh"
need_root
need docker-registry

start_registry "$work/mirror"
mirror=$registry mirror_pid=$registry_pid
start_registry "$work/origin"
origin=$registry
at_end() {
  kill "$mirror_pid" 2>/dev/null || true
  wait "$mirror_pid" 2>/dev/null || true
}

unset CONTAINERS_REGISTRIES_CONF XDG_CONFIG_HOME
export CONTAINERS_REGISTRIES_CONF_DIR=$work/none
conf=$work/registries.conf
yaml=$HOME/.config/strake/strake.yaml
daemon=$HOME/.config/docker/daemon.json
mkdir -p "$(dirname "$yaml")" "$(dirname "$daemon")"
# Nothing of the machine's own, and a fresh store.
no_settings() {
  export CONTAINERS_REGISTRIES_CONF=$work/none.conf
  rm -f "$yaml" "$daemon"
  fresh_store
}
fresh_store() {
  rm -rf "$work/store"
  marks=$(lines mirror)-$(lines origin)
}
use_conf() {
  cat >"$conf"
  export CONTAINERS_REGISTRIES_CONF=$conf
}

lines() { wc -l <"$work/$1/log"; }
# asked REGISTRY: "METHOD /path" of what it was asked since the store was made.
asked() {
  local from=${marks%-*}
  [ "$1" = mirror ] || from=${marks#*-}
  sleep 0.2  # the log is written after the answer
  tail -n +$((from + 1)) "$work/$1/log" | sed -n 's/.*"\([A-Z]* \/v2\/[^ ]*\) HTTP.*/\1/p'
}
asked_nothing() { equal "$1: the $2 was not asked" "$(asked "$2")" ""; }
asked_for() { contains "$1: the $2 was asked" "$(asked "$2")" "$3"; }

# The same image everywhere: on the mirror as docker.io's, and below a path.
mkdir app
head -c 100000 /dev/urandom >app/file
printf 'FROM scratch\nCOPY file /file\n' >app/Dockerfile
no_settings
for name in "$mirror/library/base:1" "$mirror/hub/library/base:1" "$mirror/cache/app:1" "$origin/team/app:1"; do
  "$strake" build --push -t "$name" app >log 2>&1 || { cat log >&2; fail "push $name"; }
done
layer=$(ls "$work/mirror/data/docker/registry/v2/repositories/cache/app/_layers/sha256" |
  while read -r digest; do
    [ "$(stat -c %s "$work/mirror/data/docker/registry/v2/blobs/sha256/${digest:0:2}/$digest/data")" -lt 90000 ] ||
      echo "$digest"
  done)

# --- the three files ---
no_settings
use_conf <<END
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "$mirror"
END
check "registries.conf: docker.io's image is pulled" "$strake" pull base:1
asked_for "registries.conf" mirror "GET /v2/library/base/manifests/1"
asked_for "registries.conf" mirror "GET /v2/library/base/blobs/sha256:$layer"

no_settings
echo "{\"registry-mirrors\": [\"http://$mirror\"]}" >"$daemon"
check "daemon.json: docker.io's image is pulled" "$strake" pull base:1
asked_for "daemon.json" mirror "GET /v2/library/base/blobs/sha256:$layer"

no_settings
echo "registries: {docker.io: {mirrors: [$mirror/hub]}}" >"$yaml"
check "strake.yaml: docker.io's image is pulled" "$strake" pull base:1
asked_for "strake.yaml: below a path" mirror "GET /v2/hub/library/base/blobs/sha256:$layer"
printf 'FROM base:1\nCOPY file /again\n' >app/Dockerfile.base
fresh_store
check "strake.yaml: FROM of a build" "$strake" build -f app/Dockerfile.base app
asked_for "FROM" mirror "GET /v2/hub/library/base/manifests/1"

# --- precedence: the first source that names mirrors wins ---
fresh_store
use_conf <<END
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "$origin"
END
echo "{\"registry-mirrors\": [\"http://$origin\"]}" >"$daemon"
check "strake.yaml goes before the others" "$strake" pull base:1
asked_nothing "strake.yaml goes before the others" origin

# --- a mirror of a registry that is there ---
mirrored() {
  no_settings
  use_conf <<END
[[registry]]
location = "$origin/team"
${2:-}
[[registry.mirror]]
location = "$1"
END
}
mirrored "$mirror/cache"
check "the mirror is enough" "$strake" pull "$origin/team/app:1"
asked_for "the mirror is enough" mirror "GET /v2/cache/app/blobs/sha256:$layer"
asked_nothing "the mirror is enough" origin

mirrored "$mirror/cache" "mirror-by-digest-only = true"
check "tags of a mirror for digests" "$strake" pull "$origin/team/app:1"
asked_for "tags of a mirror for digests" origin "GET /v2/team/app/manifests/1"
asked_for "tags of a mirror for digests: blobs have digests" mirror \
  "GET /v2/cache/app/blobs/sha256:$layer"

mirrored "$mirror/nothing"
check "a mirror without the image" "$strake" pull "$origin/team/app:1"
asked_for "a mirror without the image" mirror "GET /v2/nothing/app/manifests/1"
asked_for "a mirror without the image" origin "GET /v2/team/app/blobs/sha256:$layer"

links=$work/mirror/data/docker/registry/v2/repositories/cache/app/_layers/sha256
mv "$links/$layer" "$work/link"
mirrored "$mirror/cache"
check "a mirror that lacks a blob" "$strake" pull "$origin/team/app:1"
asked_for "a mirror that lacks a blob" mirror "GET /v2/cache/app/manifests/1"
asked_for "a mirror that lacks a blob" origin "GET /v2/team/app/blobs/sha256:$layer"
lacks "a mirror that lacks a blob: the rest came from it" "$(asked origin)" "manifests"
mv "$work/link" "$links/$layer"

data=$work/mirror/data/docker/registry/v2/blobs/sha256/${layer:0:2}/$layer/data
cp "$data" "$work/data"
printf 'false' | dd of="$data" conv=notrunc status=none
mirrored "$mirror/cache"
check "a mirror with false content" "$strake" pull "$origin/team/app:1"
contains "false content is warned of" "$(cat "$work/check.log")" "has other content"
asked_for "a mirror with false content" origin "GET /v2/team/app/blobs/sha256:$layer"
cp "$work/data" "$data"

mirrored "127.0.0.1:1"
check "a mirror that is down" "$strake" pull "$origin/team/app:1"
asked_for "a mirror that is down" origin "GET /v2/team/app/blobs/sha256:$layer"

mirrored "127.0.0.1:1"
refused 3 "nobody has it: each place is named" "mirror \"127.0.0.1:1/none\"" "$strake" pull "$origin/team/none:1"
contains "nobody has it: the registry's word" "$(cat err)" "$origin/team/none:1"

# --- nothing is pushed to mirrors ---
mirrored "$mirror/cache"
check "push" "$strake" build --push -t "$origin/team/pushed:1" app
asked_for "push" origin "PUT /v2/team/pushed/manifests/1"
asked_nothing "push" mirror

# --- moved and blocked ---
no_settings
use_conf <<END
[[registry]]
prefix = "example.com/foo"
location = "$origin/team"
END
check "a prefix is replaced by its location" "$strake" pull example.com/foo/app:1
asked_for "a prefix is replaced by its location" origin "GET /v2/team/app/manifests/1"

no_settings
use_conf <<END

[[registry]]
location = "$origin/team"
blocked = true
END
refused 4 "blocked: pull" "is blocked: $conf:2" "$strake" pull "$origin/team/app:1"
refused 4 "blocked: push" "is blocked: $conf:2" "$strake" build --push -t "$origin/team/x:1" app
asked_nothing "blocked" origin

# --- files that are malformed, and when files are read at all ---
no_settings
use_conf <<<"[[registry"
check "a malformed registries.conf does not matter" "$strake" pull "$origin/team/app:1"
contains "it is warned of" "$(cat "$work/check.log")" "$conf:1: malformed TOML"
check "no registry, no settings of registries" "$strake" build -t local app
lacks "no registry, no settings of registries: not read" "$(cat "$work/check.log")" "$conf"
echo "registries: {docker.io: {miror: []}}" >"$yaml"
refused 3 "a malformed strake.yaml is an error" "unknown setting \"miror\"" "$strake" pull "$origin/team/app:1"
contains "it says where" "$(cat err)" "strake.yaml:1"

# --- offline ---
no_settings
refused 3 "--pull=never: the image is not here" "no local image" \
  "$strake" build --pull=never --build-arg x=y - <<<"FROM $origin/team/app:1"
printf 'FROM scratch\nCOPY --from=%s /file /\n' "$origin/team/app:1" >app/Dockerfile.from
refused 3 "--pull=never: COPY --from" "no local image" "$strake" build --pull=never -f app/Dockerfile.from app
asked_nothing "--pull=never" origin
