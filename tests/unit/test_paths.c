/* Paths of jobs and tasks: what job info shows of them, and where a task's files really are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "hq/desc_print.h"
#include "hq/paths.h"

/* Job 8, task 3, instance 2, submit directory /home/u/work, server UID aB3xYz. NULL = not given. */
static const struct {
    const char *cwd;
    const char *to_stdout;
    const char *shown_cwd;
    const char *shown_stdout;
    const char *task_cwd;
    const char *task_stdout;
} cases[] = {
    {NULL, NULL, "/home/u/work", "/home/u/work/job-8/%{TASK_ID}.stdout", "/home/u/work", "/home/u/work/job-8/3.stdout"},
    {NULL, "out.txt", "/home/u/work", "/home/u/work/out.txt", "/home/u/work", "/home/u/work/out.txt"},
    {NULL, "%{JOB_ID}-o", "/home/u/work", "/home/u/work/8-o", "/home/u/work", "/home/u/work/8-o"},
    {NULL, "%{TASK_ID}-o", "/home/u/work", "%{TASK_ID}-o", "/home/u/work", "/home/u/work/3-o"},
    {NULL, "e/%{INSTANCE_ID}/x", "/home/u/work", "e/%{INSTANCE_ID}/x", "/home/u/work", "/home/u/work/e/2/x"},
    {NULL, "%{SUBMIT_DIR}-o", "/home/u/work", "/home/u/work-o", "/home/u/work", "/home/u/work-o"},
    {NULL, "e/%{CWD}/x", "/home/u/work", "/home/u/work/e//home/u/work/x", "/home/u/work",
     "/home/u/work/e//home/u/work/x"},
    {NULL, "/abs/%{TASK_ID}", "/home/u/work", "/abs/%{TASK_ID}", "/home/u/work", "/abs/3"},
    {NULL, "13/%{TASK_ID}/%{INSTANCE_ID}", "/home/u/work", "13/%{TASK_ID}/%{INSTANCE_ID}", "/home/u/work",
     "/home/u/work/13/3/2"},
    {NULL, "%{NOPE}", "/home/u/work", "/home/u/work/%{NOPE}", "/home/u/work", "/home/u/work/%{NOPE}"},
    {NULL, "%{}%{ TASK_ID }", "/home/u/work", "/home/u/work/%{}%{ TASK_ID }", "/home/u/work",
     "/home/u/work/%{}%{ TASK_ID }"},
    {NULL, "50%-%{TASK_ID}", "/home/u/work", "50%-%{TASK_ID}", "/home/u/work", "/home/u/work/50%-3"},
    {NULL, "%%{TASK_ID}", "/home/u/work", "%%{TASK_ID}", "/home/u/work", "/home/u/work/%3"},
    {NULL, "%{TASK_ID", "/home/u/work", "/home/u/work/%{TASK_ID", "/home/u/work", "/home/u/work/%{TASK_ID"},
    {NULL, "%{TASK_ID}%{TASK_ID}", "/home/u/work", "%{TASK_ID}%{TASK_ID}", "/home/u/work", "/home/u/work/33"},
    {"sub/dir", "o", "/home/u/work/sub/dir", "/home/u/work/sub/dir/o", "/home/u/work/sub/dir",
     "/home/u/work/sub/dir/o"},
    {"/x", NULL, "/x", "/x/job-8/%{TASK_ID}.stdout", "/x", "/x/job-8/3.stdout"},
    {"w-%{JOB_ID}", NULL, "/home/u/work/w-8", "/home/u/work/w-8/job-8/%{TASK_ID}.stdout", "/home/u/work/w-8",
     "/home/u/work/w-8/job-8/3.stdout"},
    {"w-%{TASK_ID}", NULL, "w-%{TASK_ID}", "w-%{TASK_ID}/job-8/%{TASK_ID}.stdout", "/home/u/work/w-3",
     "/home/u/work/w-3/job-8/3.stdout"},
    {"d/%{TASK_ID}", "e", "d/%{TASK_ID}", "d/%{TASK_ID}/e", "/home/u/work/d/3", "/home/u/work/d/3/e"},
    {"d/%{TASK_ID}", "%{CWD}/o", "d/%{TASK_ID}", "d/%{TASK_ID}/o", "/home/u/work/d/3", "/home/u/work/d/3/o"},
    {"%{SUBMIT_DIR}/x/%{TASK_ID}-%{INSTANCE_ID}", "%{SERVER_UID}-%{JOB_ID}", "/home/u/work/x/%{TASK_ID}-%{INSTANCE_ID}",
     "/home/u/work/x/%{TASK_ID}-%{INSTANCE_ID}/aB3xYz-8", "/home/u/work/x/3-2", "/home/u/work/x/3-2/aB3xYz-8"},
    {"%{NOPE}", NULL, "/home/u/work/%{NOPE}", "/home/u/work/%{NOPE}/job-8/%{TASK_ID}.stdout", "/home/u/work/%{NOPE}",
     "/home/u/work/%{NOPE}/job-8/3.stdout"},
};

static void
check(const struct path *path, const char *shown, const char *of_task)
{
    struct hq_buf b = HQ_BUF_INIT;
    paths_fmt_shown(&b, path);
    assert_string_equal(b.ptr, shown);
    hq_buf_clear(&b);
    paths_fmt_task(&b, path, 3, 2);
    assert_string_equal(b.ptr, of_task);
    hq_buf_fini(&b);
}

static const struct paths_job job = {.job = 8, .server_uid = {.ptr = "aB3xYz", .len = 6},
                                     .submit_dir = {.ptr = "/home/u/work", .len = 12}}; /* HQ_STR is no constant in C11 */

static void
test_table(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cases); ix++) {
        struct hq_arena arena;
        hq_arena_init(&arena, 0);
        Hq__TaskDesc desc = HQ__TASK_DESC__INIT;
        Hq__Stdio io = HQ__STDIO__INIT;
        desc.cwd = desc_bytes(hq_str_from(cases[ix].cwd));
        io.path = desc_bytes(hq_str_from(cases[ix].to_stdout));
        desc.stdout = &io;
        struct paths p;
        paths_init(&p, &desc, &job, &arena);
        assert_int_equal(p.stdout_kind, PATHS_FILE);
        check(&p.cwd, cases[ix].shown_cwd, cases[ix].task_cwd);
        check(&p.to_stdout, cases[ix].shown_stdout, cases[ix].task_stdout);
        hq_arena_fini(&arena);
    }
}

/* Text that a placeholder brought in is not looked at again. */
static void
test_inserted_text_is_not_scanned(void **state)
{
    (void)state;
    struct hq_arena arena;
    hq_arena_init(&arena, 0);
    struct paths_job odd = job;
    odd.submit_dir = HQ_STR("/home/u/odd-%{TASK_ID}");
    Hq__TaskDesc desc = HQ__TASK_DESC__INIT;
    struct paths p;
    paths_init(&p, &desc, &odd, &arena);
    check(&p.cwd, "/home/u/odd-%{TASK_ID}", "/home/u/odd-%{TASK_ID}");
    check(&p.to_stderr, "/home/u/odd-%{TASK_ID}/job-8/%{TASK_ID}.stderr", "/home/u/odd-%{TASK_ID}/job-8/3.stderr");
    hq_arena_fini(&arena);
}

static void
test_kinds(void **state)
{
    (void)state;
    struct hq_arena arena;
    hq_arena_init(&arena, 0);
    Hq__TaskDesc desc = HQ__TASK_DESC__INIT;
    Hq__Stdio out = HQ__STDIO__INIT;
    Hq__Stdio err = HQ__STDIO__INIT;
    out.kind = HQ__STDIO_KIND__STDIO_NONE;
    err.kind = HQ__STDIO_KIND__STDIO_STREAM;
    desc.stdout = &out;
    desc.stderr = &err;
    struct paths p;
    paths_init(&p, &desc, &job, &arena);
    assert_int_equal(p.stdout_kind, PATHS_NONE);
    assert_int_equal(p.stderr_kind, PATHS_STREAM);
    hq_arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_inserted_text_is_not_scanned),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
