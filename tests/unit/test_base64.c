/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "core/base64.h"

/* RFC 4648, section 10. */
static const struct {
    const char *plain;
    const char *text;
} vectors[] = {{"", ""},
               {"f", "Zg=="},
               {"fo", "Zm8="},
               {"foo", "Zm9v"},
               {"foob", "Zm9vYg=="},
               {"fooba", "Zm9vYmE="},
               {"foobar", "Zm9vYmFy"}};

static void the_vectors_of_the_rfc_go_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char text[16];
        char plain[16];
        size_t size = strlen(vectors[i].plain);
        rf_base64_encode(vectors[i].plain, size, text);
        assert_string_equal(text, vectors[i].text);
        assert_int_equal(RF_BASE64_SIZE(size), strlen(text));
        assert_int_equal(rf_base64_decode(text, strlen(text), plain, sizeof(plain)), size);
        assert_memory_equal(plain, vectors[i].plain, size);
    }
}

static void every_byte_at_every_place_survives(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t size = 1; size <= 6; size++) {
            uint8_t data[6];
            uint8_t again[6];
            char text[RF_BASE64_SIZE(6) + 1];
            memset(data, (int)byte, sizeof(data));
            data[size - 1] = (uint8_t)~byte;
            rf_base64_encode(data, size, text);
            assert_int_equal(rf_base64_decode(text, strlen(text), again, sizeof(again)), size);
            assert_memory_equal(data, again, size);
        }
    }
}

static void what_is_no_base64_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"Z",    "Zg",   "Zg=",  "Z===",  "====",     "=Zm9",
                                        "Zm=v", "Zm9-", "Zm 9", "Zm9\n", "Zg==Zg==", "Zm9vZm9"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint8_t data[16];
        assert_int_equal(rf_base64_decode(texts[i], strlen(texts[i]), data, sizeof(data)), -EINVAL);
    }
}

static void what_does_not_fit_is_not_written(void **state)
{
    (void)state;
    char data[3] = "xyz";
    assert_int_equal(rf_base64_decode("Zm9vYmFy", 8, data, 3), -ENOBUFS);
    assert_memory_equal(data, "xyz", 3);
    assert_int_equal(rf_base64_decode("Zm9v", 4, data, 3), 3);
    assert_memory_equal(data, "foo", 3);
}

static void bits_that_padding_leaves_over_do_not_matter(void **state)
{
    (void)state;
    char data[2];
    assert_int_equal(rf_base64_decode("Zh==", 4, data, sizeof(data)), 1);
    assert_int_equal(data[0], 'f');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_rfc_go_both_ways),
        cmocka_unit_test(every_byte_at_every_place_survives),
        cmocka_unit_test(what_is_no_base64_is_refused),
        cmocka_unit_test(what_does_not_fit_is_not_written),
        cmocka_unit_test(bits_that_padding_leaves_over_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
