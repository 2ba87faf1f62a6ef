/* shell_effects.c - what the agent wants done, done. */
#include "hq-workerd/shell_impl.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

/* A batch that cannot be queued goes back to hqd. */
static void
effect_refuse(struct wshell *s, uint32_t lane_ix, struct batch *batch)
{
    struct lane_gone gone = {.lane_ix = lane_ix,
                             .job_id = batch->body->job_id,
                             .instance = batch->instance,
                             .variant = batch->variant,
                             .hidden_id = batch->hidden_id,
                             .ids = batch->ids};

    agent_on_withdrawn(s->agent, lane_ix, AGENT_RETURN_REJECTED, &gone);
    steps_on_gone(s->steps, &gone);
}

static void
effect_push(struct wshell *s, const struct agent_fx *fx)
{
    const struct image *image;
    HQ_AUTO(batch_unrefp) struct batch *held = batch_ref(fx->batch); /* launcher_push takes the other one */
    int rc = prepare_image(&image, fx->batch->body, fx->batch->variant, &s->run_conf.prepare,
                           s->server_uid == NULL ? "" : s->server_uid);

    if (rc < 0) {
        batch_unref(fx->batch);
    } else {
        rc = launcher_push(s->launcher, fx->lane_ix, fx->batch);
    }
    if (rc < 0) {
        hq_log_warn("Tasks cannot be queued: %s job=%u", hq_err_os(rc), held->body->job_id);
        effect_refuse(s, fx->lane_ix, held);
    }
}

static int
make_grant(struct wshell *s, const struct allocation *a, struct grant **ret)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    size_t count = 0;

    hq_arena_init(&arena, 0);
    struct grant_values *v = hq_arena_array(&arena, a->entry_count, sizeof(*v));
    for (size_t i = 0; i < a->entry_count; i++) {
        const struct allocation_entry *e = &a->entries[i];
        if (e->value_count == 0) {
            continue; /* a sum: an amount without names */
        }
        struct hq_str *values = hq_arena_array(&arena, e->value_count, sizeof(*values));
        for (uint32_t k = 0; k < e->value_count; k++) {
            values[k] = agent_value(s->agent, e, k);
        }
        v[count++] =
            (struct grant_values){.name = e->name, .amount = e->amount, .values = values, .count = e->value_count};
    }
    return grant_create(ret, v, count);
}

static void
effect_open(struct wshell *s, const struct agent_fx *fx)
{
    struct grant *grant = NULL;
    int rc = make_grant(s, fx->allocation, &grant);

    if (rc == 0) {
        rc = launcher_open(s->launcher, fx->slot_ix, fx->lane_ix, grant);
    }
    if (rc < 0) {
        hq_log_warn("No room for a further task: %s", hq_err_os(rc));
        grant_free(grant);
        agent_on_open_failed(s->agent, fx->slot_ix);
    }
}

static void
effect_withdraw(struct wshell *s, const struct agent_fx *fx)
{
    HQ_AUTO(lane_gone_list_fini) struct lane_gone_list gone = {0};
    int rc = launcher_withdraw(s->launcher, &fx->match, &gone);

    if (rc < 0) {
        hq_log_warn("Not all tasks could be taken back: %s", hq_err_os(rc));
    }
    for (size_t i = 0; i < gone.count; i++) {
        agent_on_withdrawn(s->agent, gone.v[i].lane_ix, fx->why, &gone.v[i]);
        steps_on_gone(s->steps, &gone.v[i]);
    }
}

static void
effect_find(struct wshell *s, const struct agent_fx *fx)
{
    struct launcher_runs runs = {0};
    int rc = launcher_find(s->launcher, &fx->match, &runs);

    if (rc < 0) {
        hq_log_warn("Not all tasks could be found: %s", hq_err_os(rc));
    }
    for (size_t i = 0; i < runs.count; i++) {
        agent_on_found(s->agent, runs.v[i].slot_ix, runs.v[i].serial);
    }
    free(runs.v);
}

static void
effect_kill(struct wshell *s, const struct agent_fx *fx)
{
    struct launcher_run run = {.slot_ix = fx->slot_ix, .serial = fx->serial};

    if (launcher_mark(s->launcher, run, fx->kill_why) == 0) {
        treekill_start(s->treekill, run, hq_clock_ms());
    }
}

static void
effect_do(struct wshell *s, const struct agent_fx *fx)
{
    switch (fx->kind) {
    case AGENT_FX_PUSH:
        effect_push(s, fx);
        break;
    case AGENT_FX_OPEN:
        effect_open(s, fx);
        break;
    case AGENT_FX_RESUME:
        launcher_resume(s->launcher, fx->slot_ix);
        break;
    case AGENT_FX_CLOSE:
        launcher_close(s->launcher, fx->slot_ix);
        break;
    case AGENT_FX_WITHDRAW:
        effect_withdraw(s, fx);
        break;
    case AGENT_FX_FIND:
        effect_find(s, fx);
        break;
    case AGENT_FX_KILL:
        effect_kill(s, fx);
        break;
    case AGENT_FX_PAUSE:
        launcher_pause(s->launcher, true);
        break;
    case AGENT_FX_GO:
        launcher_pause(s->launcher, false);
        break;
    }
}

void
wshell_do_effects(struct wshell *s)
{
    struct agent_fx *fx;
    size_t count;

    /* Effects may lead to others (what was found gets killed), never to the same ones again. */
    while ((count = agent_take_effects(s->agent, &fx)) > 0) {
        for (size_t i = 0; i < count; i++) {
            effect_do(s, &fx[i]);
        }
    }
}
