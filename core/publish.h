/* SPDX-License-Identifier: MIT
 *
 * publish.h - one immutable value, seen by many readers, replaced by one writer, freed when no
 * reader can see it any more.
 *
 * Epoch-based reclamation with ck_epoch ("Practical Lock-Freedom", Fraser 2004, chapter 5). The
 * thread sanitizer cannot see ck's assembly; what it must be told is told in this module alone.
 */
#ifndef RF_CORE_PUBLISH_H
#define RF_CORE_PUBLISH_H

#include <ck_epoch.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/*
 * Embedded as the first member of what is published. Nothing can fail after the swap: this is all
 * that retiring needs. The publisher fills `entry` and `magic`, the owner of the value `free`.
 */
struct rf_published {
    ck_epoch_entry_t entry; /* private */
    uint64_t magic;         /* private: tells live values from freed ones in debug builds */
    void (*free)(struct rf_published *published); /* called on the writer's thread */
};

/*
 * Caller's storage, cache-line aligned; its address must not change. One thread writes. The first
 * line is what every reader loads in every section; it changes only with a publication.
 */
struct rf_publisher {
    _Atomic(struct rf_published *) current;
    ck_epoch_t epoch;
    ck_epoch_record_t record; /* the writer's own; cache-line aligned */
    size_t retired_count;     /* published before, not freed yet */
    size_t retired_peak;      /* the most there ever were */
};

/*
 * One for each reading thread, in a cache line that no other thread writes. ck can never take a
 * record out of its list, so records belong to the publisher and are used again by the next reader;
 * this is only the thread's hold on one.
 */
struct rf_reader {
    struct rf_publisher *publisher;
    ck_epoch_record_t *record;
    const struct rf_published *seen; /* in a section: its value, else NULL */
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

/* Frees everything. No reader may be in a section. Readers may still be registered, but nothing may
 * be called for them any more, rf_reader_fini included. */
void rf_publisher_fini(struct rf_publisher *publisher);

/*
 * Registers a reader for life or until rf_reader_fini. Threads: any, at any time.
 * Errors: -ENOMEM; only if there were never as many readers at once before.
 */
RF_NODISCARD int rf_reader_init(struct rf_reader *reader, struct rf_publisher *publisher);

/* Not in a section. The reader's storage is the caller's again. NULL publisher: does nothing. */
void rf_reader_fini(struct rf_reader *reader);

/*
 * Opens a section and returns the current value, valid until rf_reader_leave. Sections do not
 * nest, open and close in one function and never span a wait.
 * Threads: the reader's own. Cost: one locked instruction; no lock, system call or allocation.
 */
const struct rf_published *rf_reader_enter(struct rf_reader *reader);
void rf_reader_leave(struct rf_reader *reader);

/*
 * For `free` callbacks: in debug builds overwrites memory that is about to be freed, so that a
 * reader that should not be there any more does not find what it expects. Else does nothing.
 */
void rf_poison(void *memory, size_t size);

#endif
