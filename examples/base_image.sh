# Sourced by examples/quickstart.sh and the integration tests: a registry for the moment, and Debian
# base images made on the spot, where Docker Hub cannot be reached.

# start_registry DIRECTORY [CONFIG]: a docker-registry on a free loopback port, until stop_registry.
# Its address is in $registry then. CONFIG is appended to its configuration.
start_registry() {
  local try port wait
  mkdir -p "$1"
  for try in $(seq 20); do
    port=$((20000 + RANDOM % 20000))
    cat >"$1/config.yml" <<END
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: "$1/data"}}
http: {addr: "127.0.0.1:$port"}
${2:-}
END
    docker-registry serve "$1/config.yml" >"$1/log" 2>&1 &
    registry_pid=$!
    for wait in $(seq 100); do
      kill -0 "$registry_pid" 2>/dev/null || break  # somebody else has the port: another one
      # Whoever listens there must be ours.
      if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && sleep 0.1 &&
        kill -0 "$registry_pid" 2>/dev/null; then
        registry=127.0.0.1:$port
        return
      fi
      sleep 0.1
    done
    stop_registry
  done
  echo "docker-registry did not start:" >&2
  cat "$1/log" >&2
  return 1
}

stop_registry() {
  [ -n "${registry_pid:-}" ] || return 0
  kill "$registry_pid" 2>/dev/null || true
  wait "$registry_pid" 2>/dev/null || true
  registry_pid=
}

registry_answers() { timeout 5 bash -c "</dev/tcp/$1/443" 2>/dev/null; }

# import_debian STRAKE ARCHITECTURE NAME DIRECTORY [PACKAGE]...: makes a minimal Debian of that
# architecture, with these packages, by mmdebstrap (once; the tar stays in DIRECTORY) and imports it,
# unless the store has it. The path of the tar is in $debian_tar then.
import_debian() {
  local strake=$1 architecture=$2 name=$3 directory=$4
  shift 4
  debian_tar=$directory/debian-$architecture
  [ $# = 0 ] || debian_tar+=-$(printf '%s\n' "$@" | sha256sum | cut -c1-12)
  debian_tar+=.tar
  # Another build may want the same one now.
  (flock 9 && make_debian "$architecture" "$debian_tar" "$@") 9>"$debian_tar.lock" || return 1
  $sudo "$strake" inspect --platform "linux/$architecture" "$name" >/dev/null 2>&1 ||
    $sudo "$strake" import --platform "linux/$architecture" "$debian_tar" "$name" >/dev/null
}

# make_debian ARCHITECTURE TAR [PACKAGE]...: the tar, unless it is there.
make_debian() {
  local architecture=$1 tar=$2 part=${2%.tar}-unfinished.tar include
  shift 2
  [ ! -f "$tar" ] || return 0
  include=$(IFS=,; echo "$*")
  if [ "$architecture" = "$(dpkg --print-architecture)" ]; then
    $sudo mmdebstrap --quiet --variant=minbase ${include:+"--include=$include"} bookworm "$part" ||
      return 1
  else
    [ -z "$include" ] || { echo "no packages for a foreign Debian" >&2; return 1; }
    emulated_mmdebstrap "$architecture" "$part" || return 1
  fi
  $sudo mv "$part" "$tar"
}

# mmdebstrap runs programs of the new system. They run through qemu-user, registered in a
# binfmt_misc of a user namespace of their own: the machine's own list stays as it is.
emulated_mmdebstrap() {
  local architecture=$1 tar=$2 magic qemu
  case $architecture in
    arm64)
      qemu=/usr/bin/qemu-aarch64-static
      magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
      ;;
    *) echo "no rule to emulate $architecture" >&2; return 1 ;;
  esac
  [ -x "$qemu" ] || { echo "$qemu is missing (package qemu-user-static)" >&2; return 1; }
  $sudo bash -euc '
    directory=$(mktemp -d); trap "rm -rf \"$directory\"" EXIT
    mkfifo "$directory/gate"; mkdir "$directory/binfmt"
    unshare --user sh -c "read -r go <\"\$1/gate\"; shift; exec \"\$@\"" sh "$directory" \
      unshare --mount --pid --fork --kill-child --propagation=private bash -euc "
        mount -t binfmt_misc binfmt_misc \"\$1/binfmt\"
        printf %s \":strake-example:M::\$2:\$3:FP\" >\"\$1/binfmt/register\"
        mmdebstrap --quiet --mode=root --arch=\"\$4\" --variant=minbase \
          --skip=check/qemu bookworm \"\$5\" 2>\"\$1/log\" || { cat \"\$1/log\" >&2; exit 1; }
        " bash "$directory" "$1" "$2" "$3" "$4" &
    pid=$!
    # The new namespace sees all ids as they are.
    until [ "$(readlink "/proc/$pid/ns/user")" != "$(readlink /proc/self/ns/user)" ]; do
      sleep 0.01
    done
    echo "0 0 4294967295" >"/proc/$pid/uid_map"
    echo "0 0 4294967295" >"/proc/$pid/gid_map"
    echo go >"$directory/gate"
    wait "$pid"' bash "$magic" "$qemu" "$architecture" "$tar"
}
