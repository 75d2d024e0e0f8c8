/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "gossip/driver.h"
#include "gossip/member_list.h"

enum {
    LOOK_MS = 20, /* how late the end of spreading is seen */
    /* For a member that lives to hear of it and to be heard: two gossip rounds each in a large
     * cluster, and the WAN profile's are half a second. */
    REFUTE_MS = 4000,
};

static int copy_name(const char *name, char ret_name[RF_GOSSIP_NAME_SIZE_MAX + 1],
                     struct rf_error *err)
{
    size_t size = strlen(name);
    if (size == 0 || size > RF_GOSSIP_NAME_SIZE_MAX) {
        return rf_error_set(err, RF_ENOTFOUND, "no member has a name of %zu bytes", size);
    }
    memcpy(ret_name, name, size + 1);
    return 0;
}

/* ---- forgetting ---- */

struct forget_argument {
    char name[RF_GOSSIP_NAME_SIZE_MAX + 1];
    bool prune;
    enum rf_serf_forget_state state;
    struct rf_gossip_forgotten forgotten;
};

static int forget_begin(struct rf_gossip *gossip, uint64_t now_ns, void *argument,
                        struct rf_error *err)
{
    const struct forget_argument *forget = argument;
    if (!gossip->is_open) {
        return rf_error_set(err, -ESHUTDOWN, "this node has left");
    }
    return rf_serf_forget(gossip->serf, now_ns, forget->name, forget->prune, err);
}

static int forget_look(struct rf_gossip *gossip, uint64_t now_ns, void *argument,
                       struct rf_error *err)
{
    struct forget_argument *forget = argument;
    struct rf_serf_member_view member;
    (void)now_ns; /* nothing is changed, and nothing can fail */
    (void)err;
    forget->state = gossip->is_open ? rf_serf_forget_state(gossip->serf) : RF_SERF_FORGET_LATE;
    forget->forgotten.is_known =
        rf_serf_member_find(gossip->serf, forget->name, strlen(forget->name), &member);
    if (forget->forgotten.is_known) {
        forget->forgotten.state = rf_member_state_of(member.status);
    }
    return 0;
}

static void pause_ms(unsigned ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000L};
    (void)nanosleep(&pause, NULL); /* shorter is as good */
}

/* Spread, and either gone or with time to refute; the machine bounds the spreading. */
static int forget_wait(struct rf_gossip *gossip, struct forget_argument *forget,
                       struct rf_error *err)
{
    for (unsigned refute_ms = 0;;) {
        int code = rf_driver_call(gossip, forget_look, forget, sizeof(*forget), err);
        if (code < 0) {
            return code;
        }
        bool is_leaving =
            forget->forgotten.is_known && forget->forgotten.state == RF_MEMBER_LEAVING;
        if (forget->state != RF_SERF_FORGET_SPREADING && (!is_leaving || refute_ms >= REFUTE_MS)) {
            break;
        }
        refute_ms += forget->state == RF_SERF_FORGET_SPREADING ? 0 : LOOK_MS;
        pause_ms(LOOK_MS);
    }
    if (forget->state == RF_SERF_FORGET_LATE) {
        return rf_error_set(err, -ETIMEDOUT,
                            "member '%.128s': done here, but the others were not told in time",
                            forget->name);
    }
    return 0;
}

int rf_gossip_forget(struct rf_gossip *gossip, const char *name, bool prune,
                     struct rf_gossip_forgotten *ret_forgotten, struct rf_error *err)
{
    struct forget_argument forget = {.prune = prune};
    int code = copy_name(name, forget.name, err);
    if (code < 0) {
        return code;
    }
    code = rf_driver_call(gossip, forget_begin, &forget, sizeof(forget), err);
    code = code < 0 ? code : forget_wait(gossip, &forget, err);
    if (code == 0) {
        *ret_forgotten = forget.forgotten;
    }
    return code;
}

/* ---- round-trip times ---- */

struct rtt_argument {
    char names[2][RF_GOSSIP_NAME_SIZE_MAX + 1];
    bool has_second;
    uint64_t rtt_ns;
};

static int rtt_look(struct rf_gossip *gossip, uint64_t now_ns, void *argument, struct rf_error *err)
{
    struct rtt_argument *rtt = argument;
    (void)now_ns; /* nothing is changed */
    return rf_serf_rtt(gossip->serf, rtt->names[0], rtt->has_second ? rtt->names[1] : NULL,
                       &rtt->rtt_ns, err);
}

int rf_gossip_rtt(struct rf_gossip *gossip, const char *a, const char *b, uint64_t *ret_rtt_ns,
                  struct rf_error *err)
{
    struct rtt_argument rtt = {.has_second = b != NULL};
    const char *const names[2] = {a, b};
    for (int i = 0; i < 2 && names[i] != NULL; i++) {
        int code = copy_name(names[i], rtt.names[i], err);
        if (code < 0) {
            return code;
        }
    }
    int code = rf_driver_call(gossip, rtt_look, &rtt, sizeof(rtt), err);
    if (code == 0) {
        *ret_rtt_ns = rtt.rtt_ns;
    }
    return code;
}
