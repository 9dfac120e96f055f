# SPDX-License-Identifier: Apache-2.0
#
# kq_options: what every target of this project is compiled with, and two functions that give a source file to the
# compiler it needs:
#
#   kq_kokkos_sources(<target> <file>...)   includes Kokkos: compiled for the device that Kokkos was built for
#   kq_gpu_sources(<target> <file>...)      native device code: compiled as CUDA, or as HIP by the C++ compiler hipcc
#
# and two more: kq_unity(<target>): its sources are compiled several at a time;
# kq_quick(<target>): in a Debug build, or where KQ_QUICK is ON, its sources are not optimized, whatever else that build's
# options say; and its loads and stores are not watched for addresses of the wrong alignment.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, RelWithDebInfo or Debug" FORCE)
endif()
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)  # what is installed finds a shared Kokkos that is outside the loader's folders

include(GNUInstallDirs)

# KQ_VENDOR: whose GPUs this build serves beside the host, of those that have an option KQBENCH_<vendor>, by Kokkos's name; empty
# for none.
set(KQ_VENDORS CUDA HIP)
set(KQ_VENDOR)
foreach(vendor IN LISTS KQ_VENDORS)
  if(KQBENCH_${vendor})
    if(KQ_VENDOR)
      message(FATAL_ERROR "KQBENCH_${KQ_VENDOR} and KQBENCH_${vendor} are both ON: one build serves one vendor; configure two "
                          "builds")
    endif()
    set(KQ_VENDOR ${vendor})
  endif()
endforeach()

option(KQ_UNITY "Compile several sources at once: less work from nothing, more after a change" ON)
function(kq_unity target)
  # What costs most is what the sources share, the templates of the libraries above all.
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${KQ_UNITY} UNITY_BUILD_BATCH_SIZE 20)
endfunction()

option(KQ_QUICK "Do not optimize what is around the kernels: quicker to build, slower to run" OFF)
function(kq_quick target)
  target_compile_options(
    ${target} PRIVATE $<$<AND:$<OR:$<CONFIG:Debug>,$<BOOL:${KQ_QUICK}>>,$<COMPILE_LANGUAGE:CXX>>:-O0>)
  set_target_properties(${target} PROPERTIES KQ_ANY_ALIGNMENT ON)
endfunction()

add_library(kq_options INTERFACE)
target_compile_features(kq_options INTERFACE cxx_std_20)

# --- languages: host C++, and for a device CUDA (nvcc) or HIP (hipcc is then the compiler of everything) --------------

if(KQBENCH_CUDA)
  include(KqCuda)
endif()
if(KQBENCH_HIP)
  include(KqHip)
endif()

# Each function takes options for one kind of compilation: kq_host_options also reaches the host side of a CUDA file.
function(kq_host_options)
  string(REPLACE ";" "," joined "${ARGN}")
  target_compile_options(kq_options INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${ARGN}>"
                                              "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${joined}>")
endfunction()
function(kq_cuda_options)
  target_compile_options(kq_options INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:${ARGN}>")
endfunction()

# --- the same bits everywhere: no contraction into fused multiply-adds, no fast-math -----------------------------------

# Nothing here reads floating-point exception flags or errno; while they count, compilers leave loops with a comparison
# unvectorized.
kq_host_options(-ffp-contract=off -fno-trapping-math -fno-math-errno)
kq_cuda_options(-fmad=false)

# --- the host's architecture ------------------------------------------------------------------------------------------

set(KQ_HOST_ARCH auto CACHE STRING
    "Host instruction set: auto (x86-64-v3 if this machine runs it, else baseline), baseline, a value for -march, or all")
set_property(CACHE KQ_HOST_ARCH PROPERTY STRINGS auto baseline x86-64-v3 x86-64-v4 native all)
include(KqHostArch)
kq_choose_host_arch(KQ_HOST_ARCH_NAME KQ_HOST_LEVELS)
string(REPLACE ";" ", " joined "${KQ_HOST_ARCH_NAME};${KQ_HOST_LEVELS}")
string(REGEX REPLACE ", $" "" joined "${joined}")
message(STATUS "Host instruction set: ${joined}")
if(KQ_HOST_LEVELS)
  include(KqLevels)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)  # all of it becomes part of a shared library
  target_compile_options(kq_options INTERFACE $<$<BOOL:$<TARGET_PROPERTY:KQ_LEVEL>>:-march=$<TARGET_PROPERTY:KQ_LEVEL>>)
endif()
if(NOT KQ_HOST_ARCH_NAME STREQUAL "baseline")
  if(KQBENCH_HIP)
    target_compile_options(kq_options INTERFACE "SHELL:-Xarch_host -march=${KQ_HOST_ARCH_NAME}")
  else()
    kq_host_options(-march=${KQ_HOST_ARCH_NAME})
  endif()
endif()

# --- warnings ---------------------------------------------------------------------------------------------------------

set(warnings -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual)
kq_host_options(${warnings})
target_compile_options(kq_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wpedantic>)  # nvcc's own output is not pedantic
if(KQBENCH_WERROR)
  kq_host_options(-Werror)
  kq_cuda_options(-Werror=all-warnings)
endif()

# --- line numbers for profilers, at no cost to the code -----------------------------------------------------------------

# Tests (KQ_TEST) have none: line numbers can take half of the compiler's time for them.
set(lines $<AND:$<CONFIG:Release>,$<COMPILE_LANGUAGE:CXX>,$<NOT:$<BOOL:$<TARGET_PROPERTY:KQ_TEST>>>>)
target_compile_options(kq_options INTERFACE $<${lines}:-g1>
                                            $<$<AND:$<CONFIG:Release>,$<COMPILE_LANGUAGE:CUDA>>:-lineinfo>)

# --- sanitizers of host code -------------------------------------------------------------------------------------------

set(KQ_SANITIZE "" CACHE STRING "Sanitizers for host code, as -fsanitize takes them: address,undefined or thread")
if(KQ_SANITIZE)
  target_compile_options(kq_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${KQ_SANITIZE}>
                                              $<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize-recover=all>
                                              $<$<COMPILE_LANGUAGE:CXX>:-fno-omit-frame-pointer>)
  if(KQ_SANITIZE MATCHES "address")  # which sees null and wild pointers used, and these four take minutes to compile
    target_compile_options(kq_options INTERFACE
                           $<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize=null,vptr,object-size,pointer-overflow>)
    # A quarter of what it takes to compile the harness and its tests. Wide loads are the kernels', and the fuzzers watch the
    # harness for this, too.
    set(any_alignment $<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:$<TARGET_PROPERTY:KQ_ANY_ALIGNMENT>>>)
    target_compile_options(kq_options INTERFACE $<${any_alignment}:-fno-sanitize=alignment>)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # instrumented code hides initializations from g++, std::regex's among them
    target_compile_options(kq_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>)
  endif()
  target_link_options(kq_options INTERFACE -fsanitize=${KQ_SANITIZE})
endif()

# --- sources that need a device compiler --------------------------------------------------------------------------------

function(kq_add_sources language target)
  set(files)
  foreach(file IN LISTS ARGN)
    get_filename_component(path ${file} ABSOLUTE)
    list(APPEND files ${path})
  endforeach()
  target_sources(${target} PRIVATE ${files})
  # Headers that only the pass for the device includes: compilers list those of the pass for the host as dependencies.
  if(language IN_LIST KQ_VENDORS)
    string(TOLOWER ${language} name)
    set_source_files_properties(${files} TARGET_DIRECTORY ${target} PROPERTIES
                                OBJECT_DEPENDS ${PROJECT_SOURCE_DIR}/core/include/kq/arch/${name}.hpp)
  endif()
  if(language STREQUAL "CUDA")
    set_source_files_properties(${files} TARGET_DIRECTORY ${target} PROPERTIES LANGUAGE CUDA)
  elseif(language STREQUAL "HIP")
    set_source_files_properties(${files} TARGET_DIRECTORY ${target} PROPERTIES LANGUAGE CXX)
    set_source_files_properties(${files} TARGET_DIRECTORY ${target} PROPERTIES COMPILE_OPTIONS "${KQ_HIP_COMPILE_OPTIONS}")
  endif()
endfunction()

function(kq_gpu_sources target)
  if(NOT KQ_VENDOR)
    message(FATAL_ERROR "kq_gpu_sources(${target}): this build is for the host alone")
  endif()
  kq_add_sources(${KQ_VENDOR} ${target} ${ARGN})
endfunction()

function(kq_kokkos_sources target)
  kq_add_sources("${KQ_KOKKOS_LANGUAGE}" ${target} ${ARGN})
  target_link_libraries(${target} PRIVATE Kokkos::kokkos)
endfunction()
