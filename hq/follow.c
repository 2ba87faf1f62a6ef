#include "hq/follow.h"

#include "common/clock.h"
#include "common/log.h"
#include "hq/client.h"

#include <errno.h>
#include <poll.h>

#define POLL_MS_MAX 30000 /* hqd holds the answer at most that long (JobWatch.wait_ms) */
#define RETRY_MS 250      /* between two attempts to reach a hqd that is gone */

void
follow_init(struct follow *f, struct hq_cli *cli, const struct hq_selector *jobs)
{
    *f = (struct follow){.cli = cli};
    f->jobs = selector_wire(jobs, &cli->arena);
    hq_arena_init(&f->arena, 0);
}

void
follow_fini(struct follow *f)
{
    hq_arena_fini(&f->arena);
    hq_ranges_fini(&f->ids);
}

/* "last" and "all" mean what they meant at the first answer. */
static void
keep_ids(struct follow *f)
{
    if (f->jobs->kind == HQ__SELECT_KIND__SELECT_RANGES) {
        return;
    }
    for (size_t ix = 0; ix < f->state->n_jobs; ix++) {
        hq_ranges_add(&f->ids, f->state->jobs[ix]->job, 1, 1);
    }
    struct hq_selector ids = {.kind = HQ_SELECT_RANGES, .ids = f->ids};
    f->jobs = selector_wire(&ids, &f->cli->arena);
}

static int
ask(struct follow *f, hq_ms wait_ms, struct hq_err *err)
{
    Hq__JobWatch req = HQ__JOB_WATCH__INIT;
    req.jobs = f->jobs;
    req.version = f->version;
    req.wait_ms = (uint32_t)wait_ms;
    struct client_query q = {.type = HQ__MESSAGE_TYPE__TYPE_JOB_WATCH,
                             .request = &req.base,
                             .answer_type = HQ__MESSAGE_TYPE__TYPE_JOB_WATCH_ANSWER,
                             .answer = &hq__job_watch_answer__descriptor,
                             .wait_ms = wait_ms,
                             .arena = &f->arena};
    ProtobufCMessage *msg = NULL;
    f->state = NULL;
    hq_arena_reset(&f->arena);
    int rc = client_call(f->cli, &q, &msg, err);
    if (rc == 0) {
        f->state = (Hq__JobWatchAnswer *)(void *)msg;
        f->version = f->state->version;
        keep_ids(f);
    }
    return rc;
}

/* The connection broke: the server may come back with its journal, in its own directory or another one. */
static int
reach_again(struct follow *f, struct hq_err *err)
{
    hq_ms end_ms = hq_clock_ms() + FOLLOW_GONE_MS_MAX;
    int rc;
    hq_log_warn("Connection to the server was lost, trying to reach it for %d s", FOLLOW_GONE_MS_MAX / 1000);
    f->version = 0;
    do {
        (void)poll(NULL, 0, RETRY_MS);
        client_reset(f->cli);
        rc = ask(f, 0, err);
    } while (rc < 0 && rc != -EREMOTEIO && hq_clock_ms() < end_ms);
    if (rc == 0) {
        hq_log_info("The server is back");
    }
    return rc;
}

int
follow_next(struct follow *f, hq_ms wait_ms, struct hq_err *err)
{
    bool is_first = f->state == NULL && f->version == 0;
    bool was_stopping = f->state != NULL && f->state->is_stopping;
    hq_ms wanted = is_first ? 0 : wait_ms > 0 && wait_ms < POLL_MS_MAX ? wait_ms : POLL_MS_MAX;
    int rc = was_stopping ? hq_err_set(err, -ECONNRESET, "Connection closed") : ask(f, wanted, err);
    if (rc < 0 && rc != -EREMOTEIO && !is_first && !was_stopping) {
        rc = reach_again(f, err);
    }
    return rc;
}

bool
follow_is_terminated(const Hq__JobInfo *job)
{
    return job->counts == NULL || (job->counts->waiting == 0 && job->counts->running == 0);
}

bool
follow_is_completed(const Hq__JobInfo *job)
{
    return follow_is_terminated(job) && !job->is_open;
}

enum hq_task_state
follow_job_state(const Hq__JobInfo *job)
{
    const Hq__JobCounts *c = job->counts;
    if (c != NULL) {
        const struct {
            uint64_t count;
            enum hq_task_state state;
        } order[] = {
            {c->running, HQ_STATE_RUNNING}, {c->waiting, HQ_STATE_WAITING},   {c->failed, HQ_STATE_FAILED},
            {c->aborted, HQ_STATE_ABORTED}, {c->canceled, HQ_STATE_CANCELED},
        };
        for (size_t ix = 0; ix < HQ_ARRAY_LEN(order); ix++) {
            if (order[ix].count > 0) {
                return order[ix].state;
            }
        }
    }
    return job->is_open ? HQ_STATE_OPENED : HQ_STATE_FINISHED;
}

uint64_t
follow_task_count(const Hq__JobInfo *job)
{
    const Hq__JobCounts *c = job->counts;
    return c == NULL ? 0 : c->waiting + c->running + c->finished + c->failed + c->canceled + c->aborted;
}
