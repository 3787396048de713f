#!/bin/bash
# Bad input: a clear error, a status that scripts can tell apart, nothing tagged, nothing left.
. "$(dirname "$0")/lib.sh"
need_root
need python3
local_registry
busybox_base localhost/busybox
mkdir app
echo secret >outside
ln -s ../outside app/escape
mkdir app/sub
dockerfile() { printf '%b' "$1" >app/Dockerfile; }
build() { "$strake" build -t tagged app; }

rm -f app/Dockerfile
refused 3 "no Dockerfile" 'no Dockerfile or Containerfile in' build
dockerfile ''
refused 3 "empty Dockerfile" 'no instructions' build
dockerfile 'FROM scratch\nCPOY a /\n'
refused 3 "unknown instruction, with a suggestion" '"COPY"' build
dockerfile 'FROM scratch\nCOPY a\n'
refused 3 "syntax error, with its line" 'app/Dockerfile:2' build
dockerfile 'FROM scratch\nCOPY missing /\n'
refused 3 "COPY of what is not there" 'no such file in the build context' build
printf 'hidden\n' >app/.dockerignore
touch app/hidden
dockerfile 'FROM scratch\nCOPY hidden /\n'
refused 3 "COPY of what was ignored" '.dockerignore:1' build
dockerfile 'FROM scratch\nCOPY escape /\n'
refused 3 "a symlink out of the context is not followed" 'no such file' build
dockerfile 'FROM scratch\nCOPY ../outside /\n'
refused 3 ".. does not leave the context" 'no such file' build
dockerfile 'FROM localhost/busybox\nRUN ln -s /etc /e && ln -s ../../../../../../../../ /up\nCOPY sub /e/strake-test/\nCOPY Dockerfile /up/strake-test\n'
check "symlinks in the image are followed inside it only" build
[ ! -e /etc/strake-test ] && [ ! -e /strake-test ] || fail "a COPY left the image"
"$strake" rmi tagged >/dev/null
dockerfile 'FROM nosuchimage\n'
refused 3 "an image that is not here, offline" 'resolving the image' "$strake" build --pull=never -t tagged app
dockerfile 'FROM localhost/busybox\nCOPY --from=stgae / /\n'
refused 3 "unknown target" 'did you mean "stage"' "$strake" build --target stgae -t tagged -f <(printf 'FROM scratch AS stage\n') app
dockerfile 'FROM localhost/busybox\nRUN echo some output; exit 7\n'
refused 1 "a failing RUN" 'exit code 7' build
contains "shows its last lines" "$(cat err)" 'some output'
dockerfile 'FROM localhost/busybox\nRUN nosuchcommand\n'
refused 1 "a missing command" 'exit code 127' build
dockerfile 'FROM localhost/busybox\nRUN kill -9 $$\n'
refused 1 "a killed command" '9' build
dockerfile "FROM $registry/none:1\n"
refused 3 "an unknown image" 'app/Dockerfile:1' build
dockerfile 'FROM --platform=linux/nonsense localhost/busybox\nRUN true\n'
refused 5 "a platform nothing here can run" 'nonsense' build
dockerfile 'FROM localhost/busybox\nUSER nobodyhere\nRUN true\n'
refused 3 "an unknown user" 'no user "nobodyhere"' build
dockerfile 'FROM scratch\nRUN --mount=type=secret,id=x,required true\n'
refused 3 "a required secret that was not given" 'app/Dockerfile:2' build
dockerfile '# syntax=example.com/other/language\nFROM scratch\n'
refused 5 "another language" 'app/Dockerfile:1' build
refused 2 "an unknown flag" 'did you mean' "$strake" build --no-cahce app
"$strake" images -q tagged >images
equal "nothing was tagged" "$(cat images)" ""

# A store of a newer version is left alone.
mkdir -m 700 newer
echo 999 >newer/version
refused 5 "a newer store" 'newer strake' "$strake" images --root newer
