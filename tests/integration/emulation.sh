#!/bin/bash
# Images for every architecture of qemu's, beside each other, without any set-up of the machine.
. "$(dirname "$0")/lib.sh"
. "$here/foreign.sh"
need_root
need skopeo python3 unshare
local_registry

foreign_context app linux/{amd64,arm64,arm/v7,arm/v6,386,riscv64,ppc64le,s390x,mips64le}
case $platforms in *linux/arm64*) ;; *) skip "busybox-static:arm64 cannot be fetched" ;; esac
image=$registry/multi:1
"$strake" build --progress plain --platform "$platforms" -t "$image" --push --metadata-file metadata app \
  >/dev/null 2>log || { cat log >&2; fail build; }
for platform in ${platforms//,/ }; do
  contains "$platform" "$(cat log)" "$platform runs on $(machine_of "$platform")"
done
equal "the index has them all" "$(skopeo inspect --raw --tls-verify=false "docker://$image" |
  python3 -c 'import json,sys; print(",".join("/".join(m["platform"].get(k) for k in ("os", "architecture", "variant") if m["platform"].get(k)) for m in json.load(sys.stdin)["manifests"]))')" "$platforms"
contains "the summary tells the time of emulation" "$(grep 'emulated: ' log)" \
  's of linux/arm64 in stage "stage-0" (qemu-aarch64)'
equal "and counts native platforms out" "$(count 'emulated: .*linux/\(amd64\|386\) ' log)" 0
equal "the metadata has it too" "$(python3 -c 'import json; print([e["emulator"] for e in json.load(open("metadata"))["strake.emulated"] if e["platform"] == "linux/arm64" and e["seconds"] > 0])')" "['qemu-aarch64']"
"$strake" build --progress plain --platform "$platforms" app >/dev/null 2>log
equal "what is cached takes no time" "$(count 'emulated: ' log)" 0
"$strake" build -q --no-cache --platform linux/arm64 app >/dev/null 2>log
equal "quiet is quiet" "$(cat log)" ""
host_unchanged

# A stage of which only files are taken.
cat >Dockerfile.stages <<END
FROM --platform=linux/arm64 $image AS build
RUN sleep 3.1; echo 1 >/result
FROM --platform=linux/amd64 $image
COPY --from=build /result /
END
"$strake" build --progress plain -f Dockerfile.stages app >/dev/null 2>log || { cat log >&2; fail stages; }
contains "a hint at the build platform" "$(cat log)" 'FROM --platform=$BUILDPLATFORM'

# An image that is for one platform only is taken whatever was asked for, as docker does.
"$strake" build --progress quiet --platform linux/arm64 -t "$registry/lone:1" --push app >/dev/null
printf 'FROM %s\nRUN uname -m\n' "$registry/lone:1" >Dockerfile.lone
STRAKE_ROOT=$work/lone check "a lone image of another platform" "$strake" build --progress plain -f Dockerfile.lone app
contains "runs as what it is" "$(cat check.log)" "of linux/arm64 in stage"

# No emulator: said before anything is pulled, and only where one is needed.
cat >Dockerfile.arm <<END
FROM --platform=linux/arm64 $image
COPY Dockerfile /
RUN uname -m
END
requests() { count ' HTTP/1' "$work/registry/log"; }
before=$(requests)
[ "$before" -gt 0 ] || fail "the registry has no log of requests"
STRAKE_ROOT=$work/empty refused 5 "without qemu the error names the package" "install the package qemu-user-static" \
  env PATH=/nowhere "$strake" build -f Dockerfile.arm app
contains "and the line" "$(cat err)" "Dockerfile.arm:3"
contains "and the platform" "$(cat err)" "platform: linux/arm64"
equal "and nothing was asked of the registry" "$(requests)" "$before"
sed '/^RUN/d' Dockerfile.arm >Dockerfile.copy
check "COPY needs no emulator" \
  env STRAKE_ROOT="$work/empty" PATH=/nowhere "$strake" build -f Dockerfile.copy app
STRAKE_ISOLATION=chroot STRAKE_ROOT=$work/chroot refused 5 "a plain chroot cannot have an emulator of its own" \
  "register qemu-user on the host" "$strake" build -f Dockerfile.arm app

# Namespaces of ours cannot have a binfmt_misc: as a kernel before 6.7 would say.
if unshare --user --map-root-user --mount bash -c 'mount -t binfmt_misc binfmt_misc /mnt' 2>/dev/null; then
  STRAKE_ROOT=$work/old refused 5 "an old kernel: one way out" "use Linux 6.7 or later" \
    unshare --user --map-root-user --mount bash -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"' - \
    "$strake" build -f Dockerfile.arm app
  contains "and the other" "$(cat err)" "register /usr/bin/qemu-aarch64-static with the host's binfmt_misc, flag F"

  # What "the host" has registered is used, even where its list cannot be seen, as in a container.
  cat >registered <<'END'
mount -t binfmt_misc binfmt_misc /mnt
magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
printf %s ":outer-arm64:M::$magic:$mask:/usr/bin/qemu-aarch64-static:$1" >/mnt/register
shift
exec "$@"
END
  outer() { unshare --user --map-root-user --mount bash registered "$1" \
    env PATH=/nowhere "$strake" build --progress plain -f Dockerfile.arm app; }
  STRAKE_ROOT=$work/outer check "an emulator of the host's is used" outer FP
  contains "and named" "$(cat check.log)" "(the host's binfmt_misc)"
  STRAKE_ISOLATION=chroot STRAKE_ROOT=$work/outer3 check "on the chroot rung too" outer FP
  STRAKE_ROOT=$work/outer2 refused 5 "but not without the flag F: images do not have it" "qemu-user-static" outer P
fi
host_unchanged
