/* SPDX-License-Identifier: MIT
 *
 * fuzz_replica.c - any pages, well or badly made, on connections that come and go: what is
 * published is always of one update that was complete and had its digest, or what it was before.
 *
 * Input: steps of one byte that says what to do and a size in one or two more. A page is the bytes
 * of a WATCH payload; of one that decodes, the digest may be made right, which no input would
 * guess.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/replica_private.h"
#include "core/assert.h"
#include "core/digest.h"

enum { KEYS_TRIED = 4, REPLICAS_MAX = 64 };

struct input {
    const uint8_t *at;
    const uint8_t *end;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t next_byte(struct input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

/* What the replica was told, as if this page were the last one: so that its digest is right. */
static uint64_t digest_with(const struct rf_replica *replica, struct rf_wire_cursor changes,
                            bool is_whole)
{
    struct rf_roster *roster = NULL;
    struct rf_wire_change change;
    int code = rf_roster_new(replica->placement, &roster, NULL);
    RF_ASSERT(code == 0);
    const struct rf_view *view = rf_replica_view(replica);
    for (size_t i = 0; !is_whole && view->group != NULL && i < view->group->members_count; i++) {
        code = rf_roster_put(roster, &view->group->members[i], NULL);
        RF_ASSERT(code >= 0);
    }
    while (rf_wire_watch_next(&changes, &change)) {
        char id[RF_NAME_SIZE_MAX + 1] = {0};
        char addr[RF_NAME_SIZE_MAX + 1] = {0};
        memcpy(id, change.member.owner.id.data, change.member.owner.id.size);
        if (change.is_forgotten) {
            (void)rf_roster_remove(roster, id);
            continue;
        }
        memcpy(addr, change.member.owner.addr.data, change.member.owner.addr.size);
        const struct rf_member member = {.id = id,
                                         .group = "web",
                                         .addr = addr,
                                         .replicas = change.member.replicas,
                                         .state = change.member.state};
        code = rf_roster_put(roster, &member, NULL);
        RF_ASSERT(code >= 0 || code == -EINVAL || code == RF_ELIMIT);
    }
    const uint64_t digest = rf_roster_sums(roster, "web").digest;
    rf_roster_free(roster);
    return digest;
}

static void check_view(struct rf_replica *replica, struct regfast_reader *reader)
{
    const struct rf_view *view = rf_replica_view(replica);
    struct regfast_watch_status status = {.size = sizeof(status)};
    rf_replica_status(replica, 1, 1, &status);
    RF_ASSERT((status.state == REGFAST_WATCH_EMPTY) == (view->kind == RF_VIEW_UNKNOWN));
    RF_ASSERT(status.version == view->version);
    if (view->group != NULL) {
        rf_group_check(view->group,
                       view->ring == NULL ? RF_PLACEMENT_V1 : rf_ring_placement(view->ring));
        RF_ASSERT(status.digest == view->group->digest);
    }
    for (uint64_t key = 0; key < KEYS_TRIED; key++) {
        struct regfast_owner owner;
        struct regfast_load load = {0};
        int code = regfast_local_match(reader, &key, sizeof(key), &owner);
        RF_ASSERT((code == 0) == (view->ring != NULL));
        if (code == 0 && view->group != NULL) { /* it is: a ring is a group's */
            const uint64_t hash =
                rf_placement_hash(rf_ring_placement(view->ring), &key, sizeof(key));
            const struct rf_member *wanted = rf_group_owner(view->group, hash);
            RF_ASSERT(wanted != NULL && strcmp(owner.id, wanted->id) == 0);
            RF_ASSERT(strcmp(owner.addr, wanted->addr) == 0);
            code = regfast_match_bounded(reader, &key, sizeof(key), 0, &owner, &load);
            RF_ASSERT(code == 0);
            regfast_load_done(reader, &load);
        }
    }
}

/* Absurd weights are as good as any and only slow. */
static bool is_light(struct rf_wire_cursor changes)
{
    struct rf_wire_change change;
    while (rf_wire_watch_next(&changes, &change)) {
        if (!change.is_forgotten && change.member.replicas > REPLICAS_MAX) {
            return false;
        }
    }
    return true;
}

static void take_page(struct rf_replica *replica, struct input *input, bool is_made_right)
{
    struct rf_wire_watch_reply page;
    size_t size = (size_t)next_byte(input) << 8;
    size |= next_byte(input);
    const size_t left = (size_t)(input->end - input->at);
    size = size < left ? size : left;
    /* In a block of its own, for the sanitizer. */
    uint8_t *payload = malloc(size + 1);
    RF_ASSERT(payload != NULL);
    memcpy(payload, input->at, size);
    input->at += size;
    if (rf_wire_watch_reply_decode(payload, size, &page, NULL) == 0 && is_light(page.changes)) {
        if (is_made_right) {
            page.head.digest = digest_with(replica, page.changes, page.head.is_whole);
            page.head.instance = page.head.is_whole || replica->instance == 0
                                     ? page.head.instance | 1
                                     : replica->instance;
            page.head.version |= replica->version;
        }
        const uint64_t refused = replica->status.refused;
        const int code = rf_replica_page(replica, &page, 1, NULL);
        RF_ASSERT(code == 0 || code == 1 || code == RF_EMALFORMED || code == RF_EDIGEST ||
                  code == RF_ELIMIT || code == RF_EUNAVAILABLE);
        RF_ASSERT((code == RF_EUNAVAILABLE) == (replica->status.refused > refused));
    }
    free(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    struct rf_replica *replica = NULL;
    struct regfast_reader *reader = NULL;
    uint64_t instance;
    uint64_t version;
    int code = rf_replica_new("web", &replica, NULL);
    RF_ASSERT(code == 0);
    code = rf_replica_reader_new(replica, &reader);
    RF_ASSERT(code == 0);
    while (input.at < input.end) {
        const uint8_t what = next_byte(&input);
        switch (what % 8) {
        case 0:
            rf_replica_disconnected(replica);
            break;
        case 1:
            rf_replica_connected(replica, "r", what & 8 ? RF_PLACEMENT_CRC32 : RF_PLACEMENT_V1);
            break;
        case 2:
            rf_replica_heard(replica, what);
            break;
        case 3:
            take_page(replica, &input, false);
            break;
        default:
            if (replica->is_void) {
                rf_replica_connected(replica, "r", RF_PLACEMENT_V1);
            }
            take_page(replica, &input, true);
            break;
        }
        rf_replica_resume(replica, &instance, &version);
        check_view(replica, reader);
    }
    RF_ASSERT(atomic_load(&replica->loads.total) == 0);
    regfast_reader_free(reader);
    rf_replica_free(replica);
    return 0;
}
