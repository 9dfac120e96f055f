# SPDX-License-Identifier: Apache-2.0
#
# kq_add_python_test(<name> <script> <argument>...)
#
# A ctest entry that runs a Python script. The script ends with status 77 where a package it needs is missing, and ctest
# shows it as skipped; with KQ_PYTHON_COMPLETE=1 in the environment it fails. KQ_PYTHON says which interpreter has the
# packages of tests/python/requirements.txt.

find_package(Python3 QUIET COMPONENTS Interpreter)
set(KQ_PYTHON "${Python3_EXECUTABLE}" CACHE FILEPATH "Python interpreter that the tests use")

# An interpreter is not instrumented: before it loads a library that is, it needs the sanitizer, and the C++ library whose
# exceptions that watches. It leaks, too.
set(environment_of_sanitized)
if(KQ_SANITIZE MATCHES "address")
  set(preloaded)
  foreach(library libasan.so libstdc++.so)
    execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=${library} OUTPUT_VARIABLE file
                    OUTPUT_STRIP_TRAILING_WHITESPACE)
    list(APPEND preloaded ${file})
  endforeach()
  list(JOIN preloaded ":" preloaded)
  set(environment_of_sanitized "LD_PRELOAD=${preloaded}" "ASAN_OPTIONS=detect_leaks=0")
endif()

function(kq_add_python_test name script)
  if(NOT KQ_PYTHON)
    message(STATUS "No Python: the test ${name} is left out")
    return()
  endif()
  add_test(NAME ${name} COMMAND ${KQ_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/${script} ${ARGN})
  set(environment "PYTHONDONTWRITEBYTECODE=1")
  if("$<TARGET_FILE:kq_c>" IN_LIST ARGN)
    list(APPEND environment ${environment_of_sanitized})
  endif()
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 ENVIRONMENT "${environment}")
endfunction()
