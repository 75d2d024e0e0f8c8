/* SPDX-License-Identifier: MIT
 *
 * Our own lateness, and catching up: swim_late.c.
 */
#include "tests/support/swim_trace.h"

/* Nothing happens by itself until `at_ns`: a driver that works, without its ticks of no interest.
 */
static void quiet_until(uint64_t at_ns)
{
    swim.probe_at_ns = swim.gossip_at_ns = swim.push_pull_at_ns = at_ns;
    swim.catch_up_at_ns = UINT64_MAX;
}

static void suspects_live_on_while_we_are_stopped(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_alive("b", 1);
    hear_suspect("a", 1, "x");
    hear_suspect("b", 1, "x");
    uint64_t deadline_ns = node("a")->suspicion->deadline_ns;
    quiet_until(deadline_ns - 100 * MS);
    now_ns = deadline_ns - 100 * MS + 20000 * MS; /* 100 ms before they die we are stopped */
    hear_alive("b", 1);                           /* old */
    quiet_until(now_ns + 4000 * MS);
    tick_at(now_ns);
    assert_null(strstr(outputs(), "leave"));
    assert_int_equal(node("a")->state, RF_NODE_SUSPECT);
    assert_true(swim.awareness > 0);
    assert_int_equal(swim.stats.pauses, 1);
    assert_int_equal(swim.stats.pauses_ms, 20000);
    uint64_t woken_ns = now_ns;
    hear_alive("b", 2); /* its refutation had waited in the socket */
    /* the other one has the shortest time of a suspicion, 4 s for three nodes, and then dies */
    assert_int_equal(node("a")->suspicion->deadline_ns, woken_ns + 4000 * MS);
    tick_at(woken_ns + 4000 * MS);
    assert_int_equal(node("a")->state, RF_NODE_DEAD);
    assert_int_equal(node("b")->state, RF_NODE_ALIVE);
}

static void accusations_that_waited_in_the_socket_kill_nobody_at_once(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < 5; i++) {
        hear_alive(names[i], 1);
    }
    hear_suspect("a", 1, "b");
    uint64_t start_ns = now_ns;
    quiet_until(start_ns + 10000 * MS); /* long above the 4 s that two more accusers leave */
    now_ns = start_ns + 40000 * MS;
    hear_suspect("a", 1, "c");
    hear_suspect("a", 1, "d");
    quiet_until(now_ns);
    tick_at(now_ns);
    assert_int_equal(node("a")->state, RF_NODE_SUSPECT);
    assert_int_equal(node("a")->suspicion->deadline_ns, now_ns + 4000 * MS);
}

/* With pause after pause nobody could die, if each gave new time. */
static void only_the_first_pause_gives_a_suspect_more_than_it_had(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_suspect("a", 1, "b"); /* 4 s */
    uint64_t ran_ns = 0;
    uint64_t grace_ns = 0;
    while (node("a")->state == RF_NODE_SUSPECT && ran_ns < 20000 * MS) {
        quiet_until(now_ns + 100 * MS);
        tick_at(now_ns + 100 * MS);
        ran_ns += 100 * MS;
        grace_ns = node("a")->suspicion == NULL ? 0 : node("a")->suspicion->deadline_ns - now_ns;
        assert_true(grace_ns <= 4000 * MS);
        quiet_until(now_ns);
        tick_at(now_ns + 900 * MS);
    }
    assert_int_equal(node("a")->state, RF_NODE_DEAD);
    assert_true(ran_ns >= 4000 * MS && ran_ns <= 4200 * MS);
}

static void a_probe_goes_on_after_a_pause_with_the_time_it_had_left(void **state)
{
    (void)state;
    start_probe("b");
    uint64_t start_ns = now_ns;
    now_ns = start_ns + 500 * MS + 7000 * MS;
    hear_alive("c", 1); /* the first input after it */
    assert_true(swim.probe.is_active);
    assert_int_equal(swim.probe.timeout_ns, now_ns);
    assert_int_equal(swim.probe.expiry_ns, now_ns + 500 * MS);
    struct rf_message ack = {.type = RF_MESSAGE_ACK, .ack = {.seq_no = swim.probe.seq_no}};
    receive(&ack);
    assert_false(swim.probe.is_active);
    assert_int_equal(node("a")->state, RF_NODE_ALIVE);
}

static void lateness_below_the_bound_or_without_one_changes_nothing(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_suspect("a", 1, "b");
    uint64_t deadline_ns = node("a")->suspicion->deadline_ns;
    quiet_until(deadline_ns);
    tick_at(deadline_ns + 250 * MS);
    assert_int_equal(node("a")->state, RF_NODE_DEAD);
    assert_int_equal(swim.stats.pauses, 0);
    swim.config.late_bound_ns = 0;
    hear_alive("a", 2);
    hear_suspect("a", 2, "b");
    deadline_ns = node("a")->suspicion->deadline_ns;
    quiet_until(deadline_ns);
    tick_at(deadline_ns + 60000 * MS);
    assert_int_equal(node("a")->state, RF_NODE_DEAD);
    assert_int_equal(swim.stats.pauses, 0);
}

/* Ticks until `at_ns` and notes when push/pulls began, in ms from `start_ns`. */
static size_t note_push_pulls(uint64_t start_ns, uint64_t until_ns, uint64_t ret_ms[8])
{
    size_t count = 0;
    swim.push_pull_at_ns = swim.probe_at_ns = until_ns + 1;
    while (rf_swim_deadline_ns(&swim) <= until_ns) {
        uint64_t deadline_ns = rf_swim_deadline_ns(&swim);
        tick_at(deadline_ns > now_ns ? deadline_ns : now_ns);
        if (strstr(outputs(), "pushPull") != NULL && count < 8) {
            ret_ms[count++] = (now_ns - start_ns) / MS;
        }
        struct rf_swim_exchange expired; /* the layer above ends them */
        (void)rf_swim_exchange_take(&swim, rf_swim_exchange_expired(&swim, now_ns), &expired);
    }
    return count;
}

static void assert_series(const uint64_t *at_ms)
{
    assert_in_range(at_ms[0], 800, 1200);
    assert_in_range(at_ms[1], 2400, 3600);
    assert_in_range(at_ms[2], 5600, 8400);
}

static void who_was_alone_catches_up_after_1_3_and_7_s(void **state)
{
    (void)state;
    uint64_t at_ms[8];
    uint64_t start_ns = now_ns;
    hear_alive("a", 1);
    assert_int_equal(note_push_pulls(start_ns, start_ns + 29000 * MS, at_ms), 3);
    assert_series(at_ms);
    start_ns = now_ns;
    hear_alive("b", 1); /* one more is no reason */
    assert_int_equal(note_push_pulls(start_ns, start_ns + 9000 * MS, at_ms), 0);
    assert_int_equal(swim.stats.push_pulls_early, 3);
}

static void who_still_learns_of_others_goes_on_catching_up(void **state)
{
    (void)state;
    uint64_t at_ms[8];
    uint64_t start_ns = now_ns;
    hear_alive("a", 1);
    assert_int_equal(note_push_pulls(start_ns, start_ns + 8500 * MS, at_ms), 3);
    hear_alive("b", 1);
    assert_int_equal(note_push_pulls(start_ns, start_ns + 29000 * MS, at_ms), 1);
    assert_in_range(at_ms[0], 8800, 13200); /* and no fifth, for nothing was new by then */
}

static void who_meets_another_number_of_nodes_goes_on_catching_up(void **state)
{
    (void)state;
    uint64_t at_ms[8];
    uint64_t start_ns = now_ns;
    hear_alive("a", 1);
    assert_int_equal(note_push_pulls(start_ns, start_ns + 8500 * MS, at_ms), 3);
    struct rf_push_node_state state_of_a = state_of("a", 1, RF_NODE_ALIVE);
    assert_int_equal(merge(&state_of_a, 1), 0); /* nothing new, but it does not know us */
    assert_int_equal(note_push_pulls(start_ns, start_ns + 29000 * MS, at_ms), 2);
    assert_in_range(at_ms[0], 8800, 13200);
    assert_in_range(at_ms[1], 12000, 18000);
}

/* As in a large cluster that starts all at once. */
static void who_learns_of_others_all_the_time_catches_up_for_one_interval(void **state)
{
    (void)state;
    uint64_t at_ms[8];
    uint64_t start_ns = now_ns;
    size_t count = 0;
    for (uint64_t second = 0; second < 60; second++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%u", (unsigned)second);
        hear_alive(name, 1);
        size_t more = note_push_pulls(start_ns, start_ns + (second + 1) * 1000 * MS, at_ms);
        assert_true(more == 0 || second < 32); /* 26 s, a fifth more at most */
        count += more;
    }
    assert_int_equal(count, 9);
}

static void who_was_paused_catches_up_at_once_and_after_1_3_and_7_s(void **state)
{
    (void)state;
    hear_alive("a", 1);
    quiet_until(now_ns);
    now_ns += 4000 * MS; /* as long as the shortest suspicion */
    uint64_t start_ns = now_ns;
    uint64_t at_ms[8];
    struct rf_message nack = {.type = RF_MESSAGE_NACK};
    receive(&nack);
    assert_int_equal(note_push_pulls(start_ns, start_ns + 29000 * MS, at_ms), 4);
    assert_int_equal(at_ms[0], 0);
    assert_series(at_ms + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(suspects_live_on_while_we_are_stopped),
        CASE(accusations_that_waited_in_the_socket_kill_nobody_at_once),
        CASE(only_the_first_pause_gives_a_suspect_more_than_it_had),
        CASE(a_probe_goes_on_after_a_pause_with_the_time_it_had_left),
        CASE(lateness_below_the_bound_or_without_one_changes_nothing),
        CASE(who_was_alone_catches_up_after_1_3_and_7_s),
        CASE(who_still_learns_of_others_goes_on_catching_up),
        CASE(who_meets_another_number_of_nodes_goes_on_catching_up),
        CASE(who_learns_of_others_all_the_time_catches_up_for_one_interval),
        CASE(who_was_paused_catches_up_at_once_and_after_1_3_and_7_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
