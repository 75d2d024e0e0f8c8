# SPDX-License-Identifier: MIT
# What the tests of the benches share: ${PROGRAM} is run, and what it prints is looked at.
cmake_minimum_required(VERSION 3.25)

function(run expected_code ret_output)
    execute_process(COMMAND ${PROGRAM} ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE output
                    ERROR_VARIABLE errors)
    if(NOT code STREQUAL expected_code)
        message(FATAL_ERROR "${PROGRAM} ${ARGN}: exit ${code}, expected ${expected_code}: ${errors}")
    endif()
    set(${ret_output} "${output}" PARENT_SCOPE)
endfunction()

# A reader of standard output that has no room: what was asked for is not there, so it is no success.
function(run_into_full_output)
    execute_process(COMMAND ${PROGRAM} ${ARGN} RESULT_VARIABLE code OUTPUT_FILE /dev/full
                    ERROR_VARIABLE errors)
    if(NOT code STREQUAL 1 OR NOT errors MATCHES "standard output: cannot write")
        message(FATAL_ERROR "${PROGRAM} ${ARGN} >/dev/full: exit ${code}, expected 1: ${errors}")
    endif()
endfunction()

function(expect actual expected what)
    if(NOT actual STREQUAL expected)
        message(FATAL_ERROR "${what} is '${actual}', expected '${expected}'")
    endif()
endfunction()
