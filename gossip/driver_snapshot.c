/* SPDX-License-Identifier: MIT
 *
 * driver_snapshot.c - what changes on the gossip thread, on its way to the snapshot's file.
 *
 * Changes are collected as records and handed over twice a second at most, if the writing thread
 * has room. Where records were lost, for want of room or memory, a whole snapshot takes their
 * place.
 */
#include <stdlib.h>
#include <string.h>

#include "gossip/driver.h"

#define HANDOVER_NS UINT64_C(500000000) /* serf's flush interval */

static void lose(struct rf_driver_snapshot *snapshot)
{
    free(snapshot->bytes);
    snapshot->bytes = NULL;
    snapshot->size = 0;
    snapshot->is_lost = true;
}

static void put(struct rf_gossip *gossip, const uint8_t *record, size_t size)
{
    struct rf_driver_snapshot *snapshot = &gossip->snapshot;
    if (snapshot->is_lost) {
        rf_counter_add(&gossip->counters.snapshot_records_dropped, 1);
        return;
    }
    if (snapshot->bytes == NULL) {
        snapshot->bytes = malloc(RF_SNAPSHOT_BATCH_SIZE);
    }
    if (snapshot->bytes == NULL || size > RF_SNAPSHOT_BATCH_SIZE - snapshot->size) {
        lose(snapshot);
        rf_counter_add(&gossip->counters.snapshot_records_dropped, 1);
        return;
    }
    memcpy(snapshot->bytes + snapshot->size, record, size);
    snapshot->size += size;
}

void rf_driver_snapshot_member(struct rf_gossip *gossip, const struct rf_output *output)
{
    struct rf_slice name = rf_slice(output->name, output->name_size);
    if (gossip->snapshot.file == NULL || rf_slice_equal_text(name, gossip->name)) {
        return;
    }
    uint8_t record[RF_SNAPSHOT_RECORD_SIZE_MAX];
    enum rf_serf_status status = (enum rf_serf_status)output->status;
    bool is_here = status == RF_SERF_ALIVE || status == RF_SERF_LEAVING;
    bool is_gone = output->change == RF_MEMBER_CHANGE_REAP || status == RF_SERF_LEFT;
    size_t size = is_gone ? rf_snapshot_put_forget(record, name)
                          : rf_snapshot_put_member(record, name, &output->address, is_here);
    put(gossip, record, size);
}

void rf_driver_snapshot_lost(struct rf_gossip *gossip)
{
    lose(&gossip->snapshot);
}

/* What changes without a member event. */
static void put_clocks(struct rf_gossip *gossip)
{
    struct rf_driver_snapshot *snapshot = &gossip->snapshot;
    struct rf_snapshot_clocks clocks;
    uint32_t incarnation;
    uint8_t record[RF_SNAPSHOT_RECORD_SIZE_MAX];
    rf_serf_get_clocks(gossip->serf, &clocks, &incarnation);
    if (incarnation != snapshot->incarnation) {
        put(gossip, record, rf_snapshot_put_self(record, rf_slice_text(gossip->name), incarnation));
    }
    if (memcmp(&clocks, &snapshot->clocks, sizeof(clocks)) != 0) {
        put(gossip, record, rf_snapshot_put_clocks(record, &clocks));
    }
    snapshot->incarnation = incarnation;
    snapshot->clocks = clocks;
}

/* What is to be written now; NULL: nothing, or no memory for it. */
static struct rf_snapshot_batch *batch_next(struct rf_gossip *gossip)
{
    struct rf_driver_snapshot *snapshot = &gossip->snapshot;
    put_clocks(gossip);
    if (!snapshot->is_lost && !rf_snapshot_file_wants_whole(snapshot->file)) {
        struct rf_snapshot_batch *batch =
            snapshot->size == 0 ? NULL
                                : rf_snapshot_batch_new(snapshot->bytes, snapshot->size, false);
        snapshot->is_lost = batch == NULL && snapshot->size > 0;
        if (snapshot->size > 0) {
            snapshot->bytes = NULL;
            snapshot->size = 0;
        }
        return batch;
    }
    lose(snapshot); /* the whole one has it all */
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (rf_serf_snapshot(gossip->serf, &bytes, &size) < 0) {
        return NULL;
    }
    struct rf_snapshot_batch *batch = rf_snapshot_batch_new(bytes, size, true);
    snapshot->is_lost = batch == NULL;
    return batch;
}

void rf_driver_snapshot_tick(struct rf_gossip *gossip, uint64_t now_ns)
{
    struct rf_driver_snapshot *snapshot = &gossip->snapshot;
    if (snapshot->file == NULL || now_ns < snapshot->next_ns) {
        return;
    }
    snapshot->next_ns = now_ns + HANDOVER_NS;
    if (!rf_snapshot_file_has_room(snapshot->file)) {
        rf_counter_add(&gossip->counters.snapshot_waits, 1);
        return;
    }
    struct rf_snapshot_batch *batch = batch_next(gossip);
    if (batch != NULL) {
        rf_snapshot_file_give(snapshot->file, batch);
    }
}

uint64_t rf_driver_snapshot_deadline_ns(const struct rf_gossip *gossip)
{
    const struct rf_driver_snapshot *snapshot = &gossip->snapshot;
    bool has_something = snapshot->size > 0 || snapshot->is_lost;
    return snapshot->file != NULL && has_something ? snapshot->next_ns : UINT64_MAX;
}

void rf_driver_snapshot_end(struct rf_gossip *gossip)
{
    struct rf_driver_snapshot *snapshot = &gossip->snapshot;
    if (snapshot->file != NULL) {
        rf_snapshot_file_close(snapshot->file, gossip->serf != NULL ? batch_next(gossip) : NULL);
    }
    free(snapshot->bytes);
    *snapshot = (struct rf_driver_snapshot){0};
}
