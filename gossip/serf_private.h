/* SPDX-License-Identifier: MIT
 *
 * serf_private.h - what the files of the Serf machine share. Not for others.
 */
#ifndef RF_GOSSIP_SERF_PRIVATE_H
#define RF_GOSSIP_SERF_PRIVATE_H

#include "core/member.h"
#include "gossip/serf.h"
#include "gossip/serf_message.h"
#include "gossip/tags.h"
#include "gossip/vivaldi.h"

/*
 * Lamport times grow by one for each message, so honest ones stay far below 2^63. Above it only
 * steps of 2^32 are believed: otherwise one forged message could take the clocks to the end of 64
 * bits, where nobody's intents are newer than others' any more.
 */
#define RF_SERF_LTIME_TRUSTED (UINT64_C(1) << 63)
#define RF_SERF_LTIME_STEP_MAX (UINT64_C(1) << 32)

/* The user queues of the SWIM machine, in the order of rule 14.4. */
enum { RF_QUEUE_INTENTS, RF_QUEUE_QUERIES, RF_QUEUE_EVENTS };

struct rf_member_entry {
    struct rf_name_link link; /* first */
    size_t list_index;
    struct rf_address address;
    uint8_t *meta;
    uint16_t meta_size;
    uint8_t vsn[RF_VSN_SIZE];
    enum rf_serf_status status;
    uint64_t status_ltime;
    uint64_t leave_ns;            /* when it left or failed; 0: neither */
    uint64_t leaving_ns;          /* when it last became leaving */
    bool is_returning;            /* has left, and announced a join since: about to be back */
    uint64_t prune_at_ns;         /* forget it then, unless it is alive again; UINT64_MAX: not */
    struct rf_vivaldi_peer *peer; /* its network coordinate; NULL: not heard of yet */
    char name[];
};

/*
 * Whether the member's time is that of its leave. Once it has announced a join it is that of the
 * join, while the member is still on its way back.
 */
static inline bool rf_member_entry_has_left(const struct rf_member_entry *member)
{
    return member->status == RF_SERF_LEFT && !member->is_returning;
}

struct rf_intent {
    struct rf_name_link link; /* first */
    size_t list_index;
    uint64_t ltime;
    uint64_t at_ns;
    bool is_leave;
    char name[];
};

struct rf_event {
    struct rf_event *next;
    uint32_t name_size;
    uint32_t payload_size;
    uint8_t bytes[]; /* name, payload */
};

struct rf_event_slot {
    uint64_t ltime;
    struct rf_event *first; /* NULL: the slot is empty */
    uint32_t count;
};

struct rf_query_slot {
    uint64_t ltime;
    uint32_t *ids;
    uint32_t count;
    uint32_t capacity;
};

/* Our own query about who owns our name (rule 27.3). */
struct rf_contest {
    bool is_running;
    uint64_t ltime;
    uint32_t id;
    uint64_t start_ns;
    uint64_t deadline_ns;
    uint32_t answers; /* R */
    uint32_t matches; /* M */
    uint64_t *voters; /* hashes of those who answered */
    uint32_t voters_count;
};

/* A query of our own (rule 22.6). */
struct rf_ask {
    uint64_t id; /* 0: a free place */
    uint64_t ltime;
    uint32_t query_id;
    uint64_t deadline_ns;
    size_t expected_count;
    size_t answers_count;
    int code;        /* of the output that ends it; 1: it goes on */
    uint64_t *heard; /* a set of hashes, of who has answered and who has acknowledged; 0: free */
    size_t heard_capacity; /* a power of two, at least twice heard_count */
    size_t heard_count;
};

/* A key query that waits for the driver: what its answer needs. */
struct rf_key_request {
    uint64_t id; /* 0: a free place */
    uint64_t ltime;
    uint32_t query_id;
    struct rf_address address;
    uint8_t relay_factor;
    uint8_t source_size;
    char source_node[RF_NAME_SIZE_MAX];
};

enum rf_leave_step {
    RF_LEAVE_NOT,
    RF_LEAVE_INTENT,    /* the leave intent is being spread */
    RF_LEAVE_SWIM,      /* the dead message is being spread */
    RF_LEAVE_PROPAGATE, /* still answering, so that it reaches everybody */
    RF_LEAVE_DONE,
};

struct rf_serf {
    struct rf_swim swim;
    struct rf_serf_config config;
    uint64_t now_ns; /* of the input being handled */
    uint64_t member_time;
    uint64_t event_time;
    uint64_t query_time;

    struct rf_name_table members;
    struct rf_member_entry **members_list;
    size_t members_capacity;
    size_t status_counts[5]; /* by enum rf_serf_status */

    struct rf_contacts contacts; /* from before the restart, and no members yet */
    size_t contacts_next;        /* of the list: whom rf_serf_rejoin_pick gives next */
    uint64_t contacts_until_ns;  /* forgotten then, unless we are alone */

    struct rf_name_table intents;
    struct rf_intent **intents_list;
    size_t intents_capacity;

    struct rf_event_slot *event_slots; /* RF_SERF_EVENT_SLOTS; NULL before the first event */
    size_t event_bytes;
    uint64_t event_time_min; /* older ones were forgotten to make room, or seen before a restart:
                                not taken again */
    uint64_t query_time_min; /* older ones were seen before a restart */
    struct rf_query_slot *query_slots; /* likewise */

    enum rf_leave_step leave_step;
    uint64_t leave_at_ns;     /* end of the step; UINT64_MAX: none */
    uint64_t forget_until_ns; /* the intent is being spread; UINT64_MAX: none is */
    bool is_forget_late;      /* the last one was not spread in time */
    struct rf_vivaldi vivaldi;
    struct rf_random vivaldi_random; /* of its own: it does not move what else is drawn */
    uint64_t intent_at_ns; /* our own is queued then, for want of memory; UINT64_MAX: it is */
    uint64_t resync_at_ns; /* members are compared with nodes then; UINT64_MAX: nothing is amiss */
    uint64_t reap_at_ns;
    uint64_t reconnect_at_ns;
    uint64_t conflict_notice_ns; /* no notice about conflicts before */
    uint64_t limits_at_ns;       /* when drops by limits are looked at again */
    uint64_t limits_seen[4];     /* drops by each kind of limit, as of then */
    struct rf_contest contest;
    struct rf_ask asks[RF_SERF_ASKS_MAX];
    uint64_t ask_id; /* last one used */
    struct rf_key_request key_requests[RF_SERF_KEY_REQUESTS_MAX];
    uint64_t key_request_id; /* last one used */
    uint64_t join_id;        /* last one used */

    uint8_t *reply; /* of the last accepted stream */
    struct rf_serf_stats stats;
};

/* serf.c */
/* Ranges and relations of the table's settings, without those of the SWIM machine. Errors: -EINVAL.
 */
RF_NODISCARD int rf_serf_check_settings(const struct rf_serf_config *config, struct rf_error *err);
void rf_serf_begin(struct rf_serf *serf, uint64_t now_ns); /* starts an input */
void rf_serf_end(struct rf_serf *serf);                    /* ends it */
void rf_serf_on_user(struct rf_serf *serf, struct rf_slice bytes);
void rf_serf_drain(struct rf_serf *serf); /* handles what came up from the SWIM machine */
void rf_serf_notice(struct rf_serf *serf, enum rf_notice notice, struct rf_slice name,
                    const struct rf_address *address, const char *text);
size_t rf_serf_others_alive(const struct rf_serf *serf); /* whom an intent could be told */
/* Applies a leave intent of ours with the clock's time, and has it spread. */
void rf_serf_announce_leave(struct rf_serf *serf);
/* False: not queued, which is counted in the queue. */
bool rf_serf_queue_intent(struct rf_serf *serf, const struct rf_serf_message *message,
                          enum rf_broadcast_notice notice);
/* Has our last intent spread: of a join, or of the leave once that has begun. */
void rf_serf_spread_own_intent(struct rf_serf *serf);
/* Counts a drop by the code of a decoder or limit. */
void rf_serf_dropped(struct rf_serf *serf, int code);

/* Whether a time that came from outside may move `clock`. */
static inline bool rf_ltime_is_absurd(uint64_t clock, uint64_t ltime)
{
    return ltime >= RF_SERF_LTIME_TRUSTED && ltime > clock &&
           ltime - clock > RF_SERF_LTIME_STEP_MAX;
}

/* 19.1; stops at the end of 64 bits rather than wrap. */
static inline void rf_clock_witness(uint64_t *clock, uint64_t ltime)
{
    if (ltime >= *clock) {
        *clock = ltime == UINT64_MAX ? ltime : ltime + 1;
    }
}

static inline void rf_clock_increment(uint64_t *clock)
{
    rf_clock_witness(clock, *clock);
}

/* serf_members.c */
struct rf_member_entry *rf_serf_member(const struct rf_serf *serf, struct rf_slice name);
void rf_serf_on_join(struct rf_serf *serf, const struct rf_node *node);
void rf_serf_on_update(struct rf_serf *serf, const struct rf_node *node);
void rf_serf_on_leave(struct rf_serf *serf, struct rf_slice name);
void rf_serf_resync_nodes(struct rf_serf *serf);
/* 19.4; both return whether the intent is to be rebroadcast. */
bool rf_serf_join_intent(struct rf_serf *serf, uint64_t ltime, struct rf_slice name);
bool rf_serf_leave_intent(struct rf_serf *serf, uint64_t ltime, struct rf_slice name, bool prune);
void rf_serf_announce_join(struct rf_serf *serf); /* 19.5 */
void rf_serf_members_tick(struct rf_serf *serf);  /* 27.1, 27.2 */
void rf_serf_members_fini(struct rf_serf *serf);
void rf_serf_members_check(const struct rf_serf *serf);

/* serf_rejoin.c */
int rf_serf_restore(struct rf_serf *serf, const struct rf_snapshot *snapshot);
bool rf_serf_is_alone(const struct rf_serf *serf); /* no other member is alive */
void rf_serf_reconnect(struct rf_serf *serf);      /* 27.2 */
void rf_serf_contacts_tick(struct rf_serf *serf);
void rf_serf_contacts_check(const struct rf_serf *serf);

/* serf_coordinate.c: 25 */
void rf_serf_coordinates_init(struct rf_serf *serf);
void rf_serf_on_ack(struct rf_serf *serf, const struct rf_output *ack);

/* serf_forget.c: 26.2 */
void rf_serf_forget_step(struct rf_serf *serf);

/* serf_events.c; both return whether the message is new and to be handled. */
bool rf_serf_event_new(struct rf_serf *serf, uint64_t ltime, struct rf_slice name,
                       struct rf_slice payload);
size_t rf_serf_queries_kept(const struct rf_serf *serf);
bool rf_serf_query_new(struct rf_serf *serf, uint64_t ltime, uint32_t id);
void rf_serf_events_fini(struct rf_serf *serf);
void rf_serf_events_check(const struct rf_serf *serf);

/* serf_query.c */
/* Returns whether it is passed on. */
bool rf_serf_on_query(struct rf_serf *serf, const struct rf_serf_query *query,
                      struct rf_slice bytes);
void rf_serf_on_response(struct rf_serf *serf, const struct rf_serf_query_response *response);
void rf_serf_on_conflict(struct rf_serf *serf, struct rf_slice name,
                         const struct rf_address *other);
void rf_serf_contest_tick(struct rf_serf *serf);
/* 22.4. Errors: -ENOBUFS the payload is too large for an answer, which was not sent. */
RF_NODISCARD int rf_serf_respond(struct rf_serf *serf, const struct rf_serf_query *query,
                                 uint32_t flags, struct rf_slice payload);
/* 22.6: the time a query is given, by the number of nodes that answer. */
uint64_t rf_serf_query_timeout_ns(const struct rf_serf *serf);

/* serf_ask.c */
/* Whether it was an answer to a query of ours. */
bool rf_serf_on_answer(struct rf_serf *serf, const struct rf_serf_query_response *response);
bool rf_serf_is_asking(const struct rf_serf *serf, uint64_t ltime, uint32_t query_id);
void rf_serf_asks_tick(struct rf_serf *serf);
uint64_t rf_serf_asks_deadline_ns(const struct rf_serf *serf);
void rf_serf_asks_fini(struct rf_serf *serf);
void rf_serf_asks_check(const struct rf_serf *serf);

/* serf_keys.c: rule 23.1 */
/* What a query's name says; false: it is not about keys. */
bool rf_serf_key_op(struct rf_slice name, enum rf_key_op *ret_op);
void rf_serf_on_key_query(struct rf_serf *serf, const struct rf_serf_query *query,
                          enum rf_key_op op);

/* serf_filter.c: 22.3 */
bool rf_serf_filters_match(struct rf_slice filters, struct rf_slice name, struct rf_slice meta);

/* serf_sync.c */
void rf_serf_on_push_pull_open(struct rf_serf *serf, const struct rf_output *open);
void rf_serf_exchanges_tick(struct rf_serf *serf);

#endif
