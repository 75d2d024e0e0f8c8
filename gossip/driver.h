/* SPDX-License-Identifier: MIT
 *
 * driver.h - the node behind gossip.h: what its parts share. Private to driver*.c.
 *
 *   driver.c       the thread: waits, turns readiness and time into inputs, outputs into calls
 *   driver_log.c   what it says, and how often at most
 *   driver_start.c configuration, start and end
 *   driver_call.c  what other threads may ask
 *   driver_snapshot.c what is remembered over a restart
 *   driver_member.c what they may ask about one member
 *   driver_keys.c  our keys: what the cluster has us do with them, and the file they are in
 *   driver_ask.c   what we ask of the cluster about its keys
 */
#ifndef RF_GOSSIP_DRIVER_H
#define RF_GOSSIP_DRIVER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"
#include "gossip/events.h"
#include "gossip/gossip.h"
#include "gossip/joiner.h"
#include "gossip/keyring.h"
#include "gossip/keyring_thread.h"
#include "gossip/packet.h"
#include "gossip/receiver.h"
#include "gossip/replay.h"
#include "gossip/serf.h"
#include "gossip/snapshot_file.h"
#include "gossip/sockets.h"
#include "gossip/streams.h"

/* What may be written by others at will is logged so many times a minute; the rest is counted. */
enum rf_driver_topic {
    RF_TOPIC_PACKET_REJECTED,
    RF_TOPIC_SEND_FAILED,
    RF_TOPIC_RECEIVE_FAILED,
    RF_TOPIC_STREAM_REJECTED,
    RF_TOPIC_ACCEPT_FAILED,
    RF_TOPIC_RESYNC,
    RF_TOPIC_MEMBER,
    RF_TOPIC_CONFLICT,
    RF_TOPIC_NAME_CONTEST,
    RF_TOPIC_UDP_BROKEN,
    RF_TOPIC_REFUTE,
    RF_TOPIC_SUSPECT,
    RF_TOPIC_PUSH_PULL,
    RF_TOPIC_LATE,
    RF_TOPIC_LIMIT,
    RF_TOPIC_KEYS,
    RF_TOPICS_COUNT,
};

struct rf_driver_gate {
    uint64_t window_end_ns;
    uint32_t count; /* of lines in this window */
    uint32_t suppressed_count;
};

/* An exchange that failed at once, while outputs were being done: reported after them. */
struct rf_driver_failure {
    uint64_t exchange_id;
    int code;
    const char *text;
};

/* Records on their way to the snapshot's file. */
struct rf_driver_snapshot {
    struct rf_snapshot_file *file; /* NULL: nothing is kept */
    uint8_t *bytes;                /* RF_SNAPSHOT_BATCH_SIZE of them; NULL: none yet */
    size_t size;
    bool is_lost;                     /* some records were: only a whole snapshot will do */
    uint64_t next_ns;                 /* no handing over before */
    struct rf_snapshot_clocks clocks; /* as they were last put */
    uint32_t incarnation;
};

struct rf_call; /* driver_call.c */

/*
 * What another thread asks and the gossip thread ends later: a query about keys (driver_ask.c), or
 * reading the keyring file (driver_keys.c). Both hold a reference.
 */
struct rf_key_task {
    atomic_int refs;
    sem_t done;
    atomic_bool is_done; /* publishes what is below; the semaphore only wakes */
    int code;
    struct rf_error err;
    /* of a query */
    uint64_t ask_id;
    const char *query_name;
    uint8_t payload[64]; /* the encoded key request */
    size_t payload_size;
    uint64_t timeout_ns;
    uint8_t relay_factor;
    struct rf_key_record *records; /* who was asked, and what was heard; owned */
    size_t records_count;
    size_t records_capacity;
};

/* Something that is to be done with our keys, in its turn. */
struct rf_key_job {
    uint64_t request_id; /* of the machine; 0: reading the file, for `reload` */
    enum rf_key_op op;
    uint8_t key[RF_KEY_SIZE_MAX];
    size_t key_size; /* as received: may be above RF_KEY_SIZE_MAX, and is then no key */
    char by[RF_QUOTE_SIZE];
    struct rf_key_task *reload;
};

enum { RF_KEY_JOBS_MAX = RF_SERF_KEY_REQUESTS_MAX + 4 /* a few readings of the file */ };

struct rf_gossip {
    struct rf_gossip_counters counters; /* written by the gossip thread */

    /* constant once started */
    struct rf_log log;
    char name[RF_GOSSIP_OWN_NAME_SIZE_MAX + 1];
    uint8_t label[RF_GOSSIP_LABEL_SIZE_MAX];
    struct rf_address advertised;
    struct rf_address bound;
    bool has_consumer;
    pthread_t thread;
    bool has_thread;

    /* between threads */
    int wake_fd; /* eventfd: the gossip thread is to look at the following, and at its lookups */
    atomic_bool stop_wanted;
    atomic_bool leave_wanted;
    _Atomic(struct rf_call *) call; /* the one that waits to be done */
    pthread_mutex_t call_mutex;     /* held by the caller, never by the gossip thread */
    sem_t left;                     /* posted when the sockets are closed; waiters post it on */
    struct rf_events events;

    /* the gossip thread's */
    int epoll_fd;
    struct rf_gossip_sockets sockets;
    struct rf_keyring *keyring;
    struct rf_keyring_thread *keyring_thread;    /* NULL: the keys are in no file */
    struct rf_key_job key_jobs[RF_KEY_JOBS_MAX]; /* in order; while the thread is busy, with [0] */
    size_t key_jobs_count;
    bool is_keyring_busy;
    struct rf_key_task *asks[RF_SERF_ASKS_MAX];
    struct rf_envelope envelope;
    struct rf_serf *serf;
    struct rf_streams *streams;
    struct rf_replay packets_replay; /* nonces seen: apart, so that packets do not push out */
    struct rf_replay streams_replay; /* the rarer ones of streams */
    struct rf_joiner joiner;
    struct rf_driver_snapshot snapshot;
    bool is_open; /* the sockets are */
    bool is_leaving;
    bool has_left;
    bool has_lost_name;
    bool close_wanted;
    uint64_t lost_at_ns;       /* the system's count of lost packets is looked at again */
    uint64_t accept_resume_ns; /* UINT64_MAX: the listener is watched */
    uint64_t resync_retry_ns;  /* UINT64_MAX: no list is owed for want of memory */
    struct rf_driver_gate gates[RF_TOPICS_COUNT];
    struct rf_driver_failure failures[RF_SWIM_EXCHANGES_MAX];
    size_t failures_count;
    struct rf_lzw_workspace workspace;
    struct rf_packet packet;
    struct rf_receiver *receiver;
    uint8_t sealed[RF_PACKET_SIZE_MAX];
};

/* Monotonic, in ns, above 0. */
uint64_t rf_driver_now_ns(void);

/* Adds sockets and eventfd to the epoll instance, before the thread starts. Returns 0 or -errno. */
RF_NODISCARD int rf_driver_listen(const struct rf_gossip *gossip);

/* The thread's function; `context` is the node. */
void *rf_driver_run(void *context);

/* Does what the machine's outputs say. After each input. */
void rf_driver_outputs(struct rf_gossip *gossip, uint64_t now_ns);

/* Writes to the eventfd. Threads: any. */
void rf_driver_wake(const struct rf_gossip *gossip);

/*
 * Has `run` done on the gossip thread and waits for it. It gets a copy of the `size` bytes at
 * `argument`, which come back changed as it left them; what it hands over by pointer must be safe
 * from a caller that has given up. `err` takes its text.
 *
 * Returns what `run` returned. Errors: -ETIMEDOUT it did not come to it, `argument` is untouched;
 * -ENOMEM. Threads: any but the gossip thread's.
 */
typedef int rf_driver_run_call(struct rf_gossip *gossip, uint64_t now_ns, void *argument,
                               struct rf_error *err);
RF_NODISCARD int rf_driver_call(struct rf_gossip *gossip, rf_driver_run_call *run, void *argument,
                                size_t size, struct rf_error *err);

/* Does the call that waits, if any. Threads: the gossip thread's. */
void rf_driver_call_handle(struct rf_gossip *gossip, uint64_t now_ns);

/* ---- driver_keys.c; threads: the gossip thread's ---- */

/* Does RF_OUTPUT_KEY_REQUEST, or sees to it that it is done. */
void rf_driver_key_request(struct rf_gossip *gossip, uint64_t now_ns,
                           const struct rf_output *output);
/* Takes a reference of `task`. Errors: -ENOENT no keyring file; RF_ELIMIT. */
RF_NODISCARD int rf_driver_keys_reload(struct rf_gossip *gossip, uint64_t now_ns,
                                       struct rf_key_task *task);
/* Looks whether the disk is done. */
void rf_driver_keys_poll(struct rf_gossip *gossip, uint64_t now_ns);
/* The node has closed: nobody gets an answer any more. */
void rf_driver_keys_close(struct rf_gossip *gossip);
/* After the gossip thread has ended. */
void rf_driver_keys_fini(struct rf_gossip *gossip);

/* ---- driver_ask.c; threads: the gossip thread's, but for new and unref ---- */

struct rf_key_task *rf_key_task_new(void); /* NULL: out of memory */
void rf_key_task_ref(struct rf_key_task *task);
void rf_key_task_unref(struct rf_key_task *task); /* NULL is allowed */
/* Publishes its result, and drops the gossip thread's reference. */
void rf_key_task_end(struct rf_key_task *task, int code);

/* Takes a reference of `task`. Errors: as rf_serf_ask. */
RF_NODISCARD int rf_driver_ask_begin(struct rf_gossip *gossip, uint64_t now_ns,
                                     struct rf_key_task *task);
void rf_driver_ask_answer(struct rf_gossip *gossip, const struct rf_output *output);
void rf_driver_ask_done(struct rf_gossip *gossip, const struct rf_output *output);
void rf_driver_asks_close(struct rf_gossip *gossip);

/* Checks a request and puts it into a task. Threads: any. Errors: -EINVAL. */
RF_NODISCARD int rf_driver_ask_prepare(const struct rf_gossip_keys_request *request,
                                       struct rf_key_task *task, struct rf_error *err);
/* Makes a report of what a task has gathered. Threads: any. Errors: -ENOMEM. */
RF_NODISCARD int rf_driver_ask_report(const struct rf_key_task *task, bool is_list,
                                      struct rf_gossip_keys_report **ret_report);
/* driver_snapshot.c. Harmless without a data folder. Threads: the gossip thread's; end: after it.
 */
void rf_driver_snapshot_member(struct rf_gossip *gossip, const struct rf_output *output);
void rf_driver_snapshot_lost(struct rf_gossip *gossip); /* outputs were: for want of memory */
void rf_driver_snapshot_tick(struct rf_gossip *gossip, uint64_t now_ns);
uint64_t rf_driver_snapshot_deadline_ns(const struct rf_gossip *gossip);
void rf_driver_snapshot_end(struct rf_gossip *gossip);

/* Encodes tags into a Meta. Returns its size. Errors: -EINVAL a name that is empty or there twice;
 * RF_ELIMIT more than RF_META_SIZE_MAX bytes. */
RF_NODISCARD int rf_driver_tags_encode(const struct rf_gossip_tag *tags, size_t tags_count,
                                       uint8_t meta[RF_META_SIZE_MAX], struct rf_error *err);

/* A line about `topic`, unless there were too many of them. */
void rf_driver_log(struct rf_gossip *gossip, enum rf_driver_topic topic, enum rf_log_level level,
                   const char *format, ...) RF_PRINTF(4, 5);
void rf_driver_log_member(struct rf_gossip *gossip, const struct rf_output *output);
void rf_driver_log_notice(struct rf_gossip *gossip, const struct rf_output *output);

#endif
