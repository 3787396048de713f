#!/bin/sh
# Installs what is missing, builds strake and its tests, and runs all tests; then the unit tests
# again under AddressSanitizer and UndefinedBehaviorSanitizer (SANITIZE=0 leaves that out).
set -eu
cd "$(dirname "$0")/.."
. tests/support/packages.sh
# shellcheck disable=SC2086
install_packages $build_packages $test_packages

jobs=$(nproc)
build() { # build PRESET
  [ -f "build/$1/build.ninja" ] || cmake --preset "$1" >/dev/null
  cmake --build "build/$1" --parallel "$jobs"
}

echo "== building (release)"
build release
echo "== tests"
ctest --test-dir build/release --output-on-failure --parallel "$jobs"
if [ "${SANITIZE:-1}" != 0 ]; then
  echo "== building (asan)"
  build asan
  echo "== unit tests with sanitizers"
  ctest --test-dir build/asan --output-on-failure --parallel "$jobs" --label-regex unit
fi
