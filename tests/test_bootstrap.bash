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
for tool in sh awk cat dirname grep head id mkdir nproc paste sed sort tail tr wc; do
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
  grep -v -E '^bootstrap: (not there, and to be installed with apt-get: |updating|installing|configuring|building)' \
    "$scratch/err" >"$scratch/said" || true
  printf '%s\n' "${@:2}" "bootstrap: error: $1; all of it is in $scratch/top/build/bootstrap-host.log" |
    sed '/^$/d' >"$scratch/wanted"
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
stand_in make 'exit 0'
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

stand_in cmake 'echo "CMake Error at a.cmake:1 (message):"; echo "  Give its place with -DKokkos_ROOT=…"; exit 1'
expect 'cmake failed: Give its place with -DKokkos_ROOT=…. KQ_CMAKE_ARGS takes such options'

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

# said <job> <line>...: all that a bootstrap says that ends well.
said() {
  local job=$1
  shift
  # shellcheck disable=SC2086  # a list of words
  PATH=$scratch/bin KQ_PRESET=host KQ_JOBS=1 "$scratch/top/bootstrap" $job 2>"$scratch/err"
  printf 'bootstrap: %s\n' "$@" | diff - "$scratch/err" || { echo "after: bootstrap $job" && exit 1; }
}

# A dry run names what would be installed, by the names that apt knows, and touches nothing.
stand_in apt-get '[ "$1" = indextargets ] && echo there && exit; echo "a dry run calls apt-get"; exit 100'
stand_in apt-cache '[ "$2" = libkokkos-dev ]'
rm -r "$scratch/top/build"
said '--dry-run bench' \
  "would install with apt-get, and what these need: libcli11-dev nlohmann-json3-dev libfmt-dev libgtest-dev libkokkos-dev" \
  "would build build/host by the preset host, and then run bench"
[ ! -e "$scratch/top/build" ]
KQ_WITHOUT='libfmt-dev kokkos' said '--dry-run packages' \
  "would install with apt-get, and what these need: libcli11-dev nlohmann-json3-dev libgtest-dev"

# It says what it cannot know, and what it cannot do.
stand_in apt-get '[ "$1" = indextargets ] && exit; echo "a dry run calls apt-get"; exit 100'
said '--dry-run packages' \
  "would install with apt-get, and what these need: libcli11-dev nlohmann-json3-dev libfmt-dev libgtest-dev libkokkos-dev" \
  "apt's list of packages is empty: after apt-get update names may be others"
stand_in id 'echo 1000'
said '--dry-run packages' "could not install, for there is neither root nor sudo, and would try without: \
libcli11-dev nlohmann-json3-dev libfmt-dev libgtest-dev kokkos"
stand_in id 'echo 0'

# All is there, and a folder that make was used for keeps it. Tests that were skipped are named by reason.
stand_in dpkg-query 'echo installed'
said '--dry-run packages bench' "would install nothing: all of it is there"
for tool in python3 chromium; do stand_in $tool 'exit 0'; done
mkdir -p "$scratch/top/build/host/Testing/Temporary"
echo 'CMAKE_GENERATOR:INTERNAL=Unix Makefiles' >"$scratch/top/build/host/CMakeCache.txt"
stand_in cmake '[ "$1" != --preset ] || [ "$4" = "Unix Makefiles" ]'
stand_in ctest 'cat >build/host/Testing/Temporary/LastTest.log <<END
1/4 Test: of.a
x.cpp:9: Skipped
no GPU here

[  SKIPPED ] Of.A (0 ms)
2/4 Test: of.b
ok
3/4 Test: of.c
x.cpp:12: Skipped
no GPU here
4/4 Test: of.d
skipped: NumPy is not installed
END'
said test "building kqbench and its tests (the first time takes minutes; progress is in $scratch/top/build/bootstrap-host.log)" \
  "1 skipped: NumPy is not installed: of.d" "2 skipped: no GPU here: of.a, of.c"
status=0
stand_in ctest 'exit 8'
PATH=$scratch/bin KQ_PRESET=host KQ_JOBS=1 "$scratch/top/bootstrap" test 2>/dev/null || status=$?
[ $status -eq 8 ]
echo ok
