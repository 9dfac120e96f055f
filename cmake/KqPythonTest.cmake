# SPDX-License-Identifier: Apache-2.0
#
# kq_add_python_test(<name> <script> <argument>...)
#
# A ctest entry that runs a Python script. The script ends with status 77 where a package it needs is missing, and ctest
# shows it as skipped. KQ_PYTHON says which interpreter has the packages of tests/python/requirements.txt.

find_package(Python3 QUIET COMPONENTS Interpreter)
set(KQ_PYTHON "${Python3_EXECUTABLE}" CACHE FILEPATH "Python interpreter that the tests use")

function(kq_add_python_test name script)
  if(NOT KQ_PYTHON)
    message(STATUS "No Python: the test ${name} is left out")
    return()
  endif()
  add_test(NAME ${name} COMMAND ${KQ_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/${script} ${ARGN})
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")
endfunction()
