/* SPDX-License-Identifier: MIT */
#include "client/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

enum {
    IN_CAPACITY_FIRST = 16 * 1024, /* some hundred replies at once */
    OUT_CAPACITY_FIRST = 4096,
    OUT_CAPACITY_KEPT = 256 * 1024, /* a larger one is freed when it is empty */
    EXPECTED_CAPACITY_FIRST = 16,
    SILENCE_HEARTBEATS = 2, /* without an answer, and the registry is taken for gone */
};

void rf_session_init(struct rf_session *session, uint64_t heartbeat_ns)
{
    RF_ASSERT(heartbeat_ns > 0);
    *session = (struct rf_session){.heartbeat_ns = heartbeat_ns};
}

void rf_session_fini(struct rf_session *session)
{
    free(session->out);
    free(session->in);
    free(session->expected);
    rf_session_init(session, session->heartbeat_ns);
}

/* ---- output ---- */

static int reserve_out(struct rf_session *session, size_t size, struct rf_error *err)
{
    if (session->out_sent > 0 && size > session->out_capacity - session->out_size) {
        session->out_size -= session->out_sent;
        memmove(session->out, session->out + session->out_sent, session->out_size);
        session->out_sent = 0;
    }
    if (size <= session->out_capacity - session->out_size) {
        return 0;
    }
    size_t capacity = session->out_capacity == 0 ? OUT_CAPACITY_FIRST : session->out_capacity;
    while (size > capacity - session->out_size) {
        capacity *= 2;
    }
    uint8_t *out = realloc(session->out, capacity);
    if (out == NULL) {
        return rf_error_set(err, -ENOMEM, "no memory for a request of %zu bytes", size);
    }
    session->out = out;
    session->out_capacity = capacity;
    return 0;
}

static int reserve_expected(struct rf_session *session, struct rf_error *err)
{
    size_t capacity = session->expected_capacity;
    if (session->expected_count < capacity) {
        return 0;
    }
    size_t larger = capacity == 0 ? EXPECTED_CAPACITY_FIRST : 2 * capacity;
    struct rf_session_expected *expected = malloc(larger * sizeof(expected[0]));
    if (expected == NULL) {
        return rf_error_set(err, -ENOMEM, "no memory for a request");
    }
    for (size_t i = 0; i < session->expected_count; i++) {
        expected[i] = session->expected[(session->expected_first + i) & (capacity - 1)];
    }
    free(session->expected);
    session->expected = expected;
    session->expected_first = 0;
    session->expected_capacity = larger;
    return 0;
}

int rf_session_begin(struct rf_session *session, uint64_t now_ns, struct rf_error *err)
{
    session->out_sent = 0;
    session->out_size = 0;
    session->in_at = 0;
    session->in_size = 0;
    session->expected_first = 0;
    session->expected_count = 0;
    memset(session->watches, 0, sizeof(session->watches));
    session->watches_begun = 0;
    session->watches_count = 0;
    session->request_id = 0;
    session->is_info_asked = false;
    session->is_placement_known = false;
    session->is_asked = false;
    session->asked_ns = now_ns;
    session->heard_ns = now_ns;
    session->has_heard = false;
    if (session->in == NULL) {
        session->in = malloc(IN_CAPACITY_FIRST);
        if (session->in == NULL) {
            return rf_error_set(err, -ENOMEM, "no memory for replies");
        }
        session->in_capacity = IN_CAPACITY_FIRST;
    }
    int code = reserve_out(session, RF_WIRE_PREFACE_SIZE, err);
    if (code == 0) {
        memcpy(session->out, rf_wire_preface, RF_WIRE_PREFACE_SIZE);
        session->out_size = RF_WIRE_PREFACE_SIZE;
    }
    return code;
}

int rf_session_request(struct rf_session *session, const uint8_t *frame, size_t frame_size,
                       void *token, struct rf_error *err)
{
    RF_ASSERT(frame_size >= RF_WIRE_HEADER_SIZE && token != NULL);
    int code = reserve_out(session, frame_size, err);
    if (code == 0) {
        code = reserve_expected(session, err);
    }
    if (code < 0) {
        return code;
    }
    struct rf_wire_header header = rf_wire_header_load(frame);
    header.request_id = session->request_id++;
    uint8_t *out = session->out + session->out_size;
    memcpy(out, frame, frame_size);
    rf_wire_header_store(out, (enum rf_wire_op)header.op, RF_WIRE_OK, header.request_id,
                         header.payload_size);
    session->out_size += frame_size;
    size_t last = session->expected_first + session->expected_count;
    session->expected[last & (session->expected_capacity - 1)] =
        (struct rf_session_expected){token, header.request_id, header.op};
    session->expected_count++;
    return 0;
}

void rf_session_forget(struct rf_session *session, const void *token)
{
    for (size_t i = 0; i < session->expected_count; i++) {
        size_t at = (session->expected_first + i) & (session->expected_capacity - 1);
        if (session->expected[at].token == token) {
            session->expected[at].token = NULL;
            return;
        }
    }
}

/* Asks the registry something whose answer says that it is there. The session itself is the token:
 * nobody else's can be that. */
static int ask(struct rf_session *session, enum rf_wire_op op, uint64_t now_ns,
               struct rf_error *err)
{
    uint8_t frame[RF_WIRE_HEADER_SIZE];
    rf_wire_header_store(frame, op, RF_WIRE_OK, 0, 0);
    int code = rf_session_request(session, frame, sizeof(frame), session, err);
    if (code == 0) {
        session->is_asked = true;
        session->asked_ns = now_ns;
    }
    return code;
}

int rf_session_watch(struct rf_session *session, uint64_t now_ns,
                     const struct rf_wire_watch_request *request, void *token, struct rf_error *err)
{
    RF_ASSERT(token != NULL);
    if (session->watches_begun == RF_SESSION_WATCHES_MAX) {
        return rf_error_set(err, RF_ELIMIT, "a connection has %d watches at most",
                            RF_SESSION_WATCHES_MAX);
    }
    if (!session->is_info_asked) {
        int code = ask(session, RF_WIRE_INFO, now_ns, err);
        if (code < 0) {
            return code;
        }
        session->is_info_asked = true;
    }
    const size_t size_max = RF_WIRE_HEADER_SIZE + 1 + RF_NAME_SIZE_MAX + 16;
    int code = reserve_out(session, size_max, err);
    if (code < 0) {
        return code;
    }
    size_t size = rf_wire_watch_request_encode(session->out + session->out_size, size_max,
                                               session->watches_begun, request);
    RF_ASSERT(size > 0);
    session->out_size += size;
    session->watches[session->watches_begun++] = token;
    session->watches_count++;
    return 0;
}

void rf_session_unwatch(struct rf_session *session, const void *token)
{
    for (uint32_t i = 0; i < session->watches_begun; i++) {
        if (session->watches[i] == token) {
            session->watches[i] = NULL;
            session->watches_count--;
            return;
        }
    }
}

const uint8_t *rf_session_output(const struct rf_session *session, size_t *ret_size)
{
    *ret_size = session->out_size - session->out_sent;
    return *ret_size > 0 ? session->out + session->out_sent : NULL;
}

void rf_session_sent(struct rf_session *session, size_t size)
{
    RF_ASSERT(size <= session->out_size - session->out_sent);
    session->out_sent += size;
    if (session->out_sent < session->out_size) {
        return;
    }
    session->out_sent = 0;
    session->out_size = 0;
    if (session->out_capacity > OUT_CAPACITY_KEPT) {
        free(session->out);
        session->out = NULL;
        session->out_capacity = 0;
    }
}

/* ---- input ---- */

uint8_t *rf_session_room(struct rf_session *session, size_t *ret_size)
{
    if (session->in_at > 0) {
        session->in_size -= session->in_at;
        memmove(session->in, session->in + session->in_at, session->in_size);
        session->in_at = 0;
    }
    RF_ASSERT(session->in_size < session->in_capacity); /* take_frame sees to it */
    *ret_size = session->in_capacity - session->in_size;
    return session->in + session->in_size;
}

void rf_session_received(struct rf_session *session, size_t size)
{
    RF_ASSERT(size <= session->in_capacity - session->in_size);
    session->in_size += size;
}

bool rf_session_is_within_reply(const struct rf_session *session)
{
    return session->in_at < session->in_size;
}

int rf_session_read_error(const struct rf_wire_header *header, const uint8_t *payload,
                          struct rf_error *err)
{
    char text[RF_WIRE_ERROR_TEXT_SIZE_MAX + 1];
    size_t size = header->payload_size < sizeof(text) ? header->payload_size : sizeof(text) - 1;
    int code = rf_wire_code_of(header->status);
    for (size_t i = 0; i < size; i++) { /* it ends up in terminals and logs */
        text[i] = (char)(payload[i] < 0x20 || payload[i] == 0x7f ? '?' : payload[i]);
    }
    text[size] = '\0';
    if (header->op == RF_WIRE_NONE && code == RF_EUNSUPPORTED) {
        code = RF_EVERSION;
    }
    return rf_error_set(err, code, "%s", size > 0 ? text : rf_wire_status_name(header->status));
}

/* The first bytes of a connection are not of this protocol: shows them. */
static int doubt_peer(const uint8_t *frame, struct rf_error *err)
{
    char first[RF_WIRE_HEADER_SIZE + 1] = "";
    char quoted[RF_QUOTE_SIZE];
    memcpy(first, frame, RF_WIRE_HEADER_SIZE);
    return rf_error_prefix(err, RF_EMALFORMED, "is that a regfast registry? It says %s",
                           rf_text_quote(first, quoted));
}

/* Whether a frame that begins so may come now. */
static int check_header(const struct rf_session *session, const uint8_t *frame,
                        const struct rf_wire_header *header, struct rf_error *err)
{
    int code = rf_wire_reply_header_check(header, err);
    if (code == RF_EMALFORMED && !session->has_heard) {
        return doubt_peer(frame, err);
    }
    if (code < 0 || (header->op == RF_WIRE_NONE && header->status != RF_WIRE_OK)) {
        return code;
    }
    if (header->op == RF_WIRE_WATCH && session->watches_begun > 0) {
        if (header->request_id >= session->watches_begun) {
            return rf_error_set(err, RF_EMALFORMED, "told of watch %u: there are %u",
                                header->request_id, session->watches_begun);
        }
        if (header->status == RF_WIRE_OK && !session->is_placement_known) {
            return rf_error_set(err, RF_EMALFORMED, "told of a watch before what was asked first");
        }
        return 0;
    }
    if (session->expected_count == 0) {
        return rf_error_set(err, RF_EMALFORMED, "reply of operation %u that nobody asked for",
                            header->op);
    }
    const struct rf_session_expected *expected = &session->expected[session->expected_first];
    if (header->op != expected->op) {
        return rf_error_set(err, RF_EMALFORMED, "reply of operation %u to one of %u", header->op,
                            expected->op);
    }
    if (header->request_id != expected->request_id) {
        return rf_error_set(err, RF_EMALFORMED, "reply with id %u to request %u",
                            header->request_id, expected->request_id);
    }
    return 0;
}

static int reserve_in(struct rf_session *session, size_t frame_size, struct rf_error *err)
{
    if (frame_size <= session->in_capacity) {
        return 0;
    }
    uint8_t *in = realloc(session->in, frame_size);
    if (in == NULL) {
        return rf_error_set(err, -ENOMEM, "no memory for a reply of %zu bytes", frame_size);
    }
    session->in = in;
    session->in_capacity = frame_size;
    return 0;
}

/* Returns 1 if a whole frame is there, and takes it; 0 if more bytes must come. */
static int take_frame(struct rf_session *session, struct rf_wire_header *ret_header,
                      const uint8_t **ret_payload, struct rf_error *err)
{
    size_t left = session->in_size - session->in_at;
    if (left < RF_WIRE_HEADER_SIZE) {
        return 0;
    }
    const uint8_t *frame = session->in + session->in_at;
    struct rf_wire_header header = rf_wire_header_load(frame);
    int code = check_header(session, frame, &header, err);
    if (code < 0) {
        return code;
    }
    size_t size = RF_WIRE_HEADER_SIZE + (size_t)header.payload_size;
    if (left < size) {
        return reserve_in(session, size, err);
    }
    session->in_at += size;
    *ret_header = header;
    *ret_payload = frame + RF_WIRE_HEADER_SIZE;
    return 1;
}

static int read_placement(const struct rf_wire_header *header, const uint8_t *payload,
                          enum rf_placement *ret_placement, struct rf_error *err)
{
    static const char name[] = "placement";
    struct rf_wire_info_reply reply;
    struct rf_wire_info info;
    int code = rf_wire_info_reply_decode(payload, header->payload_size, &reply, err);
    if (code < 0) {
        return code;
    }
    while (rf_wire_info_next(&reply.entries, &info)) {
        char text[16];
        if (info.name.size == sizeof(name) - 1 &&
            memcmp(info.name.data, name, info.name.size) == 0 && info.type == RF_WIRE_INFO_TEXT &&
            info.value.size < sizeof(text)) {
            memcpy(text, info.value.data, info.value.size);
            text[info.value.size] = '\0';
            return rf_placement_parse(text, ret_placement, err) == 0
                       ? 0
                       : rf_error_prefix(err, RF_EMALFORMED, "the registry says");
        }
    }
    return rf_error_set(err, RF_EMALFORMED, "the registry does not say its placement");
}

/* A reply to what the session itself has asked. */
static int take_own(struct rf_session *session, uint64_t now_ns, struct rf_session_event *event,
                    struct rf_error *err)
{
    session->is_asked = false;
    session->asked_ns = now_ns;
    event->token = NULL;
    event->type = event->header.op == RF_WIRE_PING ? RF_SESSION_HEARD : RF_SESSION_PLACEMENT;
    if (event->header.status != RF_WIRE_OK) {
        return rf_session_read_error(&event->header, event->payload, err);
    }
    if (event->type == RF_SESSION_HEARD) {
        return 1;
    }
    int code = read_placement(&event->header, event->payload, &event->placement, err);
    session->is_placement_known = code == 0;
    return code < 0 ? code : 1;
}

int rf_session_next(struct rf_session *session, uint64_t now_ns, struct rf_session_event *ret_event,
                    struct rf_error *err)
{
    ret_event->type = RF_SESSION_REPLY;
    for (;;) {
        struct rf_session_event event = {.type = RF_SESSION_REPLY};
        int code = take_frame(session, &event.header, &event.payload, err);
        if (code <= 0) {
            return code;
        }
        session->heard_ns = now_ns;
        session->has_heard = true;
        if (event.header.op == RF_WIRE_NONE) {
            return rf_session_read_error(&event.header, event.payload, err);
        }
        if (event.header.op == RF_WIRE_WATCH && session->watches_begun > 0) {
            event.type = RF_SESSION_TOLD;
            event.token = session->watches[event.header.request_id];
            if (event.token == NULL) {
                continue; /* nobody wants to know any more */
            }
            *ret_event = event;
            return 1;
        }
        event.token = session->expected[session->expected_first].token;
        session->expected_first = (session->expected_first + 1) & (session->expected_capacity - 1);
        session->expected_count--;
        size_t left = session->in_size - session->in_at;
        if (left > 0 && session->expected_count == 0 && session->watches_begun == 0) {
            return rf_error_set(err, RF_EMALFORMED, "%zu bytes after the reply", left);
        }
        if (event.token == NULL) {
            continue;
        }
        if (event.token == session) {
            code = take_own(session, now_ns, &event, err);
            if (code < 0) {
                ret_event->type = event.type;
                return code;
            }
        }
        *ret_event = event;
        return 1;
    }
}

/* ---- heartbeats ---- */

uint64_t rf_session_deadline_ns(const struct rf_session *session)
{
    if (session->watches_count == 0) {
        return UINT64_MAX;
    }
    if (!session->is_asked) {
        return session->asked_ns + session->heartbeat_ns;
    }
    uint64_t last_ns =
        session->heard_ns > session->asked_ns ? session->heard_ns : session->asked_ns;
    return last_ns + SILENCE_HEARTBEATS * session->heartbeat_ns;
}

int rf_session_tick(struct rf_session *session, uint64_t now_ns, struct rf_error *err)
{
    if (now_ns < rf_session_deadline_ns(session)) {
        return 0;
    }
    if (session->is_asked) {
        return rf_error_set(err, -ETIMEDOUT, "no answer to a heartbeat in time");
    }
    return ask(session, RF_WIRE_PING, now_ns, err);
}
