/* SPDX-License-Identifier: MIT
 *
 * A worker's thread: wait, take every event, flush what they made, look at the clock. All its
 * decisions about accepting and stopping are here; those about one connection are in connection.c.
 */
#include "net/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"

enum {
    NS_PER_MS = 1000000,
    /* Rounds in which a stopping worker still takes what the backlog holds: 64 accepts each on
     * epoll, so it is empty long before unless clients flood it. */
    STOP_ACCEPT_ROUNDS_MAX = 64,
};

uint64_t rf_monotonic_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Whether to log trouble with accepting now; it tends to come by the thousand. */
static bool may_log(struct rf_worker *worker)
{
    if (worker->now_ns < worker->log_at_ns) {
        return false;
    }
    worker->log_at_ns = worker->now_ns + (uint64_t)RF_LOG_PAUSE_MS * NS_PER_MS;
    return true;
}

/* ---- accepting ---- */

/* Each worker writes its own gauge only, so while several accept at once the limit may be passed
 * by as many as there are workers: far less than what a lock for each accept would cost. */
static bool is_at_limit(const struct rf_worker *worker)
{
    const struct rf_info_source *info = worker->config.info;
    uint64_t open_count = 0;
    for (unsigned i = 0; i < info->workers_count; i++) {
        open_count += rf_counter_get(&info->counters[i]->connections_open);
    }
    return open_count >= worker->config.connections_max;
}

static void on_accepted(struct rf_worker *worker, int fd)
{
    worker->has_accepted = true;
    if (worker->is_stopping) { /* taken just before the listener was shut down: too late */
        (void)close(fd);
        return;
    }
    if (is_at_limit(worker)) {
        rf_counter_add(&worker->counters.connections_refused, 1);
        if (may_log(worker)) {
            rf_log(worker->config.log, RF_LOG_WARN,
                   "connection_refused worker=%u reason=\"%u connections are open, the limit\"",
                   worker->config.index, worker->config.connections_max);
        }
        (void)close(fd);
        return;
    }
    rf_connection_open(worker, fd);
}

static void on_accept_failed(struct rf_worker *worker, int error)
{
    if (worker->is_stopping) { /* the listener was shut down */
        return;
    }
    rf_counter_add(&worker->counters.accept_errors, 1);
    worker->accept_at_ns = worker->now_ns + (uint64_t)RF_ACCEPT_PAUSE_MS * NS_PER_MS;
    if (may_log(worker)) {
        rf_log(worker->config.log, RF_LOG_WARN, "accept_paused worker=%u pause_ms=%d error=\"%s\"",
               worker->config.index, RF_ACCEPT_PAUSE_MS, strerror(-error));
    }
}

/* ---- the loop ---- */

static struct rf_connection *connection_of(struct rf_engine_socket *socket)
{
    return (struct rf_connection *)socket; /* its first member */
}

/* Looks for events again and again until `end_ns`. Returns as rf_engine_wait. */
static int poll_events(struct rf_worker *worker, uint64_t end_ns)
{
    rf_counter_add(&worker->counters.waits_spun, 1);
    for (;;) {
        int code = rf_engine_wait(worker->engine, 0);
        if (code != 0) {
            rf_counter_add(&worker->counters.waits_spun_hit, 1);
            return code;
        }
        worker->now_ns = rf_monotonic_ns();
        if (worker->now_ns >= end_ns) {
            return 0;
        }
        rf_spin_pause();
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Waits until `deadline_ns` at most. */
static int wait_events(struct rf_worker *worker, uint64_t deadline_ns)
{
    int code = 0;
    /* From the last request on, not from the last event: what else happens does not make more. */
    uint64_t spin_ns = rf_spin_ns(&worker->spin);
    uint64_t end_ns = earlier(worker->answered_ns + spin_ns, deadline_ns);
    if (spin_ns > 0 && end_ns > worker->now_ns) {
        code = poll_events(worker, end_ns);
    }
    if (code == 0) {
        uint64_t timeout_ns = UINT64_MAX;
        if (deadline_ns != UINT64_MAX) {
            timeout_ns = deadline_ns > worker->now_ns ? deadline_ns - worker->now_ns : 0;
        }
        rf_counter_add(&worker->counters.waits_blocked, timeout_ns > 0);
        code = rf_engine_wait(worker->engine, timeout_ns);
    }
    worker->now_ns = rf_monotonic_ns();
    return code < 0 ? code : 0;
}

/* One clock read for all requests of a round, however many batches they came in. */
static void count_round(struct rf_worker *worker)
{
    rf_counter_set(&worker->counters.buffers_exhausted, worker->engine->exhausted_count);
    if (worker->round_answered > 0) {
        rf_spin_waited(&worker->spin, worker->now_ns - worker->answered_ns);
        worker->answered_ns = rf_monotonic_ns();
        rf_histogram_add(&worker->latency, worker->answered_ns - worker->now_ns,
                         worker->round_answered);
        worker->round_answered = 0;
    }
}

/* Waits until `deadline_ns` at most and handles everything that happened. */
static int run_round(struct rf_worker *worker, uint64_t deadline_ns)
{
    int code = wait_events(worker, deadline_ns);
    worker->has_accepted = false;
    if (code < 0) {
        return code;
    }
    struct rf_event event;
    while (rf_engine_next(worker->engine, &event)) {
        switch (event.kind) {
        case RF_EVENT_ACCEPTED:
            on_accepted(worker, event.result);
            break;
        case RF_EVENT_ACCEPT_FAILED:
            on_accept_failed(worker, event.result);
            break;
        case RF_EVENT_RECEIVED:
            rf_connection_received(worker, connection_of(event.socket), &event);
            break;
        case RF_EVENT_SENT:
            rf_connection_sent(worker, connection_of(event.socket), event.result);
            break;
        case RF_EVENT_CLOSED:
            rf_connection_closed(worker, connection_of(event.socket));
            break;
        case RF_EVENT_WOKEN: /* the loop looks at `stop` after each round */
            rf_watches_look(worker);
            break;
        }
    }
    rf_watches_tell(worker);
    rf_connections_flush(worker);
    rf_connections_expire(worker);
    count_round(worker);
    return 0;
}

static int serve(struct rf_worker *worker)
{
    int code = 0;
    while (code == 0 && atomic_load_explicit(&worker->stop, memory_order_acquire) == RF_STOP_NO) {
        uint64_t deadline_ns = earlier(rf_connections_deadline_ns(worker), worker->accept_at_ns);
        code = run_round(worker, earlier(deadline_ns, rf_watches_deadline_ns(worker)));
        if (worker->accept_at_ns <= worker->now_ns) {
            worker->accept_at_ns = UINT64_MAX;
            rf_engine_accept_start(worker->engine);
        }
    }
    return code;
}

/* Takes what the backlog holds, then no more. */
static int stop_accepting(struct rf_worker *worker)
{
    int code = 0;
    worker->has_accepted = true;
    for (int i = 0; code == 0 && worker->has_accepted && i < STOP_ACCEPT_ROUNDS_MAX; i++) {
        code = run_round(worker, 0);
    }
    worker->is_stopping = true;
    worker->accept_at_ns = UINT64_MAX;
    (void)shutdown(worker->config.listener_fd, SHUT_RDWR);
    return code;
}

/* Closes what is left, whatever waits, and sees all of it closed. */
static int drop_all(struct rf_worker *worker)
{
    unsigned dropped_count = rf_connections_drop(worker);
    atomic_fetch_add_explicit(&worker->dropped_count, dropped_count, memory_order_relaxed);
    int code = 0;
    while (code == 0 && worker->all != NULL) {
        code = run_round(worker, UINT64_MAX);
    }
    return code;
}

static int drain(struct rf_worker *worker)
{
    int code = stop_accepting(worker);
    if (code < 0) {
        return code;
    }
    rf_connections_drain(worker);
    rf_connections_flush(worker);
    while (code == 0 && worker->all != NULL) {
        uint64_t deadline_ns =
            atomic_load_explicit(&worker->stop_deadline_ns, memory_order_acquire);
        if (worker->now_ns >= deadline_ns) {
            return drop_all(worker);
        }
        code = run_round(worker, earlier(rf_connections_deadline_ns(worker), deadline_ns));
    }
    return code;
}

/* ---- the thread ---- */

static int set_up(struct rf_worker *worker, struct rf_error *err)
{
    const struct rf_worker_config *config = &worker->config;
    int code = config->engine_kind == RF_ENGINE_URING
                   ? rf_engine_uring_new(config->listener_fd, config->engine_features,
                                         config->engine_buffers_count, &worker->engine, err)
                   : rf_engine_epoll_new(config->listener_fd, &worker->engine, err);
    if (code < 0) {
        return code;
    }
    code = rf_reader_init(&worker->reader, config->publisher);
    if (code < 0) {
        rf_engine_free(worker->engine);
        return rf_error_set(err, code, "reader of the catalog: %s", strerror(-code));
    }
    worker->dirty_end = &worker->dirty;
    worker->pool.size_max = config->buffers_size_max;
    worker->timers[RF_TIMER_DETECT].timeout_ns = (uint64_t)config->detect_timeout_ms * NS_PER_MS;
    worker->timers[RF_TIMER_IDLE].timeout_ns = (uint64_t)config->idle_timeout_ms * NS_PER_MS;
    worker->timers[RF_TIMER_STALL].timeout_ns =
        (uint64_t)config->stall_timeout_ms * NS_PER_MS / RF_STALL_LOOKS;
    worker->timers[RF_TIMER_LINGER].timeout_ns = (uint64_t)RF_LINGER_TIMEOUT_MS * NS_PER_MS;
    worker->accept_at_ns = UINT64_MAX;
    worker->now_ns = rf_monotonic_ns();
    worker->answered_ns = worker->now_ns;
    rf_watches_init(&worker->watches);
    rf_spin_init(&worker->spin, config->busy_poll_us);
    rf_engine_accept_start(worker->engine);
    return 0;
}

static void *run(void *context)
{
    struct rf_worker *worker = context;
    worker->start_code = set_up(worker, &worker->start_error);
    bool is_set_up = worker->start_code == 0;
    (void)sem_post(&worker->started);
    if (!is_set_up) {
        return NULL;
    }
    int code = serve(worker);
    if (code == 0) {
        code = drain(worker);
    }
    if (code < 0) {
        /* The engine is of no use any more, and with it every connection: their memory may still be
         * the kernel's, but their peers see the end. The other workers go on; this one's port
         * closes. */
        rf_log(worker->config.log, RF_LOG_ERROR, "worker_failed worker=%u error=\"%s\"",
               worker->config.index, strerror(-code));
        (void)shutdown(worker->config.listener_fd, SHUT_RDWR);
        rf_connections_shut(worker);
        return NULL;
    }
    rf_reader_fini(&worker->reader);
    rf_buffer_pool_fini(&worker->pool);
    rf_watches_fini(&worker->watches);
    worker->is_ended = true;
    return NULL;
}

/* Signals are for the program's own threads: none is delivered to a worker. */
static int create_thread(struct rf_worker *worker)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = -pthread_create(&worker->thread, NULL, run, worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

int rf_worker_start(struct rf_worker *worker, const struct rf_worker_config *config,
                    struct rf_error *err)
{
    worker->config = *config;
    (void)sem_init(&worker->started, 0, 0); /* cannot fail for 0 */
    int code = create_thread(worker);
    if (code < 0) {
        (void)sem_destroy(&worker->started);
        return rf_error_set(err, code, "worker thread %u: %s", config->index, strerror(-code));
    }
    while (sem_wait(&worker->started) < 0) {
        RF_ASSERT(errno == EINTR);
    }
    (void)sem_destroy(&worker->started);
    if (worker->start_code < 0) {
        (void)pthread_join(worker->thread, NULL);
        return rf_error_set(err, worker->start_code, "worker %u: %s", config->index,
                            worker->start_error.text);
    }
    return 0;
}

void rf_worker_stop(struct rf_worker *worker, uint64_t deadline_ns)
{
    atomic_store_explicit(&worker->stop_deadline_ns, deadline_ns, memory_order_release);
    atomic_store_explicit(&worker->stop, RF_STOP_DRAIN, memory_order_release);
    rf_engine_wake(worker->engine);
}

void rf_worker_notify(struct rf_worker *worker)
{
    /* A watch that begins says so before it looks at the catalog, and this was called after the
     * catalog had been published: so one of both sees the other. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&worker->has_watches, memory_order_seq_cst)) {
        rf_engine_wake(worker->engine);
    }
}

unsigned rf_worker_join(struct rf_worker *worker)
{
    (void)pthread_join(worker->thread, NULL);
    if (worker->is_ended) {
        rf_engine_free(worker->engine);
    }
    return atomic_load_explicit(&worker->dropped_count, memory_order_relaxed);
}
