/* SPDX-License-Identifier: MIT
 *
 * The whole registry on real services: serf agents, members through libregfast, and clients.
 * Arguments: the part to run, the engine, the programs registry and regctl: see main.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/regfast.h"
#include "fixture.h"

static const char *flap_hold = "600";
static const char *io;
static const char *registry_program;
static const char *regctl_program;

struct registry {
    struct process *process;
    char name[64];
    char bind[64]; /* gossip */
    char addr[64]; /* clients */
    struct regfast_client *client;
};

/* ---- the registry and its clients ---- */

static bool registry_answers(struct registry *registry)
{
    return regfast_ping(registry->client, NULL, NULL, 0) == 0;
}

static struct registry registry_start(const char *name, const char *registries)
{
    struct registry registry = {0};
    char error[REGFAST_ERROR_SIZE];
    snprintf(registry.name, sizeof(registry.name), "%s", name);
    snprintf(registry.bind, sizeof(registry.bind), "%s:%u", fixture_host(), fixture_port());
    snprintf(registry.addr, sizeof(registry.addr), "%s:%u", fixture_host(), fixture_port());
    const char *arguments[FIXTURE_ARGUMENTS_MAX] = {registry_program,
                                                    "-id",
                                                    name,
                                                    "-bind",
                                                    registry.bind,
                                                    "-addr",
                                                    registry.addr,
                                                    "-io",
                                                    io,
                                                    "-workers",
                                                    "2",
                                                    "-log-level",
                                                    "info",
                                                    "-flap-hold",
                                                    flap_hold,
                                                    registries != NULL ? "-registries" : NULL,
                                                    registries};
    registry.process = process_start(name, arguments);
    if (regfast_open(registry.addr, NULL, &registry.client, error, sizeof(error)) < 0) {
        fail_msg("%s", error);
    }
    assert_soon(registry_answers(&registry));
    return registry;
}

/* As the service manager does; everything is in order, so the exit status is 0. */
static void registry_stop(struct registry *registry)
{
    regfast_close(registry->client);
    process_signal(registry->process, SIGTERM);
    assert_int_equal(process_wait(registry->process, 20000), 0);
}

static size_t registry_warnings_count(const struct registry *registry)
{
    return log_count(registry->name, " warn ") + log_count(registry->name, " error ");
}

/* Whether KEY of GROUP is given to ID at ADDR (NULL: any). */
static bool matches(const struct registry *registry, const char *group, const char *key,
                    const char *id, const char *addr)
{
    struct regfast_owner owner;
    return regfast_match(registry->client, group, key, strlen(key), &owner, NULL, 0) == 0 &&
           strcmp(owner.id, id) == 0 && (addr == NULL || strcmp(owner.addr, addr) == 0);
}

static bool has_no_owner(const struct registry *registry, const char *group)
{
    struct regfast_owner owner;
    return regfast_match(registry->client, group, "k", 1, &owner, NULL, 0) == REGFAST_ENOTFOUND;
}

/* Whether the group's list has ID in that state, with that weight (0: any). */
static bool lists(const struct registry *registry, const char *group, const char *id,
                  enum regfast_member_state state, uint32_t replicas)
{
    struct regfast_member_list *list = NULL;
    if (regfast_members(registry->client, group, &list, NULL, 0) < 0) {
        return false;
    }
    bool is_listed = false;
    for (size_t i = 0; i < list->count; i++) {
        const struct regfast_member *member = &list->members[i];
        is_listed |= strcmp(member->id, id) == 0 && member->state == state &&
                     (replicas == 0 || member->replicas == replicas);
    }
    regfast_member_list_free(list);
    return is_listed;
}

/* Keys of 1000 that are given to ID. */
static size_t keys_of(const struct registry *registry, const char *group, const char *id)
{
    size_t count = 0;
    for (int i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "user-%d", i);
        count += matches(registry, group, key, id, NULL);
    }
    return count;
}

/* `regctl -s ADDR ... --json`, which must succeed. */
static json_t *regctl_json(const struct registry *registry, const char *const *arguments)
{
    const char *all[FIXTURE_ARGUMENTS_MAX] = {regctl_program, "-s", registry->addr, "--json"};
    size_t count = 4;
    for (; *arguments != NULL; arguments++) {
        all[count++] = *arguments;
    }
    char *output = NULL;
    int status = run(20000, &output, all);
    json_t *root = json_loads(output, 0, NULL);
    if (status != 0 || root == NULL) {
        fail_msg("regctl %s: exit status %d: %s", all[4], status, output);
    }
    free(output);
    return root;
}

static void digest_of(const struct registry *registry, char digest[32])
{
    json_t *root = regctl_json(registry, ARGUMENTS("info"));
    const char *text = json_string_value(json_object_get(root, "digest"));
    assert_non_null(text);
    snprintf(digest, 32, "%s", text);
    json_decref(root);
}

static json_int_t info_number(const struct registry *registry, const char *name)
{
    json_t *root = regctl_json(registry, ARGUMENTS("info"));
    const json_t *number = json_object_get(root, name);
    assert_true(json_is_integer(number));
    json_int_t value = json_integer_value(number);
    json_decref(root);
    return value;
}

static bool have_equal_digests(const struct registry *a, const struct registry *b)
{
    char digest_a[32];
    char digest_b[32];
    digest_of(a, digest_a);
    digest_of(b, digest_b);
    return strcmp(digest_a, digest_b) == 0;
}

/* ---- services ---- */

static struct agent service_start(const char *name, const char *addr_tag,
                                  const struct registry *registry)
{
    char join[96];
    snprintf(join, sizeof(join), "-join=%s", registry->bind);
    return agent_start(
        name, ARGUMENTS("-tag", "group=web", "-tag", addr_tag, "-tag", "replicas=10000", join));
}

static struct regfast_registration *library_service_start(const char *id, const char *registries)
{
    char bind[96];
    char error[REGFAST_ERROR_SIZE];
    snprintf(bind, sizeof(bind), "%s:%u", fixture_host(), fixture_port());
    struct regfast_register_options options = {
        .size = sizeof(options),
        .id = id,
        .group = "web",
        .addr = "10.0.0.77:80",
        .registries = registries,
        .bind = bind,
        .replicas = 10000,
    };
    struct regfast_registration *registration = NULL;
    if (regfast_register(&options, &registration, error, sizeof(error)) < 0) {
        fail_msg("%s", error);
    }
    assert_int_equal(regfast_registration_wait(registration, FIXTURE_EVENTUALLY_MS, NULL, 0), 0);
    return registration;
}

/* ---- 1: services join ---- */

SCENARIO(an_agent_becomes_a_matchable_service_and_sees_registry_and_library_members)
{
    struct registry registry = registry_start("registry", NULL);
    assert_true(has_no_owner(&registry, "web"));
    struct agent agent = service_start("agent", "addr=10.0.0.1:80", &registry);
    assert_soon(matches(&registry, "web", "alice", "agent", "10.0.0.1:80"));
    assert_true(lists(&registry, "web", "agent", REGFAST_MEMBER_ALIVE, 10000));

    struct regfast_registration *library = library_service_start("library", registry.bind);
    assert_soon(lists(&registry, "web", "library", REGFAST_MEMBER_ALIVE, 10000));
    assert_in_range(keys_of(&registry, "web", "library"), 400, 600);

    assert_soon(agent_members_count(&agent, "alive") == 3);
    assert_int_equal(agent_members_count(&agent, NULL), 3);
    assert_true(agent_sees_tag(&agent, "registry", "group", "registry-group"));
    assert_true(agent_sees_tag(&agent, "registry", "addr", registry.addr));
    assert_true(agent_sees_tag(&agent, "library", "group", "web"));
    assert_true(agent_sees_tag(&agent, "library", "addr", "10.0.0.77:80"));
    assert_true(agent_sees_tag(&agent, "library", "replicas", "10000"));
    assert_true(matches(&registry, "registry-group", "any", "registry", registry.addr));

    char *output = NULL;
    assert_int_equal(run(10000, &output,
                         ARGUMENTS(regctl_program, "-s", registry.addr, "match", "registry-group",
                                   "alice", "bob")),
                     0);
    char expected[256];
    snprintf(expected, sizeof(expected), "alice\tregistry\t%s\nbob\tregistry\t%s\n", registry.addr,
             registry.addr);
    assert_string_equal(output, expected);
    free(output);

    assert_int_equal(regfast_leave(library, 15000), 0);
    regfast_registration_free(library);
    assert_soon(agent_sees(&agent, "library", "left"));
    registry_stop(&registry);
    assert_soon(agent_sees(&agent, "registry", "left"));
}

SCENARIO(tags_that_make_no_sense_are_left_out_and_take_no_others_down)
{
    struct registry registry = registry_start("registry", NULL);
    struct agent good = service_start("good", "addr=10.0.0.1:80", &registry);
    assert_soon(matches(&registry, "web", "k", "good", NULL));
    static const char *const bad[] = {"replicas=1.5", "replicas=-1", "replicas=abc", "addr="};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        free(agent_run(&good, ARGUMENTS("tags", "-set", bad[i])));
        assert_soon(has_no_owner(&registry, "web"));
        free(agent_run(&good,
                       ARGUMENTS("tags", "-set", "replicas=100", "-set", "addr=10.0.0.2:80")));
        assert_soon(matches(&registry, "web", "k", "good", "10.0.0.2:80"));
    }
    char tag[512]; /* with the others about all that an agent may carry */
    snprintf(tag, sizeof(tag), "big=%0420d", 0);
    free(agent_run(&good, ARGUMENTS("tags", "-set", tag)));
    assert_soon(agent_sees_tag(&good, "good", "big", tag + 4));
    assert_true(matches(&registry, "web", "k", "good", "10.0.0.2:80"));
    free(agent_run(&good, ARGUMENTS("tags", "-set", "replicas=99999999")));
    assert_soon(lists(&registry, "web", "good", REGFAST_MEMBER_ALIVE, 65535));
    assert_true(info_number(&registry, "members_refused") >= 4);
    assert_true(info_number(&registry, "members_capped") >= 1);
    free(agent_run(&good, ARGUMENTS("tags", "-delete", "group")));
    assert_soon(has_no_owner(&registry, "web"));
    registry_stop(&registry);
}

/* ---- 2: services go and come back ---- */

SCENARIO(a_service_that_stops_is_out_and_a_changed_one_answers_differently)
{
    struct registry registry = registry_start("registry", NULL);
    struct agent a = service_start("a", "addr=10.0.0.1:80", &registry);
    struct agent b = service_start("b", "addr=10.0.0.2:80", &registry);
    assert_soon(keys_of(&registry, "web", "b") > 0);
    free(agent_run(&a, ARGUMENTS("tags", "-set", "addr=10.0.0.11:80")));
    assert_soon(keys_of(&registry, "web", "a") > 0);
    json_t *answer = regctl_json(&registry, ARGUMENTS("owners", "web", "k", "2"));
    assert_int_equal(json_array_size(json_object_get(answer, "owners")), 2);
    json_decref(answer);
    free(agent_run(&b, ARGUMENTS("tags", "-set", "group=db")));
    assert_soon(keys_of(&registry, "web", "a") == 1000);
    assert_soon(matches(&registry, "web", "k", "a", "10.0.0.11:80"));
    assert_soon(keys_of(&registry, "db", "b") == 1000);
    free(agent_run(&b, ARGUMENTS("tags", "-set", "group=web")));
    assert_soon(keys_of(&registry, "web", "b") > 0);

    agent_stop_gracefully(&b);
    assert_soon(lists(&registry, "web", "b", REGFAST_MEMBER_LEFT, 0));
    assert_int_equal(keys_of(&registry, "web", "a"), 1000);
    registry_stop(&registry);
}

static void *drain(void *argument)
{
    static int code;
    code = regfast_drain(argument, 6000, 15000);
    return &code;
}

/* What everybody is told of a library's member that changes its weight, drains and leaves. */
SCENARIO(a_weight_is_followed_and_who_drains_gets_no_keys_and_never_looks_failed)
{
    struct registry first = registry_start("first", NULL);
    struct registry second = registry_start("second", first.bind);
    struct agent agent = service_start("agent", "addr=10.0.0.1:80", &first);
    struct regfast_registration *library = library_service_start("library", second.bind);
    const struct registry *registries[] = {&first, &second};
    for (int i = 0; i < 2; i++) {
        assert_soon(lists(registries[i], "web", "agent", REGFAST_MEMBER_ALIVE, 10000));
        assert_soon(lists(registries[i], "web", "library", REGFAST_MEMBER_ALIVE, 10000));
        assert_in_range(keys_of(registries[i], "web", "library"), 400, 600);
    }
    assert_int_equal(regfast_set_replicas(library, 2500, NULL, 0), 0);
    for (int i = 0; i < 2; i++) {
        assert_soon(lists(registries[i], "web", "library", REGFAST_MEMBER_ALIVE, 2500));
        assert_in_range(keys_of(registries[i], "web", "library"), 120, 280);
    }
    assert_eventually(have_equal_digests(&first, &second));
    struct registry third = registry_start("third", first.bind); /* it was not there then */
    assert_soon(lists(&third, "web", "library", REGFAST_MEMBER_ALIVE, 2500));
    registry_stop(&third); /* news of five members may miss one for longer than a drain lasts */

    pthread_t thread;
    void *code = NULL;
    assert_int_equal(pthread_create(&thread, NULL, drain, library), 0);
    for (int i = 0; i < 2; i++) {
        assert_soon(lists(registries[i], "web", "library", REGFAST_MEMBER_DRAINING, 0));
    }
    assert_soon(agent_sees_tag(&agent, "library", "replicas", "0"));
    assert_true(agent_sees(&agent, "library", "alive"));
    while (!agent_sees(&agent, "library", "left")) {
        assert_false(agent_sees(&agent, "library", "failed"));
        for (int i = 0; i < 2; i++) {
            assert_int_equal(keys_of(registries[i], "web", "agent"), 1000);
            assert_false(lists(registries[i], "web", "library", REGFAST_MEMBER_FAILED, 0));
        }
    }
    assert_int_equal(pthread_join(thread, &code), 0);
    assert_int_equal(*(int *)code, 0);
    for (int i = 0; i < 2; i++) {
        assert_soon(lists(registries[i], "web", "library", REGFAST_MEMBER_LEFT, 0));
        assert_int_equal(log_count(registries[i]->name, "member_failed"), 0);
    }
    regfast_registration_free(library);

    /* Any agent drains its service so. */
    struct agent other = service_start("other", "addr=10.0.0.2:80", &first);
    assert_soon(keys_of(&first, "web", "other") > 0);
    free(agent_run(&other, ARGUMENTS("tags", "-set", "replicas=0")));
    assert_soon(lists(&first, "web", "other", REGFAST_MEMBER_DRAINING, 0));
    assert_int_equal(keys_of(&first, "web", "agent"), 1000);
    assert_int_equal(info_number(&first, "members_refused"), 0);
    registry_stop(&second);
    registry_stop(&first);
}

/* A client of `registry` with a thread, and a watch of the group that knows it already. */
static struct regfast_watch *watch_group(const struct registry *registry,
                                         struct regfast_client **ret_client)
{
    const struct regfast_options options = {.size = sizeof(options), .background = 1};
    struct regfast_watch *watch = NULL;
    assert_int_equal(regfast_open(registry->addr, &options, ret_client, NULL, 0), 0);
    assert_int_equal(regfast_watch(*ret_client, "web", &watch, NULL, 0), 0);
    assert_int_equal(regfast_watch_wait(watch, 0, 10000, NULL, 0), 0);
    return watch;
}

static struct regfast_watch_status watch_status(struct regfast_watch *watch)
{
    struct regfast_watch_status status = {.size = sizeof(status)};
    assert_int_equal(regfast_watch_status(watch, &status), 0);
    return status;
}

/* Whether 1000 local answers are all of ID. */
static bool all_are_of(struct regfast_reader *reader, const char *id)
{
    for (int i = 0; i < 1000; i++) {
        struct regfast_owner owner;
        if (regfast_local_match(reader, &i, sizeof(i), &owner) < 0 || strcmp(owner.id, id) != 0) {
            return false;
        }
    }
    return true;
}

SCENARIO(who_watches_sees_one_drain_after_the_other_and_believes_it)
{
    struct registry registry = registry_start("registry", NULL);
    struct regfast_registration *first = library_service_start("first", registry.bind);
    struct regfast_registration *second = library_service_start("second", registry.bind);
    assert_soon(lists(&registry, "web", "first", REGFAST_MEMBER_ALIVE, 0));
    assert_soon(lists(&registry, "web", "second", REGFAST_MEMBER_ALIVE, 0));
    struct regfast_client *client = NULL;
    struct regfast_watch *watch = watch_group(&registry, &client);
    struct regfast_reader *reader = NULL;
    assert_int_equal(regfast_reader_new(watch, &reader), 0);

    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, drain, first), 0);
    assert_soon(lists(&registry, "web", "first", REGFAST_MEMBER_DRAINING, 0));
    assert_soon(all_are_of(reader, "second"));
    assert_soon(watch_status(watch).state == REGFAST_WATCH_LIVE);
    while (!lists(&registry, "web", "first", REGFAST_MEMBER_LEFT, 0)) {
        assert_true(all_are_of(reader, "second"));
    }
    assert_int_equal(pthread_join(thread, NULL), 0);

    /* The last one wants no keys either, and that is no accident: the watch believes it. */
    struct regfast_owner owner;
    assert_int_equal(pthread_create(&thread, NULL, drain, second), 0);
    assert_soon(lists(&registry, "web", "second", REGFAST_MEMBER_DRAINING, 0));
    assert_true(has_no_owner(&registry, "web"));
    assert_soon(regfast_local_match(reader, "k", 1, &owner) == REGFAST_ENOTFOUND);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_soon(watch_status(watch).state == REGFAST_WATCH_LIVE);
    assert_int_equal(watch_status(watch).alive_count, 0);
    assert_int_equal(watch_status(watch).refused, 0);
    assert_int_equal(watch_status(watch).full_copies, 0);
    regfast_reader_free(reader);
    regfast_close(client);
    regfast_registration_free(first);
    regfast_registration_free(second);
    registry_stop(&registry);
}

SCENARIO(a_killed_service_is_out_after_suspicion_and_back_when_restarted)
{
    flap_hold = "60"; /* so it is held for six seconds, long enough to be seen */
    struct registry registry = registry_start("registry", NULL);
    struct agent a = service_start("a", "addr=10.0.0.1:80", &registry);
    struct agent b = service_start("b", "addr=10.0.0.2:80", &registry);
    assert_soon(keys_of(&registry, "web", "b") > 0 && keys_of(&registry, "web", "a") > 0);
    agent_kill(&b);
    assert_within_ms(failure_bound_ms(3), lists(&registry, "web", "b", REGFAST_MEMBER_FAILED, 0));
    assert_int_equal(keys_of(&registry, "web", "a"), 1000);
    char join[96];
    snprintf(join, sizeof(join), "-join=%s", a.address);
    agent_restart(&b, ARGUMENTS("-tag", "group=web", "-tag", "addr=10.0.0.2:80", join));
    assert_soon(lists(&registry, "web", "b", REGFAST_MEMBER_HELD, 0));
    assert_soon(keys_of(&registry, "web", "b") > 0);
    assert_true(lists(&registry, "web", "b", REGFAST_MEMBER_ALIVE, 0));
    registry_stop(&registry);
}

/* ---- a registry's end ---- */

SCENARIO(a_registry_whose_name_another_node_has_ends_and_says_why)
{
    struct registry first = registry_start("first", NULL);
    struct agent a = service_start("a", "addr=10.0.0.1:80", &first);
    char bind[96];
    snprintf(bind, sizeof(bind), "%s:%u", fixture_host(), fixture_port());
    struct process *impostor =
        process_start("impostor", ARGUMENTS(registry_program, "-id", "first", "-bind", bind,
                                            "-addr", "127.0.0.1:0", "-registries", a.address));
    assert_int_equal(process_wait(impostor, FIXTURE_EVENTUALLY_MS), 1);
    assert_int_equal(log_count("impostor", "error name_lost"), 1);
    assert_true(agent_sees(&a, "first", "alive"));
    assert_true(matches(&first, "web", "k", "a", NULL));
    registry_stop(&first);
}

SCENARIO(a_hang_up_does_not_end_a_registry_that_is_leaving)
{
    struct registry registry = registry_start("registry", NULL);
    regfast_close(registry.client);
    process_signal(registry.process, SIGTERM);
    assert_soon(log_count("registry", "leaving") > 0);
    process_signal(registry.process, SIGHUP);
    assert_int_equal(process_wait(registry.process, 20000), 0);
}

/* ---- 3: registries agree ---- */

static void assert_same_answers(const struct registry *a, const struct registry *b)
{
    enum { KEYS = 10000 };
    static char texts[KEYS][16];
    static struct regfast_key keys[KEYS];
    static struct regfast_owner owners_a[KEYS];
    static struct regfast_owner owners_b[KEYS];
    for (int i = 0; i < KEYS; i++) {
        snprintf(texts[i], sizeof(texts[i]), "key-%d", i);
        keys[i] = (struct regfast_key){texts[i], strlen(texts[i])};
    }
    assert_int_equal(regfast_match_many(a->client, "web", keys, KEYS, owners_a, NULL, 0), 0);
    assert_int_equal(regfast_match_many(b->client, "web", keys, KEYS, owners_b, NULL, 0), 0);
    size_t of_library = 0;
    for (int i = 0; i < KEYS; i++) {
        assert_string_equal(owners_a[i].id, owners_b[i].id);
        assert_string_equal(owners_a[i].addr, owners_b[i].addr);
        of_library += strcmp(owners_a[i].id, "library") == 0;
    }
    assert_in_range(of_library, KEYS / 10, KEYS / 2); /* three of equal weight */
}

SCENARIO(a_registry_that_knows_only_an_agent_learns_everything_and_agrees)
{
    struct registry first = registry_start("first", NULL);
    struct agent a = service_start("a", "addr=10.0.0.1:80", &first);
    struct agent b = service_start("b", "addr=10.0.0.2:80", &first);
    struct regfast_registration *library = library_service_start("library", a.address);
    struct agent plain = agent_start("plain", NO_ARGUMENTS);
    free(agent_run(&plain, ARGUMENTS("join", b.address)));
    assert_eventually(agent_members_count(&plain, "alive") == 5);

    struct registry second = registry_start("second", plain.address);
    assert_eventually(lists(&second, "web", "library", REGFAST_MEMBER_ALIVE, 10000));
    assert_eventually(lists(&second, "web", "a", REGFAST_MEMBER_ALIVE, 10000));
    assert_eventually(lists(&second, "registry-group", "first", REGFAST_MEMBER_ALIVE, 0));
    assert_eventually(lists(&first, "registry-group", "second", REGFAST_MEMBER_ALIVE, 0));
    assert_eventually(have_equal_digests(&first, &second));
    assert_same_answers(&first, &second);

    assert_int_equal(regfast_leave(library, 15000), 0);
    regfast_registration_free(library);
    registry_stop(&second);
    registry_stop(&first);
}

/* ---- a stopped process ---- */

static size_t listed_in(struct registry *registry, const char *group,
                        enum regfast_member_state state)
{
    struct regfast_member_list *list = NULL;
    char error[REGFAST_ERROR_SIZE];
    if (regfast_members(registry->client, group, &list, error, sizeof(error)) < 0) {
        return 0;
    }
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        count += list->members[i].state == state;
    }
    regfast_member_list_free(list);
    return count;
}

SCENARIO(a_registry_that_was_stopped_declares_nobody_dead)
{
    static const unsigned pauses_s[] = {1, 5, 20};
    flap_hold = "0";
    struct registry first = registry_start("first", NULL);
    struct registry stopped = registry_start("stopped", first.bind);
    struct agent agent = service_start("agent", "addr=10.0.0.1:80", &first);
    (void)service_start("other", "addr=10.0.0.2:80", &stopped);
    struct regfast_registration *library = library_service_start("library", first.bind);
    assert_eventually(listed_in(&stopped, "web", REGFAST_MEMBER_ALIVE) == 3);
    for (size_t i = 0; i < sizeof(pauses_s) / sizeof(pauses_s[0]); i++) {
        process_signal(stopped.process, SIGSTOP);
        sleep_ms(pauses_s[i] * 1000);
        process_signal(stopped.process, SIGCONT);
        uint64_t woken_ms = now_ms();
        assert_eventually(agent_sees(&agent, "stopped", "alive") &&
                          listed_in(&first, "registry-group", REGFAST_MEMBER_ALIVE) == 2);
        printf("stopped for %u s: seen alive by agent and registry %llu ms after it went on\n",
               pauses_s[i], (unsigned long long)(now_ms() - woken_ms));
        sleep_ms(6000); /* longer than a suspicion of the last moments before */
        assert_int_equal(listed_in(&stopped, "web", REGFAST_MEMBER_ALIVE), 3);
    }
    assert_int_equal(log_count("stopped", "member_failed"), 0);
    assert_true(log_count("stopped", "paused text=") >= 2);
    assert_eventually(have_equal_digests(&first, &stopped));
    assert_int_equal(regfast_leave(library, 15000), 0);
    regfast_registration_free(library);
    registry_stop(&stopped);
    registry_stop(&first);
}

/* ---- more than half at once ---- */

enum { TEN = 10, SIX = 6 };

static struct process *ten[TEN];
static uint16_t ten_ports[TEN]; /* who comes back is the same only at the same address */

static void service_register(int index, const struct registry *registry)
{
    char id[16];
    char addr[32];
    (void)snprintf(id, sizeof(id), "s%d", index);
    (void)snprintf(addr, sizeof(addr), "10.0.0.%d:80", index + 1);
    char bind[96];
    ten_ports[index] = ten_ports[index] == 0 ? fixture_port() : ten_ports[index];
    (void)snprintf(bind, sizeof(bind), "%s:%u", fixture_host(), ten_ports[index]);
    ten[index] =
        process_start(id, ARGUMENTS(regctl_program, "register", "-group", "web", "-id", id, "-addr",
                                    addr, "-bind", bind, "-registries", registry->bind));
}

static uint64_t group_digest(struct registry *registry, const char *group)
{
    struct regfast_member_list *list = NULL;
    char error[REGFAST_ERROR_SIZE];
    if (regfast_members(registry->client, group, &list, error, sizeof(error)) < 0) {
        fail_msg("%s", error);
    }
    uint64_t digest = list->digest;
    regfast_member_list_free(list);
    return digest;
}

SCENARIO(a_group_that_loses_six_of_ten_at_once_keeps_its_ring)
{
    flap_hold = "600";
    struct registry registry = registry_start("registry", NULL);
    for (int i = 0; i < TEN; i++) {
        service_register(i, &registry);
    }
    assert_eventually(listed_in(&registry, "web", REGFAST_MEMBER_ALIVE) == TEN);
    uint64_t digest = group_digest(&registry, "web");
    for (int i = 0; i < SIX; i++) {
        process_kill(ten[i]);
    }
    assert_within_ms(90000, listed_in(&registry, "web", REGFAST_MEMBER_PROTECTED) == SIX);
    assert_true(group_digest(&registry, "web") == digest); /* the ring it had */
    for (int i = 0; i < SIX; i++) {
        service_register(i, &registry);
    }
    uint64_t end_ms = now_ms() + 90000;
    while (listed_in(&registry, "web", REGFAST_MEMBER_ALIVE) != TEN) {
        assert_true(now_ms() < end_ms);
        assert_true(group_digest(&registry, "web") == digest); /* and not for a moment another */
        sleep_ms(20);
    }
    assert_true(group_digest(&registry, "web") == digest);
    for (int i = 0; i < TEN; i++) {
        process_kill(ten[i]);
    }
    registry_stop(&registry);
}

/* ---- a quiet minute ---- */

struct quiet_cluster {
    const struct registry *registries[2];
    const struct agent *agents[2];
};

static struct quiet_look look_at_quiet_cluster(void *context)
{
    const struct quiet_cluster *cluster = context;
    const struct registry *first = cluster->registries[0];
    struct quiet_look look = {.is_whole = matches(first, "web", "k", "a", NULL) ||
                                          matches(first, "web", "k", "b", NULL) ||
                                          matches(first, "web", "k", "library", NULL)};
    for (int i = 0; i < 2; i++) {
        look.is_whole &= agent_members_count(cluster->agents[i], "alive") == 5;
        look.complaints += agent_warnings_count(cluster->agents[i]) +
                           registry_warnings_count(cluster->registries[i]);
    }
    return look;
}

SCENARIO(registries_library_and_agents_are_quiet_for_a_minute)
{
    struct registry first = registry_start("first", NULL);
    io = "epoll";
    struct registry second = registry_start("second", first.bind);
    struct agent a = service_start("a", "addr=10.0.0.1:80", &first);
    struct agent b = service_start("b", "addr=10.0.0.2:80", &second);
    struct regfast_registration *library = library_service_start("library", first.bind);
    assert_eventually(agent_members_count(&a, "alive") == 5);
    assert_eventually(agent_members_count(&b, "alive") == 5);
    struct quiet_cluster cluster = {.registries = {&first, &second}, .agents = {&a, &b}};
    assert_quiet_minute(look_at_quiet_cluster, &cluster);
    assert_true(have_equal_digests(&first, &second));
    assert_int_equal(regfast_leave(library, 15000), 0);
    regfast_registration_free(library);
    registry_stop(&second);
    registry_stop(&first);
}

/* A kernel or container without io_uring cannot run the `uring` part. */
static void need_engine(void)
{
    if (strcmp(io, "uring") != 0) {
        return;
    }
    char *output = NULL;
    const char *arguments[] = {"timeout", "2",           registry_program, "-io",         "uring",
                               "-bind",   "127.0.0.1:0", "-addr",          "127.0.0.1:0", NULL};
    int status = run(10000, &output, arguments);
    if (status == 1 && strstr(output, "io_uring") != NULL) {
        printf("skipped: %s", output);
        exit(77);
    }
    free(output);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest services[] = {
        scenario_test(an_agent_becomes_a_matchable_service_and_sees_registry_and_library_members),
        scenario_test(tags_that_make_no_sense_are_left_out_and_take_no_others_down),
        scenario_test(a_service_that_stops_is_out_and_a_changed_one_answers_differently),
        scenario_test(a_weight_is_followed_and_who_drains_gets_no_keys_and_never_looks_failed),
        scenario_test(who_watches_sees_one_drain_after_the_other_and_believes_it),
        scenario_test(a_killed_service_is_out_after_suspicion_and_back_when_restarted),
        scenario_test(a_registry_whose_name_another_node_has_ends_and_says_why),
        scenario_test(a_hang_up_does_not_end_a_registry_that_is_leaving),
        scenario_test(a_registry_that_knows_only_an_agent_learns_everything_and_agrees),
    };
    const struct CMUnitTest quiet[] = {
        scenario_test(registries_library_and_agents_are_quiet_for_a_minute),
    };
    const struct CMUnitTest behave[] = {
        scenario_test(a_registry_that_was_stopped_declares_nobody_dead),
        scenario_test(a_group_that_loses_six_of_ten_at_once_keeps_its_ring),
    };
    if (argc != 5) {
        fprintf(stderr, "usage: %s services|quiet|behave auto|uring|epoll REGISTRY REGCTL\n",
                argv[0]);
        return 2;
    }
    io = argv[2];
    registry_program = argv[3];
    regctl_program = argv[4];
    fixture_need_serf();
    need_engine();
    if (strcmp(argv[1], "behave") == 0) {
        return cmocka_run_group_tests(behave, NULL, NULL);
    }
    return strcmp(argv[1], "quiet") == 0 ? cmocka_run_group_tests(quiet, NULL, NULL)
                                         : cmocka_run_group_tests(services, NULL, NULL);
}
