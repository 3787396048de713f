#!/bin/bash
# The same Dockerfile on every rung of the sandbox ladder gives the same layers: as root, as an
# ordinary user with a range of ids, as one with a single id, and with what a container of docker's
# default profile allows (no mounts, no namespaces).
. "$(dirname "$0")/lib.sh"
. "$here/rungs.sh"
need_root
need mmdebstrap skopeo
local_registry
export SOURCE_DATE_EPOCH=1700000000

bases=${XDG_CACHE_HOME:-/var/tmp}/strake-test-base
mkdir -p "$bases"
import_debian "$strake" "$(dpkg --print-architecture)" localhost/debian:ladder "$bases" ||
  skip "mmdebstrap cannot make a base here"
"$strake" tag localhost/debian:ladder "$registry/debian:ladder"
"$strake" push -q "$registry/debian:ladder" >/dev/null

context=$work/context
mkdir -p "$context/files"
echo hello >"$context/files/greeting"
# Logs and caches tell the time, the cache of ldconfig the inodes, and ssl-cert makes a key.
cat >"$context/Dockerfile" <<END
FROM $registry/debian:ladder AS tools
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update \\
 && apt-get install -y python3-numpy openssh-client postgresql-common libcap2-bin \\
 && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/ldconfig /var/cache/apt/*.bin \\
    /etc/ssl/private/* /etc/ssl/certs/ssl-cert-snakeoil.pem /etc/ssl/certs/????????.0 \\
 && find / -xdev -name __pycache__ -prune -exec rm -rf {} +

FROM tools AS owners
RUN useradd -m -u 1234 -s /bin/sh app \\
 && install -d -o app -g staff -m 2775 /srv/shared \\
 && echo shared > /srv/shared/file && mkdir /srv/shared/directory \\
 && ln -s file /srv/shared/link && chown -h app:staff /srv/shared/link
RUN cp /bin/ls /usr/local/bin/list && chmod 4755 /usr/local/bin/list \\
 && cp /bin/cat /usr/local/bin/show && setcap cap_net_raw+ep /usr/local/bin/show
USER app
RUN id > /home/app/whoami && echo mine > ~/mine && mkdir -m 700 ~/secret

FROM tools
COPY --from=owners /srv/shared /srv/shared
COPY --from=owners --chown=postgres:ssl-cert /home/app/mine /var/lib/mine
COPY --chown=daemon:mail files /files
RUN ln /files/greeting /files/hard && ln /usr/bin/perl /usr/local/bin/hard \\
 && rm -r /usr/share/perl5/Debconf && mkdir /usr/share/perl5/Debconf \\
 && mv /etc/postgresql-common /etc/moved && rm /bin/zcat && chmod 600 /etc/issue \\
 && chown postgres:postgres /etc/motd && touch /etc/hostname-of-mine
WORKDIR /srv/work
RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/scratch \\
    echo one >> /cache/count && cp /cache/count /srv/work/count && echo x > /scratch/x
END

# build RUNG: the image of that rung is \$registry/ladder:RUNG then.
build() {
  # A chroot has the machine's host name, which Debian's mail server takes into its configuration.
  local name=(--hostname "$(uname -n)")
  [ "$1" != chroot ] || name=()
  on_rung "$1" "$strake" build "${name[@]}" --insecure-registry "$registry" --push -t "$registry/ladder:$1" "$context" \
    >"$work/$1.out" 2>"$work/$1.log" || { cat "$work/$1.log" >&2; fail "the build as $1"; }
  ok "built as $1"
}
layers_of() { skopeo inspect --tls-verify=false --format '{{range .Layers}}{{println .}}{{end}}' "docker://$registry/ladder:$1"; }

# contents DIGEST DIRECTORY: of a layer, unpacked, and as a list.
contents() {
  local hex=${1#sha256:}
  local blob=$work/registry/data/docker/registry/v2/blobs/sha256/${hex:0:2}/$hex/data
  tar -tzv --numeric-owner --full-time -f "$blob" >"$2.list"
  tar -xz -C "$2" -f "$blob"
}

# show_difference RUNG: what the first layer that differs has here and there.
show_difference() {
  local digest other
  paste <(layers_of root) <(layers_of "$1") | while read -r digest other; do
    [ "$digest" != "$other" ] || continue
    mkdir -p here there
    contents "$digest" here
    contents "$other" there
    diff here.list there.list >&2 || true
    diff -rq --no-dereference here there >&2 || true
    break
  done
}

build root
for rung in range one chroot; do
  build "$rung"
  [ "$(layers_of "$rung")" = "$(layers_of root)" ] || { show_difference "$rung"; fail "other layers as $rung"; }
  ok "the same layers as $rung"
done
