/* SPDX-License-Identifier: MIT */
#include "client/background.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "client/client.h"

/* How long a wait goes on for the client when its time is up: others have it for less, unless the
 * machine does not let them go on. */
static const uint64_t late_ns = 100 * UINT64_C(1000000);

/*
 * Who holds the client is a flag and not a mutex, so that waiting for it can end in time, and the
 * mutex is held for some instructions only.
 */
struct rf_background {
    struct regfast_client *client;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t is_free;
    pthread_cond_t is_changed;
    bool is_held;
    bool is_ending;
    uint64_t wake_ns; /* when the thread looks next, if nothing comes */
};

static void wait_until(struct rf_background *background, pthread_cond_t *condition,
                       uint64_t deadline_ns)
{
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                                      .tv_nsec = (long)(deadline_ns % 1000000000)};
    if (deadline_ns == UINT64_MAX) {
        (void)pthread_cond_wait(condition, &background->mutex); /* cannot fail */
    } else {
        (void)pthread_cond_timedwait(condition, &background->mutex, &deadline); /* callers look */
    }
}

/* Both with the mutex locked. */
static void hold(struct rf_background *background)
{
    while (background->is_held) {
        wait_until(background, &background->is_free, UINT64_MAX);
    }
    background->is_held = true;
}

static void let_go(struct rf_background *background)
{
    background->is_held = false;
    pthread_cond_signal(&background->is_free);
}

/* With the mutex locked. */
static int hold_until(struct rf_background *background, uint64_t deadline_ns)
{
    int code = 0;
    while (background->is_held && code == 0) {
        wait_until(background, &background->is_free, deadline_ns);
        code = background->is_held && rf_client_now_ns() >= deadline_ns ? -ETIMEDOUT : 0;
    }
    if (code == 0) {
        background->is_held = true;
    } else if (!background->is_held) {
        pthread_cond_signal(&background->is_free); /* it may have been for us */
    }
    return code;
}

int rf_background_enter(struct rf_background *background, uint64_t deadline_ns)
{
    pthread_mutex_lock(&background->mutex);
    int code = hold_until(background, deadline_ns);
    pthread_mutex_unlock(&background->mutex);
    return code;
}

/* The client may want to be driven earlier than the thread means to. */
static void wake_if_earlier(struct rf_background *background)
{
    if (rf_client_next_ns(background->client) < background->wake_ns) {
        rf_link_wake(&background->client->link);
    }
}

static void tell_changes(struct rf_background *background)
{
    if (background->client->is_changed) {
        background->client->is_changed = false;
        pthread_cond_broadcast(&background->is_changed);
    }
}

void rf_background_leave(struct rf_background *background)
{
    wake_if_earlier(background);
    pthread_mutex_lock(&background->mutex);
    tell_changes(background);
    let_go(background);
    pthread_mutex_unlock(&background->mutex);
}

void rf_background_wait(struct rf_background *background, pthread_cond_t *condition,
                        uint64_t deadline_ns)
{
    pthread_mutex_lock(&background->mutex);
    tell_changes(background);
    let_go(background);
    wait_until(background, condition, deadline_ns);
    hold(background);
    pthread_mutex_unlock(&background->mutex);
}

int rf_background_wait_changed(struct rf_background *background, uint64_t deadline_ns)
{
    wake_if_earlier(background);
    pthread_mutex_lock(&background->mutex);
    tell_changes(background);
    let_go(background);
    wait_until(background, &background->is_changed, deadline_ns);
    int code = hold_until(background, deadline_ns + late_ns);
    pthread_mutex_unlock(&background->mutex);
    return code;
}

static void *run(void *context)
{
    struct rf_background *background = context;
    struct regfast_client *client = background->client;
    struct pollfd entry = {.fd = client->link.epoll_fd, .events = POLLIN};
    for (;;) {
        pthread_mutex_lock(&background->mutex);
        hold(background);
        bool is_ending = background->is_ending;
        pthread_mutex_unlock(&background->mutex);
        if (is_ending) {
            return NULL;
        }
        rf_client_process(client);
        background->wake_ns = rf_client_next_ns(client);
        int timeout_ms = rf_client_timeout_ms(background->wake_ns);
        rf_background_leave(background);
        (void)poll(&entry, 1, timeout_ms); /* returns early: looks early */
    }
}

/* A thread that takes no signals: they are the program's business. */
static int start_thread(struct rf_background *background)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&background->thread, NULL, run, background);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

static void background_free(struct rf_background *background)
{
    pthread_cond_destroy(&background->is_changed);
    pthread_cond_destroy(&background->is_free);
    pthread_mutex_destroy(&background->mutex);
    free(background);
}

void rf_background_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

int rf_background_start(struct regfast_client *client, struct rf_background **ret_background,
                        struct rf_error *err)
{
    struct rf_background *background = calloc(1, sizeof(*background));
    if (background == NULL) {
        return rf_error_set(err, -ENOMEM, "no memory for a client's thread");
    }
    background->client = client;
    background->wake_ns = UINT64_MAX;
    pthread_mutex_init(&background->mutex, NULL);
    rf_background_condition_init(&background->is_free);
    rf_background_condition_init(&background->is_changed);
    int code = start_thread(background);
    if (code < 0) {
        background_free(background);
        return rf_error_set(err, code, "no thread for a client: %s", rf_strerror(code));
    }
    *ret_background = background;
    return 0;
}

void rf_background_stop(struct rf_background *background)
{
    pthread_mutex_lock(&background->mutex);
    background->is_ending = true;
    pthread_mutex_unlock(&background->mutex);
    rf_link_wake(&background->client->link);
    (void)pthread_join(background->thread, NULL); /* it is ours, and ends */
    background_free(background);
}
