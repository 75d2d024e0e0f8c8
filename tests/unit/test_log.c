/* SPDX-License-Identifier: MIT */
#include "core/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void keep_line(void *context, enum rf_log_level level, const char *line)
{
    (void)level;
    (void)snprintf(context, 64, "%s", line);
}

static void log_lines_stay_one_line_whatever_is_in_them(void **state)
{
    (void)state;
    char kept[64] = "";
    const struct rf_log log = {.level_max = RF_LOG_INFO, .write = keep_line, .context = kept};
    rf_log(&log, RF_LOG_INFO, "joined seed=%s", "x\n2026 error \x1b[2J\x7f forged");
    assert_string_equal(kept, "joined seed=x?2026 error ?[2J? forged");
}

static void log_lines_above_the_level_are_not_written(void **state)
{
    (void)state;
    char kept[64] = "nothing";
    const struct rf_log log = {.level_max = RF_LOG_WARN, .write = keep_line, .context = kept};
    rf_log(&log, RF_LOG_INFO, "joined");
    assert_string_equal(kept, "nothing");
    rf_log(&log, RF_LOG_WARN, "alone");
    assert_string_equal(kept, "alone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_lines_stay_one_line_whatever_is_in_them),
        cmocka_unit_test(log_lines_above_the_level_are_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
