/* SPDX-License-Identifier: MIT
 *
 * test_bounds.c - what a header promises and an envelope holds: counts of 2^31, nothing inside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/packet.h"
#include "gossip/stream.h"
#include "tests/support/vectors.h"

static int stream_verdict(const struct rf_envelope *envelope, const uint8_t *data, size_t size,
                          size_t *ret_memory_peak)
{
    struct rf_stream_parser parser;
    rf_stream_parser_init(&parser, envelope, RF_STREAM_REQUEST);
    int code = rf_stream_parser_feed(&parser, data, size);
    *ret_memory_peak = parser.memory_peak;
    rf_stream_parser_fini(&parser);
    return code;
}

/* The same header five bytes long says 2^31, 2^32 - 1, 2^63 - 1 or a negative number. */
static void headers_that_promise_too_much_are_refused_and_reserve_nothing(void **state)
{
    (void)state;
    static const struct rf_envelope plain;
    static const struct {
        const char *bytes;
        size_t size;
    } numbers[] = {{"\xce\x80\x00\x00\x00", 5},
                   {"\xce\xff\xff\xff\xff", 5},
                   {"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
                   {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9},
                   {"\xd2\x80\x00\x00\x00", 5},
                   {"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9},
                   {"\xff", 1}};
    static const struct {
        uint8_t type;
        const char *field;
    } headers[] = {{RF_MESSAGE_PUSH_PULL, "Nodes"},
                   {RF_MESSAGE_PUSH_PULL, "UserStateLen"},
                   {RF_MESSAGE_USER, "UserMsgLen"}};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        for (size_t j = 0; j < sizeof(numbers) / sizeof(numbers[0]); j++) {
            uint8_t data[64];
            size_t memory_peak;
            struct rf_packer packer = rf_packer(data, sizeof(data));
            rf_pack_byte(&packer, headers[i].type);
            rf_pack_map(&packer, 1);
            rf_pack_raw(&packer, rf_slice_text(headers[i].field));
            rf_pack_bytes(&packer, rf_slice(numbers[j].bytes, numbers[j].size));
            int code = stream_verdict(&plain, data, packer.size, &memory_peak);
            assert_true(code == RF_ELIMIT || code == RF_EMALFORMED);
            assert_in_range(memory_peak, 1, 512);
        }
    }
}

/* Authentic, and nothing in it: where a Go peer looks at the first byte. */
static void sealed_nothing_is_malformed_in_packets_and_streams(void **state)
{
    (void)state;
    static struct rf_packet packet;
    struct cluster cluster;
    cluster_init(&cluster, "K32", false);
    for (int version = RF_CRYPT_VERSION_PADDED; version <= RF_CRYPT_VERSION; version++) {
        uint8_t blob[128];
        int size = rf_crypt_seal(cluster.envelope.keyring, version, NULL, rf_slice(NULL, 0),
                                 (struct rf_crypt_data){0}, blob, sizeof(blob));
        assert_true(size > 0);
        assert_int_equal(rf_packet_open(&packet, &cluster.envelope, blob, (size_t)size),
                         RF_EMALFORMED);

        size_t blob_size = rf_crypt_sealed_size(version, 0);
        uint8_t frame[5 + 128] = {RF_MESSAGE_ENCRYPT, 0, 0, 0, (uint8_t)blob_size};
        struct rf_crypt_data data = {.first = rf_slice(frame, 5)};
        size = rf_crypt_seal(cluster.envelope.keyring, version, NULL, rf_slice(NULL, 0), data,
                             frame + 5, sizeof(frame) - 5);
        assert_int_equal(size, blob_size);
        size_t memory_peak;
        assert_int_equal(stream_verdict(&cluster.envelope, frame, 5 + blob_size, &memory_peak),
                         RF_EMALFORMED);
    }
    cluster_fini(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_that_promise_too_much_are_refused_and_reserve_nothing),
        cmocka_unit_test(sealed_nothing_is_malformed_in_packets_and_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
