# SPDX-License-Identifier: Apache-2.0
#
# Configures for HIP with a compiler that is not hipcc: that must end, and say how hipcc is named, to CMake and to pip.
#   cmake -DSOURCE=... -DWORK=... -DGENERATOR=... -DCOMPILER=... -P check_hip_compiler.cmake

function(check wanted)
  file(REMOVE_RECURSE ${WORK})
  file(MAKE_DIRECTORY ${WORK})
  file(CREATE_LINK ${COMPILER} ${WORK}/c++ SYMBOLIC)  # a name that is not hipcc's in a HIP build, too
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
