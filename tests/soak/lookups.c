/* SPDX-License-Identifier: MIT
 *
 * lookups PART SECONDS REGISTRY [RATE] - lookups while registries are restarted and killed. By hand
 * for ten minutes: lookups rolling 600 build/release/bin/registry 10000. Parts:
 *
 * - local: members come, go and change their weight, registries are killed and restarted, all of
 *   them at times: every local answer is what some registry answered at the version that it names,
 *   none is empty, and afterwards all digests are equal soon.
 * - rolling: one registry after the other is restarted, about one a second, while a client asks
 *   RATE times a second: no lookup may be lost.
 * - killed: the registry that a client uses is killed, again and again: the next call succeeds
 *   within its time-out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/regfast.h"
#include "core/histogram.h"
#include "core/random.h"
#include "lookups_cluster.h"
#include "lookups_truth.h"
#include "tests/interop/fixture.h"

enum { CALL_TIMEOUT_MS = 3000, UNDER_WAY_MAX = 4000, ERRORS_SHOWN = 10 };

static unsigned seconds;
static unsigned rate = 10000;
static const char *registry_program;

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct regfast_client *client_new(void)
{
    struct regfast_client *client = NULL;
    const struct regfast_options options = {.size = sizeof(options),
                                            .call_timeout_ms = CALL_TIMEOUT_MS};
    assert_int_equal(regfast_open(cluster_servers(), &options, &client, NULL, 0), 0);
    return client;
}

/* ---- local answers ---- */

enum {
    READERS = 2,
    READ_PAUSE_MS = 5,
    AGE_STALE_MS = 5000, /* all registries are away for longer than that at times, in long runs */
    EQUAL_MS = 2000,     /* after the churn; in short runs, beside other tests, it is only told */
    EQUAL_MS_MAX = 60000,
    LONG_SECONDS = 60,
};

struct reader {
    struct regfast_watch *watch;
    pthread_t thread;
    struct rf_histogram *ages[3]; /* by state, in ns */
    uint64_t first_key;
    uint64_t answers, empty, strange;
};

static _Atomic(bool) is_reading;

static struct regfast_watch_status status_of(struct regfast_watch *watch)
{
    struct regfast_watch_status status = {.size = sizeof(status)};
    if (regfast_watch_status(watch, &status) < 0) {
        abort(); /* it is never wrong here */
    }
    return status;
}

/* Answers to ANSWERS_MAX keys at once, and what the watch says of them. */
static void read_answers(struct reader *reader, struct regfast_reader *local)
{
    uint64_t values[ANSWERS_MAX];
    struct regfast_key keys[ANSWERS_MAX];
    struct regfast_owner owners[ANSWERS_MAX];
    for (size_t i = 0; i < ANSWERS_MAX; i++) {
        values[i] = reader->first_key + i;
        keys[i] = (struct regfast_key){&values[i], sizeof(values[i])};
    }
    const uint64_t asked_ms = now_ms();
    const struct regfast_watch_status before = status_of(reader->watch);
    const uint64_t told_ms = now_ms();
    const int code = regfast_local_match_many(local, keys, ANSWERS_MAX, owners);
    const struct regfast_watch_status after = status_of(reader->watch);
    reader->answers += ANSWERS_MAX;
    if (code < 0) {
        reader->empty++;
        return;
    }
    if (before.updates != after.updates) {
        return; /* of which of them, nobody could tell; the next ones are as good */
    }
    rf_histogram_record(reader->ages[before.state], before.age_ms * 1000000);
    struct answers answers = {
        .registry = registry_of(before.server),
        .version = owners[0].version,
        .said_after_ms = asked_ms - before.age_ms - 1,
        .said_before_ms = told_ms - before.age_ms,
        .first_key = reader->first_key,
    };
    bool is_strange = before.version != owners[0].version;
    for (size_t i = 0; i < ANSWERS_MAX; i++) {
        const int member = member_of(owners[i].id);
        char id[32];
        char addr[32];
        member_text(member < 0 ? 0 : member, id, addr);
        is_strange |= member < 0 || strcmp(addr, owners[i].addr) != 0 ||
                      owners[i].version != owners[0].version;
        answers.owners[i] = (uint8_t)member;
    }
    reader->strange += is_strange;
    truth_check(&answers);
    reader->first_key += ANSWERS_MAX;
}

static void *read_on(void *argument)
{
    struct reader *reader = argument;
    struct regfast_reader *local = NULL;
    if (regfast_reader_new(reader->watch, &local) < 0) {
        abort(); /* a thread cannot fail the test */
    }
    while (atomic_load(&is_reading)) {
        read_answers(reader, local);
        sleep_ms(READ_PAUSE_MS);
    }
    regfast_reader_free(local);
    return NULL;
}

static struct rf_histogram *histogram_new(void)
{
    struct rf_histogram *histogram =
        aligned_alloc(_Alignof(struct rf_histogram), sizeof(*histogram));
    assert_non_null(histogram);
    rf_histogram_clear(histogram);
    return histogram;
}

static void readers_begin(struct reader readers[READERS], struct regfast_watch *watch)
{
    atomic_store(&is_reading, true);
    for (int i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.watch = watch, .first_key = (uint64_t)i << 40};
        for (int state = 0; state < 3; state++) {
            readers[i].ages[state] = histogram_new();
        }
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
}

/* Adds up those of all into the first. */
static void readers_end(struct reader readers[READERS])
{
    atomic_store(&is_reading, false);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        for (int state = 0; state < 3 && i > 0; state++) {
            rf_histogram_merge(readers[0].ages[state], readers[i].ages[state]);
            free(readers[i].ages[state]);
        }
        readers[0].answers += i > 0 ? readers[i].answers : 0;
        readers[0].empty += i > 0 ? readers[i].empty : 0;
        readers[0].strange += i > 0 ? readers[i].strange : 0;
    }
}

/* One registry, or sometimes all, is killed or stopped, and begun again a while later. */
static void disturb_registries(struct rf_random *random)
{
    const int first = (int)rf_random_below(random, REGISTRIES);
    const uint64_t kind = rf_random_below(random, 8);
    const int count = kind == 0 ? REGISTRIES : 1;
    for (int i = 0; i < count; i++) {
        if (kind < 5) {
            registry_kill((first + i) % REGISTRIES);
        } else {
            registry_stop((first + i) % REGISTRIES);
        }
    }
    sleep_ms((unsigned)(kind == 0 && seconds >= LONG_SECONDS ? AGE_STALE_MS : 1000) +
             (unsigned)rf_random_below(random, 1000));
    for (int i = 0; i < count; i++) {
        registry_begin((first + i) % REGISTRIES);
    }
}

static bool have_equal_digests(struct regfast_watch *watch)
{
    const uint64_t digest = status_of(watch).digest;
    for (int i = 0; i < REGISTRIES; i++) {
        if (registry_digest(i) != digest) {
            return false;
        }
    }
    return status_of(watch).alive_count == MEMBERS;
}

static void print_ages(const char *name, const struct rf_histogram *ages, uint64_t all_count)
{
    const uint64_t count = rf_histogram_count(ages);
    printf("lookups: local: %s: %.2f %% of the time; age p50 %.0f ms, p99 %.0f ms, max %.0f ms\n",
           name, all_count > 0 ? 100.0 * (double)count / (double)all_count : 0,
           (double)rf_histogram_quantile_ns(ages, 500000) / 1e6,
           (double)rf_histogram_quantile_ns(ages, 990000) / 1e6,
           (double)rf_histogram_max_ns(ages) / 1e6);
}

static void print_local(const struct reader *reader, const struct regfast_watch_status *status,
                        const struct truth_counts *counts)
{
    printf(
        "lookups: local: %llu answers, %llu equal, %llu wrong, %llu of versions that nobody saw, "
        "%llu empty; %llu updates, %llu full copies, %llu refused; registries had %llu "
        "versions\n",
        (unsigned long long)reader->answers, (unsigned long long)counts->equal,
        (unsigned long long)counts->wrong, (unsigned long long)counts->unknown,
        (unsigned long long)reader->empty, (unsigned long long)status->updates,
        (unsigned long long)status->full_copies, (unsigned long long)status->refused,
        (unsigned long long)counts->versions);
    uint64_t count = 0;
    for (int state = 0; state < 3; state++) {
        count += rf_histogram_count(reader->ages[state]);
    }
    print_ages("live", reader->ages[REGFAST_WATCH_LIVE], count);
    print_ages("stale", reader->ages[REGFAST_WATCH_STALE], count);
}

SCENARIO(every_local_answer_is_what_a_registry_answered)
{
    static struct reader readers[READERS];
    struct rf_random random = {.state = now_ns()};
    struct regfast_client *client = NULL;
    struct regfast_watch *watch = NULL;
    char error[REGFAST_ERROR_SIZE] = "";
    uint64_t disturbances = 0;
    printf("lookups: local: seed %llu\n", (unsigned long long)random.state);
    cluster_start(registry_program);
    truth_begin();
    const struct regfast_options options = {.size = sizeof(options), .background = 1};
    assert_int_equal(regfast_open(cluster_servers(), &options, &client, NULL, 0), 0);
    assert_int_equal(regfast_watch(client, GROUP, &watch, NULL, 0), 0);
    if (regfast_watch_wait(watch, 0, EQUAL_MS_MAX, error, sizeof(error)) < 0) {
        fail_msg("%s", error);
    }
    readers_begin(readers, watch);
    churn_begin(random.state);
    const uint64_t begun_ms = now_ms();
    while (now_ms() < begun_ms + seconds * 1000) {
        sleep_ms(500 + (unsigned)rf_random_below(&random, 3000));
        disturb_registries(&random);
        disturbances++;
    }
    churn_end();
    const uint64_t ended_ms = now_ms();
    assert_within_ms(EQUAL_MS_MAX, have_equal_digests(watch));
    const uint64_t equal_ms = now_ms() - ended_ms;
    readers_end(readers);
    const struct regfast_watch_status status = status_of(watch);
    const struct truth_counts counts = truth_end();
    printf("lookups: local: %llu ms, %llu changes of members, %llu times registries went; all "
           "digests equal after %llu ms\n",
           (unsigned long long)(ended_ms - begun_ms), (unsigned long long)churn_count(),
           (unsigned long long)disturbances, (unsigned long long)equal_ms);
    print_local(&readers[0], &status, &counts);
    assert_int_equal(counts.wrong, 0);
    assert_int_equal(readers[0].empty, 0);
    assert_int_equal(readers[0].strange, 0);
    assert_int_equal(status.full_copies, 0);
    assert_true(counts.equal > 9 * counts.unknown && status.updates > 2);
    assert_true(seconds < LONG_SECONDS || equal_ms <= EQUAL_MS);
    for (int state = 0; state < 3; state++) {
        free(readers[0].ages[state]);
    }
    regfast_close(client);
    cluster_end();
}

/* ---- a steady stream of lookups ---- */

struct lookup {
    struct lookup *next; /* in the list of free ones */
    uint64_t key;
    uint64_t begun_ns;
    struct regfast_owner owner;
};

struct stream {
    struct regfast_client *client;
    struct lookup *lookups;
    struct lookup *free;
    struct rf_histogram *times;
    pthread_t thread;
    _Atomic(bool) is_stopping;
    uint64_t asked, under_way, under_way_max, answered, lost;
};

static void stream_ask(struct stream *stream)
{
    struct lookup *lookup = stream->free;
    char error[REGFAST_ERROR_SIZE];
    stream->free = lookup->next;
    lookup->key = stream->asked++;
    lookup->begun_ns = now_ns();
    if (regfast_submit_match(stream->client, GROUP, &lookup->key, sizeof(lookup->key),
                             &lookup->owner, lookup, error, sizeof(error)) < 0) {
        (void)fprintf(stderr, "lookups: %s\n", error);
        abort(); /* it is bounded here */
    }
    stream->under_way++;
    stream->under_way_max =
        stream->under_way > stream->under_way_max ? stream->under_way : stream->under_way_max;
}

static void stream_take(struct stream *stream)
{
    struct regfast_completion completion;
    while (regfast_next(stream->client, &completion) == 1) {
        struct lookup *lookup = completion.user;
        if (completion.code == 0 && member_of(lookup->owner.id) >= 0) {
            stream->answered++;
            rf_histogram_record(stream->times, now_ns() - lookup->begun_ns);
        } else if (stream->lost++ < ERRORS_SHOWN) {
            (void)fprintf(stderr, "lookups: lost after %llu ms: %d, '%s'\n",
                          (unsigned long long)((now_ns() - lookup->begun_ns) / 1000000),
                          completion.code, completion.error);
        }
        lookup->next = stream->free;
        stream->free = lookup;
        stream->under_way--;
    }
}

/* So many a second, whatever becomes of those before. */
static void *stream_run(void *argument)
{
    struct stream *stream = argument;
    const uint64_t begun_ns = now_ns();
    while (!atomic_load(&stream->is_stopping) || stream->under_way > 0) {
        const uint64_t due = (now_ns() - begun_ns) / 1000 * rate / 1000000;
        while (!atomic_load(&stream->is_stopping) && stream->asked < due && stream->free != NULL) {
            stream_ask(stream);
        }
        (void)regfast_process(stream->client, NULL, 0);
        stream_take(stream);
        const int timeout_ms = regfast_timeout_ms(stream->client);
        struct pollfd fd = {.fd = regfast_fd(stream->client), .events = POLLIN};
        (void)poll(&fd, 1, timeout_ms == 0 ? 0 : 1);
    }
    return NULL;
}

static void stream_begin(struct stream *stream)
{
    *stream = (struct stream){.client = client_new()};
    stream->lookups = calloc(UNDER_WAY_MAX, sizeof(stream->lookups[0]));
    stream->times = histogram_new();
    assert_non_null(stream->lookups);
    for (size_t i = 0; i < UNDER_WAY_MAX; i++) {
        stream->lookups[i].next = stream->free;
        stream->free = &stream->lookups[i];
    }
    assert_int_equal(pthread_create(&stream->thread, NULL, stream_run, stream), 0);
}

SCENARIO(a_rolling_restart_loses_no_lookup)
{
    static struct stream stream;
    uint64_t restarts = 0;
    cluster_start(registry_program);
    stream_begin(&stream);
    const uint64_t begun_ms = now_ms();
    while (now_ms() < begun_ms + seconds * 1000) {
        const uint64_t next_ms = now_ms() + 1000;
        const int registry = (int)(restarts++ % REGISTRIES);
        registry_stop(registry);
        registry_begin(registry);
        registry_wait(registry);
        while (now_ms() < next_ms) {
            sleep_ms(5);
        }
    }
    const uint64_t elapsed_ms = now_ms() - begun_ms;
    atomic_store(&stream.is_stopping, true);
    assert_int_equal(pthread_join(stream.thread, NULL), 0);
    printf("lookups: rolling: %llu ms, %llu restarts; asked %llu (%llu/s), answered %llu, lost "
           "%llu; p50 %.2f ms, p99.9 %.1f ms, max %.1f ms; under way at most %llu\n",
           (unsigned long long)elapsed_ms, (unsigned long long)restarts,
           (unsigned long long)stream.asked, (unsigned long long)(stream.asked * 1000 / elapsed_ms),
           (unsigned long long)stream.answered, (unsigned long long)stream.lost,
           (double)rf_histogram_quantile_ns(stream.times, 500000) / 1e6,
           (double)rf_histogram_quantile_ns(stream.times, 999000) / 1e6,
           (double)rf_histogram_max_ns(stream.times) / 1e6,
           (unsigned long long)stream.under_way_max);
    assert_int_equal(stream.lost, 0);
    assert_true(stream.answered == stream.asked && stream.asked > 0);
    regfast_close(stream.client);
    free(stream.lookups);
    free(stream.times);
    cluster_end();
}

/* ---- the registry in use is killed ---- */

SCENARIO(the_call_after_a_kill_succeeds_within_its_timeout)
{
    cluster_start(registry_program);
    struct regfast_client *client = client_new();
    uint64_t kills = 0;
    uint64_t slowest_ms = 0;
    const uint64_t begun_ms = now_ms();
    while (now_ms() < begun_ms + seconds * 1000) {
        struct regfast_owner owner;
        char error[REGFAST_ERROR_SIZE] = "";
        assert_int_equal(regfast_match(client, GROUP, "k", 1, &owner, error, sizeof(error)), 0);
        const int registry = registry_of(regfast_server(client));
        registry_kill(registry);
        kills++;
        const uint64_t asked_ms = now_ms();
        const int code = regfast_match(client, GROUP, "k", 1, &owner, error, sizeof(error));
        const uint64_t took_ms = now_ms() - asked_ms;
        if (code < 0) {
            fail_msg("kill %llu, after %llu ms: %s", (unsigned long long)kills,
                     (unsigned long long)took_ms, error);
        }
        slowest_ms = took_ms > slowest_ms ? took_ms : slowest_ms;
        assert_true(member_of(owner.id) >= 0);
        assert_int_not_equal(registry_of(regfast_server(client)), registry);
        registry_begin(registry);
        registry_wait(registry);
    }
    printf("lookups: killed: %llu kills of the registry in use; the next call took %llu ms at "
           "most, of %d\n",
           (unsigned long long)kills, (unsigned long long)slowest_ms, CALL_TIMEOUT_MS);
    regfast_close(client);
    cluster_end();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest local[] = {
        scenario_test(every_local_answer_is_what_a_registry_answered)};
    const struct CMUnitTest rolling[] = {scenario_test(a_rolling_restart_loses_no_lookup)};
    const struct CMUnitTest killed[] = {
        scenario_test(the_call_after_a_kill_succeeds_within_its_timeout)};
    seconds = argc > 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    registry_program = argc > 3 ? argv[3] : NULL;
    rate = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : rate;
    if (seconds < 1 || seconds > 86400 || rate < 1 || rate > 100000 || argc > 5) {
        (void)fprintf(stderr,
                      "usage: lookups local|rolling|killed SECONDS REGISTRY [RATE], 1..86400, "
                      "1..100000 a second\n");
        return 2;
    }
    if (strcmp(argv[1], "local") == 0) {
        return cmocka_run_group_tests(local, NULL, NULL);
    }
    return strcmp(argv[1], "rolling") == 0 ? cmocka_run_group_tests(rolling, NULL, NULL)
                                           : cmocka_run_group_tests(killed, NULL, NULL);
}
