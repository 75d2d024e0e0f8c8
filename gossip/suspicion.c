/* SPDX-License-Identifier: MIT
 */
#include "gossip/suspicion.h"

#include <math.h>

#include "core/assert.h"

enum { NS_PER_MS = 1000000 };

struct rf_suspicion_params rf_suspicion_params(uint32_t suspicion_mult, uint32_t max_timeout_mult,
                                               uint64_t probe_interval_ns, size_t n)
{
    struct rf_suspicion_params params = {0};
    uint32_t k = suspicion_mult < 2 ? 0 : suspicion_mult - 2;
    if (n < 2 || n - 2 < k) {
        k = 0;
    }
    params.k = k < RF_SUSPICION_CONFIRMATIONS_MAX ? k : RF_SUSPICION_CONFIRMATIONS_MAX;
    double scale = fmax(1.0, log10(fmax(1.0, (double)n)));
    uint64_t scale_milli = (uint64_t)(scale * 1000); /* truncated to 3 decimals */
    params.min_ns = suspicion_mult * scale_milli * (probe_interval_ns / 1000);
    params.max_ns = max_timeout_mult * params.min_ns;
    return params;
}

uint64_t rf_suspicion_timeout_ns(const struct rf_suspicion_params *params, uint32_t confirmations)
{
    if (params->k < 1) {
        return params->min_ns;
    }
    double part = log((double)confirmations + 1) / log((double)params->k + 1);
    double timeout = (double)params->max_ns - part * (double)(params->max_ns - params->min_ns);
    uint64_t timeout_ns = timeout <= 0 ? 0 : (uint64_t)(timeout / NS_PER_MS) * NS_PER_MS;
    return timeout_ns > params->min_ns ? timeout_ns : params->min_ns;
}

void rf_suspicion_start(struct rf_suspicion *suspicion, const struct rf_suspicion_params *params,
                        uint64_t now_ns, uint64_t accuser_hash)
{
    RF_ASSERT(params->k <= RF_SUSPICION_CONFIRMATIONS_MAX);
    *suspicion = (struct rf_suspicion){.params = *params, .start_ns = now_ns};
    suspicion->deadline_ns = now_ns + (params->k < 1 ? params->min_ns : params->max_ns);
    suspicion->accusers[0] = accuser_hash;
}

static void set_deadline(struct rf_suspicion *suspicion, uint64_t deadline_ns)
{
    suspicion->deadline_ns = deadline_ns > suspicion->floor_ns ? deadline_ns : suspicion->floor_ns;
}

bool rf_suspicion_has_accuser(const struct rf_suspicion *suspicion, uint64_t accuser_hash)
{
    for (uint32_t i = 0; i <= suspicion->confirmations; i++) {
        if (suspicion->accusers[i] == accuser_hash) {
            return true;
        }
    }
    return false;
}

bool rf_suspicion_confirm(struct rf_suspicion *suspicion, uint64_t accuser_hash)
{
    if (suspicion->confirmations >= suspicion->params.k) {
        return false;
    }
    if (rf_suspicion_has_accuser(suspicion, accuser_hash)) {
        return false;
    }
    suspicion->confirmations++;
    suspicion->accusers[suspicion->confirmations] = accuser_hash;
    set_deadline(suspicion,
                 suspicion->start_ns +
                     rf_suspicion_timeout_ns(&suspicion->params, suspicion->confirmations));
    return true;
}

void rf_suspicion_shift(struct rf_suspicion *suspicion, uint64_t late_ns, uint64_t floor_ns)
{
    suspicion->floor_ns = suspicion->floor_ns == 0 ? floor_ns : suspicion->floor_ns + late_ns;
    suspicion->start_ns += late_ns;
    set_deadline(suspicion, suspicion->deadline_ns + late_ns);
}
