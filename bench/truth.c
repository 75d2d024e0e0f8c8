/* SPDX-License-Identifier: MIT */
#include "bench/truth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/member.h"
#include "core/wire.h"

enum { ANSWER_SIZE_MAX = RF_WIRE_MATCH_REPLY_SIZE_MAX + 32 /* "VA 511\r\n", "$511\r\n", "\r\n" */ };

const struct rf_bench_member rf_bench_ceiling_member = {"instance-000", "10.20.30.100:80", 1};

static struct rf_wire_owner owner_of(const struct rf_bench_member *member)
{
    return (struct rf_wire_owner){.id = {member->id, strlen(member->id)},
                                  .addr = {member->addr, strlen(member->addr)}};
}

/* As MATCH_MANY has it. */
static size_t encode_entry(uint8_t *out, const struct rf_wire_owner *owner)
{
    uint8_t *at = out;
    *at++ = (uint8_t)owner->id.size;
    memcpy(at, owner->id.data, owner->id.size);
    at += owner->id.size;
    *at++ = (uint8_t)owner->addr.size;
    memcpy(at, owner->addr.data, owner->addr.size);
    return (size_t)(at - out) + owner->addr.size;
}

/* Redis and memcached hold for each key what the registry would answer: id and addr. */
static size_t encode_value(uint8_t *out, const char *before, const struct rf_bench_member *member)
{
    char value[2 * RF_NAME_SIZE_MAX + 1];
    int size = snprintf(value, sizeof(value), "%s%s", member->id, member->addr);
    char head[16];
    int head_size = snprintf(head, sizeof(head), "%s%d\r\n", before, size);
    memcpy(out, head, (size_t)head_size);
    memcpy(out + head_size, value, (size_t)size);
    memcpy(out + head_size + size, "\r\n", 2);
    return (size_t)head_size + (size_t)size + 2;
}

static size_t encode_answer(uint8_t out[ANSWER_SIZE_MAX],
                            const struct rf_bench_workload_config *config, uint64_t version,
                            const struct rf_bench_member *member)
{
    struct rf_wire_owner owner = owner_of(member);
    switch (config->protocol) {
    case RF_BENCH_REGISTRY:
    case RF_BENCH_CEILING:
        return config->keys_per_request == 1
                   ? rf_wire_match_reply_encode(out, ANSWER_SIZE_MAX, 0, version, &owner)
                   : encode_entry(out, &owner);
    case RF_BENCH_REDIS:
        return encode_value(out, "$", member);
    case RF_BENCH_MEMCACHED:
        return encode_value(out, "VA ", member);
    }
    return 0;
}

/* One piece of memory: answers, slots, bytes. */
static struct rf_bench_truth *allocate(size_t members_count, size_t draws_count)
{
    struct rf_bench_truth *truth = calloc(1, sizeof(*truth));
    size_t answers_size = members_count * sizeof(struct rf_bench_answer);
    size_t slots_size = draws_count * sizeof(uint16_t);
    char *memory = malloc(answers_size + slots_size + members_count * ANSWER_SIZE_MAX);
    if (truth == NULL || memory == NULL) {
        free(truth);
        free(memory);
        return NULL;
    }
    truth->memory = memory;
    truth->answers = (void *)memory;
    truth->slots = (void *)(memory + answers_size);
    return truth;
}

static int find_slots(const struct rf_bench_workload *workload, enum rf_placement placement,
                      const struct rf_bench_member *members, size_t members_count, uint16_t *slots,
                      struct rf_error *err)
{
    size_t draws_count = (size_t)workload->requests_count * workload->config.keys_per_request;
    if (workload->config.protocol == RF_BENCH_CEILING) {
        memset(slots, 0, draws_count * sizeof(*slots));
        return 0;
    }
    struct rf_ring_member *ring_members = calloc(members_count, sizeof(*ring_members));
    if (ring_members == NULL) {
        return rf_error_set(err, -ENOMEM, "%zu members: out of memory", members_count);
    }
    for (size_t i = 0; i < members_count; i++) {
        ring_members[i] = (struct rf_ring_member){members[i].id, members[i].replicas};
    }
    struct rf_ring *ring;
    int code = rf_ring_build(placement, ring_members, members_count, &ring, err);
    free(ring_members);
    if (code < 0) {
        return code;
    }
    for (size_t i = 0; i < draws_count; i++) {
        char key[RF_BENCH_KEY_SIZE];
        rf_bench_key(workload->draws[i], key);
        slots[i] = rf_ring_owner(ring, rf_placement_hash(placement, key, sizeof(key)));
    }
    rf_ring_free(ring);
    return 0;
}

static void fill_answers(struct rf_bench_truth *truth, const struct rf_bench_workload *workload,
                         const struct rf_bench_member *members, size_t members_count,
                         uint8_t *bytes)
{
    for (size_t i = 0; i < members_count; i++) {
        size_t size = encode_answer(bytes, &workload->config, truth->version, &members[i]);
        RF_ASSERT(size > 0 && size <= ANSWER_SIZE_MAX);
        truth->answers[i] = (struct rf_bench_answer){bytes, (uint32_t)size};
        bytes += size;
    }
}

int rf_bench_truth_build(const struct rf_bench_workload *workload, enum rf_placement placement,
                         uint64_t version, const struct rf_bench_member *members,
                         size_t members_count, struct rf_bench_truth **ret_truth,
                         struct rf_error *err)
{
    const struct rf_bench_workload_config *config = &workload->config;
    size_t draws_count = (size_t)workload->requests_count * config->keys_per_request;
    struct rf_bench_truth *truth = allocate(members_count, draws_count);
    if (truth == NULL) {
        return rf_error_set(err, -ENOMEM, "answers of %zu members: out of memory", members_count);
    }
    truth->version = version;
    truth->keys_per_request = config->keys_per_request;
    truth->answers_count = (uint32_t)members_count;
    truth->id_mask = config->protocol == RF_BENCH_REGISTRY ? UINT32_MAX : 0;
    uint16_t *slots = (uint16_t *)(void *)((char *)truth->memory +
                                           members_count * sizeof(struct rf_bench_answer));
    int code = find_slots(workload, placement, members, members_count, slots, err);
    if (code < 0) {
        rf_bench_truth_free(truth);
        return code;
    }
    fill_answers(truth, workload, members, members_count, (uint8_t *)(slots + draws_count));
    *ret_truth = truth;
    return 0;
}

void rf_bench_truth_free(struct rf_bench_truth *truth)
{
    if (truth != NULL) {
        free(truth->memory);
        free(truth);
    }
}

/* ---- from a registry ---- */

static int fetch_placement(struct regfast_client *client, enum rf_placement *ret_placement,
                           struct rf_error *err)
{
    char text[REGFAST_ERROR_SIZE];
    struct regfast_info_list *info;
    int code = regfast_info(client, &info, text, sizeof(text));
    if (code < 0) {
        return rf_error_set(err, code, "%s", text);
    }
    code = rf_error_set(err, -ENOENT, "the registry does not say its placement");
    for (size_t i = 0; i < info->count; i++) {
        const struct regfast_info *entry = &info->entries[i];
        if (strcmp(entry->name, "placement") == 0 && entry->type == REGFAST_INFO_TEXT) {
            code = rf_placement_parse(entry->text, ret_placement, err);
        }
    }
    regfast_info_list_free(info);
    return code;
}

static int build_from_list(const struct rf_bench_workload *workload, enum rf_placement placement,
                           const struct regfast_member_list *list,
                           struct rf_bench_truth **ret_truth, struct rf_error *err)
{
    struct rf_bench_member *members = calloc(list->count + 1, sizeof(*members));
    if (members == NULL) {
        return rf_error_set(err, -ENOMEM, "%zu members: out of memory", list->count);
    }
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct regfast_member *member = &list->members[i];
        if (rf_member_is_in_ring((enum rf_member_state)member->state)) {
            members[count++] = (struct rf_bench_member){member->id, member->addr, member->replicas};
        }
    }
    int code = count == 0
                   ? rf_error_set(err, RF_ENOTFOUND, "group '%s' has nobody who could answer",
                                  workload->config.group)
                   : rf_bench_truth_build(workload, placement, list->version, members, count,
                                          ret_truth, err);
    free(members);
    return code;
}

int rf_bench_truth_fetch(const struct rf_bench_workload *workload, struct regfast_client *client,
                         struct rf_bench_truth **ret_truth, struct rf_error *err)
{
    enum rf_placement placement = RF_PLACEMENT_V1;
    int code = fetch_placement(client, &placement, err);
    if (code < 0) {
        return code;
    }
    char text[REGFAST_ERROR_SIZE];
    struct regfast_member_list *list;
    code = regfast_members(client, workload->config.group, &list, text, sizeof(text));
    if (code < 0) {
        return rf_error_set(err, code, "%s", text);
    }
    code = build_from_list(workload, placement, list, ret_truth, err);
    regfast_member_list_free(list);
    return code;
}

/* ---- the ceiling ---- */

size_t rf_bench_ceiling_reply(uint8_t *out, size_t out_size, uint32_t keys_per_request)
{
    struct rf_wire_owner owner = owner_of(&rf_bench_ceiling_member);
    if (keys_per_request == 1) {
        return rf_wire_match_reply_encode(out, out_size, 0, RF_BENCH_CEILING_VERSION, &owner);
    }
    struct rf_wire_list list;
    int code = rf_wire_owners_reply_begin(&list, out, out_size, RF_WIRE_MATCH_MANY, 0,
                                          RF_BENCH_CEILING_VERSION);
    for (uint32_t i = 0; code == 0 && i < keys_per_request; i++) {
        code = rf_wire_owners_reply_add(&list, &owner);
    }
    return code == 0 ? rf_wire_list_end(&list, false) : 0;
}
