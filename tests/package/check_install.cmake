# SPDX-License-Identifier: Apache-2.0
#
# Installs BUILD_DIR into a folder of its own, moves that, and from there runs the program, builds and runs a C program with
# libkq.so (where C_COMPILER is given), builds and runs the example, and follows PLUGIN_PAGE, as users would:
#   cmake -DBUILD_DIR=... -DEXAMPLE=... -DWORK=... -DGENERATOR=... -DKOKKOS_ROOT=... \
#     -DPUBLIC_HEADERS=... -DPAGE=... -DPLUGIN_PAGE=... -DPLUGIN_PAGE_RUNNER=... \
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
# The pages that are installed lead to no file that is not.
file(GLOB pages ${WORK}/moved/share/doc/*/*.md)
if(NOT "${pages}" MATCHES "/command_line[.]md" OR NOT "${pages}" MATCHES "/dialects[.]md")
  message(FATAL_ERROR "the pages of docs/ are not installed, only: ${pages}")
endif()
foreach(path IN LISTS pages)
  file(READ ${path} page)
  string(REGEX REPLACE "```[^`]*```|`[^`\n]*`" "code" page "${page}")
  string(REPLACE "](" " link:" page "${page}") # a list of brackets is none
  string(REGEX MATCHALL " link:[^)# \n]+" links "${page}")
  get_filename_component(folder ${path} DIRECTORY)
  foreach(link IN LISTS links)
    string(REGEX REPLACE "^ link:" "" link "${link}")
    if(NOT link MATCHES "^[a-z]+:" AND NOT EXISTS ${folder}/${link})
      message(FATAL_ERROR "${path}: its link to ${link} leads to nothing that is installed")
    endif()
  endforeach()
endforeach()
# Each public header is enough by itself, and docs/c.md lists them.
file(READ ${PAGE} page)
string(REGEX MATCH "public headers are[^.]*[.]hpp.*" listed "${page}")
string(REGEX MATCHALL "include/kq/[a-z_/]+[.]hpp" listed "${listed}")
list(TRANSFORM listed REPLACE "include/kq/" "")
list(SORT listed)
list(SORT PUBLIC_HEADERS)
if(NOT "${listed}" STREQUAL "${PUBLIC_HEADERS}")
  message(FATAL_ERROR "docs/c.md lists ${listed} as public, and installed are ${PUBLIC_HEADERS}")
endif()
foreach(header ${PUBLIC_HEADERS})
  if(NOT header STREQUAL "quantize.hpp") # which needs Kokkos; the example compiles it
    file(WRITE ${WORK}/alone.cpp "#include \"kq/${header}\"\n")
    run(${COMPILER} -std=c++20 -Wall -Wextra -Werror ${FLAGS} -fsyntax-only -I${WORK}/moved/include ${WORK}/alone.cpp)
  endif()
endforeach()
run(${CMAKE_COMMAND} -S ${EXAMPLE} -B ${WORK}/build -G ${GENERATOR} -DCMAKE_BUILD_TYPE=Release
    -DCMAKE_PREFIX_PATH=${WORK}/moved -DKokkos_ROOT=${KOKKOS_ROOT} -DCMAKE_CXX_COMPILER=${COMPILER}
    "-DCMAKE_CXX_FLAGS=${FLAGS}")
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/example)
# The page for a kernel of one's own, from an empty folder to a row. Its commands name neither a generator nor a compiler.
set(ENV{CMAKE_GENERATOR} ${GENERATOR})
set(ENV{CXX} ${COMPILER})
run(${PLUGIN_PAGE_RUNNER} ${PLUGIN_PAGE} ${WORK}/moved ${WORK}/page)
