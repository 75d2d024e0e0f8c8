/* SPDX-License-Identifier: MIT */
#include "bench/workload.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/random.h"
#include "core/wire.h"

const char *rf_bench_protocol_name(enum rf_bench_protocol protocol)
{
    switch (protocol) {
    case RF_BENCH_REGISTRY:
        return "registry";
    case RF_BENCH_CEILING:
        return "ceiling";
    case RF_BENCH_REDIS:
        return "redis";
    case RF_BENCH_MEMCACHED:
        return "memcached";
    }
    return "unknown";
}

void rf_bench_key(uint32_t number, char ret_key[RF_BENCH_KEY_SIZE])
{
    char text[RF_BENCH_KEY_SIZE + 1];
    int size = snprintf(text, sizeof(text), "key:%012u", number);
    RF_ASSERT(size == RF_BENCH_KEY_SIZE);
    memcpy(ret_key, text, RF_BENCH_KEY_SIZE);
}

/* ---- distributions ---- */

void rf_bench_draw_uniform(uint32_t *draws, size_t draws_count, uint32_t keys_count, uint64_t seed)
{
    struct rf_random random = {seed};
    for (size_t done = 0; done < draws_count; done += keys_count) {
        size_t count = draws_count - done < keys_count ? draws_count - done : keys_count;
        /* Each number goes to a random place among those before it (Fisher and Yates, inside out);
         * what would go past the end of a last, cut order is left out. */
        for (uint32_t number = 0; number < keys_count; number++) {
            uint64_t place = rf_random_below(&random, number + 1);
            if (number < count && place != number) {
                draws[done + number] = draws[done + place];
            }
            if (place < count) {
                draws[done + place] = number;
            }
        }
    }
}

static uint32_t find_weight(const double *cumulated, uint32_t count, double value)
{
    uint32_t low = 0;
    uint32_t high = count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (cumulated[middle] > value) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

int rf_bench_draw_zipf(uint32_t *draws, size_t draws_count, uint32_t keys_count, double exponent,
                       uint64_t seed, struct rf_error *err)
{
    double *cumulated = malloc(keys_count * sizeof(*cumulated));
    if (cumulated == NULL) {
        return rf_error_set(err, -ENOMEM, "weights of %u keys: out of memory", keys_count);
    }
    double sum = 0;
    for (uint32_t i = 0; i < keys_count; i++) {
        sum += pow((double)i + 1, -exponent);
        cumulated[i] = sum;
    }
    struct rf_random random = {seed};
    for (size_t i = 0; i < draws_count; i++) {
        double fraction = (double)(rf_random_next(&random) >> 11) * 0x1p-53; /* 0 <= it < 1 */
        draws[i] = find_weight(cumulated, keys_count, fraction * sum);
    }
    free(cumulated);
    return 0;
}

/* ---- requests ---- */

static size_t encode_text(uint8_t *out, size_t out_size, const char *before, uint32_t number,
                          const char *after)
{
    char key[RF_BENCH_KEY_SIZE];
    rf_bench_key(number, key);
    int size = snprintf((char *)out, out_size, "%s%.*s%s", before, RF_BENCH_KEY_SIZE, key, after);
    return size > 0 && (size_t)size < out_size ? (size_t)size : 0;
}

static size_t encode_match(uint8_t *out, size_t out_size, uint32_t position, const char *group,
                           const uint32_t *draws, uint32_t keys_count)
{
    static const size_t key_size = RF_BENCH_KEY_SIZE;
    char texts[RF_WIRE_KEYS_MAX][RF_BENCH_KEY_SIZE];
    struct rf_wire_bytes keys[RF_WIRE_KEYS_MAX];
    struct rf_wire_bytes name = {group, strlen(group)};
    for (uint32_t i = 0; i < keys_count; i++) {
        rf_bench_key(draws[i], texts[i]);
        keys[i] = (struct rf_wire_bytes){texts[i], key_size};
    }
    return keys_count == 1
               ? rf_wire_match_request_encode(out, out_size, position, name, keys[0])
               : rf_wire_match_many_request_encode(out, out_size, position, name, keys, keys_count);
}

static size_t encode(const struct rf_bench_workload_config *config, uint8_t *out, size_t out_size,
                     uint32_t position, const uint32_t *draws)
{
    switch (config->protocol) {
    case RF_BENCH_REGISTRY:
    case RF_BENCH_CEILING:
        return encode_match(out, out_size, position, config->group, draws,
                            config->keys_per_request);
    case RF_BENCH_REDIS:
        return encode_text(out, out_size, "*2\r\n$3\r\nGET\r\n$16\r\n", draws[0], "\r\n");
    case RF_BENCH_MEMCACHED:
        return encode_text(out, out_size, "mg ", draws[0], " v\r\n");
    }
    return 0;
}

static int check(const struct rf_bench_workload_config *config, struct rf_error *err)
{
    if (config->keys_count < 1 || config->keys_count > RF_BENCH_KEYS_MAX) {
        return rf_error_set(err, -EINVAL, "%u keys, allowed 1..%d", config->keys_count,
                            RF_BENCH_KEYS_MAX);
    }
    bool is_text = config->protocol == RF_BENCH_REDIS || config->protocol == RF_BENCH_MEMCACHED;
    uint32_t per_request_max = is_text ? 1 : RF_WIRE_KEYS_MAX;
    if (config->keys_per_request < 1 || config->keys_per_request > per_request_max) {
        return rf_error_set(err, -EINVAL, "%u keys a request, allowed 1..%u for %s",
                            config->keys_per_request, per_request_max,
                            rf_bench_protocol_name(config->protocol));
    }
    if (!is_text && (config->group[0] == '\0' || strlen(config->group) > RF_NAME_SIZE_MAX)) {
        return rf_error_set(err, -EINVAL, "group '%.20s': %zu bytes, allowed 1..%d", config->group,
                            strlen(config->group), RF_NAME_SIZE_MAX);
    }
    return 0;
}

static int draw(struct rf_bench_workload *workload, struct rf_error *err)
{
    const struct rf_bench_workload_config *config = &workload->config;
    size_t draws_count = (size_t)workload->requests_count * config->keys_per_request;
    if (config->zipf_exponent > 0) {
        return rf_bench_draw_zipf(workload->draws, draws_count, config->keys_count,
                                  config->zipf_exponent, config->seed, err);
    }
    rf_bench_draw_uniform(workload->draws, draws_count, config->keys_count, config->seed);
    return 0;
}

int rf_bench_workload_init(struct rf_bench_workload *workload,
                           const struct rf_bench_workload_config *config, struct rf_error *err)
{
    *workload = (struct rf_bench_workload){.config = *config};
    int code = check(config, err);
    if (code < 0) {
        return code;
    }
    uint32_t per_request = config->keys_per_request;
    uint32_t draws_min =
        config->zipf_exponent > 0 ? RF_BENCH_ZIPF_DRAWS_MIN : RF_BENCH_UNIFORM_DRAWS_MIN;
    uint32_t draws_count = config->keys_count > draws_min ? config->keys_count : draws_min;
    workload->requests_count = (draws_count + per_request - 1) / per_request;
    static const uint32_t zeros[RF_WIRE_KEYS_MAX];
    uint8_t probe[RF_WIRE_REQUEST_SIZE_MAX];
    workload->request_size = (uint32_t)encode(config, probe, sizeof(probe), 0, zeros);
    if (workload->request_size == 0) {
        return rf_error_set(err, -EINVAL, "%u keys do not fit a request of %d bytes", per_request,
                            RF_WIRE_REQUEST_SIZE_MAX);
    }
    size_t requests_size = (size_t)workload->requests_count * workload->request_size;
    workload->requests = malloc(requests_size + 1); /* encoders of text end with a NUL */
    workload->draws =
        malloc((size_t)workload->requests_count * per_request * sizeof(*workload->draws));
    if (workload->requests == NULL || workload->draws == NULL) {
        code = rf_error_set(err, -ENOMEM, "%u requests: out of memory", workload->requests_count);
    }
    if (code == 0) {
        code = draw(workload, err);
    }
    for (uint32_t i = 0; code == 0 && i < workload->requests_count; i++) {
        size_t offset = (size_t)i * workload->request_size;
        size_t size = encode(config, workload->requests + offset, requests_size + 1 - offset, i,
                             workload->draws + (size_t)i * per_request);
        RF_ASSERT(size == workload->request_size);
    }
    if (code < 0) {
        rf_bench_workload_fini(workload);
    }
    return code;
}

void rf_bench_workload_fini(struct rf_bench_workload *workload)
{
    free(workload->requests);
    free(workload->draws);
    workload->requests = NULL;
    workload->draws = NULL;
}
