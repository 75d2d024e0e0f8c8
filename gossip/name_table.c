/* SPDX-License-Identifier: MIT
 */
#include "gossip/name_table.h"

#include <stdlib.h>
#include <string.h>

#include "core/assert.h"

enum { BUCKETS_MIN = 16 };

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Multiply-and-fold over words, in the manner of wyhash. */
uint64_t rf_name_hash(uint64_t seed, struct rf_slice name)
{
    uint64_t hash = mix(seed ^ 0xa0761d6478bd642f, name.size ^ 0xe7037ed1a0b428db);
    size_t left = name.size;
    const uint8_t *at = name.data;
    while (left > 0) {
        uint64_t word = 0;
        size_t step = left < sizeof(word) ? left : sizeof(word);
        memcpy(&word, at, step);
        hash = mix(hash ^ word ^ 0x8ebc6af09c88c6e3, seed ^ 0x589965cc75374cc3);
        at += step;
        left -= step;
    }
    return mix(hash ^ seed, 0x1d8e4e27c47d124f);
}

void rf_name_table_init(struct rf_name_table *table, uint64_t seed)
{
    *table = (struct rf_name_table){.seed = seed};
}

void rf_name_table_fini(struct rf_name_table *table)
{
    free(table->buckets);
    *table = (struct rf_name_table){.seed = table->seed};
}

struct rf_name_link *rf_name_table_find(const struct rf_name_table *table, struct rf_slice name)
{
    if (table->count == 0) {
        return NULL;
    }
    uint64_t hash = rf_name_hash(table->seed, name);
    struct rf_name_link *link = table->buckets[hash & (table->buckets_count - 1)];
    while (link != NULL && (link->hash != hash || !rf_slice_equal(link->name, name))) {
        link = link->next;
    }
    return link;
}

static bool grow(struct rf_name_table *table)
{
    size_t buckets_count = table->buckets_count == 0 ? BUCKETS_MIN : 2 * table->buckets_count;
    struct rf_name_link **buckets = calloc(buckets_count, sizeof(struct rf_name_link *));
    if (buckets == NULL) {
        return table->buckets != NULL; /* longer chains will do */
    }
    for (size_t i = 0; i < table->buckets_count; i++) {
        struct rf_name_link *link = table->buckets[i];
        while (link != NULL) {
            struct rf_name_link *next = link->next;
            struct rf_name_link **bucket = &buckets[link->hash & (buckets_count - 1)];
            link->next = *bucket;
            *bucket = link;
            link = next;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->buckets_count = buckets_count;
    return true;
}

bool rf_name_table_insert(struct rf_name_table *table, struct rf_name_link *link)
{
    if (table->count >= table->buckets_count && !grow(table)) {
        return false;
    }
    link->hash = rf_name_hash(table->seed, link->name);
    struct rf_name_link **bucket = &table->buckets[link->hash & (table->buckets_count - 1)];
    link->next = *bucket;
    *bucket = link;
    table->count++;
    return true;
}

void rf_name_table_remove(struct rf_name_table *table, struct rf_name_link *link)
{
    struct rf_name_link **at = &table->buckets[link->hash & (table->buckets_count - 1)];
    while (*at != link) {
        RF_ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = link->next;
    link->next = NULL;
    table->count--;
}
