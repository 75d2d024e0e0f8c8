/* SPDX-License-Identifier: MIT
 *
 * tags.h - a member's tags, as serf keeps them in memberlist's Meta: ff, then a map of strings.
 *
 * A Meta that does not begin with ff is the value of the one tag `role` (serf protocol 2). The Meta
 * of others is passed on byte for byte, and our own is encoded once for each change, never for each
 * send: a node that hears another Meta about itself refutes it.
 */
#ifndef RF_GOSSIP_TAGS_H
#define RF_GOSSIP_TAGS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "gossip/msgpack.h"
#include "gossip/slice.h"

struct rf_tag {
    struct rf_slice name;
    struct rf_slice value;
};

/*
 * Appends a Meta with the tags in the order given. Names are distinct.
 * Returns its size. Errors: RF_ELIMIT more than RF_META_SIZE_MAX bytes; -ENOBUFS.
 */
RF_NODISCARD int rf_tags_encode(const struct rf_tag *tags, size_t tags_count,
                                struct rf_packer *packer);

/* 0, or RF_EMALFORMED: it begins with ff, and what follows is no map of strings. */
RF_NODISCARD int rf_tags_check(struct rf_slice meta);

/* Walks the tags of a Meta; one that rf_tags_check refuses ends at its first fault. */
struct rf_tags_cursor {
    struct rf_cursor map;
    struct rf_slice role; /* protocol 2: the whole Meta */
    bool is_role;
};

struct rf_tags_cursor rf_tags_begin(struct rf_slice meta);
bool rf_tags_next(struct rf_tags_cursor *cursor, struct rf_tag *ret_tag);

/* Finds a tag; of equal names the last, as in a Go map. */
bool rf_tags_find(struct rf_slice meta, struct rf_slice name, struct rf_slice *ret_value);

#endif
