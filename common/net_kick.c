/* net_kick.c - ends connections that nng holds.
 *
 * nng_pipe_close on a peer that is talking blocks the reaper thread of nng 1.5.2 for ever, even with the cures; a
 * shutdown of the socket below looks to nng like the peer's own hanging up, which it handles well (docs/decisions/002).
 * nng does not tell its descriptors, so they are found by their peer's address. One walk serves all that are due. Between
 * finding a descriptor and shutting it down nng may have closed it and accepted another in its place: that peer sees a
 * connection end, and comes back.
 */
#include "common/net_kick.h"

#include <dirent.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/net_session.h"

union any_addr {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

static bool
is_our_tcp(int fd, uint16_t local_port)
{
    union any_addr a = {0};
    socklen_t len = sizeof(a);
    if (getsockname(fd, &a.sa, &len) != 0) {
        return false;
    }
    uint16_t port = a.sa.sa_family == AF_INET ? a.in.sin_port : a.in6.sin6_port;
    bool is_inet = a.sa.sa_family == AF_INET || a.sa.sa_family == AF_INET6;
    return is_inet && local_port != 0 && ntohs(port) == local_port;
}

static bool
is_remote_tcp(const struct hq_remote *r, const union any_addr *a)
{
    if (r->family != a->sa.sa_family) {
        return false;
    }
    if (r->family == AF_INET) {
        return r->port == a->in.sin_port && memcmp(r->ip, &a->in.sin_addr, 4) == 0;
    }
    return r->family == AF_INET6 && r->port == a->in6.sin6_port && memcmp(r->ip, &a->in6.sin6_addr, 16) == 0;
}

static bool
is_our_ipc(int fd, const char *path)
{
    union any_addr a = {0};
    socklen_t len = sizeof(a);
    if (path == NULL || getsockname(fd, &a.sa, &len) != 0 || a.sa.sa_family != AF_UNIX) {
        return false;
    }
    size_t used = len - offsetof(struct sockaddr_un, sun_path);
    size_t path_len = strlen(path);
    if (path[0] == '@') { /* abstract: a NUL byte, then the name without an end */
        return used == path_len && a.un.sun_path[0] == '\0' && memcmp(a.un.sun_path + 1, path + 1, path_len - 1) == 0;
    }
    return used >= path_len && strncmp(a.un.sun_path, path, sizeof(a.un.sun_path)) == 0;
}

static bool
is_kicked(const struct hq_sessions *t, int fd, const union any_addr *peer, uint16_t local_port)
{
    const struct hq_pipe *p;
    TAILQ_FOREACH(p, &t->kicks, kicks)
    {
        if (is_remote_tcp(&p->remote, peer) && is_our_tcp(fd, local_port)) {
            return true;
        }
    }
    return false;
}

/* t NULL: all. False: our descriptors cannot be listed. */
static bool
walk(const struct hq_sessions *t, uint16_t local_port, const char *ipc_path)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return false;
    }
    const struct dirent *e;
    while ((e = readdir(dir)) != NULL) {
        int fd = 0;
        for (const char *c = e->d_name; *c >= '0' && *c <= '9'; c++) {
            fd = fd * 10 + (*c - '0');
        }
        union any_addr peer = {0};
        socklen_t len = sizeof(peer);
        if (e->d_name[0] == '.' || getpeername(fd, &peer.sa, &len) != 0) {
            continue;
        }
        bool is_due = t != NULL ? is_kicked(t, fd, &peer, local_port)
                                : is_our_tcp(fd, local_port) || is_our_ipc(fd, ipc_path);
        if (is_due) {
            (void)shutdown(fd, SHUT_RDWR); /* fails if the peer was faster */
        }
    }
    (void)closedir(dir); /* nothing was written */
    return true;
}

void
hq_kick_sweep(struct hq_sessions *t, uint16_t local_port)
{
    if (!walk(t, local_port, NULL)) {
        return; /* tried again with the next sweep */
    }
    struct hq_pipe *p;
    while ((p = TAILQ_FIRST(&t->kicks)) != NULL) {
        TAILQ_REMOVE(&t->kicks, p, kicks);
        p->is_swept = true;
    }
}

void
hq_kick_all(uint16_t local_port, const char *ipc_path)
{
    (void)walk(NULL, local_port, ipc_path); /* without a list nothing can be done; the caller's wait ends by time */
}
