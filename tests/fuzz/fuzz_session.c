/* SPDX-License-Identifier: MIT
 *
 * fuzz_session.c - a client's connection, driven by the input: what is asked, what comes and how it
 * is cut, and the time. Each byte is a step; a step that receives takes its bytes from what
 * follows.
 *
 * Every request is answered once at most and in order; nothing is told of what is not watched;
 * output is whole frames in their order, however it is sent.
 */
#include <stdlib.h>
#include <string.h>

#include "client/session.h"

enum {
    TOKENS_MAX = 4096,
    HEARTBEAT_NS = 100,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rf_session session;
static char tokens[TOKENS_MAX]; /* of requests: their addresses */
static size_t asked, answered;
static bool is_watched[RF_SESSION_WATCHES_MAX];
static char watch_tokens[RF_SESSION_WATCHES_MAX];
static size_t watched;
static bool is_placed;
static bool is_preface_sent;
static uint64_t now_ns;

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static bool begin(void)
{
    asked = 0;
    answered = 0;
    watched = 0;
    is_placed = false;
    is_preface_sent = false;
    memset(is_watched, 0, sizeof(is_watched));
    return rf_session_begin(&session, now_ns, NULL) == 0;
}

static void ask(uint8_t step)
{
    uint8_t frame[64];
    static const uint8_t payload[32];
    if (asked == TOKENS_MAX) {
        return;
    }
    size_t size = rf_wire_frame_encode(frame, sizeof(frame),
                                       step % 2 == 0 ? RF_WIRE_MATCH : RF_WIRE_PING, RF_WIRE_OK, 0,
                                       (struct rf_wire_bytes){payload, step % sizeof(payload)});
    require(rf_session_request(&session, frame, size, &tokens[asked++], NULL) == 0);
}

static void watch(void)
{
    const struct rf_wire_watch_request request = {.group = {"web", 3}};
    if (watched == RF_SESSION_WATCHES_MAX) {
        require(rf_session_watch(&session, now_ns, &request, tokens, NULL) == RF_ELIMIT);
        return;
    }
    is_watched[watched] = true;
    require(rf_session_watch(&session, now_ns, &request, &watch_tokens[watched++], NULL) == 0);
}

static void unwatch(uint8_t which)
{
    if (watched > 0) {
        rf_session_unwatch(&session, &watch_tokens[which % watched]);
        is_watched[which % watched] = false;
    }
}

static void send_some(uint8_t most)
{
    size_t size;
    const uint8_t *out = rf_session_output(&session, &size);
    require((size == 0) == (out == NULL));
    if (size > 0 && !is_preface_sent) {
        require(memcmp(out, rf_wire_preface,
                       size < RF_WIRE_PREFACE_SIZE ? size : RF_WIRE_PREFACE_SIZE) == 0);
        is_preface_sent = true;
    }
    rf_session_sent(&session, most < size ? most : size);
}

/* Takes all that has come; false: the connection has ended. */
static bool take(void)
{
    struct rf_session_event event;
    int code;
    while ((code = rf_session_next(&session, now_ns, &event, NULL)) == 1) {
        size_t index;
        switch (event.type) {
        case RF_SESSION_REPLY:
            require(answered < asked && event.token == &tokens[answered]);
            answered++;
            break;
        case RF_SESSION_TOLD:
            index = (size_t)((char *)event.token - watch_tokens);
            require(index < watched && is_watched[index]);
            require(is_placed || event.header.status != RF_WIRE_OK);
            break;
        case RF_SESSION_PLACEMENT:
            require(watched > 0 && !is_placed);
            is_placed = true;
            break;
        case RF_SESSION_HEARD:
            require(is_placed);
            break;
        }
    }
    return code == 0;
}

static bool receive(const uint8_t *data, size_t size)
{
    while (size > 0) {
        size_t room_size;
        uint8_t *room = rf_session_room(&session, &room_size);
        require(room_size > 0);
        size_t taken = size < room_size ? size : room_size;
        memcpy(room, data, taken);
        rf_session_received(&session, taken);
        data += taken;
        size -= taken;
        if (!take()) {
            return false;
        }
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    now_ns = 1;
    rf_session_init(&session, HEARTBEAT_NS);
    bool is_up = begin();
    for (size_t at = 0; at < size && is_up; at++) {
        uint8_t step = data[at];
        size_t count = step / 8;
        switch (step % 8) {
        case 0:
            ask(step / 8);
            break;
        case 1:
            watch();
            break;
        case 2:
            unwatch(step / 8);
            break;
        case 3:
            send_some(step);
            break;
        case 4:
            now_ns += count * 20;
            is_up = rf_session_tick(&session, now_ns, NULL) == 0;
            break;
        case 5: /* a part of a reply */
        case 6:
            count = count < size - at - 1 ? count : size - at - 1;
            is_up = receive(data + at + 1, count);
            at += count;
            break;
        default: /* all that follows */
            is_up = count > 0 ? receive(data + at + 1, size - at - 1) : begin();
            at = count > 0 ? size - 1 : at;
        }
        require(rf_session_deadline_ns(&session) > 0);
    }
    rf_session_fini(&session);
    return 0;
}
