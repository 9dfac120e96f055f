#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test_completion.bash <kqbench>: what bash would offer at the end of a command line, by the script that kqbench prints.

set -euo pipefail
script=$("$1" completion)
eval "$script"
# shellcheck disable=SC2317  # called by _kqbench
compopt() { [ "$2" != default ] || COMPREPLY=(-files-); } # bash has it only while it completes

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

# Values, as the help lists them.
expect "kqbench run --quant-dtype " "int8 fp8 fp8_e4m3fn fp8_e5m2 fp8_e4m3fnuz fp8_e5m2fnuz fp4_e2m1"
expect "kqbench --dtype " "half bfloat16 float"
expect "kqbench --impl " "kokkos native reference"
expect "kqbench verify --backend " "cuda hip host"
expect "kqbench --timing " "graph stream wall"
expect "kqbench --cache " "cold hot"
expect "kqbench --granularity " "tensor token channel group: block:"
expect "kqbench quantize --scale-format " "float ue8m0_float ue8m0 e4m3"
expect "kqbench verify --scale-layout " "row column column_aligned packed swizzled_128x4 swizzled_8x4 shuffled_32x8"
expect "kqbench verify --dialect fl" "flashinfer"
expect "kqbench --dialect vllm,te-" "vllm,te-kernels"
expect "kqbench list --di" "--dialects"
expect "kqbench --sweep " "llm quick"
expect "kqbench report --format " "html md"
expect "kqbench --cache h" "hot"
expect "kqbench --cache = h" "hot"
expect "kqbench --cache =" "cold hot"
expect "kqbench --impl kokkos,na" "kokkos,native"
expect "kqbench --impl kokkos,native," "kokkos,native,kokkos kokkos,native,native kokkos,native,reference"
expect "kqbench --cache cold,h" ""
expect "kqbench --granularity gr" "group:"
expect "kqbench --granularity group : 6" ""
expect "kqbench --tensor " ""
expect "kqbench --num-tokens " ""
expect "kqbench compare --baseline " ""
expect "kqbench " "run verify list quantize identify compare fleet sharded report completion"

# The program knows each of them.
while read -r option; do
  COMP_WORDS=(kqbench run "$option" "") COMP_CWORD=3
  _kqbench
  for value in "${COMPREPLY[@]}"; do
    [[ $value == block: ]] && value=block:16x64
    said=$("$1" run --num-tokens 1 --hidden-size 64 --max-time 0.001 --no-ceiling "$option" "${value/%:/:64}" 2>&1) || true
    if [[ $said == *"not known"* ]]; then
      echo "$option $value is offered, and refused: $said"
      failed=1
    fi
  done
done < <(sed -n 's/^ *\(--[a-z-]*\)) values=.*/\1/p' <<<"$script" | sort -u)
exit $failed
