/* SPDX-License-Identifier: MIT
 *
 * local_driver.h - a watch without a network, for localbench: what a registry would send is handed
 * in. Part of a shared library that is libregfast with these few names more, so that what is
 * measured is called as programs call it.
 */
#ifndef RF_BENCH_LOCAL_DRIVER_H
#define RF_BENCH_LOCAL_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "client/regfast.h"
#include "core/error.h"

#define LOCAL_DRIVER_API __attribute__((visibility("default")))

struct local_driver;
struct regfast_reader;

/* Connected, placement v1. NULL: no memory. */
LOCAL_DRIVER_API struct local_driver *local_driver_new(const char *group);
LOCAL_DRIVER_API void local_driver_free(struct local_driver *driver);

/* The payload of a reply to WATCH. Returns what rf_replica_page does. */
RF_NODISCARD LOCAL_DRIVER_API int local_driver_page(struct local_driver *driver,
                                                    const uint8_t *payload, size_t size,
                                                    struct rf_error *err);

/* regfast_reader_new. */
RF_NODISCARD LOCAL_DRIVER_API int local_driver_reader(struct local_driver *driver,
                                                      struct regfast_reader **ret_reader);

#endif
