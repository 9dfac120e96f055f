# SPDX-License-Identifier: Apache-2.0
#
# CUDA as a language, for CMAKE_CUDA_ARCHITECTURES: as given, else those of the GPUs in this machine, else 90.

set(KQ_CUDA_ARCHITECTURES_GIVEN FALSE)
if(CMAKE_CUDA_ARCHITECTURES OR DEFINED ENV{CUDAARCHS})
  set(KQ_CUDA_ARCHITECTURES_GIVEN TRUE)
else()
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
                  OUTPUT_VARIABLE capabilities ERROR_QUIET RESULT_VARIABLE failed)
  string(REGEX MATCHALL "[0-9]+\\.[0-9]+" CMAKE_CUDA_ARCHITECTURES "${capabilities}")
  string(REPLACE "." "" CMAKE_CUDA_ARCHITECTURES "${CMAKE_CUDA_ARCHITECTURES}")
  list(REMOVE_DUPLICATES CMAKE_CUDA_ARCHITECTURES)
  if(failed OR NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 90)
    message(STATUS "No NVIDIA GPU here to ask: building for sm_90 (choose with -DCMAKE_CUDA_ARCHITECTURES=…)")
  endif()
endif()

if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(CMAKE_CUDA_COMPILER nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(NOT CMAKE_CUDA_COMPILER)
    message(FATAL_ERROR "KQBENCH_CUDA needs nvcc, which is not in PATH nor in /usr/local/cuda/bin; "
                        "install the CUDA toolkit or name it with -DCMAKE_CUDA_COMPILER=…")
  endif()
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
message(STATUS "CUDA ${CMAKE_CUDA_COMPILER_VERSION} for architectures ${CMAKE_CUDA_ARCHITECTURES}")

# C++20 is named here because CMake before 3.25.2 does not know that nvcc speaks it.
target_compile_options(kq_options INTERFACE
  "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;--extended-lambda;--expt-relaxed-constexpr>")
