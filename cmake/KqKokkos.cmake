# SPDX-License-Identifier: Apache-2.0
#
# Kokkos::kokkos, and KQ_KOKKOS_LANGUAGE, the language that sources which include Kokkos are compiled as: CUDA, HIP or
# CXX. From the first of these that has the device that is asked for:
#
#   1. find_package(Kokkos), 3.4 or newer (Kokkos_ROOT, CMAKE_PREFIX_PATH and Kokkos_DIR say where)
#   2. for the host, a header and a library in the system's places: Debian 12's package, whose CMake files are broken
#   3. the official release, fetched (or FETCHCONTENT_SOURCE_DIR_KOKKOS) and built into the build folder

include(KqPlainKokkos)

set(KQ_KOKKOS_MINIMUM 3.4)
set(KQ_KOKKOS_RELEASE 5.0.2)
set(KQ_KOKKOS_SHA256 188817bb452ca805ee8701f1c5adbbb4fb83dc8d1c50624566a18a719ba0fa5e)

# The device that Kokkos must be built for. (For a vendor that Kokkos does not know, this would be empty: its backend would have
# no implementation of that name, and the host would.)
set(kq_kokkos_device ${KQ_VENDOR})
set(KQ_KOKKOS_LANGUAGE CXX)
if(kq_kokkos_device)
  set(KQ_KOKKOS_LANGUAGE ${kq_kokkos_device})
endif()

# Whether find_package(Kokkos), looking where `prefix` says or where the caller's variables say, serves this build.
function(kq_probe_kokkos usable)
  set(${usable} FALSE PARENT_SCOPE)
  set(folder ${CMAKE_BINARY_DIR}/kokkos_probe)
  file(REMOVE_RECURSE ${folder})
  set(arguments)
  foreach(variable CMAKE_CXX_COMPILER CMAKE_CXX_FLAGS CMAKE_PREFIX_PATH CMAKE_FIND_ROOT_PATH Kokkos_ROOT Kokkos_DIR
                   CUDAToolkit_ROOT)
    if(DEFINED ${variable})
      list(APPEND arguments "-D${variable}=${${variable}}")
    endif()
  endforeach()
  execute_process(COMMAND ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/kokkos_probe -B ${folder}
                          -G ${CMAKE_GENERATOR} -DKQ_ANSWER=${folder}/answer.cmake ${arguments}
                  OUTPUT_QUIET ERROR_QUIET)
  if(NOT EXISTS ${folder}/answer.cmake)
    return()
  endif()
  include(${folder}/answer.cmake)
  if(NOT kokkos_usable)
    return()
  endif()
  if(kokkos_version VERSION_LESS KQ_KOKKOS_MINIMUM)
    message(STATUS "Kokkos ${kokkos_version} in ${kokkos_directory} is too old")
    return()
  endif()
  set(foreign CUDA HIP SYCL OPENMPTARGET OPENACC)
  list(REMOVE_ITEM foreign "${kq_kokkos_device}")
  foreach(device IN LISTS foreign)
    if(device IN_LIST kokkos_devices)
      message(STATUS "Kokkos ${kokkos_version} in ${kokkos_directory} is built for ${device}: not for this build")
      return()
    endif()
  endforeach()
  if(kq_kokkos_device AND NOT kq_kokkos_device IN_LIST kokkos_devices)
    message(STATUS "Kokkos ${kokkos_version} in ${kokkos_directory} is built without ${kq_kokkos_device}")
    return()
  endif()
  set(${usable} TRUE PARENT_SCOPE)
endfunction()

# The package. Kokkos built for a device asks for device flags, and for its own compiler launcher, on every C++ source
# that links it. They go: here device sources are named (kq_kokkos_sources) and get their flags from this project.
macro(kq_use_kokkos_package)
  set(Kokkos_LAUNCH_COMPILER OFF)
  find_package(Kokkos REQUIRED)
  set(KQ_KOKKOS_VERSION ${Kokkos_VERSION})
  if(kq_kokkos_device)
    set_target_properties(Kokkos::kokkoscore PROPERTIES INTERFACE_COMPILE_OPTIONS "" INTERFACE_COMPILE_DEFINITIONS ""
                                                        INTERFACE_LINK_OPTIONS "")
  endif()
  if(KQBENCH_HIP)
    string(REGEX MATCHALL "GFX[0-9A-F]+" kq_architectures "${Kokkos_ARCH}")
    string(TOLOWER "${kq_architectures}" kq_architectures)
    kq_choose_hip_architectures(${kq_architectures})
  endif()
  if(KQBENCH_CUDA)
    if(Kokkos_ENABLE_OPENMP)
      set_property(TARGET Kokkos::kokkoscore PROPERTY INTERFACE_COMPILE_OPTIONS
                   "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${OpenMP_CXX_FLAGS}>")
    endif()
    if(NOT KQ_CUDA_ARCHITECTURES_GIVEN AND Kokkos_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES ${Kokkos_CUDA_ARCHITECTURES})
    endif()
  endif()
  message(STATUS "Kokkos ${Kokkos_VERSION} (${Kokkos_DEVICES}) in ${Kokkos_DIR}")
endmacro()

# Kokkos 5 needs ROCm 6.2, whose compiler says "HIP version: 6.2.…"; with an older one the release that would be fetched
# does not compile.
function(kq_require_compiler_for_release)
  if(NOT KQBENCH_HIP OR FETCHCONTENT_SOURCE_DIR_KOKKOS)
    return()
  endif()
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} --version OUTPUT_VARIABLE told ERROR_QUIET)
  if(told MATCHES "HIP version: *([0-9]+[.][0-9]+)" AND CMAKE_MATCH_1 VERSION_LESS 6.2)
    message(FATAL_ERROR "Kokkos ${KQ_KOKKOS_RELEASE} needs ROCm 6.2, this hipcc is of ${CMAKE_MATCH_1}; give Kokkos 4.6 or "
                        "4.7, installed with HIP by -DKokkos_ROOT=… or its sources by -DFETCHCONTENT_SOURCE_DIR_KOKKOS=…")
  endif()
endfunction()

# KQ_KOKKOS_SOURCE, for whoever installs this project: package, plain or fetched.
kq_probe_kokkos(kq_kokkos_usable)
if(kq_kokkos_usable)
  set(KQ_KOKKOS_SOURCE package)
  kq_use_kokkos_package()
else()
  set(kq_kokkos_found FALSE)
  if(NOT kq_kokkos_device)
    kq_use_plain_kokkos(kq_kokkos_found)
    set(KQ_KOKKOS_SOURCE plain)
  endif()
  if(NOT kq_kokkos_found)
    kq_require_compiler_for_release()
    include(KqFetchKokkos)
    set(KQ_KOKKOS_SOURCE fetched)
    kq_use_kokkos_package()
  endif()
endif()
