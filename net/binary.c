/* SPDX-License-Identifier: MIT */
#include "net/binary.h"

#include <string.h>

#include "core/assert.h"
#include "core/ring.h"

enum {
    ERROR_SIZE_MAX = RF_WIRE_HEADER_SIZE + RF_WIRE_ERROR_TEXT_SIZE_MAX,
    KEYS_AT_ONCE = 64, /* of MATCH_MANY: hashes and slots of so many fit a page of stack */
};

/* One call of rf_binary_feed. */
struct run {
    const struct rf_binary_context *context;
    const uint8_t *in;
    size_t in_size;
    size_t consumed;
    uint8_t *out;
    size_t out_size;
    size_t written;
    size_t answered;
    size_t need;
    struct rf_wire_bytes group_name; /* of the last request, into `in`; empty: none yet */
    const struct rf_group *group;    /* its group, or NULL */
};

enum answer {
    ANSWERED,
    NO_ROOM, /* run->need is set, nothing is written */
    CLOSE,
};

/* A request whose frame is whole. */
struct request {
    struct rf_wire_header header;
    const uint8_t *payload;
};

static uint8_t *out_at(const struct run *run)
{
    return run->out + run->written;
}

static size_t out_room(const struct run *run)
{
    return run->out_size - run->written;
}

static enum answer no_room(struct run *run, size_t need)
{
    run->need = need;
    return NO_ROOM;
}

/* Takes the size of an encoded frame, 0 if it did not fit. */
static enum answer wrote(struct run *run, size_t size, size_t need)
{
    if (size == 0) {
        return no_room(run, need);
    }
    run->written += size;
    return ANSWERED;
}

static enum answer reply_error(struct run *run, const struct rf_wire_header *header,
                               enum rf_wire_status status, const char *text)
{
    size_t size = rf_wire_error_encode(out_at(run), out_room(run), header->op, status,
                                       header->request_id, text);
    return wrote(run, size, ERROR_SIZE_MAX);
}

/* Clients know which group they asked for; its name could hold any bytes. */
static enum answer reply_not_found(struct run *run, const struct rf_wire_header *header,
                                   const struct rf_group *group)
{
    const char *text = group == NULL ? "no such group" : "no member of the group is in its ring";
    enum answer answer = reply_error(run, header, RF_WIRE_NOT_FOUND, text);
    if (answer == ANSWERED) {
        rf_counter_add(&run->context->counters->replies_not_found, 1);
    }
    return answer;
}

/* A request that its decoder refused with `code`. */
static enum answer reply_refused(struct run *run, const struct rf_wire_header *header, int code,
                                 const struct rf_error *err)
{
    struct rf_server_counters *counters = run->context->counters;
    enum rf_wire_status status = rf_wire_status_of(code);
    enum answer answer = reply_error(run, header, status, err->text);
    if (answer != ANSWERED) {
        return answer;
    }
    if (status == RF_WIRE_TOO_LARGE) {
        rf_counter_add(&counters->replies_limit, 1);
        return ANSWERED;
    }
    rf_counter_add(&counters->replies_malformed, 1);
    return CLOSE;
}

/* Names of one size, each within a frame: so there are a head and a size before it, and the 8 bytes
 * that a short name ends with can be loaded. A call costs more than comparing a name does. */
static inline bool is_same(const uint8_t *a, const uint8_t *b, size_t size)
{
    static_assert(RF_WIRE_HEADER_SIZE >= 8, "8 bytes may be loaded before a name");
    uint64_t differing = rf_load_le64(a + size - 8) ^ rf_load_le64(b + size - 8);
    if (size < 8) {
        return differing >> 8 * (8 - size) == 0;
    }
    for (size_t at = 0; at + 8 < size; at += 8) {
        differing |= rf_load_le64(a + at) ^ rf_load_le64(b + at);
    }
    return differing == 0;
}

static inline bool is_group_of_last(const struct run *run, struct rf_wire_bytes name)
{
    return name.size == run->group_name.size && is_same(name.data, run->group_name.data, name.size);
}

/* The group of that name, looked up once for a run of equal names. */
static const struct rf_group *find_group(struct run *run, struct rf_wire_bytes name)
{
    if (!is_group_of_last(run, name)) {
        run->group_name = name;
        run->group = rf_catalog_group(run->context->catalog, name.data, name.size);
    }
    return run->group;
}

static bool has_ring(const struct rf_group *group)
{
    return group != NULL && group->ring != NULL;
}

static struct rf_wire_bytes bytes_of(const char *text)
{
    return (struct rf_wire_bytes){text, strlen(text)};
}

static struct rf_wire_owner owner_of(const struct rf_member *member)
{
    return (struct rf_wire_owner){.id = bytes_of(member->id), .addr = bytes_of(member->addr)};
}

/* ---- match ---- */

/* MATCH requests that follow each other and name one group: run->group. */
struct matches {
    size_t count;
    uint64_t hashes[RF_BINARY_MATCHES_MAX];
    uint32_t request_ids[RF_BINARY_MATCHES_MAX];
    size_t ends[RF_BINARY_MATCHES_MAX]; /* of frames, in the input */
};

/* Parses them and hashes their keys. Stops before the first that is something else, not whole,
 * malformed, or of another group. */
static void parse_matches(struct run *run, struct matches *matches)
{
    const uint64_t head_max = RF_WIRE_REQUEST_SIZE_MAX - RF_WIRE_HEADER_SIZE;
    const enum rf_placement placement = run->context->catalog->placement;
    const uint8_t *at = run->in + run->consumed;
    const uint8_t *end = run->in + run->in_size;
    size_t count = 0;
    while (count < RF_BINARY_MATCHES_MAX && end - at >= RF_WIRE_HEADER_SIZE) {
        struct rf_wire_match_request request = {0};
        /* Size, operation, status and reserved bits at once: the last two must be 0. */
        uint64_t payload_size = rf_load_le64(at) - ((uint64_t)RF_WIRE_MATCH << 32);
        if (payload_size > head_max || payload_size > (uint64_t)(end - at) - RF_WIRE_HEADER_SIZE ||
            rf_wire_match_request_decode(at + RF_WIRE_HEADER_SIZE, payload_size, &request, NULL) <
                0) {
            break;
        }
        if (count == 0) {
            (void)find_group(run, request.group);
        } else if (!is_group_of_last(run, request.group)) {
            break;
        }
        matches->hashes[count] = rf_placement_hash(placement, request.key.data, request.key.size);
        matches->request_ids[count] = rf_load_le32(at + 8);
        at += RF_WIRE_HEADER_SIZE + payload_size;
        matches->ends[count] = (size_t)(at - run->in);
        count++;
    }
    matches->count = count;
}

static enum answer reply_no_owner(struct run *run, uint32_t request_id)
{
    const struct rf_wire_header header = {.op = RF_WIRE_MATCH, .request_id = request_id};
    return reply_not_found(run, &header, run->group);
}

/* A member that is too long to be encoded beforehand, or the end of the output. */
static enum answer reply_owner(struct run *run, uint32_t request_id, uint16_t slot)
{
    struct rf_wire_owner owner = owner_of(run->group->by_slot[slot]);
    size_t size = rf_wire_match_reply_encode(out_at(run), out_room(run), request_id,
                                             run->group->version, &owner);
    return wrote(run, size, RF_WIRE_MATCH_REPLY_SIZE_MAX);
}

/* Returns how many were answered; less than all only without room. */
static size_t reply_owners(struct run *run, const struct matches *matches)
{
    uint16_t slots[RF_BINARY_MATCHES_MAX];
    rf_ring_owner_batch(run->group->ring, matches->hashes, matches->count, slots);
    const struct rf_wire_owner_short *owners = run->group->owners;
    const uint64_t version = run->group->version;
    const size_t count = matches->count;
    for (size_t i = 0; i < count; i++) {
        uint8_t *out = out_at(run); /* not in *run, which every store through it might change */
        const uint8_t *end = run->out + run->out_size;
        for (; i < count && end - out >= RF_WIRE_MATCH_REPLY_SHORT_ROOM; i++) {
            const struct rf_wire_owner_short *owner = &owners[slots[i]];
            if (RF_UNLIKELY(owner->size == 0)) {
                break;
            }
            out += rf_wire_match_reply_short(out, matches->request_ids[i], version, owner);
        }
        run->written = (size_t)(out - run->out);
        if (i < count && reply_owner(run, matches->request_ids[i], slots[i]) != ANSWERED) {
            return i;
        }
    }
    return count;
}

static size_t reply_no_owners(struct run *run, const struct matches *matches)
{
    size_t i = 0;
    while (i < matches->count && reply_no_owner(run, matches->request_ids[i]) == ANSWERED) {
        i++;
    }
    return i;
}

/* Answers the first request, a MATCH, and those like it that follow. */
static enum answer answer_matches(struct run *run, const struct request *first)
{
    struct matches matches;
    parse_matches(run, &matches);
    if (matches.count == 0) {
        struct rf_error err = {0};
        struct rf_wire_match_request request;
        int code = rf_wire_match_request_decode(first->payload, first->header.payload_size,
                                                &request, &err);
        RF_ASSERT(code == RF_EMALFORMED); /* so it ends the connection, or would be read for ever */
        return reply_refused(run, &first->header, code, &err);
    }
    size_t answered;
    if (has_ring(run->group)) {
        answered = reply_owners(run, &matches);
    } else {
        answered = reply_no_owners(run, &matches);
    }
    if (answered > 0) {
        run->consumed = matches.ends[answered - 1];
        run->answered += answered;
        rf_counter_add(&run->context->counters->requests_match, answered);
        rf_counter_add(&run->context->counters->keys_matched, answered);
    }
    return answered == matches.count ? ANSWERED : NO_ROOM;
}

/* Appends the members in `slots` to an owners reply. False: no room. */
static bool add_owners(struct rf_wire_list *list, const struct rf_group *group,
                       const uint16_t *slots, size_t count)
{
    for (size_t done = 0;; done++) {
        done += rf_wire_owners_reply_add_short(list, group->entries, slots + done, count - done);
        if (done == count) {
            return true;
        }
        /* A member that is too long to be encoded beforehand, or the end of the output. */
        struct rf_wire_owner owner = owner_of(group->by_slot[slots[done]]);
        if (rf_wire_owners_reply_add(list, &owner) < 0) {
            return false;
        }
    }
}

/* Takes up to KEYS_AT_ONCE keys and hashes them. Returns how many; stops before one that is cut. */
static size_t hash_keys(enum rf_placement placement, struct rf_wire_cursor *keys,
                        const uint8_t *end, uint64_t hashes[KEYS_AT_ONCE])
{
    struct rf_wire_bytes key;
    size_t count = 0;
    while (count < KEYS_AT_ONCE && keys->left > 0 && rf_wire_keys_take(keys, end, &key)) {
        hashes[count++] = rf_placement_hash(placement, key.data, key.size);
    }
    return count;
}

/* A request that is not as it must be: its decoder says how. Texts are for here alone, as room for
 * one costs more to clear than some keys to answer. */
static enum answer refuse_match_many(struct run *run, const struct request *request)
{
    struct rf_wire_match_many_request many;
    struct rf_error err = {0};
    int code = rf_wire_match_many_request_decode(request->payload, request->header.payload_size,
                                                 &many, &err);
    RF_ASSERT(code < 0);
    return reply_refused(run, &request->header, code, &err);
}

/* Keys are checked, hashed and answered by so many at once as hide the latency of memory; if one is
 * malformed, what was written for those before it is not kept. */
static enum answer answer_match_many(struct run *run, const struct request *request)
{
    const uint8_t *payload = request->payload;
    const size_t payload_size = request->header.payload_size;
    struct rf_wire_match_many_request many;
    if (rf_wire_match_many_head_decode(payload, payload_size, &many, NULL) < 0) {
        return refuse_match_many(run, request);
    }
    const struct rf_group *group = find_group(run, many.group);
    if (!has_ring(group)) {
        return rf_wire_match_many_request_decode(payload, payload_size, &many, NULL) < 0
                   ? refuse_match_many(run, request)
                   : reply_not_found(run, &request->header, group);
    }
    const enum rf_placement placement = run->context->catalog->placement;
    struct rf_wire_list list;
    bool has_room =
        rf_wire_owners_reply_begin(&list, out_at(run), out_room(run), RF_WIRE_MATCH_MANY,
                                   request->header.request_id, group->version) == 0;
    while (many.keys.left > 0) {
        uint64_t hashes[KEYS_AT_ONCE];
        uint16_t slots[KEYS_AT_ONCE];
        size_t count = hash_keys(placement, &many.keys, many.keys_end, hashes);
        if (count == 0) {
            return refuse_match_many(run, request);
        }
        if (has_room) {
            rf_ring_owner_batch(group->ring, hashes, count, slots);
            has_room = add_owners(&list, group, slots, count);
        }
    }
    if (many.keys.at != many.keys_end) {
        return refuse_match_many(run, request);
    }
    size_t need = RF_WIRE_OWNERS_REPLY_SIZE_MAX(many.count);
    if (!has_room) {
        return no_room(run, need);
    }
    rf_counter_add(&run->context->counters->keys_matched, many.count);
    return wrote(run, rf_wire_list_end(&list, false), need);
}

static enum answer answer_owners(struct run *run, const struct request *request)
{
    struct rf_wire_owners_request owners;
    struct rf_error err = {0};
    int code = rf_wire_owners_request_decode(request->payload, request->header.payload_size,
                                             &owners, &err);
    if (code < 0) {
        return reply_refused(run, &request->header, code, &err);
    }
    const struct rf_group *group = find_group(run, owners.group);
    if (!has_ring(group)) {
        return reply_not_found(run, &request->header, group);
    }
    uint16_t slots[RF_WIRE_OWNERS_MAX];
    uint64_t hash =
        rf_placement_hash(run->context->catalog->placement, owners.key.data, owners.key.size);
    size_t count = rf_ring_owners(group->ring, hash, owners.count, slots);
    size_t need = RF_WIRE_OWNERS_REPLY_SIZE_MAX(count);
    struct rf_wire_list list;
    code = rf_wire_owners_reply_begin(&list, out_at(run), out_room(run), RF_WIRE_OWNERS,
                                      request->header.request_id, group->version);
    if (code < 0 || !add_owners(&list, group, slots, count)) {
        return no_room(run, need);
    }
    rf_counter_add(&run->context->counters->keys_matched, 1);
    return wrote(run, rf_wire_list_end(&list, false), need);
}

/* ---- lists in pages ---- */

static size_t page_room(const struct run *run)
{
    size_t room = out_room(run);
    return room < RF_WIRE_PAGE_SIZE_MAX ? room : RF_WIRE_PAGE_SIZE_MAX;
}

/*
 * Ends a page. If it was cut short by the room that happened to be left, it is not written: what a
 * page holds shall not depend on what was asked before it.
 */
static enum answer end_page(struct run *run, struct rf_wire_list *list, bool is_cut)
{
    if (is_cut && page_room(run) < RF_WIRE_PAGE_SIZE_MAX) {
        return no_room(run, RF_WIRE_PAGE_SIZE_MAX);
    }
    return wrote(run, rf_wire_list_end(list, is_cut), RF_WIRE_PAGE_SIZE_MAX);
}

/* The first of `count` sorted names that is greater than `after`. */
static size_t first_after(const void *array, size_t count, struct rf_wire_bytes after,
                          const char *(*name_at)(const void *array, size_t index))
{
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (rf_wire_bytes_compare(bytes_of(name_at(array, middle)), after) <= 0) {
            low = middle + 1;
        } else {
            count = middle;
        }
    }
    return low;
}

static const char *member_id_at(const void *array, size_t index)
{
    return ((const struct rf_member *)array)[index].id;
}

static const char *group_name_at(const void *array, size_t index)
{
    return ((const struct rf_group *const *)array)[index]->name;
}

static enum answer answer_members(struct run *run, const struct request *request)
{
    struct rf_wire_members_request members;
    struct rf_error err = {0};
    int code = rf_wire_members_request_decode(request->payload, request->header.payload_size,
                                              &members, &err);
    if (code < 0) {
        return reply_refused(run, &request->header, code, &err);
    }
    const struct rf_group *group = find_group(run, members.group);
    if (group == NULL) {
        return reply_not_found(run, &request->header, group);
    }
    struct rf_wire_list list;
    if (rf_wire_members_reply_begin(&list, out_at(run), page_room(run), request->header.request_id,
                                    group->version, group->digest) < 0) {
        return no_room(run, RF_WIRE_PAGE_SIZE_MAX);
    }
    size_t i = first_after(group->members, group->members_count, members.after, member_id_at);
    for (; code == 0 && i < group->members_count; i++) {
        const struct rf_member *member = &group->members[i];
        const struct rf_wire_member entry = {.owner = owner_of(member),
                                             .replicas = (uint16_t)member->replicas,
                                             .state = member->state};
        code = rf_wire_members_reply_add(&list, &entry);
    }
    return end_page(run, &list, code < 0);
}

static enum answer answer_groups(struct run *run, const struct request *request)
{
    const struct rf_catalog *catalog = run->context->catalog;
    struct rf_wire_bytes after;
    struct rf_error err = {0};
    int code =
        rf_wire_groups_request_decode(request->payload, request->header.payload_size, &after, &err);
    if (code < 0) {
        return reply_refused(run, &request->header, code, &err);
    }
    struct rf_wire_list list;
    if (rf_wire_groups_reply_begin(&list, out_at(run), page_room(run), request->header.request_id,
                                   catalog->version, catalog->digest) < 0) {
        return no_room(run, RF_WIRE_PAGE_SIZE_MAX);
    }
    size_t i = first_after(catalog->groups, catalog->groups_count, after, group_name_at);
    for (; code == 0 && i < catalog->groups_count; i++) {
        const struct rf_group *group = catalog->groups[i];
        const struct rf_wire_group entry = {.name = bytes_of(group->name),
                                            .members_count = (uint32_t)group->members_count,
                                            .alive_count = (uint32_t)group->alive_count,
                                            .version = group->version,
                                            .digest = group->digest};
        code = rf_wire_groups_reply_add(&list, &entry);
    }
    return end_page(run, &list, code < 0);
}

/* ---- the others ---- */

static enum answer answer_info(struct run *run, const struct request *request)
{
    struct rf_error err = {0};
    int code = rf_wire_info_request_decode(request->header.payload_size, &err);
    if (code < 0) {
        return reply_refused(run, &request->header, code, &err);
    }
    size_t size =
        rf_info_reply_encode(out_at(run), out_room(run), request->header.request_id,
                             run->context->info, run->context->catalog, run->context->now_ns);
    return wrote(run, size, rf_info_reply_size_max(run->context->info));
}

static enum answer answer_ping(struct run *run, const struct request *request)
{
    struct rf_error err = {0};
    size_t payload_size = request->header.payload_size;
    int code = rf_wire_ping_request_decode(payload_size, &err);
    if (code < 0) {
        return reply_refused(run, &request->header, code, &err);
    }
    size_t size = rf_wire_frame_encode(out_at(run), out_room(run), RF_WIRE_PING, RF_WIRE_OK,
                                       request->header.request_id,
                                       (struct rf_wire_bytes){request->payload, payload_size});
    return wrote(run, size, RF_WIRE_HEADER_SIZE + payload_size);
}

static enum answer answer_watch(struct run *run, const struct request *request)
{
    struct rf_wire_watch_request watch;
    struct rf_error err = {0};
    int code =
        rf_wire_watch_request_decode(request->payload, request->header.payload_size, &watch, &err);
    if (code < 0) {
        return reply_refused(run, &request->header, code, &err);
    }
    if (out_room(run) < ERROR_SIZE_MAX) { /* what was noted cannot be asked again */
        return no_room(run, ERROR_SIZE_MAX);
    }
    code = run->context->watch(run->context->watcher, &watch, request->header.request_id, &err);
    if (code == RF_ELIMIT) {
        return reply_refused(run, &request->header, code, &err);
    }
    return code == 0 ? ANSWERED
                     : reply_error(run, &request->header, rf_wire_status_of(code), err.text);
}

static enum answer answer_unknown(struct run *run, const struct request *request)
{
    struct rf_error err = {0};
    (void)rf_error_set(&err, RF_EUNSUPPORTED, "operation %u is unknown, known are 1..%d",
                       request->header.op, RF_WIRE_WATCH);
    enum answer answer = reply_error(run, &request->header, RF_WIRE_UNSUPPORTED, err.text);
    if (answer == ANSWERED) {
        rf_counter_add(&run->context->counters->replies_unsupported, 1);
    }
    return answer;
}

struct operation {
    enum answer (*answer)(struct run *run, const struct request *request);
    size_t counter_offset; /* in struct rf_server_counters */
};

#define OPERATION(name)                                                      \
    {                                                                        \
        answer_##name, offsetof(struct rf_server_counters, requests_##name), \
    }

/* MATCH is not among them: it is answered many at once. */
static const struct operation operations[] = {
    [RF_WIRE_MATCH_MANY] = OPERATION(match_many),
    [RF_WIRE_OWNERS] = OPERATION(owners),
    [RF_WIRE_MEMBERS] = OPERATION(members),
    [RF_WIRE_GROUPS] = OPERATION(groups),
    [RF_WIRE_INFO] = OPERATION(info),
    [RF_WIRE_PING] = OPERATION(ping),
    [RF_WIRE_WATCH] = OPERATION(watch),
};

static struct rf_counter *counter_at(struct rf_server_counters *counters, size_t offset)
{
    return (struct rf_counter *)(void *)((char *)counters + offset);
}

static enum answer answer_one(struct run *run, const struct request *request)
{
    uint8_t op = request->header.op;
    enum answer answer;
    if (op < sizeof(operations) / sizeof(operations[0]) && operations[op].answer != NULL) {
        answer = operations[op].answer(run, request);
        if (answer != NO_ROOM) {
            rf_counter_add(counter_at(run->context->counters, operations[op].counter_offset), 1);
        }
    } else {
        answer = answer_unknown(run, request);
    }
    if (answer == ANSWERED) {
        run->answered++;
    }
    if (answer != NO_ROOM) {
        run->consumed += RF_WIRE_HEADER_SIZE + request->header.payload_size;
    }
    return answer;
}

/* Whatever the reason, where the next frame begins is not to be trusted. */
static enum answer refuse_header(struct run *run, const struct rf_wire_header *header)
{
    struct rf_error err = {0};
    int code = rf_wire_request_header_check(header, &err);
    enum answer answer = reply_refused(run, header, code, &err);
    return answer == ANSWERED ? CLOSE : answer;
}

/* Answers until the input is used up, the output is full, or the connection is to end. */
static enum rf_binary_status answer_all(struct run *run)
{
    for (;;) {
        size_t left = run->in_size - run->consumed;
        if (left < RF_WIRE_HEADER_SIZE) {
            run->need = RF_WIRE_HEADER_SIZE;
            return RF_BINARY_MORE;
        }
        const uint8_t *frame = run->in + run->consumed;
        struct request request = {rf_wire_header_load(frame), frame + RF_WIRE_HEADER_SIZE};
        enum answer answer;
        if (rf_wire_request_header_check(&request.header, NULL) < 0) {
            answer = refuse_header(run, &request.header);
        } else if (left - RF_WIRE_HEADER_SIZE < request.header.payload_size) {
            run->need = RF_WIRE_HEADER_SIZE + request.header.payload_size;
            return RF_BINARY_MORE;
        } else if (request.header.op == RF_WIRE_MATCH) {
            answer = answer_matches(run, &request);
        } else {
            answer = answer_one(run, &request);
        }
        if (answer != ANSWERED) {
            return answer == CLOSE ? RF_BINARY_CLOSE : RF_BINARY_ROOM;
        }
    }
}

/* The preface, once. Returns whether requests may follow. */
static bool take_preface(struct rf_binary *binary, struct run *run,
                         enum rf_binary_status *ret_status)
{
    struct rf_error err = {0};
    int code = rf_wire_preface_check(run->in, run->in_size, &err);
    if (code == 0) {
        binary->is_preface_seen = true;
        run->consumed = RF_WIRE_PREFACE_SIZE;
        return true;
    }
    if (code == RF_EMORE) {
        run->need = RF_WIRE_PREFACE_SIZE;
        *ret_status = RF_BINARY_MORE;
        return false;
    }
    *ret_status = RF_BINARY_CLOSE;
    if (code == RF_EVERSION) {
        const struct rf_wire_header none = {.op = RF_WIRE_NONE};
        if (reply_error(run, &none, RF_WIRE_UNSUPPORTED, err.text) == NO_ROOM) {
            *ret_status = RF_BINARY_ROOM;
        } else {
            rf_counter_add(&run->context->counters->replies_unsupported, 1);
        }
    }
    return false;
}

enum rf_binary_status rf_binary_feed(struct rf_binary *binary,
                                     const struct rf_binary_context *context, const uint8_t *in,
                                     size_t in_size, uint8_t *out, size_t out_size,
                                     struct rf_binary_result *ret_result)
{
    struct run run = {
        .context = context, .in = in, .in_size = in_size, .out = out, .out_size = out_size};
    enum rf_binary_status status = RF_BINARY_CLOSE;
    if (!binary->is_closed && (binary->is_preface_seen || take_preface(binary, &run, &status))) {
        status = answer_all(&run);
    }
    if (status == RF_BINARY_CLOSE) {
        binary->is_closed = true;
        run.consumed = in_size; /* what follows has no meaning any more */
        run.need = 0;
    }
    RF_ASSERT(run.consumed <= in_size && run.written <= out_size);
    RF_ASSERT(status != RF_BINARY_ROOM || run.need > out_size - run.written); /* so it will help */
    *ret_result = (struct rf_binary_result){.consumed = run.consumed,
                                            .written = run.written,
                                            .answered = run.answered,
                                            .need = run.need};
    return status;
}
