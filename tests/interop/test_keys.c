/* SPDX-License-Identifier: MIT
 *
 * Changing the keys of a cluster that runs. The argument names the part: `own`, only our nodes, or
 * `serf`, among real serf agents.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "nodes.h"

#define KEY_A "b2xkIGtleSBvZiAzMiBieXRlcyBmb3IgdGhlIHRlc3Q=" /* 32 bytes */
#define KEY_B "bmV3IGtleSBvZiAyNCBieXRlcyBsb25n"             /* 24 */
#define KEY_C "dGhpcmQga2V5IG9mIDE2IQ=="                     /* 16 */
#define KEY_UNKNOWN "bm9ib2R5IGhhcyB0aGlzIQ=="

/* ---- files ---- */

static void file_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* NAME.keys in the test's folder, with these keys. Lifetime: static, the next 8 calls'. */
static const char *keys_file(const char *name, const char *first, const char *second)
{
    char file[64];
    char text[256];
    snprintf(file, sizeof(file), "%s.keys", name);
    snprintf(text, sizeof(text), second == NULL ? "[\"%s\"]" : "[\"%s\", \"%s\"]", first, second);
    const char *path = fixture_path(file);
    file_write(path, text);
    return path;
}

/* Whether NAME.keys has just these keys, in this order, as serf writes them. */
static bool file_has(const char *name, const char *first, const char *second)
{
    char file[64];
    char expected[256];
    char text[512] = "";
    snprintf(file, sizeof(file), "%s.keys", name);
    snprintf(expected, sizeof(expected),
             second == NULL ? "[\n  \"%s\"\n]" : "[\n  \"%s\",\n  \"%s\"\n]", first, second);
    struct stat stat_of;
    int fd = open(fixture_path(file), O_RDONLY);
    assert_true(fd >= 0);
    ssize_t size = read(fd, text, sizeof(text) - 1);
    assert_int_equal(fstat(fd, &stat_of), 0);
    close(fd);
    while (size > 0 && text[size - 1] == '\n') {
        text[--size] = '\0'; /* serf writes none at the end */
    }
    return (stat_of.st_mode & 07777) == 0600 && strcmp(text, expected) == 0;
}

/* ---- threads beside the scenario ---- */

enum { THREADS_MAX = 8 };
static struct {
    pthread_t threads[THREADS_MAX];
    size_t count;
    atomic_bool is_over; /* of the scenario: they come to their end */
} beside;

/* Waits for all; what the last one returned. */
static void *threads_join(void)
{
    void *result = NULL;
    atomic_store(&beside.is_over, true);
    while (beside.count > 0) {
        pthread_join(beside.threads[--beside.count], &result);
    }
    return result;
}

static void threads_end(void)
{
    (void)threads_join();
}

/* Ends before the nodes, which it may use; so these are started first. */
static void thread_start(void *(*function)(void *context), void *context)
{
    if (beside.count == 0) {
        atomic_store(&beside.is_over, false);
    }
    fixture_at_end(threads_end);
    assert_true(beside.count < THREADS_MAX);
    assert_int_equal(pthread_create(&beside.threads[beside.count], NULL, function, context), 0);
    beside.count++;
}

/* ---- nodes and what they are asked ---- */

/* A node with its keys in NAME.keys, which is there. */
static struct node file_node(const char *name, const char *label, const char *seed)
{
    char file[64];
    struct rf_gossip_config *config = node_config(name);
    snprintf(file, sizeof(file), "%s.keys", name);
    config->keyring_file = fixture_path(file);
    config->label = label;
    config->profile = RF_GOSSIP_LAN;
    config->seeds = &seed;
    config->seeds_count = seed == NULL ? 0 : 1;
    return node_start(config);
}

static struct rf_gossip_keys_report *ask(const struct node *node, enum rf_gossip_keys_op op,
                                         const char *key)
{
    const struct rf_gossip_keys_request request = {.op = op, .key = key, .relay_factor = 1};
    struct rf_gossip_keys_report *report = NULL;
    struct rf_error err = {0};
    if (rf_gossip_keys_ask(node->gossip, &request, &report, &err) < 0) {
        fail_msg("%s: %s", node->name, err.text);
    }
    return report;
}

/* Until all of `nodes_count` nodes have answered: a query is gossiped a few times, to nodes chosen
 * at random, so it may miss one. An operator asks again then, which does no harm. */
static struct rf_gossip_keys_report *ask_all(const struct node *node, enum rf_gossip_keys_op op,
                                             const char *key, size_t nodes_count)
{
    struct rf_gossip_keys_report *report = ask(node, op, key);
    for (int i = 0; i < 10 && report->answers_count < nodes_count; i++) {
        rf_gossip_keys_report_free(report);
        report = ask(node, op, key);
    }
    return report;
}

/* All of `nodes_count` nodes have done it. */
static void assert_done(const struct node *node, enum rf_gossip_keys_op op, const char *key,
                        size_t nodes_count)
{
    struct rf_gossip_keys_report *report = ask_all(node, op, key, nodes_count);
    for (size_t i = 0; i < report->nodes_count; i++) {
        if (report->nodes[i].state != RF_GOSSIP_KEYS_DONE) {
            fail_msg("operation %d: node %s: state %d: %s", (int)op, report->nodes[i].name,
                     (int)report->nodes[i].state, report->nodes[i].message);
        }
    }
    assert_int_equal(report->nodes_count, nodes_count);
    assert_int_equal(report->answers_count, nodes_count);
    assert_int_equal(report->errors_count, 0);
    rf_gossip_keys_report_free(report);
}

static const struct rf_gossip_keys_node *node_in(const struct rf_gossip_keys_report *report,
                                                 const char *name)
{
    for (size_t i = 0; i < report->nodes_count; i++) {
        if (strcmp(report->nodes[i].name, name) == 0) {
            return &report->nodes[i];
        }
    }
    fail_msg("no node %s in the report", name);
    return NULL;
}

/* The cluster's keys, as `node` gathers them, are just these two (or one), on so many nodes. */
static void assert_keys(const struct node *node, const char *primary, const char *other,
                        size_t nodes_count)
{
    struct rf_gossip_keys_report *report = ask_all(node, RF_GOSSIP_KEYS_LIST, NULL, nodes_count);
    assert_int_equal(report->answers_count, nodes_count);
    assert_int_equal(report->keys_count, other == NULL ? 1 : 2);
    for (size_t i = 0; i < report->keys_count; i++) {
        const struct rf_gossip_keys_key *key = &report->keys[i];
        assert_int_equal(key->nodes_count, nodes_count);
        bool is_primary = strcmp(key->text, primary) == 0;
        assert_true(is_primary || strcmp(key->text, other) == 0);
        assert_int_equal(key->primary_count, is_primary ? nodes_count : 0);
    }
    rf_gossip_keys_report_free(report);
}

static void rotate(const struct node *node, const char *from, const char *to, size_t nodes_count)
{
    assert_done(node, RF_GOSSIP_KEYS_INSTALL, to, nodes_count);
    assert_keys(node, from, to, nodes_count);
    assert_done(node, RF_GOSSIP_KEYS_USE, to, nodes_count);
    assert_keys(node, to, from, nodes_count);
    assert_done(node, RF_GOSSIP_KEYS_REMOVE, from, nodes_count);
    assert_keys(node, to, NULL, nodes_count);
}

/* ---- our own nodes ---- */

SCENARIO(a_rotation_reaches_every_node_and_its_file)
{
    static const char *const names[] = {"a", "b", "c"};
    struct node nodes[3];
    for (int i = 0; i < 3; i++) {
        keys_file(names[i], KEY_A, NULL);
        nodes[i] = file_node(names[i], "blue", i == 0 ? NULL : nodes[0].address);
    }
    assert_soon(node_members_count(&nodes[0]) == 3 && node_members_count(&nodes[1]) == 3);
    assert_soon(node_members_count(&nodes[2]) == 3);
    rotate(&nodes[1], KEY_A, KEY_B, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(file_has(names[i], KEY_B, NULL));
        assert_true(log_count(names[i], "keys_changed operation=install by='b'") >= 1);
        assert_true(
            log_count(names[i], "keys_changed operation=remove by='b' keys=1 written=yes") >= 1);
        assert_int_equal(log_count(names[i], KEY_A), 0);
        assert_int_equal(log_count(names[i], KEY_B), 0);
        assert_int_equal(COUNTER(&nodes[i], keys), 1);
        assert_int_equal(COUNTER(&nodes[i], key_requests_failed), 0);
    }
    /* Doing it again does no harm, and heals a node that missed it. */
    assert_done(&nodes[0], RF_GOSSIP_KEYS_INSTALL, KEY_B, 3);
    assert_done(&nodes[0], RF_GOSSIP_KEYS_REMOVE, KEY_A, 3);
    /* Who comes back finds in its file what the others use by now. */
    char address[64];
    snprintf(address, sizeof(address), "%s", nodes[0].address);
    node_leave(&nodes[2]);
    nodes[2] = file_node("c", "blue", address);
    assert_soon(node_members_count(&nodes[2]) == 3);
    assert_keys(&nodes[2], KEY_B, NULL, 3);
    for (int i = 0; i < 3; i++) {
        node_kill(&nodes[i]);
    }
}

SCENARIO(what_a_node_refuses_is_told_with_its_name_and_changes_nothing)
{
    keys_file("a", KEY_A, KEY_B);
    keys_file("b", KEY_A, NULL);
    struct node a = file_node("a", NULL, NULL);
    struct node b = file_node("b", NULL, a.address);
    assert_soon(node_members_count(&a) == 2 && node_members_count(&b) == 2);

    struct rf_gossip_keys_report *report = ask(&a, RF_GOSSIP_KEYS_REMOVE, KEY_A);
    assert_int_equal(report->errors_count, 2);
    assert_int_equal(report->answers_count, 2);
    assert_contains(node_in(report, "a")->message, "the key is the primary one");
    assert_contains(node_in(report, "b")->message, "the key is the primary one");
    rf_gossip_keys_report_free(report);

    report = ask(&b, RF_GOSSIP_KEYS_USE, KEY_UNKNOWN);
    assert_int_equal(report->errors_count, 2);
    assert_contains(node_in(report, "a")->message,
                    "the key is not in the ring of 2, install it first");
    rf_gossip_keys_report_free(report);

    assert_done(&a, RF_GOSSIP_KEYS_REMOVE, KEY_UNKNOWN, 2); /* as with serf */
    struct rf_gossip_keys_report *list = ask(&b, RF_GOSSIP_KEYS_LIST, NULL);
    assert_int_equal(list->keys_count, 2);
    assert_string_equal(list->keys[0].text, KEY_A); /* on most nodes: first */
    assert_int_equal(list->keys[0].nodes_count, 2);
    assert_int_equal(list->keys[0].primary_count, 2);
    assert_int_equal(list->keys[1].nodes_count, 1);
    assert_int_equal(list->keys[1].primary_count, 0);
    rf_gossip_keys_report_free(list);
    assert_int_equal(COUNTER(&a, key_requests_failed), 2);
    node_kill(&b);
    node_kill(&a);
}

SCENARIO(a_request_that_cannot_be_is_refused_before_anybody_is_asked)
{
    static const struct rf_gossip_keys_request requests[] = {
        {.op = RF_GOSSIP_KEYS_USE, .key = "short"},
        {.op = RF_GOSSIP_KEYS_USE, .key = "Zm9vYmFy"},
        {.op = RF_GOSSIP_KEYS_INSTALL},
        {.op = RF_GOSSIP_KEYS_LIST, .key = KEY_A},
        {.op = RF_GOSSIP_KEYS_LIST, .relay_factor = 6},
        {.op = RF_GOSSIP_KEYS_LIST, .timeout_ms = RF_GOSSIP_KEYS_TIMEOUT_MS_MAX + 1},
    };
    keys_file("a", KEY_A, NULL);
    struct node a = file_node("a", NULL, NULL);
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct rf_gossip_keys_report *report = NULL;
        struct rf_error err = {0};
        assert_int_equal(rf_gossip_keys_ask(a.gossip, &requests[i], &report, &err), -EINVAL);
        assert_true(err.text[0] != '\0');
        assert_null(strstr(err.text, KEY_A));
        assert_null(report);
    }
    assert_int_equal(COUNTER(&a, key_requests), 0);
    node_kill(&a);
}

SCENARIO(a_node_that_cannot_write_its_file_says_so_and_changes_nothing)
{
    keys_file("a", KEY_A, NULL);
    struct node a = file_node("a", NULL, NULL);
    const char *folder = fixture_path("gone");
    assert_int_equal(mkdir(folder, 0700), 0);
    char path[256];
    snprintf(path, sizeof(path), "%s/keys", folder);
    file_write(path, "[\"" KEY_A "\"]");
    struct rf_gossip_config *config = node_config("b");
    const char *seed = a.address;
    config->keyring_file = path;
    config->seeds = &seed;
    config->seeds_count = 1;
    struct node b = node_start(config);
    assert_soon(node_members_count(&a) == 2 && node_members_count(&b) == 2);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    struct rf_gossip_keys_report *report = ask(&a, RF_GOSSIP_KEYS_INSTALL, KEY_B);
    assert_int_equal(report->answers_count, 2);
    assert_int_equal(report->errors_count, 1);
    assert_int_equal(node_in(report, "a")->state, RF_GOSSIP_KEYS_DONE);
    assert_int_equal(node_in(report, "b")->state, RF_GOSSIP_KEYS_FAILED);
    assert_contains(node_in(report, "b")->message, "keys': not written: ");
    rf_gossip_keys_report_free(report);
    assert_int_equal(COUNTER(&a, keys), 2);
    assert_int_equal(COUNTER(&b, keys), 1);
    assert_int_equal(log_count("b", "keys_failed operation=install by='a'"), 1);
    node_kill(&b);
    node_kill(&a);
}

SCENARIO(a_node_that_does_not_answer_is_named)
{
    static const char *const names[] = {"a", "b", "c"};
    struct node nodes[3];
    for (int i = 0; i < 3; i++) {
        keys_file(names[i], KEY_A, NULL);
        nodes[i] = file_node(names[i], NULL, i == 0 ? NULL : nodes[0].address);
    }
    assert_soon(node_members_count(&nodes[0]) == 3 && node_members_count(&nodes[1]) == 3);
    node_kill(&nodes[2]);
    uint64_t start_ms = now_ms();
    struct rf_gossip_keys_report *report = ask(&nodes[0], RF_GOSSIP_KEYS_LIST, NULL);
    assert_in_range(now_ms() - start_ms, 3000, 20000); /* serf's time for 3 nodes: 3.2 s */
    assert_int_equal(report->nodes_count, 3);
    assert_int_equal(report->answers_count, 2);
    assert_int_equal(report->errors_count, 0);
    assert_int_equal(node_in(report, "b")->state, RF_GOSSIP_KEYS_DONE);
    assert_int_equal(node_in(report, "c")->state, RF_GOSSIP_KEYS_NO_ANSWER);
    rf_gossip_keys_report_free(report);
    node_kill(&nodes[1]);
    node_kill(&nodes[0]);
}

SCENARIO(without_encryption_every_node_says_so)
{
    struct node a = node_start_at("a", NULL);
    struct node b = node_start_at("b", a.address);
    assert_soon(node_members_count(&a) == 2 && node_members_count(&b) == 2);
    struct rf_gossip_keys_report *report = ask(&a, RF_GOSSIP_KEYS_LIST, NULL);
    assert_int_equal(report->errors_count, 2);
    assert_int_equal(report->keys_count, 0);
    assert_contains(node_in(report, "b")->message, "encryption not enabled");
    rf_gossip_keys_report_free(report);
    struct rf_error err = {0};
    assert_int_equal(rf_gossip_keys_reload(a.gossip, &err), -ENOENT);
    assert_string_equal(err.text, "gossip: this node has no keyring file");
    node_kill(&b);
    node_kill(&a);
}

SCENARIO(keys_without_a_file_change_in_memory)
{
    const struct rf_gossip_key key = {(const uint8_t *)"third key of 16!", 16};
    struct rf_gossip_config *config = node_config("a");
    config->keys = &key;
    config->keys_count = 1;
    struct node a = node_start(config);
    rotate(&a, KEY_C, KEY_B, 1);
    assert_int_equal(log_count("a", "keys_changed operation=use by='a' keys=2 written=no"), 1);
    node_kill(&a);
}

SCENARIO(a_keyring_file_is_read_anew_on_request)
{
    keys_file("a", KEY_A, NULL);
    struct node a = file_node("a", NULL, NULL);
    keys_file("a", KEY_B, KEY_A);
    assert_keys(&a, KEY_A, NULL, 1); /* not by itself */
    assert_int_equal(rf_gossip_keys_reload(a.gossip, NULL), 0);
    assert_keys(&a, KEY_B, KEY_A, 1);
    struct rf_error err = {0};
    file_write(fixture_path("a.keys"), "[\"" KEY_C "\"");
    assert_int_equal(rf_gossip_keys_reload(a.gossip, &err), -EINVAL);
    assert_contains(err.text, "a.keys': line 1: entry 1: the file ends behind it");
    assert_int_equal(chmod(fixture_path("a.keys"), 0644), 0);
    assert_int_equal(rf_gossip_keys_reload(a.gossip, &err), -EACCES);
    assert_keys(&a, KEY_B, KEY_A, 1); /* as it was */
    assert_done(&a, RF_GOSSIP_KEYS_REMOVE, KEY_A, 1);
    assert_true(file_has("a", KEY_B, NULL)); /* what is changed then is whole again */
    node_kill(&a);
}

SCENARIO(a_start_with_wrong_keys_says_what_would_be_right)
{
    const struct rf_gossip_key key = {(const uint8_t *)"third key of 16!", 16};
    struct rf_gossip *gossip = NULL;
    struct rf_error err = {0};
    struct rf_gossip_config *config = node_config("a");
    config->keyring_file = keys_file("a", KEY_A, NULL);
    config->keys = &key;
    config->keys_count = 1;
    assert_int_equal(rf_gossip_start(config, &gossip, &err), -EINVAL);
    assert_contains(err.text, "a key and a keyring file, expected one of them");
    config->keys_count = 0;
    config->keyring_file = fixture_path("none.keys");
    assert_int_equal(rf_gossip_start(config, &gossip, &err), -ENOENT);
    assert_contains(err.text, "gossip: keyring file '");
    assert_contains(err.text, "create it, mode 0600");
    config->keyring_file = keys_file("a", "no key", NULL);
    assert_int_equal(rf_gossip_start(config, &gossip, &err), -EINVAL);
    assert_contains(err.text, "line 1: entry 1: key of 6 characters that is not base64");
}

static void *leave_soon(void *context)
{
    sleep_ms(500);
    return (void *)(intptr_t)rf_gossip_leave(context, 15000);
}

SCENARIO(who_asks_is_told_when_the_node_leaves_meanwhile)
{
    keys_file("a", KEY_A, NULL);
    keys_file("b", KEY_A, NULL);
    struct node a = file_node("a", NULL, NULL);
    struct node b = file_node("b", NULL, a.address);
    assert_soon(node_members_count(&a) == 2);
    node_kill(&b);
    const struct rf_gossip_keys_request request = {.op = RF_GOSSIP_KEYS_LIST, .timeout_ms = 60000};
    struct rf_gossip_keys_report *report = NULL;
    struct rf_error err = {0};
    thread_start(leave_soon, a.gossip);
    assert_int_equal(rf_gossip_keys_ask(a.gossip, &request, &report, &err), -ESHUTDOWN);
    assert_contains(err.text, "the node has left before all had answered");
    assert_int_equal((intptr_t)threads_join(), 0);
    assert_int_equal(rf_gossip_keys_ask(a.gossip, &request, &report, &err), -ESHUTDOWN);
    assert_string_equal(err.text, "gossip: the node has left");
    node_kill(&a);
}

/* Several programs, or people, ask at once; the limit is told, not waited for. */
static atomic_int lists_done;
static atomic_int lists_refused;

static void *ask_list(void *context)
{
    const struct rf_gossip_keys_request request = {.op = RF_GOSSIP_KEYS_LIST, .timeout_ms = 2500};
    struct rf_gossip_keys_report *report = NULL;
    int code = rf_gossip_keys_ask(context, &request, &report, NULL);
    bool is_right = code == 0 && report->nodes_count == 2 && report->answers_count == 1;
    rf_gossip_keys_report_free(report);
    atomic_fetch_add(&lists_done, is_right);
    atomic_fetch_add(&lists_refused, code == RF_ELIMIT);
    return NULL;
}

SCENARIO(many_may_ask_at_once_and_others_are_served_meanwhile)
{
    enum { ASKERS = 7 };
    keys_file("a", KEY_A, NULL);
    keys_file("b", KEY_A, NULL);
    struct node a = file_node("a", NULL, NULL);
    struct node b = file_node("b", NULL, a.address);
    assert_soon(node_members_count(&a) == 2);
    node_kill(&b); /* so that all wait for their time-out */
    atomic_store(&lists_done, 0);
    atomic_store(&lists_refused, 0);
    for (int i = 0; i < ASKERS; i++) {
        thread_start(ask_list, a.gossip);
    }
    sleep_ms(300);
    assert_int_equal(node_members_count(&a), 2);
    assert_int_equal(atomic_load(&lists_done), 0); /* they wait still */
    (void)threads_join();
    assert_int_equal(atomic_load(&lists_done), 4);
    assert_int_equal(atomic_load(&lists_refused), ASKERS - 4);
    node_kill(&a);
}

/* ---- under load ---- */

enum { LOAD_NODES_MAX = 6 };
static struct {
    struct node nodes[LOAD_NODES_MAX];
    size_t nodes_count;
    atomic_uint updates;
} load;

/* Each change of tags is gossip of everybody, and members that come and go are streams. */
static void *make_load(void *context)
{
    (void)context;
    for (unsigned i = 0; !atomic_load(&beside.is_over); i++) {
        char value[400];
        memset(value, 'a' + (int)(i % 26), sizeof(value) - 1);
        value[sizeof(value) - 1] = '\0';
        const struct rf_gossip_tag tags[] = {{"load", value}};
        if (rf_gossip_set_tags(load.nodes[i % load.nodes_count].gossip, tags, 1, NULL) == 0) {
            atomic_fetch_add(&load.updates, 1);
        }
        sleep_ms(5);
    }
    return NULL;
}

static void load_start(const struct node *nodes, size_t nodes_count)
{
    assert_true(nodes_count <= LOAD_NODES_MAX);
    memcpy(load.nodes, nodes, nodes_count * sizeof(nodes[0]));
    load.nodes_count = nodes_count;
    atomic_store(&load.updates, 0);
    thread_start(make_load, NULL);
}

SCENARIO(keys_change_under_load_without_a_member_lost)
{
    enum { NODES = 6, ROTATIONS = 4 };
    static const char *const names[NODES] = {"a", "b", "c", "d", "e", "f"};
    static const char *const keys[] = {KEY_A, KEY_B, KEY_C};
    struct node nodes[NODES];
    char label[RF_GOSSIP_LABEL_SIZE_MAX + 1];
    memset(label, 'l', RF_GOSSIP_LABEL_SIZE_MAX); /* the least room that a packet can have */
    label[RF_GOSSIP_LABEL_SIZE_MAX] = '\0';
    for (int i = 0; i < NODES; i++) {
        keys_file(names[i], keys[0], NULL);
        nodes[i] = file_node(names[i], label, i == 0 ? NULL : nodes[0].address);
    }
    for (int i = 0; i < NODES; i++) {
        assert_eventually(node_members_count(&nodes[i]) == NODES);
    }
    load_start(nodes, NODES);
    for (int i = 0; i < ROTATIONS; i++) {
        const struct node *node = &nodes[i % NODES];
        assert_done(node, RF_GOSSIP_KEYS_INSTALL, keys[(i + 1) % 3], NODES);
        assert_done(node, RF_GOSSIP_KEYS_USE, keys[(i + 1) % 3], NODES);
        assert_done(node, RF_GOSSIP_KEYS_REMOVE, keys[i % 3], NODES);
        char address[64];
        snprintf(address, sizeof(address), "%s", nodes[0].address);
        keys_file("guest", keys[(i + 1) % 3], NULL);
        struct node guest = file_node("guest", label, address);
        assert_eventually(node_members_count(&guest) == NODES + 1);
        node_leave(&guest);
        /* Else it would be waited for. Under so much gossip one may miss the news until its next
         * push/pull, after 30 s at most; who never heard of the guest need not hear that it left.
         */
        for (int j = 0; j < NODES; j++) {
            assert_within_ms(45000, !node_sees(&nodes[j], "guest", RF_MEMBER_ALIVE) &&
                                        !node_sees(&nodes[j], "guest", RF_MEMBER_LEAVING));
        }
    }
    (void)threads_join();
    assert_true(atomic_load(&load.updates) >= 100);
    for (int i = 0; i < NODES; i++) {
        /* The guest has gone; who missed that it meant to takes it for failed. */
        assert_int_equal(log_count(names[i], "member_failed"),
                         log_count(names[i], "member_failed name='guest'"));
        assert_int_equal(node_status(&nodes[i]).alive_count, NODES);
        assert_true(file_has(names[i], keys[ROTATIONS % 3], NULL));
    }
    for (int i = 0; i < NODES; i++) {
        node_kill(&nodes[i]);
    }
}

/* ---- among serf agents ---- */

static struct agent file_agent(const char *name, const char *seed)
{
    char file[64];
    char keyring[256];
    char join[96];
    snprintf(file, sizeof(file), "%s.keys", name);
    snprintf(keyring, sizeof(keyring), "-keyring-file=%s", fixture_path(file));
    snprintf(join, sizeof(join), "-join=%s", seed);
    return agent_start(name, seed == NULL ? ARGUMENTS(keyring) : ARGUMENTS(keyring, join));
}

/* `serf keys OPTION` on the agent; returns its exit status, and *ret_output, to be freed. */
static int agent_keys(const struct agent *agent, const char *option, char **ret_output)
{
    char rpc[96];
    snprintf(rpc, sizeof(rpc), "-rpc-addr=%s", agent->rpc);
    return run(30000, ret_output, ARGUMENTS("serf", "keys", rpc, option));
}

/* As ask_all, until every node has done it. Returns the output, to be freed. */
static char *agent_keys_of_all(const struct agent *agent, const char *option)
{
    char *output = NULL;
    int status = agent_keys(agent, option, &output);
    for (int i = 0; i < 10 && status != 0; i++) {
        free(output);
        status = agent_keys(agent, option, &output);
    }
    if (status != 0) {
        fail_msg("serf keys %s: %s", option, output);
    }
    return output;
}

static void assert_agent_keys(const struct agent *agent, const char *option)
{
    free(agent_keys_of_all(agent, option));
}

struct mixed {
    struct node nodes[2];
    struct agent agents[3];
};

static void mixed_start(struct mixed *mixed)
{
    static const char *const agents[] = {"agent-1", "agent-2", "agent-3"};
    static const char *const nodes[] = {"node-1", "node-2"};
    for (int i = 0; i < 3; i++) {
        keys_file(agents[i], KEY_A, NULL);
        mixed->agents[i] = file_agent(agents[i], i == 0 ? NULL : mixed->agents[0].address);
    }
    for (int i = 0; i < 2; i++) {
        keys_file(nodes[i], KEY_A, NULL);
        mixed->nodes[i] = file_node(nodes[i], NULL, mixed->agents[i + 1].address);
    }
    for (int i = 0; i < 2; i++) {
        assert_eventually(node_members_count(&mixed->nodes[i]) == 5);
    }
    for (int i = 0; i < 3; i++) {
        assert_eventually(agent_members_count(&mixed->agents[i], "alive") == 5);
    }
}

static void mixed_all_have(const struct mixed *mixed, const char *first, const char *second)
{
    for (int i = 0; i < 3; i++) {
        assert_true(file_has(mixed->agents[i].name, first, second));
        assert_int_equal(agent_members_count(&mixed->agents[i], "alive"), 5);
    }
    for (int i = 0; i < 2; i++) {
        assert_true(file_has(mixed->nodes[i].name, first, second));
        assert_int_equal(node_status(&mixed->nodes[i]).alive_count, 5);
        assert_int_equal(log_count(mixed->nodes[i].name, "member_failed"), 0);
    }
}

static void mixed_end(struct mixed *mixed)
{
    for (int i = 0; i < 3; i++) {
        assert_int_equal(log_count(mixed->agents[i].name, "failed to decode"), 0);
        assert_int_equal(log_count(mixed->agents[i].name, "EventMemberFailed"), 0);
    }
    node_kill(&mixed->nodes[1]);
    node_kill(&mixed->nodes[0]);
}

SCENARIO(an_agents_key_commands_act_on_our_nodes)
{
    struct mixed mixed;
    mixed_start(&mixed);
    assert_agent_keys(&mixed.agents[0], "-install=" KEY_B);
    mixed_all_have(&mixed, KEY_A, KEY_B);
    assert_agent_keys(&mixed.agents[1], "-use=" KEY_B);
    mixed_all_have(&mixed, KEY_B, KEY_A);
    sleep_ms(3000); /* probes, all with the new key */
    assert_agent_keys(&mixed.agents[2], "-remove=" KEY_A);
    mixed_all_have(&mixed, KEY_B, NULL);
    char *output = agent_keys_of_all(&mixed.agents[0], "-list");
    assert_contains(output, KEY_B "  [5/5]");
    assert_null(strstr(output, KEY_A));
    free(output);
    sleep_ms(3000);
    mixed_all_have(&mixed, KEY_B, NULL);
    mixed_end(&mixed);
}

SCENARIO(our_key_requests_act_on_agents)
{
    struct mixed mixed;
    mixed_start(&mixed);
    assert_done(&mixed.nodes[0], RF_GOSSIP_KEYS_INSTALL, KEY_B, 5);
    assert_keys(&mixed.nodes[1], KEY_A, KEY_B, 5);
    mixed_all_have(&mixed, KEY_A, KEY_B);
    assert_done(&mixed.nodes[1], RF_GOSSIP_KEYS_USE, KEY_B, 5);
    mixed_all_have(&mixed, KEY_B, KEY_A);
    sleep_ms(3000); /* likewise */
    assert_done(&mixed.nodes[0], RF_GOSSIP_KEYS_REMOVE, KEY_A, 5);
    assert_keys(&mixed.nodes[0], KEY_B, NULL, 5);
    sleep_ms(3000);
    mixed_all_have(&mixed, KEY_B, NULL);
    mixed_end(&mixed);
}

/* Asked by an agent and by us in turn, while tags change all the time. */
SCENARIO(keys_change_under_load_among_agents_without_a_member_lost)
{
    static const char *const keys[] = {KEY_A, KEY_B, KEY_C};
    enum { ROTATIONS = 3 };
    struct mixed mixed;
    mixed_start(&mixed);
    load_start(mixed.nodes, 2);
    for (int i = 0; i < ROTATIONS; i++) {
        const struct node *node = &mixed.nodes[i % 2];
        assert_done(node, RF_GOSSIP_KEYS_INSTALL, keys[(i + 1) % 3], 5);
        assert_done(node, RF_GOSSIP_KEYS_USE, keys[(i + 1) % 3], 5);
        sleep_ms(500); /* probes and gossip on the way with the key before */
        char option[64];
        snprintf(option, sizeof(option), "-remove=%s", keys[i % 3]);
        assert_agent_keys(&mixed.agents[i % 3], option);
    }
    (void)threads_join();
    assert_true(atomic_load(&load.updates) >= 50);
    assert_keys(&mixed.nodes[0], keys[ROTATIONS % 3], NULL, 5);
    mixed_all_have(&mixed, keys[ROTATIONS % 3], NULL);
    mixed_end(&mixed);
}

/* `serf keys OPTION`, which all five nodes refuse, until all have heard of it: gossip may miss one.
 * Returns the output, to be freed. */
static char *agent_keys_refused(const struct agent *agent, const char *option)
{
    char *output = NULL;
    for (int i = 0; i < 10 && (output == NULL || strstr(output, "5/5") == NULL); i++) {
        free(output);
        assert_int_equal(agent_keys(agent, option, &output), 1);
    }
    assert_contains(output, "5/5 nodes reported failure");
    return output;
}

SCENARIO(failures_are_told_to_the_other_side_in_both_directions)
{
    struct mixed mixed;
    mixed_start(&mixed);
    char *output = agent_keys_refused(&mixed.agents[0], "-remove=" KEY_A);
    assert_contains(output, "the key is the primary one, use another first"); /* ours */
    assert_contains(output, "node-1");
    free(output);
    free(agent_keys_refused(&mixed.agents[0], "-use=" KEY_UNKNOWN));
    struct rf_gossip_keys_report *report = NULL;
    for (int i = 0; i < 10 && (report == NULL || report->answers_count < 5); i++) {
        rf_gossip_keys_report_free(report);
        report = ask(&mixed.nodes[0], RF_GOSSIP_KEYS_REMOVE, KEY_A);
    }
    assert_int_equal(report->answers_count, 5);
    assert_int_equal(report->errors_count, 5);
    assert_contains(node_in(report, "agent-2")->message, "primary key");
    rf_gossip_keys_report_free(report);
    assert_keys(&mixed.nodes[0], KEY_A, NULL, 5);
    mixed_end(&mixed);
}

SCENARIO(files_are_interchangeable_with_serfs)
{
    keys_file("agent", KEY_A, NULL);
    keys_file("node", KEY_A, NULL);
    struct agent agent = file_agent("agent", NULL);
    struct node node = file_node("node", NULL, agent.address);
    assert_soon(node_members_count(&node) == 2);
    assert_soon(agent_members_count(&agent, "alive") == 2);
    assert_agent_keys(&agent, "-install=" KEY_B);
    agent_stop_gracefully(&agent);
    node_leave(&node);
    /* Each starts from what the other has written. */
    char other[128];
    snprintf(other, sizeof(other), "%s", fixture_path("swap"));
    assert_int_equal(rename(fixture_path("agent.keys"), other), 0);
    assert_int_equal(rename(fixture_path("node.keys"), fixture_path("agent.keys")), 0);
    assert_int_equal(rename(other, fixture_path("node.keys")), 0);
    agent = file_agent("agent", NULL);
    node = file_node("node", NULL, agent.address);
    assert_soon(node_status(&node).alive_count == 2);
    assert_keys(&node, KEY_A, KEY_B, 2);
    node_kill(&node);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest own[] = {
        scenario_test(a_rotation_reaches_every_node_and_its_file),
        scenario_test(what_a_node_refuses_is_told_with_its_name_and_changes_nothing),
        scenario_test(a_request_that_cannot_be_is_refused_before_anybody_is_asked),
        scenario_test(a_node_that_cannot_write_its_file_says_so_and_changes_nothing),
        scenario_test(a_node_that_does_not_answer_is_named),
        scenario_test(without_encryption_every_node_says_so),
        scenario_test(keys_without_a_file_change_in_memory),
        scenario_test(a_keyring_file_is_read_anew_on_request),
        scenario_test(a_start_with_wrong_keys_says_what_would_be_right),
        scenario_test(who_asks_is_told_when_the_node_leaves_meanwhile),
        scenario_test(many_may_ask_at_once_and_others_are_served_meanwhile),
        scenario_test(keys_change_under_load_without_a_member_lost),
    };
    const struct CMUnitTest serf[] = {
        scenario_test(an_agents_key_commands_act_on_our_nodes),
        scenario_test(our_key_requests_act_on_agents),
        scenario_test(keys_change_under_load_among_agents_without_a_member_lost),
        scenario_test(failures_are_told_to_the_other_side_in_both_directions),
        scenario_test(files_are_interchangeable_with_serfs),
    };
    if (argc > 1 && strcmp(argv[1], "serf") == 0) {
        fixture_need_serf();
        return cmocka_run_group_tests(serf, NULL, NULL);
    }
    return cmocka_run_group_tests(own, NULL, NULL);
}
