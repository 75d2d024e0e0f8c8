/* SPDX-License-Identifier: MIT
 *
 * sim_private.h - what the files of the simulator share.
 */
#ifndef RF_TESTS_SIM_PRIVATE_H
#define RF_TESTS_SIM_PRIVATE_H

#include "gossip/serf_private.h"
#include "tests/sim/sim.h"

enum rf_sim_event_type {
    RF_SIM_EVENT_PACKET,
    RF_SIM_EVENT_CONNECT,
    RF_SIM_EVENT_REPLY,
    RF_SIM_EVENT_RESUME,
    RF_SIM_EVENT_CALL,
};

/* Bytes on their way, from the arena of the simulator. */
struct rf_sim_packet {
    struct rf_sim_packet *next; /* in a backlog or a free list */
    uint8_t size_class;
    uint8_t type;      /* enum rf_sim_event_type: PACKET, CONNECT, REPLY */
    bool is_corrupted; /* some bytes are others than were sent */
    uint32_t from;
    uint32_t generation;  /* of the node that opened the exchange */
    uint64_t exchange_id; /* of streams */
    uint64_t deadline_ns;
    enum rf_exchange_expect expect;
    int code;
    size_t size;
    uint8_t bytes[];
};

struct rf_sim_event {
    uint64_t at_ns;
    uint64_t order; /* of creation: the tie-break */
    enum rf_sim_event_type type;
    uint32_t to;
    union {
        struct rf_sim_packet *packet;
        struct {
            rf_sim_call_function *function;
            void *context;
        } call;
    };
};

/* sim_events.c */
struct rf_sim_packet *rf_sim_packet_new(struct rf_sim *sim, const uint8_t *bytes, size_t size);
void rf_sim_packet_free(struct rf_sim *sim, struct rf_sim_packet *packet);
void rf_sim_push(struct rf_sim *sim, struct rf_sim_event event); /* `order` is set here */
uint64_t rf_sim_next_ns(const struct rf_sim *sim); /* of the first event in the heap */
struct rf_sim_event rf_sim_pop(struct rf_sim *sim);
void rf_sim_tick_add(struct rf_sim *sim, uint32_t index); /* a new node: never */
void rf_sim_tick_set(struct rf_sim *sim, uint32_t index, uint64_t at_ns);
void rf_sim_events_fini(struct rf_sim *sim);

/* sim_network.c */
void rf_sim_send_packet(struct rf_sim *sim, uint32_t from, const struct rf_output *output);
void rf_sim_open_exchange(struct rf_sim *sim, uint32_t from, const struct rf_output *output);
void rf_sim_send_reply(struct rf_sim *sim, uint32_t from, const struct rf_sim_packet *request,
                       int code, const uint8_t *bytes, size_t size);
void rf_sim_links_grow(struct rf_sim *sim, size_t capacity); /* before nodes_capacity changes */

/* sim_check.c */
void rf_sim_beliefs_reset(struct rf_sim_node *node);
void rf_sim_check_before(struct rf_sim *sim, uint32_t index, struct rf_slice message);
void rf_sim_check_after(struct rf_sim *sim, uint32_t index, struct rf_slice message);
void rf_sim_check_name(struct rf_sim *sim, uint32_t index, struct rf_slice name);
void rf_sim_check_all(struct rf_sim *sim, uint32_t index); /* every entry of its table */
void rf_sim_check_node(struct rf_sim *sim, uint32_t index);

static inline uint64_t rf_sim_local_ns(const struct rf_sim *sim, const struct rf_sim_node *node)
{
    return sim->now_ns - node->behind_ns;
}

static inline bool rf_sim_happens(struct rf_sim *sim, uint32_t ppm)
{
    return ppm > 0 && rf_random_below(&sim->random, 1000000) < ppm;
}

void rf_sim_trace(struct rf_sim *sim, uint64_t word);

#endif
