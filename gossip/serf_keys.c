/* SPDX-License-Identifier: MIT
 *
 * serf_keys.c - the cluster's requests to change our keys or to tell them (rule 23). The driver has
 * the keys: the machine passes the request on, and the answer back.
 */
#include "core/assert.h"
#include "core/base64.h"
#include "gossip/keyring.h"
#include "gossip/serf_private.h"

enum { KEY_TEXT_SIZE = RF_BASE64_SIZE(RF_KEY_SIZE_MAX) };

bool rf_serf_key_op(struct rf_slice name, enum rf_key_op *ret_op)
{
    static const char *const names[] = {
        [RF_KEY_LIST] = "_serf_list-keys",
        [RF_KEY_INSTALL] = "_serf_install-key",
        [RF_KEY_USE] = "_serf_use-key",
        [RF_KEY_REMOVE] = "_serf_remove-key",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (rf_slice_equal_text(name, names[i])) {
            *ret_op = (enum rf_key_op)i;
            return true;
        }
    }
    return false;
}

/* ---- answering ---- */

/* Errors: -ENOBUFS it is too large for an answer. */
static int respond(struct rf_serf *serf, const struct rf_serf_query *query,
                   const struct rf_serf_key_response *response)
{
    uint8_t bytes[RF_QUERY_RESPONSE_SIZE_MAX];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    struct rf_serf_message message = {.type = RF_SERF_KEY_RESPONSE, .key_response = *response};
    int code = rf_serf_message_encode(&message, &packer);
    return code < 0 ? code : rf_serf_respond(serf, query, 0, rf_packer_slice(&packer));
}

static void respond_text(struct rf_serf *serf, const struct rf_serf_query *query, bool is_done,
                         const char *text)
{
    const struct rf_serf_key_response response = {
        .result = is_done, .message = rf_slice_text(text == NULL ? "" : text)};
    if (respond(serf, query, &response) < 0) {
        serf->stats.serf_dropped_limit++;
    }
}

/*
 * Serf cuts a list that is too long for an answer and says so; ours is never too long. With the
 * longest name and numbers an answer has 264 bytes beside the keys, each of which takes 3 more.
 */
static_assert(264 + RF_KEYS_MAX * (KEY_TEXT_SIZE + 3) <= RF_QUERY_RESPONSE_SIZE_MAX,
              "a list of all keys fits into an answer");

static void respond_list(struct rf_serf *serf, const struct rf_serf_query *query,
                         const struct rf_serf_key_result *result)
{
    char texts[RF_KEYS_MAX][KEY_TEXT_SIZE + 1];
    struct rf_slice keys[RF_KEYS_MAX];
    uint8_t packed[RF_KEYS_MAX * (KEY_TEXT_SIZE + 3) + 3];
    RF_ASSERT(result->keys_count >= 1 && result->keys_count <= RF_KEYS_MAX);
    for (size_t i = 0; i < result->keys_count; i++) {
        rf_base64_encode(result->keys[i].data, result->keys[i].size, texts[i]);
        keys[i] = rf_slice_text(texts[i]);
    }
    struct rf_packer packer = rf_packer(packed, sizeof(packed));
    int code = rf_pack_raws(&packer, keys, result->keys_count);
    RF_ASSERT(code > 0);
    const struct rf_serf_key_response response = {.result = true,
                                                  .message = rf_slice_text(""),
                                                  .keys = rf_packer_slice(&packer),
                                                  .primary_key = keys[0]};
    code = respond(serf, query, &response);
    RF_ASSERT(code == 0);
}

/* ---- asking the driver ---- */

static struct rf_key_request *find(struct rf_serf *serf, uint64_t id)
{
    for (size_t i = 0; i < RF_SERF_KEY_REQUESTS_MAX; i++) {
        if (serf->key_requests[i].id == id) {
            return &serf->key_requests[i];
        }
    }
    return NULL;
}

/* Keeps what the answer needs. Returns the request's id, or 0: there are too many. */
static uint64_t request_keep(struct rf_serf *serf, const struct rf_serf_query *query)
{
    struct rf_key_request *request = find(serf, 0);
    if (request == NULL || query->source_node.size > sizeof(request->source_node)) {
        return 0;
    }
    *request = (struct rf_key_request){.id = ++serf->key_request_id,
                                       .ltime = query->ltime,
                                       .query_id = query->id,
                                       .address = query->address,
                                       .relay_factor = query->relay_factor,
                                       .source_size = (uint8_t)query->source_node.size};
    if (query->source_node.size > 0) {
        memcpy(request->source_node, query->source_node.data, query->source_node.size);
    }
    return request->id;
}

void rf_serf_on_key_query(struct rf_serf *serf, const struct rf_serf_query *query,
                          enum rf_key_op op)
{
    if (!serf->config.is_encrypted) {
        respond_text(serf, query, false,
                     op == RF_KEY_LIST ? "Keyring is empty (encryption not enabled)"
                                       : "No keyring to modify (encryption not enabled)");
        return;
    }
    struct rf_serf_message message = {0};
    if (op != RF_KEY_LIST && (rf_serf_message_decode(query->payload, &message) < 0 ||
                              message.type != RF_SERF_KEY_REQUEST)) {
        serf->stats.serf_dropped_malformed++;
        respond_text(serf, query, false, "The query holds no key request");
        return;
    }
    uint64_t id = request_keep(serf, query);
    if (id == 0) {
        serf->stats.serf_dropped_limit++;
        respond_text(serf, query, false, "Too many key requests at once, try again");
        return;
    }
    const struct rf_output output = {.type = RF_OUTPUT_KEY_REQUEST,
                                     .request_id = id,
                                     .key_op = op,
                                     .name = (const char *)query->source_node.data,
                                     .name_size = query->source_node.size,
                                     .bytes = message.key_request.key.data,
                                     .bytes_size = message.key_request.key.size};
    if (!rf_outbox_put(&serf->swim.out, &output)) {
        struct rf_key_request *request = find(serf, id);
        RF_ASSERT(request != NULL); /* just kept */
        *request = (struct rf_key_request){0};
        respond_text(serf, query, false, "Out of memory");
    }
}

void rf_serf_key_done(struct rf_serf *serf, uint64_t now_ns, uint64_t request_id,
                      const struct rf_serf_key_result *result)
{
    struct rf_key_request *place = find(serf, request_id);
    RF_ASSERT(request_id != 0 && place != NULL);
    const struct rf_key_request request = *place;
    *place = (struct rf_key_request){0};
    const struct rf_serf_query query = {.ltime = request.ltime,
                                        .id = request.query_id,
                                        .address = request.address,
                                        .relay_factor = request.relay_factor,
                                        .source_node =
                                            rf_slice(request.source_node, request.source_size)};
    rf_serf_begin(serf, now_ns);
    if (result->keys_count > 0) {
        respond_list(serf, &query, result);
    } else {
        respond_text(serf, &query, result->is_done, result->message);
    }
    rf_serf_end(serf);
}
