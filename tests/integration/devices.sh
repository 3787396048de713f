#!/bin/bash
# RUN --device: devices of CDI specs, who may have them, and what there is without them.
. "$(dirname "$0")/lib.sh"
need_root
busybox_base localhost/base
mkdir context specs later lib
export STRAKE_CDI_DIRS=$work/specs:$work/later:$work/none
build() { "$strake" build --progress plain "$@" context 2>"$work/log"; }
# files OUT ARGS...: builds and writes the image's files to the directory OUT.
files() { local out=$1; shift; rm -rf "$out"; build -o "$out" "$@" >/dev/null || { cat "$work/log" >&2; fail "build for $out"; }; }

echo driver >lib/driver
cat >specs/zero.yaml <<END
cdiVersion: "0.6.0"
kind: example.com/zero
containerEdits:
  env: [ZERO_DRIVER=1]
  mounts:
    - {hostPath: $work/lib, containerPath: /opt/zero, options: [ro, nosuid, nodev, bind]}
  hooks:
    - {hookName: createContainer, path: /bin/false}
devices:
  - name: "0"
    containerEdits:
      env: [ZERO=0]
      deviceNodes:
        - {path: /dev/strake-zero, hostPath: /dev/zero, type: c, major: 1, minor: 5}
  - name: "1"
    containerEdits:
      env: [ZERO=1]
      deviceNodes:
        - {path: /dev/mine, hostPath: /dev/zero, fileMode: 0600}
END
cat >context/Dockerfile <<'END'
FROM localhost/base
ARG NAME=0
RUN --device=example.com/zero=$NAME,required head -c 7 /dev/strake-zero | wc -c >/read && \
    echo "$ZERO $ZERO_DRIVER" >/env && cp /opt/zero/driver /driver && ! touch /opt/zero/x
RUN ! test -e /dev/strake-zero && ! test -e /opt/zero && echo "[$ZERO]" >/after
END
files root --allow device=example.com/zero=0
equal "a device can be read" "$(cat root/read)" 7
equal "it brings its variables" "$(cat root/env)" "0 1"
equal "it brings its files" "$(cat root/driver)" driver
equal "the next step has nothing of it" "$(cat root/after)" "[]"
[ ! -e root/dev/strake-zero ] && [ ! -e root/opt ] || fail "a device left something in the image"
ok "it leaves nothing in the image"
contains "hooks are named" "$(cat log)" 'the hooks of the device "example.com/zero=0" are not run'

files root --allow device=example.com/zero=0
equal "a step with a device is cached" "$(count ' DONE' log)" 1  # the export
refused 4 "without a grant it is denied, cached or not" \
  'error: RUN --device is not allowed to use "example.com/zero=0"' "$strake" build context
contains "the flag is named" "$(cat err)" 'hint: to grant it add --allow device=example.com/zero=0'
contains "the line is named" "$(cat err)" 'Dockerfile:3'
refused 4 "a grant is for its device only" 'not allowed to use "example.com/zero=0"' \
  "$strake" build --allow device=example.com/zero=1 context
files root --no-cache --allow security.insecure,device
equal "all devices can be granted" "$(cat root/read)" 7

refused 3 "a required device must be there" 'the device "example.com/zero=2" is not known' \
  "$strake" build --allow device --build-arg NAME=2 context
contains "the specs are named" "$(cat err)" "$work/specs/zero.yaml"
refused 3 "a device has a vendor, a class and a name" '"example.com=0" does not name a device' \
  "$strake" build --allow device -f - context < <(printf 'FROM scratch\nRUN --device=example.com=0 x\n')

cat >context/Dockerfile <<'END'
FROM localhost/base
RUN mkdir -m 1777 /tmp && echo app:x:1000:1000::/:/bin/sh >/etc/passwd
RUN --device=other.com/gpu=all test -z "$GPU" && touch /without
RUN --device=alias.com/zero=x echo "$ZERO" >/alias
USER app
RUN --device=example.com/zero=1 stat -c %a:%u /dev/mine >/tmp/mine && head -c 3 /dev/mine | wc -c >>/tmp/mine
END
grants=(--allow device=example.com/zero=1,alias=alias.com/zero=x --allow device=example.com/zero=1)
files root "${grants[@]}"
[ -e root/without ] || fail "an optional device stopped the build"
contains "an optional device may be missing" "$(cat log)" 'the device "other.com/gpu=all" is not known on this machine'
equal "a device can be given under another name" "$(cat root/alias)" 1
equal "a node belongs to the user of the command" "$(cat root/tmp/mine)" "600:1000
3"

sed 's/ZERO=1\]/ZERO=later]/' specs/zero.yaml >later/zero.yaml
files root --no-cache "${grants[@]}"
equal "specs of later directories win" "$(cat root/alias)" later
echo '{' >later/bad.json
refused 3 "a malformed spec is named" "CDI spec \"$work/later/bad.json\"" "$strake" build --allow device context
rm later/bad.json
STRAKE_CDI_DIRS=specs refused 2 "directories of specs are absolute" 'STRAKE_CDI_DIRS: "specs" is not an absolute path' \
  "$strake" build context
contains "the plan shows devices" "$("$strake" build --dry-run "${grants[@]}" context 2>&1)" \
  " device other.com/gpu=all"
