# SPDX-License-Identifier: Apache-2.0
#
# The manual pages and the completion for bash, written by the program that is built and installed with it. The
# pages need help2man; without it they are left out.

find_program(KQ_HELP2MAN help2man)
if(KQ_HELP2MAN)
  set(kq_help2man ${KQ_HELP2MAN})
else()
  message(STATUS "No help2man: the manual pages are left out")
  set(kq_help2man)
endif()
set(kq_manual ${CMAKE_BINARY_DIR}/manual)
add_custom_command(
  OUTPUT ${kq_manual}.stamp
  COMMAND ${CMAKE_COMMAND} -DKQBENCH=$<TARGET_FILE:kqbench> -DHELP2MAN=${kq_help2man} -DVERSION=${PROJECT_VERSION}
          -DFOLDER=${kq_manual} -P ${CMAKE_CURRENT_LIST_DIR}/KqWriteManual.cmake
  COMMAND ${CMAKE_COMMAND} -E touch ${kq_manual}.stamp
  DEPENDS kqbench ${CMAKE_CURRENT_LIST_DIR}/KqWriteManual.cmake
  COMMENT "Writing the manual pages"
  VERBATIM)
add_custom_target(manual ALL DEPENDS ${kq_manual}.stamp)

install(DIRECTORY ${kq_manual}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR} OPTIONAL)
install(FILES ${kq_manual}/kqbench.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME kqbench
        OPTIONAL)
