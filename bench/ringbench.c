/* SPDX-License-Identifier: MIT
 *
 * ringbench - what a lookup costs: the ring against the usual methods, and what a ring costs.
 *
 * Every lookup has a new key of 16 bytes, hashing included, and does not depend on the one before.
 * Methods take turns in rounds, so that a busy moment hits them alike, and the median counts.
 */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/environment.h"
#include "bench/quick_bench.h"
#include "bench/ring_baseline.h"
#include "core/ring_inline.h"

enum {
    ROUNDS_MAX = 31,
    BATCH = 64,              /* keys of one request of many, a usual number */
    AGREE_KEYS = 200 * 1000, /* on which all methods must agree first */
    ID_SIZE = 24,
};

struct plan {
    size_t sets_count;
    size_t rounds;
    size_t lookups; /* of each method in each round */
    size_t updates; /* rounds of adding a member and of memcpy */
};

/* Rounds are odd, for the median. A round of 2^20 lookups is 5 to 500 ms. */
static const struct plan full_plan = {3, 15, (size_t)1 << 20, 7};
static const struct plan quick_plan = {2, 3, (size_t)1 << 16, 3};

static const struct {
    uint32_t members, replicas;
} sets[] = {{100, 100}, {1000, 1000}, {1000, 10000}};

/* ---- what is measured ---- */

struct subject {
    struct rf_ring *ring;
    struct baseline baseline;
    uint64_t next_key; /* counts up: no key comes twice, so none finds its line warm */
};

/* Of a key of 16 bytes; as the compiler knows the size, it hashes for that one alone. */
static inline uint64_t hash_of(uint64_t number)
{
    const uint64_t key[2] = {number, 0x6b65792d6b65792d};
    return rf_placement_hash_inline(RF_PLACEMENT_V1, key, sizeof(key));
}

/* Each looks up the keys from `first` on and returns a sum that keeps the compiler from leaving the
 * lookups out. */
static uint64_t run_hash(const struct subject *subject, uint64_t first, size_t count)
{
    (void)subject; /* needs no ring */
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += hash_of(first + i);
    }
    return sum;
}

static uint64_t run_binary(const struct subject *subject, uint64_t first, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += baseline_binary(&subject->baseline, hash_of(first + i));
    }
    return sum;
}

static uint64_t run_index(const struct subject *subject, uint64_t first, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += baseline_index(&subject->baseline, hash_of(first + i));
    }
    return sum;
}

static uint64_t run_line(const struct subject *subject, uint64_t first, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += rf_ring_owner_inline(subject->ring, hash_of(first + i));
    }
    return sum;
}

static uint64_t run_line_batch(const struct subject *subject, uint64_t first, size_t count)
{
    uint64_t sum = 0;
    for (size_t done = 0; done < count; done += BATCH) {
        uint64_t hashes[BATCH];
        uint16_t slots[BATCH];
        for (size_t i = 0; i < BATCH; i++) {
            hashes[i] = hash_of(first + done + i);
        }
        rf_ring_owner_batch(subject->ring, hashes, BATCH, slots);
        for (size_t i = 0; i < BATCH; i++) {
            sum += slots[i];
        }
    }
    return sum;
}

enum method { METHOD_HASH, METHOD_BINARY, METHOD_INDEX, METHOD_LINE, METHODS_COUNT };

typedef uint64_t run_function(const struct subject *subject, uint64_t first, size_t count);

static const struct {
    const char *name;
    run_function *run_single, *run_batch;
} methods[METHODS_COUNT] = {
    [METHOD_HASH] = {"hash", run_hash, NULL},
    [METHOD_BINARY] = {"binary", run_binary, NULL},
    [METHOD_INDEX] = {"index", run_index, NULL},
    [METHOD_LINE] = {"line", run_line, run_line_batch},
};

/* Where a column does not apply; NAN itself is a float. */
static const double none = (double)NAN;

struct result {
    double ns_single, ns_batch, bytes_per_point, build_ms, add_ms, memcpy_ms, max_over_mean;
};

/* ---- measuring ---- */

static bool has_progress; /* standard error is a terminal */

static void progress(const char *set, const char *step, size_t done, size_t all)
{
    if (has_progress) {
        (void)fprintf(stderr, "\r\033[K%s: %s %zu/%zu", set, step, done, all);
    }
}

static void progress_end(void)
{
    if (has_progress) {
        (void)fputs("\r\033[K", stderr);
    }
}

static double now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
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

/* A sum nobody reads, but that the compiler must believe somebody does. */
static volatile uint64_t sink;

/* The first half as many lookups again are not timed: they bring back to the cache what the methods
 * before have driven out, as a method has it for itself in use. */
static double time_run(run_function *run, struct subject *subject, size_t count)
{
    sink = run(subject, subject->next_key, count / 2);
    subject->next_key += count / 2;
    double start_ns = now_ns();
    sink = run(subject, subject->next_key, count);
    double end_ns = now_ns();
    subject->next_key += count;
    return (end_ns - start_ns) / (double)count;
}

static int check_agreement(struct subject *subject, struct rf_error *err)
{
    for (size_t done = 0; done < AGREE_KEYS; done += BATCH) {
        uint64_t hashes[BATCH];
        uint16_t slots[BATCH];
        for (size_t i = 0; i < BATCH; i++) {
            hashes[i] = hash_of(subject->next_key++);
        }
        rf_ring_owner_batch(subject->ring, hashes, BATCH, slots);
        for (size_t i = 0; i < BATCH; i++) {
            uint16_t binary = baseline_binary(&subject->baseline, hashes[i]);
            uint16_t index = baseline_index(&subject->baseline, hashes[i]);
            uint16_t line = rf_ring_owner(subject->ring, hashes[i]);
            if (line != binary || line != index || line != slots[i]) {
                return rf_error_set(err, -EIO,
                                    "hash %016llx: binary says %u, index %u, line %u, batch %u",
                                    (unsigned long long)hashes[i], binary, index, line, slots[i]);
            }
        }
    }
    return 0;
}

static void measure_lookups(struct subject *subject, const char *set, const struct plan *plan,
                            struct result results[METHODS_COUNT])
{
    double single[METHODS_COUNT][ROUNDS_MAX];
    double batch[METHODS_COUNT][ROUNDS_MAX];
    for (size_t round = 0; round < plan->rounds; round++) {
        progress(set, "round", round + 1, plan->rounds);
        for (size_t m = 0; m < METHODS_COUNT; m++) {
            single[m][round] = time_run(methods[m].run_single, subject, plan->lookups);
            if (methods[m].run_batch != NULL) {
                batch[m][round] = time_run(methods[m].run_batch, subject, plan->lookups);
            }
        }
    }
    for (size_t m = 0; m < METHODS_COUNT; m++) {
        results[m].ns_single = median(single[m], plan->rounds);
        results[m].ns_batch = methods[m].run_batch != NULL ? median(batch[m], plan->rounds) : none;
    }
}

static int time_add(const struct rf_ring *ring, uint32_t replicas, double *ret_ms, size_t *ret_size,
                    struct rf_error *err)
{
    struct rf_ring_member added = {.id = "the-one-that-joins", .replicas = replicas};
    struct rf_ring *next;
    uint16_t slot;
    double start_ns = now_ns();
    int code = rf_ring_update(ring, NULL, 0, &added, 1, &slot, &next, err);
    if (code < 0) {
        return code;
    }
    *ret_ms = (now_ns() - start_ns) / 1e6;
    *ret_size = rf_ring_size(next);
    rf_ring_free(next);
    return 0;
}

/* memcpy of as many bytes as the new ring has. No page faults are in it, as they are not in an
 * update, which takes the memory of the ring before the last. */
static double time_memcpy(char *copy, const char *source, size_t size)
{
    double start_ns = now_ns();
    memcpy(copy, source, size);
    double ms = (now_ns() - start_ns) / 1e6;
    sink = (uint64_t)(unsigned char)copy[size / 2];
    return ms;
}

static int measure_add(const struct rf_ring *ring, uint32_t replicas, const char *set,
                       const struct plan *plan, struct result *result, struct rf_error *err)
{
    double add_ms[ROUNDS_MAX];
    double memcpy_ms[ROUNDS_MAX];
    size_t size = 0;
    int code = time_add(ring, replicas, &add_ms[0], &size, err); /* warms up, and tells the size */
    char *source = code == 0 ? baseline_alloc(size) : NULL;
    char *copy = code == 0 ? baseline_alloc(size) : NULL;
    if (code == 0 && (source == NULL || copy == NULL)) {
        code = rf_error_set(err, -ENOMEM, "%zu bytes: out of memory", size);
    }
    if (code == 0) {
        memset(source, 1, size);
        memset(copy, 1, size);
    }
    for (size_t round = 0; code == 0 && round < plan->updates; round++) {
        progress(set, "add a member, round", round + 1, plan->updates);
        code = time_add(ring, replicas, &add_ms[round], &size, err);
        if (code == 0) {
            memcpy_ms[round] = time_memcpy(copy, source, size);
        }
    }
    free(source);
    free(copy);
    if (code == 0) {
        result->add_ms = median(add_ms, plan->updates);
        result->memcpy_ms = median(memcpy_ms, plan->updates);
    }
    return code;
}

static int make_subject(struct subject *subject, const struct rf_ring_member *members, size_t count,
                        struct result results[METHODS_COUNT], struct rf_error *err)
{
    double start_ns = now_ns();
    int code = rf_ring_build(RF_PLACEMENT_V1, members, count, &subject->ring, err);
    double built_ns = now_ns();
    if (code == 0) {
        code = baseline_init(&subject->baseline, members, count, err);
    }
    if (code < 0) {
        return code;
    }
    double points_count = (double)rf_ring_points_count(subject->ring);
    results[METHOD_LINE].build_ms = (built_ns - start_ns) / 1e6;
    results[METHOD_LINE].bytes_per_point = (double)rf_ring_size(subject->ring) / points_count;
    results[METHOD_BINARY].bytes_per_point =
        (double)baseline_binary_size(&subject->baseline) / points_count;
    results[METHOD_INDEX].bytes_per_point =
        (double)baseline_index_size(&subject->baseline) / points_count;
    double ratio;
    code = baseline_max_over_mean(&subject->baseline, count, &ratio, err);
    if (code == 0) { /* shares are the placement's, whichever way the owner is found */
        results[METHOD_BINARY].max_over_mean = ratio;
        results[METHOD_INDEX].max_over_mean = ratio;
        results[METHOD_LINE].max_over_mean = ratio;
    }
    return code;
}

static int measure_set(uint32_t members_count, uint32_t replicas, const struct plan *plan,
                       struct result results[METHODS_COUNT], struct rf_error *err)
{
    char set[32];
    (void)snprintf(set, sizeof(set), "%u x %u", members_count, replicas);
    for (size_t m = 0; m < METHODS_COUNT; m++) {
        results[m] = (struct result){none, none, none, none, none, none, none};
    }
    struct subject subject = {0};
    char(*ids)[ID_SIZE] = calloc(members_count, sizeof(ids[0]));
    struct rf_ring_member *members = calloc(members_count, sizeof(members[0]));
    int code = 0;
    if (ids == NULL || members == NULL) {
        code = rf_error_set(err, -ENOMEM, "%u members: out of memory", members_count);
    }
    for (uint32_t i = 0; code == 0 && i < members_count; i++) {
        (void)snprintf(ids[i], ID_SIZE, "10.0.%u.%u:7370", i / 256, i % 256);
        members[i] = (struct rf_ring_member){.id = ids[i], .replicas = replicas};
    }
    progress(set, "build", 1, 1);
    if (code == 0) {
        code = make_subject(&subject, members, members_count, results, err);
    }
    if (code == 0) {
        code = check_agreement(&subject, err);
    }
    if (code == 0) {
        measure_lookups(&subject, set, plan, results);
        code = measure_add(subject.ring, replicas, set, plan, &results[METHOD_LINE], err);
    }
    progress_end();
    baseline_fini(&subject.baseline);
    rf_ring_free(subject.ring);
    free(members);
    free(ids);
    return code < 0 ? rf_error_prefix(err, code, "%s", set) : 0;
}

/* ---- output ---- */

static void print_number(double value, int decimals)
{
    if (isnan(value)) {
        (void)printf(" %9s", "-");
    } else {
        (void)printf(" %9.*f", decimals, value);
    }
}

static void print_heading(const struct rf_bench_environment *env)
{
    rf_bench_environment_print(env, stdout);
    (void)printf("search   of lines by %s\n\n", rf_ring_form_name(rf_ring_form_best()));
    (void)printf("%-13s %-7s %9s %9s %9s %9s %9s %9s %9s\n", "members x", "method", "ns/lookup",
                 "ns/batch", "bytes per", "build", "add one", "memcpy", "share max");
    (void)printf("%-13s %-7s %9s %9s %9s %9s %9s %9s %9s\n", "replicas", "", "", "", "point", "ms",
                 "ms", "ms", "over mean");
}

static void print_results(uint32_t members, uint32_t replicas,
                          const struct result results[METHODS_COUNT])
{
    char set[32];
    (void)snprintf(set, sizeof(set), "%u x %u", members, replicas);
    for (size_t m = 0; m < METHODS_COUNT; m++) {
        const struct result *result = &results[m];
        (void)printf("%-13s %-7s", set, methods[m].name);
        print_number(result->ns_single, 1);
        print_number(result->ns_batch, 1);
        print_number(result->bytes_per_point, 1);
        print_number(result->build_ms, 2);
        print_number(result->add_ms, 3);
        print_number(result->memcpy_ms, 3);
        print_number(result->max_over_mean, 3);
        (void)printf("\n");
    }
}

/* json_pack and the setters take NULL as a failure of their own, so one check at the end does. */
static int append_results(json_t *array, uint32_t members, uint32_t replicas,
                          const struct result results[METHODS_COUNT])
{
    for (size_t m = 0; m < METHODS_COUNT; m++) {
        const struct result *result = &results[m];
        json_t *object =
            json_pack("{s:i, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "members", (int)members,
                      "replicas", (int)replicas, "method", methods[m].name, "ns_single",
                      rf_bench_quick_number(result->ns_single), "ns_batch",
                      rf_bench_quick_number(result->ns_batch), "bytes_per_point",
                      rf_bench_quick_number(result->bytes_per_point), "build_ms",
                      rf_bench_quick_number(result->build_ms), "add_ms",
                      rf_bench_quick_number(result->add_ms), "memcpy_ms",
                      rf_bench_quick_number(result->memcpy_ms), "max_over_mean",
                      rf_bench_quick_number(result->max_over_mean));
        if (json_array_append_new(array, object) != 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

static int measure(const struct rf_bench_quick_options *options, size_t set, json_t *array,
                   struct rf_error *err)
{
    const struct plan *plan = options->is_quick ? &quick_plan : &full_plan;
    struct result results[METHODS_COUNT];
    has_progress = options->has_progress;
    int code = measure_set(sets[set].members, sets[set].replicas, plan, results, err);
    if (code == 0 && !options->is_json) {
        print_results(sets[set].members, sets[set].replicas, results);
    } else if (code == 0 &&
               append_results(array, sets[set].members, sets[set].replicas, results) < 0) {
        code = rf_error_set(err, -ENOMEM, "results: out of memory");
    }
    return code;
}

static const char *form_name(void)
{
    return rf_ring_form_name(rf_ring_form_best());
}

static const char usage[] =
    "usage: ringbench [--quick] [--json]\n"
    "Measures lookups in a consistent-hash ring, and what a ring costs.\n"
    "  --quick    the two smaller sets in few rounds: a check, not a measurement\n"
    "  --json     one JSON object instead of a table\n"
    "  --help     this text\n"
    "  --version  the version\n"
    "Methods: hash (XXH3 of the key alone, in all the others too), binary (search over sorted\n"
    "points), index (of buckets, then a scan), line (the ring, one by one and in batches of 64).\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage.\n";

int main(int argc, char **argv)
{
    const struct rf_bench_quick bench = {
        .program = "ringbench",
        .usage = usage,
        .sets_count = full_plan.sets_count,
        .quick_sets_count = quick_plan.sets_count,
        .about = "form",
        .about_value = form_name,
        .print_heading = print_heading,
        .measure = measure,
    };
    return rf_bench_quick_main(&bench, argc, argv);
}
