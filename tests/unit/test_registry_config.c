/* SPDX-License-Identifier: MIT */
#include "tools/registry/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { ARGS_MAX = 16 };

/* Reads "registry" and the given arguments, up to NULL. */
static int parse(struct rf_registry_config *config, struct rf_error *err, ...)
{
    static char *argv[ARGS_MAX + 2];
    int argc = 0;
    va_list args;
    argv[argc++] = (char *)"registry";
    va_start(args, err);
    for (char *arg = va_arg(args, char *); arg != NULL; arg = va_arg(args, char *)) {
        assert_true(argc <= ARGS_MAX);
        argv[argc++] = arg;
    }
    va_end(args);
    argv[argc] = NULL;
    err->text[0] = '\0';
    return rf_registry_config_init(config, argc, argv, err);
}

static void config_defaults_are_those_of_the_go_registry(void **state)
{
    (void)state;
    struct rf_registry_config config;
    struct rf_error err;
    assert_int_equal(parse(&config, &err, NULL), 0);
    assert_string_equal(config.bind, ":7370");
    assert_string_equal(config.addr, ":9800");
    assert_null(config.bind_advertise);
    assert_null(config.advertise);
    assert_int_equal(config.seeds_count, 0);
    assert_int_equal(config.io, RF_IO_AUTO);
    assert_int_equal(config.workers, 0);
    assert_int_equal(config.busy_poll_us, RF_BUSY_POLL_ADAPTIVE);
    assert_int_equal(config.connections_max, RF_CONNECTIONS_MAX_DEFAULT);
    assert_int_equal(config.buffers_size_max, RF_BUFFERS_SIZE_MAX_DEFAULT);
    assert_int_equal(config.detect_timeout_ms, RF_DETECT_TIMEOUT_MS_DEFAULT);
    assert_int_equal(config.stall_timeout_ms, RF_STALL_TIMEOUT_MS_DEFAULT);
    assert_int_equal(config.idle_timeout_ms, 0);
    assert_int_equal(config.placement, RF_PLACEMENT_V1);
    assert_int_equal(config.guard.flap_hold_ns, RF_GUARD_FLAP_HOLD_NS);
    assert_int_equal(config.guard.protect_ratio, RF_GUARD_PROTECT_RATIO);
    assert_int_equal(config.guard.protect_min, RF_GUARD_PROTECT_MIN);
    assert_int_equal(config.log_level, RF_LOG_INFO);
    /* HOST-PORT, of what a node's name may have only */
    const size_t size = strlen(config.id);
    assert_true(size > strlen("-7370") && size <= RF_GOSSIP_OWN_NAME_SIZE_MAX);
    assert_string_equal(config.id + size - strlen("-7370"), "-7370");
    assert_int_equal(strspn(config.id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789.-"),
                     size);
    rf_registry_config_fini(&config);
}

static void config_takes_one_or_two_dashes_and_both_forms_of_value(void **state)
{
    (void)state;
    struct rf_registry_config config;
    struct rf_error err;
    assert_int_equal(parse(&config, &err, "-id", "r1", "--bind=127.0.0.1:7001", "-addr=:9001",
                           "--advertise", "10.1.2.3:9001", "-bind-advertise=10.1.2.3:7001",
                           "--registries", "10.0.0.1:7370,r2:7000", NULL),
                     0);
    assert_string_equal(config.id, "r1");
    assert_string_equal(config.bind, "127.0.0.1:7001");
    assert_string_equal(config.addr, ":9001");
    assert_string_equal(config.advertise, "10.1.2.3:9001");
    assert_string_equal(config.bind_advertise, "10.1.2.3:7001");
    assert_int_equal(config.seeds_count, 2);
    assert_string_equal(config.seeds[0], "10.0.0.1:7370");
    assert_string_equal(config.seeds[1], "r2:7000");
    rf_registry_config_fini(&config);

    assert_int_equal(parse(&config, &err, "-io", "epoll", "-workers=3", "-placement", "crc32",
                           "-log-level=debug", NULL),
                     0);
    assert_int_equal(config.io, RF_IO_EPOLL);
    assert_int_equal(config.workers, 3);
    assert_int_equal(config.placement, RF_PLACEMENT_CRC32);
    assert_int_equal(config.log_level, RF_LOG_DEBUG);
    rf_registry_config_fini(&config);
}

static void config_limits_of_the_server_are_options(void **state)
{
    (void)state;
    struct rf_registry_config config;
    struct rf_error err;
    assert_int_equal(parse(&config, &err, "-busy-poll", "50", "-connections", "7", "-buffers-mib",
                           "16", "-first-bytes-timeout-ms=1", "-stall-timeout-ms=2",
                           "-idle-timeout-ms=3", NULL),
                     0);
    assert_int_equal(config.busy_poll_us, 50);
    assert_int_equal(config.connections_max, 7);
    assert_int_equal(config.buffers_size_max, 16 << 20);
    assert_int_equal(config.detect_timeout_ms, 1);
    assert_int_equal(config.stall_timeout_ms, 2);
    assert_int_equal(config.idle_timeout_ms, 3);
    rf_registry_config_fini(&config);

    assert_int_equal(parse(&config, &err, "-busy-poll", "often", NULL), -EINVAL);
    assert_non_null(strstr(err.text, "-busy-poll"));
    assert_non_null(strstr(err.text, "often"));
    assert_int_equal(parse(&config, &err, "-connections", "0", NULL), -EINVAL);
    assert_int_equal(parse(&config, &err, "-stall-timeout-ms", "0", NULL), -EINVAL);
    assert_int_equal(parse(&config, &err, "-idle-timeout-ms", "86400001", NULL), -EINVAL);
    assert_non_null(strstr(err.text, "86400000"));
}

static void config_errors_name_the_option_and_what_is_allowed(void **state)
{
    (void)state;
    struct rf_registry_config config;
    struct rf_error err;
    assert_int_equal(parse(&config, &err, "-bogus", NULL), -EINVAL);
    assert_non_null(strstr(err.text, "bogus"));
    assert_int_equal(parse(&config, &err, "-io", "kqueue", NULL), -EINVAL);
    assert_non_null(strstr(err.text, "kqueue"));
    assert_non_null(strstr(err.text, "epoll"));
    assert_int_equal(parse(&config, &err, "-workers", "257", NULL), -EINVAL);
    assert_non_null(strstr(err.text, "256"));
    assert_int_equal(parse(&config, &err, "-workers", "-1", NULL), -EINVAL);
    assert_int_equal(parse(&config, &err, "-bind", "1.2.3.4:99999", NULL), -EINVAL);
    assert_non_null(strstr(err.text, "99999"));
    assert_int_equal(parse(&config, &err, "-addr", NULL), -EINVAL);
    assert_non_null(strstr(err.text, "addr"));
    assert_int_equal(parse(&config, &err, "serve", NULL), -EINVAL);
    assert_non_null(strstr(err.text, "serve"));
    assert_int_equal(parse(&config, &err, "-registries", "a:1,,b:2", NULL), -EINVAL);

    char name[RF_GOSSIP_OWN_NAME_SIZE_MAX + 2];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(parse(&config, &err, "-id", name, NULL), -EINVAL);
    assert_non_null(strstr(err.text, "129"));
    assert_int_equal(parse(&config, &err, "-id", "a_b", NULL), -EINVAL);
    assert_non_null(strstr(err.text, "-id: gossip: node name 'a_b': other characters"));
}

static void config_refuses_more_registries_than_the_limit(void **state)
{
    (void)state;
    struct rf_registry_config config;
    struct rf_error err;
    char list[(RF_GOSSIP_SEEDS_MAX + 1) * sizeof("a:1")] = "a:1";
    for (int i = 1; i < RF_GOSSIP_SEEDS_MAX; i++) {
        strcat(list, ",a:1");
    }
    assert_int_equal(parse(&config, &err, "-registries", list, NULL), 0);
    assert_int_equal(config.seeds_count, RF_GOSSIP_SEEDS_MAX);
    rf_registry_config_fini(&config);
    strcat(list, ",a:1");
    assert_int_equal(parse(&config, &err, "-registries", list, NULL), RF_ELIMIT);
}

static void config_help_and_version_need_nothing_else(void **state)
{
    (void)state;
    struct rf_registry_config config;
    struct rf_error err;
    assert_int_equal(parse(&config, &err, "--help", NULL), 0);
    assert_true(config.help);
    assert_int_equal(parse(&config, &err, "-version", NULL), 0);
    assert_true(config.version);
}

static void advertised_address_is_made_of_advertise_addr_and_the_bound_port(void **state)
{
    (void)state;
    static const struct {
        const char *addr;
        const char *advertise;
        const char *text;
    } cases[] = {
        {"127.0.0.1:9801", NULL, "127.0.0.1:9801"},
        {"127.0.0.1:0", NULL, "127.0.0.1:4321"},
        {"127.0.0.1:0", "example.org:80", "example.org:80"},
        {":0", "example.org", "example.org:4321"},
        {"[::1]:9801", NULL, "[::1]:9801"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct rf_registry_config config = {.addr = cases[i].addr,
                                                  .advertise = cases[i].advertise};
        char text[RF_REGISTRY_ADDRESS_SIZE];
        struct rf_error err;
        bool is_guessed = true;
        assert_int_equal(rf_registry_config_advertised(&config, 4321, text, &is_guessed, &err), 0);
        assert_string_equal(text, cases[i].text);
        assert_false(is_guessed);
    }
}

static void advertised_address_of_a_wildcard_is_the_first_private_one(void **state)
{
    (void)state;
    struct rf_address address;
    char expected[RF_ADDRESS_TEXT_SIZE];
    rf_address_first_private(&address);
    address.port = 9800;
    (void)rf_address_format(&address, expected);
    const char *const wildcards[] = {":9800", "0.0.0.0:9800", "[::]:9800", "[0:0::0]:9800",
                                     "[::ffff:0.0.0.0]:9800"};
    for (size_t i = 0; i < sizeof(wildcards) / sizeof(wildcards[0]); i++) {
        const struct rf_registry_config config = {.addr = wildcards[i]};
        char text[RF_REGISTRY_ADDRESS_SIZE];
        struct rf_error err;
        bool is_guessed = false;
        assert_int_equal(rf_registry_config_advertised(&config, 9800, text, &is_guessed, &err), 0);
        assert_true(is_guessed);
        assert_string_equal(text, expected);
    }
}

static void the_ratio_of_protect_is_0_to_1_with_six_decimals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        uint32_t millionths;
    } cases[] = {{"0", 0, 0},           {"1", 0, 1000000},
                 {"1.0", 0, 1000000},   {"0.5", 0, 500000},
                 {".25", 0, 250000},    {"0.000001", 0, 1},
                 {"1.1", -EINVAL, 0},   {"0.0000001", -EINVAL, 0},
                 {"2", -EINVAL, 0},     {"", -EINVAL, 0},
                 {".", -EINVAL, 0},     {"-0.5", -EINVAL, 0},
                 {"0.5x", -EINVAL, 0},  {"1e0", -EINVAL, 0},
                 {"0.5.5", -EINVAL, 0}, {"18446744073709551617", -EINVAL, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rf_registry_config config;
        struct rf_error err = {0};
        assert_int_equal(parse(&config, &err, "-protect", cases[i].text, NULL), cases[i].code);
        if (cases[i].code == 0) {
            assert_int_equal(config.guard.protect_ratio, cases[i].millionths);
            rf_registry_config_fini(&config);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_defaults_are_those_of_the_go_registry),
        cmocka_unit_test(the_ratio_of_protect_is_0_to_1_with_six_decimals),
        cmocka_unit_test(config_takes_one_or_two_dashes_and_both_forms_of_value),
        cmocka_unit_test(config_limits_of_the_server_are_options),
        cmocka_unit_test(config_errors_name_the_option_and_what_is_allowed),
        cmocka_unit_test(config_refuses_more_registries_than_the_limit),
        cmocka_unit_test(config_help_and_version_need_nothing_else),
        cmocka_unit_test(advertised_address_is_made_of_advertise_addr_and_the_bound_port),
        cmocka_unit_test(advertised_address_of_a_wildcard_is_the_first_private_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
