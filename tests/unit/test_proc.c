/* Programs: fds, environment, ends, deadlines, failures to start; siblings; notices to a service manager. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/proc.h"
#include "common/sdnotify.h"
#include "common/siblings.h"

#define LONG_MS 60000 /* an end, not a wait */

/* Runs a shell line to its end. */
static int
run(const char *line, const char *in, struct hq_buf *out, struct hq_buf *errors, int *status)
{
    char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)line, NULL};
    struct hq_proc_conf conf = {.path = "/bin/sh", .argv = argv};
    return hq_proc_run(&conf, hq_str_from(in), out, errors, 1 << 20, LONG_MS, status, NULL);
}

static void
test_run(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *in;
        const char *out;
        const char *errors;
        const char *end;
    } cases[] = {
        {"cat; echo problem >&2", "hello", "hello", "problem\n", "exit status 0"},
        {"exit 3", "", "", "", "exit status 3"},
        {"kill -9 $$", "", "", "", "signal 9"},
        {"ls /proc/self/fd | wc -l", "", "4\n", "", "exit status 0"}, /* 0, 1, 2 and the directory itself */
        {"trap '' PIPE; kill -PIPE $$; echo alive", "", "alive\n", "", "exit status 0"},
        {"kill -PIPE $$; echo alive", "", "", "", "signal 13"}, /* the default action, whatever ours is */
    };
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
        HQ_AUTO(hq_buf_fini) struct hq_buf errors = HQ_BUF_INIT;
        HQ_AUTO(hq_buf_fini) struct hq_buf end = HQ_BUF_INIT;
        int status = -1;
        assert_int_equal(run(cases[i].line, cases[i].in, &out, &errors, &status), 0);
        assert_string_equal(out.len > 0 ? out.ptr : "", cases[i].out);
        assert_true(hq_str_is(hq_buf_view(&errors), cases[i].errors));
        hq_proc_describe(&end, status);
        assert_string_equal(end.ptr, cases[i].end);
    }
}

static void
test_run_bounds(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf errors = HQ_BUF_INIT;
    int status = -1;
    /* more than a pipe holds, more than we keep */
    assert_int_equal(run("head -c 3000000 /dev/zero", "", &out, &errors, &status), 0);
    assert_int_equal(out.len, 1 << 20);
    assert_int_equal(status, 0);
    hq_buf_clear(&out);
    /* a child that keeps the pipe open does not hold us */
    assert_int_equal(run("sleep 100 & echo $!", "", &out, &errors, &status), 0);
    int64_t pid = strtoll(out.ptr, NULL, 10);
    assert_true(pid > 1);
    assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
    /* a deadline kills */
    char *argv[] = {(char *)(uintptr_t) "sleep", (char *)(uintptr_t) "1000", NULL};
    struct hq_proc_conf conf = {.path = "sleep", .argv = argv};
    struct hq_err err = {0};
    assert_int_equal(hq_proc_run(&conf, HQ_STR_NULL, &out, &errors, 10, 50, &status, &err), -ETIMEDOUT);
    assert_true(hq_str_starts(hq_str_from(err.text), HQ_STR("sleep did not end")));
    /* large input arrives whole */
    HQ_AUTO(hq_buf_fini) struct hq_buf in = HQ_BUF_INIT;
    hq_buf_rep(&in, 'x', 500000);
    hq_buf_clear(&out);
    assert_int_equal(run("wc -c", in.ptr, &out, &errors, &status), 0);
    assert_true(hq_str_is(hq_str_trim(hq_buf_view(&out)), "500000"));
}

static void
test_environment_and_dir(void **state)
{
    (void)state;
    char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                    (char *)(uintptr_t) "pwd; echo $A; echo $HOME; cat <&7; (echo no >&9) 2>/dev/null || echo closed",
                    NULL};
    char *envp[] = {(char *)(uintptr_t) "A=b c", (char *)(uintptr_t) "PATH=/usr/bin:/bin", NULL};
    int fds[2], other[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(pipe2(other, O_CLOEXEC), 0);
    assert_true(fcntl(other[1], F_DUPFD_CLOEXEC, 9) >= 9); /* open here, unknown there */
    assert_int_equal(write(fds[1], "from seven\n", 11), 11);
    close(fds[1]);
    struct hq_proc_fd extra[] = {{.from = fds[0], .to = 7}};
    struct hq_proc_conf conf = {
        .path = "/bin/sh", .argv = argv, .envp = envp, .dir = "/usr", .fds = extra, .fd_count = 1};
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf errors = HQ_BUF_INIT;
    int status = -1;
    assert_int_equal(hq_proc_run(&conf, HQ_STR_NULL, &out, &errors, 1000, LONG_MS, &status, NULL), 0);
    assert_string_equal(out.ptr, "/usr\nb c\n\nfrom seven\nclosed\n");
    close(fds[0]);
    close(other[0]);
    close(other[1]);
}

static void
test_start_failures(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *dir;
        int rc;
        const char *text;
    } cases[] = {
        {"/no/such/program", NULL, -ENOENT,
         "Cannot start /no/such/program (exec): No such file or directory (os error 2)"},
        {"no-such-program-anywhere", NULL, -ENOENT,
         "Cannot start no-such-program-anywhere: No such file or directory (os error 2)"},
        {"/etc/passwd", NULL, -EACCES, "Cannot start /etc/passwd (exec): Permission denied (os error 13)"},
        {"/bin/true", "/no/such", -ENOENT,
         "Cannot start /bin/true (working directory): No such file or directory (os error 2)"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        char *argv[] = {(char *)(uintptr_t) "x", NULL};
        struct hq_proc_conf conf = {.path = cases[i].path, .argv = argv, .dir = cases[i].dir};
        struct hq_proc p = HQ_PROC_INIT;
        struct hq_err err = {0};
        assert_int_equal(hq_proc_start(&p, &conf, &err), cases[i].rc);
        assert_string_equal(err.text, cases[i].text);
        assert_int_equal(p.pidfd, -1);
    }
    int status;
    assert_int_equal(waitpid(-1, &status, WNOHANG), -1); /* no child was left behind */
    assert_int_equal(errno, ECHILD);
}

static void
test_wait_and_kill(void **state)
{
    (void)state;
    char *argv[] = {(char *)(uintptr_t) "sleep", (char *)(uintptr_t) "1000", NULL};
    struct hq_proc_fd null_fds[] = {{.from = -1, .to = 0}, {.from = -1, .to = 1}, {.from = -1, .to = 2}};
    struct hq_proc_conf conf = {
        .path = "sleep", .argv = argv, .fds = null_fds, .fd_count = 3, .new_session = true, .death_signal = SIGKILL};
    struct hq_proc p = HQ_PROC_INIT;
    int status = -1;
    assert_int_equal(hq_proc_kill(&p, SIGTERM), -ESRCH);
    assert_int_equal(hq_proc_start(&p, &conf, NULL), 0);
    assert_int_equal(getsid(p.pid), p.pid);
    assert_int_equal(hq_proc_reap(&p, &status), -EAGAIN);
    assert_int_equal(hq_proc_wait(&p, 10, &status), -ETIMEDOUT);
    assert_int_equal(hq_proc_kill(&p, SIGTERM), 0);
    assert_int_equal(hq_proc_wait(&p, LONG_MS, &status), 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    assert_int_equal(p.pidfd, -1);
    hq_proc_fini(&p);
}

/* Sources that are targets of others. */
static void
test_crossed_fds(void **state)
{
    (void)state;
    int a[2], b[2];
    assert_int_equal(pipe2(a, O_CLOEXEC), 0);
    assert_int_equal(pipe2(b, O_CLOEXEC), 0);
    assert_int_equal(write(a[1], "A", 1), 1);
    assert_int_equal(write(b[1], "B", 1), 1);
    close(a[1]);
    close(b[1]);
    char line[64];
    (void)snprintf(line, sizeof line, "cat <&%d; cat <&%d", a[0], b[0]);
    char *argv[] = {(char *)(uintptr_t) "bash", (char *)(uintptr_t) "-c", line, NULL};
    struct hq_proc_fd fds[] = {{.from = a[0], .to = b[0]}, {.from = b[0], .to = a[0]}};
    struct hq_proc_conf conf = {.path = "bash", .argv = argv, .fds = fds, .fd_count = 2};
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf errors = HQ_BUF_INIT;
    int status = -1;
    assert_int_equal(hq_proc_run(&conf, HQ_STR_NULL, &out, &errors, 1000, LONG_MS, &status, NULL), 0);
    assert_string_equal(out.ptr, "BA");
    close(a[0]);
    close(b[0]);
}

static void
test_siblings(void **state)
{
    (void)state;
    char self[4096];
    struct hq_err err = {0};
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(len > 0);
    self[len] = '\0';
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    assert_int_equal(hq_sibling_path(&b, strrchr(self, '/') + 1, &err), 0);
    assert_string_equal(b.ptr, self);
    hq_buf_clear(&b);
    assert_int_equal(hq_sibling_path(&b, "no-such-sibling", &err), -ENOENT);
    assert_int_equal(b.len, 0);
    assert_non_null(strstr(err.text, "no-such-sibling"));
}

static void
test_notify(void **state)
{
    (void)state;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char text[100];
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(hq_sdnotify("READY=1"), 0);
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_int_equal(hq_sdnotify("READY=1"), 0);
    setenv("NOTIFY_SOCKET", "/no/such/socket", 1);
    assert_int_equal(hq_sdnotify("READY=1"), -ENOENT);
    HQ_AUTO(hq_buf_fini) struct hq_buf longer = HQ_BUF_INIT;
    hq_buf_rep(&longer, '/', 200);
    setenv("NOTIFY_SOCKET", longer.ptr, 1);
    assert_int_equal(hq_sdnotify("READY=1"), -ENAMETOOLONG);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int len = snprintf(addr.sun_path + 1, sizeof addr.sun_path - 1, "hq-test-notify-%d", (int)getpid());
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, (socklen_t)(sizeof addr.sun_family + 1 + (size_t)len)), 0);
    char name[120];
    (void)snprintf(name, sizeof name, "@%s", addr.sun_path + 1);
    setenv("NOTIFY_SOCKET", name, 1);
    assert_int_equal(hq_sdnotify("READY=1"), 0);
    ssize_t n = recv(fd, text, sizeof text, MSG_DONTWAIT);
    assert_int_equal(n, 7);
    assert_memory_equal(text, "READY=1", 7);
    close(fd);
    unsetenv("NOTIFY_SOCKET");
}

static void
test_watchdog(void **state)
{
    (void)state;
    char pid[20];
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    assert_int_equal(hq_sdnotify_watchdog_ms(), 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    assert_int_equal(hq_sdnotify_watchdog_ms(), 15000);
    setenv("WATCHDOG_PID", pid, 1);
    assert_int_equal(hq_sdnotify_watchdog_ms(), 15000);
    setenv("WATCHDOG_PID", "1", 1);
    assert_int_equal(hq_sdnotify_watchdog_ms(), 0);
    setenv("WATCHDOG_PID", pid, 1);
    setenv("WATCHDOG_USEC", "soon", 1);
    assert_int_equal(hq_sdnotify_watchdog_ms(), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_run_bounds),
        cmocka_unit_test(test_environment_and_dir),
        cmocka_unit_test(test_start_failures),
        cmocka_unit_test(test_wait_and_kill),
        cmocka_unit_test(test_crossed_fds),
        cmocka_unit_test(test_siblings),
        cmocka_unit_test(test_notify),
        cmocka_unit_test(test_watchdog),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
