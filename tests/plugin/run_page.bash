#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: run_page.bash PAGE PREFIX FOLDER
#
# Follows a page from an empty folder, with kqbench installed in PREFIX: writes the files that its code blocks name
# (```cpp mine.cpp), and runs its ```sh blocks in order. Those marked nvcc or gnuplot need that program, and are left out
# without it; those marked gpu need a GPU as well, and those marked triton a GPU and a Python with Triton and the package kq.
# What is marked install has been done; what is marked interpreter is run by the package's tests. What is marked download is
# run where KQ_DOWNLOAD is set; or KQ_VLLM_SOURCE is the file that it leaves. With one of them and a Python with PyTorch,
# what is marked vllm is run, and vllm-gpu where there is a GPU.
set -Eeuo pipefail
trap 'echo "$0, line $LINENO: status $? from: $BASH_COMMAND" >&2' ERR
page=$1
export KQ=$2
folder=$3
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
[ -z "${KQ_VLLM_SOURCE-}" ] || cp "$KQ_VLLM_SOURCE" .
export PATH=$PATH:/usr/local/cuda/bin

has() {
  case $1 in
  install | interpreter) false ;;
  download) [ -n "${KQ_DOWNLOAD-}" ] ;;
  vllm) [ -n "${KQ_DOWNLOAD-}${KQ_VLLM_SOURCE-}" ] && has nvcc && python3 -c 'import torch' 2>/dev/null ;;
  vllm-gpu) has vllm && has gpu ;;
  nvcc | gnuplot) command -v "$1" >/dev/null ;;
  triton)
    python3 -c 'import kq, ml_dtypes, torch, triton
assert kq.backend() != "host" and torch.cuda.is_available()' 2>/dev/null
    ;;
  gpu)
    command -v nvcc >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU &&
      "$KQ/bin/kqbench" list | grep -q '^  cuda .*CUDA'
    ;;
  esac
}

steps=0
files=0
at=page
: >commands
while IFS= read -r line || [ -n "$line" ]; do
  if [ "$at" = page ]; then
    [[ $line == '```'?* ]] || continue
    read -r language name <<<"${line#'```'}"
    at=block
    text=''
  elif [ "$line" = '```' ]; then
    at=page
    if [ "$language" != sh ] && [ -n "$name" ]; then # where the commands are by then
      files=$((files + 1))
      printf '%s' "$text" >"$files.file"
      echo "install -D -m 644 '$folder/$files.file' '$name'" >>commands
    elif [ "$language" = sh ] && [ -n "$name" ] && ! has "$name"; then
      echo "left out ($name): $text"
    elif [ "$language" = sh ]; then
      printf '%s' "$text" >>commands
      steps=$((steps + 1))
    fi
  else
    text+=$line$'\n'
  fi
done <"$page"
[ "$steps" -ge 4 ] || { echo "$page has $steps blocks of commands" && exit 1; }
bash -Eeuo pipefail -x commands
