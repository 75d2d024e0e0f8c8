/* SPDX-License-Identifier: MIT */
#include "bench/local_driver.h"

#include <stdlib.h>

#include "client/replica.h"

struct local_driver {
    struct rf_replica *replica;
};

struct local_driver *local_driver_new(const char *group)
{
    struct local_driver *driver = calloc(1, sizeof(*driver));
    if (driver != NULL && rf_replica_new(group, &driver->replica, NULL) < 0) {
        free(driver);
        return NULL;
    }
    if (driver != NULL) {
        rf_replica_connected(driver->replica, "bench", RF_PLACEMENT_V1);
    }
    return driver;
}

void local_driver_free(struct local_driver *driver)
{
    if (driver != NULL) {
        rf_replica_free(driver->replica);
        free(driver);
    }
}

int local_driver_page(struct local_driver *driver, const uint8_t *payload, size_t size,
                      struct rf_error *err)
{
    struct rf_wire_watch_reply page;
    int code = rf_wire_watch_reply_decode(payload, size, &page, err);
    return code < 0 ? code : rf_replica_page(driver->replica, &page, 0, err);
}

int local_driver_reader(struct local_driver *driver, struct regfast_reader **ret_reader)
{
    return rf_replica_reader_new(driver->replica, ret_reader);
}
