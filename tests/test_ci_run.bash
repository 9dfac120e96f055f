#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Which gates .ci/run runs, and what it says of them. The gates are stand-ins: one of them fails.
#
# usage: test_ci_run.bash RUN
# shellcheck disable=SC2016  # the stand-ins' shell expands for itself
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/.ci/gates"
cp "$1" "$scratch/.ci/run"
echo 'need_build_packages() { exit; }' >"$scratch/.ci/lib.sh"
for gate in 1-format 2-debian-12 11-mpi 12-docs; do
  printf '#!/bin/sh\n[ "${0##*/}" != 2-debian-12 ]\n' >"$scratch/.ci/gates/$gate"
  chmod +x "$scratch/.ci/gates/$gate"
done

# expect <gates that passed> <gates that failed> <status> <argument>...
expect() {
  local passed=$1 failed=$2 wanted=$3 status=0
  shift 3
  "$scratch/.ci/run" "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
  if [ "$(sed -n 's/^=== \(.*\): passed in .*/\1/p' "$scratch/out" | sort -n | xargs)" != "$passed" ] ||
    [ "$(sed -n 's/^=== \(.*\): FAILED after .*/\1/p' "$scratch/out" | xargs)" != "$failed" ] || [ $status -ne "$wanted" ]; then
    echo ".ci/run $*: status $status"
    cat "$scratch/out" "$scratch/err"
    exit 1
  fi
}

expect '1-format 11-mpi 12-docs' 2-debian-12 1
expect 1-format '' 0 1
expect '1-format 12-docs' '' 0 docs 1-format 1
expect 11-mpi 2-debian-12 1 2 mpi
expect '' '' 2 1 gpu
grep -q -x -F "ci: error: there is no gate 'gpu'; there are: 1-format 2-debian-12 11-mpi 12-docs" "$scratch/err"
[ "$(wc -l <"$scratch/err")" -eq 1 ]
expect '' '' 2 ''
