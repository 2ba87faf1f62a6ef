/* test_cgroup_leaf.c - leaves in a group that is delegated to this process, where this machine lets us make one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/fs.h"
#include "hq-workerd/cgroup.h"
#include "hq-workerd/cgroup_leaf.h"

#define LOOKS_MAX 1000000

struct place {
    struct hq_buf top; /* where this process was */
    char *group;       /* where it is now; NULL: none could be made */
};

static int
move_self(const char *group)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;

    hq_buf_printf(&path, "%s/cgroup.procs", group);
    HQ_AUTO(hq_fs_closep) int fd = hq_fs_open(path.ptr, O_WRONLY, 0, NULL);
    return fd < 0 ? fd : hq_fs_write_all(fd, "0", 1);
}

static int
setup(void **state)
{
    static struct place p;
    HQ_AUTO(hq_buf_fini) struct hq_buf self = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf mounts = HQ_BUF_INIT;
    struct hq_buf group = HQ_BUF_INIT;
    size_t mount_len;

    *state = &p;
    assert_int_equal(0, hq_fs_read(&self, "/proc/self/cgroup", CGROUP_TEXT_BYTES_MAX, NULL));
    assert_int_equal(0, hq_fs_read(&mounts, "/proc/self/mountinfo", CGROUP_TEXT_BYTES_MAX, NULL));
    if (cgroup_locate(&p.top, &mount_len, hq_buf_view(&self), hq_buf_view(&mounts), NULL) < 0) {
        return 0;
    }
    hq_buf_printf(&group, "%s/hq-unit-%d", p.top.ptr, getpid());
    if (mkdir(group.ptr, 0755) < 0 || move_self(group.ptr) < 0) {
        (void)rmdir(group.ptr);
        hq_buf_fini(&group);
        return 0;
    }
    p.group = hq_buf_take(&group);
    return 0;
}

static int
teardown(void **state)
{
    struct place *p = *state;

    if (p->group != NULL) {
        assert_int_equal(0, move_self(p->top.ptr));
        assert_int_equal(0, rmdir(p->group));
    }
    free(p->group);
    hq_buf_fini(&p->top);
    return 0;
}

/* A child that moves into the leaf as tasks do, and a grandchild of another session. */
static pid_t
start_tree(const struct leaf *leaf)
{
    int ready[2];
    char byte;

    assert_int_equal(0, pipe(ready));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)!write(leaf->procs_fd, "0", 1);
        if (fork() == 0) {
            (void)setsid();
            (void)!write(ready[1], "x", 1);
        }
        for (;;) {
            (void)pause();
        }
    }
    (void)close(ready[1]);
    assert_int_equal(1, read(ready[0], &byte, 1));
    (void)close(ready[0]);
    return pid;
}

static void
test_tree_dies_at_once(void **state)
{
    struct place *p = *state;
    struct leaf leaf = {0};
    int status;

    if (p->group == NULL || setxattr(p->group, "user.delegate", "1", 1, 0) < 0) {
        print_message("skipped: no control group (v2) can be made here\n");
        skip();
    }
    struct leaves *l = leaves_create();
    assert_non_null(l);
    for (uint32_t slot = 0; slot < 3; slot += 2) { /* 1 stays without */
        HQ_AUTO(hq_buf_fini) struct hq_buf procs = HQ_BUF_INIT;
        HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
        leaf_open(l, slot, &leaf);
        assert_true(leaf.procs_fd > 2 && leaf.kill_fd > 2);
        pid_t pid = start_tree(&leaf);
        leaf_kill(&leaf);
        assert_int_equal(pid, waitpid(pid, &status, 0));
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        hq_buf_printf(&path, "%s/hq-worker-%d/%u/cgroup.procs", p->group, getpid(), slot);
        hq_buf_cstr(&procs, "?");
        for (int i = 0; i < LOOKS_MAX && procs.len > 0; i++) { /* the grandchild is somebody else's to reap, and ends within moments */
            hq_buf_clear(&procs);
            assert_int_equal(0, hq_fs_read(&procs, path.ptr, 4096, NULL));
        }
        assert_int_equal(0, procs.len);
        leaf_close(&leaf);
    }
    leaves_destroy(l);
    HQ_AUTO(hq_buf_fini) struct hq_buf dir = HQ_BUF_INIT;
    hq_buf_printf(&dir, "%s/hq-worker-%d", p->group, getpid());
    assert_false(hq_fs_is_dir(dir.ptr));
}

/* Without the mark root takes nothing, though it might. */
static void
test_not_delegated(void **state)
{
    struct place *p = *state;
    struct leaf leaf = {0};

    if (p->group != NULL && geteuid() == 0) {
        (void)removexattr(p->group, "user.delegate");
        assert_null(leaves_create());
    }
    leaf_open(NULL, 0, &leaf);
    assert_int_equal(0, leaf.procs_fd);
    leaf_kill(&leaf);
    leaf_close(&leaf);
    leaves_destroy(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree_dies_at_once),
        cmocka_unit_test(test_not_delegated),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
