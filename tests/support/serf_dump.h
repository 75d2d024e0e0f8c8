/* SPDX-License-Identifier: MIT
 *
 * serf_dump.h - decoded messages as text, one path=value a line: the form of the .dec files beside
 * the recorded messages (tests/vectors/serf/README.md). Made from the codec's structs and cursors,
 * so that equal text means that nothing was lost in decoding.
 */
#ifndef RF_TESTS_SERF_DUMP_H
#define RF_TESTS_SERF_DUMP_H

#include <stdio.h>

#include "gossip/packet.h"
#include "gossip/serf_message.h"
#include "gossip/stream.h"

/* Each writes to `out` and returns 0, or the codec's error; what was written then is incomplete. */
int serf_dump_message(FILE *out, const char *path, struct rf_slice bytes);
int serf_dump_serf(FILE *out, const char *path, struct rf_slice bytes);
int serf_dump_tags(FILE *out, const char *path, struct rf_slice meta);
int serf_dump_ack_payload(FILE *out, const char *path, struct rf_slice payload);
int serf_dump_filters(FILE *out, const char *path, const struct rf_slice *filters, size_t count);
int serf_dump_packet(FILE *out, const struct rf_envelope *envelope, struct rf_packet *packet,
                     struct rf_slice bytes);
/* After the parser has said that the message is whole. */
int serf_dump_stream(FILE *out, const struct rf_stream_parser *parser);

#endif
