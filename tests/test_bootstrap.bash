#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What ./bootstrap says where something cannot be had: one line with the cause and the log's place, status 3; and the end of
# the log where something does not compile. apt-get, cmake and the rest are stand-ins.
#
# usage: test_bootstrap.bash BOOTSTRAP
# shellcheck disable=SC2016  # stand-ins expand for themselves
set -euo pipefail
unset KQ_CMAKE_ARGS Kokkos_ROOT # what somebody's own bootstrap was told

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin" "$scratch/top"
cp "$1" "$scratch/top/bootstrap"
for tool in sh awk cat dirname grep head id mkdir nproc sed tail tr wc; do
  ln -s "$(command -v $tool)" "$scratch/bin/$tool"
done

# stand_in <tool> <shell command>
stand_in() {
  printf '#!/bin/sh\n%s\n' "$2" >"$scratch/bin/$1"
  chmod +x "$scratch/bin/$1"
}

# expect <error> [<line of the log that is shown>...]: of a bootstrap that fails.
expect() {
  local status=0
  PATH=$scratch/bin KQ_PRESET=host KQ_JOBS=1 "$scratch/top/bootstrap" build >"$scratch/out" 2>"$scratch/err" || status=$?
  grep -v -e '^bootstrap: updating' -e '^bootstrap: installing' -e '^bootstrap: configuring' -e '^bootstrap: building' \
    "$scratch/err" >"$scratch/said" || true
  printf '%s\n' "${@:2}" "bootstrap: error: $1; all of it is in $scratch/top/build/bootstrap-host.log" | sed '/^$/d' >"$scratch/wanted"
  if [ $status -ne 3 ] || ! diff "$scratch/wanted" "$scratch/said"; then
    echo "status $status after: $1"
    exit 1
  fi
}

stand_in id 'echo 0'
stand_in env 'shift; exec "$@"'
stand_in dpkg-query 'exit 1'
stand_in apt-cache 'exit 1'
stand_in c++ 'exit 0'
stand_in ninja 'exit 0'
stand_in gnuplot 'exit 0'
stand_in cmake 'exit 1'

stand_in apt-get 'echo "Reading package lists..."
echo "E: Could not open lock file /var/lib/apt/lists/lock - open (13: Permission denied)"
echo "E: Unable to lock directory /var/lib/apt/lists/"
exit 100'
expect 'apt-get update failed: Could not open lock file /var/lib/apt/lists/lock - open (13: Permission denied)'

stand_in apt-get '[ "$2" = update ] && echo "E: of an earlier step" && exit 0
echo "E: Unable to locate package libfmt-dev"
exit 100'
expect 'apt-get install failed: Unable to locate package libfmt-dev'

stand_in apt-get 'exit 0'
stand_in cmake 'cat <<END
-- The CXX compiler identification is GNU 12.2.0
CMake Warning at a.cmake:1 (message):
  this is none

CMake Error at cmake/KqDependencies.cmake:12 (message):
  CLI11 is not installed, and fetching it failed.

  Install it.
Call Stack (most recent call first):
  CMakeLists.txt:15 (include)


-- Configuring incomplete, errors occurred!
END
exit 1'
expect 'cmake failed: CLI11 is not installed, and fetching it failed. Install it'

stand_in cmake 'echo "CMake Error: Could not read presets from /x"; exit 1'
expect 'cmake failed: Could not read presets from /x'

stand_in cmake 'echo Killed; exit 137'
expect 'cmake failed: Killed'

stand_in cmake '[ "$1" = --preset ] && exit 0
echo "a.cpp:1: error: no"
exit 1'
mapfile -t log < <(printf '+ %s\n' 'apt-get -q update' "env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
--no-install-recommends install libcli11-dev nlohmann-json3-dev libfmt-dev libgtest-dev ca-certificates" \
  'cmake --preset host -G Ninja' 'cmake --build build/host --parallel 1')
expect 'the build failed' "${log[@]}" 'a.cpp:1: error: no'
echo ok
