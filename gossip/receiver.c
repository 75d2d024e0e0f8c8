/* SPDX-License-Identifier: MIT
 */
#include "gossip/receiver.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct rf_receiver {
    struct mmsghdr headers[RF_RECEIVER_BATCH];
    struct iovec parts[RF_RECEIVER_BATCH];
    struct sockaddr_storage from[RF_RECEIVER_BATCH];
    uint8_t bytes[RF_RECEIVER_BATCH][RF_PACKET_SIZE_MAX];
};

int rf_receiver_new(struct rf_receiver **ret_receiver, struct rf_error *err)
{
    struct rf_receiver *receiver = malloc(sizeof(*receiver));
    if (receiver == NULL) {
        return rf_error_set(err, -ENOMEM, "gossip: memory for %d datagrams", RF_RECEIVER_BATCH);
    }
    memset(receiver->headers, 0, sizeof(receiver->headers));
    for (int i = 0; i < RF_RECEIVER_BATCH; i++) {
        receiver->parts[i] =
            (struct iovec){.iov_base = receiver->bytes[i], .iov_len = RF_PACKET_SIZE_MAX};
        receiver->headers[i].msg_hdr = (struct msghdr){
            .msg_name = &receiver->from[i], .msg_iov = &receiver->parts[i], .msg_iovlen = 1};
    }
    *ret_receiver = receiver;
    return 0;
}

void rf_receiver_free(struct rf_receiver *receiver)
{
    free(receiver);
}

int rf_receiver_fetch(struct rf_receiver *receiver, int fd)
{
    for (int i = 0; i < RF_RECEIVER_BATCH; i++) {
        receiver->headers[i].msg_hdr.msg_namelen = sizeof(receiver->from[i]);
    }
    int count;
    do {
        count = recvmmsg(fd, receiver->headers, RF_RECEIVER_BATCH, MSG_DONTWAIT, NULL);
    } while (count < 0 && errno == EINTR);
    if (count < 0) {
        return errno == EAGAIN ? 0 : -errno;
    }
    return count;
}

struct rf_datagram rf_receiver_datagram(const struct rf_receiver *receiver, int index)
{
    struct rf_datagram datagram = {.data = receiver->bytes[index],
                                   .size = receiver->headers[index].msg_len};
    rf_address_from_sockaddr((const struct sockaddr *)&receiver->from[index], &datagram.from);
    return datagram;
}

uint32_t rf_receiver_lost_count(int fd)
{
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t size = sizeof(memory);
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &size) < 0) {
        return 0; /* kernels before 4.12 */
    }
    return memory[SK_MEMINFO_DROPS];
}
