# SPDX-License-Identifier: Apache-2.0
#
# Run with -P at every build: writes ${HEADER}, what a result's setting says of the program, if it would change.
# Takes SOURCE_DIR, HEADER, VERSION, BUILD_TYPE, COMPILER, DEVICE_COMPILER, DEVICE_ARCHITECTURES, HOST_ARCHITECTURE.

set(commit unknown)
find_program(GIT git)
if(GIT AND EXISTS ${SOURCE_DIR}/.git)
  execute_process(COMMAND ${GIT} -C ${SOURCE_DIR} rev-parse --short=12 HEAD
                  OUTPUT_VARIABLE head OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status ERROR_QUIET)
  if(status EQUAL 0)
    set(commit ${head})
    execute_process(COMMAND ${GIT} -C ${SOURCE_DIR} status --porcelain --untracked-files=no
                    OUTPUT_VARIABLE changes ERROR_QUIET)
    if(changes)
      string(APPEND commit "-dirty")
    endif()
  endif()
endif()

file(CONFIGURE OUTPUT ${HEADER}
     CONTENT [[// Written by cmake/KqWriteBuild.cmake.
#pragma once

namespace kqbench::build {
inline constexpr char version[] = "@VERSION@";
inline constexpr char commit[] = "@commit@";
inline constexpr char build_type[] = "@BUILD_TYPE@";
inline constexpr char compiler[] = "@COMPILER@";
inline constexpr char device_compiler[] = "@DEVICE_COMPILER@";
inline constexpr char device_architectures[] = "@DEVICE_ARCHITECTURES@";
inline constexpr char host_architecture[] = "@HOST_ARCHITECTURE@";
}  // namespace kqbench::build
]] @ONLY)
