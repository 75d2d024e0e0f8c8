/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lookups_truth.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/regfast.h"
#include "core/ring.h"
#include "lookups_cluster.h"
#include "tests/interop/fixture.h"

enum {
    KNOWN_MAX = 4096, /* of one registry; the oldest go */
    WAITING_MAX = 16384,
    PATIENCE_MS = 1500, /* before answers are checked */
    READ_PAUSE_MS = 3,
    READ_TIMEOUT_MS = 500,
    WRONG_SHOWN = 5,
};

struct known {
    int registry;
    int run;
    uint64_t version;
    uint32_t replicas[MEMBERS]; /* 0: not in the ring */
};

struct truth_registry {
    pthread_t thread;
    pthread_mutex_t mutex;
    struct known known[KNOWN_MAX];
    uint64_t known_count; /* of all times; the last KNOWN_MAX are there */
};

static struct truth_registry registries[REGISTRIES];
static struct {
    pthread_t thread;
    pthread_mutex_t mutex;
    struct answers answers[WAITING_MAX];
    uint64_t put_ms[WAITING_MAX];
    uint64_t put_count, taken_count;
} waiting;
static _Atomic(bool) is_ending;
static struct truth_counts counts; /* the checker's */

/* ---- what registries say ---- */

static bool is_in_ring(enum regfast_member_state state)
{
    return state == REGFAST_MEMBER_ALIVE || state == REGFAST_MEMBER_LEAVING ||
           state == REGFAST_MEMBER_PROTECTED;
}

static void keep(int index, int run, const struct regfast_member_list *list)
{
    struct truth_registry *registry = &registries[index];
    const uint64_t count = registry->known_count;
    const struct known *last = &registry->known[(count + KNOWN_MAX - 1) % KNOWN_MAX];
    if (count > 0 && last->run == run && last->version == list->version) {
        return;
    }
    struct known known = {.registry = index, .run = run, .version = list->version};
    for (size_t i = 0; i < list->count; i++) {
        const int member = member_of(list->members[i].id);
        if (member >= 0 && is_in_ring(list->members[i].state)) {
            known.replicas[member] = list->members[i].replicas;
        }
    }
    (void)pthread_mutex_lock(&registry->mutex);
    registry->known[count % KNOWN_MAX] = known;
    registry->known_count++;
    (void)pthread_mutex_unlock(&registry->mutex);
}

static void *read_members(void *argument)
{
    const int index = (int)(intptr_t)argument;
    struct regfast_client *client = NULL;
    const struct regfast_options options = {.size = sizeof(options),
                                            .call_timeout_ms = READ_TIMEOUT_MS};
    if (regfast_open(registry_server(index), &options, &client, NULL, 0) < 0) {
        abort(); /* a thread cannot fail the test */
    }
    while (!atomic_load(&is_ending)) {
        struct regfast_member_list *list = NULL;
        const int run = registry_run_at(index, now_ms());
        if (regfast_members(client, GROUP, &list, NULL, 0) == 0) {
            if (registry_run_at(index, now_ms()) == run) {
                keep(index, run, list);
            }
            regfast_member_list_free(list);
        }
        sleep_ms(READ_PAUSE_MS);
    }
    regfast_close(client);
    return NULL;
}

/* ---- answers ---- */

/* The next older version of that kind before `*position`, which is moved to it. */
static bool find_known(int registry, const struct answers *answers, uint64_t *position,
                       struct known *ret_known)
{
    struct truth_registry *truth = &registries[registry];
    const int run_first = registry_run_at(registry, answers->said_after_ms);
    const int run_last = registry_run_at(registry, answers->said_before_ms);
    bool is_found = false;
    (void)pthread_mutex_lock(&truth->mutex);
    const uint64_t oldest = truth->known_count > KNOWN_MAX ? truth->known_count - KNOWN_MAX : 0;
    *position = *position > truth->known_count ? truth->known_count : *position;
    while (!is_found && *position > oldest) {
        const struct known *known = &truth->known[--*position % KNOWN_MAX];
        if (known->run < run_first) {
            break;
        }
        is_found = known->version == answers->version && known->run <= run_last;
        if (is_found) {
            *ret_known = *known;
        }
    }
    (void)pthread_mutex_unlock(&truth->mutex);
    return is_found;
}

/* The ring of those members, and who has which slot. */
static struct rf_ring *ring_of(const struct known *known, uint8_t ret_members[MEMBERS])
{
    static char ids[MEMBERS][32];
    char addr[32];
    struct rf_ring_member members[MEMBERS];
    struct rf_ring *ring = NULL;
    size_t count = 0;
    for (int i = 0; i < MEMBERS; i++) {
        if (known->replicas[i] > 0) {
            member_text(i, ids[i], addr);
            ret_members[count] = (uint8_t)i;
            members[count++] =
                (struct rf_ring_member){.id = ids[i], .replicas = known->replicas[i]};
        }
    }
    if (count == 0 || rf_ring_build(RF_PLACEMENT_V1, members, count, &ring, NULL) < 0) {
        return NULL;
    }
    return ring;
}

/* The position of the first answer that is another one, ANSWERS_MAX: none. */
static size_t first_wrong(const struct answers *answers, const struct known *known,
                          uint8_t *ret_right)
{
    static struct known kept; /* most answers are of the version of those before */
    static struct rf_ring *ring;
    static uint8_t members[MEMBERS];
    if (ring == NULL || kept.registry != known->registry || kept.run != known->run ||
        kept.version != known->version) {
        rf_ring_free(ring);
        ring = ring_of(known, members);
        kept = *known;
    }
    for (size_t i = 0; i < ANSWERS_MAX; i++) {
        const uint64_t key = answers->first_key + i;
        *ret_right = ring == NULL
                         ? MEMBERS
                         : members[rf_ring_owner(
                               ring, rf_placement_hash(RF_PLACEMENT_V1, &key, sizeof(key)))];
        if (*ret_right != answers->owners[i]) {
            return i;
        }
    }
    return ANSWERS_MAX;
}

static void check(const struct answers *answers)
{
    struct known known;
    uint64_t position = UINT64_MAX;
    size_t wrong = 0;
    uint8_t right = MEMBERS;
    bool is_known = false;
    while (find_known(answers->registry, answers, &position, &known)) {
        is_known = true;
        wrong = first_wrong(answers, &known, &right);
        if (wrong == ANSWERS_MAX) {
            counts.equal += ANSWERS_MAX;
            return;
        }
    }
    const uint64_t key = answers->first_key + wrong;
    if (!is_known) {
        counts.unknown += ANSWERS_MAX;
    } else if (counts.wrong++ < WRONG_SHOWN) {
        (void)fprintf(stderr,
                      "lookups: registry %d, run %d, version %llu: key %llu: m-%02d, but it "
                      "answered m-%02d\n",
                      answers->registry, known.run, (unsigned long long)answers->version,
                      (unsigned long long)key, answers->owners[wrong], right);
    }
}

static bool take_waiting(uint64_t *ret_put_ms, struct answers *ret_answers)
{
    (void)pthread_mutex_lock(&waiting.mutex);
    const bool is_there = waiting.taken_count < waiting.put_count;
    if (is_there) {
        *ret_put_ms = waiting.put_ms[waiting.taken_count % WAITING_MAX];
        *ret_answers = waiting.answers[waiting.taken_count % WAITING_MAX];
        waiting.taken_count++;
    }
    (void)pthread_mutex_unlock(&waiting.mutex);
    return is_there;
}

static void *check_waiting(void *argument)
{
    (void)argument; /* there is one of it */
    struct answers answers;
    uint64_t put_ms;
    for (;;) {
        const bool is_last = atomic_load(&is_ending);
        while (take_waiting(&put_ms, &answers)) {
            const uint64_t age_ms = now_ms() - put_ms;
            if (age_ms < PATIENCE_MS && !is_last) {
                sleep_ms((unsigned)(PATIENCE_MS - age_ms));
            }
            check(&answers);
        }
        if (is_last) {
            return NULL;
        }
        sleep_ms(READ_PAUSE_MS);
    }
}

void truth_check(const struct answers *answers)
{
    for (bool is_put = false; !is_put;) {
        (void)pthread_mutex_lock(&waiting.mutex);
        is_put = waiting.put_count - waiting.taken_count < WAITING_MAX;
        if (is_put) {
            waiting.put_ms[waiting.put_count % WAITING_MAX] = now_ms();
            waiting.answers[waiting.put_count % WAITING_MAX] = *answers;
            waiting.put_count++;
        }
        (void)pthread_mutex_unlock(&waiting.mutex);
        if (!is_put) {
            sleep_ms(READ_PAUSE_MS);
        }
    }
}

/* ---- begin and end ---- */

void truth_begin(void)
{
    assert_int_equal(pthread_mutex_init(&waiting.mutex, NULL), 0);
    for (int i = 0; i < REGISTRIES; i++) {
        assert_int_equal(pthread_mutex_init(&registries[i].mutex, NULL), 0);
        assert_int_equal(
            pthread_create(&registries[i].thread, NULL, read_members, (void *)(intptr_t)i), 0);
    }
    assert_int_equal(pthread_create(&waiting.thread, NULL, check_waiting, NULL), 0);
}

struct truth_counts truth_end(void)
{
    sleep_ms(PATIENCE_MS);
    atomic_store(&is_ending, true);
    assert_int_equal(pthread_join(waiting.thread, NULL), 0);
    for (int i = 0; i < REGISTRIES; i++) {
        assert_int_equal(pthread_join(registries[i].thread, NULL), 0);
        counts.versions += registries[i].known_count;
    }
    return counts;
}
