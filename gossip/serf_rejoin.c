/* SPDX-License-Identifier: MIT
 *
 * serf_rejoin.c - what a node remembers over a restart, and whom it calls to heal a cluster that
 * fell apart (rules 27.2, 27.4).
 *
 * Members of a snapshot are no members until the cluster says so: they are contacts, which nobody
 * sees, and which are called as failed members are. So views stay equal, also where a member was
 * forgotten on purpose while we were away.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/assert.h"
#include "gossip/serf_private.h"

/* ---- restoring ---- */

static void restore_clocks(struct rf_serf *serf, const struct rf_snapshot_clocks *clocks)
{
    /* 0 is a clock that is not known; those below 1 do not occur. */
    serf->member_time = clocks->member_time > 1 ? clocks->member_time : 1;
    serf->event_time = clocks->event_time > 1 ? clocks->event_time : 1;
    serf->query_time = clocks->query_time > 1 ? clocks->query_time : 1;
    serf->event_time_min = clocks->event_time;
    serf->query_time_min = clocks->query_time;
}

int rf_serf_restore(struct rf_serf *serf, const struct rf_snapshot *snapshot)
{
    restore_clocks(serf, &snapshot->clocks);
    const struct rf_node *self = serf->swim.self;
    for (size_t i = 0; i < snapshot->contacts.count; i++) {
        const struct rf_contact *contact = snapshot->contacts.list[i];
        /* Under another name that we had before, it would be us. */
        if (rf_slice_equal(contact->link.name, self->link.name) ||
            rf_address_equal(&contact->address, &self->address)) {
            continue;
        }
        int code = rf_contacts_put(&serf->contacts, contact->link.name, &contact->address,
                                   contact->was_alive);
        if (code < 0) {
            return code;
        }
    }
    rf_contacts_shuffle(&serf->contacts, &serf->swim.random);
    serf->contacts_until_ns = serf->now_ns + serf->config.reconnect_timeout_ns;
    return 0;
}

bool rf_serf_is_alone(const struct rf_serf *serf)
{
    return rf_serf_alive_count(serf) <= 1;
}

/* As long as failed members are remembered; whoever is alone keeps all it has. */
void rf_serf_contacts_tick(struct rf_serf *serf)
{
    if (serf->contacts.count > 0 && serf->contacts_until_ns <= serf->now_ns &&
        !rf_serf_is_alone(serf)) {
        rf_contacts_clear(&serf->contacts);
    }
}

void rf_serf_contacts_check(const struct rf_serf *serf)
{
    rf_contacts_check(&serf->contacts);
    for (size_t i = 0; i < serf->contacts.count; i++) {
        RF_ASSERT(rf_serf_member(serf, serf->contacts.list[i]->link.name) == NULL);
    }
}

/* ---- saving ---- */

void rf_serf_get_clocks(const struct rf_serf *serf, struct rf_snapshot_clocks *ret_clocks,
                        uint32_t *ret_incarnation)
{
    *ret_clocks = (struct rf_snapshot_clocks){.member_time = serf->member_time,
                                              .event_time = serf->event_time,
                                              .query_time = serf->query_time};
    *ret_incarnation = serf->swim.incarnation;
}

struct whole {
    uint8_t *bytes;
    size_t size;
    size_t records_left; /* members that there is room for */
};

static void whole_put(struct whole *whole, struct rf_slice name, const struct rf_address *address,
                      bool is_alive)
{
    if (whole->records_left > 0) {
        whole->records_left--;
        whole->size += rf_snapshot_put_member(whole->bytes + whole->size, name, address, is_alive);
    }
}

static void put_members(const struct rf_serf *serf, struct whole *whole, bool is_alive)
{
    for (size_t i = 0; i < serf->members.count; i++) {
        const struct rf_member_entry *member = serf->members_list[i];
        bool was_alive = member->status == RF_SERF_ALIVE || member->status == RF_SERF_LEAVING;
        bool is_wanted = was_alive || member->status == RF_SERF_FAILED;
        if (is_wanted && was_alive == is_alive &&
            !rf_slice_equal(member->link.name, serf->swim.self->link.name)) {
            whole_put(whole, member->link.name, &member->address, is_alive);
        }
    }
    for (size_t i = 0; i < serf->contacts.count; i++) {
        const struct rf_contact *contact = serf->contacts.list[i];
        if (contact->was_alive == is_alive) {
            whole_put(whole, contact->link.name, &contact->address, is_alive);
        }
    }
}

int rf_serf_snapshot(const struct rf_serf *serf, uint8_t **ret_bytes, size_t *ret_size)
{
    size_t records_max = serf->members.count + serf->contacts.count;
    records_max = records_max < RF_CONTACTS_MAX ? records_max : RF_CONTACTS_MAX;
    struct whole whole = {.records_left = records_max};
    whole.bytes = malloc((records_max + 2) * RF_SNAPSHOT_RECORD_SIZE_MAX);
    if (whole.bytes == NULL) {
        return -ENOMEM;
    }
    struct rf_snapshot_clocks clocks;
    uint32_t incarnation;
    rf_serf_get_clocks(serf, &clocks, &incarnation);
    whole.size = rf_snapshot_put_self(whole.bytes, serf->swim.self->link.name, incarnation);
    whole.size += rf_snapshot_put_clocks(whole.bytes + whole.size, &clocks);
    put_members(serf, &whole, true);
    put_members(serf, &whole, false);
    *ret_bytes = whole.bytes;
    *ret_size = whole.size;
    return 0;
}

/* ---- calling those that are not there ---- */

size_t rf_serf_rejoin_count(const struct rf_serf *serf)
{
    return serf->contacts.count + serf->status_counts[RF_SERF_FAILED];
}

size_t rf_serf_rejoin_pick(struct rf_serf *serf, struct rf_address *ret_addresses,
                           size_t addresses_max, bool *ret_is_last)
{
    size_t count = 0;
    while (count < addresses_max && serf->contacts_next < serf->contacts.count) {
        ret_addresses[count++] = serf->contacts.list[serf->contacts_next++]->address;
    }
    *ret_is_last = serf->contacts_next >= serf->contacts.count;
    if (!*ret_is_last) {
        return count;
    }
    serf->contacts_next = 0;
    size_t start = rf_random_below(&serf->swim.random, serf->members.count);
    for (size_t i = 0; i < serf->members.count && count < addresses_max; i++) {
        const struct rf_member_entry *member =
            serf->members_list[(start + i) % serf->members.count];
        if (member->status == RF_SERF_FAILED) {
            ret_addresses[count++] = member->address;
        }
    }
    return count;
}

static const struct rf_address *absent_address(const struct rf_serf *serf, size_t index)
{
    if (index < serf->contacts.count) {
        return &serf->contacts.list[index]->address;
    }
    index -= serf->contacts.count;
    for (size_t i = 0; i < serf->members.count; i++) {
        const struct rf_member_entry *member = serf->members_list[i];
        if (member->status == RF_SERF_FAILED && index-- == 0) {
            return &member->address;
        }
    }
    RF_ASSERT(!"more failed members are counted than there are");
    return NULL;
}

/* With many failed members and few alive everybody tries often, else one of all does now and then.
 */
void rf_serf_reconnect(struct rf_serf *serf)
{
    size_t absent_count = rf_serf_rejoin_count(serf);
    size_t others = serf->members.count - serf->status_counts[RF_SERF_FAILED] -
                    serf->status_counts[RF_SERF_LEFT];
    if (absent_count == 0 || serf->leave_step != RF_LEAVE_NOT ||
        rf_random_below(&serf->swim.random, others > 0 ? others : 1) >= absent_count) {
        return;
    }
    size_t index = rf_random_below(&serf->swim.random, absent_count);
    if (rf_swim_push_pull(&serf->swim, serf->now_ns, absent_address(serf, index),
                          RF_EXCHANGE_RECONNECT, 0) != 0) {
        serf->stats.reconnects++;
    }
}
