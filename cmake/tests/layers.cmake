# Configuring must stop on an upward, a sideways and a harness → service link, with a message that names both modules.
# Usage: cmake -DSOURCE=<root of the project> -DWORK=<folder> -P layers.cmake
cmake_minimum_required(VERSION 3.23)
set(cases
    "upward|bv_module(low LAYER 1 SOURCES a.c)\nbv_module(high LAYER 2 SOURCES a.c)\nbv_module(wrong LAYER 1 USES high SOURCES a.c)|wrong \\(layer 1\\) may not use high \\(layer 2\\)"
    "sideways|bv_module(one LAYER 3 SOURCES a.c)\nbv_module(wrong LAYER 3 USES one SOURCES a.c)|wrong \\(layer 3\\) may not use one \\(layer 3\\)"
    "harness|bv_module(service LAYER 30 SOURCES a.c)\nbv_module(wrong LAYER 40 USES service SOURCES a.c)|harness speaks to services over the wire"
    "unknown|bv_module(wrong LAYER 3 USES nobody SOURCES a.c)|no module of that name"
    "fine|bv_module(low LAYER 1 SOURCES a.c)\nbv_module(high LAYER 2 USES low SOURCES a.c)|-")
foreach(case IN LISTS cases)
    string(REPLACE "|" ";" parts "${case}")
    list(GET parts 0 name)
    list(GET parts 1 body)
    list(GET parts 2 expected)
    set(folder ${WORK}/${name})
    file(MAKE_DIRECTORY ${folder})
    file(WRITE ${folder}/a.c "int a;\n")
    file(WRITE ${folder}/CMakeLists.txt "cmake_minimum_required(VERSION 3.23)\nproject(case C)\ninclude(${SOURCE}/cmake/BvModule.cmake)\n${body}\n")
    execute_process(COMMAND ${CMAKE_COMMAND} -S ${folder} -B ${folder}/build RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE text)
    string(REGEX REPLACE "[ \n]+" " " text "${text}")
    if(expected STREQUAL "-" AND NOT status EQUAL 0)
        message(FATAL_ERROR "${name}: should configure, but: ${text}")
    elseif(NOT expected STREQUAL "-" AND (status EQUAL 0 OR NOT text MATCHES "${expected}"))
        message(FATAL_ERROR "${name}: should stop with \"${expected}\", status ${status}: ${text}")
    endif()
endforeach()
