/* SPDX-License-Identifier: MIT */
#include "core/member.h"

#include <errno.h>
#include <string.h>

#include "core/text.h"

const char *rf_member_state_name(enum rf_member_state state)
{
    switch (state) {
    case RF_MEMBER_ALIVE:
        return "alive";
    case RF_MEMBER_LEAVING:
        return "leaving";
    case RF_MEMBER_LEFT:
        return "left";
    case RF_MEMBER_FAILED:
        return "failed";
    case RF_MEMBER_HELD:
        return "held";
    case RF_MEMBER_PROTECTED:
        return "protected";
    case RF_MEMBER_DRAINING:
        return "draining";
    }
    return "unknown";
}

static int check_name(const char *what, const char *id, const char *name, struct rf_error *err)
{
    char id_quoted[RF_QUOTE_SIZE];
    char name_quoted[RF_QUOTE_SIZE];
    if (name == NULL) {
        return rf_error_set(err, -EINVAL, "member %s: no %s", rf_text_quote(id, id_quoted), what);
    }
    const size_t size = strlen(name);
    if (size < 1 || size > RF_NAME_SIZE_MAX) {
        return rf_error_set(err, -EINVAL, "member %s: %s of %zu bytes, allowed 1..%d",
                            rf_text_quote(id, id_quoted), what, size, RF_NAME_SIZE_MAX);
    }
    if (!rf_text_is_clean(name)) {
        return rf_error_set(err, -EINVAL, "member %s: %s %s: control characters are not allowed",
                            rf_text_quote(id, id_quoted), what, rf_text_quote(name, name_quoted));
    }
    return 0;
}

int rf_member_check(const struct rf_member *member, struct rf_error *err)
{
    int code = check_name("id", member->id, member->id, err);
    if (code == 0) {
        code = check_name("group", member->id, member->group, err);
    }
    if (code == 0) {
        code = check_name("addr", member->id, member->addr, err);
    }
    if (code != 0) {
        return code;
    }
    const uint32_t replicas_min = rf_member_is_in_ring(member->state) ? 1 : 0;
    if (member->replicas < replicas_min || member->replicas > RF_REPLICAS_MAX) {
        char quoted[RF_QUOTE_SIZE];
        return rf_error_set(err, -EINVAL, "member %s: replicas %u: allowed %u..%d",
                            rf_text_quote(member->id, quoted), member->replicas, replicas_min,
                            RF_REPLICAS_MAX);
    }
    return 0;
}

/* Only digits: no sign, no blank. As many as a tag can hold, so the sum is capped on the way. */
static bool parse_replicas(const char *text, uint32_t *ret_replicas, bool *ret_capped)
{
    uint32_t replicas = 0;
    bool is_capped = false;
    if (*text == '\0') {
        return false;
    }
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9') {
            return false;
        }
        replicas = replicas * 10 + (uint32_t)(*c - '0');
        if (replicas > RF_REPLICAS_MAX) {
            replicas = RF_REPLICAS_MAX;
            is_capped = true;
        }
    }
    *ret_replicas = replicas;
    *ret_capped = is_capped;
    return true;
}

int rf_member_from_tags(const char *id, const char *group, const char *addr, const char *replicas,
                        enum rf_member_state state, struct rf_member *ret_member, bool *ret_capped,
                        struct rf_error *err)
{
    if (group == NULL) {
        char quoted[RF_QUOTE_SIZE];
        return rf_error_set(err, -ENOENT, "member %s: no group", rf_text_quote(id, quoted));
    }
    struct rf_member member = {
        .id = id, .group = group, .addr = addr, .replicas = RF_REPLICAS_DEFAULT, .state = state};
    bool is_capped = false;
    int code = rf_member_check(&member, err);
    if (code != 0) {
        return code;
    }
    if (replicas != NULL && !parse_replicas(replicas, &member.replicas, &is_capped)) {
        char id_quoted[RF_QUOTE_SIZE];
        char replicas_quoted[RF_QUOTE_SIZE];
        return rf_error_set(err, -EINVAL, "member %s: replicas %s: a number from 0 to %d expected",
                            rf_text_quote(id, id_quoted), rf_text_quote(replicas, replicas_quoted),
                            RF_REPLICAS_MAX);
    }
    if (member.replicas == 0 && rf_member_is_in_ring(state)) {
        member.state = RF_MEMBER_DRAINING;
    }
    *ret_member = member;
    if (ret_capped != NULL) {
        *ret_capped = is_capped;
    }
    return 0;
}
