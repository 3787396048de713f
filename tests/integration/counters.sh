#!/bin/bash
# What a build does not do, counted: system calls of cached builds, requests of pushes.
. "$(dirname "$0")/lib.sh"
need_root
need strace
busybox_base localhost/busybox
local_registry

# traced COMMAND...: its calls, also those of threads and children, one a line in the file "calls".
traced() {
  strace -f -qq -s 300 -o calls -- "$@" >traced.log 2>&1 || { cat traced.log >&2; fail "$*"; }
}
# Calls of these names (an expression), and those of them with a text in their line.
calls() { grep -c -E "^[0-9]+ +($1)\(.*${2:-}" calls || true; }
all_calls() { wc -l <calls; }
none() { equal "$1" "$(calls "$2" "${3:-}")" 0; }

# steps_context DIRECTORY STEPS FILES: so many RUN steps, and COPY of a directory of so many files.
steps_context() {
  local i
  mkdir -p "$1/files"
  for i in $(seq "$3"); do echo "$i" >"$1/files/file$i"; done
  {
    echo "FROM localhost/busybox"
    for i in $(seq "$2"); do echo "RUN echo $i > /step$i"; done
    echo "COPY files /files"
  } >"$1/Dockerfile"
}

# cached_build NAME STEPS FILES: builds it twice; the second is traced.
cached_build() {
  steps_context "$1" "$2" "$3"
  check "$1 is built" "$strake" build -t "$1" "$1"
  # What the first build could not be sure of, its files being new then (StatMemo::kRacyMargin).
  sleep 3
  "$strake" build -t "$1" "$1" >first.log 2>&1
  traced "$strake" build -t "$1" "$1"
  [ "$(grep -c CACHED traced.log)" = $(($2 + 1)) ] || { cat traced.log >&2; fail "$1 is not cached"; }
}

cached_build few 5 100
equal "a cached build starts no program but itself" "$(calls execve)" 1
equal "a cached build starts no thread but the one that waits for Ctrl-C" \
  "$([ "$(calls 'clone|clone3|fork|vfork')" -le 1 ] && echo yes)" yes
none "a cached build loads no libcurl" 'openat|open' libcurl
none "a cached build opens no socket" 'socket|connect'
none "a cached build mounts nothing" 'mount|unshare|setns|fsopen|move_mount|open_tree'
none "a cached build waits for no disk" 'fsync|fdatasync|sync|syncfs|sync_file_range|msync'
none "a cached build opens no layer" 'openat|openat2' '/(tree|layer\.tar)[/"]'
none "a cached build opens no file that it copied before" 'openat|openat2' '"(files/)?file[0-9]+"'
none "a cached build renames and removes nothing" 'rename|renameat|renameat2|link|linkat|unlink|unlinkat'
equal "a cached build writes no file" "$(grep -E '^[0-9]+ +write\(' calls | grep -c -v -E 'write\([12],' || true)" 0
few=$(all_calls)

# What one more file and one more step cost, whatever the rest costs.
cached_build files 5 300
per_file=$((($(all_calls) - few) / 200))
echo "calls: $few, and $per_file a file"
equal "a file that did not change costs its stat" \
  "$([ "$per_file" -le 1 ] && echo yes || echo "$per_file calls")" yes
cached_build steps 25 100
per_step=$((($(all_calls) - few) / 20))
equal "a cached step costs a record and a small file" \
  "$([ "$per_step" -le 16 ] && echo yes || echo "$per_step calls")" yes

# What a COPY reads that cannot be in the cache: nothing like it was built before, or its files have
# other sizes.
steps_context once 0 50
traced "$strake" build -t once once
equal "a COPY opens each file of the context once" \
  "$(calls 'openat|openat2' '"(files/)?file[0-9]+", (\{flags=)?O_RDONLY\|O_NOCTTY')" 50
none "a layer that no step reads is not unpacked" 'mkdir|mkdirat' '"files"'
seq 1000 >once/files/file7
traced "$strake" build -t once once
equal "so does one of a file of another size" \
  "$(calls 'openat|openat2' '"(files/)?file[0-9]+", (\{flags=)?O_RDONLY\|O_NOCTTY')" 50

# Requests, by the registry's log.
mark() { marked=$(wc -l <"$work/registry/log"); }
requests() {
  sleep 0.2 # the log is written after the answer
  tail -n +$((marked + 1)) "$work/registry/log" | grep -o -E '"(GET|HEAD|POST|PATCH|PUT) /v2/[^ ?]*' || true
}
# at_most WHAT COUNT
at_most() {
  local sent
  sent=$(requests | wc -l)
  [ "$sent" -le "$2" ] || { requests >&2; fail "$1: $sent requests, want at most $2"; }
  ok "$1 ($sent)"
}

# A layer that is compressed now is a POST and a PUT; that of the base is large, the config is of an
# earlier build: these two are asked for first.
mark
traced "$strake" build --push -t "$registry/app/few:1" few
at_most "the first push: two for a blob, one for the manifest, one to know the registry" 22
layers=$(grep -h -o -E 'sha256:[0-9a-f]{64}' "$STRAKE_ROOT"/layers/*/layer.json | cut -d: -f2 |
  sort -u | paste -s -d '|')
equal "a push opens the compressed layers" \
  "$([ "$(calls 'openat|openat2' "/($layers)\"")" -ge 7 ] && echo yes)" yes
traced "$strake" build -t few few
none "a cached build opens no compressed layer" 'openat|openat2' "/($layers)\""
mark
check "the same again" "$strake" build --push -t "$registry/app/few:1" few
at_most "the second push: one for a blob, and the same two" 11
mark
check "another tag of it" "$strake" build --push -t "$registry/app/few:2" few
at_most "another tag in the same repository" 11

# A COPY onto a base that the registry has in another repository, for one platform and for two.
platforms=linux/amd64,linux/arm64
mkdir multi app
printf 'FROM scratch\nCOPY file /base\n' >multi/Dockerfile
echo base >multi/file
check "a base is pushed" "$strake" build --push --platform $platforms -t "$registry/base/multi:1" multi
printf 'FROM %s\nCOPY file /file\n' "$registry/base/multi:1" >app/Dockerfile
# kinds: how many requests of each kind were sent, the POST and DELETE left out of an upload that
# was opened to ask for the permission and came too late to be used.
kinds() {
  requests | sed -E 's/^"([A-Z]+) .*/\1/' | sort | uniq -c | awk '
    { n[$2] = $1 }
    END { n["POST"] -= n["DELETE"]
          printf "GET %d HEAD %d POST %d PUT %d", n["GET"], n["HEAD"], n["POST"], n["PUT"] }'
}
echo 1 >app/file
mark
check "a new layer for one platform" "$strake" build --push -t "$registry/one/app:1" app
equal "a mount, a POST and a PUT for layer and config, a manifest" "$(kinds)" "GET 1 HEAD 0 POST 3 PUT 3"
echo 2 >app/file
mark
check "a new layer for two" "$strake" build --push --platform $platforms -t "$registry/two/app:1" app
equal "one more config, and a manifest for each platform" "$(kinds)" "GET 1 HEAD 0 POST 4 PUT 6"
mark
check "the same for two" "$strake" build --push --platform $platforms -t "$registry/two/app:1" app
equal "an unchanged push asks once for each blob" "$(kinds)" "GET 1 HEAD 4 POST 0 PUT 3"
