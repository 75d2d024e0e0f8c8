/* SPDX-License-Identifier: MIT
 *
 * sim_network.c - what becomes of packets and streams on their way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "tests/sim/sim_private.h"

enum {
    SEGMENT_SIZE = 1448,   /* of TCP on Ethernet */
    WINDOW_SEGMENTS = 10,  /* the initial window (RFC 6928) */
    CONNECT_TRIES_MAX = 6, /* Linux' tcp_syn_retries: after 1, 2, 4 ... s */
    RESEND_TRIES_MAX = 8,  /* then the deadlines of the machines have passed long since */
    DATAGRAM_MAX = 16384,  /* above what machines fill: RF_SWIM_PACKET_SIZE_MAX, headers */
    CORRUPT_BYTES_MAX = 8,
};

#define RESEND_NS (200 * RF_SIM_MS) /* Linux' TCP_RTO_MIN, doubled each time */

/* ---- links ---- */

void rf_sim_links_grow(struct rf_sim *sim, size_t capacity)
{
    if (sim->links == NULL) {
        return;
    }
    uint8_t *links = calloc(capacity, capacity);
    RF_ASSERT(links != NULL);
    for (size_t i = 0; i < sim->nodes_count; i++) {
        memcpy(&links[i * capacity], &sim->links[i * sim->nodes_capacity], sim->nodes_count);
    }
    free(sim->links);
    sim->links = links;
}

static bool is_same_link(const struct rf_sim_link *a, const struct rf_sim_link *b)
{
    return a->latency_min_ns == b->latency_min_ns && a->latency_max_ns == b->latency_max_ns &&
           a->reorder_ns == b->reorder_ns && a->reorder_ppm == b->reorder_ppm &&
           a->loss_ppm == b->loss_ppm && a->duplicate_ppm == b->duplicate_ppm &&
           a->corrupt_ppm == b->corrupt_ppm && a->stall_ppm == b->stall_ppm &&
           a->reset_ppm == b->reset_ppm && a->mtu == b->mtu && a->is_cut == b->is_cut;
}

static uint8_t kind_of(struct rf_sim *sim, const struct rf_sim_link *link)
{
    size_t kind = 0;
    while (kind < sim->link_kinds_count && !is_same_link(&sim->link_kinds[kind], link)) {
        kind++;
    }
    RF_ASSERT(kind < RF_SIM_LINK_KINDS_MAX);
    if (kind == sim->link_kinds_count) {
        sim->link_kinds[sim->link_kinds_count++] = *link;
    }
    return (uint8_t)(kind + 1);
}

void rf_sim_set_link(struct rf_sim *sim, size_t from, size_t to, const struct rf_sim_link *link)
{
    RF_ASSERT(from < sim->nodes_count && to < sim->nodes_count);
    if (sim->links == NULL) {
        sim->links = calloc(sim->nodes_capacity, sim->nodes_capacity);
        RF_ASSERT(sim->links != NULL);
    }
    sim->links[from * sim->nodes_capacity + to] = link == NULL ? 0 : kind_of(sim, link);
}

void rf_sim_cut(struct rf_sim *sim, size_t from, size_t to, bool is_cut)
{
    static const struct rf_sim_link cut = {.is_cut = true};
    rf_sim_set_link(sim, from, to, is_cut ? &cut : NULL);
}

void rf_sim_partition(struct rf_sim *sim, size_t split, bool both, bool is_cut)
{
    for (size_t a = 0; a < split; a++) {
        for (size_t b = split; b < sim->nodes_count; b++) {
            rf_sim_cut(sim, a, b, is_cut);
            if (both) {
                rf_sim_cut(sim, b, a, is_cut);
            }
        }
    }
}

void rf_sim_heal(struct rf_sim *sim)
{
    free(sim->links);
    sim->links = NULL;
    sim->link_kinds_count = 0;
    sim->network =
        (struct rf_sim_link){.latency_min_ns = RF_SIM_MS / 5, .latency_max_ns = 2 * RF_SIM_MS};
    for (size_t i = 0; i < sim->nodes_count; i++) {
        sim->nodes[i].in_loss_ppm = 0;
        sim->nodes[i].out_loss_ppm = 0;
        sim->nodes[i].service_ns = 0;
        sim->nodes[i].held_until_ns = 0;
    }
}

static const struct rf_sim_link *link_of(const struct rf_sim *sim, size_t from, size_t to)
{
    uint8_t kind = sim->links == NULL ? 0 : sim->links[from * sim->nodes_capacity + to];
    return kind == 0 ? &sim->network : &sim->link_kinds[kind - 1];
}

static uint64_t latency_ns(struct rf_sim *sim, const struct rf_sim_link *link)
{
    uint64_t latency_ns =
        link->latency_min_ns +
        rf_random_below(&sim->random, link->latency_max_ns - link->latency_min_ns + 1);
    return latency_ns + (rf_sim_happens(sim, link->reorder_ppm) ? link->reorder_ns : 0);
}

/* Whether one packet or segment is lost. */
static bool is_lost(struct rf_sim *sim, const struct rf_sim_link *link, size_t from, size_t to)
{
    return link->is_cut || rf_sim_happens(sim, link->loss_ppm) ||
           rf_sim_happens(sim, sim->nodes[from].out_loss_ppm) ||
           rf_sim_happens(sim, sim->nodes[to].in_loss_ppm);
}

/* The node at an address; nodes_count: none. */
static size_t node_at(const struct rf_sim *sim, const struct rf_address *address)
{
    size_t index = (size_t)address->ip[2] * 256 + address->ip[3];
    bool is_ours = address->ip_size == 4 && index < sim->nodes_count &&
                   rf_address_equal(&sim->nodes[index].address, address);
    return is_ours ? index : sim->nodes_count;
}

/* For how long it does not send: rf_sim_hold. */
static uint64_t held_ns(const struct rf_sim *sim, size_t index)
{
    uint64_t until_ns = sim->nodes[index].held_until_ns;
    return until_ns > sim->now_ns ? until_ns - sim->now_ns : 0;
}

/* ---- packets ---- */

/* Perhaps, as often as the link does it. */
static void corrupt(struct rf_sim *sim, const struct rf_sim_link *link,
                    struct rf_sim_packet *packet)
{
    if (packet->size == 0 || !rf_sim_happens(sim, link->corrupt_ppm)) {
        return;
    }
    uint64_t first = rf_random_below(&sim->random, packet->size);
    packet->bytes[first] ^= (uint8_t)(1 + rf_random_below(&sim->random, 255));
    for (uint64_t more = rf_random_below(&sim->random, CORRUPT_BYTES_MAX); more > 0; more--) {
        uint64_t at = rf_random_below(&sim->random, packet->size);
        packet->bytes[at] ^= (uint8_t)(at == first ? 0 : rf_random_below(&sim->random, 256));
    }
    packet->is_corrupted = true;
    sim->corrupted++;
}

static void put_on_the_way(struct rf_sim *sim, uint32_t from, uint32_t to, const uint8_t *datagram,
                           size_t size)
{
    const struct rf_sim_link *link = link_of(sim, from, to);
    if (is_lost(sim, link, from, to) || (link->mtu > 0 && size > link->mtu)) {
        sim->lost.packets++;
        sim->lost.packet_bytes += size;
        return;
    }
    struct rf_sim_packet *packet = rf_sim_packet_new(sim, datagram, size);
    packet->type = RF_SIM_EVENT_PACKET;
    packet->from = from;
    corrupt(sim, link, packet);
    uint64_t delay_ns = held_ns(sim, from) + latency_ns(sim, link);
    rf_sim_push(sim, (struct rf_sim_event){.at_ns = sim->now_ns + delay_ns,
                                           .type = RF_SIM_EVENT_PACKET,
                                           .to = to,
                                           .packet = packet});
}

void rf_sim_send_packet(struct rf_sim *sim, uint32_t from, const struct rf_output *output)
{
    uint8_t datagram[DATAGRAM_MAX];
    const uint8_t *bytes = output->bytes;
    size_t size = output->bytes_size;
    if (sim->uses_codec) {
        struct rf_packet_options options = {.compress = true, .crc = output->with_crc};
        int sealed = rf_packet_seal(&sim->envelope, &options, sim->workspace, rf_slice(bytes, size),
                                    datagram, sizeof(datagram));
        RF_ASSERT(sealed > 0);
        bytes = datagram;
        size = (size_t)sealed;
    }
    struct rf_sim_traffic *traffic = &sim->nodes[from].traffic;
    traffic->packets++;
    traffic->packet_bytes += size;
    size_t to = node_at(sim, &output->address);
    if (to == sim->nodes_count) {
        return;
    }
    int copies = rf_sim_happens(sim, link_of(sim, from, to)->duplicate_ppm) ? 2 : 1;
    for (int i = 0; i < copies; i++) {
        put_on_the_way(sim, from, (uint32_t)to, bytes, size);
    }
}

/* ---- streams ---- */

/* How long the handshake takes; UINT64_MAX: it does not come about. */
static uint64_t connect_ns(struct rf_sim *sim, size_t from, size_t to)
{
    uint64_t waited_ns = 0;
    const struct rf_sim_link *there = link_of(sim, from, to);
    const struct rf_sim_link *back = link_of(sim, to, from);
    for (int i = 0; i < CONNECT_TRIES_MAX; i++) {
        if (!is_lost(sim, there, from, to) && !is_lost(sim, back, to, from)) {
            return waited_ns + latency_ns(sim, there) + latency_ns(sim, back);
        }
        waited_ns += RF_SIM_S << i;
    }
    return UINT64_MAX;
}

/*
 * How long `size` bytes take one way. Windows double each round trip; a segment lost in the middle
 * costs one more, the last one of all a timeout, as does a lost acknowledgement of it.
 */
static uint64_t transfer_ns(struct rf_sim *sim, size_t from, size_t to, size_t size)
{
    const struct rf_sim_link *there = link_of(sim, from, to);
    const struct rf_sim_link *back = link_of(sim, to, from);
    if (there->is_cut || back->is_cut) {
        return UINT64_MAX;
    }
    uint64_t spent_ns = latency_ns(sim, there);
    size_t segments = 1 + size / SEGMENT_SIZE;
    for (size_t sent = WINDOW_SEGMENTS; sent < segments; sent = 2 * sent + WINDOW_SEGMENTS) {
        spent_ns += latency_ns(sim, there) + latency_ns(sim, back);
        if (is_lost(sim, there, from, to)) {
            spent_ns += latency_ns(sim, there) + latency_ns(sim, back);
        }
    }
    for (int i = 0; is_lost(sim, there, from, to); i++) {
        if (i == RESEND_TRIES_MAX) {
            return UINT64_MAX;
        }
        spent_ns += RESEND_NS << i;
    }
    return spent_ns;
}

/* The stream ends with `code` at its opener, if it is not too late to matter. */
static void fail_exchange(struct rf_sim *sim, uint64_t at_ns, uint32_t opener,
                          const struct rf_sim_packet *about, int code)
{
    struct rf_sim_packet *packet = rf_sim_packet_new(sim, NULL, 0);
    packet->type = RF_SIM_EVENT_REPLY;
    packet->exchange_id = about->exchange_id;
    packet->generation = about->generation;
    packet->expect = about->expect;
    packet->code = code;
    rf_sim_push(sim, (struct rf_sim_event){.at_ns = at_ns > sim->now_ns ? at_ns : sim->now_ns,
                                           .type = RF_SIM_EVENT_REPLY,
                                           .to = opener,
                                           .packet = packet});
}

static struct rf_sim_packet *seal_stream(struct rf_sim *sim, const uint8_t *bytes, size_t size,
                                         bool is_reply)
{
    if (!sim->uses_codec || size == 0) {
        return rf_sim_packet_new(sim, bytes, size);
    }
    struct rf_stream_options options = {.is_reply = is_reply, .compress = true};
    size_t capacity = rf_stream_sealed_size_max(&sim->envelope, &options, size);
    uint8_t *sealed = malloc(capacity);
    RF_ASSERT(sealed != NULL);
    int code = rf_stream_seal(&sim->envelope, &options, sim->workspace, rf_slice(bytes, size),
                              sealed, capacity);
    RF_ASSERT(code > 0);
    struct rf_sim_packet *packet = rf_sim_packet_new(sim, sealed, (size_t)code);
    free(sealed);
    return packet;
}

void rf_sim_open_exchange(struct rf_sim *sim, uint32_t from, const struct rf_output *output)
{
    struct rf_sim_node *node = &sim->nodes[from];
    struct rf_sim_packet *packet = seal_stream(sim, output->bytes, output->bytes_size, false);
    packet->type = RF_SIM_EVENT_CONNECT;
    packet->from = from;
    packet->generation = node->generation;
    packet->exchange_id = output->exchange_id;
    packet->expect = output->expect;
    packet->deadline_ns = output->deadline_ns + node->behind_ns;
    node->traffic.streams++;
    node->traffic.stream_bytes += packet->size;

    size_t to = node_at(sim, &output->address);
    const struct rf_sim_link *link = to < sim->nodes_count ? link_of(sim, from, to) : NULL;
    uint64_t delay_ns = UINT64_MAX;
    if (link != NULL && !rf_sim_happens(sim, link->stall_ppm)) {
        uint64_t handshake_ns = connect_ns(sim, from, to);
        uint64_t data_ns =
            handshake_ns == UINT64_MAX ? UINT64_MAX : transfer_ns(sim, from, to, packet->size);
        delay_ns = data_ns == UINT64_MAX ? UINT64_MAX : held_ns(sim, from) + handshake_ns + data_ns;
    }
    if (delay_ns == UINT64_MAX || sim->now_ns + delay_ns >= packet->deadline_ns) {
        fail_exchange(sim, packet->deadline_ns, from, packet, -ETIMEDOUT);
        rf_sim_packet_free(sim, packet);
    } else if (rf_sim_happens(sim, link->reset_ppm)) {
        fail_exchange(sim, sim->now_ns + delay_ns, from, packet, -ECONNRESET);
        rf_sim_packet_free(sim, packet);
    } else {
        corrupt(sim, link, packet);
        rf_sim_push(sim, (struct rf_sim_event){.at_ns = sim->now_ns + delay_ns,
                                               .type = RF_SIM_EVENT_CONNECT,
                                               .to = (uint32_t)to,
                                               .packet = packet});
    }
}

void rf_sim_send_reply(struct rf_sim *sim, uint32_t from, const struct rf_sim_packet *request,
                       int code, const uint8_t *bytes, size_t size)
{
    uint32_t to = request->from;
    const struct rf_sim_link *link = link_of(sim, from, to);
    uint64_t delay_ns =
        rf_sim_happens(sim, link->stall_ppm) ? UINT64_MAX : transfer_ns(sim, from, to, size);
    if (delay_ns == UINT64_MAX) {
        fail_exchange(sim, request->deadline_ns, to, request, -ETIMEDOUT);
        return;
    }
    if (rf_sim_happens(sim, link->reset_ppm)) {
        code = -ECONNRESET;
    }
    if (code < 0) {
        fail_exchange(sim, sim->now_ns + delay_ns, to, request, code);
        return;
    }
    struct rf_sim_packet *packet = seal_stream(sim, bytes, size, true);
    packet->type = RF_SIM_EVENT_REPLY;
    packet->from = from;
    packet->generation = request->generation;
    packet->exchange_id = request->exchange_id;
    packet->expect = request->expect;
    sim->nodes[from].traffic.stream_bytes += packet->size;
    corrupt(sim, link, packet);
    rf_sim_push(sim, (struct rf_sim_event){.at_ns = sim->now_ns + delay_ns,
                                           .type = RF_SIM_EVENT_REPLY,
                                           .to = to,
                                           .packet = packet});
}
