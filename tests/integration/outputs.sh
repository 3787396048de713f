#!/bin/bash
# Every kind of output holds the same image.
. "$(dirname "$0")/lib.sh"
need_root
need skopeo tar python3
busybox_base localhost/busybox
mkdir app
cat >app/Dockerfile <<'END'
FROM localhost/busybox
RUN echo text > /file && ln -s file /link && rm /bin/zcat
CMD ["cat", "/file"]
END
build() { "$strake" build -t example.com/app:1 "$@" app 2>log || { cat log; fail "build $*"; }; }

id=$(build)
build -o type=oci,dest=oci.tar >/dev/null
build -o type=docker,dest=docker.tar >/dev/null
build -o type=oci,dest=layout,tar=false >/dev/null
build -o type=tar,dest=files.tar >/dev/null
build -o type=local,dest=files >/dev/null
build -o - >stdout.tar

for source in oci-archive:oci.tar docker-archive:docker.tar oci:layout; do
  equal "$source has the image" "$(skopeo inspect --config "$source" | python3 -c 'import json,sys; print(json.load(sys.stdin)["config"]["Cmd"])')" "['cat', '/file']"
done
equal "a layout's config is the image id" \
  "$(skopeo inspect --raw oci:layout | python3 -c 'import json,sys; print(json.load(sys.stdin)["config"]["digest"])')" "$id"
equal "the tar has merged files" "$(tar -xOf files.tar file)" text
equal "stdout has them too" "$(tar -xOf stdout.tar file)" text
lacks "deleted files are gone" "$(tar -tf files.tar)" bin/zcat
equal "the directory has them" "$(cat files/link)" text
[ ! -e files/bin/zcat ] || fail "a deleted file is in the directory"
"$strake" build -o type=oci app 2>log >stdout-oci.tar
equal "an output without a place goes to stdout" "$(skopeo inspect --config oci-archive:stdout-oci.tar | grep -c '"cat"')" 1
refused 2 "a directory needs a name" "directory" "$strake" build -o type=local app
"$strake" build -q --iidfile iid -t x app >out 2>/dev/null
equal "--iidfile" "$(cat iid)" "$id"
equal "-q prints the id alone" "$(cat out)" "$id"

"$strake" import files.tar imported:1 --change 'CMD ["cat", "/link"]' >/dev/null
printf 'FROM imported:1\nRUN cat /link\n' >Dockerfile.imported
"$strake" build -f Dockerfile.imported app >/dev/null 2>log || { cat log; fail "build from an imported tar"; }
contains "an imported tar is a base" "$(cat log)" text
