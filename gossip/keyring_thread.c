/* SPDX-License-Identifier: MIT */
#include "gossip/keyring_thread.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/assert.h"
#include "gossip/disk_thread.h"
#include "gossip/keyring_file.h"

enum job_state { JOB_NONE, JOB_SAVE, JOB_LOAD, JOB_DONE };

struct rf_keyring_thread {
    struct rf_disk_thread thread;
    sem_t wake;                 /* posted for each job, and for the end */
    atomic_bool is_over;        /* no more jobs */
    atomic_int state;           /* enum job_state; hands the rest to and fro */
    struct rf_keyring *keyring; /* to be saved, or that was loaded; owned */
    int code;
    struct rf_error err;
    int wake_fd;
    char path[];
};

static void do_job(struct rf_keyring_thread *thread, enum job_state job)
{
    thread->err = (struct rf_error){0};
    if (job == JOB_SAVE) {
        thread->code = rf_keyring_file_save(thread->path, thread->keyring, &thread->err);
    } else {
        thread->keyring = NULL;
        thread->code = rf_keyring_file_load(thread->path, &thread->keyring, &thread->err);
    }
    atomic_store_explicit(&thread->state, JOB_DONE, memory_order_release);
    if (rf_disk_thread_lock_owner(&thread->thread)) {
        uint64_t one = 1;
        (void)!write(thread->wake_fd, &one, sizeof(one)); /* fails only if it is readable already */
        rf_disk_thread_unlock_owner(&thread->thread);
    }
}

static void thread_free(struct rf_keyring_thread *thread)
{
    rf_keyring_free(thread->keyring);
    sem_destroy(&thread->wake);
    rf_disk_thread_fini(&thread->thread);
    free(thread);
}

static void *run(void *context)
{
    struct rf_keyring_thread *thread = context;
    for (;;) {
        while (sem_wait(&thread->wake) < 0) {
            RF_ASSERT(errno == EINTR);
        }
        enum job_state job =
            (enum job_state)atomic_load_explicit(&thread->state, memory_order_acquire);
        if (job == JOB_SAVE || job == JOB_LOAD) { /* at the end too: it was begun */
            do_job(thread, job);
        }
        if (atomic_load_explicit(&thread->is_over, memory_order_acquire)) {
            if (rf_disk_thread_was_abandoned_at_end(&thread->thread)) {
                thread_free(thread);
            }
            return NULL;
        }
    }
}

int rf_keyring_thread_new(const char *path, int wake_fd, struct rf_keyring_thread **ret_thread,
                          struct rf_error *err)
{
    size_t path_size = strlen(path) + 1;
    struct rf_keyring_thread *thread = calloc(1, sizeof(*thread) + path_size);
    if (thread == NULL) {
        return rf_error_set(err, -ENOMEM, "memory for the keyring file's thread");
    }
    memcpy(thread->path, path, path_size);
    thread->wake_fd = wake_fd;
    sem_init(&thread->wake, 0, 0);
    int code = rf_disk_thread_start(&thread->thread, "rf-keyring", run, thread);
    if (code < 0) {
        sem_destroy(&thread->wake);
        free(thread);
        return rf_error_set(err, code, "no thread for the keyring file: %s", rf_strerror(code));
    }
    *ret_thread = thread;
    return 0;
}

void rf_keyring_thread_free(struct rf_keyring_thread *thread)
{
    if (thread == NULL) {
        return;
    }
    atomic_store_explicit(&thread->is_over, true, memory_order_release);
    sem_post(&thread->wake);
    if (rf_disk_thread_end(&thread->thread)) {
        thread_free(thread);
    }
}

static void begin(struct rf_keyring_thread *thread, enum job_state job)
{
    RF_ASSERT(atomic_load_explicit(&thread->state, memory_order_acquire) == JOB_NONE);
    atomic_store_explicit(&thread->state, job, memory_order_release);
    sem_post(&thread->wake);
}

void rf_keyring_thread_save(struct rf_keyring_thread *thread, struct rf_keyring *keyring)
{
    thread->keyring = keyring;
    begin(thread, JOB_SAVE);
}

void rf_keyring_thread_load(struct rf_keyring_thread *thread)
{
    begin(thread, JOB_LOAD);
}

bool rf_keyring_thread_poll(struct rf_keyring_thread *thread, int *ret_code, struct rf_error *err,
                            struct rf_keyring **ret_keyring)
{
    if (atomic_load_explicit(&thread->state, memory_order_acquire) != JOB_DONE) {
        return false;
    }
    *ret_code = thread->code;
    *err = thread->err;
    *ret_keyring = thread->keyring;
    thread->keyring = NULL;
    atomic_store_explicit(&thread->state, JOB_NONE, memory_order_release);
    return true;
}
