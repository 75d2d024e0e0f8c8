/* SPDX-License-Identifier: MIT
 *
 * faulty_kernel.h - lets operations of the server's workers fail, by chance and in chosen ways. For
 * tests named test_*_faults.c, which are linked with --wrap for the calls below; included once, by
 * the test itself.
 *
 * What fails has no effect, as where the kernel refuses it. Of io_uring the kernel itself completes
 * it: an entry that is to fail becomes, before it is submitted, a no-operation with that result and
 * the same user data (IORING_NOP_INJECT_RESULT, Linux 6.10); and what is armed for life ends by
 * being cancelled. With epoll the system call is left out. Short sends are sends of less.
 */
#ifndef RF_TESTS_SERVER_FAULTY_KERNEL_H
#define RF_TESTS_SERVER_FAULTY_KERNEL_H

#include <errno.h>
#include <liburing.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum fault_operation {
    FAULT_NONE,
    FAULT_ACCEPT,
    FAULT_RECEIVE,
    FAULT_SEND,       /* one that is awaited; of epoll any */
    FAULT_QUIET_SEND, /* io_uring only */
    FAULT_SHORT_SEND, /* takes less; the error does not matter */
    FAULT_WAKE,
    FAULT_CANCEL, /* io_uring only: of the receives of who is paused */
    FAULT_WATCH,  /* epoll only: of a new socket */
    FAULT_WAIT,
    FAULT_CLOSE, /* closes, and says that it failed, as it may */
    FAULT_ALLOCATE,
};

static struct {
    _Atomic(int) operation; /* enum fault_operation */
    _Atomic(int) error;     /* positive errno */
    _Atomic(unsigned) per_mille;
    _Atomic(unsigned) injected;    /* faults since the last choice */
    _Atomic(unsigned) cancelled;   /* times that all that was armed was cancelled */
    _Atomic(bool) is_cancel_due;   /* at the next submission, whatever chance says */
    _Atomic(int) send_buffer_size; /* of all that is accepted from listeners made from now on */
} faults;

/* Only workers' calls fail: threads that wait for events. */
static _Thread_local bool fault_is_worker;
static _Thread_local uint64_t fault_random;

static void faults_choose(enum fault_operation operation, int error, unsigned per_mille)
{
    atomic_store(&faults.per_mille, 0);
    atomic_store(&faults.operation, (int)operation);
    atomic_store(&faults.error, error);
    atomic_store(&faults.injected, 0);
    atomic_store(&faults.cancelled, 0);
    atomic_store(&faults.is_cancel_due, false);
    atomic_store(&faults.per_mille, per_mille);
}

/* xorshift64*: "An experimental exploration of Marsaglia's xorshift generators", 2016. */
static uint64_t fault_next_random(void)
{
    if (fault_random == 0) {
        fault_random = 0x9e3779b97f4a7c15; /* the same in each run; the kernel's timing is not */
    }
    fault_random ^= fault_random >> 12;
    fault_random ^= fault_random << 25;
    fault_random ^= fault_random >> 27;
    return (fault_random * 0x2545f4914f6cdd1d) >> 33;
}

static bool fault_is_now(enum fault_operation operation)
{
    if (!fault_is_worker || atomic_load(&faults.operation) != (int)operation ||
        fault_next_random() % 1000 >= atomic_load(&faults.per_mille)) {
        return false;
    }
    atomic_fetch_add(&faults.injected, 1);
    return true;
}

/* For system calls: sets errno. */
static bool fault_is_error(enum fault_operation operation)
{
    if (!fault_is_now(operation)) {
        return false;
    }
    errno = atomic_load(&faults.error);
    return true;
}

/* ---- io_uring ---- */

#ifndef IORING_NOP_INJECT_RESULT /* newer than some headers */
#define IORING_NOP_INJECT_RESULT (1U << 0)
#endif

int __real_io_uring_submit(struct io_uring *ring);
int __real_io_uring_submit_and_wait(struct io_uring *ring, unsigned count);
int __real_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **ret_cqe,
                                            unsigned count, struct __kernel_timespec *timeout,
                                            sigset_t *mask);
int __real_io_uring_submit_and_get_events(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned count);
int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **ret_cqe,
                                            unsigned count, struct __kernel_timespec *timeout,
                                            sigset_t *mask);
int __wrap_io_uring_submit_and_get_events(struct io_uring *ring);

static void fault_make_entry_fail(struct io_uring_sqe *sqe, int error)
{
    if (sqe == NULL) { /* a queue that was just made has room */
        abort();
    }
    const uint64_t user_data = sqe->user_data;
    const unsigned flags = sqe->flags & IOSQE_CQE_SKIP_SUCCESS;
    io_uring_prep_rw(IORING_OP_NOP, sqe, -1, NULL, (unsigned)-error, 0);
    sqe->rw_flags = IORING_NOP_INJECT_RESULT;
    sqe->flags = (uint8_t)flags;
    sqe->user_data = user_data;
}

/* Whether this kernel completes a no-operation with the result that we want. */
static bool faults_work_with_uring(void)
{
    struct io_uring ring;
    struct io_uring_cqe *cqe;
    bool works = false;
    if (io_uring_queue_init(1, &ring, 0) < 0) {
        return false;
    }
    fault_make_entry_fail(io_uring_get_sqe(&ring), ECANCELED);
    if (__real_io_uring_submit(&ring) == 1 && io_uring_wait_cqe(&ring, &cqe) == 0) {
        works = cqe->res == -ECANCELED;
    }
    io_uring_queue_exit(&ring);
    return works;
}

static enum fault_operation fault_operation_of(const struct io_uring_sqe *sqe)
{
    switch (sqe->opcode) {
    case IORING_OP_ACCEPT:
        return FAULT_ACCEPT;
    case IORING_OP_RECV:
        return FAULT_RECEIVE;
    case IORING_OP_SEND:
        return (sqe->flags & IOSQE_CQE_SKIP_SUCCESS) != 0 ? FAULT_QUIET_SEND : FAULT_SEND;
    case IORING_OP_READ:
        return FAULT_WAKE;
    case IORING_OP_ASYNC_CANCEL:
        return FAULT_CANCEL;
    default:
        return FAULT_NONE;
    }
}

/* A quiet send that takes less has a completion that says so. */
static void fault_make_send_short(struct io_uring_sqe *sqe)
{
    sqe->len = 1 + (unsigned)(fault_next_random() % sqe->len);
    sqe->msg_flags &= ~(unsigned)MSG_WAITALL;
    sqe->flags &= (uint8_t)~IOSQE_CQE_SKIP_SUCCESS;
}

/* What is armed for life would never fail else: accepts, receives, the wake. */
static void fault_cancel_all(struct io_uring *ring)
{
    struct io_uring_sync_cancel_reg all = {
        .fd = -1, .flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL};
    if (io_uring_register_sync_cancel(ring, &all) >= 0) {
        atomic_fetch_add(&faults.cancelled, 1);
    }
}

/* Spoils what is about to be submitted. Not 0: nothing shall be submitted, this is the result. */
static int fault_submission(struct io_uring *ring)
{
    fault_is_worker = true;
    const int operation = atomic_load(&faults.operation);
    if (operation == FAULT_NONE) {
        return 0;
    }
    for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++) {
        struct io_uring_sqe *sqe = &ring->sq.sqes[i & *ring->sq.kring_mask];
        if (sqe->opcode == IORING_OP_SEND && fault_is_now(FAULT_SHORT_SEND)) {
            fault_make_send_short(sqe);
        } else if (fault_operation_of(sqe) == (enum fault_operation)operation &&
                   fault_is_now((enum fault_operation)operation)) {
            fault_make_entry_fail(sqe, atomic_load(&faults.error));
        }
    }
    bool is_chance = operation != FAULT_SHORT_SEND && fault_next_random() % 300 == 0;
    if (atomic_exchange(&faults.is_cancel_due, false) || is_chance) {
        fault_cancel_all(ring);
    }
    return fault_is_now(FAULT_WAIT) ? -atomic_load(&faults.error) : 0;
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
    int code = fault_submission(ring);
    return code != 0 ? code : __real_io_uring_submit(ring);
}

int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned count)
{
    int code = fault_submission(ring);
    return code != 0 ? code : __real_io_uring_submit_and_wait(ring, count);
}

int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **ret_cqe,
                                            unsigned count, struct __kernel_timespec *timeout,
                                            sigset_t *mask)
{
    int code = fault_submission(ring);
    return code != 0 ? code
                     : __real_io_uring_submit_and_wait_timeout(ring, ret_cqe, count, timeout, mask);
}

int __wrap_io_uring_submit_and_get_events(struct io_uring *ring)
{
    int code = fault_submission(ring);
    return code != 0 ? code : __real_io_uring_submit_and_get_events(ring);
}

/* ---- system calls ---- */

int __real_epoll_wait(int epoll_fd, struct epoll_event *events, int count, int timeout_ms);
int __real_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);
int __real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
ssize_t __real_recv(int fd, void *data, size_t size, int flags);
ssize_t __real_send(int fd, const void *data, size_t size, int flags);
ssize_t __real_read(int fd, void *data, size_t size);
int __real_close(int fd);
int __real_listen(int fd, int backlog);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int count, int timeout_ms);
int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_read(int fd, void *data, size_t size);
int __wrap_close(int fd);
int __wrap_listen(int fd, int backlog);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int count, int timeout_ms)
{
    fault_is_worker = true;
    return fault_is_error(FAULT_WAIT) ? -1 : __real_epoll_wait(epoll_fd, events, count, timeout_ms);
}

int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    return operation == EPOLL_CTL_ADD && fault_is_error(FAULT_WATCH)
               ? -1
               : __real_epoll_ctl(epoll_fd, operation, fd, event);
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    return fault_is_error(FAULT_ACCEPT) ? -1 : __real_accept4(fd, address, size, flags);
}

ssize_t __wrap_recv(int fd, void *data, size_t size, int flags)
{
    return fault_is_error(FAULT_RECEIVE) ? -1 : __real_recv(fd, data, size, flags);
}

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
    if (fault_is_error(FAULT_SEND)) {
        return -1;
    }
    if (size > 0 && fault_is_now(FAULT_SHORT_SEND)) {
        size = 1 + fault_next_random() % size;
    }
    return __real_send(fd, data, size, flags);
}

ssize_t __wrap_read(int fd, void *data, size_t size)
{
    return fault_is_error(FAULT_WAKE) ? -1 : __real_read(fd, data, size);
}

int __wrap_close(int fd)
{
    int code = __real_close(fd);
    return fault_is_error(FAULT_CLOSE) ? -1 : code;
}

int __wrap_listen(int fd, int backlog)
{
    int size = atomic_load(&faults.send_buffer_size);
    if (size > 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)); /* it is a socket */
    }
    return __real_listen(fd, backlog);
}

void *__wrap_malloc(size_t size)
{
    return fault_is_now(FAULT_ALLOCATE) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fault_is_now(FAULT_ALLOCATE) ? NULL : __real_calloc(count, size);
}

#endif
