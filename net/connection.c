/* SPDX-License-Identifier: MIT
 *
 * What happens to one connection: bytes go to its machine, replies to its output, and timers and
 * limits end it.
 *
 * Output is two buffers: one that the engine is sending, one that is being filled. A reply that
 * does not fit while both are in use blocks the connection: its input is kept, and from a limit on
 * receiving pauses, until a send has completed. So a peer that does not read costs two buffers of
 * output and a bounded piece of input, whatever it asks for.
 */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/assert.h"
#include "net/detect.h"
#include "net/worker.h"

/* ---- timers ---- */

static void timer_stop(struct rf_worker *worker, struct rf_connection *connection)
{
    if (connection->timer == RF_TIMER_NONE) {
        return;
    }
    struct rf_timer_list *list = &worker->timers[connection->timer];
    struct rf_connection *next = connection->timer_next;
    struct rf_connection *previous = connection->timer_previous;
    *(previous == NULL ? &list->first : &previous->timer_next) = next;
    *(next == NULL ? &list->last : &next->timer_previous) = previous;
    connection->timer = RF_TIMER_NONE;
}

static void timer_start(struct rf_worker *worker, struct rf_connection *connection,
                        enum rf_timer_kind kind)
{
    timer_stop(worker, connection);
    struct rf_timer_list *list = &worker->timers[kind];
    if (list->timeout_ns == 0) {
        return;
    }
    connection->timer = (uint8_t)kind;
    connection->deadline_ns = worker->now_ns + list->timeout_ns;
    connection->timer_next = NULL;
    connection->timer_previous = list->last;
    *(list->last == NULL ? &list->first : &list->last->timer_next) = connection;
    list->last = connection;
}

uint64_t rf_connections_deadline_ns(const struct rf_worker *worker)
{
    uint64_t deadline_ns = UINT64_MAX;
    for (int i = 0; i < RF_TIMER_KINDS_COUNT; i++) {
        const struct rf_connection *first = worker->timers[i].first;
        if (first != NULL && first->deadline_ns < deadline_ns) {
            deadline_ns = first->deadline_ns;
        }
    }
    return deadline_ns;
}

/* ---- the life of a connection ---- */

static void mark_dirty(struct rf_worker *worker, struct rf_connection *connection)
{
    if (!connection->is_dirty) {
        connection->is_dirty = true;
        connection->dirty_next = NULL;
        *worker->dirty_end = connection;
        worker->dirty_end = &connection->dirty_next;
    }
}

void rf_connection_open(struct rf_worker *worker, int fd)
{
    struct rf_connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL) {
        rf_counter_add(&worker->counters.connections_refused, 1);
        (void)close(fd);
        return;
    }
    connection->phase = RF_CONNECTION_DETECTING;
    connection->active_ns = worker->now_ns;
    connection->all_next = worker->all;
    if (worker->all != NULL) {
        worker->all->all_previous = connection;
    }
    worker->all = connection;
    rf_counter_add(&worker->counters.connections_accepted, 1);
    rf_counter_add(&worker->counters.connections_open, 1);
    rf_engine_open(worker->engine, &connection->socket, fd);
    timer_start(worker, connection, RF_TIMER_DETECT);
}

/* Ends it at once. What the engine still reads from stays until RF_EVENT_CLOSED. */
static void abandon(struct rf_worker *worker, struct rf_connection *connection)
{
    if (connection->phase == RF_CONNECTION_CLOSED) {
        return;
    }
    connection->phase = RF_CONNECTION_CLOSED;
    timer_stop(worker, connection);
    rf_watches_end(worker, connection);
    rf_buffer_put(&worker->pool, connection->input);
    rf_buffer_put(&worker->pool, connection->filling);
    connection->input = NULL;
    connection->filling = NULL;
    rf_engine_close(worker->engine, &connection->socket);
}

static void abandon_counted(struct rf_worker *worker, struct rf_connection *connection,
                            struct rf_counter *counter)
{
    if (connection->phase != RF_CONNECTION_CLOSED) {
        rf_counter_add(counter, 1);
        abandon(worker, connection);
    }
}

void rf_connection_closed(struct rf_worker *worker, struct rf_connection *connection)
{
    RF_ASSERT(connection->phase == RF_CONNECTION_CLOSED);
    if (connection->is_dirty) { /* its place in that list has to be passed first */
        connection->is_gone = true;
        return;
    }
    rf_buffer_put(&worker->pool, connection->sending);
    struct rf_connection *next = connection->all_next;
    struct rf_connection *previous = connection->all_previous;
    *(previous == NULL ? &worker->all : &previous->all_next) = next;
    if (next != NULL) {
        next->all_previous = previous;
    }
    rf_counter_subtract(&worker->counters.connections_open, 1);
    free(connection);
}

/* No more requests and watches: what is in the outputs is sent, then the connection is closed. */
static void begin_draining(struct rf_worker *worker, struct rf_connection *connection)
{
    if (connection->phase < RF_CONNECTION_DRAINING) {
        connection->phase = RF_CONNECTION_DRAINING;
        rf_watches_end(worker, connection);
        rf_buffer_put(&worker->pool, connection->input);
        connection->input = NULL;
        mark_dirty(worker, connection);
    }
}

/* Everything is sent. */
static void finish_draining(struct rf_worker *worker, struct rf_connection *connection)
{
    bool is_idle =
        worker->now_ns - connection->active_ns >= (uint64_t)RF_LINGER_TIMEOUT_MS * 1000000;
    if (connection->is_peer_done || (worker->is_stopping && is_idle)) {
        abandon(worker, connection); /* nothing can be on its way that closing would destroy */
        return;
    }
    connection->phase = RF_CONNECTION_LINGERING;
    (void)shutdown(connection->socket.fd, SHUT_WR); /* fails if the peer is gone: we will see */
    if (connection->is_paused) {
        connection->is_paused = false;
        rf_engine_receive_resume(worker->engine, &connection->socket);
    }
    timer_start(worker, connection, RF_TIMER_LINGER);
}

/* ---- output ---- */

/* Hands `sending` to the engine as far as it takes it. `is_awaited`: there is something to do as
 * soon as it is sent. */
static void send_more(struct rf_worker *worker, struct rf_connection *connection, bool is_awaited)
{
    struct rf_buffer *buffer = connection->sending;
    while (rf_buffer_used(buffer) > 0) {
        rf_counter_add(&worker->counters.sends, 1);
        int taken =
            rf_engine_send(worker->engine, &connection->socket, buffer->data + buffer->begin,
                           rf_buffer_used(buffer), is_awaited);
        if (taken == 0) {
            connection->stall_looks = 0;
            timer_start(worker, connection, RF_TIMER_STALL);
            return;
        }
        RF_ASSERT((size_t)taken <= rf_buffer_used(buffer));
        buffer->begin += (uint32_t)taken;
        rf_counter_add(&worker->counters.bytes_sent, (uint64_t)taken);
    }
    rf_buffer_put(&worker->pool, buffer);
    connection->sending = NULL;
    timer_start(worker, connection, RF_TIMER_IDLE);
    rf_watches_resume(worker, connection);
}

/* Sends the buffer that was being filled; the other one is free. */
static void send_filled(struct rf_worker *worker, struct rf_connection *connection, bool is_awaited)
{
    RF_ASSERT(connection->sending == NULL);
    connection->sending = connection->filling;
    connection->filling = NULL;
    send_more(worker, connection, is_awaited);
}

/* What became of making room for a reply. BLOCKED: until a send has completed. */
enum room { ROOM_MADE, ROOM_BLOCKED, ROOM_NO_MEMORY };

static enum room make_room(struct rf_worker *worker, struct rf_connection *connection, size_t need)
{
    if (rf_buffer_used(connection->filling) > 0) {
        if (connection->sending != NULL) {
            return ROOM_BLOCKED;
        }
        send_filled(worker, connection, true);
    }
    /* What is left is for those whose peers read. */
    if (connection->sending != NULL && rf_buffer_pool_is_scarce(&worker->pool)) {
        return ROOM_BLOCKED;
    }
    if (connection->filling != NULL) { /* empty and too small */
        rf_buffer_put(&worker->pool, connection->filling);
        connection->filling = NULL;
    }
    size_t size = RF_BUFFER_LARGE_SIZE - sizeof(struct rf_buffer);
    connection->filling = rf_buffer_get(&worker->pool, need > size ? need : size);
    return connection->filling == NULL ? ROOM_NO_MEMORY : ROOM_MADE;
}

static void no_memory(struct rf_worker *worker, struct rf_connection *connection)
{
    abandon_counted(worker, connection, &worker->counters.connections_closed_memory);
}

struct rf_buffer *rf_connection_room(struct rf_worker *worker, struct rf_connection *connection,
                                     size_t need)
{
    if (connection->phase != RF_CONNECTION_SERVING || connection->is_blocked ||
        connection->sending != NULL) {
        return NULL;
    }
    if (connection->filling == NULL) {
        connection->filling = rf_buffer_get(&worker->pool, need);
    } else if (rf_buffer_room(connection->filling) < need &&
               make_room(worker, connection, need) == ROOM_BLOCKED) {
        return NULL;
    }
    if (connection->filling == NULL) {
        no_memory(worker, connection);
    }
    return connection->filling;
}

void rf_connection_wrote(struct rf_worker *worker, struct rf_connection *connection, size_t size)
{
    connection->filling->end += (uint32_t)size;
    mark_dirty(worker, connection);
}

/* ---- input ---- */

/*
 * Gives bytes to the machine. Returns how many it consumed. It stops early if the connection
 * blocks or ends.
 */
static size_t feed(struct rf_worker *worker, struct rf_connection *connection,
                   const struct rf_binary_context *context, const uint8_t *data, size_t size)
{
    size_t consumed = 0;
    size_t room_need = 1;
    for (;;) {
        if (connection->filling == NULL || rf_buffer_room(connection->filling) < room_need) {
            enum room room = make_room(worker, connection, room_need);
            if (room == ROOM_NO_MEMORY) {
                no_memory(worker, connection);
                return size;
            }
            if (room == ROOM_BLOCKED) {
                connection->is_blocked = true;
                return consumed;
            }
        }
        struct rf_buffer *out = connection->filling;
        struct rf_binary_result result;
        enum rf_binary_status status =
            rf_binary_feed(&connection->binary, context, data + consumed, size - consumed,
                           out->data + out->end, rf_buffer_room(out), &result);
        consumed += result.consumed;
        worker->batch_answered += result.answered;
        out->end += (uint32_t)result.written;
        switch (status) {
        case RF_BINARY_MORE:
            connection->need = (uint32_t)result.need;
            return consumed;
        case RF_BINARY_ROOM:
            room_need = result.need;
            break;
        case RF_BINARY_CLOSE:
            rf_counter_add(&worker->counters.connections_closed_malformed, 1);
            begin_draining(worker, connection);
            return size;
        }
    }
}

/* Answers from `input`, as far as there are whole requests and room. */
static void feed_held(struct rf_worker *worker, struct rf_connection *connection,
                      const struct rf_binary_context *context)
{
    struct rf_buffer *input = connection->input;
    size_t consumed =
        feed(worker, connection, context, input->data + input->begin, rf_buffer_used(input));
    if (connection->input == NULL) { /* ended, and the input with it */
        return;
    }
    input->begin += (uint32_t)consumed;
    if (rf_buffer_used(input) == 0) {
        rf_buffer_put(&worker->pool, input);
        connection->input = NULL;
    }
}

static void hold(struct rf_worker *worker, struct rf_connection *connection, const uint8_t *data,
                 size_t size)
{
    if (size == 0) {
        return;
    }
    /* It may get much that was under way before receiving paused. Others would be closed for it. */
    bool is_too_much = connection->is_blocked && rf_buffer_pool_is_short(&worker->pool) &&
                       rf_buffer_used(connection->input) + size > RF_INPUT_HELD_SHORT_MAX;
    if (is_too_much || !rf_buffer_append(&worker->pool, &connection->input, data, size)) {
        no_memory(worker, connection);
        return;
    }
    if (connection->is_blocked && !connection->is_paused &&
        (rf_buffer_used(connection->input) >= RF_INPUT_HELD_MAX ||
         rf_buffer_pool_is_scarce(&worker->pool))) {
        connection->is_paused = true;
        rf_engine_receive_pause(worker->engine, &connection->socket);
    }
}

static bool is_serving(const struct rf_connection *connection)
{
    return connection->phase == RF_CONNECTION_SERVING && !connection->is_blocked;
}

/* New bytes: first they complete the cut request, if there is one, then they are answered from
 * where they are; the cut one at their end is kept. */
static void take(struct rf_worker *worker, struct rf_connection *connection,
                 const struct rf_binary_context *context, const uint8_t *data, size_t size)
{
    while (size > 0 && connection->input != NULL && is_serving(connection)) {
        size_t held = rf_buffer_used(connection->input);
        RF_ASSERT(connection->need > held);
        size_t missing = connection->need - held;
        size_t part = missing < size ? missing : size;
        hold(worker, connection, data, part);
        data += part;
        size -= part;
        if (part == missing && is_serving(connection)) {
            feed_held(worker, connection, context);
        }
    }
    if (size > 0 && is_serving(connection)) {
        size_t consumed = feed(worker, connection, context, data, size);
        data += consumed;
        size -= consumed;
    }
    if (connection->phase == RF_CONNECTION_SERVING) {
        hold(worker, connection, data, size);
    }
}

static void count_batch(struct rf_worker *worker)
{
    struct rf_server_counters *counters = &worker->counters;
    const size_t answered = worker->batch_answered;
    rf_counter_add(&counters->batches, 1);
    rf_counter_add(answered == 0    ? &counters->batches_of_0
                   : answered == 1  ? &counters->batches_of_1
                   : answered < 4   ? &counters->batches_of_2
                   : answered < 16  ? &counters->batches_of_4
                   : answered < 64  ? &counters->batches_of_16
                   : answered < 256 ? &counters->batches_of_64
                                    : &counters->batches_of_256,
                   1);
    worker->round_answered += answered;
    worker->batch_answered = 0;
}

struct watcher {
    struct rf_worker *worker;
    struct rf_connection *connection;
};

static int start_watch(void *context, const struct rf_wire_watch_request *request,
                       uint32_t request_id, struct rf_error *err)
{
    const struct watcher *watcher = context;
    return rf_watch_start(watcher->worker, watcher->connection, request, request_id, err);
}

/* Since when the connection's client owes the rest of a request; each answer begins the time anew.
 */
static void note_cut(const struct rf_worker *worker, struct rf_connection *connection)
{
    if (connection->input == NULL || connection->is_blocked) {
        connection->cut_ns = 0;
    } else if (connection->cut_ns == 0 || worker->batch_answered > 0) {
        connection->cut_ns = worker->now_ns;
    }
}

/* Answers inside one epoch section: new bytes, or (data NULL) what was held while blocked. */
static void answer(struct rf_worker *worker, struct rf_connection *connection, const uint8_t *data,
                   size_t size)
{
    struct rf_binary_context context = {
        .catalog = rf_catalog_of(rf_reader_enter(&worker->reader)),
        .info = worker->config.info,
        .counters = &worker->counters,
        .now_ns = worker->now_ns,
        .watch = start_watch,
        .watcher = &(struct watcher){worker, connection},
    };
    if (data == NULL) {
        feed_held(worker, connection, &context);
    } else {
        take(worker, connection, &context, data, size);
    }
    rf_reader_leave(&worker->reader);
    note_cut(worker, connection);
    count_batch(worker);
    if (connection->filling != NULL && rf_buffer_used(connection->filling) == 0) {
        rf_buffer_put(&worker->pool, connection->filling);
        connection->filling = NULL;
    }
}

/* Ends a connection whose requests are all answered, if none will come. */
static void check_end(struct rf_worker *worker, struct rf_connection *connection)
{
    bool is_drained = worker->is_stopping && connection->drain_left == 0;
    if ((connection->is_peer_done || is_drained) && !connection->is_blocked) {
        begin_draining(worker, connection);
    }
}

/* The first bytes. They may come one by one, so that some are held. */
static void detect(struct rf_worker *worker, struct rf_connection *connection, const uint8_t *data,
                   size_t size)
{
    uint8_t first[RF_DETECT_SIZE_MAX];
    size_t held = rf_buffer_used(connection->input);
    size_t part = sizeof(first) - held < size ? sizeof(first) - held : size;
    for (size_t i = 0; i < held; i++) {
        first[i] = connection->input->data[connection->input->begin + i];
    }
    for (size_t i = 0; i < part; i++) {
        first[held + i] = data[i];
    }
    switch (rf_detect(first, held + part)) {
    case RF_PROTOCOL_UNDECIDED:
        hold(worker, connection, data, size);
        break;
    case RF_PROTOCOL_UNKNOWN:
        abandon_counted(worker, connection, &worker->counters.connections_closed_unknown);
        break;
    case RF_PROTOCOL_BINARY:
        connection->phase = RF_CONNECTION_SERVING;
        connection->need = (uint32_t)held + 1;
        timer_start(worker, connection, RF_TIMER_IDLE);
        answer(worker, connection, data, size);
        break;
    }
}

void rf_connection_received(struct rf_worker *worker, struct rf_connection *connection,
                            const struct rf_event *event)
{
    if (connection->phase == RF_CONNECTION_CLOSED) {
        return;
    }
    if (event->result < 0) {
        rf_counter_add(&worker->counters.io_errors, 1);
        abandon(worker, connection);
        return;
    }
    if (event->result == 0) {
        connection->is_peer_done = true;
        connection->drain_left = 0;
        rf_counter_add(&worker->counters.connections_closed_by_peer, 1);
        if (connection->phase == RF_CONNECTION_LINGERING) {
            abandon(worker, connection);
        }
    } else {
        size_t size = (size_t)event->result;
        rf_counter_add(&worker->counters.bytes_received, size);
        connection->active_ns = worker->now_ns;
        connection->received += (uint32_t)size;
        connection->drain_left -=
            size < connection->drain_left ? (uint32_t)size : connection->drain_left;
        if (connection->timer == RF_TIMER_IDLE) {
            timer_start(worker, connection, RF_TIMER_IDLE);
        }
        if (connection->phase == RF_CONNECTION_DETECTING) {
            detect(worker, connection, event->data, size);
        } else if (is_serving(connection)) {
            answer(worker, connection, event->data, size);
        } else if (connection->phase == RF_CONNECTION_SERVING) {
            hold(worker, connection, event->data, size);
        } /* else it is too late for requests: dropped */
    }
    check_end(worker, connection);
    mark_dirty(worker, connection);
}

void rf_connection_sent(struct rf_worker *worker, struct rf_connection *connection, int result)
{
    if (connection->phase == RF_CONNECTION_CLOSED) {
        return;
    }
    if (result < 0) {
        rf_counter_add(&worker->counters.io_errors, 1);
        abandon(worker, connection);
        return;
    }
    struct rf_buffer *buffer = connection->sending;
    RF_ASSERT(buffer != NULL && (size_t)result <= rf_buffer_used(buffer));
    buffer->begin += (uint32_t)result;
    rf_counter_add(&worker->counters.bytes_sent, (uint64_t)result);
    send_more(worker, connection, true);
    const bool was_blocked = connection->is_blocked;
    if (connection->sending == NULL) {
        connection->is_blocked = false;
        rf_watches_insist(worker, connection);
    }
    if (was_blocked && !connection->is_blocked) {
        /* Held input has a request whose reply did not fit, unless that was given up since. */
        if (connection->phase == RF_CONNECTION_SERVING && connection->input != NULL) {
            answer(worker, connection, NULL, 0);
        }
        if (!connection->is_blocked && connection->is_paused &&
            connection->phase == RF_CONNECTION_SERVING) {
            connection->is_paused = false;
            rf_engine_receive_resume(worker->engine, &connection->socket);
        }
        check_end(worker, connection);
    }
    mark_dirty(worker, connection);
}

void rf_connections_flush(struct rf_worker *worker)
{
    while (worker->dirty != NULL) {
        struct rf_connection *connection = worker->dirty;
        worker->dirty = connection->dirty_next;
        if (worker->dirty == NULL) {
            worker->dirty_end = &worker->dirty;
        }
        connection->is_dirty = false;
        if (connection->phase == RF_CONNECTION_CLOSED) {
            if (connection->is_gone) {
                rf_connection_closed(worker, connection);
            }
            continue;
        }
        if (connection->sending == NULL && connection->filling != NULL) {
            bool is_awaited = connection->phase != RF_CONNECTION_SERVING ||
                              connection->is_blocked || worker->is_stopping ||
                              connection->watches != NULL;
            send_filled(worker, connection, is_awaited);
        }
        if (connection->phase == RF_CONNECTION_DRAINING && connection->sending == NULL &&
            connection->filling == NULL) {
            finish_draining(worker, connection);
        }
    }
}

/* False: not a connection any more. */
static bool get_info(const struct rf_connection *connection, struct tcp_info *ret_info)
{
    socklen_t size = sizeof(*ret_info);
    return getsockopt(connection->socket.fd, IPPROTO_TCP, TCP_INFO, ret_info, &size) == 0 &&
           size >= offsetof(struct tcp_info, tcpi_bytes_received) +
                       sizeof(ret_info->tcpi_bytes_received);
}

/*
 * Bytes that the kernel has received and this connection has not seen. By the kernel's count, not
 * by what waits in the socket: an io_uring without deferred task work may have taken some of that
 * out already. A peer's end counts as one, and ends the waiting for it.
 */
static uint32_t unseen_size(const struct rf_connection *connection)
{
    struct tcp_info info;
    return get_info(connection, &info) ? (uint32_t)info.tcpi_bytes_received - connection->received
                                       : 0;
}

/* Whether a peer is still waited for that has not made room for the next send. It may take bytes
 * all the same: the kernel reports room only when there are some tens of KiB of it. When buffers
 * are short that is not enough: a byte now and then would keep them for ever. */
static bool is_waited_for(struct rf_worker *worker, struct rf_connection *connection)
{
    struct tcp_info info;
    const uint32_t taken = get_info(connection, &info) ? (uint32_t)info.tcpi_bytes_acked : 0;
    const bool goes_on = taken != connection->taken && !rf_buffer_pool_is_short(&worker->pool);
    if (connection->stall_looks == 0 || goes_on) {
        connection->stall_looks = 0;
        connection->taken = taken;
    }
    connection->stall_looks++;
    if (connection->stall_looks > RF_STALL_LOOKS) {
        return false;
    }
    timer_start(worker, connection, RF_TIMER_STALL);
    return true;
}

/* Buffers are short: those of requests that do not go on are for others. While there are enough,
 * nobody is hurried. */
static void end_cut_requests(struct rf_worker *worker)
{
    const uint64_t patience_ns = (uint64_t)worker->config.stall_timeout_ms * 1000000;
    worker->cut_look_ns = worker->now_ns + (uint64_t)RF_CUT_LOOK_MS * 1000000;
    for (struct rf_connection *connection = worker->all;
         connection != NULL && rf_buffer_pool_is_short(&worker->pool);
         connection = connection->all_next) {
        if (connection->cut_ns > 0 && worker->now_ns - connection->cut_ns >= patience_ns &&
            unseen_size(connection) == 0) {
            no_memory(worker, connection);
        }
    }
}

void rf_connections_expire(struct rf_worker *worker)
{
    struct rf_server_counters *counters = &worker->counters;
    struct rf_counter *const counted[RF_TIMER_KINDS_COUNT] = {
        [RF_TIMER_DETECT] = &counters->connections_closed_idle,
        [RF_TIMER_IDLE] = &counters->connections_closed_idle,
        [RF_TIMER_STALL] = &counters->connections_closed_slow,
    };
    for (int i = 0; i < RF_TIMER_KINDS_COUNT; i++) {
        struct rf_timer_list *list = &worker->timers[i];
        while (list->first != NULL && list->first->deadline_ns <= worker->now_ns) {
            struct rf_connection *connection = list->first;
            if (i == RF_TIMER_STALL && is_waited_for(worker, connection)) {
                continue;
            }
            /* After a pause of this process more has come than one round takes. */
            if ((i == RF_TIMER_IDLE || i == RF_TIMER_DETECT) && unseen_size(connection) > 0) {
                timer_start(worker, connection, (enum rf_timer_kind)i);
                continue;
            }
            if (counted[i] != NULL) {
                rf_counter_add(counted[i], 1);
            }
            abandon(worker, connection);
        }
    }
    if (rf_buffer_pool_is_short(&worker->pool) && worker->now_ns >= worker->cut_look_ns) {
        end_cut_requests(worker);
    }
}

/* ---- stopping ---- */

void rf_connections_drain(struct rf_worker *worker)
{
    for (struct rf_connection *connection = worker->all; connection != NULL;
         connection = connection->all_next) {
        if (connection->phase >= RF_CONNECTION_DRAINING) {
            continue;
        }
        connection->drain_left = connection->is_peer_done ? 0 : unseen_size(connection);
        check_end(worker, connection);
    }
}

unsigned rf_connections_drop(struct rf_worker *worker)
{
    unsigned waiting_count = 0;
    for (struct rf_connection *connection = worker->all; connection != NULL;
         connection = connection->all_next) {
        if (connection->phase == RF_CONNECTION_CLOSED) {
            continue;
        }
        if (connection->sending != NULL || connection->filling != NULL || connection->is_blocked ||
            connection->drain_left > 0) {
            waiting_count++;
        }
        abandon(worker, connection);
    }
    return waiting_count;
}

void rf_connections_shut(struct rf_worker *worker)
{
    for (struct rf_connection *connection = worker->all; connection != NULL;
         connection = connection->all_next) {
        if (connection->socket.fd >= 0) {
            (void)shutdown(connection->socket.fd, SHUT_RDWR); /* it may have ended already */
        }
    }
}
