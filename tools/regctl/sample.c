/* SPDX-License-Identifier: MIT */
#include "tools/regctl/sample.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

/* The number N in "<prefix>N<suffix>". */
static bool parse_name(const char *name, const char *prefix, const char *suffix, uint64_t *ret_n)
{
    size_t prefix_size = strlen(prefix);
    const char *digits = name + prefix_size;
    if (strncmp(name, prefix, prefix_size) != 0 || *digits < '0' || *digits > '9') {
        return false;
    }
    char *end;
    *ret_n = strtoull(digits, &end, 10); /* absurdly large ones fit no table */
    return strcmp(end, suffix) == 0;
}

static void read_worker(const char *text, struct regctl_worker_sample *ret_worker)
{
    const struct {
        const char *name;
        uint64_t *value;
    } fields[] = {{"requests=", &ret_worker->requests}, {"keys=", &ret_worker->keys},
                  {"batches=", &ret_worker->batches},   {"connections=", &ret_worker->connections},
                  {"watches=", &ret_worker->watches},   {"received=", &ret_worker->received},
                  {"sent=", &ret_worker->sent},         {"blocked=", &ret_worker->blocked}};
    while (*text != '\0') {
        for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
            size_t size = strlen(fields[i].name);
            if (strncmp(text, fields[i].name, size) == 0) {
                *fields[i].value = strtoull(text + size, NULL, 10);
            }
        }
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
}

static void read_text(struct regctl_sample *sample, const char *name, const char *text)
{
    const struct {
        const char *name;
        char *value;
    } texts[] = {
        {"node", sample->node}, {"instance", sample->instance}, {"engine", sample->engine}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(name, texts[i].name) == 0) {
            (void)snprintf(texts[i].value, REGCTL_SAMPLE_TEXT_SIZE, "%s", text); /* may be cut */
        }
    }
    uint64_t number;
    if (parse_name(name, "worker_", "", &number) && number < REGCTL_WORKERS_MAX) {
        read_worker(text, &sample->workers[number]);
        if (number >= sample->workers_count) {
            sample->workers_count = (unsigned)number + 1;
        }
    }
    if (parse_name(name, "latency_from_", "_ns", &number)) {
        int code = rf_octave_parse(&sample->latency, number, text);
        (void)code; /* what cannot be read is as if it were not there */
    }
}

static void read_number(struct regctl_sample *sample, const char *name, uint64_t value)
{
    const struct {
        const char *name;
        uint64_t *value;
    } numbers[] = {{"uptime_ms", &sample->uptime_ms},
                   {"version", &sample->version},
                   {"groups", &sample->groups},
                   {"members", &sample->members},
                   {"alive", &sample->alive}};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].value = value;
        }
    }
}

static void add_worker(struct regctl_worker_sample *sum, const struct regctl_worker_sample *worker)
{
    sum->requests += worker->requests;
    sum->keys += worker->keys;
    sum->batches += worker->batches;
    sum->connections += worker->connections;
    sum->watches += worker->watches;
    sum->received += worker->received;
    sum->sent += worker->sent;
    sum->blocked += worker->blocked;
}

void rf_regctl_sample_read(const struct regfast_info_list *list, uint64_t taken_ns,
                           struct regctl_sample *ret_sample)
{
    *ret_sample = (struct regctl_sample){.taken_ns = taken_ns};
    for (size_t i = 0; i < list->count; i++) {
        const struct regfast_info *entry = &list->entries[i];
        if (entry->type == REGFAST_INFO_TEXT) {
            read_text(ret_sample, entry->name, entry->text);
        } else {
            read_number(ret_sample, entry->name, entry->number);
        }
    }
    for (unsigned i = 0; i < ret_sample->workers_count; i++) {
        add_worker(&ret_sample->sum, &ret_sample->workers[i]);
    }
}

/* ---- rates ---- */

/* A counter that has shrunk, which cannot be, counts nothing. */
static double grown(uint64_t earlier, uint64_t later)
{
    return later > earlier ? (double)(later - earlier) : 0;
}

static struct regctl_worker_rates rates_of(const struct regctl_worker_sample *earlier,
                                           const struct regctl_worker_sample *later, double seconds)
{
    double requests = grown(earlier->requests, later->requests);
    double batches = grown(earlier->batches, later->batches);
    return (struct regctl_worker_rates){
        .lookups_per_s = grown(earlier->keys, later->keys) / seconds,
        .requests_per_s = requests / seconds,
        .requests_per_batch = batches > 0 ? requests / batches : 0,
        .received_per_s = grown(earlier->received, later->received) / seconds,
        .sent_per_s = grown(earlier->sent, later->sent) / seconds,
        .blocked_per_s = grown(earlier->blocked, later->blocked) / seconds,
    };
}

bool rf_regctl_rates(const struct regctl_sample *earlier, const struct regctl_sample *later,
                     struct regctl_rates *ret_rates)
{
    if (later->taken_ns <= earlier->taken_ns || strcmp(earlier->instance, later->instance) != 0) {
        return false;
    }
    double seconds = (double)(later->taken_ns - earlier->taken_ns) / 1e9;
    struct rf_octaves latency = later->latency;
    rf_octaves_subtract(&latency, &earlier->latency);
    *ret_rates = (struct regctl_rates){
        .seconds = seconds,
        .changes = later->version > earlier->version ? later->version - earlier->version : 0,
        .requests_measured = rf_octaves_total(&latency),
        .p50_ns = rf_octaves_quantile_ns(&latency, 500000),
        .p99_ns = rf_octaves_quantile_ns(&latency, 990000),
        .p999_ns = rf_octaves_quantile_ns(&latency, 999000),
        .sum = rates_of(&earlier->sum, &later->sum, seconds),
    };
    for (unsigned i = 0; i < later->workers_count; i++) {
        ret_rates->workers[i] = rates_of(&earlier->workers[i], &later->workers[i], seconds);
    }
    return true;
}
