/* SPDX-License-Identifier: MIT
 *
 * fuzz_stream.c - the input as a stream, in every role, to nodes with and without keys and label:
 * whole and in pieces it gives the same verdict.
 */
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/random.h"
#include "gossip/serf_message.h"
#include "gossip/stream.h"
#include "tests/support/vectors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

/* A number that tells one message from another. */
static uint64_t walk(const struct rf_stream_message *message)
{
    if (message->type != RF_MESSAGE_PUSH_PULL) {
        return message->type == RF_MESSAGE_USER ? message->user.size
                                                : (uint64_t)message->type << 40;
    }
    struct rf_unpacker nodes = rf_unpacker(message->push_pull.nodes);
    struct rf_push_node_state node;
    uint32_t dropped_count = 0;
    uint64_t count = 0;
    uint64_t sum = message->push_pull.user_state.size;
    while (rf_stream_next_node(&nodes, &node, &dropped_count)) {
        RF_ASSERT(node.name.size > 0 && node.name.size <= RF_GOSSIP_NAME_SIZE_MAX);
        RF_ASSERT(node.meta.size <= RF_META_SIZE_MAX && rf_vsn_is_valid(node.vsn));
        sum += node.incarnation + node.meta.size;
        count++;
    }
    RF_ASSERT(count + dropped_count == message->push_pull.header.nodes_count);
    struct rf_serf_message serf;
    (void)!rf_serf_message_decode(message->push_pull.user_state, &serf);
    return sum * 31 + count;
}

/* Feeds pieces of 1..piece_max bytes. */
static int feed(const struct rf_envelope *envelope, enum rf_stream_role role, const uint8_t *data,
                size_t size, size_t piece_max, uint64_t *ret_walk)
{
    struct rf_stream_parser parser;
    rf_stream_parser_init(&parser, envelope, role);
    struct rf_random random = {.state = size};
    int rc = 0;
    size_t at = 0;
    while (rc == 0 && at < size) {
        size_t piece = 1 + rf_random_below(&random, piece_max);
        piece = piece < size - at ? piece : size - at;
        rc = rf_stream_parser_feed(&parser, data + at, piece);
        at += piece;
        RF_ASSERT(parser.is_compressed || rf_stream_parser_memory_size(&parser) <= 2 * at + 512);
    }
    RF_ASSERT((rc < 0) == (parser.refusal != RF_STREAM_REFUSAL_NONE));
    if (rc == 1) {
        *ret_walk = walk(rf_stream_parser_message(&parser));
    }
    rf_stream_parser_fini(&parser);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cluster *all = clusters();
    for (int i = 0; i < 4; i++) {
        for (int role = RF_STREAM_REQUEST; role <= RF_STREAM_REPLY_PING; role++) {
            uint64_t walk_whole = 0;
            uint64_t walk_pieces = 0;
            int whole = feed(&all[i].envelope, (enum rf_stream_role)role, data, size, SIZE_MAX / 2,
                             &walk_whole);
            int pieces = feed(&all[i].envelope, (enum rf_stream_role)role, data, size,
                              size > 4096 ? 997 : 7, &walk_pieces);
            RF_ASSERT((whole < 0) == (pieces < 0) && (whole == 1) == (pieces == 1));
            RF_ASSERT(walk_whole == walk_pieces);
        }
    }
    return 0;
}
