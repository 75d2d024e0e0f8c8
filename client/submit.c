/* SPDX-License-Identifier: MIT
 *
 * submit.c - the calls of regfast.h that do not wait, and what an event loop needs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/match.h"

enum {
    SUBMITTED_SIZE_MAX = 16 * 1024 * 1024, /* of all requests: some hundred of the largest */
};

static_assert(SUBMITTED_SIZE_MAX / REGFAST_SUBMITTED_MAX >= 4096, "a usual request always fits");

/* One allocation for a request and what is known of it. */
struct submission {
    union {
        struct rf_call call;
        struct rf_match_call match;
        struct rf_owners_call owners;
    } as;
    void *user;
    uint8_t frame[];
};

static int submission_new(const struct regfast_client *client, size_t frame_size, void *user,
                          struct submission **ret_submission, struct rf_error *err)
{
    const struct rf_submissions *all = &client->submissions;
    if (all->count == REGFAST_SUBMITTED_MAX || frame_size > SUBMITTED_SIZE_MAX - all->size) {
        return rf_error_set(err, -EAGAIN,
                            "%zu requests of %zu bytes are under way or not taken: at most %d, of "
                            "%d bytes",
                            all->count, all->size, REGFAST_SUBMITTED_MAX, SUBMITTED_SIZE_MAX);
    }
    struct submission *submission = malloc(sizeof(*submission) + frame_size);
    if (submission == NULL) {
        return rf_error_set(err, -ENOMEM, "no memory for a request of %zu bytes", frame_size);
    }
    memset(submission, 0, sizeof(*submission));
    submission->as.call.frame = submission->frame;
    submission->as.call.frame_size = frame_size;
    submission->as.call.is_submitted = true;
    submission->user = user;
    *ret_submission = submission;
    return 0;
}

/* Sends it; the client is the caller's. */
static void start(struct regfast_client *client, struct submission *submission)
{
    client->submissions.count++;
    client->submissions.size += submission->as.call.frame_size;
    submission->as.call.deadline_ns = rf_client_deadline_ns(client);
    rf_client_start(client, &submission->as.call);
}

static int submit_match(struct regfast_client *client, struct rf_wire_bytes group,
                        struct rf_wire_bytes key, struct regfast_owner *owner, void *user,
                        struct rf_error *err)
{
    struct submission *submission;
    int code = rf_client_enter(client, rf_client_deadline_ns(client), err);
    if (code < 0) {
        return code;
    }
    size_t size = rf_wire_match_request_encode(client->out, sizeof(client->out), 0, group, key);
    code = submission_new(client, size, user, &submission, err);
    if (code == 0) {
        memcpy(submission->frame, client->out, size);
        submission->as.call.take = rf_match_take;
        submission->as.match.owner = owner;
        start(client, submission);
    }
    rf_client_leave(client);
    return code;
}

int regfast_submit_match(struct regfast_client *client, const char *group, const void *key,
                         size_t key_size, struct regfast_owner *owner, void *user, char *errbuf,
                         size_t errbuf_size)
{
    struct rf_error err = {0};
    int code = rf_client_check(client, owner, &err);
    if (code == 0) {
        code = rf_client_check_group(group, &err);
    }
    if (code == 0) {
        code = rf_client_check_key(key, key_size, &err);
    }
    if (code == 0) {
        code = submit_match(client, (struct rf_wire_bytes){group, strlen(group)},
                            (struct rf_wire_bytes){key, key_size}, owner, user, &err);
    }
    return rf_client_report(code, &err, errbuf, errbuf_size);
}

/* Returns 0: the completion of a submitted call tells no count. */
static int take_all_owners(struct rf_call *call, const uint8_t *payload, size_t size,
                           struct rf_error *err)
{
    int code = rf_owners_take(call, payload, size, err);
    return code < 0 ? code : 0;
}

/* There is nothing to ask: done, without a registry. */
static int submit_nothing(struct regfast_client *client, void *user, struct rf_error *err)
{
    struct submission *submission;
    int code = rf_client_enter(client, rf_client_deadline_ns(client), err);
    if (code < 0) {
        return code;
    }
    code = submission_new(client, 0, user, &submission, err);
    if (code == 0) {
        submission->as.call.is_done = true;
        client->submissions.count++;
        rf_calls_append(&client->done, &submission->as.call);
    }
    rf_client_leave(client);
    return code;
}

static int submit_match_many(struct regfast_client *client, struct rf_wire_bytes group,
                             const struct rf_wire_bytes *keys, size_t keys_count,
                             struct regfast_owner *owners, void *user, struct rf_error *err)
{
    struct submission *submission;
    int code = rf_client_enter(client, rf_client_deadline_ns(client), err);
    if (code < 0) {
        return code;
    }
    size_t size = rf_wire_match_many_request_encode(client->out, sizeof(client->out), 0, group,
                                                    keys, keys_count);
    code = submission_new(client, size, user, &submission, err);
    if (code == 0) {
        memcpy(submission->frame, client->out, size);
        submission->as.call.take = take_all_owners;
        submission->as.owners.owners = owners;
        submission->as.owners.count_min = keys_count;
        submission->as.owners.count_max = keys_count;
        start(client, submission);
    }
    rf_client_leave(client);
    return code;
}

int regfast_submit_match_many(struct regfast_client *client, const char *group,
                              const struct regfast_key *keys, size_t keys_count,
                              struct regfast_owner *owners, void *user, char *errbuf,
                              size_t errbuf_size)
{
    struct rf_error err = {0};
    struct rf_wire_bytes batch[RF_WIRE_KEYS_MAX];
    int code = rf_match_check_many(client, group, keys, keys_count, owners, &err);
    if (code == 0) {
        size_t fit = rf_match_take_keys(keys, keys_count, strlen(group), batch);
        code = fit == keys_count
                   ? 0
                   : rf_error_set(&err, RF_ELIMIT, "%zu keys: the first %zu of them fill a request",
                                  keys_count, fit);
    }
    if (code == 0 && keys_count == 0) {
        code = submit_nothing(client, user, &err);
    } else if (code == 0) {
        code = submit_match_many(client, (struct rf_wire_bytes){group, strlen(group)}, batch,
                                 keys_count, owners, user, &err);
    }
    return rf_client_report(code, &err, errbuf, errbuf_size);
}

/* ---- completions ---- */

/* Those that wait longest come first. */
static struct rf_call *take_first(struct rf_calls *calls)
{
    struct rf_call *call = calls->first;
    if (call != NULL) {
        rf_calls_remove(calls, call);
    }
    return call;
}

int regfast_next(struct regfast_client *client, struct regfast_completion *ret_completion)
{
    struct rf_error err = {0};
    int code = rf_client_check(client, ret_completion, &err);
    if (code == 0) {
        code = rf_client_enter(client, rf_client_deadline_ns(client), &err);
    }
    if (code < 0) {
        return code;
    }
    free(client->submissions.taken);
    client->submissions.taken = take_first(&client->done);
    const struct rf_call *call = client->submissions.taken;
    if (call != NULL) {
        client->submissions.count--;
        client->submissions.size -= call->frame_size;
        *ret_completion = (struct regfast_completion){
            .user = ((const struct submission *)call)->user,
            .code = call->code,
            .error = call->code < 0 ? call->err.text : "",
        };
    }
    rf_client_leave(client);
    return call != NULL;
}

void rf_client_drop_submissions(struct regfast_client *client)
{
    struct rf_call *call;
    while ((call = take_first(&client->calls)) != NULL) {
        free(call); /* nobody waits: only submitted ones are left */
    }
    while ((call = take_first(&client->done)) != NULL) {
        free(call);
    }
    free(client->submissions.taken);
    client->submissions = (struct rf_submissions){0};
}

/* ---- event loops ---- */

int regfast_fd(const struct regfast_client *client)
{
    return client != NULL ? client->link.epoll_fd : -EINVAL;
}

int regfast_timeout_ms(struct regfast_client *client)
{
    if (client == NULL) {
        return -1;
    }
    if (rf_client_enter(client, rf_client_deadline_ns(client), NULL) < 0) {
        return 0; /* regfast_process says why */
    }
    uint64_t next_ns = client->done.count > 0 ? 0 : rf_client_next_ns(client);
    rf_client_leave(client);
    return rf_client_timeout_ms(next_ns);
}

int regfast_process(struct regfast_client *client, char *errbuf, size_t errbuf_size)
{
    struct rf_error err = {0};
    uint64_t unused;
    int code = rf_client_check(client, &unused, &err);
    if (code == 0) {
        code = rf_client_enter(client, rf_client_deadline_ns(client), &err);
    }
    if (code < 0) {
        return rf_client_report(code, &err, errbuf, errbuf_size);
    }
    rf_client_process(client);
    code = (int)client->done.count;
    rf_client_leave(client);
    return code;
}
