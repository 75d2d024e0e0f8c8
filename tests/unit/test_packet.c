/* SPDX-License-Identifier: MIT
 *
 * test_packet.c - envelopes of packets: nesting, limits, keys, labels; and the key ring and blobs.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/compress.h"
#include "gossip/packet.h"
#include "tests/support/vectors.h"

static struct rf_packet packet;
static struct rf_lzw_workspace workspace;
static const struct rf_envelope plain_envelope;

static const uint8_t nack[] = {RF_MESSAGE_NACK, 0x81, 0xa5, 'S', 'e', 'q', 'N', 'o', 7};

/* Wraps `*size` bytes in place: as a compound of one, or compressed. */
static void wrap(uint8_t *data, size_t *size, bool compress)
{
    static uint8_t inner[4096];
    memcpy(inner, data, *size);
    struct rf_slice message = rf_slice(inner, *size);
    if (compress) {
        int rc = rf_compress_encode(&workspace, message, data, sizeof(inner));
        assert_true(rc > 0);
        *size = (size_t)rc;
        return;
    }
    struct rf_packer packer = rf_packer(data, sizeof(inner));
    assert_true(rf_compound_encode(&message, 1, &packer) > 0);
    *size = packer.size;
}

static void messages_nested_to_the_limit_come_out_and_no_deeper(void **state)
{
    (void)state;
    for (int kinds = 0; kinds < 1 << (RF_PACKET_DEPTH_MAX + 1); kinds++) {
        uint8_t data[4096];
        size_t size = sizeof(nack);
        memcpy(data, nack, size);
        for (int depth = 1; depth <= RF_PACKET_DEPTH_MAX + 1; depth++) {
            wrap(data, &size, (kinds >> depth & 1) != 0);
            struct rf_slice message;
            assert_int_equal(rf_packet_open(&packet, &plain_envelope, data, size), 0);
            bool is_delivered = rf_packet_next(&packet, &message);
            assert_int_equal(is_delivered, depth <= RF_PACKET_DEPTH_MAX);
            assert_int_equal(packet.dropped_count, depth > RF_PACKET_DEPTH_MAX);
            if (is_delivered) {
                assert_true(rf_slice_equal(message, rf_slice(nack, sizeof(nack))));
                assert_false(rf_packet_next(&packet, &message));
            } else {
                assert_int_equal(packet.dropped_code, RF_ELIMIT);
            }
        }
    }
}

static void bad_parts_are_counted_and_the_others_come(void **state)
{
    (void)state;
    static const uint8_t crc_inside[] = {RF_MESSAGE_HAS_CRC, 0, 0, 0, 0, 1};
    static const uint8_t label_inside[] = {RF_MESSAGE_HAS_LABEL, 1, 'x', 11};
    const struct rf_slice parts[] = {
        rf_slice(crc_inside, sizeof(crc_inside)),
        rf_slice(nack, sizeof(nack)),
        rf_slice(label_inside, sizeof(label_inside)),
        rf_slice(nack, 0),
        rf_slice(nack, sizeof(nack)),
    };
    uint8_t data[256];
    struct rf_packer packer = rf_packer(data, sizeof(data));
    assert_true(rf_compound_encode(parts, 5, &packer) > 0);
    struct rf_slice message;
    int count = 0;
    assert_int_equal(rf_packet_open(&packet, &plain_envelope, data, packer.size), 0);
    while (rf_packet_next(&packet, &message)) {
        count++;
    }
    assert_int_equal(count, 2);
    assert_int_equal(packet.dropped_count, 3);
    /* The last two parts cut off. */
    assert_int_equal(rf_packet_open(&packet, &plain_envelope, data, packer.size - sizeof(nack)), 0);
    count = 0;
    while (rf_packet_next(&packet, &message)) {
        count++;
    }
    assert_int_equal(count, 1);
    assert_int_equal(packet.dropped_count, 4);
}

/* What decompresses to more than a packet may hold is dropped; its siblings that need no room stay.
 */
static void packets_decompress_to_no_more_than_their_limit(void **state)
{
    (void)state;
    size_t bomb_size = RF_PACKET_PLAIN_MAX / 2 + 1;
    uint8_t *zeros = calloc(1, bomb_size);
    static uint8_t bomb[32768];
    assert_non_null(zeros);
    for (size_t i = 0; i < bomb_size; i++) { /* runs, so that it is below the limit of the ratio */
        zeros[i] = (uint8_t)(i >> 7);
    }
    zeros[0] = RF_MESSAGE_USER;
    int rc = rf_compress_encode(&workspace, rf_slice(zeros, bomb_size), bomb, sizeof(bomb));
    assert_true(rc > 0);
    struct rf_slice compressed = rf_slice(bomb, (size_t)rc);
    const struct rf_slice parts[] = {compressed, rf_slice(nack, sizeof(nack)), compressed,
                                     rf_slice(nack, sizeof(nack))};
    static uint8_t data[65535];
    struct rf_packer packer = rf_packer(data, sizeof(data));
    assert_true(rf_compound_encode(parts, 4, &packer) > 0);
    struct rf_slice message;
    size_t total = 0;
    assert_int_equal(rf_packet_open(&packet, &plain_envelope, data, packer.size), 0);
    while (rf_packet_next(&packet, &message)) {
        total += message.size;
    }
    assert_int_equal(total, bomb_size + 2 * sizeof(nack));
    assert_int_equal(packet.dropped_count, 1);
    assert_int_equal(packet.dropped_code, RF_ELIMIT);
    free(zeros);
}

/* Below what a packet may hold, and far above what gossip compresses to. */
static void packets_are_not_unpacked_beyond_a_ratio(void **state)
{
    (void)state;
    static uint8_t zeros[2 * RF_PACKET_RATIO_FREE_SIZE] = {RF_MESSAGE_USER};
    static uint8_t data[2048];
    for (size_t size = RF_PACKET_RATIO_FREE_SIZE; size <= sizeof(zeros); size *= 2) {
        int rc = rf_compress_encode(&workspace, rf_slice(zeros, size), data, sizeof(data));
        assert_true(rc > 0 && (size_t)rc * RF_PACKET_RATIO_MAX < sizeof(zeros));
        struct rf_slice message;
        assert_int_equal(rf_packet_open(&packet, &plain_envelope, data, (size_t)rc), 0);
        bool is_free = size == RF_PACKET_RATIO_FREE_SIZE;
        assert_int_equal(rf_packet_next(&packet, &message), is_free);
        assert_int_equal(packet.dropped_count, is_free ? 0 : 1);
        assert_int_equal(packet.dropped_code, is_free ? 0 : RF_ELIMIT);
    }
}

static void empty_and_oversized_datagrams_are_refused(void **state)
{
    (void)state;
    static uint8_t data[RF_PACKET_SIZE_MAX + 1];
    assert_int_equal(rf_packet_open(&packet, &plain_envelope, data, 0), RF_EMALFORMED);
    assert_int_equal(rf_packet_open(&packet, &plain_envelope, data, sizeof(data)), RF_EMALFORMED);
    /* A CRC of nothing: nothing inside. */
    static const uint8_t crc_of_nothing[] = {RF_MESSAGE_HAS_CRC, 0, 0, 0, 0};
    assert_int_equal(rf_packet_open(&packet, &plain_envelope, crc_of_nothing, 5), RF_EMALFORMED);
}

static int seal(const struct rf_envelope *envelope, const struct rf_packet_options *options,
                uint8_t *data, size_t size_max)
{
    return rf_packet_seal(envelope, options, &workspace, rf_slice(nack, sizeof(nack)), data,
                          size_max);
}

static void plaintext_is_taken_with_keys_only_if_incoming_is_not_verified(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_init(&cluster, "K32", false);
    assert_true(rf_packet_open(&packet, &cluster.envelope, nack, sizeof(nack)) < 0);
    rf_keyring_set_verify(cluster.envelope.keyring, false, false);
    assert_int_equal(rf_packet_open(&packet, &cluster.envelope, nack, sizeof(nack)), 0);
    assert_false(packet.is_encrypted);
    /* Outgoing off: sent as it is. */
    uint8_t data[128];
    const struct rf_packet_options options = {0};
    assert_int_equal(seal(&cluster.envelope, &options, data, sizeof(data)), sizeof(nack));
    assert_int_equal(rf_packet_overhead(&cluster.envelope), 0);
    rf_keyring_set_verify(cluster.envelope.keyring, true, true);
    assert_int_equal(seal(&cluster.envelope, &options, data, sizeof(data)),
                     sizeof(nack) + rf_packet_overhead(&cluster.envelope));
    cluster_fini(&cluster);
}

static void labels_must_be_ours_or_absent_behind_a_proxy(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_init(&cluster, "K16", true);
    uint8_t data[128];
    const struct rf_packet_options options = {0};
    int size = seal(&cluster.envelope, &options, data, sizeof(data));
    assert_int_equal(size, sizeof(nack) + rf_packet_overhead(&cluster.envelope));
    assert_int_equal(rf_packet_overhead(&cluster.envelope), 2 + 11 + 29);
    assert_int_equal(rf_packet_open(&packet, &cluster.envelope, data, (size_t)size), 0);
    struct rf_envelope other = cluster.envelope;
    other.label = rf_slice_text("cluster-two");
    assert_int_equal(rf_packet_open(&packet, &other, data, (size_t)size), RF_EAUTH);
    /* A proxy has taken the header off; the label is authenticated all the same. */
    struct rf_envelope behind_proxy = cluster.envelope;
    behind_proxy.skip_label_check = true;
    assert_int_equal(rf_packet_open(&packet, &behind_proxy, data, (size_t)size), RF_EAUTH);
    assert_int_equal(rf_packet_open(&packet, &behind_proxy, data + 13, (size_t)size - 13), 0);
    behind_proxy.label = rf_slice_text("cluster-two");
    assert_int_equal(rf_packet_open(&packet, &behind_proxy, data + 13, (size_t)size - 13),
                     RF_EAUTH);
    cluster_fini(&cluster);
}

static void sealing_needs_exactly_the_room_that_it_uses(void **state)
{
    (void)state;
    for (int variant = 0; variant < 32; variant++) {
        struct cluster cluster;
        cluster_init(&cluster, variant & 1 ? "K24" : NULL, (variant & 2) != 0);
        struct rf_packet_options options = {.compress = (variant & 4) != 0,
                                            .crc = (variant & 8) != 0,
                                            .use_version_0 = (variant & 16) != 0};
        uint8_t data[256];
        int size = seal(&cluster.envelope, &options, data, sizeof(data));
        assert_true(size > 0);
        for (size_t room = 0; room <= (size_t)size; room++) {
            uint8_t *exact = malloc(room > 0 ? room : 1);
            assert_non_null(exact);
            assert_int_equal(seal(&cluster.envelope, &options, exact, room),
                             room < (size_t)size ? -ENOBUFS : size);
            free(exact);
        }
        cluster_fini(&cluster);
    }
}

static void nonces_are_never_the_same(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_init(&cluster, "K32", false);
    const struct rf_packet_options options = {0};
    uint8_t a[128];
    uint8_t b[128];
    assert_true(seal(&cluster.envelope, &options, a, sizeof(a)) > 0);
    assert_true(seal(&cluster.envelope, &options, b, sizeof(b)) > 0);
    assert_int_not_equal(memcmp(a + 1, b + 1, RF_NONCE_SIZE), 0);
    cluster_fini(&cluster);
}

/* ---- key ring ---- */

static void keyring_keeps_its_order_and_never_loses_the_primary(void **state)
{
    (void)state;
    struct rf_keyring *keyring;
    assert_int_equal(rf_keyring_new(&keyring, NULL), 0);
    assert_int_equal(rf_keyring_count(NULL), 0);
    assert_false(rf_keyring_encrypts_outgoing(keyring));
    assert_false(rf_keyring_verifies_incoming(keyring));
    struct rf_slice k16 = vectors_key("K16");
    struct rf_slice k24 = vectors_key("K24");
    struct rf_slice k32 = vectors_key("K32");
    assert_int_equal(rf_keyring_add(keyring, k16, NULL), 0);
    assert_int_equal(rf_keyring_add(keyring, k24, NULL), 0);
    assert_int_equal(rf_keyring_add(keyring, k16, NULL), 0);
    assert_int_equal(rf_keyring_count(keyring), 2);
    assert_true(rf_keyring_encrypts_outgoing(keyring));
    assert_int_equal(rf_keyring_use(keyring, k32, NULL), -ENOENT);
    assert_int_equal(rf_keyring_add(keyring, k32, NULL), 0);
    assert_int_equal(rf_keyring_use(keyring, k32, NULL), 0);
    const struct rf_slice order[] = {k32, k16, k24};
    for (size_t i = 0; i < 3; i++) {
        assert_true(rf_slice_equal(rf_keyring_key(keyring, i), order[i]));
    }
    struct rf_error err = {0};
    assert_int_equal(rf_keyring_remove(keyring, k32, &err), -EBUSY);
    assert_non_null(strstr(err.text, "primary"));
    assert_int_equal(rf_keyring_remove(keyring, k16, NULL), 0);
    assert_int_equal(rf_keyring_remove(keyring, k16, NULL), 0);
    assert_int_equal(rf_keyring_count(keyring), 2);
    assert_true(rf_slice_equal(rf_keyring_key(keyring, 1), k24));
    rf_keyring_free(keyring);
    rf_keyring_free(NULL);
}

static void keyring_refuses_other_sizes_and_too_many_keys(void **state)
{
    (void)state;
    struct rf_keyring *keyring;
    uint8_t key[33] = {0};
    struct rf_error err = {0};
    assert_int_equal(rf_keyring_new(&keyring, NULL), 0);
    for (size_t size = 0; size <= sizeof(key); size++) {
        bool is_right = size == 16 || size == 24 || size == 32;
        assert_int_equal(rf_keyring_add(keyring, rf_slice(key, size), &err),
                         is_right ? 0 : -EINVAL);
    }
    assert_string_equal(err.text, "key of 33 bytes, allowed 16, 24 or 32");
    for (size_t i = rf_keyring_count(keyring); i < RF_KEYS_MAX; i++) {
        key[0]++;
        assert_int_equal(rf_keyring_add(keyring, rf_slice(key, 16), NULL), 0);
    }
    key[0]++;
    assert_int_equal(rf_keyring_add(keyring, rf_slice(key, 16), NULL), RF_ELIMIT);
    rf_keyring_free(keyring);
}

static void any_key_of_the_ring_opens_and_only_the_primary_seals(void **state)
{
    (void)state;
    struct cluster one;
    struct cluster both;
    cluster_init(&one, "K16B", false);
    cluster_init(&both, "K32", false);
    const struct rf_packet_options options = {0};
    uint8_t data[128];
    int size = seal(&one.envelope, &options, data, sizeof(data));
    assert_true(size > 0);
    assert_int_equal(rf_packet_open(&packet, &both.envelope, data, (size_t)size), RF_EAUTH);
    assert_int_equal(rf_keyring_add(both.envelope.keyring, vectors_key("K16B"), NULL), 0);
    assert_int_equal(rf_packet_open(&packet, &both.envelope, data, (size_t)size), 0);
    size = seal(&both.envelope, &options, data, sizeof(data));
    assert_int_equal(rf_packet_open(&packet, &one.envelope, data, (size_t)size), RF_EAUTH);
    assert_int_equal(rf_keyring_use(both.envelope.keyring, vectors_key("K16B"), NULL), 0);
    size = seal(&both.envelope, &options, data, sizeof(data));
    assert_int_equal(rf_packet_open(&packet, &one.envelope, data, (size_t)size), 0);
    cluster_fini(&one);
    cluster_fini(&both);
}

/* The version byte is not authenticated: sealed as version 1 with padding of our choice, then
 * called version 0. */
static void padding_that_lies_is_refused(void **state)
{
    (void)state;
    struct cluster cluster;
    cluster_init(&cluster, "K16", false);
    static const struct {
        uint8_t last;   /* bytes of the padding */
        uint8_t before; /* the byte in front of the last */
        int result;
    } cases[] = {
        {1, 0, 31},
        {2, 2, 30},
        {2, 1, RF_EMALFORMED},
        {0, 0, RF_EMALFORMED},
        {17, 17, RF_EMALFORMED},
        {255, 255, RF_EMALFORMED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t plain[32] = {0};
        plain[30] = cases[i].before;
        plain[31] = cases[i].last;
        uint8_t blob[32 + RF_CRYPT_OVERHEAD];
        uint8_t opened[sizeof(blob)];
        struct rf_crypt_data none = {0};
        int size = rf_crypt_seal(cluster.envelope.keyring, RF_CRYPT_VERSION, NULL,
                                 rf_slice(plain, sizeof(plain)), none, blob, sizeof(blob));
        assert_int_equal(size, sizeof(blob));
        blob[0] = RF_CRYPT_VERSION_PADDED;
        assert_int_equal(
            rf_crypt_open(cluster.envelope.keyring, rf_slice(blob, sizeof(blob)), none, opened),
            cases[i].result);
    }
    cluster_fini(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_nested_to_the_limit_come_out_and_no_deeper),
        cmocka_unit_test(bad_parts_are_counted_and_the_others_come),
        cmocka_unit_test(packets_decompress_to_no_more_than_their_limit),
        cmocka_unit_test(packets_are_not_unpacked_beyond_a_ratio),
        cmocka_unit_test(empty_and_oversized_datagrams_are_refused),
        cmocka_unit_test(plaintext_is_taken_with_keys_only_if_incoming_is_not_verified),
        cmocka_unit_test(labels_must_be_ours_or_absent_behind_a_proxy),
        cmocka_unit_test(sealing_needs_exactly_the_room_that_it_uses),
        cmocka_unit_test(nonces_are_never_the_same),
        cmocka_unit_test(keyring_keeps_its_order_and_never_loses_the_primary),
        cmocka_unit_test(keyring_refuses_other_sizes_and_too_many_keys),
        cmocka_unit_test(any_key_of_the_ring_opens_and_only_the_primary_seals),
        cmocka_unit_test(padding_that_lies_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
