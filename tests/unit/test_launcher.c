/* test_launcher.c - real processes through launcher threads: what they get, how their ends are told, what stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs.h"
#include "hq-workerd/stdin.h"
#include "tests/unit/launch.h"

static void
test_many_tasks(void **state)
{
    static const char *const args[] = {"/bin/true", NULL};
    struct launch f;

    (void)state;
    launch_init(&f, 2, 100);
    struct body *b = launch_make_body(&f, args);
    launch_push(&f, b, 0, 100, 0);
    launch_push(&f, b, 100, 150, 0);
    launch_open_slots(&f, 3);
    launch_wait_for(&f, 250, 3);
    assert_int_equal(250, f.finished);
    assert_int_equal(250, f.started);
    assert_int_equal(0, launcher_running(f.l));
    /* An idle slot goes on when it is resumed. */
    launch_push(&f, b, 0, 1, 0);
    launcher_resume(f.l, 1);
    launch_wait_for(&f, 251, 4);
    body_unref(b);
    launch_fini(&f);
}

static void
test_outcomes(void **state)
{
    static const struct {
        const char *script, *error; /* NULL = finished */
    } rows[] = {
        {"exit 0", NULL},
        {"exit 3", "Program terminated with exit code 3."},
        {"kill -9 $$", "Program terminated with exit code -1. Received signal 9 (SIGKILL)."},
        {"kill -15 $$", "Program terminated with exit code -1. Received signal 15 (SIGTERM)."},
        {"kill -40 $$", "Program terminated with exit code -1. Received signal 40 (unknown)."},
        {"test $(ps -o pgid= -p $$) = $$ && test $(ps -o sid= -p $$) = $$", NULL}, /* a session of its own */
        {"test $(readlink /proc/self/fd/0) = /dev/null", NULL},
        {"grep -q 'SigBlk:.0*$' /proc/self/status && grep -q 'SigIgn:.0*1\\?8\\?0*$' /proc/self/status", NULL}, /* 32 and 33 are glibc's own */
    };
    struct launch f;

    (void)state;
    launch_init(&f, 1, 10);
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        launch_run_one(&f, launch_make_shell(&f, rows[i].script), 0);
        if (rows[i].error == NULL && f.failed > 0) {
            fail_msg("%s: %s", rows[i].script, f.error);
        }
        assert_int_equal(rows[i].error == NULL, f.finished);
        if (rows[i].error != NULL) {
            assert_string_equal(rows[i].error, f.error);
        }
        assert_int_equal(1, f.started);
    }
    launch_fini(&f);
}

/* Exactly 0, 1 and 2; the fourth is the directory that ls reads. */
static void
test_no_other_fds(void **state)
{
    static const char *const args[] = {"/bin/ls", "/proc/self/fd", NULL};
    struct launch f;

    (void)state;
    assert_int_equal(0, close_range(3, ~0u, CLOSE_RANGE_CLOEXEC)); /* what the test's own caller left open */
    launch_init(&f, 1, 10);
    struct body *b = launch_make_body(&f, args);
    b->out = (struct body_stdio){.kind = BODY_STDIO_FILE, .path = HQ_STR("fds")};
    launch_run_one(&f, b, 0);
    launch_expect_file(&f, "fds", "0\n1\n2\n3\n");
    launch_fini(&f);
}

static void
test_programs(void **state)
{
    static const char *const missing[] = {"nosuchprogram", "x", NULL}, *const script[] = {"./plain", "a b", NULL},
                      *const locked[] = {"./locked.sh", NULL}, *const interpreter[] = {"./bad", NULL};
    struct launch f;

    (void)state;
    launch_init(&f, 1, 10);
    launch_run_one(&f, launch_make_body(&f, missing), 0);
    assert_string_equal("Cannot execute \"nosuchprogram x\": No such file or directory (os error 2)\n"
                        "The program that you have tried to execute (`nosuchprogram`) was not found.",
                        f.error);
    assert_int_equal(0, f.started);
    assert_true(f.last_started_ms > 0); /* it has times all the same */
    launch_make_file(&f, "plain", "echo \"$0|$1\" > seen\n", 0755); /* no interpreter line: the shell's */
    launch_run_one(&f, launch_make_body(&f, script), 0);
    assert_int_equal(1, f.finished);
    launch_expect_file(&f, "seen", "./plain|a b\n");
    launch_make_file(&f, "locked.sh", "true\n", 0644);
    launch_run_one(&f, launch_make_body(&f, locked), 0);
    assert_non_null(strstr(f.error, "Permission denied (os error 13)\nThe script that you"));
    launch_make_file(&f, "bad", "#!/no/such/interpreter\n", 0755);
    launch_run_one(&f, launch_make_body(&f, interpreter), 0);
    assert_non_null(strstr(f.error, "No such file or directory (os error 2)"));
    launch_fini(&f);
}

static void
test_directories(void **state)
{
    struct launch f;
    struct body *b;

    (void)state;
    launch_init(&f, 1, 10);
    b = launch_make_shell(&f, "pwd > here");
    b->cwd = HQ_STR("new/deep-%{TASK_ID}");
    launch_run_one(&f, b, 0);
    assert_int_equal(1, f.finished);
    b = launch_make_shell(&f, "true");
    launch_make_file(&f, "afile", "", 0644);
    b->cwd = HQ_STR("afile/x");
    launch_run_one(&f, b, 0);
    assert_string_equal("Could not create working directory: Os { code: 20, kind: NotADirectory, message: \"Not a directory\" }",
                        f.error);
    b = launch_make_shell(&f, "true");
    b->out.kind = BODY_STDIO_FILE;
    b->out.path = HQ_STR("afile/o");
    launch_run_one(&f, b, 0);
    assert_non_null(strstr(f.error, "Cannot create stdout directory at File { path: \"/tmp/hq-test-launcher-"));
    assert_non_null(strstr(f.error, "/afile/o\", on_close: None }: Os { code: 17, kind: AlreadyExists, message: \"File exists\" }"));
    assert_int_equal(0, f.last_started_ms); /* nothing of it was seen */
    b = launch_make_shell(&f, "true");
    b->err.kind = BODY_STDIO_FILE;
    b->err.path = HQ_STR("/tmp");
    launch_run_one(&f, b, 0);
    assert_string_equal("Creating stream file failed: Is a directory (os error 21)", f.error);
    launch_fini(&f);
}

static void
test_output(void **state)
{
    struct launch f;
    struct body *b;
    struct stat before, after;
    char path[128];

    (void)state;
    launch_init(&f, 1, 10);
    b = launch_make_shell(&f, "echo out; echo err >&2");
    b->out.kind = b->err.kind = BODY_STDIO_FILE; /* default paths */
    launch_run_one(&f, b, 0);
    launch_expect_file(&f, "job-1/4.stdout", "out\n");
    launch_expect_file(&f, "job-1/4.stderr", "err\n");
    (void)snprintf(path, sizeof path, "%s/job-1/4.stdout", f.dir);
    assert_int_equal(0, stat(path, &before));
    int old = open(path, O_RDONLY | O_CLOEXEC);
    b = launch_make_shell(&f, "echo n");
    b->out.kind = BODY_STDIO_FILE;
    launch_run_one(&f, b, 0); /* the same instance again: truncated */
    assert_int_equal(0, stat(path, &after));
    assert_int_equal(before.st_ino, after.st_ino);
    b = launch_make_shell(&f, "echo later");
    b->out.kind = BODY_STDIO_FILE;
    launch_run_one(&f, b, 1); /* a later one gets a file of its own */
    assert_int_equal(0, stat(path, &after));
    assert_true(before.st_ino != after.st_ino);
    char text[8] = {0};
    assert_int_equal(2, read(old, text, sizeof text));
    assert_string_equal("n\n", text); /* what the older one wrote is still there for it */
    (void)close(old);
    b = launch_make_shell(&f, "echo one; echo two >&2; echo three");
    b->out = b->err = (struct body_stdio){.kind = BODY_STDIO_FILE, .path = HQ_STR("both")};
    launch_run_one(&f, b, 0);
    launch_expect_file(&f, "both", "one\ntwo\nthree\n");
    for (int status = 0; status < 2; status++) {
        b = launch_make_shell(&f, status == 0 ? "echo x" : "echo x; exit 1");
        b->out = (struct body_stdio){.kind = BODY_STDIO_FILE, .path = HQ_STR("rm"), .remove_if_finished = true};
        launch_run_one(&f, b, 0);
        launch_expect_file(&f, "rm", status == 0 ? NULL : "x\n");
    }
    launch_fini(&f);
}

static void
test_task_dir(void **state)
{
    static const struct {
        const char *script, *error;
    } rows[] = {
        {"echo my own > $HQ_ERROR_FILENAME; exit 1", "my own\n"},
        {"> $HQ_ERROR_FILENAME; exit 1", "Task created an error file, but it is empty"},
        {"printf 'a\\377b' > $HQ_ERROR_FILENAME; exit 1", "a\xef\xbf\xbd" "b"},
        {"mkdir -p $HQ_TASK_DIR/a/b; ln -s / $HQ_TASK_DIR/a/root; exit 2", "Program terminated with exit code 2."},
        {"ln -s /etc/passwd $HQ_ERROR_FILENAME; exit 2", "Program terminated with exit code 2."},
    };
    struct launch f;

    (void)state;
    launch_init(&f, 1, 10);
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        struct body *b = launch_make_shell(&f, rows[i].script);
        b->with_task_dir = true;
        launch_run_one(&f, b, 0);
        assert_string_equal(rows[i].error, f.error);
    }
    struct body *b = launch_make_shell(&f, "test -d $HQ_TASK_DIR && echo $HQ_TASK_DIR > dir && i=0; while [ $i -lt 300 ]; do "
                                    "echo 1234567 >> $HQ_ERROR_FILENAME; i=$((i+1)); done; exit 1");
    b->with_task_dir = true;
    launch_run_one(&f, b, 0);
    assert_non_null(strstr(f.error, "\n[The message was truncated]"));
    struct hq_buf text = HQ_BUF_INIT;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/dir", f.dir);
    assert_int_equal(0, hq_fs_read(&text, path, 1000, NULL));
    text.ptr[text.len - 1] = '\0';
    assert_int_equal(-1, access(text.ptr, F_OK)); /* gone with its contents */
    assert_int_equal(0, access("/etc/passwd", F_OK));
    hq_buf_fini(&text);
    launch_fini(&f);
}

static void
test_stdin(void **state)
{
    struct stdin_store *store = stdin_store_create();
    struct launch f;

    (void)state;
    launch_init(&f, 2, 10);
    assert_int_equal(-EPROTO, stdin_store_add(store, 1, 1, 5, HQ_STR("x")));
    assert_int_equal(0, stdin_store_add(store, 1, 1, 0, HQ_STR("some ")));
    assert_int_equal(0, stdin_store_add(store, 1, 1, 5, HQ_STR("text")));
    assert_int_equal(-EPROTO, stdin_store_add(store, 1, 1, 4, HQ_STR("text")));
    struct body *b = launch_make_shell(&f, "cat > in-$HQ_TASK_ID");
    assert_int_equal(-ENOENT, stdin_store_attach(store, b, 8));
    assert_int_equal(0, stdin_store_attach(store, b, 9));
    launch_push(&f, b, 0, 2, 0); /* each reads all of it */
    launch_open_slots(&f, 2);
    launch_wait_for(&f, 2, 2);
    launch_expect_file(&f, "in-0", "some text");
    launch_expect_file(&f, "in-1", "some text");
    stdin_store_forget(store, 1);
    body_unref(b);
    stdin_store_destroy(store);
    launch_fini(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_tasks),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_no_other_fds),
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_directories),
        cmocka_unit_test(test_output),
        cmocka_unit_test(test_task_dir),
        cmocka_unit_test(test_stdin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
