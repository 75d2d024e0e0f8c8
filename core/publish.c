/* SPDX-License-Identifier: MIT */
#include "core/publish.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/assert.h"
#include "core/sanitizer.h"

/*
 * The thread sanitizer sees the pointer's release and acquire, but neither a record's "active"
 * word nor the reclaimer's scan of it, both of which are ck's assembly. So it is told the one edge
 * that those make: what a reader did before it left comes before what is freed after a scan. A
 * reader that is still in its section has not told anything, hence a free under its feet is still
 * reported. Records change hands in the same way. The edge goes by the address of the writer's
 * record: that of an atomic would not do, since storing to one forgets what others told by it.
 */
#if RF_HAS_TSAN
#include <sanitizer/tsan_interface.h>
#define TELL_RELEASE(address) __tsan_release(address)
#define TELL_ACQUIRE(address) __tsan_acquire(address)
#else
#define TELL_RELEASE(address) ((void)(address))
#define TELL_ACQUIRE(address) ((void)(address))
#endif

enum {
    POISON = 0xdb,
    /* An object retired in epoch e is safe when all are seen in e + 1: one poll ticks, the next
     * one frees. A third finds nothing that they left. */
    POLLS_MAX = 2,
};

static const uint64_t magic_live = 0x7265676661737431; /* "regfast1" */

CK_STACK_CONTAINER(struct ck_epoch_record, record_next, record_of)
CK_STACK_CONTAINER(struct ck_epoch_entry, stack_entry, entry_of)
CK_EPOCH_CONTAINER(struct rf_published, entry, published_of)

static_assert(offsetof(struct rf_published, entry) == 0, "a published value starts with its entry");
static_assert(offsetof(struct rf_publisher, epoch) + sizeof(ck_epoch_t) <= CK_MD_CACHELINE &&
                  offsetof(struct rf_publisher, record) == CK_MD_CACHELINE,
              "readers load one line of the publisher");

void rf_publisher_init(struct rf_publisher *publisher, struct rf_published *first)
{
    RF_ASSERT(first != NULL && first->free != NULL);
    memset(publisher, 0, sizeof(*publisher));
    ck_epoch_init(&publisher->epoch);
    ck_epoch_register(&publisher->epoch, &publisher->record, NULL);
    first->magic = magic_live;
    atomic_init(&publisher->current, first);
}

/* Never called: rf_publisher_reclaim takes retired values out by ck_epoch_poll_deferred. */
static void dispatch_unexpectedly(ck_epoch_entry_t *entry)
{
    RF_ASSERT(entry == NULL);
}

void rf_publish(struct rf_publisher *publisher, struct rf_published *next)
{
    struct rf_published *before = rf_publisher_current(publisher);
    RF_ASSERT(next != NULL && next->free != NULL && next != before);
    next->magic = magic_live;
    atomic_store_explicit(&publisher->current, next, memory_order_release);
    ck_epoch_call(&publisher->record, &before->entry, dispatch_unexpectedly);
    publisher->retired_count++;
    if (publisher->retired_count > publisher->retired_peak) {
        publisher->retired_peak = publisher->retired_count;
    }
}

static void free_value(struct rf_published *published)
{
    published->magic = 0;
    published->free(published);
}

/*
 * ck 0.7.1 hands out the entries of epoch - 2 before it has looked at the readers, which is wrong
 * where several threads retire and poll. It is right here, where one thread does both: only its own
 * poll advances the epoch, and the poll that does so from e to e + 1 has put a full fence after the
 * swap of everything filed under e. What is handed out in e + 1 was therefore invisible to all who
 * entered in e + 1, and the scan has found nobody still in e.
 */
bool rf_publisher_reclaim(struct rf_publisher *publisher)
{
    for (int i = 0; i < POLLS_MAX && publisher->retired_count > 0; i++) {
        ck_stack_t deferred = CK_STACK_INITIALIZER;
        if (!ck_epoch_poll_deferred(&publisher->record, &deferred)) {
            break;
        }
        TELL_ACQUIRE(&publisher->record);
        ck_stack_entry_t *next = NULL;
        for (ck_stack_entry_t *at = CK_STACK_FIRST(&deferred); at != NULL; at = next) {
            next = CK_STACK_NEXT(at);
            RF_ASSERT(publisher->retired_count > 0);
            publisher->retired_count--;
            free_value(published_of(entry_of(at)));
        }
    }
    return publisher->retired_count > 0;
}

struct rf_published *rf_publisher_current(const struct rf_publisher *publisher)
{
    return atomic_load_explicit(&publisher->current, memory_order_relaxed);
}

void rf_publisher_fini(struct rf_publisher *publisher)
{
    const bool is_waiting = rf_publisher_reclaim(publisher);
    RF_ASSERT(!is_waiting); /* a reader is still in a section */
    TELL_ACQUIRE(&publisher->record);
    free_value(rf_publisher_current(publisher));
    atomic_store_explicit(&publisher->current, NULL, memory_order_relaxed);
    ck_stack_entry_t *next = NULL;
    for (ck_stack_entry_t *at = CK_STACK_FIRST(&publisher->epoch.records); at != NULL; at = next) {
        next = CK_STACK_NEXT(at);
        struct ck_epoch_record *record = record_of(at);
        if (record != &publisher->record) {
            TELL_ACQUIRE(record);
            free(record);
        }
    }
}

int rf_reader_init(struct rf_reader *reader, struct rf_publisher *publisher)
{
    ck_epoch_record_t *record = ck_epoch_recycle(&publisher->epoch, NULL);
    if (record != NULL) {
        TELL_ACQUIRE(record);
    } else {
        record = aligned_alloc(_Alignof(ck_epoch_record_t), sizeof(*record));
        if (record == NULL) {
            return -ENOMEM;
        }
        ck_epoch_register(&publisher->epoch, record, NULL);
        TELL_RELEASE(record);
    }
    *reader = (struct rf_reader){.publisher = publisher, .record = record};
    return 0;
}

void rf_reader_fini(struct rf_reader *reader)
{
    if (reader->publisher != NULL) {
        RF_ASSERT(reader->seen == NULL);
        TELL_RELEASE(reader->record);
        ck_epoch_unregister(reader->record);
        *reader = (struct rf_reader){0};
    }
}

const struct rf_published *rf_reader_enter(struct rf_reader *reader)
{
    RF_ASSERT(reader->seen == NULL);
    ck_epoch_begin(reader->record, NULL);
    /* ck 0.7.1 lacks this fence, needed where loads may pass loads: a section must not load a
     * pointer older than the epoch that it claims. On x86 it is no instruction. */
    ck_pr_fence_load();
    reader->seen = atomic_load_explicit(&reader->publisher->current, memory_order_acquire);
    return reader->seen;
}

void rf_reader_leave(struct rf_reader *reader)
{
    RF_ASSERT(reader->seen != NULL);
#ifdef RF_DEBUG
    RF_ASSERT(reader->seen->magic == magic_live); /* freed under a reader's feet */
#endif
    reader->seen = NULL;
    TELL_RELEASE(&reader->publisher->record);
    (void)ck_epoch_end(reader->record, NULL); /* whether it was the last: sections do not nest */
}

void rf_poison(void *memory, size_t size)
{
#ifdef RF_DEBUG
    memset(memory, POISON, size);
    /* The compiler knows that nobody may read what is freed next, and would drop the stores. */
    __asm__ volatile("" : : "r"(memory) : "memory");
#else
    (void)memory;
    (void)size;
#endif
}
