# SPDX-License-Identifier: Apache-2.0
#
# What the program is built from: Kokkos, found or fetched (KqKokkos.cmake), OpenMP where the compiler has it, and four
# libraries that every distribution packages, each fetched where it is missing.

include(KqKokkos)
include(KqFetch)
find_package(OpenMP COMPONENTS CXX)

# kq_require(<CMake package> <Debian package> <target> <url> <SHA256>): finds the package, or fetches the release.
macro(kq_require package debian_package target url hash)
  find_package(${package} QUIET)
  if(NOT TARGET ${target})
    string(TOLOWER ${package} kq_name)
    kq_fetch(${kq_name} ${url} ${hash} "${package} is not installed"
             "'apt-get install ${debian_package}' (or ./bootstrap), name its place with -D${package}_ROOT=…")
  endif()
endmacro()

# Of a library that is fetched only the library is wanted.
set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)
set(CLI11_BUILD_TESTS OFF)
set(CLI11_BUILD_EXAMPLES OFF)
set(CLI11_BUILD_DOCS OFF)
set(JSON_BuildTests OFF)
set(FMT_INSTALL OFF)
set(BUILD_GMOCK OFF)
set(INSTALL_GTEST OFF)

kq_require(CLI11 libcli11-dev CLI11::CLI11
           https://github.com/CLIUtils/CLI11/archive/refs/tags/v2.4.1.tar.gz
           73b7ec52261ce8fe980a29df6b4ceb66243bb0b779451dbd3d014cfec9fdbb58)
kq_require(nlohmann_json nlohmann-json3-dev nlohmann_json::nlohmann_json
           https://github.com/nlohmann/json/releases/download/v3.11.3/json.tar.xz
           d6c65aca6b1ed68e7a182f4757257b107ae403032760ed6ef121c9d55e81757d)
kq_require(fmt libfmt-dev fmt::fmt
           https://github.com/fmtlib/fmt/archive/refs/tags/10.2.1.tar.gz
           1250e4cc58bf06ee631567523f48848dc4596133e163f02615c97f78bab6c811)
if(KQBENCH_MPI)
  set(MPI_CXX_SKIP_MPICXX ON)
  find_package(MPI COMPONENTS CXX)
  if(NOT MPI_CXX_FOUND)
    message(FATAL_ERROR "KQBENCH_MPI is ON, and there is no MPI: 'apt-get install libopenmpi-dev', say where it is with "
                        "-DMPI_HOME=…, or leave KQBENCH_MPI out")
  endif()
endif()
if(KQBENCH_TESTS)
  kq_require(GTest libgtest-dev GTest::gtest
             https://github.com/google/googletest/archive/refs/tags/v1.14.0.tar.gz
             8ad598c73ad796e0d8280b082cebd82a630d73e73cd3c70057938a6501bba5d7)
endif()
