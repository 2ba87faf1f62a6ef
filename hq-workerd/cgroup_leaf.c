/* cgroup_leaf.c - OUR_GROUP/hq-worker-PID/SLOT. No controller is turned on, so that processes may stay in our own group. */
#include "hq-workerd/cgroup_leaf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/log.h"
#include "common/mem.h"
#include "hq-workerd/cgroup.h"

struct leaves {
    char *dir;
    uint32_t count; /* slots below it: 0 to count - 1 may be there */
};

static char *
path_of(const char *dir, const char *name)
{
    struct hq_buf path = HQ_BUF_INIT;

    hq_buf_printf(&path, "%s/%s", dir, name);
    return hq_buf_take(&path);
}

static bool
has_mark(const char *dir, const char *name)
{
    char value[2] = {0};

    return getxattr(dir, name, value, sizeof value) == 1 && value[0] == '1';
}

/* The mark is systemd's. Without it a group is ours to divide only where a realm begins that somebody gave to this user: who may
 * write above it too (root everywhere, a user below systemd's manager for users) finds another who divides there. */
static bool
is_delegated(const char *dir)
{
    HQ_AUTO(hq_mem_freep) char *procs = path_of(dir, "cgroup.procs");
    HQ_AUTO(hq_mem_freep) char *above = path_of(dir, "..");

    if (access(dir, W_OK) < 0 || access(procs, W_OK) < 0) {
        return false;
    }
    return access(above, W_OK) < 0 || has_mark(dir, "user.delegate") || has_mark(dir, "trusted.delegate");
}

static int
find_own(struct hq_buf *ret_dir)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf self = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf mounts = HQ_BUF_INIT;
    size_t mount_len;
    int rc = hq_fs_read(&self, "/proc/self/cgroup", CGROUP_TEXT_BYTES_MAX, NULL);

    rc = rc < 0 ? rc : hq_fs_read(&mounts, "/proc/self/mountinfo", CGROUP_TEXT_BYTES_MAX, NULL);
    rc = rc < 0 ? rc : cgroup_locate(ret_dir, &mount_len, hq_buf_view(&self), hq_buf_view(&mounts), NULL);
    return rc < 0 || ret_dir->len > mount_len ? rc : -ENOENT; /* the top is nobody's own */
}

struct leaves *
leaves_create(void)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf dir = HQ_BUF_INIT;

    if (find_own(&dir) < 0 || !is_delegated(dir.ptr)) {
        return NULL;
    }
    hq_buf_printf(&dir, "/hq-worker-%d", getpid());
    if (mkdir(dir.ptr, 0755) < 0 && errno != EEXIST) {
        hq_log_warn("Tasks get no control groups: %s path=%s", hq_err_os(errno), dir.ptr);
        return NULL;
    }
    HQ_AUTO(hq_mem_freep) char *can_kill = path_of(dir.ptr, "cgroup.kill");
    struct leaves *l = access(can_kill, W_OK) == 0 ? hq_try_alloc(sizeof(*l)) : NULL; /* since Linux 5.14 */
    if (l == NULL) {
        (void)rmdir(dir.ptr);
        return NULL;
    }
    hq_log_debug("Tasks run in control groups path=%s", dir.ptr);
    l->dir = hq_buf_take(&dir);
    return l;
}

void
leaves_destroy(struct leaves *l)
{
    char name[16];

    if (l == NULL) {
        return;
    }
    for (uint32_t i = 0; i < l->count; i++) {
        (void)snprintf(name, sizeof name, "%u", i);
        HQ_AUTO(hq_mem_freep) char *dir = path_of(l->dir, name);
        (void)rmdir(dir); /* of a slot without a leaf: not there */
    }
    if (rmdir(l->dir) < 0) {
        hq_log_debug("A control group is left behind: %s path=%s", hq_err_os(errno), l->dir);
    }
    free(l->dir);
    free(l);
}

static int
open_in(const char *dir, const char *name, int how)
{
    HQ_AUTO(hq_mem_freep) char *path = path_of(dir, name);
    int fd = open(path, how | O_CLOEXEC);

    return fd < 0 ? 0 : fd;
}

void
leaf_open(struct leaves *l, uint32_t slot_ix, struct leaf *leaf)
{
    char name[16];

    if (l == NULL || leaf->was_tried) {
        return;
    }
    leaf->was_tried = true;
    (void)snprintf(name, sizeof name, "%u", slot_ix);
    HQ_AUTO(hq_mem_freep) char *dir = path_of(l->dir, name);
    if (mkdir(dir, 0755) == 0 || errno == EEXIST) {
        uint32_t count = __atomic_load_n(&l->count, __ATOMIC_RELAXED);
        while (count <= slot_ix && !__atomic_compare_exchange_n(&l->count, &count, slot_ix + 1, false, __ATOMIC_RELAXED,
                                                                __ATOMIC_RELAXED)) {
        }
        leaf->procs_fd = open_in(dir, "cgroup.procs", O_WRONLY);
        leaf->kill_fd = open_in(dir, "cgroup.kill", O_WRONLY);
        leaf->events_fd = open_in(dir, "cgroup.events", O_RDONLY);
    }
    if (leaf->procs_fd == 0 || leaf->kill_fd == 0 || leaf->events_fd == 0) {
        leaf_close(leaf);
        leaf->was_tried = true;
    }
}

/* A look costs a tenth of a kill, and most tasks leave nobody behind. Zombies do not count. */
static bool
leaf_is_empty(const struct leaf *leaf)
{
    char text[64];
    ssize_t len = pread(leaf->events_fd, text, sizeof text, 0);

    return len > 0 && hq_str_find(hq_str_make(text, (size_t)len), HQ_STR("populated 0\n")) >= 0;
}

void
leaf_kill(const struct leaf *leaf)
{
    if (leaf->kill_fd > 0 && !leaf_is_empty(leaf)) {
        (void)!write(leaf->kill_fd, "1", 1); /* fails only when the group is gone, and with it everybody in it */
    }
}

void
leaf_close(struct leaf *leaf)
{
    if (leaf->procs_fd > 0) {
        (void)close(leaf->procs_fd);
    }
    if (leaf->kill_fd > 0) {
        (void)close(leaf->kill_fd);
    }
    if (leaf->events_fd > 0) {
        (void)close(leaf->events_fd);
    }
    *leaf = (struct leaf){0};
}
