/* SPDX-License-Identifier: MIT
 *
 * swim_private.h - what the files of the SWIM machine share. Not for others.
 */
#ifndef RF_GOSSIP_SWIM_PRIVATE_H
#define RF_GOSSIP_SWIM_PRIVATE_H

#include "gossip/swim.h"

enum {
    /*
     * Incarnations count refutations and updates, so honest ones stay far below 2^31. Above it only
     * small steps are believed: otherwise one forged message could take a node to the end of 32
     * bits, where it can no longer refute anything.
     */
    RF_SWIM_INCARNATION_STEP_MAX = 1024,
    /* Enough for the largest message that is not a broadcast: an indirectPing with three names. */
    RF_SWIM_MESSAGE_SIZE_MAX = 1280,
    /* Push/pulls in a row that must find the same number of nodes before there are no more early
     * ones. */
    RF_SWIM_CATCH_UP_DOUBTS = 2,
};

#define RF_SWIM_INCARNATION_TRUSTED (UINT32_C(1) << 31)

/* swim_rules.c: rule 10 */
void rf_swim_alive(struct rf_swim *swim, uint64_t now_ns, const struct rf_alive *alive,
                   bool is_bootstrap);
void rf_swim_suspect(struct rf_swim *swim, uint64_t now_ns, const struct rf_suspect *suspect);
void rf_swim_dead(struct rf_swim *swim, uint64_t now_ns, const struct rf_dead *dead);
void rf_swim_suspicions_tick(struct rf_swim *swim, uint64_t now_ns);
void rf_swim_suspicions_shift(struct rf_swim *swim, uint64_t late_ns, uint64_t floor_ns);

/* Takes over what was said of `node`, which is rightly its own (10.1.8, 10.1.9). */
void rf_swim_accept(struct rf_swim *swim, uint64_t now_ns, struct rf_node *node,
                    const struct rf_alive *alive);
void rf_swim_outbid(struct rf_swim *swim,
                    uint32_t incarnation); /* announces us with a higher one */
void rf_swim_tell_one_dead(struct rf_swim *swim, uint64_t now_ns);
void rf_swim_purge(struct rf_swim *swim, uint64_t now_ns);     /* 10.6 */
void rf_swim_awareness_add(struct rf_swim *swim, int64_t add); /* rule 13 */
bool rf_swim_is_self(const struct rf_swim *swim, struct rf_slice name);
/* Queues what is new about us, if there was no memory for it; once in each gossip interval. */
void rf_swim_tell_untold(struct rf_swim *swim);

/* swim_appeal.c */
void rf_swim_appeals(struct rf_swim *swim); /* once in each probe interval */
void rf_swim_answer_accuser(struct rf_swim *swim, uint64_t now_ns, struct rf_slice accuser);

/* Whether this is the first time in an input: what says the same of a node a million times makes
 * neither a million packets, to wherever that node is said to be, nor as many outputs. */
static inline bool rf_swim_is_first(uint64_t *last_ns, uint64_t now_ns)
{
    bool is_first = *last_ns != now_ns;
    *last_ns = now_ns;
    return is_first;
}

/* swim_claim.c */
/* `alive` gives the name of `node`, or ours, another address: looks whose it is. */
void rf_swim_claim(struct rf_swim *swim, uint64_t now_ns, struct rf_node *node,
                   const struct rf_alive *alive);
void rf_swim_claims_acked(struct rf_swim *swim, uint32_t seq_no);
void rf_swim_claims_tick(struct rf_swim *swim, uint64_t now_ns);
uint64_t rf_swim_claims_deadline_ns(const struct rf_swim *swim);
void rf_swim_claims_shift(struct rf_swim *swim, uint64_t late_ns);

/* swim_probe.c: rule 11 */
/* Pings `name` there with a stream, or a packet that carries nothing else. Returns the exchange, 0:
 * too many. */
uint64_t rf_swim_ping_by_tcp(struct rf_swim *swim, const struct rf_address *address,
                             struct rf_slice name, uint32_t seq_no, uint64_t deadline_ns);
void rf_swim_ping_alone(struct rf_swim *swim, const struct rf_address *address,
                        struct rf_slice name, uint32_t seq_no);
void rf_swim_probe_abandon(struct rf_swim *swim, const struct rf_node *node);
void rf_swim_probe_tick(struct rf_swim *swim, uint64_t now_ns);
uint64_t rf_swim_probe_deadline_ns(const struct rf_swim *swim);
struct rf_node *rf_swim_order_target(struct rf_swim *swim, uint64_t now_ns); /* NULL: nobody */
void rf_swim_order_fini(struct rf_swim_order *order);
void rf_swim_on_ping(struct rf_swim *swim, uint64_t now_ns, const struct rf_address *from,
                     const struct rf_ping *ping);
void rf_swim_on_indirect_ping(struct rf_swim *swim, uint64_t now_ns, const struct rf_address *from,
                              const struct rf_indirect_ping *indirect_ping);
void rf_swim_on_ack(struct rf_swim *swim, uint64_t now_ns, const struct rf_ack *ack);
void rf_swim_on_nack(struct rf_swim *swim, const struct rf_nack *nack);

/* swim_answer.c: who is answered, and with how much */
void rf_swim_answer(struct rf_swim *swim, const struct rf_address *from,
                    const struct rf_address *claimed, const struct rf_message *message);
void rf_swim_call_back(struct rf_swim *swim, uint64_t now_ns, const struct rf_address *from);

/* swim_gossip.c: rule 14 */
void rf_swim_send(struct rf_swim *swim, const struct rf_address *to,
                  const struct rf_message *message); /* filled up with broadcasts (14.3) */
/* Nothing rides on it. Returns whether it is sent: false if it is larger than `size_max`. */
bool rf_swim_send_bounded(struct rf_swim *swim, const struct rf_address *to,
                          const struct rf_message *message, size_t size_max, size_t *ret_size);
void rf_swim_send_alone(struct rf_swim *swim, const struct rf_address *to,
                        const struct rf_message *message); /* nothing rides on it */
void rf_swim_send_pair(struct rf_swim *swim, const struct rf_node *to,
                       const struct rf_message *first, const struct rf_message *second);
void rf_swim_gossip_tick(struct rf_swim *swim, uint64_t now_ns);
uint64_t rf_swim_gossip_deadline_ns(const struct rf_swim *swim); /* UINT64_MAX: nothing to say */

/* swim_sync.c: rules 9, 15, 16 */
uint64_t rf_swim_exchange_open(struct rf_swim *swim, const struct rf_swim_exchange *exchange);
void rf_swim_sync_tick(struct rf_swim *swim, uint64_t now_ns);
uint64_t rf_swim_sync_deadline_ns(const struct rf_swim *swim);

/* swim_late.c */
void rf_swim_catch_up_tick(struct rf_swim *swim, uint64_t now_ns);

/* swim.c */
/* Ranges and relations of the table's settings. Errors: -EINVAL. */
RF_NODISCARD int rf_swim_check_settings(const struct rf_swim_config *config, struct rf_error *err);
void rf_swim_notice(struct rf_swim *swim, enum rf_notice notice, const struct rf_node *node,
                    const char *text);
void rf_swim_up_node(struct rf_swim *swim, enum rf_output_type type, const struct rf_node *node);

#endif
