/* SPDX-License-Identifier: MIT
 *
 * swim_answer.c - who is answered, and with how much; and who is called back.
 *
 * A ping may name the address that its ack is to go to, and anyone may send pings: taken at its
 * word, a node would send to whomever somebody names, and more than it was sent. So an answer goes
 * to the sender of the packet, or to a member. And who is not a member gets at most as many bytes
 * as its packet had, whatever was in it: a compressed compound of a thousand pings is one packet.
 */
#include "core/assert.h"
#include "gossip/swim_private.h"

bool rf_swim_is_member_address(const struct rf_swim *swim, const struct rf_address *address)
{
    return rf_node_table_has_address(&swim->nodes, address);
}

/* Where to: what the message claims, if that is the packet's source in another form, or a member's;
 * peers before memberlist 0.2 claim nothing, and who is bound to every address may claim that. */
static const struct rf_address *choose(const struct rf_swim *swim, const struct rf_address *from,
                                       const struct rf_address *claimed)
{
    if (claimed->ip_size == 0 || claimed->port == 0 || rf_address_is_wildcard(claimed)) {
        return from;
    }
    struct rf_address places[2] = {rf_address_unmapped(from), rf_address_unmapped(claimed)};
    bool is_trusted =
        rf_address_equal(&places[0], &places[1]) || rf_swim_is_member_address(swim, claimed);
    return is_trusted ? claimed : from;
}

void rf_swim_answer(struct rf_swim *swim, const struct rf_address *from,
                    const struct rf_address *claimed, const struct rf_message *message)
{
    const struct rf_address *to = choose(swim, from, claimed);
    /* Who pings does so once in a packet; thousands of pings fit into a compressed one. */
    if (!swim->has_acked && rf_swim_is_member_address(swim, to)) {
        swim->has_acked = true;
        rf_swim_send(swim, to, message);
        return;
    }
    struct rf_message bare = *message;
    if (bare.type == RF_MESSAGE_ACK) {
        bare.ack.payload = rf_slice(NULL, 0); /* where we are is for members, and has its size */
    }
    size_t overhead = swim->config.packet_overhead;
    size_t size_max = swim->packet_left > overhead ? swim->packet_left - overhead : 0;
    size_t size = 0;
    if (rf_swim_send_bounded(swim, to, &bare, size_max, &size)) {
        RF_ASSERT(size + overhead <= swim->packet_left);
        swim->packet_left -= size + overhead;
    } else {
        swim->stats.strangers_refused++;
    }
}

/*
 * A node that was restarted without its memory answers the probes of members that it does not know
 * any more, so that none of them sees that anything has happened, and nobody tells it of the others
 * until a push/pull comes by chance, half a minute later or more. But who pings us by our name
 * knows us, and is asked for what it knows. Ours, not memberlist's. Only the first few times, and
 * one each probe interval: the sender may be forged, and who has been here for long has been told.
 */
void rf_swim_call_back(struct rf_swim *swim, uint64_t now_ns, const struct rf_address *from)
{
    if (swim->calls_back_left == 0 || now_ns < swim->call_back_at_ns || swim->is_leaving ||
        rf_swim_is_member_address(swim, from) ||
        rf_swim_push_pull(swim, now_ns, from, RF_EXCHANGE_RECONNECT, 0) == 0) {
        return;
    }
    swim->calls_back_left--;
    swim->call_back_at_ns = now_ns + swim->config.probe_interval_ns;
    swim->stats.calls_back++;
}
