/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/entries.h"

/* "[a][b]", or the error's text. */
static const char *trace(const char *list)
{
    static char text[256];
    struct rf_error err = {0};
    struct rf_entries entries = rf_entries(list);
    const char *entry;
    size_t size;
    int code;
    text[0] = '\0';
    while ((code = rf_entries_next(&entries, &entry, &size, &err)) == 1) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "[%.*s]", (int)size, entry);
    }
    if (code < 0) {
        assert_int_equal(code, -EINVAL);
        return strcpy(text, err.text);
    }
    assert_int_equal(rf_entries_next(&entries, &entry, &size, &err), 0); /* again */
    return text;
}

static void entries_are_taken_one_after_the_other_without_their_spaces(void **state)
{
    (void)state;
    assert_string_equal(trace("a:1"), "[a:1]");
    assert_string_equal(trace("a:1,b:2"), "[a:1][b:2]");
    assert_string_equal(trace("  a:1 ,  b c ,d"), "[a:1][b c][d]");
}

static void entries_that_are_empty_are_refused_with_their_place(void **state)
{
    (void)state;
    assert_string_equal(trace(""), "entry 1 of '' is empty");
    assert_string_equal(trace("a:1,,b:2"), "entry 2 of 'a:1,,b:2' is empty");
    assert_string_equal(trace("a:1,  "), "entry 2 of 'a:1,  ' is empty");
    assert_string_equal(trace(",a:1"), "entry 1 of ',a:1' is empty");
    assert_string_equal(trace(" , "), "entry 1 of ' , ' is empty");
}

static void entries_are_cut_in_place(void **state)
{
    (void)state;
    const char *entries[2] = {"before", "before"};
    struct rf_error err = {0};
    char one[] = "a:1 ";
    char two[] = " a:1 , b:2 ";
    char three[] = "a:1,b:2,c:3";
    char empty[] = "a:1,";
    assert_int_equal(rf_entries_split(one, 2, entries, &err), 1);
    assert_string_equal(entries[0], "a:1");
    assert_string_equal(entries[1], "before");
    assert_int_equal(rf_entries_split(two, 2, entries, &err), 2);
    assert_string_equal(entries[0], "a:1");
    assert_string_equal(entries[1], "b:2");
    assert_int_equal(rf_entries_split(three, 2, entries, &err), RF_ELIMIT);
    assert_string_equal(err.text, "more than 2 entries");
    assert_int_equal(rf_entries_split(empty, 2, entries, &err), -EINVAL);
    assert_string_equal(err.text, "entry 2 of 'a:1,' is empty");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_taken_one_after_the_other_without_their_spaces),
        cmocka_unit_test(entries_that_are_empty_are_refused_with_their_place),
        cmocka_unit_test(entries_are_cut_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
