/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lookups_cluster.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"
#include "tests/interop/fixture.h"

enum {
    CHURNERS = 5,
    REPLICAS = 100,
    RUNS_MAX = 4096, /* of one registry */
    LEAVE_TIMEOUT_MS = 12000,
    KNOWN_MS = 60000, /* the machine may be busy */
};

struct registry {
    struct process *process;
    char name[16];
    char bind[64];
    char addr[64];
    struct regfast_client *client; /* of the main thread */
    _Atomic(int) runs_count;
    _Atomic(uint64_t) begun_ms[RUNS_MAX];
};

struct member {
    struct regfast_registration *registration; /* NULL: it is away */
    char bind[64];
};

static struct registry registries[REGISTRIES];
static struct member members[MEMBERS];
static const char *program;
static char servers[256], seeds[256];
static pthread_t churners[CHURNERS];
static uint64_t churn_seed;
static _Atomic(bool) is_churning;
static _Atomic(uint64_t) changes_count;

/* ---- registries ---- */

const char *cluster_servers(void)
{
    return servers;
}

const char *registry_server(int registry)
{
    return registries[registry].addr;
}

int registry_of(const char *server)
{
    for (int i = 0; i < REGISTRIES; i++) {
        if (strcmp(registries[i].addr, server) == 0) {
            return i;
        }
    }
    (void)fprintf(stderr, "lookups: no registry has the address '%s'\n", server);
    abort(); /* this may be a thread that cannot fail the test */
}

int registry_run_at(int registry, uint64_t at_ms)
{
    int run = atomic_load(&registries[registry].runs_count);
    while (run > 0 && atomic_load(&registries[registry].begun_ms[run - 1]) > at_ms) {
        run--;
    }
    return run;
}

/*
 * Without flap hold and protection, which a registry that was just started cannot share with those
 * that saw who failed before: their digests would be equal later only. A graceful leave of the
 * cluster takes 2 s as Serf does it; with these intervals it is short enough for a restart a
 * second.
 */
void registry_begin(int index)
{
    struct registry *registry = &registries[index];
    const int run = atomic_load(&registry->runs_count);
    assert_true(run < RUNS_MAX);
    registry->process = process_start(
        registry->name,
        ARGUMENTS(program, "-id", registry->name, "-bind", registry->bind, "-addr", registry->addr,
                  "-workers", "1", "-registries", seeds, "-flap-hold", "0", "-protect", "0",
                  "-leave-propagate-ms", "100", "-gossip-interval-ms", "40"));
    atomic_store(&registry->begun_ms[run], now_ms());
    atomic_store(&registry->runs_count, run + 1);
}

void registry_kill(int registry)
{
    process_kill(registries[registry].process);
}

void registry_stop(int registry)
{
    process_signal(registries[registry].process, SIGTERM);
    const int code = process_wait(registries[registry].process, KNOWN_MS);
    if (code != 0) {
        fail_msg("%s: exit code %d after SIGTERM", registries[registry].name, code);
    }
}

/* What it says of the group now; all 0: nothing. Names are not in it. */
static struct regfast_group group_at(int registry)
{
    struct regfast_group_list *list = NULL;
    struct regfast_group group = {0};
    if (regfast_groups(registries[registry].client, &list, NULL, 0) < 0) {
        return group;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->groups[i].name, GROUP) == 0) {
            group = list->groups[i];
        }
    }
    group.name = NULL;
    regfast_group_list_free(list);
    return group;
}

uint64_t registry_digest(int registry)
{
    return group_at(registry).digest;
}

void registry_wait(int registry)
{
    size_t there = 0;
    for (int i = 0; i < MEMBERS; i++) {
        there += members[i].registration != NULL;
    }
    assert_within_ms(KNOWN_MS, group_at(registry).alive_count == there);
}

/* ---- members ---- */

int member_of(const char *id)
{
    char *end = NULL;
    const long number = strncmp(id, "m-", 2) == 0 ? strtol(id + 2, &end, 10) : -1;
    return end != NULL && *end == '\0' && number >= 0 && number < MEMBERS ? (int)number : -1;
}

void member_text(int member, char ret_id[32], char ret_addr[32])
{
    (void)snprintf(ret_id, 32, "m-%02d", member);
    (void)snprintf(ret_addr, 32, "10.9.0.%d:80", member + 1);
}

static void member_begin(int index)
{
    char id[32];
    char addr[32];
    char error[REGFAST_ERROR_SIZE];
    member_text(index, id, addr);
    const struct regfast_register_options options = {
        .size = sizeof(options),
        .id = id,
        .group = GROUP,
        .addr = addr,
        .registries = seeds,
        .bind = members[index].bind,
        .replicas = REPLICAS,
    };
    if (regfast_register(&options, &members[index].registration, error, sizeof(error)) < 0) {
        (void)fprintf(stderr, "lookups: member '%s': %s\n", id, error);
        abort(); /* a churner cannot fail the test */
    }
}

static void member_end(int index, bool leaves)
{
    if (leaves) {
        (void)regfast_leave(members[index].registration, LEAVE_TIMEOUT_MS);
    }
    regfast_registration_free(members[index].registration);
    members[index].registration = NULL;
}

/* ---- churn ---- */

/* Each has members of its own: those whose number is its own modulo CHURNERS. */
static void *churn(void *argument)
{
    const int which = (int)(intptr_t)argument;
    struct rf_random random = {.state = churn_seed + (uint64_t)which};
    while (atomic_load(&is_churning)) {
        const int index = which + CHURNERS * (int)rf_random_below(&random, MEMBERS / CHURNERS);
        struct member *member = &members[index];
        atomic_fetch_add(&changes_count, 1);
        switch (member->registration == NULL ? 0 : 1 + rf_random_below(&random, 6)) {
        case 0:
            member_begin(index);
            break;
        case 1:
            member_end(index, true);
            break;
        case 2: /* killed, as far as the others can see */
            member_end(index, false);
            break;
        case 3:
            (void)regfast_drain(member->registration, 200, LEAVE_TIMEOUT_MS);
            member_end(index, false);
            break;
        default:
            (void)regfast_set_replicas(member->registration,
                                       50 + (uint32_t)rf_random_below(&random, 100), NULL, 0);
        }
        sleep_ms((unsigned)rf_random_below(&random, 1000));
    }
    for (int index = which; index < MEMBERS; index += CHURNERS) {
        if (members[index].registration == NULL) {
            member_begin(index);
        }
    }
    return NULL;
}

void churn_begin(uint64_t seed)
{
    churn_seed = seed;
    atomic_store(&is_churning, true);
    for (int i = 0; i < CHURNERS; i++) {
        assert_int_equal(pthread_create(&churners[i], NULL, churn, (void *)(intptr_t)i), 0);
    }
}

void churn_end(void)
{
    atomic_store(&is_churning, false);
    for (int i = 0; i < CHURNERS; i++) {
        assert_int_equal(pthread_join(churners[i], NULL), 0);
    }
}

uint64_t churn_count(void)
{
    return atomic_load(&changes_count);
}

/* ---- begin and end ---- */

void cluster_start(const char *registry_program)
{
    program = registry_program;
    size_t servers_size = 0;
    size_t seeds_size = 0;
    for (int i = 0; i < REGISTRIES; i++) {
        struct registry *registry = &registries[i];
        (void)snprintf(registry->name, sizeof(registry->name), "registry-%d", i);
        (void)snprintf(registry->bind, sizeof(registry->bind), "%s:%u", fixture_host(),
                       fixture_port());
        (void)snprintf(registry->addr, sizeof(registry->addr), "%s:%u", fixture_host(),
                       fixture_port());
        servers_size += (size_t)snprintf(servers + servers_size, sizeof(servers) - servers_size,
                                         "%s%s", i > 0 ? "," : "", registry->addr);
        seeds_size += (size_t)snprintf(seeds + seeds_size, sizeof(seeds) - seeds_size, "%s%s",
                                       i > 0 ? "," : "", registry->bind);
    }
    for (int i = 0; i < REGISTRIES; i++) {
        registry_begin(i);
        assert_int_equal(regfast_open(registries[i].addr, NULL, &registries[i].client, NULL, 0), 0);
    }
    for (int i = 0; i < MEMBERS; i++) {
        (void)snprintf(members[i].bind, sizeof(members[i].bind), "%s:%u", fixture_host(),
                       fixture_port());
        member_begin(i);
    }
    for (int i = 0; i < REGISTRIES; i++) {
        registry_wait(i);
    }
}

void cluster_end(void)
{
    for (int i = 0; i < MEMBERS; i++) {
        member_end(i, false);
    }
    for (int i = 0; i < REGISTRIES; i++) {
        regfast_close(registries[i].client);
    }
}
