#!/bin/bash
# Where files come from: contexts of every kind, named contexts, ADD of URLs and git repositories.
. "$(dirname "$0")/lib.sh"
need_root
need git python3 zstd
busybox_base localhost/base

mkdir -p web/dir
echo served >web/dir/file.txt
python3 "$here/../support/http_file_server.py" web port requests &
server=$!
at_end() { kill "$server" 2>/dev/null || true; }
for _ in $(seq 100); do [ -s port ] && break; sleep 0.05; done
url=http://127.0.0.1:$(cat port)

files() { local out=$1; shift; rm -rf "$out"; "$strake" build --progress plain -o "$out" "$@" >/dev/null 2>log || { cat log >&2; fail "build for $out"; }; }
asked() { grep -c "^$1 $2 " requests || true; }

# ---- ADD of a URL: rules 46 and 48 ----
mkdir context
cat >context/Dockerfile <<END
FROM localhost/base
ADD $url/dir/file.txt /in/
ADD --chmod=644 $url/_disposition/other.name/dir/file.txt /renamed
END
files root context
# Rule 46: an added URL is a file of mode 0600, its time Last-Modified, its name that of the path.
equal "a URL becomes a file of its name" "$(cat root/in/file.txt)" served
equal "its mode and time" "$(stat -c '%a %Y' root/in/file.txt)" "600 1485449953"
equal "a destination without a slash is the file's name" "$(stat -c %a root/renamed)" 644
files root context
contains "the second build asks whether the file changed" "$(cat requests)" "GET /dir/file.txt 304"
echo changed >web/dir/file.txt
files root context
equal "a changed file is fetched again" "$(cat root/in/file.txt)" changed

# Rule 48: --checksum is verified before use, and spares the network afterwards.
sum=$(sha256sum <web/dir/file.txt | cut -d' ' -f1)
printf 'FROM scratch\nARG SUM\nADD --checksum=sha256:$SUM %s/dir/file.txt /f\n' "$url" >context/Dockerfile
files root --build-arg SUM="$sum" context
before=$(wc -l <requests)
files root --build-arg SUM="$sum" context
equal "a file with a checksum is not asked for again" "$(wc -l <requests)" "$before"
refused 1 "a wrong checksum" "checksum mismatch" "$strake" build --build-arg SUM="$(printf '0%.0s' $(seq 64))" context
printf 'FROM scratch\nADD --checksum=sha256:%s %s/dir/file.txt local /f/\n' "$sum" "$url" >context/Dockerfile
refused 3 "a checksum of several sources" "exactly one source" "$strake" build context

mkdir tree && echo packed >tree/packed
tar -czf web/a.tar.gz -C tree .
printf 'FROM scratch\nADD %s/a.tar.gz /as-is/\nADD --unpack=true %s/a.tar.gz /unpacked/\n' "$url" "$url" >context/Dockerfile
files root context
[ -f root/as-is/a.tar.gz ] && ok "archives at URLs stay packed"
equal "unless --unpack says so" "$(cat root/unpacked/packed)" packed

# ---- ADD of a git repository: rule 47 ----
export GIT_AUTHOR_DATE='2020-02-02T02:02:02Z' GIT_COMMITTER_DATE='2020-02-02T02:02:02Z'
git init -q -b main work-tree
git -C work-tree config user.email test@localhost
git -C work-tree config user.name test
mkdir -p work-tree/sub && echo one >work-tree/sub/f && echo top >work-tree/top
printf 'FROM localhost/base\nCOPY sub/f /f\n' >work-tree/Dockerfile
echo sub >work-tree/.dockerignore
git -C work-tree add -A && git -C work-tree commit -qm one && git -C work-tree tag v1
echo two >work-tree/sub/f && git -C work-tree commit -qam two
git clone -q --bare work-tree web/r.git
git -C web/r.git update-server-info
commit=$(git -C work-tree rev-parse v1)
# Rule 47: what ends in ".git" is a repository, whatever follows it.
cat >context/Dockerfile <<END
FROM scratch
ADD $url/r.git#v1:sub /tagged/
ADD $url/r.git?branch=main /branch/
ADD --keep-git-dir=true $url/r.git#$commit /kept/
END
files root context
equal "a tag and a directory in it" "$(cat root/tagged/f)" one
equal "a branch" "$(cat root/branch/sub/f)" two
[ ! -e root/branch/.git ] && [ -d root/kept/.git ] || fail "--keep-git-dir"
ok "the repository itself comes only with --keep-git-dir"
equal "files have the time of the commit" "$(stat -c %Y root/tagged/f)" 1580608922
printf 'FROM scratch\nADD --checksum=%s %s/r.git#main /x/\n' "$commit" "$url" >context/Dockerfile
refused 1 "a commit that is another" "$commit" "$strake" build context

# ---- contexts ----
files root "$url/r.git#main"
equal "a repository as context, its .dockerignore means nothing" "$(cat root/f)" two
files root --build-arg SOURCE_DATE_EPOCH=context "$url/r.git#v1"
equal "SOURCE_DATE_EPOCH=context is the commit's" "$(stat -c %Y root/f)" 1580608922
mkdir packed && printf 'FROM localhost/base\nCOPY data /data\n' >packed/Dockerfile && echo data >packed/data
for compress in cat gzip zstd; do
  tar -c -C packed . | $compress >context.tar
  "$strake" build --progress quiet -o root-stdin - <context.tar >/dev/null
  equal "an archive on stdin ($compress)" "$(cat root-stdin/data)" data
  rm -rf root-stdin
done
cp context.tar web/context.tar.zst
files root "$url/context.tar.zst"
equal "an archive at a URL" "$(cat root/data)" data
printf 'FROM localhost/base\nRUN echo only >/only\n' >web/Only.Dockerfile
files root "$url/Only.Dockerfile"
equal "a Dockerfile at a URL" "$(cat root/only)" only
"$strake" build --progress quiet -o root-text - <web/Only.Dockerfile >/dev/null
equal "a Dockerfile on stdin" "$(cat root-text/only)" only
"$strake" build --progress quiet -o root-mixed -f - packed >/dev/null <<'END'
FROM localhost/base
COPY data /mixed
END
equal "a Dockerfile on stdin with the files of a directory" "$(cat root-mixed/mixed)" data

# ---- named contexts ----
mkdir extra && echo extra >extra/e && echo unwanted >extra/no && echo no >extra/.dockerignore
"$strake" build --progress quiet -o type=oci,tar=false,dest=layout packed >/dev/null
cat >context/Dockerfile <<'END'
FROM localhost/base AS replaced
RUN echo original >/which
FROM localhost/base AS made-here
RUN echo here >/here
FROM from-layout AS layout
FROM alpine:3.20
COPY --from=files / /files/
COPY --from=repo sub /repo/
COPY --from=page context /page
COPY --from=layout /data /from-layout
COPY --from=replaced /in-context /which
COPY --from=other-stage /here /here
RUN --mount=from=files,target=/m cat /m/e >/mounted
END
mkdir replacement && echo context >replacement/in-context
files root --build-context files=extra --build-context "repo=$url/r.git#v1" --build-context "page=$url/dir/file.txt" \
  --build-context from-layout=oci-layout://layout --build-context replaced=replacement \
  --build-context alpine:3.20=docker-image://localhost/base --build-context other-stage=target:made-here context
equal "a directory, with its own ignore file" "$(ls root/files)" e
equal "a repository" "$(cat root/repo/f)" one
equal "a URL" "$(cat root/page)" changed
equal "an image layout" "$(cat root/from-layout)" data
equal "a context in the place of a stage" "$(cat root/which)" context
equal "a stage under another name" "$(cat root/here)" here
equal "mounts take files of named contexts" "$(cat root/mounted)" extra
refused 2 "a context without a place" "=" "$strake" build --build-context nothing context
