/* SPDX-License-Identifier: MIT */
#include "gossip/driver.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/text.h"
#include "gossip/keyring_file.h"
#include "gossip/tags.h"

RF_COUNTERS_INFO(rf_gossip_counters_info, RF_GOSSIP_COUNTERS);

static_assert((int)RF_GOSSIP_META_SIZE_MAX == (int)RF_META_SIZE_MAX, "one limit, two layers");
static_assert((int)RF_GOSSIP_LABEL_SIZE_MAX == (int)RF_LABEL_SIZE_MAX, "one limit, two layers");
static_assert((int)RF_GOSSIP_OWN_NAME_SIZE_MAX == (int)RF_SWIM_OWN_NAME_SIZE_MAX, "likewise");
static_assert((int)RF_GOSSIP_KEYS_MAX == (int)RF_KEYS_MAX, "one limit, two layers");

/* ---- configuration ---- */

int rf_gossip_name_check(const char *name, struct rf_error *err)
{
    int code = rf_swim_name_check(name, err);
    return code < 0 ? rf_error_prefix(err, code, "gossip") : 0;
}

int rf_driver_tags_encode(const struct rf_gossip_tag *tags, size_t tags_count,
                          uint8_t meta[RF_META_SIZE_MAX], struct rf_error *err)
{
    /* A tag takes at least 3 bytes, so more cannot fit: bounds the array below. */
    struct rf_tag slices[RF_META_SIZE_MAX / 3] = {0};
    if (tags_count > sizeof(slices) / sizeof(slices[0])) {
        return rf_error_set(err, RF_ELIMIT, "gossip: %zu tags do not fit into the allowed %d bytes",
                            tags_count, RF_META_SIZE_MAX);
    }
    for (size_t i = 0; i < tags_count; i++) {
        char quoted[RF_QUOTE_SIZE];
        if (tags[i].name == NULL || tags[i].name[0] == '\0' || tags[i].value == NULL) {
            return rf_error_set(err, -EINVAL, "gossip: tag %zu has no name or no value", i + 1);
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(tags[i].name, tags[j].name) == 0) {
                return rf_error_set(err, -EINVAL, "gossip: tag %s is there twice",
                                    rf_text_quote(tags[i].name, quoted));
            }
        }
        slices[i] = (struct rf_tag){rf_slice_text(tags[i].name), rf_slice_text(tags[i].value)};
    }
    struct rf_packer packer = rf_packer(meta, RF_META_SIZE_MAX);
    int size = rf_tags_encode(slices, tags_count, &packer);
    if (size < 0) {
        size_t text_size = 0;
        for (size_t i = 0; i < tags_count; i++) {
            text_size += slices[i].name.size + slices[i].value.size;
        }
        return rf_error_set(err, RF_ELIMIT,
                            "gossip: tags: names and values of %zu bytes do not fit into the "
                            "allowed %d bytes, encoded",
                            text_size, RF_META_SIZE_MAX);
    }
    return size;
}

static int keys_set(struct rf_gossip *gossip, const struct rf_gossip_config *config,
                    struct rf_error *err)
{
    if (config->keyring_file != NULL && config->keys_count > 0) {
        return rf_error_set(err, -EINVAL,
                            "gossip: a key and a keyring file, expected one of them: the file has "
                            "all keys");
    }
    int code = config->keyring_file == NULL
                   ? rf_keyring_new(&gossip->keyring, err)
                   : rf_keyring_file_load(config->keyring_file, &gossip->keyring, err);
    if (code < 0) {
        return rf_error_prefix(err, code, "gossip");
    }
    for (size_t i = 0; code == 0 && i < config->keys_count; i++) {
        code = rf_keyring_add(gossip->keyring,
                              rf_slice(config->keys[i].bytes, config->keys[i].size), err);
        if (code < 0) {
            return rf_error_prefix(err, code, "gossip: key %zu", i + 1);
        }
    }
    rf_counter_set(&gossip->counters.keys, rf_keyring_count(gossip->keyring));
    size_t label_size = config->label == NULL ? 0 : strlen(config->label);
    if (label_size > RF_LABEL_SIZE_MAX) {
        return rf_error_set(err, -EINVAL, "gossip: label of %zu bytes, allowed 0..%d", label_size,
                            RF_LABEL_SIZE_MAX);
    }
    if (label_size > 0) {
        memcpy(gossip->label, config->label, label_size);
    }
    gossip->envelope = (struct rf_envelope){
        .keyring = gossip->keyring,
        .label = rf_slice(gossip->label, label_size),
    };
    return 0;
}

/* ---- addresses ---- */

static int sockets_open(struct rf_gossip *gossip, const struct rf_gossip_config *config,
                        struct rf_error *err)
{
    struct rf_host_port host_port;
    struct rf_address address;
    int code = config->bind == NULL
                   ? rf_error_set(err, -EINVAL, "gossip: no address to bind, expected HOST:PORT")
                   : rf_host_port_parse_bind(config->bind, RF_GOSSIP_PORT_DEFAULT, &host_port, err);
    if (code == 0) {
        code = rf_host_port_resolve(&host_port, &address, 1, err);
    }
    if (code < 0) {
        return rf_error_prefix(err, code, "gossip: bind");
    }
    code = rf_gossip_sockets_open(&address, &gossip->sockets, err);
    if (code == 0) {
        gossip->bound = gossip->sockets.bound;
        gossip->is_open = true;
    }
    return code;
}

/* What others are told: they take the bytes as they are, so an IPv4 address is in its short form.
 */
static int advertised_set(struct rf_gossip *gossip, const struct rf_gossip_config *config,
                          struct rf_error *err)
{
    struct rf_address address = gossip->bound;
    if (config->advertise != NULL && config->advertise[0] != '\0') {
        struct rf_host_port host_port;
        int code = rf_host_port_parse_bind(config->advertise, gossip->bound.port, &host_port, err);
        if (code == 0) {
            code = rf_host_port_resolve(&host_port, &address, 1, err);
        }
        if (code < 0) {
            return rf_error_prefix(err, code, "gossip: advertise");
        }
        if (address.port == 0) {
            address.port = gossip->bound.port;
        }
    }
    if (rf_address_is_wildcard(&address)) {
        char text[RF_ADDRESS_TEXT_SIZE];
        uint16_t port = address.port;
        rf_address_first_private(&address);
        address.port = port;
        rf_log(&gossip->log, RF_LOG_INFO,
               "advertise_chosen address=%s text=\"no host was given to advertise: this is the "
               "machine's first private address\"",
               rf_address_format(&address, text));
    }
    gossip->advertised = address;
    return 0;
}

/* ---- start and end ---- */

static enum rf_swim_profile profile_of(enum rf_gossip_profile profile)
{
    switch (profile) {
    case RF_GOSSIP_LAN:
        return RF_SWIM_LAN;
    case RF_GOSSIP_WAN:
        return RF_SWIM_WAN;
    case RF_GOSSIP_LOCAL:
        return RF_SWIM_LOCAL;
    }
    return RF_SWIM_LAN;
}

static uint64_t random_seed(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed)) {
        /* Early at boot: only timing and the choice of peers hang on it, no secrets. */
        seed = rf_driver_now_ns() ^ (uint64_t)getpid() << 32;
    }
    return seed;
}

/* So that nodes take turns to probe each other; a clock that is wrong, or set later, costs no more
 * than that. */
static uint64_t wall_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int machine_start(struct rf_gossip *gossip, const struct rf_gossip_config *config,
                         const uint8_t *meta, size_t meta_size, const struct rf_snapshot *restore,
                         struct rf_error *err)
{
    uint64_t now_ns = rf_driver_now_ns();
    struct rf_serf_config serf_config;
    rf_serf_config_init(&serf_config, profile_of(config->profile));
    int code = rf_gossip_settings_apply(&config->settings, config->profile, &serf_config, err);
    if (code < 0) {
        return rf_error_prefix(err, code, "gossip");
    }
    serf_config.swim.name = gossip->name;
    serf_config.swim.address = gossip->advertised;
    serf_config.swim.meta = meta;
    serf_config.swim.meta_size = meta_size;
    serf_config.swim.packet_overhead = rf_packet_overhead(&gossip->envelope);
    serf_config.swim.wall_ns = wall_ns();
    serf_config.is_encrypted = rf_keyring_count(gossip->keyring) > 0;
    serf_config.restore = restore;
    code = rf_serf_new(&serf_config, random_seed(), now_ns, &gossip->serf, err);
    if (code < 0) {
        return code;
    }
    rf_replay_init(&gossip->packets_replay, RF_REPLAY_PACKETS_MAX, random_seed());
    rf_replay_init(&gossip->streams_replay, RF_REPLAY_STREAMS_MAX, random_seed());
    struct rf_streams_config streams_config = {
        .epoll_fd = gossip->epoll_fd,
        .envelope = &gossip->envelope,
        .workspace = &gossip->workspace,
        .counters = &gossip->counters,
        .replay = &gossip->streams_replay,
        .timeout_ns = serf_config.swim.tcp_timeout_ns,
    };
    code = rf_streams_new(&streams_config, &gossip->streams, err);
    if (code == 0) {
        rf_joiner_begin(&gossip->joiner, now_ns, &gossip->advertised, &gossip->bound,
                        gossip->wake_fd, &gossip->log, &gossip->counters, gossip->serf,
                        random_seed());
    }
    return code;
}

/* The machine, with what it knew before if there is a folder that says so. */
static int machine_restore(struct rf_gossip *gossip, const struct rf_gossip_config *config,
                           const uint8_t *meta, size_t meta_size, struct rf_error *err)
{
    if (config->data_dir == NULL) {
        return machine_start(gossip, config, meta, meta_size, NULL, err);
    }
    struct rf_snapshot restore;
    int code = rf_snapshot_file_open(config->data_dir, &gossip->log, &gossip->counters,
                                     random_seed(), &restore, &gossip->snapshot.file, err);
    if (code < 0) {
        return rf_error_prefix(err, code, "gossip");
    }
    code = machine_start(gossip, config, meta, meta_size, &restore, err);
    rf_snapshot_fini(&restore);
    return code;
}

static int descriptors_open(struct rf_gossip *gossip, struct rf_error *err)
{
    gossip->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    gossip->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (gossip->epoll_fd < 0 || gossip->wake_fd < 0) {
        int code = -errno;
        return rf_error_set(err, code, "gossip: no descriptors: %s", rf_strerror(code));
    }
    return gossip->has_consumer ? rf_events_init(&gossip->events, err) : 0;
}

static int keyring_thread_start(struct rf_gossip *gossip, const struct rf_gossip_config *config,
                                struct rf_error *err)
{
    if (config->keyring_file == NULL) {
        return 0;
    }
    int code =
        rf_keyring_thread_new(config->keyring_file, gossip->wake_fd, &gossip->keyring_thread, err);
    return code < 0 ? rf_error_prefix(err, code, "gossip") : 0;
}

/* Signals are the program's business, so the thread takes none. */
static int thread_start(struct rf_gossip *gossip, struct rf_error *err)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&gossip->thread, NULL, rf_driver_run, gossip);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        return rf_error_set(err, -error, "gossip: no thread: %s", rf_strerror(-error));
    }
    gossip->has_thread = true;
    return 0;
}

static struct rf_gossip *gossip_new(const struct rf_gossip_config *config)
{
    size_t alignment = _Alignof(struct rf_gossip);
    size_t size = (sizeof(struct rf_gossip) + alignment - 1) / alignment * alignment;
    struct rf_gossip *gossip = aligned_alloc(alignment, size);
    if (gossip == NULL) {
        return NULL;
    }
    memset(gossip, 0, size);
    gossip->log = config->log;
    gossip->has_consumer = config->has_consumer;
    gossip->wake_fd = -1;
    gossip->epoll_fd = -1;
    gossip->events.event_fd = -1;
    gossip->sockets = (struct rf_gossip_sockets){.udp_fd = -1, .tcp_fd = -1};
    gossip->accept_resume_ns = UINT64_MAX;
    gossip->resync_retry_ns = UINT64_MAX;
    pthread_mutex_init(&gossip->call_mutex, NULL);
    sem_init(&gossip->left, 0, 0);
    return gossip;
}

static void log_started(const struct rf_gossip *gossip)
{
    char bound[RF_ADDRESS_TEXT_SIZE];
    char advertised[RF_ADDRESS_TEXT_SIZE];
    rf_log(&gossip->log, RF_LOG_INFO,
           "gossip_started name=%s bind=%s advertise=%s seeds=%zu encrypted=%s udp_buffer=%d",
           gossip->name, rf_address_format(&gossip->bound, bound),
           rf_address_format(&gossip->advertised, advertised), gossip->joiner.seeds_count,
           rf_keyring_count(gossip->keyring) > 0 ? "yes" : "no", gossip->sockets.udp_buffer_size);
}

static int start(struct rf_gossip *gossip, const struct rf_gossip_config *config,
                 struct rf_error *err)
{
    uint8_t meta[RF_META_SIZE_MAX];
    int code = rf_gossip_name_check(config->name, err);
    if (code < 0) {
        return code;
    }
    strcpy(gossip->name, config->name);
    int meta_size = rf_driver_tags_encode(config->tags, config->tags_count, meta, err);
    if (meta_size < 0) {
        return meta_size;
    }
    if ((code = keys_set(gossip, config, err)) < 0 ||
        (code = rf_joiner_init(&gossip->joiner, config->seeds, config->seeds_count, err)) < 0 ||
        (code = descriptors_open(gossip, err)) < 0 ||
        (code = rf_receiver_new(&gossip->receiver, err)) < 0 ||
        (code = keyring_thread_start(gossip, config, err)) < 0 ||
        (code = sockets_open(gossip, config, err)) < 0 ||
        (code = advertised_set(gossip, config, err)) < 0 ||
        (code = machine_restore(gossip, config, meta, (size_t)meta_size, err)) < 0) {
        return code;
    }
    code = rf_driver_listen(gossip);
    if (code < 0) {
        return rf_error_set(err, code, "gossip: cannot watch the sockets: %s", rf_strerror(code));
    }
    log_started(gossip);
    return thread_start(gossip, err);
}

int rf_gossip_start(const struct rf_gossip_config *config, struct rf_gossip **ret_gossip,
                    struct rf_error *err)
{
    struct rf_gossip *gossip = gossip_new(config);
    if (gossip == NULL) {
        return rf_error_set(err, -ENOMEM, "gossip: memory for the node");
    }
    int code = start(gossip, config, err);
    if (code < 0) {
        rf_gossip_free(gossip);
        return code;
    }
    *ret_gossip = gossip;
    return 0;
}

void rf_gossip_free(struct rf_gossip *gossip)
{
    if (gossip == NULL) {
        return;
    }
    if (gossip->has_thread) {
        atomic_store_explicit(&gossip->stop_wanted, true, memory_order_release);
        rf_driver_wake(gossip);
        pthread_join(gossip->thread, NULL);
    }
    rf_driver_snapshot_end(gossip);
    rf_streams_free(gossip->streams);
    rf_gossip_sockets_close(&gossip->sockets);
    rf_joiner_fini(&gossip->joiner);
    rf_serf_free(gossip->serf);
    rf_receiver_free(gossip->receiver);
    rf_replay_fini(&gossip->packets_replay);
    rf_replay_fini(&gossip->streams_replay);
    rf_driver_keys_close(gossip); /* callers are gone, but their tasks may be ours alone by now */
    rf_driver_asks_close(gossip);
    rf_driver_keys_fini(gossip);
    rf_events_fini(&gossip->events);
    if (gossip->wake_fd >= 0) {
        close(gossip->wake_fd);
    }
    if (gossip->epoll_fd >= 0) {
        close(gossip->epoll_fd);
    }
    sem_destroy(&gossip->left);
    pthread_mutex_destroy(&gossip->call_mutex);
    free(gossip);
}

const struct rf_address *rf_gossip_bound(const struct rf_gossip *gossip)
{
    return &gossip->bound;
}

const struct rf_address *rf_gossip_advertised(const struct rf_gossip *gossip)
{
    return &gossip->advertised;
}

const struct rf_gossip_counters *rf_gossip_counters(const struct rf_gossip *gossip)
{
    return &gossip->counters;
}
