/* SPDX-License-Identifier: MIT */
#include "net/spin.h"

#include "net/server.h"

void rf_spin_init(struct rf_spin *spin, uint32_t busy_poll_us)
{
    spin->is_adaptive = busy_poll_us == RF_BUSY_POLL_ADAPTIVE;
    spin->limit_ns = spin->is_adaptive ? RF_SPIN_ADAPTIVE_NS : (uint64_t)busy_poll_us * 1000;
    spin->gap_ns = spin->is_adaptive ? RF_SPIN_GAP_NS_MAX : 0;
}

void rf_spin_waited(struct rf_spin *spin, uint64_t gap_ns)
{
    if (spin->is_adaptive) {
        gap_ns = gap_ns < RF_SPIN_GAP_NS_MAX ? gap_ns : RF_SPIN_GAP_NS_MAX;
        spin->gap_ns = (spin->gap_ns * (RF_SPIN_WEIGHT - 1) + gap_ns) / RF_SPIN_WEIGHT;
    }
}
