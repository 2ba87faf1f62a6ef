/* nng_cure.c - work-arounds for faults of libnng < 1.10, reached by nng's own calls only: the build takes the system's
 * archive and redirects five of its undefined symbols here (docs/decisions/002-transport-over-cured-nng.md). Everybody
 * else in the process keeps libc's functions. Newer versions need none of this; then this file does nothing.
 */
#include "common/net_priv.h"

/* Called by those who use nng: draws this file out of the archive, before the linker comes to nng's. */
void
hq_nng_cure(void)
{
}

#if NNG_MAJOR_VERSION == 1 && NNG_MINOR_VERSION < 10

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t nng_cure_sendmsg(int fd, const struct msghdr *m, int flags);
int nng_cure_accept(int fd, struct sockaddr *addr, socklen_t *len);
ssize_t nng_cure_readv(int fd, const struct iovec *v, int count);
int nng_cure_epoll_wait(int ep, struct epoll_event *ev, int max, int timeout_ms);
long nng_cure_sysconf(int name);

/* A send to a dead peer "succeeds": only the receive path may notice the death and close the pipe. Closing from the
 * send path races with a receive between length and body and blocks the reaper thread for ever; and EPIPE during the
 * hello is taken for "my listener was closed". */
ssize_t
nng_cure_sendmsg(int fd, const struct msghdr *m, int flags)
{
    ssize_t n = sendmsg(fd, m, flags);
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET || errno == ETIMEDOUT)) {
        size_t total = 0;
        for (size_t ix = 0; ix < (size_t)m->msg_iovlen; ix++) {
            total += m->msg_iov[ix].iov_len;
        }
        return (ssize_t)total;
    }
    return n;
}

/* After a connection that ends or talks nonsense in its greeting, nng takes it for a failing system and accepts nobody
 * for 100 ms: ten bad peers a second would keep all good ones out. Only ECONNRESET is taken for the peer's own fault,
 * so that is what these reads return. A byte per descriptor says which byte of the greeting comes next (0: it is over),
 * since nothing else tells a greeting from what follows. The one table of the suite that lies outside of any object:
 * nng calls us with nothing but a descriptor. Beyond its end descriptors keep nng's pause. */
#define GREETING_BYTES 8u
#define GREETING_FDS 65536
static _Atomic unsigned char greeting_next[GREETING_FDS];

int
nng_cure_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    int peer =
        accept4(fd, addr, len, SOCK_CLOEXEC); /* nng would set the flag a moment later: a fork may come between */
    if (peer >= 0 && peer < GREETING_FDS) {
        atomic_store_explicit(&greeting_next[peer], 1, memory_order_relaxed);
    }
    return peer;
}

static bool
greeting_is_ok(int fd, unsigned next, const struct iovec *v, int count, size_t len)
{
    static const unsigned char want[GREETING_BYTES] = {0, 'S', 'P', 0, 0, 0, 0, 0};
    for (int ix = 0; ix < count; ix++) {
        const unsigned char *p = v[ix].iov_base;
        for (size_t at = 0; at < v[ix].iov_len && len > 0 && next <= GREETING_BYTES; at++, len--, next++) {
            bool is_protocol = next == 5 || next == 6; /* checked by nng, which closes politely */
            if (!is_protocol && p[at] != want[next - 1]) {
                return false;
            }
        }
    }
    unsigned char left = (unsigned char)(next <= GREETING_BYTES ? next : 0);
    atomic_store_explicit(&greeting_next[fd], left, memory_order_relaxed);
    return true;
}

ssize_t
nng_cure_readv(int fd, const struct iovec *v, int count)
{
    ssize_t n = readv(fd, v, count);
    if (n < 0) {
        if (errno == EPIPE) {
            errno = ECONNRESET;
        }
        return n;
    }
    unsigned next = fd >= GREETING_FDS ? 0 : atomic_load_explicit(&greeting_next[fd], memory_order_relaxed);
    if (next != 0 && (n == 0 || !greeting_is_ok(fd, next, v, count, (size_t)n))) {
        atomic_store_explicit(&greeting_next[fd], 0, memory_order_relaxed);
        errno = ECONNRESET;
        return -1;
    }
    return n;
}

/* Lets nng read what is left and then the end of file, instead of failing reads and writes at once. */
int
nng_cure_epoll_wait(int ep, struct epoll_event *ev, int max, int timeout_ms)
{
    int n = epoll_wait(ep, ev, max, timeout_ms);
    for (int ix = 0; ix < n; ix++) {
        if ((ev[ix].events & EPOLLERR) != 0) {
            ev[ix].events = (ev[ix].events & ~(uint32_t)EPOLLERR) | EPOLLIN | EPOLLOUT;
        }
    }
    return n;
}

/* nng sizes its thread pools by this and has no setting for it before 1.7 (later: nng_init_set_parameter). */
long
nng_cure_sysconf(int name)
{
    return name == _SC_NPROCESSORS_ONLN ? 1 : sysconf(name);
}

#endif
