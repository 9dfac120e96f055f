# SPDX-License-Identifier: Apache-2.0
#
# HIP: the C++ compiler is hipcc. It compiles device sources as HIP for KQ_HIP_ARCHITECTURES and all others as plain C++,
# which is quicker and spares the device compiler what it has no use for.

set(KQ_HIP_ARCHITECTURES "" CACHE STRING
    "AMD architectures, e.g. gfx942 or gfx90a;gfx942; empty: Kokkos's, else those of this machine, else gfx90a")

get_filename_component(kq_compiler_name ${CMAKE_CXX_COMPILER} NAME)
if(NOT kq_compiler_name MATCHES "hipcc")
  set(kq_instead "configure a new build folder with -DCMAKE_CXX_COMPILER=hipcc")
  if(SKBUILD)  # pip's folder serves once more
    set(kq_instead "run pip with CXX=hipcc in its environment")
  endif()
  message(FATAL_ERROR "KQBENCH_HIP needs hipcc as the C++ compiler, not ${CMAKE_CXX_COMPILER}; ${kq_instead}")
endif()
# The libraries of others, too: by itself hipcc takes each C++ source for HIP, and for a default architecture.
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-x c++>")

# kq_choose_hip_architectures(<architecture>...): fills KQ_HIP_ARCHITECTURES where it is empty, from the arguments (those
# that Kokkos was built for), else from the GPUs in this machine.
function(kq_choose_hip_architectures)
  if(NOT KQ_HIP_ARCHITECTURES)
    set(architectures ${ARGN})
    if(NOT architectures)
      execute_process(COMMAND rocm_agent_enumerator -t GPU OUTPUT_VARIABLE agents ERROR_QUIET RESULT_VARIABLE failed)
      string(REGEX MATCHALL "gfx[1-9][0-9a-f]+" architectures "${agents}")
      list(REMOVE_DUPLICATES architectures)
    endif()
    if(NOT architectures)
      set(architectures gfx90a)
      message(STATUS "No AMD GPU here to ask: building for gfx90a (choose with -DKQ_HIP_ARCHITECTURES=…)")
    endif()
    set(KQ_HIP_ARCHITECTURES ${architectures})
    set(KQ_HIP_ARCHITECTURES ${architectures} PARENT_SCOPE)
  endif()
  message(STATUS "HIP for architectures ${KQ_HIP_ARCHITECTURES}")
  set(options)
  foreach(architecture IN LISTS KQ_HIP_ARCHITECTURES)
    list(APPEND options --offload-arch=${architecture})
  endforeach()
  target_link_options(kq_options INTERFACE ${options})
  set(KQ_HIP_COMPILE_OPTIONS -x hip ${options} PARENT_SCOPE)
endfunction()
