# SPDX-License-Identifier: Apache-2.0
#
# KQ_CUDA_HERE and KQ_HIP_HERE, the defaults of KQBENCH_CUDA and KQBENCH_HIP: OFF, but for pip, which defines SKBUILD, and is
# told nothing of either, as ./bootstrap chooses. ON for CUDA where there are nvcc and an NVIDIA GPU; for HIP where hipcc is
# the C++ compiler (CXX=hipcc) and there is an AMD GPU.

set(KQ_CUDA_HERE OFF)
set(KQ_HIP_HERE OFF)
if(NOT SKBUILD OR DEFINED KQBENCH_CUDA OR DEFINED KQBENCH_HIP)
  return()
endif()

get_filename_component(kq_compiler_name ${CMAKE_CXX_COMPILER} NAME)
if(kq_compiler_name MATCHES "hipcc")
  if(EXISTS /dev/kfd)
    set(KQ_HIP_HERE ON)
  endif()
else()
  find_program(KQ_NVCC_HERE nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  mark_as_advanced(KQ_NVCC_HERE)
  if(KQ_NVCC_HERE)
    execute_process(COMMAND nvidia-smi -L OUTPUT_QUIET ERROR_QUIET RESULT_VARIABLE failed)
    if(failed STREQUAL "0")
      set(KQ_CUDA_HERE ON)
    endif()
  endif()
endif()
if(KQ_CUDA_HERE OR KQ_HIP_HERE)
  message(STATUS "The package is built for the GPU of this machine; for its host: pip install . -C cmake.define.KQBENCH_CUDA=OFF")
endif()
