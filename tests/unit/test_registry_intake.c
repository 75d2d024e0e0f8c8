/* SPDX-License-Identifier: MIT */
#include "tools/registry/intake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TRACE_SIZE = 4096, TAGS_MAX = 3 };

struct fixture {
    struct rf_intake intake;
    struct rf_catalog *catalog; /* of the last look */
    char log[TRACE_SIZE];
    unsigned lines_count;
};

static void keep_line(void *context, enum rf_log_level level, const char *line)
{
    struct fixture *fixture = context;
    (void)level; /* what is said counts */
    size_t used = strlen(fixture->log);
    (void)snprintf(fixture->log + used, TRACE_SIZE - used, "%s\n", line);
    fixture->lines_count++;
}

static int setup(void **state)
{
    struct fixture *fixture = aligned_alloc(_Alignof(struct fixture), sizeof(*fixture));
    assert_non_null(fixture);
    memset(fixture, 0, sizeof(*fixture));
    fixture->intake.log =
        (struct rf_log){.level_max = RF_LOG_DEBUG, .write = keep_line, .context = fixture};
    assert_int_equal(rf_roster_new(RF_PLACEMENT_V1, &fixture->intake.roster, NULL), 0);
    *state = fixture;
    return 0;
}

static void drop_catalog(struct fixture *fixture)
{
    if (fixture->catalog != NULL) {
        fixture->catalog->published.free(&fixture->catalog->published);
        fixture->catalog = NULL;
    }
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    drop_catalog(fixture);
    rf_roster_free(fixture->intake.roster);
    free(fixture);
    return 0;
}

/* A node with the tags that are not NULL. */
struct node {
    const char *name;
    const char *group;
    const char *addr;
    const char *replicas;
    enum rf_member_state state;
};

static void apply(struct fixture *fixture, enum rf_gossip_event_kind kind, const struct node *nodes,
                  size_t count)
{
    struct rf_gossip_member *items = calloc(count + 1, sizeof(*items));
    struct rf_gossip_tag(*tags)[TAGS_MAX] = calloc(count + 1, sizeof(*tags));
    assert_non_null(items);
    assert_non_null(tags);
    for (size_t i = 0; i < count; i++) {
        const char *const names[TAGS_MAX] = {"group", "addr", "replicas"};
        const char *const node_values[TAGS_MAX] = {nodes[i].group, nodes[i].addr,
                                                   nodes[i].replicas};
        items[i] = (struct rf_gossip_member){
            .name = nodes[i].name, .state = nodes[i].state, .tags = tags[i]};
        for (int t = 0; t < TAGS_MAX; t++) {
            if (node_values[t] != NULL) {
                tags[i][items[i].tags_count++] = (struct rf_gossip_tag){names[t], node_values[t]};
            }
        }
    }
    const struct rf_gossip_members members = {.count = count, .items = items};
    assert_true(rf_intake_apply(&fixture->intake, 1, kind, &members));
    free(items);
    free(tags);
}

static void see(struct fixture *fixture, struct node node)
{
    apply(fixture, RF_GOSSIP_EVENT_MEMBER, &node, 1);
}

/* "GROUP: ID ADDR REPLICAS STATE; ..." of all groups, as the next catalog has them. */
static const char *roster_text(struct fixture *fixture)
{
    static char text[TRACE_SIZE];
    struct rf_catalog *next = NULL;
    size_t used = 0;
    assert_int_equal(rf_roster_commit(fixture->intake.roster, &next, NULL), 0);
    if (next != NULL) {
        drop_catalog(fixture);
        fixture->catalog = next;
    }
    text[0] = '\0';
    for (size_t g = 0; g < fixture->catalog->groups_count; g++) {
        const struct rf_group *group = fixture->catalog->groups[g];
        for (size_t m = 0; m < group->members_count; m++) {
            const struct rf_member *member = &group->members[m];
            used += (size_t)snprintf(text + used, TRACE_SIZE - used, "%s: %s %s %u %s; ",
                                     group->name, member->id, member->addr, member->replicas,
                                     rf_member_state_name(member->state));
        }
    }
    return text;
}

static void a_member_without_weight_drains_until_it_has_left(void **state)
{
    struct fixture *fixture = *state;
    struct node a = {"a", "web", "10.0.0.1:80", "10", RF_MEMBER_ALIVE};
    struct node b = {"b", "web", "10.0.0.2:80", "10", RF_MEMBER_ALIVE};
    const struct rf_guard_config config = {.flap_hold_ns = RF_GUARD_FLAP_HOLD_NS};
    assert_int_equal(rf_guard_new(&config, &fixture->intake.guard, NULL), 0);
    see(fixture, a);
    see(fixture, b);
    a.replicas = "0";
    see(fixture, a);
    assert_string_equal(roster_text(fixture),
                        "web: a 10.0.0.1:80 0 draining; web: b 10.0.0.2:80 10 alive; ");
    assert_int_equal(fixture->catalog->alive_count, 1);
    a.state = RF_MEMBER_LEAVING;
    see(fixture, a);
    a.state = RF_MEMBER_LEFT;
    see(fixture, a);
    assert_string_equal(roster_text(fixture),
                        "web: a 10.0.0.1:80 0 left; web: b 10.0.0.2:80 10 alive; ");
    a.state = RF_MEMBER_ALIVE;
    a.replicas = "7";
    see(fixture, a);
    assert_string_equal(roster_text(fixture),
                        "web: a 10.0.0.1:80 7 alive; web: b 10.0.0.2:80 10 alive; ");
    assert_int_equal(fixture->lines_count, 0);
    rf_guard_free(fixture->intake.guard);
}

/* Of a list only the end is known: that it had no weight any more when it failed. */
static void a_member_that_drained_and_failed_unheard_is_not_kept_in_its_ring(void **state)
{
    struct fixture *fixture = *state;
    struct node nodes[] = {{"a", "web", "10.0.0.1:80", "10", RF_MEMBER_ALIVE},
                           {"b", "web", "10.0.0.2:80", "10", RF_MEMBER_ALIVE},
                           {"c", "web", "10.0.0.3:80", "10", RF_MEMBER_ALIVE}};
    const struct rf_guard_config config = {.flap_hold_ns = RF_GUARD_FLAP_HOLD_NS,
                                           .protect_ratio = RF_GUARD_PROTECT_RATIO / 2,
                                           .protect_min = 2};
    assert_int_equal(rf_guard_new(&config, &fixture->intake.guard, NULL), 0);
    apply(fixture, RF_GOSSIP_EVENT_RESYNC, nodes, 3);
    nodes[0].replicas = "0";
    nodes[0].state = nodes[1].state = RF_MEMBER_FAILED;
    for (int i = 0; i < 2; i++) { /* once more, it is no news */
        apply(fixture, RF_GOSSIP_EVENT_RESYNC, nodes, 3);
        assert_string_equal(roster_text(fixture),
                            "web: a 10.0.0.1:80 0 failed; web: b 10.0.0.2:80 10 protected; "
                            "web: c 10.0.0.3:80 10 alive; ");
    }
    assert_int_equal(rf_counter_get(&fixture->intake.counters.members_refused), 0);
    rf_guard_check(fixture->intake.guard);
    rf_guard_free(fixture->intake.guard);
}

static void intake_follows_a_member_through_its_states(void **state)
{
    struct fixture *fixture = *state;
    struct node a = {"a", "web", "10.0.0.1:80", "10", RF_MEMBER_ALIVE};
    see(fixture, a);
    assert_string_equal(roster_text(fixture), "web: a 10.0.0.1:80 10 alive; ");
    a.state = RF_MEMBER_FAILED;
    see(fixture, a);
    assert_string_equal(roster_text(fixture), "web: a 10.0.0.1:80 10 failed; ");
    a.state = RF_MEMBER_ALIVE;
    a.addr = "10.0.0.1:81";
    a.replicas = NULL;
    see(fixture, a);
    assert_string_equal(roster_text(fixture), "web: a 10.0.0.1:81 1000 alive; ");
    a.group = "db";
    see(fixture, a);
    assert_string_equal(roster_text(fixture), "db: a 10.0.0.1:81 1000 alive; ");
    apply(fixture, RF_GOSSIP_EVENT_FORGOT, &a, 1);
    assert_string_equal(roster_text(fixture), "");
    assert_string_equal(fixture->log, "");
}

static void intake_leaves_ordinary_nodes_alone(void **state)
{
    struct fixture *fixture = *state;
    see(fixture, (struct node){.name = "plain"});
    assert_string_equal(roster_text(fixture), "");
    assert_int_equal(rf_counter_get(&fixture->intake.counters.members_refused), 0);
    /* One that had a group and has none now offers nothing any more. */
    see(fixture, (struct node){"a", "web", "10.0.0.1:80", NULL, RF_MEMBER_ALIVE});
    see(fixture, (struct node){.name = "a"});
    assert_string_equal(roster_text(fixture), "");
    assert_string_equal(fixture->log, "");
}

static void intake_refuses_absurd_members_and_keeps_the_others(void **state)
{
    struct fixture *fixture = *state;
    static char long_addr[500];
    memset(long_addr, 'x', sizeof(long_addr) - 1);
    const struct node absurd[] = {
        {"zero", "web", "h:1", "-0", RF_MEMBER_ALIVE},
        {"negative", "web", "h:1", "-1", RF_MEMBER_ALIVE},
        {"letters", "web", "h:1", "abc", RF_MEMBER_ALIVE},
        {"empty", "web", "h:1", "", RF_MEMBER_ALIVE},
        {"no-addr", "web", NULL, NULL, RF_MEMBER_ALIVE},
        {"no-group-name", "", "h:1", NULL, RF_MEMBER_ALIVE},
        {"long", "web", long_addr, NULL, RF_MEMBER_ALIVE},
        {"bell\a", "web", "h:1", NULL, RF_MEMBER_ALIVE},
        {"line", "web\nforged line", "h:1", NULL, RF_MEMBER_ALIVE},
    };
    const size_t count = sizeof(absurd) / sizeof(absurd[0]);
    see(fixture, (struct node){"good", "web", "10.0.0.1:80", "5", RF_MEMBER_ALIVE});
    apply(fixture, RF_GOSSIP_EVENT_MEMBER, absurd, count);
    assert_string_equal(roster_text(fixture), "web: good 10.0.0.1:80 5 alive; ");
    assert_int_equal(rf_counter_get(&fixture->intake.counters.members_refused), count);
    assert_int_equal(fixture->lines_count, count);
    assert_null(strchr(fixture->log, '\a'));
    assert_null(strstr(fixture->log, "\nforged"));
    assert_non_null(strstr(fixture->log, "abc"));
}

static void intake_tells_a_reason_once_and_a_new_one_again(void **state)
{
    struct fixture *fixture = *state;
    struct node a = {"a", "web", "10.0.0.1:80", "-1", RF_MEMBER_ALIVE};
    for (int i = 0; i < 100; i++) {
        see(fixture, a);
    }
    assert_int_equal(fixture->lines_count, 1);
    assert_int_equal(rf_counter_get(&fixture->intake.counters.members_refused), 100);
    a.replicas = "none";
    see(fixture, a);
    assert_int_equal(fixture->lines_count, 2);
    a.name = "b";
    see(fixture, a);
    assert_int_equal(fixture->lines_count, 3);
}

static void intake_does_not_let_others_fill_the_log(void **state)
{
    struct fixture *fixture = *state;
    char replicas[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(replicas, sizeof(replicas), "x%d", i);
        see(fixture, (struct node){"a", "web", "10.0.0.1:80", replicas, RF_MEMBER_ALIVE});
    }
    assert_in_range(fixture->lines_count, 1, 2 * RF_INTAKE_LINES_MAX); /* a minute may pass */
    assert_int_equal(rf_counter_get(&fixture->intake.counters.members_refused), 1000);
}

static void intake_drops_a_member_whose_tags_turn_absurd(void **state)
{
    struct fixture *fixture = *state;
    struct node a = {"a", "web", "10.0.0.1:80", "7", RF_MEMBER_ALIVE};
    see(fixture, a);
    a.replicas = "seven";
    see(fixture, a);
    assert_string_equal(roster_text(fixture), "");
    a.replicas = "7";
    see(fixture, a);
    assert_string_equal(roster_text(fixture), "web: a 10.0.0.1:80 7 alive; ");
}

static void intake_caps_replicas_and_tells_it_once(void **state)
{
    struct fixture *fixture = *state;
    const struct node a = {"a", "web", "10.0.0.1:80", "99999999", RF_MEMBER_ALIVE};
    see(fixture, a);
    see(fixture, a);
    assert_string_equal(roster_text(fixture), "web: a 10.0.0.1:80 65535 alive; ");
    assert_int_equal(rf_counter_get(&fixture->intake.counters.members_capped), 2);
    assert_int_equal(fixture->lines_count, 1);
    assert_non_null(strstr(fixture->log, "99999999"));
    assert_non_null(strstr(fixture->log, "65535"));
}

static void intake_resync_forgets_who_is_not_on_the_list(void **state)
{
    struct fixture *fixture = *state;
    const struct node before[] = {
        {"a", "web", "10.0.0.1:80", "1", RF_MEMBER_ALIVE},
        {"b", "web", "10.0.0.2:80", "1", RF_MEMBER_ALIVE},
        {"c", "db", "10.0.0.3:80", "1", RF_MEMBER_ALIVE},
    };
    const struct node now[] = {
        {"d", "db", "10.0.0.4:80", "1", RF_MEMBER_ALIVE},
        {"b", "web", "10.0.0.2:80", "1", RF_MEMBER_LEFT},
        {"bad", "web", "10.0.0.5:80", "-1", RF_MEMBER_ALIVE},
    };
    apply(fixture, RF_GOSSIP_EVENT_MEMBER, before, 3);
    apply(fixture, RF_GOSSIP_EVENT_RESYNC, now, 3);
    assert_string_equal(roster_text(fixture), "db: d 10.0.0.4:80 1 alive; "
                                              "web: b 10.0.0.2:80 1 left; ");
    apply(fixture, RF_GOSSIP_EVENT_RESYNC, now, 0);
    assert_string_equal(roster_text(fixture), "");
}

/* The catalog depends on what is gossiped now, also if it came before there was room for it. */
static void who_was_refused_for_a_limit_is_asked_for_when_there_may_be_room(void **state)
{
    enum { FULL = 1024 }; /* of the largest weight: the points of one ring, but for one member's */
    struct fixture *fixture = *state;
    static struct node nodes[FULL + 1];
    static char names[FULL + 1][8];
    struct rf_member unused;
    for (int i = 0; i <= FULL; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "n%d", i);
        nodes[i] = (struct node){names[i], "web", "10.0.0.1:80", "65535", RF_MEMBER_ALIVE};
        assert_false(fixture->intake.wants_list);
        see(fixture, nodes[i]);
    }
    assert_int_equal(rf_counter_get(&fixture->intake.counters.members_refused), 1);
    assert_false(rf_roster_find(fixture->intake.roster, names[FULL], &unused));
    assert_false(fixture->intake.wants_list);
    nodes[0].state = RF_MEMBER_LEFT;
    see(fixture, nodes[0]);
    assert_true(fixture->intake.wants_list);
    apply(fixture, RF_GOSSIP_EVENT_RESYNC, nodes, FULL + 1);
    assert_true(rf_roster_find(fixture->intake.roster, names[FULL], &unused));
    assert_false(fixture->intake.wants_list);
    see(fixture, nodes[0]);
    assert_false(fixture->intake.wants_list); /* all are in */

    struct node late = nodes[0];
    late.state = RF_MEMBER_ALIVE;
    nodes[0] = nodes[FULL];
    nodes[FULL] = late;
    nodes[FULL - 1].state = RF_MEMBER_LEFT;
    for (int i = FULL; i > 0; i--) { /* before the one that goes, in the list */
        struct node node = nodes[i];
        nodes[i] = nodes[i - 1];
        nodes[i - 1] = node;
    }
    apply(fixture, RF_GOSSIP_EVENT_RESYNC, nodes, FULL + 1);
    assert_true(rf_roster_find(fixture->intake.roster, late.name, &unused));
    assert_false(fixture->intake.wants_list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_member_without_weight_drains_until_it_has_left, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_member_that_drained_and_failed_unheard_is_not_kept_in_its_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(intake_follows_a_member_through_its_states, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(intake_leaves_ordinary_nodes_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(intake_refuses_absurd_members_and_keeps_the_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(intake_tells_a_reason_once_and_a_new_one_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(intake_does_not_let_others_fill_the_log, setup, teardown),
        cmocka_unit_test_setup_teardown(intake_drops_a_member_whose_tags_turn_absurd, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            who_was_refused_for_a_limit_is_asked_for_when_there_may_be_room, setup, teardown),
        cmocka_unit_test_setup_teardown(intake_caps_replicas_and_tells_it_once, setup, teardown),
        cmocka_unit_test_setup_teardown(intake_resync_forgets_who_is_not_on_the_list, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
