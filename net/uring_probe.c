/* SPDX-License-Identifier: MIT
 *
 * What of io_uring works here is found by doing it, once, on sockets that go nowhere: version
 * numbers say nothing in kernels with backports, and a container's filter may forbid any part.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/assert.h"
#include "net/engine.h"
#include "net/uring.h"

enum { PROBE_ENTRIES = 8, PROBE_BUFFER_SIZE = 64 };

struct probe {
    struct io_uring ring;
    struct rf_uring_buffers buffers;
};

/* Submits what is prepared and takes one completion. Returns its result. */
static int complete(struct io_uring *ring, unsigned *ret_flags)
{
    struct io_uring_cqe *cqe = NULL;
    struct __kernel_timespec timeout = {.tv_sec = 1};
    int code = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &timeout, NULL);
    if (code < 0) {
        return code;
    }
    if (cqe == NULL) {
        return -ETIME;
    }
    int result = cqe->res;
    *ret_flags = cqe->flags;
    io_uring_cqe_seen(ring, cqe);
    return result;
}

/* 1: multishot receive works, 0: it does not, negative: not even the simple one. */
static int try_receive(struct probe *probe, bool is_multishot)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return -errno;
    }
    int result = -EIO;
    unsigned flags = 0;
    if (send(pair[1], "x", 1, MSG_NOSIGNAL) == 1) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&probe->ring);
        RF_ASSERT(sqe != NULL);
        if (is_multishot) {
            io_uring_prep_recv_multishot(sqe, pair[0], NULL, 0, 0);
        } else {
            io_uring_prep_recv(sqe, pair[0], NULL, probe->buffers.size, 0);
        }
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = 0;
        result = complete(&probe->ring, &flags);
    }
    bool has_buffer = (flags & IORING_CQE_F_BUFFER) != 0;
    if (has_buffer) {
        rf_uring_buffers_recycle(&probe->buffers, flags >> IORING_CQE_BUFFER_SHIFT);
    }
    if ((flags & IORING_CQE_F_MORE) != 0) { /* the peer's end completes the last shot */
        (void)close(pair[1]);
        pair[1] = -1;
        (void)complete(&probe->ring, &flags);
    }
    (void)close(pair[0]);
    if (pair[1] >= 0) {
        (void)close(pair[1]);
    }
    if (result == 1) {
        return has_buffer ? 1 : -EINVAL;
    }
    return is_multishot && result == -EINVAL ? 0 : result;
}

static int try_multishot_accept(struct probe *probe)
{
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t size = sizeof(address.sun_family); /* only that: the kernel chooses a name */
    int result = -EIO;
    unsigned flags = 0;
    if (listener < 0 || peer < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 ||
        listen(listener, 1) < 0) {
        result = -errno;
        goto done;
    }
    size = sizeof(address);
    if (getsockname(listener, (struct sockaddr *)&address, &size) < 0 ||
        connect(peer, (struct sockaddr *)&address, size) < 0) {
        result = -errno;
        goto done;
    }
    struct io_uring_sqe *sqe = io_uring_get_sqe(&probe->ring);
    RF_ASSERT(sqe != NULL);
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    result = complete(&probe->ring, &flags);
    if (result >= 0) {
        (void)close(result);
        result = 1;
    } else if (result == -EINVAL) {
        result = 0;
    }
    /* If it is still armed it ends with the ring; nothing else is tried on that after this. */
done:
    if (peer >= 0) {
        (void)close(peer);
    }
    if (listener >= 0) {
        (void)close(listener);
    }
    return result;
}

/* Submits a quiet send of `size` bytes and, behind it, what always completes. Returns the send's
 * result, `size` if it had no completion; *ret_is_quiet says whether it had none. */
static int send_quietly(struct io_uring *ring, int fd, const uint8_t *data, size_t size,
                        bool *ret_is_quiet)
{
    enum { SEND = 1, LAST = 2 };
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    RF_ASSERT(sqe != NULL);
    io_uring_prep_send(sqe, fd, data, size, MSG_NOSIGNAL | MSG_WAITALL | MSG_DONTWAIT);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, SEND);
    sqe = io_uring_get_sqe(ring);
    RF_ASSERT(sqe != NULL);
    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data64(sqe, LAST);
    int code = io_uring_submit_and_wait(ring, 1);
    if (code < 0) {
        return code;
    }
    int result = (int)size;
    *ret_is_quiet = true;
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(ring, &cqe) == 0) {
        if (io_uring_cqe_get_data64(cqe) == SEND) {
            result = cqe->res;
            *ret_is_quiet = false;
        }
        io_uring_cqe_seen(ring, cqe);
    }
    return result;
}

static size_t receive_all(int fd)
{
    uint8_t data[4096];
    size_t size = 0;
    for (;;) {
        ssize_t received = recv(fd, data, sizeof(data), MSG_DONTWAIT);
        if (received <= 0) {
            return size;
        }
        size += (size_t)received;
    }
}

/*
 * 1: sends can be quiet, 0: not. What is sent in full must make no completion; what is cut short
 * must make one that says how much was sent, and what finds no room one that says so. Kernels
 * before 6.1 get the second wrong.
 */
static int try_quiet_send(struct probe *probe)
{
    static const uint8_t zeros[64 * 1024];
    int pair[2];
    int size = 1; /* becomes the system's least */
    bool is_quiet = false;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return -errno;
    }
    bool works = (probe->ring.features & IORING_FEAT_CQE_SKIP) != 0 &&
                 setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0;
    works = works && send_quietly(&probe->ring, pair[0], zeros, 1, &is_quiet) == 1 && is_quiet &&
            receive_all(pair[1]) == 1;
    if (works) {
        int sent = send_quietly(&probe->ring, pair[0], zeros, sizeof(zeros), &is_quiet);
        works = sent > 0 && (size_t)sent < sizeof(zeros) && !is_quiet;
        works = works && send_quietly(&probe->ring, pair[0], zeros, 1, &is_quiet) == -EAGAIN;
        works = works && receive_all(pair[1]) == (size_t)sent;
    }
    (void)close(pair[0]);
    (void)close(pair[1]);
    return works;
}

static bool has_operations(struct io_uring *ring)
{
    static const int operations[] = {IORING_OP_ACCEPT, IORING_OP_RECV, IORING_OP_SEND,
                                     IORING_OP_READ, IORING_OP_ASYNC_CANCEL};
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    bool has_all = probe != NULL;
    for (size_t i = 0; has_all && i < sizeof(operations) / sizeof(operations[0]); i++) {
        has_all = io_uring_opcode_supported(probe, operations[i]);
    }
    io_uring_free_probe(probe);
    return has_all;
}

/* Everything but making the ring. Returns the features that work. */
static int try_features(struct probe *probe, unsigned features_off, struct rf_error *err)
{
    unsigned features = 0;
    if (!has_operations(&probe->ring)) {
        return rf_error_set(err, -EINVAL, "io_uring lacks socket operations (Linux 5.6)");
    }
    int code =
        rf_uring_buffers_init(&probe->buffers, &probe->ring, PROBE_ENTRIES, PROBE_BUFFER_SIZE);
    if (code == -EINVAL) {
        return rf_error_set(err, code, "io_uring lacks rings of provided buffers (Linux 5.19)");
    }
    if (code < 0) {
        return rf_error_set(err, code, "io_uring buffers: %s", strerror(-code));
    }
    code = try_receive(probe, false);
    if (code < 0) {
        return rf_error_set(err, code, "io_uring receive: %s", strerror(-code));
    }
    code = try_receive(probe, true);
    if (code < 0) {
        return rf_error_set(err, code, "io_uring multishot receive: %s", strerror(-code));
    }
    features |= code > 0 ? RF_ENGINE_MULTISHOT_RECEIVE : 0;
    code = try_quiet_send(probe);
    if (code < 0) {
        return rf_error_set(err, code, "io_uring send: %s", strerror(-code));
    }
    features |= code > 0 ? RF_ENGINE_QUIET_SEND : 0;
    code = try_multishot_accept(probe);
    if (code < 0) {
        return rf_error_set(err, code, "io_uring accept: %s", strerror(-code));
    }
    features |= code > 0 ? RF_ENGINE_MULTISHOT_ACCEPT : 0;
    return (int)(features & ~features_off);
}

struct probe_call {
    unsigned features_off;
    unsigned features; /* if code == 0 */
    int code;
    struct rf_error err;
};

static int probe_all(struct probe_call *call)
{
    struct probe probe = {0};
    unsigned features = RF_ENGINE_DEFER_TASKRUN & ~call->features_off;
    int code = rf_uring_init(&probe.ring, PROBE_ENTRIES, features);
    if (code == -EINVAL && features != 0) { /* Linux before 6.1 */
        features = 0;
        code = rf_uring_init(&probe.ring, PROBE_ENTRIES, features);
    }
    if (code < 0) {
        const char *hint = code == -ENOMEM ? " (raise the limit of locked memory)" : "";
        return rf_error_set(&call->err, code, "io_uring_setup: %s%s", strerror(-code), hint);
    }
    code = try_features(&probe, call->features_off, &call->err);
    io_uring_queue_exit(&probe.ring);
    rf_uring_buffers_fini(&probe.buffers);
    if (code < 0) {
        return code;
    }
    call->features = features | (unsigned)code;
    return 0;
}

static void *run(void *context)
{
    struct probe_call *call = context;
    call->code = probe_all(call);
    return NULL;
}

/*
 * On a thread of its own: the kernel takes a ring apart later, and then interrupts the thread that
 * used it. The caller would find some system call ended by EINTR without any signal.
 */
int rf_engine_uring_probe(unsigned features_off, unsigned *ret_features, struct rf_error *err)
{
    struct probe_call call = {.features_off = features_off};
    pthread_t thread;
    int code = -pthread_create(&thread, NULL, run, &call);
    if (code < 0) {
        return rf_error_set(err, code, "io_uring probe thread: %s", strerror(-code));
    }
    (void)pthread_join(thread, NULL);
    if (call.code < 0) {
        return rf_error_set(err, call.code, "%s", call.err.text);
    }
    *ret_features = call.features;
    return 0;
}
