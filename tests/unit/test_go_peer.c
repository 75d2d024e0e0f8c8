/* SPDX-License-Identifier: MIT
 *
 * test_go_peer.c - the oracle of tests/support/go_peer.h sees each input that is known to end or
 * poison a Go peer, lets pass what real peers were recorded to send, and our encoders make none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/message.h"
#include "gossip/serf_message.h"
#include "tests/support/go_peer.h"

static uint8_t bytes[4096];

static struct rf_message alive(void)
{
    struct rf_message message = {
        .type = RF_MESSAGE_ALIVE,
        .alive = {.incarnation = 1,
                  .node = rf_slice_text("n"),
                  .address = {.ip = {10, 0, 0, 1}, .ip_size = 4, .port = 7946}}};
    memcpy(message.alive.vsn, rf_vsn_ours, RF_VSN_SIZE);
    return message;
}

static const char *verdict(struct go_peer_view *view, const struct rf_message *message)
{
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    assert_true(rf_message_encode(message, &packer) > 0);
    return go_peer_dies_of_packet(view, rf_packer_slice(&packer));
}

/* An alive whose version vector has `size` bytes, written by hand: our encoder cannot. */
static const char *verdict_on_vsn(const uint8_t *vsn, uint8_t size)
{
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    rf_pack_byte(&packer, RF_MESSAGE_ALIVE);
    rf_pack_map(&packer, 6);
    rf_pack_raw(&packer, rf_slice_text("Addr"));
    rf_pack_raw(&packer, rf_slice("\x0a\x00\x00\x01", 4));
    rf_pack_raw(&packer, rf_slice_text("Incarnation"));
    rf_pack_uint(&packer, 1);
    rf_pack_raw(&packer, rf_slice_text("Meta"));
    rf_pack_nil(&packer);
    rf_pack_raw(&packer, rf_slice_text("Node"));
    rf_pack_raw(&packer, rf_slice_text("n"));
    rf_pack_raw(&packer, rf_slice_text("Port"));
    rf_pack_uint(&packer, 7946);
    rf_pack_raw(&packer, rf_slice_text("Vsn"));
    rf_pack_raw(&packer, rf_slice(vsn, size));
    return go_peer_dies_of_packet(NULL, rf_packer_slice(&packer));
}

static void version_vectors_that_end_or_poison_peers_are_seen(void **state)
{
    (void)state;
    for (uint8_t size = 0; size < RF_VSN_SIZE; size++) {
        assert_non_null(verdict_on_vsn(rf_vsn_ours, size));
    }
    assert_null(verdict_on_vsn(rf_vsn_ours, RF_VSN_SIZE));
    static const uint8_t bad[][RF_VSN_SIZE] = {
        {0, 5, 2, 2, 5, 4}, {1, 0, 2, 2, 5, 4}, {3, 2, 2, 2, 5, 4}, {1, 5, 6, 2, 5, 4},
        {1, 5, 2, 0, 0, 0}, {1, 5, 2, 2, 3, 3}, {1, 5, 2, 5, 5, 5}, {3, 5, 3, 2, 5, 4}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_non_null(verdict_on_vsn(bad[i], RF_VSN_SIZE));
    }
}

static void incarnations_and_addresses_that_poison_peers_are_seen(void **state)
{
    (void)state;
    struct go_peer_view view = {0};
    struct rf_message message = alive();
    assert_null(verdict(&view, &message));
    message.alive.incarnation = UINT32_MAX;
    assert_non_null(verdict(&view, &message));
    message = alive();
    message.alive.address = (struct rf_address){
        .ip = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 1}, .ip_size = 16, .port = 7946};
    assert_non_null(verdict(&view, &message));
    message.alive.node = rf_slice_text("another");
    assert_null(verdict(&view, &message));
    struct rf_message dead = {.type = RF_MESSAGE_DEAD,
                              .dead = {UINT32_MAX - 1, rf_slice_text("n"), rf_slice_text("m")}};
    assert_non_null(verdict(&view, &dead));
}

static const char *verdict_on_query(const char *name, struct rf_slice filters,
                                    struct rf_slice payload)
{
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_serf_message message = {
        .type = RF_SERF_QUERY,
        .query = {.name = rf_slice_text(name), .filters = filters, .payload = payload}};
    rf_pack_byte(&packer, RF_MESSAGE_USER);
    assert_true(rf_serf_message_encode(&message, &packer) > 0);
    return go_peer_dies_of_packet(NULL, rf_packer_slice(&packer));
}

static void queries_that_end_peers_are_seen(void **state)
{
    (void)state;
    static const uint8_t empty_filter[] = {0x91, 0xa0};
    struct rf_slice nothing = rf_slice(NULL, 0);
    struct rf_slice key = rf_slice_text("\x07\x81\xa3Key\xa1k");
    assert_null(verdict_on_query("deploy", nothing, nothing));
    assert_non_null(verdict_on_query("deploy", rf_slice(empty_filter, 2), nothing));
    static const char *const names[] = {"_serf_install-key", "_serf_use-key", "_serf_remove-key"};
    for (size_t i = 0; i < 3; i++) {
        assert_non_null(verdict_on_query(names[i], nothing, nothing));
        assert_null(verdict_on_query(names[i], nothing, key));
    }
}

static const char *verdict_on_push_pull(uint64_t nodes_count, uint64_t state_size)
{
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_push_pull_header header = {.nodes_count = nodes_count, .user_state_size = state_size};
    assert_true(rf_push_pull_header_encode(&header, &packer) > 0);
    struct rf_push_node_state node = {.name = rf_slice_text("n"),
                                      .address = {.ip = {10, 0, 0, 1}, .ip_size = 4, .port = 1},
                                      .incarnation = 1};
    memcpy(node.vsn, rf_vsn_ours, RF_VSN_SIZE);
    assert_true(rf_push_node_state_encode(&node, &packer) > 0);
    rf_pack_bytes(&packer, rf_slice_text("\x02\x80"));
    return go_peer_dies_of_stream(NULL, rf_packer_slice(&packer));
}

static void streams_that_end_peers_are_seen(void **state)
{
    (void)state;
    assert_null(verdict_on_push_pull(1, 2));
    assert_non_null(verdict_on_push_pull(UINT32_C(1) << 31, 2));
    assert_non_null(verdict_on_push_pull(0, 2));
    assert_non_null(verdict_on_push_pull(1, UINT32_C(1) << 31));
    assert_non_null(go_peer_dies_of_stream(NULL, rf_slice(NULL, 0)));
    static const uint8_t negative[] = "\x06\x83\xa4"
                                      "Join\xc2\xa5"
                                      "Nodes\xff\xac"
                                      "UserStateLen";
    assert_non_null(go_peer_dies_of_stream(NULL, rf_slice(negative, sizeof(negative))));
    static const uint8_t compressed[] = {RF_MESSAGE_COMPRESS, 0x92, 0x00, 0xa3, 0x00, 0x03, 0x02};
    assert_non_null(go_peer_dies_of_stream(NULL, rf_slice(compressed, sizeof(compressed))));
}

static void packets_that_no_peer_takes_are_seen(void **state)
{
    (void)state;
    static const uint8_t parts_none[] = {RF_MESSAGE_COMPOUND, 0};
    static const uint8_t part_empty[] = {RF_MESSAGE_COMPOUND, 1, 0, 0};
    static const uint8_t part_cut[] = {RF_MESSAGE_COMPOUND, 1, 0, 9, 0};
    static uint8_t parts_many[2 + 2 * 128 + 128 * 2] = {RF_MESSAGE_COMPOUND, 128};
    for (size_t i = 0; i < 128; i++) {
        parts_many[3 + 2 * i] = 2;
        memcpy(parts_many + 2 + 2 * 128 + 2 * i, "\x0b\x80", 2);
    }
    assert_non_null(go_peer_dies_of_packet(NULL, rf_slice(NULL, 0)));
    assert_non_null(go_peer_dies_of_packet(NULL, rf_slice(parts_none, sizeof(parts_none))));
    assert_non_null(go_peer_dies_of_packet(NULL, rf_slice(part_empty, sizeof(part_empty))));
    assert_non_null(go_peer_dies_of_packet(NULL, rf_slice(part_cut, sizeof(part_cut))));
    assert_non_null(go_peer_dies_of_packet(NULL, rf_slice(parts_many, sizeof(parts_many))));
    assert_non_null(go_peer_dies_of_packet(NULL, rf_slice_text("\x06\x80")));
    struct rf_message ack = {.type = RF_MESSAGE_ACK,
                             .ack = {.payload = rf_slice_text("\x01\x81\xa6Height\xcb\x7f\xf8")}};
    assert_non_null(verdict(NULL, &ack));
    ack.ack.payload = rf_slice(NULL, 0);
    assert_null(verdict(NULL, &ack));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_vectors_that_end_or_poison_peers_are_seen),
        cmocka_unit_test(incarnations_and_addresses_that_poison_peers_are_seen),
        cmocka_unit_test(queries_that_end_peers_are_seen),
        cmocka_unit_test(streams_that_end_peers_are_seen),
        cmocka_unit_test(packets_that_no_peer_takes_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
