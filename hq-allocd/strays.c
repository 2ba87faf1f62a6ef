/* Strays: jobs that no allocation stands for. A submission that was given up may come through after all, late, or after a
 * restart of ours. Slurm's status shows all jobs of the user; PBS is asked for them. A few times after there was reason to
 * expect one, in growing distance; whatever is found with a script of ours is cancelled. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "hq-allocd/state.h"

#define SWEEPS_MAX 9u   /* from the look-up gap (10 s) on, doubling: about 80 minutes */
#define IDS_MAX 5000u   /* jobs of the user that are looked at, the newest ones: the bound of a command line */
#define SILENT_MS 30000 /* until the next try when the batch system does not answer */

/* ---- whose script */
/* "SERVERDIR/autoalloc/..." of this server. */
static bool
is_own_script(const struct allocd *a, struct hq_str script)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf prefix = HQ_BUF_INIT;
    hq_buf_printf(&prefix, "%s/autoalloc/", a->instance.ptr);
    return hq_str_starts(script, hq_buf_view(&prefix)) && hq_str_ends(script, HQ_STR("/hq-submit.sh"));
}

struct scripts { /* of all allocations, sorted */
    struct hq_str *v;
    size_t count;
    size_t cap;
};

static int
cmp_script(const void *pa, const void *pb)
{
    return hq_str_cmp(*(const struct hq_str *)pa, *(const struct hq_str *)pb);
}

static void
take_scripts(const struct allocd *a, struct scripts *s, struct hq_arena *arena)
{
    struct mirror_queue *q;
    struct mirror_alloc *m;
    LIST_FOREACH(q, &a->queues, link)
    {
        LIST_FOREACH(m, &q->allocs, link)
        {
            hq_arena_grow(arena, &s->v, &s->cap, s->count + 1, sizeof *s->v);
            s->v[s->count++] = mirror_script(m, arena);
        }
    }
    if (s->count > 1) {
        qsort(s->v, s->count, sizeof *s->v, cmp_script);
    }
}

static bool
is_known_script(const struct scripts *s, struct hq_str script)
{
    return s->count > 0 && bsearch(&script, s->v, s->count, sizeof *s->v, cmp_script) != NULL;
}

/* Jobs with a script of ours that no allocation stands for: a submission that was given up and came through after all. */
void
strays_sweep(struct allocd *a, const struct batch *b, const struct batch_rows *rows)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    struct scripts known = {0};
    hq_arena_init(&arena, 0);
    take_scripts(a, &known, &arena);
    for (size_t i = 0; i < rows->count; i++) {
        const struct batch_row *row = &rows->v[i];
        bool is_live = row->state == BATCH_PENDING || row->state == BATCH_HELD || row->state == BATCH_RUNNING;
        bool is_stray = is_live && is_own_script(a, row->script) && !is_known_script(&known, row->script);
        is_stray = is_stray || (is_live && trial_is_stray(a, row->script));
        if (is_stray && !link_has_reports(a)) { /* what is on its way may explain it */
            hq_log_warn("Job %.*s belongs to no allocation any more: it is cancelled", HQ_STR_FMT(row->id));
            cancel_begin(a, b, 0, 0, row->id);
        }
    }
}

/* ---- when */
void
strays_expect(struct allocd *a, const struct batch *b)
{
    struct stray_watch *w = &a->strays[mirror_manager(b)];
    w->is_expected = true;
    w->sweeps = 0;
    w->next_ms = hq_clock_ms() + a->conf.lookup_gap_ms;
}

void
strays_swept(struct allocd *a, const struct batch *b, hq_ms now_ms)
{
    struct stray_watch *w = &a->strays[mirror_manager(b)];
    if (!w->is_expected || now_ms < w->next_ms) {
        return; /* a look that came by itself */
    }
    w->sweeps++;
    w->is_expected = w->sweeps < SWEEPS_MAX;
    w->next_ms = now_ms + (a->conf.lookup_gap_ms << w->sweeps);
}

/* ---- PBS: ids of all jobs of the user, then those jobs */
struct sweep {
    struct allocd *a;
    const struct batch *batch;
};

static void
sweep_end(struct sweep *s, bool is_answer)
{
    struct allocd *a = s->a;
    struct stray_watch *w = &a->strays[mirror_manager(s->batch)];
    hq_ms now_ms = hq_clock_ms();
    w->is_running = false;
    a->is_due = true;
    if (is_answer) {
        strays_swept(a, s->batch, now_ms);
    } else {
        w->next_ms = now_ms + SILENT_MS;
    }
    free(s);
}

static void
on_rows(void *ctx, const struct batch_result *r)
{
    struct sweep *s = ctx;
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(hq_buf_fini) struct hq_buf why = HQ_BUF_INIT;
    struct batch_rows rows = {0};
    hq_arena_init(&arena, 0);
    int32_t offset_s = hq_clock_utc_offset_s(hq_clock_wall_ms());
    bool is_answer = s->batch->statuses(r, offset_s, &arena, &rows, &why) == BATCH_OK;
    if (is_answer) {
        strays_sweep(s->a, s->batch, &rows);
    }
    sweep_end(s, is_answer);
}

static void
on_ids(void *ctx, const struct batch_result *r)
{
    struct sweep *s = ctx;
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(hq_buf_fini) struct hq_buf why = HQ_BUF_INIT;
    struct batch_cmd cmd = {.arena = &arena};
    struct hq_str *ids;
    size_t count;
    hq_arena_init(&arena, 0);
    bool is_answer = s->batch->found(r, &arena, &ids, &count, &why) == BATCH_OK;
    if (!is_answer || count == 0) {
        sweep_end(s, is_answer);
        return;
    }
    size_t asked = HQ_MIN(count, (size_t)IDS_MAX);
    s->batch->status(&cmd, ids + count - asked, asked);
    runner_start(s->a->runner, &cmd, NULL, s->a->conf.command_ms, on_rows, s);
}

static void
sweep_begin(struct allocd *a, const struct batch *b)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    hq_arena_init(&arena, 0);
    struct batch_cmd cmd = {.arena = &arena};
    struct sweep *s = hq_xalloc(sizeof *s);
    *s = (struct sweep){.a = a, .batch = b};
    a->strays[mirror_manager(b)].is_running = true;
    b->mine(&cmd, a->user);
    runner_start(a->runner, &cmd, NULL, a->conf.command_ms, on_ids, s);
}

hq_ms
strays_progress(struct allocd *a, hq_ms now_ms)
{
    hq_ms next_ms = INT64_MAX;
    if (a->version == 0) {
        return INT64_MAX; /* whose allocations are not known are no strays */
    }
    for (uint32_t ix = 0; ix < MANAGERS; ix++) {
        struct stray_watch *w = &a->strays[ix];
        const struct batch *b = ix == 0 ? &batch_pbs : &batch_slurm;
        if (!w->is_expected || w->is_running || a->is_looking[ix] || (b->mine != NULL && a->user[0] == '\0')) {
            continue;
        }
        /* Where each status command is a sweep, one of those may come first. */
        hq_ms due_ms = w->next_ms + (b->mine == NULL ? a->conf.track.look_min_ms : 0);
        due_ms = HQ_MAX(due_ms, a->next_look_ms[ix]);
        if (now_ms < due_ms) {
            next_ms = HQ_MIN(next_ms, due_ms);
        } else if (b->mine != NULL) {
            sweep_begin(a, b);
        } else {
            look_begin(a, b);
        }
    }
    return next_ms;
}
