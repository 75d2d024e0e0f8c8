/* SPDX-License-Identifier: MIT */
#include "gossip/driver.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"
#include "gossip/member_list.h"

/* The gossip thread answers a call within its longest input, a push/pull of the largest cluster. */
enum {
    CALL_TIMEOUT_MS = 5000,
    ASK_TIMEOUT_MS = 120 * 1000, /* serf's own for 65536 nodes is 16 s on a LAN, 40 s on a WAN */
    RELOAD_TIMEOUT_MS = 5000, /* the signals of a program wait meanwhile; the disk may be stuck */
};

enum call_kind {
    CALL_SET_META,
    CALL_MEMBERS,
    CALL_STATUS,
    CALL_SERF_STATS,
    CALL_RUN,
    CALL_KEYS_ASK,    /* begins it: the end comes by the task */
    CALL_KEYS_RELOAD, /* likewise */
};

/*
 * What a thread asks of the gossip thread. One at a time: callers queue at a mutex that the gossip
 * thread never touches, and leave the call in gossip->call. Both hold a reference, since a caller
 * may give up at its time-out while the gossip thread is just at it.
 */
struct rf_call {
    enum call_kind kind;
    atomic_int refs;
    sem_t done;
    atomic_bool is_done; /* publishes what is below; the semaphore only wakes */
    int code;
    struct rf_error err;
    union {
        struct {
            uint8_t bytes[RF_META_SIZE_MAX];
            size_t size;
        } meta;
        struct rf_gossip_members *members;
        struct rf_gossip_status status;
        struct rf_serf_stats serf_stats;
        rf_driver_run_call *run;
        struct rf_key_task *key_task; /* a reference */
    };
    _Alignas(max_align_t) uint8_t argument[]; /* of `run`: a copy, since the caller may give up */
};

static struct rf_call *call_new_of_size(enum call_kind kind, size_t argument_size)
{
    struct rf_call *call = calloc(1, sizeof(*call) + argument_size);
    if (call != NULL) {
        call->kind = kind;
        atomic_init(&call->refs, 1);
        sem_init(&call->done, 0, 0);
    }
    return call;
}

static struct rf_call *call_new(enum call_kind kind)
{
    return call_new_of_size(kind, 0);
}

static void call_unref(struct rf_call *call)
{
    if (atomic_fetch_sub_explicit(&call->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (call->kind == CALL_MEMBERS) {
        rf_gossip_members_free(call->members); /* NULL once the caller has taken them */
    }
    if (call->kind == CALL_KEYS_ASK || call->kind == CALL_KEYS_RELOAD) {
        rf_key_task_unref(call->key_task);
    }
    sem_destroy(&call->done);
    free(call);
}

void rf_driver_wake(const struct rf_gossip *gossip)
{
    uint64_t one = 1;
    (void)!write(gossip->wake_fd, &one, sizeof(one)); /* fails only if it is readable already */
}

static bool wait_until_posted(sem_t *semaphore, uint32_t timeout_ms)
{
    struct timespec deadline;
    (void)clock_gettime(CLOCK_MONOTONIC, &deadline); /* cannot fail for this clock */
    deadline.tv_sec += timeout_ms / 1000;
    deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_nsec -= 1000000000;
        deadline.tv_sec++;
    }
    while (sem_clockwait(semaphore, CLOCK_MONOTONIC, &deadline) < 0) {
        if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* Hands `call` to the gossip thread and waits for it. Returns what the thread answered. */
static int call_do(struct rf_gossip *gossip, struct rf_call *call)
{
    pthread_mutex_lock(&gossip->call_mutex);
    atomic_fetch_add_explicit(&call->refs, 1, memory_order_relaxed);
    struct rf_call *before = atomic_exchange_explicit(&gossip->call, call, memory_order_acq_rel);
    RF_ASSERT(before == NULL);
    rf_driver_wake(gossip);
    bool is_done = wait_until_posted(&call->done, CALL_TIMEOUT_MS);
    if (!is_done && atomic_exchange_explicit(&gossip->call, NULL, memory_order_acq_rel) == call) {
        /* Not begun: the thread's reference comes back. Ours is still there, so nothing is freed.
         */
        atomic_fetch_sub_explicit(&call->refs, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&gossip->call_mutex);
    is_done = is_done && atomic_load_explicit(&call->is_done, memory_order_acquire);
    return is_done ? call->code : -ETIMEDOUT;
}

/* ---- the gossip thread's side ---- */

static void status_fill(const struct rf_gossip *gossip, struct rf_gossip_status *ret_status)
{
    size_t alive_count = rf_serf_alive_count(gossip->serf);
    *ret_status = (struct rf_gossip_status){
        .joined = gossip->is_open && alive_count > 1,
        .left = gossip->has_left,
        .name_lost = gossip->has_lost_name,
        .members_count = rf_serf_members_count(gossip->serf),
        .alive_count = alive_count,
        .join_rounds_count = gossip->joiner.rounds_count,
    };
    memcpy(ret_status->join_error, gossip->joiner.error, sizeof(ret_status->join_error));
}

void rf_driver_call_handle(struct rf_gossip *gossip, uint64_t now_ns)
{
    struct rf_call *call = atomic_exchange_explicit(&gossip->call, NULL, memory_order_acq_rel);
    if (call == NULL) {
        return;
    }
    switch (call->kind) {
    case CALL_SET_META:
        call->code = !gossip->is_open || gossip->is_leaving
                         ? rf_error_set(&call->err, -ESHUTDOWN, "gossip: the node has left")
                         : rf_serf_set_meta(gossip->serf, now_ns, call->meta.bytes, call->meta.size,
                                            &call->err);
        if (gossip->is_open) {
            rf_driver_outputs(gossip, now_ns);
        }
        break;
    case CALL_MEMBERS:
        call->members = rf_member_list_new(gossip->serf);
        call->code = call->members == NULL ? -ENOMEM : 0;
        break;
    case CALL_STATUS:
        status_fill(gossip, &call->status);
        break;
    case CALL_SERF_STATS:
        rf_serf_get_stats(gossip->serf, &call->serf_stats);
        break;
    case CALL_RUN:
        call->code = call->run(gossip, now_ns, call->argument, &call->err);
        if (gossip->is_open) {
            rf_driver_outputs(gossip, now_ns);
        }
        break;
    case CALL_KEYS_ASK:
        call->code = rf_driver_ask_begin(gossip, now_ns, call->key_task);
        call->err = call->key_task->err;
        if (gossip->is_open) {
            rf_driver_outputs(gossip, now_ns);
        }
        break;
    case CALL_KEYS_RELOAD:
        call->code = rf_driver_keys_reload(gossip, now_ns, call->key_task);
        call->err = call->key_task->err;
        break;
    }
    atomic_store_explicit(&call->is_done, true, memory_order_release);
    sem_post(&call->done);
    call_unref(call);
}

/* ---- the caller's side ---- */

int rf_driver_call(struct rf_gossip *gossip, rf_driver_run_call *run, void *argument, size_t size,
                   struct rf_error *err)
{
    struct rf_call *call = call_new_of_size(CALL_RUN, size);
    if (call == NULL) {
        return rf_error_set(err, -ENOMEM, "gossip: memory for a call of %zu bytes", size);
    }
    call->run = run;
    memcpy(call->argument, argument, size);
    int code = call_do(gossip, call);
    if (code == -ETIMEDOUT && !atomic_load_explicit(&call->is_done, memory_order_acquire)) {
        (void)rf_error_set(err, code, "gossip: the thread did not answer within %d ms",
                           CALL_TIMEOUT_MS);
    } else {
        memcpy(argument, call->argument, size);
        if (code < 0) {
            (void)rf_error_set(err, code, "%s",
                               call->err.text[0] != '\0' ? call->err.text : rf_strerror(code));
        }
    }
    call_unref(call);
    return code;
}

int rf_gossip_set_tags(struct rf_gossip *gossip, const struct rf_gossip_tag *tags,
                       size_t tags_count, struct rf_error *err)
{
    struct rf_call *call = call_new(CALL_SET_META);
    if (call == NULL) {
        return rf_error_set(err, -ENOMEM, "gossip: memory for tags");
    }
    int code = rf_driver_tags_encode(tags, tags_count, call->meta.bytes, err);
    if (code >= 0) {
        call->meta.size = (size_t)code;
        code = call_do(gossip, call);
        if (code == -ETIMEDOUT) {
            (void)rf_error_set(err, code, "gossip: the thread did not take the tags within %d ms",
                               CALL_TIMEOUT_MS);
        } else if (code < 0) {
            (void)rf_error_set(err, code, "%s", call->err.text);
        }
    }
    call_unref(call);
    return code;
}

int rf_gossip_members(struct rf_gossip *gossip, struct rf_gossip_members **ret_members)
{
    struct rf_call *call = call_new(CALL_MEMBERS);
    if (call == NULL) {
        return -ENOMEM;
    }
    int code = call_do(gossip, call);
    if (code == 0) {
        *ret_members = call->members;
        call->members = NULL;
    }
    call_unref(call);
    return code;
}

int rf_gossip_get_status(struct rf_gossip *gossip, struct rf_gossip_status *ret_status)
{
    struct rf_call *call = call_new(CALL_STATUS);
    if (call == NULL) {
        return -ENOMEM;
    }
    int code = call_do(gossip, call);
    if (code == 0) {
        *ret_status = call->status;
    }
    call_unref(call);
    return code;
}

int rf_gossip_get_serf_stats(struct rf_gossip *gossip, struct rf_serf_stats *ret_stats)
{
    struct rf_call *call = call_new(CALL_SERF_STATS);
    if (call == NULL) {
        return -ENOMEM;
    }
    int code = call_do(gossip, call);
    if (code == 0) {
        *ret_stats = call->serf_stats;
    }
    call_unref(call);
    return code;
}

/* ---- keys ---- */

/* Has the gossip thread begin `task`, and waits for its end. Returns its code. */
static int key_task_do(struct rf_gossip *gossip, enum call_kind kind, struct rf_key_task *task,
                       uint64_t timeout_ms, struct rf_error *err)
{
    struct rf_call *call = call_new(kind);
    if (call == NULL) {
        return rf_error_set(err, -ENOMEM, "gossip: memory for a call");
    }
    rf_key_task_ref(task);
    call->key_task = task;
    int code = call_do(gossip, call);
    if (code == -ETIMEDOUT) {
        (void)rf_error_set(err, code, "gossip: the thread did not begin within %d ms",
                           CALL_TIMEOUT_MS);
    } else if (code < 0) {
        (void)rf_error_set(err, code, "%s", call->err.text);
    }
    call_unref(call);
    if (code < 0) {
        return code;
    }
    if (!wait_until_posted(&task->done, (uint32_t)timeout_ms) ||
        !atomic_load_explicit(&task->is_done, memory_order_acquire)) {
        return rf_error_set(err, -ETIMEDOUT, "gossip: no end within %llu ms",
                            (unsigned long long)timeout_ms);
    }
    return task->code < 0 ? rf_error_set(err, task->code, "%s", task->err.text) : 0;
}

int rf_gossip_keys_ask(struct rf_gossip *gossip, const struct rf_gossip_keys_request *request,
                       struct rf_gossip_keys_report **ret_report, struct rf_error *err)
{
    struct rf_key_task *task = rf_key_task_new();
    if (task == NULL) {
        return rf_error_set(err, -ENOMEM, "gossip: memory for the answers");
    }
    uint64_t timeout_ms = request->timeout_ms == 0 ? ASK_TIMEOUT_MS : request->timeout_ms;
    int code = rf_driver_ask_prepare(request, task, err);
    if (code == 0) {
        code = key_task_do(gossip, CALL_KEYS_ASK, task, timeout_ms + CALL_TIMEOUT_MS, err);
    }
    if (code == 0 &&
        rf_driver_ask_report(task, request->op == RF_GOSSIP_KEYS_LIST, ret_report) < 0) {
        code = rf_error_set(err, -ENOMEM, "gossip: memory for the report");
    }
    rf_key_task_unref(task);
    return code;
}

int rf_gossip_keys_reload(struct rf_gossip *gossip, struct rf_error *err)
{
    struct rf_key_task *task = rf_key_task_new();
    if (task == NULL) {
        return rf_error_set(err, -ENOMEM, "gossip: memory for a call");
    }
    int code = key_task_do(gossip, CALL_KEYS_RELOAD, task, RELOAD_TIMEOUT_MS, err);
    rf_key_task_unref(task);
    return code;
}

int rf_gossip_leave(struct rf_gossip *gossip, uint32_t timeout_ms)
{
    atomic_store_explicit(&gossip->leave_wanted, true, memory_order_release);
    rf_driver_wake(gossip);
    if (!wait_until_posted(&gossip->left, timeout_ms)) {
        return -ETIMEDOUT;
    }
    sem_post(&gossip->left); /* for the next who waits */
    return 0;
}

int rf_gossip_event_fd(const struct rf_gossip *gossip)
{
    return gossip->events.event_fd;
}

struct rf_gossip_event *rf_gossip_event_next(struct rf_gossip *gossip)
{
    bool asks = false;
    struct rf_gossip_event *event = rf_events_take(&gossip->events, &asks);
    if (asks) {
        rf_driver_wake(gossip);
    }
    return event;
}
