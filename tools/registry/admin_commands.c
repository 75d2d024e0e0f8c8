/* SPDX-License-Identifier: MIT */
#include "tools/registry/admin_commands.h"

#include <errno.h>

#include "gossip/gossip.h"

/* json_unpack_ex has left its text in `json_error`. */
static int fail_request(const char *command, const json_error_t *json_error, struct rf_error *err)
{
    return rf_error_set(err, -EINVAL, "%s: %s", command, json_error->text);
}

/* {"name": TEXT, "prune": BOOL, may be absent} -> {"name": TEXT, "state": TEXT} */
static int forget(void *context, json_t *request, json_t **ret_result, struct rf_error *err)
{
    const char *command;
    const char *name = NULL;
    int prune = 0;
    json_error_t json_error;
    if (json_unpack_ex(request, &json_error, 0, "{s:s, s:s, s?:b !}", "command", &command, "name",
                       &name, "prune", &prune) < 0) {
        return fail_request("forget", &json_error, err);
    }
    int code = rf_admin_check_text("forget", "name", name, err);
    if (code < 0) {
        return code;
    }
    struct rf_gossip_forgotten forgotten;
    code = rf_gossip_forget(context, name, prune != 0, &forgotten, err);
    if (code < 0) {
        return rf_error_prefix(err, code, "forget");
    }
    if (forgotten.is_known && forgotten.state == RF_MEMBER_ALIVE) {
        return rf_error_set(err, -EEXIST, "forget: member '%s' is alive and has refuted", name);
    }
    *ret_result =
        json_pack("{s:s, s:s}", "name", name, "state",
                  forgotten.is_known ? rf_member_state_name(forgotten.state) : "forgotten");
    return 0;
}

/* {"a": TEXT, "b": TEXT, may be absent} -> {"a": TEXT, "b": TEXT or absent, "rtt_ns": NUMBER} */
static int rtt(void *context, json_t *request, json_t **ret_result, struct rf_error *err)
{
    const char *command;
    const char *a = NULL;
    const char *b = NULL;
    json_error_t json_error;
    if (json_unpack_ex(request, &json_error, 0, "{s:s, s:s, s?:s !}", "command", &command, "a", &a,
                       "b", &b) < 0) {
        return fail_request("rtt", &json_error, err);
    }
    int code = rf_admin_check_text("rtt", "a", a, err);
    code = code < 0 || b == NULL ? code : rf_admin_check_text("rtt", "b", b, err);
    if (code < 0) {
        return code;
    }
    uint64_t rtt_ns;
    code = rf_gossip_rtt(context, a, b, &rtt_ns, err);
    if (code < 0) {
        return rf_error_prefix(err, code, "rtt");
    }
    *ret_result = json_pack("{s:s, s:s*, s:I}", "a", a, "b", b, "rtt_ns", (json_int_t)rtt_ns);
    return 0;
}

const struct rf_admin_command rf_admin_commands[] = {
    {"forget", forget, true},
    {"rtt", rtt, false},
    {"keys", rf_admin_keys, true},
};

const size_t rf_admin_commands_count = sizeof(rf_admin_commands) / sizeof(rf_admin_commands[0]);
