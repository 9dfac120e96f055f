# SPDX-License-Identifier: Apache-2.0
#
# Configures for HIP with a hipcc (a stand-in) that is too old for the Kokkos release that would be fetched: with no Kokkos
# given that must end at once, and say what to give; with sources given it must go on.
#   cmake -DSOURCE=... -DWORK=... -DGENERATOR=... -DCOMPILER=... -P check_old_rocm.cmake

file(REMOVE_RECURSE ${WORK})
file(WRITE ${WORK}/hipcc [[#!/bin/sh
case "$*" in
  *--version*) echo 'HIP version: 5.2.21153-0' ;;
  *) exec "$KQ_COMPILER" "$@" ;;
esac
]])
file(CHMOD ${WORK}/hipcc PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)

function(configure output)
  file(REMOVE_RECURSE ${WORK}/build)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env --unset=Kokkos_ROOT KQ_COMPILER=${COMPILER}
                          ${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -G ${GENERATOR} -DKQBENCH_HIP=ON
                          -DKQ_HIP_ARCHITECTURES=gfx90a -DCMAKE_CXX_COMPILER=${WORK}/hipcc ${ARGN}
                  RESULT_VARIABLE failed OUTPUT_VARIABLE told ERROR_VARIABLE told)
  if(NOT failed)
    message(FATAL_ERROR "configured without a Kokkos:\n${told}")
  endif()
  string(REGEX REPLACE "[ \n]+" " " told "${told}")
  set(${output} "${told}" PARENT_SCOPE)
endfunction()

set(wanted "needs ROCm 6.2, this hipcc is of 5.2; give Kokkos 4.6 or 4.7, ")
configure(told)
if(NOT told MATCHES "${wanted}" OR told MATCHES ": fetching https:")
  message(FATAL_ERROR "does not say '${wanted}' before it fetches Kokkos:\n${told}")
endif()
file(MAKE_DIRECTORY ${WORK}/sources)  # no Kokkos's, which ends it too
configure(told -DFETCHCONTENT_SOURCE_DIR_KOKKOS=${WORK}/sources)
if(told MATCHES "${wanted}")
  message(FATAL_ERROR "looks away from the sources that are given:\n${told}")
endif()
