# SPDX-License-Identifier: Apache-2.0
#
# kq_add_test(<name> SOURCES <file>... [KOKKOS_SOURCES <file>...] LIBRARIES <target>... [TIMEOUT <seconds>])
#
# A GoogleTest program test_<name>, and a ctest entry <name>.<suite>.<test> for each of its tests, labelled <name>. Where
# KQ_TESTS_TOGETHER is ON, one entry <name> that runs them all: sanitized programs are slow to start.
# KOKKOS_SOURCES are those that include Kokkos. Tests are not optimized, which halves what they take to compile; the
# libraries that they try are. They are found when ctest runs, since a program for a device may not even start on the
# machine that builds it. KQ_GOLDEN_DIR is a string in every source: the folder of the recorded files.

include(GoogleTest)
option(KQ_TESTS_TOGETHER "One ctest entry for each test program, not for each test" OFF)

# ThreadSanitizer learns from this library of clang's what OpenMP's threads wait for, and does not look at those libraries
# that were not compiled for it, OpenMP's own and Kokkos's.
set(KQ_TEST_ENVIRONMENT)
if(KQ_SANITIZE MATCHES "thread")
  get_filename_component(kq_clang ${CMAKE_CXX_COMPILER} REALPATH)
  get_filename_component(kq_archer ${kq_clang}/../../lib/libarcher.so ABSOLUTE)
  if(NOT EXISTS ${kq_archer})
    message(FATAL_ERROR "ThreadSanitizer needs clang and its OpenMP: 'apt-get install clang libomp-dev', then "
                        "-DCMAKE_CXX_COMPILER=clang++")
  endif()
  set(KQ_TEST_ENVIRONMENT "OMP_TOOL_LIBRARIES=${kq_archer}" "OMP_NUM_THREADS=3"
                          "TSAN_OPTIONS=ignore_noninstrumented_modules=1")
endif()

function(kq_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 test "" "TIMEOUT" "SOURCES;KOKKOS_SOURCES;LIBRARIES")
  if(test_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "kq_add_test(${name}): unknown arguments ${test_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT test_TIMEOUT)
    set(test_TIMEOUT 120)
  endif()
  add_executable(test_${name} ${test_SOURCES})
  set_target_properties(test_${name} PROPERTIES KQ_TEST ON)
  kq_unity(test_${name})
  if(test_KOKKOS_SOURCES) # which may be compiled for a device
    kq_kokkos_sources(test_${name} ${test_KOKKOS_SOURCES})
  else()
    target_compile_options(test_${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-O0>)
  endif()
  if(KQ_SANITIZE) # in reports their functions still have names, and what they try has lines
    target_compile_options(test_${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-g0>)
    if("kqbench_bench" IN_LIST test_LIBRARIES OR "kqbench_lib" IN_LIST test_LIBRARIES) # the harness, not kernels
      set_target_properties(test_${name} PROPERTIES KQ_ANY_ALIGNMENT ON)
    endif()
  endif()
  target_link_libraries(test_${name} PRIVATE kq_options ${test_LIBRARIES} GTest::gtest GTest::gtest_main)
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(test_${name} PRIVATE KQ_GOLDEN_DIR="${PROJECT_SOURCE_DIR}/tests/golden")
  if(KQ_TESTS_TOGETHER)
    add_test(NAME ${name} COMMAND test_${name} --gtest_brief=1)
    set_tests_properties(${name} PROPERTIES TIMEOUT 2400 LABELS ${name} ENVIRONMENT "${KQ_TEST_ENVIRONMENT}")
    return()
  endif()
  gtest_discover_tests(test_${name} TEST_PREFIX ${name}. NO_PRETTY_VALUES DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                       PROPERTIES TIMEOUT ${test_TIMEOUT} LABELS ${name} ENVIRONMENT "${KQ_TEST_ENVIRONMENT}")
endfunction()
