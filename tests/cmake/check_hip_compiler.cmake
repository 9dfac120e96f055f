# SPDX-License-Identifier: Apache-2.0
#
# Which compiler a HIP build takes. One that is not hipcc must end it, and the error must say how hipcc is named, to CMake and to
# pip. What hipcc (a stand-in) compiles of other projects, as nanobind, must be plain C++, not HIP.
#   cmake -DSOURCE=... -DWORK=... -DGENERATOR=... -DCOMPILER=... -P check_hip_compiler.cmake

file(REMOVE_RECURSE ${WORK})
foreach(name c++ hipcc)
  file(WRITE ${WORK}/${name} "#!/bin/sh\nexec '${COMPILER}' \"$@\"\n")
  file(CHMOD ${WORK}/${name} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
endforeach()

function(check wanted)
  file(REMOVE_RECURSE ${WORK}/build)
  execute_process(COMMAND ${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -G ${GENERATOR} -DKQBENCH_HIP=ON
                          -DCMAKE_CXX_COMPILER=${WORK}/c++ ${ARGN}
                  RESULT_VARIABLE failed OUTPUT_VARIABLE told ERROR_VARIABLE told)
  string(REGEX REPLACE "[ \n]+" " " told "${told}")
  if(NOT failed OR NOT told MATCHES "${wanted}")
    message(FATAL_ERROR "does not end with '${wanted}':\n${told}")
  endif()
endfunction()

check("KQBENCH_HIP needs hipcc .*; configure a new build folder with -DCMAKE_CXX_COMPILER=hipcc")
check("KQBENCH_HIP needs hipcc .*; run pip with CXX=hipcc in its environment" -DSKBUILD=2)

file(WRITE ${WORK}/other/CMakeLists.txt "cmake_minimum_required(VERSION 3.22)
project(other LANGUAGES CXX)
add_library(kq_options INTERFACE)
include(${SOURCE}/cmake/KqHip.cmake)
add_subdirectory(library)
")
file(WRITE ${WORK}/other/library/CMakeLists.txt "add_library(library STATIC library.cpp)\n")
file(WRITE ${WORK}/other/library/library.cpp "")
file(REMOVE_RECURSE ${WORK}/build)
execute_process(COMMAND ${CMAKE_COMMAND} -S ${WORK}/other -B ${WORK}/build -G ${GENERATOR} -DCMAKE_CXX_COMPILER=${WORK}/hipcc
                        -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
                RESULT_VARIABLE failed OUTPUT_VARIABLE told ERROR_VARIABLE told)
if(failed)
  message(FATAL_ERROR "${told}")
endif()
file(READ ${WORK}/build/compile_commands.json commands)
if(NOT commands MATCHES "-x c[+][+] .*library[.]cpp")
  message(FATAL_ERROR "another project's source is compiled as HIP:\n${commands}")
endif()
