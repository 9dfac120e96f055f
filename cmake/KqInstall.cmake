# SPDX-License-Identifier: Apache-2.0
#
# What `cmake --install` puts in place: the program, kq_plugin.h for plug-ins of it, libkq.so with kq.h, and kq::kernels with
# its headers and its CMake package; and the Debian package that `cpack` makes of it.

include(CMakePackageConfigHelpers)

set(kq_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/kq)

set_target_properties(kq_core PROPERTIES EXPORT_NAME core)
set_target_properties(kq_kernels PROPERTIES EXPORT_NAME kernels)
set(kq_libraries kq_core kq_kernels)
if(TARGET kq_c)
  list(APPEND kq_libraries kq_c)
endif()
install(TARGETS ${kq_libraries} EXPORT kq
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        PUBLIC_HEADER DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# Apart from the others: a plug-in needs no Kokkos.
set_target_properties(kq_plugin PROPERTIES EXPORT_NAME plugin)
install(TARGETS kq_plugin EXPORT kq_plugin)
install(FILES ${PROJECT_SOURCE_DIR}/capi/kq.h ${PROJECT_SOURCE_DIR}/capi/kq_plugin.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT kq_plugin NAMESPACE kq:: FILE kqPluginTargets.cmake DESTINATION ${kq_package_dir})
include(KqPublicHeaders)
# What those include: details that may change.
set(kq_needed_headers execution_space.hpp overlap.hpp tensors.hpp arch/arch.hpp arch/config.hpp arch/cuda.hpp arch/e2m1.hpp
                      arch/generic.hpp arch/hip.hpp arch/portable.hpp arch/vector.hpp)
foreach(header ${kq_public_headers} ${kq_needed_headers})
  find_file(path ${header} PATHS ${PROJECT_SOURCE_DIR}/core/include/kq ${PROJECT_SOURCE_DIR}/kokkos_kernels/include/kq
            REQUIRED NO_CACHE NO_DEFAULT_PATH)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${path} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kq/${folder})
  unset(path)
endforeach()
install(EXPORT kq NAMESPACE kq:: FILE kqTargets.cmake DESTINATION ${kq_package_dir})

# The requirement of Kokkos goes with the package: found again in the same way, and the same version, since inline code of
# its headers is in our libraries too. One that was built for this project is installed with it.
if(KQ_KOKKOS_SOURCE STREQUAL "fetched")
  install(DIRECTORY ${CMAKE_BINARY_DIR}/kokkos/ DESTINATION . USE_SOURCE_PERMISSIONS PATTERN built-with EXCLUDE)
endif()
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/kqConfig.cmake.in ${CMAKE_BINARY_DIR}/kqConfig.cmake
                              INSTALL_DESTINATION ${kq_package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/kqConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/kqConfig.cmake ${CMAKE_BINARY_DIR}/kqConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/KqPlainKokkos.cmake
        DESTINATION ${kq_package_dir})

install(TARGETS kqbench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(KQ_HOST_LEVELS)
  install(TARGETS kqbench_program LIBRARY DESTINATION ${kq_program_library_dir})
endif()
foreach(level IN LISTS KQ_HOST_LEVELS)
  install(TARGETS kqbench_program_${level} LIBRARY DESTINATION ${kq_program_library_dir}/glibc-hwcaps/${level})
  install(TARGETS kq_c_${level} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/glibc-hwcaps/${level} NAMELINK_SKIP)
endforeach()
include(KqManual)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
# The pages of docs/, but for the results, with links to each other alone.
file(GLOB kq_pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/*.md)
add_custom_command(
  OUTPUT ${CMAKE_BINARY_DIR}/pages.stamp
  COMMAND ${CMAKE_COMMAND} -DFROM=${PROJECT_SOURCE_DIR}/docs -DTO=${CMAKE_BINARY_DIR}/pages
          -P ${CMAKE_CURRENT_LIST_DIR}/KqWritePages.cmake
  COMMAND ${CMAKE_COMMAND} -E touch ${CMAKE_BINARY_DIR}/pages.stamp
  DEPENDS ${kq_pages} ${CMAKE_CURRENT_LIST_DIR}/KqWritePages.cmake
  COMMENT "Writing the pages that are installed"
  VERBATIM)
add_custom_target(pages ALL DEPENDS ${CMAKE_BINARY_DIR}/pages.stamp)
install(DIRECTORY ${CMAKE_BINARY_DIR}/pages/ DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_CURRENT_LIST_DIR}/KqPackageTools.cmake)
set(CPACK_PACKAGE_CONTACT "kqbench maintainers <kqbench@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_INSTALL_DIRECTORY kqbench)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/debian/triggers)
if(KQ_KOKKOS_SOURCE STREQUAL "plain")
  set(CPACK_DEBIAN_PACKAGE_SUGGESTS "g++, cmake, make, libtrilinos-kokkos-dev")  # to build against kq::kernels
else()
  set(CPACK_DEBIAN_PACKAGE_SUGGESTS "g++, cmake, make")
endif()
include(CPack)
