/* alloc add: the rows of its options. Values are checked as the worker will check them, so that a queue whose workers
 * could never start is refused here. */
#include "hq/cmd_alloc.h"

static struct hq_opt const *
worker_row(const char *name)
{
    for (size_t i = 0; i < HQ_WORKER_START_OPTS; i++) {
        if (strcmp(hq_worker_start_opts[i].name, name) == 0) {
            return &hq_worker_start_opts[i];
        }
    }
    HQ_ASSERT(name == NULL); /* the row exists */
    return NULL;
}

/* Text as typed, when the worker's own parser takes it. */
static int
parse_as_worker(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    max_align_t scratch[16];
    const struct hq_opt *row = worker_row(opt->name);
    int rc = row->parse(opt->values == NULL ? row : opt, value, scratch, arena, err);
    if (rc == 0) {
        *(struct hq_str *)target = value;
    }
    return rc;
}

static int
parse_cpus(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt; /* one grammar */
    struct alloc_pool_text *t = target;
    int rc = hq_pool_parse(&t->pool, HQ_STR("cpus"), value, true, arena, err);
    t->text = value;
    return rc;
}

static int
parse_resource(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt; /* one grammar */
    struct alloc_pool_texts *list = target;
    struct alloc_pool_text t = {.text = value};
    int rc = hq_pool_parse_def(&t.pool, value, arena, err);
    if (rc == 0) {
        hq_arena_grow(arena, &list->v, &list->cap, list->count + 1, sizeof *list->v);
        list->v[list->count++] = t;
    }
    return rc;
}

static int
parse_utilization(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena,
                  struct hq_err *err)
{
    return worker_row(opt->name)->parse(opt, value, target, arena, err);
}

/* A number of workers that is at least 1. */
static int
parse_positive(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    uint32_t v;
    int rc = hq_opt_id(opt, value, &v, arena, err);
    if (rc < 0) {
        return rc;
    }
    if (v == 0) {
        return hq_err_set(err, -EINVAL, "%s has to be at least 1",
                          opt->short_name == 'b' ? "Backlog" : "Max workers per allocation");
    }
    *(uint32_t *)target = v;
    return 0;
}

static const char *const lost_words[] = {"stop", "finish-running", NULL, "reconnect", NULL};

#define A(field) offsetof(struct alloc_add_args, field)

const struct hq_opt alloc_add_opts[ALLOC_ADD_OPTS] = {
    {.name = "time-limit",
     .short_name = 't',
     .parse = hq_opt_span,
     .at = A(time_limit_ms),
     .flags = HQ_OPT_REQUIRED,
     .help = "Walltime of each allocation."},
    {.name = "backlog",
     .short_name = 'b',
     .parse = parse_positive,
     .at = A(backlog),
     .def = "1",
     .help = "Most allocations that wait in the batch system at once."},
    {.name = "max-workers-per-alloc",
     .short_name = 'm',
     .parse = parse_positive,
     .at = A(max_workers_per_alloc),
     .def = "1",
     .help = "Most nodes of one allocation."},
    {.name = "max-worker-count",
     .parse = hq_opt_u32,
     .at = A(max_worker_count),
     .help = "Most workers of the queue, waiting and running; no limit unless given."},
    {.name = "name",
     .short_name = 'n',
     .parse = hq_opt_str,
     .at = A(name),
     .help = "Stands in names of batch jobs and directories."},
    {.name = "cpus", .parse = parse_cpus, .at = A(cpus), .help = "CPUs of each worker, as in worker start."},
    {.name = "resource",
     .parse = parse_resource,
     .at = A(resources),
     .flags = HQ_OPT_REPEAT,
     .help = "Another resource of each worker, as in worker start."},
    {.name = "coupling",
     .parse = hq_opt_str,
     .at = A(coupling),
     .help = "Groups that lie together, as in worker start."},
    {.name = "group",
     .parse = hq_opt_str,
     .at = A(group),
     .help = "Group of the workers; the allocation's ID unless given."},
    {.name = "detect-resources",
     .parse = parse_as_worker,
     .at = A(detect),
     .flags = HQ_OPT_RAW_USAGE,
     .help = "What workers detect: all, none, or a list of cpus,mem,gpus/nvidia,gpus/amd."},
    {.name = "no-hyper-threading",
     .at = A(no_hyper_threading),
     .help = "Workers use one hardware thread of each core."},
    {.name = "overview-interval",
     .parse = parse_as_worker,
     .at = A(overview),
     .help = "Period of hardware readings of the workers, with a unit (10s)."},
    {.name = "min-utilization",
     .parse = parse_utilization,
     .at = A(min_utilization_x10000),
     .def = "0",
     .help = "A worker counts as wanted, and gets tasks, only if at least this part of its CPUs is used (0.0 to 1.0)."},
    {.name = "idle-timeout",
     .parse = hq_opt_span,
     .at = A(idle_timeout_ms),
     .def = "5m",
     .help = "Workers without a task for that long stop, and give their node back."},
    {.name = "on-server-lost",
     .parse = parse_as_worker,
     .at = A(on_server_lost),
     .values = lost_words,
     .def = "finish-running",
     .flags = HQ_OPT_MORE_WORDS,
     .help = "What happens to running tasks when the server is gone."},
    {.name = "worker-time-limit",
     .parse = hq_opt_span,
     .at = A(worker_time_limit_ms),
     .help = "Workers stop after that long; the allocation's time limit unless given."},
    {.name = "worker-start-cmd", .parse = hq_opt_str, .at = A(start_cmd), .help = "Shell command before each worker."},
    {.name = "worker-stop-cmd",
     .parse = hq_opt_str,
     .at = A(stop_cmd),
     .help = "Shell command after each worker; it may not get to run when the allocation is killed."},
    {.name = "worker-wrap-cmd", .parse = hq_opt_str, .at = A(wrap_cmd), .help = "Words put before `hq worker start`."},
    {.name = "no-dry-run", .at = A(no_dry_run), .help = "Does not submit and cancel a trial allocation first."},
    {.name = "lead-time",
     .parse = hq_opt_span,
     .at = A(lead_time_ms),
     .help = "Submits the next allocation that long before one ends while work goes on; off unless given."},
    {.name = "keep-warm",
     .parse = hq_opt_u32,
     .at = A(keep_warm),
     .help = "Workers that are there whatever the demand; none unless given."},
    {.name = "compact",
     .at = A(compact),
     .help = "Gathers work on the workers with the least time left, so that others go idle and are given back."},
    {.name = "timelimit", .parse = hq_opt_span, .at = A(time_limit_ms), .flags = HQ_OPT_OLD, .instead = "--time-limit"},
    {.name = "workers-per-alloc",
     .short_name = 'w',
     .parse = parse_positive,
     .at = A(max_workers_per_alloc),
     .flags = HQ_OPT_OLD,
     .instead = "--max-workers-per-alloc"},
    {.name = "wrap-worker-cmd",
     .parse = hq_opt_str,
     .at = A(wrap_cmd),
     .flags = HQ_OPT_OLD,
     .instead = "--worker-wrap-cmd"},
    {.name = "ADDITIONAL_ARGS",
     .parse = hq_opt_strv,
     .at = A(extra),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REPEAT,
     .help = "Options for the batch system, as they stand in its script."},
};
