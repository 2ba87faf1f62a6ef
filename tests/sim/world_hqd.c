/* hqd in the simulated world: the shell's half (journal, marks, timers), its ends and starts. */
#include "tests/sim/world_impl.h"

#include "hqd/core/invariant.h"
#include "hqd/record_pb.h"
#include "tests/sim/check.h"
#include "tests/sim/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define COMMIT_MS_MAX 30
#define SMALL_NODES_MAX 64u /* larger clusters are checked now and then: the check costs as much as they are */
#define LARGE_CHECK_EVERY 997u

/* ---- journal and what waits for it */
bool
world_disk_is_bad(const struct world *w)
{
    return w->now_ms < w->disk_bad_until_ms;
}

static uint64_t
mark_of(const struct world *w, enum effect_when when)
{
    return when == EFFECT_NOW ? UINT64_MAX : when == EFFECT_AFTER_WRITE ? w->written_seq : w->committed_seq;
}

static void
release(struct world *w)
{
    struct parcel **at = &w->parcels;
    while (*at != NULL) {
        struct parcel *p = *at;
        if (mark_of(w, p->when) < p->after_seq) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        reply_send(w, p->handle, p->reply);
        free(p);
    }
    w->parcels_tail = at;
}

void
world_drop_parcels(struct world *w)
{
    while (w->parcels != NULL) {
        struct parcel *p = w->parcels;
        w->parcels = p->next;
        reply_free(p->reply);
        free(p);
    }
    w->parcels_tail = &w->parcels;
}

static void need_turn_end(struct world *w);

static void
on_committed(struct world *w, void *ctx, uint64_t arg)
{
    (void)ctx;
    uint32_t life = (uint32_t)(arg >> 40);
    uint64_t seq = arg & ((1ull << 40) - 1);
    if (w->core == NULL || life != (w->life & 0xffffff)) {
        return;
    }
    w->is_committing = false;
    if (!world_disk_is_bad(w)) {
        w->committed_seq = seq;
        release(w);
    }
    if (w->committed_seq < core_newest_seq(w->core)) {
        need_turn_end(w);
    }
}

static void
start_commit(struct world *w)
{
    if (!world_disk_is_bad(w)) {
        w->written_seq = core_newest_seq(w->core);
    }
    if (!w->is_committing && w->committed_seq < core_newest_seq(w->core)) {
        w->is_committing = true;
        uint64_t arg = (uint64_t)(w->life & 0xffffff) << 40 | w->written_seq;
        world_at(w, w->now_ms + hq_rng_between(&w->rng, 1, COMMIT_MS_MAX), on_committed, NULL, arg);
    }
}

static void
keep_record(struct world *w, const struct record *rec)
{
    size_t at = w->journal.len;
    record_pb_encode(rec, &w->fx.arena, &w->journal);
    hq_xgrow(&w->records, &w->record_cap, w->record_count + 1, sizeof(*w->records));
    w->records[w->record_count++] = (struct sim_record){.seq = rec->seq, .at = at, .len = w->journal.len - at};
    check_record(w, rec);
}

static void
queue_parcel(struct world *w, const struct effect *e, uint64_t handle, struct reply *r)
{
    struct parcel *p = hq_xalloc(sizeof(*p));
    *p = (struct parcel){.when = e->when, .after_seq = e->after_seq, .handle = handle, .reply = r};
    *w->parcels_tail = p;
    w->parcels_tail = &p->next;
}

static void
take_effects(struct world *w)
{
    for (size_t i = 0; i < w->fx.count && !world_failed(w); i++) {
        const struct effect *e = &w->fx.v[i];
        if (w->is_verbose) {
            struct hq_buf line = HQ_BUF_INIT;
            effect_print(e, &line);
            (void)printf("%8lld %s\n", (long long)w->now_ms, line.ptr);
            hq_buf_fini(&line);
        }
        switch (e->kind) {
        case EFFECT_RECORD:
            keep_record(w, &e->u.record);
            break;
        case EFFECT_ANSWER:
            queue_parcel(w, e, e->u.answer.handle, reply_copy_answer(&e->u.answer));
            break;
        case EFFECT_REGISTERED:
            queue_parcel(w, e, e->u.registered.handle, reply_copy_registered(&e->u.registered));
            break;
        case EFFECT_TURN:
            if (e->u.turn.code == -EPROTO) { /* all workers here are honest, whatever befalls them */
                world_fail(w, "worker %u was dropped for a lie: %.*s", e->u.turn.worker.v, HQ_STR_FMT(e->u.turn.text));
            }
            queue_parcel(w, e, e->u.turn.handle, reply_copy_turn(&e->u.turn));
            break;
        case EFFECT_EVENT:
        case EFFECT_NOTE:
        case EFFECT_WORKER_GONE:
        case EFFECT_STOP:
            break;
        }
    }
}

/* ---- hqd */
static struct core_now
now_of(const struct world *w)
{
    return (struct core_now){.mono_ms = w->now_ms, .wall_ms = world_wall(w), .committed_seq = w->committed_seq};
}

static void
check_state(struct world *w)
{
    struct hq_buf why = HQ_BUF_INIT;
    if (w->node_count > SMALL_NODES_MAX && ++w->check_count % LARGE_CHECK_EVERY != 0) {
        return;
    }
    if (!invariant_check(w->core, &why)) {
        world_fail(w, "invariant: %s", why.ptr);
    }
    hq_buf_fini(&why);
}

static void on_timer(struct world *w, void *ctx, uint64_t at_ms);

static void
arm_timer(struct world *w)
{
    hq_ms at_ms = core_next_timer(w->core);
    if (at_ms < w->timer_at_ms) {
        w->timer_at_ms = at_ms;
        world_at(w, at_ms, on_timer, NULL, (uint64_t)at_ms);
    }
}

static void
on_turn_end(struct world *w, void *ctx, uint64_t life)
{
    (void)ctx;
    w->is_turn_end_due = false;
    if (w->core == NULL || life != w->life) {
        return;
    }
    struct core_now now = now_of(w);
    effects_clear(&w->fx);
    core_schedule(w->core, &now, &w->fx);
    take_effects(w);
    start_commit(w);
    release(w);
    check_state(w);
    arm_timer(w);
}

static void
need_turn_end(struct world *w)
{
    if (!w->is_turn_end_due) {
        w->is_turn_end_due = true;
        world_at(w, w->now_ms + (world_chance(w, 1, 4) ? 1 : 0), on_turn_end, NULL, w->life);
    }
}

static void
step(struct world *w, const struct input *in)
{
    struct core_now now = now_of(w);
    effects_clear(&w->fx);
    core_step(w->core, in, &now, &w->fx);
    w->step_count++;
    take_effects(w);
    check_state(w);
    need_turn_end(w);
}

static void
on_timer(struct world *w, void *ctx, uint64_t at_ms)
{
    (void)ctx;
    if (w->core == NULL || (hq_ms)at_ms != w->timer_at_ms) {
        return;
    }
    w->timer_at_ms = INT64_MAX;
    step(w,
         &(struct input){.kind = INPUT_TIMER}); /* armed again at the end of the turn: the pass may have to run first */
}

bool
world_give(struct world *w, const struct input *in)
{
    if (w->core == NULL || world_failed(w)) {
        return false;
    }
    step(w, in);
    return true;
}

uint64_t
world_handle(struct world *w, const struct asker *from)
{
    uint64_t handle = ++w->next_handle;
    hq_map_set_ptr(&w->askers, handle, hq_xmemdup(from, sizeof(*from)));
    return handle;
}

/* ---- starts and ends of hqd */
static struct core *
new_core(struct world *w)
{
    struct core *core;
    struct hq_err err = {0};
    HQ_ASSERT(core_create(&core, &w->conf, &err) == 0);
    return core;
}

static struct core *
replay(struct world *w)
{
    struct core *core = new_core(w);
    struct hq_arena arena;
    hq_arena_init(&arena, 0);
    for (size_t i = 0; i < w->record_count && !world_failed(w); i++) {
        struct record rec;
        struct hq_err err = {0};
        struct hq_str body = {.ptr = w->journal.ptr + w->records[i].at, .len = w->records[i].len};
        if (record_pb_decode(body, &arena, &rec, &err) != 1) {
            world_fail(w, "record %llu can't be decoded: %s", (unsigned long long)w->records[i].seq, err.text);
            break;
        }
        rec.seq = w->records[i].seq;
        if (core_apply(core, &rec, &err) < 0) {
            world_fail(w, "replay: %s", err.text);
        }
        hq_arena_reset(&arena);
    }
    hq_arena_fini(&arena);
    return core;
}

/* The replayed state must be the one that the records left behind. */
static void
compare(struct world *w, const struct core *was, const struct core *is)
{
    struct hq_buf a = HQ_BUF_INIT;
    struct hq_buf b = HQ_BUF_INIT;
    query_dump(was, true, &a);
    query_dump(is, true, &b);
    if (!hq_str_eq(hq_buf_view(&a), hq_buf_view(&b))) {
        size_t at = 0;
        while (a.ptr[at] == b.ptr[at]) {
            at++;
        }
        size_t from = at > 200 ? at - 200 : 0;
        world_fail(w, "replay differs at byte %zu:\n--- live\n%.400s\n--- replayed\n%.400s", at, a.ptr + from,
                   b.ptr + from);
    }
    hq_buf_fini(&a);
    hq_buf_fini(&b);
}

void
world_start_hqd(struct world *w)
{
    char boot[16];
    HQ_ASSERT(w->core == NULL);
    (void)snprintf(boot, sizeof(boot), "boot%u", w->boot);
    struct core_identity id = {
        .server_uid = HQ_STR("simsim"),
        .incarnation = HQ_STR("0123456789abcdef"),
        .version = HQ_STR("sim"),
        .boot_id = hq_str_from(boot),
        .host = HQ_STR("login"),
        .pid = w->life + 1,
    };
    w->core = replay(w);
    w->life++;
    w->is_committing = false;
    w->is_turn_end_due = false;
    w->timer_at_ms = INT64_MAX;
    w->committed_seq = w->written_seq = core_newest_seq(w->core);
    if (world_failed(w)) {
        return;
    }
    struct core_now now = now_of(w);
    effects_clear(&w->fx);
    core_resume(w->core, &id, &now, &w->fx);
    take_effects(w);
    check_state(w);
    need_turn_end(w);
}

static void
truncate_journal(struct world *w, uint64_t last_seq)
{
    while (w->record_count > 0 && w->records[w->record_count - 1].seq > last_seq) {
        w->record_count--;
        w->journal.len = w->records[w->record_count].at;
    }
}

void
world_kill_hqd(struct world *w, bool is_power_cut)
{
    if (w->core == NULL) {
        return;
    }
    if (is_power_cut) {
        /* Something between what was committed and what was written has reached the disk. */
        uint64_t extra = w->written_seq - w->committed_seq;
        truncate_journal(w, w->committed_seq + (extra == 0 ? 0 : hq_rng_below(&w->rng, extra + 1)));
        w->boot++;
    } else {
        bool is_all = w->written_seq == core_newest_seq(w->core);
        truncate_journal(w, w->written_seq);
        if (is_all) {
            struct core *copy = replay(w);
            compare(w, w->core, copy);
            core_destroy(copy);
        }
    }
    core_destroy(w->core);
    w->core = NULL;
    world_drop_parcels(w);
    check_truncated(w);
}

void
world_stop_hqd(struct world *w)
{
    if (w->core == NULL || world_disk_is_bad(w)) {
        return;
    }
    (void)world_give(w, &(struct input){.kind = INPUT_SERVER_STOP});
    if (world_failed(w)) {
        return;
    }
    w->written_seq = w->committed_seq = core_newest_seq(w->core);
    release(w);
    if (!core_is_ended(w->core)) {
        world_fail(w, "an orderly end is not known as one");
    }
    world_kill_hqd(w, false);
}
