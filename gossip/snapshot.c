/* SPDX-License-Identifier: MIT */
#include "gossip/snapshot.h"

#include <errno.h>
#include <string.h>

#include "core/assert.h"
#include "core/bytes.h"
#include "core/crc32.h"

enum {
    MARKER = 0xd7, /* any byte that is rare in names, addresses and small numbers */
    HEAD_SIZE = 4,
    CRC_SIZE = 4,
    PAYLOAD_SIZE_MAX = RF_SNAPSHOT_RECORD_SIZE_MAX - HEAD_SIZE - CRC_SIZE,
    CLOCKS_SIZE = 24,
    MEMBER_HEAD_SIZE = 4, /* state, port, ip size */
};

enum record_type { RECORD_SELF = 1, RECORD_CLOCKS = 2, RECORD_MEMBER = 3, RECORD_FORGET = 4 };

static_assert(MEMBER_HEAD_SIZE + 16 + RF_GOSSIP_NAME_SIZE_MAX == PAYLOAD_SIZE_MAX, "the longest");

/* ---- writing ---- */

static size_t record_end(uint8_t *at, enum record_type type, size_t payload_size)
{
    at[0] = MARKER;
    at[1] = (uint8_t)type;
    rf_store_le16(at + 2, (uint16_t)payload_size);
    size_t size = HEAD_SIZE + payload_size;
    rf_store_le32(at + size, rf_crc32(at, size));
    return size + CRC_SIZE;
}

static void check_name(struct rf_slice name)
{
    RF_ASSERT(name.size > 0 && name.size <= RF_GOSSIP_NAME_SIZE_MAX);
}

size_t rf_snapshot_put_self(uint8_t at[RF_SNAPSHOT_RECORD_SIZE_MAX], struct rf_slice name,
                            uint32_t incarnation)
{
    check_name(name);
    rf_store_le32(at + HEAD_SIZE, incarnation);
    memcpy(at + HEAD_SIZE + 4, name.data, name.size);
    return record_end(at, RECORD_SELF, 4 + name.size);
}

size_t rf_snapshot_put_clocks(uint8_t at[RF_SNAPSHOT_RECORD_SIZE_MAX],
                              const struct rf_snapshot_clocks *clocks)
{
    rf_store_le64(at + HEAD_SIZE, clocks->member_time);
    rf_store_le64(at + HEAD_SIZE + 8, clocks->event_time);
    rf_store_le64(at + HEAD_SIZE + 16, clocks->query_time);
    return record_end(at, RECORD_CLOCKS, CLOCKS_SIZE);
}

size_t rf_snapshot_put_member(uint8_t at[RF_SNAPSHOT_RECORD_SIZE_MAX], struct rf_slice name,
                              const struct rf_address *address, bool is_alive)
{
    check_name(name);
    RF_ASSERT((address->ip_size == 4 || address->ip_size == 16) && address->port > 0);
    uint8_t *payload = at + HEAD_SIZE;
    payload[0] = is_alive;
    rf_store_le16(payload + 1, address->port);
    payload[3] = address->ip_size;
    memcpy(payload + MEMBER_HEAD_SIZE, address->ip, address->ip_size);
    size_t head_size = MEMBER_HEAD_SIZE + address->ip_size;
    memcpy(payload + head_size, name.data, name.size);
    return record_end(at, RECORD_MEMBER, head_size + name.size);
}

size_t rf_snapshot_put_forget(uint8_t at[RF_SNAPSHOT_RECORD_SIZE_MAX], struct rf_slice name)
{
    check_name(name);
    memcpy(at + HEAD_SIZE, name.data, name.size);
    return record_end(at, RECORD_FORGET, name.size);
}

/* ---- reading ---- */

void rf_snapshot_init(struct rf_snapshot *snapshot, uint64_t seed)
{
    memset(snapshot, 0, sizeof(*snapshot));
    rf_contacts_init(&snapshot->contacts, seed);
}

void rf_snapshot_fini(struct rf_snapshot *snapshot)
{
    rf_contacts_fini(&snapshot->contacts);
}

static bool is_name(struct rf_slice name)
{
    return name.size > 0 && name.size <= RF_GOSSIP_NAME_SIZE_MAX;
}

static void read_self(struct rf_snapshot *snapshot, struct rf_slice payload)
{
    if (payload.size < 4 || !is_name(rf_slice_after(payload, 4))) {
        return;
    }
    struct rf_slice name = rf_slice_after(payload, 4);
    if (memchr(name.data, '\0', name.size) != NULL) {
        return; /* no name of ours */
    }
    snapshot->incarnation = rf_load_le32(payload.data);
    memcpy(snapshot->name, name.data, name.size);
    snapshot->name[name.size] = '\0';
    rf_contacts_remove(&snapshot->contacts, name);
}

static void read_clocks(struct rf_snapshot *snapshot, struct rf_slice payload)
{
    if (payload.size == CLOCKS_SIZE) {
        snapshot->clocks =
            (struct rf_snapshot_clocks){.member_time = rf_load_le64(payload.data),
                                        .event_time = rf_load_le64(payload.data + 8),
                                        .query_time = rf_load_le64(payload.data + 16)};
    }
}

static int read_member(struct rf_snapshot *snapshot, struct rf_slice payload)
{
    if (payload.size < MEMBER_HEAD_SIZE) {
        return 0;
    }
    struct rf_address address = {.port = rf_load_le16(payload.data + 1),
                                 .ip_size = payload.data[3]};
    size_t head_size = MEMBER_HEAD_SIZE + (size_t)address.ip_size;
    if ((address.ip_size != 4 && address.ip_size != 16) || address.port == 0 ||
        payload.size < head_size || !is_name(rf_slice_after(payload, head_size))) {
        return 0;
    }
    memcpy(address.ip, payload.data + MEMBER_HEAD_SIZE, address.ip_size);
    struct rf_slice name = rf_slice_after(payload, head_size);
    if (rf_slice_equal_text(name, snapshot->name)) {
        return 0;
    }
    int code = rf_contacts_put(&snapshot->contacts, name, &address, payload.data[0] == 1);
    if (code == RF_ELIMIT) {
        snapshot->dropped_count++;
        return 0;
    }
    return code;
}

static int read_record(struct rf_snapshot *snapshot, uint8_t type, struct rf_slice payload)
{
    switch (type) {
    case RECORD_SELF:
        read_self(snapshot, payload);
        return 0;
    case RECORD_CLOCKS:
        read_clocks(snapshot, payload);
        return 0;
    case RECORD_MEMBER:
        return read_member(snapshot, payload);
    case RECORD_FORGET:
        rf_contacts_remove(&snapshot->contacts, payload);
        return 0;
    default:
        return 0;
    }
}

/* The size of the record at the start of `bytes`, or 0: there is none, or not a sound one. */
static size_t sound_size(struct rf_slice bytes)
{
    if (bytes.size < HEAD_SIZE + CRC_SIZE || bytes.data[0] != MARKER) {
        return 0;
    }
    size_t payload_size = rf_load_le16(bytes.data + 2);
    size_t size = HEAD_SIZE + payload_size;
    if (payload_size > PAYLOAD_SIZE_MAX || size + CRC_SIZE > bytes.size ||
        rf_load_le32(bytes.data + size) != rf_crc32(bytes.data, size)) {
        return 0;
    }
    return size + CRC_SIZE;
}

int rf_snapshot_read(struct rf_snapshot *snapshot, struct rf_slice bytes)
{
    while (bytes.size > 0) {
        size_t size = sound_size(bytes);
        if (size == 0) {
            snapshot->skipped_size++;
            bytes = rf_slice_after(bytes, 1);
            continue;
        }
        struct rf_slice payload = rf_slice(bytes.data + HEAD_SIZE, size - HEAD_SIZE - CRC_SIZE);
        int code = read_record(snapshot, bytes.data[1], payload);
        if (code < 0) {
            return code;
        }
        snapshot->records_count++;
        bytes = rf_slice_after(bytes, size);
    }
    return 0;
}
