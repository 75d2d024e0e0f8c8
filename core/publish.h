/* SPDX-License-Identifier: MIT
 *
 * publish.h - one immutable value, seen by many readers, replaced by one writer, freed when no
 * reader can see it any more.
 *
 * Epoch-based reclamation with ck_epoch ("Practical Lock-Freedom", Fraser 2004, chapter 5). All
 * annotations for the thread sanitizer, which cannot see ck's assembly, are in this module.
 */
#ifndef RF_CORE_PUBLISH_H
#define RF_CORE_PUBLISH_H

#include <ck_epoch.h>
#include <stdbool.h>

#include "core/error.h"

/* Embedded in what is published. Nothing can fail after the swap: this is all that retiring needs.
 */
struct rf_published {
    ck_epoch_entry_t entry;                       /* private */
    void (*free)(struct rf_published *published); /* called on the writer's thread */
};

/* Caller's storage; its address must not change. One thread writes. */
struct rf_publisher {
    ck_epoch_t epoch;
    ck_epoch_record_t record; /* the writer's own */
    struct rf_published *current;
};

/* One for each reading thread, cache-line aligned. */
struct rf_reader {
    ck_epoch_record_t record;
    struct rf_publisher *publisher;
};

/* Starts with `first` published (taken, not NULL). */
void rf_publisher_init(struct rf_publisher *publisher, struct rf_published *first);

/* Publishes `next` (taken) and retires the value before it, which is freed by a later
 * rf_publisher_reclaim once every reader has left the section in which it may have seen it. */
void rf_publish(struct rf_publisher *publisher, struct rf_published *next);

/* Frees what can be; never blocks. Returns whether something is still waiting. Call after each
 * publish and again after some milliseconds while it returns true. */
bool rf_publisher_reclaim(struct rf_publisher *publisher);

/* The current value, for the writer's own thread. */
struct rf_published *rf_publisher_current(const struct rf_publisher *publisher);

/* Frees everything. No reader may be in a section; their records may stay registered. */
void rf_publisher_fini(struct rf_publisher *publisher);

/* Registers a reader for life or until rf_reader_fini; may be called at any time on any thread. */
void rf_reader_init(struct rf_reader *reader, struct rf_publisher *publisher);
void rf_reader_fini(struct rf_reader *reader);

/* Opens a section and returns the current value, valid until rf_reader_leave. Sections do not
 * nest, open and close in one function and never span a wait. Threads: the reader's own. */
const struct rf_published *rf_reader_enter(struct rf_reader *reader);
void rf_reader_leave(struct rf_reader *reader);

#endif
