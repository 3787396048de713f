#!/bin/bash
# linux/arm64 beside linux/amd64, without any set-up of the machine.
. "$(dirname "$0")/lib.sh"
need_root
need skopeo python3 apt-get dpkg-deb
[ -x /usr/bin/qemu-aarch64-static ] || skip "qemu-user-static is not installed"
local_registry

# busybox for arm64, from the distribution, with package lists of its own.
apt=$work/apt
mkdir -p apt/state/lists/partial apt/cache/archives/partial
: >apt/state/status
apt_arm64() {
  apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State="$apt/state" \
    -o Dir::State::Lists="$apt/state/lists" -o Dir::State::status="$apt/state/status" \
    -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root "$@"
}
apt_arm64 update >/dev/null 2>&1 && apt_arm64 download busybox-static:arm64 >/dev/null 2>&1 ||
  skip "busybox-static:arm64 cannot be fetched"
dpkg-deb -x busybox-static_*arm64.deb arm64
mkdir -p app/linux/amd64 app/linux/arm64
cp arm64/bin/busybox app/linux/arm64/
cp /bin/busybox app/linux/amd64/
cat >app/Dockerfile <<'END'
FROM scratch
ARG TARGETPLATFORM
COPY $TARGETPLATFORM/busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN uname -m > /machine && cat /machine && busybox true
CMD ["cat", "/machine"]
END
image=$registry/multi:1
"$strake" build --platform linux/amd64,linux/arm64 -t "$image" --push app >/dev/null 2>log || { cat log; fail build; }
contains "the arm64 step runs emulated" "$(cat log)" aarch64
contains "the amd64 step runs natively" "$(cat log)" x86_64
for arch in amd64 arm64; do
  check "the index has $arch" skopeo copy -q --src-tls-verify=false --override-arch "$arch" "docker://$image" "dir:image-$arch"
  equal "its config says so" "$(skopeo inspect --tls-verify=false --override-arch "$arch" --config "docker://$image" | python3 -c 'import json,sys; print(json.load(sys.stdin)["architecture"])')" "$arch"
done
[ ! -e /proc/sys/fs/binfmt_misc/strake-aarch64 ] || fail "the machine's binfmt list was changed"

printf 'FROM --platform=linux/arm64 %s\nRUN cat /machine\n' "$image" >Dockerfile.arm
refused 5 "without qemu the error names the package" "qemu-user-static" \
  env PATH=/nowhere "$strake" build -f Dockerfile.arm app
