#include "hq/cmd_worker.h"

#include "common/log.h"
#include "common/out_quiet.h"
#include "common/out_table.h"
#include "hq/client.h"
#include "hq/daemon_exec.h"
#include "hq/worker_read.h"

#include "proto/client.pb-c.h"

#include <poll.h>

#define WAIT_PAUSE_MS 250 /* worker wait asks that often */

enum list_filter { /* WorkerList.filter */
                   LIST_ALL = 0,
                   LIST_RUNNING = 1,
                   LIST_OFFLINE = 2,
};

static const char *const filter_words[] = {"running", "offline", NULL};

const struct hq_opt worker_list_opts[WORKER_LIST_OPTS] = {
    {.name = "all",
     .at = offsetof(struct worker_list_args, all),
     .conflicts = "filter",
     .help = "Workers that are gone, too."},
    {.name = "filter",
     .parse = hq_opt_word,
     .at = offsetof(struct worker_list_args, filter),
     .values = filter_words,
     .help = "Only workers in this state."},
};

#define SELECTOR_HELP "Workers: last, all, or IDs as in 1-3,7."
const struct hq_opt worker_info_opts[WORKER_SELECT_OPTS] = {
    {.name = "SELECTOR",
     .parse = selector_parse,
     .at = offsetof(struct worker_select_args, workers),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = SELECTOR_HELP},
};
const struct hq_opt worker_stop_opts[WORKER_SELECT_OPTS] = {
    {.name = "SELECTOR_ARG",
     .parse = selector_parse,
     .at = offsetof(struct worker_select_args, workers),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = SELECTOR_HELP},
};
const struct hq_opt worker_address_opts[WORKER_ADDRESS_OPTS] = {
    {.name = "WORKER_ID",
     .parse = hq_opt_id,
     .at = offsetof(struct worker_address_args, worker),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "Worker."},
};
const struct hq_opt worker_wait_opts[WORKER_WAIT_OPTS] = {
    {.name = "WORKER_COUNT",
     .parse = hq_opt_id,
     .at = offsetof(struct worker_wait_args, count),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "Number of workers."},
};

int
cmd_worker_start_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    return daemon_exec(cli, p, "hq-workerd", NULL, err);
}

int
cmd_worker_hwdetect_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    return daemon_exec(cli, p, "hq-workerd", "hwdetect", err);
}

/* ---- list, info, address, wait: pages of workers */

struct worker_pages { /* all memory in `arena` */
    struct hq_arena *arena;
    struct hq_worker_view *v;
    size_t count;
    size_t cap;
    uint32_t *not_found;
    size_t not_found_count;
    size_t not_found_cap;
};

static int
get_workers(struct hq_cli *cli, const struct hq_selector *workers, enum list_filter filter, struct worker_pages *ret,
            struct hq_err *err)
{
    Hq__WorkerList req = HQ__WORKER_LIST__INIT;
    req.workers = workers != NULL ? selector_wire(workers, ret->arena) : NULL;
    req.filter = filter;
    struct client_query q = {.type = HQ__MESSAGE_TYPE__TYPE_WORKER_LIST,
                             .request = &req.base,
                             .answer_type = HQ__MESSAGE_TYPE__TYPE_WORKER_LIST_ANSWER,
                             .answer = &hq__worker_list_answer__descriptor,
                             .arena = ret->arena};
    for (;;) {
        ProtobufCMessage *msg = NULL;
        int rc = client_call(cli, &q, &msg, err);
        if (rc < 0) {
            return rc;
        }
        const Hq__WorkerListAnswer *a = (const Hq__WorkerListAnswer *)(const void *)msg;
        hq_arena_grow(ret->arena, &ret->v, &ret->cap, ret->count + a->n_workers, sizeof *ret->v);
        for (size_t ix = 0; ix < a->n_workers && rc == 0; ix++) {
            rc = worker_read(&ret->v[ret->count++], a->workers[ix], ret->arena, err);
        }
        hq_arena_grow(ret->arena, &ret->not_found, &ret->not_found_cap, ret->not_found_count + a->n_not_found,
                      sizeof *ret->not_found);
        for (size_t ix = 0; ix < a->n_not_found; ix++) {
            ret->not_found[ret->not_found_count++] = a->not_found[ix];
        }
        if (rc < 0 || !a->has_more || a->n_workers == 0) {
            return rc;
        }
        req.after_worker = ret->v[ret->count - 1].worker_id;
    }
}

static void
print_list(const struct worker_pages *w, struct hq_out *out)
{
    static const struct hq_column columns[] = {{"ID", HQ_COLUMN_RIGHT | HQ_COLUMN_PLAIN_HEAD},
                                               {"State", 0},
                                               {"Hostname", 0},
                                               {"Resources", 0},
                                               {"Manager", 0},
                                               {"Manager Job ID", 0}};
    HQ_AUTO(hq_table_fini) struct hq_table t;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    hq_table_init(&t, columns, HQ_ARRAY_LEN(columns));
    for (size_t ix = 0; ix < w->count; ix++) {
        const struct hq_worker_view *v = &w->v[ix];
        hq_table_addf(&t, "%u", v->worker_id);
        hq_table_add(&t, hq_str_from(hq_worker_state_word(v->state)), hq_worker_state_color(v->state));
        hq_table_add(&t, v->hostname, HQ_COLOR_NONE);
        hq_buf_clear(&b);
        hq_pools_print_summary(v->pools, "; ", " ", &b);
        hq_table_add(&t, hq_buf_view(&b), HQ_COLOR_NONE);
        hq_table_addz(&t, v->manager == HQ_MANAGER_PBS ? "PBS" : v->manager == HQ_MANAGER_SLURM ? "SLURM" : "None");
        hq_table_add(&t, v->manager_job_id.len > 0 ? v->manager_job_id : HQ_STR("N/A"), HQ_COLOR_NONE);
    }
    hq_table_print(&t, out);
}

static void
print_json(const struct worker_pages *w, bool with_runtime, struct hq_out *out)
{
    struct hq_json j;
    hq_json_begin_document(&j, out);
    hq_json_array(&j);
    for (size_t ix = 0; ix < w->count; ix++) {
        struct hq_worker_view v = w->v[ix];
        v.has_runtime = v.has_runtime && with_runtime;
        hq_worker_view_json(&v, &j);
    }
    hq_json_array_end(&j);
    hq_json_end_document(&j, out);
}

int
cmd_worker_list_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct worker_list_args *args = p->args;
    struct worker_pages w = {.arena = &cli->arena};
    enum list_filter filter = args->all ? LIST_ALL : args->filter == 1 ? LIST_OFFLINE : LIST_RUNNING;
    int rc = get_workers(cli, NULL, filter, &w, err);
    if (rc < 0) {
        return rc;
    }
    switch (cli->out.mode) {
    case HQ_OUT_CLI:
        print_list(&w, &cli->out);
        break;
    case HQ_OUT_JSON:
        print_json(&w, false, &cli->out);
        break;
    case HQ_OUT_QUIET:
        for (size_t ix = 0; ix < w.count; ix++) {
            hq_quiet_id_state(&cli->out, w.v[ix].worker_id, hq_worker_state_word(w.v[ix].state));
        }
        break;
    }
    return 0;
}

int
cmd_worker_info_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct worker_select_args *args = p->args;
    struct worker_pages w = {.arena = &cli->arena};
    int rc = get_workers(cli, &args->workers, LIST_ALL, &w, err);
    if (rc < 0) {
        return rc;
    }
    for (size_t ix = 0; ix < w.not_found_count; ix++) {
        hq_log_error("Worker %u not found", w.not_found[ix]);
    }
    switch (cli->out.mode) {
    case HQ_OUT_CLI:
        for (size_t ix = 0; ix < w.count; ix++) {
            hq_out_text(&cli->out, ix > 0 ? "\n" : "");
            hq_worker_view_table(&w.v[ix], &cli->out);
        }
        break;
    case HQ_OUT_JSON:
        print_json(&w, true, &cli->out);
        break;
    case HQ_OUT_QUIET:
        break;
    }
    return 0;
}

int
cmd_worker_address_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct worker_address_args *args = p->args;
    struct hq_selector one = {.kind = HQ_SELECT_RANGES};
    struct worker_pages w = {.arena = &cli->arena};
    hq_ranges_add(&one.ids, args->worker, 1, 1);
    int rc = get_workers(cli, &one, LIST_ALL, &w, err);
    hq_ranges_fini(&one.ids);
    if (rc == 0 && w.count == 0) {
        return hq_err_set(err, -ENOENT, "Worker %u not found", args->worker);
    }
    if (rc == 0) {
        hq_quiet_text(&cli->out, w.v[0].hostname);
    }
    return rc;
}

int
cmd_worker_wait_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct worker_wait_args *args = p->args;
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    hq_arena_init(&arena, 0);
    for (;;) {
        struct worker_pages w = {.arena = &arena};
        hq_arena_reset(&arena);
        int rc = get_workers(cli, NULL, LIST_RUNNING, &w, err);
        if (rc < 0 || w.count >= args->count) {
            return rc;
        }
        (void)poll(NULL, 0, WAIT_PAUSE_MS);
    }
}

/* ---- stop */

static void
log_result(const Hq__WorkerResult *r)
{
    switch ((int)r->kind) { /* open in proto3: any number may come */
    case HQ__WORKER_RESULT_KIND__WORKER_RESULT_DONE:
        hq_log_info("Worker %u stopped", r->worker);
        break;
    case HQ__WORKER_RESULT_KIND__WORKER_RESULT_NOT_FOUND:
        hq_log_error("Stopping worker %u failed; worker not found", r->worker);
        break;
    case HQ__WORKER_RESULT_KIND__WORKER_RESULT_STOPPED_BEFORE:
        hq_log_warn("Stopping worker %u failed; worker is already stopped", r->worker);
        break;
    default:
        hq_log_error("Stopping worker %u failed; %.*s", r->worker, (int)r->text.len, (const char *)r->text.data);
        break;
    }
}

int
cmd_worker_stop_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct worker_select_args *args = p->args;
    Hq__WorkerSelect req = HQ__WORKER_SELECT__INIT;
    req.workers = selector_wire(&args->workers, &cli->arena);
    struct client_query q = {.type = HQ__MESSAGE_TYPE__TYPE_WORKER_STOP,
                             .request = &req.base,
                             .answer_type = HQ__MESSAGE_TYPE__TYPE_WORKER_RESULTS,
                             .answer = &hq__worker_results__descriptor};
    ProtobufCMessage *msg = NULL;
    int rc = client_call(cli, &q, &msg, err);
    if (rc < 0) {
        return rc;
    }
    const Hq__WorkerResults *a = (const Hq__WorkerResults *)(const void *)msg;
    for (size_t ix = 0; ix < a->n_results; ix++) {
        log_result(a->results[ix]);
    }
    return 0;
}
