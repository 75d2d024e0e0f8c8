/* SPDX-License-Identifier: MIT
 *
 * Registering through libregfast, with a node of ours as the registry.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/regfast.h"
#include "core/address.h"
#include "fixture.h"
#include "nodes.h"

/* Options that are right, for a registry at `registries`. Lifetime: static, the next call's. */
static struct regfast_register_options options_for(const char *registries)
{
    static char bind[64];
    snprintf(bind, sizeof(bind), "%s:0", fixture_host());
    return (struct regfast_register_options){
        .size = sizeof(struct regfast_register_options),
        .id = "web-1",
        .group = "web",
        .addr = "10.0.0.1:80",
        .registries = registries,
        .bind = bind,
    };
}

static struct regfast_registration *registered(const struct regfast_register_options *options)
{
    struct regfast_registration *registration = NULL;
    char error[REGFAST_ERROR_SIZE];
    if (regfast_register(options, &registration, error, sizeof(error)) < 0) {
        fail_msg("%s", error);
    }
    return registration;
}

SCENARIO(a_registered_service_is_a_member_with_its_tags_until_it_leaves)
{
    struct node registry = node_start_at("registry", NULL);
    struct regfast_register_options options = options_for(registry.address);
    options.replicas = 17;
    struct regfast_registration *registration = registered(&options);
    assert_int_equal(regfast_registration_wait(registration, FIXTURE_EVENTUALLY_MS, NULL, 0), 0);
    assert_soon(node_sees(&registry, "web-1", RF_MEMBER_ALIVE));
    assert_true(node_sees_tag(&registry, "web-1", "group", "web"));
    assert_true(node_sees_tag(&registry, "web-1", "addr", "10.0.0.1:80"));
    assert_true(node_sees_tag(&registry, "web-1", "replicas", "17"));
    assert_int_equal(regfast_leave(registration, 15000), 0);
    assert_soon(node_sees(&registry, "web-1", RF_MEMBER_LEFT));
    assert_int_equal(regfast_leave(registration, 0), 0);
    assert_int_equal(regfast_registration_wait(registration, 0, NULL, 0), -ESHUTDOWN);
    regfast_registration_free(registration);
    node_kill(&registry);
}

SCENARIO(absent_replicas_are_told_as_the_default)
{
    struct node registry = node_start_at("registry", NULL);
    struct regfast_register_options options = options_for(registry.address);
    struct regfast_registration *registration = registered(&options);
    assert_soon(node_sees_tag(&registry, "web-1", "replicas", "1000"));
    regfast_registration_free(registration);
    node_kill(&registry);
}

SCENARIO(a_registration_outlives_registries_that_are_down)
{
    char registries[160];
    char address[64];
    snprintf(address, sizeof(address), "%s:%u", fixture_host(), fixture_port());
    snprintf(registries, sizeof(registries), "%s:%u,%s", fixture_host(), fixture_port(), address);
    struct regfast_register_options options = options_for(registries);
    struct regfast_registration *registration = registered(&options);
    char error[REGFAST_ERROR_SIZE];
    assert_int_equal(regfast_registration_wait(registration, 0, NULL, 0), -ETIMEDOUT);
    assert_soon(regfast_registration_wait(registration, 0, error, sizeof(error)) == -ETIMEDOUT &&
                strstr(error, address) != NULL);
    struct rf_gossip_config *config = node_config("registry");
    config->bind = address;
    struct node registry = node_start(config);
    assert_int_equal(regfast_registration_wait(registration, FIXTURE_EVENTUALLY_MS, NULL, 0), 0);
    assert_soon(node_sees(&registry, "web-1", RF_MEMBER_ALIVE));
    regfast_registration_free(registration);
    node_kill(&registry);
}

SCENARIO(a_weight_that_changes_is_told_to_all_and_to_those_that_come_later)
{
    char registries[64];
    snprintf(registries, sizeof(registries), "%s:%u", fixture_host(), fixture_port());
    struct regfast_register_options options = options_for(registries);
    struct regfast_registration *registration = registered(&options);
    assert_int_equal(regfast_set_replicas(registration, 5, NULL, 0), 0); /* nobody is there yet */
    struct rf_gossip_config *config = node_config("registry");
    config->bind = registries;
    struct node registry = node_start(config);
    assert_int_equal(regfast_registration_wait(registration, FIXTURE_EVENTUALLY_MS, NULL, 0), 0);
    assert_soon(node_sees_tag(&registry, "web-1", "replicas", "5"));
    assert_int_equal(regfast_set_replicas(registration, 65535, NULL, 0), 0);
    assert_soon(node_sees_tag(&registry, "web-1", "replicas", "65535"));
    assert_true(node_sees_tag(&registry, "web-1", "group", "web"));
    assert_true(node_sees_tag(&registry, "web-1", "addr", "10.0.0.1:80"));
    node_kill(&registry);
    registry = node_start(config); /* anew, and it remembers nothing */
    assert_eventually(node_sees_tag(&registry, "web-1", "replicas", "65535"));
    node_kill(&registry);

    char error[REGFAST_ERROR_SIZE];
    assert_int_equal(regfast_set_replicas(registration, 65536, error, sizeof(error)), -EINVAL);
    assert_string_equal(error, "replicas 65536, allowed 0..65535");
    assert_int_equal(regfast_set_replicas(NULL, 1, error, sizeof(error)), -EINVAL);
    assert_string_equal(error, "the registration is NULL");
    (void)regfast_leave(registration, 15000);
    assert_int_equal(regfast_set_replicas(registration, 1, NULL, 0), -ESHUTDOWN);
    regfast_registration_free(registration);
}

SCENARIO(who_has_no_weight_for_a_while_can_take_it_back)
{
    struct node registry = node_start_at("registry", NULL);
    struct regfast_register_options options = options_for(registry.address);
    struct regfast_registration *registration = registered(&options);
    assert_int_equal(regfast_registration_wait(registration, FIXTURE_EVENTUALLY_MS, NULL, 0), 0);
    assert_int_equal(regfast_set_replicas(registration, 0, NULL, 0), 0);
    assert_soon(node_sees_tag(&registry, "web-1", "replicas", "0"));
    assert_true(node_sees(&registry, "web-1", RF_MEMBER_ALIVE));
    assert_int_equal(regfast_set_replicas(registration, 500, NULL, 0), 0);
    assert_soon(node_sees_tag(&registry, "web-1", "replicas", "500"));
    assert_int_equal(regfast_leave(registration, 15000), 0);
    regfast_registration_free(registration);
    node_kill(&registry);
}

/* A leave takes a second and more to spread: here there is nothing to wait for. */
SCENARIO(who_has_never_joined_has_left_at_once)
{
    char registries[64];
    snprintf(registries, sizeof(registries), "%s:%u", fixture_host(), fixture_port());
    struct regfast_register_options options = options_for(registries);
    struct regfast_registration *registration = registered(&options);
    assert_int_equal(regfast_leave(registration, 0), 0);
    assert_int_equal(regfast_registration_wait(registration, 0, NULL, 0), -ESHUTDOWN);
    regfast_registration_free(registration);
}

SCENARIO(who_drains_has_no_weight_for_a_while_and_then_leaves)
{
    struct node registry = node_start_at("registry", NULL);
    struct regfast_register_options options = options_for(registry.address);
    struct regfast_registration *registration = registered(&options);
    assert_int_equal(regfast_registration_wait(registration, FIXTURE_EVENTUALLY_MS, NULL, 0), 0);
    assert_soon(node_sees_tag(&registry, "web-1", "replicas", "1000"));
    const uint64_t begin_ms = now_ms();
    assert_int_equal(regfast_drain(registration, 1000, 15000), 0);
    assert_true(now_ms() >= begin_ms + 1000);
    assert_soon(node_sees(&registry, "web-1", RF_MEMBER_LEFT));
    assert_true(node_sees_tag(&registry, "web-1", "replicas", "0"));
    assert_true(node_sees_tag(&registry, "web-1", "group", "web"));
    assert_int_equal(log_count("registry", "member_failed"), 0);
    assert_int_equal(regfast_drain(registration, 1000, 0), 0); /* it has left */
    regfast_registration_free(registration);
    node_kill(&registry);
}

SCENARIO(an_addr_without_a_host_gets_the_first_private_address)
{
    struct node registry = node_start_at("registry", NULL);
    struct regfast_register_options options = options_for(registry.address);
    options.addr = ":8080";
    struct regfast_registration *registration = registered(&options);
    struct rf_address expected;
    rf_address_first_private(&expected);
    expected.port = 8080;
    char text[RF_ADDRESS_TEXT_SIZE];
    rf_address_format(&expected, text);
    assert_string_equal(regfast_registration_addr(registration), text);
    assert_soon(node_sees_tag(&registry, "web-1", "addr", text));
    regfast_registration_free(registration);
    node_kill(&registry);
}

#define KEY "b2xkIGtleSBvZiAzMiBieXRlcyBmb3IgdGhlIHRlc3Q=" /* base64 of the next line */
#define KEY_BYTES "old key of 32 bytes for the test"
#define OTHER_KEY "dGhpcmQga2V5IG9mIDE2IQ=="

/* A registry with that key and label. */
static struct node sealed_registry(const char *label)
{
    const struct rf_gossip_key key = {(const uint8_t *)KEY_BYTES, strlen(KEY_BYTES)};
    struct rf_gossip_config *config = node_config("registry");
    config->keys = &key;
    config->keys_count = 1;
    config->label = label;
    return node_start(config);
}

SCENARIO(a_service_with_key_and_label_is_a_member_of_a_sealed_cluster)
{
    struct node registry = sealed_registry("blue");
    struct regfast_register_options options = options_for(registry.address);
    options.encrypt = KEY;
    options.label = "blue";
    struct regfast_registration *registration = registered(&options);
    assert_int_equal(regfast_registration_wait(registration, FIXTURE_EVENTUALLY_MS, NULL, 0), 0);
    assert_soon(node_sees(&registry, "web-1", RF_MEMBER_ALIVE));
    assert_int_equal(regfast_leave(registration, 15000), 0);
    assert_soon(node_sees(&registry, "web-1", RF_MEMBER_LEFT));
    regfast_registration_free(registration);
    node_kill(&registry);
}

/* It goes on trying, and says where and why in vain. */
static void assert_kept_out(const struct node *registry,
                            const struct regfast_register_options *options, const char *why)
{
    struct regfast_registration *registration = registered(options);
    char error[REGFAST_ERROR_SIZE] = "";
    assert_int_equal(regfast_registration_wait(registration, 0, NULL, 0), -ETIMEDOUT);
    assert_soon(regfast_registration_wait(registration, 0, error, sizeof(error)) < 0 &&
                strstr(error, why) != NULL);
    assert_contains(error, registry->address);
    assert_int_equal(node_members_count(registry), 1);
    regfast_registration_free(registration);
}

SCENARIO(a_service_with_another_key_or_label_is_kept_out_and_told_why)
{
    struct node registry = sealed_registry("blue");
    struct regfast_register_options good = options_for(registry.address);
    good.encrypt = KEY;
    good.label = "blue";
    struct regfast_register_options options = good;
    options.encrypt = OTHER_KEY;
    assert_kept_out(&registry, &options, "no key of this node opens the peer's answer");
    options.encrypt = NULL;
    assert_kept_out(&registry, &options,
                    "the peer's answer is encrypted, and this node has no key");
    options = good;
    options.label = "red";
    assert_kept_out(&registry, &options, "without an answer: is its label another one?");
    options.label = NULL;
    assert_kept_out(&registry, &options, "without an answer: is its label another one?");
    node_kill(&registry);

    struct node plain = node_start_at("plain", NULL);
    options = options_for(plain.address);
    options.encrypt = KEY;
    assert_kept_out(&plain, &options, "the peer's answer is not encrypted, and this node has keys");
    node_kill(&plain);
}

static void assert_refused(const struct regfast_register_options *options, int code,
                           const char *text)
{
    struct regfast_registration *registration = NULL;
    char error[REGFAST_ERROR_SIZE] = "";
    assert_int_equal(regfast_register(options, &registration, error, sizeof(error)), code);
    assert_null(registration);
    assert_non_null(strstr(error, text));
}

SCENARIO(wrong_options_are_refused_by_name)
{
    struct regfast_register_options good = options_for("127.0.0.1:7370");
    struct regfast_register_options options;
    assert_refused(NULL, -EINVAL, "options are NULL");
    options = good;
    options.size = 8;
    assert_refused(&options, -EINVAL, "options of size 8");
    options = good;
    options.id = NULL;
    assert_refused(&options, -EINVAL, "no id: it is required");
    options.id = "no_underscore";
    assert_refused(&options, -EINVAL, "id: node name 'no_underscore'");
    options = good;
    options.group = NULL;
    assert_refused(&options, -EINVAL, "no group");
    options.group = "";
    assert_refused(&options, -EINVAL, "group");
    options = good;
    options.addr = NULL;
    assert_refused(&options, -EINVAL, "addr");
    options.addr = "10.0.0.1";
    assert_refused(&options, -EINVAL, "addr: address '10.0.0.1': no port");
    options = good;
    options.replicas = 65536;
    assert_refused(&options, -EINVAL, "replicas 65536, allowed 1..65535");
    options = good;
    options.registries = NULL;
    assert_refused(&options, -EINVAL, "registries: expected HOST:PORT");
    options.registries = ",";
    assert_refused(&options, -EINVAL, "registries: expected HOST:PORT,...: entry 1 of ','");
    options.registries = "10.0.0.1,,10.0.0.2";
    assert_refused(&options, -EINVAL, "entry 2 of '10.0.0.1,,10.0.0.2' is empty");
    options.registries = "";
    assert_refused(&options, -EINVAL, "registries: expected HOST:PORT");
    options.registries = "10.0.0.1:x";
    assert_refused(&options, -EINVAL, "address '10.0.0.1:x': port 'x'");
    options = good;
    options.encrypt = "short";
    assert_refused(&options, -EINVAL, "encrypt: key of 5 characters");
    options.encrypt = KEY;
    options.keyring_file = fixture_path("keys");
    assert_refused(&options, -EINVAL, "a key and a keyring file, expected one of them");
    options.encrypt = NULL;
    assert_refused(&options, -ENOENT, "create it, mode 0600");
    options = good;
    char label[257];
    memset(label, 'l', 256);
    label[256] = '\0';
    options.label = label;
    assert_refused(&options, -EINVAL, "label of 256 bytes, allowed 0..255");
    options = good;
    options.bind = "nonsense";
    assert_int_equal(regfast_register(&options, NULL, NULL, 0), -EINVAL);
}

SCENARIO(no_registration_is_refused)
{
    assert_int_equal(regfast_registration_wait(NULL, 0, NULL, 0), -EINVAL);
    assert_int_equal(regfast_leave(NULL, 0), -EINVAL);
    assert_int_equal(regfast_drain(NULL, 0, 0), -EINVAL);
    assert_string_equal(regfast_registration_addr(NULL), "");
    regfast_registration_free(NULL);
}

SCENARIO(options_of_a_newer_program_are_taken_unless_they_ask_for_more)
{
    struct {
        struct regfast_register_options known;
        uint64_t newer;
    } options = {.known = options_for("127.0.0.1:7370")};
    options.known.size = sizeof(options);
    struct regfast_registration *registration = registered(&options.known);
    regfast_registration_free(registration);
    options.newer = 1;
    assert_refused(&options.known, -EINVAL, "set beyond the");
}

SCENARIO(a_bind_address_in_use_is_named)
{
    struct node other = node_start_at("other", NULL);
    struct regfast_register_options options = options_for(other.address);
    options.bind = other.address;
    assert_refused(&options, -EADDRINUSE, other.address);
    node_kill(&other);
}

/* As after kill -9: the name is known at a port where nobody listens any more. */
SCENARIO(a_service_that_was_killed_is_registered_again_on_another_port_at_once)
{
    struct rf_gossip_config *lan = node_config("registry");
    lan->profile = RF_GOSSIP_LAN; /* in which a death takes 4 s, and its name would 30 s more */
    struct node registry = node_start(lan);
    const char *seed = registry.address;
    struct rf_gossip_config *other = node_config("other"); /* who votes for what it knows */
    other->profile = RF_GOSSIP_LAN;
    other->seeds = &seed;
    other->seeds_count = 1;
    struct node voter = node_start(other);
    struct regfast_register_options options = options_for(registry.address);
    struct regfast_registration *registration = registered(&options);
    assert_soon(node_sees(&registry, "web-1", RF_MEMBER_ALIVE));
    assert_soon(node_sees(&voter, "web-1", RF_MEMBER_ALIVE));
    regfast_registration_free(registration);

    options.addr = "10.0.0.2:80";
    registration = registered(&options);
    assert_eventually(node_sees_tag(&registry, "web-1", "addr", "10.0.0.2:80"));
    assert_eventually(node_sees_tag(&voter, "web-1", "addr", "10.0.0.2:80"));
    assert_true(node_sees(&registry, "web-1", RF_MEMBER_ALIVE));
    sleep_ms(4000); /* the vote about its name takes 3.2 s */
    assert_int_equal(regfast_registration_wait(registration, 0, NULL, 0), 0);
    assert_int_equal(log_count("registry", "member_failed"), 0);
    regfast_registration_free(registration);
    node_kill(&voter);
    node_kill(&registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scenario_test(a_registered_service_is_a_member_with_its_tags_until_it_leaves),
        scenario_test(absent_replicas_are_told_as_the_default),
        scenario_test(a_registration_outlives_registries_that_are_down),
        scenario_test(a_weight_that_changes_is_told_to_all_and_to_those_that_come_later),
        scenario_test(who_has_no_weight_for_a_while_can_take_it_back),
        scenario_test(who_has_never_joined_has_left_at_once),
        scenario_test(who_drains_has_no_weight_for_a_while_and_then_leaves),
        scenario_test(an_addr_without_a_host_gets_the_first_private_address),
        scenario_test(a_service_with_key_and_label_is_a_member_of_a_sealed_cluster),
        scenario_test(a_service_with_another_key_or_label_is_kept_out_and_told_why),
        scenario_test(wrong_options_are_refused_by_name),
        scenario_test(no_registration_is_refused),
        scenario_test(options_of_a_newer_program_are_taken_unless_they_ask_for_more),
        scenario_test(a_bind_address_in_use_is_named),
        scenario_test(a_service_that_was_killed_is_registered_again_on_another_port_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
