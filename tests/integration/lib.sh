# Sourced by the integration tests: a scratch directory, a store, a registry on loopback, checks.
# Usage: STRAKE=path/to/strake tests/integration/NAME.sh
#
# A test fails at the first check that fails, and says which. Whatever way it ends, everything it
# started is stopped and everything it made is removed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../examples/base_image.sh"
strake=${STRAKE:?path of the strake binary}
sudo=

work=$(mktemp -d)
export STRAKE_ROOT=$work/store HOME=$work/home
unset SOURCE_DATE_EPOCH DOCKER_CONFIG DOCKER_AUTH_CONFIG
mkdir -p "$HOME"
cd "$work"
# Mounts of ours that this mount namespace sees: none, ever.
mounts() { grep -c -F " $work" /proc/self/mountinfo || true; }

# What a test has to undo itself when it ends, whatever way: it may redefine this.
at_end() { :; }

clean_up() {
  local status=$?
  local left
  at_end
  left=$(mounts)
  stop_registry
  rm -rf "$work"
  if [ "$status" = 0 ] && [ "$left" != 0 ]; then
    echo "FAIL: mounts were left behind" >&2
    status=1
  fi
  exit "$status"
}
trap clean_up EXIT

skip() { echo "SKIP: $*"; exit 77; }
fail() { echo "FAIL: $*" >&2; exit 1; }
ok() { echo "ok: $*"; }
need_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }
need() { for tool in "$@"; do command -v "$tool" >/dev/null || skip "$tool is not installed"; done; }

# check WHAT COMMAND...: the command must succeed.
check() {
  local what=$1
  shift
  "$@" >"$work/check.log" 2>&1 || { cat "$work/check.log" >&2; fail "$what"; }
  ok "$what"
}
equal() { [ "$2" = "$3" ] || fail "$1: got \"$2\", want \"$3\""; ok "$1"; }
contains() { case $2 in *"$3"*) ok "$1" ;; *) fail "$1: no \"$3\" in: $2" ;; esac; }
lacks() { case $2 in *"$3"*) fail "$1: there is \"$3\" in: $2" ;; *) ok "$1" ;; esac; }

# refused STATUS WHAT TEXT COMMAND...: the command must fail with that status and say TEXT.
refused() {
  local want=$1 what=$2 text=$3 status=0
  shift 3
  "$@" >"$work/out" 2>"$work/err" || status=$?
  [ "$status" = "$want" ] || { cat "$work/err" >&2; fail "$what: exit status $status, want $want"; }
  contains "$what" "$(cat "$work/err")" "$text"
}

# local_registry: starts one; its address is in $registry.
local_registry() {
  need docker-registry
  start_registry "$work/registry"
}

# busybox_context DIRECTORY: a context with a static busybox as its file "busybox".
busybox_context() {
  mkdir -p "$1"
  [ -x /bin/busybox ] || skip "busybox-static is not installed"
  cp /bin/busybox "$1/busybox"
}

# busybox_base NAME: a local image with busybox and its applets.
busybox_base() {
  busybox_context "$work/base"
  cat >"$work/base/Dockerfile" <<'END'
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
END
  "$strake" build --progress quiet -t "$1" "$work/base" >/dev/null
}

count() { grep -c "$1" "$2" || true; }
