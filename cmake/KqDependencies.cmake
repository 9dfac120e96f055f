# SPDX-License-Identifier: Apache-2.0
#
# What the program is built from: Kokkos, found or fetched (KqKokkos.cmake), OpenMP where the compiler has it, and four
# libraries that every distribution packages.

include(KqKokkos)
find_package(OpenMP COMPONENTS CXX)

# kq_require(<CMake package> <Debian package> <target>): finds the package or ends with one line that says what to do.
macro(kq_require package debian_package target)
  find_package(${package} QUIET)
  if(NOT TARGET ${target})
    message(FATAL_ERROR "${package} is not installed: 'apt-get install ${debian_package}' (or ./bootstrap), "
                        "or name its place with -D${package}_ROOT=…")
  endif()
endmacro()

kq_require(CLI11 libcli11-dev CLI11::CLI11)
kq_require(nlohmann_json nlohmann-json3-dev nlohmann_json::nlohmann_json)
kq_require(fmt libfmt-dev fmt::fmt)
if(KQBENCH_TESTS)
  kq_require(GTest libgtest-dev GTest::gtest)
endif()
