/* SPDX-License-Identifier: MIT
 *
 * lookups_cluster.h - the cluster of the soak of lookups: three registries that are restarted and
 * killed, and 50 members of one group in this process, which come, go, and change their weight.
 */
#ifndef RF_TESTS_SOAK_LOOKUPS_CLUSTER_H
#define RF_TESTS_SOAK_LOOKUPS_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/regfast.h"

enum { REGISTRIES = 3, MEMBERS = 50 };

#define GROUP "web"

/* Starts the registries, and 50 members that all of them know when this returns. */
void cluster_start(const char *registry_program);

/* "HOST:PORT,..." of all registries, for clients. Lifetime: static. */
const char *cluster_servers(void);
/* The registry at that address, as regfast_server gives it. */
int registry_of(const char *server);
const char *registry_server(int registry);

/* From the main thread only, as a child ends with the thread that began it. */
void registry_begin(int registry);
void registry_kill(int registry);
/* By SIGTERM, and waits for its end. */
void registry_stop(int registry);
/* Waits until it knows all members that are there now. */
void registry_wait(int registry);

/* The digest of the group there; 0: it does not answer. */
uint64_t registry_digest(int registry);

/* How often it was begun until a moment of now_ms. Threads: any. */
int registry_run_at(int registry, uint64_t at_ms);

/* "m-07" is 7; -1 is none of ours. Its addr is always the same. */
int member_of(const char *id);
void member_text(int member, char ret_id[32], char ret_addr[32]);

/* From now on members leave, drain, die, come back and change their weight, from threads of their
 * own; then, until all are there again. */
void churn_begin(uint64_t seed);
void churn_end(void);
uint64_t churn_count(void);

/* Ends the members. The registries are the fixture's. */
void cluster_end(void);

#endif
