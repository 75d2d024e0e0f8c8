/* SPDX-License-Identifier: MIT
 *
 * test_serf_operators.c - what operators ask of the Serf machine: members forgotten (rules 26.2,
 * 26.3) and round-trip times (rule 25).
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/packet.h"
#include "gossip/serf_private.h"

#define S UINT64_C(1000000000)
#define MS UINT64_C(1000000)

static struct rf_serf *serf;
static uint64_t now_ns;
static struct rf_packet packet;

static struct rf_address address_of(const char *name)
{
    return (struct rf_address){.ip = {10, 0, 0, (uint8_t)name[0]}, .ip_size = 4, .port = 7946};
}

static int setup(void **state)
{
    (void)state;
    struct rf_serf_config config;
    rf_serf_config_init(&config, RF_SWIM_LAN);
    config.swim.name = "me";
    config.swim.address = address_of("m");
    now_ns = S;
    return rf_serf_new(&config, 9, now_ns, &serf, NULL);
}

static int teardown(void **state)
{
    (void)state;
    rf_serf_free(serf);
    return 0;
}

static void drain(void)
{
    struct rf_output output;
    while (rf_serf_next(serf, &output)) {
    }
    rf_serf_check(serf);
}

static void hear(const char *from, const struct rf_message *message)
{
    uint8_t bytes[1400];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    assert_true(rf_message_encode(message, &packer) > 0);
    struct rf_address address = address_of(from);
    rf_serf_receive(serf, now_ns, &address, bytes, packer.size);
}

static void hear_alive(const char *name, uint32_t incarnation)
{
    struct rf_message message = {.type = RF_MESSAGE_ALIVE,
                                 .alive = {.incarnation = incarnation,
                                           .node = rf_slice_text(name),
                                           .address = address_of(name)}};
    memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    hear(name, &message);
    drain();
}

static void hear_dead(const char *name, const char *from)
{
    struct rf_message message = {.type = RF_MESSAGE_DEAD,
                                 .dead = {50, rf_slice_text(name), rf_slice_text(from)}};
    hear(from, &message);
    drain();
}

static void hear_join_intent(const char *name, uint64_t ltime)
{
    uint8_t bytes[256];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    rf_pack_byte(&packer, RF_MESSAGE_USER);
    struct rf_serf_message message = {.type = RF_SERF_JOIN,
                                      .join = {.ltime = ltime, .node = rf_slice_text(name)}};
    assert_true(rf_serf_message_encode(&message, &packer) > 0);
    struct rf_address from = address_of(name);
    rf_serf_receive(serf, now_ns, &from, bytes, packer.size);
    drain();
}

static void assert_status(const char *name, enum rf_serf_status status)
{
    struct rf_serf_member_view member;
    assert_true(rf_serf_member_find(serf, name, strlen(name), &member));
    assert_int_equal(member.status, status);
}

static bool is_known(const char *name)
{
    struct rf_serf_member_view member;
    return rf_serf_member_find(serf, name, strlen(name), &member);
}

/* Lets time pass tick by tick, without an answer from anybody. */
static void wait_until(uint64_t until_ns)
{
    while (rf_serf_deadline_ns(serf) <= until_ns) {
        uint64_t deadline_ns = rf_serf_deadline_ns(serf);
        now_ns = deadline_ns > now_ns ? deadline_ns : now_ns;
        rf_serf_tick(serf, now_ns);
        drain();
    }
    now_ns = until_ns;
}

/* ---- forgetting ---- */

static void a_failed_member_that_is_forgotten_has_left_and_others_are_told(void **state)
{
    (void)state;
    struct rf_error err = {0};
    hear_alive("a", 1);
    hear_alive("b", 1);
    hear_dead("b", "a");
    assert_status("b", RF_SERF_FAILED);
    uint64_t time_before = serf->member_time;
    assert_int_equal(rf_serf_forget(serf, now_ns, "b", false, &err), 0);
    assert_status("b", RF_SERF_LEFT);
    assert_true(serf->member_time > time_before);
    assert_int_equal(rf_serf_forget_state(serf), RF_SERF_FORGET_SPREADING);
    assert_int_equal(rf_serf_forget(serf, now_ns, "b", true, &err), -EBUSY);
    wait_until(now_ns + 2 * S);
    assert_int_equal(rf_serf_forget_state(serf), RF_SERF_FORGET_SPREAD);
    assert_int_equal(rf_serf_forget(serf, now_ns, "b", true, &err), 0);
    assert_false(is_known("b"));
    wait_until(now_ns + 2 * S);
    assert_int_equal(rf_serf_forget(serf, now_ns, "b", true, &err), 0); /* once more */
    assert_int_equal(rf_serf_forget_state(serf), RF_SERF_FORGET_SPREADING);
}

static void without_others_a_member_is_forgotten_at_once(void **state)
{
    (void)state;
    hear_alive("b", 1);
    hear_dead("b", "b2");
    assert_int_equal(rf_serf_forget(serf, now_ns, "b", true, NULL), 0);
    assert_false(is_known("b"));
    assert_int_equal(rf_serf_forget_state(serf), RF_SERF_FORGET_SPREAD);
}

static void an_intent_that_nobody_can_be_sent_is_late_after_the_time_it_has(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_alive("b", 1);
    hear_dead("b", "a");
    serf->swim.config.gossip_interval_ns = 3600 * S;
    serf->swim.gossip_at_ns = now_ns + 3600 * S;
    serf->swim.probe_at_ns = now_ns + 3600 * S;
    assert_int_equal(rf_serf_forget(serf, now_ns, "b", false, NULL), 0);
    wait_until(now_ns + 5 * S - 1);
    assert_int_equal(rf_serf_forget_state(serf), RF_SERF_FORGET_SPREADING);
    wait_until(now_ns + 1);
    assert_int_equal(rf_serf_forget_state(serf), RF_SERF_FORGET_LATE);
    assert_status("b", RF_SERF_LEFT);
}

static void a_member_that_refutes_is_alive_again(void **state)
{
    (void)state;
    hear_alive("a", 1);
    assert_int_equal(rf_serf_forget(serf, now_ns, "a", false, NULL), 0);
    assert_status("a", RF_SERF_LEAVING);
    hear_join_intent("a", serf->member_time);
    assert_status("a", RF_SERF_ALIVE);
}

static void a_member_found_dead_after_it_was_forgotten_has_left(void **state)
{
    (void)state;
    hear_alive("a", 1);
    hear_alive("b", 1);
    assert_int_equal(rf_serf_forget(serf, now_ns, "b", false, NULL), 0);
    hear_dead("b", "a");
    assert_status("b", RF_SERF_LEFT);
}

static void what_cannot_be_forgotten_is_named_and_changes_nothing(void **state)
{
    (void)state;
    struct rf_error err = {0};
    hear_alive("a", 1);
    uint64_t time_before = serf->member_time;
    assert_int_equal(rf_serf_forget(serf, now_ns, "nobody", false, &err), RF_ENOTFOUND);
    assert_string_equal(err.text, "no member 'nobody'");
    assert_int_equal(rf_serf_forget(serf, now_ns, "", true, &err), RF_ENOTFOUND);
    assert_int_equal(rf_serf_forget(serf, now_ns, "me", false, &err), -EINVAL);
    assert_int_equal(rf_serf_forget(serf, now_ns, "a", true, &err), -EINVAL);
    assert_status("a", RF_SERF_ALIVE);
    assert_int_equal(serf->member_time, time_before);
    assert_int_equal(rf_serf_leave(serf, now_ns, NULL), 0);
    drain();
    assert_int_equal(rf_serf_forget(serf, now_ns, "a", false, &err), -ESHUTDOWN);
}

/* ---- coordinates ---- */

/* The first part of the next packet to NAME (NULL: anybody); false: there is none. Sets `packet`.
 */
static bool next_packet(const char *name, struct rf_message *ret_message, size_t *ret_size)
{
    static const struct rf_envelope envelope;
    static uint8_t bytes[RF_PACKET_SIZE_MAX];
    struct rf_address address = address_of(name != NULL ? name : "-");
    struct rf_output output;
    struct rf_slice part;
    while (rf_serf_next(serf, &output)) {
        if (output.type != RF_OUTPUT_PACKET ||
            (name != NULL && !rf_address_equal(&output.address, &address))) {
            continue;
        }
        memcpy(bytes, output.bytes, output.bytes_size);
        assert_int_equal(rf_packet_open(&packet, &envelope, bytes, output.bytes_size), 0);
        assert_true(rf_packet_next(&packet, &part));
        assert_int_equal(rf_message_decode(part, ret_message), 0);
        *ret_size = output.bytes_size;
        return true;
    }
    return false;
}

static void hear_ping(const char *from)
{
    struct rf_message ping = {.type = RF_MESSAGE_PING,
                              .ping = {.seq_no = 7,
                                       .node = rf_slice_text("me"),
                                       .source = address_of(from),
                                       .source_node = rf_slice_text(from)}};
    hear(from, &ping);
}

/* Waits for our next probe and answers it after `rtt_ns`; of "a" with one payload, of "b" with the
 * other. */
static void answer_probe(struct rf_slice payload_a, struct rf_slice payload_b, uint64_t rtt_a_ns,
                         uint64_t rtt_b_ns)
{
    struct rf_message message;
    size_t size;
    for (int i = 0; i < 100000; i++) {
        while (next_packet(NULL, &message, &size)) {
            if (message.type != RF_MESSAGE_PING) {
                continue;
            }
            bool is_a = rf_slice_equal_text(message.ping.node, "a");
            struct rf_message ack = {.type = RF_MESSAGE_ACK,
                                     .ack = {message.ping.seq_no, is_a ? payload_a : payload_b}};
            drain();
            now_ns += is_a ? rtt_a_ns : rtt_b_ns;
            hear(is_a ? "a" : "b", &ack);
            drain();
            return;
        }
        uint64_t deadline_ns = rf_serf_deadline_ns(serf);
        now_ns = deadline_ns > now_ns ? deadline_ns : now_ns;
        rf_serf_tick(serf, now_ns);
    }
    fail_msg("no probe");
}

static struct rf_slice payload_of(const struct rf_coordinate *coordinate)
{
    static uint8_t bytes[256];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    assert_true(rf_coordinate_encode(coordinate, &packer) > 0);
    return rf_packer_slice(&packer);
}

static void acks_to_members_carry_our_coordinate_and_those_to_strangers_none(void **state)
{
    (void)state;
    struct rf_message message;
    struct rf_coordinate coordinate;
    size_t size;
    hear_alive("a", 1);
    hear_ping("a");
    assert_true(next_packet("a", &message, &size));
    assert_int_equal(message.type, RF_MESSAGE_ACK);
    assert_int_equal(message.ack.seq_no, 7);
    assert_int_equal(rf_coordinate_decode(message.ack.payload, &coordinate), 0);
    assert_memory_equal(&coordinate, &serf->vivaldi.self, sizeof(coordinate));
    drain();
    hear_ping("s");
    assert_true(next_packet("s", &message, &size));
    assert_int_equal(message.type, RF_MESSAGE_ACK);
    assert_int_equal(message.ack.payload.size, 0);
}

static void an_ack_with_a_coordinate_and_all_that_rides_on_it_keeps_the_packets_size(void **state)
{
    (void)state;
    struct rf_message message;
    size_t size = 0;
    hear_alive("a", 1);
    for (int i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%d", i); /* all at one address, as tests may */
        hear_alive(name, 1);
        hear_join_intent(name, 5 + (uint64_t)i);
    }
    hear_ping("a");
    assert_true(next_packet("a", &message, &size));
    assert_int_equal(message.type, RF_MESSAGE_ACK);
    assert_true(message.ack.payload.size > 0);
    /* Full, but for less than the shortest broadcast; the reference counts two bytes less. */
    print_message("packet of %zu bytes, allowed %zu; payload %zu\n", size,
                  serf->swim.config.packet_size, message.ack.payload.size);
    assert_in_range(size, serf->swim.config.packet_size - 100, serf->swim.config.packet_size + 7);
}

static void a_round_trip_to_a_member_is_told_from_its_acks(void **state)
{
    (void)state;
    struct rf_error err = {0};
    uint64_t rtt_ns = 0;
    hear_alive("a", 1);
    hear_alive("b", 1);
    assert_int_equal(rf_serf_rtt(serf, "a", NULL, &rtt_ns, &err), -ENODATA);
    struct rf_coordinate there[2] = {rf_coordinate_new(), rf_coordinate_new()};
    for (int i = 0; i < 2; i++) {
        there[i].vec[0] = i == 0 ? 0.030 : -0.030;
        there[i].error = 0.1;
    }
    uint8_t bytes[256];
    struct rf_slice payload = payload_of(&there[0]);
    memcpy(bytes, payload.data, payload.size);
    payload.data = bytes;
    for (int i = 0; i < 200; i++) {
        answer_probe(payload, payload_of(&there[1]), 20 * MS, 40 * MS);
    }
    assert_int_equal(rf_serf_rtt(serf, "a", "b", &rtt_ns, &err), 0);
    assert_in_range(rtt_ns, 59 * MS, 61 * MS); /* as they say: 60 ms and two heights */
    assert_int_equal(rf_serf_rtt(serf, "me", "a", &rtt_ns, &err), 0);
    assert_in_range(rtt_ns, 16 * MS, 24 * MS);
    assert_int_equal(rf_serf_rtt(serf, "b", NULL, &rtt_ns, &err), 0);
    assert_in_range(rtt_ns, 32 * MS, 48 * MS);
    assert_int_equal(rf_serf_rtt(serf, "a", "c", &rtt_ns, &err), RF_ENOTFOUND);
    hear_dead("a", "b");
    assert_int_equal(rf_serf_forget(serf, now_ns, "a", true, &err), 0);
    assert_int_equal(rf_serf_rtt(serf, "a", NULL, &rtt_ns, &err), RF_ENOTFOUND);
}

static void payloads_that_are_no_coordinate_are_acks_all_the_same(void **state)
{
    (void)state;
    uint64_t rtt_ns;
    struct rf_coordinate bad = rf_coordinate_new();
    bad.vec[3] = (double)NAN;
    struct rf_coordinate far_away = rf_coordinate_new();
    far_away.height = 1e9;
    const struct rf_coordinate before = serf->vivaldi.self;
    hear_alive("a", 1);
    answer_probe(rf_slice(NULL, 0), rf_slice(NULL, 0), MS, MS);
    answer_probe(rf_slice_text("\x01"), rf_slice(NULL, 0), MS, MS);
    answer_probe(rf_slice_text("\x02whatever"), rf_slice(NULL, 0), MS, MS);
    answer_probe(payload_of(&bad), rf_slice(NULL, 0), MS, MS);
    answer_probe(payload_of(&far_away), rf_slice(NULL, 0), MS, MS);
    assert_int_equal(serf->stats.coordinates_refused, 4); /* none at all is no fault */
    assert_int_equal(rf_serf_rtt(serf, "a", NULL, &rtt_ns, NULL), -ENODATA);
    assert_memory_equal(&serf->vivaldi.self, &before, sizeof(before));
    assert_status("a", RF_SERF_ALIVE);
    struct rf_serf_stats stats;
    rf_serf_get_stats(serf, &stats);
    assert_int_equal(stats.swim.probes_failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_failed_member_that_is_forgotten_has_left_and_others_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(without_others_a_member_is_forgotten_at_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            an_intent_that_nobody_can_be_sent_is_late_after_the_time_it_has, setup, teardown),
        cmocka_unit_test_setup_teardown(a_member_that_refutes_is_alive_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_member_found_dead_after_it_was_forgotten_has_left, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_forgotten_is_named_and_changes_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            acks_to_members_carry_our_coordinate_and_those_to_strangers_none, setup, teardown),
        cmocka_unit_test_setup_teardown(
            an_ack_with_a_coordinate_and_all_that_rides_on_it_keeps_the_packets_size, setup,
            teardown),
        cmocka_unit_test_setup_teardown(a_round_trip_to_a_member_is_told_from_its_acks, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(payloads_that_are_no_coordinate_are_acks_all_the_same,
                                        setup, teardown),
    };
    return cmocka_run_group_tests_name("serf operators", tests, NULL, NULL);
}
