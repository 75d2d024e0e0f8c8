/* SPDX-License-Identifier: MIT
 *
 * What a reader's line names is not freed, what none names is, with membarrier and without.
 */
#include "core/hazard.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct value {
    struct rf_hazard_value hazard;
    bool *is_freed;
};

enum { VALUES = 8 };

static bool is_freed[VALUES];

static void free_value(struct rf_hazard_value *hazard)
{
    struct value *value = (struct value *)hazard;
    *value->is_freed = true;
    free(value);
}

static struct rf_hazard_value *make_value(int number)
{
    struct value *value = malloc(sizeof(*value));
    assert_non_null(value);
    *value = (struct value){.hazard = {.free = free_value}, .is_freed = &is_freed[number]};
    is_freed[number] = false;
    return &value->hazard;
}

static int start(void **state)
{
    (void)state;
    for (int i = 0; i < VALUES; i++) {
        is_freed[i] = false;
    }
    return 0;
}

static void assert_freed(int count)
{
    for (int i = 0; i < VALUES; i++) {
        assert_int_equal(is_freed[i], i < count);
    }
}

static void run(struct rf_hazard *hazard)
{
    struct rf_hazard_line *a = rf_hazard_line_take(hazard);
    struct rf_hazard_line *b = rf_hazard_line_take(hazard);
    assert_non_null(a);
    assert_non_null(b);
    assert_ptr_not_equal(a, b);
    rf_hazard_publish(hazard, make_value(1)); /* nobody was in a section */
    assert_freed(1);

    struct rf_hazard_value *seen = rf_hazard_enter(hazard, a);
    assert_ptr_equal(seen, rf_hazard_current(hazard));
    rf_hazard_publish(hazard, make_value(2));
    assert_false(is_freed[1]);
    assert_ptr_equal(rf_hazard_enter(hazard, b), rf_hazard_current(hazard));
    rf_hazard_publish(hazard, make_value(3));
    assert_freed(1);
    assert_int_equal(hazard->retired_count, 2);
    rf_hazard_publish(hazard, make_value(4)); /* 3 was seen by nobody */
    assert_true(is_freed[3]);
    assert_int_equal(hazard->retired_count, 2);
    rf_hazard_leave(b);
    assert_true(rf_hazard_reclaim(hazard)); /* the one that `a` has */
    assert_true(is_freed[2]);
    assert_false(is_freed[1]);
    rf_hazard_leave(a);
    assert_false(rf_hazard_reclaim(hazard));
    assert_freed(4);

    rf_hazard_line_give(a);
    assert_ptr_equal(rf_hazard_line_take(hazard), a); /* used again */
    assert_ptr_equal(rf_hazard_enter(hazard, a), rf_hazard_current(hazard));
    rf_hazard_leave(a);
}

static void value_waits_for_readers_that_have_it(void **state)
{
    (void)state;
    struct rf_hazard hazard;
    rf_hazard_init(&hazard, make_value(0));
    run(&hazard);
    rf_hazard_fini(&hazard);
    assert_freed(5);
}

static void value_waits_for_readers_that_fence(void **state)
{
    (void)state;
    struct rf_hazard hazard;
    rf_hazard_init(&hazard, make_value(0));
    rf_hazard_force_fences(&hazard);
    assert_true(hazard.is_fenced);
    run(&hazard);
    rf_hazard_fini(&hazard);
    assert_freed(5);
}

/* A child has the lines of threads that are not there. */
static void value_that_no_living_reader_has_is_freed_in_the_end(void **state)
{
    (void)state;
    struct rf_hazard hazard;
    rf_hazard_init(&hazard, make_value(0));
    struct rf_hazard_line *line = rf_hazard_line_take(&hazard);
    assert_non_null(line);
    assert_non_null(rf_hazard_enter(&hazard, line));
    rf_hazard_publish(&hazard, make_value(1));
    assert_false(is_freed[0]);
    rf_hazard_fini(&hazard);
    assert_freed(2);
}

/* Who is in a hurry passes by what is unusual, and what readers have to fence for. */
static void value_that_is_unusual_is_not_for_those_in_a_hurry(void **state)
{
    (void)state;
    struct rf_hazard hazard;
    struct rf_hazard_value *seen;
    struct rf_hazard_value *unusual = make_value(1);
    rf_hazard_init(&hazard, make_value(0));
    struct rf_hazard_line *line = rf_hazard_line_take(&hazard);
    assert_non_null(line);
    assert_int_equal(rf_hazard_try_enter(&hazard, line, &seen), !hazard.is_fenced);
    assert_true(hazard.is_fenced || seen == rf_hazard_current(&hazard));
    assert_true(hazard.is_fenced || rf_hazard_held(line) == seen);
    rf_hazard_leave(line);
    unusual->is_unusual = true;
    rf_hazard_publish(&hazard, unusual);
    assert_true(is_freed[0]);
    assert_false(rf_hazard_try_enter(&hazard, line, &seen));
    rf_hazard_leave(line);
    assert_ptr_equal(rf_hazard_enter(&hazard, line), unusual);
    rf_hazard_publish(&hazard, make_value(2));
    assert_false(is_freed[1]);
    rf_hazard_leave(line);
    assert_false(rf_hazard_reclaim(&hazard));
    assert_freed(2);
    rf_hazard_fini(&hazard);
}

/* ---- where membarrier is forbidden: in children, since nobody can forbid it for a while ---- */

static void expect(bool is_right)
{
    if (!is_right) {
        _exit(1); /* cmocka's assertions would go on with the next test */
    }
}

static void forbid_membarrier(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        _exit(77);
    }
    expect(syscall(SYS_membarrier, 0, 0, 0) == -1);
}

static void in_child(void (*test)(void))
{
    int status = 0;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        test();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("seccomp is not there\n");
        skip();
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void forbidden_from_the_start(void)
{
    struct rf_hazard hazard;
    forbid_membarrier();
    rf_hazard_init(&hazard, make_value(0));
    expect(hazard.is_fenced);
    struct rf_hazard_line *line = rf_hazard_line_take(&hazard);
    struct rf_hazard_value *seen = rf_hazard_enter(&hazard, line);
    expect(seen == rf_hazard_current(&hazard));
    rf_hazard_publish(&hazard, make_value(1));
    expect(!is_freed[0]);
    rf_hazard_leave(line);
    expect(!rf_hazard_reclaim(&hazard));
    expect(is_freed[0]);
    rf_hazard_fini(&hazard);
}

static void forbidden_later(void)
{
    struct rf_hazard hazard;
    rf_hazard_init(&hazard, make_value(0));
    struct rf_hazard_line *line = rf_hazard_line_take(&hazard);
    const bool was_fenced = hazard.is_fenced; /* the thread sanitizer's build */
    struct rf_hazard_value *seen = rf_hazard_enter(&hazard, line);
    expect(seen != NULL);
    forbid_membarrier();
    rf_hazard_publish(&hazard, make_value(1));
    expect(hazard.is_fenced);
    rf_hazard_leave(line);
    expect(!rf_hazard_reclaim(&hazard)); /* waits for nobody any more, is kept */
    expect(is_freed[0] == was_fenced);
    rf_hazard_publish(&hazard, make_value(2)); /* 1 may have been seen without a fence too */
    expect(is_freed[1] == was_fenced);
    seen = rf_hazard_enter(&hazard, line);
    expect(seen == rf_hazard_current(&hazard));
    rf_hazard_publish(&hazard, make_value(3));
    expect(!is_freed[2]);
    rf_hazard_leave(line);
    rf_hazard_publish(&hazard, make_value(4));
    expect(is_freed[2] && is_freed[3]); /* as ever */
    expect(hazard.retired_count == (was_fenced ? 0 : 2));
    rf_hazard_fini(&hazard);
    for (int i = 0; i <= 4; i++) {
        expect(is_freed[i]);
    }
}

static void readers_fence_where_membarrier_is_forbidden(void **state)
{
    (void)state;
    in_child(forbidden_from_the_start);
}

static void values_seen_without_a_fence_are_kept_when_membarrier_goes_away(void **state)
{
    (void)state;
    in_child(forbidden_later);
}

/* At the fork a thread was in a section, which the child does not have: nobody leaves it there. */
static struct rf_hazard inherited;
static struct rf_hazard_line *inherited_line;

static void give_inherited(void)
{
    rf_hazard_line_give(inherited_line);
    expect(rf_hazard_line_take(&inherited) == inherited_line);
    rf_hazard_publish(&inherited, make_value(1));
    expect(is_freed[0]);
    rf_hazard_line_give(inherited_line);
    rf_hazard_fini(&inherited);
}

static void line_is_given_in_a_child_though_a_thread_of_its_parent_was_in_a_section(void **state)
{
    (void)state;
    rf_hazard_init(&inherited, make_value(0));
    inherited_line = rf_hazard_line_take(&inherited);
    assert_non_null(inherited_line);
    (void)rf_hazard_enter(&inherited, inherited_line);
    in_child(give_inherited);
    rf_hazard_leave(inherited_line);
    rf_hazard_line_give(inherited_line);
    rf_hazard_fini(&inherited);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(value_waits_for_readers_that_have_it, start),
        cmocka_unit_test_setup(value_waits_for_readers_that_fence, start),
        cmocka_unit_test_setup(value_that_no_living_reader_has_is_freed_in_the_end, start),
        cmocka_unit_test_setup(value_that_is_unusual_is_not_for_those_in_a_hurry, start),
        cmocka_unit_test_setup(
            line_is_given_in_a_child_though_a_thread_of_its_parent_was_in_a_section, start),
        cmocka_unit_test_setup(readers_fence_where_membarrier_is_forbidden, start),
        cmocka_unit_test_setup(values_seen_without_a_fence_are_kept_when_membarrier_goes_away,
                               start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
