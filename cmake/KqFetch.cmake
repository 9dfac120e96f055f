# SPDX-License-Identifier: Apache-2.0
#
# Official releases of what is not installed, each held against its hash.

include(FetchContent)
if(POLICY CMP0135)
  cmake_policy(SET CMP0135 NEW)
endif()

# kq_fetch(<name> <url> <SHA256> <why> <what to do instead> [<FetchContent option>...]): adds the sources of a release to
# this project, or those in FETCHCONTENT_SOURCE_DIR_<NAME>, and sets <name>_SOURCE_DIR. Not left to FetchContent is the
# download, whose failure it reports in a page; here it is one line that says why, and what to do instead.
macro(kq_fetch name url hash why instead)
  string(TOUPPER ${name} kq_upper)
  set(kq_archive ${CMAKE_BINARY_DIR}/downloads/${name}-${hash})
  if(FETCHCONTENT_SOURCE_DIR_${kq_upper})
    message(STATUS "${why}: taking the sources in ${FETCHCONTENT_SOURCE_DIR_${kq_upper}}")
  elseif(NOT EXISTS ${kq_archive})
    message(STATUS "${why}: fetching ${url}")
    file(DOWNLOAD ${url} ${kq_archive}.part INACTIVITY_TIMEOUT 30 STATUS kq_status)
    list(GET kq_status 0 kq_failed)
    if(kq_failed)
      list(GET kq_status 1 kq_reason)
      message(FATAL_ERROR "${why}, and it cannot be fetched (${kq_reason}). ${instead}, or give the place of its sources "
                          "with -DFETCHCONTENT_SOURCE_DIR_${kq_upper}=…")
    endif()
    file(RENAME ${kq_archive}.part ${kq_archive})
  endif()
  FetchContent_Declare(${name} URL ${kq_archive} URL_HASH SHA256=${hash} ${ARGN})
  FetchContent_MakeAvailable(${name})
endmacro()
