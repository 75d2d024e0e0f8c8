/* SPDX-License-Identifier: MIT
 *
 * driver_ask.c - what we ask of the cluster about its keys. The gossip thread only notes who was
 * asked and what came; the thread that asked makes a report of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/text.h"
#include "gossip/driver.h"
#include "gossip/serf_message.h"

enum { MESSAGE_SIZE_MAX = 255 /* of a node's own words; the rest is cut */ };

static_assert((int)RF_GOSSIP_KEYS_RELAYS_MAX == (int)RF_SERF_RELAY_FACTOR_MAX, "one limit");
static_assert((int)RF_GOSSIP_KEY_TEXT_SIZE == (RF_KEY_SIZE_MAX + 2) / 3 * 4 + 1, "base64");

/* In this order a later one says more of the same node. */
enum record_kind { RECORD_ASKED, RECORD_ACK, RECORD_ANSWER };

struct rf_key_record {
    enum record_kind kind;
    size_t name_size;
    size_t payload_size;
    char *bytes; /* name, NUL, payload; owned */
};

/* ---- tasks ---- */

struct rf_key_task *rf_key_task_new(void)
{
    struct rf_key_task *task = calloc(1, sizeof(*task));
    if (task != NULL) {
        atomic_init(&task->refs, 1);
        sem_init(&task->done, 0, 0);
    }
    return task;
}

void rf_key_task_ref(struct rf_key_task *task)
{
    atomic_fetch_add_explicit(&task->refs, 1, memory_order_relaxed);
}

void rf_key_task_unref(struct rf_key_task *task)
{
    if (task == NULL || atomic_fetch_sub_explicit(&task->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < task->records_count; i++) {
        free(task->records[i].bytes);
    }
    free(task->records);
    sem_destroy(&task->done);
    explicit_bzero(task->payload, sizeof(task->payload));
    free(task);
}

void rf_key_task_end(struct rf_key_task *task, int code)
{
    task->code = code;
    atomic_store_explicit(&task->is_done, true, memory_order_release);
    sem_post(&task->done);
    rf_key_task_unref(task);
}

/* ---- the gossip thread's side ---- */

static int note(struct rf_key_task *task, enum record_kind kind, struct rf_slice name,
                struct rf_slice payload)
{
    if (task->records_count == task->records_capacity) {
        size_t capacity = task->records_capacity == 0 ? 64 : 2 * task->records_capacity;
        struct rf_key_record *records = realloc(task->records, capacity * sizeof(records[0]));
        if (records == NULL) {
            return -ENOMEM;
        }
        task->records = records;
        task->records_capacity = capacity;
    }
    struct rf_key_record record = {.kind = kind,
                                   .name_size = name.size,
                                   .payload_size = payload.size,
                                   .bytes = malloc(name.size + 1 + payload.size)};
    if (record.bytes == NULL) {
        return -ENOMEM;
    }
    memcpy(record.bytes, name.data, name.size); /* names are never empty */
    record.bytes[name.size] = '\0';
    if (payload.size > 0) {
        memcpy(record.bytes + name.size + 1, payload.data, payload.size);
    }
    task->records[task->records_count++] = record;
    return 0;
}

/* Who is to answer: so that those who do not can be named, also if they are gone by then. */
static int note_asked(struct rf_gossip *gossip, struct rf_key_task *task)
{
    size_t cursor = 0;
    struct rf_serf_member_view member;
    int code = 0;
    while (code == 0 && rf_serf_member_next(gossip->serf, &cursor, &member)) {
        if (member.status == RF_SERF_ALIVE || member.status == RF_SERF_LEAVING) {
            code = note(task, RECORD_ASKED, rf_slice(member.name, member.name_size),
                        rf_slice(NULL, 0));
        }
    }
    return code;
}

int rf_driver_ask_begin(struct rf_gossip *gossip, uint64_t now_ns, struct rf_key_task *task)
{
    if (!gossip->is_open || gossip->is_leaving) {
        return rf_error_set(&task->err, -ESHUTDOWN, "gossip: the node has left");
    }
    if (note_asked(gossip, task) < 0) {
        return rf_error_set(&task->err, -ENOMEM, "gossip: memory for the answers");
    }
    const struct rf_serf_question question = {
        .name = task->query_name,
        .payload = rf_slice(task->payload, task->payload_size),
        .timeout_ns = task->timeout_ns,
        .relay_factor = task->relay_factor,
    };
    int code = rf_serf_ask(gossip->serf, now_ns, &question, &task->ask_id, &task->err);
    if (code < 0) {
        return rf_error_prefix(&task->err, code, "gossip");
    }
    for (size_t i = 0; i < RF_SERF_ASKS_MAX; i++) {
        if (gossip->asks[i] == NULL) {
            rf_key_task_ref(task);
            gossip->asks[i] = task;
            break;
        }
    }
    return 0;
}

static struct rf_key_task **find(struct rf_gossip *gossip, uint64_t ask_id)
{
    for (size_t i = 0; i < RF_SERF_ASKS_MAX; i++) {
        if (gossip->asks[i] != NULL && gossip->asks[i]->ask_id == ask_id) {
            return &gossip->asks[i];
        }
    }
    return NULL;
}

void rf_driver_ask_answer(struct rf_gossip *gossip, const struct rf_output *output)
{
    struct rf_key_task **place = find(gossip, output->ask_id);
    RF_ASSERT(place != NULL); /* the machine tells of its end, once */
    /* Without memory it is as if it had been lost on the way. */
    (void)note(*place, output->is_ack ? RECORD_ACK : RECORD_ANSWER,
               rf_slice(output->name, output->name_size),
               rf_slice(output->bytes, output->is_ack ? 0 : output->bytes_size));
}

void rf_driver_ask_done(struct rf_gossip *gossip, const struct rf_output *output)
{
    struct rf_key_task **place = find(gossip, output->ask_id);
    RF_ASSERT(place != NULL);
    struct rf_key_task *task = *place;
    *place = NULL;
    rf_key_task_end(task, 0); /* who has not answered is in the report, whatever the code */
}

void rf_driver_asks_close(struct rf_gossip *gossip)
{
    for (size_t i = 0; i < RF_SERF_ASKS_MAX; i++) {
        struct rf_key_task *task = gossip->asks[i];
        gossip->asks[i] = NULL;
        if (task != NULL) {
            (void)rf_error_set(&task->err, -ESHUTDOWN,
                               "gossip: the node has left before all had answered");
            rf_key_task_end(task, -ESHUTDOWN);
        }
    }
}

/* ---- the caller's side ---- */

int rf_driver_ask_prepare(const struct rf_gossip_keys_request *request, struct rf_key_task *task,
                          struct rf_error *err)
{
    static const char *const names[] = {
        [RF_GOSSIP_KEYS_LIST] = "_serf_list-keys",
        [RF_GOSSIP_KEYS_INSTALL] = "_serf_install-key",
        [RF_GOSSIP_KEYS_USE] = "_serf_use-key",
        [RF_GOSSIP_KEYS_REMOVE] = "_serf_remove-key",
    };
    if (request->timeout_ms > RF_GOSSIP_KEYS_TIMEOUT_MS_MAX ||
        request->relay_factor > RF_GOSSIP_KEYS_RELAYS_MAX) {
        return rf_error_set(err, -EINVAL,
                            "keys: timeout %u ms, relay factor %u: allowed 0..%d and 0..%d",
                            request->timeout_ms, request->relay_factor,
                            RF_GOSSIP_KEYS_TIMEOUT_MS_MAX, RF_GOSSIP_KEYS_RELAYS_MAX);
    }
    uint8_t key[RF_KEY_SIZE_MAX];
    int key_size = 0;
    if ((request->key == NULL) != (request->op == RF_GOSSIP_KEYS_LIST)) {
        return rf_error_set(err, -EINVAL,
                            request->key == NULL ? "keys: no key given, expected one"
                                                 : "keys: a list takes no key");
    }
    if (request->key != NULL) {
        key_size = rf_key_parse(request->key, strlen(request->key), key, err);
        if (key_size < 0) {
            return rf_error_prefix(err, key_size, "keys");
        }
    }
    struct rf_packer packer = rf_packer(task->payload, sizeof(task->payload));
    const struct rf_serf_message message = {.type = RF_SERF_KEY_REQUEST,
                                            .key_request = {rf_slice(key, (size_t)key_size)}};
    int size = rf_serf_message_encode(&message, &packer);
    RF_ASSERT(size > 0);
    explicit_bzero(key, sizeof(key));
    task->query_name = names[request->op];
    task->payload_size = (size_t)size;
    task->timeout_ns = (uint64_t)request->timeout_ms * 1000000;
    task->relay_factor = request->relay_factor;
    return 0;
}

/* By name, and of one name the record that says most last. */
static int compare_records(const void *a, const void *b)
{
    const struct rf_key_record *first = a;
    const struct rf_key_record *second = b;
    int order = strcmp(first->bytes, second->bytes);
    return order != 0 ? order : (int)first->kind - (int)second->kind;
}

static int compare_keys(const void *a, const void *b)
{
    const struct rf_gossip_keys_key *first = a;
    const struct rf_gossip_keys_key *second = b;
    if (first->nodes_count != second->nodes_count) {
        return first->nodes_count > second->nodes_count ? -1 : 1;
    }
    return strcmp(first->text, second->text);
}

/* What a report is made in: one piece of memory, to be freed as one. */
struct report {
    struct rf_gossip_keys_report head;
    struct rf_gossip_keys_key keys[RF_GOSSIP_KEYS_TOLD_MAX];
    struct rf_gossip_keys_node nodes[];
};

static struct rf_gossip_keys_key *key_find(struct report *report, struct rf_slice text)
{
    char kept[RF_GOSSIP_KEY_TEXT_SIZE];
    if (text.size == 0 || text.size >= sizeof(kept) || memchr(text.data, 0, text.size) != NULL) {
        return NULL; /* no key */
    }
    memcpy(kept, text.data, text.size);
    kept[text.size] = '\0';
    rf_text_clean(kept);
    for (size_t i = 0; i < report->head.keys_count; i++) {
        if (strcmp(report->keys[i].text, kept) == 0) {
            return &report->keys[i];
        }
    }
    if (report->head.keys_count == RF_GOSSIP_KEYS_TOLD_MAX) {
        return NULL;
    }
    struct rf_gossip_keys_key *key = &report->keys[report->head.keys_count++];
    *key = (struct rf_gossip_keys_key){0};
    memcpy(key->text, kept, sizeof(kept));
    return key;
}

/* Serf before 0.9.4 does not say which key is the primary one; then nobody is counted for it. */
static void count_keys(struct report *report, const struct rf_serf_key_response *response)
{
    struct rf_cursor cursor = rf_cursor_array(response->keys);
    struct rf_slice text;
    while (rf_cursor_next_raw(&cursor, &text)) {
        struct rf_gossip_keys_key *key = key_find(report, text);
        if (key != NULL) {
            key->nodes_count++;
            key->primary_count += rf_slice_equal(text, response->primary_key);
        }
    }
}

/* Reads the answer of a record into `node`; `text` has room for its message. */
static void read_answer(struct report *report, const struct rf_key_record *record, bool is_list,
                        char *text, struct rf_gossip_keys_node *node)
{
    struct rf_serf_message message;
    struct rf_slice payload = rf_slice(record->bytes + record->name_size + 1, record->payload_size);
    struct rf_slice words = rf_slice_text("its answer is not one about keys");
    node->state = RF_GOSSIP_KEYS_FAILED;
    if (rf_serf_message_decode(payload, &message) == 0 && message.type == RF_SERF_KEY_RESPONSE) {
        words = message.key_response.message;
        node->state = message.key_response.result ? RF_GOSSIP_KEYS_DONE : RF_GOSSIP_KEYS_FAILED;
        if (is_list && message.key_response.result) {
            count_keys(report, &message.key_response);
        }
    }
    size_t size = words.size < MESSAGE_SIZE_MAX ? words.size : MESSAGE_SIZE_MAX;
    if (size > 0) {
        memcpy(text, words.data, size);
    }
    text[size] = '\0';
    rf_text_clean(text);
    node->message = text;
    report->head.answers_count++;
    report->head.errors_count += node->state == RF_GOSSIP_KEYS_FAILED;
}

/* Adds the node that `record` says most of. Returns how much of `texts` it took. */
static size_t add_node(struct report *report, const struct rf_key_record *record, bool is_list,
                       char *texts)
{
    struct rf_gossip_keys_node *node = &report->nodes[report->head.nodes_count++];
    *node = (struct rf_gossip_keys_node){.name = texts, .message = ""};
    memcpy(texts, record->bytes, record->name_size + 1);
    rf_text_clean(texts);
    size_t used = record->name_size + 1;
    switch (record->kind) {
    case RECORD_ASKED:
        node->state = RF_GOSSIP_KEYS_NO_ANSWER;
        break;
    case RECORD_ACK:
        node->state = RF_GOSSIP_KEYS_NO_RESULT;
        break;
    case RECORD_ANSWER:
        read_answer(report, record, is_list, texts + used, node);
        used += strlen(texts + used) + 1;
        break;
    }
    return used;
}

int rf_driver_ask_report(const struct rf_key_task *task, bool is_list,
                         struct rf_gossip_keys_report **ret_report)
{
    size_t count = task->records_count;
    size_t texts_size = 0;
    for (size_t i = 0; i < count; i++) {
        texts_size += task->records[i].name_size + 1 + MESSAGE_SIZE_MAX + 1;
    }
    size_t nodes_size = count * sizeof(struct rf_gossip_keys_node);
    struct report *report = malloc(sizeof(*report) + nodes_size + texts_size);
    if (report == NULL) {
        return -ENOMEM;
    }
    report->head = (struct rf_gossip_keys_report){.nodes = report->nodes, .keys = report->keys};
    char *texts = (char *)&report->nodes[count];
    qsort(task->records, count, sizeof(task->records[0]), compare_records);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 == count || strcmp(task->records[i].bytes, task->records[i + 1].bytes) != 0) {
            texts += add_node(report, &task->records[i], is_list, texts);
        }
    }
    qsort(report->keys, report->head.keys_count, sizeof(report->keys[0]), compare_keys);
    *ret_report = &report->head;
    return 0;
}

void rf_gossip_keys_report_free(struct rf_gossip_keys_report *report)
{
    if (report != NULL) {
        struct report *all = (struct report *)report; /* its head is first */
        explicit_bzero(all->keys, sizeof(all->keys));
        free(all);
    }
}
