#!/bin/bash
# Images for other architectures by an ordinary user, with a range of ids and with one: the
# same images as root makes.
. "$(dirname "$0")/lib.sh"
. "$here/foreign.sh"
. "$here/rungs.sh"
need_root

foreign_context "$work/app" linux/{arm64,arm/v7,riscv64,s390x,ppc64le}
case $platforms in *linux/arm64*) ;; *) skip "busybox-static:arm64 cannot be fetched" ;; esac
export SOURCE_DATE_EPOCH=1700000000
for rung in root range one; do
  on_rung "$rung" "$strake" build --progress plain --platform "$platforms" \
    -o "type=oci,dest=$work/as-$rung/image.tar" "$work/app" >"$rung.out" 2>"$rung.log" || { cat "$rung.log" >&2; fail "the build as $rung"; }
  for platform in ${platforms//,/ }; do
    contains "$platform as $rung" "$(cat "$rung.log")" "$platform runs on $(machine_of "$platform")"
  done
  contains "the summary as $rung" "$(cat "$rung.log")" "s of linux/arm64 in stage \"stage-0\" (qemu-aarch64)"
  contains "the id as $rung" "$(cat "$rung.out")" sha256:
  equal "the image as $rung is that of root" "$(cat "$rung.out")" "$(cat root.out)"
  host_unchanged
done

# Owners that one id cannot give and devices that no user can make are seen by emulated programs too.
cp -r "$work/app/linux/arm64" "$work/owners"
cat >"$work/owners/Dockerfile" <<'END'
FROM --platform=linux/arm64 scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir /owned && mknod -m 640 /owned/null c 1 3 && chown 3:4 /owned/null && stat -c '%u:%g' /owned/null
END
for rung in range one; do
  on_rung "$rung" "$strake" build --progress plain -o "type=tar,dest=$work/as-$rung/root.tar" "$work/owners" \
    >/dev/null 2>"$rung.log" || { cat "$rung.log" >&2; fail "the build as $rung"; }
  contains "an emulated program as $rung sees the owner" "$(cat "$rung.log")" " 3:4"
  contains "and the image has the device" \
    "$(tar --numeric-owner -tvf "as-$rung/root.tar" owned/null)" "crw-r----- 3/4 "
done
