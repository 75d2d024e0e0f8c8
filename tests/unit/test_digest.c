/* SPDX-License-Identifier: MIT */
#include "core/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include <cmocka.h>

static struct rf_member member_of(const char *group, const char *id, const char *addr,
                                  uint32_t replicas)
{
    return (struct rf_member){.id = id, .group = group, .addr = addr, .replicas = replicas};
}

/* The table of core/CATALOG.md. */
static void digests_are_those_of_the_document(void **state)
{
    (void)state;
    const struct rf_member a = member_of("web", "a", "10.0.0.1:80", 1000);
    const struct rf_member b = member_of("web", "b", "10.0.0.2:80", 65535);
    const struct rf_member c = member_of("grün", "c", "[::1]:443", 1);
    char line[512];
    (void)snprintf(
        line, sizeof(line), "%016llx %016llx %016llx %016llx %016llx %016llx %016llx",
        (unsigned long long)rf_digest_member(&a), (unsigned long long)rf_digest_member(&b),
        (unsigned long long)rf_digest_member(&c),
        (unsigned long long)(rf_digest_member(&a) + rf_digest_member(&b)),
        (unsigned long long)rf_digest_catalog(RF_PLACEMENT_V1, 0),
        (unsigned long long)rf_digest_catalog(
            RF_PLACEMENT_V1, rf_digest_member(&a) + rf_digest_member(&b) + rf_digest_member(&c)),
        (unsigned long long)rf_digest_catalog(RF_PLACEMENT_CRC32, rf_digest_member(&a) +
                                                                      rf_digest_member(&b) +
                                                                      rf_digest_member(&c)));
    assert_string_equal(line, "c4244781227e1089 0cac03180d6a65de 56019e96c5f15479 d0d04a992fe87667 "
                              "0d79334a5f2be7ad 1e19b1772ea1e11e 714c4fdadcb3162f");
}

static void a_digest_is_the_hash_of_the_bytes_that_the_document_names(void **state)
{
    (void)state;
    static const char member_bytes[] = "\x03"
                                       "web"
                                       "\x01"
                                       "a"
                                       "\x0b"
                                       "10.0.0.1:80"
                                       "\xe8\x03\x00\x00";
    const struct rf_member member = member_of("web", "a", "10.0.0.1:80", 1000);
    assert_int_equal(rf_digest_member(&member),
                     XXH3_64bits(member_bytes, sizeof(member_bytes) - 1));
    static const char catalog_bytes[] = "\x88\x77\x66\x55\x44\x33\x22\x11"
                                        "\x02v1";
    assert_int_equal(rf_digest_catalog(RF_PLACEMENT_V1, 0x1122334455667788),
                     XXH3_64bits(catalog_bytes, sizeof(catalog_bytes) - 1));
}

static void every_field_counts_and_none_runs_into_the_next(void **state)
{
    (void)state;
    const struct rf_member members[] = {
        member_of("web", "a", "h:1", 1),   member_of("wea", "a", "h:1", 1),
        member_of("web", "b", "h:1", 1),   member_of("web", "a", "h:2", 1),
        member_of("web", "a", "h:1", 2),   member_of("we", "ba", "h:1", 1),
        member_of("web", "ah", ":1", 1),   member_of("a", "web", "h:1", 1),
        member_of("web", "a", "h:1", 256),
    };
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(rf_digest_member(&members[i]), rf_digest_member(&members[j]));
        }
    }
    struct rf_member leaving = members[0];
    leaving.state = RF_MEMBER_LEAVING;
    assert_int_equal(rf_digest_member(&leaving), rf_digest_member(&members[0]));
}

static void the_longest_names_are_digested(void **state)
{
    (void)state;
    char longest[RF_NAME_SIZE_MAX + 1];
    memset(longest, 'x', RF_NAME_SIZE_MAX);
    longest[RF_NAME_SIZE_MAX] = '\0';
    const struct rf_member member = member_of(longest, longest, longest, RF_REPLICAS_MAX);
    assert_int_not_equal(rf_digest_member(&member), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_those_of_the_document),
        cmocka_unit_test(a_digest_is_the_hash_of_the_bytes_that_the_document_names),
        cmocka_unit_test(every_field_counts_and_none_runs_into_the_next),
        cmocka_unit_test(the_longest_names_are_digested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
