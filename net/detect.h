/* SPDX-License-Identifier: MIT
 *
 * detect.h - which protocol a connection speaks, by its first bytes. One port serves all.
 */
#ifndef RF_NET_DETECT_H
#define RF_NET_DETECT_H

#include <stddef.h>
#include <stdint.h>

enum { RF_DETECT_SIZE_MAX = 8 }; /* bytes that are enough to decide: the binary preface */

enum rf_protocol {
    RF_PROTOCOL_UNDECIDED, /* right so far for one of them: more bytes are needed */
    RF_PROTOCOL_BINARY,    /* also of a version we do not speak: its machine says so */
    RF_PROTOCOL_UNKNOWN,   /* none that we speak: close */
};

/* Looks at the first `size` bytes; never undecided from RF_DETECT_SIZE_MAX bytes on. */
enum rf_protocol rf_detect(const uint8_t *data, size_t size);

#endif
