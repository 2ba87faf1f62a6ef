/* Server directory: instances, hq-current, the texts of everything that can be missing, endpoint and owner files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/mem.h"
#include "common/proc.h"
#include "common/serverdir.h"
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

/* "<dir>/<tail>", heap */
static char *
at(const char *tail)
{
    struct hq_buf b = HQ_BUF_INIT;
    hq_buf_printf(&b, "%s%s", dir, tail);
    return hq_buf_take(&b);
}

static void
write_file(const char *tail, const char *text)
{
    HQ_AUTO(hq_mem_freep) char *path = at(tail);
    (void)unlink(path);
    assert_int_equal(hq_fs_create(path, hq_str_from(text), 0400, NULL), 0);
}

static void
expect_text(const struct hq_err *err, const char *fmt)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf want = HQ_BUF_INIT; /* @ stands for dir */
    for (const char *p = fmt; *p != '\0'; p++) {
        if (*p == '@') {
            hq_buf_cstr(&want, dir);
        } else {
            hq_buf_byte(&want, *p);
        }
    }
    assert_string_equal(err->text, want.ptr);
}

static void
test_path(void **state)
{
    (void)state;
    bool is_default = false;
    char here[1024];
    assert_non_null(getcwd(here, sizeof here));
    setenv("HOME", "/home/u", 1);
    static const struct {
        const char *given;
        const char *want;
        bool is_default;
    } cases[] = {
        {NULL, "/home/u/.hq-server", true},
        {"/home/u/.hq-server", "/home/u/.hq-server", true},
        {"/home/u/.hq-server/001", "/home/u/.hq-server/001", false},
        {"/x/", "/x/", false},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        assert_int_equal(hq_serverdir_path(&b, cases[i].given, &is_default, NULL), 0);
        assert_string_equal(b.ptr, cases[i].want);
        assert_int_equal(is_default, cases[i].is_default);
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf want = HQ_BUF_INIT;
    assert_int_equal(hq_serverdir_path(&b, "../empty", &is_default, NULL), 0);
    hq_buf_printf(&want, "%s/../empty", here);
    assert_string_equal(b.ptr, want.ptr);
    unsetenv("HOME");
    setenv("TMPDIR", "/scratch/", 1);
    hq_buf_clear(&b);
    assert_int_equal(hq_serverdir_path(&b, NULL, &is_default, NULL), 0);
    assert_string_equal(b.ptr, "/scratch/.hq-server");
    unsetenv("TMPDIR");
    hq_buf_clear(&b);
    assert_int_equal(hq_serverdir_path(&b, NULL, &is_default, NULL), 0);
    assert_string_equal(b.ptr, "/tmp/.hq-server");
}

static void
test_instances(void **state)
{
    (void)state;
    struct hq_err err = {0};
    HQ_AUTO(hq_mem_freep) char *root = at("/deep/sd");
    HQ_AUTO(hq_mem_freep) char *parent = at("/deep");
    static const char *const want[] = {"/deep/sd/001", "/deep/sd/002"};
    mode_t before = umask(022);
    for (size_t i = 0; i < HQ_ARRAY_LEN(want); i++) {
        HQ_AUTO(hq_mem_freep) char *path = at(want[i]);
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        assert_int_equal(hq_serverdir_create_instance(&b, root, &err), 0);
        assert_string_equal(b.ptr, path);
        assert_true(hq_fs_is_dir(path));
    }
    umask(before);
    struct stat st;
    assert_int_equal(stat(parent, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(stat(root, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    HQ_AUTO(hq_mem_freep) char *foo = at("/deep/sd/foo");
    HQ_AUTO(hq_mem_freep) char *n41 = at("/deep/sd/041");
    HQ_AUTO(hq_mem_freep) char *n42 = at("/deep/sd/42x");
    assert_int_equal(mkdir(foo, 0700), 0);
    assert_int_equal(mkdir(n41, 0700), 0);
    assert_int_equal(mkdir(n42, 0700), 0);
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    assert_int_equal(hq_serverdir_create_instance(&b, root, &err), 0);
    assert_true(hq_str_ends(hq_buf_view(&b), HQ_STR("/deep/sd/042")));
    HQ_AUTO(hq_mem_freep) char *big = at("/deep/sd/1234");
    assert_int_equal(mkdir(big, 0700), 0);
    hq_buf_clear(&b);
    assert_int_equal(hq_serverdir_create_instance(&b, root, &err), 0);
    assert_true(hq_str_ends(hq_buf_view(&b), HQ_STR("/deep/sd/1235")));
    write_file("/file", "x");
    HQ_AUTO(hq_mem_freep) char *below_file = at("/file/sd");
    assert_int_equal(hq_serverdir_create_instance(&b, below_file, &err), -ENOTDIR);
}

static void
test_current(void **state)
{
    (void)state;
    struct hq_err err = {0};
    HQ_AUTO(hq_mem_freep) char *root = at("/cur");
    HQ_AUTO(hq_buf_fini) struct hq_buf first = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf second = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    assert_int_equal(hq_serverdir_create_instance(&first, root, &err), 0);
    assert_int_equal(hq_serverdir_create_instance(&second, root, &err), 0);
    assert_int_equal(hq_serverdir_instance(&b, root, &err), 0);
    assert_string_equal(b.ptr, root); /* no link yet: the directory itself */
    assert_int_equal(hq_serverdir_set_current(root, "/nowhere/999", &err), 0);
    hq_buf_clear(&b);
    assert_int_equal(hq_serverdir_instance(&b, root, &err), 0);
    assert_string_equal(b.ptr, root); /* a link to nowhere counts as none */
    assert_int_equal(hq_serverdir_set_current(root, first.ptr, &err), 0);
    assert_int_equal(hq_serverdir_set_current(root, second.ptr, &err), 0);
    hq_buf_clear(&b);
    assert_int_equal(hq_serverdir_instance(&b, root, &err), 0);
    assert_string_equal(b.ptr, second.ptr);
    assert_int_equal(hq_serverdir_clear_current(root, first.ptr, &err), 0); /* not ours: stays */
    hq_buf_clear(&b);
    assert_int_equal(hq_serverdir_instance(&b, root, &err), 0);
    assert_string_equal(b.ptr, second.ptr);
    assert_int_equal(hq_serverdir_clear_current(root, second.ptr, &err), 0);
    assert_int_equal(hq_serverdir_clear_current(root, second.ptr, &err), 0);
    HQ_AUTO(hq_mem_freep) char *link = at("/cur/hq-current");
    struct stat st;
    assert_int_equal(lstat(link, &st), -1);
    assert_int_equal(symlink("001", link), 0); /* a relative link, made by hand */
    hq_buf_clear(&b);
    assert_int_equal(hq_serverdir_instance(&b, root, &err), 0);
    assert_string_equal(b.ptr, first.ptr);
}

#define ACCESS(side)                                                                                                   \
    "{\n  \"version\": \"" HQ_VERSION "\",\n  \"" side                                                                 \
    "\": {\n    \"host\": \"h\",\n    \"port\": 1,\n    \"secret_key\": null\n  }\n}"

static void
test_load_client(void **state)
{
    (void)state;
    struct hq_err err = {0};
    struct hq_access a = HQ_ACCESS_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf instance = HQ_BUF_INIT;
    HQ_AUTO(hq_mem_freep) char *none = at("/none");
    HQ_AUTO(hq_mem_freep) char *cl = at("/cl");
    assert_int_equal(hq_serverdir_load_client(&a, &instance, none, false, &err), -ENOTDIR);
    expect_text(&err, "Invalid server directory\n\nCaused by:\n    Error: \"@/none\" is not a directory");
    assert_int_equal(mkdir(cl, 0700), 0);
    assert_int_equal(hq_serverdir_load_client(&a, &instance, cl, false, &err), -ENOENT);
    expect_text(
        &err,
        "No running instance of HQ found at \"@/cl\".\nTry to start the server: `hq server start --server-dir @/cl` or "
        "use a different server directory.\n\nCaused by:\n    No such file or directory (os error 2)");
    assert_int_equal(hq_serverdir_load_client(&a, &instance, cl, true, &err), -ENOENT);
    expect_text(
        &err,
        "No running instance of HQ found at \"@/cl\".\nTry to start the server: `hq server start` or use a different "
        "server directory.\n\nCaused by:\n    No such file or directory (os error 2)");
    write_file("/cl/access.json", ACCESS("worker"));
    assert_int_equal(hq_serverdir_load_client(&a, &instance, cl, true, &err), -EBADMSG);
    expect_text(
        &err,
        "No running instance of HQ found at \"@/cl\".\nTry to start the server: `hq server start` or use a different "
        "server directory.\n\nCaused by:\n    Serialization error: missing field `client` at line 8 column 1");
    write_file("/cl/access.json", "{\"version\":\"0.1.0\"}");
    assert_int_equal(hq_serverdir_load_client(&a, &instance, cl, true, &err), -EPROTONOSUPPORT);
    expect_text(&err, "Hyperqueue version mismatch detected.\nAccess record contains version 0.1.0, but the current "
                      "version is " HQ_VERSION ".");
    assert_int_equal(instance.len, 0);
    write_file("/cl/access.json", ACCESS("client"));
    assert_int_equal(hq_serverdir_load_client(&a, &instance, cl, true, &err), 0);
    assert_string_equal(instance.ptr, cl);
    assert_string_equal(a.client.host, "h");
    hq_access_fini(&a);
}

static void
test_load_worker(void **state)
{
    (void)state;
    struct hq_err err = {0};
    struct hq_access a = HQ_ACCESS_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf instance = HQ_BUF_INIT;
    HQ_AUTO(hq_mem_freep) char *none = at("/none");
    HQ_AUTO(hq_mem_freep) char *wo = at("/wo");
    assert_int_equal(hq_serverdir_load_worker(&a, &instance, none, &err), -ENOTDIR);
    expect_text(&err, "Cannot load server directory\n\nCaused by:\n    Error: \"@/none\" is not a directory");
    assert_int_equal(mkdir(wo, 0700), 0);
    write_file("/wo/access.json", ACCESS("client"));
    assert_int_equal(hq_serverdir_load_worker(&a, &instance, wo, &err), -EBADMSG);
    expect_text(
        &err,
        "Cannot load access record from \"@/wo/access.json\"\n\nCaused by:\n    Serialization error: missing field "
        "`worker` at line 8 column 1");
    write_file("/wo/access.json", ACCESS("worker"));
    assert_int_equal(hq_serverdir_load_worker(&a, &instance, wo, &err), 0);
    assert_true(a.worker.is_there && !a.client.is_there);
    hq_access_fini(&a);
}

static void
test_hint(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    hq_serverdir_hint(&b, "/x", true);
    assert_int_equal(b.len, 0);
    hq_serverdir_hint(&b, "/x", false);
    assert_string_equal(b.ptr, " --server-dir /x");
}

static void
test_endpoint(void **state)
{
    (void)state;
    struct hq_err err = {0};
    struct hq_endpoint e = {.protocol = 3, .ipc = hq_xstrdup("/a b/hqd.sock")};
    struct hq_endpoint f = {0};
    assert_int_equal(hq_endpoint_load(&f, dir, &err), -ENOENT);
    assert_int_equal(hq_endpoint_store(&e, dir, &err), 0);
    assert_int_equal(hq_endpoint_load(&f, dir, &err), 0);
    assert_int_equal(f.protocol, 3);
    assert_string_equal(f.ipc, "/a b/hqd.sock");
    hq_endpoint_fini(&f);
    hq_endpoint_fini(&e);
    e.protocol = 4;
    assert_int_equal(hq_endpoint_store(&e, dir, &err), 0); /* replaces the read-only one */
    assert_int_equal(hq_endpoint_load(&f, dir, &err), 0);
    assert_int_equal(f.protocol, 4);
    assert_null(f.ipc);
    static const struct {
        const char *text;
        int rc;
    } cases[] = {
        {"protocol 1\nipc @hq-1\n", 0},
        {"protocol 1\nfuture thing of later\n", 0},
        {"protocol 1", 0},
        {"", -EBADMSG},
        {"ipc /x\n", -EBADMSG},
        {"protocol x\n", -EBADMSG},
        {"protocol 0\n", -EBADMSG},
        {"protocol\n", -EBADMSG},
        {"protocol 1\n\n", -EBADMSG},
        {"protocol 1\nipc rel\n", -EBADMSG},
        {"protocol 1\nipc /a\nipc /b\n", -EBADMSG},
        {"protocol 1\nipc \n", -EBADMSG},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_endpoint g = {0};
        write_file("/endpoint", cases[i].text);
        assert_int_equal(hq_endpoint_load(&g, dir, &err), cases[i].rc);
        hq_endpoint_fini(&g);
    }
}

static void
test_socket_names(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf longest = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf other = HQ_BUF_INIT;
    hq_endpoint_socket(&b, "/home/u/.hq-server/001");
    assert_string_equal(b.ptr, "/home/u/.hq-server/001/hqd.sock");
    hq_buf_rep(&longest, '/', 107 - 9);
    hq_buf_clear(&b);
    hq_endpoint_socket(&b, longest.ptr);
    assert_int_equal(b.len, 107);
    hq_buf_byte(&longest, '/');
    hq_buf_clear(&b);
    hq_endpoint_socket(&b, longest.ptr);
    assert_true(hq_str_starts(hq_buf_view(&b), HQ_STR("@hq-")));
    assert_int_equal(b.len, 36);
    hq_endpoint_socket(&other, longest.ptr);
    assert_string_not_equal(b.ptr, other.ptr); /* nobody can take it in advance */
}

static void
test_owner(void **state)
{
    (void)state;
    struct hq_err err = {0};
    struct hq_owner self, read, other;
    assert_int_equal(hq_owner_self(&self, &err), 0);
    assert_int_equal(self.pid, getpid());
    assert_true(self.start_ticks > 0);
    assert_int_equal(hq_owner_load(&read, dir, &err), -ENOENT);
    assert_int_equal(hq_owner_store(&self, dir, &err), 0);
    assert_int_equal(hq_owner_load(&read, dir, &err), 0);
    assert_int_equal(hq_owner_judge(&read, &self), HQ_OWNER_SELF);
    other = read;
    other.start_ticks++;
    assert_int_equal(hq_owner_judge(&other, &self), HQ_OWNER_DEAD); /* our pid, but an earlier process */
    other = read;
    other.boot_id[0] ^= 1;
    assert_int_equal(hq_owner_judge(&other, &self), HQ_OWNER_DEAD);
    other.host[0] ^= 1;
    assert_int_equal(hq_owner_judge(&other, &self), HQ_OWNER_ELSEWHERE);
    assert_int_equal(hq_owner_judge(&(struct hq_owner){0}, &self), HQ_OWNER_NONE);
    /* a child that lives, then not */
    char *argv[] = {(char *)(uintptr_t) "sleep", (char *)(uintptr_t) "1000", NULL};
    struct hq_proc_conf conf = {.path = "sleep", .argv = argv};
    struct hq_proc p = HQ_PROC_INIT;
    int status;
    assert_int_equal(hq_proc_start(&p, &conf, &err), 0);
    HQ_AUTO(hq_buf_fini) struct hq_buf stat_text = HQ_BUF_INIT;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)p.pid);
    assert_int_equal(hq_fs_read(&stat_text, path, 4096, &err), 0);
    const char *field = strrchr(stat_text.ptr, ')');
    for (int i = 2; i < 22; i++) {
        field = strchr(field + 1, ' ');
        assert_non_null(field);
    }
    other = self;
    other.pid = (int32_t)p.pid;
    other.start_ticks = strtoull(field + 1, NULL, 10);
    assert_int_equal(hq_owner_judge(&other, &self), HQ_OWNER_ALIVE);
    assert_int_equal(hq_proc_kill(&p, 9), 0);
    assert_int_equal(hq_proc_wait(&p, 60000, &status), 0);
    assert_int_equal(hq_owner_judge(&other, &self), HQ_OWNER_DEAD);
    static const char *const damaged[] = {
        "",
        "host a\n",
        "host a\nboot_id b\npid 0\nstart 1\n",
        "host a\nboot_id b\npid x\nstart 1\n",
        "host a\nboot_id 01234567890123456789012345678901234567890\npid 1\nstart 1\n",
        "host \nboot_id b\npid 1\nstart 1\n",
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(damaged); i++) {
        write_file("/owner", damaged[i]);
        assert_int_equal(hq_owner_load(&read, dir, &err), -EBADMSG);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),        cmocka_unit_test(test_instances),    cmocka_unit_test(test_current),
        cmocka_unit_test(test_load_client), cmocka_unit_test(test_load_worker),  cmocka_unit_test(test_hint),
        cmocka_unit_test(test_endpoint),    cmocka_unit_test(test_socket_names), cmocka_unit_test(test_owner),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
