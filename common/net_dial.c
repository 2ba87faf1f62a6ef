/* net_dial.c - plain sockets: connecting, and knowing who listens on a local one. No nng. */
#include "common/net_dial.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"

bool
hq_net_fd_is_spare(int fd)
{
    struct rlimit limit = {0};
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > HQ_NET_SPARE_FDS &&
           (rlim_t)fd >= limit.rlim_cur - HQ_NET_SPARE_FDS;
}

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

bool
hq_net_uid_is_trusted(uint32_t uid)
{
    return uid == (uint32_t)geteuid() || uid == 0;
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
hq_net_ipc_try(const char *path, struct hq_err *err)
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
    do {
        rc = connect(fd, (const struct sockaddr *)&sa, len) == 0 ? 0 : -errno;
    } while (rc == -EINTR);
    if (rc == -ENOENT) { /* no socket file: nobody listens */
        rc = -ECONNREFUSED;
    }
    rc = rc < 0 ? hq_err_sys(err, rc, "Cannot connect to %s", path) : check_owner(fd, path, err);
    if (rc < 0) {
        (void)close(fd); /* nothing is lost by a failure */
        return rc;
    }
    return fd;
}

int
hq_net_backlog_ms(void)
{
    return 10 + (int)((unsigned)getpid() % 7u); /* clients that wait together shall not come back together */
}

int
hq_net_ipc_connect(const char *path, hq_ms deadline_ms, struct hq_err *err)
{
    for (;;) {
        int fd = hq_net_ipc_try(path, err);
        hq_ms left = deadline_ms - hq_clock_ms();
        if (fd != -EAGAIN) {
            return fd;
        }
        if (left <= 0) {
            return hq_err_sys(err, -ETIMEDOUT, "Cannot connect to %s", path);
        }
        (void)poll(NULL, 0, (int)HQ_MIN(left, (hq_ms)hq_net_backlog_ms())); /* a full queue has no event to wait for */
    }
}

int
hq_net_tcp_start(const struct hq_addr *addr)
{
    int fd = socket(addr->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    if (connect(fd, (const struct sockaddr *)&addr->sa, addr->len) != 0 && errno != EINPROGRESS) {
        int rc = -errno;
        (void)close(fd);
        return rc;
    }
    return fd;
}

/* A host that vanished gives no sign: the kernel asks after it, and gives up on data that nobody acknowledges. */
void
hq_net_tcp_watch(int fd)
{
    static const struct {
        int level;
        int name;
        int value;
    } rows[] = {
        {IPPROTO_TCP, TCP_KEEPIDLE, 30},        {IPPROTO_TCP, TCP_KEEPINTVL, 10}, {IPPROTO_TCP, TCP_KEEPCNT, 3},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 60000}, {SOL_SOCKET, SO_KEEPALIVE, 1},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(rows); ix++) {
        if (setsockopt(fd, rows[ix].level, rows[ix].name, &rows[ix].value, sizeof(rows[ix].value)) != 0) {
            return; /* not TCP */
        }
    }
}

int
hq_net_tcp_result(int fd)
{
    int failure = 0;
    socklen_t len = sizeof(failure);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len) != 0) {
        failure = errno;
    }
    if (failure == 0) {
        const int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* frames leave whole and at once */
        hq_net_tcp_watch(fd);
    }
    return -failure;
}

int
hq_net_tcp_connect(const char *host, uint16_t port, hq_ms deadline_ms, struct hq_err *err)
{
    struct hq_addrs addrs = {0};
    int rc = hq_resolve_number(host, port, &addrs);
    if (rc < 0) {
        rc = hq_resolve_blocking(host, port, &addrs);
    }
    if (rc < 0) {
        return hq_err_set(err, rc, "Cannot find the host %s", host);
    }
    rc = -EHOSTUNREACH;
    for (size_t ix = 0; ix < addrs.count; ix++) {
        int fd = hq_net_tcp_start(&addrs.at[ix]);
        rc = fd < 0 ? fd : hq_net_wait_fd(fd, POLLOUT, deadline_ms);
        if (rc == 0) {
            rc = hq_net_tcp_result(fd);
        }
        if (rc == 0) {
            return fd;
        }
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    return hq_err_sys(err, rc, "Cannot connect to %s:%u", host, port);
}
