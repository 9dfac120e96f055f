# SPDX-License-Identifier: Apache-2.0
#
# cpack reads this before it makes a package. Without dpkg-shlibdeps, or without file, by which CPack finds the programs
# and libraries to look at, the package would have no dependencies, and CPack would not say so.

foreach(tool dpkg-shlibdeps:dpkg-dev file:file)
  string(REPLACE ":" ";" tool ${tool})
  list(GET tool 0 program)
  list(GET tool 1 package)
  find_program(kq_${program} ${program} NO_CACHE)
  if(NOT kq_${program})
    message(FATAL_ERROR "There is no ${program}, so the package's dependencies cannot be found: './bootstrap packages package' "
                        "or 'apt-get install ${package}'")
  endif()
endforeach()
