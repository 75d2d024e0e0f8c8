/* SPDX-License-Identifier: MIT
 *
 * regfast.h - client of the regfast service registry: which instance of a service has a key.
 *
 *     struct regfast_client *client;
 *     struct regfast_owner owner;
 *     char error[REGFAST_ERROR_SIZE];
 *     if (regfast_open("10.0.0.1:9800,10.0.0.2:9800", NULL, &client, error, sizeof(error)) < 0) {
 *         errx(1, "%s", error);
 *     }
 *     if (regfast_match(client, "web", "alice", 5, &owner, error, sizeof(error)) == 0) {
 *         printf("%s at %s\n", owner.id, owner.addr);
 *     }
 *     regfast_close(client);
 *
 * A service is a group of instances, each of which gossip makes known to all registries as a member
 * of that group (regfast_register, or any Serf agent). A key, which is any bytes, belongs to one
 * instance of a group by consistent hashing: when one goes, its keys move and no others. Every
 * registry gives the same answer, so a client is told of some and asks the first that is there.
 *
 * Errors:  calls return 0 or a count, or a negative code: -errno or REGFAST_E...; with a code,
 *          `errbuf` (may be NULL) has a text that says where and why, and ret_... are untouched.
 * Threads: a client or a registration is used by one thread at a time, a client with the option
 *          `background` by any number; different ones do not know each other. There is no global
 *          state, no output, no signal, no exit.
 * Fork:    a client goes on in parent and child, each with a connection of its own. What has a
 *          thread, a registration and a client with `background`, stays with the parent: in the
 *          child such a client is closed and nothing else.
 * Linking: `pkg-config --cflags --libs regfast`, or CMake's `find_package(Regfast)` with the target
 *          `Regfast::regfast`, or `Regfast::regfast_static` for libregfast.a. That one wants the
 *          libraries of Concurrency Kit, xxHash and OpenSSL (Debian: libck-dev, libxxhash-dev,
 *          libssl-dev), which `pkg-config --static --libs regfast` names.
 * Growth:  option structs begin with their size, which the caller sets, so that a later library
 *          takes the structs of a program built before it. Everything else unset is 0.
 */
#ifndef REGFAST_H
#define REGFAST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
/* Functions that are called as a struct is: g++ takes them for shadows of its constructor. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#endif

/* The manual's section 3 is made from this file, by tools/api/pages: "---- PAGE: what it is ----"
 * begins a page; a comment is of the declaration below it, or of the member before it; a line that
 * begins with "Errors:", "Ownership:" or the like, or with "Returns", begins what it says; errors
 * are codes, each with when it comes, parted by ";". Programs in client/examples are the pages'. */

#define REGFAST_API __attribute__((visibility("default")))

enum {
    REGFAST_ERROR_SIZE = 256,     /* an errbuf of this size cuts no text */
    REGFAST_NAME_SIZE = 256,      /* an id, a group name or an addr with its NUL */
    REGFAST_KEY_SIZE_MAX = 65264, /* bytes of a key: any bytes, also none */
    REGFAST_OWNERS_MAX = 1024,    /* of one regfast_owners */
};

/* ---- regfast_strerror: codes of errors, and the version ---- */

/* Beside these, codes are -errno: -EINVAL an argument, -ETIMEDOUT no answer in time, -ENOMEM and
 * -EMFILE what our own process lacks; -EREMOTEIO is the registry's own fault. Numbers between them
 * that are not listed are the library's own within, and no call returns them. */
enum {
    REGFAST_EMALFORMED = -5000,   /* the registry's answer, or our request, is not as agreed */
    REGFAST_EVERSION = -5002,     /* the registry speaks another version of the protocol */
    REGFAST_ELIMIT = -5003,       /* a limit is reached; the text names it */
    REGFAST_ENOTFOUND = -5005,    /* no such group, or it has no instance that could answer */
    REGFAST_EUNAVAILABLE = -5006, /* no registry answers, or it is shutting down */
    REGFAST_EUNSUPPORTED = -5007, /* the registry does not know this operation */
};

/* A short text for a code.
 * Lifetime: the program's, or until the thread's next call. */
REGFAST_API const char *regfast_strerror(int code);

/* "0.1.0": of the library, not of this header. */
REGFAST_API const char *regfast_version(void);

/* ---- regfast_open: a client of some registries ---- */

struct regfast_client;

struct regfast_options {
    size_t size;                 /* sizeof(struct regfast_options) */
    uint32_t connect_timeout_ms; /* to one address; 0: 1000 */
    uint32_t call_timeout_ms;    /* of a whole call, connecting and the retry included; 0: 3000 */
    uint32_t background;         /* 1: a thread of the library's drives the client, which is then
                                    for all threads */
    uint32_t in_order;           /* 1: registries are tried in the order in which they are given; 0:
                                    each client begins with a random one, which spreads clients */
    uint32_t discover;           /* 1: the registries that the group `registry-group` names are used
                                    too, and kept current */
    uint32_t heartbeat_ms;       /* while something is watched, ask so often whether the registry is
                                    still there; 0: 2000 */
};

/*
 * Makes a client of the registries "HOST:PORT,HOST:PORT,...", at most 16. Without ":PORT" it is
 * 9800; IPv6 is "[::1]:9800"; spaces around a comma are allowed. Connects at the first call, to the
 * first registry that answers, and stays with it. A call whose connection is lost, whose registry
 * is shutting down, or does not reply in time, is tried once more, the registry that has not failed
 * for longest first. All calls only read, so that is safe. While there is another registry to try,
 * connecting to one, or waiting for its reply, takes at most half of the time that the call has
 * left.
 *
 * `options` may be NULL, which is all of them 0.
 *
 * Names are resolved anew when connecting, by the system's resolver, in a thread of its own that
 * ends with that; addresses are not looked up anywhere.
 *
 * Ownership: *ret_client ends by regfast_close.
 * Errors:    -EINVAL a registry that is no HOST:PORT, or options of a size never known; -ENOMEM;
 *            -EMFILE a client has two descriptors beside its connection; -EAGAIN no thread is to be
 *            had for `background`.
 */
REGFAST_API int regfast_open(const char *registries, const struct regfast_options *options,
                             struct regfast_client **ret_client, char *errbuf, size_t errbuf_size);

/* Ends the client and what it watches. NULL is allowed. */
REGFAST_API void regfast_close(struct regfast_client *client);

/* The registry of the last answer, "HOST:PORT" as it was given or discovered; "" before the first.
 * Lifetime: the client's; the text is another one after the next call, by whatever thread. */
REGFAST_API const char *regfast_server(const struct regfast_client *client);

/* ---- regfast_match: the instance that has a key ---- */

/* An instance that is given a key. */
struct regfast_owner {
    uint64_t version;             /* of the group on the registry that answered: counts up there,
                                     anew when it restarts. Not to be compared between registries:
                                     a `digest` is */
    char id[REGFAST_NAME_SIZE];   /* NUL-terminated, as is addr */
    char addr[REGFAST_NAME_SIZE]; /* as the instance registered it, usually HOST:PORT */
};

struct regfast_key {
    const void *data;
    size_t size; /* 0..REGFAST_KEY_SIZE_MAX */
};

/* The instance of `group` that has the key. */
REGFAST_API int regfast_match(struct regfast_client *client, const char *group, const void *key,
                              size_t key_size, struct regfast_owner *ret_owner, char *errbuf,
                              size_t errbuf_size);

/*
 * The same for `keys_count` keys: ret_owners[i] is that of keys[i]. Asks for up to 1024 keys at a
 * time; the group may change in between, `version` tells. On failure ret_owners is undefined.
 * Without keys nobody is asked, and it returns 0.
 */
REGFAST_API int regfast_match_many(struct regfast_client *client, const char *group,
                                   const struct regfast_key *keys, size_t keys_count,
                                   struct regfast_owner *ret_owners, char *errbuf,
                                   size_t errbuf_size);

/*
 * The first `count` distinct instances for the key, 1..REGFAST_OWNERS_MAX: the owner, then who
 * would have the key without those before, the natural places of replicas.
 * Returns how many there are, at most `count`. On failure ret_owners is undefined.
 */
REGFAST_API int regfast_owners(struct regfast_client *client, const char *group, const void *key,
                               size_t key_size, size_t count, struct regfast_owner *ret_owners,
                               char *errbuf, size_t errbuf_size);

/*
 * ---- regfast_fd: a client in an event loop, and many requests under way ----
 *
 * Without a thread and without waiting: poll regfast_fd for input, for at most regfast_timeout_ms,
 * then call regfast_process, and take what is done by regfast_next. Calls that wait may be made in
 * between. With the option `background` all of this may be used too; its thread then sends and
 * receives, the descriptor need not show what it has taken, and regfast_next tells at once.
 */

/* The descriptor to poll for input: an epoll set, the same for the client's life. In a child
 * process it is the parent's until regfast_process has been called there.
 * Returns the descriptor.
 * Errors: -EINVAL the client is NULL. */
REGFAST_API int regfast_fd(const struct regfast_client *client);

/* How long to poll at most.
 * Returns milliseconds, as poll takes them: -1 for ever, which is so for NULL too, 0 not at all. */
REGFAST_API int regfast_timeout_ms(struct regfast_client *client);

/*
 * Does what can be done now, and never waits: connects, sends, receives, goes elsewhere, keeps
 * what is watched current. That a registry fails is no error of this call.
 * Returns how many requests are done and can be taken by regfast_next.
 */
REGFAST_API int regfast_process(struct regfast_client *client, char *errbuf, size_t errbuf_size);

enum {
    REGFAST_SUBMITTED_MAX = 4096, /* requests under way or done and not taken; with all their keys
                                     and group names they have 16 MiB at most */
};

/*
 * As regfast_match, but returns before the answer is there, which regfast_next tells with `user`.
 * Requests are sent by the next regfast_process, are answered within the client's call time-out,
 * and go elsewhere once as calls do.
 *
 * Ownership: group and key are copied; *owner is written to until regfast_next has told.
 * Errors:    -EAGAIN too many are under way: take some first; -EINVAL an argument; -ENOMEM.
 */
REGFAST_API int regfast_submit_match(struct regfast_client *client, const char *group,
                                     const void *key, size_t key_size, struct regfast_owner *owner,
                                     void *user, char *errbuf, size_t errbuf_size);

/*
 * As regfast_match_many, of as many keys as fit one request: at most 1024, and with the group's
 * name and 2 bytes for each some less than 64 KiB. Without keys it is done at once.
 *
 * Ownership: as for regfast_submit_match; there are `keys_count` owners.
 * Errors:    as for regfast_submit_match; REGFAST_ELIMIT the keys do not fit one request.
 */
REGFAST_API int regfast_submit_match_many(struct regfast_client *client, const char *group,
                                          const struct regfast_key *keys, size_t keys_count,
                                          struct regfast_owner *owners, void *user, char *errbuf,
                                          size_t errbuf_size);

/* A request that is done. */
struct regfast_completion {
    void *user;        /* as it was submitted */
    int code;          /* 0, or a negative code: what the call that waits would have returned */
    const char *error; /* text of a negative code, "" if it is 0; the client's until the next
                          regfast_next or regfast_close */
};

/* Takes a request that is done, in the order in which they were.
 * Returns 1, or 0: none is done.
 * Errors: -EINVAL an argument is NULL. */
REGFAST_API int regfast_next(struct regfast_client *client,
                             struct regfast_completion *ret_completion);

/* ---- regfast_members: who is in a group ---- */

enum regfast_member_state {
    REGFAST_MEMBER_ALIVE = 0,     /* gets keys */
    REGFAST_MEMBER_LEAVING = 1,   /* has said that it leaves; still gets keys */
    REGFAST_MEMBER_LEFT = 2,      /* left gracefully; remembered, gets no keys */
    REGFAST_MEMBER_FAILED = 3,    /* declared dead by gossip; remembered, gets no keys */
    REGFAST_MEMBER_HELD = 4,      /* alive, but has failed lately: gets no keys yet */
    REGFAST_MEMBER_PROTECTED = 5, /* failed, but keeps its keys: too many failed at once, or it has
                                     moved them too often */
    REGFAST_MEMBER_DRAINING = 6,  /* answers what it has been given; gets no keys */
};

/* "alive", "leaving", "left", "failed", "held", "protected", "draining"; "unknown". */
REGFAST_API const char *regfast_member_state_name(enum regfast_member_state state);

struct regfast_member {
    const char *id;
    const char *addr;
    uint32_t replicas; /* weight */
    enum regfast_member_state state;
};

struct regfast_member_list {
    uint64_t version; /* of the group, as in struct regfast_owner */
    uint64_t digest;  /* of the group: equal on all registries that agree */
    size_t count;
    const struct regfast_member *members; /* by id */
};

/* All members of the group at one version, remembered ones too.
 * Ownership: *ret_list, strings included, ends by regfast_member_list_free.
 * Errors: -EAGAIN the group changed each time while its pages were read. */
REGFAST_API int regfast_members(struct regfast_client *client, const char *group,
                                struct regfast_member_list **ret_list, char *errbuf,
                                size_t errbuf_size);
REGFAST_API void regfast_member_list_free(struct regfast_member_list *list);

/* ---- regfast_groups: which groups there are ---- */

struct regfast_group {
    const char *name;
    uint32_t members_count; /* remembered ones included */
    uint32_t alive_count;   /* get keys */
    uint64_t version;
    uint64_t digest;
};

struct regfast_group_list {
    uint64_t version; /* of the registry's whole catalog */
    uint64_t digest;  /* of the catalog: equal digests mean equal answers, on any registry */
    size_t count;
    const struct regfast_group *groups; /* by name */
};

/* All groups.
 * Ownership, Errors: as regfast_members. */
REGFAST_API int regfast_groups(struct regfast_client *client, struct regfast_group_list **ret_list,
                               char *errbuf, size_t errbuf_size);
REGFAST_API void regfast_group_list_free(struct regfast_group_list *list);

/* ---- regfast_info: what a registry says of itself ---- */

enum regfast_info_type {
    REGFAST_INFO_TEXT = 0,
    REGFAST_INFO_U64 = 1,
};

struct regfast_info {
    const char *name;
    enum regfast_info_type type;
    const char *text; /* NULL if not REGFAST_INFO_TEXT */
    uint64_t number;
};

struct regfast_info_list {
    size_t count;
    const struct regfast_info *entries; /* in the registry's order */
};

/* What the registry says of itself: version, digest, engine, placement and more.
 * Ownership: as regfast_members. */
REGFAST_API int regfast_info(struct regfast_client *client, struct regfast_info_list **ret_list,
                             char *errbuf, size_t errbuf_size);
REGFAST_API void regfast_info_list_free(struct regfast_info_list *list);

/* A round trip; *ret_time_ns (may be NULL) is how long it took, without connecting unless the
 * connection was lost. */
REGFAST_API int regfast_ping(struct regfast_client *client, uint64_t *ret_time_ns, char *errbuf,
                             size_t errbuf_size);

/* ---- regfast_watch: know a group as it changes ---- */

struct regfast_watch;

enum {
    REGFAST_WATCHES_MAX = 256, /* of one client, the library's own included, if it discovers */
};

/*
 * Keeps what a registry knows of the group in this process, from now on: a change comes within a
 * second. Returns at once; the group need not exist. When the connection is lost, the watch goes on
 * with another registry by itself, for ever.
 *
 * Without the option `background` it is kept current by whatever drives the client: calls that
 * wait, regfast_watch_wait, regfast_process.
 *
 * Ownership: *ret_watch ends by regfast_watch_close, or with its client.
 * Errors:    -EINVAL an argument; REGFAST_ELIMIT there are too many; -ENOMEM.
 */
REGFAST_API int regfast_watch(struct regfast_client *client, const char *group,
                              struct regfast_watch **ret_watch, char *errbuf, size_t errbuf_size);

/* Ends it; its readers have been freed. NULL is allowed. */
REGFAST_API void regfast_watch_close(struct regfast_watch *watch);

/*
 * Waits until the number of updates in the status is another one than `updates_seen`; with 0, until
 * something is known. With a time-out of 0 it looks at what has come already.
 * Errors: -ETIMEDOUT nothing has changed; the text says why the last connection failed, if it did,
 *         or whose update was not applied, and why.
 */
REGFAST_API int regfast_watch_wait(struct regfast_watch *watch, uint64_t updates_seen,
                                   uint32_t timeout_ms, char *errbuf, size_t errbuf_size);

enum regfast_watch_state {
    REGFAST_WATCH_EMPTY = 0, /* nothing is known yet */
    REGFAST_WATCH_LIVE = 1,  /* what is known is what a registry knew a moment ago */
    REGFAST_WATCH_STALE = 2, /* no registry has proved for twice the client's heartbeat_ms that it
                                still is so, or the last update was refused */
};

/* What a watch knows, and how far it is to be trusted. */
struct regfast_watch_status {
    size_t size;            /* sizeof(struct regfast_watch_status), set by the caller */
    uint32_t state;         /* enum regfast_watch_state */
    uint64_t version;       /* of the group on `server`, as in struct regfast_owner */
    uint64_t digest;        /* of the local state, and what the registry said of its own */
    uint64_t age_ms;        /* since a registry has proved that this is what it knows */
    uint64_t updates;       /* times that the local state was replaced, whatever the registry */
    uint64_t full_copies;   /* times that all was taken anew, as a digest was not equal */
    uint64_t refused;       /* updates not applied: nobody would have been left in the ring although
                               those in it had not left, or the registry has just started and has
                               not heard of most of them */
    uint64_t members_count; /* remembered ones included */
    uint64_t alive_count;   /* get keys */
    char server[REGFAST_NAME_SIZE + 16]; /* the registry that told it, "" before the first */
};

/* What it knows now.
 * Threads: any.
 * Errors:  -EINVAL an argument is NULL, or a size that never was. */
REGFAST_API int regfast_watch_status(struct regfast_watch *watch,
                                     struct regfast_watch_status *ret_status);

/* As regfast_members, of what is known here: without asking anybody.
 * Ownership: *ret_list ends by regfast_member_list_free.
 * Threads:   any.
 * Errors:    -EAGAIN nothing is known yet; -ENOMEM. */
REGFAST_API int regfast_watch_members(struct regfast_watch *watch,
                                      struct regfast_member_list **ret_list, char *errbuf,
                                      size_t errbuf_size);

/* ---- regfast_local_match: the instance that has a key, without asking anybody ---- */

/*
 * A thread's hold on a watch: asks the ring that the watch keeps in this process. The answers are
 * those that the registry would give at the version that they name, without a lock, an allocation
 * or a system call, and go on when all registries are gone; regfast_watch_status says how fresh
 * they are. A watch that has known somebody in the ring goes on answering with them until
 * others are there or they have left; a registry that has not heard of most of them is not
 * believed for a minute, as it has just started.
 *
 * Threads: may be made and freed at any time, by any thread, and is used by one at a time. Cheap: a
 *          cache line, which the watch keeps for the next reader.
 */
struct regfast_reader;

/* A reader for one thread.
 * Ownership: *ret_reader ends by regfast_reader_free, before its watch does.
 * Errors:    -EINVAL an argument is NULL; -ENOMEM. */
REGFAST_API int regfast_reader_new(struct regfast_watch *watch, struct regfast_reader **ret_reader);

/* Ends the reader. NULL is allowed. */
REGFAST_API void regfast_reader_free(struct regfast_reader *reader);

/*
 * The instance that has the key.
 * Errors: REGFAST_ENOTFOUND nobody is in the ring; -EAGAIN nothing is known yet; -EINVAL an
 * argument is NULL, or the key is larger than REGFAST_KEY_SIZE_MAX.
 */
REGFAST_API int regfast_local_match(struct regfast_reader *reader, const void *key, size_t key_size,
                                    struct regfast_owner *ret_owner);

/* The same for many, all of one version, and faster from some keys on: they are looked for at once.
 * On failure ret_owners is undefined. */
REGFAST_API int regfast_local_match_many(struct regfast_reader *reader,
                                         const struct regfast_key *keys, size_t keys_count,
                                         struct regfast_owner *ret_owners);

/* As regfast_owners, `count` being 1..REGFAST_OWNERS_MAX.
 * Returns how many there are, at most `count`. On failure ret_owners is undefined.
 * Errors: as regfast_local_match. */
REGFAST_API int regfast_local_owners(struct regfast_reader *reader, const void *key,
                                     size_t key_size, size_t count,
                                     struct regfast_owner *ret_owners);

/* ---- regfast_match_bounded: an instance for a key that is not loaded above its share ---- */

/* A request under way, in the caller's storage. All zero: none. */
struct regfast_load {
    void *opaque[2];
};

/*
 * Consistent hashing with bounded loads: the first instance at and after the key's place in the
 * ring that has fewer requests under way than its share of all, times `factor`; requests under way
 * are those that this process began here and has not ended by regfast_load_done, on all readers of
 * the watch. No instance is given more than ceil(factor * (requests under way, this one included) *
 * its part of the weight), so that a key that everybody asks for does not drown its owner, and most
 * keys still go where regfast_local_match sends them.
 *
 * `factor` is above 1; 0 is 1.25. The nearer to 1, the more even and the more keys go elsewhere.
 * Errors: as regfast_local_match; -EINVAL a factor that is none.
 * Method: "Consistent Hashing with Bounded Loads", 2017.
 */
REGFAST_API int regfast_match_bounded(struct regfast_reader *reader, const void *key,
                                      size_t key_size, double factor,
                                      struct regfast_owner *ret_owner,
                                      struct regfast_load *ret_load);

/* The request has ended, well or not; the instance may have left meanwhile. By any reader of the
 * same watch. A load that has ended, or never began, does nothing. */
REGFAST_API void regfast_load_done(struct regfast_reader *reader, struct regfast_load *load);

/* ---- regfast_register: be a member of a group ---- */

struct regfast_registration;

struct regfast_register_options {
    size_t size;                /* sizeof(struct regfast_register_options) */
    const char *id;             /* unique in the cluster, 1..128 of A-Z a-z 0-9 . -; required */
    const char *group;          /* required */
    const char *addr;           /* what clients are given, HOST:PORT; required. An empty host is the
                                   machine's first private address */
    const char *registries;     /* gossip addresses to join, "HOST:PORT,..." (default port 7370), at
                                   most 64; any members of the cluster will do; required */
    const char *bind;           /* own gossip address, UDP and TCP; NULL: ":0", any free port */
    const char *bind_advertise; /* gossip address that others are told; NULL: `bind`, as `addr` */
    uint32_t replicas;          /* weight, 1..65535; 0: 1000 */
    const char *encrypt; /* key of an encrypted cluster, base64 of 16, 24 or 32 bytes; NULL: none */
    const char
        *keyring_file;   /* its keys in a file as serf writes it, mode 0600, which takes what the
                            cluster changes about them; not together with `encrypt`; NULL: none */
    const char *label;   /* the cluster's label, at most 255 bytes; NULL: none */
    const char *profile; /* timing of the gossip, as of the registries: "lan", "wan" or "local";
                            NULL: "lan" */
};

/*
 * Makes this process a member of the group, from a thread of its own: joins, answers probes, keeps
 * what it says of itself true, and keeps trying the registries, for ever if need be, so a
 * registry that is down is no error. Returns as soon as the sockets are there.
 *
 * Ownership: strings are copied; *ret_registration ends by regfast_registration_free.
 * Errors:    -EINVAL names the option; REGFAST_ELIMIT group and addr are too long together,
 *            as gossip carries 512 bytes of tags, or there are too many registries; -ENOENT there
 * is no `keyring_file`; -EHOSTUNREACH a host of `bind` that no resolver knows; -EADDRINUSE,
 * -EADDRNOTAVAIL and others of bind(2) for `bind`; -ENOMEM.
 */
REGFAST_API int regfast_register(const struct regfast_register_options *options,
                                 struct regfast_registration **ret_registration, char *errbuf,
                                 size_t errbuf_size);

/* What clients are given: the option `addr`, with the host that was chosen if it had none.
 * Lifetime: the registration's. */
REGFAST_API const char *regfast_registration_addr(const struct regfast_registration *registration);

/*
 * Waits until it has joined: another member is known to be alive. With a time-out of 0 it just
 * looks.
 * Whether the id is another node's already is what the members vote about then, which takes some
 * seconds: 0 may be followed by -EEXIST, here and from regfast_set_replicas. A service should look
 * again now and then.
 * Errors: -ETIMEDOUT not yet, and the text says why the last attempt failed; -EEXIST the cluster
 *         has given this id to another node, and the registration has ended; -ESHUTDOWN it has
 *         left.
 */
REGFAST_API int regfast_registration_wait(struct regfast_registration *registration,
                                          uint32_t timeout_ms, char *errbuf, size_t errbuf_size);

/*
 * Changes the weight, 0..65535: tells the others, who give keys by it within about a second, also
 * those that were not there when it was changed. Returns at once. With 0 it is given no new keys
 * and is listed as REGFAST_MEMBER_DRAINING, until it has a weight again.
 * Errors: -EINVAL a weight out of range; -ESHUTDOWN it has left; -EEXIST as above; -ETIMEDOUT its
 *         thread did not answer, and may do it yet.
 */
REGFAST_API int regfast_set_replicas(struct regfast_registration *registration, uint32_t replicas,
                                     char *errbuf, size_t errbuf_size);

/*
 * Leaves gracefully: tells the others, and ends the thread once they know or time is up. It takes
 * one to two seconds, at the profile "lan"; 11 s at most, so give 12000 ms. With a time-out of 0
 * nobody waits until it is told: that others find the member failed is then likely.
 * Returns 0 too, and at once, if nobody is known who could be told, or if it has left before.
 * Errors: -ETIMEDOUT not all were told; the registration has ended all the same.
 */
REGFAST_API int regfast_leave(struct regfast_registration *registration, uint32_t timeout_ms);

/*
 * Leaves without losing a request: first tells the others that it has no weight any more, so that
 * it is given no new keys, and is listed as REGFAST_MEMBER_DRAINING; then, `drain_ms` later, leaves
 * as regfast_leave. Meanwhile the service goes on answering, in other threads: clients hear of it
 * within about a second, those that keep an answer for longer set how much drain_ms must be. With a
 * drain_ms of 0 it leaves at once; leave_timeout_ms is that of regfast_leave.
 * A group whose members all drain has nobody for a key.
 * Errors: those of regfast_leave; -EEXIST as above; -ETIMEDOUT also its thread did not answer. The
 *         registration has ended all the same.
 */
REGFAST_API int regfast_drain(struct regfast_registration *registration, uint32_t drain_ms,
                              uint32_t leave_timeout_ms);

/* Frees; without a regfast_leave before it the others will find the member failed. NULL is
 * allowed. */
REGFAST_API void regfast_registration_free(struct regfast_registration *registration);

#ifdef __cplusplus
}
#pragma GCC diagnostic pop
#endif

#endif
