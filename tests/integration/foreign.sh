# Sourced after lib.sh by tests that run programs of other architectures.

need apt-get dpkg-deb
[ -x /usr/bin/qemu-aarch64-static ] || skip "qemu-user-static is not installed"

# What the machine itself has registered: must never change.
host_entries() { ls /proc/sys/fs/binfmt_misc 2>/dev/null || true; }
entries_before=$(host_entries)
host_unchanged() { equal "the machine's binfmt_misc is as before" "$(host_entries)" "$entries_before"; }

# foreign_busybox PLATFORM FILE: a static busybox of that platform, from the distribution's packages
# with package lists of their own; fails where there is none. Kept between runs.
foreign_busybox() {
  local suite=bookworm arch=${1#linux/} kept apt
  case $1 in
    linux/arm/v7) arch=armhf ;;
    linux/arm/v6) arch=armel ;;
    linux/386) arch=i386 ;;
    linux/ppc64le) arch=ppc64el ;;
    linux/mips64le) arch=mips64el ;;
    linux/riscv64) suite=trixie ;;
  esac
  kept=${XDG_CACHE_HOME:-/var/tmp}/strake-test-base/busybox-$arch
  mkdir -p "${kept%/*}" "${2%/*}"
  if [ ! -x "$kept" ]; then
    apt=$(mktemp -d "$work/apt-XXXXXX")
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/state/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main" \
      >"$apt/sources.list"
    local options=(-qq -o APT::Architecture="$arch" -o APT::Architectures::="$arch"
      -o Dir::State="$apt/state" -o Dir::State::Lists="$apt/state/lists"
      -o Dir::State::status="$apt/state/status" -o Dir::Cache="$apt/cache"
      -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
      -o Acquire::Languages=none -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update >"$apt/log" 2>&1 || return 1
    (cd "$apt" && apt-get "${options[@]}" download "busybox-static:$arch" >>"$apt/log" 2>&1 &&
      dpkg-deb -x busybox-static_*.deb tree) || return 1
    cp "$(find "$apt/tree" -path '*bin/busybox')" "$kept.$$" && mv "$kept.$$" "$kept" || return 1
  fi
  cp "$kept" "$2"
}

# machine_of PLATFORM: what "uname -m" says there.
machine_of() {
  case $1 in
    linux/amd64 | linux/386) echo x86_64 ;;
    linux/arm64) echo aarch64 ;;
    linux/arm/*) echo armv7l ;;
    linux/mips64le) echo mips64 ;;
    *) echo "${1#linux/}" ;;
  esac
}

# foreign_context DIRECTORY PLATFORM...: a context that runs busybox on each platform that there is
# one for; these are in $platforms then, separated by commas.
foreign_context() {
  local directory=$1 platform
  shift
  platforms=
  for platform in "$@"; do
    if [ "$platform" = linux/amd64 ]; then
      mkdir -p "$directory/$platform"
      cp /bin/busybox "$directory/$platform/busybox"
    elif ! foreign_busybox "$platform" "$directory/$platform/busybox"; then
      echo "note: no busybox-static for $platform"
      continue
    fi
    platforms=${platforms:+$platforms,}$platform
  done
  cat >"$directory/Dockerfile" <<'END'
FROM scratch
ARG TARGETPLATFORM
COPY $TARGETPLATFORM/busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN echo "$TARGETPLATFORM runs on $(uname -m)" && busybox true \
 && printf '#!/bin/sh\necho a script\n' > /script && chmod 755 /script && /script
RUN mkdir /owned && touch /owned/file && ln -s file /owned/link && chown -R 123:45 /owned \
 && chown -h 7:8 /owned/link && chmod 4750 /owned/file && mv /script /owned
USER 123:45
RUN id -u > /owned/by && chmod 600 /owned/by
USER 0
END
}
