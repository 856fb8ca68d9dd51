# bv_module(NAME LAYER n [USES m…] [SYSTEM lib…] [TEST_USES m…] SOURCES file…)
#   One static library per module. USES is the dependency arrow and the only way to link one of our own modules:
#   a module may use lower layers only, and configuring stops otherwise. SYSTEM names imported third-party targets,
#   which stay private: their headers do not reach the modules above.
#   Beside each source x.c a file x_test.c becomes a Criterion program (ctest label "unit") and x_it_test.c one that
#   needs running servers (label "integration"); x_fuzz.c becomes a fuzz target that ordinary builds replay over its corpus.
# bv_program(NAME LAYER n USES … SYSTEM … SOURCES …)   the same for an executable; the target bv-programs builds them all.
#
# Layers: 0-9 bv-common-core (base, loop, then protocols), 10 security and event, 20 test-core, 30 services, 40-49 harness,
# 50 programs of the harness, 60 reports. The harness speaks to services over the wire only.

set(BV_LAYER_SERVICES 30)
set(BV_LAYER_HARNESS 40)

function(_bv_check_layers name layer)
    foreach(used IN LISTS ARGN)
        if(NOT TARGET ${used})
            message(FATAL_ERROR "${name} USES ${used}, but no module of that name was declared before it.")
        endif()
        get_target_property(used_layer ${used} BV_LAYER)
        if(used_layer STREQUAL "used_layer-NOTFOUND")
            message(FATAL_ERROR "${name} USES ${used}, which is not a bv_module: name third-party targets under SYSTEM.")
        endif()
        if(used_layer GREATER_EQUAL layer)
            message(FATAL_ERROR "${name} (layer ${layer}) may not use ${used} (layer ${used_layer}): "
                "a module uses lower layers only. Move the shared part down, or pass it in as a function pointer.")
        endif()
        if(layer GREATER_EQUAL BV_LAYER_HARNESS AND used_layer GREATER_EQUAL BV_LAYER_SERVICES
           AND used_layer LESS BV_LAYER_HARNESS AND NOT name MATCHES "^bv-sim")
            message(FATAL_ERROR "${name} may not link the service module ${used}: the harness speaks to services over the wire.")
        endif()
    endforeach()
endfunction()

function(_bv_flags target)
    target_compile_features(${target} PRIVATE c_std_17)
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
    target_compile_options(${target} PRIVATE ${BV_WARNINGS})
endfunction()

function(_bv_tests name test_uses sources)
    if(NOT BV_TESTS)
        return()
    endif()
    foreach(source IN LISTS sources)
        string(REGEX REPLACE "\\.c$" "" stem ${source})
        foreach(kind IN ITEMS test it_test)
            if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${stem}_${kind}.c)
                get_filename_component(base ${stem} NAME)
                set(program ${base}_${kind})
                add_executable(${program} ${stem}_${kind}.c)
                target_link_libraries(${program} PRIVATE ${name} ${test_uses} PkgConfig::criterion m)
                target_include_directories(${program} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
                _bv_flags(${program})
                set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
                add_test(NAME ${base}.${kind} COMMAND ${program})
                if(kind STREQUAL "test")
                    set_tests_properties(${base}.${kind} PROPERTIES LABELS unit TIMEOUT 120)
                else()
                    set_tests_properties(${base}.${kind} PROPERTIES LABELS integration TIMEOUT 180)
                endif()
                if(BV_SANITIZE MATCHES "address")
                    set_property(TEST ${base}.${kind} APPEND PROPERTY ENVIRONMENT
                        "LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/cmake/tests/lsan.supp:print_suppressions=0")
                endif()
                add_dependencies(bv-tests ${program})
            endif()
        endforeach()
        if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${stem}_fuzz.c)
            get_filename_component(base ${stem} NAME)
            add_executable(${base}_fuzz ${stem}_fuzz.c)
            if(BV_SANITIZE MATCHES "fuzzer")
                target_link_options(${base}_fuzz PRIVATE -fsanitize=fuzzer)
            else()
                target_sources(${base}_fuzz PRIVATE ${CMAKE_SOURCE_DIR}/fuzz/drivers/replay_main.c)
            endif()
            target_link_libraries(${base}_fuzz PRIVATE ${name} ${test_uses})
            target_include_directories(${base}_fuzz PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/fuzz/drivers)
            _bv_flags(${base}_fuzz)
            set_target_properties(${base}_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
            if(NOT BV_SANITIZE MATCHES "fuzzer")
                add_test(NAME ${base}.fuzz-replay COMMAND ${base}_fuzz ${CMAKE_SOURCE_DIR}/fuzz/corpora/${base})
                set_tests_properties(${base}.fuzz-replay PROPERTIES LABELS unit TIMEOUT 120)
            endif()
            add_dependencies(bv-tests ${base}_fuzz)
        endif()
    endforeach()
endfunction()

function(bv_module name)
    cmake_parse_arguments(M "" "LAYER" "USES;SYSTEM;TEST_USES;SOURCES" ${ARGN})
    if(NOT DEFINED M_LAYER OR NOT M_SOURCES)
        message(FATAL_ERROR "bv_module(${name}): LAYER and SOURCES are needed.")
    endif()
    _bv_check_layers(${name} ${M_LAYER} ${M_USES})
    add_library(${name} STATIC ${M_SOURCES})
    set_target_properties(${name} PROPERTIES BV_LAYER ${M_LAYER})
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/include)
        target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include)
    else()
        target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
    endif()
    target_link_libraries(${name} PUBLIC ${M_USES} PRIVATE ${M_SYSTEM})
    _bv_flags(${name})
    _bv_tests(${name} "${M_USES};${M_TEST_USES}" "${M_SOURCES}")
endfunction()

function(bv_program name)
    cmake_parse_arguments(M "" "LAYER" "USES;SYSTEM;TEST_USES;SOURCES" ${ARGN})
    _bv_check_layers(${name} ${M_LAYER} ${M_USES})
    add_executable(${name} ${M_SOURCES})
    set_target_properties(${name} PROPERTIES BV_LAYER ${M_LAYER} RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
    target_link_libraries(${name} PRIVATE ${M_USES} ${M_SYSTEM})
    _bv_flags(${name})
    add_dependencies(bv-programs ${name})
    if(NOT BV_TEST_SWITCHES)
        add_custom_command(TARGET ${name} POST_BUILD VERBATIM
            COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:${name}>
                -DLIST=${CMAKE_SOURCE_DIR}/platform/libs/bv-common-core/base/include/bv/breakage.h
                -P ${CMAKE_SOURCE_DIR}/cmake/no_switches.cmake)
    endif()
endfunction()

# Position independent code for a module and all it uses.
function(_bv_position_independent)
    foreach(target IN LISTS ARGN)
        if(TARGET ${target})
            get_target_property(imported ${target} IMPORTED)
            get_target_property(done ${target} POSITION_INDEPENDENT_CODE)
            if(NOT imported AND NOT done)
                set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
                get_target_property(used ${target} LINK_LIBRARIES)
                list(TRANSFORM used REPLACE "^\\$<LINK_ONLY:(.*)>$" "\\1")
                _bv_position_independent(${used})
            endif()
        endif()
    endforeach()
endfunction()

# bv_loadable(NAME MODULE symbol)   MODULE as lib/bv-NAME.so beside bin, loaded when it is first needed, so that a program does not
# start with libraries that it may not use. Exports the one symbol; what MODULE uses is linked into it and stays hidden.
function(bv_loadable name module symbol)
    set(target loadable-${name})
    set(map ${CMAKE_CURRENT_BINARY_DIR}/${target}.map)
    set(empty ${CMAKE_CURRENT_BINARY_DIR}/${target}.c)
    file(CONFIGURE OUTPUT ${map} CONTENT "{ global: ${symbol}; local: *; };\n")
    file(CONFIGURE OUTPUT ${empty} CONTENT "typedef int ${symbol}_is_elsewhere;\n")
    _bv_position_independent(${module})
    get_target_property(layer ${module} BV_LAYER)
    add_library(${target} MODULE ${empty})
    set_target_properties(${target} PROPERTIES BV_LAYER ${layer} PREFIX "" OUTPUT_NAME bv-${name} LINK_DEPENDS ${map}
        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
    target_link_libraries(${target} PRIVATE ${module})
    target_link_options(${target} PRIVATE -Wl,-u,${symbol} -Wl,--version-script=${map})
    if(NOT BV_SANITIZE) # the runtime of a sanitizer is in the program
        target_link_options(${target} PRIVATE -Wl,--no-undefined)
    endif()
endfunction()

# bv_embed(TARGET symbol FILE)   the bytes of FILE as `const struct bv_bytes symbol` (declare it extern), NUL-terminated after size,
#   and their SHA-256 in hexadecimal as `const char symbol_sha256[65]`.
function(bv_embed target symbol file)
    get_filename_component(path ${file} ABSOLUTE BASE_DIR ${CMAKE_SOURCE_DIR})
    set(out ${CMAKE_CURRENT_BINARY_DIR}/embed_${symbol}.c)
    add_custom_command(OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -DIN=${path} -DOUT=${out} -DSYMBOL=${symbol} -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
        DEPENDS ${path} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake VERBATIM)
    target_sources(${target} PRIVATE ${out})
    set_source_files_properties(${out} PROPERTIES COMPILE_OPTIONS "-w")
endfunction()

# bv_proto(NAME file.proto…)   protobuf-c messages of contracts/proto as a library of their own, warnings off.
function(bv_proto name)
    set(out ${CMAKE_BINARY_DIR}/generated/proto)
    file(MAKE_DIRECTORY ${out})
    set(sources)
    foreach(proto IN LISTS ARGN)
        string(REGEX REPLACE "\\.proto$" "" stem ${proto})
        add_custom_command(OUTPUT ${out}/${stem}.pb-c.c ${out}/${stem}.pb-c.h
            COMMAND protoc-c --c_out=${out} -I ${CMAKE_SOURCE_DIR}/contracts/proto ${CMAKE_SOURCE_DIR}/contracts/proto/${proto}
            DEPENDS ${CMAKE_SOURCE_DIR}/contracts/proto/${proto} VERBATIM)
        list(APPEND sources ${out}/${stem}.pb-c.c)
    endforeach()
    add_library(${name} STATIC ${sources})
    set_target_properties(${name} PROPERTIES BV_LAYER 0)
    target_include_directories(${name} SYSTEM PUBLIC ${out})
    target_link_libraries(${name} PUBLIC PkgConfig::protobuf-c)
    target_compile_options(${name} PRIVATE -w)
endfunction()
