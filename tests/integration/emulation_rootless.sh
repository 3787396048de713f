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
