# SPDX-License-Identifier: Apache-2.0
#
# LIBRARY exports the functions that HEADER declares and nothing else, and programs that link it ask for SONAME:
#   cmake -DLIBRARY=... -DHEADER=... -DSONAME=... -DNM=... -DREADELF=... -P check_exports.cmake

function(read_lines result)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "failed: ${ARGN}")
  endif()
  set(${result} "${output}" PARENT_SCOPE)
endfunction()

file(READ ${HEADER} header)
string(REGEX MATCHALL "\nKQ_API [^(;]*[(]" declarations "${header}")
set(declared)
foreach(declaration IN LISTS declarations)
  string(REGEX MATCH "(kq_[a-z_]+)[(]$" name "${declaration}")
  list(APPEND declared ${CMAKE_MATCH_1})
endforeach()

read_lines(symbols ${NM} -D --defined-only ${LIBRARY})
string(REGEX MATCHALL "[^\n]+" symbols "${symbols}")
list(FILTER symbols EXCLUDE REGEX " A KQ_1(@|$)")  # the version's own name
list(TRANSFORM symbols REPLACE "^.* ([^ @]+)(@.*)?$" "\\1")

list(SORT declared)
list(SORT symbols)
if(NOT declared OR NOT declared STREQUAL symbols)
  message(FATAL_ERROR "kq.h declares ${declared}\nthe library exports ${symbols}")
endif()

read_lines(dynamic ${READELF} -d ${LIBRARY})
if(NOT dynamic MATCHES "SONAME[^\n]*[[]${SONAME}[]]")
  message(FATAL_ERROR "the library's name is not ${SONAME}:\n${dynamic}")
endif()
