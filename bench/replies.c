/* SPDX-License-Identifier: MIT */
#include "bench/replies.h"

#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/wire.h"

enum {
    ID_OFFSET = 8,        /* of the request id in a header */
    TEXT_LINE_MAX = 1024, /* of redis and memcached: longer than any error's text */
};

/* A reader's place. */
struct reader {
    const struct rf_bench_workload *workload;
    const struct rf_bench_truth *truth;
    uint32_t position;
    uint64_t in_flight;
    struct rf_bench_tally *tally;
    struct rf_error *err;
};

static uint64_t load64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

/* Words: answers are short, and a call costs more. The last one overlaps what is before it, which
 * for `size` < 8 is up to seven bytes before `a` and `b`: compared too. */
static bool is_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
    uint64_t difference = load64(a + size - 8) ^ load64(b + size - 8);
    for (size_t i = 0; i + 8 < size; i += 8) {
        difference |= load64(a + i) ^ load64(b + i);
    }
    return difference == 0;
}

static void next(struct reader *reader)
{
    reader->position++;
    if (reader->position == reader->workload->requests_count) {
        reader->position = 0;
    }
    reader->in_flight--;
    reader->tally->answered++;
}

static void note(struct reader *reader, uint64_t *counter, const char *what, const void *text,
                 size_t text_size)
{
    if ((*counter)++ == 0 && reader->tally->first_error.code == 0) {
        int shown = text_size < 120 ? (int)text_size : 120;
        (void)rf_error_set(&reader->tally->first_error, RF_EMALFORMED, "request %u: %s%.*s",
                           reader->position, what, shown, (const char *)text);
    }
}

static const uint16_t *slots_of(const struct reader *reader)
{
    return reader->truth->slots + (size_t)reader->position * reader->truth->keys_per_request;
}

/* ---- the registry ---- */

/* Entries may be shorter than a word; few are. */
static inline bool is_entry(const uint8_t *at, const struct rf_bench_answer *answer)
{
    return RF_LIKELY(answer->size >= 8) ? is_equal(at, answer->bytes, answer->size)
                                        : memcmp(at, answer->bytes, answer->size) == 0;
}

/* Whether the entries of a MATCH_MANY reply are right. */
static bool are_entries_right(const struct reader *reader, const uint8_t *at, const uint8_t *end)
{
    const uint16_t *slots = slots_of(reader);
    for (uint32_t i = 0; i < reader->truth->keys_per_request; i++) {
        const struct rf_bench_answer *answer = &reader->truth->answers[slots[i]];
        if ((size_t)(end - at) < answer->size || !is_entry(at, answer)) {
            return false;
        }
        at += answer->size;
    }
    return at == end;
}

static bool is_many_right(const struct reader *reader, const uint8_t *payload, size_t size)
{
    return size >= 10 && rf_load_le64(payload) == reader->truth->version &&
           rf_load_le16(payload + 8) == reader->truth->keys_per_request &&
           are_entries_right(reader, payload + 10, payload + size);
}

/* Not as the truth has it, or there is none: why? */
static void judge(struct reader *reader, const struct rf_wire_header *header,
                  const uint8_t *payload)
{
    struct rf_bench_tally *tally = reader->tally;
    uint32_t keys_count = reader->workload->config.keys_per_request;
    const struct rf_bench_truth *truth = reader->truth;
    bool has_ids = reader->workload->config.protocol == RF_BENCH_REGISTRY;
    uint8_t op = keys_count == 1 ? RF_WIRE_MATCH : RF_WIRE_MATCH_MANY;
    if (has_ids && header->request_id != reader->position) {
        note(reader, &tally->wrong, "answered is another request", "", 0);
    } else if (header->status != RF_WIRE_OK) {
        note(reader, &tally->refused, "refused: ", payload, header->payload_size);
    } else if (header->op != op || header->payload_size < 8) {
        note(reader, &tally->wrong, "answered is another operation", "", 0);
    } else if (truth == NULL) {
        return;
    } else if (rf_load_le64(payload) != truth->version) {
        tally->skipped += keys_count;
        tally->newest_version = rf_load_le64(payload);
    } else if (keys_count > 1 && is_many_right(reader, payload, header->payload_size)) {
        tally->checked += keys_count;
    } else {
        note(reader, &tally->wrong, "not the member that the local ring gives: ", payload + 8,
             header->payload_size - 8);
    }
}

/* The reply at `at`, whatever it is. Returns its size, 0: it is cut, or RF_EMALFORMED. */
static ptrdiff_t read_frame(struct reader *reader, const uint8_t *at, size_t size)
{
    if (size < RF_WIRE_HEADER_SIZE) {
        return 0;
    }
    struct rf_wire_header header = rf_wire_header_load(at);
    int code = rf_wire_reply_header_check(&header, reader->err);
    if (code < 0) {
        return rf_error_prefix(reader->err, RF_EMALFORMED, "reply");
    }
    if (size - RF_WIRE_HEADER_SIZE < header.payload_size) {
        return 0;
    }
    if (reader->in_flight == 0) {
        return rf_error_set(reader->err, RF_EMALFORMED, "a reply that nobody asked for: %s %.*s",
                            rf_wire_status_name(header.status),
                            header.payload_size < 120 ? (int)header.payload_size : 120,
                            (const char *)at + RF_WIRE_HEADER_SIZE);
    }
    judge(reader, &header, at + RF_WIRE_HEADER_SIZE);
    next(reader);
    return RF_WIRE_HEADER_SIZE + (ptrdiff_t)header.payload_size;
}

/*
 * Replies to single matches that are right, from the front. Returns how many bytes. Those of
 * another version are not checked, though most are the same but for that: they take no longer, or
 * a group that changes would be measured with a slower generator.
 */
static size_t skip_right_matches(struct reader *reader, const uint8_t *data, size_t size)
{
    enum { VERSION_OFFSET = RF_WIRE_HEADER_SIZE, ENTRY_OFFSET = VERSION_OFFSET + 8 };
    const struct rf_bench_truth *truth = reader->truth;
    uint32_t requests_count = reader->workload->requests_count;
    uint32_t position = reader->position;
    uint64_t left = reader->in_flight;
    uint64_t skipped = 0;
    size_t at = 0;
    while (left > 0) {
        const struct rf_bench_answer *answer = &truth->answers[truth->slots[position]];
        if (size - at < answer->size || load64(data + at) != load64(answer->bytes) ||
            rf_load_le32(data + at + ID_OFFSET) != (position & truth->id_mask) ||
            !is_equal(data + at + ENTRY_OFFSET, answer->bytes + ENTRY_OFFSET,
                      answer->size - ENTRY_OFFSET)) {
            break;
        }
        const uint64_t version = rf_load_le64(data + at + VERSION_OFFSET);
        if (RF_UNLIKELY(version != truth->version)) {
            skipped++;
            reader->tally->newest_version = version;
        }
        at += answer->size;
        left--;
        position = position + 1 == requests_count ? 0 : position + 1;
    }
    uint64_t count = reader->in_flight - left;
    reader->tally->answered += count;
    reader->tally->checked += count - skipped;
    reader->tally->skipped += skipped;
    reader->position = position;
    reader->in_flight = left;
    return at;
}

/* ---- redis and memcached ---- */

/* Size of the line at `at` with its CR LF. 0: it is cut; RF_EMALFORMED: too long for one. */
static ptrdiff_t line_size(const uint8_t *at, size_t size, struct rf_error *err)
{
    const uint8_t *end = memchr(at, '\n', size < TEXT_LINE_MAX ? size : TEXT_LINE_MAX);
    if (end == NULL) {
        return size < TEXT_LINE_MAX
                   ? 0
                   : rf_error_set(err, RF_EMALFORMED, "a line of over %d bytes", TEXT_LINE_MAX);
    }
    return end - at + 1;
}

/* Size of the value after a line "$27" or "VA 27 ...", its CR LF included; -1: no value follows. */
static long value_size(const char *line)
{
    long size = -1;
    if (line[0] == '$') {
        size = strtol(line + 1, NULL, 10);
    } else if (strncmp(line, "VA ", 3) == 0) {
        size = strtol(line + 3, NULL, 10);
    }
    return size >= 0 && size <= RF_WIRE_REPLY_SIZE_MAX ? size + 2 : -1;
}

static bool is_known_line(enum rf_bench_protocol protocol, const char *line)
{
    if (protocol == RF_BENCH_REDIS) {
        return line[0] == '$' || line[0] == '-';
    }
    return strncmp(line, "VA ", 3) == 0 || strncmp(line, "EN\r", 3) == 0 ||
           strncmp(line, "ERROR", 5) == 0 || strncmp(line, "SERVER_ERROR", 12) == 0 ||
           strncmp(line, "CLIENT_ERROR", 12) == 0;
}

/* As read_frame. */
static ptrdiff_t read_text(struct reader *reader, const uint8_t *at, size_t size)
{
    ptrdiff_t head_size = line_size(at, size, reader->err);
    if (head_size <= 0) {
        return head_size;
    }
    char line[TEXT_LINE_MAX + 1];
    memcpy(line, at, (size_t)head_size);
    line[head_size] = '\0';
    if (reader->in_flight == 0 || !is_known_line(reader->workload->config.protocol, line)) {
        return rf_error_set(reader->err, RF_EMALFORMED, "not an answer: '%.*s'",
                            (int)strcspn(line, "\r\n"), line);
    }
    long rest = value_size(line);
    if (rest >= 0 && size - (size_t)head_size < (size_t)rest) {
        return 0;
    }
    if (rest < 0) {
        note(reader, &reader->tally->refused, "refused: ", line, strcspn(line, "\r\n"));
    } else if (reader->truth != NULL) {
        note(reader, &reader->tally->wrong, "not the value that was stored: ", at + head_size,
             (size_t)rest - 2);
    }
    next(reader);
    return head_size + (rest < 0 ? 0 : rest);
}

static size_t skip_right_values(struct reader *reader, const uint8_t *data, size_t size)
{
    size_t at = 0;
    while (reader->in_flight > 0) {
        const struct rf_bench_answer *answer =
            &reader->truth->answers[reader->truth->slots[reader->position]];
        if (size - at < answer->size || !is_equal(data + at, answer->bytes, answer->size)) {
            break;
        }
        at += answer->size;
        reader->tally->checked++;
        next(reader);
    }
    return at;
}

ptrdiff_t rf_bench_replies_read(const struct rf_bench_workload *workload,
                                const struct rf_bench_truth *truth, uint32_t *position,
                                uint64_t in_flight, const uint8_t *data, size_t size,
                                struct rf_bench_tally *tally, struct rf_error *err)
{
    struct reader reader = {workload, truth, *position, in_flight, tally, err};
    enum rf_bench_protocol protocol = workload->config.protocol;
    bool is_wire = protocol == RF_BENCH_REGISTRY || protocol == RF_BENCH_CEILING;
    size_t at = 0;
    while (at < size) {
        if (truth != NULL && (!is_wire || workload->config.keys_per_request == 1)) {
            at += is_wire ? skip_right_matches(&reader, data + at, size - at)
                          : skip_right_values(&reader, data + at, size - at);
        }
        if (at == size) {
            break;
        }
        ptrdiff_t used = is_wire ? read_frame(&reader, data + at, size - at)
                                 : read_text(&reader, data + at, size - at);
        if (used < 0) {
            return used;
        }
        if (used == 0) {
            break;
        }
        at += (size_t)used;
    }
    *position = reader.position;
    return (ptrdiff_t)at;
}
