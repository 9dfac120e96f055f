# SPDX-License-Identifier: Apache-2.0
#
# Installs BUILD_DIR into a folder of its own, moves that, and from there runs the program, builds and runs a C program with
# libkq.so (where C_COMPILER is given), and builds and runs the example, as users would:
#   cmake -DBUILD_DIR=... -DEXAMPLE=... -DWORK=... -DGENERATOR=... -DKOKKOS_ROOT=... \
#     -DCOMPILER=... -DFLAGS=... [-DC_COMPILER=... -DC_PROGRAM=...] -P check_install.cmake

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE failed OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(failed)
    message(FATAL_ERROR "failed: ${ARGN}\n${output}")
  endif()
  message("${output}")
endfunction()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${WORK}/prefix)
file(RENAME ${WORK}/prefix ${WORK}/moved)  # an installed tree may be moved
run(${WORK}/moved/bin/kqbench --version)
if(C_COMPILER) # kq.h and libkq.so, with no CMake
  file(GLOB library ${WORK}/moved/*/libkq.so ${WORK}/moved/*/*/libkq.so)
  get_filename_component(library_dir ${library} DIRECTORY)
  run(${C_COMPILER} -std=c99 ${FLAGS} -I${WORK}/moved/include ${C_PROGRAM} -o ${WORK}/from_c -L${library_dir} -lkq
      -Wl,-rpath,${library_dir})
  run(${WORK}/from_c)
endif()
run(${CMAKE_COMMAND} -S ${EXAMPLE} -B ${WORK}/build -G ${GENERATOR} -DCMAKE_BUILD_TYPE=Release
    -DCMAKE_PREFIX_PATH=${WORK}/moved -DKokkos_ROOT=${KOKKOS_ROOT} -DCMAKE_CXX_COMPILER=${COMPILER}
    "-DCMAKE_CXX_FLAGS=${FLAGS}")
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/example)
