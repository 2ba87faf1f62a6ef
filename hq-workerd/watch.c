/* watch.c - one epoll set; EPOLLONESHOT gives each end to one thread. */
#include "hq-workerd/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/mem.h"

struct watch {
    int epoll_fd;
    int wake_fd; /* semaphore: each wake-up is taken by one thread */
};

int
watch_create(struct watch **ret, struct hq_err *err)
{
    struct watch *w = hq_try_alloc(sizeof(*w));
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};

    if (w == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot watch processes");
    }
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
    if (w->epoll_fd < 0 || w->wake_fd < 0 || epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &ev) < 0) {
        int rc = hq_err_sys(err, -errno, "Cannot watch processes");
        watch_destroy(w);
        return rc;
    }
    *ret = w;
    return 0;
}

void
watch_destroy(struct watch *w)
{
    if (w == NULL) {
        return;
    }
    hq_fs_closep(&w->epoll_fd);
    hq_fs_closep(&w->wake_fd);
    free(w);
}

int
watch_add(struct watch *w, int pidfd, void *item)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = item};

    return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, pidfd, &ev) < 0 ? -errno : 0;
}

void
watch_wake(struct watch *w, uint32_t threads)
{
    uint64_t add = threads;

    while (write(w->wake_fd, &add, sizeof add) < 0 && errno == EINTR) {
    }
}

void *
watch_wait(struct watch *w, hq_ms timeout_ms)
{
    struct epoll_event ev;
    uint64_t one;

    if (epoll_wait(w->epoll_fd, &ev, 1, timeout_ms < 0 ? -1 : (int)HQ_MIN(timeout_ms, 60000)) != 1) {
        return NULL;
    }
    if (ev.data.ptr == NULL) {
        (void)!read(w->wake_fd, &one, sizeof one); /* -EAGAIN: another thread was faster */
    }
    return ev.data.ptr;
}
