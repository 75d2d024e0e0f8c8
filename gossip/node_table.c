/* SPDX-License-Identifier: MIT
 */
#include "gossip/node_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

enum { LIST_MIN = 16, PICKS_MAX = 64 };

void rf_node_table_init(struct rf_node_table *table, size_t count_max, uint64_t seed)
{
    *table = (struct rf_node_table){.count_max = count_max};
    rf_name_table_init(&table->names, seed);
    rf_address_index_init(&table->addresses, seed);
}

static void node_free(struct rf_node *node)
{
    free(node->suspicion);
    free(node->meta);
    free(node);
}

void rf_node_table_fini(struct rf_node_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        node_free(table->list[i]);
    }
    free(table->list);
    rf_name_table_fini(&table->names);
    rf_address_index_fini(&table->addresses);
    *table = (struct rf_node_table){0};
}

struct rf_node *rf_node_table_find(const struct rf_node_table *table, struct rf_slice name)
{
    struct rf_name_link *link = rf_name_table_find(&table->names, name);
    return link == NULL ? NULL : rf_node_of(link);
}

static bool reserve(struct rf_node_table *table)
{
    if (table->count < table->capacity) {
        return true;
    }
    size_t capacity = table->capacity == 0 ? LIST_MIN : 2 * table->capacity;
    struct rf_node **list = realloc(table->list, capacity * sizeof(list[0]));
    if (list == NULL) {
        return false;
    }
    table->list = list;
    table->capacity = capacity;
    return true;
}

static void swap(struct rf_node_table *table, size_t a, size_t b)
{
    struct rf_node *node = table->list[a];
    table->list[a] = table->list[b];
    table->list[b] = node;
    table->list[a]->list_index = a;
    table->list[b]->list_index = b;
}

static bool is_up(enum rf_node_state_type state)
{
    return state == RF_NODE_ALIVE || state == RF_NODE_SUSPECT;
}

struct rf_node *rf_node_table_add(struct rf_node_table *table, struct rf_slice name,
                                  struct rf_random *random, int *ret_code)
{
    if (table->count >= table->count_max) {
        *ret_code = RF_ELIMIT;
        return NULL;
    }
    struct rf_node *node = calloc(1, sizeof(*node) + name.size + 1);
    if (node == NULL || !reserve(table) || !rf_address_index_reserve(&table->addresses)) {
        free(node);
        *ret_code = -ENOMEM;
        return NULL;
    }
    memcpy(node->name, name.data, name.size);
    node->link.name = rf_slice(node->name, name.size);
    if (!rf_name_table_insert(&table->names, &node->link)) {
        free(node);
        *ret_code = -ENOMEM;
        return NULL;
    }
    node->state = RF_NODE_DEAD;
    table->state_counts[RF_NODE_DEAD]++;
    node->list_index = table->count;
    table->list[table->count++] = node;
    swap(table, node->list_index, rf_random_below(random, table->count));
    return node;
}

void rf_node_table_remove(struct rf_node_table *table, struct rf_node *node)
{
    RF_ASSERT(table->list[node->list_index] == node);
    swap(table, node->list_index, table->count - 1);
    table->count--;
    table->state_counts[node->state]--;
    table->version += is_up(node->state);
    rf_name_table_remove(&table->names, &node->link);
    rf_address_index_remove(&table->addresses, &node->address_link);
    node_free(node);
}

void rf_node_table_set_address(struct rf_node_table *table, struct rf_node *node,
                               const struct rf_address *address)
{
    node->address = *address;
    rf_address_index_move(&table->addresses, &node->address_link, address);
}

bool rf_node_table_has_address(const struct rf_node_table *table, const struct rf_address *address)
{
    return rf_address_index_has(&table->addresses, address);
}

void rf_node_table_set_state(struct rf_node_table *table, struct rf_node *node,
                             enum rf_node_state_type state, uint64_t now_ns)
{
    table->state_counts[node->state]--;
    table->version += is_up(node->state) != is_up(state);
    node->state = state;
    node->state_change_ns = now_ns;
    table->state_counts[state]++;
}

bool rf_node_set_meta(struct rf_node *node, struct rf_slice meta)
{
    if (rf_slice_equal(rf_slice(node->meta, node->meta_size), meta)) {
        return true;
    }
    RF_ASSERT(meta.size <= RF_META_SIZE_MAX);
    uint8_t *copy = NULL;
    if (meta.size > 0) {
        copy = malloc(meta.size);
        if (copy == NULL) {
            return false;
        }
        memcpy(copy, meta.data, meta.size);
    }
    free(node->meta);
    node->meta = copy;
    node->meta_size = (uint16_t)meta.size;
    return true;
}

size_t rf_node_table_pick(const struct rf_node_table *table, struct rf_random *random,
                          bool (*is_wanted)(const struct rf_node *node, const void *context),
                          const void *context, struct rf_node **ret_picks, size_t picks_max)
{
    RF_ASSERT(picks_max <= PICKS_MAX);
    size_t picks_count = 0;
    for (size_t draw = 0; draw < 3 * table->count && picks_count < picks_max; draw++) {
        struct rf_node *node = table->list[rf_random_below(random, table->count)];
        bool is_new = true;
        for (size_t i = 0; i < picks_count; i++) {
            is_new = is_new && ret_picks[i] != node;
        }
        if (is_new && is_wanted(node, context)) {
            ret_picks[picks_count++] = node;
        }
    }
    return picks_count;
}

void rf_node_table_check(const struct rf_node_table *table)
{
    size_t state_counts[4] = {0};
    RF_ASSERT(table->count <= table->capacity && table->count <= table->count_max);
    RF_ASSERT(table->names.count == table->count);
    RF_ASSERT(table->addresses.count == table->count);
    for (size_t i = 0; i < table->count; i++) {
        const struct rf_node *node = table->list[i];
        RF_ASSERT(node->list_index == i);
        RF_ASSERT(rf_node_table_find(table, node->link.name) == node);
        RF_ASSERT(rf_node_table_has_address(table, &node->address));
        RF_ASSERT((node->suspicion != NULL) == (node->state == RF_NODE_SUSPECT));
        RF_ASSERT((node->meta != NULL) == (node->meta_size > 0));
        state_counts[node->state]++;
    }
    RF_ASSERT(memcmp(state_counts, table->state_counts, sizeof(state_counts)) == 0);
}
