/* SPDX-License-Identifier: MIT
 *
 * match.c - the calls of regfast.h whose answers have a known size.
 */
#include <errno.h>
#include <string.h>

#include "client/client.h"

static struct rf_wire_bytes bytes_of(const char *text)
{
    return (struct rf_wire_bytes){text, strlen(text)};
}

static void copy_name(char name[REGFAST_NAME_SIZE], struct rf_wire_bytes bytes)
{
    RF_ASSERT(bytes.size < REGFAST_NAME_SIZE);
    memcpy(name, bytes.data, bytes.size);
    name[bytes.size] = '\0';
}

static void copy_owner(struct regfast_owner *owner, uint64_t version,
                       const struct rf_wire_owner *from)
{
    owner->version = version;
    copy_name(owner->id, from->id);
    copy_name(owner->addr, from->addr);
}

static int match(struct regfast_client *client, const char *group, struct rf_wire_bytes key,
                 struct regfast_owner *ret_owner, struct rf_error *err)
{
    int code = rf_client_check(client, ret_owner, err);
    if (code == 0) {
        code = rf_client_check_group(group, err);
    }
    if (code == 0) {
        code = rf_client_check_key(key.data, key.size, err);
    }
    if (code < 0) {
        return code;
    }
    struct rf_wire_bytes payload;
    struct rf_wire_match_reply reply;
    size_t size = rf_wire_match_request_encode(rf_client_request(client), RF_WIRE_REQUEST_SIZE_MAX,
                                               client->request_id, bytes_of(group), key);
    code = rf_client_call(client, size, rf_client_deadline_ns(client), &payload, err);
    if (code < 0) {
        return code;
    }
    code = rf_wire_match_reply_decode(payload.data, payload.size, &reply, err);
    if (code < 0) {
        return rf_client_refuse(client, code, err);
    }
    copy_owner(ret_owner, reply.version, &reply.owner);
    return 0;
}

int regfast_match(struct regfast_client *client, const char *group, const void *key,
                  size_t key_size, struct regfast_owner *ret_owner, char *errbuf,
                  size_t errbuf_size)
{
    struct rf_error err = {0};
    int code = match(client, group, (struct rf_wire_bytes){key, key_size}, ret_owner, &err);
    code = rf_client_in_group(code, group, &err);
    return rf_client_report(code, &err, errbuf, errbuf_size);
}

/* Sends the request that is encoded and copies the owners of the reply: count_min..count_max of
 * them. Returns how many. */
static int call_for_owners(struct regfast_client *client, size_t frame_size, uint64_t deadline_ns,
                           size_t count_min, size_t count_max, struct regfast_owner *ret_owners,
                           struct rf_error *err)
{
    struct rf_wire_bytes payload;
    struct rf_wire_owners_reply reply;
    struct rf_wire_owner owner;
    int code = rf_client_call(client, frame_size, deadline_ns, &payload, err);
    if (code < 0) {
        return code;
    }
    code = rf_wire_owners_reply_decode(payload.data, payload.size, &reply, err);
    if (code == 0 && (reply.count < count_min || reply.count > count_max)) {
        code = rf_error_set(err, RF_EMALFORMED, "%u owners in the reply: %zu..%zu were asked for",
                            reply.count, count_min, count_max);
    }
    if (code < 0) {
        return rf_client_refuse(client, code, err);
    }
    for (size_t i = 0; rf_wire_owners_next(&reply.owners, &owner); i++) {
        copy_owner(&ret_owners[i], reply.version, &owner);
    }
    return reply.count;
}

/* How many of the keys fit one request, and these as the encoder wants them. */
static size_t take_keys(const struct regfast_key *keys, size_t keys_count, size_t group_size,
                        struct rf_wire_bytes *ret_keys)
{
    size_t size = RF_WIRE_HEADER_SIZE + 1 + group_size + 2;
    size_t count = 0;
    while (count < keys_count && count < RF_WIRE_KEYS_MAX &&
           size + 2 + keys[count].size <= RF_WIRE_REQUEST_SIZE_MAX) {
        ret_keys[count] = (struct rf_wire_bytes){keys[count].data, keys[count].size};
        size += 2 + keys[count].size;
        count++;
    }
    return count;
}

static int match_many(struct regfast_client *client, const char *group,
                      const struct regfast_key *keys, size_t keys_count,
                      struct regfast_owner *ret_owners, struct rf_error *err)
{
    int code = rf_client_check(client, ret_owners, err);
    if (code == 0) {
        code = rf_client_check_group(group, err);
    }
    if (code == 0 && keys == NULL && keys_count > 0) {
        code = rf_error_set(err, -EINVAL, "the keys are NULL, their count is %zu", keys_count);
    }
    for (size_t i = 0; code == 0 && i < keys_count; i++) {
        code = rf_client_check_key(keys[i].data, keys[i].size, err);
        if (code < 0) {
            code = rf_error_prefix(err, code, "keys[%zu]", i);
        }
    }
    uint64_t deadline_ns = code == 0 ? rf_client_deadline_ns(client) : 0;
    for (size_t done = 0; code == 0 && done < keys_count;) {
        struct rf_wire_bytes batch[RF_WIRE_KEYS_MAX];
        size_t count = take_keys(keys + done, keys_count - done, strlen(group), batch);
        size_t size =
            rf_wire_match_many_request_encode(rf_client_request(client), RF_WIRE_REQUEST_SIZE_MAX,
                                              client->request_id, bytes_of(group), batch, count);
        int got = call_for_owners(client, size, deadline_ns, count, count, ret_owners + done, err);
        code = got < 0 ? got : 0;
        done += count;
    }
    return code;
}

int regfast_match_many(struct regfast_client *client, const char *group,
                       const struct regfast_key *keys, size_t keys_count,
                       struct regfast_owner *ret_owners, char *errbuf, size_t errbuf_size)
{
    struct rf_error err = {0};
    int code = match_many(client, group, keys, keys_count, ret_owners, &err);
    code = rf_client_in_group(code, group, &err);
    return rf_client_report(code, &err, errbuf, errbuf_size);
}

static int owners(struct regfast_client *client, const char *group, struct rf_wire_bytes key,
                  size_t count, struct regfast_owner *ret_owners, struct rf_error *err)
{
    int code = rf_client_check(client, ret_owners, err);
    if (code == 0) {
        code = rf_client_check_group(group, err);
    }
    if (code == 0) {
        code = rf_client_check_key(key.data, key.size, err);
    }
    if (code == 0 && (count < 1 || count > RF_WIRE_OWNERS_MAX)) {
        code = rf_error_set(err, -EINVAL, "%zu owners: allowed 1..%d", count, RF_WIRE_OWNERS_MAX);
    }
    if (code < 0) {
        return code;
    }
    size_t size = rf_wire_owners_request_encode(rf_client_request(client), RF_WIRE_REQUEST_SIZE_MAX,
                                                client->request_id, bytes_of(group), key, count);
    return call_for_owners(client, size, rf_client_deadline_ns(client), 1, count, ret_owners, err);
}

int regfast_owners(struct regfast_client *client, const char *group, const void *key,
                   size_t key_size, size_t count, struct regfast_owner *ret_owners, char *errbuf,
                   size_t errbuf_size)
{
    struct rf_error err = {0};
    int code =
        owners(client, group, (struct rf_wire_bytes){key, key_size}, count, ret_owners, &err);
    code = rf_client_in_group(code, group, &err);
    return rf_client_report(code, &err, errbuf, errbuf_size);
}

static int ping(struct regfast_client *client, uint64_t *ret_time_ns, struct rf_error *err)
{
    uint64_t unused;
    int code = rf_client_check(client, &unused, err); /* the time need not be asked for */
    if (code == 0 && !rf_link_is_open(&client->link)) {
        code = rf_client_connect(client, rf_client_deadline_ns(client), err);
    }
    if (code < 0) {
        return code;
    }
    struct rf_wire_bytes payload;
    uint64_t begin_ns = rf_client_now_ns();
    uint8_t sent[8];
    rf_store_le64(sent, begin_ns); /* a late reply to another ping would differ */
    size_t size = rf_wire_frame_encode(rf_client_request(client), RF_WIRE_REQUEST_SIZE_MAX,
                                       RF_WIRE_PING, RF_WIRE_OK, client->request_id,
                                       (struct rf_wire_bytes){sent, sizeof(sent)});
    code = rf_client_call(client, size, rf_client_deadline_ns(client), &payload, err);
    if (code < 0) {
        return code;
    }
    if (payload.size != sizeof(sent) || memcmp(payload.data, sent, sizeof(sent)) != 0) {
        return rf_client_refuse(
            client, rf_error_set(err, RF_EMALFORMED, "ping reply is not what was sent"), err);
    }
    if (ret_time_ns != NULL) {
        *ret_time_ns = rf_client_now_ns() - begin_ns;
    }
    return 0;
}

int regfast_ping(struct regfast_client *client, uint64_t *ret_time_ns, char *errbuf,
                 size_t errbuf_size)
{
    struct rf_error err = {0};
    int code = ping(client, ret_time_ns, &err);
    return rf_client_report(code, &err, errbuf, errbuf_size);
}
