# SPDX-License-Identifier: MIT
# Holds `localbench --quick` to its output's form, to its exit codes, and to what does not depend on
# speed: the library agrees with the ring (it exits 1 itself if not), is a shared one, and makes no
# system call and no allocation. Speeds are not looked at: a test machine is busy.
include(${CMAKE_CURRENT_LIST_DIR}/testing.cmake)

run(2 output --no-such-option)
run(2 output surplus)
run(0 output --help)
run(0 output --version)
run_into_full_output(--help)
run(0 table --quick)
foreach(case call bare local "bare batch" "local many")
    if(NOT table MATCHES "\n100 x 100 +${case} +1 ")
        message(FATAL_ERROR "no row '${case}' in:\n${table}")
    endif()
endforeach()
if(NOT table MATCHES "\n100 x 100 +local +2 +20 ")
    message(FATAL_ERROR "no row of two threads in:\n${table}")
endif()

run(0 json --quick --json)
string(JSON library GET "${json}" library)
if(NOT library MATCHES "\\.so")
    message(FATAL_ERROR "the library is '${library}'")
endif()
string(JSON count LENGTH "${json}" results 0 cases)
expect("${count}" 9 "number of cases")
string(JSON updates GET "${json}" results 0 updates)
if(updates LESS 1)
    message(FATAL_ERROR "no updates came while it ran")
endif()
foreach(field system_calls allocations)
    string(JSON type TYPE "${json}" results 0 ${field})
    if(NOT type STREQUAL "NULL") # counted
        string(JSON value GET "${json}" results 0 ${field})
        expect("${value}" 0 "${field}")
    endif()
endforeach()
