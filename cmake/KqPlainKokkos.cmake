# SPDX-License-Identifier: Apache-2.0
#
# kq_use_plain_kokkos(<variable>): Kokkos for the host from a header and a library in the system's places, as Debian 12 has
# it without a usable CMake package. Makes Kokkos::kokkos and sets KQ_KOKKOS_VERSION and the variable if they are there.
# Installed with this project, for those who use it.

function(kq_use_plain_kokkos found)
  set(${found} FALSE PARENT_SCOPE)
  find_path(KQ_KOKKOS_INCLUDE_DIR Kokkos_Core.hpp PATH_SUFFIXES kokkos trilinos)
  find_library(KQ_KOKKOS_LIBRARY NAMES kokkoscore trilinos_kokkoscore)
  if(NOT KQ_KOKKOS_INCLUDE_DIR OR NOT KQ_KOKKOS_LIBRARY)
    return()
  endif()
  file(STRINGS ${KQ_KOKKOS_INCLUDE_DIR}/KokkosCore_config.h defines REGEX "^ *#define KOKKOS_(VERSION|ENABLE)")
  if(NOT defines MATCHES "KOKKOS_VERSION ([0-9]+)")
    return()
  endif()
  math(EXPR major "${CMAKE_MATCH_1} / 10000")
  math(EXPR minor "${CMAKE_MATCH_1} / 100 % 100")
  math(EXPR patch "${CMAKE_MATCH_1} % 100")
  set(version ${major}.${minor}.${patch})
  if(version VERSION_LESS 3.4 OR defines MATCHES "KOKKOS_ENABLE_(CUDA|HIP|SYCL)(;|$)")
    return()
  endif()
  find_package(Threads REQUIRED)
  add_library(Kokkos::kokkos UNKNOWN IMPORTED GLOBAL)
  set_target_properties(Kokkos::kokkos PROPERTIES IMPORTED_LOCATION ${KQ_KOKKOS_LIBRARY}
                                                  INTERFACE_INCLUDE_DIRECTORIES ${KQ_KOKKOS_INCLUDE_DIR})
  target_link_libraries(Kokkos::kokkos INTERFACE Threads::Threads ${CMAKE_DL_LIBS})
  if(defines MATCHES "KOKKOS_ENABLE_OPENMP(;|$)")
    find_package(OpenMP REQUIRED COMPONENTS CXX)
    target_link_libraries(Kokkos::kokkos INTERFACE OpenMP::OpenMP_CXX)
  endif()
  message(STATUS "Kokkos ${version} in ${KQ_KOKKOS_INCLUDE_DIR}")
  set(KQ_KOKKOS_VERSION ${version} PARENT_SCOPE)
  set(${found} TRUE PARENT_SCOPE)
endfunction()
