#!/bin/bash
# The example of the README: a real base, apt-get, pip, stages, a user, on this machine's platform.
. "$(dirname "$0")/lib.sh"
need_root
need mmdebstrap skopeo umoci
local_registry
cache=${XDG_CACHE_HOME:-/var/tmp}/strake-test-base
mkdir -p "$cache"
architecture=$(dpkg --print-architecture)
import_debian "$strake" "$architecture" localhost/debian:bookworm "$cache" ||
  skip "mmdebstrap cannot make a base here"

cp -r "$here/../../examples/ml-app" app
image=$registry/ml-app:1
build() { "$strake" build --build-arg BASE=localhost/debian:bookworm --push -t "$image" app 2>log >id || { tail -40 log; fail build; }; }
build
ok "the example builds"
umoci --version >/dev/null
skopeo copy -q --src-tls-verify=false "docker://$image" oci:layout:1
umoci unpack --image layout:1 bundle
contains "it predicts as its defaults say" \
  "$(chroot bundle/rootfs /opt/venv/bin/python3 /app/predict.py --input 1234)" \
  "prediction for 1234: 456"
equal "as a user of its own" "$(skopeo inspect --tls-verify=false --raw --config "docker://$image" | grep -o '"User":"[^"]*"')" '"User":"app"'
[ ! -e bundle/rootfs/src ] || fail "the sources of the wheel are in the image"

sed -i 's/^GREETING = .*/GREETING = "the model says"/' app/app/predict.py
build
# The steps that were executed: those whose task ended with DONE.
executed=$(awk '/^#[0-9]+ \[/ { title[$1] = $0 } /^#[0-9]+ DONE/ && $1 in title { print title[$1] }' log)
contains "a change of the app runs its COPY" "$executed" 'COPY app /app'
equal "and nothing else" "$(echo "$executed" | wc -l)" 1
