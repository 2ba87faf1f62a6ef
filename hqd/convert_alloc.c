#include "hqd/convert.h"

#include "common/limits.h"

#define ALLOC_WORDS_MAX 4096u       /* arguments of a queue */
#define ALLOC_TEXT_BYTES_MAX 65536u /* each of them, and commands */

static int
in_words(const ProtobufCBinaryData *from, size_t count, struct hq_arena *arena, const struct hq_str **ret,
         struct hq_err *err)
{
    if (count > ALLOC_WORDS_MAX) {
        return hq_err_set(err, -EINVAL, "A queue has more than %u arguments", ALLOC_WORDS_MAX);
    }
    struct hq_str *v = hq_arena_array(arena, count, sizeof *v);
    for (size_t i = 0; i < count; i++) {
        v[i] = conv_str(from[i]);
        if (v[i].len > ALLOC_TEXT_BYTES_MAX) {
            return hq_err_set(err, -EINVAL, "An argument of a queue is over %u bytes", ALLOC_TEXT_BYTES_MAX);
        }
    }
    *ret = v;
    return 0;
}

/* What would break the script or the directory: hq refuses it before, with the option's name. */
static int
check_texts(const struct alloc_params *p, struct hq_err *err)
{
    const struct hq_str cmds[] = {p->start_cmd, p->stop_cmd, p->wrap_cmd};
    for (size_t i = 0; i < HQ_ARRAY_LEN(cmds); i++) {
        if (cmds[i].len > ALLOC_TEXT_BYTES_MAX || hq_str_find_byte(cmds[i], '\0') >= 0) {
            return hq_err_set(err, -EINVAL, "A command of a queue is not a line of text");
        }
    }
    for (size_t i = 0; i < p->additional_arg_count; i++) {
        if (hq_str_find_byte(p->additional_args[i], '\n') >= 0 || hq_str_find_byte(p->additional_args[i], '\0') >= 0) {
            return hq_err_set(err, -EINVAL, "An argument of the batch system holds a newline");
        }
    }
    for (size_t i = 0; i < p->worker_arg_count; i++) {
        if (hq_str_find_byte(p->worker_args[i], '\0') >= 0) {
            return hq_err_set(err, -EINVAL, "An argument of the worker holds a zero byte");
        }
    }
    for (size_t i = 0; i < p->name.len; i++) {
        unsigned char c = (unsigned char)p->name.ptr[i];
        if (c <= ' ' || c == 127 || strchr("/\\\"'`$", c) != NULL) {
            return hq_err_set(err, -EINVAL,
                              "The name of a queue may not hold blanks, quotes, slashes or control characters");
        }
    }
    return p->name.len > 200 ? hq_err_set(err, -EINVAL, "The name of a queue is over 200 bytes") : 0;
}

int
conv_in_alloc_params(const Hq__AllocParams *m, struct hq_arena *arena, struct alloc_params *ret, struct hq_err *err)
{
    if (m == NULL || (m->manager != HQ__MANAGER__MANAGER_PBS && m->manager != HQ__MANAGER__MANAGER_SLURM)) {
        return hq_err_set(err, -EINVAL, "A queue belongs to PBS or Slurm");
    }
    struct alloc_params p = {.manager = (enum worker_manager)m->manager,
                             .time_limit_ms = conv_ms(m->time_limit_ms),
                             .idle_timeout_ms = conv_ms(m->idle_timeout_ms),
                             .worker_time_limit_ms = conv_ms(m->worker_time_limit_ms),
                             .lead_time_ms = conv_ms(m->lead_time_ms),
                             .backlog = m->backlog,
                             .max_workers_per_alloc = m->max_workers_per_alloc,
                             .max_worker_count = m->max_worker_count,
                             .min_utilization_x10000 = m->min_utilization,
                             .keep_warm = m->keep_warm,
                             .is_compact = m->is_compact != 0,
                             .name = conv_str(m->name),
                             .additional_arg_count = m->n_additional_args,
                             .worker_arg_count = m->n_worker_args,
                             .start_cmd = conv_str(m->worker_start_cmd),
                             .stop_cmd = conv_str(m->worker_stop_cmd),
                             .wrap_cmd = conv_str(m->worker_wrap_cmd),
                             .has_pools = m->pools != NULL};
    if (p.time_limit_ms == 0 || p.backlog == 0 || p.max_workers_per_alloc == 0 || p.min_utilization_x10000 > 10000) {
        return hq_err_set(err, -EINVAL, "A queue needs a time limit, a backlog and nodes, and a share below 1");
    }
    int rc = in_words(m->additional_args, m->n_additional_args, arena, &p.additional_args, err);
    if (rc == 0) {
        rc = in_words(m->worker_args, m->n_worker_args, arena, &p.worker_args, err);
    }
    if (rc == 0 && p.has_pools) {
        rc = conv_in_pools(m->pools, arena, &p.pools, err);
    }
    if (rc == 0) {
        rc = check_texts(&p, err);
    }
    if (rc == 0) {
        *ret = p;
    }
    return rc;
}

static ProtobufCBinaryData *
out_words(const struct hq_str *from, size_t count, struct hq_arena *arena)
{
    ProtobufCBinaryData *v = hq_arena_array(arena, count, sizeof *v);
    for (size_t i = 0; i < count; i++) {
        v[i] = conv_bytes(from[i]);
    }
    return v;
}

Hq__AllocParams *
conv_out_alloc_params(const struct alloc_params *p, struct hq_arena *arena)
{
    Hq__AllocParams *m = hq_arena_alloc(arena, sizeof *m);
    hq__alloc_params__init(m);
    m->manager = (Hq__Manager)p->manager;
    m->time_limit_ms = (uint64_t)p->time_limit_ms;
    m->backlog = p->backlog;
    m->max_workers_per_alloc = p->max_workers_per_alloc;
    m->max_worker_count = p->max_worker_count;
    m->name = conv_bytes(p->name);
    m->min_utilization = p->min_utilization_x10000;
    m->idle_timeout_ms = (uint64_t)p->idle_timeout_ms;
    m->n_additional_args = p->additional_arg_count;
    m->additional_args = out_words(p->additional_args, p->additional_arg_count, arena);
    m->n_worker_args = p->worker_arg_count;
    m->worker_args = out_words(p->worker_args, p->worker_arg_count, arena);
    m->worker_start_cmd = conv_bytes(p->start_cmd);
    m->worker_stop_cmd = conv_bytes(p->stop_cmd);
    m->worker_wrap_cmd = conv_bytes(p->wrap_cmd);
    m->pools = p->has_pools ? conv_out_pools(&p->pools, arena) : NULL;
    m->worker_time_limit_ms = (uint64_t)p->worker_time_limit_ms;
    m->lead_time_ms = (uint64_t)p->lead_time_ms;
    m->keep_warm = p->keep_warm;
    m->is_compact = p->is_compact;
    return m;
}

void
conv_in_allocation(const Hq__AllocationEvent *m, struct record_allocation *ret)
{
    *ret = (struct record_allocation){.queue = {m->queue},
                                      .number = m->number,
                                      .allocation_id = conv_str(m->allocation_id),
                                      .worker_count = m->worker_count,
                                      .work_dir = conv_str(m->work_dir),
                                      .is_failed = m->is_failed != 0,
                                      .text = conv_str(m->text),
                                      .started_ms = conv_ms(m->started_ms),
                                      .ended_ms = conv_ms(m->ended_ms)};
}

Hq__AllocationEvent *
conv_out_allocation(const struct record_allocation *a, struct hq_arena *arena)
{
    Hq__AllocationEvent *m = hq_arena_alloc(arena, sizeof *m);
    hq__allocation_event__init(m);
    m->queue = a->queue.v;
    m->number = a->number;
    m->allocation_id = conv_bytes(a->allocation_id);
    m->worker_count = a->worker_count;
    m->work_dir = conv_bytes(a->work_dir);
    m->is_failed = a->is_failed;
    m->text = conv_bytes(a->text);
    m->started_ms = (uint64_t)a->started_ms;
    m->ended_ms = (uint64_t)a->ended_ms;
    return m;
}
