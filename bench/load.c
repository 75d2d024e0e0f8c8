/* SPDX-License-Identifier: MIT */
#include "bench/load.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/load_thread.h"
#include "bench/schedule.h"
#include "core/address.h"
#include "core/assert.h"
#include "core/wire.h"

enum {
    START_IN_NS = 1000 * 1000,  /* all threads have woken up by then */
    TICK_NS = 20 * 1000 * 1000, /* how soon a new version of the group is noticed */
    PROGRESS_TICKS = 25,
    RETRY_TICKS = 5, /* after the group could not be fetched */
    TRUTHS_MAX = 2,  /* fetched ones kept at a time: the current one and the next */
};

int rf_bench_pin(uint32_t cpu, struct rf_error *err)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu < CPU_SETSIZE) {
        CPU_SET(cpu, &set);
    }
    if (sched_setaffinity(0, sizeof(set), &set) < 0) {
        return rf_error_set(err, -errno, "CPU %u: %s", cpu, rf_strerror(-errno));
    }
    return 0;
}

int rf_bench_connect(const char *server, struct rf_error *err)
{
    struct rf_host_port host_port;
    struct rf_address address;
    struct sockaddr_storage sockaddr;
    int code = rf_host_port_parse(server, 0, &host_port, err);
    if (code == 0) {
        code = rf_host_port_resolve(&host_port, &address, 1, err);
    }
    if (code < 0) {
        return code;
    }
    socklen_t size = rf_address_to_sockaddr(&address, &sockaddr);
    int fd = socket(sockaddr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return rf_error_set(err, -errno, "socket: %s", rf_strerror(-errno));
    }
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* cannot fail on TCP */
    if (connect(fd, (const struct sockaddr *)&sockaddr, size) < 0) {
        code = rf_error_set(err, -errno, "%s: %s", server, rf_strerror(-errno));
        (void)close(fd); /* was never connected */
        return code;
    }
    return fd;
}

static int connect_and_greet(const struct rf_bench_load_config *config, struct rf_error *err)
{
    int fd = rf_bench_connect(config->server, err);
    if (fd < 0 || config->workload->config.protocol != RF_BENCH_REGISTRY) {
        return fd;
    }
    /* Eight bytes always fit a new socket. */
    if (send(fd, rf_wire_preface, RF_WIRE_PREFACE_SIZE, MSG_NOSIGNAL) != RF_WIRE_PREFACE_SIZE) {
        int code = rf_error_set(err, -EPIPE, "%s: closed at once", config->server);
        (void)close(fd);
        return code;
    }
    return fd;
}

/* ---- threads ---- */

struct run {
    const struct rf_bench_load_config *config;
    struct rf_bench_shared shared;
    struct rf_bench_thread *threads;
    uint32_t started;
    struct rf_bench_truth *truths[TRUTHS_MAX]; /* fetched while running */
    uint32_t retry_ticks;
};

static int check(const struct rf_bench_load_config *config, struct rf_error *err)
{
    const struct {
        const char *name;
        uint64_t value, min, max;
    } limits[] = {
        {"connections", config->connections, 1, RF_BENCH_CONNECTIONS_MAX},
        {"depth", config->depth, 1, RF_BENCH_DEPTH_MAX},
        {"threads", config->threads, 1, RF_BENCH_THREADS_MAX},
        {"rate", config->rate, 0, RF_BENCH_RATE_MAX},
    };
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        if (limits[i].value < limits[i].min || limits[i].value > limits[i].max) {
            return rf_error_set(err, -EINVAL, "%s: %llu, allowed %llu..%llu", limits[i].name,
                                (unsigned long long)limits[i].value,
                                (unsigned long long)limits[i].min,
                                (unsigned long long)limits[i].max);
        }
    }
    if (config->connections < config->threads) {
        return rf_error_set(err, -EINVAL, "%u connections for %u threads: each needs one",
                            config->connections, config->threads);
    }
    return 0;
}

static int connect_all(struct run *run, struct rf_error *err)
{
    const struct rf_bench_load_config *config = run->config;
    for (uint32_t i = 0; i < config->threads; i++) {
        struct rf_bench_thread *thread = &run->threads[i];
        uint32_t count = config->connections / config->threads +
                         (i < config->connections % config->threads ? 1 : 0);
        thread->shared = &run->shared;
        thread->index = i;
        thread->fds = malloc(count * sizeof(*thread->fds));
        if (thread->fds == NULL) {
            return rf_error_set(err, -ENOMEM, "%u connections: out of memory", count);
        }
        for (; thread->connections_count < count; thread->connections_count++) {
            int fd = connect_and_greet(config, err);
            if (fd < 0) {
                return fd;
            }
            thread->fds[thread->connections_count] = fd;
        }
    }
    return 0;
}

static int start_threads(struct run *run, struct rf_error *err)
{
    uint32_t count = run->config->threads;
    for (; run->started < count; run->started++) {
        struct rf_bench_thread *thread = &run->threads[run->started];
        int code = -pthread_create(&thread->id, NULL, rf_bench_thread_run, thread);
        if (code < 0) {
            return rf_error_set(err, code, "thread %u: %s", run->started, rf_strerror(code));
        }
    }
    return 0;
}

static bool has_failed(const struct run *run)
{
    for (uint32_t i = 0; i < run->started; i++) {
        if (run->threads[i].code < 0) {
            return true;
        }
    }
    return run->started < run->config->threads;
}

/* Waits until the threads that have started are ready, and lets them run or end. */
static bool open_gate(struct run *run)
{
    struct rf_bench_shared *shared = &run->shared;
    (void)pthread_mutex_lock(&shared->mutex);
    while (shared->ready_count < run->started) {
        (void)pthread_cond_wait(&shared->changed, &shared->mutex);
    }
    bool is_open = !has_failed(run);
    shared->start_ns = rf_bench_now_ns() + START_IN_NS;
    shared->measure_ns = shared->start_ns + run->config->warmup_ns;
    shared->stop_ns = shared->measure_ns + run->config->duration_ns;
    shared->gate = is_open ? RF_BENCH_GATE_OPEN : RF_BENCH_GATE_ABANDON;
    (void)pthread_cond_broadcast(&shared->changed);
    (void)pthread_mutex_unlock(&shared->mutex);
    return is_open;
}

/* ---- while they run ---- */

static void free_old_truths(struct run *run)
{
    for (size_t i = 0; i < TRUTHS_MAX; i++) {
        if (run->truths[i] != atomic_load(&run->shared.truth)) {
            rf_bench_truth_free(run->truths[i]);
            run->truths[i] = NULL;
        }
    }
}

static void replace_truth(struct run *run)
{
    struct rf_bench_truth **place = NULL;
    bool all_have_it = true;
    const struct rf_bench_truth *current = atomic_load(&run->shared.truth);
    for (uint32_t i = 0; i < run->started; i++) {
        all_have_it = all_have_it && atomic_load(&run->threads[i].truth_in_use) == current;
    }
    if (!all_have_it) {
        return; /* so whoever reads, reads the current one, and all others can be freed */
    }
    free_old_truths(run);
    for (size_t i = 0; i < TRUTHS_MAX && place == NULL; i++) {
        place = run->truths[i] == NULL ? &run->truths[i] : NULL;
    }
    RF_ASSERT(place != NULL);
    struct rf_bench_truth *truth;
    int code = rf_bench_truth_fetch(run->config->workload, run->config->client, &truth, NULL);
    if (code < 0) {
        run->retry_ticks = RETRY_TICKS; /* answers are skipped, and counted so, until then */
        return;
    }
    *place = truth;
    atomic_store_explicit(&run->shared.truth, truth, memory_order_release);
}

static void look_for_change(struct run *run)
{
    if (run->config->truth == NULL || run->config->client == NULL) {
        return;
    }
    if (run->retry_ticks > 0) {
        run->retry_ticks--;
        return;
    }
    const struct rf_bench_truth *current = atomic_load(&run->shared.truth);
    for (uint32_t i = 0; i < run->started; i++) {
        if (atomic_load_explicit(&run->threads[i].newest_version, memory_order_relaxed) >
            current->version) {
            replace_truth(run);
            return;
        }
    }
}

static uint64_t answered_by_all(const struct run *run)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < run->started; i++) {
        sum += atomic_load_explicit(&run->threads[i].answered, memory_order_relaxed);
    }
    return sum;
}

static void print_progress(const struct run *run, uint64_t now_ns, uint64_t *last_ns,
                           uint64_t *last_answered)
{
    uint64_t answered = answered_by_all(run);
    double seconds = (double)(now_ns - *last_ns) / 1e9;
    const char *phase = now_ns < run->shared.measure_ns ? "warming up" : "measuring";
    uint64_t end_ns =
        now_ns < run->shared.measure_ns ? run->shared.measure_ns : run->shared.stop_ns;
    (void)fprintf(run->config->progress, "\r\033[K%u x %u: %s, %.1f s left, %.0f requests/s",
                  run->config->connections, run->config->depth, phase,
                  end_ns > now_ns ? (double)(end_ns - now_ns) / 1e9 : 0.0,
                  (double)(answered - *last_answered) / seconds);
    (void)fflush(run->config->progress);
    *last_ns = now_ns;
    *last_answered = answered;
}

static void watch(struct run *run)
{
    uint64_t last_ns = run->shared.start_ns;
    uint64_t last_answered = 0;
    unsigned ticks = 0;
    for (uint64_t now_ns = rf_bench_now_ns();
         now_ns < run->shared.stop_ns && atomic_load(&run->shared.ended_count) < run->started;
         now_ns = rf_bench_now_ns()) {
        uint64_t left_ns = run->shared.stop_ns - now_ns;
        struct timespec tick = {.tv_nsec = (long)(left_ns < TICK_NS ? left_ns : TICK_NS)};
        (void)nanosleep(&tick, NULL); /* a signal makes it short */
        look_for_change(run);
        if (run->config->progress != NULL && ++ticks % PROGRESS_TICKS == 0) {
            print_progress(run, rf_bench_now_ns(), &last_ns, &last_answered);
        }
    }
    if (run->config->progress != NULL) {
        (void)fputs("\r\033[K", run->config->progress);
    }
}

/* ---- the result ---- */

static void note_error(struct rf_error *into, const struct rf_error *from)
{
    if (into->code == 0 && from->code != 0) {
        *into = *from;
    }
}

static int sum_up(const struct run *run, struct bench_result *result, struct rf_error *first_error,
                  struct rf_error *err)
{
    const struct rf_bench_load_config *config = run->config;
    struct rf_histogram *latencies =
        aligned_alloc(_Alignof(struct rf_histogram), sizeof(*latencies));
    if (latencies == NULL) {
        return rf_error_set(err, -ENOMEM, "histogram: out of memory");
    }
    rf_histogram_clear(latencies);
    *result = (struct bench_result){
        .client_engine = rf_bench_engine_name(config->engine),
        .busy_poll = config->busy_poll,
        .connections = config->connections,
        .depth = config->depth,
        .threads = config->threads,
        .keys_per_request = config->workload->config.keys_per_request,
        .rounds = 1,
        .rate = (double)config->rate,
        .duration_ns = config->duration_ns,
        .latencies = latencies,
    };
    uint64_t answered = 0;
    for (uint32_t i = 0; i < run->started; i++) {
        const struct rf_bench_thread *thread = &run->threads[i];
        rf_histogram_merge(latencies, &thread->latencies);
        result->requests += thread->counts.requests;
        answered += thread->counts.answered;
        result->bytes_sent += thread->counts.bytes_sent;
        result->bytes_received += thread->counts.bytes_received;
        result->checked += thread->tally.checked;
        result->skipped += thread->tally.skipped;
        result->errors +=
            thread->tally.refused + thread->tally.wrong + thread->lost + thread->lost_connections;
        note_error(first_error, &thread->tally.first_error);
        note_error(first_error, &thread->lost_error);
    }
    result->requests_per_second = (double)answered * 1e9 / (double)config->duration_ns;
    result->requests_per_second_min = result->requests_per_second;
    result->requests_per_second_max = result->requests_per_second;
    return 0;
}

static int first_failure(const struct run *run, struct rf_error *err)
{
    for (uint32_t i = 0; i < run->started; i++) {
        const struct rf_bench_thread *thread = &run->threads[i];
        if (thread->code < 0) {
            return rf_error_set(err, thread->code, "%s", thread->err.text);
        }
    }
    return 0;
}

static void free_run(struct run *run)
{
    for (uint32_t i = 0; run->threads != NULL && i < run->config->threads; i++) {
        struct rf_bench_thread *thread = &run->threads[i];
        for (uint32_t j = 0; j < thread->connections_count; j++) {
            if (thread->fds[j] >= 0) {
                (void)close(thread->fds[j]); /* nothing to lose */
            }
        }
        free(thread->fds);
    }
    free(run->threads);
    for (size_t i = 0; i < TRUTHS_MAX; i++) {
        rf_bench_truth_free(run->truths[i]);
    }
}

static int run_threads(struct run *run, struct rf_error *err)
{
    int code = start_threads(run, err);
    if (open_gate(run)) {
        watch(run);
    }
    for (uint32_t i = 0; i < run->started; i++) {
        (void)pthread_join(run->threads[i].id, NULL); /* they are ours, and not joined yet */
    }
    return code < 0 ? code : first_failure(run, err);
}

int rf_bench_load_run(const struct rf_bench_load_config *config, struct bench_result *ret_result,
                      struct rf_error *ret_first_error, struct rf_error *err)
{
    struct rf_error unused = {0};
    struct run run = {.config = config,
                      .shared = {.config = config,
                                 .mutex = PTHREAD_MUTEX_INITIALIZER,
                                 .changed = PTHREAD_COND_INITIALIZER}};
    int code = check(config, err);
    if (code < 0) {
        return code;
    }
    atomic_init(&run.shared.truth, config->truth);
    size_t size = config->threads * sizeof(*run.threads);
    run.threads = aligned_alloc(_Alignof(struct rf_bench_thread), size);
    if (run.threads == NULL) {
        return rf_error_set(err, -ENOMEM, "%u threads: out of memory", config->threads);
    }
    memset(run.threads, 0, size);
    code = connect_all(&run, err);
    if (code == 0) {
        code = run_threads(&run, err);
    }
    if (code == 0) {
        code = sum_up(&run, ret_result, ret_first_error != NULL ? ret_first_error : &unused, err);
    }
    free_run(&run);
    return code;
}

void rf_bench_result_fini(struct bench_result *result)
{
    free(result->latencies);
    result->latencies = NULL;
}
