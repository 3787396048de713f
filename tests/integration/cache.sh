#!/bin/bash
# What invalidates which steps.
. "$(dirname "$0")/lib.sh"
need_root
busybox_base localhost/busybox
mkdir app
echo one >app/a
echo two >app/b
cat >app/Dockerfile <<'END'
FROM localhost/busybox
RUN echo first
COPY a /a
RUN cat /a > /copied
COPY b /b
RUN cat /b
END
build() { "$strake" build -t app --explain-cache "$@" app 2>log >id || { cat log; fail build; }; }
cached() { count ' CACHED' log; }

build
equal "the first build runs everything" "$(cached)" 0
first=$(cat id)
build
equal "the second runs nothing" "$(cached)" 5
equal "and gives the same image" "$(cat id)" "$first"

touch -d 2001-01-01 app/a app/b
build
equal "times do not count" "$(cached)" 5

echo three >app/b
build
equal "only what follows the changed file runs" "$(cached)" 3
contains "and the reason is told" "$(cat log)" '"b" changed'

echo two >app/b
chmod 755 app/b
build
contains "modes count" "$(cat log)" 'mode 644 → 755'
chmod 644 app/b

sed -i 's/echo first/echo 1st/' app/Dockerfile
build
equal "a step with the same result takes its layer back, and what follows stays cached" "$(cached)" 4

sed -i 's/^COPY a/ARG V=1\nCOPY a/' app/Dockerfile
build
before=$(cached)
build --build-arg V=2
[ "$(cached)" -lt "$before" ] || [ "$before" -lt 5 ] || fail "a changed ARG did not reach RUN"
ok "ARG counts for the RUN steps after it"

build --no-cache
equal "--no-cache runs everything" "$(cached)" 0

check "prune of everything unused" "$strake" prune --all --force
build
equal "and builds again after it" "$(count FAILED log)" 0
