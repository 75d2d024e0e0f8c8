/* SPDX-License-Identifier: MIT
 *
 * packet.h - the envelope of a UDP packet: label, encryption, CRC, then a message that may be
 * compressed, a compound of several, or both.
 *
 * Pure and without allocation: the caller lends the buffers. One struct for each thread.
 */
#ifndef RF_GOSSIP_PACKET_H
#define RF_GOSSIP_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "gossip/crypt.h"
#include "gossip/keyring.h"
#include "gossip/lzw.h"
#include "gossip/message.h"
#include "gossip/slice.h"

enum {
    RF_PACKET_SIZE_MAX = 65535,       /* of a datagram: what the length field of UDP can say */
    RF_PACKET_PLAIN_MAX = 256 * 1024, /* all that one packet may decompress to: four packets' worth;
                                         an honest one decompresses to one datagram at most */
    RF_PACKET_RATIO_FREE_SIZE =
        16 * 1024,            /* what any compress message may unpack to: the largest
                                 user event is 9216 bytes; more only if it is so many */
    RF_PACKET_RATIO_MAX = 64, /* times its size. LZW can say 1365 */
    RF_PACKET_DEPTH_MAX = 4,  /* of compress in compound in compress...; peers use 2 */
    RF_PACKET_BUDGET = 1400,  /* memberlist's UDPBufferSize: bytes to fill with broadcasts */
    RF_LABEL_SIZE_MAX = 255,  /* its length is one byte */
    RF_LABEL_OVERHEAD = 2,    /* of a label header, beside the label */
    RF_CRC_HEADER_SIZE = 5,
};

/* What a cluster agrees on; the same for packets and streams. */
struct rf_envelope {
    struct rf_keyring *keyring; /* borrowed; NULL or empty: not encrypted */
    struct rf_slice label;      /* borrowed; at most RF_LABEL_SIZE_MAX; empty: none */
    bool skip_label_check;      /* a proxy before us has checked and removed the label: then none
                                   may be there, and `label` is authenticated all the same */
};

/* ---- opening ---- */

struct rf_packet {
    /* What the envelope was; for counters, traces and tests. */
    struct rf_slice label; /* the header's; borrowed from the datagram */
    bool is_encrypted;
    bool has_crc;
    uint8_t crypt_version;
    uint8_t nonce[RF_NONCE_SIZE];
    size_t plain_size; /* behind encryption */
    uint32_t crc;
    struct rf_slice message; /* what is in the envelope */

    /* Parts that rf_packet_next passed over, and why the last of them was. */
    uint32_t dropped_count;
    int dropped_code;

    /* private */
    struct rf_compound open[RF_PACKET_DEPTH_MAX + 1];
    int open_count; /* compounds being walked, the innermost last */
    int levels[RF_PACKET_DEPTH_MAX + 1];
    bool has_message; /* `message` itself is still to be delivered */
    size_t inflated_size;
    uint8_t plain[RF_PACKET_SIZE_MAX];
    uint8_t inflated[RF_PACKET_PLAIN_MAX];
};

/*
 * Opens the envelope of one datagram.
 *
 * Lifetime: `packet` borrows `data`; what rf_packet_next gives is valid until the next open.
 * Errors:   the datagram is to be dropped: RF_EMALFORMED empty, cut label, bad padding, wrong CRC,
 *           nothing inside; RF_EAUTH label or key is not ours, or it should have been encrypted;
 *           RF_EVERSION unknown encryption version.
 */
RF_NODISCARD int rf_packet_open(struct rf_packet *packet, const struct rf_envelope *envelope,
                                const uint8_t *data, size_t size);

/*
 * Gives the next message: type byte and body, never compound or compress. Parts that are malformed,
 * nested deeper than RF_PACKET_DEPTH_MAX or of a type that packets do not carry (label, CRC and
 * stream types included) are passed over and counted, the others still come. False at the end.
 */
bool rf_packet_next(struct rf_packet *packet, struct rf_slice *ret_message);

/* ---- sealing ---- */

struct rf_packet_options {
    bool compress;        /* if that makes it shorter */
    bool crc;             /* for a receiver whose PMax is 5 or more; all known peers take it */
    bool use_version_0;   /* of encryption: for tests */
    const uint8_t *nonce; /* for tests; NULL: random */
};

/*
 * Bytes that label and encryption add: what a broadcast has to leave free in RF_PACKET_BUDGET. As
 * in the reference the CRC header is not counted.
 */
size_t rf_packet_overhead(const struct rf_envelope *envelope);

/*
 * Puts a message (or compound) into its envelope. `ret_data` must not overlap `message`.
 *
 * Returns the size of the datagram. Errors: -ENOBUFS it is above `ret_size_max`; -EIO encryption
 *         failed.
 */
RF_NODISCARD int rf_packet_seal(const struct rf_envelope *envelope,
                                const struct rf_packet_options *options,
                                struct rf_lzw_workspace *workspace, struct rf_slice message,
                                uint8_t *ret_data, size_t ret_size_max);

#endif
