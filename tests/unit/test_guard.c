/* SPDX-License-Identifier: MIT
 *
 * test_guard.c - who stays in a ring, and who stays out. RF_GUARD_SEED=<n> runs the random tests
 * with that seed instead of the list below.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/guard.h"
#include "core/random.h"

#define S UINT64_C(1000000000)

enum { MEMBERS_MAX = 64 };

static struct rf_guard *guard;
static uint64_t now_ns;
static enum rf_member_state states[MEMBERS_MAX]; /* as the roster would have them */

static const struct rf_guard_config defaults = {.flap_hold_ns = RF_GUARD_FLAP_HOLD_NS,
                                                .protect_ratio = RF_GUARD_PROTECT_RATIO,
                                                .protect_min = RF_GUARD_PROTECT_MIN};

static void begin(const struct rf_guard_config *config)
{
    now_ns = S;
    memset(states, 0xff, sizeof(states));
    assert_int_equal(rf_guard_new(config, &guard, NULL), 0);
}

static void end(void)
{
    rf_guard_free(guard);
    guard = NULL;
}

static void take_changes(void)
{
    const char *id;
    enum rf_member_state state;
    while (rf_guard_next(guard, &id, &state)) {
        states[atoi(id)] = state;
    }
    rf_guard_check(guard);
}

static enum rf_member_state say_in(const char *group, int index, enum rf_member_state state)
{
    char id[16];
    (void)snprintf(id, sizeof(id), "%d", index);
    assert_int_equal(rf_guard_put(guard, now_ns, id, group, state, &states[index]), 0);
    take_changes();
    return states[index];
}

static enum rf_member_state say(int index, enum rf_member_state state)
{
    return say_in("web", index, state);
}

static void forget(int index)
{
    char id[16];
    (void)snprintf(id, sizeof(id), "%d", index);
    rf_guard_forget(guard, now_ns, id);
    states[index] = (enum rf_member_state) - 1;
    take_changes();
}

/* As the publisher does: ticks when something is due. */
static void pass(uint64_t duration_ns)
{
    uint64_t until_ns = now_ns + duration_ns;
    while (rf_guard_deadline_ns(guard) <= until_ns) {
        now_ns = rf_guard_deadline_ns(guard) > now_ns ? rf_guard_deadline_ns(guard) : now_ns;
        rf_guard_tick(guard, now_ns);
        take_changes();
    }
    now_ns = until_ns;
}

static void all_alive(int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(say(i, RF_MEMBER_ALIVE), RF_MEMBER_ALIVE);
    }
}

static struct rf_guard_stats stats(void)
{
    struct rf_guard_stats result;
    rf_guard_get_stats(guard, &result);
    return result;
}

/* ---- flap hold ---- */

static void a_failure_is_out_and_its_return_is_held_for_a_minute(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(4);
    assert_int_equal(say(1, RF_MEMBER_FAILED), RF_MEMBER_FAILED);
    pass(20 * S);
    assert_int_equal(say(1, RF_MEMBER_ALIVE), RF_MEMBER_HELD);
    assert_int_equal(stats().members_held, 1);
    pass(60 * S - 1);
    assert_int_equal(states[1], RF_MEMBER_HELD);
    pass(1);
    assert_int_equal(states[1], RF_MEMBER_ALIVE);
    assert_int_equal(stats().members_held, 0);
    assert_int_equal(stats().returns_held, 1);
    end();
}

static void a_member_that_flaps_fast_moves_its_keys_once(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(4);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(say(1, RF_MEMBER_FAILED), RF_MEMBER_FAILED);
        pass(20 * S);
        assert_int_equal(say(1, RF_MEMBER_ALIVE), RF_MEMBER_HELD);
        pass(20 * S);
    }
    pass(40 * S);
    assert_int_equal(states[1], RF_MEMBER_ALIVE);
    end();
}

static void a_third_change_of_a_ring_waits_until_the_hold_time_is_over(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(4);
    uint64_t first_ns = now_ns;
    say(1, RF_MEMBER_FAILED); /* the first: having joined does not count */
    pass(10 * S);
    say(1, RF_MEMBER_ALIVE);
    pass(60 * S); /* the second */
    assert_int_equal(states[1], RF_MEMBER_ALIVE);
    pass(30 * S);
    assert_int_equal(say(1, RF_MEMBER_FAILED), RF_MEMBER_PROTECTED);
    assert_int_equal(stats().members_protected, 1);
    assert_int_equal(stats().groups_protected, 0);
    pass(first_ns + 600 * S - now_ns - 1);
    assert_int_equal(states[1], RF_MEMBER_PROTECTED);
    pass(1);
    assert_int_equal(states[1], RF_MEMBER_FAILED);
    end();
}

static void a_member_that_joins_and_fails_at_once_is_out(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(4);
    assert_int_equal(say(1, RF_MEMBER_FAILED), RF_MEMBER_FAILED);
    end();
}

static void graceful_leaves_and_returns_count_at_once(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(4);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(say(1, RF_MEMBER_LEAVING), RF_MEMBER_LEAVING);
        assert_int_equal(say(1, RF_MEMBER_LEFT), RF_MEMBER_LEFT);
        pass(S);
        assert_int_equal(say(1, RF_MEMBER_ALIVE), RF_MEMBER_ALIVE);
        pass(S);
    }
    say(2, RF_MEMBER_FAILED);
    assert_int_equal(say(2, RF_MEMBER_ALIVE), RF_MEMBER_HELD);
    assert_int_equal(say(2, RF_MEMBER_LEFT), RF_MEMBER_LEFT); /* and not held any more */
    assert_int_equal(stats().members_held, 0);
    pass(60 * S);
    assert_int_equal(rf_guard_deadline_ns(guard), UINT64_MAX);
    end();
}

static void draining_and_its_end_count_at_once(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(4);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(say(1, RF_MEMBER_DRAINING), RF_MEMBER_DRAINING);
        pass(S);
        assert_int_equal(say(1, RF_MEMBER_ALIVE), RF_MEMBER_ALIVE);
    }
    say(1, RF_MEMBER_DRAINING);
    assert_int_equal(say(1, RF_MEMBER_FAILED), RF_MEMBER_FAILED); /* moves no keys: no fault */
    assert_int_equal(say(1, RF_MEMBER_ALIVE), RF_MEMBER_ALIVE);
    say(2, RF_MEMBER_FAILED);
    assert_int_equal(say(2, RF_MEMBER_ALIVE), RF_MEMBER_HELD);
    assert_int_equal(say(2, RF_MEMBER_DRAINING), RF_MEMBER_DRAINING);
    assert_int_equal(stats().members_held, 0);
    end();
}

static void an_empty_ring_takes_whom_it_holds(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(2);
    for (int i = 0; i < 3; i++) { /* a lone member: there are no keys to move */
        say(1, RF_MEMBER_LEFT);
        assert_int_equal(say(0, RF_MEMBER_FAILED), RF_MEMBER_FAILED);
        assert_int_equal(say(0, RF_MEMBER_ALIVE), RF_MEMBER_ALIVE);
    }
    say(1, RF_MEMBER_ALIVE);
    say(1, RF_MEMBER_FAILED);
    pass(600 * S);
    assert_int_equal(say(1, RF_MEMBER_ALIVE), RF_MEMBER_HELD);
    say(0, RF_MEMBER_LEFT); /* the last one goes */
    assert_int_equal(states[1], RF_MEMBER_ALIVE);
    end();
}

/* Who is kept in a ring though he has failed is nobody to leave it to. */
static void a_ring_of_failed_members_takes_who_returns(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(2);
    say(0, RF_MEMBER_FAILED);
    pass(10 * S);
    say(0, RF_MEMBER_ALIVE);
    pass(70 * S);
    assert_int_equal(say(0, RF_MEMBER_FAILED), RF_MEMBER_PROTECTED); /* it has flapped */
    assert_int_equal(say(1, RF_MEMBER_FAILED), RF_MEMBER_FAILED);
    pass(10 * S);
    assert_int_equal(say(1, RF_MEMBER_ALIVE), RF_MEMBER_ALIVE);
    assert_int_equal(states[0], RF_MEMBER_PROTECTED);
    end();
}

static void a_protected_ring_takes_whom_it_holds_when_nobody_else_is_alive(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(10);
    say(9, RF_MEMBER_FAILED);
    pass(70 * S);
    assert_int_equal(say(9, RF_MEMBER_ALIVE), RF_MEMBER_HELD);
    for (int i = 0; i < 8; i++) {
        say(i, RF_MEMBER_FAILED);
        assert_int_equal(states[9], RF_MEMBER_HELD);
    }
    assert_int_equal(say(8, RF_MEMBER_FAILED), RF_MEMBER_PROTECTED);
    assert_int_equal(states[9], RF_MEMBER_ALIVE);
    assert_int_equal(stats().members_protected, 9);
    end();
}

static void without_flap_hold_rings_follow_gossip_at_once(void **state)
{
    (void)state;
    begin(&(struct rf_guard_config){.protect_min = 8});
    all_alive(10);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 10; i++) {
            assert_int_equal(say(i, RF_MEMBER_FAILED), RF_MEMBER_FAILED);
        }
        all_alive(10);
    }
    assert_int_equal(rf_guard_deadline_ns(guard), UINT64_MAX);
    end();
}

/* ---- protect ---- */

static void more_than_half_failing_within_a_minute_keeps_the_ring(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(10);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(say(i, RF_MEMBER_FAILED), RF_MEMBER_FAILED);
        pass(10 * S);
    }
    assert_int_equal(say(5, RF_MEMBER_FAILED), RF_MEMBER_PROTECTED);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(states[i], RF_MEMBER_PROTECTED); /* the first five are put back */
    }
    assert_int_equal(stats().groups_protected, 1);
    assert_int_equal(stats().protections, 1);
    assert_int_equal(say(6, RF_MEMBER_FAILED), RF_MEMBER_PROTECTED); /* more of the same */
    for (int i = 0; i < 7; i++) {
        assert_int_equal(say(i, RF_MEMBER_ALIVE), RF_MEMBER_ALIVE); /* no change of the ring */
    }
    assert_int_equal(stats().groups_protected, 0);
    assert_int_equal(stats().members_protected, 0);
    end();
}

static void half_of_a_group_or_a_small_group_is_not_protected(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(10);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(say(i, RF_MEMBER_FAILED), RF_MEMBER_FAILED);
    }
    end();
    begin(&defaults);
    all_alive(7);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(say(i, RF_MEMBER_FAILED), RF_MEMBER_FAILED);
    }
    assert_int_equal(stats().protections, 0);
    end();
}

static void failures_over_more_than_a_minute_do_not_add_up(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(20);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(say(i, RF_MEMBER_FAILED), RF_MEMBER_FAILED);
        pass(21 * S); /* three in a minute, and at the end three of few */
    }
    assert_int_equal(stats().protections, 0);
    end();
}

static void leaving_a_protected_group_counts_at_once(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(10);
    for (int i = 0; i < 6; i++) {
        say(i, RF_MEMBER_FAILED);
    }
    assert_int_equal(say(9, RF_MEMBER_LEFT), RF_MEMBER_LEFT);
    assert_int_equal(say(0, RF_MEMBER_LEFT), RF_MEMBER_LEFT); /* as regctl forget says */
    forget(1);
    assert_int_equal(stats().members_protected, 4);
    for (int i = 2; i < 6; i++) {
        assert_int_equal(stats().groups_protected, 1);
        say(i, RF_MEMBER_LEFT);
    }
    assert_int_equal(stats().groups_protected, 0);
    pass(3600 * S);
    assert_int_equal(rf_guard_deadline_ns(guard), UINT64_MAX);
    end();
}

static void protection_ends_after_an_hour(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(10);
    for (int i = 0; i < 6; i++) {
        say(i, RF_MEMBER_FAILED);
    }
    pass(3600 * S - 1);
    assert_int_equal(stats().members_protected, 6);
    pass(1);
    assert_int_equal(stats().members_protected, 0);
    assert_int_equal(stats().groups_protected, 0);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(states[i], RF_MEMBER_FAILED);
    }
    end();
}

/* Its keys have an owner that does not answer until S is over, and no longer for the others. */
static void who_flaps_does_not_prolong_the_protection_of_its_group(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(16);
    say(0, RF_MEMBER_FAILED);
    say(0, RF_MEMBER_ALIVE);
    pass(60 * S);
    assert_int_equal(states[0], RF_MEMBER_ALIVE);
    assert_int_equal(say(0, RF_MEMBER_FAILED), RF_MEMBER_PROTECTED); /* its third change */
    pass(61 * S);
    for (int i = 1; i < 11; i++) {
        say(i, RF_MEMBER_FAILED);
    }
    assert_int_equal(stats().groups_protected, 1);
    for (int i = 1; i < 11; i++) {
        say(i, RF_MEMBER_ALIVE);
    }
    assert_int_equal(stats().groups_protected, 0);
    assert_int_equal(say(15, RF_MEMBER_FAILED), RF_MEMBER_FAILED);
    assert_int_equal(states[0], RF_MEMBER_PROTECTED);
    pass(600 * S - 121 * S);
    assert_int_equal(states[0], RF_MEMBER_FAILED);
    end();
}

static void who_flapped_before_is_out_when_its_time_is_over_also_in_a_protected_group(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(16);
    say(0, RF_MEMBER_FAILED);
    say(0, RF_MEMBER_ALIVE);
    pass(60 * S);
    assert_int_equal(say(0, RF_MEMBER_FAILED), RF_MEMBER_PROTECTED);
    pass(61 * S);
    for (int i = 1; i < 11; i++) {
        say(i, RF_MEMBER_FAILED);
    }
    assert_int_equal(stats().members_protected, 11);
    pass(600 * S - 121 * S);
    assert_int_equal(states[0], RF_MEMBER_FAILED);
    assert_int_equal(stats().members_protected, 10);
    end();
}

static void a_failure_just_after_the_end_of_a_protection_counts(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(20);
    for (int i = 0; i < 11; i++) {
        say(i, RF_MEMBER_FAILED);
    }
    now_ns += 3600 * S; /* nobody has looked at the time yet */
    for (int i = 11; i < 16; i++) {
        say(i, RF_MEMBER_FAILED);
    }
    assert_int_equal(stats().protections, 2);
    end();
}

static void a_group_does_not_protect_another(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(10);
    for (int i = 10; i < 14; i++) {
        say_in("db", i, RF_MEMBER_ALIVE);
    }
    for (int i = 0; i < 6; i++) {
        say(i, RF_MEMBER_FAILED);
    }
    assert_int_equal(say_in("db", 10, RF_MEMBER_FAILED), RF_MEMBER_FAILED);
    /* and who changes its group begins anew */
    assert_int_equal(say_in("db", 1, RF_MEMBER_ALIVE), RF_MEMBER_ALIVE);
    assert_int_equal(stats().members_protected, 5);
    end();
}

static void a_sweep_forgets_who_was_not_named(void **state)
{
    (void)state;
    begin(&defaults);
    all_alive(10);
    rf_guard_mark(guard);
    say(3, RF_MEMBER_ALIVE);
    say(4, RF_MEMBER_FAILED);
    rf_guard_sweep(guard, now_ns);
    take_changes();
    assert_int_equal(say(5, RF_MEMBER_ALIVE), RF_MEMBER_ALIVE); /* as new */
    end();
}

/* ---- at random ---- */

static const uint64_t default_seeds[] = {1, 2, 3, 20261123, 0xfeedfacecafe};

static void for_seeds(void (*property)(struct rf_random *random))
{
    const char *chosen = getenv("RF_GUARD_SEED");
    size_t count = chosen != NULL ? 1 : sizeof(default_seeds) / sizeof(default_seeds[0]);
    for (size_t i = 0; i < count; i++) {
        uint64_t seed = chosen != NULL ? strtoull(chosen, NULL, 0) : default_seeds[i];
        printf("seed %llu\n", (unsigned long long)seed);
        (void)fflush(stdout); /* a lost line is no failure of the test */
        struct rf_random random = {.state = seed};
        property(&random);
    }
}

static bool in_ring[MEMBERS_MAX];
static uint64_t change_ns[MEMBERS_MAX][2]; /* the later one first */

static void count_changes(void)
{
    for (int i = 0; i < MEMBERS_MAX; i++) {
        if (states[i] != (enum rf_member_state) - 1 &&
            in_ring[i] != rf_member_is_in_ring(states[i])) {
            assert_true(change_ns[i][1] == 0 || now_ns - change_ns[i][1] >= 600 * S);
            change_ns[i][1] = change_ns[i][0];
            change_ns[i][0] = now_ns;
            in_ring[i] = !in_ring[i];
        }
    }
}

static void flap_at_random(struct rf_random *random)
{
    begin(&defaults);
    all_alive(MEMBERS_MAX);
    memset(in_ring, 1, sizeof(in_ring));
    memset(change_ns, 0, sizeof(change_ns));
    for (int step = 0; step < 20000; step++) {
        /* the first one stays, so that the ring is never empty */
        int index = 1 + (int)rf_random_below(random, MEMBERS_MAX - 1);
        bool fails = rf_random_below(random, 2) == 0;
        (void)say(index, fails ? RF_MEMBER_FAILED : RF_MEMBER_ALIVE);
        count_changes();
        uint64_t until_ns = now_ns + rf_random_below(random, 20 * S);
        while (rf_guard_deadline_ns(guard) <= until_ns) {
            uint64_t deadline_ns = rf_guard_deadline_ns(guard);
            pass(deadline_ns > now_ns ? deadline_ns - now_ns : 0);
            count_changes();
        }
        pass(until_ns - now_ns);
    }
    for (int i = 0; i < MEMBERS_MAX; i++) {
        (void)say(i, RF_MEMBER_ALIVE);
    }
    pass(660 * S);
    for (int i = 0; i < MEMBERS_MAX; i++) {
        assert_int_equal(states[i], RF_MEMBER_ALIVE); /* nobody is stuck */
    }
    end();
}

static void nobody_changes_a_ring_more_than_twice_in_ten_minutes(void **state)
{
    (void)state;
    for_seeds(flap_at_random);
}

static uint64_t run_anything(struct rf_random *random)
{
    static const char *const groups[] = {"web", "db", "cache"};
    uint64_t trace = 0;
    begin(&(struct rf_guard_config){
        .flap_hold_ns = 100 * S, .protect_ratio = RF_GUARD_RATIO_WHOLE / 3, .protect_min = 4});
    static const enum rf_member_state said[] = {RF_MEMBER_ALIVE, RF_MEMBER_LEAVING, RF_MEMBER_LEFT,
                                                RF_MEMBER_FAILED, RF_MEMBER_DRAINING};
    for (int step = 0; step < 20000; step++) {
        int index = (int)rf_random_below(random, MEMBERS_MAX);
        switch (rf_random_below(random, 40)) {
        case 0:
            forget(index);
            break;
        case 1:
            rf_guard_mark(guard);
            break;
        case 2:
            rf_guard_sweep(guard, now_ns);
            take_changes();
            break;
        case 3:
            pass(rf_random_below(random, 5000 * S));
            break;
        default:
            (void)say_in(groups[rf_random_below(random, 50) == 0 ? 1 + index % 2 : 0], index,
                         said[rf_random_below(random, 5)]);
            pass(rf_random_below(random, S));
        }
        for (int i = 0; i < MEMBERS_MAX; i++) {
            trace = trace * 31 + (uint64_t)states[i];
        }
    }
    end();
    return trace;
}

static void anything_twice(struct rf_random *random)
{
    struct rf_random again = *random;
    uint64_t trace = run_anything(random);
    assert_true(trace == run_anything(&again));
}

static void anything_keeps_the_invariants_and_equal_inputs_give_equal_outputs(void **state)
{
    (void)state;
    for_seeds(anything_twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_is_out_and_its_return_is_held_for_a_minute),
        cmocka_unit_test(a_member_that_flaps_fast_moves_its_keys_once),
        cmocka_unit_test(a_third_change_of_a_ring_waits_until_the_hold_time_is_over),
        cmocka_unit_test(a_member_that_joins_and_fails_at_once_is_out),
        cmocka_unit_test(graceful_leaves_and_returns_count_at_once),
        cmocka_unit_test(draining_and_its_end_count_at_once),
        cmocka_unit_test(an_empty_ring_takes_whom_it_holds),
        cmocka_unit_test(a_ring_of_failed_members_takes_who_returns),
        cmocka_unit_test(a_protected_ring_takes_whom_it_holds_when_nobody_else_is_alive),
        cmocka_unit_test(without_flap_hold_rings_follow_gossip_at_once),
        cmocka_unit_test(more_than_half_failing_within_a_minute_keeps_the_ring),
        cmocka_unit_test(half_of_a_group_or_a_small_group_is_not_protected),
        cmocka_unit_test(failures_over_more_than_a_minute_do_not_add_up),
        cmocka_unit_test(leaving_a_protected_group_counts_at_once),
        cmocka_unit_test(protection_ends_after_an_hour),
        cmocka_unit_test(who_flaps_does_not_prolong_the_protection_of_its_group),
        cmocka_unit_test(who_flapped_before_is_out_when_its_time_is_over_also_in_a_protected_group),
        cmocka_unit_test(a_failure_just_after_the_end_of_a_protection_counts),
        cmocka_unit_test(a_group_does_not_protect_another),
        cmocka_unit_test(a_sweep_forgets_who_was_not_named),
        cmocka_unit_test(nobody_changes_a_ring_more_than_twice_in_ten_minutes),
        cmocka_unit_test(anything_keeps_the_invariants_and_equal_inputs_give_equal_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
