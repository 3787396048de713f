#!/bin/sh
# Installs what is missing, builds strake and its tests, and runs all tests; then the unit tests
# again under AddressSanitizer and UndefinedBehaviorSanitizer (SANITIZE=0 leaves that out), and the
# fuzz targets of what users write for five seconds each (FUZZ=0 leaves that out).
set -eu
cd "$(dirname "$0")/.."
. tests/support/packages.sh
# shellcheck disable=SC2086
install_packages $build_packages $test_packages

jobs=$(nproc)
build() { # build PRESET [TARGET]
  [ -f "build/$1/build.ninja" ] || cmake --preset "$1" >/dev/null
  cmake --build "build/$1" --parallel "$jobs" ${2:+--target "$2"}
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
if [ "${FUZZ:-1}" = 0 ]; then
  exit 0
fi
# shellcheck disable=SC2086
if ! install_packages $fuzz_packages; then
  echo "no clang with libFuzzer here: the fuzz targets are left out"
  exit 0
fi
echo "== building (fuzz)"
build fuzz fuzz_targets
echo "== fuzz targets"
ctest --test-dir build/fuzz --output-on-failure --parallel "$jobs" --label-regex '^fuzz$'
