/* test_cgroup.c - where a process's control groups are, and the smallest limit on the way up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/fs.h"
#include "hq-workerd/cgroup.h"
#include "tests/unit/tmpdir.h"

#define V2_MOUNT "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNTS                                                                                                              \
    "29 23 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"                                                          \
    "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"                                   \
    "32 23 0:28 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory\n"
#define SELF_BOTH "5:cpu,cpuacct:/a\n4:memory:/slurm/job_7\n0::/user.slice/x\n"

static void
test_locate(void **state)
{
    static const struct {
        const char *self, *mounts, *controller;
        const char *dir; /* NULL: -ENOENT */
        size_t mount_len;
    } rows[] = {
        {"0::/user.slice/s.scope\n", V2_MOUNT, NULL, "/sys/fs/cgroup/user.slice/s.scope", 14},
        {"0::/\n", V2_MOUNT, NULL, "/sys/fs/cgroup", 14},
        {SELF_BOTH, V1_MOUNTS, "memory", "/sys/fs/cgroup/memory/slurm/job_7", 21},
        {SELF_BOTH, V1_MOUNTS, "cpuacct", "/sys/fs/cgroup/cpu,cpuacct/a", 26},
        {SELF_BOTH, V1_MOUNTS, NULL, "/sys/fs/cgroup/unified/user.slice/x", 22},
        {SELF_BOTH, V1_MOUNTS, "pids", NULL, 0},
        {SELF_BOTH, V2_MOUNT, "memory", NULL, 0}, /* not mounted */
        {"0::/docker/abc/in\n", "9 1 0:1 /docker/abc /cg rw - cgroup2 none rw\n", NULL, "/cg/in", 3},
        {"0::/docker/abc\n", "9 1 0:1 /docker/abc /cg rw - cgroup2 none rw\n", NULL, "/cg", 3},
        {"0::/docker/abcd\n", "9 1 0:1 /docker/abc /cg rw - cgroup2 none rw\n", NULL, "/cg", 3}, /* not below it */
        {"0::/../other\n", V2_MOUNT, NULL, "/sys/fs/cgroup", 14},
        {"0::/x\n", "9 1 0:1 / /with\\040blank rw - cgroup2 none rw\n", NULL, NULL, 0},
        {"0::relative\n", V2_MOUNT, NULL, NULL, 0},
        {"", V2_MOUNT, NULL, NULL, 0},
        {"nonsense\n0:\n::\n", V2_MOUNT, NULL, NULL, 0},
        {"0::/x\n", "", NULL, NULL, 0},
        {"0::/x\n", "a - cgroup2\n - cgroup2 x y\n", NULL, NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf dir = HQ_BUF_INIT;
        size_t mount_len = 0;
        int rc = cgroup_locate(&dir, &mount_len, hq_str_from(rows[i].self), hq_str_from(rows[i].mounts), rows[i].controller);
        if (rc != (rows[i].dir == NULL ? -ENOENT : 0) || (rc == 0 && strcmp(dir.ptr, rows[i].dir) != 0)) {
            fail_msg("row %zu: %d %s", i, rc, dir.ptr);
        }
        assert_int_equal(rows[i].mount_len, mount_len);
    }
}

static void
put(const char *top, const char *dir, const char *text)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;

    hq_buf_printf(&path, "%s%s", top, dir);
    assert_int_equal(0, hq_fs_mkdirs(path.ptr, 0700, NULL));
    hq_buf_cstr(&path, "/memory.max");
    assert_int_equal(0, hq_fs_create(path.ptr, hq_str_from(text), 0600, NULL));
}

static void
test_limit(void **state)
{
    char *top = tmpdir_make();
    HQ_AUTO(hq_buf_fini) struct hq_buf dir = HQ_BUF_INIT;

    (void)state;
    put(top, "/mount", "100\n"); /* above is not ours to read */
    put(top, "/mount/cg", "9000\n");
    put(top, "/mount/cg/a", "4000\n");
    put(top, "/mount/cg/a/b", "max\n");
    put(top, "/mount/cg/a/b/c", "5000\n");
    hq_buf_printf(&dir, "%s/mount/cg", top);
    size_t mount_len = dir.len;
    assert_int_equal(9000, cgroup_limit(hq_buf_view(&dir), mount_len, "memory.max"));
    hq_buf_cstr(&dir, "/a/b/c");
    assert_int_equal(4000, cgroup_limit(hq_buf_view(&dir), mount_len, "memory.max"));
    assert_true(cgroup_limit(hq_buf_view(&dir), mount_len, "memory.high") == UINT64_MAX);
    hq_buf_cstr(&dir, "/gone");
    assert_int_equal(4000, cgroup_limit(hq_buf_view(&dir), mount_len, "memory.max"));
    tmpdir_remove(top);
}

static void
test_ours(void **state)
{
    (void)state;
    assert_true(cgroup_memory_limit() > 1 << 20); /* this test runs in it */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_locate),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
