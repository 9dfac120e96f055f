# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the gates share. A gate goes to the top of the tree and sources it; from then on any failure ends the gate.
# shellcheck disable=SC2034  # some variables are for the gates

set -Eeuo pipefail
trap 'echo "ci: error: $0, line $LINENO: status $? from: $BASH_COMMAND" >&2' ERR

top=$PWD
cache=${KQ_CI_CACHE:-/var/cache/kqbench-ci}
jobs=${KQ_JOBS:-$(nproc)}

say() { echo "ci: $*"; }
fail() {
  echo "ci: error: $*" >&2
  exit 1
}

# alone <name> <command>...: while another gate does something under that name, waits.
alone() {
  mkdir -p "$cache"
  flock "$cache/$1.lock" "${@:2}"
}

# need <command> <Debian package>: installs the package if the command is missing.
need() {
  command -v "$1" >/dev/null || need_package "$2"
}

need_package() {
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    say "installing $1"
    # shellcheck disable=SC2016  # expanded in there
    alone apt sh -c 'apt-get -q update >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get -q -y install "$0" >/dev/null' "$1" &&
      return
  fi
  fail "$1 is not installed; as root: apt-get install $1"
}

# need_linters: sets linters to the folder with the programs of pip's that the tree is checked with, in these versions; empty
# where they cannot be installed.
need_linters() {
  local packages=(ruff==0.17.6 editorconfig==0.17.1) folder=$cache/linters
  linters=$folder/bin
  [ "$(cat "$folder/complete" 2>/dev/null || true)" != "${packages[*]}" ] || return 0
  python3 -c 'import ensurepip' 2>/dev/null || need_package python3-venv
  say "installing ${packages[*]}"
  rm -rf "$folder"
  if python3 -m venv "$folder" && "$linters/pip" -q install "${packages[@]}"; then
    echo "${packages[*]}" >"$folder/complete"
  else
    say "LEFT OUT: ruff and .editorconfig; pip could not install ${packages[*]}"
    linters=
  fi
}

# need_build_packages <what for>: the libraries and tools of ./bootstrap packages, and ccache; quick where they are there.
need_build_packages() {
  need ccache ccache
  alone apt "$top/bootstrap" packages "$1"
}

need_nvcc() {
  export PATH=$PATH:/usr/local/cuda/bin
  command -v nvcc >/dev/null || fail "there is no nvcc in PATH or /usr/local/cuda/bin; install the CUDA toolkit"
}

# Compilations are remembered from one run to the next.
use_ccache() {
  need ccache ccache
  mkdir -p "$cache/ccache"
  export CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$top CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros
  launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_CUDA_COMPILER_LAUNCHER=ccache)
}

# run_tests <build folder> <ctest option>...: the output of what fails, then one line for each name.
run_tests() {
  local folder=$1 log=$1/ctest.log failed=$1/Testing/Temporary/LastTestsFailed.log
  shift
  rm -f "$failed"
  if ctest --test-dir "$folder" --output-on-failure "$@" >"$log" 2>&1; then
    sed -n -e 's/^.*Test *#[0-9]*: \([^ ]*\) .*\*\*\*Skipped.*/ci: skipped: \1/p' -e '/tests passed/p' "$log"
  else
    grep -v -e ' Passed  ' -e '^ *Start ' "$log" | tail -n 200
    grep -h -o -e '^\[  FAILED  \] [^ ,]*' "$log" | sort -u | sed 's/^.* /ci: failed: /' || true
    [ ! -f "$failed" ] || sed 's/^[0-9]*:/ci: failed: /' "$failed"
    fail "tests failed; all of the output is in $log"
  fi
}

# copy_tree <folder>: this tree without its history and builds, times kept, what has gone removed.
copy_tree() {
  rm -rf "$1"
  mkdir -p "$1"
  tar -C "$top" --exclude=./.git --exclude=./build --exclude='./build-*' -cf - . | tar -C "$1" -xf -
}

# objects_of <build folder> <pattern>: the objects whose compile command matches.
objects_of() {
  sed -n "\|\"command\": .*$2|s/.* -o \([^ \"]*\).*/\1/p" "$1/compile_commands.json"
}

# compile <build folder> <what> <object>...
compile() {
  local folder=$1 what=$2
  shift 2
  [ $# -gt 0 ] || fail "no sources for $what in $folder/compile_commands.json"
  say "${folder##*/}: $# objects of $what"
  ninja -C "$folder" -k 0 -j "$jobs" "$@"
}

# --- Debian in folders of their own -------------------------------------------------------------------------------------

# What the unstable one needs.
unstable=$cache/unstable
unstable_packages=(g++ cmake ninja-build ccache python3 python3-numpy libkokkos-dev libcli11-dev nlohmann-json3-dev
  libfmt-dev libgtest-dev hipcc)

# The Debian mirror that this machine's apt uses.
mirror() {
  local uri
  # shellcheck disable=SC2016  # expanded by apt-get
  uri=$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' | sed -n '0,/ Debian$/s/ Debian$//p')
  [ -n "$uri" ] || fail "apt names no Debian mirror here; run apt-get update, on a Debian machine"
  echo "$uri"
}

# make_chroot <suite> <package>...: makes $cache/<suite>, or makes it anew once it is a week old or lacks a package. Whoever
# else wants the same one waits.
make_chroot() {
  [ "$(id -u)" -eq 0 ] || fail "a chroot can only be made and entered by root"
  need debootstrap debootstrap
  mkdir -p "$cache"
  (
    flock 9
    make_chroot_alone "$@"
  ) 9>"$cache/$1.lock"
}

make_chroot_alone() {
  local suite=$1 folder=$cache/$1 log=$cache/$1.log uri
  shift
  if [ "$(cat "$folder/etc/kqbench-packages" 2>/dev/null || echo none)" = "$*" ] &&
    [ -z "$(find "$folder/etc/kqbench-packages" -mtime +7)" ]; then
    return
  fi
  uri=$(mirror)
  say "making a Debian $suite chroot in $folder"
  rm -rf --one-file-system "$folder"
  unshare --mount --propagation private \
    debootstrap --variant=minbase --include=ca-certificates "$suite" "$folder" "$uri" >"$log" 2>&1 ||
    fail "debootstrap failed: $(tail -n 1 "$log"); all of it is in $log"
  apt-config dump | grep -E '^Acquire::(https?::|Check-)' >"$folder/etc/apt/apt.conf.d/50machine" || true
  echo force-unsafe-io >"$folder/etc/dpkg/dpkg.cfg.d/quicker" # it can be made anew
  cp /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/ca-certificates.crt" 2>/dev/null || true
  in_chroot "$folder" "apt-get -q update && apt-get -q -y --no-install-recommends install $* && apt-get clean" \
    >>"$log" 2>&1 || fail "installing packages failed: $(tail -n 1 "$log"); all of it is in $log"
  echo "$*" >"$folder/etc/kqbench-packages"
}

make_unstable() { make_chroot unstable "${unstable_packages[@]}"; }
make_bookworm() { make_chroot bookworm; }
make_trixie() { make_chroot trixie; }

# in_chroot <folder> <shell command>: runs it there, with /proc and pseudo-terminals for as long as it takes.
in_chroot() {
  cp /etc/resolv.conf "$1/etc/resolv.conf" 2>/dev/null || true
  # shellcheck disable=SC2016  # expanded by the inner shell
  unshare --mount --propagation private sh -c '
    mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/dev/shm" &&
      mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/dev/pts" &&
      exec chroot "$1" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive sh -ec "$2"' sh "$1" "$2"
}

in_unstable() { in_chroot "$unstable" "$1"; }

# install_in_unstable <log> <package>...: what one gate needs besides. Ends with another status than 0 where that cannot be
# installed on a day, as happens there.
install_in_unstable() (
  log=$1
  shift
  flock 9
  # A package that another one only names is known to dpkg-query, too.
  in_unstable "[ \"\$(dpkg-query --show --showformat '\${db:Status-Status}\n' $* 2>/dev/null | grep -c -x installed)\" -eq $# ] ||
    { apt-get -q update && apt-get -q -y --no-install-recommends install $* && apt-get clean; }" >"$log" 2>&1
) 9>"$cache/unstable-apt.lock"
