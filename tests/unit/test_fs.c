/* Files: bounded reads, exclusive creation, atomic replacement, directories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs.h"
#include "tests/unit/tmpdir.h"

static char *dir;

static int
setup(void **state)
{
    (void)state;
    dir = tmpdir_make();
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    tmpdir_remove(dir);
    return 0;
}

static const char *
path_of(const char *name)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, 128, "%s/%s", dir, name);
    return path;
}

static size_t
entries(void) /* in dir, without . and .. */
{
    size_t count = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    while (readdir(d) != NULL) {
        count++;
    }
    closedir(d);
    return count - 2;
}

static void
expect_file(const char *name, const char *text, mode_t mode)
{
    struct stat st;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    assert_int_equal(hq_fs_read(&b, path_of(name), 1000, NULL), 0);
    assert_string_equal(b.ptr, text);
    assert_int_equal(stat(path_of(name), &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

static void
test_create(void **state)
{
    (void)state;
    struct hq_err err = {0};
    mode_t before = umask(077);
    assert_int_equal(hq_fs_create(path_of("new"), HQ_STR("one"), 0444, &err), 0);
    umask(before);
    expect_file("new", "one", 0444); /* the mode asked for */
    assert_int_equal(hq_fs_create(path_of("new"), HQ_STR("two"), 0600, &err), -EEXIST);
    assert_string_equal(err.text, "File exists (os error 17)");
    expect_file("new", "one", 0444);
    assert_int_equal(symlink("nowhere", path_of("dangling")), 0);
    assert_int_equal(hq_fs_create(path_of("dangling"), HQ_STR("x"), 0600, &err), -EEXIST);
    assert_int_equal(hq_fs_create(path_of("no/such"), HQ_STR("x"), 0600, &err), -ENOENT);
    assert_string_equal(err.text, "No such file or directory (os error 2)");
    assert_int_equal(entries(), 2); /* no temporary file stayed */
    assert_int_equal(unlink(path_of("dangling")), 0);
    assert_int_equal(unlink(path_of("new")), 0);
}

static void
test_replace(void **state)
{
    (void)state;
    struct hq_err err = {0};
    struct stat first, second;
    assert_int_equal(hq_fs_replace(path_of("f"), HQ_STR("one"), 0400, &err), 0);
    assert_int_equal(stat(path_of("f"), &first), 0);
    /* a reader of the old file keeps the old text */
    HQ_AUTO(hq_fs_closep) int fd = hq_fs_open(path_of("f"), O_RDONLY, 0, &err);
    assert_true(fd >= 0);
    assert_int_equal(hq_fs_replace(path_of("f"), HQ_STR("two"), 0644, &err), 0);
    expect_file("f", "two", 0644);
    assert_int_equal(stat(path_of("f"), &second), 0);
    assert_true(first.st_ino != second.st_ino);
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    assert_int_equal(hq_fs_read_fd(&b, fd, 100, &err), 0);
    assert_string_equal(b.ptr, "one");
    assert_int_equal(mkdir(path_of("d"), 0700), 0);
    assert_int_equal(hq_fs_replace(path_of("d"), HQ_STR("x"), 0600, &err), -EISDIR);
    assert_int_equal(hq_fs_replace(path_of("no/such"), HQ_STR("x"), 0600, &err), -ENOENT);
    assert_int_equal(entries(), 2);
    assert_int_equal(rmdir(path_of("d")), 0);
    assert_int_equal(unlink(path_of("f")), 0);
}

static void
test_links(void **state)
{
    (void)state;
    struct hq_err err = {0};
    char target[100] = {0};
    assert_int_equal(hq_fs_replace_link("/a", path_of("l"), &err), 0);
    assert_int_equal(hq_fs_replace_link("/b", path_of("l"), &err), 0);
    assert_int_equal(readlink(path_of("l"), target, sizeof target - 1), 2);
    assert_string_equal(target, "/b");
    assert_int_equal(mkdir(path_of("d"), 0700), 0);
    assert_int_equal(hq_fs_replace_link("/c", path_of("d"), &err), -EISDIR);
    assert_int_equal(hq_fs_replace_link("/c", path_of("no/such"), &err), -ENOENT);
    assert_int_equal(entries(), 2);
    assert_int_equal(rmdir(path_of("d")), 0);
    assert_int_equal(unlink(path_of("l")), 0);
}

static void
test_read_bounds(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 200000};
    for (size_t i = 0; i < HQ_ARRAY_LEN(sizes); i++) {
        struct hq_err err = {0};
        HQ_AUTO(hq_buf_fini) struct hq_buf data = HQ_BUF_INIT;
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        for (size_t k = 0; k < sizes[i]; k++) {
            hq_buf_byte(&data, (char)(k % 251));
        }
        assert_int_equal(hq_fs_replace(path_of("f"), hq_buf_view(&data), 0600, &err), 0);
        hq_buf_cstr(&b, "kept");
        assert_int_equal(hq_fs_read(&b, path_of("f"), sizes[i], &err), 0);
        assert_int_equal(b.len, sizes[i] + 4);
        assert_true(hq_str_eq(hq_str_sub(hq_buf_view(&b), 4, b.len), hq_buf_view(&data)));
        assert_int_equal(b.ptr[b.len], 0);
        if (sizes[i] > 0) {
            hq_buf_clear(&b);
            assert_int_equal(hq_fs_read(&b, path_of("f"), sizes[i] - 1, &err), -EFBIG);
            assert_int_equal(b.len, 0);
        }
    }
    struct hq_err err = {0};
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    assert_int_equal(hq_fs_read(&b, path_of("none"), 10, &err), -ENOENT);
    assert_string_equal(err.text, "No such file or directory (os error 2)");
    assert_int_equal(hq_fs_read(&b, dir, 10, &err), -EISDIR);
    assert_int_equal(hq_fs_read(&b, "/dev/zero", 100000, &err), -EFBIG);
    /* huge ones are refused by their size: nothing of them is read */
    int fd = hq_fs_open(path_of("f"), O_RDWR, 0, &err);
    assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
    assert_int_equal(hq_fs_read_fd(&b, fd, (size_t)1 << 36, &err), -EFBIG);
    assert_string_equal(err.text, "File is larger than 68719476736 bytes");
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
    hq_fs_closep(&fd);
    assert_int_equal(unlink(path_of("f")), 0);
}

static void
test_open(void **state)
{
    (void)state;
    HQ_AUTO(hq_fs_closep) int fd = hq_fs_open(path_of("f"), O_RDWR | O_CREAT, 0600, NULL);
    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(hq_fs_write_all(fd, "abc", 3), 0);
    assert_int_equal(hq_fs_write_all(fd, NULL, 0), 0);
    assert_int_equal(hq_fs_write_all(-1, "abc", 3), -EBADF);
    expect_file("f", "abc", 0600);
    HQ_AUTO(hq_fs_closep) int full = hq_fs_open("/dev/full", O_WRONLY, 0, NULL);
    assert_int_equal(hq_fs_write_all(full, "abc", 3), -ENOSPC);
    assert_int_equal(unlink(path_of("f")), 0);
}

static void
test_mkdirs(void **state)
{
    (void)state;
    struct hq_err err = {0};
    assert_int_equal(hq_fs_mkdirs(path_of("a/b//c/"), 0700, &err), 0);
    assert_true(hq_fs_is_dir(path_of("a/b/c")));
    assert_int_equal(hq_fs_mkdirs(path_of("a/b/c"), 0700, &err), 0);
    assert_int_equal(hq_fs_create(path_of("a/file"), HQ_STR("x"), 0600, &err), 0);
    assert_int_equal(hq_fs_mkdirs(path_of("a/file"), 0700, &err), -ENOTDIR);
    assert_int_equal(hq_fs_mkdirs(path_of("a/file/x"), 0700, &err), -ENOTDIR);
    assert_false(hq_fs_is_dir(path_of("a/file")));
    assert_int_equal(hq_fs_mkdirs("", 0700, &err), -ENOENT);
    assert_int_equal(hq_fs_mkdirs("/", 0700, &err), 0);
    char before[256];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(dir), 0);
    assert_int_equal(hq_fs_mkdirs("rel/x", 0700, &err), 0);
    assert_true(hq_fs_is_dir("rel/x"));
    assert_int_equal(hq_fs_create("plain", HQ_STR("x"), 0600, &err), 0); /* a name without a slash */
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    assert_int_equal(hq_fs_absolute(&b, "../x", &err), 0);
    char want[128];
    (void)snprintf(want, sizeof want, "%s/../x", dir);
    assert_string_equal(b.ptr, want);
    hq_buf_clear(&b);
    assert_int_equal(hq_fs_absolute(&b, "/x", &err), 0);
    assert_string_equal(b.ptr, "/x");
    assert_int_equal(chdir("/"), 0);
    hq_buf_clear(&b);
    assert_int_equal(hq_fs_absolute(&b, "x", &err), 0);
    assert_string_equal(b.ptr, "/x");
    assert_int_equal(chdir(before), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),      cmocka_unit_test(test_replace), cmocka_unit_test(test_links),
        cmocka_unit_test(test_read_bounds), cmocka_unit_test(test_open),    cmocka_unit_test(test_mkdirs),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
