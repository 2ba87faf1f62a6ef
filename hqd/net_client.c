#include "hqd/shell_impl.h"

#include <unistd.h>

#include "common/clock.h"
#include "common/limits.h"
#include "hqd/convert.h"
#include "hqd/core/query.h"
#include "hqd/egress.h"

#define AS(Type, m) ((const Type *)(const void *)(m)->msg)

struct ask { /* one question */
    struct shell *s;
    struct peer *peer;
    uint64_t handle;
    const struct ingress_msg *m;
};

static uint64_t
request_id(const struct ask *a)
{
    return a->m->head.request_id;
}

static void
refuse(const struct ask *a, const struct hq_err *err)
{
    shell_refuse(a->s, a->handle, err->code, err->text);
}

static void
on_server_info(const struct ask *a)
{
    struct shell *s = a->s;
    Hq__ServerInfoAnswer m;
    hq__server_info_answer__init(&m);
    m.server_uid = conv_bytes(s->conf.identity.server_uid);
    m.client_host = conv_bytes(hq_str_from(s->conf.client_host));
    m.client_port = shell_client_port(s);
    m.worker_host = conv_bytes(hq_str_from(s->conf.worker_host));
    m.worker_port = shell_worker_port(s);
    m.version = conv_bytes(s->conf.identity.version);
    m.pid = (uint32_t)getpid();
    m.started_ms = (uint64_t)s->conf.started_ms;
    m.journal_path = conv_bytes(hq_str_from(s->conf.journal_shown));
    m.hqd_incarnation = conv_bytes(s->conf.identity.incarnation);
    m.note_port = s->pub == NULL ? 0 : hq_net_pub_port(s->pub);
    m.note_ipc = conv_bytes(hq_str_from(s->note_ipc));
    if (s->conf.client_key != NULL) {
        m.note_key = conv_bytes(hq_str_make((const char *)s->note_key, sizeof s->note_key));
    }
    m.newest_record = s->committed_seq;
    hq_buf_clear(&s->answer_bytes);
    egress_pack(&s->answer_bytes, HQ__MESSAGE_TYPE__TYPE_SERVER_INFO_ANSWER, request_id(a), &m.base);
    shell_answer_now(s, a->handle, hq_buf_view(&s->answer_bytes));
}

static void
on_job_list(const struct ask *a)
{
    const Hq__JobList *m = AS(Hq__JobList, a->m);
    struct query_job_list_args args = {.has_selection = m->jobs != NULL,
                                       .state_mask = m->state_mask,
                                       .plus_open = m->plus_open != 0,
                                       .after_job = {m->after_job},
                                       .bytes_max = HQ_PAGE_BYTES};
    struct hq_err err = {0};
    if (conv_in_selection(m->jobs, &args.jobs, &err) < 0) {
        refuse(a, &err);
        return;
    }
    struct query_job_list list;
    query_job_list(a->s->core, &args, &a->s->conv_arena, &list);
    struct hq_buf bytes = HQ_BUF_INIT;
    egress_job_list(&bytes, request_id(a), &list);
    shell_answer_question(a->s, a->handle, &bytes);
}

static void
on_job_detail(const struct ask *a)
{
    const Hq__JobDetailRequest *m = AS(Hq__JobDetailRequest, a->m);
    struct query_job_detail d;
    struct hq_buf bytes = HQ_BUF_INIT;
    if (!query_job_detail(a->s->core, (hq_job_id){m->job}, m->desc_from, HQ_PAGE_BYTES, &a->s->conv_arena, &d)) {
        Hq__JobDetailAnswer none; /* info stays absent */
        hq__job_detail_answer__init(&none);
        egress_pack(&bytes, HQ__MESSAGE_TYPE__TYPE_JOB_DETAIL_ANSWER, request_id(a), &none.base);
        shell_answer_question(a->s, a->handle, &bytes);
        return;
    }
    egress_job_detail(&bytes,
                      request_id(a),
                      &d,
                      hq_clock_wall_ms(),
                      a->s->conf.identity.server_uid,
                      &a->s->conv_arena);
    struct texts_want *want = hq_arena_array(&a->s->conv_arena, d.failed_count, sizeof *want);
    size_t count = 0;
    for (size_t i = 0; i < d.failed_count; i++) {
        const struct query_failed *f = &d.failed[i];
        struct texts_want *w = &want[count++];
        *w = (struct texts_want){.seq = f->error_seq, .task = f->task, .worker = f->worker.v};
        struct hq_str host = hq_str_sub(f->worker_host, 0, sizeof w->host - 1);
        if (host.len > 0) {
            memcpy(w->host, host.ptr, host.len);
        }
    }
    texts_answer(a->s, a->handle, &bytes, want, count, true);
}

static void
on_task_page(const struct ask *a)
{
    const Hq__TaskPageRequest *m = AS(Hq__TaskPageRequest, a->m);
    struct query_task_page_args args = {.job = {m->job},
                                        .has_ids = m->has_ids != 0,
                                        .state_mask = m->state_mask,
                                        .has_after = m->has_after != 0,
                                        .after_task = m->after_task,
                                        .ids_only = m->ids_only != 0,
                                        .with_deps = m->with_deps != 0,
                                        .bytes_max = HQ_PAGE_BYTES};
    struct hq_err err = {0};
    if (conv_in_ranges(m->ids, &args.ids, &err) < 0) {
        refuse(a, &err);
        return;
    }
    struct query_task_page page;
    struct hq_buf bytes = HQ_BUF_INIT;
    if (!query_task_page(a->s->core, &args, &a->s->conv_arena, &page)) {
        Hq__TaskPageAnswer none; /* job_found stays false */
        hq__task_page_answer__init(&none);
        none.job = m->job;
        egress_pack(&bytes, HQ__MESSAGE_TYPE__TYPE_TASK_PAGE_ANSWER, request_id(a), &none.base);
        shell_answer_question(a->s, a->handle, &bytes);
        return;
    }
    egress_task_page(&bytes, request_id(a), args.job, &page, hq_clock_wall_ms(), &a->s->conv_arena);
    struct texts_want *want = hq_arena_array(&a->s->conv_arena, page.error_count, sizeof *want);
    for (size_t i = 0; i < page.error_count; i++) {
        want[i] = (struct texts_want){.seq = page.errors[i].seq, .task = page.errors[i].task};
    }
    texts_answer(a->s, a->handle, &bytes, want, page.error_count, false);
}

static void
on_worker_list(const struct ask *a)
{
    const Hq__WorkerList *m = AS(Hq__WorkerList, a->m);
    struct query_worker_list_args args = {.has_selection = m->workers != NULL,
                                          .after_worker = {m->after_worker},
                                          .bytes_max = HQ_PAGE_BYTES};
    struct hq_err err = {0};
    int rc = conv_in_selection(m->workers, &args.workers, &err);
    if (rc == 0 && m->filter > QUERY_WORKERS_OFFLINE) {
        rc = hq_err_set(&err, -EINVAL, "Unknown filter of workers %u", m->filter);
    }
    if (rc < 0) {
        refuse(a, &err);
        return;
    }
    args.filter = (enum query_worker_filter)m->filter;
    struct query_worker_list list;
    query_worker_list(a->s->core, &args, &a->s->conv_arena, &list);
    struct hq_buf bytes = HQ_BUF_INIT;
    egress_worker_list(&bytes, request_id(a), &list, &a->s->conv_arena);
    shell_answer_question(a->s, a->handle, &bytes);
}

static void
on_explain(const struct ask *a)
{
    static const char *const refused[] = {
        [QUERY_EXPLAIN_NO_JOB] = "Job not found",
        [QUERY_EXPLAIN_NO_TASK] = "Task not found",
        [QUERY_EXPLAIN_ENDED] = "Explain command works only for tasks in WAITING or RUNNING state",
    };
    const Hq__TaskExplain *m = AS(Hq__TaskExplain, a->m);
    hq_job_id job = {m->job};
    if (m->is_last) {
        struct query_server server;
        query_server(a->s->core, &server);
        job = server.last_job;
    }
    struct query_explain e;
    enum query_explain_end end =
        query_explain(a->s->core, job, m->task, hq_clock_wall_ms(), &a->s->conv_arena, &e);
    if (end != QUERY_EXPLAIN_FOUND) {
        shell_refuse(a->s, a->handle, -ENOENT, refused[end]);
        return;
    }
    struct hq_buf bytes = HQ_BUF_INIT;
    egress_explain(&bytes, request_id(a), &e, &a->s->conv_arena);
    shell_answer_question(a->s, a->handle, &bytes);
}

static void
on_submit_part(const struct ask *a)
{
    const Hq__SubmitPart *m = AS(Hq__SubmitPart, a->m);
    struct hq_err err = {0};
    int rc = ingress_check_part(a->m->msg, &a->s->conv_arena, &err);
    if (rc == 0) {
        rc = uploads_add(&a->peer->uploads, m->upload_id, m->number, a->m->body, &err);
    }
    if (rc < 0) {
        refuse(a, &err);
        return;
    }
    hq_buf_clear(&a->s->answer_bytes);
    egress_done(&a->s->answer_bytes, request_id(a));
    shell_answer_now(a->s, a->handle, hq_buf_view(&a->s->answer_bytes));
}

static void
on_flush(const struct ask *a)
{
    struct hq_buf bytes = HQ_BUF_INIT;
    egress_done(&bytes, request_id(a));
    a->s->wants_commit = true;
    a->s->is_dirty = true;
    outbox_put(&a->s->outbox,
               EFFECT_AFTER_COMMIT,
               core_newest_seq(a->s->core),
               hq_clock_ms() + CLIENT_HOLD_MS,
               a->handle,
               &bytes);
}

/* What changes the state is the core's business. */
static void
on_input(const struct ask *a)
{
    struct shell *s = a->s;
    struct input in;
    struct hq_err err = {0};
    if (ingress_input(a->m, &a->peer->uploads, s->conf.identity.incarnation, &s->conv_arena, &in, &err) < 0) {
        refuse(a, &err);
        return;
    }
    if (in.kind == INPUT_SERVER_STOP) {
        hq_log_info("Received Stop command from client");
    }
    in.from = (struct input_client){
        .handle = a->handle, .request_id = request_id(a), .uid = peer_uid(&s->peers, a->peer)};
    if (in.kind == INPUT_ALLOC_REPORTS) {
        alloc_turn_on_turn(s, a->peer, a->handle, request_id(a), AS(Hq__AllocTurn, a->m), &in);
        return;
    }
    if (in.kind == INPUT_SERVER_STOP && alloc_turn_hold_stop(s, &in.from)) {
        return;
    }
    if (in.kind == INPUT_SUBMIT) {
        uploads_drop(&a->peer->uploads, in.u.submit.upload_id); /* `in` has its own copy */
    }
    shell_step(s, &in);
}

static void
handle_question(const struct ask *a)
{
    switch ((Hq__MessageType)a->m->head.type) {
    case HQ__MESSAGE_TYPE__TYPE_SERVER_INFO:
        on_server_info(a);
        break;
    case HQ__MESSAGE_TYPE__TYPE_SUBMIT_PART:
        on_submit_part(a);
        break;
    case HQ__MESSAGE_TYPE__TYPE_JOB_LIST:
        on_job_list(a);
        break;
    case HQ__MESSAGE_TYPE__TYPE_JOB_DETAIL:
        on_job_detail(a);
        break;
    case HQ__MESSAGE_TYPE__TYPE_TASK_PAGE:
        on_task_page(a);
        break;
    case HQ__MESSAGE_TYPE__TYPE_JOB_WATCH:
        follow_on_watch(a->s, a->handle, AS(Hq__JobWatch, a->m));
        break;
    case HQ__MESSAGE_TYPE__TYPE_WORKER_LIST:
        on_worker_list(a);
        break;
    case HQ__MESSAGE_TYPE__TYPE_TASK_EXPLAIN:
        on_explain(a);
        break;
    case HQ__MESSAGE_TYPE__TYPE_FOLLOW:
        follow_on_follow(a->s, a->peer, a->handle, AS(Hq__Follow, a->m));
        break;
    case HQ__MESSAGE_TYPE__TYPE_JOURNAL_FLUSH:
        on_flush(a);
        break;
    case HQ__MESSAGE_TYPE__TYPE_JOURNAL_PRUNE:
        snapshot_prune(a->s, a->handle, request_id(a));
        break;
    case HQ__MESSAGE_TYPE__TYPE_ALLOC_LIST:
        alloc_turn_on_list(a->s, a->handle, request_id(a), AS(Hq__AllocList, a->m));
        break;
    case HQ__MESSAGE_TYPE__TYPE_DEBUG_DUMP:
        debug_dump(a->s, a->handle, request_id(a), conv_str(AS(Hq__DebugDump, a->m)->path));
        break;
    default:
        HQ_ASSERT(a->m->row->input != 0); /* the table of ingress and this switch name the same types */
        on_input(a);
        break;
    }
}

void
net_client_on_request(void *shell, const struct hq_net_peer *net, const struct hq_net_req *req, struct hq_str payload)
{
    struct shell *s = shell;
    struct ingress_msg m;
    struct ask a = {.s = s, .m = &m};
    if (!shell_receive(s, PEER_CLIENTS, net, req, payload, &m, &a.peer, &a.handle)) {
        return;
    }
    struct hq_err why = {0};
    if (m.row->is_change && journal_refuses(s->journal, payload.len, &why)) {
        shell_refuse(s, a.handle, why.code, why.text);
    } else if (m.row->is_change && s->is_stopping) {
        shell_refuse(s, a.handle, -ESHUTDOWN, "The server is stopping");
    } else {
        handle_question(&a);
    }
    hq_arena_reset(&s->conv_arena); /* of a large submit: not only at the next request */
}

void
net_client_on_gone(void *shell, uint64_t peer_id)
{
    struct shell *s = shell;
    uint32_t worker;
    peers_gone(&s->peers, PEER_CLIENTS, peer_id, &worker);
}
