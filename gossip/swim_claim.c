/* SPDX-License-Identifier: MIT
 *
 * swim_claim.c - a known name at another address. Ours, not memberlist's, for which a name stays
 * where it is until its node is dead and forgotten.
 *
 * Whoever is killed and comes back elsewhere, on another port mostly, would wait for that, or would
 * lose the vote about its own name and end. So when somebody claims a name we look: the name moves
 * if its place refuses connections, which only a machine does on which nobody listens there, if no
 * ping sent there is answered either, and if who claims it answers under that name. A living node
 * accepts connections, also one that is stopped or overloaded, so no claim takes its name away.
 * Silence moves nothing: it may be our own network's.
 *
 * A node whose name is claimed looks likewise. If the other place refuses connections that was its
 * own life before this one, and the votes of those who know only that one do not end it
 * (serf_query.c).
 */
#include <errno.h>
#include <stdlib.h>

#include "core/assert.h"
#include "gossip/swim_private.h"

enum { PATIENCE = 3 }; /* probe timeouts: a lost SYN is sent again after a second */

struct rf_swim_claim {
    bool is_open;      /* else a free place */
    bool is_refused;   /* where the name was nobody listens */
    bool has_answered; /* who claims it answers under that name */
    uint32_t seq_no;
    uint64_t settle_ns;   /* not before: an ack may be on its way from where the name was */
    uint64_t deadline_ns; /* given up then */
    uint64_t place_id;    /* exchange with where the name was */
    uint64_t claimant_id; /* with who claims it; 0 if the name is ours: we know who we are */
    struct rf_address place;
    struct rf_alive alive; /* of the claim; name and metadata are in `bytes` */
    uint8_t bytes[RF_GOSSIP_NAME_SIZE_MAX + RF_META_SIZE_MAX];
};

static void claim_close(struct rf_swim *swim, struct rf_swim_claim *claim)
{
    struct rf_swim_exchange exchange;
    (void)rf_swim_exchange_take(swim, claim->place_id, &exchange);
    (void)rf_swim_exchange_take(swim, claim->claimant_id, &exchange);
    claim->is_open = false;
}

static struct rf_swim_claim *free_place(struct rf_swim *swim)
{
    if (swim->claims == NULL) {
        swim->claims = calloc(RF_SWIM_CLAIMS_MAX, sizeof(swim->claims[0]));
    }
    for (size_t i = 0; i < RF_SWIM_CLAIMS_MAX && swim->claims != NULL; i++) {
        if (!swim->claims[i].is_open) {
            return &swim->claims[i];
        }
    }
    return NULL;
}

static void copy_alive(struct rf_swim_claim *claim, const struct rf_alive *alive)
{
    RF_ASSERT(alive->node.size + alive->meta.size <= sizeof(claim->bytes));
    claim->alive = *alive;
    uint8_t *meta = claim->bytes + alive->node.size;
    memcpy(claim->bytes, alive->node.data, alive->node.size);
    if (alive->meta.size > 0) {
        memcpy(meta, alive->meta.data, alive->meta.size);
    }
    claim->alive.node = rf_slice(claim->bytes, alive->node.size);
    claim->alive.meta = rf_slice(meta, alive->meta.size);
}

void rf_swim_claim(struct rf_swim *swim, uint64_t now_ns, struct rf_node *node,
                   const struct rf_alive *alive)
{
    struct rf_address places[2] = {rf_address_unmapped(&node->address),
                                   rf_address_unmapped(&alive->address)};
    bool is_same_place = rf_address_equal(&places[0], &places[1]); /* told in another form */
    if (swim->is_leaving || is_same_place || node->claim_at_ns > now_ns) {
        return;
    }
    struct rf_swim_claim *claim = free_place(swim);
    if (claim == NULL) {
        swim->stats.claims_dropped++;
        return; /* it will be claimed again */
    }
    node->claim_at_ns = now_ns + swim->config.probe_interval_ns;
    swim->stats.claims++;
    bool is_self = node == swim->self;
    *claim = (struct rf_swim_claim){
        .is_open = true,
        .has_answered = is_self,
        .seq_no = ++swim->seq_no,
        .settle_ns = now_ns + (is_self ? 0 : swim->config.probe_timeout_ns),
        .deadline_ns = now_ns + PATIENCE * swim->config.probe_timeout_ns,
        .place = is_self ? alive->address : node->address,
    };
    copy_alive(claim, alive);
    claim->place_id = rf_swim_ping_by_tcp(swim, &claim->place, node->link.name, claim->seq_no,
                                          claim->deadline_ns);
    if (!is_self) {
        claim->claimant_id = rf_swim_ping_by_tcp(swim, &alive->address, node->link.name,
                                                 claim->seq_no, claim->deadline_ns);
        rf_swim_ping_alone(swim, &claim->place, node->link.name, claim->seq_no);
    }
    if (claim->place_id == 0 || (!is_self && claim->claimant_id == 0)) {
        claim_close(swim, claim); /* too many streams */
    }
}

/* Acts on what was seen, if all of it was. */
static void settle(struct rf_swim *swim, uint64_t now_ns, struct rf_swim_claim *claim)
{
    if (!claim->is_refused || !claim->has_answered || now_ns < claim->settle_ns) {
        return;
    }
    claim_close(swim, claim);
    struct rf_node *node = rf_node_table_find(&swim->nodes, claim->alive.node);
    if (node == NULL || swim->is_leaving) {
        return;
    }
    if (node == swim->self) {
        swim->rival_gone_ns = now_ns;
        if (claim->alive.incarnation >= swim->incarnation) {
            rf_swim_outbid(swim, claim->alive.incarnation);
        }
    } else if (rf_address_equal(&node->address, &claim->place)) {
        swim->stats.names_moved++;
        rf_swim_probe_abandon(swim, node);
        rf_swim_accept(swim, now_ns, node, &claim->alive);
        rf_swim_notice(swim, RF_NOTICE_MOVED, node, NULL);
    }
}

void rf_swim_claims_acked(struct rf_swim *swim, uint32_t seq_no)
{
    for (size_t i = 0; i < RF_SWIM_CLAIMS_MAX && swim->claims != NULL; i++) {
        struct rf_swim_claim *claim = &swim->claims[i];
        if (claim->is_open && claim->seq_no == seq_no) {
            claim_close(swim, claim); /* it is where it was */
        }
    }
}

void rf_swim_claims_heard(struct rf_swim *swim, uint64_t now_ns, uint64_t exchange_id, int code)
{
    for (size_t i = 0; i < RF_SWIM_CLAIMS_MAX && swim->claims != NULL; i++) {
        struct rf_swim_claim *claim = &swim->claims[i];
        if (!claim->is_open) {
            continue;
        }
        if (claim->place_id == exchange_id && code == -ECONNREFUSED) {
            claim->is_refused = true;
        } else if (claim->claimant_id == exchange_id && code == 0) {
            claim->has_answered = true;
        } else if (claim->place_id == exchange_id || claim->claimant_id == exchange_id) {
            claim_close(swim, claim);
            continue;
        }
        settle(swim, now_ns, claim);
    }
}

void rf_swim_claims_tick(struct rf_swim *swim, uint64_t now_ns)
{
    for (size_t i = 0; i < RF_SWIM_CLAIMS_MAX && swim->claims != NULL; i++) {
        struct rf_swim_claim *claim = &swim->claims[i];
        if (claim->is_open) {
            settle(swim, now_ns, claim);
        }
        if (claim->is_open && claim->deadline_ns <= now_ns) {
            claim_close(swim, claim);
        }
    }
}

uint64_t rf_swim_claims_deadline_ns(const struct rf_swim *swim)
{
    uint64_t deadline_ns = UINT64_MAX;
    for (size_t i = 0; i < RF_SWIM_CLAIMS_MAX && swim->claims != NULL; i++) {
        const struct rf_swim_claim *claim = &swim->claims[i];
        if (claim->is_open) {
            bool is_seen = claim->is_refused && claim->has_answered;
            uint64_t next_ns = is_seen ? claim->settle_ns : claim->deadline_ns;
            deadline_ns = next_ns < deadline_ns ? next_ns : deadline_ns;
        }
    }
    return deadline_ns;
}

void rf_swim_claims_shift(struct rf_swim *swim, uint64_t late_ns)
{
    for (size_t i = 0; i < RF_SWIM_CLAIMS_MAX && swim->claims != NULL; i++) {
        swim->claims[i].settle_ns += late_ns;
        swim->claims[i].deadline_ns += late_ns;
    }
}
