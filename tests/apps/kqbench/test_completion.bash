#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_completion.bash <kqbench>: what bash would offer at the end of a command line, by the script that kqbench prints.

set -euo pipefail
script=$("$1" completion)
eval "$script"
compopt() { COMPREPLY=(-files-); } # bash has it only while it completes

failed=0
expect() { # <command line> <what is offered>
  local words
  read -r -a words <<<"$1"
  [[ $1 != *" " ]] || words+=("")
  COMP_WORDS=("${words[@]}") COMP_CWORD=$((${#words[@]} - 1))
  _kqbench
  if [ "${COMPREPLY[*]}" != "$2" ]; then
    echo "'$1' offers '${COMPREPLY[*]}', not '$2'"
    failed=1
  fi
}

expect "kqbench ver" "verify"
expect "kqbench --num-w" "--num-warmup-iters"
expect "kqbench run --num-w" "--num-warmup-iters"
expect "kqbench verify --num-w" ""
expect "kqbench verify --hid" "--hidden-size"
expect "kqbench --hidden-size " ""
expect "kqbench --json " "-files-"
expect "kqbench list --js" "--json"
exit $failed
