/* SPDX-License-Identifier: MIT */
#include "tools/regctl/group_ring.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/member.h"

enum { ATTEMPTS_MAX = 3 /* to hear placement and members from one registry */ };

static_assert((int)REGFAST_MEMBER_DRAINING == (int)RF_MEMBER_DRAINING,
              "states of the library are those of the core");

bool rf_regctl_is_in_ring(const struct regfast_member *member)
{
    return rf_member_is_in_ring((enum rf_member_state)member->state);
}

static int ask_placement(struct regfast_client *client, enum rf_placement *ret_placement,
                         char *error, size_t error_size)
{
    struct regfast_info_list *list;
    int code = regfast_info(client, &list, error, error_size);
    if (code < 0) {
        return code;
    }
    struct rf_error err;
    const char *name = "";
    for (size_t i = 0; i < list->count; i++) {
        const struct regfast_info *entry = &list->entries[i];
        if (entry->type == REGFAST_INFO_TEXT && strcmp(entry->name, "placement") == 0) {
            name = entry->text;
        }
    }
    code = rf_placement_parse(name, ret_placement, &err);
    if (code < 0) {
        (void)snprintf(error, error_size, "%s: %s", regfast_server(client), err.text);
        code = -EPROTO; /* not what was given here */
    }
    regfast_info_list_free(list);
    return code;
}

/* Placement and members from one registry: the client may change to another one in between. */
static int ask(struct regfast_client *client, struct regctl_ring *ring, char *error,
               size_t error_size)
{
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        int code = ask_placement(client, &ring->placement, error, error_size);
        free(ring->server);
        ring->server = strdup(regfast_server(client));
        if (code < 0) {
            return code;
        }
        if (ring->server == NULL) {
            (void)snprintf(error, error_size, "no memory");
            return -ENOMEM;
        }
        code = regfast_members(client, ring->group, &ring->list, error, error_size);
        if (code < 0) {
            return code;
        }
        if (strcmp(regfast_server(client), ring->server) == 0) {
            return 0;
        }
        regfast_member_list_free(ring->list);
        ring->list = NULL;
    }
    (void)snprintf(error, error_size, "no registry answers two questions in turn");
    return REGFAST_EUNAVAILABLE;
}

static int build(struct regctl_ring *ring, char *error, size_t error_size)
{
    ring->by_slot = calloc(ring->list->count + 1, sizeof(const void *));
    ring->members = calloc(ring->list->count + 1, sizeof(ring->members[0]));
    if (ring->by_slot == NULL || ring->members == NULL) {
        (void)snprintf(error, error_size, "no memory for %zu members", ring->list->count);
        return -ENOMEM;
    }
    for (size_t i = 0; i < ring->list->count; i++) {
        const struct regfast_member *member = &ring->list->members[i];
        if (rf_regctl_is_in_ring(member)) {
            ring->members[ring->members_count] =
                (struct rf_ring_member){member->id, member->replicas};
            ring->by_slot[ring->members_count++] = member;
        }
    }
    if (ring->members_count == 0) {
        return 0;
    }
    struct rf_error err;
    int code =
        rf_ring_build(ring->placement, ring->members, ring->members_count, &ring->ring, &err);
    if (code < 0) {
        (void)snprintf(error, error_size, "%s: %s", ring->server, err.text);
    }
    return code;
}

int rf_regctl_ring_load(struct regfast_client *client, const char *group,
                        struct regctl_ring *ret_ring)
{
    char error[REGFAST_ERROR_SIZE];
    struct regctl_ring ring = {.group = group};
    int code = ask(client, &ring, error, sizeof(error));
    code = code < 0 ? code : build(&ring, error, sizeof(error));
    if (code < 0) {
        rf_regctl_ring_free(&ring);
        return rf_regctl_fail(code, "%s", error);
    }
    *ret_ring = ring;
    return REGCTL_OK;
}

void rf_regctl_ring_free(struct regctl_ring *ring)
{
    rf_ring_free(ring->ring);
    free(ring->members);
    free((void *)ring->by_slot);
    regfast_member_list_free(ring->list);
    free(ring->server);
    *ring = (struct regctl_ring){0};
}

const struct regfast_member *rf_regctl_ring_find(const struct regctl_ring *ring, const char *id)
{
    for (size_t i = 0; i < ring->list->count; i++) {
        if (strcmp(ring->list->members[i].id, id) == 0) {
            return &ring->list->members[i];
        }
    }
    return NULL;
}

void rf_regctl_format_position(enum rf_placement placement, uint64_t position,
                               char ret_text[REGCTL_POSITION_SIZE])
{
    if (placement == RF_PLACEMENT_CRC32) { /* rings hold its complement, in the upper half */
        (void)snprintf(ret_text, REGCTL_POSITION_SIZE, "%08" PRIx32, (uint32_t) ~(position >> 32));
    } else {
        (void)snprintf(ret_text, REGCTL_POSITION_SIZE, "%016" PRIx64, position);
    }
}

double rf_regctl_share(unsigned __int128 positions)
{
    return (double)positions / 0x1p64;
}

json_t *rf_regctl_json_positions(unsigned __int128 positions)
{
    uint64_t low = (uint64_t)positions;
    return positions >> 64 != 0 ? json_sprintf("1%016" PRIx64, low) : json_sprintf("%" PRIx64, low);
}
