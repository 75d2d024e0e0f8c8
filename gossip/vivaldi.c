/* SPDX-License-Identifier: MIT */
#include "gossip/vivaldi.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "core/assert.h"

#define CE 0.25        /* how fast the error follows */
#define CC 0.25        /* how fast the place follows */
#define RHO 150.0      /* gravity: larger is weaker */
#define NEAR_ZERO 1e-6 /* closer than that is the same place, and no time is shorter */

struct rf_coordinate rf_coordinate_new(void)
{
    return (struct rf_coordinate){.error = RF_VIVALDI_ERROR_MAX, .height = RF_VIVALDI_HEIGHT_MIN_S};
}

void rf_vivaldi_init(struct rf_vivaldi *vivaldi)
{
    *vivaldi = (struct rf_vivaldi){.self = rf_coordinate_new()};
}

/* False for what is no number, too. */
static bool is_within(double value, double min, double max)
{
    return value >= min && value <= max;
}

bool rf_coordinate_is_sane(const struct rf_coordinate *coordinate)
{
    static const double max_s = RF_VIVALDI_COORDINATE_S_MAX;
    bool is_sane = is_within(coordinate->error, 0, RF_VIVALDI_ERROR_MAX) &&
                   is_within(coordinate->height, 0, max_s) &&
                   is_within(coordinate->adjustment, -max_s, max_s);
    for (int i = 0; i < RF_COORDINATE_DIMENSION; i++) {
        is_sane = is_sane && is_within(coordinate->vec[i], -max_s, max_s);
    }
    return is_sane;
}

/* ---- geometry ---- */

static double length(const double vec[RF_COORDINATE_DIMENSION])
{
    double sum = 0;
    for (int i = 0; i < RF_COORDINATE_DIMENSION; i++) {
        sum += vec[i] * vec[i];
    }
    return sqrt(sum);
}

static void subtract(const struct rf_coordinate *a, const struct rf_coordinate *b,
                     double ret[RF_COORDINATE_DIMENSION])
{
    for (int i = 0; i < RF_COORDINATE_DIMENSION; i++) {
        ret[i] = a->vec[i] - b->vec[i];
    }
}

/* Without the adjustments. */
static double raw_distance_s(const struct rf_coordinate *a, const struct rf_coordinate *b)
{
    double between[RF_COORDINATE_DIMENSION];
    subtract(a, b, between);
    return length(between) + a->height + b->height;
}

double rf_coordinate_distance_s(const struct rf_coordinate *a, const struct rf_coordinate *b)
{
    double raw_s = raw_distance_s(a, b);
    double adjusted_s = raw_s + a->adjustment + b->adjustment;
    return adjusted_s > 0 ? adjusted_s : raw_s;
}

/*
 * The direction from `b` to `a`, of length 1, and how far they are apart. From the same place any
 * direction will do, so that nodes that all begin at the origin come apart.
 */
static double direction(const struct rf_coordinate *a, const struct rf_coordinate *b,
                        struct rf_random *random, double ret_unit[RF_COORDINATE_DIMENSION])
{
    double distance_s;
    subtract(a, b, ret_unit);
    double size = length(ret_unit);
    if (size > NEAR_ZERO) {
        distance_s = size;
    } else {
        distance_s = 0;
        for (int i = 0; i < RF_COORDINATE_DIMENSION; i++) {
            ret_unit[i] = (double)(rf_random_next(random) >> 11) * 0x1p-53 - 0.5;
        }
        size = length(ret_unit);
        if (size <= NEAR_ZERO) { /* once in 2^140 */
            ret_unit[0] = 1;
            size = length(ret_unit);
        }
    }
    for (int i = 0; i < RF_COORDINATE_DIMENSION; i++) {
        ret_unit[i] /= size;
    }
    return distance_s;
}

/* Moves `self` away from `other`, or towards it if `force_s` is negative. */
static void push(struct rf_coordinate *self, struct rf_random *random, double force_s,
                 const struct rf_coordinate *other)
{
    double unit[RF_COORDINATE_DIMENSION];
    double distance_s = direction(self, other, random, unit);
    for (int i = 0; i < RF_COORDINATE_DIMENSION; i++) {
        self->vec[i] += unit[i] * force_s;
    }
    if (distance_s > NEAR_ZERO) {
        double height_s = self->height + (self->height + other->height) * force_s / distance_s;
        self->height = fmax(height_s, RF_VIVALDI_HEIGHT_MIN_S);
    }
}

/* ---- one round trip ---- */

/* The median of the last few: a single slow one moves nothing. */
static double filter_s(struct rf_vivaldi_peer *peer, double rtt_s)
{
    peer->rtts_s[peer->rtts_next] = rtt_s;
    peer->rtts_next = (uint8_t)((peer->rtts_next + 1) % RF_VIVALDI_FILTER);
    if (peer->rtts_count < RF_VIVALDI_FILTER) {
        peer->rtts_count++;
    }
    double sorted[RF_VIVALDI_FILTER];
    for (int i = 0; i < peer->rtts_count; i++) {
        int place = i;
        for (; place > 0 && sorted[place - 1] > peer->rtts_s[i]; place--) {
            sorted[place] = sorted[place - 1];
        }
        sorted[place] = peer->rtts_s[i];
    }
    return sorted[peer->rtts_count / 2];
}

static void move(struct rf_coordinate *self, struct rf_random *random,
                 const struct rf_coordinate *other, double rtt_s)
{
    double distance_s = rf_coordinate_distance_s(self, other);
    double measured_s = fmax(rtt_s, NEAR_ZERO);
    double wrongness = fabs(distance_s - measured_s) / measured_s;
    double weight = self->error / fmax(self->error + other->error, NEAR_ZERO);
    double error = CE * weight * wrongness + self->error * (1 - CE * weight);
    self->error = fmin(error, RF_VIVALDI_ERROR_MAX);
    push(self, random, CC * weight * (measured_s - distance_s), other);
}

static void adjust(struct rf_vivaldi *vivaldi, const struct rf_coordinate *other, double rtt_s)
{
    vivaldi->window_s[vivaldi->window_next] = rtt_s - raw_distance_s(&vivaldi->self, other);
    vivaldi->window_next = (vivaldi->window_next + 1) % RF_VIVALDI_WINDOW;
    double sum_s = 0;
    for (int i = 0; i < RF_VIVALDI_WINDOW; i++) {
        sum_s += vivaldi->window_s[i];
    }
    vivaldi->self.adjustment = sum_s / (2 * RF_VIVALDI_WINDOW);
}

/* Else all nodes together would drift away, since only distances are measured. */
static void pull_to_origin(struct rf_coordinate *self, struct rf_random *random)
{
    const struct rf_coordinate origin = rf_coordinate_new();
    double pull = rf_coordinate_distance_s(&origin, self) / RHO;
    push(self, random, -pull * pull, &origin);
}

int rf_vivaldi_update(struct rf_vivaldi *vivaldi, struct rf_random *random,
                      struct rf_vivaldi_peer *peer, const struct rf_coordinate *other,
                      uint64_t rtt_ns)
{
    if (!rf_coordinate_is_sane(other)) {
        return -EINVAL;
    }
    if (rtt_ns > RF_VIVALDI_RTT_S_MAX * UINT64_C(1000000000)) {
        return -ERANGE;
    }
    double rtt_s = filter_s(peer, (double)rtt_ns * 1e-9);
    peer->coordinate = *other;
    move(&vivaldi->self, random, other, rtt_s);
    adjust(vivaldi, other, rtt_s);
    pull_to_origin(&vivaldi->self, random);
    vivaldi->updates_count++;
    if (!rf_coordinate_is_sane(&vivaldi->self)) {
        vivaldi->self = rf_coordinate_new();
        vivaldi->resets_count++;
    }
    return 0;
}
