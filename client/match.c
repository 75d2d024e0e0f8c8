/* SPDX-License-Identifier: MIT
 *
 * match.c - the calls of regfast.h whose answers have a known size.
 */
#include <errno.h>
#include <string.h>

#include "client/match.h"

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

/* ---- one key ---- */

int rf_match_take(struct rf_call *call, const uint8_t *payload, size_t size, struct rf_error *err)
{
    struct rf_wire_match_reply reply;
    int code = rf_wire_match_reply_decode(payload, size, &reply, err);
    if (code == 0) {
        copy_owner(((struct rf_match_call *)call)->owner, reply.version, &reply.owner);
    }
    return code;
}

static int match(struct regfast_client *client, const char *group, struct rf_wire_bytes key,
                 struct regfast_owner *ret_owner, struct rf_error *err)
{
    struct rf_match_call match = {.call = {.frame = client->out,
                                           .take = rf_match_take,
                                           .deadline_ns = rf_client_deadline_ns(client)},
                                  .owner = ret_owner};
    int code = rf_client_enter(client, match.call.deadline_ns, err);
    if (code < 0) {
        return code;
    }
    match.call.frame_size =
        rf_wire_match_request_encode(client->out, sizeof(client->out), 0, bytes_of(group), key);
    code = rf_client_call(client, &match.call, err);
    rf_client_leave(client);
    return code;
}

int regfast_match(struct regfast_client *client, const char *group, const void *key,
                  size_t key_size, struct regfast_owner *ret_owner, char *errbuf,
                  size_t errbuf_size)
{
    struct rf_error err = {0};
    int code = rf_client_check(client, ret_owner, &err);
    if (code == 0) {
        code = rf_client_check_group(group, &err);
    }
    if (code == 0) {
        code = rf_client_check_key(key, key_size, &err);
    }
    if (code == 0) {
        code = match(client, group, (struct rf_wire_bytes){key, key_size}, ret_owner, &err);
    }
    return rf_client_report(code, &err, errbuf, errbuf_size);
}

/* ---- lists of owners ---- */

int rf_owners_take(struct rf_call *call, const uint8_t *payload, size_t size, struct rf_error *err)
{
    const struct rf_owners_call *owners = (struct rf_owners_call *)call;
    struct rf_wire_owners_reply reply;
    struct rf_wire_owner owner;
    int code = rf_wire_owners_reply_decode(payload, size, &reply, err);
    if (code < 0) {
        return code;
    }
    if (reply.count < owners->count_min || reply.count > owners->count_max) {
        return rf_error_set(err, RF_EMALFORMED, "%u owners in the reply: %zu..%zu were asked for",
                            reply.count, owners->count_min, owners->count_max);
    }
    for (size_t i = 0; rf_wire_owners_next(&reply.owners, &owner); i++) {
        copy_owner(&owners->owners[i], reply.version, &owner);
    }
    return reply.count;
}

size_t rf_match_take_keys(const struct regfast_key *keys, size_t keys_count, size_t group_size,
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

static int check_keys(const struct regfast_key *keys, size_t keys_count, struct rf_error *err)
{
    if (keys == NULL && keys_count > 0) {
        return rf_error_set(err, -EINVAL, "the keys are NULL, their count is %zu", keys_count);
    }
    for (size_t i = 0; i < keys_count; i++) {
        int code = rf_client_check_key(keys[i].data, keys[i].size, err);
        if (code < 0) {
            return rf_error_prefix(err, code, "keys[%zu]", i);
        }
    }
    return 0;
}

int rf_match_check_many(const struct regfast_client *client, const char *group,
                        const struct regfast_key *keys, size_t keys_count,
                        const struct regfast_owner *owners, struct rf_error *err)
{
    int code = rf_client_check(client, keys_count > 0 ? (const void *)owners : client, err);
    if (code == 0) {
        code = rf_client_check_group(group, err);
    }
    return code == 0 ? check_keys(keys, keys_count, err) : code;
}

static int match_many(struct regfast_client *client, const char *group,
                      const struct regfast_key *keys, size_t keys_count,
                      struct regfast_owner *ret_owners, struct rf_error *err)
{
    const uint64_t deadline_ns = rf_client_deadline_ns(client);
    int code = rf_client_enter(client, deadline_ns, err);
    if (code < 0) {
        return code;
    }
    for (size_t done = 0; code >= 0 && done < keys_count;) {
        struct rf_wire_bytes batch[RF_WIRE_KEYS_MAX];
        size_t count = rf_match_take_keys(keys + done, keys_count - done, strlen(group), batch);
        struct rf_owners_call owners = {
            .call = {.frame = client->out, .take = rf_owners_take, .deadline_ns = deadline_ns},
            .owners = ret_owners + done,
            .count_min = count,
            .count_max = count,
        };
        owners.call.frame_size = rf_wire_match_many_request_encode(
            client->out, sizeof(client->out), 0, bytes_of(group), batch, count);
        code = rf_client_call(client, &owners.call, err);
        done += count;
    }
    rf_client_leave(client);
    return code < 0 ? code : 0;
}

int regfast_match_many(struct regfast_client *client, const char *group,
                       const struct regfast_key *keys, size_t keys_count,
                       struct regfast_owner *ret_owners, char *errbuf, size_t errbuf_size)
{
    struct rf_error err = {0};
    int code = rf_match_check_many(client, group, keys, keys_count, ret_owners, &err);
    if (code == 0) {
        code = match_many(client, group, keys, keys_count, ret_owners, &err);
    }
    return rf_client_report(code, &err, errbuf, errbuf_size);
}

static int owners(struct regfast_client *client, const char *group, struct rf_wire_bytes key,
                  size_t count, struct regfast_owner *ret_owners, struct rf_error *err)
{
    struct rf_owners_call owners = {.call = {.frame = client->out,
                                             .take = rf_owners_take,
                                             .deadline_ns = rf_client_deadline_ns(client)},
                                    .owners = ret_owners,
                                    .count_min = 1,
                                    .count_max = count};
    int code = rf_client_enter(client, owners.call.deadline_ns, err);
    if (code < 0) {
        return code;
    }
    owners.call.frame_size = rf_wire_owners_request_encode(client->out, sizeof(client->out), 0,
                                                           bytes_of(group), key, count);
    code = rf_client_call(client, &owners.call, err);
    rf_client_leave(client);
    return code;
}

int regfast_owners(struct regfast_client *client, const char *group, const void *key,
                   size_t key_size, size_t count, struct regfast_owner *ret_owners, char *errbuf,
                   size_t errbuf_size)
{
    struct rf_error err = {0};
    int code = rf_client_check(client, ret_owners, &err);
    if (code == 0) {
        code = rf_client_check_group(group, &err);
    }
    if (code == 0) {
        code = rf_client_check_key(key, key_size, &err);
    }
    if (code == 0 && (count < 1 || count > RF_WIRE_OWNERS_MAX)) {
        code = rf_error_set(&err, -EINVAL, "%zu owners: allowed 1..%d", count, RF_WIRE_OWNERS_MAX);
    }
    if (code == 0) {
        code =
            owners(client, group, (struct rf_wire_bytes){key, key_size}, count, ret_owners, &err);
    }
    return rf_client_report(code, &err, errbuf, errbuf_size);
}

/* ---- ping ---- */

struct ping_call {
    struct rf_call call;
    uint8_t sent[8];
    uint64_t time_ns;
};

static int take_ping(struct rf_call *call, const uint8_t *payload, size_t size,
                     struct rf_error *err)
{
    struct ping_call *ping = (struct ping_call *)call;
    if (size != sizeof(ping->sent) || memcmp(payload, ping->sent, size) != 0) {
        return rf_error_set(err, RF_EMALFORMED, "ping reply is not what was sent");
    }
    ping->time_ns = rf_client_now_ns() - call->sent_ns;
    return 0;
}

static int ping(struct regfast_client *client, uint64_t *ret_time_ns, struct rf_error *err)
{
    struct ping_call ping = {.call = {.frame = client->out,
                                      .take = take_ping,
                                      .deadline_ns = rf_client_deadline_ns(client)}};
    int code = rf_client_enter(client, ping.call.deadline_ns, err);
    if (code < 0) {
        return code;
    }
    rf_store_le64(ping.sent, ping.call.deadline_ns); /* any bytes that another ping has not */
    ping.call.frame_size =
        rf_wire_frame_encode(client->out, sizeof(client->out), RF_WIRE_PING, RF_WIRE_OK, 0,
                             (struct rf_wire_bytes){ping.sent, sizeof(ping.sent)});
    code = rf_client_call(client, &ping.call, err);
    rf_client_leave(client);
    if (code == 0 && ret_time_ns != NULL) {
        *ret_time_ns = ping.time_ns;
    }
    return code;
}

int regfast_ping(struct regfast_client *client, uint64_t *ret_time_ns, char *errbuf,
                 size_t errbuf_size)
{
    struct rf_error err = {0};
    uint64_t unused;
    int code = rf_client_check(client, &unused, &err); /* the time need not be asked for */
    if (code == 0) {
        code = ping(client, ret_time_ns, &err);
    }
    return rf_client_report(code, &err, errbuf, errbuf_size);
}
