/* SPDX-License-Identifier: MIT */
#include "gossip/settings.h"

#include <errno.h>
#include <string.h>

#include "core/text.h"
#include "gossip/serf_private.h"
#include "gossip/swim_private.h"

#define INFO(kind, name, option, lan, wan, local, least, most, meaning) \
    {option, meaning, {lan, wan, local}, least, most},
const struct rf_gossip_setting_info rf_gossip_settings_info[RF_GOSSIP_SETTINGS_COUNT] = {
    RF_GOSSIP_SETTINGS(INFO)};
#undef INFO

const char *const rf_gossip_profile_names[] = {
    [RF_GOSSIP_LAN] = "lan", [RF_GOSSIP_WAN] = "wan", [RF_GOSSIP_LOCAL] = "local", NULL};

int rf_gossip_profile_parse(const char *name, enum rf_gossip_profile *ret_profile,
                            struct rf_error *err)
{
    char quoted[RF_QUOTE_SIZE];
    for (int i = 0; i < RF_GOSSIP_PROFILES_COUNT; i++) {
        if (strcmp(name, rf_gossip_profile_names[i]) == 0) {
            *ret_profile = (enum rf_gossip_profile)i;
            return 0;
        }
    }
    return rf_error_set(err, -EINVAL, "profile %s: allowed are lan, wan and local",
                        rf_text_quote(name, quoted));
}

int rf_settings_check(const struct rf_setting_range *ranges, size_t count, struct rf_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct rf_setting_range *range = &ranges[i];
        if (range->value < range->least || range->value > range->most) {
            return rf_error_set(err, -EINVAL, "%s %llu: allowed %llu..%llu", range->option,
                                (unsigned long long)(range->value / range->unit),
                                (unsigned long long)(range->least / range->unit),
                                (unsigned long long)(range->most / range->unit));
        }
    }
    return 0;
}

static int check_values(const struct rf_gossip_settings *settings, struct rf_error *err)
{
    for (size_t i = 0; i < RF_GOSSIP_SETTINGS_COUNT; i++) {
        const struct rf_gossip_setting_info *info = &rf_gossip_settings_info[i];
        const uint64_t value = settings->values[i];
        if (settings->is_set[i] && (value < info->least || value > info->most)) {
            return rf_error_set(err, -EINVAL, "-%s %llu: allowed %llu..%llu", info->option,
                                (unsigned long long)value, (unsigned long long)info->least,
                                (unsigned long long)info->most);
        }
    }
    return 0;
}

static uint64_t value_of(const struct rf_gossip_settings *settings, enum rf_gossip_profile profile,
                         enum rf_gossip_setting setting)
{
    return settings->is_set[setting] ? settings->values[setting]
                                     : rf_gossip_settings_info[setting].defaults[profile];
}

int rf_gossip_settings_apply(const struct rf_gossip_settings *settings,
                             enum rf_gossip_profile profile, struct rf_serf_config *config,
                             struct rf_error *err)
{
    int code = check_values(settings, err);
    if (code < 0) {
        return code;
    }
    struct rf_serf_config applied = *config;
    /* The ranges keep the products within 64 bits, and the numbers within 32. */
#define SWIM_FIELD(kind, name, ...)              \
    applied.swim.RF_SETTING_FIELD_##kind(name) = \
        value_of(settings, profile, RF_SETTING_##name) * RF_SETTING_UNIT_##kind;
#define SERF_FIELD(kind, name, ...)         \
    applied.RF_SETTING_FIELD_##kind(name) = \
        value_of(settings, profile, RF_SETTING_##name) * RF_SETTING_UNIT_##kind;
    RF_SWIM_SETTINGS(SWIM_FIELD)
    RF_SERF_SETTINGS(SERF_FIELD)
#undef SWIM_FIELD
#undef SERF_FIELD
    code = rf_swim_check_settings(&applied.swim, err);
    if (code == 0) {
        code = rf_serf_check_settings(&applied, err);
    }
    if (code == 0) {
        *config = applied;
    }
    return code;
}

int rf_gossip_settings_check(const struct rf_gossip_settings *settings,
                             enum rf_gossip_profile profile, struct rf_error *err)
{
    struct rf_serf_config config = {0};
    return rf_gossip_settings_apply(settings, profile, &config, err);
}

/* Two announcements, each with its time to spread, the last word, and a second for all the rest. */
uint32_t rf_gossip_settings_leave_ms(const struct rf_gossip_settings *settings,
                                     enum rf_gossip_profile profile)
{
    return (uint32_t)(2 * value_of(settings, profile, RF_SETTING_broadcast_timeout) +
                      value_of(settings, profile, RF_SETTING_leave_propagate) + 1000);
}
