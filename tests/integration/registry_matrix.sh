#!/bin/bash
# The real docker-registry in all its guises: plain http, TLS of a private CA (with and without client
# certificates), htpasswd, token server. In each: log in, push, mount, pull, list, delete; and skopeo,
# and dockerd where it starts, see the same images as strake, both ways.
. "$(dirname "$0")/lib.sh"
need_root
need docker-registry skopeo openssl htpasswd python3 curl

support=$here/../support
export REGISTRY_STORAGE_DELETE_ENABLED=true
sha256() { sha256sum | cut -d' ' -f1; }

# Certificates: a CA, a server at 127.0.0.1, a client.
mkdir ca
(
  cd ca
  openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj "/CN=test CA"
  certificate() {
    openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out "$1.crt" \
      -extfile <(printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=%s\n' "$2")
  }
  certificate server serverAuth
  certificate client clientAuth
) >ca/log 2>&1 || { cat ca/log; fail "certificates"; }
htpasswd -Bbn builder right >users.htpasswd
printf 'builder:right\nreader:right\n' >users

# Processes besides the registry.
pids=
at_end() {
  local pid
  stop_registry
  for pid in $pids; do kill "$pid" 2>/dev/null || true; done
  for pid in $pids; do wait "$pid" 2>/dev/null || true; done
}

# A dockerd of our own, without networks and without touching the machine's.
docker_socket=
why_no_docker="dockerd is not installed"
start_docker() {
  command -v dockerd >/dev/null && command -v docker >/dev/null || return 0
  # In a mount namespace of its own: lib.sh counts mounts.
  mkdir -p "$work/docker"
  unshare --mount dockerd --data-root "$work/docker/data" --exec-root "$work/docker/exec" \
    -H "unix://$work/docker/socket" -p "$work/docker/pid" --iptables=false --ip6tables=false \
    --bridge=none --storage-driver vfs >"$work/docker/log" 2>&1 &
  pids+=" $!"
  local try
  for try in $(seq 100); do
    if docker -H "unix://$work/docker/socket" version >/dev/null 2>&1; then
      docker_socket=unix://$work/docker/socket
      return
    fi
    kill -0 "${pids##* }" 2>/dev/null || break
    sleep 0.2
  done
  why_no_docker="dockerd does not start here: $(tail -1 "$work/docker/log")"
}
dockerd_does() { docker --config "$work/docker-config" -H "$docker_socket" "$@"; }

# What is in the registry, as skopeo sees it.
skopeo_sees() { skopeo inspect "${skopeo_options[@]}" --raw "docker://$1" | sha256; }
strake_has() { "$strake" inspect --format '{{index .RepoDigests 0}}' "$1" | sed 's/.*sha256://'; }

# api METHOD PATH [SCOPE]: a request as curl makes it.
api() {
  local how=("${curl_options[@]}")
  if [ -n "$realm" ]; then
    local token
    token=$(curl -fsS "${curl_tls[@]}" -u builder:right "$realm?service=test-registry&scope=$3" |
      python3 -c 'import json,sys; print(json.load(sys.stdin)["token"])')
    how+=(-H "Authorization: Bearer $token")
  fi
  curl -fsS "${curl_tls[@]}" "${how[@]}" -X "$1" "$origin$2"
}

# exercise NAME: everything, on the registry that runs.
exercise() {
  local name=$1 digest
  export STRAKE_ROOT=$work/store-$name
  echo "--- $name: $registry"

  if [ -n "$user" ]; then
    refused 4 "$name: push without logging in" denied "$strake" build --push -t "$registry/team/app:1" app
    refused 4 "$name: a wrong password" "401" \
      "$strake" login -u "$user" --password-stdin "$registry" <<<wrong
    refused 4 "$name: an unknown user" "401" \
      "$strake" login -u nobody --password-stdin "$registry" <<<right
    check "$name: login" "$strake" login -u "$user" --password-stdin "$registry" <<<right
  fi

  check "$name: build --push" "$strake" build --push -t "$registry/team/app:1" app
  digest=$(strake_has "$registry/team/app:1")
  equal "$name: skopeo sees the image" "$(skopeo_sees "$registry/team/app:1")" "$digest"
  rm -rf "copy-$name"
  check "$name: skopeo copies it, and checks its digests" \
    skopeo copy -q "${skopeo_copy[@]/#/--src-}" "docker://$registry/team/app:1" "dir:copy-$name"
  equal "$name: strake digest" "$("$strake" digest "$registry/team/app:1")" "sha256:$digest"
  equal "$name: the copy is the same" "$(sha256 <"copy-$name/manifest.json")" "$digest"

  "$strake" tag "$registry/team/app:1" "$registry/other/place/app:2"
  "$strake" --debug push "$registry/other/place/app:2" >push.log 2>&1 || { cat push.log; fail "push"; }
  equal "$name: layers are mounted from the other repository" \
    "$(grep -c 'POST .*/v2/other/place/app/blobs/uploads/ status=201' push.log | sed 's/[34]/all/')" all
  equal "$name: it is the same image" "$(skopeo_sees "$registry/other/place/app:2")" "$digest"

  export STRAKE_ROOT=$work/store-$name-2
  check "$name: pull into an empty store" "$strake" pull "$registry/team/app:1"
  equal "$name: the pulled image is the same" "$(strake_has "$registry/team/app:1")" "$digest"
  check "$name: pull by digest" "$strake" pull "$registry/team/app@sha256:$digest"

  check "$name: an index" \
    "$strake" build --push --platform linux/amd64,linux/arm64 -t "$registry/team/app:both" app
  check "$name: skopeo copies all of it" \
    skopeo copy -q --all "${skopeo_copy[@]/#/--src-}" "docker://$registry/team/app:both" dir:all

  # Images of others.
  check "$name: skopeo pushes" \
    skopeo copy -q "${skopeo_copy[@]/#/--dest-}" "dir:copy-$name" "docker://$registry/from/skopeo:1"
  check "$name: strake pulls what skopeo pushed" "$strake" pull "$registry/from/skopeo:1"
  equal "$name: and has the same" "$(strake_has "$registry/from/skopeo:1")" "$digest"
  exercise_docker "$name" "$digest"

  # Lists and deletions.
  equal "$name: tags" "$("$strake" tags "$registry/team/app" | sort | xargs)" "1 both"
  contains "$name: tags as curl sees them" "$(api GET /v2/team/app/tags/list repository:team/app:pull)" '"both"'
  check "$name: delete" "$strake" delete "$registry/from/skopeo@sha256:$digest"
  check "$name: delete with curl" \
    api DELETE "/v2/other/place/app/manifests/sha256:$digest" repository:other/place/app:delete
  refused 3 "$name: what was deleted is gone" "not found" "$strake" pull "$registry/from/skopeo:1"
  refused 3 "$name: and so is this" "not found" "$strake" pull "$registry/other/place/app:2"
  check "$name: elsewhere it is not" "$strake" pull "$registry/team/app:1"

  if [ -n "$user" ]; then
    check "$name: logout" "$strake" logout "$registry"
    refused 4 "$name: pull after logging out" denied "$strake" pull "$registry/team/app:1"
  fi
}

exercise_docker() {
  local name=$1 digest=$2
  if [ -z "$docker_socket" ]; then
    echo "skipped: $name: docker: $why_no_docker"
    return
  fi
  [ "$docker_can" = yes ] || { echo "skipped: $name: docker: $docker_can"; return 0; }
  if [ -n "$user" ]; then
    check "$name: docker login" dockerd_does login -u "$user" --password-stdin "$registry" <<<right
  fi
  check "$name: docker pulls by digest" dockerd_does pull -q "$registry/team/app@sha256:$digest"
  equal "$name: docker and strake agree about the image" \
    "$(dockerd_does image inspect --format '{{.Id}}' "$registry/team/app@sha256:$digest")" \
    "$("$strake" inspect --format '{{.Id}}' "$registry/team/app:1")"
  dockerd_does tag "$registry/team/app@sha256:$digest" "$registry/from/docker:1"
  check "$name: docker pushes" dockerd_does push -q "$registry/from/docker:1"
  check "$name: strake pulls what docker pushed" "$strake" pull "$registry/from/docker:1"
  equal "$name: and skopeo sees the same" "$(skopeo_sees "$registry/from/docker:1")" "$(strake_has "$registry/from/docker:1")"
  equal "$name: of the same content" "$("$strake" inspect --format '{{json .RootFS}}' "$registry/from/docker:1")" \
    "$("$strake" inspect --format '{{json .RootFS}}' "$registry/team/app:1")"
  if [ -n "$realm" ]; then  # docker keeps no password then, but an identity token
    contains "$name: docker's identity token" "$(cat "$work/docker-config/config.json")" identitytoken
    rm -rf "$work/store-docker"
    check "$name: it is good for strake" env DOCKER_CONFIG="$work/docker-config" \
      "$strake" --root "$work/store-docker" pull "$registry/team/app:1"
  fi
}

# What the tools need to know, for the registry that starts next.
plain_http() {
  user= realm= docker_can=yes scheme=http
  skopeo_options=(--tls-verify=false) skopeo_copy=(tls-verify=false)
  curl_tls=() curl_options=()
  unset REGISTRY_HTTP_TLS_CERTIFICATE REGISTRY_HTTP_TLS_KEY REGISTRY_HTTP_TLS_CLIENTCAS
}

# registry_as NAME [CONFIG]: starts it, and does everything.
registry_as() {
  start_registry "$work/registry-$1" "${2:-}"
  origin=$scheme://$registry
  [ $scheme = http ] || trust "$registry"
  exercise "$1"
  stop_registry
}

# trust HOST: the CA (and the client's certificate) where strake and skopeo look for them.
trust() {
  certificates=$HOME/.config/containers/certs.d/$1
  mkdir -p "$certificates"
  refused 4 "$1: its certificate is not trusted yet" "certificate" "$strake" pull "$1/team/app:1"
  cp ca/ca.crt "$certificates/ca.crt"
  if [ -n "${REGISTRY_HTTP_TLS_CLIENTCAS:-}" ]; then
    refused 4 "$1: it wants a client certificate" "$1" "$strake" pull "$1/team/app:1"
    docker_can="it looks for client certificates in /etc alone"
    cp ca/client.crt "$certificates/client.cert"
    cp ca/client.key "$certificates/client.key"
  fi
  skopeo_options=(--cert-dir "$certificates") skopeo_copy=("cert-dir=$certificates")
}

tls() {
  plain_http
  scheme=https
  # Docker does not verify the certificates of registries on loopback.
  export REGISTRY_HTTP_TLS_CERTIFICATE=$work/ca/server.crt REGISTRY_HTTP_TLS_KEY=$work/ca/server.key
  curl_tls=(--cacert "$work/ca/ca.crt")
}

start_docker
mkdir app
head -c 200000 /dev/urandom >app/one
head -c 3000 /dev/urandom >app/two
printf 'FROM scratch\nCOPY one /one\nCOPY two /etc/two\nLABEL test=matrix\nCMD ["/one"]\n' >app/Dockerfile
printf 'COPY one /third\n' >>app/Dockerfile

plain_http
registry_as http

tls
registry_as tls

tls
export REGISTRY_HTTP_TLS_CLIENTCAS="[\"$work/ca/ca.crt\"]"
curl_tls+=(--cert "$work/ca/client.crt" --key "$work/ca/client.key")
registry_as tls-clients

plain_http
user=builder curl_options=(-u builder:right)
registry_as htpasswd "auth: {htpasswd: {realm: test, path: $work/users.htpasswd}}"

plain_http
user=builder
openssl req -x509 -newkey rsa:2048 -nodes -keyout token.key -out token.crt -days 2 -subj "/CN=tokens" 2>/dev/null
mkfifo realm
# Tokens of three seconds: they end in the middle of things.
python3 "$support/token_server.py" --key token.key --certificate token.crt --users users \
  --log tokens.log --lifetime 3 >realm &
pids+=" $!"
realm=$(python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["realm"])' <realm)
registry_as token "auth: {token: {realm: \"$realm\", service: test-registry, issuer: test-issuer, rootcertbundle: $work/token.crt}}"
# In the order of the registry's challenge, which is now this, now that.
into='"repository:other/place/app:pull,push"' from='"repository:team/app:pull"'
check "tokens for mounts are for both repositories" \
  grep -q -e "\[$into, $from\]" -e "\[$from, $into\]" tokens.log
