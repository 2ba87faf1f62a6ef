/* step.c - table of the tasks that this node has a part in, and how they begin and end here. */
#include "hq-workerd/step_impl.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"

/* ---- the table */

struct step *
steps_find(const struct steps *s, uint32_t job, uint32_t task, uint32_t instance)
{
    struct step *st = hq_map_get_ptr(&s->by_task, hq_map_key2(job, task));

    while (st != NULL && st->instance != instance) {
        st = st->next_same;
    }
    return st;
}

static void
step_make_secret(struct step *st)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    char *at = st->secret;

    at = mempcpy(at, "hq1-", 4);
    for (int i = 0; i < 16; i++) {
        *at++ = digits[randombytes_uniform(sizeof digits - 1)];
    }
}

int
steps_add(struct steps *s, struct body *body, uint32_t task, uint32_t instance, struct step_desc *desc, struct step **ret)
{
    uint64_t key = hq_map_key2(body->job_id, task);
    struct step *st = hq_try_alloc(sizeof(*st));

    if (st == NULL) {
        return -ENOMEM;
    }
    st->next_same = hq_map_get_ptr(&s->by_task, key);
    int rc = hq_map_try_set(&s->by_task, key, (uint64_t)(uintptr_t)st);
    if (rc < 0) {
        free(st);
        return rc;
    }
    st->steps = s;
    st->job = body->job_id;
    st->task = task;
    st->instance = instance;
    st->body = body_ref(body);
    st->desc = step_desc_ref(desc);
    step_make_secret(st);
    st->next = s->first;
    st->at = &s->first;
    if (st->next != NULL) {
        st->next->at = &st->next;
    }
    s->first = st;
    s->count++;
    peers_expect(s->peers, true);
    *ret = st;
    return 0;
}

static void
step_unlist(struct step *st)
{
    struct steps *s = st->steps;
    uint64_t key = hq_map_key2(st->job, st->task);
    struct step *first = hq_map_get_ptr(&s->by_task, key);

    if (first != st) {
        while (first->next_same != st) {
            first = first->next_same;
        }
        first->next_same = st->next_same;
    } else if (st->next_same != NULL) {
        hq_map_set_ptr(&s->by_task, key, st->next_same); /* the key is there: no memory is needed */
    } else {
        (void)hq_map_del(&s->by_task, key);
    }
    *st->at = st->next;
    if (st->next != NULL) {
        st->next->at = st->at;
    }
    s->count--;
    peers_expect(s->peers, s->count > 0);
}

static void
step_free(struct step *st)
{
    struct step_conn *next;

    step_unlist(st);
    for (struct step_conn *c = st->steps->conns; c != NULL; c = next) {
        next = c->next;
        if (c->step == st) {
            conn_destroy(c);
        }
    }
    while (st->runs != NULL) {
        step_run_destroy(st->runs);
    }
    step_close_links(st);
    steps_drop_selves(st);
    hq_buf_fini(&st->early);
    free(st->ranks_error);
    body_unref(st->body);
    step_desc_unref(st->desc);
    free(st);
}

/* The task is over here. */
static void
step_end(struct step *st)
{
    struct steps *s = st->steps;
    uint32_t job = st->job, task = st->task, instance = st->instance;

    step_free(st); /* from here on its secret is nobody's: whoever carries it is an orphan */
    s->conf.end_task(s->conf.ctx, job, task, instance);
}

int
steps_create(struct steps **ret, const struct steps_conf *conf, struct hq_err *err)
{
    struct steps *s = hq_try_alloc(sizeof(*s));
    struct peers_conf peers = {.loop = conf->loop, .listen_fd = conf->listen_fd, .ctx = s, .find = steps_on_call};

    if (s == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot keep tasks of several nodes");
    }
    s->conf = *conf;
    s->selves_tail = &s->selves;
    s->next_hidden_id = 1;
    s->nonsense_log = (struct hq_ratelimit){.burst = 5, .period_ms = 10000};
    hq_map_init(&s->by_task, 3);
    ev_timer_init(&s->self_timer, steps_on_selves, 0., 0.);
    s->self_timer.data = s;
    int rc = hq_seal_start(err);
    rc = rc < 0 ? rc : peers_create(&s->peers, &peers, err);
    if (rc < 0) {
        steps_destroy(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void
steps_destroy(struct steps *s)
{
    if (s == NULL) {
        return;
    }
    while (s->first != NULL) {
        step_free(s->first);
    }
    while (s->conns != NULL) {
        conn_destroy(s->conns);
    }
    ev_timer_stop(s->conf.loop, &s->self_timer);
    peers_destroy(s->peers);
    hq_map_fini(&s->by_task);
    scratch_fini(&s->scratch);
    free(s);
}

uint32_t
steps_count(const struct steps *s)
{
    return s->count;
}

bool
steps_check_secret(const struct steps *s, struct hq_str secret, uint32_t *ret_job, uint32_t *ret_task)
{
    for (const struct step *st = s->first; st != NULL; st = st->next) {
        if (hq_str_is(secret, st->secret)) {
            *ret_job = st->job;
            *ret_task = st->task;
            return true;
        }
    }
    return false;
}

/* ---- begin */

int
steps_add_root(struct steps *s, struct body *body, uint32_t task, uint32_t instance, struct step_desc *desc)
{
    struct step *st;

    if (steps_find(s, body->job_id, task, instance) != NULL) {
        return 0;
    }
    int rc = steps_add(s, body, task, instance, desc, &st);
    if (rc == 0) {
        st->is_root = true;
    }
    return rc;
}

int
steps_join(struct steps *s, const struct steps_join *j, struct hq_err *err)
{
    struct step *st;

    if (steps_find(s, j->body->job_id, j->task, j->instance) != NULL) {
        return 0; /* hqd names it again */
    }
    int rc = steps_add(s, j->body, j->task, j->instance, j->desc, &st);
    if (rc < 0) {
        return hq_err_sys(err, rc, "Cannot keep a task of several nodes");
    }
    hq_log_debug("Node of a task of another worker job=%u task=%u node=%u", st->job, st->task, st->desc->node_ix);
    if (st->body->mpi.is_on) {
        rc = step_start_ranks(st, j->entry);
        if (rc < 0) { /* the others must not wait for us */
            step_on_ranks_end(st, -1, hq_str_from(hq_err_os(rc)));
        }
    }
    return 0;
}

/* ---- end */

void
steps_leave(struct steps *s, uint32_t job, uint32_t task, uint32_t instance)
{
    struct step *st = steps_find(s, job, task, instance);

    if (st != NULL) {
        step_end(st);
    }
}

void
steps_leave_all(struct steps *s)
{
    while (s->first != NULL) {
        step_end(s->first);
    }
}

void
steps_on_registered(struct steps *s, bool has_member, uint32_t job, uint32_t task, uint32_t instance)
{
    struct step *next;

    for (struct step *st = s->first; st != NULL; st = next) {
        bool is_named = has_member && st->job == job && st->task == task && st->instance == instance;
        next = st->next;
        if (!st->is_root && !is_named) {
            step_end(st);
        }
    }
}

/* ---- launcher */

void
steps_judge(const struct steps *s, struct run_event *e)
{
    if (e->kind != RUN_ENDED || e->hidden_id != 0 || e->end != RUN_END_FAILED || s->count == 0) {
        return;
    }
    const struct step *st = steps_find(s, e->job_id, e->task_id, e->instance);
    if (st != NULL && st->is_node_lost) {
        e->end = RUN_END_NODE_LOST;
    }
}

/* A hidden run has ended, or will never begin. */
static void
step_on_hidden_end(struct step *st, uint64_t hidden_id, int exit_code, struct hq_str error)
{
    if (hidden_id == st->ranks_run) {
        step_on_ranks_end(st, exit_code, error);
    } else {
        (void)runs_on_ended(st, hidden_id, exit_code, error); /* the caller may have gone before */
    }
}

void
steps_on_event(struct steps *s, const struct run_event *e)
{
    if (e->kind != RUN_ENDED || s->count == 0) {
        return;
    }
    struct step *st = steps_find(s, e->job_id, e->task_id, e->instance);
    if (st == NULL) {
        return;
    }
    if (e->hidden_id != 0) {
        step_on_hidden_end(st, e->hidden_id, e->exit_code, hq_str_make(e->error, e->error_len));
    } else if (st->is_root) {
        step_end(st);
    }
}

void
steps_on_gone(struct steps *s, const struct lane_gone *gone)
{
    struct step *next;

    for (struct step *st = s->first; st != NULL; st = next) {
        next = st->next;
        if (st->job != gone->job_id || st->instance != gone->instance || !hq_ranges_has(&gone->ids, st->task)) {
            continue;
        }
        if (gone->hidden_id != 0) {
            step_on_hidden_end(st, gone->hidden_id, -1, HQ_STR("no room for a further process"));
        } else if (st->is_root) {
            step_end(st);
        }
    }
}

void
steps_on_time(struct steps *s, hq_ms now_ms)
{
    conns_on_time(s, now_ms);
}

hq_ms
steps_next_ms(const struct steps *s)
{
    return conns_next_ms(s);
}
