/* Files of allocations. Those of the server directory are written and removed aside: it may lie on a shared filesystem, and
 * that may hang. */
#include <stdlib.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/log.h"
#include "common/mem.h"
#include "hq-allocd/aside.h"
#include "hq-allocd/script.h"
#include "hq-allocd/state.h"

#define SCRIPT_NAME "/hq-submit.sh"

/* ---- scripts */
void
files_script(const struct allocd *a, const Hq__AllocParams *p, const struct files_script *what, struct hq_buf *ret_text)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    hq_arena_init(&arena, 0);
    struct hq_str *worker_args = hq_arena_array(&arena, p->n_worker_args, sizeof *worker_args);
    for (size_t i = 0; i < p->n_worker_args; i++) {
        worker_args[i] = hq_str_make((const char *)p->worker_args[i].data, p->worker_args[i].len);
    }
    struct hq_str *extra = hq_arena_array(&arena, p->n_additional_args, sizeof *extra);
    for (size_t i = 0; i < p->n_additional_args; i++) {
        extra[i] = hq_str_make((const char *)p->additional_args[i].data, p->additional_args[i].len);
    }
    struct script s = {.is_pbs = p->manager == HQ__MANAGER__MANAGER_PBS,
                       .is_trial = what->is_trial,
                       .queue = what->queue,
                       .number = what->number,
                       .nodes = what->nodes,
                       .time_limit_ms = (hq_ms)p->time_limit_ms,
                       .idle_timeout_ms = (hq_ms)p->idle_timeout_ms,
                       .name = hq_str_make((const char *)p->name.data, p->name.len),
                       .dir = hq_str_from(what->dir),
                       .server_dir = hq_str_from(what->server_dir),
                       .hq = hq_buf_view(&a->hq_path),
                       .rust_log = hq_str_from(getenv("RUST_LOG")),
                       .worker_args = worker_args,
                       .worker_arg_count = p->n_worker_args,
                       .extra_args = extra,
                       .extra_arg_count = p->n_additional_args,
                       .start_cmd = hq_str_make((const char *)p->worker_start_cmd.data, p->worker_start_cmd.len),
                       .stop_cmd = hq_str_make((const char *)p->worker_stop_cmd.data, p->worker_stop_cmd.len),
                       .wrap_cmd = hq_str_make((const char *)p->worker_wrap_cmd.data, p->worker_wrap_cmd.len)};
    script_text(&s, ret_text);
}

int
files_write_script(const char *dir, struct hq_str text, char **ret_path, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    if (!script_dir_ok(hq_str_from(dir))) {
        return hq_err_set(err, -EINVAL, "The name of the server directory holds a control character");
    }
    int rc = hq_fs_mkdirs(dir, 0700, err);
    hq_buf_printf(&path, "%s" SCRIPT_NAME, dir);
    if (rc == 0) {
        (void)unlink(path.ptr); /* of a process that died in the middle of writing */
        rc = hq_fs_create(path.ptr, text, 0600, err);
    }
    if (rc == 0) {
        *ret_path = hq_buf_take(&path);
    }
    return rc;
}

/* ---- aside */
struct work {
    char *dir;
    struct hq_buf text;
    char *path; /* of the script, once it is written */
    int rc;
    struct hq_err err;
    files_fn fn; /* scripts only */
    struct allocd *a;
    uint32_t queue;
    uint32_t number;
};

static struct work *
work_new(const char *dir)
{
    struct work *w = hq_xalloc(sizeof *w);
    w->dir = hq_xstrdup(dir);
    return w;
}

static void
work_free(void *item)
{
    struct work *w = item;
    free(w->dir);
    hq_buf_fini(&w->text);
    free(w->path);
    free(w);
}

static void
script_work(void *item)
{
    struct work *w = item;
    w->rc = files_write_script(w->dir, hq_buf_view(&w->text), &w->path, &w->err);
}

static void
script_done(void *item)
{
    struct work *w = item;
    w->fn(w->a, w->queue, w->number, w->path, &w->err);
    work_free(w);
}

void
files_begin_script(struct allocd *a, const Hq__AllocParams *p, const struct files_script *what, files_fn fn)
{
    static const struct aside_calls calls = {.work = script_work, .done = script_done, .drop = work_free};
    struct work *w = work_new(what->dir);
    files_script(a, p, what, &w->text);
    w->fn = fn;
    w->a = a;
    w->queue = what->queue;
    w->number = what->number;
    aside_put(runner_shared(a->runner), &calls, w);
}

static void
id_work(void *item)
{
    struct work *w = item;
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    hq_buf_printf(&path, "%s/jobid", w->dir);
    (void)unlink(path.ptr); /* of a submission that an earlier process had looked up */
    w->rc = hq_fs_create(path.ptr, hq_buf_view(&w->text), 0600, &w->err);
}

static void
id_done(void *item)
{
    struct work *w = item;
    if (w->rc < 0) {
        hq_log_warn("The id of an allocation could not be written to its directory: %s", w->err.text);
    }
    work_free(w);
}

void
files_begin_job_id(struct allocd *a, const char *dir, struct hq_str id)
{
    static const struct aside_calls calls = {.work = id_work, .done = id_done, .drop = work_free};
    struct work *w = work_new(dir);
    hq_buf_str(&w->text, id);
    aside_put(runner_shared(a->runner), &calls, w);
}

/* What a submission that failed left behind: a script, and nothing else of ours. */
static void
remove_work(void *item)
{
    struct work *w = item;
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    hq_buf_printf(&path, "%s" SCRIPT_NAME, w->dir);
    (void)unlink(path.ptr); /* it may be gone */
    (void)rmdir(w->dir);    /* something of the batch system may be in it: then it stays */
}

void
files_begin_remove(struct allocd *a, const char *dir)
{
    static const struct aside_calls calls = {.work = remove_work, .done = work_free, .drop = work_free};
    aside_put(runner_shared(a->runner), &calls, work_new(dir));
}
