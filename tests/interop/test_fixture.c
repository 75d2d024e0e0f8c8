/* SPDX-License-Identifier: MIT
 *
 * A scenario that fails in the middle leaves nothing behind: the program ends as it says, by the
 * number of failed tests, neither by a signal nor by a sanitizer's complaint.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "nodes.h"

static bool has_ended_thing;

static void end_thing(void)
{
    has_ended_thing = true;
}

SCENARIO(it_fails_while_nodes_run)
{
    struct node a = node_start_at("a", NULL);
    struct node b = node_start_at("b", a.address);
    fixture_at_end(end_thing);
    node_kill(&b);
    assert_true(node_members_count(&a) == 0);
}

SCENARIO(the_next_one_has_what_it_needs)
{
    assert_true(has_ended_thing);
    struct node a = node_start_at("a", NULL);
    assert_int_equal(node_members_count(&a), 1);
    node_kill(&a);
}

static int run_both(void)
{
    const struct CMUnitTest tests[] = {
        scenario_test(it_fails_while_nodes_run),
        scenario_test(the_next_one_has_what_it_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

static void a_scenario_that_fails_leaves_nothing_behind(void **state)
{
    (void)state;
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC); /* a failure that is no news */
        (void)dup2(quiet, STDOUT_FILENO);
        (void)dup2(quiet, STDERR_FILENO);
        (void)execl("/proc/self/exe", "test_fixture", "fail", NULL);
        _exit(99);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        return run_both();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scenario_that_fails_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
