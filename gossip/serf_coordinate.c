/* SPDX-License-Identifier: MIT
 *
 * serf_coordinate.c - network coordinates of this node and of the members it probes (rule 25): our
 * acks carry ours, each ack to a probe of ours brings another's.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/assert.h"
#include "core/text.h"
#include "gossip/serf_private.h"

/* Encoded once for each change, not for each ack. */
static void publish(struct rf_serf *serf)
{
    uint8_t bytes[RF_SWIM_ACK_PAYLOAD_MAX];
    struct rf_packer packer = rf_packer(bytes, sizeof(bytes));
    int size = rf_coordinate_encode(&serf->vivaldi.self, &packer);
    RF_ASSERT(size > 0);
    rf_swim_set_ack_payload(&serf->swim, rf_packer_slice(&packer));
}

void rf_serf_coordinates_init(struct rf_serf *serf)
{
    serf->vivaldi_random.state = rf_random_next(&serf->swim.random);
    rf_vivaldi_init(&serf->vivaldi);
    publish(serf);
}

void rf_serf_on_ack(struct rf_serf *serf, const struct rf_output *ack)
{
    struct rf_coordinate coordinate;
    struct rf_member_entry *member = rf_serf_member(serf, rf_slice(ack->name, ack->name_size));
    if (member == NULL) {
        return; /* pruned, though it answers */
    }
    if (rf_coordinate_decode(rf_slice(ack->bytes, ack->bytes_size), &coordinate) < 0 ||
        !rf_coordinate_is_sane(&coordinate)) {
        serf->stats.coordinates_refused++;
        return;
    }
    if (member->peer == NULL) {
        member->peer = calloc(1, sizeof(*member->peer));
    }
    if (member->peer == NULL) {
        serf->stats.serf_dropped_memory++;
        return;
    }
    int code = rf_vivaldi_update(&serf->vivaldi, &serf->vivaldi_random, member->peer, &coordinate,
                                 ack->rtt_ns);
    if (code < 0) {
        serf->stats.coordinates_refused++; /* a round trip of more than 10 s, in a slow profile */
        return;
    }
    publish(serf);
}

/* The coordinate of a member, or why there is none. */
static int find(const struct rf_serf *serf, const char *name,
                const struct rf_coordinate **ret_coordinate, struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    const struct rf_member_entry *member = rf_serf_member(serf, rf_slice_text(name));
    if (member == NULL) {
        return rf_error_set(err, RF_ENOTFOUND, "no member %s", rf_text_quote(name, quoted));
    }
    if (rf_slice_equal(member->link.name, serf->swim.self->link.name)) {
        *ret_coordinate = &serf->vivaldi.self;
        return 0;
    }
    if (member->peer == NULL || member->peer->rtts_count == 0) {
        return rf_error_set(err, -ENODATA,
                            "member %s: no network coordinate heard of it yet; each member is "
                            "probed in turn, and some keep none",
                            rf_text_quote(name, quoted));
    }
    *ret_coordinate = &member->peer->coordinate;
    return 0;
}

int rf_serf_rtt(const struct rf_serf *serf, const char *a, const char *b, uint64_t *ret_rtt_ns,
                struct rf_error *err)
{
    const struct rf_coordinate *from;
    const struct rf_coordinate *to = &serf->vivaldi.self;
    int code = find(serf, a, &from, err);
    if (code == 0 && b != NULL) {
        code = find(serf, b, &to, err);
    }
    if (code == 0) {
        *ret_rtt_ns = (uint64_t)(rf_coordinate_distance_s(from, to) * 1e9);
    }
    return code;
}
