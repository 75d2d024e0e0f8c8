/* SPDX-License-Identifier: MIT
 *
 * The driver when memory is short: linked with --wrap for the allocators.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/regfast.h"
#include "core/random.h"
#include "fixture.h"
#include "nodes.h"

/* The linker's --wrap gives these names. NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *pointer, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *pointer, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

/* On the test's thread one chosen allocation fails; on the nodes' threads one in so many. */
static _Thread_local bool is_test_thread;
static _Thread_local size_t fails_in; /* counted down; 0: none */
static _Thread_local struct rf_random dice;
static atomic_uint fails_one_of; /* 0: none */
static atomic_uint failures_count;

static bool fails_now(void)
{
    if (is_test_thread) {
        return fails_in > 0 && --fails_in == 0;
    }
    unsigned one_of = atomic_load(&fails_one_of);
    if (one_of == 0 || rf_random_below(&dice, one_of) != 0) {
        return false;
    }
    atomic_fetch_add(&failures_count, 1);
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *pointer, size_t size)
{
    return fails_now() ? NULL : __real_realloc(pointer, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails_now() ? NULL : __real_aligned_alloc(alignment, size);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static size_t descriptors_count(void)
{
    DIR *directory = opendir("/proc/self/fd");
    size_t count = 0;
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

SCENARIO(a_start_that_lacks_memory_anywhere_fails_and_leaves_nothing_behind)
{
    struct rf_gossip_config *config = node_config("a");
    const struct rf_gossip_tag tags[] = {{"group", "web"}};
    const struct rf_gossip_key keys[] = {{(const uint8_t *)"0123456789abcdef", 16}};
    const char *seed = "127.0.0.1:7370";
    config->tags = tags;
    config->tags_count = 1;
    config->keys = keys;
    config->keys_count = 1;
    config->seeds = &seed;
    config->seeds_count = 1;
    config->has_consumer = true;
    size_t descriptors = descriptors_count();
    size_t number = 1;
    for (;; number++) {
        struct rf_gossip *gossip = NULL;
        struct rf_error err = {0};
        fails_in = number;
        int code = rf_gossip_start(config, &gossip, &err);
        bool has_failed = fails_in == 0;
        fails_in = 0;
        if (code == 0) {
            rf_gossip_free(gossip);
        } else {
            assert_int_equal(code, -ENOMEM);
            assert_null(gossip);
            assert_true(err.text[0] != '\0');
        }
        assert_int_equal(descriptors_count(), descriptors);
        if (!has_failed) {
            assert_int_equal(code, 0);
            break;
        }
    }
    assert_in_range(number, 8, 1000);
}

SCENARIO(a_registration_that_lacks_memory_anywhere_fails_and_leaves_nothing_behind)
{
    char bind[64];
    snprintf(bind, sizeof(bind), "%s:0", fixture_host());
    const struct regfast_register_options options = {
        .size = sizeof(options),
        .id = "web-1",
        .group = "web",
        .addr = "10.0.0.1:80",
        .registries = "127.0.0.1:7370",
        .bind = bind,
    };
    size_t descriptors = descriptors_count();
    for (size_t number = 1;; number++) {
        struct regfast_registration *registration = NULL;
        char error[REGFAST_ERROR_SIZE] = "";
        fails_in = number;
        int code = regfast_register(&options, &registration, error, sizeof(error));
        bool has_failed = fails_in == 0;
        fails_in = 0;
        assert_true(code == 0 || (code == -ENOMEM && error[0] != '\0'));
        regfast_registration_free(registration);
        assert_int_equal(descriptors_count(), descriptors);
        if (!has_failed) {
            assert_int_equal(code, 0);
            break;
        }
    }
}

SCENARIO(calls_that_lack_memory_say_so_and_work_the_next_time)
{
    struct node a = node_start_at("a", NULL);
    struct rf_gossip_members *members = NULL;
    struct rf_gossip_status status;
    struct rf_error err = {0};
    fails_in = 1;
    assert_int_equal(rf_gossip_members(a.gossip, &members), -ENOMEM);
    fails_in = 1;
    assert_int_equal(rf_gossip_get_status(a.gossip, &status), -ENOMEM);
    fails_in = 1;
    assert_int_equal(rf_gossip_set_tags(a.gossip, NULL, 0, &err), -ENOMEM);
    assert_string_equal(err.text, "gossip: memory for tags");
    atomic_store(&fails_one_of, 1);
    assert_int_equal(rf_gossip_members(a.gossip, &members), -ENOMEM);
    atomic_store(&fails_one_of, 0);
    assert_null(members);
    assert_int_equal(node_members_count(&a), 1);
    node_kill(&a);
}

/* Takes all events; returns whether NAME is alive by the last one that says something of it. */
static bool consumer_sees(const struct node *node, const char *name, bool *is_alive)
{
    struct rf_gossip_event *event;
    while ((event = rf_gossip_event_next(node->gossip)) != NULL) {
        for (size_t i = 0; i < event->members.count; i++) {
            if (strcmp(event->members.items[i].name, name) == 0) {
                *is_alive = event->members.items[i].state == RF_MEMBER_ALIVE;
            }
        }
        rf_gossip_event_free(event);
    }
    return *is_alive;
}

SCENARIO(nodes_that_lack_memory_for_a_while_find_together_afterwards)
{
    struct rf_gossip_config *config = node_config("a");
    config->has_consumer = true;
    struct node a = node_start(config);
    struct node b = node_start_at("b", a.address);
    assert_soon(node_sees(&a, "b", RF_MEMBER_ALIVE));
    bool is_alive = false;
    assert_soon(consumer_sees(&a, "b", &is_alive));
    atomic_store(&fails_one_of, 3);
    struct node c = node_start_at("c", b.address);
    char value[16];
    const struct rf_gossip_tag tags[] = {{"n", value}};
    for (int i = 0; i < 200; i++) {
        snprintf(value, sizeof(value), "%d", i);
        (void)!rf_gossip_set_tags(b.gossip, tags, 1, NULL); /* may say -ENOMEM */
        (void)consumer_sees(&a, "c", &is_alive);
        sleep_ms(10);
    }
    atomic_store(&fails_one_of, 0);
    assert_true(atomic_load(&failures_count) > 10);
    assert_int_equal(rf_gossip_set_tags(b.gossip, tags, 1, NULL), 0);
    assert_within_ms(60000, node_sees_tag(&a, "b", "n", value));
    assert_within_ms(60000, node_sees(&a, "c", RF_MEMBER_ALIVE));
    assert_within_ms(60000, node_sees(&c, "b", RF_MEMBER_ALIVE));
    is_alive = false;
    (void)consumer_sees(&a, "c", &is_alive);
    const struct rf_gossip_tag last[] = {{"n", "last"}};
    assert_int_equal(rf_gossip_set_tags(c.gossip, last, 1, NULL), 0);
    assert_soon(consumer_sees(&a, "c", &is_alive));
    node_kill(&c);
    node_kill(&b);
    node_kill(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scenario_test(a_start_that_lacks_memory_anywhere_fails_and_leaves_nothing_behind),
        scenario_test(a_registration_that_lacks_memory_anywhere_fails_and_leaves_nothing_behind),
        scenario_test(calls_that_lack_memory_say_so_and_work_the_next_time),
        scenario_test(nodes_that_lack_memory_for_a_while_find_together_afterwards),
    };
    is_test_thread = true;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
