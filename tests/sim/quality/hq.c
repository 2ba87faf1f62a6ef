/* hq.c - the product's answer: workers register, what is in use is filled by tasks of a higher priority, the classes are
 * submitted, one pass. Looks at the private state: no query tells placed and queued-ahead tasks of a class apart. */
#include "tests/sim/quality/mix.h"

#include "common/mem.h"
#include "hqd/core/core.h"
#include "hqd/core/state.h"

#include <stdio.h>
#include <time.h>

#define FILLER_PRIORITY 1000

struct rig {
    struct core *core;
    struct effects fx;
    struct core_now now;
    uint64_t handle;
};

static const char *const res_names[MIX_RES] = {"cpus", "gpus", "mem"};

static void
step(struct rig *r, const struct input *in)
{
    effects_clear(&r->fx);
    core_step(r->core, in, &r->now, &r->fx);
    r->now.committed_seq = core_newest_seq(r->core);
}

static void
schedule(struct rig *r)
{
    effects_clear(&r->fx);
    core_schedule(r->core, &r->now, &r->fx);
    r->now.committed_seq = core_newest_seq(r->core);
}

static void
add_worker(struct rig *r, uint32_t ix, const struct mix_worker *w)
{
    struct hq_pool pools[MIX_RES + 1];
    char pin[16];
    size_t n = 0;
    for (uint32_t k = 0; k < MIX_RES; k++) {
        if (w->total[k] > 0) {
            pools[n++] = (struct hq_pool){
                .name = hq_str_from(res_names[k]), .kind = HQ_POOL_SUM, .sum = (hq_amount)w->total[k]};
        }
    }
    (void)snprintf(pin, sizeof(pin), "pin%u", ix);
    pools[n++] = (struct hq_pool){.name = hq_str_from(pin), .kind = HQ_POOL_SUM, .sum = HQ_AMOUNT_ONE};
    struct input in = {.kind = INPUT_REGISTER};
    in.u.reg = (struct input_register){.handle = ++r->handle, .next_turn_seq = 1};
    memcpy(in.u.reg.incarnation, &ix, sizeof(ix));
    in.u.reg.config = (struct worker_config){.hostname = HQ_STR("n"),
                                             .group = HQ_STR("default"),
                                             .heartbeat_ms = 8000,
                                             .time_limit_ms = w->life_ms,
                                             .pools = {.v = pools, .count = n}};
    step(r, &in);
    in = (struct input){.kind = INPUT_TURN};
    in.u.turn = (struct input_turn){.handle = ++r->handle, .worker = {ix + 1}, .turn_seq = 1};
    step(r, &in);
}

static void
submit(struct rig *r, uint32_t count, int32_t priority, struct hq_variant *variants, size_t variant_count)
{
    static const struct hq_str args[] = {{.ptr = "true", .len = 4}};
    struct task_desc d = {.args = args,
                          .arg_count = 1,
                          .crash_limit = 5,
                          .priority = priority,
                          .request = {.variants = variants, .variant_count = variant_count}};
    struct submit_part part = {.descs = &d, .desc_count = 1};
    struct input in = {.kind = INPUT_SUBMIT, .from = {.handle = ++r->handle}};
    in.u.submit = (struct input_submit){.name = HQ_STR("mix"), .auto_count = count, .parts = &part, .part_count = 1};
    step(r, &in);
}

/* What is in use on a worker, as one task that only it can run. */
static void
fill(struct rig *r, uint32_t ix, const struct mix_worker *w)
{
    struct hq_request_entry e[MIX_RES + 1];
    char pin[16];
    size_t n = 0;
    for (uint32_t k = 0; k < MIX_RES; k++) {
        if (w->free[k] < w->total[k]) {
            e[n++] = (struct hq_request_entry){.name = hq_str_from(res_names[k]),
                                               .amount = (hq_amount)(w->total[k] - w->free[k])};
        }
    }
    if (n == 0) {
        return;
    }
    (void)snprintf(pin, sizeof(pin), "pin%u", ix);
    e[n++] = (struct hq_request_entry){.name = hq_str_from(pin), .amount = HQ_AMOUNT_ONE};
    struct hq_variant v = {.entries = e, .entry_count = n, .weight_x10000 = 10000};
    submit(r, 1, FILLER_PRIORITY, &v, 1);
}

static void
submit_class(struct rig *r, const struct mix_class *c)
{
    struct hq_request_entry e[MIX_VARIANTS_MAX][MIX_RES];
    struct hq_variant v[MIX_VARIANTS_MAX];
    for (uint32_t k = 0; k < c->variant_count; k++) {
        const struct mix_variant *from = &c->variants[k];
        size_t n = 0;
        for (uint32_t i = 0; i < MIX_RES; i++) {
            if (from->amount[i] != 0) {
                bool is_all = from->amount[i] == MIX_ALL;
                e[k][n++] = (struct hq_request_entry){.name = hq_str_from(res_names[i]),
                                                      .policy = is_all ? HQ_POLICY_ALL : HQ_POLICY_COMPACT,
                                                      .amount = is_all ? 0 : (hq_amount)from->amount[i]};
            }
        }
        v[k] = (struct hq_variant){.entries = e[k],
                                   .entry_count = n,
                                   .min_time_ms = from->min_time_ms,
                                   .weight_x10000 = (uint64_t)from->weight};
    }
    submit(r, c->count, c->priority, v, c->variant_count);
}

/* Classes of the mix in the order of their submits: the core has them in the order of creation. */
static void
read_plan(const struct rig *r, const struct mix *m, uint32_t first_class, struct mix_plan *ret)
{
    for (uint32_t w = 0; w < m->worker_count; w++) {
        const struct worker *from = core_worker(r->core, w + 1);
        for (uint32_t i = 0; i < from->use_count; i++) {
            const struct worker_use *use = &from->uses[i];
            if (use->cls->id >= first_class) {
                ret->n[w][use->cls->id - first_class][use->variant] = use->placed;
            }
        }
    }
}

static double
now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

double
mix_solve_hq(const struct mix *m, struct mix_plan *ret)
{
    struct rig r = {.now = {.mono_ms = 1000, .wall_ms = 1700000000000}};
    struct hq_err err = {0};
    struct core_identity id = {.server_uid = HQ_STR("mix"), .boot_id = HQ_STR("boot")};
    HQ_ASSERT(core_create(&r.core, &(struct core_conf){.seed = 1}, &err) == 0);
    effects_init(&r.fx);
    memset(ret, 0, sizeof(*ret));
    core_resume(r.core, &id, &r.now, &r.fx);
    for (uint32_t w = 0; w < m->worker_count; w++) {
        add_worker(&r, w, &m->workers[w]);
    }
    for (uint32_t w = 0; w < m->worker_count; w++) {
        fill(&r, w, &m->workers[w]);
    }
    schedule(&r);
    uint32_t first_class = r.core->next_class;
    for (uint32_t c = 0; c < m->class_count; c++) {
        submit_class(&r, &m->classes[c]);
    }
    double begin_us = now_us();
    schedule(&r);
    double spent_us = now_us() - begin_us;
    read_plan(&r, m, first_class, ret);
    core_destroy(r.core);
    effects_fini(&r.fx);
    return spent_us;
}
