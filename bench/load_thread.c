/* SPDX-License-Identifier: MIT */
#include "bench/load_thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/schedule.h"
#include "core/assert.h"
#include "core/wire.h"

enum {
    WAIT_MAX_NS = 100 * 1000 * 1000, /* to look at the clock and the truth now and then */
    SPIN_BELOW_NS = 200 * 1000,      /* the next send is so near that sleeping might miss it */
    INPUT_MAX = 2 * RF_WIRE_REPLY_SIZE_MAX, /* of a cut reply and what follows it */
};

/* Requests that were sent together. */
struct batch {
    uint64_t end; /* number of the first request after it */
    uint64_t sent_ns;
};

struct connection {
    uint64_t due;  /* requests that should have been sent so far */
    uint64_t sent; /* handed to the kernel */
    uint64_t answered;
    uint32_t position; /* of the next reply in the workload */
    uint32_t send_position;
    uint32_t batch_first, batch_end; /* in `batches`, which has depth + 1 places */
    bool is_lost;
    bool is_dirty; /* may have something to send: in the list */
    struct batch *batches;
    uint8_t *input; /* the beginning of a reply */
    size_t input_size, input_max;
};

struct loop {
    struct rf_bench_thread *thread;
    const struct rf_bench_load_config *config;
    const struct rf_bench_workload *workload;
    const struct rf_bench_truth *truth;
    struct rf_bench_io *io;
    struct connection *connections;
    struct batch *batches;
    uint32_t *dirty; /* connections to look at when the round's events are done */
    uint32_t dirty_count;
    uint32_t alive_count;
    struct rf_bench_schedule schedule;
    uint64_t scheduled; /* requests of the schedule that have become due */
    uint64_t round_ns;  /* when this round's events were there */
    bool is_measuring;
    bool is_stopping;
    struct rf_bench_counts before; /* what was counted before the measurement began */
    struct rf_bench_counts counts;
};

/* ---- sending ---- */

static void mark(struct loop *loop, uint32_t index)
{
    struct connection *connection = &loop->connections[index];
    if (!connection->is_dirty) {
        connection->is_dirty = true;
        loop->dirty[loop->dirty_count++] = index;
    }
}

static void note_batch(struct loop *loop, struct connection *connection, uint64_t now_ns)
{
    uint32_t places = loop->config->depth + 1;
    connection->batches[connection->batch_end] = (struct batch){connection->sent, now_ns};
    connection->batch_end = connection->batch_end + 1 == places ? 0 : connection->batch_end + 1;
}

static void send_due(struct loop *loop, uint32_t index, uint64_t now_ns)
{
    struct connection *connection = &loop->connections[index];
    const struct rf_bench_workload *workload = loop->workload;
    while (!connection->is_lost && !rf_bench_io_is_sending(loop->io, index)) {
        uint64_t limit = connection->answered + loop->config->depth;
        uint64_t until = connection->due < limit ? connection->due : limit;
        uint64_t count = until - connection->sent;
        uint64_t in_row = workload->requests_count - connection->send_position;
        if (count > in_row) {
            count = in_row; /* the rest from the front, by another send */
        }
        if (count == 0) {
            return;
        }
        const uint8_t *data =
            workload->requests + (size_t)connection->send_position * workload->request_size;
        size_t size = (size_t)count * workload->request_size;
        connection->sent += count;
        connection->send_position += (uint32_t)count;
        if (connection->send_position == workload->requests_count) {
            connection->send_position = 0;
        }
        if (loop->config->rate == 0) {
            note_batch(loop, connection, now_ns);
        }
        loop->counts.bytes_sent += size;
        rf_bench_io_send(loop->io, index, data, size);
    }
}

/* Nothing is due after the end, however late this thread comes to it. */
static void schedule(struct loop *loop, uint64_t now_ns)
{
    uint32_t count = loop->thread->connections_count;
    uint64_t last_ns = loop->thread->shared->stop_ns - 1;
    last_ns = now_ns < last_ns ? now_ns : last_ns;
    RF_ASSERT(count > 0);
    while (rf_bench_due_ns(&loop->schedule, loop->scheduled) <= last_ns) {
        uint32_t index = (uint32_t)(loop->scheduled % count);
        loop->scheduled++;
        loop->connections[index].due++;
        mark(loop, index);
    }
}

static void flush(struct loop *loop)
{
    uint64_t now_ns = rf_bench_now_ns();
    if (loop->config->rate > 0 && !loop->is_stopping) {
        schedule(loop, now_ns);
    }
    for (uint32_t i = 0; i < loop->dirty_count; i++) {
        uint32_t index = loop->dirty[i];
        loop->connections[index].is_dirty = false;
        send_due(loop, index, now_ns);
    }
    loop->dirty_count = 0;
}

/* ---- receiving ---- */

/* Closed loop: replies answered .. answered + count - 1, batch by batch. */
static void record_batches(struct loop *loop, struct connection *connection, uint64_t count)
{
    uint32_t places = loop->config->depth + 1;
    uint64_t number = connection->answered;
    uint64_t end = number + count;
    while (number < end) {
        RF_ASSERT(connection->batch_first != connection->batch_end);
        const struct batch *batch = &connection->batches[connection->batch_first];
        uint64_t until = batch->end < end ? batch->end : end;
        if (loop->is_measuring) {
            rf_histogram_add(&loop->thread->latencies, loop->round_ns - batch->sent_ns,
                             until - number);
        }
        number = until;
        if (number == batch->end) {
            connection->batch_first++;
            if (connection->batch_first == places) {
                connection->batch_first = 0;
            }
            if (connection->batch_first == connection->batch_end) {
                connection->batch_first = connection->batch_end = 0; /* one place stays warm */
            }
        }
    }
    if (loop->is_measuring) {
        loop->counts.requests += count;
    }
}

/* Open loop: each from when it was due; counted is what was due while measuring. */
static void record_due(struct loop *loop, struct connection *connection, uint64_t count)
{
    uint32_t index = (uint32_t)(connection - loop->connections);
    uint64_t connections_count = loop->thread->connections_count;
    for (uint64_t number = connection->answered; number < connection->answered + count; number++) {
        uint64_t due_ns = rf_bench_due_ns(&loop->schedule, number * connections_count + index);
        if (due_ns >= loop->thread->shared->measure_ns) {
            rf_histogram_record(&loop->thread->latencies, loop->round_ns - due_ns);
            loop->counts.requests++;
        }
    }
}

static void lose(struct loop *loop, uint32_t index, const char *why)
{
    struct connection *connection = &loop->connections[index];
    struct rf_bench_thread *thread = loop->thread;
    if (connection->is_lost) {
        return;
    }
    connection->is_lost = true;
    thread->lost_connections++;
    loop->alive_count--;
    if (thread->lost_error.code == 0) {
        (void)rf_error_set(&thread->lost_error, -ECONNRESET, "connection lost: %s", why);
    }
}

/* Whole replies at the front of `data`. Returns their size. */
static size_t read_replies(struct loop *loop, uint32_t index, const uint8_t *data, size_t size)
{
    struct connection *connection = &loop->connections[index];
    struct rf_bench_tally *tally = &loop->thread->tally;
    struct rf_error err = {0};
    uint64_t before = tally->answered;
    ptrdiff_t used =
        rf_bench_replies_read(loop->workload, loop->truth, &connection->position,
                              connection->sent - connection->answered, data, size, tally, &err);
    if (used < 0) {
        lose(loop, index, err.text);
        return size;
    }
    uint64_t count = tally->answered - before;
    loop->counts.answered += loop->is_measuring ? count : 0;
    if (loop->config->rate == 0) {
        record_batches(loop, connection, count);
        if (!loop->is_stopping) {
            connection->due += count;
        }
    } else {
        record_due(loop, connection, count);
    }
    connection->answered += count;
    return (size_t)used;
}

static bool keep_input(struct connection *connection, const uint8_t *data, size_t size)
{
    size_t needed = connection->input_size + size;
    if (needed > connection->input_max) {
        uint8_t *larger = needed <= INPUT_MAX ? realloc(connection->input, needed) : NULL;
        if (larger == NULL) {
            return false;
        }
        connection->input = larger;
        connection->input_max = needed;
    }
    if (size > 0) {
        memcpy(connection->input + connection->input_size, data, size);
    }
    connection->input_size = needed;
    return true;
}

static void on_received(struct loop *loop, uint32_t index, const uint8_t *data, size_t size)
{
    struct connection *connection = &loop->connections[index];
    if (connection->is_lost) {
        return;
    }
    loop->counts.bytes_received += size;
    bool is_kept = true;
    if (connection->input_size == 0) {
        size_t used = read_replies(loop, index, data, size);
        is_kept = keep_input(connection, data + used, size - used);
    } else {
        is_kept = keep_input(connection, data, size);
        if (is_kept) {
            size_t used = read_replies(loop, index, connection->input, connection->input_size);
            connection->input_size -= used;
            memmove(connection->input, connection->input + used, connection->input_size);
        }
    }
    if (!is_kept) {
        lose(loop, index, "no memory for a cut reply");
    }
    mark(loop, index);
}

static void handle_events(struct loop *loop)
{
    struct rf_bench_event event;
    while (rf_bench_io_next(loop->io, &event)) {
        switch (event.type) {
        case RF_BENCH_RECEIVED:
            on_received(loop, event.index, event.data, event.size);
            break;
        case RF_BENCH_SENT:
            mark(loop, event.index);
            break;
        case RF_BENCH_CLOSED:
            lose(loop, event.index,
                 event.code == 0 ? "the server has closed it" : rf_strerror(event.code));
            break;
        }
    }
}

/* ---- the loop ---- */

static void begin_measuring(struct loop *loop)
{
    loop->is_measuring = true;
    loop->before = loop->counts;
}

/* The truth may be replaced by another at any time; the one in use is not freed. */
static void look_at_truth(struct loop *loop)
{
    struct rf_bench_thread *thread = loop->thread;
    const struct rf_bench_truth *truth =
        atomic_load_explicit(&thread->shared->truth, memory_order_acquire);
    if (truth != loop->truth) {
        loop->truth = truth;
        atomic_store_explicit(&thread->truth_in_use, truth, memory_order_release);
    }
    atomic_store_explicit(&thread->answered, thread->tally.answered, memory_order_relaxed);
    if (thread->tally.newest_version != 0) {
        atomic_store_explicit(&thread->newest_version, thread->tally.newest_version,
                              memory_order_relaxed);
    }
}

static uint64_t wait_ns(const struct loop *loop, uint64_t now_ns, uint64_t until_ns)
{
    uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    if (left_ns > WAIT_MAX_NS) {
        left_ns = WAIT_MAX_NS;
    }
    if (loop->config->rate > 0 && !loop->is_stopping) {
        uint64_t due_ns = rf_bench_due_ns(&loop->schedule, loop->scheduled);
        uint64_t to_due_ns = due_ns > now_ns ? due_ns - now_ns : 0;
        if (to_due_ns < SPIN_BELOW_NS) {
            return 0;
        }
        to_due_ns -= SPIN_BELOW_NS;
        left_ns = to_due_ns < left_ns ? to_due_ns : left_ns;
    }
    return left_ns;
}

static int run_until(struct loop *loop, uint64_t until_ns)
{
    uint64_t now_ns = rf_bench_now_ns();
    while (now_ns < until_ns && loop->alive_count > 0) {
        if (loop->is_stopping && loop->thread->lost == 0) {
            break;
        }
        int code = rf_bench_io_wait(loop->io, wait_ns(loop, now_ns, until_ns));
        if (code < 0) {
            return rf_error_set(&loop->thread->err, code, "waiting: %s", rf_strerror(code));
        }
        now_ns = loop->round_ns = rf_bench_now_ns();
        look_at_truth(loop);
        handle_events(loop);
        flush(loop);
        if (loop->is_stopping) {
            loop->thread->lost = 0;
            for (uint32_t i = 0; i < loop->thread->connections_count; i++) {
                const struct connection *connection = &loop->connections[i];
                loop->thread->lost += connection->due - connection->answered;
            }
        }
    }
    return 0;
}

static void begin(struct loop *loop)
{
    const struct rf_bench_thread *thread = loop->thread;
    uint32_t threads = loop->config->threads;
    loop->schedule = (struct rf_bench_schedule){
        .start_ns = thread->shared->start_ns,
        .rate = loop->config->rate,
        .first = thread->index,
        .stride = threads,
    };
    for (uint32_t i = 0; i < thread->connections_count; i++) {
        struct connection *connection = &loop->connections[i];
        /* Connections begin evenly spread over the workload. */
        uint64_t number = thread->index + (uint64_t)i * threads;
        connection->position = connection->send_position =
            (uint32_t)(number * loop->workload->requests_count / loop->config->connections);
        connection->due = loop->config->rate == 0 ? loop->config->depth : 0;
        mark(loop, i);
    }
    flush(loop);
}

static int run(struct loop *loop)
{
    struct rf_bench_thread *thread = loop->thread;
    const struct rf_bench_shared *shared = thread->shared;
    begin(loop);
    int code = run_until(loop, shared->measure_ns);
    begin_measuring(loop);
    if (code == 0) {
        code = run_until(loop, shared->stop_ns);
    }
    /* In a closed loop what comes after is checked but not counted; in an open one what was due
     * before is counted however late it is. */
    thread->counts.bytes_sent = loop->counts.bytes_sent - loop->before.bytes_sent;
    thread->counts.bytes_received = loop->counts.bytes_received - loop->before.bytes_received;
    loop->is_stopping = true;
    loop->is_measuring = false;
    for (uint32_t i = 0; i < thread->connections_count; i++) {
        struct connection *connection = &loop->connections[i];
        if (loop->config->rate == 0) {
            connection->due = connection->sent;
        }
        thread->lost += connection->due - connection->answered;
    }
    if (code == 0) {
        code = run_until(loop, shared->stop_ns + RF_BENCH_DRAIN_MS * UINT64_C(1000000));
    }
    thread->counts.requests = loop->counts.requests - loop->before.requests;
    thread->counts.answered = loop->counts.answered;
    if (thread->lost > 0 && thread->lost_error.code == 0) {
        (void)rf_error_set(&thread->lost_error, -ETIMEDOUT, "no reply within %d ms of the end",
                           RF_BENCH_DRAIN_MS);
    }
    return code;
}

static int set_up(struct loop *loop)
{
    struct rf_bench_thread *thread = loop->thread;
    const struct rf_bench_load_config *config = loop->config;
    uint32_t count = thread->connections_count;
    size_t places = (size_t)config->depth + 1;
    if (config->cpus_count > 0) {
        int code = rf_bench_pin(config->cpus[thread->index % config->cpus_count], &thread->err);
        if (code < 0) {
            return code;
        }
    }
    loop->connections = calloc(count, sizeof(*loop->connections));
    loop->dirty = calloc(count, sizeof(*loop->dirty));
    loop->batches = calloc(count * places, sizeof(*loop->batches));
    if (loop->connections == NULL || loop->dirty == NULL || loop->batches == NULL) {
        return rf_error_set(&thread->err, -ENOMEM, "%u connections: out of memory", count);
    }
    int code = rf_bench_io_new(config->engine, count, config->busy_poll, &loop->io, &thread->err);
    for (uint32_t i = 0; code == 0 && i < count; i++) {
        loop->connections[i].batches = loop->batches + i * places;
        int fd = thread->fds[i];
        thread->fds[i] = -1;
        code = rf_bench_io_add(loop->io, i, fd, &thread->err);
        loop->alive_count++;
    }
    return code;
}

static void tear_down(struct loop *loop)
{
    rf_bench_io_free(loop->io);
    for (uint32_t i = 0; loop->connections != NULL && i < loop->thread->connections_count; i++) {
        free(loop->connections[i].input);
    }
    free(loop->connections);
    free(loop->dirty);
    free(loop->batches);
}

/* Whether there is something to run. */
static bool pass_gate(struct rf_bench_shared *shared)
{
    (void)pthread_mutex_lock(&shared->mutex);
    shared->ready_count++;
    (void)pthread_cond_broadcast(&shared->changed);
    while (shared->gate == RF_BENCH_GATE_CLOSED) {
        (void)pthread_cond_wait(&shared->changed, &shared->mutex);
    }
    bool is_open = shared->gate == RF_BENCH_GATE_OPEN;
    (void)pthread_mutex_unlock(&shared->mutex);
    return is_open;
}

void *rf_bench_thread_run(void *argument)
{
    struct rf_bench_thread *thread = argument;
    struct rf_bench_shared *shared = thread->shared;
    struct loop loop = {
        .thread = thread, .config = shared->config, .workload = shared->config->workload};
    loop.truth = atomic_load_explicit(&shared->truth, memory_order_acquire);
    atomic_store_explicit(&thread->truth_in_use, loop.truth, memory_order_release);
    thread->code = set_up(&loop);
    if (pass_gate(shared)) {
        thread->code = run(&loop);
        look_at_truth(&loop);
    }
    atomic_fetch_add(&shared->ended_count, 1);
    tear_down(&loop);
    return NULL;
}
