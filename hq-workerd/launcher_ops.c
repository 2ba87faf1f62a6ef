/* launcher_ops.c - the loop's side of the launcher: tasks and slots in, withdrawals, signals. */
#include "hq-workerd/launcher_impl.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "common/mem.h"

static int
launcher_make_lane(struct launcher *l, uint32_t lane_ix)
{
    while (l->lane_count <= lane_ix) {
        int rc = hq_try_grow(&l->lanes, &l->lane_cap, l->lane_count + 1, sizeof(*l->lanes));
        if (rc < 0) {
            return rc;
        }
        struct lane *lane = hq_try_alloc(sizeof(*lane));
        if (lane == NULL) {
            return -ENOMEM;
        }
        lane_init(lane);
        l->lanes[l->lane_count++] = lane;
    }
    return 0;
}

int
launcher_push(struct launcher *l, uint32_t lane_ix, struct batch *batch)
{
    pthread_mutex_lock(&l->lock);
    int rc = launcher_make_lane(l, lane_ix);
    if (rc == 0) {
        lane_push(l->lanes[lane_ix], batch);
    }
    pthread_mutex_unlock(&l->lock);
    if (rc < 0) {
        batch_unref(batch);
    }
    return rc;
}

static int
launcher_make_slot(struct launcher *l, uint32_t slot_ix)
{
    while (l->slot_count <= slot_ix) {
        int rc = hq_try_grow(&l->slots, &l->slot_cap, l->slot_count + 1, sizeof(*l->slots));
        if (rc < 0) {
            return rc;
        }
        struct slot *s = hq_try_alloc(sizeof(*s));
        if (s == NULL) {
            return -ENOMEM;
        }
        s->ix = (uint32_t)l->slot_count;
        s->run.pidfd = -1;
        l->slots[l->slot_count++] = s;
    }
    return 0;
}

static void
launcher_queue_slot(struct launcher *l, struct slot *s)
{
    s->state = SLOT_QUEUED;
    slot_list_push(&l->queue, s);
    watch_wake(l->watch, 1);
}

int
launcher_open(struct launcher *l, uint32_t slot_ix, uint32_t lane_ix, struct grant *grant)
{
    pthread_mutex_lock(&l->lock);
    int rc = launcher_make_slot(l, slot_ix);
    if (rc == 0) {
        rc = launcher_make_lane(l, lane_ix);
    }
    if (rc == 0) {
        struct slot *s = l->slots[slot_ix];
        HQ_ASSERT(s->state == SLOT_CLOSED);
        s->lane = l->lanes[lane_ix];
        s->lane_ix = lane_ix;
        s->grant = grant;
        launcher_queue_slot(l, s);
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

void
launcher_resume(struct launcher *l, uint32_t slot_ix)
{
    pthread_mutex_lock(&l->lock);
    struct slot *s = l->slots[slot_ix];
    HQ_ASSERT(s->state == SLOT_IDLE);
    launcher_queue_slot(l, s);
    pthread_mutex_unlock(&l->lock);
}

void
launcher_close(struct launcher *l, uint32_t slot_ix)
{
    pthread_mutex_lock(&l->lock);
    struct slot *s = l->slots[slot_ix];
    HQ_ASSERT(s->state == SLOT_IDLE);
    s->state = SLOT_CLOSED;
    s->lane = NULL;
    grant_free(s->grant);
    s->grant = NULL;
    pthread_mutex_unlock(&l->lock);
}

void
launcher_pause(struct launcher *l, bool is_paused)
{
    pthread_mutex_lock(&l->lock);
    l->is_paused = is_paused;
    pthread_mutex_unlock(&l->lock);
}

static bool
task_matches(const struct lane_task *t, const struct lane_match *m)
{
    const struct batch *b = t->batch;

    return (m->any_job || b->body->job_id == m->job_id) && (m->any_instance || b->instance == m->instance) &&
           (m->hidden_id == 0 || b->hidden_id == m->hidden_id) &&
           (m->too_late_at_ms == 0 || m->too_late_at_ms > b->latest_start_ms) &&
           (m->ids == NULL || hq_ranges_has(m->ids, t->task_id));
}

/* The tasks that stalled slots keep wait like those in lanes. */
static int
launcher_withdraw_stalled(struct launcher *l, const struct lane_match *match, struct lane_gone_list *list)
{
    for (struct slot *s = l->stalled.head; s != NULL; s = s->next) {
        struct lane_task *t = &s->run.task;
        if (t->batch == NULL || !task_matches(t, match) || (match->has_lane && match->lane_ix != s->lane_ix)) {
            continue;
        }
        int rc = hq_try_grow(&list->v, &list->cap, list->count + 1, sizeof(*list->v));
        if (rc < 0) {
            return rc;
        }
        struct lane_gone *g = &list->v[list->count++];
        *g = (struct lane_gone){
            .lane_ix = s->lane_ix, .job_id = t->batch->body->job_id, .instance = t->batch->instance,
            .variant = t->batch->variant, .hidden_id = t->batch->hidden_id};
        hq_ranges_add(&g->ids, t->task_id, 1, 1);
        lane_task_drop(t);
    }
    return 0;
}

int
launcher_withdraw(struct launcher *l, const struct lane_match *match, struct lane_gone_list *gone)
{
    pthread_mutex_lock(&l->lock);
    int rc = launcher_withdraw_stalled(l, match, gone);
    for (size_t i = 0; i < l->lane_count && rc == 0; i++) {
        size_t before = gone->count;
        if (match->has_lane && match->lane_ix != i) {
            continue;
        }
        rc = lane_withdraw(l->lanes[i], match, gone);
        for (size_t k = before; k < gone->count; k++) {
            gone->v[k].lane_ix = (uint32_t)i;
        }
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

static int
held_add(struct launcher_held_list *list, const struct batch *b, uint32_t task_id, hq_wall_ms started_ms)
{
    int rc = hq_try_grow(&list->v, &list->cap, list->count + 1, sizeof(*list->v));

    if (rc == 0) {
        list->v[list->count++] = (struct launcher_held){.job_id = b->body->job_id,
                                                        .task_id = task_id,
                                                        .instance = b->instance,
                                                        .variant = b->variant,
                                                        .started_ms = started_ms};
    }
    return rc;
}

int
launcher_list_held(struct launcher *l, struct launcher_held_list *ret)
{
    int rc = 0;

    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < l->slot_count && rc == 0; i++) {
        const struct slot *s = l->slots[i];
        const struct lane_task *t = &s->run.task;
        if (t->batch != NULL && t->batch->hidden_id == 0 && s->run.why != RUN_WHY_CANCEL) {
            rc = held_add(ret, t->batch, t->task_id, s->state == SLOT_RUNNING ? s->run.started_ms : 0);
        }
    }
    for (size_t i = 0; i < l->lane_count && rc == 0; i++) {
        for (const struct batch *b = l->lanes[i]->head; b != NULL && rc == 0; b = b->next) {
            struct hq_ranges_iter at = b->at;
            uint32_t id;
            while (rc == 0 && b->hidden_id == 0 && hq_ranges_next(&at, &id)) {
                rc = held_add(ret, b, id, 0);
            }
        }
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

static bool
slot_matches(const struct slot *s, const struct lane_match *m)
{
    return (s->state == SLOT_STARTING || s->state == SLOT_RUNNING) && s->run.task.batch != NULL &&
           task_matches(&s->run.task, m);
}
int
launcher_find(struct launcher *l, const struct lane_match *match, struct launcher_runs *ret)
{
    int rc = 0;

    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < l->slot_count && rc == 0; i++) {
        struct slot *s = l->slots[i];
        if (slot_matches(s, match)) {
            rc = hq_try_grow(&ret->v, &ret->cap, ret->count + 1, sizeof(*ret->v));
            if (rc == 0) {
                ret->v[ret->count++] = (struct launcher_run){.slot_ix = s->ix, .serial = s->run.serial};
            }
        }
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

/* With the lock held: the slot while that very run is in it. */
static struct slot *
launcher_slot_of(struct launcher *l, struct launcher_run run)
{
    struct slot *s = run.slot_ix < l->slot_count ? l->slots[run.slot_ix] : NULL;
    bool is_alive = s != NULL && (s->state == SLOT_STARTING || s->state == SLOT_RUNNING);

    return is_alive && s->run.task.batch != NULL && s->run.serial == run.serial ? s : NULL;
}

int
launcher_mark(struct launcher *l, struct launcher_run run, enum run_why why)
{
    pthread_mutex_lock(&l->lock);
    struct slot *s = launcher_slot_of(l, run);
    if (s != NULL && s->run.why != RUN_WHY_CANCEL) {
        s->run.why = why;
    }
    pthread_mutex_unlock(&l->lock);
    return s == NULL ? -ESRCH : 0;
}

int
launcher_signal(struct launcher *l, struct launcher_run run, int sig)
{
    int rc = 0;

    pthread_mutex_lock(&l->lock);
    struct slot *s = launcher_slot_of(l, run);
    if (s == NULL) {
        rc = -ESRCH;
    } else if (s->run.pid == 0) {
        rc = -EAGAIN; /* about to start, or just being reaped */
    } else if (kill(-s->run.pid, sig) < 0) {
        rc = -errno;
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

uint32_t
launcher_running(struct launcher *l)
{
    pthread_mutex_lock(&l->lock);
    uint32_t running = l->running;
    pthread_mutex_unlock(&l->lock);
    return running;
}

/* With the lock held: the slot of a run that has not ended and has this secret, "hq0-SLOT-...": the slot in hexadecimal
 * digits. */
static struct slot *
launcher_slot_by_secret(struct launcher *l, struct hq_str secret)
{
    struct hq_str rest = secret, part;
    uint64_t slot_ix = 0;

    if (!hq_str_split(&rest, '-', &part) || !hq_str_split(&rest, '-', &part) || part.len == 0 || part.len > 8) {
        return NULL;
    }
    for (size_t i = 0; i < part.len; i++) {
        char c = part.ptr[i];
        uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10 : 16;
        if (digit == 16) {
            return NULL;
        }
        slot_ix = slot_ix * 16 + digit;
    }
    struct slot *s = slot_ix < l->slot_count ? l->slots[slot_ix] : NULL;
    bool is_alive = s != NULL && (s->state == SLOT_STARTING || s->state == SLOT_RUNNING) && s->run.task.batch != NULL;
    return is_alive && hq_str_is(secret, s->run.secret) ? s : NULL;
}

bool
launcher_check_secret(struct launcher *l, struct hq_str secret, uint32_t *ret_job, uint32_t *ret_task)
{
    pthread_mutex_lock(&l->lock);
    const struct slot *s = launcher_slot_by_secret(l, secret);
    if (s != NULL) {
        *ret_job = s->run.task.batch->body->job_id;
        *ret_task = s->run.task.task_id;
    }
    pthread_mutex_unlock(&l->lock);
    return s != NULL;
}

bool
launcher_find_secret(struct launcher *l, struct hq_str secret, struct launcher_task *ret)
{
    pthread_mutex_lock(&l->lock);
    const struct slot *s = launcher_slot_by_secret(l, secret);
    if (s != NULL) {
        *ret = (struct launcher_task){.task = s->run.task, .image = s->run.image};
        (void)batch_ref(s->run.task.batch);
        if (s->grant != NULL && s->grant->cpu_list != NULL) {
            ret->cpu_list = strdup(s->grant->cpu_list);
        }
    }
    pthread_mutex_unlock(&l->lock);
    return s != NULL;
}

void
launcher_task_fini(struct launcher_task *t)
{
    lane_task_drop(&t->task);
    free(t->cpu_list);
    *t = (struct launcher_task){0};
}
