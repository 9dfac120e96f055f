# SPDX-License-Identifier: Apache-2.0
#
# Builds the official Kokkos release into ${CMAKE_BINARY_DIR}/kokkos while this project is configured, and sets
# Kokkos_ROOT to it. A build of its own, so that neither project's flags touch the other's; done once.

include(KqFetch)

# A SOURCE_SUBDIR that does not exist: the sources are only put in place, not added to this project.
kq_fetch(kokkos https://github.com/kokkos/kokkos/releases/download/${KQ_KOKKOS_RELEASE}/kokkos-${KQ_KOKKOS_RELEASE}.tar.gz
         ${KQ_KOKKOS_SHA256} "No installed Kokkos serves this build"
         "Give the place of one that is installed for this device with -DKokkos_ROOT=…" SOURCE_SUBDIR not-added)

set(kq_kokkos_options -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_STANDARD=20 -DBUILD_SHARED_LIBS=OFF
                      -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_INSTALL_LIBDIR=lib
                      -DCMAKE_INSTALL_PREFIX=${CMAKE_BINARY_DIR}/kokkos -DKokkos_ENABLE_SERIAL=ON)
foreach(kq_variable CMAKE_CXX_COMPILER_LAUNCHER)
  if(DEFINED ${kq_variable})
    list(APPEND kq_kokkos_options -D${kq_variable}=${${kq_variable}})
  endif()
endforeach()
find_package(OpenMP QUIET COMPONENTS CXX)
if(OpenMP_CXX_FOUND AND NOT KQBENCH_HIP)
  list(APPEND kq_kokkos_options -DKokkos_ENABLE_OPENMP=ON)
endif()

if(KQBENCH_CUDA)
  # Kokkos builds for one architecture; the first is taken.
  set(kq_arch_70 VOLTA70)
  set(kq_arch_75 TURING75)
  set(kq_arch_80 AMPERE80)
  set(kq_arch_86 AMPERE86)
  set(kq_arch_87 AMPERE87)
  set(kq_arch_89 ADA89)
  set(kq_arch_90 HOPPER90)
  set(kq_arch_100 BLACKWELL100)
  set(kq_arch_120 BLACKWELL120)
  list(GET CMAKE_CUDA_ARCHITECTURES 0 kq_first)
  string(REGEX MATCH "^[0-9]+" kq_first "${kq_first}")
  if(NOT DEFINED kq_arch_${kq_first})
    message(FATAL_ERROR "Kokkos ${KQ_KOKKOS_RELEASE} has no name here for sm_${kq_first}; build Kokkos for it and give "
                        "its place with -DKokkos_ROOT=…")
  endif()
  list(APPEND kq_kokkos_options -DKokkos_ENABLE_CUDA=ON -DKokkos_ARCH_${kq_arch_${kq_first}}=ON
                                -DCMAKE_CXX_COMPILER=${kokkos_SOURCE_DIR}/bin/nvcc_wrapper)
  get_filename_component(kq_cuda_bin ${CMAKE_CUDA_COMPILER} DIRECTORY)
  set(kq_kokkos_environment NVCC_WRAPPER_DEFAULT_COMPILER=${CMAKE_CXX_COMPILER} PATH=${kq_cuda_bin}:$ENV{PATH})
elseif(KQBENCH_HIP)
  kq_choose_hip_architectures()
  list(GET KQ_HIP_ARCHITECTURES 0 kq_first)
  string(TOUPPER ${kq_first} kq_upper)
  set(kq_offload)
  foreach(kq_architecture IN LISTS KQ_HIP_ARCHITECTURES)
    string(APPEND kq_offload " --offload-arch=${kq_architecture}")
  endforeach()
  list(APPEND kq_kokkos_options -DKokkos_ENABLE_HIP=ON -DKokkos_ARCH_AMD_${kq_upper}=ON
                                -DKokkos_ENABLE_ROCTHRUST=OFF  # for sorting, which nothing here does
                                -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER} "-DCMAKE_CXX_FLAGS=${CMAKE_CXX_FLAGS}${kq_offload}")
  set(kq_kokkos_environment)
else()
  list(APPEND kq_kokkos_options -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER})
  set(kq_kokkos_environment)
endif()

# The stamp holds everything the build depends on; it is written when the install is complete.
set(kq_stamp ${CMAKE_BINARY_DIR}/kokkos/built-with)
set(kq_wanted "${kokkos_SOURCE_DIR} ${kq_kokkos_options}")
set(kq_present)
if(EXISTS ${kq_stamp})
  file(READ ${kq_stamp} kq_present)
endif()
if(NOT kq_present STREQUAL kq_wanted)
  set(kq_log ${CMAKE_BINARY_DIR}/kokkos-build.log)
  file(REMOVE_RECURSE ${CMAKE_BINARY_DIR}/kokkos ${CMAKE_BINARY_DIR}/kokkos-build)
  message(STATUS "Building Kokkos: this takes a few minutes, once (log: ${kq_log})")
  set(kq_processors $ENV{CMAKE_BUILD_PARALLEL_LEVEL})
  if(NOT kq_processors)
    cmake_host_system_information(RESULT kq_processors QUERY NUMBER_OF_LOGICAL_CORES)
  endif()
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env ${kq_kokkos_environment}
            ${CMAKE_COMMAND} -S ${kokkos_SOURCE_DIR} -B ${CMAKE_BINARY_DIR}/kokkos-build -G ${CMAKE_GENERATOR}
            ${kq_kokkos_options}
    RESULT_VARIABLE kq_failed OUTPUT_FILE ${kq_log} ERROR_FILE ${kq_log})
  if(NOT kq_failed)
    execute_process(
      COMMAND ${CMAKE_COMMAND} -E env ${kq_kokkos_environment}
              ${CMAKE_COMMAND} --build ${CMAKE_BINARY_DIR}/kokkos-build --target install --parallel ${kq_processors}
      RESULT_VARIABLE kq_failed OUTPUT_FILE ${kq_log} ERROR_FILE ${kq_log})
  endif()
  if(kq_failed)
    message(FATAL_ERROR "Kokkos ${KQ_KOKKOS_RELEASE} did not build; ${kq_log} says why")
  endif()
  file(WRITE ${kq_stamp} "${kq_wanted}")
endif()
set(Kokkos_ROOT ${CMAKE_BINARY_DIR}/kokkos)
unset(Kokkos_DIR CACHE)
