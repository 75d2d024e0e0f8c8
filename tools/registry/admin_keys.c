/* SPDX-License-Identifier: MIT
 *
 * admin_keys.c - the admin command keys: what the cluster is asked to do with its keys.
 */
#include <errno.h>
#include <string.h>

#include "gossip/gossip.h"
#include "tools/registry/admin_commands.h"

static int parse_op(const char *name, enum rf_gossip_keys_op *ret_op, struct rf_error *err)
{
    static const char *const names[] = {
        [RF_GOSSIP_KEYS_LIST] = "list",
        [RF_GOSSIP_KEYS_INSTALL] = "install",
        [RF_GOSSIP_KEYS_USE] = "use",
        [RF_GOSSIP_KEYS_REMOVE] = "remove",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret_op = (enum rf_gossip_keys_op)i;
            return 0;
        }
    }
    return rf_error_set(err, -EINVAL,
                        "keys: unknown operation, allowed list, install, use, remove");
}

/* Bytes of another node that are no text become question marks. */
static json_t *text_of(const char *text)
{
    json_t *string = json_string(text);
    return string != NULL ? string : json_string("?");
}

static json_t *nodes_of(const struct rf_gossip_keys_report *report)
{
    static const char *const states[] = {
        [RF_GOSSIP_KEYS_DONE] = "done",
        [RF_GOSSIP_KEYS_FAILED] = "failed",
        [RF_GOSSIP_KEYS_NO_RESULT] = "no-result",
        [RF_GOSSIP_KEYS_NO_ANSWER] = "no-answer",
    };
    json_t *nodes = json_array();
    for (size_t i = 0; i < report->nodes_count && nodes != NULL; i++) {
        const struct rf_gossip_keys_node *node = &report->nodes[i];
        json_t *item = json_pack("{s:o, s:s, s:o}", "name", text_of(node->name), "state",
                                 states[node->state], "message", text_of(node->message));
        if (json_array_append_new(nodes, item) < 0) {
            json_decref(nodes);
            nodes = NULL;
        }
    }
    return nodes;
}

static json_t *keys_of(const struct rf_gossip_keys_report *report)
{
    json_t *keys = json_array();
    for (size_t i = 0; i < report->keys_count && keys != NULL; i++) {
        const struct rf_gossip_keys_key *key = &report->keys[i];
        json_t *item =
            json_pack("{s:o, s:I, s:I}", "key", text_of(key->text), "nodes",
                      (json_int_t)key->nodes_count, "primary", (json_int_t)key->primary_count);
        if (json_array_append_new(keys, item) < 0) {
            json_decref(keys);
            keys = NULL;
        }
    }
    return keys;
}

int rf_admin_keys(void *context, json_t *request, json_t **ret_result, struct rf_error *err)
{
    const char *command;
    const char *operation;
    const char *key = NULL;
    int relay = 0;
    json_error_t json_error;
    struct rf_gossip_keys_request keys_request = {0};
    if (json_unpack_ex(request, &json_error, 0, "{s:s, s:s, s?:s, s?:i !}", "command", &command,
                       "operation", &operation, "key", &key, "relay", &relay) < 0) {
        return rf_error_set(err, -EINVAL, "keys: %s", json_error.text);
    }
    int code = parse_op(operation, &keys_request.op, err);
    if (code < 0) {
        return code;
    }
    if (relay < 0 || relay > RF_GOSSIP_KEYS_RELAYS_MAX) {
        return rf_error_set(err, -EINVAL, "keys: relay %d, allowed 0..%d", relay,
                            RF_GOSSIP_KEYS_RELAYS_MAX);
    }
    keys_request.key = key;
    keys_request.relay_factor = (uint8_t)relay;
    struct rf_gossip_keys_report *report;
    code = rf_gossip_keys_ask(context, &keys_request, &report, err);
    if (code < 0) {
        return code;
    }
    *ret_result = json_pack(
        "{s:I, s:I, s:I, s:o, s:o}", "nodes_count", (json_int_t)report->nodes_count,
        "answers_count", (json_int_t)report->answers_count, "errors_count",
        (json_int_t)report->errors_count, "nodes", nodes_of(report), "keys", keys_of(report));
    rf_gossip_keys_report_free(report);
    return 0;
}
