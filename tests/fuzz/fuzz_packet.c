/* SPDX-License-Identifier: MIT
 *
 * fuzz_packet.c - the input as a datagram to nodes with and without keys and label; and as a
 * message, which must come out of every envelope that it is put into.
 */
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "gossip/packet.h"
#include "tests/support/vectors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rf_packet packet;
static struct rf_lzw_workspace workspace;

static struct cluster *clusters(void)
{
    static struct cluster all[4];
    static bool is_ready;
    if (!is_ready) {
        for (int i = 0; i < 4; i++) {
            cluster_init(&all[i], i & 1 ? "K32" : NULL, (i & 2) != 0);
        }
        is_ready = true;
    }
    return all;
}

static void open_packet(const struct rf_envelope *envelope, const uint8_t *data, size_t size)
{
    struct rf_slice bytes;
    if (rf_packet_open(&packet, envelope, data, size) < 0) {
        RF_ASSERT(!rf_packet_next(&packet, &bytes));
        return;
    }
    while (rf_packet_next(&packet, &bytes)) {
        RF_ASSERT(bytes.size > 0);
        struct rf_message message;
        if (rf_message_decode(bytes, &message) < 0) {
            continue;
        }
        RF_ASSERT(message.type != RF_MESSAGE_COMPRESS && message.type != RF_MESSAGE_ERR);
        /* What was decoded is encoded, and that decodes to the same. */
        size_t size_max = bytes.size + 128; /* all keys of a struct that came as an array */
        uint8_t *encoded = malloc(size_max);
        uint8_t *again = malloc(size_max);
        RF_ASSERT(encoded != NULL && again != NULL);
        struct rf_packer packer = rf_packer(encoded, size_max);
        int encoded_size = rf_message_encode(&message, &packer);
        RF_ASSERT(encoded_size > 0); /* never much longer than what a peer sent, names included */
        RF_ASSERT(rf_message_decode(rf_packer_slice(&packer), &message) == 0);
        packer = rf_packer(again, size_max);
        RF_ASSERT(rf_message_encode(&message, &packer) == encoded_size);
        RF_ASSERT(memcmp(encoded, again, (size_t)encoded_size) == 0);
        free(again);
        free(encoded);
    }
}

static void seal_and_open(const struct rf_envelope *envelope, struct rf_slice message, int variant)
{
    static uint8_t sealed[RF_PACKET_SIZE_MAX];
    struct rf_packet_options options = {
        .compress = variant & 1, .crc = (variant & 2) != 0, .use_version_0 = (variant & 4) != 0};
    int size = rf_packet_seal(envelope, &options, &workspace, message, sealed, sizeof(sealed));
    if (size < 0) {
        return; /* too large for a datagram */
    }
    RF_ASSERT(rf_packet_open(&packet, envelope, sealed, (size_t)size) == 0);
    RF_ASSERT(packet.has_crc == options.crc || message.data[0] == RF_MESSAGE_HAS_CRC);
    RF_ASSERT(options.compress || options.crc || packet.has_crc ||
              rf_slice_equal(packet.message, message));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cluster *all = clusters();
    for (int i = 0; i < 4; i++) {
        open_packet(&all[i].envelope, data, size);
    }
    /* A message that looks like an envelope itself is none that we would send. */
    if (size > 0 && size < RF_PACKET_SIZE_MAX && data[0] != RF_MESSAGE_HAS_CRC &&
        data[0] != RF_MESSAGE_HAS_LABEL) {
        for (int variant = 0; variant < 8; variant++) {
            seal_and_open(&all[variant % 4].envelope, rf_slice(data, size), variant);
        }
    }
    return 0;
}
