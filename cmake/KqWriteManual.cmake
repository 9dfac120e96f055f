# SPDX-License-Identifier: Apache-2.0
#
# Run with -P once the program is built: writes its manual pages, one for the program and one for each subcommand, and
# its completion for bash into ${FOLDER}, all from what the program says of itself. Takes KQBENCH, HELP2MAN (empty: no
# pages), VERSION, FOLDER. A program for a device that cannot start on this machine gets none.

file(REMOVE_RECURSE ${FOLDER})
execute_process(COMMAND ${KQBENCH} --help OUTPUT_VARIABLE help ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  message("No manual pages and no completion: kqbench does not start on this machine")
  return()
endif()
file(MAKE_DIRECTORY ${FOLDER})

execute_process(COMMAND ${KQBENCH} completion OUTPUT_FILE ${FOLDER}/kqbench.bash RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "kqbench completion failed")
endif()
if(NOT HELP2MAN)
  return()
endif()

file(MAKE_DIRECTORY ${FOLDER}/man1)

function(write_page name description help_option)
  file(CREATE_LINK ${KQBENCH} ${FOLDER}/${name} SYMBOLIC)  # help2man's name for the page is the program's
  execute_process(COMMAND ${HELP2MAN} --no-info --locale=C.UTF-8 --name=${description} --version-string=${VERSION}
                          --help-option=${help_option} --output=${FOLDER}/man1/${name}.1 ${FOLDER}/${name}
                  RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "help2man failed for ${name}")
  endif()
  file(READ ${FOLDER}/man1/${name}.1 page)
  if(page MATCHES "[?][?]")  # what help2man makes of "±" in a locale of one byte
    message(FATAL_ERROR "${name}.1 has lost characters; help2man needs the locale C.UTF-8")
  endif()
endfunction()

write_page(kqbench "time activation-quantization kernels" --help)
string(REGEX REPLACE ".*\nSubcommands:\n" "" help "${help}")
string(REGEX MATCHALL "\n  [a-z]+ +[A-Z][^\n]*" lines "\n${help}")
foreach(line IN LISTS lines)
  string(REGEX MATCH "^\n  ([a-z]+) +(.*)$" line "${line}")
  write_page(kqbench-${CMAKE_MATCH_1} "${CMAKE_MATCH_2}" "${CMAKE_MATCH_1} --help")
endforeach()
