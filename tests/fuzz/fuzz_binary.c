/* SPDX-License-Identifier: MIT
 *
 * fuzz_binary.c - events into the server's side of a binary connection.
 *
 * The first two bytes say how the rest arrives: in pieces of which size, with how much room for
 * replies. Whatever comes, replies must be whole frames, and the same as when all arrives at once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "net/binary.h"
#include "tests/support/sample_catalog.h"

enum { REPLIES_SIZE = 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rf_catalog *catalog;
static struct rf_server_counters counters;
static const struct rf_server_counters *const counters_of_workers[] = {&counters};
static struct rf_histogram latency;
static const struct rf_histogram *const latencies_of_workers[] = {&latency};
static const struct rf_info_source info = {
    .program_version = "1",
    .node_id = "n",
    .engine = "epoll",
    .engine_reason = "asked for",
    .workers_count = 1,
    .counters = counters_of_workers,
    .latencies = latencies_of_workers,
};

struct replies {
    uint8_t data[REPLIES_SIZE];
    size_t size;
    enum rf_binary_status status;
    bool is_full; /* a few bytes can ask for megabytes: then it stops */
};

static struct replies at_once;
static struct replies in_pieces;

/* Some are refused, so that both ends are seen. */
static int note_watch(void *watcher, const struct rf_wire_watch_request *request,
                      uint32_t request_id, struct rf_error *err)
{
    (void)watcher;
    RF_ASSERT(request->group.size >= 1 && request->group.size <= RF_NAME_SIZE_MAX);
    switch (request_id % 3) {
    case 0:
        return 0;
    case 1:
        return rf_error_set(err, RF_ELIMIT, "no more watches");
    default:
        return rf_error_set(err, -ENOMEM, "no memory");
    }
}

static void converse(struct replies *out, const uint8_t *data, size_t size, size_t piece,
                     size_t room)
{
    struct rf_binary binary = {0};
    const struct rf_binary_context context = {
        .catalog = catalog, .info = &info, .counters = &counters, .watch = note_watch};
    memset(&counters, 0, sizeof(counters));
    out->size = 0;
    out->status = RF_BINARY_MORE;
    out->is_full = false;
    size_t begin = 0;
    size_t end = 0;
    while (end < size && out->status != RF_BINARY_CLOSE && !out->is_full) {
        end = size - end < piece ? size : end + piece;
        size_t room_now = room;
        do {
            if (REPLIES_SIZE - out->size < room_now) {
                out->is_full = true;
                break;
            }
            struct rf_binary_result result;
            uint8_t *in = malloc(end - begin + 1); /* the sanitizer sees a byte too far */
            uint8_t *reply = malloc(room_now);
            RF_ASSERT(in != NULL && reply != NULL);
            memcpy(in, data + begin, end - begin);
            out->status =
                rf_binary_feed(&binary, &context, in, end - begin, reply, room_now, &result);
            memcpy(out->data + out->size, reply, result.written);
            free(in);
            free(reply);
            out->size += result.written;
            begin += result.consumed;
            RF_ASSERT(begin <= end);
            if (out->status == RF_BINARY_MORE) {
                RF_ASSERT(result.need > end - begin && result.need <= RF_BINARY_NEED_MAX);
            } else if (out->status == RF_BINARY_ROOM) {
                RF_ASSERT(result.need <= RF_BINARY_ROOM_MAX);
                room_now = result.need;
            }
        } while (out->status == RF_BINARY_ROOM);
    }
}

static void check_frames(const struct replies *replies)
{
    size_t at = 0;
    while (at < replies->size) {
        RF_ASSERT(replies->size - at >= RF_WIRE_HEADER_SIZE);
        struct rf_wire_header header = rf_wire_header_load(replies->data + at);
        RF_ASSERT(header.status <= RF_WIRE_INTERNAL && header.reserved == 0);
        RF_ASSERT(header.payload_size <= replies->size - at - RF_WIRE_HEADER_SIZE);
        at += RF_WIRE_HEADER_SIZE + header.payload_size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (catalog == NULL) {
        catalog = sample_catalog();
    }
    if (size < 2) {
        return 0;
    }
    size_t piece = (size_t)data[0] + 1;
    size_t room = ((size_t)data[1] + 1) * 16;
    data += 2;
    size -= 2;
    converse(&in_pieces, data, size, piece, room);
    check_frames(&in_pieces);
    converse(&at_once, data, size, size, RF_BINARY_ROOM_MAX / 2);
    check_frames(&at_once);
    size_t common = at_once.size < in_pieces.size ? at_once.size : in_pieces.size;
    RF_ASSERT(memcmp(at_once.data, in_pieces.data, common) == 0);
    if (!at_once.is_full && !in_pieces.is_full) {
        RF_ASSERT(at_once.size == in_pieces.size && at_once.status == in_pieces.status);
    }
    return 0;
}
