/* SPDX-License-Identifier: MIT
 */
#include "gossip/address_index.h"

#include <stdlib.h>

#include "core/assert.h"
#include "gossip/name_table.h"

enum { BUCKETS_MIN = 16 };

void rf_address_index_init(struct rf_address_index *index, uint64_t seed)
{
    *index = (struct rf_address_index){.seed = seed};
}

void rf_address_index_fini(struct rf_address_index *index)
{
    free(index->buckets);
    *index = (struct rf_address_index){.seed = index->seed};
}

static struct rf_address_link **bucket_of(const struct rf_address_index *index,
                                          const struct rf_address *place)
{
    uint64_t hash = rf_name_hash(index->seed ^ place->port, rf_slice(place->ip, place->ip_size));
    return &index->buckets[hash & (index->buckets_count - 1)];
}

bool rf_address_index_reserve(struct rf_address_index *index)
{
    if (index->count < index->buckets_count) {
        return true;
    }
    struct rf_address_index grown = *index;
    grown.buckets_count = index->buckets_count == 0 ? BUCKETS_MIN : 2 * index->buckets_count;
    grown.buckets = calloc(grown.buckets_count, sizeof(struct rf_address_link *));
    if (grown.buckets == NULL) {
        return false;
    }
    for (size_t i = 0; i < index->buckets_count; i++) {
        struct rf_address_link *link = index->buckets[i];
        while (link != NULL) {
            struct rf_address_link *next = link->next;
            struct rf_address_link **bucket = bucket_of(&grown, &link->place);
            link->next = *bucket;
            *bucket = link;
            link = next;
        }
    }
    free(index->buckets);
    *index = grown;
    return true;
}

void rf_address_index_remove(struct rf_address_index *index, struct rf_address_link *link)
{
    if (link->place.ip_size == 0) {
        return;
    }
    struct rf_address_link **at = bucket_of(index, &link->place);
    while (*at != link) {
        RF_ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = link->next;
    *link = (struct rf_address_link){0};
    index->count--;
}

void rf_address_index_move(struct rf_address_index *index, struct rf_address_link *link,
                           const struct rf_address *address)
{
    rf_address_index_remove(index, link);
    RF_ASSERT(address->ip_size > 0 && index->count < index->buckets_count);
    link->place = rf_address_unmapped(address);
    struct rf_address_link **bucket = bucket_of(index, &link->place);
    link->next = *bucket;
    *bucket = link;
    index->count++;
}

bool rf_address_index_has(const struct rf_address_index *index, const struct rf_address *address)
{
    if (index->count == 0 || address->ip_size == 0) {
        return false;
    }
    struct rf_address place = rf_address_unmapped(address);
    const struct rf_address_link *link = *bucket_of(index, &place);
    while (link != NULL && !rf_address_equal(&link->place, &place)) {
        link = link->next;
    }
    return link != NULL;
}
