/* SPDX-License-Identifier: MIT */
#include "core/error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void error_prefixes_read_from_the_outside_in(void **state)
{
    (void)state;
    struct rf_error err = {0};
    assert_int_equal(rf_error_set(&err, -EINVAL, "replicas '%s': not a number", "abc"), -EINVAL);
    assert_int_equal(rf_error_prefix(&err, -EINVAL, "member '%s'", "a"), -EINVAL);
    assert_string_equal(err.text, "member 'a': replicas 'abc': not a number");
    assert_int_equal(err.code, -EINVAL);
}

static void error_texts_are_cut_not_overrun(void **state)
{
    (void)state;
    struct rf_error err = {0};
    char text[2 * RF_ERROR_TEXT_SIZE];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(rf_error_set(&err, RF_ELIMIT, "%s", text), RF_ELIMIT);
    assert_int_equal(strlen(err.text), RF_ERROR_TEXT_SIZE - 1);
    assert_int_equal(rf_error_prefix(&err, RF_ELIMIT, "%s", text), RF_ELIMIT);
    assert_int_equal(strlen(err.text), RF_ERROR_TEXT_SIZE - 1);
}

static void error_may_be_null_and_every_code_has_a_text(void **state)
{
    (void)state;
    assert_int_equal(rf_error_set(NULL, -ENOMEM, "ring of %d points", 1), -ENOMEM);
    assert_int_equal(rf_error_prefix(NULL, -ENOMEM, "group"), -ENOMEM);
    for (int code = RF_EMALFORMED; code >= RF_EUNSUPPORTED; code--) {
        assert_string_not_equal(rf_strerror(code), "unknown error");
    }
    assert_string_equal(rf_strerror(-EINVAL), "Invalid argument");
    assert_string_equal(rf_strerror(-4999), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_prefixes_read_from_the_outside_in),
        cmocka_unit_test(error_texts_are_cut_not_overrun),
        cmocka_unit_test(error_may_be_null_and_every_code_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
