/* SPDX-License-Identifier: MIT */
#include "core/member.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *replicas, uint32_t *ret_replicas, bool *ret_capped,
                 struct rf_error *err)
{
    struct rf_member member;
    int code = rf_member_from_tags("a", "web", "10.0.0.1:80", replicas, RF_MEMBER_ALIVE, &member,
                                   ret_capped, err);
    if (code == 0) {
        *ret_replicas = member.replicas;
    }
    return code;
}

static void tags_make_a_member_that_borrows_them(void **state)
{
    (void)state;
    struct rf_member member;
    bool capped = true;
    const char *id = "a";
    const char *group = "web";
    const char *addr = "10.0.0.1:80";
    assert_int_equal(
        rf_member_from_tags(id, group, addr, "7", RF_MEMBER_LEAVING, &member, &capped, NULL), 0);
    assert_ptr_equal(member.id, id);
    assert_ptr_equal(member.group, group);
    assert_ptr_equal(member.addr, addr);
    assert_int_equal(member.replicas, 7);
    assert_int_equal(member.state, RF_MEMBER_LEAVING);
    assert_false(capped);
}

static void replicas_absent_is_the_default_and_too_many_are_capped(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t replicas;
        bool is_capped;
    } cases[] = {
        {NULL, 1000, false},
        {"1", 1, false},
        {"007", 7, false},
        {"65535", 65535, false},
        {"65536", 65535, true},
        {"99999999", 65535, true},
        {"4294967297", 65535, true},
        {"18446744073709551617", 65535, true},
        {"655350000000000000000000000000000000000000000000000000000000000000", 65535, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t replicas = 0;
        bool capped = !cases[i].is_capped;
        assert_int_equal(parse(cases[i].text, &replicas, &capped, NULL), 0);
        assert_int_equal(replicas, cases[i].replicas);
        assert_int_equal(capped, cases[i].is_capped);
    }
}

static void replicas_that_are_no_number_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",   "-1", "+1",   "abc", "1e3", "1.5",
                                        " 1", "1 ", "0x10", "1\n", "٣"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint32_t replicas = 12345;
        bool capped = true;
        struct rf_error err = {0};
        assert_int_equal(parse(texts[i], &replicas, &capped, &err), -EINVAL);
        assert_int_equal(replicas, 12345);
        assert_true(capped); /* out-parameters stay untouched on failure */
        assert_int_equal(err.code, -EINVAL);
    }
    struct rf_error err = {0};
    uint32_t replicas;
    assert_int_equal(parse("abc", &replicas, NULL, &err), -EINVAL);
    assert_string_equal(err.text, "member 'a': replicas 'abc': a number from 0 to 65535 expected");
}

static void who_has_no_weight_drains_unless_it_is_gone(void **state)
{
    (void)state;
    static const enum rf_member_state said_and_made[][2] = {
        {RF_MEMBER_ALIVE, RF_MEMBER_DRAINING},
        {RF_MEMBER_LEAVING, RF_MEMBER_DRAINING},
        {RF_MEMBER_LEFT, RF_MEMBER_LEFT},
        {RF_MEMBER_FAILED, RF_MEMBER_FAILED},
    };
    for (size_t i = 0; i < 4; i++) {
        struct rf_member member;
        assert_int_equal(rf_member_from_tags("a", "web", "h:1", i % 2 == 0 ? "0" : "000",
                                             said_and_made[i][0], &member, NULL, NULL),
                         0);
        assert_int_equal(member.replicas, 0);
        assert_int_equal(member.state, said_and_made[i][1]);
        assert_int_equal(rf_member_check(&member, NULL), 0);
    }
}

static void a_node_without_group_is_no_service_and_no_fault(void **state)
{
    (void)state;
    struct rf_member member;
    assert_int_equal(
        rf_member_from_tags("a", NULL, NULL, "abc", RF_MEMBER_ALIVE, &member, NULL, NULL), -ENOENT);
}

static void names_are_refused_when_absent_empty_too_long_or_with_control_characters(void **state)
{
    (void)state;
    char longest[RF_NAME_SIZE_MAX + 1];
    char longer[RF_NAME_SIZE_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    memset(longer, 'x', sizeof(longer));
    longest[RF_NAME_SIZE_MAX] = '\0';
    longer[RF_NAME_SIZE_MAX + 1] = '\0';
    const char *const bad[] = {"", longer, "a\nb", "\x01", "tab\there", "\x7f"};
    struct rf_member member;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (int field = 0; field < 3; field++) {
            const char *names[3] = {"a", "web", "10.0.0.1:80"};
            struct rf_error err = {0};
            names[field] = bad[i];
            assert_int_equal(rf_member_from_tags(names[0], names[1], names[2], NULL,
                                                 RF_MEMBER_ALIVE, &member, NULL, &err),
                             -EINVAL);
            assert_null(strpbrk(err.text, "\n\t\x01\x7f"));
        }
    }
    assert_int_equal(
        rf_member_from_tags(longest, longest, longest, NULL, RF_MEMBER_ALIVE, &member, NULL, NULL),
        0);
    assert_int_equal(
        rf_member_from_tags("Zürich-1", "grün", "h:1", NULL, RF_MEMBER_ALIVE, &member, NULL, NULL),
        0);
    assert_int_equal(
        rf_member_from_tags("a", "web", NULL, NULL, RF_MEMBER_ALIVE, &member, NULL, NULL), -EINVAL);
    assert_int_equal(
        rf_member_from_tags(NULL, "web", "h:1", NULL, RF_MEMBER_ALIVE, &member, NULL, NULL),
        -EINVAL);
}

static void refusals_name_the_member_the_field_and_what_is_allowed(void **state)
{
    (void)state;
    struct rf_member member = {.id = "a\nb", .group = "g", .addr = "h:1", .replicas = 1};
    struct rf_error err = {0};
    assert_int_equal(rf_member_check(&member, &err), -EINVAL);
    assert_string_equal(err.text,
                        "member 'a\\x0ab': id 'a\\x0ab': control characters are not allowed");
    member.id = "a";
    member.group = "";
    assert_int_equal(rf_member_check(&member, &err), -EINVAL);
    assert_string_equal(err.text, "member 'a': group of 0 bytes, allowed 1..255");
    member.group = "g";
    member.replicas = 65536;
    assert_int_equal(rf_member_check(&member, &err), -EINVAL);
    assert_string_equal(err.text, "member 'a': replicas 65536: allowed 1..65535");
    member.replicas = 0;
    assert_int_equal(rf_member_check(&member, &err), -EINVAL);
    assert_string_equal(err.text, "member 'a': replicas 0: allowed 1..65535");
    member.replicas = 65535;
    assert_int_equal(rf_member_check(&member, NULL), 0);
}

static void every_state_has_a_name_and_three_are_in_the_ring(void **state)
{
    (void)state;
    static const char *const names[] = {"alive", "leaving",   "left",    "failed",
                                        "held",  "protected", "draining"};
    for (int i = 0; i < RF_MEMBER_STATES_COUNT; i++) {
        assert_string_equal(rf_member_state_name((enum rf_member_state)i), names[i]);
        assert_int_equal(rf_member_is_in_ring((enum rf_member_state)i), i < 2 || i == 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_make_a_member_that_borrows_them),
        cmocka_unit_test(replicas_absent_is_the_default_and_too_many_are_capped),
        cmocka_unit_test(replicas_that_are_no_number_are_refused),
        cmocka_unit_test(who_has_no_weight_drains_unless_it_is_gone),
        cmocka_unit_test(a_node_without_group_is_no_service_and_no_fault),
        cmocka_unit_test(names_are_refused_when_absent_empty_too_long_or_with_control_characters),
        cmocka_unit_test(refusals_name_the_member_the_field_and_what_is_allowed),
        cmocka_unit_test(every_state_has_a_name_and_three_are_in_the_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
