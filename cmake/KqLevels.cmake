# SPDX-License-Identifier: Apache-2.0
#
# Where KQ_HOST_ARCH is a list or "all", kernels for several levels of x86-64 lie in one package. What holds them is then a
# shared library that is made once more for each level: libkq.so, and libkqbench.so, which is the program but for main(). They
# lie where the system's loader looks for them:
#
#   <folder>/libkq.so.1                             for any processor
#   <folder>/glibc-hwcaps/x86-64-v3/libkq.so.1      for one with AVX2
#
# The loader (glibc 2.33 and newer; an older one takes the first) chooses when a program starts. All code of a library is for
# its level or for less, so an inline function that was compiled for more than the processor has is in none that is chosen.
#
#   kq_at_level(<level> <target> <library>...)   <target>, a shared library that links those static ones, gets their code
#                                                compiled for the level, and the folder that the loader looks for

# Where libkqbench.so is installed, apart from libraries that others link.
set(kq_program_library_dir ${CMAKE_INSTALL_LIBDIR}/kqbench)

# The kernels and what they call. The harness and the program are compiled once, for any processor.
set(kq_kernel_libraries kq_core kq_kernels kq_kernels_half kq_kernels_bfloat16 kq_kernels_float)

function(kq_at_level level target)
  foreach(library IN LISTS ARGN)
    set(copy ${library}_${level})
    if(NOT TARGET ${copy})
      get_target_property(folder ${library} SOURCE_DIR)
      get_target_property(sources ${library} SOURCES)
      list(FILTER sources EXCLUDE REGEX TARGET_OBJECTS)
      add_library(${copy} OBJECT)
      foreach(source IN LISTS sources)
        get_filename_component(path ${source} ABSOLUTE BASE_DIR ${folder})
        target_sources(${copy} PRIVATE ${path})
      endforeach()
      foreach(property COMPILE_DEFINITIONS INCLUDE_DIRECTORIES LINK_LIBRARIES UNITY_BUILD UNITY_BUILD_BATCH_SIZE)
        get_target_property(value ${library} ${property})
        if(value)
          set_target_properties(${copy} PROPERTIES ${property} "${value}")
        endif()
      endforeach()
      set_target_properties(${copy} PROPERTIES KQ_LEVEL ${level})
    endif()
    # Before the static libraries, which then have nothing to add.
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${copy}>)
  endforeach()
  set_target_properties(${target} PROPERTIES KQ_LEVEL ${level}
                        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/glibc-hwcaps/${level})
endfunction()
