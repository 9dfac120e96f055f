# SPDX-License-Identifier: Apache-2.0
#
# Run by the install step of CMakeLists.txt: copies the shared libraries that `program` and `libraries` need into the
# package, Kokkos and fmt where those are shared. Those of every system, and of device drivers, are left out.

file(GET_RUNTIME_DEPENDENCIES
     RESOLVED_DEPENDENCIES_VAR found UNRESOLVED_DEPENDENCIES_VAR missing
     EXECUTABLES ${program} LIBRARIES ${libraries}
     PRE_EXCLUDE_REGEXES "^ld-linux" "^lib(c|m|dl|rt|pthread|gcc_s|stdc[+][+])[.]so" "^libkq(bench)?[.]so"
                         "^lib(cuda|cudart|amdhip64|hsa-runtime64|nvidia-ml|rocm_smi64)[.]so")
if(missing)
  message(FATAL_ERROR "not found: ${missing}")
endif()
foreach(file IN LISTS found)
  get_filename_component(name "${file}" NAME)
  file(REAL_PATH "${file}" real)
  set(folder "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/kq/lib")
  file(MAKE_DIRECTORY "${folder}")
  file(COPY_FILE "${real}" "${folder}/${name}")
  message(STATUS "Installing: ${folder}/${name}")
endforeach()
