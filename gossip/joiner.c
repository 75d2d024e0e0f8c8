/* SPDX-License-Identifier: MIT */
#include "gossip/joiner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

int rf_joiner_init(struct rf_joiner *joiner, const char *const *seeds, size_t seeds_count,
                   struct rf_error *err)
{
    *joiner = (struct rf_joiner){.next_ns = UINT64_MAX,
                                 .pause_ns = RF_JOIN_PAUSE_MIN_NS,
                                 .settled_pause_ns = RF_JOIN_PAUSE_MAX_NS};
    if (seeds_count == 0) {
        return 0;
    }
    if (seeds_count > RF_GOSSIP_SEEDS_MAX) {
        return rf_error_set(err, RF_ELIMIT, "gossip: %zu seeds to join, allowed 0..%d", seeds_count,
                            RF_GOSSIP_SEEDS_MAX);
    }
    joiner->seeds = calloc(seeds_count, sizeof(joiner->seeds[0]));
    if (joiner->seeds == NULL) {
        return rf_error_set(err, -ENOMEM, "gossip: memory for %zu seeds", seeds_count);
    }
    joiner->seeds_count = seeds_count;
    for (size_t i = 0; i < seeds_count; i++) {
        struct rf_host_port *host_port = &joiner->seeds[i].host_port;
        int code = rf_host_port_parse(seeds[i], RF_GOSSIP_PORT_DEFAULT, host_port, err);
        if (code < 0) {
            return rf_error_prefix(err, code, "gossip: seed to join");
        }
        if (host_port->host[0] == '\0') {
            strcpy(host_port->host, "127.0.0.1"); /* ":7370": a node on this machine */
        }
    }
    return 0;
}

void rf_joiner_fini(struct rf_joiner *joiner)
{
    for (size_t i = 0; i < joiner->seeds_count; i++) {
        rf_lookup_free(joiner->seeds[i].lookup);
    }
    free(joiner->seeds);
    joiner->seeds = NULL;
    joiner->seeds_count = 0;
}

void rf_joiner_begin(struct rf_joiner *joiner, uint64_t now_ns, const struct rf_address *advertised,
                     const struct rf_address *bound, int wake_fd, const struct rf_log *log,
                     struct rf_gossip_counters *counters, const struct rf_serf *serf, uint64_t seed)
{
    joiner->own[0] = *advertised;
    joiner->own[1] = *bound;
    joiner->wake_fd = wake_fd;
    joiner->log = log;
    joiner->counters = counters;
    joiner->random.state = seed;
    joiner->known.count_max = RF_JOIN_KNOWN_MIN;
    bool has_anybody = joiner->seeds_count > 0 || rf_serf_rejoin_count(serf) > 0;
    joiner->next_ns = has_anybody ? now_ns : UINT64_MAX;
}

/* Between three quarters and five quarters of the pause. */
static uint64_t jittered(struct rf_joiner *joiner, uint64_t pause_ns)
{
    return pause_ns * 3 / 4 + rf_random_below(&joiner->random, pause_ns / 2);
}

static uint64_t doubled(uint64_t pause_ns)
{
    return pause_ns * 2 < RF_JOIN_PAUSE_MAX_NS ? pause_ns * 2 : RF_JOIN_PAUSE_MAX_NS;
}

/* The pause after a failure, which doubles for the next time. */
static uint64_t pause_next(struct rf_joiner *joiner)
{
    uint64_t pause_ns = joiner->pause_ns;
    if (joiner->known.is_exhausted) {
        joiner->pause_ns = doubled(pause_ns);
    }
    return jittered(joiner, pause_ns);
}

/* Logs a seed's failure when it begins to fail, not each time: rounds go on for ever. */
static void seed_failed(struct rf_joiner *joiner, struct rf_seed *seed, const char *why)
{
    snprintf(joiner->error, sizeof(joiner->error), "%s:%u: %s", seed->host_port.host,
             (unsigned)seed->host_port.port, why);
    rf_log(joiner->log, seed->is_failing ? RF_LOG_DEBUG : RF_LOG_WARN,
           "join_failed seed=%s:%u error=\"%s\" next=\"trying again until it works\"",
           seed->host_port.host, (unsigned)seed->host_port.port, why);
    seed->is_failing = true;
}

static bool is_own(const struct rf_joiner *joiner, const struct rf_address *address)
{
    return rf_address_equal(address, &joiner->own[0]) || rf_address_equal(address, &joiner->own[1]);
}

/* The lookup is done: joins what it gave. */
static void seed_resolved(struct rf_joiner *joiner, struct rf_seed *seed, uint64_t now_ns,
                          struct rf_serf *serf)
{
    struct rf_address found[RF_LOOKUP_ADDRESSES_MAX];
    struct rf_error err = {0};
    int count = rf_lookup_take(seed->lookup, found, &err);
    if (count == -EINPROGRESS) {
        return;
    }
    rf_lookup_free(seed->lookup);
    seed->lookup = NULL;
    seed->state = RF_SEED_IDLE;
    if (count < 0) {
        seed_failed(joiner, seed, err.text);
        return;
    }
    struct rf_address addresses[RF_LOOKUP_ADDRESSES_MAX];
    size_t addresses_count = 0;
    for (int i = 0; i < count; i++) {
        if (!is_own(joiner, &found[i])) {
            addresses[addresses_count++] = found[i];
        }
    }
    if (addresses_count == 0) {
        /* It is this node: a list of all registries may well be given to each of them. */
        seed->is_joined = true;
        seed->joined = (struct rf_address){0};
        return;
    }
    int code = rf_serf_join(serf, now_ns, addresses, addresses_count, &seed->join_id, &err);
    if (code < 0) {
        seed_failed(joiner, seed, err.text);
        return;
    }
    seed->state = RF_SEED_JOINING;
}

/* Some of those we knew, while we know nobody else. */
static void known_begin(struct rf_joiner *joiner, uint64_t now_ns, struct rf_serf *serf)
{
    struct rf_joiner_known *known = &joiner->known;
    struct rf_address picked[RF_JOIN_KNOWN_MAX];
    struct rf_address addresses[RF_JOIN_KNOWN_MAX];
    bool is_last = false;
    size_t picked_count = rf_serf_rejoin_pick(serf, picked, known->count_max, &is_last);
    known->is_exhausted = known->is_exhausted || is_last;
    known->has_success = false;
    size_t count = 0;
    for (size_t i = 0; i < picked_count; i++) {
        if (!is_own(joiner, &picked[i])) {
            addresses[count++] = picked[i];
        }
    }
    struct rf_error err = {0};
    if (count > 0 && rf_serf_join(serf, now_ns, addresses, count, &known->join_id, &err) < 0) {
        rf_log(joiner->log, RF_LOG_DEBUG, "rejoin_failed error=\"%s\"", err.text);
    } else {
        known->is_joining = count > 0;
    }
    known->count_max =
        2 * known->count_max < RF_JOIN_KNOWN_MAX ? 2 * known->count_max : RF_JOIN_KNOWN_MAX;
}

static bool is_wanted(const struct rf_joiner *joiner, const struct rf_seed *seed)
{
    return !joiner->is_settled || !seed->is_joined;
}

static void round_begin(struct rf_joiner *joiner, uint64_t now_ns, struct rf_serf *serf)
{
    joiner->is_in_round = true;
    joiner->has_success = false;
    joiner->next_ns = UINT64_MAX;
    joiner->error[0] = '\0';
    joiner->rounds_count++;
    rf_counter_add(&joiner->counters->join_rounds, 1);
    for (size_t i = 0; i < joiner->seeds_count; i++) {
        struct rf_seed *seed = &joiner->seeds[i];
        struct rf_error err = {0};
        RF_ASSERT(seed->lookup == NULL);
        if (!is_wanted(joiner, seed)) {
            continue;
        }
        seed->has_success = false;
        if (rf_lookup_start(&seed->host_port, joiner->wake_fd, &seed->lookup, &err) < 0) {
            seed_failed(joiner, seed, err.text);
        } else {
            seed->state = RF_SEED_RESOLVING;
        }
    }
    if (!joiner->is_settled) {
        known_begin(joiner, now_ns, serf);
    }
}

/* A settled node goes on with the seeds that have not worked yet. */
static bool has_unjoined_seed(const struct rf_joiner *joiner)
{
    for (size_t i = 0; i < joiner->seeds_count; i++) {
        if (!joiner->seeds[i].is_joined) {
            return true;
        }
    }
    return false;
}

static void settle(struct rf_joiner *joiner, uint64_t now_ns)
{
    joiner->is_settled = true;
    joiner->pause_ns = RF_JOIN_PAUSE_MIN_NS;
    joiner->known.count_max = RF_JOIN_KNOWN_MIN;
    joiner->known.is_exhausted = false;
    joiner->error[0] = '\0';
    joiner->next_ns = UINT64_MAX;
    if (has_unjoined_seed(joiner)) {
        joiner->next_ns = now_ns + jittered(joiner, joiner->settled_pause_ns);
        joiner->settled_pause_ns = doubled(joiner->settled_pause_ns);
    }
}

/* Ends the round when nobody is busy any more. */
static void round_end(struct rf_joiner *joiner, uint64_t now_ns, const struct rf_serf *serf)
{
    for (size_t i = 0; i < joiner->seeds_count; i++) {
        if (joiner->seeds[i].state != RF_SEED_IDLE) {
            return;
        }
    }
    if (joiner->known.is_joining) {
        return;
    }
    joiner->is_in_round = false;
    /* A success may have been with ourselves, under an address that we do not know to be ours. */
    if ((joiner->has_success || joiner->is_settled) && rf_serf_alive_count(serf) > 1) {
        settle(joiner, now_ns);
        return;
    }
    joiner->is_settled = false;
    if (joiner->error[0] == '\0') {
        snprintf(joiner->error, sizeof(joiner->error), "%s",
                 joiner->seeds_count > 0 ? "every seed is this node itself"
                                         : "nobody is known to be joined");
    }
    joiner->next_ns = now_ns + pause_next(joiner);
}

void rf_joiner_tick(struct rf_joiner *joiner, uint64_t now_ns, struct rf_serf *serf)
{
    if (joiner->is_settled && rf_serf_alive_count(serf) == 1) {
        rf_log(joiner->log, RF_LOG_WARN,
               "alone seeds=%zu next=\"no other member is alive: joining again\"",
               joiner->seeds_count);
        joiner->is_settled = false;
        joiner->next_ns = now_ns + pause_next(joiner);
    }
    if (!joiner->is_in_round && now_ns >= joiner->next_ns) {
        round_begin(joiner, now_ns, serf);
    }
    if (!joiner->is_in_round) {
        return;
    }
    for (size_t i = 0; i < joiner->seeds_count; i++) {
        if (joiner->seeds[i].state == RF_SEED_RESOLVING) {
            seed_resolved(joiner, &joiner->seeds[i], now_ns, serf);
        }
    }
    round_end(joiner, now_ns, serf);
}

/* One address of the seed has let us join, or not. */
static void address_done(struct rf_joiner *joiner, struct rf_seed *seed, const struct rf_serf *serf,
                         const struct rf_output *output)
{
    char address[RF_ADDRESS_TEXT_SIZE];
    rf_address_format(&output->address, address);
    if (output->code < 0) {
        const char *why = output->text != NULL ? output->text : rf_strerror(output->code);
        char name[RF_ADDRESS_TEXT_SIZE];
        (void)snprintf(name, sizeof(name), "%s:%u", seed->host_port.host,
                       (unsigned)seed->host_port.port);
        /* The seed is named anyway: its address is news only if it was resolved to it. */
        bool is_named = strcmp(name, address) == 0;
        (void)snprintf(joiner->error, sizeof(joiner->error), "%s%s%s", is_named ? "" : address,
                       is_named ? "" : ": ", why);
        return;
    }
    rf_log(joiner->log, RF_LOG_INFO, "joined seed=%s:%u address=%s members=%zu",
           seed->host_port.host, (unsigned)seed->host_port.port, address,
           rf_serf_members_count(serf));
    seed->has_success = true;
    seed->is_failing = false;
    seed->is_joined = true;
    seed->joined = output->address;
    joiner->has_success = true;
}

/* All addresses of the seed are done. Those that failed do not matter if one has worked. */
static void seed_done(struct rf_joiner *joiner, struct rf_seed *seed)
{
    seed->state = RF_SEED_IDLE;
    if (!seed->has_success) {
        char why[RF_ERROR_TEXT_SIZE];
        snprintf(why, sizeof(why), "%s", joiner->error);
        seed_failed(joiner, seed, why);
    }
}

/* One address of those we knew. */
static void known_done(struct rf_joiner *joiner, const struct rf_serf *serf,
                       const struct rf_output *output)
{
    struct rf_joiner_known *known = &joiner->known;
    char address[RF_ADDRESS_TEXT_SIZE];
    rf_address_format(&output->address, address);
    if (output->code < 0) {
        const char *why = output->text != NULL ? output->text : rf_strerror(output->code);
        (void)snprintf(joiner->error, sizeof(joiner->error), "%s: %s", address, why);
    } else {
        rf_log(joiner->log, RF_LOG_INFO, "rejoined address=%s members=%zu", address,
               rf_serf_members_count(serf));
        known->has_success = true;
        known->is_failing = false;
        joiner->has_success = true;
    }
    if (output->pending_count > 0) {
        return;
    }
    known->is_joining = false;
    if (!known->has_success) {
        rf_log(joiner->log, known->is_failing ? RF_LOG_DEBUG : RF_LOG_WARN,
               "rejoin_failed known=%zu error=\"%s\" next=\"trying others until one answers\"",
               rf_serf_rejoin_count(serf), joiner->error);
        known->is_failing = true;
    }
}

void rf_joiner_result(struct rf_joiner *joiner, uint64_t now_ns, const struct rf_serf *serf,
                      const struct rf_output *output)
{
    if (joiner->known.is_joining && joiner->known.join_id == output->join_id) {
        known_done(joiner, serf, output);
        round_end(joiner, now_ns, serf);
        return;
    }
    for (size_t i = 0; i < joiner->seeds_count; i++) {
        struct rf_seed *seed = &joiner->seeds[i];
        if (seed->state != RF_SEED_JOINING || seed->join_id != output->join_id) {
            continue;
        }
        address_done(joiner, seed, serf, output);
        if (output->pending_count == 0) {
            seed_done(joiner, seed);
            round_end(joiner, now_ns, serf);
        }
        return;
    }
}

void rf_joiner_gone(struct rf_joiner *joiner, uint64_t now_ns, const struct rf_address *address)
{
    for (size_t i = 0; i < joiner->seeds_count; i++) {
        struct rf_seed *seed = &joiner->seeds[i];
        if (!seed->is_joined || !rf_address_equal(&seed->joined, address)) {
            continue;
        }
        seed->is_joined = false;
        joiner->settled_pause_ns = RF_JOIN_PAUSE_MIN_NS;
        if (joiner->is_settled && !joiner->is_in_round) {
            uint64_t at_ns = now_ns + jittered(joiner, RF_JOIN_PAUSE_MIN_NS);
            joiner->next_ns = at_ns < joiner->next_ns ? at_ns : joiner->next_ns;
        }
    }
}

void rf_joiner_back(struct rf_joiner *joiner, const struct rf_address *address)
{
    for (size_t i = 0; i < joiner->seeds_count; i++) {
        struct rf_seed *seed = &joiner->seeds[i];
        if (rf_address_equal(&seed->joined, address)) {
            seed->is_joined = true;
            seed->is_failing = false;
        }
    }
}

static bool is_there(const struct rf_serf *serf, const struct rf_address *address)
{
    struct rf_serf_member_view member;
    size_t cursor = 0;
    while (rf_serf_member_next(serf, &cursor, &member)) {
        if ((member.status == RF_SERF_ALIVE || member.status == RF_SERF_LEAVING) &&
            rf_address_equal(&member.address, address)) {
            return true;
        }
    }
    return false;
}

void rf_joiner_lost(struct rf_joiner *joiner, uint64_t now_ns, const struct rf_serf *serf)
{
    for (size_t i = 0; i < joiner->seeds_count; i++) {
        struct rf_seed *seed = &joiner->seeds[i];
        if (seed->state == RF_SEED_JOINING) {
            seed->state = RF_SEED_IDLE;
            seed_failed(joiner, seed, "out of memory");
        }
        if (seed->is_joined && seed->joined.ip_size > 0 && !is_there(serf, &seed->joined)) {
            rf_joiner_gone(joiner, now_ns, &seed->joined);
        }
    }
    joiner->known.is_joining = false;
    if (joiner->is_in_round) {
        round_end(joiner, now_ns, serf);
    }
}

uint64_t rf_joiner_deadline_ns(const struct rf_joiner *joiner)
{
    /* A round under way is driven by its lookups and exchanges, which wake the thread. */
    return joiner->is_in_round ? UINT64_MAX : joiner->next_ns;
}
