/* SPDX-License-Identifier: MIT
 *
 * disk_thread.h - a thread that may be stuck in a file system when its owner wants to go on.
 *
 * A disk that does not answer keeps a thread for as long as it likes, and nothing ends it but the
 * end of the process. So its owner waits for it RF_DISK_PATIENCE_MS, and then abandons it: what the
 * thread has is its own from then on, and it frees that if it ever goes on.
 */
#ifndef RF_GOSSIP_DISK_THREAD_H
#define RF_GOSSIP_DISK_THREAD_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

#include "core/error.h"

enum { RF_DISK_PATIENCE_MS = 5000 }; /* an fsync on a busy disk takes a second or two */

/* Embedded in what the thread has; private. */
struct rf_disk_thread {
    pthread_t thread;
    pthread_mutex_t mutex;
    sem_t ended;
    bool is_ended;
    bool is_abandoned;
};

/* Starts it, without signals, which are the program's. Errors: -EAGAIN. */
RF_NODISCARD int rf_disk_thread_start(struct rf_disk_thread *thread, const char *name,
                                      void *(*run)(void *context), void *context);

/*
 * Waits for its end. True: the caller frees what it has. False: it is abandoned, and the caller
 * must not touch any of that again. Threads: the owner's, when the thread was told to end.
 */
RF_NODISCARD bool rf_disk_thread_end(struct rf_disk_thread *thread);

/* After rf_disk_thread_end said true; or instead of a start. */
void rf_disk_thread_fini(struct rf_disk_thread *thread);

/*
 * The thread's own: whether its owner is still there, which then stays until the unlock. The last
 * thing in the thread is to return; if it is abandoned it frees what it has before, and fini.
 */
bool rf_disk_thread_lock_owner(struct rf_disk_thread *thread);
void rf_disk_thread_unlock_owner(struct rf_disk_thread *thread);
bool rf_disk_thread_was_abandoned_at_end(struct rf_disk_thread *thread);

#endif
