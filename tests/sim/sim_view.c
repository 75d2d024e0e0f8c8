/* SPDX-License-Identifier: MIT
 *
 * sim_view.c - what nodes think of each other, and the accounts of a run.
 */
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/digest.h"
#include "gossip/tags.h"
#include "tests/sim/sim_private.h"

size_t rf_sim_index(const struct rf_sim *sim, const char *name, size_t name_size)
{
    enum { PREFIX = 5, DIGITS_MAX = 5 };
    if (name_size <= PREFIX || name_size > PREFIX + DIGITS_MAX ||
        memcmp(name, "node-", PREFIX) != 0) {
        return RF_SIM_NODES_MAX;
    }
    size_t index = 0;
    for (size_t i = PREFIX; i < name_size; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return RF_SIM_NODES_MAX;
        }
        index = 10 * index + (size_t)(name[i] - '0');
    }
    return index < sim->nodes_count ? index : RF_SIM_NODES_MAX;
}

enum rf_serf_status rf_sim_status(const struct rf_sim *sim, size_t observer, size_t subject)
{
    const char *name = sim->nodes[subject].name;
    const struct rf_member_entry *member =
        rf_serf_member(sim->nodes[observer].serf, rf_slice_text(name));
    return member == NULL ? RF_SERF_NONE : member->status;
}

size_t rf_sim_seen_as(const struct rf_sim *sim, size_t subject, enum rf_serf_status status)
{
    size_t count = 0;
    for (size_t i = 0; i < sim->nodes_count; i++) {
        count +=
            i != subject && sim->nodes[i].serf != NULL && rf_sim_status(sim, i, subject) == status;
    }
    return count;
}

/* In two passes over what is there rather than n lookups: entries seen alive though they do not
 * run, and, by the count of those seen rightly, the ones that run and are not seen. */
static size_t disagreements_at(const struct rf_sim *sim, size_t observer, size_t running)
{
    const struct rf_serf *serf = sim->nodes[observer].serf;
    size_t wrong = 0;
    size_t right = 0;
    for (size_t i = 0; i < serf->members.count; i++) {
        const struct rf_member_entry *member = serf->members_list[i];
        if (member->status != RF_SERF_ALIVE) {
            continue;
        }
        size_t subject = rf_sim_index(sim, member->name, member->link.name.size);
        bool is_up = subject < sim->nodes_count && sim->nodes[subject].serf != NULL;
        right += is_up;
        wrong += !is_up;
    }
    return wrong + (running > right ? running - right : 0);
}

size_t rf_sim_disagreements(const struct rf_sim *sim)
{
    size_t running = rf_sim_running(sim);
    size_t count = 0;
    for (size_t i = 0; i < sim->nodes_count; i++) {
        count += sim->nodes[i].serf == NULL ? 0 : disagreements_at(sim, i, running);
    }
    return count;
}

bool rf_sim_is_converged(const struct rf_sim *sim)
{
    size_t running = rf_sim_running(sim);
    for (size_t i = 0; i < sim->nodes_count; i++) {
        if (sim->nodes[i].serf != NULL && disagreements_at(sim, i, running) > 0) {
            return false;
        }
    }
    return true;
}

bool rf_sim_is_nearly_converged(const struct rf_sim *sim)
{
    return rf_sim_disagreements(sim) <= 2 + sim->nodes_count * sim->nodes_count / 20;
}

/* ---- digests ---- */

static bool is_in_ring(const struct rf_member_entry *member)
{
    return member->status == RF_SERF_ALIVE || member->status == RF_SERF_LEAVING;
}

static const char *tag_text(struct rf_slice meta, const char *name, char text[64])
{
    struct rf_slice value;
    if (!rf_tags_find(meta, rf_slice_text(name), &value) || value.size >= 64) {
        return NULL;
    }
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    return text;
}

uint64_t rf_sim_digest(const struct rf_sim *sim, size_t index)
{
    const struct rf_serf *serf = sim->nodes[index].serf;
    uint64_t sum = 0;
    for (size_t i = 0; i < serf->members.count; i++) {
        const struct rf_member_entry *entry = serf->members_list[i];
        struct rf_slice meta = rf_slice(entry->meta, entry->meta_size);
        char group[64];
        char addr[64];
        char replicas[64];
        struct rf_member member;
        if (is_in_ring(entry) &&
            rf_member_from_tags(entry->name, tag_text(meta, "group", group),
                                tag_text(meta, "addr", addr), tag_text(meta, "replicas", replicas),
                                RF_MEMBER_ALIVE, &member, NULL, NULL) == 0) {
            sum += rf_digest_member(&member);
        }
    }
    return rf_digest_catalog(RF_PLACEMENT_V1, sum);
}

/* Of the same members by other means: each name with its metadata, in any order. */
static uint64_t fingerprint(const struct rf_sim *sim, size_t index)
{
    const struct rf_serf *serf = sim->nodes[index].serf;
    uint64_t sum = 0;
    for (size_t i = 0; i < serf->members.count; i++) {
        const struct rf_member_entry *entry = serf->members_list[i];
        if (is_in_ring(entry)) {
            uint64_t of_meta = rf_name_hash(1, rf_slice(entry->meta, entry->meta_size));
            sum += rf_name_hash(of_meta, entry->link.name);
        }
    }
    return sum;
}

struct print {
    uint64_t fingerprint;
    uint64_t digest;
};

static int compare_prints(const void *a, const void *b)
{
    const struct print *left = a;
    const struct print *right = b;
    return left->fingerprint < right->fingerprint   ? -1
           : left->fingerprint > right->fingerprint ? 1
                                                    : 0;
}

size_t rf_sim_checkpoint(const struct rf_sim *sim)
{
    struct print *prints = calloc(sim->nodes_count + 1, sizeof(*prints));
    RF_ASSERT(prints != NULL);
    size_t count = 0;
    for (size_t i = 0; i < sim->nodes_count; i++) {
        if (sim->nodes[i].serf != NULL) {
            rf_serf_check(sim->nodes[i].serf);
            prints[count++] = (struct print){fingerprint(sim, i), rf_sim_digest(sim, i)};
        }
    }
    qsort(prints, count, sizeof(*prints), compare_prints);
    size_t different = count > 0;
    for (size_t i = 1; i < count; i++) {
        bool is_same = prints[i].fingerprint == prints[i - 1].fingerprint;
        RF_ASSERT(!is_same || prints[i].digest == prints[i - 1].digest);
        different += !is_same;
    }
    free(prints);
    return different;
}

/* ---- accounts ---- */

size_t rf_sim_running(const struct rf_sim *sim)
{
    size_t count = 0;
    for (size_t i = 0; i < sim->nodes_count; i++) {
        count += sim->nodes[i].serf != NULL;
    }
    return count;
}

struct rf_sim_traffic rf_sim_traffic(const struct rf_sim *sim)
{
    struct rf_sim_traffic sum = {0};
    for (size_t i = 0; i < sim->nodes_count; i++) {
        const struct rf_sim_traffic *traffic = &sim->nodes[i].traffic;
        sum.packets += traffic->packets;
        sum.packet_bytes += traffic->packet_bytes;
        sum.streams += traffic->streams;
        sum.stream_bytes += traffic->stream_bytes;
    }
    return sum;
}

uint64_t rf_sim_sum(const struct rf_sim *sim, size_t stats_offset)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < sim->nodes_count; i++) {
        if (sim->nodes[i].serf != NULL) {
            struct rf_serf_stats stats;
            uint64_t value;
            rf_serf_get_stats(sim->nodes[i].serf, &stats);
            memcpy(&value, (const char *)&stats + stats_offset, sizeof(value));
            sum += value;
        }
    }
    return sum;
}
