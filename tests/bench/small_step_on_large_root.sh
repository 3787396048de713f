#!/bin/bash
# What a small RUN costs on a root of 60,000 files where no overlay can be mounted (the second RUN
# of a stage: the first one has made the copy), beside reading every file of it for its digest, as
# builders do that find changes by content. Files have 12 KB on average; those of images have more.
# Usage: STRAKE=path/to/strake STRAKE_CONTAINER=path/to/in_container small_step_on_large_root.sh
set -euo pipefail
strake=${STRAKE:?path of the strake binary}
container=${STRAKE_CONTAINER:?path of in_container}
files=${FILES:-60000}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export STRAKE_ROOT=$work/store STRAKE_ISOLATION=chroot

mkdir "$work/context"
cp /bin/busybox "$work/context/"
python3 - "$work/context/tree" "$files" <<'END'
import os, random, sys
root, count = sys.argv[1], int(sys.argv[2])
random.seed(1)
for i in range(count):
    directory = f"{root}/{i // 1000}/{i // 20}"
    if i % 20 == 0:
        os.makedirs(directory)
    with open(f"{directory}/{i}", "wb") as file:
        file.write(random.randbytes(random.choice([200, 2000, 8000, 40000])))
END
cat >"$work/context/Dockerfile" <<'END'
FROM scratch
COPY busybox /bin/busybox
COPY tree /tree
RUN ["/bin/busybox", "touch", "/first"]
RUN ["/bin/busybox", "touch", "/second"]
END
"$container" "$strake" build --progress plain "$work/context" >/dev/null 2>"$work/log"
step=$(sed -n 's/^#\([0-9]*\) .*"\/second".*/\1/p' "$work/log" | head -1)
cost=$(sed -n "s/^#$step DONE \([0-9.]*\)s/\1/p" "$work/log")
started=$(date +%s.%N)
find "$work/context/tree" -xdev -type f -exec sha256sum {} + >/dev/null
hashing=$(echo "$(date +%s.%N) - $started" | bc)
echo "files: $files"
echo "the second RUN: $cost s"
echo "find -exec sha256sum of the same files: $hashing s"
echo "share: $(echo "scale=2; $cost / $hashing" | bc) (to be under 0.25)"
