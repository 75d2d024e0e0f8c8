/* SPDX-License-Identifier: MIT */
#include "gossip/disk_thread.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

int rf_disk_thread_start(struct rf_disk_thread *thread, const char *name, void *(*run)(void *),
                         void *context)
{
    *thread = (struct rf_disk_thread){0};
    pthread_mutex_init(&thread->mutex, NULL);
    sem_init(&thread->ended, 0, 0);
    sigset_t all;
    sigset_t before;
    sigfillset(&all); /* SIGXFSZ too: it would end the program where EFBIG will do */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread->thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        rf_disk_thread_fini(thread);
        return -error;
    }
    (void)pthread_setname_np(thread->thread, name); /* for people */
    return 0;
}

bool rf_disk_thread_end(struct rf_disk_thread *thread)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail for this clock */
    until.tv_sec += RF_DISK_PATIENCE_MS / 1000;
    while (sem_clockwait(&thread->ended, CLOCK_MONOTONIC, &until) < 0 && errno == EINTR) {
    }
    pthread_mutex_lock(&thread->mutex);
    bool is_ended = thread->is_ended;
    thread->is_abandoned = !is_ended;
    pthread_t handle = thread->thread;
    if (!is_ended) {
        pthread_detach(handle);
    }
    pthread_mutex_unlock(&thread->mutex);
    if (is_ended) {
        pthread_join(handle, NULL);
    }
    return is_ended;
}

void rf_disk_thread_fini(struct rf_disk_thread *thread)
{
    sem_destroy(&thread->ended);
    pthread_mutex_destroy(&thread->mutex);
}

bool rf_disk_thread_lock_owner(struct rf_disk_thread *thread)
{
    pthread_mutex_lock(&thread->mutex);
    if (thread->is_abandoned) {
        pthread_mutex_unlock(&thread->mutex);
        return false;
    }
    return true;
}

void rf_disk_thread_unlock_owner(struct rf_disk_thread *thread)
{
    pthread_mutex_unlock(&thread->mutex);
}

bool rf_disk_thread_was_abandoned_at_end(struct rf_disk_thread *thread)
{
    if (!rf_disk_thread_lock_owner(thread)) {
        return true;
    }
    thread->is_ended = true;
    sem_post(&thread->ended);
    pthread_mutex_unlock(&thread->mutex);
    return false;
}
