/* SPDX-License-Identifier: MIT
 *
 * fuzz_roster.c - any sequence of changes, resyncs and commits: every catalog is consistent, also
 * the older ones while they are held, and the last one equals that of a roster which was told the
 * same members at once.
 *
 * Input: one byte says what to do, up to five more say with whom; texts end with a NUL.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/catalog.h"

enum { HELD_COUNT = 3, TEXT_SIZE = 300, REPLICAS_MAX = 64 };

struct input {
    const uint8_t *at;
    const uint8_t *end;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t next_byte(struct input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

static void next_text(struct input *input, char text[TEXT_SIZE])
{
    size_t used = 0;
    uint8_t byte;
    while (used < TEXT_SIZE - 1 && (byte = next_byte(input)) != '\0') {
        text[used++] = (char)byte;
    }
    text[used] = '\0';
}

/* A few names, so that members meet. */
static void put_known(struct rf_roster *roster, struct input *input)
{
    const uint8_t who = next_byte(input);
    const char id[] = {'i', (char)('a' + who % 16), '\0'};
    const char group[] = {'g', (char)('a' + who / 16 % 4), '\0'};
    const char addr[] = {'h', ':', (char)('1' + who / 64), '\0'};
    struct rf_member member = {
        .id = id,
        .group = group,
        .addr = addr,
        .replicas = next_byte(input) % REPLICAS_MAX + 1U,
        .state = (enum rf_member_state)(next_byte(input) % 5),
    };
    if (member.state == RF_MEMBER_HELD) {
        member.state = RF_MEMBER_DRAINING;
        member.replicas = 0;
    }
    const int code = rf_roster_put(roster, &member, NULL);
    RF_ASSERT(code == 0 || code == 1);
}

/* Whatever a node may gossip. Absurd weights are as good as any and only slow. */
static void put_gossiped(struct rf_roster *roster, struct input *input)
{
    char texts[4][TEXT_SIZE];
    struct rf_member member;
    for (int i = 0; i < 4; i++) {
        next_text(input, texts[i]);
    }
    if (rf_member_from_tags(texts[0], texts[1], texts[2], texts[3], RF_MEMBER_ALIVE, &member, NULL,
                            NULL) == 0) {
        RF_ASSERT(rf_member_check(&member, NULL) == 0);
        if (member.replicas > REPLICAS_MAX) {
            member.replicas = REPLICAS_MAX;
        }
        const int code = rf_roster_put(roster, &member, NULL);
        RF_ASSERT(code == 0 || code == 1);
    }
}

static struct rf_catalog *commit(struct rf_roster *roster)
{
    struct rf_catalog *catalog = NULL;
    const int code = rf_roster_commit(roster, &catalog, NULL);
    RF_ASSERT(code == 0);
    if (catalog != NULL) {
        rf_catalog_check(catalog);
    }
    return catalog;
}

static void check_retold(const struct rf_catalog *told)
{
    struct rf_roster *roster = NULL;
    const int code = rf_roster_new(told->placement, &roster, NULL);
    RF_ASSERT(code == 0);
    for (size_t i = 0; i < told->groups_count; i++) {
        const struct rf_group *group = told->groups[i];
        for (size_t j = group->members_count; j-- > 0;) {
            const int put_code = rf_roster_put(roster, &group->members[j], NULL);
            RF_ASSERT(put_code == 1);
        }
    }
    struct rf_catalog *retold = commit(roster);
    RF_ASSERT(retold != NULL && retold->digest == told->digest);
    RF_ASSERT(retold->groups_count == told->groups_count);
    for (size_t i = 0; i < told->groups_count; i++) {
        for (uint64_t key = 0; key < 4; key++) {
            const uint64_t hash = key << 62;
            const struct rf_member *a = rf_group_owner(told->groups[i], hash);
            const struct rf_member *b = rf_group_owner(retold->groups[i], hash);
            RF_ASSERT((a == NULL) == (b == NULL));
            RF_ASSERT(a == NULL || strcmp(a->id, b->id) == 0);
        }
    }
    rf_catalog_free(retold);
    rf_roster_free(roster);
}

static void step(struct rf_roster *roster, struct input *input, struct rf_catalog **held)
{
    char id[TEXT_SIZE];
    switch (next_byte(input) % 8) {
    case 0:
        next_text(input, id);
        (void)rf_roster_remove(roster, id); /* whether it was there is the input's affair */
        break;
    case 1:
        rf_roster_mark(roster);
        break;
    case 2:
        (void)rf_roster_sweep(roster);
        break;
    case 3: {
        struct rf_catalog *catalog = commit(roster);
        struct rf_catalog **slot = &held[next_byte(input) % HELD_COUNT];
        if (catalog != NULL) {
            if (*slot != NULL) {
                rf_catalog_check(*slot);
            }
            rf_catalog_free(*slot);
            *slot = catalog;
        }
        break;
    }
    case 4:
        put_gossiped(roster, input);
        break;
    default:
        put_known(roster, input);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    struct rf_catalog *held[HELD_COUNT] = {NULL};
    struct rf_roster *roster = NULL;
    const enum rf_placement placement =
        next_byte(&input) % 2 == 0 ? RF_PLACEMENT_V1 : RF_PLACEMENT_CRC32;
    const int code = rf_roster_new(placement, &roster, NULL);
    RF_ASSERT(code == 0);
    while (input.at < input.end) {
        step(roster, &input, held);
    }
    const struct rf_member last = {
        .id = "last", .group = "last", .addr = "h:1", .replicas = 1, .state = RF_MEMBER_FAILED};
    const int put_code = rf_roster_put(roster, &last, NULL);
    RF_ASSERT(put_code >= 0);
    struct rf_catalog *catalog = commit(roster);
    rf_roster_free(roster);
    if (catalog != NULL) {
        check_retold(catalog);
    }
    for (size_t i = 0; i < HELD_COUNT; i++) {
        rf_catalog_free(held[i]);
    }
    rf_catalog_free(catalog);
    return 0;
}
