#!/bin/bash
# The examples: each is built, is run, and is seen to do what its page says.
# Usage: STRAKE=path/to/strake tests/integration/examples.sh [NAME]...   (default: all of them)
. "$(dirname "$0")/lib.sh"
need_root
need python3
examples=$here/../../examples
architecture=$(dpkg --print-architecture)

# --- Bases: the images that Dockerfiles name by default are at Docker Hub, which is not asked here.

bases=${XDG_CACHE_HOME:-/var/tmp}/strake-test-base

# debian NAME [PACKAGE]...: an image localhost/NAME, and its tar in $debian_tar.
debian() {
  local name=$1
  shift
  need mmdebstrap
  mkdir -p "$bases"
  import_debian "$strake" "$architecture" "localhost/$name" "$bases" "$@" ||
    skip "mmdebstrap cannot make a base here"
}
python_base() { debian python python3 python3-venv python3-numpy python3-wheel-whl; }

# package_index: an index for pip at $index, with what python_base has.
package_index() {
  check "an index for pip" "$here/debian_index.py" "$debian_tar" "$(uname -m)" index
  serve python3 -u -m http.server --bind 127.0.0.1 --directory index 0
  index=http://$server/simple
}

# --- Servers, which end with the test.

servers=()
at_end() {
  for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${servers[@]}"; do wait "$pid" 2>/dev/null || true; done
}

# serve COMMAND...: starts it, waits until it prints "… port N", sets $server to its address.
serve() {
  local log=server-${#servers[@]}.log port=
  : >"$log"
  "$@" >"$log" 2>&1 &
  servers+=($!)
  for _ in $(seq 300); do
    port=$(sed -n 's/.* port \([0-9]\+\).*/\1/p;T;q' "$log")
    [ -n "$port" ] && break
    kill -0 "${servers[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  [ -n "$port" ] || { cat "$log" >&2; fail "no server: $*"; }
  server=127.0.0.1:$port
}
get() { python3 -c 'import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode(), end="")' "$1"; }

# --- Builds.

# example NAME: a copy of it, as ./NAME, that the test may change.
example() { cp -r "$examples/$1" "$1"; }

# build ARGUMENT...: what it printed goes to log, the id of the image to id.
build() {
  "$strake" build --progress plain --load "$@" >id 2>log ||
    { tail -n 60 log >&2; fail "strake build $*"; }
}
# The steps of the last build that were executed: those whose task ended with DONE.
executed() {
  awk '/^#[0-9]+ \[/ { title[$1] = $0 } /^#[0-9]+ DONE/ && $1 in title { print title[$1] }' log |
    grep -E '\] (RUN|COPY|ADD|WORKDIR) ' || true
}
# only WHAT STEP...: these steps were executed, in any order, and no other.
only() {
  local what=$1 steps
  shift
  steps=$(executed)
  equal "$what" "$([ -z "$steps" ] || echo "$steps" | wc -l)" "$([ $# = 0 ] || echo $#)"
  for step in "$@"; do contains "$what: $step" "$steps" "$step"; done
}

# inside ROOTFS USER DIRECTORY COMMAND...: runs it as a container with that user and directory would.
inside() {
  local rootfs=$1 user=$2 directory=$3
  shift 3
  chroot --userspec="$user" "$rootfs" /bin/sh -c 'cd "$0" && exec "$@"' "$directory" "$@"
}
# config FIELD: of the image "app".
config() { "$strake" inspect --format "{{json .Config.$1}}" "${2:-app}"; }

# --- The examples.

python_ml_service() {
  python_base
  package_index
  example python-ml-service
  local arguments=(--build-arg BASE=localhost/python --build-arg "PIP_INDEX_URL=$index" -t app)
  rebuild() { build "${arguments[@]}" "$@" python-ml-service; }
  rebuild -o ml
  local python=/opt/venv/bin/python3
  serve chroot --userspec=10001:10001 ml /bin/sh -c "cd /app && exec $python -u -m service --port 0"
  equal "it predicts" "$(get "http://$server/predict?input=1234")" '{"input": 1234.0, "output": 4567808.8}'
  check "it finds itself healthy" inside ml 10001:10001 /app env PORT="${server#*:}" "$python" -m service.health
  equal "its user is a number" "$(config User)" '"10001:10001"'
  contains "HEALTHCHECK" "$(config Healthcheck)" 'service.health'
  [ ! -e ml/wheels ] || fail "the wheels, or their mount point, are in the image"
  [ -z "$(ls -A ml/root/.cache/pip 2>/dev/null)" ] || fail "pip's cache is in the image"

  rebuild
  only "nothing runs again"
  echo '# changed' >>python-ml-service/service/model.py
  rebuild
  only "a change of the code copies it" 'COPY service'
  echo '# changed' >>python-ml-service/tinyml/tinyml/__init__.py
  rebuild
  only "a change of the library makes its wheel" 'COPY tinyml' './tinyml' 'pip install' \
    'WORKDIR /app' 'COPY service'
}

training_image() {
  local_registry
  python_base
  example training-image
  training-image/make_weights.py --mib 8
  mkdir files
  printf '#version: 0.2\nt h\nth e\n' >files/vocab.bpe
  serve python3 -u -m http.server --bind 127.0.0.1 --directory files 0
  local checksum
  checksum=sha256:$(sha256sum files/vocab.bpe | cut -d' ' -f1)
  local image=$registry/training
  rebuild() {
    build --build-arg "BASE=${base:-localhost/python}" -t "$image" --push \
      --build-arg "VOCABULARY_URL=http://$server/vocab.bpe" \
      --build-arg "VOCABULARY_CHECKSUM=$checksum" "$@" training-image
  }
  weights_layer() { skopeo inspect --raw --tls-verify=false "docker://$image" |
    python3 -c 'import json, sys
print(max(json.load(sys.stdin)["layers"][1:], key=lambda layer: layer["size"])["digest"])'; }
  rebuild
  local first
  first=$(weights_layer)
  build --build-arg BASE=localhost/python -o tree --build-arg "VOCABULARY_URL=http://$server/vocab.bpe" \
    --build-arg "VOCABULARY_CHECKSUM=$checksum" training-image
  contains "it trains" "$(inside tree 10001:10001 /app python3 train.py --models /models)" \
    '16777216 parameters, 2 merges'
  equal "modes by --chmod" "$(stat -c %a tree/models/base tree/models/base/index.json tree/models/vocab.bpe | xargs)" \
    '755 644 644'
  [ ! -e tree/app/make_weights.py ] || fail "what makes the weights is in the image"

  sed -i 's/^LEARNING_RATE = .*/LEARNING_RATE = 0.2/' training-image/train.py
  rebuild
  only "a change of the code copies the code" 'COPY train.py'
  equal "the weights' layer stays" "$(weights_layer)" "$first"

  printf 'FROM localhost/python\nRUN echo new >/etc/release-of-base\n' |
    "$strake" build -q -t localhost/newer - >/dev/null
  local before after base=localhost/newer
  before=$(find "$work/registry/data" -name data -type f -size +1M | wc -l)
  rebuild
  lacks "a new base does not copy the weights" "$(executed)" 'weights/'
  equal "the weights' layer stays below them" "$(weights_layer)" "$first"
  after=$(find "$work/registry/data" -name data -type f -size +1M | wc -l)
  equal "nothing large was pushed" "$after" "$before"

  refused 1 "a file that is not the one that is meant" 'checksum' "$strake" build \
    --build-arg BASE=localhost/python --build-arg "VOCABULARY_URL=http://$server/vocab.bpe" \
    --build-arg "VOCABULARY_CHECKSUM=sha256:$(printf '%064d' 0)" training-image
}

cpp_scratch() {
  need file
  debian debian
  example cpp-scratch
  rebuild() { build --build-arg BASE=localhost/debian "$@" cpp-scratch; }
  rebuild --target test
  contains "its tests run" "$(cat log)" '100% tests passed'
  rebuild -o bin
  lacks "the image needs no tests" "$(executed)" ctest
  equal "it is one file" "$(find bin -type f)" bin/roman
  contains "without libraries" "$(file bin/roman)" 'statically linked'
  equal "that runs" "$(bin/roman 1987)" MCMLXXXVII

  sed -i 's/usage: %s NUMBER/usage: %s FROM-1-TO-3999/' cpp-scratch/src/main.cpp
  rebuild -t app -o bin
  contains "ccache compiles only what changed" "$(tr -s ' ' <log)" 'Hits: 2 / 3'
  only "no package is installed again" 'COPY src' 'COPY tests' 'RUN' 'COPY --from=build'
  contains "the change is in" "$(bin/roman 2>&1 || true)" FROM-1-TO-3999
  equal "its user is a number" "$(config User)" '"65532:65532"'
  equal "its entry point" "$(config Entrypoint)" '["/roman"]'
}

node_app() {
  # npm may have to trust what this machine trusts.
  local certificates=/etc/ssl/certs/ca-certificates.crt
  debian nodejs nodejs npm
  mkdir node
  cp "$certificates" node/ 2>/dev/null || skip "no certificates here"
  printf 'FROM localhost/nodejs\nCOPY %s %s\nENV NODE_EXTRA_CA_CERTS=%s\n' \
    "${certificates##*/}" "$certificates" "$certificates" >node/Dockerfile
  "$strake" build -q -t localhost/node node >/dev/null
  local registry_url=${NPM_CONFIG_REGISTRY:-}
  [ -n "$registry_url" ] || registry_url=$(npm config get registry 2>/dev/null) ||
    registry_url=https://registry.npmjs.org/
  get "${registry_url%/}/ms" >/dev/null 2>&1 || skip "no npm registry can be reached"

  example node-app
  equal "its lock file names the public registry" \
    "$(grep -o '"resolved": "https://[^/]*/' node-app/package-lock.json | sort -u)" \
    '"resolved": "https://registry.npmjs.org/'
  rebuild() {
    build --build-arg BASE=localhost/node --build-arg "NPM_CONFIG_REGISTRY=$registry_url" "$@" node-app
  }
  rebuild --target test
  contains "its tests run" "$(cat log)" '# pass 3'
  rebuild -t app -o tree
  lacks "the image needs no tests" "$(executed)" 'npm test'
  equal "only what runs is installed" "$(ls tree/app/node_modules | xargs)" 'escape-html ms'
  [ ! -e tree/root/.npm ] || fail "npm's cache is in the image"
  [ ! -e tree/app/package-lock.json ] || fail "a mount point is in the image"
  serve chroot --userspec=1000:1000 tree /bin/sh -c 'cd /app && PORT=0 exec node src/server.js'
  equal "it answers" "$(get "http://$server/?duration=2%20days")" '<p>2 days: 172800000 ms</p>'
  check "it finds itself healthy" inside tree 1000:1000 /app env PORT="${server#*:}" node src/health.js

  echo '// changed' >>node-app/src/duration.js
  rebuild -t app
  only "a change of the code copies it" 'COPY src'
  sed -i 's/"version": "1.0.0"/"version": "1.0.1"/' node-app/package.json node-app/package-lock.json
  rebuild -t app --network none
  contains "a new lock file installs again, from the cache mount alone" "$(executed)" 'npm ci --omit=dev'
}

static_site() {
  python_base
  busybox_base localhost/busybox
  example static-site
  rebuild() { build --build-arg PYTHON=localhost/python --build-arg BASE=localhost/busybox -t app "$@" static-site; }
  rebuild --build-arg 'TITLE=My & notes' -o tree
  serve sh -c 'cd tree && echo "starting at port $1" && exec chroot --userspec=65534:65534 . \
    /bin/httpd -f -p "127.0.0.1:$1" -c /etc/httpd.conf -h /www' sh "$(free_port)"
  wait_for "http://$server/"
  contains "it serves the first page" "$(get "http://$server/")" '<title>Layers - My &amp; notes</title>'
  contains "with the address from the here-document" "$(get "http://$server/build.html")" \
    'href="https://notes.example.com/build.html"'
  contains "a here-document in quotes is as it was written" "$(cat tree/etc/httpd.conf)" 'E404:/www/404.html'
  equal "EXPOSE" "$(config ExposedPorts)" '{"8080/tcp":{}}'
  contains "LABEL" "$(config Labels)" '"org.opencontainers.image.version":"1.0"'
  rebuild --build-arg 'TITLE=My & notes' --build-arg VERSION=2.0
  only "a new version runs nothing"
  contains "but is in the label" "$(config Labels)" '"org.opencontainers.image.version":"2.0"'
  echo 'See [what](nothing.html).' >>static-site/pages/index.txt
  refused 1 "a broken link ends the build" 'index.html: nothing.html' "$strake" build \
    --build-arg PYTHON=localhost/python --build-arg BASE=localhost/busybox static-site
}
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wait_for() { for _ in $(seq 50); do get "$1" >/dev/null 2>&1 && return; sleep 0.1; done; fail "nothing at $1"; }

cross_compile() {
  need file skopeo
  local_registry
  debian debian
  example cross-compile
  local image=$registry/hello
  build --build-arg BASE=localhost/debian --platform linux/amd64,linux/arm64 -t "$image" --push cross-compile
  equal "the packages are installed once" "$(executed | grep -c 'target=/var/lib/apt')" 1
  for target in amd64 arm64; do
    contains "compiled for $target by this machine" "$(cat log)" "compiling for $target on $(uname -m)"
  done
  skopeo inspect --raw --tls-verify=false "docker://$image" >index.json
  equal "the index names both" \
    "$(python3 -c 'import json; print([m["platform"]["architecture"] for m in json.load(open("index.json"))["manifests"]])')" \
    "['amd64', 'arm64']"
  for target in amd64:x86-64 arm64:aarch64; do
    skopeo copy -q --src-tls-verify=false --override-arch "${target%:*}" "docker://$image" "dir:${target%:*}"
    mkdir "tree-${target%:*}"
    tar -xf "$(largest_blob "${target%:*}")" -C "tree-${target%:*}"
    contains "the program for ${target%:*}" "$(file "tree-${target%:*}/hello")" "${target#*:}"
  done
  equal "it runs" "$("tree-$architecture/hello")" "hello from $(uname -m)"
}
largest_blob() { find "$1" -type f -size +20k | head -n 1; }

secrets_ssh() {
  need ssh-agent ssh-add ssh-keygen
  python_base
  example secrets-ssh
  mkdir private keys
  echo 'rain' >private/weather.txt
  echo '42' >private/prices.txt
  # Made now, so that finding it anywhere means that it got there by this build.
  head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >token
  serve "$here/private_index.py" private token
  local index_url=http://$server
  rebuild() { build --build-arg BASE=localhost/python --build-arg "INDEX_URL=$index_url" -t app "$@" secrets-ssh; }

  build --build-arg BASE=localhost/python -o none secrets-ssh
  contains "without a secret it says so" "$(cat none/packages/weather.txt)" 'no token'
  contains "without an agent it says so" "$(cat none/packages/keys.txt)" 'no ssh agent'

  ssh-keygen -q -t ed25519 -N '' -C example -f keys/key
  ssh-agent -D -a "$work/agent" >/dev/null &
  servers+=($!)
  for _ in $(seq 50); do [ -S agent ] && break; sleep 0.1; done
  SSH_AUTH_SOCK=$work/agent ssh-add -q keys/key
  SSH_AUTH_SOCK=$work/agent rebuild --secret id=index-token,src=token --ssh default \
    -o tree -o type=oci,dest=layout,tar=false
  equal "the token as a file opens the index" "$(cat tree/packages/weather.txt)" rain
  equal "the token as a variable does" "$(cat tree/packages/prices.txt)" 42
  contains "the step sees the agent's key" "$(cat tree/packages/keys.txt)" \
    "$(ssh-keygen -lf keys/key.pub | cut -d' ' -f2)"

  local secret
  secret=$(cat token)
  lacks "the token is not in what the build printed" "$(cat log)" "$secret"
  lacks "nor in the configuration and history" "$("$strake" inspect app; "$strake" history --no-trunc app)" "$secret"
  equal "nor in any file of the store" "$(grep -rlaF "$secret" "$STRAKE_ROOT" || true)" ""
  for blob in layout/blobs/sha256/*; do
    (gzip -dc "$blob" 2>/dev/null || cat "$blob") | grep -qaF "$secret" && fail "the token is in $blob"
  done
  ok "nor in any blob of the image"
  equal "nor is the private key" "$(grep -rlaF "$(sed -n 3p keys/key)" "$STRAKE_ROOT" || true)" ""
  equal "no mount point is left" "$(ls -d tree/run/secrets tree/run/buildkit 2>/dev/null || true)" ""

  printf other >token
  SSH_AUTH_SOCK=$work/agent rebuild --secret id=index-token,src=token --ssh default
  only "another token runs nothing"
}

onbuild_base() {
  python_base
  package_index
  example onbuild-base
  local name=registry.example.com/company/python:3.11
  build --build-arg BASE=localhost/python -t "$name" onbuild-base/base
  contains "the base has triggers" "$(config OnBuild "$name")" 'COPY requirements.txt ./'
  rebuild() { build --build-arg "PIP_INDEX_URL=$index" -t app "$@" onbuild-base/app; }
  equal "the service's Dockerfile is one line" "$(wc -l <onbuild-base/app/Dockerfile)" 1
  rebuild -o tree
  equal "it runs" "$(inside tree 10001:10001 /app /opt/venv/bin/python3 -m app)" \
    'the sum is 5050, computed by user 10001'
  equal "its user is the base's last trigger" "$(config User)" '"10001:10001"'
  lacks "triggers are not inherited twice" "$("$strake" inspect app)" '"OnBuild"'
  echo '# changed' >>onbuild-base/app/app/__main__.py
  rebuild
  only "a change of the code copies it" 'COPY app'
}

monorepo() {
  python_base
  example monorepo
  cd monorepo/services
  rebuild() { # rebuild SERVICE ARGUMENT...
    local service=$1
    shift
    build -f "$service.Dockerfile" --build-context shared=../shared-lib \
      --build-arg BASE=localhost/python -t "$service" "$@" .
  }
  for service in api worker; do
    rebuild "$service" --target test
    contains "the tests of $service run" "$(cat log)" 'Ran 1 test'
    rebuild "$service" -o "$work/$service"
    lacks "its image needs no tests" "$(executed)" unittest
    equal "and has none" "$(find "$work/$service/app" -name 'test*')" ""
  done
  equal "api runs" "$(inside "$work/api" 65534:65534 /app python3 -m api you)" 'hello you (en)'
  equal "worker runs" "$(inside "$work/worker" 65534:65534 /app python3 -m worker | xargs)" 'adding 1 to 10 55'
  equal "--parents keeps folders, and data stays out" "$(cd "$work/worker/app" && find config worker -type f | sort | xargs)" \
    'config/defaults.json config/worker.json worker/__init__.py worker/__main__.py worker/jobs/__init__.py worker/jobs/total.py'
  echo '# changed' >>worker/jobs/total.py
  rebuild api
  only "a change of one service runs nothing of the other"
  rebuild worker
  only "and copies its own modules" 'worker/**/*.py'
  echo '# changed' >>../shared-lib/company/config.py
  rebuild api
  contains "a change of the library is seen" "$(executed)" 'COPY --from=shared'
  cd "$work"
}

reproducible() {
  need skopeo
  local_registry
  python_base
  "$strake" tag localhost/python "$registry/python:3.11"
  "$strake" push "$registry/python:3.11" >/dev/null 2>&1
  local base first second
  base=$registry/python@$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$registry/python:3.11")
  # build_in STORE JOBS UMASK: another store, directory, time of the files, number of jobs.
  build_in() {
    mkdir "$1"
    (
      cd "$1"
      umask "$3"
      example reproducible
      chmod 644 reproducible/*
      export STRAKE_ROOT=$work/$1/store TMPDIR=$work/$1 SOURCE_DATE_EPOCH=1700000000
      build --jobs "$2" --build-arg "BASE=$base" -t "$registry/tables:$1" --push reproducible
    )
    skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$registry/tables:$1"
  }
  first=$(build_in one 1 022)
  sleep 1.1
  second=$(build_in two 4 077)
  equal "the same digest twice" "$second" "$first"
  contains "the image is as old as the commit" \
    "$(skopeo inspect --tls-verify=false --format '{{.Created}}' "docker://$registry/tables:one")" '2023-11-14 22:13:20'
  example reproducible
  SOURCE_DATE_EPOCH=1700000000 build --build-arg "BASE=$base" -o tree reproducible
  contains "its files say when they were made" "$(head -n 1 tree/srv/tables/squares.csv)" 'made 2023-11-14'
  refused 1 "without a time it does not build" 'set it to the time of the last commit' \
    "$strake" build --build-arg "BASE=$base" reproducible
}

apt_packages() {
  debian debian
  example apt-packages
  rebuild() { build --build-arg BASE=localhost/debian -t app "$@" apt-packages; }
  rebuild -o tree
  equal "numpy is there" "$(chroot tree python3 -c 'import numpy; print(numpy.arange(4).sum())')" 6
  equal "no list, package or temporary file is in the image" \
    "$(find tree/var/lib/apt/lists tree/var/cache/apt tree/tmp -type f ! -name lock)" ""
  [ ! -e tree/packages ] || fail "a mount point is in the image"
  sed -i '/^less$/d' apt-packages/packages/tools.txt
  rebuild
  only "a change of the second list installs it only" 'tools.txt'
  contains "from the archives that are there" "$(cat log)" 'Need to get 0 B'
}

all="python-ml-service training-image cpp-scratch node-app static-site cross-compile secrets-ssh
  onbuild-base monorepo reproducible apt-packages"
for name in ${*:-$all}; do
  case " $(echo $all) " in *" $name "*) ;; *) fail "no example \"$name\"; there are:" $all ;; esac
  echo "== $name"
  "${name//-/_}"
done
