/* SPDX-License-Identifier: MIT */
#include "bench/environment.h"

#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a directory that looks like a machine ---- */

static char root[64];

static void make_parents(char *path)
{
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
}

static void put(const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s%s", root, name);
    make_parents(path);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int make_root(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof(root), "/tmp/rf-environment-XXXXXX");
    return mkdtemp(root) == NULL ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

static int remove_root(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put_siblings(const char *list)
{
    for (unsigned cpu = 0; cpu < 64; cpu++) {
        char path[96];
        (void)snprintf(path, sizeof(path),
                       "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
        put(path, list);
    }
}

static bool has_warning(const struct rf_bench_environment *env, const char *part)
{
    char texts[RF_BENCH_WARNINGS_MAX][RF_BENCH_WARNING_SIZE];
    const size_t count = rf_bench_environment_warnings(env, texts);
    bool is_found = false;
    for (size_t i = 0; i < count; i++) {
        is_found = is_found || strstr(texts[i], part) != NULL;
    }
    return is_found;
}

/* A machine that there is nothing to say against. */
static struct rf_bench_environment good(void)
{
    return (struct rf_bench_environment){.cpu = "Some CPU",
                                         .kernel = "Linux 6.1",
                                         .compiler = "gcc 12",
                                         .flags = "Release -O2",
                                         .cpus_online = 4,
                                         .cpus_usable = 4,
                                         .cores_usable = 4,
                                         .is_optimized = true,
                                         .governor = "performance",
                                         .huge_pages = "madvise",
                                         .cpus_busy = 0.01,
                                         .steal = 0.0001,
                                         .pinning = "server CPU 0"};
}

static size_t count_warnings(const struct rf_bench_environment *env)
{
    char texts[RF_BENCH_WARNINGS_MAX][RF_BENCH_WARNING_SIZE];
    return rf_bench_environment_warnings(env, texts);
}

/* ---- tests ---- */

static void a_machine_is_read_from_its_files(void **state)
{
    (void)state;
    put("/proc/cpuinfo",
        "processor\t: 0\nmodel name\t: Fancy CPU \x01\xff 3000\ncpu MHz\t\t: 2600\n"
        "flags\t\t: fpu hypervisor_not lm\n\nprocessor\t: 1\n"
        "model name\t: Other\nflags\t\t: fpu hypervisor\n");
    put("/proc/loadavg", "1.25 0.50 0.25 1/200 4242\n");
    put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
    put("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
    put("/proc/self/cgroup", "1:name=x:/elsewhere\n0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
    put("/sys/fs/cgroup/cpu.max", "800000 100000\n");
    struct rf_bench_environment env;
    rf_bench_environment_begin(&env, root, 0);
    assert_string_equal(env.cpu, "Fancy CPU ?? 3000");
    assert_false(env.is_virtual);
    assert_string_equal(env.governor, "powersave");
    assert_string_equal(env.huge_pages, "never");
    assert_true(env.load_average > 1.24 && env.load_average < 1.26);
    assert_true(env.cpus_quota > 1.49 && env.cpus_quota < 1.51);
    assert_true(env.cpus_busy < 0);
    assert_string_equal(env.pinning, "none");
}

static void a_hypervisor_is_told_by_a_flag_or_by_the_kernel(void **state)
{
    (void)state;
    struct rf_bench_environment env;
    put("/proc/cpuinfo", "model name\t: A\nflags\t\t: fpu lm hypervisor\n");
    rf_bench_environment_begin(&env, root, 0);
    assert_true(env.is_virtual);
    put("/proc/cpuinfo", "model name\t: A\nflags\t\t: fpu hypervisor lm\n");
    rf_bench_environment_begin(&env, root, 0);
    assert_true(env.is_virtual);
    put("/proc/cpuinfo", "model name\t: A\nflags\t\t: fpu\n");
    put("/sys/hypervisor/type", "xen\n");
    rf_bench_environment_begin(&env, root, 0);
    assert_true(env.is_virtual);
}

static void an_empty_root_leaves_things_unknown_and_warns_of_none(void **state)
{
    (void)state;
    struct rf_bench_environment env;
    rf_bench_environment_begin(&env, root, 1);
    rf_bench_environment_end(&env, root);
    assert_true(strlen(env.cpu) > 0); /* the architecture */
    assert_true(env.cpus_usable >= 1 && env.cpus_usable <= env.cpus_online);
    assert_int_equal(env.cores_usable, env.cpus_usable);
    assert_true(env.load_average < 0 && env.cpus_busy < 0 && env.steal < 0);
    assert_string_equal(env.governor, "");
    assert_string_equal(env.huge_pages, "");
    assert_false(env.is_virtual);
    assert_false(has_warning(&env, "busy"));
    assert_false(has_warning(&env, "host"));
    assert_false(has_warning(&env, "huge pages"));
}

static void files_of_nonsense_are_as_if_they_were_not_there(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", ":", "cpu", "cpu 1 2", "[", "::/", "x\n:\n0::"};
    static const char *const names[] = {
        "/proc/cpuinfo",     "/proc/loadavg", "/sys/kernel/mm/transparent_hugepage/enabled",
        "/proc/self/cgroup", "/proc/stat",    "/sys/fs/cgroup/cpu.max"};
    for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
        for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
            put(names[n], texts[t]);
        }
        put_siblings("all of them\n");
        struct rf_bench_environment env;
        rf_bench_environment_begin(&env, root, 0);
        rf_bench_environment_end(&env, root);
        assert_int_equal(env.cores_usable, env.cpus_usable);
        assert_true(env.load_average < 0 && env.steal < 0);
        assert_string_equal(env.huge_pages, "");
        assert_true(env.cpus_quota <= 0);
    }
}

static void stolen_time_is_a_share_of_the_run_alone(void **state)
{
    (void)state;
    struct rf_bench_environment env;
    put("/proc/stat", "cpu  100 0 100 700 50 0 0 50 0 0\ncpu0 1 2\n");
    rf_bench_environment_begin(&env, root, 0);
    assert_true(env.steal < 0);
    put("/proc/stat", "cpu  150 10 100 720 50 5 5 60 0 0\n"); /* 100 more, 10 of them stolen */
    rf_bench_environment_end(&env, root);
    assert_true(env.steal > 0.099 && env.steal < 0.101);
    assert_true(has_warning(&env, "took 10.0 %"));
    /* A counter that went back, as some hosts let it after a migration, says nothing. */
    put("/proc/stat", "cpu  150 10 100 820 50 5 5 40 0 0\n");
    rf_bench_environment_end(&env, root);
    assert_true(env.steal < 0);
}

static void threads_of_one_core_count_once(void **state)
{
    (void)state;
    struct rf_bench_environment env;
    put_siblings("0-63\n");
    rf_bench_environment_begin(&env, root, 0);
    assert_int_equal(env.cores_usable, 1);
    put_siblings("0,32\n");
    rf_bench_environment_begin(&env, root, 0);
    assert_int_equal(env.cores_usable, 1);
}

static void the_machine_itself_is_watched(void **state)
{
    (void)state;
    struct rf_bench_environment env;
    rf_bench_environment_begin(&env, "", 30);
    assert_true(env.cpus_busy >= 0 && env.cpus_busy <= env.cpus_online);
    assert_true(env.load_average >= 0);
    assert_true(env.cores_usable >= 1 && env.cores_usable <= env.cpus_usable);
    assert_true(env.started.all > 0);
}

static void a_good_machine_gets_no_warning(void **state)
{
    (void)state;
    struct rf_bench_environment env = good();
    assert_int_equal(count_warnings(&env), 0);
    env.governor[0] = '\0';
    env.huge_pages[0] = '\0';
    env.cpus_busy = -1;
    env.steal = -1;
    env.cpus_quota = 4;
    assert_int_equal(count_warnings(&env), 0);
}

static void each_fault_gets_one_warning(void **state)
{
    (void)state;
    struct rf_bench_environment env = good();
    env.cpus_usable = env.cores_usable = 1;
    assert_true(has_warning(&env, "1 usable CPU, at least 2"));
    assert_int_equal(count_warnings(&env), 1);
    env = good();
    env.cores_usable = 1;
    assert_true(has_warning(&env, "4 usable CPUs are threads of one core"));
    assert_int_equal(count_warnings(&env), 1);
    env = good();
    env.cpus_quota = 1.5;
    assert_true(has_warning(&env, "grants 1.50 CPUs' time of 4"));
    assert_int_equal(count_warnings(&env), 1);
    env = good();
    env.cpus_busy = 0.8;
    assert_true(has_warning(&env, "0.80 of 4 CPUs busy"));
    assert_int_equal(count_warnings(&env), 1);
    env = good();
    env.is_virtual = true;
    assert_true(has_warning(&env, "virtual machine"));
    assert_int_equal(count_warnings(&env), 1);
    env = good();
    (void)snprintf(env.governor, sizeof(env.governor), "schedutil");
    assert_true(has_warning(&env, "'schedutil'"));
    assert_int_equal(count_warnings(&env), 1);
    env = good();
    (void)snprintf(env.huge_pages, sizeof(env.huge_pages), "never");
    assert_true(has_warning(&env, "huge pages are off"));
    assert_int_equal(count_warnings(&env), 1);
    env = good();
    env.is_optimized = false;
    env.flags = "Debug -O1";
    assert_true(has_warning(&env, "built with Debug -O1"));
    assert_int_equal(count_warnings(&env), 1);
}

static void all_faults_at_once_fit(void **state)
{
    (void)state;
    struct rf_bench_environment env = good();
    char texts[RF_BENCH_WARNINGS_MAX][RF_BENCH_WARNING_SIZE];
    env.cpus_usable = 2;
    env.cores_usable = 1;
    env.cpus_quota = 0.5;
    env.cpus_busy = 4;
    env.steal = 0.5;
    env.is_virtual = true;
    env.is_optimized = false;
    memset(env.governor, 'g', sizeof(env.governor) - 1);
    (void)snprintf(env.huge_pages, sizeof(env.huge_pages), "never");
    const size_t count = rf_bench_environment_warnings(&env, texts);
    assert_int_equal(count, 8);
    for (size_t i = 0; i < count; i++) {
        assert_in_range(strlen(texts[i]), 1, RF_BENCH_WARNING_SIZE - 2);
        assert_null(strchr(texts[i], '\n'));
    }
}

static void json_has_null_for_what_is_unknown(void **state)
{
    (void)state;
    struct rf_bench_environment env = good();
    env.governor[0] = '\0';
    env.huge_pages[0] = '\0';
    env.load_average = env.cpus_busy = env.steal = -1;
    json_t *object = rf_bench_environment_json(&env);
    assert_non_null(object);
    static const char *const unknown[] = {"governor",     "huge_pages", "cpus_quota",
                                          "load_average", "cpus_busy",  "steal"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_true(json_is_null(json_object_get(object, unknown[i])));
    }
    assert_string_equal(json_string_value(json_object_get(object, "pinning")), "server CPU 0");
    assert_int_equal(json_integer_value(json_object_get(object, "cores_usable")), 4);
    assert_int_equal(json_array_size(json_object_get(object, "warnings")), 0);
    json_decref(object);

    env.is_virtual = true;
    env.steal = 0.25;
    object = rf_bench_environment_json(&env);
    assert_non_null(object);
    assert_true(json_is_true(json_object_get(object, "is_virtual")));
    assert_int_equal(json_array_size(json_object_get(object, "warnings")), 2);
    assert_true(json_real_value(json_object_get(object, "steal")) > 0.24);
    json_decref(object);
}

static void plain_text_is_cut_and_cleaned(void **state)
{
    (void)state;
    char text[8];
    assert_string_equal(rf_bench_plain_text("a\tb\xc3\xa9\x7f", text, sizeof(text)), "a?b???");
    assert_string_equal(rf_bench_plain_text("0123456789", text, sizeof(text)), "0123456");
    assert_string_equal(rf_bench_plain_text("", text, sizeof(text)), "");
}

static void people_see_warnings_last(void **state)
{
    (void)state;
    struct rf_bench_environment env = good();
    env.is_virtual = true;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    rf_bench_environment_print(&env, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "machine  Some CPU, 4 CPUs, usable 4 on 4 cores, virtual, Linux"));
    assert_non_null(strstr(text, "\npinning  server CPU 0\n"));
    const char *warning = strstr(text, "\nwarning  ");
    assert_non_null(warning);
    assert_ptr_equal(strchr(warning + 1, '\n'), text + size - 1);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_machine_is_read_from_its_files, make_root, remove_root),
        cmocka_unit_test_setup_teardown(a_hypervisor_is_told_by_a_flag_or_by_the_kernel, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(an_empty_root_leaves_things_unknown_and_warns_of_none,
                                        make_root, remove_root),
        cmocka_unit_test_setup_teardown(files_of_nonsense_are_as_if_they_were_not_there, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(stolen_time_is_a_share_of_the_run_alone, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(threads_of_one_core_count_once, make_root, remove_root),
        cmocka_unit_test(the_machine_itself_is_watched),
        cmocka_unit_test(a_good_machine_gets_no_warning),
        cmocka_unit_test(each_fault_gets_one_warning),
        cmocka_unit_test(all_faults_at_once_fit),
        cmocka_unit_test(json_has_null_for_what_is_unknown),
        cmocka_unit_test(plain_text_is_cut_and_cleaned),
        cmocka_unit_test(people_see_warnings_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
