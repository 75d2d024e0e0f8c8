/* SPDX-License-Identifier: MIT
 *
 * vectors.h - the recorded messages of tests/vectors/serf, and the keys and labels they need.
 */
#ifndef RF_TESTS_VECTORS_H
#define RF_TESTS_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gossip/packet.h"
#include "gossip/stream.h"

struct vector {
    char name[96]; /* the file's, without .hex */
    uint8_t *data;
    size_t size;
    char *dump;   /* of NAME.dec, NULL if there is none */
    bool is_used; /* a test has taken it: vectors_next */
};

/* All .hex files, sorted by name; loaded once, ends the program if that fails. */
struct vector *vectors_all(size_t *ret_count);
void vectors_free(void);

/* The vector of that name, which must be there. Does not mark it used. */
struct vector *vectors_find(const char *name);

/*
 * Walks the vectors whose name begins with `prefix` and marks them used: start with NULL.
 * LZW plaintexts (lzw-NAME.plain) are marked along with lzw-NAME and never returned.
 */
struct vector *vectors_next(const char *prefix, struct vector *previous);

/* Whether the name has `part` in it. */
bool vector_has(const struct vector *vector, const char *part);

/* The key "K16", "K24", "K32" or "K16B". */
struct rf_slice vectors_key(const char *name);

/* Who can open a vector: an envelope with its key and label. `keyring` is freed by cluster_fini. */
struct cluster {
    struct rf_envelope envelope;
};
void cluster_init(struct cluster *cluster, const char *key /* or NULL */, bool has_label);
void cluster_init_for(struct cluster *cluster, const struct vector *vector);
void cluster_fini(struct cluster *cluster);

/* As what a stream is to be read. */
enum rf_stream_role vector_role(const struct vector *vector);

#endif
