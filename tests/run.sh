#!/bin/sh
# Installs what is missing, builds strake and its tests, and runs all tests: those of the whole
# binary and of the sandbox as users have it, the unit tests under AddressSanitizer and
# UndefinedBehaviorSanitizer (SANITIZE=0: without), and the fuzz targets of what users write for
# five seconds each (FUZZ=0: not at all).
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

run() { # run PRESET LABELS
  ctest --test-dir "build/$1" --output-on-failure --parallel "$jobs" --label-regex "$2"
}

echo "== building (release)"
build release system_tests
echo "== tests of the binary and the sandbox"
run release '^(integration|root)$'
units=asan
[ "${SANITIZE:-1}" != 0 ] || units=release
echo "== building (units, $units)"
build "$units" unit_tests
echo "== unit tests"
run "$units" '^unit$'
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
