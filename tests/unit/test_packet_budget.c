/* SPDX-License-Identifier: MIT
 *
 * test_packet_budget.c - packets that carry all the gossip that fits, with the longest label and
 * encryption around them, stay within the budget.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/packet.h"
#include "gossip/swim_private.h"

#define MS UINT64_C(1000000)

enum {
    NODES = 60,
    CRC_SIZE = 5, /* not counted, as in the reference: packet.h */
};

static struct rf_keyring *keyring;
static struct rf_envelope envelope;
static struct rf_swim swim;
static struct rf_packet packet;
static struct rf_lzw_workspace workspace;
static uint64_t now_ns;

static struct rf_address address_of(int i)
{
    return (struct rf_address){.ip = {10, 0, 1, (uint8_t)i}, .ip_size = 4, .port = 7946};
}

static void setup(const char *key, size_t label_size)
{
    static uint8_t label[RF_LABEL_SIZE_MAX];
    memset(label, 'l', sizeof(label));
    assert_int_equal(rf_keyring_new(&keyring, NULL), 0);
    if (key[0] != '\0') {
        assert_int_equal(rf_keyring_add(keyring, rf_slice_text(key), NULL), 0);
    }
    envelope = (struct rf_envelope){.label = rf_slice(label, label_size), .keyring = keyring};
    struct rf_swim_config config;
    rf_swim_config_init(&config, RF_SWIM_LAN);
    config.name = "me";
    config.address = address_of(250);
    config.packet_overhead = rf_packet_overhead(&envelope);
    now_ns = 1000 * MS;
    assert_int_equal(rf_swim_init(&swim, &config, 7, now_ns, NULL), 0);
}

static void teardown(void)
{
    rf_swim_fini(&swim);
    rf_keyring_free(keyring);
}

static void receive(struct rf_message *message)
{
    uint8_t bytes[2048];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    assert_true(rf_message_encode(message, &packer) > 0);
    const struct rf_address from = address_of(1);
    rf_swim_receive(&swim, now_ns, &from, rf_packer_slice(&packer));
}

/* Nodes with metadata of every length, and messages of the three queues of the layer above. */
static void fill_queues(void)
{
    uint8_t meta[RF_META_SIZE_MAX];
    memset(meta, 'm', sizeof(meta));
    char name[16];
    for (int i = 1; i <= NODES; i++) {
        (void)snprintf(name, sizeof(name), "node-%d", i);
        struct rf_message message = {
            .type = RF_MESSAGE_ALIVE,
            .alive = {.incarnation = 1,
                      .node = rf_slice_text(name),
                      .address = address_of(i),
                      .meta = rf_slice(meta, (size_t)i * RF_META_SIZE_MAX / NODES)}};
        memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
        receive(&message);
    }
    uint8_t body[RF_PACKET_BUDGET];
    memset(body, 'u', sizeof(body));
    for (size_t size = 1; size < sizeof(body); size += 13) { /* the largest ones are refused */
        (void)rf_swim_queue_user(&swim, size % RF_SWIM_USER_QUEUES, rf_slice(body, size),
                                 RF_BROADCAST_QUIET);
    }
}

struct seen {
    size_t count;
    size_t size_max; /* of a datagram, without its CRC */
};

/* Seals all that is to be sent, as a driver does, and opens it again. */
static void send_all(struct seen *seen)
{
    struct rf_output output;
    while (rf_outbox_next(&swim.out, &output)) {
        if (output.type != RF_OUTPUT_PACKET) {
            continue;
        }
        uint8_t datagram[RF_PACKET_SIZE_MAX];
        const struct rf_packet_options options = {.crc = output.with_crc};
        int size =
            rf_packet_seal(&envelope, &options, &workspace,
                           rf_slice(output.bytes, output.bytes_size), datagram, sizeof(datagram));
        size_t crc_size = output.with_crc ? CRC_SIZE : 0;
        assert_int_equal(size, output.bytes_size + swim.config.packet_overhead + crc_size);
        assert_in_range(size, 1, RF_PACKET_BUDGET + crc_size);
        assert_int_equal(rf_packet_open(&packet, &envelope, datagram, (size_t)size), 0);
        seen->count++;
        if ((size_t)size - crc_size > seen->size_max) {
            seen->size_max = (size_t)size - crc_size;
        }
    }
    rf_outbox_clear(&swim.out);
    rf_outbox_clear(&swim.up);
    rf_swim_check(&swim);
}

/* Gossip, probes, acks and relayed pings, until everything has been told. */
static struct seen run(const char *key, size_t label_size)
{
    struct seen seen = {0};
    setup(key, label_size);
    fill_queues();
    for (int i = 0; i < 400; i++) {
        const struct rf_address peer = address_of(1 + i % NODES);
        struct rf_message ping = {
            .type = RF_MESSAGE_PING,
            .ping = {.seq_no = (uint32_t)i, .node = rf_slice_text("me"), .source = peer}};
        receive(&ping);
        struct rf_message relay = {.type = RF_MESSAGE_INDIRECT_PING,
                                   .indirect_ping = {.seq_no = (uint32_t)i,
                                                     .target = address_of(2),
                                                     .node = rf_slice_text("node-2"),
                                                     .nack = true,
                                                     .source = peer}};
        receive(&relay);
        now_ns += 50 * MS;
        rf_swim_tick(&swim, now_ns);
        send_all(&seen);
    }
    assert_int_equal(swim.stats.dropped_malformed + swim.stats.dropped_memory, 0);
    teardown();
    return seen;
}

static void packets_fill_their_budget_and_stay_within_it(void **state)
{
    (void)state;
    static const size_t label_sizes[] = {0, 1, 254, RF_LABEL_SIZE_MAX};
    static const char *const keys[] = {"", "key of 16 bytes!", "key of 32 bytes, as long as this"};
    for (size_t i = 0; i < sizeof(label_sizes) / sizeof(label_sizes[0]); i++) {
        for (size_t j = 0; j < sizeof(keys) / sizeof(keys[0]); j++) {
            struct seen seen = run(keys[j], label_sizes[i]);
            assert_true(seen.count > 400);
            /* Small messages fill what the large ones leave. */
            assert_in_range(seen.size_max, RF_PACKET_BUDGET - 16, RF_PACKET_BUDGET);
        }
    }
}

static void the_largest_overhead_is_that_of_the_longest_label_and_a_key(void **state)
{
    (void)state;
    setup("key of 16 bytes!", RF_LABEL_SIZE_MAX);
    assert_int_equal(rf_packet_overhead(&envelope), 2 + 255 + 29);
    assert_int_equal(swim.config.packet_overhead, 2 + 255 + 29);
    teardown();
}

/* A message that fits no packet is told to whoever queues it, not sent in one that is too large. */
static void what_fits_no_packet_is_not_queued(void **state)
{
    (void)state;
    setup("key of 16 bytes!", RF_LABEL_SIZE_MAX);
    uint8_t body[RF_PACKET_BUDGET] = {0};
    const size_t fits = RF_PACKET_BUDGET - (2 + 255 + 29) - 2 /* compound */ - 2 - 1 /* part */;
    assert_true(rf_swim_queue_user(&swim, 0, rf_slice(body, fits), RF_BROADCAST_QUIET));
    assert_false(rf_swim_queue_user(&swim, 0, rf_slice(body, fits + 1), RF_BROADCAST_QUIET));
    /* A node with the longest name and metadata fits. */
    char name[RF_GOSSIP_NAME_SIZE_MAX + 1];
    uint8_t meta[RF_META_SIZE_MAX] = {0};
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    struct rf_message message = {.type = RF_MESSAGE_ALIVE,
                                 .alive = {.incarnation = UINT32_MAX / 2,
                                           .node = rf_slice_text(name),
                                           .address = {.ip = {0x20, 1}, .ip_size = 16, .port = 1},
                                           .meta = rf_slice(meta, sizeof(meta))}};
    memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    size_t before = swim.queue.count;
    receive(&message);
    assert_int_equal(swim.queue.count, before + 1);
    assert_int_equal(swim.queue.dropped, 0);
    teardown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_fill_their_budget_and_stay_within_it),
        cmocka_unit_test(the_largest_overhead_is_that_of_the_longest_label_and_a_key),
        cmocka_unit_test(what_fits_no_packet_is_not_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
