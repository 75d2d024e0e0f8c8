/* SPDX-License-Identifier: MIT
 *
 * fuzz_snapshot.c - the input as a snapshot: read, a machine restored from it, saved by it, and
 * read again to the same. CRCs are hard to guess, so the input is also taken as a list of records
 * without CRC, which are then given theirs.
 */
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/bytes.h"
#include "core/crc32.h"
#include "gossip/serf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_snapshot(struct rf_snapshot *snapshot, struct rf_slice bytes)
{
    rf_snapshot_init(snapshot, 1);
    int code = rf_snapshot_read(snapshot, bytes);
    RF_ASSERT(code == 0);
    RF_ASSERT(snapshot->skipped_size <= bytes.size);
    rf_contacts_check(&snapshot->contacts);
    RF_ASSERT(rf_contacts_find(&snapshot->contacts, rf_slice_text(snapshot->name)) == NULL);
}

static struct rf_serf *restored(const struct rf_snapshot *snapshot)
{
    struct rf_serf_config config;
    struct rf_serf *serf = NULL;
    rf_serf_config_init(&config, RF_SWIM_LAN);
    config.swim.name = "me";
    config.swim.address = (struct rf_address){.ip = {10, 0, 0, 1}, .ip_size = 4, .port = 7946};
    config.restore = snapshot;
    int code = rf_serf_new(&config, 3, 1, &serf, NULL);
    RF_ASSERT(code == 0); /* no snapshot keeps a node from starting */
    rf_serf_check(serf);
    return serf;
}

/* What a restored node saves is all it was restored from, but for contacts with its own address. */
static void round_trip(struct rf_slice bytes)
{
    struct rf_snapshot snapshot;
    read_snapshot(&snapshot, bytes);
    struct rf_serf *serf = restored(&snapshot);
    uint8_t *whole;
    size_t whole_size;
    int code = rf_serf_snapshot(serf, &whole, &whole_size);
    RF_ASSERT(code == 0);
    struct rf_snapshot again;
    read_snapshot(&again, rf_slice(whole, whole_size));
    RF_ASSERT(again.skipped_size == 0 && again.contacts.count <= snapshot.contacts.count);
    RF_ASSERT(again.clocks.member_time >= snapshot.clocks.member_time);
    for (size_t i = 0; i < again.contacts.count; i++) {
        const struct rf_contact *now = again.contacts.list[i];
        const struct rf_contact *then = rf_contacts_find(&snapshot.contacts, now->link.name);
        RF_ASSERT(then != NULL && rf_address_equal(&then->address, &now->address) &&
                  then->was_alive == now->was_alive);
    }
    rf_snapshot_fini(&again);
    free(whole);
    rf_serf_free(serf);
    rf_snapshot_fini(&snapshot);
}

/* Type, payload size (one byte), payload, and so on: becomes records that are sound. */
static void round_trip_sound(struct rf_slice plain)
{
    uint8_t *bytes = malloc(8 * plain.size + 1);
    RF_ASSERT(bytes != NULL);
    size_t used = 0;
    while (plain.size >= 2) {
        size_t size = plain.data[1] < plain.size - 2 ? plain.data[1] : plain.size - 2;
        uint8_t *at = bytes + used;
        at[0] = 0xd7;
        at[1] = plain.data[0];
        rf_store_le16(at + 2, (uint16_t)size);
        memcpy(at + 4, plain.data + 2, size);
        rf_store_le32(at + 4 + size, rf_crc32(at, 4 + size));
        used += 8 + size;
        plain = rf_slice_after(plain, 2 + size);
    }
    round_trip(rf_slice(bytes, used));
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    round_trip(rf_slice(data, size));
    round_trip_sound(rf_slice(data, size));
    return 0;
}
