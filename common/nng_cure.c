/* nng_cure.c - work-arounds for faults of libnng < 1.10, reached by nng's own calls only: the build takes the system's
 * archive and redirects six of its undefined symbols here (docs/decisions/002-transport-over-cured-nng.md). Everybody
 * else in the process keeps libc's functions. Newer versions need none of this; then this file does nothing.
 */
#include "common/net_dial.h"

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
int nng_cure_close(int fd);
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

/* ---- connections that have not greeted yet
 *
 * After a connection that ends or talks nonsense in its greeting, nng takes it for a failing system and accepts nobody
 * for 100 ms: ten bad peers a second would keep all good ones out. Only ECONNRESET is taken for the peer's own fault,
 * so that is what these reads return. And nng waits 10 s for a greeting, of any number of peers: here the newest
 * GREETING_MAX may wait, an older one is shut down. One word per descriptor holds the number of its accept (upper bits)
 * and which byte of the greeting comes next (0: over), since nothing else tells a greeting from what follows. These are
 * the only variables of the suite outside of any object: nng calls us with nothing but a descriptor.
 */
#define GREETING_BYTES 8u
#define GREETING_FDS 65536
#define GREETING_MAX HQ_NET_GREETING_MAX
#define NEXT_BITS 4u
static _Atomic uint32_t greeting[GREETING_FDS];
static _Atomic int newest[GREETING_MAX]; /* descriptors by number of accept, modulo */
static _Atomic uint32_t accept_count;

static void
greeting_begin(int fd)
{
    uint32_t number = atomic_fetch_add(&accept_count, 1);
    atomic_store(&greeting[fd], number << NEXT_BITS | 1u);
    int oldest = atomic_exchange(&newest[number % GREETING_MAX], fd);
    uint32_t state = atomic_load(&greeting[oldest]);
    bool is_waiting = (state & ((1u << NEXT_BITS) - 1)) != 0;
    if (is_waiting && state >> NEXT_BITS == (number - GREETING_MAX) << NEXT_BITS >> NEXT_BITS) {
        (void)shutdown(oldest, SHUT_RDWR); /* it may just have gone by itself */
    }
}

int
nng_cure_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    int peer =
        accept4(fd, addr, len, SOCK_CLOEXEC); /* nng would set the flag a moment later: a fork may come between */
    if (peer < 0) {
        return peer;
    }
    if (peer >= GREETING_FDS || hq_net_fd_is_spare(peer)) {
        (void)close(peer);
        errno = ECONNABORTED; /* nng goes on with the next one */
        return -1;
    }
    greeting_begin(peer);
    hq_net_tcp_watch(peer); /* nng only switches the kernel's two hours on */
    return peer;
}

int
nng_cure_close(int fd)
{
    if (fd >= 0 && fd < GREETING_FDS) {
        atomic_store_explicit(&greeting[fd], 0, memory_order_relaxed);
    }
    return close(fd);
}

static bool
greeting_is_ok(int fd, uint32_t state, const struct iovec *v, int count, size_t len)
{
    static const unsigned char want[GREETING_BYTES] = {0, 'S', 'P', 0, 0, 0, 0, 0};
    uint32_t number = state >> NEXT_BITS;
    uint32_t next = state & ((1u << NEXT_BITS) - 1);
    for (int ix = 0; ix < count; ix++) {
        const unsigned char *p = v[ix].iov_base;
        for (size_t at = 0; at < v[ix].iov_len && len > 0 && next <= GREETING_BYTES; at++, len--, next++) {
            bool is_protocol = next == 5 || next == 6; /* checked by nng, which closes politely */
            if (!is_protocol && p[at] != want[next - 1]) {
                return false;
            }
        }
    }
    atomic_store_explicit(&greeting[fd], next > GREETING_BYTES ? 0 : number << NEXT_BITS | next, memory_order_relaxed);
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
    uint32_t state = fd >= GREETING_FDS ? 0 : atomic_load_explicit(&greeting[fd], memory_order_relaxed);
    bool is_waiting = (state & ((1u << NEXT_BITS) - 1)) != 0;
    if (is_waiting && (n == 0 || !greeting_is_ok(fd, state, v, count, (size_t)n))) {
        atomic_store_explicit(&greeting[fd], 0, memory_order_relaxed);
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
