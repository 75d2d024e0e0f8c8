/* SPDX-License-Identifier: MIT
 *
 * settings.h - every timer and number of the gossip that may be set: one table from which the
 * profiles, the ranges, the programs' options with their --help, and the fields of struct
 * rf_gossip_config come. The manual is held to it by a test.
 *
 * Pure. The values of the profiles are memberlist's DefaultLANConfig, DefaultWANConfig and
 * DefaultLocalConfig, and serf's DefaultConfig; late_bound is ours: half the time
 * that an ack may take; less needs no care, since what waits in the sockets is read first.
 */
#ifndef RF_GOSSIP_SETTINGS_H
#define RF_GOSSIP_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* memberlist's timing presets. */
enum rf_gossip_profile {
    RF_GOSSIP_LAN,   /* one site */
    RF_GOSSIP_WAN,   /* across sites: slower, more patient */
    RF_GOSSIP_LOCAL, /* one machine: faster */
};
enum { RF_GOSSIP_PROFILES_COUNT = RF_GOSSIP_LOCAL + 1 };

/*
 * kind, name, option, lan, wan, local, least, most, meaning.
 *
 * NS rows are fields name_ns of the machine's configuration, and options in milliseconds, as are
 * all numbers here. NUMBER rows are fields `name`, and what they say. A value may be up to `most`,
 * which keeps sums of times far from 64 bits.
 */
#define RF_SWIM_SETTINGS(X)                                                                        \
    X(NS, probe_interval, "probe-interval-ms", 1000, 5000, 1000, 10, 3600000,                      \
      "How often one of the other members is probed. Above -probe-timeout-ms.")                    \
    X(NS, probe_timeout, "probe-timeout-ms", 500, 3000, 200, 1, 3600000,                           \
      "How long the answer to a probe may take before other members are asked to probe too. "      \
      "Well above a round trip.")                                                                  \
    X(NS, gossip_interval, "gossip-interval-ms", 200, 500, 100, 10, 60000,                         \
      "How often news is passed on.")                                                              \
    X(NUMBER, gossip_nodes, "gossip-nodes", 3, 4, 3, 1, 32,                                        \
      "To how many members news is passed on each time.")                                          \
    X(NS, gossip_to_the_dead, "gossip-to-the-dead-ms", 30000, 60000, 15000, 1, 86400000,           \
      "How long a dead member is still told the news, so that it can object; then its state is "   \
      "forgotten.")                                                                                \
    X(NS, push_pull_interval, "push-pull-interval-ms", 30000, 60000, 15000, 100, 86400000,         \
      "How often the whole state is exchanged with one member, by TCP; rarer from 33 members on.") \
    X(NUMBER, indirect_checks, "indirect-checks", 3, 3, 1, 0, 32,                                  \
      "How many members are asked to probe one that has not answered.")                            \
    X(NUMBER, retransmit_mult, "retransmit-mult", 4, 4, 2, 1, 1000,                                \
      "How often a piece of news is passed on, times the decimal logarithm of the cluster's "      \
      "size.")                                                                                     \
    X(NUMBER, suspicion_mult, "suspicion-mult", 4, 6, 3, 1, 1000,                                  \
      "How many probe intervals a suspected member has to object at least, times the decimal "     \
      "logarithm of the cluster's size.")                                                          \
    X(NUMBER, suspicion_max_timeout_mult, "suspicion-max-timeout-mult", 6, 6, 6, 1, 1000,          \
      "How many times longer it has as long as nobody else suspects it.")                          \
    X(NUMBER, awareness_max, "awareness-max-mult", 8, 8, 8, 1, 1000,                               \
      "By how much at most probing slows down when this node itself seems to be slow.")            \
    X(NS, tcp_timeout, "tcp-timeout-ms", 10000, 30000, 1000, 10, 3600000,                          \
      "How long one exchange by TCP may take.")                                                    \
    X(NS, late_bound, "late-bound-ms", 250, 1500, 100, 0, 3600000,                                 \
      "From how late a timer on this node takes itself for stopped, and nobody for dead until "    \
      "all have had their time again; 0: never.")                                                  \
    X(NS, dead_node_reclaim, "dead-node-reclaim-ms", 0, 0, 0, 0, 604800000,                        \
      "How long a member must have been dead before a node with its name and another address "     \
      "may take its place; 0: -gossip-to-the-dead-ms, which is the most.")

#define RF_SERF_SETTINGS(X)                                                                  \
    X(NS, reap_interval, "reap-interval-ms", 15000, 15000, 15000, 10, 86400000,              \
      "How often is looked for members to forget.")                                          \
    X(NS, reconnect_interval, "reconnect-interval-ms", 30000, 30000, 30000, 10, 86400000,    \
      "How often a failed member is called.")                                                \
    X(NS, reconnect_timeout, "reconnect-timeout-ms", 86400000, 86400000, 86400000, 10,       \
      31536000000, "When a failed member is forgotten. Not below -reconnect-interval-ms.")   \
    X(NS, tombstone_timeout, "tombstone-timeout-ms", 86400000, 86400000, 86400000, 10,       \
      31536000000, "When a member that left is forgotten.")                                  \
    X(NS, recent_intent, "recent-intent-timeout-ms", 300000, 300000, 300000, 1000, 86400000, \
      "How long it is remembered that a node that is no member yet has left or joined.")     \
    X(NS, broadcast_timeout, "broadcast-timeout-ms", 5000, 5000, 5000, 10, 60000,            \
      "How long at most is waited, twice, for the news to spread that this node leaves.")    \
    X(NS, leave_propagate, "leave-propagate-ms", 1000, 1000, 1000, 0, 60000,                 \
      "How long this node still answers after that.")

#define RF_GOSSIP_SETTINGS(X) RF_SWIM_SETTINGS(X) RF_SERF_SETTINGS(X)

/* RF_SETTING_probe_interval and so on. */
enum rf_gossip_setting {
#define RF_SETTING_ID(kind, name, option, lan, wan, local, least, most, meaning) RF_SETTING_##name,
    RF_GOSSIP_SETTINGS(RF_SETTING_ID)
#undef RF_SETTING_ID
        RF_GOSSIP_SETTINGS_COUNT
};

struct rf_gossip_setting_info {
    const char *option; /* "probe-interval-ms": its unit is in its name */
    const char *meaning;
    uint64_t defaults[RF_GOSSIP_PROFILES_COUNT];
    uint64_t least; /* of what is allowed, both inclusive */
    uint64_t most;
};

/* By enum rf_gossip_setting. Static. */
extern const struct rf_gossip_setting_info rf_gossip_settings_info[RF_GOSSIP_SETTINGS_COUNT];

/* What differs from the profile; zeroed: nothing. */
struct rf_gossip_settings {
    uint64_t values[RF_GOSSIP_SETTINGS_COUNT];
    bool is_set[RF_GOSSIP_SETTINGS_COUNT];
};

static inline void rf_gossip_set(struct rf_gossip_settings *settings,
                                 enum rf_gossip_setting setting, uint64_t value)
{
    settings->values[setting] = value;
    settings->is_set[setting] = true;
}

/* "lan", "wan", "local"; the names end with NULL. Errors: -EINVAL, the text says what is allowed.
 */
extern const char *const rf_gossip_profile_names[RF_GOSSIP_PROFILES_COUNT + 1];
RF_NODISCARD int rf_gossip_profile_parse(const char *name, enum rf_gossip_profile *ret_profile,
                                         struct rf_error *err);

struct rf_serf_config;

/*
 * Fills in `config` what the table has: the profile's values, and those that are set in their
 * place.
 * Errors: -EINVAL a value out of its range, or two that do not go together; the text names options.
 */
RF_NODISCARD int rf_gossip_settings_apply(const struct rf_gossip_settings *settings,
                                          enum rf_gossip_profile profile,
                                          struct rf_serf_config *config, struct rf_error *err);

/* Whether they could be applied. Errors: likewise. */
RF_NODISCARD int rf_gossip_settings_check(const struct rf_gossip_settings *settings,
                                          enum rf_gossip_profile profile, struct rf_error *err);

/* How long a graceful leave takes at most, in ms: what to give rf_gossip_leave. */
uint32_t rf_gossip_settings_leave_ms(const struct rf_gossip_settings *settings,
                                     enum rf_gossip_profile profile);

/* ---- what the machines' configurations are made of ---- */

/* A number of the table in the unit of the field, and the field's name. */
#define RF_SETTING_UNIT_NS UINT64_C(1000000)
#define RF_SETTING_UNIT_NUMBER UINT64_C(1)
#define RF_SETTING_FIELD_NS(name) name##_ns
#define RF_SETTING_FIELD_NUMBER(name) name

/* As an initializer, for a profile of a struct that has the fields: RF_SWIM_SETTINGS(...). */
#define RF_SETTING_LAN(kind, name, option, lan, wan, local, least, most, meaning) \
    .RF_SETTING_FIELD_##kind(name) = (lan)*RF_SETTING_UNIT_##kind,
#define RF_SETTING_WAN(kind, name, option, lan, wan, local, least, most, meaning) \
    .RF_SETTING_FIELD_##kind(name) = (wan)*RF_SETTING_UNIT_##kind,
#define RF_SETTING_LOCAL(kind, name, option, lan, wan, local, least, most, meaning) \
    .RF_SETTING_FIELD_##kind(name) = (local)*RF_SETTING_UNIT_##kind,

/* As a struct rf_setting_range of `config`. */
#define RF_SETTING_RANGE(kind, name, option, lan, wan, local, least, most, meaning)     \
    {"-" option, config->RF_SETTING_FIELD_##kind(name), (least)*RF_SETTING_UNIT_##kind, \
     (most)*RF_SETTING_UNIT_##kind, RF_SETTING_UNIT_##kind},

struct rf_setting_range {
    const char *option;
    uint64_t value; /* in the units of the field, as the following two */
    uint64_t least;
    uint64_t most;
    uint64_t unit; /* of the option */
};

/* Errors: -EINVAL "-probe-timeout-ms 0: allowed 1..3600000". */
RF_NODISCARD int rf_settings_check(const struct rf_setting_range *ranges, size_t count,
                                   struct rf_error *err);

/* What stands for the value of the row's option. */
#define RF_SETTING_VALUE_NS "MS"
#define RF_SETTING_VALUE_NUMBER "N"

/* The row's text in --help: what it is, and what it is without being given. */
#define RF_SETTING_HELP(lan, wan, local, meaning) \
    meaning " Without it, by -profile: lan " #lan ", wan " #wan ", local " #local "."

#endif
