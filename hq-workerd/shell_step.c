/* shell_step.c - tasks of several nodes or ranks: what they want done with runs, and what hqd says of them. */
#include "hq-workerd/shell_impl.h"

#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/num.h"

/* Effects follow from the loop: steps call from the midst of messages and events. */
static void
soon(struct wshell *s)
{
    ev_feed_event(s->conf.loop, &s->launcher_ready, EV_READ);
}

static int
launch(void *ctx, struct batch *batch)
{
    struct wshell *s = ctx;
    struct hq_err err = {0};
    int rc = agent_on_assign(s->agent, batch, &err);

    soon(s);
    return rc;
}

static void
end_task(void *ctx, uint32_t job, uint32_t task, uint32_t instance)
{
    struct wshell *s = ctx;
    struct hq_range one = {.first = task, .count = 1, .step = 1};
    const struct hq_ranges ids = {.v = &one, .count = 1};

    if (agent_on_drop(s->agent, job, instance, &ids) < 0) {
        hq_log_warn("Out of memory: processes of a task of several nodes may go on job=%u task=%u", job, task);
    }
    treekill_on_ended(s->treekill, hq_clock_ms()); /* what remote commands have left behind */
    soon(s);
}

static void
end_run(void *ctx, uint64_t hidden_id)
{
    struct wshell *s = ctx;

    if (agent_on_end_hidden(s->agent, hidden_id) < 0) {
        hq_log_warn("Out of memory: a remote command may go on");
    }
    soon(s);
}

static bool
is_alive(void *ctx, struct hq_str secret)
{
    const struct wshell *s = ctx;
    uint32_t job, task;

    return steps_check_secret(s->steps, secret, &job, &task);
}

static void
add_cpus_of(struct wshell *s, const struct hq_pool_group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        if (hq_num_u32(g->values[i], &s->cpus[s->cpu_count], NULL) == 0) { /* other labels are no cpus of the machine */
            s->cpu_count++;
        }
    }
}

/* Labels of the pool "cpus" are os indices where they are numbers. */
static int
find_cpus(struct wshell *s)
{
    const struct hq_pool *p = hq_pools_find(s->conf.worker.pools, HQ_STR("cpus"));

    if (p == NULL || p->kind == HQ_POOL_SUM) {
        return 0;
    }
    s->cpus = hq_try_calloc((size_t)(hq_pool_size(p) / HQ_AMOUNT_ONE) + 1, sizeof(*s->cpus));
    if (s->cpus == NULL) {
        return -ENOMEM;
    }
    for (uint64_t v = p->range_first; p->kind == HQ_POOL_RANGE && v <= p->range_last; v++) {
        s->cpus[s->cpu_count++] = (uint32_t)v;
    }
    for (size_t g = 0; p->kind != HQ_POOL_RANGE && g < p->group_count; g++) {
        add_cpus_of(s, &p->groups[g]);
    }
    return 0;
}

int
wshell_make_steps(struct wshell *s, struct hq_err *err)
{
    struct steps_conf conf = {.loop = s->conf.loop,
                              .listen_fd = s->conf.listen_fd,
                              .launcher = s->launcher,
                              .ctx = s,
                              .launch = launch,
                              .end_task = end_task,
                              .end_run = end_run};

    if (find_cpus(s) < 0) {
        return hq_err_sys(err, -ENOMEM, "Cannot keep tasks of several nodes");
    }
    conf.cpus = s->cpus;
    conf.cpu_count = s->cpu_count;
    int rc = steps_create(&s->steps, &conf, err);
    if (rc == 0) {
        treekill_set_alive(s->treekill, is_alive, s);
    }
    return rc;
}

int
wshell_do_join(struct wshell *s, struct link_command *c, struct hq_err *err)
{
    const struct steps_join join = {.body = agent_find_body(s->agent, c->job_id, c->desc_id),
                                    .task = c->task_id,
                                    .instance = c->instance,
                                    .entry = c->data,
                                    .desc = c->step};

    if (join.body == NULL) {
        return hq_err_set(err, -EPROTO, "A task without a body was joined");
    }
    return steps_join(s->steps, &join, err);
}

void
wshell_on_frames(void *ctx, int fd, struct hq_str bytes)
{
    struct wshell *s = ctx;

    steps_on_connect(s->steps, fd, bytes);
    wshell_after(s); /* there is a time for its hello */
}
