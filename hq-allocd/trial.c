/* Dry runs: one submission in a temporary server directory, cancelled at once. */
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/mem.h"
#include "hq-allocd/script.h"
#include "hq-allocd/state.h"

#define TMP_PREFIX "/tmp/hq"
#define MARK_NAME "hq-trial-of" /* file in the temporary directory: the instance it belongs to */

static void
trial_free(struct trial *t)
{
    LIST_REMOVE(t, link);
    free(t->tmp);
    free(t->script);
    free(t->job_id);
    free(t);
}

void
trial_clear(struct allocd *a)
{
    while (!LIST_EMPTY(&a->trials)) {
        trial_free(LIST_FIRST(&a->trials));
    }
}

bool
trial_owns(const struct allocd *a, struct hq_str script)
{
    struct trial *t;
    LIST_FOREACH(t, &a->trials, link)
    {
        if (t->script != NULL && hq_str_is(script, t->script)) {
            return true;
        }
    }
    return false;
}

bool
trial_is_stray(const struct allocd *a, struct hq_str script)
{
    ptrdiff_t at = hq_str_find(script, HQ_STR("/autoalloc/0"));
    if (at < 0 || !hq_str_starts(script, HQ_STR(TMP_PREFIX)) || !hq_str_ends(script, HQ_STR("/hq-submit.sh")) ||
        trial_owns(a, script)) {
        return false;
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    hq_buf_printf(&path, "%.*s/" MARK_NAME, (int)at, script.ptr);
    return hq_fs_read(&text, path.ptr, 8192, NULL) == 0 && hq_str_eq(hq_buf_view(&text), hq_buf_view(&a->instance));
}

static void
report(struct trial *t, bool is_failed, struct hq_str text)
{
    if (!t->is_reported) {
        Hq__AllocReport *r = link_report(t->a, HQ__ALLOC_REPORT_KIND__ALLOC_REPORT_TRIAL, 0, 0);
        t->is_reported = true;
        r->trial = t->id;
        r->is_failed = is_failed;
        link_set_bytes(&r->text, text);
    }
}

/* What we made in the temporary directory, and nothing else. */
static void
remove_dir(struct trial *t)
{
    static const char *const names[] = {"hq-submit.sh", "stdout", "stderr"};
    HQ_AUTO(hq_buf_fini) struct hq_buf dir = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    hq_buf_cstr(&dir, t->script);
    dir.len -= strlen("/hq-submit.sh");
    dir.ptr[dir.len] = '\0';
    for (size_t i = 0; i < HQ_ARRAY_LEN(names); i++) {
        hq_buf_clear(&path);
        hq_buf_printf(&path, "%s/%s", dir.ptr, names[i]);
        (void)unlink(path.ptr); /* the last two may not be there */
    }
    while (dir.len > strlen(t->tmp)) {
        (void)rmdir(dir.ptr); /* a file of the batch system may be left: then it stays */
        while (dir.ptr[dir.len - 1] != '/') {
            dir.len--;
        }
        dir.ptr[--dir.len] = '\0';
    }
    hq_buf_clear(&path);
    hq_buf_printf(&path, "%s/" MARK_NAME, t->tmp);
    (void)unlink(path.ptr);
    (void)rmdir(t->tmp);
}

static void
on_canceled(void *ctx, const struct batch_result *r)
{
    struct trial *t = ctx;
    HQ_AUTO(hq_buf_fini) struct hq_buf why = HQ_BUF_INIT;
    enum batch_outcome outcome = t->batch->canceled(r, &why);
    t->a->is_due = true;
    if (outcome == BATCH_OK || outcome == BATCH_GONE) {
        report(t, false, HQ_STR_NULL);
        remove_dir(t);
    } else {
        HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
        hq_buf_printf(&text, "Could not cancel allocation %s: %s", t->job_id, why.ptr);
        report(t, true, hq_buf_view(&text));
    }
    trial_free(t);
}

static void
fail_submit(struct trial *t, const char *why)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    hq_buf_printf(&text, "Could not submit allocation: %s", why);
    if (t->script != NULL) {
        hq_buf_printf(&text, "\nYou can find the submitted script at %s", t->script);
    }
    report(t, true, hq_buf_view(&text));
    trial_free(t);
}

static void
on_submitted(void *ctx, const struct batch_result *r)
{
    struct trial *t = ctx;
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(hq_buf_fini) struct hq_buf why = HQ_BUF_INIT;
    struct hq_str id = HQ_STR_NULL;
    hq_arena_init(&arena, 0);
    t->a->is_due = true;
    enum batch_outcome outcome = t->batch->submitted(r, &arena, &id, &why);
    if (outcome != BATCH_OK) {
        if (outcome != BATCH_REJECTED) {
            strays_expect(t->a, t->batch); /* a job that came of it after all is found by the mark in its directory */
        }
        fail_submit(t, why.ptr);
        return;
    }
    struct batch_cmd cmd = {.arena = &arena};
    t->job_id = hq_str_dupz(id);
    t->batch->cancel(&cmd, t->job_id);
    runner_start(t->a->runner, &cmd, t->tmp, t->a->conf.command_ms, on_canceled, t);
}

/* On the loop: the directory for temporary files is a local one. */
static int
prepare(struct trial *t, const Hq__AllocParams *p, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf dir = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf mark = HQ_BUF_INIT;
    char tmp[] = TMP_PREFIX "XXXXXX";
    if (mkdtemp(tmp) == NULL) {
        return hq_err_sys(err, -errno, "A temporary directory could not be made");
    }
    t->tmp = hq_xstrdup(tmp);
    hq_buf_printf(&mark, "%s/" MARK_NAME, tmp);
    int rc = hq_fs_create(mark.ptr, hq_buf_view(&t->a->instance), 0600, err);
    script_dir(hq_str_from(tmp), hq_str_make((const char *)p->name.data, p->name.len), 0, 1, &dir);
    if (rc == 0) {
        struct files_script what = {
            .number = 1, .nodes = p->max_workers_per_alloc, .server_dir = tmp, .dir = dir.ptr, .is_trial = true};
        files_script(t->a, p, &what, &text);
        rc = files_write_script(dir.ptr, hq_buf_view(&text), &t->script, err);
    }
    return rc;
}

void
trial_begin(struct allocd *a, const Hq__AllocTrial *m)
{
    struct trial *t;
    struct hq_err err = {0};
    struct report *r;
    LIST_FOREACH(t, &a->trials, link)
    {
        if (t->id == m->trial) {
            return; /* it runs */
        }
    }
    STAILQ_FOREACH(r, &a->reports, link)
    {
        if (r->m.trial == m->trial && m->trial != 0) {
            return; /* its end is on its way */
        }
    }
    if (m->params == NULL) {
        return;
    }
    t = hq_xalloc(sizeof *t);
    t->a = a;
    t->id = m->trial;
    t->batch = m->params->manager == HQ__MANAGER__MANAGER_PBS ? &batch_pbs : &batch_slurm;
    LIST_INSERT_HEAD(&a->trials, t, link);
    if (prepare(t, m->params, &err) < 0) {
        fail_submit(t, err.text);
        return;
    }
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    hq_arena_init(&arena, 0);
    struct batch_cmd cmd = {.arena = &arena};
    t->batch->submit(&cmd, t->script);
    HQ_AUTO(hq_buf_fini) struct hq_buf dir = HQ_BUF_INIT;
    hq_buf_add(&dir, t->script, strlen(t->script) - strlen("/hq-submit.sh"));
    runner_start(a->runner, &cmd, dir.ptr, a->conf.command_ms, on_submitted, t);
}
