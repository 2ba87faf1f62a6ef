/* net_dial.c - plain sockets: connecting with a deadline, and knowing who listens on a local one. No nng. */
#include "common/net_priv.h"

#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"

#define BACKLOG_WAIT_MS 10 /* the queue of the local socket is full: wait, then dial again */

int
hq_net_wait_fd(int fd, short events, hq_ms deadline_ms)
{
    for (;;) {
        hq_ms left = deadline_ms - hq_clock_ms();
        if (left <= 0) {
            return -ETIMEDOUT;
        }
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, (int)HQ_MIN(left, (hq_ms)60000));
        if (n > 0) {
            return 0;
        }
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
    }
}

/* Waits a little, by the clock of the poll: the queue of a local socket has no event to wait for. */
static int
wait_backlog(hq_ms deadline_ms)
{
    hq_ms left = deadline_ms - hq_clock_ms();
    if (left <= 0) {
        return -ETIMEDOUT;
    }
    int spread_ms = (int)((unsigned)getpid() % 7u); /* clients that wait together shall not come back together */
    (void)poll(NULL, 0, (int)HQ_MIN(left, (hq_ms)(BACKLOG_WAIT_MS + spread_ms))); /* a signal only shortens it */
    return 0;
}

static int
check_owner(int fd, const char *path, struct hq_err *err)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0) {
        return hq_err_sys(err, -errno, "Cannot learn who listens on %s", path);
    }
    if (!hq_net_uid_is_trusted(cred.uid)) {
        return hq_err_set(err, -EACCES, "A process of another user (uid %u) listens on %s", cred.uid, path);
    }
    return 0;
}

int
hq_net_ipc_connect(const char *path, hq_ms deadline_ms, struct hq_err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t path_len = strlen(path);
    if (path_len < 2 || path_len >= sizeof(sa.sun_path)) {
        return hq_err_set(err, -ENAMETOOLONG, "The socket path %s is too long", path);
    }
    memcpy(sa.sun_path, path, path_len);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len + 1);
    if (path[0] == '@') { /* abstract: a NUL byte in front, none behind */
        sa.sun_path[0] = '\0';
        len--;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return hq_err_sys(err, -errno, "Cannot make a socket");
    }
    int rc = 0;
    while (connect(fd, (const struct sockaddr *)&sa, len) != 0) {
        rc = errno == EAGAIN ? wait_backlog(deadline_ms) : errno == EINTR ? 0 : -errno;
        if (rc < 0) {
            rc = hq_err_sys(err, rc, "Cannot connect to %s", path);
            break;
        }
    }
    if (rc == 0) {
        rc = check_owner(fd, path, err);
    }
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    return fd;
}

static int
tcp_connect_one(const struct addrinfo *ai, hq_ms deadline_ms)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    int rc = connect(fd, ai->ai_addr, ai->ai_addrlen) == 0 ? 0 : -errno;
    if (rc == -EINPROGRESS) {
        rc = hq_net_wait_fd(fd, POLLOUT, deadline_ms);
        int failure = 0;
        socklen_t len = sizeof(failure);
        if (rc == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len) != 0) {
            failure = errno;
        }
        rc = rc == 0 ? -failure : rc;
    }
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    return fd;
}

int
hq_net_tcp_connect(const char *host, uint16_t port, hq_ms deadline_ms, struct hq_err *err)
{
    char service[8];
    (void)snprintf(service, sizeof(service), "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int gai = getaddrinfo(host, service, &hints, &list);
    if (gai != 0) { /* not an address: ask for the name, which may block */
        hints.ai_flags = AI_NUMERICSERV;
        gai = getaddrinfo(host, service, &hints, &list);
    }
    if (gai != 0) {
        return hq_err_set(err, -EHOSTUNREACH, "Cannot find the host %s: %s", host, gai_strerror(gai));
    }
    int rc = -EHOSTUNREACH;
    for (const struct addrinfo *ai = list; ai != NULL && rc < 0; ai = ai->ai_next) {
        rc = tcp_connect_one(ai, deadline_ms);
    }
    freeaddrinfo(list);
    return rc < 0 ? hq_err_sys(err, rc, "Cannot connect to %s:%u", host, port) : rc;
}

int
hq_net_ipc_probe(const char *path, uint8_t protocol, hq_ms deadline_ms, struct hq_err *err)
{
    int fd = hq_net_ipc_connect(path, deadline_ms, err);
    if (fd < 0) {
        return fd;
    }
    const unsigned char greeting[8] = {0, 'S', 'P', 0, 0, protocol, 0, 0};
    (void)send(fd, greeting, sizeof(greeting),
               MSG_NOSIGNAL); /* a listener of nng takes silence for an error of its own */
    (void)close(fd);          /* nothing is lost by a failure */
    return 0;
}
