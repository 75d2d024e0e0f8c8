/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/client.h"
#include "client/regfast.h"
#include "core/address.h"
#include "core/entries.h"
#include "core/error.h"
#include "core/member.h"
#include "gossip/gossip.h"
#include "gossip/keyring.h"
#include "gossip/swim.h"

enum {
    REGISTRIES_TEXT_MAX = 16 * 1024, /* RF_GOSSIP_SEEDS_MAX names of full length */
    WAIT_STEP_MS = 10,               /* how late a wait may notice the join */
    NAME_SIZE = RF_NAME_SIZE_MAX + 1,
    REPLICAS_SIZE = 16,
    TAGS_COUNT = 3,
};

/* A registry, or another service, may be on this machine: take a port that is free. */
#define BIND_DEFAULT ":0"
#define NS_PER_MS UINT64_C(1000000)

struct regfast_registration {
    struct rf_gossip *gossip; /* NULL once it has left */
    char addr[NAME_SIZE];
    char group[NAME_SIZE];
    /* What is announced: names and values of those above, and the weight. */
    char replicas[REPLICAS_SIZE];
    struct rf_gossip_tag tags[TAGS_COUNT];
};

/* What clients are given: verbatim, but nobody can connect to an empty host. */
static int addr_set(const char *addr, char *ret_addr, struct rf_error *err)
{
    struct rf_host_port host_port;
    int code = addr == NULL ? rf_error_set(err, -EINVAL, "no addr: expected HOST:PORT")
                            : rf_host_port_parse(addr, 0, &host_port, err);
    if (code < 0) {
        return rf_error_prefix(err, code, "addr");
    }
    if (rf_host_is_any(host_port.host)) {
        struct rf_address address;
        rf_address_first_private(&address);
        address.port = host_port.port;
        (void)rf_address_format(&address, ret_addr);
        return 0;
    }
    if (strlen(addr) > RF_NAME_SIZE_MAX) {
        return rf_error_set(err, -EINVAL, "addr of %zu bytes, allowed 1..%d", strlen(addr),
                            RF_NAME_SIZE_MAX);
    }
    strcpy(ret_addr, addr);
    return 0;
}

static int check_replicas(uint32_t replicas, uint32_t min, struct rf_error *err)
{
    if (replicas < min || replicas > RF_REPLICAS_MAX) {
        return rf_error_set(err, -EINVAL, "replicas %u, allowed %u..%d", replicas, min,
                            RF_REPLICAS_MAX);
    }
    return 0;
}

static int check_id(const char *id, struct rf_error *err)
{
    if (id == NULL) {
        return rf_error_set(err, -EINVAL, "no id: it is required");
    }
    int code = rf_swim_name_check(id, err);
    return code < 0 ? rf_error_prefix(err, code, "id") : 0;
}

/* The tags of a member of `group`. What registries would not take must not go out: nobody would
 * tell the caller why. */
static int tags_set(struct regfast_registration *registration, const char *id, const char *group,
                    uint32_t replicas, struct rf_error *err)
{
    struct rf_member member;
    if (group == NULL) {
        return rf_error_set(err, -EINVAL, "no group: it is required");
    }
    snprintf(registration->replicas, sizeof(registration->replicas), "%u", replicas);
    int code = rf_member_from_tags(id, group, registration->addr, registration->replicas,
                                   RF_MEMBER_ALIVE, &member, NULL, err);
    if (code < 0) {
        return code;
    }
    strcpy(registration->group, group);
    registration->tags[0] = (struct rf_gossip_tag){"addr", registration->addr};
    registration->tags[1] = (struct rf_gossip_tag){"group", registration->group};
    registration->tags[2] = (struct rf_gossip_tag){"replicas", registration->replicas};
    return 0;
}

static int start(struct regfast_registration *registration,
                 const struct regfast_register_options *options, char *registries,
                 struct rf_error *err)
{
    const char *seeds[RF_GOSSIP_SEEDS_MAX];
    const uint32_t replicas =
        options->replicas == 0 ? (uint32_t)RF_REPLICAS_DEFAULT : options->replicas;
    int seeds_count = rf_entries_split(registries, RF_GOSSIP_SEEDS_MAX, seeds, err);
    if (seeds_count < 0) {
        return rf_error_prefix(err, seeds_count, "registries: expected HOST:PORT,...");
    }
    int code = check_id(options->id, err);
    if (code == 0) {
        code = addr_set(options->addr, registration->addr, err);
    }
    if (code == 0) {
        code = check_replicas(replicas, 1, err);
    }
    if (code == 0) {
        code = tags_set(registration, options->id, options->group, replicas, err);
    }
    if (code < 0) {
        return code;
    }
    uint8_t key_bytes[RF_KEY_SIZE_MAX];
    struct rf_gossip_key key = {.bytes = key_bytes};
    if (options->encrypt != NULL) {
        code = rf_key_parse(options->encrypt, strlen(options->encrypt), key_bytes, err);
        if (code < 0) {
            return rf_error_prefix(err, code, "encrypt");
        }
        key.size = (size_t)code;
    }
    enum rf_gossip_profile profile = RF_GOSSIP_LAN;
    if (options->profile != NULL) {
        code = rf_gossip_profile_parse(options->profile, &profile, err);
        if (code < 0) {
            return code;
        }
    }
    struct rf_gossip_config config = {
        .profile = profile,
        .keys = &key,
        .keys_count = options->encrypt != NULL ? 1 : 0,
        .keyring_file = options->keyring_file,
        .label = options->label,
        .name = options->id,
        .bind = options->bind == NULL ? BIND_DEFAULT : options->bind,
        .advertise = options->bind_advertise,
        .tags = registration->tags,
        .tags_count = TAGS_COUNT,
        .seeds = seeds,
        .seeds_count = (size_t)seeds_count,
    };
    return rf_gossip_start(&config, &registration->gossip, err);
}

int regfast_register(const struct regfast_register_options *options,
                     struct regfast_registration **ret_registration, char *errbuf,
                     size_t errbuf_size)
{
    struct rf_error err = {0};
    struct regfast_register_options known = {0};
    struct regfast_registration *registration = NULL;
    char *registries = NULL;
    int code = 0;
    if (ret_registration == NULL) {
        code = rf_error_set(&err, -EINVAL, "the place for the registration is NULL");
    } else if (options == NULL) {
        code = rf_error_set(&err, -EINVAL, "the options are NULL");
    } else {
        code = rf_client_read_options(&known, sizeof(known), 0, options, options->size, &err);
    }
    if (code < 0) {
        return rf_client_report(code, &err, errbuf, errbuf_size);
    }
    if (known.registries == NULL || known.registries[0] == '\0' ||
        strlen(known.registries) > REGISTRIES_TEXT_MAX) {
        code = rf_error_set(&err, -EINVAL, "registries: expected HOST:PORT,... of 1..%d bytes",
                            REGISTRIES_TEXT_MAX);
        return rf_client_report(code, &err, errbuf, errbuf_size);
    }
    registration = calloc(1, sizeof(*registration));
    registries = strdup(known.registries);
    code = registration == NULL || registries == NULL
               ? rf_error_set(&err, -ENOMEM, "no memory for a registration")
               : start(registration, &known, registries, &err);
    free(registries);
    if (code < 0) {
        free(registration);
        return rf_client_report(code, &err, errbuf, errbuf_size);
    }
    *ret_registration = registration;
    return 0;
}

const char *regfast_registration_addr(const struct regfast_registration *registration)
{
    return registration != NULL ? registration->addr : "";
}

/* 0: joined; negative: not, and `err` says why. */
static int look(struct regfast_registration *registration, struct rf_error *err)
{
    if (registration == NULL) {
        return rf_error_set(err, -EINVAL, "the registration is NULL");
    }
    if (registration->gossip == NULL) {
        return rf_error_set(err, -ESHUTDOWN, "the registration has left");
    }
    struct rf_gossip_status status;
    int code = rf_gossip_get_status(registration->gossip, &status);
    if (code < 0) {
        return rf_error_set(err, code, "the gossip thread does not answer: %s", rf_strerror(code));
    }
    if (status.name_lost) {
        return rf_error_set(err, -EEXIST,
                            "the cluster gives this id to another node: register with another id");
    }
    if (status.alive_count > 1) {
        return 0;
    }
    return rf_error_set(err, -ETIMEDOUT, "not joined yet%s%s",
                        status.join_error[0] != '\0' ? ": " : "", status.join_error);
}

int regfast_registration_wait(struct regfast_registration *registration, uint32_t timeout_ms,
                              char *errbuf, size_t errbuf_size)
{
    const uint64_t deadline_ns = rf_client_now_ns() + timeout_ms * NS_PER_MS;
    struct rf_error err = {0};
    int code;
    while ((code = look(registration, &err)) == -ETIMEDOUT && rf_client_now_ns() < deadline_ns) {
        const struct timespec step = {.tv_nsec = WAIT_STEP_MS * NS_PER_MS};
        (void)nanosleep(&step, NULL); /* cut short by a signal: looks again earlier */
    }
    return code < 0 ? rf_client_report(code, &err, errbuf, errbuf_size) : 0;
}

/* Changes the weight. Nothing is changed on failure, but that the thread may still do it when it
 * did not answer in time. */
static int announce(struct regfast_registration *registration, uint32_t replicas,
                    struct rf_error *err)
{
    int code = look(registration, err);
    if (code < 0 && code != -ETIMEDOUT) {
        return code;
    }
    char before[REPLICAS_SIZE];
    strcpy(before, registration->replicas);
    snprintf(registration->replicas, sizeof(registration->replicas), "%u", replicas);
    code = rf_gossip_set_tags(registration->gossip, registration->tags, TAGS_COUNT, err);
    if (code < 0) {
        strcpy(registration->replicas, before);
    }
    return code;
}

int regfast_set_replicas(struct regfast_registration *registration, uint32_t replicas, char *errbuf,
                         size_t errbuf_size)
{
    struct rf_error err = {0};
    int code = check_replicas(replicas, 0, &err);
    if (code == 0) {
        code = announce(registration, replicas, &err);
    }
    return rf_client_report(code, &err, errbuf, errbuf_size);
}

int regfast_leave(struct regfast_registration *registration, uint32_t timeout_ms)
{
    if (registration == NULL) {
        return -EINVAL;
    }
    if (registration->gossip == NULL) {
        return 0;
    }
    struct rf_gossip_status status;
    bool is_alone =
        rf_gossip_get_status(registration->gossip, &status) == 0 && status.members_count == 1;
    int code = is_alone ? 0 : rf_gossip_leave(registration->gossip, timeout_ms);
    rf_gossip_free(registration->gossip);
    registration->gossip = NULL;
    return code;
}

int regfast_drain(struct regfast_registration *registration, uint32_t drain_ms,
                  uint32_t leave_timeout_ms)
{
    if (registration == NULL) {
        return -EINVAL;
    }
    if (registration->gossip == NULL) {
        return 0;
    }
    int code = announce(registration, 0, NULL);
    const uint64_t end_ns = rf_client_now_ns() + drain_ms * NS_PER_MS;
    const struct timespec end = {.tv_sec = (time_t)(end_ns / (1000 * NS_PER_MS)),
                                 .tv_nsec = (long)(end_ns % (1000 * NS_PER_MS))};
    while (code == 0 && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR) {
    }
    int leave_code = regfast_leave(registration, leave_timeout_ms);
    return code < 0 ? code : leave_code;
}

void regfast_registration_free(struct regfast_registration *registration)
{
    if (registration != NULL) {
        rf_gossip_free(registration->gossip);
        free(registration);
    }
}
