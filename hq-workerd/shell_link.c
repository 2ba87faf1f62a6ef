/* shell_link.c - what hqd says, passed to agent and lifetime. */
#include "hq-workerd/shell_impl.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

static void
on_registered(void *ctx, const struct link_registered *r, bool is_new)
{
    struct wshell *s = ctx;
    int rc = 0;

    s->is_connected = true;
    streams_set_worker(s->run_conf.streams, (hq_worker_id){r->worker_id});
    if (s->server_uid == NULL || !hq_str_is(r->server_uid, s->server_uid)) {
        free(s->server_uid);
        s->server_uid = hq_str_dupz(r->server_uid);
    }
    if (s->is_first_time) {
        s->is_first_time = false;
        s->conf.on_registered(s->conf.ctx, r->worker_id);
    } else if (is_new) {
        hq_log_warn("The server has given up this worker's former ID; it is now worker %u and starts afresh", r->worker_id);
        rc = agent_on_give_up(s->agent, false);
        steps_leave_all(s->steps);
    } else {
        hq_log_info("Reconnected to the server");
        steps_on_registered(s->steps, r->has_member, r->member_job, r->member_task, r->member_instance);
    }
    for (size_t i = 0; i < r->drop_count && rc == 0; i++) {
        rc = agent_on_drop(s->agent, r->drop[i].job_id, r->drop[i].instance, &r->drop[i].ids);
    }
    if (rc < 0) {
        hq_log_warn("Tasks that the server does not want any more may go on: %s", hq_err_os(rc));
    }
    wshell_after(s);
}

static int
compare_held(const void *a, const void *b)
{
    const struct launcher_held *x = a, *y = b;
    const uint32_t p[5] = {x->job_id, x->instance, x->variant, x->started_ms != 0, x->task_id};
    const uint32_t q[5] = {y->job_id, y->instance, y->variant, y->started_ms != 0, y->task_id};

    for (size_t i = 0; i < HQ_ARRAY_LEN(p); i++) {
        if (p[i] != q[i]) {
            return p[i] < q[i] ? -1 : 1;
        }
    }
    return 0;
}

static int
add_group(struct link_held_list *ret, const struct launcher_held *v, size_t count)
{
    int rc = hq_try_grow(&ret->v, &ret->cap, ret->count + 1, sizeof(*ret->v));

    if (rc < 0) {
        return rc;
    }
    struct link_held *h = &ret->v[ret->count];
    *h = (struct link_held){.job_id = v[0].job_id,
                            .instance = v[0].instance,
                            .variant = v[0].variant,
                            .is_running = v[0].started_ms != 0};
    h->started_ms = hq_try_calloc(count, sizeof(*h->started_ms));
    if (h->started_ms == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        hq_ranges_add(&h->ids, v[i].task_id, 1, 1);
        h->started_ms[i] = v[i].started_ms;
    }
    ret->count++;
    return 0;
}

static int
list_held(void *ctx, struct link_held_list *ret)
{
    struct wshell *s = ctx;
    struct launcher_held_list list = {0};
    int rc = launcher_list_held(s->launcher, &list);

    /* What ended before the list was made is not in it: it has to be in the report, or hqd would take it for lost and
     * give it away again. */
    wshell_take_events(s);
    if (list.count > 1) {
        qsort(list.v, list.count, sizeof(*list.v), compare_held);
    }
    for (size_t i = 0, end; i < list.count && rc == 0; i = end) {
        const struct launcher_held *first = &list.v[i];
        for (end = i + 1; end < list.count; end++) {
            const struct launcher_held *e = &list.v[end];
            if (e->job_id != first->job_id || e->instance != first->instance || e->variant != first->variant ||
                (e->started_ms != 0) != (first->started_ms != 0)) {
                break;
            }
        }
        rc = add_group(ret, first, end - i);
    }
    free(list.v);
    return rc;
}

static int
do_body(struct wshell *s, struct link_command *c, struct hq_err *err)
{
    struct body *body = c->body;

    c->body = NULL;
    if (c->stdin_bytes > 0) {
        int rc = stdin_store_attach(s->stdin_store, body, c->stdin_bytes);
        if (rc < 0) {
            body_unref(body);
            return hq_err_sys(err, rc, "The data for stdin is not there");
        }
    }
    return agent_on_body(s->agent, body);
}

static void
drop_roots(struct wshell *s, const struct link_command *c)
{
    struct hq_ranges_iter at = hq_ranges_iter(&c->ids);
    uint32_t id;

    while (c->step != NULL && hq_ranges_next(&at, &id)) {
        steps_leave(s->steps, c->job_id, id, c->instance);
    }
}

/* The other nodes of a task may call before it starts. Tasks of one node are known when their hq-stepd comes. */
static int
add_roots(struct wshell *s, const struct link_command *c, struct body *body, struct hq_err *err)
{
    struct hq_ranges_iter at = hq_ranges_iter(&c->ids);
    uint32_t id;
    int rc = 0;

    while (c->step != NULL && c->step->node_count > 1 && rc == 0 && hq_ranges_next(&at, &id)) {
        rc = steps_add_root(s->steps, body, id, c->instance, c->step);
    }
    if (rc < 0) {
        drop_roots(s, c);
        return hq_err_sys(err, rc, "A task of several nodes cannot be queued");
    }
    return 0;
}

/* Tasks that cannot even be queued here go back: hqd must not believe them here. */
static int
do_assign(struct wshell *s, struct link_command *c, struct hq_err *err)
{
    struct body *body = agent_find_body(s->agent, c->job_id, c->desc_id);
    struct batch *batch = body == NULL ? NULL : link_make_batch(c, body);

    if (batch != NULL) {
        int queued = add_roots(s, c, body, err);
        if (queued < 0) {
            batch_unref(batch);
            return queued;
        }
        queued = agent_on_assign(s->agent, batch, err);
        if (queued != 0) {
            drop_roots(s, c);
        }
        return queued;
    }
    int rc = report_push_returned(s->report, c->job_id, c->instance, c->variant, REPORT_REJECTED, &c->ids);
    if (rc < 0 || body != NULL) {
        return hq_err_sys(err, -ENOMEM, "Tasks cannot be queued");
    }
    return hq_err_set(err, -EPROTO, "Tasks without a body were assigned");
}

static void
do_stop(struct wshell *s, enum link_reason reason)
{
    switch (reason) {
    case LINK_REASON_STOPPED:
    case LINK_REASON_TIME_LIMIT:
        hq_log_info("Received stop command");
        lifetime_on_end(&s->lifetime, LIFETIME_END_ORDER);
        break;
    case LINK_REASON_IDLE:
        hq_log_info("Received stop command");
        lifetime_on_end(&s->lifetime, LIFETIME_END_IDLE);
        break;
    case LINK_REASON_NONE:
    case LINK_REASON_CONNECTION:
    case LINK_REASON_HEARTBEAT:
        lifetime_on_server_end(&s->lifetime, hq_clock_ms());
        break;
    }
}

static int
do_command(struct wshell *s, struct link_command *c, struct hq_err *err)
{
    switch (c->kind) {
    case LINK_BODY:
        return do_body(s, c, err);
    case LINK_ASSIGN:
        return do_assign(s, c, err);
    case LINK_RETRACT:
        return agent_on_retract(s->agent, c->job_id, c->instance, &c->ids);
    case LINK_CANCEL:
        return agent_on_cancel(s->agent, c->job_id, &c->ids);
    case LINK_FORGET_JOB:
        agent_on_forget_job(s->agent, c->job_id);
        stdin_store_forget(s->stdin_store, c->job_id);
        return 0;
    case LINK_STOP:
        do_stop(s, c->reason);
        return 0;
    case LINK_OVERVIEW:
        s->overview_ms = c->overview_ms > 0 ? c->overview_ms : s->conf.worker.overview_ms;
        s->overview_at_ms = s->overview_ms > 0 ? hq_clock_ms() : INT64_MAX;
        return 0;
    case LINK_STDIN_PART:
        return stdin_store_add(s->stdin_store, c->job_id, c->submit, c->offset, c->data);
    case LINK_JOIN:
        return wshell_do_join(s, c, err);
    case LINK_LEAVE:
        steps_leave(s->steps, c->job_id, c->task_id, c->instance);
        return 0;
    }
    return 0;
}

static void
on_commands(void *ctx, struct link_command *commands, size_t count)
{
    struct wshell *s = ctx;

    for (size_t i = 0; i < count; i++) {
        struct hq_err err = {0};
        int rc = do_command(s, &commands[i], &err);
        if (rc < 0) {
            hq_log_error("A command of the server cannot be carried out: %s job=%u",
                         err.code != 0 ? err.text : hq_err_os(rc), commands[i].job_id);
        }
        wshell_do_effects(s);
    }
    wshell_after(s);
}

static void
on_lost(void *ctx)
{
    struct wshell *s = ctx;

    if (!s->is_first_time) {
        lifetime_on_lost(&s->lifetime, hq_clock_ms());
    }
    s->is_connected = false;
    s->has_left = s->end != LIFETIME_GOES_ON; /* nobody is there to be told */
    wshell_after(s);
}

static void
on_back(void *ctx)
{
    struct wshell *s = ctx;

    s->is_connected = true;
    lifetime_on_back(&s->lifetime);
    wshell_after(s);
}

static void
on_refused(void *ctx, const struct hq_err *err)
{
    struct wshell *s = ctx;

    s->refusal = *err;
    s->is_connected = false;
    wshell_begin_end(s, LIFETIME_END_SERVER_LOST);
    wshell_after(s);
}

static void
on_left(void *ctx)
{
    struct wshell *s = ctx;

    s->has_left = true;
    wshell_after(s);
}

static bool
take_overview(void *ctx, struct link_overview *ret)
{
    struct wshell *s = ctx;
    hq_ms now_ms = hq_clock_ms();

    if (now_ms < s->overview_at_ms || s->measure == NULL) {
        return false;
    }
    s->overview_at_ms = now_ms + s->overview_ms;
    measure_take(s->measure, hq_clock_wall_ms(), ret);
    return true;
}

const struct link_calls wshell_link_calls = {
    .on_registered = on_registered,
    .list_held = list_held,
    .on_commands = on_commands,
    .on_lost = on_lost,
    .on_back = on_back,
    .on_refused = on_refused,
    .on_left = on_left,
    .take_overview = take_overview,
};
