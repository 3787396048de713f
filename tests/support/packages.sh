# Sourced by examples/quickstart.sh and tests/run.sh: installs Debian/Ubuntu packages that are
# missing, and says which. Needs root or sudo only when something is missing.

build_packages="g++ cmake ninja-build pkg-config libarchive-dev libssl-dev libcurl4-openssl-dev
  nlohmann-json3-dev libyaml-cpp-dev libtomlplusplus-dev libdeflate-dev libisal-dev libzstd-dev libbz2-dev
  liblzma-dev libcli11-dev libseccomp-dev libcap-dev ca-certificates"
example_packages="docker-registry mmdebstrap qemu-user-static"
test_packages="libgtest-dev libgmock-dev docker-registry skopeo umoci qemu-user-static busybox-static
  mmdebstrap python3 zstd gzip bzip2 xz-utils tar apache2-utils procps openssl curl git file openssh-client uidmap
  passt slirp4netns strace"
fuzz_packages="clang libclang-rt-14-dev"

install_packages() {
  missing=
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
      missing="$missing $package"
  done
  [ -z "$missing" ] && return 0
  echo "installing with apt-get:$missing"
  sudo=
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "error: run this as root, or install sudo" >&2; return 1; }
    sudo=sudo
  fi
  $sudo apt-get update -qq
  # A service that a package would start is not wanted: the scripts start what they need themselves.
  # shellcheck disable=SC2086
  $sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq \
    --no-install-recommends $missing >/dev/null
}
