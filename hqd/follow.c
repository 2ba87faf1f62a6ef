#include "hqd/follow.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/mem.h"
#include "hqd/convert.h"
#include "hqd/core/query.h"
#include "hqd/egress.h"
#include "hqd/follow_read.h"
#include "hqd/record_pb.h"
#include "hqd/shell_impl.h"

#define LOOK_GAP_MS (1000 / FOLLOW_LOOKS_PER_S)

void
follow_init(struct follow *f)
{
    *f = (struct follow){.event_next = 1, .looked_ms = INT64_MIN / 2};
    TAILQ_INIT(&f->watches);
    TAILQ_INIT(&f->followers);
}

static void
watch_free(struct follow *f, struct watch *w)
{
    TAILQ_REMOVE(&f->watches, w, link);
    hq_ranges_fini(&w->jobs.ids);
    free(w);
}

static void
follower_free(struct follow *f, struct follower *w)
{
    TAILQ_REMOVE(&f->followers, w, link);
    free(w);
}

void
follow_fini(struct follow *f)
{
    while (!TAILQ_EMPTY(&f->watches)) {
        watch_free(f, TAILQ_FIRST(&f->watches));
    }
    while (!TAILQ_EMPTY(&f->followers)) {
        follower_free(f, TAILQ_FIRST(&f->followers));
    }
    for (size_t i = 0; i < FOLLOW_EVENTS_MAX; i++) {
        hq_buf_fini(&f->events[i].body);
    }
}

static hq_ms
wait_until(hq_ms now_ms, uint32_t wait_ms)
{
    return now_ms + HQ_MIN((hq_ms)wait_ms, (hq_ms)FOLLOW_WAIT_MS_MAX);
}

/* ---- watches */

static void
answer_watch(struct shell *s, uint64_t handle, const struct selection *jobs)
{
    const struct request *r = request_find(&s->peers, handle);
    if (r == NULL) {
        return;
    }
    struct query_watch w;
    hq_arena_reset(&s->conv_arena);
    query_watch(s->core, jobs, &s->conv_arena, &w);
    w.is_stopping = w.is_stopping || s->is_stopping;
    r->peer->polled_ms = w.is_stopping ? 0 : hq_clock_ms();
    struct hq_buf bytes = HQ_BUF_INIT;
    egress_job_watch(&bytes, r->request_id, &w, s->conf.identity.incarnation);
    shell_answer_question(s, handle, &bytes);
}

void
follow_on_watch(struct shell *s, uint64_t handle, const Hq__JobWatch *m)
{
    struct selection jobs;
    struct hq_err err = {0};
    if (conv_in_selection(m->jobs, &jobs, &err) < 0) {
        shell_refuse(s, handle, err.code, err.text);
        return;
    }
    if (m->version == 0 || m->wait_ms == 0 || s->is_stopping || query_watch_changed(s->core, &jobs, m->version)) {
        answer_watch(s, handle, &jobs);
        return;
    }
    struct watch *w = hq_xalloc(sizeof *w);
    w->handle = handle;
    w->version = m->version;
    w->until_ms = wait_until(hq_clock_ms(), m->wait_ms);
    w->jobs.kind = jobs.kind;
    for (size_t i = 0; i < jobs.ids.count; i++) {
        hq_ranges_add(&w->jobs.ids, jobs.ids.v[i].first, jobs.ids.v[i].count, jobs.ids.v[i].step);
    }
    TAILQ_INSERT_TAIL(&s->follow.watches, w, link);
    shell_arm_wait_timer(s);
}

/* Looks at all watches, but not more often than FOLLOW_LOOKS_PER_S: a job of instant tasks changes with every commit. */
static hq_ms
progress_watches(struct shell *s, hq_ms now_ms)
{
    struct follow *f = &s->follow;
    hq_ms next_ms = INT64_MAX;
    bool may_look = f->is_look_due && now_ms - f->looked_ms >= LOOK_GAP_MS;
    struct watch *next;
    for (struct watch *w = TAILQ_FIRST(&f->watches); w != NULL; w = next) {
        next = TAILQ_NEXT(w, link);
        bool is_gone = request_find(&s->peers, w->handle) == NULL;
        bool is_over = w->until_ms <= now_ms || s->is_stopping;
        if (is_gone) {
            watch_free(f, w);
        } else if (is_over || (may_look && query_watch_changed(s->core, &w->jobs, w->version))) {
            answer_watch(s, w->handle, &w->jobs);
            watch_free(f, w);
        } else {
            next_ms = HQ_MIN(next_ms, w->until_ms);
        }
    }
    if (may_look) {
        f->looked_ms = now_ms;
        f->is_look_due = false;
    }
    if (f->is_look_due && !TAILQ_EMPTY(&f->watches)) {
        next_ms = HQ_MIN(next_ms, f->looked_ms + LOOK_GAP_MS);
    }
    return next_ms;
}

/* ---- followers */

/* Is there an event that this peer has not seen, and all records before it are on disk? */
static bool
has_events(const struct shell *s, uint64_t handle)
{
    const struct follow *f = &s->follow;
    const struct request *r = request_find(&s->peers, handle);
    if (r == NULL || r->peer->event_next >= f->event_next) {
        return false;
    }
    uint64_t oldest = f->event_next > FOLLOW_EVENTS_MAX ? f->event_next - FOLLOW_EVENTS_MAX : 1;
    uint64_t next = HQ_MAX(r->peer->event_next, oldest);
    return f->events[next % FOLLOW_EVENTS_MAX].after_seq <= s->committed_seq;
}

/* Can a follower be told everything? */
static bool
knows_end(const struct shell *s)
{
    return s->is_stopping && s->committed_seq >= core_newest_seq(s->core);
}

void
follow_on_follow(struct shell *s, struct peer *p, uint64_t handle, const Hq__Follow *m)
{
    if (p->event_next == 0) {
        p->event_next = s->follow.event_next; /* events are live only: not those from before */
    }
    if (m->after_seq < s->committed_seq || m->wait_ms == 0 || has_events(s, handle) || knows_end(s)) {
        follow_read_start(s, handle, m->after_seq);
        return;
    }
    struct follower *w = hq_xalloc(sizeof *w);
    w->handle = handle;
    w->after_seq = m->after_seq;
    w->until_ms = wait_until(hq_clock_ms(), m->wait_ms);
    TAILQ_INSERT_TAIL(&s->follow.followers, w, link);
    shell_arm_wait_timer(s);
}

void
follow_add_event(struct shell *s, const struct record *rec, uint64_t after_seq)
{
    struct follow *f = &s->follow;
    struct follow_event *e = &f->events[f->event_next % FOLLOW_EVENTS_MAX];
    e->number = f->event_next++;
    e->after_seq = after_seq;
    hq_buf_clear(&e->body);
    record_pb_encode(rec, &s->conv_arena, &e->body);
}

static hq_ms
progress_followers(struct shell *s, hq_ms now_ms)
{
    struct follow *f = &s->follow;
    hq_ms next_ms = INT64_MAX;
    struct follower *next;
    for (struct follower *w = TAILQ_FIRST(&f->followers); w != NULL; w = next) {
        next = TAILQ_NEXT(w, link);
        bool is_gone = request_find(&s->peers, w->handle) == NULL;
        bool is_over = w->until_ms <= now_ms || knows_end(s);
        if (!is_gone && (is_over || w->after_seq < s->committed_seq || has_events(s, w->handle))) {
            follow_read_start(s, w->handle, w->after_seq);
            is_gone = true;
        }
        if (is_gone) {
            follower_free(f, w);
        } else {
            next_ms = HQ_MIN(next_ms, w->until_ms);
        }
    }
    return next_ms;
}

hq_ms
follow_progress(struct shell *s, hq_ms now_ms)
{
    hq_ms watches_ms = progress_watches(s, now_ms);
    hq_ms followers_ms = progress_followers(s, now_ms);
    return HQ_MIN(watches_ms, followers_ms);
}

hq_ms
follow_stop(struct shell *s, hq_ms now_ms)
{
    hq_ms until_ms = 0;
    uint64_t key;
    uint64_t value;
    (void)follow_progress(s, now_ms);
    for (size_t it = 0; hq_map_next(&s->peers.by_id[PEER_CLIENTS], &it, &key, &value);) {
        const struct peer *p = (const struct peer *)(uintptr_t)value;
        if (p->polled_ms != 0 && p->polled_ms + FOLLOW_BACK_MS > now_ms) {
            until_ms = HQ_MAX(until_ms, p->polled_ms + FOLLOW_BACK_MS);
        }
    }
    return until_ms;
}
