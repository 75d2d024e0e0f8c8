/* SPDX-License-Identifier: MIT
 *
 * crc32.h - CRC-32 as in zlib, gzip and Go's crc32.ChecksumIEEE: reflected polynomial 0xedb88320,
 * by byte.
 *
 * Our own, since this is all we would link zlib for; one table of 1 KiB and not the eight of the
 * faster forms, since keys, ids and packets are short and the level 1 cache is better spent on
 * lines.
 */
#ifndef RF_CORE_CRC32_H
#define RF_CORE_CRC32_H

#include <stddef.h>
#include <stdint.h>

extern const uint32_t rf_crc32_table[256];

/* Feeds bytes to the running value, which starts as UINT32_MAX. The crc is its complement. */
static inline uint32_t rf_crc32_feed(uint32_t running, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        running = rf_crc32_table[(running ^ bytes[i]) & 0xff] ^ (running >> 8);
    }
    return running;
}

static inline uint32_t rf_crc32(const void *data, size_t size)
{
    return ~rf_crc32_feed(UINT32_MAX, data, size);
}

#endif
