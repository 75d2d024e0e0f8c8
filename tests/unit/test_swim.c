/* SPDX-License-Identifier: MIT
 *
 * test_swim.c - the SWIM machine, one test for each numbered rule of 9 to 16.
 */
#include "tests/support/swim_trace.h"

/* ---- 10.1 ---- */

static void alive_of_an_unknown_node_is_a_join_and_is_gossiped(void **state)
{
    (void)state;
    drain_queue();
    assert_string_equal(hear_alive("a", 1), "join:a");
    assert_int_equal(node("a")->state, RF_NODE_ALIVE);
    assert_int_equal(swim.queue.count, 1);
    assert_string_equal(hear_alive("a", 1), ""); /* 10.1.6: not newer */
    assert_string_equal(hear_alive("b", 0), ""); /* incarnations begin at 1 */
    assert_null(node("b"));
}

static void alive_with_a_version_that_would_block_the_cluster_is_dropped(void **state)
{
    (void)state;
    static const uint8_t bad[][RF_VSN_SIZE] = {
        {0, 5, 2, 2, 5, 4}, {1, 0, 2, 2, 5, 4}, {5, 1, 2, 2, 5, 4}, {3, 5, 3, 2, 5, 4},
        {1, 5, 2, 0, 0, 0}, {1, 5, 2, 2, 3, 3}, {1, 5, 2, 5, 6, 5}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rf_message message = alive("a", 1);
        memcpy(message.alive.vsn, bad[i], RF_VSN_SIZE);
        assert_string_equal(receive(&message), "");
        assert_null(node("a"));
    }
}

static void alive_without_a_port_has_ours(void **state)
{
    (void)state;
    struct rf_message message = alive("a", 1);
    message.alive.address.port = 0;
    assert_string_equal(receive(&message), "join:a");
    assert_int_equal(node("a")->address.port, 7946);
}

static void alive_from_another_address_is_a_conflict_unless_the_node_left(void **state)
{
    (void)state;
    hear_alive("a", 1);
    struct rf_message moved = alive("a", 9);
    moved.alive.address = address_of("z");
    /* it is looked at as well: test_swim_claim.c */
    assert_string_equal(receive(&moved), "conflict:a tcp-ping>a tcp-ping>z ping>a");
    assert_string_equal(hear_dead("a", 1, "b"), "leave:a");
    now_ns++;                                           /* one conflict for each input is told */
    assert_string_equal(receive(&moved), "conflict:a"); /* dead, and not for long */
    assert_int_equal(node("a")->incarnation, 1);
    hear_alive("a", 2);
    assert_string_equal(hear_dead("a", 2, "a"), "leave:a");
    moved.alive.incarnation = 1; /* a reclaim need not be newer */
    assert_string_equal(receive(&moved), "join:a");
    assert_int_equal(node("a")->address.ip[3], 'z');
}

static void alive_in_the_mapped_form_of_the_address_is_a_conflict(void **state)
{
    (void)state;
    hear_alive("a", 1);
    struct rf_message mapped = alive("a", 2);
    mapped.alive.address = (struct rf_address){
        .ip = {[10] = 255, [11] = 255, [12] = 10, [15] = 'a'}, .ip_size = 16, .port = 7946};
    assert_string_equal(receive(&mapped), "conflict:a");
}

static void alive_ends_a_suspicion_only_if_it_is_newer(void **state)
{
    (void)state;
    hear_alive("a", 3);
    hear_suspect("a", 3, "b");
    assert_string_equal(hear_alive("a", 3), "");
    assert_int_equal(node("a")->state, RF_NODE_SUSPECT);
    assert_string_equal(hear_alive("a", 4), "");
    assert_int_equal(node("a")->state, RF_NODE_ALIVE);
    assert_int_equal(swim.suspects_count, 0);
}

static void alive_with_other_metadata_is_an_update(void **state)
{
    (void)state;
    hear_alive("a", 1);
    struct rf_message message = alive("a", 2);
    message.alive.meta = rf_slice_text("web");
    assert_string_equal(receive(&message), "update:a");
    assert_memory_equal(node("a")->meta, "web", 3);
}

static void alive_about_us_that_is_not_ours_is_refuted(void **state)
{
    (void)state;
    struct rf_message ours = alive("me", 1);
    ours.alive.address = address_of("m");
    receive(&ours); /* our own, come back */
    assert_int_equal(swim.incarnation, 1);
    ours.alive.incarnation = 7; /* from a life before this one */
    receive(&ours);
    assert_int_equal(swim.incarnation, 8);
    ours.alive.incarnation = 8;
    ours.alive.meta = rf_slice_text("other");
    receive(&ours);
    assert_int_equal(swim.incarnation, 9);
    assert_int_equal(swim.self->meta_size, 0);
}

static void alive_of_a_returned_node_makes_us_tell_it_of_its_death(void **state)
{
    (void)state;
    hear_alive("a", 5);
    hear_dead("a", 5, "b");
    assert_string_equal(hear_alive("a", 1), "dead>a");
    assert_string_equal(hear_alive("a", 6), "join:a");
}

static void nodes_above_the_limit_are_not_let_in(void **state)
{
    (void)state;
    swim.nodes.count_max = 2;
    assert_string_equal(hear_alive("a", 1), "join:a");
    assert_string_equal(hear_alive("b", 1), "");
    assert_int_equal(swim.stats.dropped_nodes_max, 1);
}

/* ---- 10.2 to 10.6 ---- */

static void suspect_moves_only_alive_nodes(void **state)
{
    (void)state;
    assert_string_equal(hear_suspect("a", 1, "b"), ""); /* unknown */
    assert_null(node("a"));
    hear_alive("a", 2);
    hear_suspect("a", 1, "b"); /* old */
    assert_int_equal(node("a")->state, RF_NODE_ALIVE);
    hear_suspect("a", 3, "b");
    assert_int_equal(node("a")->state, RF_NODE_SUSPECT);
    assert_int_equal(node("a")->incarnation, 3);
    hear_dead("a", 3, "b");
    hear_suspect("a", 4, "b");
    assert_int_equal(node("a")->state, RF_NODE_DEAD);
}

static void suspect_again_confirms_and_is_gossiped_once_for_each_accuser(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_alive("b", 1);
    hear_alive("c", 1);
    hear_suspect("a", 1, "b");
    uint64_t first_ns = node("a")->suspicion->deadline_ns;
    drain_queue();
    hear_suspect("a", 1, "b");
    assert_int_equal(swim.queue.count, 0);
    hear_suspect("a", 1, "c");
    assert_int_equal(swim.queue.count, 1);
    assert_true(node("a")->suspicion->deadline_ns < first_ns);
}

static void suspect_that_does_not_refute_in_time_is_dead(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_suspect("a", 1, "b");
    uint64_t start_ns = now_ns;
    rf_swim_suspicions_tick(&swim, start_ns + 3999 * MS);
    assert_int_equal(node("a")->state, RF_NODE_SUSPECT);
    now_ns = start_ns + 4000 * MS;
    rf_swim_suspicions_tick(&swim, now_ns);
    assert_string_equal(outputs(), "leave:a");
    assert_int_equal(node("a")->state, RF_NODE_DEAD);
    assert_string_equal(declared_dead, "a by me");
}

static void accusations_against_us_are_refuted_with_a_higher_incarnation(void **state)
{
    (void)state;
    hear_suspect("me", 40, "b");
    assert_int_equal(swim.incarnation, 41);
    hear_dead("me", 90, "b");
    assert_int_equal(swim.incarnation, 91);
    assert_int_equal(swim.awareness, 2);
    hear_suspect("me", 12, "b"); /* old: nothing to refute */
    assert_int_equal(swim.incarnation, 91);
    assert_int_equal(swim.self->state, RF_NODE_ALIVE);
}

static void an_accuser_is_answered_alone_however_often_it_asks(void **state)
{
    (void)state;
    hear_alive("b", 1);
    drain_queue();
    assert_string_equal(hear_suspect("me", 5, "b"), "alive>b");
    assert_string_equal(hear_suspect("me", 5, "b"), ""); /* in the same packet */
    now_ns++;
    assert_string_equal(hear_suspect("me", 5, "b"), "alive>b"); /* it missed the first answer */
    assert_int_equal(swim.incarnation, 6);
    assert_string_equal(hear_suspect("me", 5, "nobody"), "");
    assert_string_equal(hear_suspect("me", 5, "me"), "");
}

static void an_accuser_tells_the_accused_in_each_interval(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_alive("b", 1);
    hear_suspect("a", 1, "me");
    hear_suspect("b", 1, "a"); /* that is not ours to tell */
    drain_queue();
    rf_swim_appeals(&swim);
    assert_string_equal(outputs(), "suspect>a");
    rf_swim_appeals(&swim);
    assert_string_equal(outputs(), "suspect>a");
    assert_int_equal(swim.stats.appeals, 2);
    hear_alive("a", 2);
    drain_queue();
    rf_swim_appeals(&swim);
    assert_string_equal(outputs(), "");
}

static void a_confirmation_after_the_time_is_over_leaves_room_for_a_refutation(void **state)
{
    (void)state;
    const char *names[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < 4; i++) {
        hear_alive(names[i], 1);
    }
    hear_suspect("a", 1, "b");
    now_ns = swim.seen_ns =
        now_ns + 20000 * MS; /* of 24 s without, of 4 s with all confirmations */
    hear_suspect("a", 1, "c");
    hear_suspect("a", 1, "d");
    assert_int_equal(node("a")->suspicion->deadline_ns, now_ns + 200 * MS);
}

static void incarnations_neither_wrap_nor_freeze_us(void **state)
{
    (void)state;
    hear_suspect("me", UINT32_MAX, "b");
    assert_int_equal(swim.incarnation, 1);
    assert_int_equal(swim.stats.dropped_absurd, 1);
    hear_suspect("me", INT32_MAX, "b"); /* the highest that is believed at once */
    assert_int_equal(swim.incarnation, UINT32_C(1) << 31);
    hear_suspect("me", (UINT32_C(1) << 31) + 5, "b");
    assert_int_equal(swim.incarnation, (UINT32_C(1) << 31) + 6);
    swim.incarnation = swim.self->incarnation = UINT32_MAX;
    hear_dead("me", UINT32_MAX, "b");
    assert_int_equal(swim.incarnation, UINT32_MAX);
    hear_alive("a", UINT32_MAX);
    assert_null(node("a"));
}

static void dead_from_the_node_itself_is_left(void **state)
{
    (void)state;
    assert_string_equal(hear_dead("a", 1, "a"), ""); /* unknown */
    hear_alive("a", 2);
    assert_string_equal(hear_dead("a", 1, "a"), ""); /* old */
    declared_dead[0] = 0;
    assert_string_equal(hear_dead("a", 2, "a"), "leave:a");
    assert_int_equal(node("a")->state, RF_NODE_LEFT);
    assert_string_equal(declared_dead, "");          /* nobody's word but its own */
    assert_string_equal(hear_dead("a", 3, "b"), ""); /* once is enough */
    hear_alive("b", 1);
    assert_string_equal(hear_dead("b", 1, "a"), "leave:b");
    assert_int_equal(node("b")->state, RF_NODE_DEAD);
    assert_string_equal(declared_dead, "b by a");
}

static void dead_nodes_are_forgotten_after_a_while(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_dead("a", 1, "b");
    rf_swim_purge(&swim, now_ns + 30000 * MS);
    assert_non_null(node("a"));
    rf_swim_purge(&swim, now_ns + 30001 * MS);
    assert_null(node("a"));
    assert_int_equal(swim.nodes.count, 1);
}

/* ---- 9.1, 10.5, 15 ---- */

static void merge_takes_death_for_a_suspicion_and_learns_no_dead(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_alive("b", 1);
    hear_alive("c", 1);
    const struct rf_push_node_state states[] = {
        state_of("a", 1, RF_NODE_DEAD),    state_of("b", 1, RF_NODE_SUSPECT),
        state_of("c", 1, RF_NODE_LEFT),    state_of("d", 1, RF_NODE_ALIVE),
        state_of("e", 1, RF_NODE_DEAD),    state_of("f", 1, RF_NODE_LEFT),
        state_of("g", 1, 9 /* unknown */), state_of("me", 4, RF_NODE_DEAD)};
    assert_int_equal(merge(states, sizeof(states) / sizeof(states[0])), 0);
    assert_string_equal(outputs(), "leave:c join:d");
    assert_int_equal(node("a")->state, RF_NODE_SUSPECT);
    assert_int_equal(node("b")->state, RF_NODE_SUSPECT);
    assert_int_equal(node("c")->state, RF_NODE_LEFT);
    assert_null(node("e"));
    assert_null(node("f"));
    assert_null(node("g"));
    assert_int_equal(swim.incarnation, 5);
}

static void a_node_driven_to_absurd_incarnations_is_heard_when_it_is_called(void **state)
{
    (void)state;
    const uint32_t driven = UINT32_C(1) << 31; /* what refutes the highest that is believed */
    const struct rf_push_node_state states[] = {state_of("a", driven, RF_NODE_ALIVE),
                                                state_of("b", driven, RF_NODE_ALIVE),
                                                state_of("c", driven, RF_NODE_ALIVE)};
    hear_alive("a", 1);
    hear_alive("b", 1);
    hear_dead("a", 1, "b");
    outputs();
    assert_int_equal(merge(states, 3), 0); /* anybody may have called us, and say so */
    assert_int_equal(node("a")->state, RF_NODE_DEAD);
    assert_string_equal(outputs(),
                        "pushPull:"); /* so it is asked; the others when it is said again */
    assert_string_equal(hear_alive("b", driven), "");
    now_ns += 200 * MS;
    assert_string_equal(hear_alive("b", driven), "pushPull:");
    assert_int_equal(node("b")->incarnation, 1);
    swim.speaker = address_of("a");
    assert_int_equal(merge(states, 3), 0);
    assert_int_equal(node("a")->state, RF_NODE_ALIVE);
    assert_int_equal(node("a")->incarnation, driven);
    assert_int_equal(node("b")->incarnation, 1); /* hearsay */
    assert_null(node("c"));
    swim.speaker = address_of("c");
    assert_int_equal(merge(states, 3), 0);
    assert_int_equal(node("c")->incarnation, driven);
}

static void a_node_at_the_end_of_its_incarnations_lives_as_long_as_it_answers(void **state)
{
    (void)state;
    const struct rf_push_node_state states[] = {state_of("a", UINT32_MAX, RF_NODE_ALIVE)};
    hear_alive("a", 1);
    swim.speaker = address_of("a");
    assert_int_equal(merge(states, 1), 0);
    swim.speaker = (struct rf_address){0};
    assert_int_equal(node("a")->incarnation, UINT32_MAX);
    for (int i = 0; i < 2; i++) {
        now_ns += 1000 * MS;
        swim.seen_ns = now_ns;
        if (i == 0) {
            hear_suspect("a", UINT32_MAX, "b");
        } else {
            assert_string_equal(hear_dead("a", UINT32_MAX, "b"), "leave:a");
        }
        assert_string_equal(hear_alive("a", UINT32_MAX), i == 0 ? "pushPull:" : "pushPull: dead>a");
        assert_int_not_equal(node("a")->state, RF_NODE_ALIVE); /* anybody can say so */
        swim.speaker = address_of("a");
        assert_int_equal(merge(states, 1), 0);
        swim.speaker = (struct rf_address){0};
        assert_int_equal(node("a")->state, RF_NODE_ALIVE);
        outputs();
    }
    assert_string_equal(hear_alive("a", UINT32_MAX), "");
}

static void merge_is_refused_whole_if_one_node_speaks_another_version(void **state)
{
    (void)state;
    struct rf_push_node_state states[] = {state_of("a", 1, RF_NODE_ALIVE),
                                          state_of("b", 1, RF_NODE_DEAD)};
    memcpy(states[1].vsn, (const uint8_t[]){1, 5, 2, 0, 0, 0}, RF_VSN_SIZE);
    assert_int_equal(merge(states, 2), RF_EVERSION);
    assert_null(node("a"));
    assert_int_equal(swim.stats.push_pulls_refused, 1);
}

static void push_pulls_get_rarer_as_the_cluster_grows(void **state)
{
    (void)state;
    static const struct {
        size_t others;
        uint64_t scale;
    } cases[] = {{1, 1}, {31, 1}, {32, 2}, {63, 2}, {64, 3}};
    size_t added = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (; added < cases[i].others; added++) {
            char name[8];
            (void)snprintf(name, sizeof(name), "n%zu", added);
            hear_alive(name, 1);
        }
        swim.push_pull_at_ns = now_ns;
        rf_swim_sync_tick(&swim, now_ns);
        assert_int_equal(swim.push_pull_at_ns - now_ns, cases[i].scale * 30000 * MS);
        assert_string_equal(outputs(), "pushPull:");
    }
}

/* ---- 11, 13 ---- */

static void ping_is_answered_if_it_is_for_us(void **state)
{
    (void)state;
    hear_alive("s", 1);
    drain_queue();
    struct rf_message ping = {
        .type = RF_MESSAGE_PING,
        .ping = {.seq_no = 5, .node = rf_slice_text("me"), .source = address_of("s")}};
    assert_string_equal(receive(&ping), "ack>s");
    ping.ping.node = rf_slice_text("you");
    assert_string_equal(receive(&ping), "");
    ping.ping.node = rf_slice(NULL, 0);
    ping.ping.source.port = 0; /* as of old peers: back to where it came from */
    assert_string_equal(receive(&ping), "ack>\xfa");
}

static void strangers_that_know_our_name_are_called_back_a_few_times(void **state)
{
    (void)state;
    struct rf_message ping = {
        .type = RF_MESSAGE_PING,
        .ping = {.seq_no = 5, .node = rf_slice_text("me"), .source = anywhere}};
    swim.calls_back_left = RF_SWIM_CALLS_BACK_MAX;
    for (int i = 0; i < RF_SWIM_CALLS_BACK_MAX; i++) {
        assert_non_null(strstr(receive(&ping), "pushPull"));
        assert_null(strstr(receive(&ping), "pushPull")); /* not again in this interval */
        now_ns += swim.config.probe_interval_ns;
        struct rf_message nobody = ping;
        nobody.ping.node = rf_slice(NULL, 0);
        assert_null(strstr(receive(&nobody), "pushPull"));
    }
    assert_null(strstr(receive(&ping), "pushPull"));
    assert_int_equal(swim.stats.calls_back, RF_SWIM_CALLS_BACK_MAX);
}

static void members_are_not_called_back(void **state)
{
    (void)state;
    const struct rf_address member = address_of("s");
    struct rf_message ping = {.type = RF_MESSAGE_PING,
                              .ping = {.seq_no = 5, .node = rf_slice_text("me")}};
    hear_alive("s", 1);
    drain_queue();
    swim.calls_back_left = RF_SWIM_CALLS_BACK_MAX;
    assert_string_equal(receive_from(&member, &ping), "ack>s");
    assert_int_equal(swim.stats.calls_back, 0);
}

static void messages_of_ours_carry_broadcasts(void **state)
{
    (void)state;
    hear_alive("s", 1);
    drain_queue();
    hear_alive("a", 1);
    struct rf_message ping = {.type = RF_MESSAGE_PING, .ping = {.source = address_of("s")}};
    assert_string_equal(receive(&ping), "ack>s alive>s");
}

static struct rf_message relay_request(uint32_t seq_no, bool nack)
{
    return (struct rf_message){.type = RF_MESSAGE_INDIRECT_PING,
                               .indirect_ping = {.seq_no = seq_no,
                                                 .target = address_of("t"),
                                                 .node = rf_slice_text("t"),
                                                 .nack = nack,
                                                 .source = address_of("s")}};
}

static void indirect_ping_is_relayed_and_its_ack_or_nack_returned(void **state)
{
    (void)state;
    hear_alive("s", 1);
    hear_alive("t", 1);
    drain_queue();
    struct rf_message request = relay_request(77, true);
    assert_string_equal(receive(&request), "ping>t");
    struct rf_message ack = {.type = RF_MESSAGE_ACK, .ack = {.seq_no = swim.seq_no}};
    assert_string_equal(receive(&ack), "ack>s");
    assert_string_equal(receive(&ack), ""); /* once */
    receive(&request);
    swim.probe_at_ns = swim.gossip_at_ns = swim.push_pull_at_ns = swim.catch_up_at_ns = UINT64_MAX;
    assert_int_equal(rf_swim_deadline_ns(&swim), now_ns + 500 * MS);
    tick_at(now_ns + 500 * MS);
    assert_string_equal(outputs(), "nack>s");
    struct rf_message quiet = relay_request(78, false);
    receive(&quiet);
    tick_at(now_ns + 500 * MS);
    assert_string_equal(outputs(), "");
    for (int i = 0; i < RF_SWIM_RELAYS_MAX + 5; i++) {
        receive(&quiet);
    }
    assert_int_equal(swim.stats.dropped_relays_max, 5);
}

static void probe_that_is_acked_lowers_the_awareness_score(void **state)
{
    (void)state;
    swim.awareness = 2;
    start_probe(NULL);
    struct rf_message ack = {.type = RF_MESSAGE_ACK, .ack = {.seq_no = swim.probe.seq_no + 1}};
    receive(&ack); /* not this probe's */
    assert_true(swim.probe.is_active);
    assert_int_equal(swim.probe.expiry_ns, now_ns + 3000 * MS); /* slower by the score */
    ack.ack.seq_no = swim.probe.seq_no;
    receive(&ack);
    assert_false(swim.probe.is_active);
    assert_int_equal(swim.awareness, 1);
}

static void probe_without_ack_asks_others_and_tcp_then_suspects(void **state)
{
    (void)state;
    start_probe("b");
    tick_at(now_ns + 500 * MS);
    assert_string_equal(outputs(), "indirectPing>b tcp-ping>a");
    struct rf_message nack = {.type = RF_MESSAGE_NACK, .nack = {.seq_no = swim.probe.seq_no}};
    receive(&nack);
    tick_at(now_ns + 500 * MS);
    assert_int_equal(node("a")->state, RF_NODE_SUSPECT);
    assert_int_equal(swim.awareness, 0); /* every helper said nack: the fault is not ours */
    assert_int_equal(swim.exchanges_count, 0);
}

static void probe_without_nacks_raises_the_awareness_score(void **state)
{
    (void)state;
    start_probe("b");
    tick_at(now_ns + 500 * MS);
    tick_at(now_ns + 500 * MS);
    assert_int_equal(swim.awareness, 1);
}

static void probe_that_tcp_answers_is_no_failure(void **state)
{
    (void)state;
    start_probe(NULL);
    tick_at(now_ns + 500 * MS);
    assert_string_equal(outputs(), "tcp-ping>a");
    rf_swim_ping_acked(&swim, swim.probe.exchange_id, swim.probe.seq_no);
    tick_at(now_ns + 500 * MS);
    assert_int_equal(node("a")->state, RF_NODE_ALIVE);
    assert_int_equal(swim.stats.probes_tcp, 1);
}

static void probe_of_a_suspect_tells_it_of_the_suspicion(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_suspect("a", 1, "b");
    drain_queue();
    swim.gossip_at_ns = swim.push_pull_at_ns = swim.catch_up_at_ns = UINT64_MAX;
    tick_at(swim.probe_at_ns);
    assert_string_equal(outputs(), "ping>a suspect>a");
}

static void probes_skip_the_dead_and_ourselves(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_dead("a", 1, "a");
    drain_queue();
    swim.gossip_at_ns = swim.push_pull_at_ns = swim.catch_up_at_ns = UINT64_MAX;
    for (int i = 0; i < 5; i++) {
        tick_at(swim.probe_at_ns);
        assert_string_equal(outputs(), "dead>a"); /* told of it, not probed */
    }
    assert_int_equal(swim.stats.probes, 0);
}

static void the_dead_are_told_of_it_until_they_are_forgotten(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_dead("a", 1, "b");
    uint64_t dead_ns = now_ns;
    drain_queue();
    swim.config.late_bound_ns = 0;
    swim.gossip_at_ns = swim.push_pull_at_ns = swim.catch_up_at_ns = UINT64_MAX;
    size_t told_count = 0;
    for (int i = 0; i < 200 && node("a") != NULL; i++) {
        tick_at(now_ns + 1000 * MS);
        bool is_told = strcmp(outputs(), "dead>a") == 0;
        assert_true(!is_told || now_ns - dead_ns <= 60000 * MS);
        told_count += is_told;
    }
    assert_in_range(told_count, 29, 60); /* until it is forgotten */
}

/* ---- 14.2, 16 ---- */

static void gossip_goes_to_the_lately_dead_but_not_to_who_left(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_alive("b", 1);
    hear_dead("a", 1, "x");
    hear_dead("b", 1, "b");
    swim.probe_at_ns = swim.push_pull_at_ns = swim.catch_up_at_ns = UINT64_MAX;
    tick_at(swim.gossip_at_ns);
    assert_non_null(strstr(outputs(), ">a"));
    assert_null(strstr(trace, ">b"));
    tick_at(now_ns + 30001 * MS);
    assert_string_equal(outputs(), "");
}

static void news_after_a_rest_goes_out_at_once_and_then_at_the_interval(void **state)
{
    (void)state;
    hear_alive("a", 1);
    drain_queue();
    swim.probe_at_ns = swim.push_pull_at_ns = swim.catch_up_at_ns = UINT64_MAX;
    assert_true(rf_swim_deadline_ns(&swim) == UINT64_MAX); /* nothing to say: no need to wake */
    tick_at(now_ns + 5000 * MS);
    hear_alive("a", 2);
    assert_true(rf_swim_deadline_ns(&swim) <= now_ns);
    tick_at(now_ns);
    assert_string_equal(outputs(), "alive>a");
    assert_true(rf_swim_deadline_ns(&swim) == now_ns + 200 * MS);
    hear_alive("a", 3);
    tick_at(now_ns + 199 * MS);
    assert_string_equal(outputs(), "");
    tick_at(now_ns + 1 * MS);
    assert_string_equal(outputs(), "alive>a");
}

static void leave_is_done_when_the_others_were_told(void **state)
{
    (void)state;
    hear_alive("a", 1);
    drain_queue();
    swim.probe_at_ns = swim.push_pull_at_ns = swim.catch_up_at_ns = UINT64_MAX;
    rf_swim_leave(&swim, now_ns, 5000 * MS);
    assert_string_equal(outputs(), "leave:me");
    assert_int_equal(swim.self->state, RF_NODE_LEFT);
    for (int i = 0; i < 3; i++) {
        tick_at(now_ns + 200 * MS);
        assert_string_equal(outputs(), "dead>a");
    }
    tick_at(now_ns + 200 * MS);
    assert_string_equal(outputs(), "left: dead>a");
    assert_string_equal(hear_dead("me", 9, "b"), ""); /* nothing is refuted any more */
}

static void update_is_announced_with_the_next_incarnation(void **state)
{
    (void)state;
    drain_queue();
    assert_int_equal(rf_swim_update(&swim, now_ns, rf_slice_text("db")), 0);
    assert_string_equal(outputs(), "update:me");
    assert_int_equal(swim.incarnation, 2);
    assert_int_equal(swim.queue.count, 1);
}

static void configurations_out_of_range_are_refused(void **state)
{
    (void)state;
    struct rf_swim_config good;
    rf_swim_config_init(&good, RF_SWIM_WAN);
    good.name = "n";
    good.address = address_of("n");
    struct rf_swim_config bad[6] = {good, good, good, good, good, good};
    bad[0].name = "white space";
    bad[1].name = "";
    bad[2].address.port = 0;
    bad[3].meta_size = RF_META_SIZE_MAX + 1;
    bad[4].probe_timeout_ns = good.probe_interval_ns + 1;
    bad[5].vsn[0] = 0;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rf_swim other;
        struct rf_error err = {0};
        assert_true(rf_swim_init(&other, &bad[i], 1, 1, &err) < 0);
        assert_true(strlen(err.text) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(alive_of_an_unknown_node_is_a_join_and_is_gossiped),
        CASE(alive_with_a_version_that_would_block_the_cluster_is_dropped),
        CASE(alive_without_a_port_has_ours),
        CASE(alive_from_another_address_is_a_conflict_unless_the_node_left),
        CASE(alive_in_the_mapped_form_of_the_address_is_a_conflict),
        CASE(alive_ends_a_suspicion_only_if_it_is_newer),
        CASE(alive_with_other_metadata_is_an_update),
        CASE(alive_about_us_that_is_not_ours_is_refuted),
        CASE(alive_of_a_returned_node_makes_us_tell_it_of_its_death),
        CASE(nodes_above_the_limit_are_not_let_in),
        CASE(suspect_moves_only_alive_nodes),
        CASE(suspect_again_confirms_and_is_gossiped_once_for_each_accuser),
        CASE(suspect_that_does_not_refute_in_time_is_dead),
        CASE(accusations_against_us_are_refuted_with_a_higher_incarnation),
        CASE(an_accuser_is_answered_alone_however_often_it_asks),
        CASE(an_accuser_tells_the_accused_in_each_interval),
        CASE(a_confirmation_after_the_time_is_over_leaves_room_for_a_refutation),
        CASE(incarnations_neither_wrap_nor_freeze_us),
        CASE(dead_from_the_node_itself_is_left),
        CASE(dead_nodes_are_forgotten_after_a_while),
        CASE(merge_takes_death_for_a_suspicion_and_learns_no_dead),
        CASE(a_node_driven_to_absurd_incarnations_is_heard_when_it_is_called),
        CASE(a_node_at_the_end_of_its_incarnations_lives_as_long_as_it_answers),
        CASE(merge_is_refused_whole_if_one_node_speaks_another_version),
        CASE(push_pulls_get_rarer_as_the_cluster_grows),
        CASE(ping_is_answered_if_it_is_for_us),
        CASE(strangers_that_know_our_name_are_called_back_a_few_times),
        CASE(members_are_not_called_back),
        CASE(messages_of_ours_carry_broadcasts),
        CASE(indirect_ping_is_relayed_and_its_ack_or_nack_returned),
        CASE(probe_that_is_acked_lowers_the_awareness_score),
        CASE(probe_without_ack_asks_others_and_tcp_then_suspects),
        CASE(probe_without_nacks_raises_the_awareness_score),
        CASE(probe_that_tcp_answers_is_no_failure),
        CASE(probe_of_a_suspect_tells_it_of_the_suspicion),
        CASE(probes_skip_the_dead_and_ourselves),
        CASE(the_dead_are_told_of_it_until_they_are_forgotten),
        CASE(gossip_goes_to_the_lately_dead_but_not_to_who_left),
        CASE(news_after_a_rest_goes_out_at_once_and_then_at_the_interval),
        CASE(leave_is_done_when_the_others_were_told),
        CASE(update_is_announced_with_the_next_incarnation),
        CASE(configurations_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
