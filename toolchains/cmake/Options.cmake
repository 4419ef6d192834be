# hf_options: what every source of Holdfast is compiled with. Nothing here reaches those who link it.
option(HOLDFAST_WERROR "Warnings are errors (the project's presets set it)" OFF)
option(HOLDFAST_FUZZ "Build the fuzz programs for libFuzzer (clang; the fuzz preset)" OFF)
option(HOLDFAST_LTO "Optimise across files at link time" OFF)

add_library(hf_options INTERFACE)
target_compile_options(hf_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wundef -Wformat=2 -Wcast-align -Wvla -Wimplicit-fallthrough
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual -Wsuggest-override -Wextra-semi>
  $<$<BOOL:${HOLDFAST_WERROR}>:-Werror>
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>  # false with std::string at -O2 (GCC bug 105651)
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>  # a unique symbol cannot be made local in libholdfast.a
  $<$<AND:$<CONFIG:MinSizeRel>,$<COMPILE_LANG_AND_ID:CXX,GNU>>:-fno-rtti>  # the names of 500 types, for nobody
  -ffunction-sections -fdata-sections
  -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=  # no path of the build machine in a binary
)
target_link_options(hf_options INTERFACE -Wl,--gc-sections)
# 64-bit files everywhere and 64-bit time where time_t has 32: the same in every file, and in the
# dependencies (toolchains/deps/recipe.sh), or structs differ between them.
target_compile_definitions(hf_options INTERFACE _FILE_OFFSET_BITS=64
  $<$<EQUAL:${CMAKE_SIZEOF_VOID_P},4>:_TIME_BITS=64>)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^arm")
  target_compile_options(hf_options INTERFACE -Wno-psabi)
endif()
target_compile_features(hf_options INTERFACE cxx_std_20)

if(HOLDFAST_SANITIZE)
  list(JOIN HOLDFAST_SANITIZE "," hf_sanitize)
  add_compile_options(-fsanitize=${hf_sanitize} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${hf_sanitize})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(hf_options INTERFACE -Wno-maybe-uninitialized)  # false with std::optional (bug 80635)
  endif()
endif()
if(HOLDFAST_LTO)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
  # What the link compiles: a section for each function, so that the map names them. In one piece: smaller.
  target_link_options(hf_options INTERFACE -ffunction-sections -fdata-sections -fno-gnu-unique -flto-partition=one)
endif()

# ccache when it is there; clones in different folders share what they compiled.
find_program(HOLDFAST_CCACHE ccache)
if(HOLDFAST_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(hf_launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros ${HOLDFAST_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${hf_launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${hf_launcher})
endif()
