/* SPDX-License-Identifier: MIT
 *
 * snapshot_file.h - the file "members.snapshot" of a data folder, and the thread that writes it.
 *
 * The gossip thread hands over batches of records and never waits: there is room for one batch
 * while another is being written, and who finds no room collects on. A write that fails (a full
 * disk) is counted and said once; from then on only a whole snapshot is taken, which is asked for
 * after 1, 2, 4 .. 30 s until one could be written. A whole one goes to "members.snapshot.new",
 * is flushed to the disk, and takes the name of the old one; what is appended is left to the
 * system to flush, since the last records are what may be missing.
 */
#ifndef RF_GOSSIP_SNAPSHOT_FILE_H
#define RF_GOSSIP_SNAPSHOT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/log.h"
#include "gossip/data_dir.h"
#include "gossip/gossip.h"
#include "gossip/snapshot.h"

enum {
    /* serf's: a file below is not worth being written anew; above, at twice its whole size. */
    RF_SNAPSHOT_COMPACT_SIZE = 128 << 10,
    RF_SNAPSHOT_BATCH_SIZE = 64 << 10, /* some hundred changes of members in half a second */
};

/* Records on their way to the file. */
struct rf_snapshot_batch {
    bool is_whole; /* replaces the file */
    size_t size;
    uint8_t *bytes; /* owned */
};

struct rf_snapshot_file; /* private */

/*
 * Reads what the file holds (nothing, if there is none) and starts the thread. A file that cannot
 * be read, in part or at all, is a warning in the log and no error: the node starts with what it
 * got. But what memory or descriptors were short for is no less sound, and is not given up.
 *
 * Ownership: `dir` is borrowed for the call, `log` and `counters` for the file's life, of which the
 * counters snapshot_writes, _wholes, _errors and _size are written by its thread alone. The caller
 * ends *ret_snapshot by fini and *ret_file by close.
 * Errors:    -ENOMEM, -EMFILE, -ENFILE; -EAGAIN no thread.
 */
RF_NODISCARD int rf_snapshot_file_open(const struct rf_data_dir *dir, const struct rf_log *log,
                                       struct rf_gossip_counters *counters, uint64_t seed,
                                       struct rf_snapshot *ret_snapshot,
                                       struct rf_snapshot_file **ret_file, struct rf_error *err);

/*
 * Ends the thread when it has written what it was given, and `last` (NULL: nothing, else taken). If
 * the disk does not answer it is abandoned instead, with a warning: disk_thread.h. The caller's
 * other threads are done with the file. NULL is allowed.
 */
void rf_snapshot_file_close(struct rf_snapshot_file *file, struct rf_snapshot_batch *last);

/* Whether a batch may be given now, and whether it is to be a whole one. Threads: the giver's. */
bool rf_snapshot_file_has_room(const struct rf_snapshot_file *file);
bool rf_snapshot_file_wants_whole(const struct rf_snapshot_file *file);

/* Gives a batch, which is taken; there is room. Never blocks. Threads: the giver's. */
void rf_snapshot_file_give(struct rf_snapshot_file *file, struct rf_snapshot_batch *batch);

/* Takes `bytes`, also on failure (NULL: out of memory). */
struct rf_snapshot_batch *rf_snapshot_batch_new(uint8_t *bytes, size_t size, bool is_whole);
void rf_snapshot_batch_free(struct rf_snapshot_batch *batch); /* NULL is allowed */

#endif
