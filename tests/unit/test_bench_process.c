/* SPDX-License-Identifier: MIT */
#include "bench/process.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct rf_bench_process start_shell(char *script)
{
    char shell[] = "sh";
    char option[] = "-c";
    char *argv[] = {shell, option, script, NULL};
    struct rf_bench_process process;
    struct rf_error err;
    assert_int_equal(rf_bench_process_start(&process, argv, RF_BENCH_NO_CPU, &err), 0);
    return process;
}

static void lines_written_at_once_are_all_there(void **state)
{
    (void)state;
    enum { WRITERS = 3, LINES = 9000, LINE_SIZE = sizeof("1000 of 1\n") - 1 };
    char script[] = "write() { i=1000; while [ $i -lt 10000 ]; do echo $i of $1; i=$((i+1)); done; "
                    "}; write 1 & write 2 & write 3 & wait";
    struct rf_bench_process process = start_shell(script);
    struct rf_error err;
    struct stat log;
    char value[8];
    int code = rf_bench_process_wait_value(&process, "never", value, sizeof(value), &err);
    assert_int_equal(code, -ECHILD);
    assert_int_equal(fstat(process.log_fd, &log), 0);
    assert_int_equal(log.st_size, WRITERS * LINES * LINE_SIZE);
    rf_bench_process_stop(&process);
}

static void a_value_is_of_a_whole_word(void **state)
{
    (void)state;
    char script[] = "echo 'transport=1 port=24 name='; exec sleep 60";
    struct rf_bench_process process = start_shell(script);
    struct rf_error err;
    char value[8];
    assert_int_equal(rf_bench_process_wait_value(&process, "port", value, sizeof(value), &err), 0);
    assert_string_equal(value, "24");
    assert_int_equal(rf_bench_process_wait_value(&process, "name", value, sizeof(value), &err), 0);
    assert_string_equal(value, "");
    rf_bench_process_stop(&process);
    assert_int_equal(process.log_fd, -1);
}

static void what_has_ended_says_its_last_line(void **state)
{
    (void)state;
    char script[] = "echo first; echo 'no such luck'";
    struct rf_bench_process process = start_shell(script);
    struct rf_error err;
    char value[8];
    int code = rf_bench_process_wait_value(&process, "port", value, sizeof(value), &err);
    assert_int_equal(code, -ECHILD);
    assert_string_equal(err.text, "it has ended: no such luck");
    rf_bench_process_stop(&process);
}

static void a_program_that_is_not_there_is_named(void **state)
{
    (void)state;
    char missing[] = "./no-such-program";
    char *argv[] = {missing, NULL};
    struct rf_bench_process process;
    struct rf_error err;
    char value[8];
    assert_int_equal(rf_bench_process_start(&process, argv, RF_BENCH_NO_CPU, &err), 0);
    int code = rf_bench_process_wait_value(&process, "port", value, sizeof(value), &err);
    assert_int_equal(code, -ECHILD);
    assert_string_equal(err.text, "it has ended: ./no-such-program: No such file or directory");
    rf_bench_process_stop(&process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_written_at_once_are_all_there),
        cmocka_unit_test(a_value_is_of_a_whole_word),
        cmocka_unit_test(what_has_ended_says_its_last_line),
        cmocka_unit_test(a_program_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
