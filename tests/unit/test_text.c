/* SPDX-License-Identifier: MIT */
#include "core/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void texts_without_control_characters_are_clean(void **state)
{
    (void)state;
    assert_true(rf_text_is_clean(""));
    assert_true(rf_text_is_clean(" ~Zürich'\\"));
    assert_false(rf_text_is_clean("a\n"));
    assert_false(rf_text_is_clean("\x1f"));
    assert_false(rf_text_is_clean("\x7f"));
}

static void quotes_cannot_be_broken_out_of(void **state)
{
    (void)state;
    char quoted[RF_QUOTE_SIZE];
    assert_string_equal(rf_text_quote(NULL, quoted), "(none)");
    assert_string_equal(rf_text_quote("", quoted), "''");
    assert_string_equal(rf_text_quote("web", quoted), "'web'");
    assert_string_equal(rf_text_quote("a'b\\c\n", quoted), "'a\\x27b\\x5cc\\x0a'");
}

static void quotes_of_any_length_fit_and_end_in_dots_if_cut(void **state)
{
    (void)state;
    char text[3 * RF_QUOTE_SIZE];
    char quoted[RF_QUOTE_SIZE];
    for (size_t size = 0; size < sizeof(text); size++) {
        for (int kind = 0; kind < 2; kind++) {
            memset(text, kind == 0 ? 'x' : '\n', size);
            text[size] = '\0';
            const size_t used = strlen(rf_text_quote(text, quoted));
            const size_t shown = kind == 0 ? size : 4 * size;
            assert_true(used < RF_QUOTE_SIZE);
            assert_true(used == shown + 2 || strcmp(quoted + used - 4, "...'") == 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_without_control_characters_are_clean),
        cmocka_unit_test(quotes_cannot_be_broken_out_of),
        cmocka_unit_test(quotes_of_any_length_fit_and_end_in_dots_if_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
