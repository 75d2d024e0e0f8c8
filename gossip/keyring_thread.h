/* SPDX-License-Identifier: MIT
 *
 * keyring_thread.h - reads and writes a node's keyring file beside the gossip thread, which must
 * not wait: a disk may take seconds, and so long a silence is a false death.
 *
 * One job at a time. Threads: all functions are the gossip thread's, new and free also others' when
 * it does not run; none of them blocks, but free waits for the disk, RF_DISK_PATIENCE_MS at most.
 */
#ifndef RF_GOSSIP_KEYRING_THREAD_H
#define RF_GOSSIP_KEYRING_THREAD_H

#include <stdbool.h>

#include "core/error.h"
#include "gossip/keyring.h"

struct rf_keyring_thread; /* private */

/*
 * Starts the thread, for the file `path` (copied). The end of a job is written to the eventfd
 * `wake_fd`. Errors: -ENOMEM; -EAGAIN no more threads.
 */
RF_NODISCARD int rf_keyring_thread_new(const char *path, int wake_fd,
                                       struct rf_keyring_thread **ret_thread, struct rf_error *err);
void rf_keyring_thread_free(struct rf_keyring_thread *thread); /* NULL is allowed */

/* Begins to write `keyring`, which is taken until the job has ended. */
void rf_keyring_thread_save(struct rf_keyring_thread *thread, struct rf_keyring *keyring);

/* Begins to read the file. */
void rf_keyring_thread_load(struct rf_keyring_thread *thread);

/*
 * Whether the job has ended: then how, as rf_keyring_file_save or _load, and what was to be written
 * or was read (the caller's from then on; NULL if a load failed).
 */
bool rf_keyring_thread_poll(struct rf_keyring_thread *thread, int *ret_code, struct rf_error *err,
                            struct rf_keyring **ret_keyring);

#endif
