#!/bin/bash
# Rules of the Dockerfile language that only a whole build shows.
. "$(dirname "$0")/lib.sh"
need_root
need tar python3
busybox_base localhost/busybox
mkdir -p app/d app/sub
build() { "$strake" build -t result "$@" app >out 2>log || { cat log; fail "build $*"; }; }
# mode_owner PATH, content PATH: in the files of the last build. A directory's name ends in "/".
mode_owner() { tar --numeric-owner -tvf files.tar "$1" | awk 'NR == 1 { print $1, $2 }'; }
content() { tar -xOf files.tar "$1"; }
echo 1 >app/d/f
echo hidden >app/sub/hidden
chmod 755 app/d

cat >app/Dockerfile <<'END'
FROM localhost/busybox AS base
RUN mkdir -p /etc /there /linked && echo app:x:1000:1001::/home/app:/bin/sh >/etc/passwd && \
    printf 'app:x:1001:\nextra:x:7:app\n' >/etc/group && chmod 700 /there && chmod 1777 /linked
RUN <<EOF
false
echo went on >/after-failure
EOF
RUN <<SCRIPT
#!/bin/awk -f
BEGIN { print "by awk" >"/by-awk" }
SCRIPT
SHELL ["/bin/sh", "-c", "VALUE=prepared exec \"$0\" \"$@\""]
RUN <<SCRIPT
#!/bin/sh
echo "$VALUE" >/by-shell
SCRIPT
SHELL ["/bin/sh", "-c"]
VOLUME /data
RUN mkdir /data && echo kept >/data/file
USER app
WORKDIR /made/for/app
WORKDIR /there
RUN cd /tmp 2>/dev/null; id -G >/made/for/app/groups
COPY d/f /copied
USER root
COPY --link d /linked/
RUN echo "$PWD" >/cwd

FROM base
WORKDIR relative
RUN pwd >/cwd2
USER nobody-is-asked
END
build -o type=tar,dest=files.tar

# Rule 14: a here-document is no script with "set -e"; one with an interpreter is started by the SHELL.
equal "lines after a failing one are run" "$(content after-failure)" "went on"
equal "an interpreter is used" "$(content by-awk)" "by awk"
equal "SHELL prepares the interpreter" "$(content by-shell)" "prepared"
# Rule 55: WORKDIR makes what is missing, for the user; what is there it leaves alone.
equal "a made WORKDIR is the user's" "$(mode_owner made/for/app/)" "drwxr-xr-x 1000/1001"
equal "so are its parents" "$(mode_owner made/for/)" "drwxr-xr-x 1000/1001"
equal "an existing one is left alone" "$(mode_owner there/)" "drwx------ 0/0"
equal "a relative one joins the stage's before" "$(content cwd2)" "/there/relative"
# Rule 37: USER has no effect on COPY.
equal "COPY makes files of root" "$(mode_owner copied)" "-rw-r--r-- 0/0"
# Rule 57: a user has its supplementary groups; an unknown one matters at the first RUN only.
equal "groups of the user" "$(content made/for/app/groups)" "1001 7"
# Rule 62: what is changed below a VOLUME stays.
equal "a VOLUME keeps what is written to it" "$(content data/file)" "kept"
# Rule 31: a --link does not look at what is below: its directories come with it.
equal "--link brings its own directories" "$(mode_owner linked/)" "drwxr-xr-x 0/0"

# Rule 56: a working directory that is not there is made for the RUN.
cat >Dockerfile.cwd <<'END'
FROM localhost/busybox AS base
WORKDIR /gone
RUN cd / && rmdir /gone
FROM base
RUN pwd >/cwd
END
build -f Dockerfile.cwd -o type=tar,dest=files.tar
equal "a missing working directory is made" "$(content cwd) $(mode_owner gone/)" "/gone drwxr-xr-x 0/0"

# Rule 54: an ignored Dockerfile is read all the same; the ignore file of a Dockerfile replaces the other.
printf 'Dockerfile\n.dockerignore\nd\n' >app/.dockerignore
printf 'FROM scratch\nCOPY . /\n' >app/Dockerfile
build -o type=tar,dest=files.tar
equal "ignored files are not copied" "$(tar -tf files.tar | sort | xargs)" "sub/ sub/hidden"
cp app/Dockerfile app/other
printf 'sub\n' >app/other.dockerignore
build -f app/other -o type=tar,dest=files.tar
equal "the Dockerfile's own ignore file counts alone" "$(tar -tf files.tar | sort | xargs)" \
  ".dockerignore Dockerfile d/ d/f other other.dockerignore"
