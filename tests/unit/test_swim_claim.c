/* SPDX-License-Identifier: MIT
 *
 * test_swim_claim.c - a known name that is claimed from another address moves only if nobody is
 * left where it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "gossip/swim_private.h"

#define MS UINT64_C(1000000)

enum { PLACE = 'a', CLAIMANT = 'z' };

static struct rf_swim swim;
static uint64_t now_ns;
static const struct rf_address anywhere = {.ip = {10, 0, 0, 250}, .ip_size = 4, .port = 1};

/* What the machine has asked for since the last claim: the last one of each kind. */
static uint64_t stream_to_place;
static uint64_t stream_to_claimant;
static uint32_t packet_seq_no; /* of the ping to the place; 0: none was sent */
static size_t events;          /* joins, updates and leaves */

static struct rf_address address_of(char c)
{
    return (struct rf_address){.ip = {10, 0, 0, (uint8_t)c}, .ip_size = 4, .port = 7946};
}

static int setup(void **state)
{
    (void)state;
    struct rf_swim_config config;
    rf_swim_config_init(&config, RF_SWIM_LAN);
    config.name = "me";
    config.address = address_of('m');
    now_ns = 1000 * MS;
    int code = rf_swim_init(&swim, &config, 5, now_ns, NULL);
    rf_outbox_clear(&swim.up);
    return code;
}

static int teardown(void **state)
{
    (void)state;
    rf_swim_fini(&swim);
    return 0;
}

static void take_outputs(void)
{
    struct rf_output output;
    while (rf_outbox_next(&swim.up, &output)) {
        events += output.type == RF_OUTPUT_NODE_JOIN || output.type == RF_OUTPUT_NODE_UPDATE ||
                  output.type == RF_OUTPUT_NODE_LEAVE;
    }
    while (rf_outbox_next(&swim.out, &output)) {
        struct rf_message message;
        if (output.type == RF_OUTPUT_EXCHANGE && output.address.ip[3] == PLACE) {
            stream_to_place = output.exchange_id;
        } else if (output.type == RF_OUTPUT_EXCHANGE && output.address.ip[3] == CLAIMANT) {
            stream_to_claimant = output.exchange_id;
        } else if (output.type == RF_OUTPUT_PACKET &&
                   rf_message_decode(rf_slice(output.bytes, output.bytes_size), &message) == 0 &&
                   message.type == RF_MESSAGE_PING) {
            assert_int_equal(output.address.ip[3], PLACE); /* to no stranger */
            packet_seq_no = message.ping.seq_no;
        }
    }
    rf_outbox_clear(&swim.up);
    rf_outbox_clear(&swim.out);
    rf_swim_check(&swim);
}

static void receive(const struct rf_message *message)
{
    uint8_t bytes[2048];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    assert_true(rf_message_encode(message, &packer) > 0);
    rf_swim_receive(&swim, now_ns, &anywhere, rf_packer_slice(&packer));
    take_outputs();
}

static void hear_alive(const char *name, char where, uint32_t incarnation)
{
    stream_to_place = stream_to_claimant = 0;
    packet_seq_no = 0;
    events = 0;
    struct rf_message message = {.type = RF_MESSAGE_ALIVE,
                                 .alive = {.incarnation = incarnation,
                                           .node = rf_slice_text(name),
                                           .address = address_of(where),
                                           .meta = rf_slice_text("tags")}};
    memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    receive(&message);
}

static void stream_ends(uint64_t exchange_id, int code)
{
    struct rf_swim_exchange exchange;
    rf_swim_claims_heard(&swim, now_ns, exchange_id, code);
    (void)rf_swim_exchange_take(&swim, exchange_id, &exchange);
    take_outputs();
}

/* The claims alone: no probe of ours is to be in the way. */
static void wait_ms(uint64_t ms)
{
    now_ns += ms * MS;
    swim.seen_ns = now_ns;
    rf_swim_claims_tick(&swim, now_ns);
    take_outputs();
}

static uint8_t place_of(const char *name)
{
    return rf_node_table_find(&swim.nodes, rf_slice_text(name))->address.ip[3];
}

static void claim_begins(void)
{
    hear_alive("a", PLACE, 5);
    hear_alive("a", CLAIMANT, 1);
    assert_int_not_equal(stream_to_place, 0);
    assert_int_not_equal(stream_to_claimant, 0);
    assert_int_not_equal(packet_seq_no, 0);
}

static void a_name_moves_when_its_place_refuses_and_who_claims_it_answers(void **state)
{
    (void)state;
    claim_begins();
    stream_ends(stream_to_place, -ECONNREFUSED);
    stream_ends(stream_to_claimant, 0);
    assert_int_equal(place_of("a"), PLACE); /* an ack may be on its way */
    assert_int_equal(rf_swim_claims_deadline_ns(&swim), now_ns + 500 * MS);
    wait_ms(500);
    assert_int_equal(place_of("a"), CLAIMANT);
    assert_int_equal(events, 1); /* an update: its address is another one */
    assert_int_equal(swim.stats.names_moved, 1);
    assert_int_equal(swim.exchanges_count, 0);
    assert_int_equal(rf_swim_claims_deadline_ns(&swim), UINT64_MAX);
}

static void a_name_of_a_dead_node_moves_and_joins(void **state)
{
    (void)state;
    hear_alive("a", PLACE, 5);
    struct rf_message dead = {.type = RF_MESSAGE_DEAD,
                              .dead = {5, rf_slice_text("a"), rf_slice_text("b")}};
    receive(&dead);
    hear_alive("a", CLAIMANT, 1);
    stream_ends(stream_to_place, -ECONNREFUSED);
    wait_ms(700);
    assert_int_equal(events, 0);
    stream_ends(stream_to_claimant, 0); /* late, not too late */
    assert_int_equal(events, 1);
    assert_int_equal(place_of("a"), CLAIMANT);
}

static void a_name_stays_when_its_place_answers_in_any_way(void **state)
{
    (void)state;
    claim_begins(); /* by UDP, though a firewall refuses TCP */
    struct rf_message ack = {.type = RF_MESSAGE_ACK, .ack = {.seq_no = packet_seq_no}};
    stream_ends(stream_to_place, -ECONNREFUSED);
    receive(&ack);
    stream_ends(stream_to_claimant, 0);
    wait_ms(2000);
    assert_int_equal(place_of("a"), PLACE);

    hear_alive("a", CLAIMANT, 1); /* by TCP, and who claims it too */
    stream_ends(stream_to_claimant, 0);
    stream_ends(stream_to_place, 0);
    wait_ms(2000);
    assert_int_equal(place_of("a"), PLACE);
    assert_int_equal(swim.exchanges_count, 0);
}

static void a_name_stays_when_its_place_is_silent_or_cut_off(void **state)
{
    (void)state;
    static const int codes[] = {-ETIMEDOUT, -EHOSTUNREACH, -ENETUNREACH, -ECONNRESET, -EMFILE};
    claim_begins();
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        stream_ends(stream_to_claimant, 0);
        stream_ends(stream_to_place, codes[i]);
        wait_ms(2000);
        assert_int_equal(place_of("a"), PLACE);
        hear_alive("a", CLAIMANT, 1);
    }
    stream_ends(stream_to_claimant, 0); /* not a word about the place */
    wait_ms(2000);
    assert_int_equal(place_of("a"), PLACE);
    assert_int_equal(swim.stats.names_moved, 0);
}

static void a_name_stays_when_who_claims_it_does_not_answer_to_it(void **state)
{
    (void)state;
    claim_begins();
    stream_ends(stream_to_place, -ECONNREFUSED);
    stream_ends(stream_to_claimant, -ECONNRESET); /* so nodes of another name do */
    wait_ms(2000);
    assert_int_equal(place_of("a"), PLACE);
}

static void a_name_is_looked_at_once_in_an_interval_and_few_at_a_time(void **state)
{
    (void)state;
    claim_begins();
    stream_ends(stream_to_place, 0);
    hear_alive("a", CLAIMANT, 1);
    assert_int_equal(stream_to_place, 0);
    wait_ms(1000);
    hear_alive("a", CLAIMANT, 1);
    assert_int_not_equal(stream_to_place, 0);
    for (int i = 0; i < RF_SWIM_CLAIMS_MAX; i++) {
        const char name[] = {(char)('b' + i), '\0'};
        hear_alive(name, name[0], 1);
        struct rf_message message = {
            .type = RF_MESSAGE_ALIVE,
            .alive = {.incarnation = 2, .node = rf_slice_text(name), .address = address_of('y')}};
        memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
        uint8_t bytes[512];
        struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
        assert_true(rf_message_encode(&message, &packer) > 0);
        rf_swim_receive(&swim, now_ns, &anywhere, rf_packer_slice(&packer));
        rf_outbox_clear(&swim.out);
        rf_outbox_clear(&swim.up);
    }
    assert_int_equal(swim.stats.claims_dropped, 1);
    assert_int_equal(swim.exchanges_count, 2 * RF_SWIM_CLAIMS_MAX);
    wait_ms(1500);
    assert_int_equal(swim.exchanges_count, 0);
}

static void our_own_lateness_is_no_silence(void **state)
{
    (void)state;
    claim_begins();
    stream_ends(stream_to_place, -ECONNREFUSED);
    stream_ends(stream_to_claimant, 0);
    rf_swim_claims_shift(&swim, 3000 * MS);
    wait_ms(3000);
    assert_int_equal(place_of("a"), PLACE); /* the ack may wait in our socket */
    wait_ms(500);
    assert_int_equal(place_of("a"), CLAIMANT);
}

static void our_name_at_a_place_that_refuses_is_ours_and_outbid(void **state)
{
    (void)state;
    hear_alive("me", CLAIMANT, 7); /* our own life before */
    assert_int_not_equal(stream_to_claimant, 0);
    assert_int_equal(packet_seq_no, 0);
    assert_int_equal(swim.incarnation, 1);
    stream_ends(stream_to_claimant, -ECONNREFUSED);
    assert_int_equal(swim.incarnation, 8);
    assert_int_equal(swim.rival_gone_ns, now_ns);
    assert_int_equal(swim.stats.refutations, 0); /* nobody accused us */
    wait_ms(1000);
    swim.rival_gone_ns = 0;
    hear_alive("me", CLAIMANT, 20);
    stream_ends(stream_to_claimant, 0); /* somebody has it: the vote decides */
    wait_ms(2000);
    assert_int_equal(swim.incarnation, 8);
    assert_int_equal(swim.rival_gone_ns, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_name_moves_when_its_place_refuses_and_who_claims_it_answers),
        CASE(a_name_of_a_dead_node_moves_and_joins),
        CASE(a_name_stays_when_its_place_answers_in_any_way),
        CASE(a_name_stays_when_its_place_is_silent_or_cut_off),
        CASE(a_name_stays_when_who_claims_it_does_not_answer_to_it),
        CASE(a_name_is_looked_at_once_in_an_interval_and_few_at_a_time),
        CASE(our_own_lateness_is_no_silence),
        CASE(our_name_at_a_place_that_refuses_is_ours_and_outbid),
    };
#undef CASE
    return cmocka_run_group_tests(tests, NULL, NULL);
}
