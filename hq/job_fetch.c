#include "hq/job_fetch.h"

#include "hq/client.h"

#include <stdio.h>
#include <stdlib.h>

/* Words of the command line to bits of the wire. */
static uint32_t
wire_states(uint32_t mask)
{
    static const uint8_t wire[HQ_STATES] = {
        [HQ_STATE_WAITING] = HQ__JOB_STATE__JOB_WAITING,   [HQ_STATE_RUNNING] = HQ__JOB_STATE__JOB_RUNNING,
        [HQ_STATE_FINISHED] = HQ__JOB_STATE__JOB_FINISHED, [HQ_STATE_FAILED] = HQ__JOB_STATE__JOB_FAILED,
        [HQ_STATE_CANCELED] = HQ__JOB_STATE__JOB_CANCELED, [HQ_STATE_ABORTED] = HQ__JOB_STATE__JOB_ABORTED,
        [HQ_STATE_OPENED] = HQ__JOB_STATE__JOB_OPENED,
    };
    uint32_t ret = 0;
    for (unsigned ix = 0; ix < HQ_STATES; ix++) {
        if ((mask & (1u << ix)) != 0) {
            ret |= 1u << wire[ix];
        }
    }
    return ret;
}

static void
set_add(struct job_set *set, const Hq__JobListAnswer *a, struct hq_arena *arena)
{
    hq_arena_grow(arena, &set->v, &set->cap, set->count + a->n_jobs, sizeof(Hq__JobInfo *));
    for (size_t ix = 0; ix < a->n_jobs; ix++) {
        set->v[set->count++] = a->jobs[ix];
    }
    hq_arena_grow(arena, &set->not_found, &set->not_found_cap, set->not_found_count + a->n_not_found,
                  sizeof *set->not_found);
    for (size_t ix = 0; ix < a->n_not_found; ix++) {
        set->not_found[set->not_found_count++] = a->not_found[ix];
    }
    set->total_count = a->total_count;
}

int
job_fetch_set(struct hq_cli *cli, const struct job_set_query *q, struct job_set *ret, struct hq_arena *arena,
              struct hq_err *err)
{
    Hq__JobList req = HQ__JOB_LIST__INIT;
    req.jobs = q->jobs != NULL ? selector_wire(q->jobs, arena) : NULL;
    req.state_mask = wire_states(q->state_mask);
    req.plus_open = q->plus_open;
    struct job_set set = {0};
    for (bool has_more = true; has_more;) {
        ProtobufCMessage *answer = NULL;
        int rc = client_call(cli,
                             &(struct client_query){.type = HQ__MESSAGE_TYPE__TYPE_JOB_LIST,
                                                    .request = &req.base,
                                                    .answer_type = HQ__MESSAGE_TYPE__TYPE_JOB_LIST_ANSWER,
                                                    .answer = &hq__job_list_answer__descriptor,
                                                    .arena = arena},
                             &answer, err);
        if (rc < 0) {
            return rc;
        }
        const Hq__JobListAnswer *a = (const Hq__JobListAnswer *)(const void *)answer;
        set_add(&set, a, arena);
        has_more = a->has_more && a->n_jobs > 0;
        req.after_job = has_more ? a->jobs[a->n_jobs - 1]->job : 0;
        set.last_job = a->last_job;
    }
    bool is_last = q->jobs != NULL && q->jobs->kind == HQ_SELECT_LAST;
    if (is_last && set.count + set.not_found_count == 0 && set.last_job != 0) { /* "last" is a job that was forgotten */
        hq_arena_grow(arena, &set.not_found, &set.not_found_cap, 1, sizeof *set.not_found);
        set.not_found[set.not_found_count++] = set.last_job;
    }
    *ret = set;
    return 0;
}

/* Index of the first job with an id of at least `id`. */
static size_t
first_from(const struct job_set *set, uint32_t id)
{
    size_t lo = 0;
    size_t hi = set->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (set->v[mid]->job < id) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

void
job_set_order(struct job_set *set, const struct hq_selector *jobs, struct hq_arena *arena)
{
    if (jobs->kind != HQ_SELECT_RANGES || jobs->ids.count < 2) {
        return;
    }
    Hq__JobInfo **v = hq_arena_array(arena, set->count + 1, sizeof(Hq__JobInfo *));
    size_t n = 0;
    for (size_t r = 0; r < jobs->ids.count; r++) {
        const struct hq_range *range = &jobs->ids.v[r];
        for (size_t ix = first_from(set, range->first); ix < set->count && set->v[ix]->job <= hq_range_last(range);
             ix++) {
            if ((set->v[ix]->job - range->first) % range->step == 0 && n < set->count) {
                v[n++] = set->v[ix];
            }
        }
    }
    set->v = v;
    set->count = n;
}

/* Keys of objects are sorted as texts: "10" before "2". */
static int
by_text(const void *pa, const void *pb)
{
    const Hq__JobInfo *const *a = pa;
    const Hq__JobInfo *const *b = pb;
    char ta[16];
    char tb[16];
    (void)snprintf(ta, sizeof ta, "%u", (*a)->job);
    (void)snprintf(tb, sizeof tb, "%u", (*b)->job);
    return strcmp(ta, tb);
}

void
job_set_order_as_text(struct job_set *set)
{
    qsort(set->v, set->count, sizeof(Hq__JobInfo *), by_text);
}

int
job_fetch_detail(struct hq_cli *cli, uint32_t job, bool with_descs, struct job_detail *ret, bool *ret_found,
                 struct hq_arena *arena, struct hq_err *err)
{
    Hq__JobDetailRequest req = HQ__JOB_DETAIL_REQUEST__INIT;
    req.job = job;
    struct job_detail d = {0};
    do {
        ProtobufCMessage *answer = NULL;
        int rc = client_call(cli,
                             &(struct client_query){.type = HQ__MESSAGE_TYPE__TYPE_JOB_DETAIL,
                                                    .request = &req.base,
                                                    .answer_type = HQ__MESSAGE_TYPE__TYPE_JOB_DETAIL_ANSWER,
                                                    .answer = &hq__job_detail_answer__descriptor,
                                                    .arena = arena},
                             &answer, err);
        if (rc < 0) {
            return rc;
        }
        const Hq__JobDetailAnswer *a = (const Hq__JobDetailAnswer *)(const void *)answer;
        if (a->info == NULL) { /* on a later page: it was forgotten meanwhile */
            *ret_found = false;
            return 0;
        }
        d.answer = d.answer != NULL ? d.answer : a;
        hq_arena_grow(arena, &d.descs, &d.desc_cap, d.desc_count + a->n_descs, sizeof(Hq__TaskDesc *));
        for (size_t ix = 0; ix < a->n_descs; ix++) {
            d.descs[d.desc_count++] = a->descs[ix];
        }
        bool is_forward = a->desc_next > req.desc_from;
        req.desc_from = is_forward ? a->desc_next : 0;
    } while (with_descs && req.desc_from != 0);
    *ret = d;
    *ret_found = true;
    return 0;
}

int
job_fetch_one(struct hq_cli *cli, const struct hq_selector *job, uint32_t *ret, bool *ret_found, struct hq_err *err)
{
    if (job->kind == HQ_SELECT_RANGES) {
        *ret = hq_ranges_at(&job->ids, 0);
        *ret_found = true;
        return 0;
    }
    struct job_set set;
    int rc = job_fetch_set(cli, &(struct job_set_query){.jobs = job}, &set, &cli->arena, err);
    if (rc == 0) {
        *ret_found = set.last_job != 0;
        *ret = set.last_job;
    }
    return rc;
}
