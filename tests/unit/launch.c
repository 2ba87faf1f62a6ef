#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "hq-workerd/taskdir.h"

extern char **environ;

void
launch_init(struct launch *f, uint32_t threads, uint32_t runs_max)
{
    struct hq_err err = {0};

    *f = (struct launch){.conf = {.thread_count = threads, .runs_max = runs_max}};
    assert_true(sodium_init() >= 0);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/hq-test-launcher-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    sigemptyset(&f->none);
    f->conf.run.prepare =
        (struct prepare_conf){.envp = environ, .hq_path = "/usr/bin/hq", .key_socket = "/tmp/hq-lc-test"};
    f->conf.run.work_dir = f->dir;
    f->conf.run.null_in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    f->conf.run.null_out = open("/dev/null", O_WRONLY | O_CLOEXEC);
    f->conf.run.task_mask = &f->none;
    f->conf.run.pid = getpid();
    assert_int_equal(0, launcher_create(&f->l, &f->conf, &err));
}

void
launch_fini(struct launch *f)
{
    launcher_destroy(f->l);
    (void)close(f->conf.run.null_in);
    (void)close(f->conf.run.null_out);
    taskdir_remove(f->dir);
    free(f->error);
}

struct body *
launch_make_body(struct launch *f, const char *const *args)
{
    struct body *b = body_create(1, 0);
    size_t count = 0;

    while (args[count] != NULL) {
        count++;
    }
    b->args = hq_arena_array(&b->arena, count, sizeof(*b->args));
    b->arg_count = count;
    for (size_t i = 0; i < count; i++) {
        b->args[i] = hq_str_from(args[i]);
    }
    b->submit_dir = hq_str_from(f->dir);
    b->out.kind = b->err.kind = BODY_STDIO_NONE;
    b->request.variants = hq_arena_alloc(&b->arena, sizeof(*b->request.variants));
    b->request.variants[0] = (struct hq_variant){.weight_x10000 = 10000};
    b->request.variant_count = 1;
    return b;
}

struct body *
launch_make_shell(struct launch *f, const char *script)
{
    const char *const args[] = {"/bin/sh", "-c", script, NULL};

    return launch_make_body(f, args);
}

void
launch_push(struct launch *f, struct body *body, uint32_t first, uint32_t count, uint32_t instance)
{
    const struct image *image;
    struct batch *b = batch_create(body);

    b->instance = instance;
    hq_ranges_add(&b->ids, first, count, 1);
    assert_int_equal(0, prepare_image(&image, body, 0, &f->conf.run.prepare, "uid"));
    assert_int_equal(0, launcher_push(f->l, 0, b));
}

void
launch_open_slots(struct launch *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct grant *g;
        assert_int_equal(0, grant_create(&g, NULL, 0));
        assert_int_equal(0, launcher_open(f->l, i, 0, g));
    }
}

static void
launch_take_events(struct launch *f)
{
    struct run_event *e;
    size_t count = launcher_drain(f->l, false, &e);

    for (size_t i = 0; i < count; i++) {
        switch (e[i].kind) {
        case RUN_STARTED:
            if (f->started < HQ_ARRAY_LEN(f->order)) {
                f->order[f->started] = e[i].task_id;
            }
            f->started++;
            f->last_started_ms = e[i].started_ms;
            break;
        case RUN_ENDED:
            f->finished += e[i].end == RUN_END_FINISHED;
            f->failed += e[i].end == RUN_END_FAILED;
            f->last_started_ms = e[i].started_ms;
            if (e[i].error != NULL) {
                free(f->error);
                f->error = e[i].error;
            }
            break;
        case RUN_SLOT_IDLE:
            f->idle++;
            break;
        }
    }
}

void
launch_wait_for(struct launch *f, uint32_t ended, uint32_t idle)
{
    hq_ms until_ms = hq_clock_ms() + LAUNCH_DEADLINE_MS;

    launch_take_events(f);
    while (f->finished + f->failed < ended || f->idle < idle) {
        struct pollfd p = {.fd = launcher_fd(f->l), .events = POLLIN};
        assert_true(hq_clock_ms() < until_ms);
        (void)poll(&p, 1, 1000);
        launch_take_events(f);
    }
}

void
launch_wait_started(struct launch *f, uint32_t started)
{
    hq_ms until_ms = hq_clock_ms() + LAUNCH_DEADLINE_MS;

    launch_take_events(f);
    while (f->started < started) {
        struct pollfd p = {.fd = launcher_fd(f->l), .events = POLLIN};
        assert_true(hq_clock_ms() < until_ms);
        (void)poll(&p, 1, 1000);
        launch_take_events(f);
    }
}

void
launch_run_one(struct launch *f, struct body *body, uint32_t instance)
{
    static const struct launch zero;

    free(f->error);
    f->error = zero.error;
    f->started = f->finished = f->failed = f->idle = 0;
    launch_push(f, body, 4, 1, instance);
    launch_open_slots(f, 1);
    launch_wait_for(f, 1, 1);
    launcher_close(f->l, 0);
    body_unref(body);
}

void
launch_expect_file(struct launch *f, const char *name, const char *text)
{
    struct hq_buf path = HQ_BUF_INIT, found = HQ_BUF_INIT;

    hq_buf_printf(&path, "%s/%s", f->dir, name);
    int rc = hq_fs_read(&found, path.ptr, 65536, NULL);
    if (text == NULL) {
        assert_int_equal(-ENOENT, rc);
    } else {
        assert_int_equal(0, rc);
        assert_string_equal(text, found.len == 0 ? "" : found.ptr);
    }
    hq_buf_fini(&path);
    hq_buf_fini(&found);
}

void
launch_make_file(struct launch *f, const char *name, const char *text, mode_t mode)
{
    struct hq_buf path = HQ_BUF_INIT;

    hq_buf_printf(&path, "%s/%s", f->dir, name);
    assert_int_equal(0, hq_fs_create(path.ptr, hq_str_from(text), mode, NULL));
    hq_buf_fini(&path);
}
