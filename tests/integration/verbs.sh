#!/bin/bash
# The verbs beside build: names, inspection, pull, login, prune, doctor.
. "$(dirname "$0")/lib.sh"
need_root
need python3
busybox_base localhost/busybox
mkdir app
printf 'FROM localhost/busybox\nENV A=1\nRUN echo x > /x\nCMD ["cat", "/x"]\n' >app/Dockerfile
id=$("$strake" build -t app:1 app 2>/dev/null)

# Names.
"$strake" tag app:1 other:2
contains "images lists names" "$("$strake" images)" "other"
equal "images -q prints ids" "$("$strake" images -q other:2)" "$(echo "$id" | cut -c8-19)"
equal "inspect by name" "$("$strake" inspect --format '{{.Id}}' other:2)" "$id"
equal "inspect by the beginning of an id" "$("$strake" inspect --format '{{.Id}}' "$(echo "$id" | cut -c8-19)")" "$id"
equal "inspect gives the config" "$("$strake" inspect app:1 | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["Config"]["Cmd"])')" "['cat', '/x']"
contains "history shows instructions" "$("$strake" history --no-trunc app:1)" 'RUN /bin/sh -c echo x > /x'
"$strake" rmi app:1 >/dev/null
refused 3 "a removed name is gone" 'app:1' "$strake" inspect app:1
equal "other names stay" "$("$strake" inspect --format '{{.Id}}' other:2)" "$id"

# A registry that wants to know who is there.
if command -v htpasswd >/dev/null; then
  htpasswd -Bbn ana secret123 >htpasswd
  start_registry "$work/registry" "auth: {htpasswd: {realm: test, path: \"$work/htpasswd\"}}"
  refused 4 "push without credentials" 'denied' "$strake" build --no-cache -t "$registry/a:1" --push app
  lacks "is refused before any step runs" "$(cat err)" 'RUN echo'
  refused 4 "and so is a push of what is cached" 'denied' "$strake" build -t "$registry/a:1" --push app
  refused 4 "login with a wrong password" 'denied' "$strake" login -u ana -p wrong "$registry"
  echo secret123 | "$strake" login -u ana --password-stdin "$registry" >/dev/null
  equal "the credentials file is private" "$(stat -c %a "$HOME/.docker/config.json")" 600
  check "push after login" "$strake" build -t "$registry/a:1" --push app
  export STRAKE_ROOT=$work/store2
  check "pull into another store" "$strake" pull "$registry/a:1"
  equal "the pulled image is the same" "$("$strake" inspect --format '{{.Id}}' "$registry/a:1")" "$id"
  "$strake" logout "$registry" >/dev/null
  refused 4 "pull after logout" 'denied' "$strake" pull "$registry/a:1"
fi

# Pruning, and what a machine can do.
export STRAKE_ROOT=$work/store
before=$(du -s "$STRAKE_ROOT" | cut -f1)
"$strake" rmi other:2 >/dev/null
check "prune" "$strake" prune --all --force
[ "$(du -s "$STRAKE_ROOT" | cut -f1)" -lt "$before" ] || fail "prune freed nothing"
equal "names survive a prune of the cache" "$("$strake" build -q --pull=never -t again app 2>/dev/null)" "$id"
contains "doctor names what it looked at" "$("$strake" doctor)" 'overlay'
check "doctor prints JSON" sh -c "'$strake' doctor --format json | python3 -m json.tool"
contains "version" "$("$strake" version)" "$("$strake" version --format '{{.Client.Version}}' 2>/dev/null || echo .)"
