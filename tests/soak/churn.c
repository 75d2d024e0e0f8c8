/* SPDX-License-Identifier: MIT
 *
 * churn.c - readers on all cores against a writer that changes a member every millisecond.
 *
 * Every section checks that what it sees is one catalog, whole: digests recomputed from members
 * equal those that the catalog names, owners are members of its own groups, one owner in each
 * section is recomputed from the definition, addresses name the id and the weight that they
 * were committed with, versions never go back. Debug builds overwrite what they free, so a catalog
 * that is freed too early does not pass for one that is not.
 *
 *   churn [--seconds N] [--readers N] [--seed S] [--placement v1|crc32] [--fault]
 *
 * --fault overwrites each catalog for a moment while readers may see it, and must be noticed: it
 * shows that the checks can fail. Exit status: 0; 1 something was wrong; 2 a bad option.
 */
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/catalog.h"
#include "core/digest.h"
#include "core/random.h"

enum {
    GROUPS_COUNT = 4,
    IDS_COUNT = 24,    /* of each group: at most */
    REPLICAS_MAX = 40, /* small rings, so that even the sanitizers keep up with the writer */
    READERS_MAX = 256,
    LOOKUPS_OF_SECTION = 64,
    LOOKUPS_OF_LONG_SECTION = 4096, /* one section in 64: outlives several publications */
    SECTIONS_OF_REGISTRATION = 500, /* then the reader's record goes to the next one */
    INTERVAL_NS = 1000 * 1000,
};

static const char *const group_names[GROUPS_COUNT] = {"api", "db", "queue", "web"};

struct reader {
    pthread_t thread;
    uint64_t seed;
    uint64_t lookups_count;
    uint64_t sections_count;
    uint64_t versions_count; /* different ones seen */
};

struct churn {
    unsigned seconds;
    unsigned readers_count;
    uint64_t seed;
    enum rf_placement placement;
    bool is_fault;

    struct rf_publisher publisher;
    atomic_bool is_over;
    struct reader readers[READERS_MAX];

    uint64_t publishes_count;
    uint64_t late_count; /* ticks that the writer could not keep */
};

static struct churn churn;

_Noreturn static void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

_Noreturn static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "churn: seed %llu: ", (unsigned long long)churn.seed);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    _exit(1); /* other threads are running: nothing is torn down under them */
}

static void expect_success(int code, const struct rf_error *err)
{
    if (code < 0) {
        fail("%s", err->text);
    }
}

/* ---- readers ---- */

/* "<id>.<replicas>:<change>", as the writer makes it. */
static void check_address(const struct rf_member *member)
{
    char wanted[64];
    const int size = snprintf(wanted, sizeof(wanted), "%s.%u:", member->id, member->replicas);
    if (size <= 0 || strncmp(member->addr, wanted, (size_t)size) != 0) {
        fail("member '%s' of weight %u has the address '%s'", member->id, member->replicas,
             member->addr);
    }
}

static uint64_t check_group(const struct rf_group *group)
{
    uint64_t digest = 0;
    size_t alive_count = 0;
    for (size_t i = 0; i < group->members_count; i++) {
        const struct rf_member *member = &group->members[i];
        if (strcmp(member->group, group->name) != 0) {
            fail("group '%s' has a member of group '%s'", group->name, member->group);
        }
        check_address(member);
        if (rf_member_is_in_ring(member->state)) {
            digest += rf_digest_member(member);
            alive_count++;
        }
    }
    if (digest != group->digest || alive_count != group->alive_count) {
        fail("group '%s' version %llu: digest %016llx, its members give %016llx", group->name,
             (unsigned long long)group->version, (unsigned long long)group->digest,
             (unsigned long long)digest);
    }
    return digest;
}

static void check_catalog(const struct rf_catalog *catalog)
{
    uint64_t groups_sum = 0;
    if (catalog->groups_count > GROUPS_COUNT) {
        fail("catalog of %zu groups", catalog->groups_count);
    }
    for (size_t i = 0; i < catalog->groups_count; i++) {
        if (catalog->groups[i]->version > catalog->version) {
            fail("a group is younger than its catalog");
        }
        groups_sum += check_group(catalog->groups[i]);
    }
    if (rf_digest_catalog(catalog->placement, groups_sum) != catalog->digest) {
        fail("catalog version %llu: its digest is not that of its groups",
             (unsigned long long)catalog->version);
    }
}

static const struct rf_member *check_lookup(const struct rf_group *group, uint64_t hash)
{
    const struct rf_member *owner = rf_group_owner(group, hash);
    if (owner == NULL) {
        if (group->alive_count != 0) {
            fail("group '%s' has members and no owner", group->name);
        }
        return NULL;
    }
    if (owner < group->members || owner >= group->members + group->members_count ||
        !rf_member_is_in_ring(owner->state)) {
        fail("group '%s': the owner is none of its members in the ring", group->name);
    }
    return owner;
}

/* By the definition: the first point at or after the hash, wrapping; of equal ones the smaller id.
 */
static const struct rf_member *slow_owner(const struct rf_catalog *catalog,
                                          const struct rf_group *group, uint64_t hash)
{
    const struct rf_member *owner = NULL;
    uint64_t owner_distance = 0;
    for (size_t i = 0; i < group->members_count; i++) {
        const struct rf_member *member = &group->members[i];
        uint64_t points[REPLICAS_MAX];
        if (!rf_member_is_in_ring(member->state)) {
            continue;
        }
        rf_placement_points(catalog->placement, member->id, 0, member->replicas, points);
        for (uint32_t j = 0; j < member->replicas; j++) {
            if (owner == NULL || points[j] - hash < owner_distance) {
                owner = member;
                owner_distance = points[j] - hash;
            }
        }
    }
    return owner;
}

static void run_section(struct reader *self, struct rf_reader *reader, struct rf_random *random,
                        uint64_t *version)
{
    const bool is_long = rf_random_below(random, 64) == 0;
    const int lookups_count = is_long ? LOOKUPS_OF_LONG_SECTION : LOOKUPS_OF_SECTION;
    const struct rf_catalog *catalog = rf_catalog_of(rf_reader_enter(reader));
    if (catalog->version < *version) {
        fail("version %llu after %llu", (unsigned long long)catalog->version,
             (unsigned long long)*version);
    }
    self->versions_count += catalog->version != *version;
    *version = catalog->version;
    check_catalog(catalog);
    for (int i = 0; i < lookups_count; i++) {
        const char *name = group_names[rf_random_below(random, GROUPS_COUNT)];
        const struct rf_group *group = rf_catalog_group(catalog, name, strlen(name));
        if (group == NULL) {
            continue; /* nobody is in it just now */
        }
        const uint64_t key = rf_random_next(random);
        const uint64_t hash = rf_placement_hash(catalog->placement, &key, sizeof(key));
        const struct rf_member *owner = check_lookup(group, hash);
        if (owner != NULL) {
            check_address(owner);
        }
        if (i == 0 && owner != slow_owner(catalog, group, hash)) {
            fail("group '%s': owner of %016llx is '%s', not by the definition", group->name,
                 (unsigned long long)hash, owner->id);
        }
    }
    if (is_long) {
        check_catalog(catalog); /* still whole at the end */
    }
    rf_reader_leave(reader);
    self->lookups_count += (uint64_t)lookups_count;
    self->sections_count++;
}

static void *run_reader(void *argument)
{
    struct reader *self = argument;
    struct rf_random random = {self->seed};
    uint64_t version = 0;
    while (!atomic_load_explicit(&churn.is_over, memory_order_relaxed)) {
        struct rf_reader reader;
        if (rf_reader_init(&reader, &churn.publisher) != 0) {
            fail("no memory for a reader");
        }
        for (int i = 0; i < SECTIONS_OF_REGISTRATION &&
                        !atomic_load_explicit(&churn.is_over, memory_order_relaxed);
             i++) {
            run_section(self, &reader, &random, &version);
        }
        rf_reader_fini(&reader);
    }
    return NULL;
}

/* ---- the writer ---- */

static void change_one(struct rf_roster *roster, struct rf_random *random, uint64_t change)
{
    char id[16];
    char addr[64];
    struct rf_error err = {0};
    const uint64_t group_index = rf_random_below(random, GROUPS_COUNT);
    const uint64_t id_index = rf_random_below(random, IDS_COUNT);
    (void)snprintf(id, sizeof(id), "%s-%llu", group_names[group_index],
                   (unsigned long long)id_index);
    if (rf_random_below(random, 2) == 0 && rf_roster_remove(roster, id) == 1) {
        return;
    }
    const uint64_t state = rf_random_below(random, 16); /* mostly alive */
    const uint32_t replicas = (uint32_t)rf_random_below(random, REPLICAS_MAX) + 1;
    (void)snprintf(addr, sizeof(addr), "%s.%u:%llu", id, replicas, (unsigned long long)change);
    const struct rf_member member = {
        .id = id,
        .group = group_names[group_index],
        .addr = addr,
        .replicas = replicas,
        .state = state <= RF_MEMBER_FAILED ? (enum rf_member_state)state : RF_MEMBER_ALIVE,
    };
    expect_success(rf_roster_put(roster, &member, &err), &err);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void sleep_until_ns(uint64_t time_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(time_ns / 1000000000),
                                   .tv_nsec = (long)(time_ns % 1000000000)};
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL); /* early is harmless */
}

/* What a freed catalog looks like to a reader, for long enough to be seen. */
static void overwrite_for_a_moment(struct rf_catalog *catalog)
{
    const size_t offset = offsetof(struct rf_catalog, version);
    const struct rf_catalog kept = *catalog;
    rf_poison((char *)catalog + offset, sizeof(*catalog) - offset);
    sleep_until_ns(now_ns() + 2 * INTERVAL_NS);
    memcpy((char *)catalog + offset, (const char *)&kept + offset, sizeof(kept) - offset);
}

static void publish_changes(struct rf_roster *roster)
{
    struct rf_error err = {0};
    struct rf_catalog *next = NULL;
    expect_success(rf_roster_commit(roster, &next, &err), &err);
    if (next != NULL) {
        if (churn.is_fault) {
            overwrite_for_a_moment((struct rf_catalog *)rf_publisher_current(&churn.publisher));
        }
        rf_publish(&churn.publisher, &next->published);
        churn.publishes_count++;
    }
    (void)rf_publisher_reclaim(&churn.publisher); /* what waits is counted and tried next time */
}

static void run_writer(struct rf_roster *roster, struct rf_random *random)
{
    const uint64_t end_ns = now_ns() + (uint64_t)churn.seconds * 1000000000;
    uint64_t tick_ns = now_ns();
    for (uint64_t change = 1; now_ns() < end_ns; change++) {
        change_one(roster, random, change);
        publish_changes(roster);
        tick_ns += INTERVAL_NS;
        if (tick_ns < now_ns()) {
            churn.late_count++;
            tick_ns = now_ns();
        }
        sleep_until_ns(tick_ns);
    }
}

/* ---- the program ---- */

static void run(void)
{
    struct rf_random random = {churn.seed};
    struct rf_error err = {0};
    struct rf_roster *roster = NULL;
    struct rf_catalog *first = NULL;
    expect_success(rf_roster_new(churn.placement, &roster, &err), &err);
    expect_success(rf_roster_commit(roster, &first, &err), &err);
    rf_publisher_init(&churn.publisher, &first->published);
    for (unsigned i = 0; i < churn.readers_count; i++) {
        churn.readers[i].seed = rf_random_next(&random);
        if (pthread_create(&churn.readers[i].thread, NULL, run_reader, &churn.readers[i]) != 0) {
            fail("cannot start reader %u of %u", i + 1, churn.readers_count);
        }
    }
    run_writer(roster, &random);
    atomic_store_explicit(&churn.is_over, true, memory_order_relaxed);
    for (unsigned i = 0; i < churn.readers_count; i++) {
        (void)pthread_join(churn.readers[i].thread, NULL); /* they only end by returning */
    }
    if (rf_publisher_reclaim(&churn.publisher)) {
        fail("%zu catalogs are not freed although no reader is left",
             churn.publisher.retired_count);
    }
    rf_publisher_fini(&churn.publisher);
    rf_roster_free(roster);
}

static void report(void)
{
    uint64_t lookups_count = 0;
    uint64_t sections_count = 0;
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage); /* cannot fail for itself */
    for (unsigned i = 0; i < churn.readers_count; i++) {
        const struct reader *reader = &churn.readers[i];
        lookups_count += reader->lookups_count;
        sections_count += reader->sections_count;
        if (reader->versions_count < 2) {
            fail("reader %u saw %llu versions: it saw no churn", i,
                 (unsigned long long)reader->versions_count);
        }
    }
    (void)printf("lookups %llu in %llu sections, publishes %llu (%llu ticks late), "
                 "retired and not freed at most %zu, memory at most %ld KiB\n",
                 (unsigned long long)lookups_count, (unsigned long long)sections_count,
                 (unsigned long long)churn.publishes_count, (unsigned long long)churn.late_count,
                 churn.publisher.retired_peak, usage.ru_maxrss);
    /* A preempted reader holds back what is retired meanwhile; one for ever is a leak. */
    if (churn.publisher.retired_peak > 1000 + churn.publishes_count / 4) {
        fail("%zu of %llu catalogs waited for readers at once", churn.publisher.retired_peak,
             (unsigned long long)churn.publishes_count);
    }
}

static uint64_t number_of(const char *option, const char *text, uint64_t max)
{
    char *end = NULL;
    const unsigned long long number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || number > max) {
        (void)fprintf(stderr, "churn: --%s '%s': allowed are numbers up to %llu\n", option, text,
                      (unsigned long long)max);
        exit(2);
    }
    return number;
}

static void parse_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"seconds", required_argument, NULL, 's'}, {"readers", required_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 'S'},    {"placement", required_argument, NULL, 'p'},
        {"fault", no_argument, NULL, 'f'},         {NULL, 0, NULL, 0},
    };
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct rf_error err = {0};
    int option;
    churn.seconds = 30;
    churn.readers_count = cores < 1 ? 1 : cores > READERS_MAX ? READERS_MAX : (unsigned)cores;
    churn.seed = now_ns();
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's':
            churn.seconds = (unsigned)number_of("seconds", optarg, 86400);
            break;
        case 'r':
            churn.readers_count = (unsigned)number_of("readers", optarg, READERS_MAX);
            break;
        case 'S':
            churn.seed = number_of("seed", optarg, UINT64_MAX);
            break;
        case 'p':
            if (rf_placement_parse(optarg, &churn.placement, &err) != 0) {
                (void)fprintf(stderr, "churn: %s\n", err.text);
                exit(2);
            }
            break;
        case 'f':
            churn.is_fault = true;
            break;
        default:
            exit(2);
        }
    }
}

/* An assertion failed, or a reader followed a pointer that was overwritten. */
static void noticed(int signal_number)
{
    static const char text[] = "churn: noticed by a signal\n";
    (void)signal_number;
    const ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(written > 0 ? 1 : 2);
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    (void)printf("seed %llu\n", (unsigned long long)churn.seed);
    (void)fflush(stdout);
    if (churn.is_fault) { /* ctest takes a signal for a failure even where one is expected */
        (void)signal(SIGABRT, noticed);
        (void)signal(SIGSEGV, noticed);
        (void)signal(SIGBUS, noticed);
    }
    run();
    report();
    return 0;
}
