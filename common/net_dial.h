/* net_dial.h - plain sockets, non-blocking and CLOEXEC, and the SP greeting. Private to net_*.c. */
#ifndef HQ_COMMON_NET_DIAL_H
#define HQ_COMMON_NET_DIAL_H

#include "common/net_priv.h"
#include "common/net_resolve.h"

/* SP protocols over TCP and IPC: 8 bytes of greeting each way, then frames of a 64-bit big-endian length (on IPC with a
 * byte 01 before it) and as many bytes; those of requests and replies begin with the 32-bit request id, high bit set.
 */
#define HQ_SP_GREETING_BYTES 8u
#define HQ_SP_IPC_HEAD_BYTES 9u  /* 01, length */
#define HQ_SP_HEAD_BYTES_MAX 13u /* 01, length, request id */
enum hq_sp {
    HQ_SP_PUB = 0x20,
    HQ_SP_SUB = 0x21,
    HQ_SP_REQ = 0x30,
    HQ_SP_REP = 0x31,
};

bool hq_net_fd_is_spare(int fd); /* of those that no peer may have: close it */
HQ_MUST_CHECK int hq_net_wait_fd(int fd, short events, hq_ms deadline_ms); /* 0, -ETIMEDOUT */
bool hq_net_uid_is_trusted(uint32_t uid); /* may a server of this uid speak to us: our own and root */
/* One attempt: a connected socket whose other end has a trusted uid. -EAGAIN the listener's queue is full: try again in
 * hq_net_backlog_ms(). -ECONNREFUSED, -EACCES. */
HQ_MUST_CHECK int hq_net_ipc_try(const char *path, struct hq_err *err);
int hq_net_backlog_ms(void);
/* A socket that connects; writable means that hq_net_tcp_result knows (0 or negative errno). */
HQ_MUST_CHECK int hq_net_tcp_start(const struct hq_addr *addr);
HQ_MUST_CHECK int hq_net_tcp_result(int fd);
void hq_net_tcp_watch(int fd); /* a dead host shows within a minute; nothing happens to a local socket */
/* Blocking, for those who have no loop. */
HQ_MUST_CHECK int hq_net_ipc_connect(const char *path, hq_ms deadline_ms, struct hq_err *err);
HQ_MUST_CHECK int hq_net_tcp_connect(const char *host, uint16_t port, hq_ms deadline_ms, struct hq_err *err);

#endif
