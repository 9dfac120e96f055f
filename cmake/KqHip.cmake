# SPDX-License-Identifier: Apache-2.0
#
# HIP: the C++ compiler is hipcc, and compiles everything, for KQ_HIP_ARCHITECTURES.

set(KQ_HIP_ARCHITECTURES gfx90a CACHE STRING "AMD architectures to build for, e.g. gfx942 or gfx90a;gfx942")

get_filename_component(kq_compiler_name ${CMAKE_CXX_COMPILER} NAME)
if(NOT kq_compiler_name MATCHES "hipcc")
  message(FATAL_ERROR "KQBENCH_HIP needs hipcc as the C++ compiler, not ${CMAKE_CXX_COMPILER}; "
                      "configure a new build folder with -DCMAKE_CXX_COMPILER=hipcc")
endif()
foreach(architecture IN LISTS KQ_HIP_ARCHITECTURES)
  target_compile_options(kq_options INTERFACE --offload-arch=${architecture})
  target_link_options(kq_options INTERFACE --offload-arch=${architecture})
endforeach()
message(STATUS "HIP for architectures ${KQ_HIP_ARCHITECTURES}")
