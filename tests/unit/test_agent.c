/* test_agent.c - commands and ends to effects, compared as text; and a random world with a launcher of plain lists, in which
 * every task that was assigned must end in exactly one way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/limits.h"
#include "common/mem.h"
#include "common/rng.h"
#include "hq-workerd/core/agent.h"

struct world {
    struct agent *agent;
    struct report *report;
    struct hq_arena arena;
    struct lane lanes[8]; /* what a launcher would hold */
};

static void
world_init(struct world *w, const char *cpus, hq_wall_ms life_end_ms)
{
    struct hq_pool pool;
    struct hq_pools pools = {.v = &pool, .count = 1};
    struct hq_err err = {0};

    hq_arena_init(&w->arena, 0);
    assert_int_equal(0, hq_pool_parse(&pool, HQ_STR("cpus"), hq_str_from(cpus), true, &w->arena, &err));
    w->report = report_create();
    struct agent_conf conf = {.pools = &pools, .life_end_ms = life_end_ms, .report = w->report};
    assert_int_equal(0, agent_create(&w->agent, &conf, &err));
    for (size_t i = 0; i < HQ_ARRAY_LEN(w->lanes); i++) {
        lane_init(&w->lanes[i]);
    }
}

static void
world_fini(struct world *w)
{
    agent_destroy(w->agent);
    report_destroy(w->report);
    for (size_t i = 0; i < HQ_ARRAY_LEN(w->lanes); i++) {
        lane_fini(&w->lanes[i]);
    }
    hq_arena_fini(&w->arena);
}

static void
give_body(struct world *w, uint32_t job, const char *request, int64_t min_time_ms, int64_t limit_ms)
{
    struct body *b = body_create(job, 0);
    struct hq_err err = {0};

    b->time_limit_ms = limit_ms;
    b->request.variant_count = 1;
    b->request.variants = hq_arena_alloc(&b->arena, sizeof(*b->request.variants));
    struct hq_variant *v = b->request.variants;
    *v = (struct hq_variant){.entry_count = 1, .weight_x10000 = 10000, .min_time_ms = min_time_ms};
    v->entries = hq_arena_alloc(&b->arena, sizeof(*v->entries));
    assert_int_equal(0, hq_request_parse_entry(hq_str_from(request), v->entries, &b->arena, &err));
    assert_int_equal(0, agent_on_body(w->agent, b));
}

static int
try_assign(struct world *w, uint32_t job, uint32_t first, uint32_t count)
{
    struct batch *b = batch_create(agent_find_body(w->agent, job, 0));
    struct hq_err err = {0};

    hq_ranges_add(&b->ids, first, count, 1);
    return agent_on_assign(w->agent, b, &err);
}

static void
assign(struct world *w, uint32_t job, uint32_t first, uint32_t count)
{
    assert_int_equal(0, try_assign(w, job, first, count));
}

/* Effects as text; batches go into the lanes, withdrawals are carried out. */
static void
do_effects(struct world *w, struct hq_buf *out)
{
    struct agent_fx *fx;
    size_t count;

    while ((count = agent_take_effects(w->agent, &fx)) > 0) {
        for (size_t i = 0; i < count; i++) {
            const struct agent_fx *f = &fx[i];
            struct lane_gone_list gone = {0};
            switch (f->kind) {
            case AGENT_FX_PUSH:
                hq_buf_printf(out, "push %u ", f->lane_ix);
                lane_push(&w->lanes[f->lane_ix], f->batch);
                break;
            case AGENT_FX_OPEN:
                hq_buf_printf(out, "open %u:%u ", f->lane_ix, f->slot_ix);
                break;
            case AGENT_FX_RESUME:
                hq_buf_printf(out, "resume %u ", f->slot_ix);
                break;
            case AGENT_FX_CLOSE:
                hq_buf_printf(out, "close %u ", f->slot_ix);
                break;
            case AGENT_FX_WITHDRAW:
                hq_buf_printf(out, "withdraw%d ", (int)f->why);
                for (uint32_t k = 0; k < HQ_ARRAY_LEN(w->lanes); k++) {
                    if (f->match.has_lane && f->match.lane_ix != k) {
                        continue;
                    }
                    size_t from = gone.count;
                    assert_int_equal(0, lane_withdraw(&w->lanes[k], &f->match, &gone));
                    for (; from < gone.count; from++) {
                        agent_on_withdrawn(w->agent, k, f->why, &gone.v[from]);
                    }
                }
                lane_gone_list_fini(&gone);
                break;
            case AGENT_FX_FIND:
                hq_buf_cstr(out, "find ");
                break;
            case AGENT_FX_KILL:
                hq_buf_printf(out, "kill %u.%llu:%d ", f->slot_ix, (unsigned long long)f->serial, (int)f->kill_why);
                break;
            case AGENT_FX_PAUSE:
                hq_buf_cstr(out, "pause ");
                break;
            case AGENT_FX_GO:
                hq_buf_cstr(out, "go ");
                break;
            }
        }
    }
}

static void
expect(struct world *w, hq_ms now_ms, const char *text)
{
    struct hq_buf out = HQ_BUF_INIT;

    agent_on_time(w->agent, now_ms);
    do_effects(w, &out);
    assert_string_equal(text, out.ptr == NULL ? "" : out.ptr);
    hq_buf_fini(&out);
}

static struct run_event
event(enum run_event_kind kind, uint32_t slot, uint64_t serial, uint32_t job, uint32_t task)
{
    return (struct run_event){.kind = kind, .slot_ix = slot, .serial = serial, .job_id = job, .task_id = task,
                              .started_ms = 1000, .ended_ms = 1010, .end = RUN_END_FINISHED};
}

static void
tell(struct world *w, enum run_event_kind kind, uint32_t slot, uint64_t serial, uint32_t job, uint32_t task)
{
    struct run_event e = event(kind, slot, serial, job, task);

    agent_on_event(w->agent, &e, 0, 1000);
}

/* started-, finished-, failed- and returned tasks of one turn. */
static void
expect_news(struct world *w, size_t started, size_t finished, size_t failed, size_t returned)
{
    struct hq_arena arena;
    struct turn_news n;

    hq_arena_init(&arena, 0);
    report_pack(w->report, &arena, &n);
    assert_int_equal(started, n.started_count == 0 ? 0 : n.started[0].count);
    assert_int_equal(finished, n.finished_count == 0 ? 0 : n.finished[0].count);
    assert_int_equal(failed, n.failed_count);
    size_t count = 0;
    for (size_t i = 0; i < n.returned_count; i++) {
        for (size_t k = 0; k < n.returned[i].range_len; k += 3) {
            count += n.returned[i].ranges[k + 1];
        }
    }
    assert_int_equal(returned, count);
    hq_arena_fini(&arena);
}

static void
test_slots_follow_resources(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, "3", INT64_MAX);
    give_body(&w, 1, "cpus=1", 0, 0);
    give_body(&w, 2, "cpus=2", 0, 0);
    assign(&w, 1, 0, 2);
    expect(&w, 0, "push 0 open 0:0 open 0:1 ");
    assign(&w, 2, 0, 1); /* one cpu is free: it waits */
    expect(&w, 0, "push 1 ");
    assign(&w, 1, 2, 3); /* more of the first: the last cpu */
    expect(&w, 0, "push 0 open 0:2 ");
    tell(&w, RUN_STARTED, 0, 1, 1, 0);
    tell(&w, RUN_STARTED, 1, 2, 1, 1);
    tell(&w, RUN_STARTED, 2, 3, 1, 2);
    assert_int_equal(3, agent_numbers(w.agent).running);
    /* Slot 0 goes on by itself with the next task of its lane. */
    tell(&w, RUN_ENDED, 0, 1, 1, 0);
    tell(&w, RUN_STARTED, 0, 4, 1, 3);
    tell(&w, RUN_ENDED, 1, 2, 1, 1);
    tell(&w, RUN_STARTED, 1, 5, 1, 4);
    expect(&w, 0, "");
    expect_news(&w, 3, 2, 0, 0);
    tell(&w, RUN_ENDED, 2, 3, 1, 2);
    tell(&w, RUN_SLOT_IDLE, 2, 3, 1, 2);
    expect(&w, 0, "close 2 "); /* one cpu is not enough for job 2 yet */
    tell(&w, RUN_ENDED, 0, 4, 1, 3);
    tell(&w, RUN_SLOT_IDLE, 0, 4, 1, 3);
    expect(&w, 0, "close 0 open 1:0 ");
    world_fini(&w);
}

static void
test_idle_slot_resumes(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, "1", INT64_MAX);
    give_body(&w, 1, "cpus=1", 0, 0);
    assign(&w, 1, 0, 1);
    expect(&w, 0, "push 0 open 0:0 ");
    assign(&w, 1, 1, 1); /* was pushed while the slot ran dry */
    expect(&w, 0, "push 0 ");
    tell(&w, RUN_STARTED, 0, 1, 1, 0);
    tell(&w, RUN_ENDED, 0, 1, 1, 0);
    tell(&w, RUN_SLOT_IDLE, 0, 1, 0, 0);
    expect(&w, 0, "resume 0 ");
    tell(&w, RUN_STARTED, 0, 2, 1, 1);
    tell(&w, RUN_ENDED, 0, 2, 1, 1);
    tell(&w, RUN_SLOT_IDLE, 0, 2, 0, 0);
    expect(&w, 0, "close 0 ");
    assert_int_equal(0, agent_numbers(w.agent).slots);
    assert_int_equal(0, agent_numbers(w.agent).waiting);
    world_fini(&w);
}

static void
test_refused(void **state)
{
    struct world w;
    struct hq_err err = {0};

    (void)state;
    world_init(&w, "2x4", INT64_MAX);
    give_body(&w, 1, "cpus=9", 0, 0);
    give_body(&w, 2, "cpus=3 compact!", 0, 0);
    give_body(&w, 3, "cpus=2 compact!", 0, 0);
    assert_int_equal(AGENT_GIVEN_BACK, try_assign(&w, 1, 0, 4)); /* never here */
    expect(&w, 0, "");
    expect_news(&w, 0, 0, 0, 4);
    assign(&w, 2, 0, 2);
    expect(&w, 0, "push 0 open 0:0 open 0:1 ");
    assign(&w, 3, 7, 1); /* two are free, but not in one group */
    expect(&w, 0, "push 1 withdraw1 ");
    expect_news(&w, 0, 0, 0, 1);
    /* A variant that the body does not have. */
    struct batch *b = batch_create(agent_find_body(w.agent, 1, 0));
    b->variant = 1;
    hq_ranges_add(&b->ids, 0, 1, 1);
    assert_int_equal(-EPROTO, agent_on_assign(w.agent, b, &err));
    world_fini(&w);
}

static void
test_retract_and_cancel(void **state)
{
    struct hq_ranges ids = HQ_RANGES_INIT;
    struct world w;

    (void)state;
    world_init(&w, "1", INT64_MAX);
    give_body(&w, 1, "cpus=1", 0, 0);
    assign(&w, 1, 0, 10);
    expect(&w, 0, "push 0 open 0:0 ");
    struct lane_task t;
    assert_int_equal(LANE_TAKEN, lane_take(&w.lanes[0], 0, &t));
    tell(&w, RUN_STARTED, 0, 1, 1, 0);
    hq_ranges_add(&ids, 0, 5, 1);
    assert_int_equal(0, agent_on_retract(w.agent, 1, 0, &ids));
    expect(&w, 0, "withdraw0 ");
    expect_news(&w, 1, 0, 0, 4); /* 1-4; the first one runs */
    assert_int_equal(5, agent_numbers(w.agent).waiting);
    assert_int_equal(0, agent_on_cancel(w.agent, 1, &ids));
    expect(&w, 0, "withdraw3 find ");
    agent_on_found(w.agent, 0, 1);
    expect(&w, 0, "kill 0.1:3 ");
    tell(&w, RUN_ENDED, 0, 1, 1, 0);
    expect(&w, 0, "");
    expect_news(&w, 0, 0, 0, 0); /* nothing is told of it */
    lane_task_drop(&t);
    hq_ranges_fini(&ids);
    world_fini(&w);
}

static void
test_time_limit(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, "2", INT64_MAX);
    give_body(&w, 1, "cpus=1", 0, 500);
    assign(&w, 1, 0, 2);
    expect(&w, 0, "push 0 open 0:0 open 0:1 ");
    struct run_event e = event(RUN_STARTED, 0, 1, 1, 0);
    e.time_limit_ms = 500;
    agent_on_event(w.agent, &e, 10000, 1200); /* we hear of it 200 ms late */
    assert_int_equal(10300, agent_next_ms(w.agent));
    e = event(RUN_STARTED, 1, 2, 1, 1);
    e.time_limit_ms = 500;
    agent_on_event(w.agent, &e, 10100, 1000);
    expect(&w, 10299, "");
    expect(&w, 10300, "kill 0.1:1 ");
    assert_int_equal(10600, agent_next_ms(w.agent));
    tell(&w, RUN_ENDED, 1, 2, 1, 1); /* in time */
    expect(&w, 10600, "");
    assert_int_equal(INT64_MAX, agent_next_ms(w.agent));
    world_fini(&w);
}

static void
test_life_too_short(void **state)
{
    struct world w;
    struct lane_task t;

    (void)state;
    world_init(&w, "1", 100000);
    give_body(&w, 1, "cpus=1", 60000, 0);
    assign(&w, 1, 0, 3);
    expect(&w, 0, "push 0 open 0:0 ");
    assert_int_equal(LANE_TAKEN, lane_take(&w.lanes[0], 40000, &t));
    lane_task_drop(&t);
    tell(&w, RUN_STARTED, 0, 1, 1, 0);
    assert_int_equal(0, agent_check_time(w.agent, 40000));
    expect(&w, 0, "withdraw2 ");
    expect_news(&w, 1, 0, 0, 0);
    assert_int_equal(0, agent_check_time(w.agent, 40001));
    expect(&w, 0, "withdraw2 ");
    expect_news(&w, 0, 0, 0, 2);
    world_fini(&w);
}

static void
test_give_up(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, "1", INT64_MAX);
    give_body(&w, 1, "cpus=1", 0, 0);
    assign(&w, 1, 0, 3);
    expect(&w, 0, "push 0 open 0:0 ");
    assert_int_equal(0, agent_on_give_up(w.agent, false));
    expect(&w, 0, "withdraw3 find ");
    assert_int_equal(0, agent_numbers(w.agent).waiting);
    tell(&w, RUN_SLOT_IDLE, 0, 0, 0, 0);
    expect(&w, 0, "close 0 ");
    assign(&w, 1, 3, 1); /* it goes on afterwards */
    expect(&w, 0, "push 0 open 0:0 ");
    assert_int_equal(0, agent_on_give_up(w.agent, true));
    expect(&w, 0, "pause withdraw3 find ");
    assert_int_equal(AGENT_GIVEN_BACK, try_assign(&w, 1, 4, 1)); /* and not any more */
    expect(&w, 0, "");
    expect_news(&w, 0, 0, 0, 0);
    world_fini(&w);
}

static void
test_full_report(void **state)
{
    struct world w;
    struct report_task t = {.job_id = 9};

    (void)state;
    world_init(&w, "1", INT64_MAX);
    give_body(&w, 1, "cpus=1", 0, 0);
    assign(&w, 1, 0, 3);
    expect(&w, 0, "push 0 open 0:0 ");
    for (uint32_t i = 0; i < HQ_REPORT_EVENTS_MAX; i++) {
        t.task_id = i;
        assert_int_equal(0, report_push_finished(w.report, &t));
    }
    expect(&w, 0, "pause ");
    tell(&w, RUN_SLOT_IDLE, 0, 0, 0, 0);
    expect(&w, 0, ""); /* the slot keeps its place */
    report_clear(w.report);
    expect(&w, 0, "go resume 0 ");
    world_fini(&w);
}

/* Our part of a task whose root is elsewhere: it starts and ends as any, and hqd hears nothing. */
static void
test_hidden(void **state)
{
    struct world w;
    struct hq_err err = {0};

    (void)state;
    world_init(&w, "2", INT64_MAX);
    give_body(&w, 1, "cpus=1", 0, 0);
    for (uint64_t id = 1; id <= 2; id++) {
        struct batch *b = batch_create(agent_find_body(w.agent, 1, 0));
        hq_ranges_add(&b->ids, 7, 1, 1);
        b->hidden_id = id;
        assert_int_equal(0, agent_on_assign(w.agent, b, &err));
    }
    expect(&w, 0, "push 0 open 0:0 push 0 open 0:1 ");
    for (uint32_t slot = 0; slot < 2; slot++) {
        struct run_event e = event(RUN_STARTED, slot, slot + 1, 1, 7);
        e.hidden_id = slot + 1;
        agent_on_event(w.agent, &e, 0, 1000);
    }
    assert_int_equal(2, agent_numbers(w.agent).running);
    assert_int_equal(0, agent_on_end_hidden(w.agent, 2)); /* that one only */
    struct agent_fx *fx;
    assert_int_equal(2, agent_take_effects(w.agent, &fx));
    assert_true(fx[1].kind == AGENT_FX_FIND && fx[1].match.hidden_id == 2 && fx[1].match.any_job);
    for (uint32_t slot = 0; slot < 2; slot++) {
        struct run_event e = event(RUN_ENDED, slot, slot + 1, 1, 7);
        e.hidden_id = slot + 1;
        e.end = slot == 0 ? RUN_END_FAILED : RUN_END_FINISHED;
        agent_on_event(w.agent, &e, 0, 1000);
    }
    assert_int_equal(0, agent_numbers(w.agent).running);
    expect_news(&w, 0, 0, 0, 0);
    struct lane_gone gone = {.job_id = 1, .hidden_id = 3};
    agent_on_withdrawn(w.agent, 0, AGENT_RETURN_REJECTED, &gone);
    expect_news(&w, 0, 0, 0, 0);
    world_fini(&w);
}

/* A root whose other node is gone: not failed, but to be started again. */
static void
test_node_lost(void **state)
{
    struct world w;
    struct hq_arena arena;
    struct turn_news n;

    (void)state;
    world_init(&w, "1", INT64_MAX);
    give_body(&w, 1, "cpus=1", 0, 0);
    assign(&w, 1, 7, 1);
    expect(&w, 0, "push 0 open 0:0 ");
    tell(&w, RUN_STARTED, 0, 1, 1, 7);
    struct run_event e = event(RUN_ENDED, 0, 1, 1, 7);
    e.end = RUN_END_NODE_LOST;
    agent_on_event(w.agent, &e, 0, 1000);
    hq_arena_init(&arena, 0);
    report_pack(w.report, &arena, &n);
    assert_int_equal(0, n.failed_count);
    assert_int_equal(1, n.returned_count);
    assert_int_equal(REPORT_NODE_LOST, n.returned[0].reason);
    assert_int_equal(7, n.returned[0].ranges[0]);
    hq_arena_fini(&arena);
    world_fini(&w);
}

static void
test_forget_job(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, "1", INT64_MAX);
    give_body(&w, 1, "cpus=1", 0, 0);
    give_body(&w, 1, "cpus=1", 0, 0); /* again: the first one stays */
    assert_non_null(agent_find_body(w.agent, 1, 0));
    assert_null(agent_find_body(w.agent, 1, 1));
    agent_on_forget_job(w.agent, 1);
    agent_on_forget_job(w.agent, 1);
    assert_null(agent_find_body(w.agent, 1, 0));
    world_fini(&w);
}

/* ---- random world */

enum { WORLD_SLOTS = 64, WORLD_TASKS = 400 };

struct fake {
    struct world w;
    struct hq_rng rng;
    bool is_open[WORLD_SLOTS], is_idle[WORLD_SLOTS];
    uint32_t lane[WORLD_SLOTS];
    struct lane_task run[WORLD_SLOTS];
    uint64_t serial[WORLD_SLOTS], next_serial;
    bool is_paused;
    uint8_t ended[WORLD_TASKS]; /* seen to end, told as returned, or cancelled */
    uint32_t cpus_used;
};

static void
fake_effects(struct fake *f)
{
    struct agent_fx *fx;
    size_t count;

    while ((count = agent_take_effects(f->w.agent, &fx)) > 0) {
        for (size_t i = 0; i < count; i++) {
            const struct agent_fx *x = &fx[i];
            struct lane_gone_list gone = {0};
            switch (x->kind) {
            case AGENT_FX_PUSH:
                lane_push(&f->w.lanes[x->lane_ix], x->batch);
                break;
            case AGENT_FX_OPEN:
                assert_false(f->is_open[x->slot_ix]);
                f->is_open[x->slot_ix] = true;
                f->is_idle[x->slot_ix] = false;
                f->lane[x->slot_ix] = x->lane_ix;
                break;
            case AGENT_FX_RESUME:
                assert_true(f->is_idle[x->slot_ix]);
                f->is_idle[x->slot_ix] = false;
                break;
            case AGENT_FX_CLOSE:
                assert_true(f->is_idle[x->slot_ix]);
                f->is_open[x->slot_ix] = f->is_idle[x->slot_ix] = false;
                break;
            case AGENT_FX_WITHDRAW:
                for (uint32_t k = 0; k < HQ_ARRAY_LEN(f->w.lanes); k++) {
                    size_t from = gone.count;
                    if (!x->match.has_lane || x->match.lane_ix == k) {
                        assert_int_equal(0, lane_withdraw(&f->w.lanes[k], &x->match, &gone));
                    }
                    for (; from < gone.count; from++) {
                        struct hq_ranges_iter it = hq_ranges_iter(&gone.v[from].ids);
                        uint32_t id;
                        while (hq_ranges_next(&it, &id)) {
                            assert_int_equal(0, f->ended[id]++);
                        }
                        agent_on_withdrawn(f->w.agent, k, x->why, &gone.v[from]);
                    }
                }
                lane_gone_list_fini(&gone);
                break;
            case AGENT_FX_FIND:
                for (uint32_t k = 0; k < WORLD_SLOTS; k++) {
                    if (f->run[k].batch != NULL && (x->match.ids == NULL || hq_ranges_has(x->match.ids, f->run[k].task_id))) {
                        agent_on_found(f->w.agent, k, f->serial[k]);
                    }
                }
                break;
            case AGENT_FX_KILL: /* it will end by itself */
                break;
            case AGENT_FX_PAUSE:
            case AGENT_FX_GO:
                f->is_paused = x->kind == AGENT_FX_PAUSE;
                break;
            }
        }
    }
}

/* One slot makes one step of its life, and tells. */
static void
fake_step_slot(struct fake *f, uint32_t k)
{
    if (!f->is_open[k] || f->is_idle[k]) {
        return;
    }
    if (f->run[k].batch != NULL) {
        struct run_event e = event(RUN_ENDED, k, f->serial[k], 1, f->run[k].task_id);
        assert_int_equal(0, f->ended[f->run[k].task_id]++);
        lane_task_drop(&f->run[k]);
        agent_on_event(f->w.agent, &e, 0, 0);
        return;
    }
    if (!f->is_paused && lane_take(&f->w.lanes[f->lane[k]], 0, &f->run[k]) == LANE_TAKEN) {
        f->serial[k] = ++f->next_serial;
        struct run_event e = event(RUN_STARTED, k, f->serial[k], 1, f->run[k].task_id);
        agent_on_event(f->w.agent, &e, 0, 0);
        return;
    }
    struct run_event e = event(RUN_SLOT_IDLE, k, f->serial[k], 0, 0);
    f->is_idle[k] = true;
    agent_on_event(f->w.agent, &e, 0, 0);
}

static void
test_random_world(void **state)
{
    static const char *const requests[] = {"cpus=1", "cpus=2 compact", "cpus=0.5", "cpus=3 compact!", "cpus=all"};

    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct fake f = {0};
        uint32_t next = 0;
        world_init(&f.w, seed % 2 ? "5" : "[[0,1,2],[3,4]]", INT64_MAX);
        hq_rng_init(&f.rng, seed);
        for (uint32_t j = 0; j < HQ_ARRAY_LEN(requests); j++) {
            give_body(&f.w, j + 1, requests[j], 0, 0);
        }
        for (uint32_t step = 0, quiet = 0; quiet < 200; step++) {
            uint32_t kind = (uint32_t)hq_rng_below(&f.rng, 12);
            if (kind == 0 && next < WORLD_TASKS) {
                uint32_t count = (uint32_t)hq_rng_between(&f.rng, 1, 20);
                count = HQ_MIN(count, WORLD_TASKS - next);
                assign(&f.w, (uint32_t)hq_rng_below(&f.rng, HQ_ARRAY_LEN(requests)) + 1, next, count);
                next += count;
            } else if (kind == 1) {
                struct hq_ranges ids = HQ_RANGES_INIT;
                uint32_t job = (uint32_t)hq_rng_below(&f.rng, HQ_ARRAY_LEN(requests)) + 1;
                hq_ranges_add(&ids, (uint32_t)hq_rng_below(&f.rng, WORLD_TASKS), 5, 1);
                assert_int_equal(0, hq_rng_chance(&f.rng, 1, 2) ? agent_on_retract(f.w.agent, job, 0, &ids)
                                                                : agent_on_cancel(f.w.agent, job, &ids));
                hq_ranges_fini(&ids);
            } else {
                fake_step_slot(&f, (uint32_t)hq_rng_below(&f.rng, WORLD_SLOTS));
            }
            agent_on_time(f.w.agent, 0);
            fake_effects(&f);
            quiet = next == WORLD_TASKS && agent_numbers(f.w.agent).waiting == 0 && agent_numbers(f.w.agent).slots == 0
                        ? quiet + 1
                        : 0;
            assert_true(step < 1000000); /* nobody is starved for ever */
            if (seed % 10 == 0 && step % 64 == 0) {
                report_clear(f.w.report);
            }
        }
        /* Refused ones were told at once: they never were in a lane. The rest ended. */
        struct hq_arena arena;
        struct turn_news n;
        while (seed % 10 != 0 && !report_is_empty(f.w.report)) {
            hq_arena_init(&arena, 0);
            report_pack(f.w.report, &arena, &n);
            hq_arena_fini(&arena);
        }
        assert_int_equal(0, agent_numbers(f.w.agent).running);
        for (uint32_t i = 0; i < WORLD_TASKS; i++) {
            if (f.ended[i] != 1) {
                fail_msg("seed=%llu: task %u ended %u times", (unsigned long long)seed, i, f.ended[i]);
            }
        }
        world_fini(&f.w);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_follow_resources), cmocka_unit_test(test_idle_slot_resumes),
        cmocka_unit_test(test_refused),                cmocka_unit_test(test_retract_and_cancel),
        cmocka_unit_test(test_time_limit),             cmocka_unit_test(test_life_too_short),
        cmocka_unit_test(test_give_up),                cmocka_unit_test(test_full_report),
        cmocka_unit_test(test_forget_job),             cmocka_unit_test(test_random_world),
        cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_node_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
