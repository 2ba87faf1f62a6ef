#include "tests/sim/world.h"

#include "hqd/core/idlist.h"
#include "hqd/core/invariant.h"
#include "hqd/record_pb.h"
#include "tests/sim/check.h"
#include "tests/sim/load.h"
#include "tests/sim/node.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define WALL_START_MS 1700000000000
#define COMMIT_MS_MAX 30
#define EVENTS_AT_ONCE_MAX 1000000u /* within one ms */
#define SMALL_NODES_MAX 64u         /* larger clusters are checked now and then: the check costs as much as they are */
#define LARGE_CHECK_EVERY 997u

/* ---- time */
void
world_at(struct world *w, hq_ms at_ms, world_fn fn, void *ctx, uint64_t arg)
{
    struct world_event *e = hq_xalloc(sizeof(*e));
    e->fn = fn;
    e->ctx = ctx;
    e->arg = arg;
    hq_heap_set(&w->events, &e->heap, HQ_MAX(at_ms, w->now_ms), w->event_tie++);
}

void
world_run(struct world *w, hq_ms until_ms)
{
    uint32_t at_once = 0;
    while (!world_failed(w) && hq_heap_top_key(&w->events, INT64_MAX) <= until_ms) {
        hq_ms at_ms = hq_heap_top_key(&w->events, 0);
        at_once = at_ms == w->now_ms ? at_once + 1 : 0;
        w->now_ms = at_ms;
        if (at_once > EVENTS_AT_ONCE_MAX) {
            world_fail(w, "time stands still: a timer is always due");
        }
        struct world_event *e = HQ_CONTAINER(hq_heap_pop(&w->events), struct world_event, heap);
        e->fn(w, e->ctx, e->arg);
        free(e);
    }
    w->now_ms = HQ_MAX(w->now_ms, until_ms);
}

hq_wall_ms
world_wall(const struct world *w)
{
    return WALL_START_MS + w->now_ms + w->wall_offset_ms;
}

void
world_fail(struct world *w, const char *fmt, ...)
{
    if (world_failed(w)) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    hq_buf_vprintf(&w->failure, fmt, ap);
    va_end(ap);
}

bool
world_chance(struct world *w, uint32_t num, uint32_t den)
{
    return hq_rng_chance(&w->rng, num, den);
}

/* ---- network */
hq_ms
world_delay(struct world *w)
{
    if ((w->faults & FAULT_LOSS) != 0 && !w->is_healing) {
        if (world_chance(w, 1, 40)) {
            return -1;
        }
        if (world_chance(w, 1, 30)) {
            return hq_rng_between(&w->rng, 5, 3000);
        }
    }
    return hq_rng_between(&w->rng, 0, 4);
}

bool
world_is_repeated(struct world *w)
{
    return (w->faults & FAULT_LOSS) != 0 && !w->is_healing && world_chance(w, 1, 40);
}

/* ---- answers on their way */
void
reply_free(struct reply *r)
{
    if (r == NULL || --r->refs > 0) {
        return;
    }
    for (size_t i = 0; i < r->command_count; i++) {
        hq_ranges_fini(&r->commands[i].ids);
        free(r->commands[i].entries);
    }
    free(r->commands);
    free(r);
}

static void
copy_command(struct reply_command *to, const struct command *c)
{
    to->kind = c->kind;
    switch (c->kind) {
    case COMMAND_BODY:
        to->job = c->u.body.job.v;
        to->desc_id = c->u.body.desc_id;
        for (size_t v = 0; v < c->u.body.desc->request.variant_count && v < HQ_ARRAY_LEN(to->cpus_x10000); v++) {
            const struct hq_variant *from = &c->u.body.desc->request.variants[v];
            to->cpus_x10000[v] = from->entry_count == 0 ? 0 : (uint32_t)from->entries[0].amount;
        }
        return;
    case COMMAND_ASSIGN:
        to->job = c->u.assign.job.v;
        to->desc_id = c->u.assign.desc_id;
        to->instance = c->u.assign.instance;
        to->variant = c->u.assign.variant;
        to->ids = idlist_dup(&c->u.assign.ids);
        to->entry_count = c->u.assign.entries.count;
        to->entry_bytes = c->u.assign.entries.data.len;
        to->entries = hq_str_dupz(c->u.assign.entries.data);
        to->node_count = (uint32_t)c->u.assign.node_count;
        return;
    case COMMAND_RETRACT:
    case COMMAND_CANCEL:
        to->job = c->u.tasks.job.v;
        to->instance = c->u.tasks.instance;
        to->ids = idlist_dup(&c->u.tasks.ids);
        return;
    case COMMAND_STOP:
        to->stop = c->u.stop;
        return;
    case COMMAND_FORGET_JOB:
    case COMMAND_OVERVIEW:
    case COMMAND_STDIN_PART:
        return;
    }
}

static struct reply *
copy_turn(const struct turn_answer *t)
{
    struct reply *r = hq_xalloc(sizeof(*r));
    *r = (struct reply){.refs = 1, .code = t->code, .command_seq = t->command_seq, .ack_turn_seq = t->ack_turn_seq};
    r->commands = hq_xcalloc(t->command_count + 1, sizeof(*r->commands));
    r->command_count = t->command_count;
    for (size_t i = 0; i < t->command_count; i++) {
        copy_command(&r->commands[i], &t->commands[i]);
    }
    return r;
}

static struct reply *
copy_registered(const struct registered *g)
{
    struct reply *r = hq_xalloc(sizeof(*r));
    *r = (struct reply){.refs = 1, .code = g->code, .is_registered = true, .worker = g->worker.v};
    r->next_command_seq = g->next_command_seq;
    r->commands = hq_xcalloc(g->drop_count + 1, sizeof(*r->commands));
    r->command_count = g->drop_count;
    for (size_t i = 0; i < g->drop_count; i++) {
        r->commands[i] = (struct reply_command){.kind = COMMAND_CANCEL, .job = g->drop[i].job.v};
        r->commands[i].ids = idlist_dup(&g->drop[i].ids);
    }
    return r;
}

static struct reply *
copy_answer(const struct answer *a)
{
    struct reply *r = hq_xalloc(sizeof(*r));
    *r = (struct reply){.refs = 1, .code = a->code, .answer = a->kind, .job = a->job.v};
    return r;
}

static void
deliver(struct world *w, void *ctx, uint64_t handle)
{
    struct reply *r = ctx;
    struct asker *a = hq_map_get_ptr(&w->askers, handle);
    if (a != NULL && a->node != NULL && r->is_registered) {
        node_on_registered(a->node, a->request, r);
    } else if (a != NULL && a->node != NULL) {
        node_on_reply(a->node, a->turn_seq, r);
    } else if (a != NULL) {
        load_on_reply(w, a->request, r);
    }
    reply_free(r);
}

static void
send_reply(struct world *w, uint64_t handle, struct reply *r)
{
    hq_ms delay_ms = world_delay(w);
    if (delay_ms >= 0) {
        r->refs++;
        world_at(w, w->now_ms + delay_ms, deliver, r, handle);
    }
    reply_free(r);
}

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
        send_reply(w, p->handle, p->reply);
        free(p);
    }
    w->parcels_tail = at;
}

static void
drop_parcels(struct world *w)
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
            queue_parcel(w, e, e->u.answer.handle, copy_answer(&e->u.answer));
            break;
        case EFFECT_REGISTERED:
            queue_parcel(w, e, e->u.registered.handle, copy_registered(&e->u.registered));
            break;
        case EFFECT_TURN:
            queue_parcel(w, e, e->u.turn.handle, copy_turn(&e->u.turn));
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
    drop_parcels(w);
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

void
world_init(struct world *w, uint64_t seed, uint32_t faults)
{
    *w = (struct world){.seed = seed, .faults = faults, .now_ms = 1000, .timer_at_ms = INT64_MAX};
    hq_rng_init(&w->rng, seed);
    w->conf.seed = seed;
    effects_init(&w->fx);
    hq_map_init(&w->askers, seed);
    w->parcels_tail = &w->parcels;
    w->load = load_create(w);
    w->check = check_create();
    world_start_hqd(w);
}

void
world_fini(struct world *w)
{
    uint64_t key;
    uint64_t value;
    core_destroy(w->core);
    drop_parcels(w);
    while (w->events.count > 0) {
        struct world_event *e = HQ_CONTAINER(hq_heap_pop(&w->events), struct world_event, heap);
        if (e->fn == deliver) {
            reply_free(e->ctx);
        } else {
            node_free_event(e);
        }
        free(e);
    }
    for (size_t it = 0; hq_map_next(&w->askers, &it, &key, &value);) {
        free((void *)(uintptr_t)value);
    }
    for (size_t i = 0; i < w->node_count; i++) {
        node_destroy(w->nodes[i]);
    }
    load_destroy(w->load);
    check_destroy(w->check);
    effects_fini(&w->fx);
    hq_map_fini(&w->askers);
    hq_heap_fini(&w->events);
    hq_buf_fini(&w->journal);
    hq_buf_fini(&w->failure);
    free(w->records);
    free(w->nodes);
}
