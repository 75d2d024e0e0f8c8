/* SPDX-License-Identifier: MIT
 *
 * test_strangers.c - what the machines send to addresses that are no member's: answers to where a
 * packet came from, and never more bytes than came.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/random.h"
#include "gossip/packet.h"
#include "gossip/serf_private.h"

#define MS UINT64_C(1000000)

static struct rf_serf *serf;
static uint64_t now_ns;
static const struct rf_address stranger = {.ip = {192, 0, 2, 1}, .ip_size = 4, .port = 1};
static const struct rf_address victim = {.ip = {192, 0, 2, 2}, .ip_size = 4, .port = 53};

static struct rf_address address_of(const char *name)
{
    return (struct rf_address){.ip = {10, 0, 0, (uint8_t)name[0]}, .ip_size = 4, .port = 7946};
}

static int setup(void **state)
{
    (void)state;
    struct rf_serf_config config;
    rf_serf_config_init(&config, RF_SWIM_LAN);
    config.swim.name = "mine";
    config.swim.address = address_of("m");
    now_ns = 1000 * MS;
    return rf_serf_new(&config, 9, now_ns, &serf, NULL);
}

static int teardown(void **state)
{
    (void)state;
    rf_serf_free(serf);
    return 0;
}

struct sent {
    size_t to_stranger; /* bytes */
    size_t to_victim;
    size_t to_members;
    struct rf_address last;
};

static struct sent drain(void)
{
    struct sent sent = {0};
    struct rf_output output;
    while (rf_serf_next(serf, &output)) {
        if (output.type == RF_OUTPUT_PACKET) {
            struct rf_address place = rf_address_unmapped(&output.address);
            size_t *sum = rf_address_equal(&place, &stranger) ? &sent.to_stranger
                          : rf_address_equal(&place, &victim) ? &sent.to_victim
                                                              : &sent.to_members;
            *sum += output.bytes_size;
            sent.last = output.address;
        }
    }
    rf_serf_check(serf);
    return sent;
}

static struct sent receive(const struct rf_address *from, const struct rf_message *message)
{
    uint8_t bytes[2048];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    assert_true(rf_message_encode(message, &packer) > 0);
    rf_serf_packet_begin(serf, packer.size);
    rf_serf_receive(serf, now_ns, from, bytes, packer.size);
    return drain();
}

static void hear_alive(const char *name)
{
    struct rf_message message = {
        .type = RF_MESSAGE_ALIVE,
        .alive = {.incarnation = 1, .node = rf_slice_text(name), .address = address_of(name)}};
    memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    (void)receive(&stranger, &message);
}

static struct rf_message ping_of(const struct rf_address *source)
{
    struct rf_message ping = {.type = RF_MESSAGE_PING,
                              .ping = {.seq_no = 5, .node = rf_slice_text("mine")}};
    if (source != NULL) {
        ping.ping.source = *source;
        ping.ping.source_node = rf_slice_text("somebody");
    }
    return ping;
}

static void acks_go_to_the_source_of_a_packet_or_to_a_member(void **state)
{
    (void)state;
    hear_alive("a");
    struct rf_address member = address_of("a");
    struct rf_message ping = ping_of(&victim);
    struct sent sent = receive(&stranger, &ping); /* whatever it claims */
    assert_true(sent.to_stranger > 0 && sent.to_victim == 0 && sent.to_members == 0);
    ping = ping_of(&member);
    sent = receive(&stranger, &ping); /* a member behind another address of its own */
    assert_true(sent.to_stranger == 0 && rf_address_equal(&sent.last, &member));
    ping = ping_of(NULL);
    sent = receive(&stranger, &ping); /* as of old peers */
    assert_true(sent.to_stranger > 0);
    struct rf_address mapped = {
        .ip = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}, .ip_size = 16, .port = stranger.port};
    ping = ping_of(&mapped);
    sent = receive(&stranger, &ping);
    assert_true(sent.to_stranger > 0 && rf_address_equal(&sent.last, &mapped));
    struct rf_address nowhere = {.ip_size = 16, .port = 7946};
    ping = ping_of(&nowhere);
    sent = receive(&stranger, &ping); /* of a peer bound to an empty host */
    assert_true(sent.to_stranger > 0 && rf_address_equal(&sent.last, &stranger));
}

static struct rf_message alive_of(const char *name, const struct rf_address *address)
{
    struct rf_message alive = {
        .type = RF_MESSAGE_ALIVE,
        .alive = {.incarnation = 1, .node = rf_slice_text(name), .address = *address}};
    memcpy(alive.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    return alive;
}

/* One packet may say it thousands of times, compressed, and a push/pull a million times. */
static void what_an_input_says_again_and_again_is_answered_once(void **state)
{
    (void)state;
    hear_alive("a");
    const struct rf_address address = address_of("a");
    const struct rf_message old_news = alive_of("a", &address);
    const struct rf_message accusation = {
        .type = RF_MESSAGE_SUSPECT,
        .suspect = {.node = rf_slice_text("mine"), .from = rf_slice_text("a")}};
    const struct rf_message death = {.type = RF_MESSAGE_DEAD,
                                     .dead = {1, rf_slice_text("a"), rf_slice_text("a")}};
    for (int i = 0; i < 2; i++) {
        const struct rf_message *message = i == 0 ? &accusation : &old_news;
        now_ns += MS;
        assert_true(receive(&stranger, message).to_members > 0);
        assert_int_equal(receive(&stranger, message).to_members, 0);
        now_ns += MS;
        assert_true(receive(&stranger, message).to_members > 0);
        (void)receive(&stranger, &death); /* of which it is told from now on */
    }
}

static void further_pings_of_a_packet_get_no_more_bytes_than_it_had(void **state)
{
    (void)state;
    enum { PACKET_SIZE = 300 };
    hear_alive("a");
    const struct rf_address member = address_of("a");
    const struct rf_message ping = ping_of(&member);
    size_t first = receive(&member, &ping).to_members;
    uint8_t bytes[256];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    assert_true(rf_message_encode(&ping, &packer) > 0);
    rf_serf_packet_begin(serf, PACKET_SIZE);
    size_t sum = 0;
    for (int i = 0; i < 1000; i++) {
        rf_serf_receive(serf, now_ns, &member, bytes, packer.size);
        sum += drain().to_members;
    }
    assert_in_range(sum, first / 2, first + PACKET_SIZE);
}

static void a_name_at_many_addresses_is_reported_once_for_each_input(void **state)
{
    (void)state;
    hear_alive("a");
    for (uint8_t i = 0; i < 100; i++) {
        uint8_t bytes[256];
        struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
        const struct rf_address other = {.ip = {192, 0, 2, i}, .ip_size = 4, .port = 1};
        const struct rf_message claim = alive_of("a", &other);
        assert_true(rf_message_encode(&claim, &packer) > 0);
        rf_swim_receive(&serf->swim, now_ns, &stranger, rf_packer_slice(&packer));
    }
    assert_int_equal(serf->swim.stats.conflicts, 100);
    assert_int_equal(serf->swim.up.count, 1);
    rf_serf_tick(serf, now_ns);
    (void)drain();
}

static void only_members_get_gossip_with_their_acks(void **state)
{
    (void)state;
    hear_alive("a"); /* there is something to gossip */
    struct rf_address member = address_of("a");
    struct rf_message ping = ping_of(&member);
    size_t to_member = receive(&member, &ping).to_members;
    ping = ping_of(&stranger);
    size_t to_stranger = receive(&stranger, &ping).to_stranger;
    assert_true(to_stranger > 0 && to_stranger < to_member);
}

/* Pings in a compound in a compress message: a small packet that asks for many answers. */
static void a_stranger_gets_no_more_bytes_than_its_packet_had(void **state)
{
    (void)state;
    static uint8_t messages[32768];
    static uint8_t datagram[RF_PACKET_SIZE_MAX];
    static struct rf_lzw_workspace workspace;
    static struct rf_packet packet;
    static const struct rf_envelope envelope;
    struct rf_random random = {.state = 7};
    hear_alive("a");
    for (int round = 0; round < 300; round++) {
        struct rf_packer packer = rf_packer(messages, sizeof(messages));
        size_t count = 1 + rf_random_below(&random, 255);
        rf_pack_byte(&packer, RF_MESSAGE_COMPOUND);
        rf_pack_byte(&packer, (uint8_t)count);
        uint8_t *sizes = messages + packer.size;
        for (size_t i = 0; i < 2 * count; i++) {
            rf_pack_byte(&packer, 0);
        }
        for (size_t i = 0; i < count; i++) {
            struct rf_message ping = ping_of(round % 3 == 0 ? NULL : &victim);
            ping.ping.node = rf_slice_text(round % 2 == 0 ? "" : "mine");
            ping.ping.seq_no = (uint32_t)rf_random_next(&random) >> (8 * (round % 4));
            int size = rf_message_encode(&ping, &packer);
            assert_true(size > 0);
            sizes[2 * i] = (uint8_t)(size >> 8);
            sizes[2 * i + 1] = (uint8_t)size;
        }
        struct rf_packet_options options = {.compress = round % 5 != 0};
        int size = rf_packet_seal(&envelope, &options, &workspace, rf_packer_slice(&packer),
                                  datagram, sizeof(datagram));
        assert_true(size > 0);
        assert_int_equal(rf_packet_open(&packet, &envelope, datagram, (size_t)size), 0);
        rf_serf_packet_begin(serf, (size_t)size);
        struct rf_slice message;
        while (rf_packet_next(&packet, &message)) {
            rf_serf_receive(serf, now_ns, &stranger, message.data, message.size);
        }
        struct sent sent = drain();
        assert_in_range(sent.to_stranger, 0, size);
        assert_int_equal(sent.to_victim, 0);
    }
    struct rf_serf_stats stats;
    rf_serf_get_stats(serf, &stats);
    assert_true(stats.swim.strangers_refused > 0);
}

static void label_and_encryption_count_for_what_a_stranger_gets(void **state)
{
    (void)state;
    serf->swim.config.packet_overhead = 29;
    struct rf_message ping = ping_of(NULL);
    uint8_t bytes[128];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    assert_true(rf_message_encode(&ping, &packer) > 0);
    for (size_t size = 0; size < 200; size++) {
        rf_serf_packet_begin(serf, size);
        rf_serf_receive(serf, now_ns, &stranger, bytes, packer.size);
        size_t answer_size = drain().to_stranger;
        assert_true(answer_size == 0 || answer_size + 29 <= size);
        assert_true(answer_size > 0 || size < packer.size + 29);
    }
}

static struct rf_message relay_request(const struct rf_address *target,
                                       const struct rf_address *source)
{
    return (struct rf_message){.type = RF_MESSAGE_INDIRECT_PING,
                               .indirect_ping = {.seq_no = 6,
                                                 .target = *target,
                                                 .node = rf_slice_text("t"),
                                                 .nack = true,
                                                 .source = *source}};
}

static struct sent tick_past_probe_timeout(void)
{
    serf->swim.probe_at_ns = serf->swim.gossip_at_ns = serf->swim.push_pull_at_ns = UINT64_MAX;
    now_ns += 500 * MS;
    rf_serf_tick(serf, now_ns);
    return drain();
}

static void only_members_have_others_pinged_and_only_members_are(void **state)
{
    (void)state;
    hear_alive("s");
    hear_alive("t");
    struct rf_address asker = address_of("s");
    struct rf_address target = address_of("t");
    struct rf_message request = relay_request(&target, &stranger);
    struct sent sent = receive(&stranger, &request);
    assert_true(sent.to_stranger + sent.to_members == 0);
    request = relay_request(&target, &victim);
    sent = receive(&asker, &request);
    assert_true(sent.to_victim + sent.to_members == 0);
    sent = tick_past_probe_timeout();
    assert_true(sent.to_victim + sent.to_stranger + sent.to_members == 0);
    request = relay_request(&victim, &asker);
    sent = receive(&asker, &request);
    assert_true(sent.to_victim + sent.to_members == 0);
    sent = tick_past_probe_timeout(); /* the nack says the truth: we reached nobody */
    assert_true(sent.to_victim == 0 && rf_address_equal(&sent.last, &asker));
    request = relay_request(&target, &asker);
    sent = receive(&asker, &request);
    assert_true(rf_address_equal(&sent.last, &target));
}

static struct sent deliver(const struct rf_serf_message *message)
{
    uint8_t bytes[2048];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    rf_pack_byte(&packer, RF_MESSAGE_USER);
    assert_true(rf_serf_message_encode(message, &packer) > 0);
    rf_serf_packet_begin(serf, packer.size);
    rf_serf_receive(serf, now_ns, &stranger, bytes, packer.size);
    return drain();
}

static void queries_and_relays_for_strangers_are_not_answered(void **state)
{
    (void)state;
    struct rf_serf_message query = {.type = RF_SERF_QUERY,
                                    .query = {.ltime = 3,
                                              .id = 1,
                                              .address = victim,
                                              .flags = RF_SERF_QUERY_ACK,
                                              .relay_factor = 3,
                                              .name = rf_slice_text("_serf_list-keys")}};
    struct sent sent = deliver(&query);
    assert_true(sent.to_victim + sent.to_stranger + sent.to_members == 0);
    assert_int_equal(serf->swim.user_queues[RF_QUEUE_QUERIES].count, 1); /* the others decide */
    struct rf_serf_message relay = {
        .type = RF_SERF_RELAY, .relay = {.dest = victim, .message = rf_slice_text("\x05payload")}};
    sent = deliver(&relay);
    assert_true(sent.to_victim + sent.to_stranger + sent.to_members == 0);
    hear_alive("q");
    query.query.id = 2;
    query.query.address = address_of("q");
    assert_true(deliver(&query).to_members > 0);
    relay.relay.dest = address_of("q");
    assert_true(deliver(&relay).to_members > 0);
}

static void a_member_that_is_forgotten_is_a_stranger_again(void **state)
{
    (void)state;
    hear_alive("a");
    struct rf_address place = address_of("a");
    assert_true(rf_swim_is_member_address(&serf->swim, &place));
    struct rf_address mapped = {
        .ip = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 'a'}, .ip_size = 16, .port = 7946};
    assert_true(rf_swim_is_member_address(&serf->swim, &mapped));
    mapped.port = 7947;
    assert_false(rf_swim_is_member_address(&serf->swim, &mapped));
    struct rf_node_table *nodes = &serf->swim.nodes;
    rf_node_table_remove(nodes, rf_node_table_find(nodes, rf_slice_text("a")));
    assert_false(rf_swim_is_member_address(&serf->swim, &place));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(acks_go_to_the_source_of_a_packet_or_to_a_member, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_an_input_says_again_and_again_is_answered_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(further_pings_of_a_packet_get_no_more_bytes_than_it_had,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_at_many_addresses_is_reported_once_for_each_input,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(only_members_get_gossip_with_their_acks, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stranger_gets_no_more_bytes_than_its_packet_had, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(label_and_encryption_count_for_what_a_stranger_gets, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(only_members_have_others_pinged_and_only_members_are, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(queries_and_relays_for_strangers_are_not_answered, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_member_that_is_forgotten_is_a_stranger_again, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
