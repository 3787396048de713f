#!/bin/bash
# Builds strake and shows its main job on real input: builds examples/ml-app, pushes it to a registry
# on this machine, builds it again from the cache, and again after a one-line change.
#
# Needs Debian or Ubuntu with apt. Installs what is missing, starts a registry on a free loopback
# port, and stops it at the end. Everything it makes is below build/.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/support/packages.sh
. examples/base_image.sh

section() { printf '\n== %s\n' "$*"; }
# timed WHAT COMMAND...: runs the command, notes how long it took.
timings=()
timed() {
  local what=$1 start=$EPOCHREALTIME
  shift
  "$@"
  timings+=("$(awk -v s="$start" -v e="$EPOCHREALTIME" -v w="$what" \
    'BEGIN { printf "%9.3f s  %s", e - s, w }')")
}

section "packages"
# shellcheck disable=SC2086
install_packages $build_packages $example_packages

section "building strake"
[ -f build/quickstart/build.ninja ] ||
  cmake -G Ninja -S . -B build/quickstart -DCMAKE_BUILD_TYPE=Release -DSTRAKE_TESTS=OFF >/dev/null
timed "building strake itself" cmake --build build/quickstart --target strake -j "$(nproc)"
strake=$PWD/build/quickstart/builder/cli/strake
work=$PWD/build/quickstart-work
mkdir -p "$work"
export STRAKE_ROOT=$work/store
sudo=
if [ "$(id -u)" != 0 ]; then sudo="sudo --preserve-env=STRAKE_ROOT"; fi

section "a registry on this machine"
trap stop_registry EXIT
start_registry "$work/registry"
echo "docker-registry listens on $registry"

section "the base image"
platforms=linux/amd64
if registry_answers registry-1.docker.io; then
  base=docker.io/library/python:3.12-slim-bookworm
  platforms=linux/amd64,linux/arm64
  echo "Docker Hub answers: the base is $base"
else
  base=localhost/debian:bookworm
  echo "Docker Hub does not answer: making a Debian base here, imported as $base"
  timed "making the amd64 base" import_debian "$strake" amd64 "$base" "$work"
  if timed "making the arm64 base" import_debian "$strake" arm64 "$base" "$work"; then
    platforms=linux/amd64,linux/arm64
  else
    echo "no arm64 base can be made here: building for linux/amd64 only"
  fi
fi

app=$work/ml-app
rm -rf "$app"
cp -r examples/ml-app "$app"
image=$registry/example/ml-app:latest
build() {
  $sudo "$strake" build --build-arg "BASE=$base" --platform "$platforms" --tag "$image" --push \
    --metadata-file "$work/metadata.json" "$@" "$app"
}

section "building and pushing $image for $platforms"
timed "first build and push" build
section "the same again: everything is cached"
timed "build and push again, all cached" build
timed "build again, all cached, no push" \
  $sudo "$strake" build --build-arg "BASE=$base" --platform "$platforms" --tag "$image" --quiet "$app"
section "after a one-line change of the app"
sed -i 's/^GREETING = .*/GREETING = "the model says"/' "$app/app/predict.py"
timed "build and push after a one-line change" build --explain-cache

section "what is in the registry"
cat "$work/metadata.json"
$sudo "$strake" images
section "how long it took"
printf '%s\n' "${timings[@]}"
