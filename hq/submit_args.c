#include "hq/submit_args.h"

bool
submit_args_given(uint64_t given, const char *name)
{
    return (given & hq_opt_bit(submit_opts, SUBMIT_OPTS, name)) != 0;
}

/* ---- command line and directives together */

struct merge_row { /* options of which one side wins */
    const char *name;
    size_t at;
    size_t bytes;
};
#define ROW(option, field)                                                                                             \
    {                                                                                                                  \
        option, offsetof(struct submit_args, field), sizeof(((struct submit_args *)0)->field)                          \
    }
static const struct merge_row merge_rows[] = {
    ROW("name", name),
    ROW("max-fails", max_fails),
    ROW("cpus", cpus),
    ROW("nodes", nodes),
    ROW("time-request", time_request_ms),
    ROW("weight", weight_x10000),
    ROW("pin", pin),
    ROW("cpus-per-rank", mpi.cpus_per_rank),
    ROW("oversubscribe", mpi.oversubscribe),
    ROW("tag-output", mpi.tag_output),
    ROW("cwd", cwd),
    ROW("stdout", to_stdout),
    ROW("stderr", to_stderr),
    ROW("stream", stream),
    ROW("priority", priority),
    ROW("time-limit", time_limit_ms),
    ROW("crash-limit", crash_limit),
    ROW("task-dir", task_dir),
};
/* One unit: any of them on the command line puts those of the directives out of force. */
static const struct merge_row source_rows[] = {
    ROW("each-line", each_line),
    ROW("from-json", from_json),
    ROW("array", array),
};

/* The same: a number of ranks in total or per node. */
static const struct merge_row ranks_rows[] = {
    ROW("ranks-per-node", mpi.ranks_per_node),
    ROW("ranks", mpi.ranks),
};

static void
take_row(struct submit_args *args, uint64_t *given, const struct submit_args *dir, uint64_t dir_given,
         const struct merge_row *row)
{
    uint64_t bit = hq_opt_bit(submit_opts, SUBMIT_OPTS, row->name);
    if ((dir_given & bit) != 0 && (*given & bit) == 0) {
        memcpy((char *)args + row->at, (const char *)dir + row->at, row->bytes);
        *given |= bit;
    }
}

static void
take_unit(struct submit_args *args, uint64_t *given, const struct submit_args *dir, uint64_t dir_given,
          const struct merge_row *rows, size_t count)
{
    bool is_given = false;
    for (size_t ix = 0; ix < count; ix++) {
        is_given = is_given || submit_args_given(*given, rows[ix].name);
    }
    for (size_t ix = 0; ix < count && !is_given; ix++) {
        take_row(args, given, dir, dir_given, &rows[ix]);
    }
}

static void
take_mpi(struct submit_args *args, uint64_t *given, const struct submit_args *dir, uint64_t dir_given)
{
    uint64_t bit = hq_opt_bit(submit_opts, SUBMIT_OPTS, "mpi");
    if ((dir_given & bit) != 0 && (*given & bit) == 0) {
        args->mpi.is_on = true;
        args->mpi.wire_up = dir->mpi.wire_up;
        *given |= bit;
    }
}

static void
join_lists(struct submit_args *args, uint64_t *given, const struct submit_args *dir, uint64_t dir_given,
           struct hq_arena *arena)
{
    struct submit_entries *res = &args->resources;
    hq_arena_grow(arena, &res->v, &res->cap, res->count + dir->resources.count, sizeof *res->v);
    for (size_t ix = 0; ix < dir->resources.count; ix++) {
        res->v[res->count++] = dir->resources.v[ix];
    }
    /* The last one of a key counts: those of the command line go behind. */
    struct submit_env env = {0};
    hq_arena_grow(arena, &env.v, &env.cap, dir->env.count + args->env.count, sizeof *env.v);
    for (size_t ix = 0; ix < dir->env.count; ix++) {
        env.v[env.count++] = dir->env.v[ix];
    }
    for (size_t ix = 0; ix < args->env.count; ix++) {
        env.v[env.count++] = args->env.v[ix];
    }
    args->env = env;
    *given |=
        dir_given & (hq_opt_bit(submit_opts, SUBMIT_OPTS, "resource") | hq_opt_bit(submit_opts, SUBMIT_OPTS, "env"));
}

int
submit_args_merge(struct submit_args *args, uint64_t *given, const struct submit_args *dir, uint64_t dir_given,
                  struct hq_arena *arena, struct hq_err *err)
{
    take_unit(args, given, dir, dir_given, source_rows, HQ_ARRAY_LEN(source_rows));
    take_unit(args, given, dir, dir_given, ranks_rows, HQ_ARRAY_LEN(ranks_rows));
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(merge_rows); ix++) {
        take_row(args, given, dir, dir_given, &merge_rows[ix]);
    }
    take_mpi(args, given, dir, dir_given);
    join_lists(args, given, dir, dir_given, arena);
    static const char *const no_nodes[][2] = {{"cpus", "--cpus <CPUS>"}, {"pin", "--pin <PIN>"}};
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(no_nodes); ix++) {
        if (submit_args_given(*given, "nodes") && submit_args_given(*given, no_nodes[ix][0])) {
            return hq_err_set(err, -EINVAL, "the argument '--nodes <NODES>' cannot be used with '%s'", no_nodes[ix][1]);
        }
    }
    return 0;
}
