/* SPDX-License-Identifier: MIT
 *
 * localbench - what regfast_local_match costs, beside the bare lookup in a ring, and while the
 * group changes.
 *
 * Every lookup has a new key of 16 bytes, hashing included. The library is called as a shared
 * object. Cases take turns in rounds, so that a busy moment hits them alike, and the median counts.
 */
#include <dlfcn.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/environment.h"
#include "bench/local_count.h"
#include "bench/local_feed.h"
#include "bench/quick_bench.h"
#include "client/regfast.h"
#include "core/ring_inline.h"

enum {
    ROUNDS_MAX = 15,
    THREADS_MAX = 2,
    BATCH = 64,   /* keys of one call of many, a usual number */
    CHUNK = 8192, /* lookups between two looks at the clock */
    AGREE_KEYS = 100 * 1000,
};

struct set {
    uint32_t members, replicas, interval_ms;
};

static const struct set full_sets[] = {{1000, 1000, 100}, {1000, 10000, 1000}};
static const struct set quick_sets[] = {{100, 100, 20}};

struct plan {
    const struct set *sets;
    size_t sets_count;
    size_t rounds;      /* odd, for the median */
    uint32_t intervals; /* of updates, that a case takes in each round */
};

static const struct plan full_plan = {full_sets, 2, 5, 4};
static const struct plan quick_plan = {quick_sets, 1, 3, 3};

/* ---- what is measured ---- */

struct worker {
    const struct local_feed *feed;
    struct regfast_reader *reader;
    uint64_t next_key; /* no key comes twice, so none finds its line warm */
    uint64_t sum;      /* keeps the compiler from leaving lookups out */
    int code;
};

static const uint64_t key_tail = 0x6b65792d6b65792d;

static void run_bare(struct worker *worker, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t key[2] = {worker->next_key + i, key_tail};
        sum += rf_ring_owner_inline(worker->feed->ring,
                                    rf_placement_hash_inline(RF_PLACEMENT_V1, key, sizeof(key)));
    }
    worker->sum += sum;
}

static void run_bare_batch(struct worker *worker, size_t count)
{
    uint64_t sum = 0;
    for (size_t done = 0; done < count; done += BATCH) {
        uint64_t hashes[BATCH];
        uint16_t slots[BATCH];
        for (size_t i = 0; i < BATCH; i++) {
            const uint64_t key[2] = {worker->next_key + done + i, key_tail};
            hashes[i] = rf_placement_hash_inline(RF_PLACEMENT_V1, key, sizeof(key));
        }
        rf_ring_owner_batch(worker->feed->ring, hashes, BATCH, slots);
        for (size_t i = 0; i < BATCH; i++) {
            sum += slots[i];
        }
    }
    worker->sum += sum;
}

/* Refused at once: what is left is the call. */
static void run_call(struct worker *worker, size_t count)
{
    struct regfast_owner owner;
    for (size_t i = 0; i < count; i++) {
        const uint64_t key[2] = {worker->next_key + i, key_tail};
        worker->sum += (uint64_t)regfast_local_match(NULL, key, sizeof(key), &owner);
    }
}

static void run_local(struct worker *worker, size_t count)
{
    struct regfast_owner owner;
    int code = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t key[2] = {worker->next_key + i, key_tail};
        code |= regfast_local_match(worker->reader, key, sizeof(key), &owner);
    }
    worker->code |= code;
}

static void run_many(struct worker *worker, size_t count)
{
    uint64_t numbers[BATCH][2];
    struct regfast_key keys[BATCH];
    struct regfast_owner owners[BATCH];
    for (size_t done = 0; done < count; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++) {
            numbers[i][0] = worker->next_key + done + i;
            numbers[i][1] = key_tail;
            keys[i] = (struct regfast_key){numbers[i], sizeof(numbers[i])};
        }
        worker->code |= regfast_local_match_many(worker->reader, keys, BATCH, owners);
    }
}

typedef void run_function(struct worker *worker, size_t count);

enum case_id {
    CALL,
    BARE,
    LOCAL,
    BARE_BATCH,
    MANY,
    BARE_BUSY,
    LOCAL_BUSY,
    LOCAL_BUSY_2,
    MANY_BUSY,
    CASES_COUNT
};

static const struct {
    const char *name;
    run_function *run;
    enum case_id over; /* that it is compared with; itself: none */
    size_t threads_count;
    bool has_updates;
} cases[CASES_COUNT] = {
    [CALL] = {"call", run_call, CALL, 1, false},
    [BARE] = {"bare", run_bare, BARE, 1, false},
    [LOCAL] = {"local", run_local, BARE, 1, false},
    [BARE_BATCH] = {"bare batch", run_bare_batch, BARE_BATCH, 1, false},
    [MANY] = {"local many", run_many, BARE_BATCH, 1, false},
    [BARE_BUSY] = {"bare", run_bare, BARE_BUSY, 1, true},
    [LOCAL_BUSY] = {"local", run_local, BARE_BUSY, 1, true},
    [LOCAL_BUSY_2] = {"local", run_local, BARE_BUSY, 2, true},
    [MANY_BUSY] = {"local many", run_many, BARE_BATCH, 1, true},
};

struct result {
    double ns;         /* of a CPU, for one lookup, in each thread */
    double per_second; /* by the clock on the wall, all threads */
    double ratio;      /* of ns to what it is compared with; NAN: with nothing */
};

struct results {
    struct result cases[CASES_COUNT];
    struct local_counts counts;
    uint64_t counted_lookups;
    uint64_t updates_count;
    double update_ms; /* mean */
};

/* ---- measuring ---- */

struct timed {
    struct worker worker;
    run_function *run;
    double duration_ns;
    bool is_counted;   /* does without the clock that is a system call */
    double elapsed_ns; /* of `lookups` */
    double cpu_ns;     /* the same, without the time in which others had the CPU */
    uint64_t lookups;
    pthread_t thread;
};

static double clock_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now); /* cannot fail for these clocks */
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The first quarter is not timed: it brings back to the cache what other cases have driven out. */
static void run_timed(void *argument)
{
    struct timed *timed = argument;
    const double begin_ns = clock_ns(CLOCK_MONOTONIC);
    double start_ns = 0; /* of what is timed */
    double start_cpu_ns = 0;
    double at_ns = begin_ns;
    while (at_ns < begin_ns + 1.25 * timed->duration_ns) {
        if (start_ns == 0 && at_ns >= begin_ns + 0.25 * timed->duration_ns) {
            timed->lookups = 0;
            start_ns = at_ns;
            start_cpu_ns = timed->is_counted ? 0 : clock_ns(CLOCK_THREAD_CPUTIME_ID);
        }
        timed->run(&timed->worker, CHUNK);
        timed->worker.next_key += CHUNK;
        timed->lookups += CHUNK;
        at_ns = clock_ns(CLOCK_MONOTONIC);
    }
    timed->elapsed_ns = at_ns - start_ns;
    timed->cpu_ns = timed->is_counted ? 0 : clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_cpu_ns;
}

static void *run_timed_thread(void *argument)
{
    run_timed(argument);
    return NULL;
}

static volatile uint64_t
    sink; /* a sum nobody reads, but that the compiler must believe somebody does */

static int run_case(const struct local_feed *feed, enum case_id id, uint64_t *next_key,
                    struct regfast_reader *const readers[THREADS_MAX], double duration_ns,
                    struct result *ret_result, struct rf_error *err)
{
    struct timed timed[THREADS_MAX];
    struct result result = {.ratio = (double)NAN};
    int code = 0;
    size_t started = 0;
    for (; started < cases[id].threads_count && code == 0; started++) {
        timed[started] = (struct timed){
            .worker = {.feed = feed, .reader = readers[started], .next_key = *next_key},
            .run = cases[id].run,
            .duration_ns = duration_ns,
        };
        *next_key += (uint64_t)1 << 40; /* more than it takes */
        code = -pthread_create(&timed[started].thread, NULL, run_timed_thread, &timed[started]);
    }
    started -= code < 0;
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(timed[i].thread, NULL); /* it only ends by returning */
        sink = timed[i].worker.sum;
        result.ns += timed[i].cpu_ns / (double)timed[i].lookups / (double)started;
        result.per_second += (double)timed[i].lookups * 1e9 / timed[i].elapsed_ns;
        code = code < 0 ? code : timed[i].worker.code;
    }
    if (code < 0) {
        return rf_error_set(err, code, "%s: %s", cases[id].name, rf_strerror(code));
    }
    *ret_result = result;
    return 0;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(values[0]), compare_doubles);
    return values[count / 2];
}

/* Bare lookup and library agree on all keys. */
static int check_agreement(const struct local_feed *feed, struct regfast_reader *reader,
                           struct rf_error *err)
{
    for (uint64_t i = 0; i < AGREE_KEYS; i++) {
        const uint64_t key[2] = {i, key_tail};
        struct regfast_owner owner;
        int code = regfast_local_match(reader, key, sizeof(key), &owner);
        const uint16_t slot = rf_ring_owner_inline(
            feed->ring, rf_placement_hash_inline(RF_PLACEMENT_V1, key, sizeof(key)));
        if (code < 0 || strcmp(owner.id, rf_ring_member(feed->ring, slot)->id) != 0) {
            return rf_error_set(err, -EIO, "key %llu: the ring says %s, the library %s",
                                (unsigned long long)i, rf_ring_member(feed->ring, slot)->id,
                                code < 0 ? rf_strerror(code) : owner.id);
        }
    }
    return 0;
}

static bool has_progress; /* standard error is a terminal */

static void progress(const struct set *set, const char *step, size_t done, size_t all)
{
    if (has_progress) {
        (void)fprintf(stderr, "\r\033[K%u x %u: %s %zu/%zu", set->members, set->replicas, step,
                      done, all);
    }
}

static int measure_rounds(struct local_feed *feed, const struct set *set, const struct plan *plan,
                          struct regfast_reader *const readers[THREADS_MAX],
                          struct results *results, struct rf_error *err)
{
    static double ns[CASES_COUNT][ROUNDS_MAX];
    static double per_second[CASES_COUNT][ROUNDS_MAX];
    const double duration_ns = (double)set->interval_ms * 1e6 * plan->intervals;
    uint64_t next_key = AGREE_KEYS;
    int code = 0;
    for (size_t i = 0; code == 0 && i < plan->rounds * CASES_COUNT; i++) {
        const enum case_id id = (enum case_id)(i % CASES_COUNT);
        struct result result = {0};
        progress(set, "case", i + 1, plan->rounds * CASES_COUNT);
        if (cases[id].has_updates) {
            code = local_feed_start(feed, err);
        }
        if (code == 0) {
            code = run_case(feed, id, &next_key, readers, duration_ns, &result, err);
            if (cases[id].has_updates) {
                int stopped = local_feed_stop(feed, code == 0 ? err : NULL);
                code = code < 0 ? code : stopped;
            }
        }
        if (code == 0) {
            ns[id][i / CASES_COUNT] = result.ns;
            per_second[id][i / CASES_COUNT] = result.per_second;
        }
    }
    for (size_t id = 0; code == 0 && id < CASES_COUNT; id++) {
        struct result *result = &results->cases[id];
        const enum case_id over = cases[id].over;
        result->ns = median(ns[id], plan->rounds);
        result->per_second = median(per_second[id], plan->rounds);
        result->ratio =
            over == id ? (double)NAN : result->ns / results->cases[over].ns; /* done before it */
    }
    return code;
}

static int measure_counts(struct local_feed *feed, const struct set *set, const struct plan *plan,
                          struct regfast_reader *reader, struct results *results,
                          struct rf_error *err)
{
    struct timed timed = {
        .worker = {.feed = feed, .reader = reader},
        .run = run_local,
        .duration_ns = (double)set->interval_ms * 1e6 * plan->intervals,
        .is_counted = true,
    };
    progress(set, "count", 1, 1);
    int code = local_feed_start(feed, err);
    if (code < 0) {
        return code;
    }
    results->counts = local_count(run_timed, &timed);
    results->counted_lookups = timed.worker.next_key;
    code = local_feed_stop(feed, err);
    return code < 0 ? code : timed.worker.code;
}

static int measure_set(const struct set *set, const struct plan *plan, struct results *results,
                       struct rf_error *err)
{
    struct local_feed feed;
    struct regfast_reader *readers[THREADS_MAX] = {NULL};
    *results = (struct results){0};
    progress(set, "build", 1, 1);
    int code = local_feed_init(&feed, set->members, set->replicas, set->interval_ms, err);
    for (size_t i = 0; i < THREADS_MAX && code == 0; i++) {
        code = local_driver_reader(feed.driver, &readers[i]);
    }
    if (code == 0) {
        code = check_agreement(&feed, readers[0], err);
    }
    if (code == 0) {
        code = measure_rounds(&feed, set, plan, readers, results, err);
    }
    if (code == 0) {
        code = measure_counts(&feed, set, plan, readers[0], results, err);
    }
    results->updates_count = atomic_load(&feed.updates_count);
    results->update_ms = (double)atomic_load(&feed.updates_ns) / 1e6 /
                         (double)(results->updates_count > 0 ? results->updates_count : 1);
    for (size_t i = 0; i < THREADS_MAX; i++) {
        regfast_reader_free(readers[i]);
    }
    local_feed_fini(&feed);
    if (has_progress) {
        (void)fputs("\r\033[K", stderr);
    }
    return code < 0 ? rf_error_prefix(err, code, "%u x %u", set->members, set->replicas) : 0;
}

/* ---- output ---- */

/* Where the measured code is: not in this program. */
static const char *library_name(void)
{
    Dl_info info;
    const char *name =
        dladdr((const void *)(uintptr_t)&regfast_local_match, &info) != 0 ? info.dli_fname : NULL;
    const char *slash = name == NULL ? NULL : strrchr(name, '/');
    return slash != NULL ? slash + 1 : "unknown";
}

static void print_heading(const struct rf_bench_environment *env)
{
    rf_bench_environment_print(env, stdout);
    (void)printf("library  %s\n\n", library_name());
    (void)printf("%-13s %-11s %7s %9s %9s %9s %9s\n", "members x", "case", "threads", "updates",
                 "ns/lookup", "ratio to", "million");
    (void)printf("%-13s %-11s %7s %9s %9s %9s %9s\n", "replicas", "", "", "every ms", "", "bare",
                 "a second");
}

static void print_results(const struct set *set, const struct results *results)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "%u x %u", set->members, set->replicas);
    for (size_t id = 0; id < CASES_COUNT; id++) {
        const struct result *result = &results->cases[id];
        char updates[16] = "-";
        char ratio[16] = "-";
        if (cases[id].has_updates) {
            (void)snprintf(updates, sizeof(updates), "%u", set->interval_ms);
        }
        if (!isnan(result->ratio)) {
            (void)snprintf(ratio, sizeof(ratio), "%.2f", result->ratio);
        }
        (void)printf("%-13s %-11s %7zu %9s %9.1f %9s %9.1f\n", name, cases[id].name,
                     cases[id].threads_count, updates, result->ns, ratio, result->per_second / 1e6);
    }
    (void)printf("%-13s %llu updates, %.1f ms each; two threads to one: %.2f\n", name,
                 (unsigned long long)results->updates_count, results->update_ms,
                 results->cases[LOCAL_BUSY_2].per_second / results->cases[LOCAL_BUSY].per_second);
    if (results->counts.is_counted) {
        (void)printf("%-13s %llu system calls and %llu allocations in %llu lookups\n", name,
                     (unsigned long long)results->counts.system_calls,
                     (unsigned long long)results->counts.allocations,
                     (unsigned long long)results->counted_lookups);
    } else {
        (void)printf("%-13s system calls and allocations are not counted here\n", name);
    }
}

static int append_results(json_t *array, const struct set *set, const struct results *results)
{
    json_t *list = json_array();
    for (size_t id = 0; list != NULL && id < CASES_COUNT; id++) {
        const struct result *result = &results->cases[id];
        /* json_pack and the setters take NULL as a failure of their own. */
        if (json_array_append_new(list,
                                  json_pack("{s:s, s:i, s:b, s:f, s:f, s:o}", "case",
                                            cases[id].name, "threads", (int)cases[id].threads_count,
                                            "has_updates", (int)cases[id].has_updates, "ns",
                                            result->ns, "per_second", result->per_second, "ratio",
                                            rf_bench_quick_number(result->ratio))) != 0) {
            json_decref(list);
            return -ENOMEM;
        }
    }
    const bool is_counted = results->counts.is_counted;
    json_t *object = json_pack(
        "{s:i, s:i, s:i, s:o, s:I, s:f, s:o, s:o, s:I}", "members", (int)set->members, "replicas",
        (int)set->replicas, "interval_ms", (int)set->interval_ms, "cases", list, "updates",
        (json_int_t)results->updates_count, "update_ms", results->update_ms, "system_calls",
        is_counted ? json_integer((json_int_t)results->counts.system_calls) : json_null(),
        "allocations",
        is_counted ? json_integer((json_int_t)results->counts.allocations) : json_null(),
        "counted_lookups", (json_int_t)results->counted_lookups);
    return json_array_append_new(array, object) == 0 ? 0 : -ENOMEM;
}

static int measure(const struct rf_bench_quick_options *options, size_t number, json_t *array,
                   struct rf_error *err)
{
    const struct plan *plan = options->is_quick ? &quick_plan : &full_plan;
    const struct set *set = &plan->sets[number];
    struct results results;
    has_progress = options->has_progress;
    int code = measure_set(set, plan, &results, err);
    if (code == 0 && !options->is_json) {
        print_results(set, &results);
    } else if (code == 0 && append_results(array, set, &results) < 0) {
        code = rf_error_set(err, -ENOMEM, "results: out of memory");
    }
    return code;
}

static const char usage[] =
    "usage: localbench [--quick] [--json]\n"
    "Measures regfast_local_match beside the bare lookup in a ring, quiet and while the group\n"
    "changes, and counts its system calls and allocations.\n"
    "  --quick    a small group in short rounds: a check, not a measurement\n"
    "  --json     one JSON object instead of a table\n"
    "  --help     this text\n"
    "  --version  the version\n"
    "Cases: call (a call that is refused at once), bare (the ring's lookup inlined in the loop),\n"
    "local (regfast_local_match), bare batch and local many (64 keys at a time).\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage.\n";

int main(int argc, char **argv)
{
    const struct rf_bench_quick bench = {
        .program = "localbench",
        .usage = usage,
        .sets_count = full_plan.sets_count,
        .quick_sets_count = quick_plan.sets_count,
        .about = "library",
        .about_value = library_name,
        .print_heading = print_heading,
        .measure = measure,
    };
    return rf_bench_quick_main(&bench, argc, argv);
}
