# SPDX-License-Identifier: MIT
# Holds the reports of a real measurement, of `regbench ceiling` for half a second, to their
# form. Speeds are not looked at: a test machine is busy. The library's own tests know the figures.
include(${CMAKE_CURRENT_LIST_DIR}/testing.cmake)

set(load ceiling --io epoll --connections 2 --depth 4 --duration 0.5 --warmup 0 --cpu none
    --server-cpu none)

run(0 json ${load} --json --plot ${PICTURE})
string(JSON count LENGTH "${json}" results)
expect("${count}" 1 "number of results")
foreach(pair "name;ceiling" "engine;epoll" "client_engine;epoll" "connections;2" "depth;4"
             "threads;1" "errors;0")
    list(GET pair 0 field)
    list(GET pair 1 expected)
    string(JSON value GET "${json}" results 0 ${field})
    expect("${value}" "${expected}" "results[0].${field}")
endforeach()
foreach(field requests_per_second p50_us p99_us p999_us max_us)
    string(JSON type TYPE "${json}" results 0 ${field})
    expect("${type}" NUMBER "type of ${field}")
    string(JSON value GET "${json}" results 0 ${field})
    if(NOT value GREATER 0)
        message(FATAL_ERROR "${field} is ${value}, expected more than 0")
    endif()
endforeach()
string(JSON command GET "${json}" command)
if(NOT command MATCHES "^regbench ceiling --io epoll .* --json --plot ")
    message(FATAL_ERROR "the command is '${command}'")
endif()
string(JSON cores GET "${json}" environment cores_usable)
if(NOT cores GREATER 0)
    message(FATAL_ERROR "environment.cores_usable is '${cores}'")
endif()

file(READ ${PICTURE} svg)
foreach(part "^<svg " "Throughput: 2 connections<" "Latency: 2 x 4 in flight<" "</svg>\n$")
    if(NOT svg MATCHES "${part}")
        message(FATAL_ERROR "no '${part}' in the picture")
    endif()
endforeach()

run(0 csv ${load} --csv)
if(NOT csv MATCHES "^name,engine,connections,[^\n]*\nceiling,epoll,2,4,1,[^\n]*\n$")
    message(FATAL_ERROR "not a line of names and one of figures:\n${csv}")
endif()

run(0 table ${load})
foreach(part "\nmachine  " "\nbuild    " "\npinning  none\n" "\nload     "
             "\nceiling +epoll +epoll +2 x 4 +1 +[0-9 ]+ +- ")
    if(NOT table MATCHES "${part}")
        message(FATAL_ERROR "no '${part}' in:\n${table}")
    endif()
endforeach()
