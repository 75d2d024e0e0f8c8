/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gossip/vivaldi.h"

#define MS UINT64_C(1000000)

static struct rf_random random_state;

static void assert_near(double value, double wanted)
{
    if (!(fabs(value - wanted) < 1e-12)) {
        fail_msg("%.17g, wanted %.17g", value, wanted);
    }
}

/* The numbers come from a second implementation of rule 25, written from its text. */
static void vivaldi_moves_as_the_rule_says(void **state)
{
    (void)state;
    enum { PEERS = 5, ROUNDS = 200 };
    static const double place_s[RF_COORDINATE_DIMENSION] = {
        0.03920781979675344,  0.039706231901777404, 0.0398892404264317,  0.03920781398522555,
        0.039706231901777404, 0.0398892404264317,   0.03920781398522555, 0.039706231901777404};
    struct rf_vivaldi vivaldi;
    struct rf_vivaldi_peer peers[PEERS] = {0};
    rf_vivaldi_init(&vivaldi);
    vivaldi.self.vec[0] = 0.01;
    for (int i = 0; i < ROUNDS; i++) {
        int n = i % PEERS;
        struct rf_coordinate other = {
            .error = 0.2 + 0.1 * n, .adjustment = 0.0005 * (n - 2), .height = 0.001 * (n + 1)};
        for (int j = 0; j < RF_COORDINATE_DIMENSION; j++) {
            other.vec[j] = 0.02 * n + 0.001 * ((n * j) % 3);
        }
        uint64_t rtt_ns =
            5 * MS + 7 * MS * (uint64_t)n + (uint64_t)i * (uint64_t)i * 7919 % 3000000;
        assert_int_equal(rf_vivaldi_update(&vivaldi, &random_state, &peers[n], &other, rtt_ns), 0);
    }
    for (int j = 0; j < RF_COORDINATE_DIMENSION; j++) {
        assert_near(vivaldi.self.vec[j], place_s[j]);
    }
    assert_near(vivaldi.self.error, 1.2016674920607169);
    assert_near(vivaldi.self.adjustment, -0.02515461782976202);
    assert_near(vivaldi.self.height, 1e-05);
    assert_int_equal(vivaldi.updates_count, ROUNDS);
    assert_int_equal(vivaldi.resets_count, 0);
}

static void vivaldi_takes_nothing_that_cannot_be(void **state)
{
    (void)state;
    static const double absurd[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, 10.1, -10.1,
                                    1e300};
    struct rf_vivaldi vivaldi;
    struct rf_vivaldi_peer peer = {0};
    rf_vivaldi_init(&vivaldi);
    const struct rf_vivaldi before = vivaldi;
    const struct rf_vivaldi_peer peer_before = peer;
    for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++) {
        for (int field = 0; field < RF_COORDINATE_DIMENSION + 3; field++) {
            struct rf_coordinate other = rf_coordinate_new();
            double *values[] = {&other.error, &other.adjustment, &other.height};
            *(field < 3 ? values[field] : &other.vec[field - 3]) = absurd[i];
            assert_int_equal(rf_vivaldi_update(&vivaldi, &random_state, &peer, &other, MS),
                             -EINVAL);
        }
    }
    struct rf_coordinate other = rf_coordinate_new();
    other.error = -0.1;
    assert_int_equal(rf_vivaldi_update(&vivaldi, &random_state, &peer, &other, MS), -EINVAL);
    other = rf_coordinate_new();
    other.height = -0.1;
    assert_int_equal(rf_vivaldi_update(&vivaldi, &random_state, &peer, &other, MS), -EINVAL);
    other = rf_coordinate_new();
    assert_int_equal(rf_vivaldi_update(&vivaldi, &random_state, &peer, &other, 10000 * MS + 1),
                     -ERANGE);
    assert_memory_equal(&vivaldi, &before, sizeof(before));
    assert_memory_equal(&peer, &peer_before, sizeof(peer));
    assert_int_equal(rf_vivaldi_update(&vivaldi, &random_state, &peer, &other, 10000 * MS), 0);
    assert_int_equal(rf_vivaldi_update(&vivaldi, &random_state, &peer, &other, 0), 0);
}

static void vivaldi_stays_sane_whatever_sane_others_say(void **state)
{
    (void)state;
    struct rf_vivaldi vivaldi;
    struct rf_vivaldi_peer peers[16] = {0};
    rf_vivaldi_init(&vivaldi);
    for (int i = 0; i < 20000; i++) {
        struct rf_coordinate other = {0};
        double *values = other.vec;
        for (int j = 0; j < RF_COORDINATE_DIMENSION; j++) {
            values[j] = (double)rf_random_below(&random_state, 3) * 10 - 10;
        }
        other.error = (double)rf_random_below(&random_state, 4) * 0.5;
        other.adjustment = (double)rf_random_below(&random_state, 3) * 10 - 10;
        other.height = (double)rf_random_below(&random_state, 2) * 10;
        uint64_t rtt_ns = rf_random_below(&random_state, 3) * 5000 * MS;
        struct rf_vivaldi_peer *peer = &peers[rf_random_below(&random_state, 16)];
        assert_int_equal(rf_vivaldi_update(&vivaldi, &random_state, peer, &other, rtt_ns), 0);
        assert_true(rf_coordinate_is_sane(&vivaldi.self));
        assert_true(rf_coordinate_distance_s(&vivaldi.self, &other) > 0);
    }
    assert_true(vivaldi.resets_count > 0); /* such others are no network: it had to begin anew */
}

static void vivaldi_passes_over_a_single_slow_round_trip(void **state)
{
    (void)state;
    struct rf_vivaldi calm;
    struct rf_vivaldi hit;
    struct rf_vivaldi_peer peers[2] = {0};
    rf_vivaldi_init(&calm);
    calm.self.vec[0] = 0.02; /* a direction, so that no random one is needed */
    hit = calm;
    const struct rf_coordinate other = rf_coordinate_new();
    for (int i = 0; i < 40; i++) {
        assert_int_equal(rf_vivaldi_update(&calm, &random_state, &peers[0], &other, 20 * MS), 0);
        uint64_t rtt_ns = i % 10 == 5 ? 4000 * MS : 20 * MS;
        assert_int_equal(rf_vivaldi_update(&hit, &random_state, &peers[1], &other, rtt_ns), 0);
    }
    assert_memory_equal(&calm.self, &hit.self, sizeof(calm.self));
}

/* ---- a network ---- */

enum { NODES = 64 };

struct network {
    double place_ms[NODES][3];
    double link_ms[NODES]; /* what each node is behind */
    struct rf_vivaldi vivaldi[NODES];
    struct rf_vivaldi_peer peers[NODES][NODES];
};

static double uniform(double max)
{
    return (double)(rf_random_next(&random_state) >> 11) * 0x1p-53 * max;
}

static double true_rtt_ms(const struct network *network, int a, int b)
{
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        double d = network->place_ms[a][i] - network->place_ms[b][i];
        sum += d * d;
    }
    return sqrt(sum) + network->link_ms[a] + network->link_ms[b];
}

static struct network *network_new(void)
{
    struct network *network = calloc(1, sizeof(*network));
    assert_non_null(network);
    for (int i = 0; i < NODES; i++) {
        for (int j = 0; j < 3; j++) {
            network->place_ms[i][j] = uniform(80);
        }
        network->link_ms[i] = 1 + uniform(10);
        rf_vivaldi_init(&network->vivaldi[i]);
    }
    return network;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Of all pairs: how wrong the estimate is, as a part of the true time. */
static void relative_errors(const struct network *network, double *ret_median, double *ret_p95)
{
    static double errors[NODES * NODES];
    size_t count = 0;
    for (int a = 0; a < NODES; a++) {
        for (int b = a + 1; b < NODES; b++) {
            double estimate_ms = 1000 * rf_coordinate_distance_s(&network->vivaldi[a].self,
                                                                 &network->vivaldi[b].self);
            double rtt_ms = true_rtt_ms(network, a, b);
            errors[count++] = fabs(estimate_ms - rtt_ms) / rtt_ms;
        }
    }
    qsort(errors, count, sizeof(errors[0]), compare);
    *ret_median = errors[count / 2];
    *ret_p95 = errors[count * 95 / 100];
}

/* Every node probes one other at random in each round; one round trip in 50 is slow by 200 ms. */
static void network_run(struct network *network, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        for (int a = 0; a < NODES; a++) {
            int b = (a + 1 + (int)rf_random_below(&random_state, NODES - 1)) % NODES;
            double rtt_ms = true_rtt_ms(network, a, b) * (1 + uniform(0.1));
            rtt_ms += rf_random_below(&random_state, 50) == 0 ? 200 : 0;
            const struct rf_coordinate other = network->vivaldi[b].self;
            assert_int_equal(rf_vivaldi_update(&network->vivaldi[a], &random_state,
                                               &network->peers[a][b], &other,
                                               (uint64_t)(rtt_ms * 1e6)),
                             0);
        }
    }
}

static void vivaldi_estimates_all_pairs_of_a_network_it_has_measured_in_part(void **state)
{
    (void)state;
    struct network *network = network_new();
    double median;
    double p95;
    relative_errors(network, &median, &p95);
    assert_true(median > 0.9); /* all at the origin yet */
    network_run(network, 500);
    relative_errors(network, &median, &p95);
    print_message("relative error after 500 round trips a node: median %.3f, 95%% %.3f\n", median,
                  p95);
    assert_true(median < 0.12);
    assert_true(p95 < 0.35);
    free(network);
}

static void vivaldi_follows_a_node_that_moves(void **state)
{
    (void)state;
    struct network *network = network_new();
    network_run(network, 300);
    network->place_ms[7][0] += 150;
    network_run(network, 500);
    double median;
    double p95;
    relative_errors(network, &median, &p95);
    assert_true(median < 0.12);
    double estimate_ms =
        1000 * rf_coordinate_distance_s(&network->vivaldi[7].self, &network->vivaldi[8].self);
    assert_true(fabs(estimate_ms / true_rtt_ms(network, 7, 8) - 1) < 0.35);
    free(network);
}

int main(void)
{
    const char *text = getenv("RF_SIM_SEED");
    random_state.state = text != NULL ? strtoull(text, NULL, 10) : 1;
    print_message("seed %llu\n", (unsigned long long)random_state.state);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vivaldi_moves_as_the_rule_says),
        cmocka_unit_test(vivaldi_takes_nothing_that_cannot_be),
        cmocka_unit_test(vivaldi_stays_sane_whatever_sane_others_say),
        cmocka_unit_test(vivaldi_passes_over_a_single_slow_round_trip),
        cmocka_unit_test(vivaldi_estimates_all_pairs_of_a_network_it_has_measured_in_part),
        cmocka_unit_test(vivaldi_follows_a_node_that_moves),
    };
    return cmocka_run_group_tests_name("vivaldi", tests, NULL, NULL);
}
