/* SPDX-License-Identifier: MIT
 *
 * test_swim.c - the SWIM machine, one test for each numbered rule of 9 to 16.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/packet.h"
#include "gossip/swim_private.h"

#define MS UINT64_C(1000000)

static struct rf_swim swim;
static uint64_t now_ns;
static char trace[4096];
static struct rf_packet packet;

static char declared_dead[64]; /* the last "NAME by NAME" that was told */
static const struct rf_address anywhere = {.ip = {10, 0, 0, 250}, .ip_size = 4, .port = 1};

/* Node "x" lives at 10.0.0.x:7946. */
static struct rf_address address_of(const char *name)
{
    return (struct rf_address){.ip = {10, 0, 0, (uint8_t)name[0]}, .ip_size = 4, .port = 7946};
}

static int setup(void **state)
{
    (void)state;
    struct rf_swim_config config;
    rf_swim_config_init(&config, RF_SWIM_LAN);
    config.name = "me";
    config.address = address_of("m");
    now_ns = 1000 * MS;
    int code = rf_swim_init(&swim, &config, 5, now_ns, NULL);
    swim.calls_back_left = 0; /* messages come from a stranger here */
    rf_outbox_clear(&swim.up);
    return code;
}

static int teardown(void **state)
{
    (void)state;
    rf_swim_fini(&swim);
    return 0;
}

static void write_trace(const char *what, char separator, const char *whom)
{
    size_t length = strlen(trace);
    (void)snprintf(trace + length, sizeof(trace) - length, "%s%c%s ", what, separator, whom);
}

static void trace_packet(const struct rf_output *output)
{
    static const struct rf_envelope envelope;
    assert_int_equal(rf_packet_open(&packet, &envelope, output->bytes, output->bytes_size), 0);
    struct rf_slice part;
    char to[2] = {(char)output->address.ip[3], 0};
    while (rf_packet_next(&packet, &part)) {
        const char *name = rf_message_type_name(part.data[0]);
        write_trace(name, '>', to);
    }
}

/* What the machine asked for and told since the last call, as words. */
static const char *outputs(void)
{
    static const char *const up_names[] = {
        [RF_OUTPUT_NODE_JOIN] = "join",          [RF_OUTPUT_NODE_LEAVE] = "leave",
        [RF_OUTPUT_NODE_UPDATE] = "update",      [RF_OUTPUT_NODE_CONFLICT] = "conflict",
        [RF_OUTPUT_USER_MESSAGE] = "user",       [RF_OUTPUT_SWIM_LEFT] = "left",
        [RF_OUTPUT_PUSH_PULL_OPEN] = "pushPull", [RF_OUTPUT_NODE_ACK] = "ack"};
    trace[0] = 0;
    struct rf_output output;
    while (rf_outbox_next(&swim.up, &output)) {
        if (output.type != RF_OUTPUT_NOTICE) {
            write_trace(up_names[output.type], ':', output.name);
        } else if (output.notice == RF_NOTICE_DEAD) {
            (void)snprintf(declared_dead, sizeof(declared_dead), "%s by %s", output.name,
                           output.text);
        }
    }
    while (rf_outbox_next(&swim.out, &output)) {
        char to[2] = {(char)output.address.ip[3], 0};
        if (output.type == RF_OUTPUT_PACKET) {
            trace_packet(&output);
        } else {
            write_trace("tcp-ping", '>', to);
        }
    }
    rf_outbox_clear(&swim.up);
    rf_outbox_clear(&swim.out);
    rf_swim_check(&swim);
    size_t length = strlen(trace);
    trace[length > 0 ? length - 1 : 0] = 0;
    return trace;
}

static const char *receive_from(const struct rf_address *from, const struct rf_message *message)
{
    uint8_t bytes[2048];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    assert_true(rf_message_encode(message, &packer) > 0);
    rf_swim_receive(&swim, now_ns, from, rf_packer_slice(&packer));
    return outputs();
}

static const char *receive(const struct rf_message *message)
{
    return receive_from(&anywhere, message);
}

static struct rf_message alive(const char *name, uint32_t incarnation)
{
    struct rf_message message = {.type = RF_MESSAGE_ALIVE,
                                 .alive = {.incarnation = incarnation,
                                           .node = rf_slice_text(name),
                                           .address = address_of(name)}};
    memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    return message;
}

static const char *hear_alive(const char *name, uint32_t incarnation)
{
    struct rf_message message = alive(name, incarnation);
    return receive(&message);
}

static const char *hear_suspect(const char *name, uint32_t incarnation, const char *from)
{
    struct rf_message message = {
        .type = RF_MESSAGE_SUSPECT,
        .suspect = {incarnation, rf_slice_text(name), rf_slice_text(from)}};
    return receive(&message);
}

static const char *hear_dead(const char *name, uint32_t incarnation, const char *from)
{
    struct rf_message message = {.type = RF_MESSAGE_DEAD,
                                 .dead = {incarnation, rf_slice_text(name), rf_slice_text(from)}};
    return receive(&message);
}

static struct rf_node *node(const char *name)
{
    return rf_node_table_find(&swim.nodes, rf_slice_text(name));
}

/* No gossip, so that packets in a trace are those of the rule at hand. */
static void drain_queue(void)
{
    rf_broadcast_fini(&swim.queue);
    rf_broadcast_init(&swim.queue, 100, 1400, 1);
}

static void tick_at(uint64_t at_ns)
{
    now_ns = at_ns;
    rf_swim_tick(&swim, now_ns);
}

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

static int merge(const struct rf_push_node_state *states, size_t count)
{
    uint8_t bytes[4096];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    for (size_t i = 0; i < count; i++) {
        assert_true(rf_push_node_state_encode(&states[i], &packer) > 0);
    }
    struct rf_stream_message message = {
        .type = RF_MESSAGE_PUSH_PULL,
        .push_pull = {.header = {.nodes_count = count}, .nodes = rf_packer_slice(&packer)}};
    return rf_swim_merge(&swim, now_ns, &message, NULL);
}

static struct rf_push_node_state state_of(const char *name, uint32_t incarnation, uint32_t state)
{
    struct rf_push_node_state result = {.name = rf_slice_text(name),
                                        .address = address_of(name),
                                        .incarnation = incarnation,
                                        .state = state};
    memcpy(result.vsn, rf_vsn_ours, RF_VSN_SIZE);
    return result;
}

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

/* Starts a probe of the only other node, "a"; "b" can help unless it is NULL. */
static void start_probe(const char *helper)
{
    hear_alive("a", 1);
    drain_queue();
    swim.gossip_at_ns = swim.push_pull_at_ns = swim.catch_up_at_ns = UINT64_MAX;
    tick_at(swim.probe_at_ns);
    assert_string_equal(outputs(), "ping>a");
    if (helper != NULL) {
        hear_alive(helper, 1);
        drain_queue();
    }
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

/* ---- lateness and catching up ---- */

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

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
        CASE(update_is_announced_with_the_next_incarnation),
        CASE(configurations_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
