/* SPDX-License-Identifier: MIT
 *
 * test_client.c - libregfast against a real server. `test_client uring` and `test_client epoll`
 * say with which engine.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/regfast.h"
#include "tests/support/served.h"

static enum rf_io io;
static struct served served;
static struct regfast_client *client;
static char error[REGFAST_ERROR_SIZE];

static int setup(void **state)
{
    (void)state;
    struct rf_error err;
    if (served_start(&served, NULL, io, &err) < 0) {
        return -1;
    }
    served_put_standard(&served);
    served_publish(&served);
    error[0] = '\0';
    return regfast_open(served.addr, NULL, &client, error, sizeof(error));
}

static int teardown(void **state)
{
    (void)state;
    regfast_close(client);
    served_stop(&served);
    return 0;
}

/* What the catalog itself says. */
static const char *expected_owner(const char *group, const void *key, size_t key_size)
{
    const struct rf_catalog *catalog = rf_catalog_of(rf_publisher_current(&served.publisher));
    const struct rf_group *found = rf_catalog_group(catalog, group, strlen(group));
    assert_non_null(found);
    uint64_t hash = rf_placement_hash(catalog->placement, key, key_size);
    const struct rf_member *owner = rf_group_owner(found, hash);
    return owner != NULL ? owner->id : "nobody";
}

static void client_matches_as_the_catalog_does(void **state)
{
    (void)state;
    struct regfast_owner owner;
    for (int i = 0; i < 1000; i++) {
        char key[16];
        size_t size = (size_t)snprintf(key, sizeof(key), "user:%d", i);
        assert_int_equal(regfast_match(client, "web", key, size, &owner, error, sizeof(error)), 0);
        assert_string_equal(owner.id, expected_owner("web", key, size));
        assert_memory_equal(owner.addr, "10.0.0.", 7);
        assert_true(owner.version > 1);
    }
    assert_int_equal(regfast_match(client, "web", NULL, 0, &owner, NULL, 0), 0);
    assert_string_equal(owner.id, expected_owner("web", "", 0));
    assert_string_equal(regfast_server(client), served.addr);
}

static void client_matches_many_keys_in_one_call_and_in_several_requests(void **state)
{
    (void)state;
    enum { KEYS_COUNT = 5000 };
    static char texts[KEYS_COUNT][32];
    static struct regfast_key keys[KEYS_COUNT];
    static struct regfast_owner owners[KEYS_COUNT];
    for (size_t i = 0; i < KEYS_COUNT; i++) {
        keys[i].size = (size_t)snprintf(texts[i], sizeof(texts[i]), "many:%zu", i);
        keys[i].data = texts[i];
    }
    assert_int_equal(
        regfast_match_many(client, "web", keys, KEYS_COUNT, owners, error, sizeof(error)), 0);
    for (size_t i = 0; i < KEYS_COUNT; i++) {
        assert_string_equal(owners[i].id, expected_owner("web", keys[i].data, keys[i].size));
    }
    assert_int_equal(regfast_match_many(client, "web", keys, 0, owners, NULL, 0), 0);
    assert_int_equal(regfast_match_many(client, "web", NULL, 0, NULL, NULL, 0), 0);
    assert_int_equal(regfast_match_many(client, "web", keys, 1, NULL, NULL, 0), -EINVAL);
}

static void client_matches_keys_of_the_largest_size(void **state)
{
    (void)state;
    char *large = calloc(1, REGFAST_KEY_SIZE_MAX + 1);
    assert_non_null(large);
    const struct regfast_key keys[] = {
        {large, REGFAST_KEY_SIZE_MAX}, {"a", 1}, {large, REGFAST_KEY_SIZE_MAX}};
    struct regfast_owner owners[3];
    assert_int_equal(regfast_match_many(client, "web", keys, 3, owners, error, sizeof(error)), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(owners[i].id, expected_owner("web", keys[i].data, keys[i].size));
    }
    assert_int_equal(regfast_owners(client, "web", large, REGFAST_KEY_SIZE_MAX, 1, owners, NULL, 0),
                     1);
    assert_int_equal(
        regfast_match(client, "web", large, REGFAST_KEY_SIZE_MAX + 1, owners, error, sizeof(error)),
        -EINVAL);
    assert_string_equal(error, "key of 65265 bytes: allowed 0..65264");
    free(large);
}

static void client_owners_are_distinct_and_begin_with_the_match(void **state)
{
    (void)state;
    struct regfast_owner owners[10];
    struct regfast_owner owner;
    assert_int_equal(regfast_owners(client, "web", "alice", 5, 10, owners, error, sizeof(error)),
                     3);
    assert_int_equal(regfast_match(client, "web", "alice", 5, &owner, NULL, 0), 0);
    assert_string_equal(owners[0].id, owner.id);
    assert_string_not_equal(owners[0].id, owners[1].id);
    assert_string_not_equal(owners[1].id, owners[2].id);
    assert_string_not_equal(owners[0].id, owners[2].id);
    assert_int_equal(regfast_owners(client, "web", "alice", 5, 2, owners, NULL, 0), 2);
    assert_int_equal(regfast_owners(client, "web", "alice", 5, 0, owners, NULL, 0), -EINVAL);
    assert_int_equal(regfast_owners(client, "web", "alice", 5, 1025, owners, error, sizeof(error)),
                     -EINVAL);
    assert_string_equal(error, "1025 owners: allowed 1..1024");
}

static void client_lists_members_with_their_states(void **state)
{
    (void)state;
    struct regfast_member_list *list;
    assert_int_equal(regfast_members(client, "web", &list, error, sizeof(error)), 0);
    assert_int_equal(list->count, 4);
    assert_string_equal(list->members[0].id, "web-1");
    assert_string_equal(list->members[2].addr, "10.0.0.3:80");
    assert_int_equal(list->members[2].replicas, 300);
    assert_int_equal(list->members[2].state, REGFAST_MEMBER_LEAVING);
    assert_string_equal(regfast_member_state_name(list->members[3].state), "failed");
    assert_true(list->version > 1 && list->digest != 0);
    regfast_member_list_free(list);

    /* A group that all have left is still a group, but has nobody to match. */
    struct regfast_owner owner;
    assert_int_equal(regfast_members(client, "gone", &list, NULL, 0), 0);
    assert_int_equal(list->count, 1);
    assert_int_equal(list->members[0].state, REGFAST_MEMBER_LEFT);
    regfast_member_list_free(list);
    assert_int_equal(regfast_match(client, "gone", "k", 1, &owner, NULL, 0), REGFAST_ENOTFOUND);
}

static void client_lists_of_many_pages_are_whole_and_in_order(void **state)
{
    (void)state;
    enum { MEMBERS_COUNT = 3000 };
    char id[32];
    char addr[200];
    memset(addr, 'a', sizeof(addr) - 1); /* long ones: more pages */
    addr[sizeof(addr) - 1] = '\0';
    for (int i = 0; i < MEMBERS_COUNT; i++) {
        (void)snprintf(id, sizeof(id), "big-%05d", i);
        served_put(&served, "big", id, addr, 1, RF_MEMBER_ALIVE);
        (void)snprintf(id, sizeof(id), "solo-%05d", i);
        served_put(&served, id, id, "s", 1, RF_MEMBER_ALIVE);
    }
    served_publish(&served);
    struct regfast_member_list *members;
    assert_int_equal(regfast_members(client, "big", &members, error, sizeof(error)), 0);
    assert_int_equal(members->count, MEMBERS_COUNT);
    for (int i = 0; i < MEMBERS_COUNT; i++) {
        (void)snprintf(id, sizeof(id), "big-%05d", i);
        assert_string_equal(members->members[i].id, id);
        assert_string_equal(members->members[i].addr, addr);
    }
    regfast_member_list_free(members);

    struct regfast_group_list *groups;
    assert_int_equal(regfast_groups(client, &groups, error, sizeof(error)), 0);
    assert_int_equal(groups->count, MEMBERS_COUNT + 3); /* big, gone, solo-..., web */
    assert_string_equal(groups->groups[0].name, "big");
    assert_int_equal(groups->groups[0].alive_count, MEMBERS_COUNT);
    assert_string_equal(groups->groups[2].name, "solo-00000");
    assert_string_equal(groups->groups[MEMBERS_COUNT + 2].name, "web");
    assert_int_equal(groups->groups[MEMBERS_COUNT + 2].members_count, 4);
    assert_int_equal(groups->groups[MEMBERS_COUNT + 2].alive_count, 3);
    regfast_group_list_free(groups);
}

static const struct regfast_info *find_info(const struct regfast_info_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->entries[i].name, name) == 0) {
            return &list->entries[i];
        }
    }
    fail_msg("no '%s' in info", name);
    return NULL;
}

static void client_info_says_what_the_document_promises(void **state)
{
    (void)state;
    struct regfast_info_list *list;
    char digest[32];
    const struct rf_catalog *catalog = rf_catalog_of(rf_publisher_current(&served.publisher));
    (void)snprintf(digest, sizeof(digest), "%016llx", (unsigned long long)catalog->digest);
    assert_int_equal(regfast_info(client, &list, error, sizeof(error)), 0);
    assert_string_equal(find_info(list, "program_version")->text, RF_VERSION);
    assert_int_equal(find_info(list, "version")->number, catalog->version);
    assert_string_equal(find_info(list, "digest")->text, digest);
    assert_string_equal(find_info(list, "engine")->text, rf_server_engine_name(served.server));
    assert_string_equal(find_info(list, "placement")->text, "v1");
    assert_int_equal(find_info(list, "members")->type, REGFAST_INFO_U64);
    assert_int_equal(find_info(list, "members")->number, 5);
    regfast_info_list_free(list);
}

static void client_pings_and_says_how_long_it_took(void **state)
{
    (void)state;
    uint64_t time_ns = 0;
    assert_int_equal(regfast_ping(client, &time_ns, error, sizeof(error)), 0);
    assert_true(time_ns > 0);
    assert_int_equal(regfast_ping(client, NULL, NULL, 0), 0);
}

static void client_errors_name_server_and_group_and_leave_the_answer_alone(void **state)
{
    (void)state;
    struct regfast_owner owner;
    struct regfast_owner before;
    memset(&owner, 0x5a, sizeof(owner));
    before = owner;
    assert_int_equal(regfast_match(client, "nowhere", "k", 1, &owner, error, sizeof(error)),
                     REGFAST_ENOTFOUND);
    assert_memory_equal(&owner, &before, sizeof(owner));
    assert_memory_equal(error, "group 'nowhere': ", 17);
    assert_non_null(strstr(error, served.addr));
    struct regfast_member_list *list = NULL;
    assert_int_equal(regfast_members(client, "nowhere", &list, NULL, 0), REGFAST_ENOTFOUND);
    assert_null(list);
    /* The connection goes on. */
    assert_int_equal(regfast_match(client, "web", "k", 1, &owner, NULL, 0), 0);
}

static void client_refuses_bad_arguments_with_a_text(void **state)
{
    (void)state;
    struct regfast_owner owner;
    char name[300];
    memset(name, 'g', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(regfast_match(NULL, "web", "k", 1, &owner, error, sizeof(error)), -EINVAL);
    assert_string_equal(error, "the client is NULL");
    assert_int_equal(regfast_match(client, "", "k", 1, &owner, error, sizeof(error)), -EINVAL);
    assert_int_equal(regfast_match(client, NULL, "k", 1, &owner, NULL, 0), -EINVAL);
    assert_int_equal(regfast_match(client, name, "k", 1, &owner, error, sizeof(error)), -EINVAL);
    assert_string_equal(error, "group name is too long: allowed 1..255 bytes");
    assert_int_equal(regfast_match(client, "web", NULL, 1, &owner, NULL, 0), -EINVAL);
    assert_int_equal(regfast_match(client, "web", "k", 1, NULL, NULL, 0), -EINVAL);
    assert_int_equal(regfast_groups(client, NULL, NULL, 0), -EINVAL);
    assert_int_equal(regfast_info(client, NULL, NULL, 0), -EINVAL);
    /* A text is cut at the caller's buffer. */
    char small[5];
    assert_int_equal(regfast_match(NULL, "web", "k", 1, &owner, small, sizeof(small)), -EINVAL);
    assert_string_equal(small, "the ");
}

static void client_finds_the_registry_again_after_it_restarted(void **state)
{
    (void)state;
    struct regfast_owner owner;
    char addr[sizeof(served.addr)];
    assert_int_equal(regfast_match(client, "web", "k", 1, &owner, error, sizeof(error)), 0);
    memcpy(addr, served.addr, sizeof(addr));
    served_stop(&served);
    assert_int_equal(regfast_match(client, "web", "k", 1, &owner, error, sizeof(error)),
                     REGFAST_EUNAVAILABLE);
    assert_memory_equal(error, addr, strlen(addr));
    struct rf_error err;
    assert_int_equal(served_start(&served, addr, io, &err), 0);
    served_put_standard(&served);
    served_publish(&served);
    assert_int_equal(regfast_match(client, "web", "k", 1, &owner, error, sizeof(error)), 0);
}

static void client_goes_to_the_next_registry_when_its_own_ends(void **state)
{
    (void)state;
    struct served other;
    struct rf_error err;
    const struct regfast_options options = {.size = sizeof(options), .in_order = 1};
    struct regfast_client *both;
    struct regfast_owner owner;
    char registries[80];
    assert_int_equal(served_start(&other, NULL, io, &err), 0);
    served_put(&other, "web", "other", "o", 1, RF_MEMBER_ALIVE);
    served_publish(&other);
    (void)snprintf(registries, sizeof(registries), "%s,%s", other.addr, served.addr);
    assert_int_equal(regfast_open(registries, &options, &both, error, sizeof(error)), 0);
    assert_int_equal(regfast_match(both, "web", "k", 1, &owner, error, sizeof(error)), 0);
    assert_string_equal(owner.id, "other");
    served_stop(&other);
    assert_int_equal(regfast_match(both, "web", "k", 1, &owner, error, sizeof(error)), 0);
    assert_string_equal(owner.id, expected_owner("web", "k", 1));
    assert_string_equal(regfast_server(both), served.addr);
    regfast_close(both);
}

static uint64_t info_number(const char *name)
{
    struct regfast_info_list *list;
    uint64_t number = UINT64_MAX;
    assert_int_equal(regfast_info(client, &list, error, sizeof(error)), 0);
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->entries[i].name, name) == 0) {
            number = list->entries[i].number;
        }
    }
    regfast_info_list_free(list);
    return number;
}

/* On one connection each would get the other's replies. */
static void client_in_a_child_process_has_a_connection_of_its_own(void **state)
{
    (void)state;
    struct regfast_owner owner;
    assert_int_equal(regfast_match(client, "web", "k", 1, &owner, error, sizeof(error)), 0);
    pid_t child = fork();
    if (child == 0) {
        int code = regfast_match(client, "web", "k", 1, &owner, NULL, 0);
        _exit(code < 0 ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(info_number("connections_accepted"), 2);
}

struct churn {
    pthread_t thread;
    atomic_bool is_done;
};

static void *churn(void *argument)
{
    struct churn *control = argument;
    for (unsigned i = 0; !atomic_load(&control->is_done); i++) {
        served_put(&served, "web", "web-9", (i & 1) != 0 ? "a" : "b", 1, RF_MEMBER_ALIVE);
        served_publish(&served);
    }
    return NULL;
}

static void client_lists_are_of_one_version_while_the_group_changes(void **state)
{
    (void)state;
    struct churn control = {.is_done = false};
    assert_int_equal(pthread_create(&control.thread, NULL, churn, &control), 0);
    for (int i = 0; i < 50; i++) {
        struct regfast_member_list *list;
        int code = regfast_members(client, "web", &list, error, sizeof(error));
        assert_int_equal(code, 0); /* one page */
        assert_true(list->count == 4 || list->count == 5);
        regfast_member_list_free(list);
    }
    atomic_store(&control.is_done, true);
    assert_int_equal(pthread_join(control.thread, NULL), 0);
}

int main(int argc, char **argv)
{
    struct rf_error err;
    if (argc != 2 || rf_io_parse(argv[1], &io, &err) < 0) {
        fprintf(stderr, "usage: test_client uring|epoll\n");
        return 2;
    }
    int code = served_start(&served, NULL, io, &err);
    if (code < 0) {
        fprintf(stderr, "%s\n", err.text);
        return io == RF_IO_URING ? 77 : 1; /* this kernel or container has no io_uring */
    }
    served_stop(&served);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(client_matches_as_the_catalog_does, setup, teardown),
        cmocka_unit_test_setup_teardown(
            client_matches_many_keys_in_one_call_and_in_several_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(client_matches_keys_of_the_largest_size, setup, teardown),
        cmocka_unit_test_setup_teardown(client_owners_are_distinct_and_begin_with_the_match, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(client_lists_members_with_their_states, setup, teardown),
        cmocka_unit_test_setup_teardown(client_lists_of_many_pages_are_whole_and_in_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(client_info_says_what_the_document_promises, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(client_pings_and_says_how_long_it_took, setup, teardown),
        cmocka_unit_test_setup_teardown(
            client_errors_name_server_and_group_and_leave_the_answer_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(client_refuses_bad_arguments_with_a_text, setup, teardown),
        cmocka_unit_test_setup_teardown(client_finds_the_registry_again_after_it_restarted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(client_goes_to_the_next_registry_when_its_own_ends, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(client_in_a_child_process_has_a_connection_of_its_own,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(client_lists_are_of_one_version_while_the_group_changes,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
