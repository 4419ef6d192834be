# What is installed: libholdfast.so, libholdfast.a, the program, and what goes with them.
#
#   holdfast::holdfast   the shared library
#   holdfast::static     the archive, complete but for the C and C++ runtimes
#   product              builds all of it, without the tests
include(GNUInstallDirs)
add_custom_target(product)

set(hf_objects $<TARGET_OBJECTS:hf_core> $<TARGET_OBJECTS:hf_platform> $<TARGET_OBJECTS:hf_handlers>)
set(hf_libraries hf::sqlite hf::uv hf::mbedtls hf::llhttp hf::cctz hf::zlib hf::zstd)
if(HOLDFAST_MQTT)
  list(APPEND hf_libraries hf::mosquitto)
endif()

# ---- one object, in an archive -------------------------------------------------------------------

# One relocatable object of our objects and of what they use from the bundled libraries, in which every
# name but hf_* is made local: a host program may link its own SQLite, libuv or Mbed TLS beside it.
# Its sections stay one a function, so that --gc-sections still works on it. Groups are dissolved
# (--force-group-allocation): a COMDAT group with a local name would be dropped for the host's of the
# same name, and our references to it with it.
#
# Linkers put .text.hot.* together. Named so is what runs in a process that opens the library, waits, and
# has jobs go through it (toolchains/hot_functions.py): a megabyte, of which each page lay among others
# that nobody runs, and the kernel maps 64 KiB around each page that is touched.
set(hf_archive ${PROJECT_BINARY_DIR}/libholdfast.a)
set(hf_object ${PROJECT_BINARY_DIR}/libholdfast.o)
set(hf_archive_inputs)
if(NOT HOLDFAST_SYSTEM_DEPS)
  foreach(library ${hf_libraries})
    list(APPEND hf_archive_inputs $<TARGET_FILE:${library}>)
  endforeach()
endif()
set(hf_merge_objects ${hf_objects})
set(hf_merge_lto)
if(HOLDFAST_LTO OR CMAKE_INTERPROCEDURAL_OPTIMIZATION)
  # In a step of its own: in one with the bundled archives the linker took an inline function of theirs for
  # the one of our bytecode, which was then optimised away.
  set(hf_merge_lto COMMAND ${CMAKE_CXX_COMPILER} -flto=auto -flto-partition=none -flinker-output=nolto-rel -Os -fno-gnu-unique
    -ffunction-sections -fdata-sections -r -nostdlib -o libholdfast.lto.o ${hf_objects})
  set(hf_merge_objects libholdfast.lto.o)
endif()
set(hf_hot_list ${PROJECT_SOURCE_DIR}/toolchains/hot_functions.txt)
set(hf_hot_options ${PROJECT_BINARY_DIR}/hot_functions.options)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${hf_hot_list})
file(STRINGS ${hf_hot_list} hf_hot REGEX "^[^#]")
list(TRANSFORM hf_hot REPLACE "(.+)" "--rename-section\n.text.\\1=.text.hot.\\1\n")
list(JOIN hf_hot "" hf_hot)
file(GENERATE OUTPUT ${hf_hot_options} CONTENT "${hf_hot}")  # written only when it changes
# With a sanitizer the runtime must see every object's globals: no merging, and no product.
if(NOT HOLDFAST_SANITIZE)
  add_custom_command(OUTPUT ${hf_archive} ${hf_object}
    ${hf_merge_lto}
    COMMAND ${CMAKE_CXX_COMPILER} -r -nostdlib -Wl,--force-group-allocation
      -o ${hf_object} ${hf_merge_objects} -Wl,--start-group ${hf_archive_inputs} -Wl,--end-group
    COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=hf_* @${hf_hot_options} ${hf_object}
    COMMAND ${CMAKE_COMMAND} -E rm -f ${hf_archive}
    COMMAND ${CMAKE_AR} rcsD ${hf_archive} ${hf_object}
    COMMAND ${CMAKE_OBJCOPY} --strip-debug --enable-deterministic-archives ${hf_archive}
    DEPENDS hf_core hf_platform hf_handlers ${hf_objects} ${hf_archive_inputs} ${hf_hot_options}
    WORKING_DIRECTORY ${PROJECT_BINARY_DIR} COMMENT "Merging libholdfast.a"
    COMMAND_EXPAND_LISTS VERBATIM)
  add_custom_target(holdfast_archive ALL DEPENDS ${hf_archive})
  add_dependencies(product holdfast_archive)
endif()
set(hf_static_libs stdc++ m pthread dl)
if(HOLDFAST_SYSTEM_DEPS)
  list(APPEND hf_static_libs sqlite3 uv mbedtls mbedx509 mbedcrypto llhttp cctz z zstd)
endif()
add_library(holdfast_static INTERFACE)
add_library(holdfast::static ALIAS holdfast_static)
target_include_directories(holdfast_static INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
target_link_libraries(holdfast_static INTERFACE ${hf_archive} ${hf_static_libs})

# ---- the shared library --------------------------------------------------------------------------

set(hf_map ${PROJECT_SOURCE_DIR}/toolchains/libholdfast.map)
if(TARGET holdfast_archive)
  add_dependencies(holdfast_static holdfast_archive)
  add_library(holdfast_shared SHARED ${hf_object})
  add_dependencies(holdfast_shared holdfast_archive)  # which makes the object
  target_link_options(holdfast_shared PRIVATE -Wl,-z,defs)  # a host's libuv is referred to weakly
  # The C++ runtime comes along, as in the program: a C host needs libc alone, and a megabyte less of memory. No
  # exception and no C++ type crosses the border, and no name of it is exported.
  target_link_options(holdfast_shared PRIVATE -static-libstdc++)
else()
  add_library(holdfast_shared SHARED EXCLUDE_FROM_ALL ${hf_objects})
endif()
add_library(holdfast::holdfast ALIAS holdfast_shared)
set_target_properties(holdfast_shared PROPERTIES OUTPUT_NAME holdfast LINKER_LANGUAGE CXX
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS ${hf_map})
target_link_libraries(holdfast_shared PRIVATE hf_options ${hf_libraries})
target_link_options(holdfast_shared PRIVATE -Wl,--version-script=${hf_map} -Wl,-z,relro,-z,now)
target_include_directories(holdfast_shared INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
add_dependencies(product holdfast_shared)

# ---- the program ---------------------------------------------------------------------------------

function(hf_app)  # hf_app(SOURCE...): called by apps/CMakeLists.txt
  if(NOT ARGN)
    return()
  endif()
  add_executable(holdfast_app ${ARGN})
  set_target_properties(holdfast_app PROPERTIES OUTPUT_NAME holdfast)
  target_link_libraries(holdfast_app PRIVATE hf_handlers hf_platform hf_core hf::cli11)
  # The C++ runtime comes along: the program is one file on a device that has only libc.
  if(NOT HOLDFAST_SANITIZE)
    target_link_options(holdfast_app PRIVATE -static-libstdc++ -static-libgcc -Wl,-z,relro,-z,now)
  endif()
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(holdfast_app PRIVATE -Os)
  endif()
  # The same with libc: one file for a device that has nothing at all (docs/size.md).
  if(NOT HOLDFAST_SANITIZE AND NOT HOLDFAST_SYSTEM_DEPS)
    add_executable(holdfast_static_app EXCLUDE_FROM_ALL $<TARGET_OBJECTS:holdfast_app>)
    set_target_properties(holdfast_static_app PROPERTIES OUTPUT_NAME holdfast-static LINKER_LANGUAGE CXX)
    target_link_libraries(holdfast_static_app PRIVATE hf_handlers hf_platform hf_core hf::cli11)
    target_link_options(holdfast_static_app PRIVATE -static -Wl,-Map=${PROJECT_BINARY_DIR}/holdfast-static.map)
  endif()
  add_dependencies(product holdfast_app)
  install(TARGETS holdfast_app RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()
if(HOLDFAST_WITH_PROGRAM)
  add_subdirectory(apps)
endif()

# ---- installing ----------------------------------------------------------------------------------

# A folder of its own, relocatable: nothing installed names the folder it was built in.
install(TARGETS holdfast_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET holdfast_archive)
  install(FILES ${hf_archive} DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
function(hf_install_if_there file destination)
  if(EXISTS ${PROJECT_SOURCE_DIR}/${file})
    install(FILES ${PROJECT_SOURCE_DIR}/${file} DESTINATION ${destination} ${ARGN})
  endif()
endfunction()
hf_install_if_there(include/holdfast.h ${CMAKE_INSTALL_INCLUDEDIR})
hf_install_if_there(include/holdfast.hpp ${CMAKE_INSTALL_INCLUDEDIR})
hf_install_if_there(include/holdfast_types.hpp ${CMAKE_INSTALL_INCLUDEDIR})
hf_install_if_there(include/holdfast_admin.h ${CMAKE_INSTALL_INCLUDEDIR})
hf_install_if_there(include/holdfast_sqlite.h ${CMAKE_INSTALL_INCLUDEDIR})
hf_install_if_there(docs/holdfast.1 ${CMAKE_INSTALL_MANDIR}/man1)
hf_install_if_there(toolchains/holdfast.bash ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME holdfast)
hf_install_if_there(LICENSE ${CMAKE_INSTALL_DOCDIR})
if(HOLDFAST_DEPS_PREFIX)
  install(DIRECTORY ${HOLDFAST_DEPS_PREFIX}/include/holdfast DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})  # of the SQLite inside
  install(DIRECTORY ${HOLDFAST_DEPS_PREFIX}/licenses DESTINATION ${CMAKE_INSTALL_DOCDIR})
endif()

# Files that name the folder of installation are made when it is known: at installing.
set(hf_templates ${PROJECT_SOURCE_DIR}/toolchains)
list(TRANSFORM hf_static_libs PREPEND "-l" OUTPUT_VARIABLE hf_pc_libs)
list(JOIN hf_pc_libs " " hf_pc_libs)
install(CODE "
  set(PROJECT_VERSION \"${PROJECT_VERSION}\")
  set(hf_libdir \"${CMAKE_INSTALL_LIBDIR}\")
  set(hf_includedir \"${CMAKE_INSTALL_INCLUDEDIR}\")
  set(hf_static_libs \"${hf_static_libs}\")
  set(hf_pc_libs \"${hf_pc_libs}\")
  set(hf_bindir \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
  file(RELATIVE_PATH hf_up \"/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig\" \"/prefix\")
  string(REGEX REPLACE \"/\$\" \"\" hf_up \"\${hf_up}\")
  # The loader looks in the system's folders by itself; elsewhere a program must be told.
  if(NOT CMAKE_INSTALL_PREFIX MATCHES \"^/usr(/local)?/?\$\")
    set(hf_pc_rpath \" -Wl,-rpath,\\\${libdir}\")
  endif()
  set(root \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}\")
  configure_file(${hf_templates}/holdfast.pc.in \${root}/${CMAKE_INSTALL_LIBDIR}/pkgconfig/holdfast.pc @ONLY)
  configure_file(${hf_templates}/holdfast-config.cmake.in
    \${root}/${CMAKE_INSTALL_LIBDIR}/cmake/holdfast/holdfast-config.cmake @ONLY)
  configure_file(${hf_templates}/systemd/holdfast.service.in \${root}/lib/systemd/system/holdfast.service @ONLY)
")
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/holdfast-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/holdfast-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/holdfast)
