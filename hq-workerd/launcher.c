/* launcher.c - slots, lanes and the threads that serve them.
 *
 * A thread waits in watch_wait. It comes back with a slot whose process has ended, ends that run, and starts the next
 * task of the lane in the same slot; or it was woken and serves a slot from the queue of those that may start.
 * Who runs out of fds, memory or processes keeps the task and puts the slot among the stalled ones, which are tried again
 * when something ends and every LAUNCHER_RETRY_MS. */
#include "hq-workerd/launcher_impl.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/mem.h"
#include "hq-workerd/hidden.h"

#define LAUNCHER_RETRY_MS 100
#define LAUNCHER_ALONE_TRIES 20u /* 2 s without any other task: then it is not us who use everything up */

_Static_assert(sizeof(((struct launcher_conf *)0)->key) == crypto_shorthash_KEYBYTES, "key of another size");

static void
launcher_ring(struct launcher *l)
{
    uint64_t one = 1;

    while (write(l->event_fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

/* With the lock held; waits for room without losing the event. */
static void
launcher_emit(struct launcher *l, const struct run_event *e, bool is_urgent)
{
    while (l->event_count == LAUNCHER_EVENTS_MAX && !l->is_ending) {
        pthread_cond_wait(&l->room, &l->lock);
    }
    if (l->is_ending) {
        free(e->error);
        return;
    }
    l->events[l->event_count++] = *e;
    if (is_urgent || (l->event_count == 1 && !l->loop_polls) || l->event_count == LAUNCHER_EVENTS_MAX / 2) {
        launcher_ring(l);
    }
}

static struct run_event
slot_event(const struct slot *s, enum run_event_kind kind)
{
    const struct lane_task *t = &s->run.task;
    struct run_event e = {.kind = kind, .slot_ix = s->ix, .serial = s->run.serial};

    if (t->batch != NULL) {
        e.job_id = t->batch->body->job_id;
        e.task_id = t->task_id;
        e.instance = t->batch->instance;
        e.variant = t->batch->variant;
        e.started_ms = s->run.started_ms;
        e.hidden_id = t->batch->hidden_id;
        e.time_limit_ms = e.hidden_id == 0 ? t->batch->body->time_limit_ms : 0; /* the root's ends all of it */
    }
    return e;
}

static void
slot_make_secret(struct launcher *l, struct slot *s)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    unsigned char hash[crypto_shorthash_BYTES];
    char tail[9] = {0};
    uint64_t value;
    const struct hidden *hidden = s->run.task.batch->hidden;

    if (hidden != NULL && hidden->secret[0] != '\0') {
        memcpy(s->run.secret, hidden->secret, sizeof s->run.secret);
        return;
    }
    (void)crypto_shorthash(hash, (const unsigned char *)&s->run.serial, sizeof s->run.serial, l->conf.key);
    memcpy(&value, hash, sizeof value);
    for (size_t i = 0; i < sizeof tail - 1; i++, value /= 36) {
        tail[i] = digits[value % 36];
    }
    (void)snprintf(s->run.secret, sizeof s->run.secret, "hq0-%x-%s", s->ix, tail);
}

enum next_task {
    NEXT_START,
    NEXT_IDLE,
    NEXT_WAIT,
};

/* With the lock held. */
static void
slot_set_stalled(struct launcher *l, struct slot *s)
{
    s->state = SLOT_STALLED;
    slot_list_push(&l->stalled, s);
    l->stalled_count++;
}

/* With the lock held. A task that a stalled slot keeps still waits, like those in the lane: a slot is idle only when there is
 * none of either, else agent and launcher would send it to and fro. */
static bool
slot_take_task(struct launcher *l, struct slot *s)
{
    enum lane_take took = lane_take(s->lane, hq_clock_wall_ms(), &s->run.task);

    for (struct slot *other = l->stalled.head; took == LANE_EMPTY && other != NULL; other = other->next) {
        if (other->lane == s->lane && other->run.task.batch != NULL) {
            s->run.task = other->run.task;
            other->run.task = (struct lane_task){0};
            took = LANE_TAKEN;
        }
    }
    return took == LANE_TAKEN;
}

/* With the lock held: the next task of the slot's lane becomes its run, or the slot rests. */
static enum next_task
slot_next(struct launcher *l, struct slot *s)
{
    bool has_task = s->run.task.batch != NULL; /* kept when it was stalled */

    if (l->running >= l->conf.runs_max || (has_task && l->is_paused)) {
        slot_set_stalled(l, s);
        return NEXT_WAIT;
    }
    if (!has_task && (l->is_paused || !slot_take_task(l, s))) {
        struct run_event e = slot_event(s, RUN_SLOT_IDLE);
        s->state = SLOT_IDLE;
        launcher_emit(l, &e, true);
        return NEXT_IDLE;
    }
    const struct image_set *set = s->run.task.batch->body->extra;
    s->run.image = set->v[s->run.task.batch->variant];
    s->run.serial = ++l->next_serial;
    s->run.why = RUN_WHY_NONE;
    s->run.exit_code = -1;
    s->state = SLOT_STARTING;
    l->running++;
    slot_make_secret(l, s);
    return NEXT_START;
}

/* With the lock held: nothing to start it with. True when the task waits, false when it has to fail. */
static bool
slot_stall(struct launcher *l, struct slot *s)
{
    if (s->run.why == RUN_WHY_CANCEL) {
        return false;
    }
    if (l->running == 1 && ++l->alone_tries >= LAUNCHER_ALONE_TRIES) {
        l->alone_tries = 0;
        return false;
    }
    s->run.secret[0] = '\0';
    l->running--;
    slot_set_stalled(l, s);
    return true;
}

static void
slot_emit_end(struct launcher *l, struct slot *s, enum run_end end, char *error)
{
    struct run_event e = slot_event(s, RUN_ENDED);

    e.ended_ms = hq_clock_wall_ms();
    e.end = end;
    e.error = error;
    e.error_len = error == NULL ? 0 : strlen(error);
    e.exit_code = s->run.exit_code;
    launcher_emit(l, &e, false);
}

/* With the lock held: the run is over, its task reported. */
static void
slot_clear_run(struct launcher *l, struct slot *s)
{
    s->run.secret[0] = '\0';
    s->run.pid = 0;
    l->running--;
    lane_task_drop(&s->run.task);
}

/* Ends the run of a slot whose process has ended. */
static void
slot_end_thr(struct launcher *l, struct slot *s)
{
    struct hq_buf error = HQ_BUF_INIT;

    pthread_mutex_lock(&l->lock);
    HQ_ASSERT(s->state == SLOT_RUNNING);
    pid_t pid = s->run.pid;
    enum run_why why = s->run.why;
    s->run.pid = 0; /* from here on nobody signals this number */
    s->state = SLOT_STARTING;
    pthread_mutex_unlock(&l->lock);

    enum run_end end = run_end(&s->run, pid, why, &error);

    pthread_mutex_lock(&l->lock);
    slot_emit_end(l, s, end, end == RUN_END_FAILED ? hq_buf_take(&error) : NULL);
    slot_clear_run(l, s);
    pthread_mutex_unlock(&l->lock);
    hq_buf_fini(&error);
}

enum start_outcome {
    STARTED,
    START_STALLED,
    START_FAILED, /* the slot's next task may be tried */
};

/* Starts the run of the slot, outside the lock. */
static enum start_outcome
slot_start_thr(struct thread *t, struct slot *s)
{
    struct launcher *l = t->launcher;
    struct hq_err err = {0};
    pid_t pid = 0;
    leaf_open(l->conf.run.leaves, s->ix, &s->run.leaf);
    int rc = run_start(&t->run, &s->run, s->grant, &pid, &err);

    pthread_mutex_lock(&l->lock);
    if (rc == RUN_SCARCE && slot_stall(l, s)) {
        pthread_mutex_unlock(&l->lock);
        return START_STALLED;
    }
    if (rc != 0) {
        slot_emit_end(l, s, RUN_END_FAILED, strndup(err.text, sizeof err.text));
        slot_clear_run(l, s);
        pthread_mutex_unlock(&l->lock);
        return START_FAILED;
    }
    struct run_event e = slot_event(s, RUN_STARTED);
    int pidfd = s->run.pidfd;
    s->state = SLOT_RUNNING;
    s->run.pid = pid;
    l->alone_tries = 0;
    launcher_emit(l, &e, false);
    pthread_mutex_unlock(&l->lock);
    if (watch_add(l->watch, pidfd, s) == 0) { /* from here on another thread may have the slot */
        return STARTED;
    }
    launcher_mark(l, (struct launcher_run){.slot_ix = s->ix, .serial = s->run.serial}, RUN_WHY_UNWATCHED);
    slot_end_thr(l, s);
    return START_FAILED;
}

/* Starts tasks in the slot until one runs or there is none. False: the slot has stalled. */
static bool
slot_serve_thr(struct thread *t, struct slot *s)
{
    struct launcher *l = t->launcher;

    for (;;) {
        pthread_mutex_lock(&l->lock);
        enum next_task next = slot_next(l, s);
        pthread_mutex_unlock(&l->lock);
        if (next != NEXT_START) {
            return next == NEXT_IDLE;
        }
        enum start_outcome outcome = slot_start_thr(t, s);
        if (outcome != START_FAILED) {
            return outcome == STARTED;
        }
    }
}

/* A slot that may start, or NULL. Stalled ones come when the queue is empty. */
static struct slot *
launcher_pick_thr(struct launcher *l, bool may_retry)
{
    pthread_mutex_lock(&l->lock);
    struct slot *s = slot_list_pop(&l->queue);
    if (s == NULL && may_retry && !l->is_paused && l->running < l->conf.runs_max) {
        s = slot_list_pop(&l->stalled);
        l->stalled_count -= s != NULL;
    }
    pthread_mutex_unlock(&l->lock);
    return s;
}

static bool
launcher_is_ending_thr(struct launcher *l, bool *ret_has_stalled)
{
    pthread_mutex_lock(&l->lock);
    bool is_ending = l->is_ending;
    *ret_has_stalled = l->stalled_count > 0;
    pthread_mutex_unlock(&l->lock);
    return is_ending;
}

static void *
launcher_run_thr(void *arg)
{
    struct thread *t = arg;
    struct launcher *l = t->launcher;
    bool has_stalled = false;

    while (!launcher_is_ending_thr(l, &has_stalled)) {
        struct slot *s = watch_wait(l->watch, has_stalled ? LAUNCHER_RETRY_MS : -1);
        bool may_retry = true;
        if (s != NULL) {
            slot_end_thr(l, s);
            may_retry = slot_serve_thr(t, s);
        }
        while ((s = launcher_pick_thr(l, may_retry)) != NULL) {
            may_retry = slot_serve_thr(t, s) && may_retry;
        }
    }
    return NULL;
}

static int
launcher_start_threads(struct launcher *l, struct hq_err *err)
{
    sigset_t all, old;
    int rc = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (uint32_t i = 0; i < l->conf.thread_count && rc == 0; i++) {
        struct thread *t = &l->threads[i];
        t->launcher = l;
        rc = run_thread_init(&t->run, &l->conf.run);
        if (rc == 0) {
            rc = -pthread_create(&t->id, NULL, launcher_run_thr, t);
        }
        if (rc == 0) {
            char name[16];
            (void)snprintf(name, sizeof name, "launch-%u", i % 10000u);
            (void)pthread_setname_np(t->id, name);
            l->thread_count++;
        }
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc < 0 ? hq_err_sys(err, rc, "Cannot start launcher threads") : 0;
}

int
launcher_create(struct launcher **ret, const struct launcher_conf *conf, struct hq_err *err)
{
    struct launcher *l = hq_try_alloc(sizeof(*l));

    HQ_ASSERT(conf->thread_count > 0);
    HQ_ASSERT(conf->thread_count <= LAUNCHER_THREADS_MAX);
    HQ_ASSERT(conf->runs_max > 0);
    if (l == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot create the launcher");
    }
    l->conf = *conf;
    slot_list_init(&l->queue);
    slot_list_init(&l->stalled);
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_cond_init(&l->room, NULL);
    l->events = hq_try_calloc(LAUNCHER_EVENTS_MAX, sizeof(*l->events));
    l->drained = hq_try_calloc(LAUNCHER_EVENTS_MAX, sizeof(*l->drained));
    l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = 0;
    if (l->events == NULL || l->drained == NULL || l->event_fd < 0) {
        rc = hq_err_sys(err, l->event_fd < 0 ? -errno : -ENOMEM, "Cannot create the launcher");
    }
    if (rc == 0) {
        rc = watch_create(&l->watch, err);
    }
    if (rc == 0) {
        rc = launcher_start_threads(l, err);
    }
    if (rc < 0) {
        launcher_destroy(l);
        return rc;
    }
    *ret = l;
    return 0;
}

void
launcher_destroy(struct launcher *l)
{
    if (l == NULL) {
        return;
    }
    pthread_mutex_lock(&l->lock);
    l->is_ending = true;
    pthread_cond_broadcast(&l->room);
    pthread_mutex_unlock(&l->lock);
    if (l->watch != NULL) {
        watch_wake(l->watch, l->thread_count);
    }
    for (uint32_t i = 0; i < l->thread_count; i++) {
        (void)pthread_join(l->threads[i].id, NULL);
    }
    for (uint32_t i = 0; i < HQ_ARRAY_LEN(l->threads); i++) {
        run_thread_fini(&l->threads[i].run);
    }
    for (size_t i = 0; i < l->slot_count; i++) {
        struct slot *s = l->slots[i];
        run_abandon(&s->run);
        hq_fs_closep(&s->run.pidfd);
        leaf_close(&s->run.leaf);
        grant_free(s->grant);
        free(s);
    }
    for (size_t i = 0; i < l->lane_count; i++) {
        lane_fini(l->lanes[i]);
        free(l->lanes[i]);
    }
    for (size_t i = 0; l->events != NULL && i < l->event_count; i++) {
        free(l->events[i].error);
    }
    free(l->slots);
    free(l->lanes);
    free(l->events);
    free(l->drained);
    watch_destroy(l->watch);
    hq_fs_closep(&l->event_fd);
    (void)pthread_mutex_destroy(&l->lock);
    (void)pthread_cond_destroy(&l->room);
    free(l);
}

int
launcher_fd(const struct launcher *l)
{
    return l->event_fd;
}

size_t
launcher_drain(struct launcher *l, bool will_poll, struct run_event **ret)
{
    uint64_t count_rung;

    (void)!read(l->event_fd, &count_rung, sizeof count_rung); /* -EAGAIN: nobody rang, we just look */
    pthread_mutex_lock(&l->lock);
    size_t count = l->event_count;
    struct run_event *full = l->events;
    l->events = l->drained;
    l->drained = full;
    l->event_count = 0;
    l->loop_polls = will_poll;
    if (count == LAUNCHER_EVENTS_MAX) {
        pthread_cond_broadcast(&l->room);
    }
    pthread_mutex_unlock(&l->lock);
    *ret = full;
    return count;
}

