/* SPDX-License-Identifier: MIT
 *
 * explain.c - regctl explain: why a key is whose, step by step, from the group's members; and
 * whether the registry says the same.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/ring_arcs.h"
#include "core/text.h"
#include "tools/regctl/group_ring.h"
#include "tools/regctl/table.h"

enum {
    OWNERS_MAX = 5,   /* the owner and the next ones */
    ATTEMPTS_MAX = 5, /* to hear members and owners of one version */
};

struct explanation {
    struct regctl_ring ring;
    const char *key;
    uint64_t hash;
    struct rf_ring_place place;
    uint16_t owners[OWNERS_MAX]; /* slots, the owner first */
    size_t owners_count;
    unsigned __int128 *shares; /* by slot */
    /* What the registry says. */
    struct regfast_owner match;
    struct regfast_owner told[OWNERS_MAX];
    size_t told_count;
};

static void end(struct explanation *explanation)
{
    free(explanation->shares);
    rf_regctl_ring_free(&explanation->ring);
}

/* ---- asking ---- */

/* Returns 1 if all answers are of one version of one registry, 0 if not. */
static int ask_once(struct regfast_client *client, struct explanation *explanation, char *error)
{
    const struct regctl_ring *ring = &explanation->ring;
    const char *key = explanation->key;
    int code = regfast_match(client, ring->group, key, strlen(key), &explanation->match, error,
                             REGFAST_ERROR_SIZE);
    if (code < 0) {
        return code;
    }
    bool is_same = strcmp(regfast_server(client), ring->server) == 0;
    code = regfast_owners(client, ring->group, key, strlen(key), OWNERS_MAX, explanation->told,
                          error, REGFAST_ERROR_SIZE);
    if (code < 0) {
        return code;
    }
    explanation->told_count = (size_t)code;
    return is_same && strcmp(regfast_server(client), ring->server) == 0 &&
           explanation->match.version == ring->list->version &&
           explanation->told[0].version == ring->list->version;
}

/* Asks until nothing changes in between. */
static int ask(struct regfast_client *client, const char *group, struct explanation *explanation)
{
    char error[REGFAST_ERROR_SIZE];
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        int status = rf_regctl_ring_load(client, group, &explanation->ring);
        if (status != REGCTL_OK) {
            return status;
        }
        if (explanation->ring.ring == NULL) {
            return rf_regctl_fail(REGFAST_ENOTFOUND, "group '%s': nobody in its ring", group);
        }
        int code = ask_once(client, explanation, error);
        if (code < 0) {
            return rf_regctl_fail(code, "%s", error);
        }
        if (code > 0) {
            return REGCTL_OK;
        }
        rf_regctl_ring_free(&explanation->ring);
    }
    return rf_regctl_fail(-EAGAIN, "group '%s' changed each of %d times while it was asked for",
                          group, ATTEMPTS_MAX);
}

static int compute(struct explanation *explanation)
{
    const struct rf_ring *ring = explanation->ring.ring;
    explanation->shares = calloc(rf_ring_slots_count(ring), sizeof(explanation->shares[0]));
    if (explanation->shares == NULL) {
        return rf_regctl_fail(-ENOMEM, "no memory for the shares of %zu members",
                              rf_ring_members_count(ring));
    }
    explanation->hash =
        rf_placement_hash(explanation->ring.placement, explanation->key, strlen(explanation->key));
    rf_ring_locate(ring, explanation->hash, &explanation->place);
    explanation->owners_count =
        rf_ring_owners(ring, explanation->hash, OWNERS_MAX, explanation->owners);
    rf_ring_shares(ring, explanation->shares);
    return REGCTL_OK;
}

static const struct regfast_member *owner_at(const struct explanation *explanation, size_t index)
{
    return explanation->ring.by_slot[explanation->owners[index]];
}

static bool is_told_so(const struct explanation *explanation)
{
    const struct regfast_member *owner = owner_at(explanation, 0);
    bool is_so = strcmp(owner->id, explanation->match.id) == 0 &&
                 strcmp(owner->addr, explanation->match.addr) == 0 &&
                 explanation->told_count == explanation->owners_count;
    for (size_t i = 0; is_so && i < explanation->owners_count; i++) {
        owner = owner_at(explanation, i);
        is_so = strcmp(owner->id, explanation->told[i].id) == 0 &&
                strcmp(owner->addr, explanation->told[i].addr) == 0;
    }
    return is_so;
}

/* ---- printing ---- */

static bool print_shares(const struct explanation *explanation)
{
    struct regctl_table table = {.columns = 4, .right = 1U << 2 | 1U << 3};
    rf_regctl_table_add(&table, "MEMBER");
    rf_regctl_table_add(&table, "ADDR");
    rf_regctl_table_add(&table, "REPLICAS");
    rf_regctl_table_add(&table, "SHARE");
    for (size_t slot = 0; slot < explanation->ring.members_count; slot++) {
        const struct regfast_member *member = explanation->ring.by_slot[slot];
        rf_regctl_table_add(&table, "%s", member->id);
        rf_regctl_table_add(&table, "%s", member->addr);
        rf_regctl_table_add(&table, "%" PRIu32, member->replicas);
        rf_regctl_table_add(&table, "%.4f %%", 100 * rf_regctl_share(explanation->shares[slot]));
    }
    (void)putchar('\n'); /* main looks at the stream's error flag */
    return rf_regctl_table_print(&table, stdout);
}

static int print_text(const struct explanation *explanation)
{
    const struct regctl_ring *ring = &explanation->ring;
    const struct rf_ring_place *place = &explanation->place;
    char quoted[RF_QUOTE_SIZE];
    char position[REGCTL_POSITION_SIZE];
    printf("group    %s, version %" PRIu64 " of %s, placement %s\n", ring->group,
           ring->list->version, ring->server, rf_placement_name(ring->placement));
    printf("ring     members %zu, points %zu\n", ring->members_count,
           rf_ring_points_count(ring->ring));
    rf_regctl_format_position(ring->placement, explanation->hash, position);
    printf("key      %s, hash %s\n", rf_text_quote(explanation->key, quoted), position);
    printf("line     %" PRIu64 " of 0..%" PRIu64 ", points %" PRIu32 "\n", place->line,
           place->lines_count - 1, place->line_points);
    rf_regctl_format_position(ring->placement, place->point, position);
    printf("point    %s, number %" PRIu32 " of 0..%" PRIu32 " of %s\n", position, place->number,
           owner_at(explanation, 0)->replicas - 1, owner_at(explanation, 0)->id);
    for (size_t i = 0; i < explanation->owners_count; i++) {
        const struct regfast_member *member = owner_at(explanation, i);
        printf("%s    %s  %s%s\n", i == 0 ? "owner" : "next ", member->id, member->addr,
               i == 1 ? "  (takes the key over if the owner goes)" : "");
    }
    if (explanation->owners_count == 1) {
        printf("next     nobody: the key has no owner if this one goes\n");
    }
    return print_shares(explanation)
               ? REGCTL_OK
               : rf_regctl_fail(-ENOMEM, "no memory for a table of %zu members",
                                ring->members_count);
}

static json_t *json_owner(const char *id, const char *addr)
{
    return json_pack("{s:o, s:o}", "id", rf_regctl_json_text(id, strlen(id)), "addr",
                     rf_regctl_json_text(addr, strlen(addr)));
}

static json_t *json_shares(const struct explanation *explanation)
{
    json_t *list = json_array();
    for (size_t slot = 0; slot < explanation->ring.members_count; slot++) {
        const struct regfast_member *member = explanation->ring.by_slot[slot];
        unsigned __int128 positions = explanation->shares[slot];
        (void)json_array_append_new(
            list, json_pack("{s:o, s:I, s:f, s:o}", "id",
                            rf_regctl_json_text(member->id, strlen(member->id)), "replicas",
                            (json_int_t)member->replicas, "share", rf_regctl_share(positions),
                            "positions", rf_regctl_json_positions(positions)));
    }
    return list;
}

static int print_json(const struct explanation *explanation)
{
    const struct regctl_ring *ring = &explanation->ring;
    const struct rf_ring_place *place = &explanation->place;
    char hash[REGCTL_POSITION_SIZE];
    char point[REGCTL_POSITION_SIZE];
    rf_regctl_format_position(ring->placement, explanation->hash, hash);
    rf_regctl_format_position(ring->placement, place->point, point);
    json_t *owners = json_array();
    for (size_t i = 0; i < explanation->owners_count; i++) {
        const struct regfast_member *member = owner_at(explanation, i);
        (void)json_array_append_new(owners, json_owner(member->id, member->addr));
    }
    json_t *heir = explanation->owners_count > 1
                       ? json_owner(owner_at(explanation, 1)->id, owner_at(explanation, 1)->addr)
                       : json_null();
    return rf_regctl_print_json(json_pack(
        "{s:o, s:o, s:s, s:I, s:s, s:I, s:I, s:s, s:{s:I, s:I, s:I}, s:{s:s, s:I}, s:o, s:o, s:o, "
        "s:{s:b, s:o}}",
        "group", rf_regctl_json_text(ring->group, strlen(ring->group)), "key",
        rf_regctl_json_text(explanation->key, strlen(explanation->key)), "server", ring->server,
        "version", (json_int_t)ring->list->version, "placement", rf_placement_name(ring->placement),
        "members", (json_int_t)ring->members_count, "points",
        (json_int_t)rf_ring_points_count(ring->ring), "hash", hash, "line", "index",
        (json_int_t)place->line, "count", (json_int_t)place->lines_count, "points",
        (json_int_t)place->line_points, "point", "hash", point, "number", (json_int_t)place->number,
        "owners", owners, "takes_over", heir, "shares", json_shares(explanation), "registry",
        "agrees", is_told_so(explanation), "owner",
        json_owner(explanation->match.id, explanation->match.addr)));
}

static int fail_differs(const struct explanation *explanation)
{
    const struct regfast_member *owner = owner_at(explanation, 0);
    char quoted[RF_QUOTE_SIZE];
    if (strcmp(owner->id, explanation->match.id) != 0 ||
        strcmp(owner->addr, explanation->match.addr) != 0) {
        return rf_regctl_fail(
            -EIO, "%s gives key %s to '%s' at %s, but the ring of its members to '%s' at %s",
            explanation->ring.server, rf_text_quote(explanation->key, quoted),
            explanation->match.id, explanation->match.addr, owner->id, owner->addr);
    }
    return rf_regctl_fail(-EIO, "%s has other owners of key %s than the ring of its members",
                          explanation->ring.server, rf_text_quote(explanation->key, quoted));
}

int rf_regctl_explain(const struct regctl_options *options, struct regfast_client *client,
                      int arguments_count, char **arguments)
{
    (void)arguments_count; /* is 2 */
    struct explanation explanation = {.key = arguments[1]};
    int status = ask(client, arguments[0], &explanation);
    status = status == REGCTL_OK ? compute(&explanation) : status;
    if (status == REGCTL_OK) {
        status = options->json ? print_json(&explanation) : print_text(&explanation);
    }
    if (status == REGCTL_OK && !is_told_so(&explanation)) {
        status = fail_differs(&explanation);
    }
    end(&explanation);
    return status;
}
