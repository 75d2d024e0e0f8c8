/* SPDX-License-Identifier: MIT */
#include "core/server_counters.h"

RF_COUNTERS_INFO(rf_server_counters_info, RF_SERVER_COUNTERS);
