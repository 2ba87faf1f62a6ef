/* nng_cure.c - work-arounds for faults of libnng < 1.10, reached by nng's own calls only: the build takes the system's
 * archive and redirects four of its undefined symbols here (docs/decisions/002-transport-over-cured-nng.md). Everybody
 * else in the process keeps libc's functions. Newer versions need none of this; then this file is empty.
 */
#include <nng/nng.h>

struct hq_nng_cure; /* an empty file is not C */

#if NNG_MAJOR_VERSION == 1 && NNG_MINOR_VERSION < 10

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t nng_cure_sendmsg(int fd, const struct msghdr *m, int flags);
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

ssize_t
nng_cure_readv(int fd, const struct iovec *v, int count)
{
    ssize_t n = readv(fd, v, count);
    if (n < 0 && errno == EPIPE) {
        errno = ECONNRESET;
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
