/* SPDX-License-Identifier: MIT
 *
 * what_if.c - regctl what-if: which keys a change of a group would move, before it is done.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/member.h"
#include "core/ring_arcs.h"
#include "tools/regctl/group_ring.h"
#include "tools/regctl/table.h"

enum { MOVES_SHOWN_MAX = 50 /* in the table; JSON has all */ };

/* One -remove, -add or -weight. */
struct change {
    char *id;          /* owned */
    uint32_t replicas; /* afterwards; 0: not in the ring */
    bool has_replicas; /* of an -add: given */
};

struct plan {
    struct regctl_ring ring;
    struct change *changes;
    size_t changes_count;
    struct rf_ring_member *members; /* afterwards, in no order */
    size_t members_count;
    struct rf_ring *after; /* NULL: nobody is left */
    struct rf_ring_move *moves;
    size_t moves_count;
};

static void end(struct plan *plan)
{
    for (size_t i = 0; i < plan->changes_count; i++) {
        free(plan->changes[i].id);
    }
    free(plan->changes);
    free(plan->members);
    free(plan->moves);
    rf_ring_free(plan->after);
    rf_regctl_ring_free(&plan->ring);
}

static int fail_usage(const char *option, const char *text, const char *why)
{
    (void)rf_regctl_fail(-EINVAL, "what-if: -%s '%s': %s", option, text, why);
    return REGCTL_USAGE;
}

/* ---- what is to change ---- */

static struct change *find_change(struct plan *plan, const char *id, size_t id_size)
{
    for (size_t i = 0; i < plan->changes_count; i++) {
        if (strlen(plan->changes[i].id) == id_size &&
            memcmp(plan->changes[i].id, id, id_size) == 0) {
            return &plan->changes[i];
        }
    }
    return NULL;
}

static int add_change(struct plan *plan, const char *option, const char *text, size_t id_size,
                      const struct change *change)
{
    if (id_size == 0 || id_size > RF_NAME_SIZE_MAX) {
        return fail_usage(option, text, "an ID of 1 to 255 bytes is expected");
    }
    if (find_change(plan, text, id_size) != NULL) {
        return fail_usage(option, text, "this member is named twice");
    }
    struct change *added = &plan->changes[plan->changes_count];
    *added = *change;
    added->id = strndup(text, id_size);
    if (added->id == NULL) {
        return rf_regctl_fail(-ENOMEM, "no memory for member '%s'", text);
    }
    plan->changes_count++;
    return REGCTL_OK;
}

static int parse_replicas(const char *option, const char *text, uint32_t *ret_replicas)
{
    char name[64];
    struct rf_error err;
    uint64_t number;
    (void)snprintf(name, sizeof(name), "what-if: replicas of -%s", option); /* our own are short */
    if (rf_options_parse_number(name, text, 1, RF_REPLICAS_MAX, &number, &err) < 0) {
        (void)rf_regctl_fail(-EINVAL, "%s", err.text);
        return REGCTL_USAGE;
    }
    *ret_replicas = (uint32_t)number;
    return REGCTL_OK;
}

/* ID[:replicas]. An id may have colons: what follows the last one is taken for replicas. */
static int add_added(struct plan *plan, const char *text)
{
    const char *colon = strrchr(text, ':');
    struct change change = {.replicas = RF_REPLICAS_DEFAULT, .has_replicas = colon != NULL};
    if (colon != NULL) {
        int status = parse_replicas("add", colon + 1, &change.replicas);
        if (status != REGCTL_OK) {
            return status;
        }
    }
    size_t id_size = colon != NULL ? (size_t)(colon - text) : strlen(text);
    return add_change(plan, "add", text, id_size, &change);
}

/* ID=N. */
static int add_weighted(struct plan *plan, const char *text)
{
    const char *equals = strrchr(text, '=');
    struct change change = {.has_replicas = true};
    if (equals == NULL) {
        return fail_usage("weight", text, "ID=N is expected");
    }
    int status = parse_replicas("weight", equals + 1, &change.replicas);
    return status != REGCTL_OK ? status
                               : add_change(plan, "weight", text, (size_t)(equals - text), &change);
}

/* ---- whether it can ---- */

static int check_present(const struct plan *plan, const char *id)
{
    const struct regfast_member *member = rf_regctl_ring_find(&plan->ring, id);
    if (member == NULL) {
        return rf_regctl_fail(REGFAST_ENOTFOUND, "group '%s': no member '%s'", plan->ring.group,
                              id);
    }
    if (!rf_regctl_is_in_ring(member)) {
        return rf_regctl_fail(REGFAST_ENOTFOUND, "group '%s': member '%s' is %s: it has no keys",
                              plan->ring.group, id, regfast_member_state_name(member->state));
    }
    return REGCTL_OK;
}

static int check_absent(const struct plan *plan, struct change *change)
{
    const struct regfast_member *member = rf_regctl_ring_find(&plan->ring, change->id);
    if (member == NULL) {
        return REGCTL_OK;
    }
    if (rf_regctl_is_in_ring(member)) {
        return rf_regctl_fail(
            -EEXIST, "group '%s': member '%s' has keys already; -weight %s=N changes how many",
            plan->ring.group, change->id, change->id);
    }
    if (!change->has_replicas && member->replicas > 0) { /* comes back as it was; not draining */
        change->replicas = member->replicas;
    }
    return REGCTL_OK;
}

/* Reads the options, each against what the group is. */
static int read_changes(struct plan *plan, const struct regctl_options *options)
{
    const struct rf_option_list *removed = &options->remove;
    const struct rf_option_list *added = &options->add;
    const struct rf_option_list *weighted = &options->weight;
    int status = REGCTL_OK;
    for (size_t i = 0; status == REGCTL_OK && i < removed->count; i++) {
        const char *text = removed->texts[i];
        status = add_change(plan, "remove", text, strlen(text), &(struct change){0});
    }
    for (size_t i = 0; status == REGCTL_OK && i < weighted->count; i++) {
        status = add_weighted(plan, weighted->texts[i]);
    }
    for (size_t i = 0; status == REGCTL_OK && i < added->count; i++) {
        status = add_added(plan, added->texts[i]);
    }
    return status;
}

static int check_changes(struct plan *plan, const struct regctl_options *options)
{
    size_t added_first = plan->changes_count - options->add.count;
    int status = REGCTL_OK;
    for (size_t i = 0; status == REGCTL_OK && i < plan->changes_count; i++) {
        status = i < added_first ? check_present(plan, plan->changes[i].id)
                                 : check_absent(plan, &plan->changes[i]);
    }
    return status;
}

/* ---- the ring afterwards ---- */

static int make_after(struct plan *plan)
{
    size_t most = plan->ring.members_count + plan->changes_count;
    plan->members = calloc(most, sizeof(plan->members[0]));
    if (plan->members == NULL) {
        return rf_regctl_fail(-ENOMEM, "no memory for %zu members", most);
    }
    for (size_t i = 0; i < plan->ring.members_count; i++) {
        const struct rf_ring_member *member = &plan->ring.members[i];
        if (find_change(plan, member->id, strlen(member->id)) == NULL) {
            plan->members[plan->members_count++] = *member;
        }
    }
    for (size_t i = 0; i < plan->changes_count; i++) {
        if (plan->changes[i].replicas > 0) {
            plan->members[plan->members_count++] =
                (struct rf_ring_member){plan->changes[i].id, plan->changes[i].replicas};
        }
    }
    struct rf_error err;
    int code = 0;
    if (plan->members_count > 0) {
        code = rf_ring_build(plan->ring.placement, plan->members, plan->members_count, &plan->after,
                             &err);
    }
    if (code == 0) {
        code = rf_ring_diff(plan->ring.ring, plan->after, &plan->moves, &plan->moves_count, &err);
    }
    return code < 0 ? rf_regctl_fail(code, "what-if: %s", err.text) : REGCTL_OK;
}

/* ---- shares ---- */

/* A member before and after. */
struct row {
    const char *id;
    uint32_t replicas_before, replicas_after; /* 0: not in the ring */
    unsigned __int128 before, after;
};

struct rows {
    struct row *rows; /* by id */
    size_t count;
};

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a;
    const struct row *y = b;
    return strcmp(x->id, y->id);
}

/* Puts a ring's members, who are not there yet, behind the others. */
static bool add_rows(struct rows *rows, const struct rf_ring *ring, bool is_after)
{
    size_t known = rows->count; /* sorted */
    size_t slots_count = ring != NULL ? rf_ring_slots_count(ring) : 0;
    unsigned __int128 *shares = calloc(slots_count + 1, sizeof(shares[0]));
    if (shares == NULL) {
        return false;
    }
    if (ring != NULL) {
        rf_ring_shares(ring, shares);
    }
    for (size_t slot = 0; slot < slots_count; slot++) {
        const struct rf_ring_member *member = rf_ring_member(ring, (uint16_t)slot);
        RF_ASSERT(member != NULL); /* a ring without a past has no free slots */
        struct row wanted = {.id = member->id};
        struct row *row =
            known == 0 ? NULL : bsearch(&wanted, rows->rows, known, sizeof(wanted), compare_rows);
        if (row == NULL) {
            row = &rows->rows[rows->count++];
            *row = wanted;
        }
        *(is_after ? &row->replicas_after : &row->replicas_before) = member->replicas;
        *(is_after ? &row->after : &row->before) = shares[slot];
    }
    free(shares);
    return true;
}

static bool make_rows(const struct plan *plan, struct rows *ret_rows)
{
    size_t most = plan->ring.members_count + plan->members_count + 1;
    struct rows rows = {.rows = calloc(most, sizeof(rows.rows[0]))};
    if (rows.rows == NULL) {
        return false;
    }
    /* The first ring's members are in the order of their ids: a registry lists them so. */
    bool has_memory = add_rows(&rows, plan->ring.ring, false) && add_rows(&rows, plan->after, true);
    if (!has_memory) {
        free(rows.rows);
        return false;
    }
    if (rows.count > 0) {
        qsort(rows.rows, rows.count, sizeof(rows.rows[0]), compare_rows);
    }
    *ret_rows = rows;
    return true;
}

/* ---- printing ---- */

static unsigned __int128 sum_of(const struct plan *plan)
{
    unsigned __int128 sum = 0;
    for (size_t i = 0; i < plan->moves_count; i++) {
        sum += plan->moves[i].positions;
    }
    return sum;
}

static const char *id_of(const struct rf_ring *ring, uint16_t slot)
{
    return ring == NULL ? NULL : rf_ring_member(ring, slot)->id;
}

static const char *id_or_nobody(const struct rf_ring *ring, uint16_t slot)
{
    const char *id = id_of(ring, slot);
    return id != NULL ? id : "(nobody)";
}

static bool print_moves(const struct plan *plan)
{
    struct regctl_table table = {.columns = 3, .right = 1U << 2};
    size_t shown = plan->moves_count < MOVES_SHOWN_MAX ? plan->moves_count : MOVES_SHOWN_MAX;
    unsigned __int128 rest = sum_of(plan);
    rf_regctl_table_add(&table, "FROM");
    rf_regctl_table_add(&table, "TO");
    rf_regctl_table_add(&table, "KEYS");
    for (size_t i = 0; i < shown; i++) {
        const struct rf_ring_move *move = &plan->moves[i];
        rf_regctl_table_add(&table, "%s", id_or_nobody(plan->ring.ring, move->from));
        rf_regctl_table_add(&table, "%s", id_or_nobody(plan->after, move->to));
        rf_regctl_table_add(&table, "%.4f %%", 100 * rf_regctl_share(move->positions));
        rest -= move->positions;
    }
    (void)putchar('\n'); /* main looks at the stream's error flag */
    if (!rf_regctl_table_print(&table, stdout)) {
        return false;
    }
    if (shown < plan->moves_count) {
        printf("%zu more, together %.4f %%: -json has all\n", plan->moves_count - shown,
               100 * rf_regctl_share(rest));
    }
    return true;
}

static void add_weight_and_share(struct regctl_table *table, uint32_t replicas,
                                 unsigned __int128 positions)
{
    if (replicas == 0) {
        rf_regctl_table_add(table, "-");
        rf_regctl_table_add(table, "-");
        return;
    }
    rf_regctl_table_add(table, "%" PRIu32, replicas);
    rf_regctl_table_add(table, "%.4f %%", 100 * rf_regctl_share(positions));
}

static bool print_rows(const struct rows *rows)
{
    struct regctl_table table = {.columns = 5, .right = 0x1e};
    static const char *const titles[] = {"MEMBER", "REPLICAS", "SHARE", "REPLICAS AFTER",
                                         "SHARE AFTER"};
    for (size_t i = 0; i < table.columns; i++) {
        rf_regctl_table_add(&table, "%s", titles[i]);
    }
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *row = &rows->rows[i];
        rf_regctl_table_add(&table, "%s", row->id);
        add_weight_and_share(&table, row->replicas_before, row->before);
        add_weight_and_share(&table, row->replicas_after, row->after);
    }
    (void)putchar('\n'); /* as above */
    return rf_regctl_table_print(&table, stdout);
}

static int print_text(const struct plan *plan, const struct rows *rows)
{
    printf("%.4f %% of the keys of '%s' move.\n", 100 * rf_regctl_share(sum_of(plan)),
           plan->ring.group);
    bool is_printed = (plan->moves_count == 0 || print_moves(plan)) && print_rows(rows);
    return is_printed
               ? REGCTL_OK
               : rf_regctl_fail(-ENOMEM, "no memory for a table of %zu members", rows->count);
}

static json_t *json_id(const char *id)
{
    return id == NULL ? json_null() : rf_regctl_json_text(id, strlen(id));
}

static json_t *json_moves(const struct plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->moves_count; i++) {
        const struct rf_ring_move *move = &plan->moves[i];
        (void)json_array_append_new(list,
                                    json_pack("{s:o, s:o, s:f, s:o}", "from",
                                              json_id(id_of(plan->ring.ring, move->from)), "to",
                                              json_id(id_of(plan->after, move->to)), "share",
                                              rf_regctl_share(move->positions), "positions",
                                              rf_regctl_json_positions(move->positions)));
    }
    return list;
}

/* Null where a member is not in the ring. */
static json_t *json_state(uint32_t replicas, unsigned __int128 positions)
{
    return replicas == 0 ? json_null()
                         : json_pack("{s:I, s:f, s:o}", "replicas", (json_int_t)replicas, "share",
                                     rf_regctl_share(positions), "positions",
                                     rf_regctl_json_positions(positions));
}

static int print_json(const struct plan *plan, const struct rows *rows)
{
    json_t *members = json_array();
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *row = &rows->rows[i];
        (void)json_array_append_new(
            members, json_pack("{s:o, s:o, s:o}", "id", json_id(row->id), "before",
                               json_state(row->replicas_before, row->before), "after",
                               json_state(row->replicas_after, row->after)));
    }
    unsigned __int128 sum = sum_of(plan);
    return rf_regctl_print_json(
        json_pack("{s:o, s:s, s:I, s:s, s:f, s:o, s:o, s:o}", "group", json_id(plan->ring.group),
                  "server", plan->ring.server, "version", (json_int_t)plan->ring.list->version,
                  "placement", rf_placement_name(plan->ring.placement), "moves_share",
                  rf_regctl_share(sum), "moves_positions", rf_regctl_json_positions(sum), "moves",
                  json_moves(plan), "members", members));
}

static int print(const struct plan *plan, const struct regctl_options *options)
{
    struct rows rows;
    if (!make_rows(plan, &rows)) {
        return rf_regctl_fail(-ENOMEM, "no memory for the shares of %zu members",
                              plan->members_count);
    }
    int status = options->json ? print_json(plan, &rows) : print_text(plan, &rows);
    free(rows.rows);
    return status;
}

int rf_regctl_what_if(const struct regctl_options *options, struct regfast_client *client,
                      int arguments_count, char **arguments)
{
    (void)arguments_count; /* is 1 */
    size_t most = options->remove.count + options->add.count + options->weight.count;
    if (most == 0) {
        (void)rf_regctl_fail(-EINVAL, "what-if: no change; -remove ID, -add ID[:REPLICAS] or "
                                      "-weight ID=N is expected");
        return REGCTL_USAGE;
    }
    struct plan plan = {.changes = calloc(most, sizeof(plan.changes[0]))};
    if (plan.changes == NULL) {
        return rf_regctl_fail(-ENOMEM, "no memory for %zu changes", most);
    }
    int status = read_changes(&plan, options);
    status = status == REGCTL_OK ? rf_regctl_ring_load(client, arguments[0], &plan.ring) : status;
    status = status == REGCTL_OK ? check_changes(&plan, options) : status;
    status = status == REGCTL_OK ? make_after(&plan) : status;
    status = status == REGCTL_OK ? print(&plan, options) : status;
    end(&plan);
    return status;
}
