/* SPDX-License-Identifier: MIT
 *
 * driver_keys.c - our keys: what the cluster has us do with them, one thing after the other.
 *
 * A change is made in a copy of the ring, which is written to the file, if there is one, and takes
 * the ring's place only when it is on the disk: what was answered as done survives, and what failed
 * has changed nothing.
 */
#include <errno.h>
#include <string.h>

#include "core/assert.h"
#include "core/text.h"
#include "gossip/driver.h"

static const char *op_name(const struct rf_key_job *job)
{
    static const char *const names[] = {
        [RF_KEY_LIST] = "list",
        [RF_KEY_INSTALL] = "install",
        [RF_KEY_USE] = "use",
        [RF_KEY_REMOVE] = "remove",
    };
    return job->reload != NULL ? "reload" : names[job->op];
}

static void log_done(struct rf_gossip *gossip, const struct rf_key_job *job, int code,
                     const struct rf_error *err)
{
    if (code < 0) {
        rf_driver_log(gossip, RF_TOPIC_KEYS, RF_LOG_WARN,
                      "keys_failed operation=%s by=%s error=\"%s\"", op_name(job), job->by,
                      err->text);
    } else {
        rf_driver_log(gossip, RF_TOPIC_KEYS, RF_LOG_INFO,
                      "keys_changed operation=%s by=%s keys=%zu written=%s", op_name(job), job->by,
                      rf_keyring_count(gossip->keyring),
                      gossip->keyring_thread != NULL ? "yes" : "no");
    }
}

/* Ends the first job. */
static void job_end(struct rf_gossip *gossip, uint64_t now_ns, int code, const struct rf_error *err)
{
    const struct rf_key_job job = gossip->key_jobs[0];
    memmove(&gossip->key_jobs[0], &gossip->key_jobs[1],
            --gossip->key_jobs_count * sizeof(gossip->key_jobs[0]));
    gossip->key_jobs[gossip->key_jobs_count] = (struct rf_key_job){0}; /* it may hold a key */
    log_done(gossip, &job, code, err);
    if (job.reload != NULL) {
        job.reload->err = *err;
        rf_key_task_end(job.reload, code);
        return;
    }
    if (code < 0) {
        rf_counter_add(&gossip->counters.key_requests_failed, 1);
    }
    if (gossip->is_open) {
        const struct rf_serf_key_result result = {.is_done = code == 0,
                                                  .message = code == 0 ? NULL : err->text};
        rf_serf_key_done(gossip->serf, now_ns, job.request_id, &result);
    }
}

/* A ring in which the job is done. */
static int ring_prepare(struct rf_gossip *gossip, const struct rf_key_job *job,
                        struct rf_keyring **ret_next, struct rf_error *err)
{
    struct rf_keyring *next;
    int code = rf_keyring_copy(gossip->keyring, &next, err);
    if (code < 0) {
        return code;
    }
    /* Of a key that is too long only the length counts, and that it is wrong. */
    struct rf_slice key = rf_slice(job->key, job->key_size);
    if (job->op == RF_KEY_INSTALL || job->key_size > RF_KEY_SIZE_MAX) {
        code = rf_keyring_add(next, key, err);
    } else if (job->op == RF_KEY_USE) {
        code = rf_keyring_use(next, key, err);
    } else {
        code = rf_keyring_remove(next, key, err);
    }
    if (code < 0) {
        rf_keyring_free(next);
        return code;
    }
    *ret_next = next;
    return 0;
}

static void ring_replace(struct rf_gossip *gossip, struct rf_keyring *next)
{
    rf_keyring_swap(gossip->keyring, next);
    rf_keyring_free(next);
    rf_counter_set(&gossip->counters.keys, rf_keyring_count(gossip->keyring));
}

/* Does jobs until one has to wait for the disk. */
static void jobs_do(struct rf_gossip *gossip, uint64_t now_ns)
{
    while (gossip->key_jobs_count > 0 && !gossip->is_keyring_busy) {
        const struct rf_key_job *job = &gossip->key_jobs[0];
        if (job->reload != NULL) {
            gossip->is_keyring_busy = true;
            rf_keyring_thread_load(gossip->keyring_thread);
            return;
        }
        struct rf_error err = {0};
        struct rf_keyring *next;
        int code = ring_prepare(gossip, job, &next, &err);
        if (code == 0 && gossip->keyring_thread != NULL) {
            gossip->is_keyring_busy = true;
            rf_keyring_thread_save(gossip->keyring_thread, next);
            return;
        }
        if (code == 0) {
            ring_replace(gossip, next);
        }
        job_end(gossip, now_ns, code, &err);
    }
}

static void list(struct rf_gossip *gossip, uint64_t now_ns, uint64_t request_id)
{
    struct rf_slice keys[RF_KEYS_MAX];
    size_t count = rf_keyring_count(gossip->keyring);
    for (size_t i = 0; i < count; i++) {
        keys[i] = rf_keyring_key(gossip->keyring, i);
    }
    const struct rf_serf_key_result result = {.is_done = true, .keys = keys, .keys_count = count};
    rf_serf_key_done(gossip->serf, now_ns, request_id, &result);
}

void rf_driver_key_request(struct rf_gossip *gossip, uint64_t now_ns,
                           const struct rf_output *output)
{
    rf_counter_add(&gossip->counters.key_requests, 1);
    if (output->key_op == RF_KEY_LIST) {
        list(gossip, now_ns, output->request_id);
        return;
    }
    /* The machine has no more of them waiting, and readings have places of their own. */
    RF_ASSERT(gossip->key_jobs_count < RF_KEY_JOBS_MAX);
    struct rf_key_job *job = &gossip->key_jobs[gossip->key_jobs_count++];
    *job = (struct rf_key_job){
        .request_id = output->request_id, .op = output->key_op, .key_size = output->bytes_size};
    size_t kept = output->bytes_size < RF_KEY_SIZE_MAX ? output->bytes_size : RF_KEY_SIZE_MAX;
    memcpy(job->key, output->bytes, kept);
    rf_text_quote(output->name, job->by);
    jobs_do(gossip, now_ns);
}

int rf_driver_keys_reload(struct rf_gossip *gossip, uint64_t now_ns, struct rf_key_task *task)
{
    if (gossip->keyring_thread == NULL) {
        return rf_error_set(&task->err, -ENOENT, "gossip: this node has no keyring file");
    }
    size_t readings = 0;
    for (size_t i = 0; i < gossip->key_jobs_count; i++) {
        readings += gossip->key_jobs[i].reload != NULL;
    }
    if (readings == RF_KEY_JOBS_MAX - RF_SERF_KEY_REQUESTS_MAX) {
        return rf_error_set(&task->err, RF_ELIMIT,
                            "gossip: the keyring file is being read %zu times already", readings);
    }
    rf_key_task_ref(task);
    struct rf_key_job *job = &gossip->key_jobs[gossip->key_jobs_count++];
    *job = (struct rf_key_job){.reload = task};
    rf_text_quote(gossip->name, job->by);
    jobs_do(gossip, now_ns);
    return 0;
}

void rf_driver_keys_poll(struct rf_gossip *gossip, uint64_t now_ns)
{
    int code;
    struct rf_error err;
    struct rf_keyring *next;
    if (!gossip->is_keyring_busy ||
        !rf_keyring_thread_poll(gossip->keyring_thread, &code, &err, &next)) {
        return;
    }
    gossip->is_keyring_busy = false;
    if (code == 0) {
        ring_replace(gossip, next);
    } else {
        rf_keyring_free(next);
    }
    job_end(gossip, now_ns, code, &err);
    jobs_do(gossip, now_ns);
    if (gossip->is_open) {
        rf_driver_outputs(gossip, now_ns);
    }
}

void rf_driver_keys_close(struct rf_gossip *gossip)
{
    /* The first may be at the disk: its file is written, and its end is told as ever. */
    size_t kept = gossip->is_keyring_busy ? 1 : 0;
    while (gossip->key_jobs_count > kept) {
        struct rf_key_job *job = &gossip->key_jobs[--gossip->key_jobs_count];
        if (job->reload != NULL) {
            (void)rf_error_set(&job->reload->err, -ESHUTDOWN, "gossip: the node has left");
            rf_key_task_end(job->reload, -ESHUTDOWN);
        }
    }
}

void rf_driver_keys_fini(struct rf_gossip *gossip)
{
    rf_keyring_thread_free(gossip->keyring_thread);
    for (size_t i = 0; i < gossip->key_jobs_count; i++) {
        rf_key_task_unref(gossip->key_jobs[i].reload);
    }
    rf_keyring_free(gossip->keyring);
}
