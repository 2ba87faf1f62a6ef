#include "hq/cmd_alloc.h"

#include "common/fs.h"
#include "common/log.h"
#include "hq/alloc_print.h"
#include "hq/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRIAL_WAIT_MS 280000 /* a batch system may take its two minutes for the submission and for the cancel */
#define IDLE_MS_WARN 600000

static const char *const filter_words[] = {"queued", "running", "finished", "failed", NULL};
static const char *const channel_words[] = {"stdout", "stderr", NULL};

static int
parse_filter(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    int ix;
    int rc = hq_opt_word(opt, value, &ix, arena, err);
    if (rc == 0) {
        *(int *)target = ix + 1;
    }
    return rc;
}

#define Q(field) offsetof(struct alloc_queue_args, field)
#define QUEUE_ROW(NAME, FLAGS)                                                                                         \
    {                                                                                                                  \
        .name = (NAME), .parse = hq_opt_id, .at = Q(queue), .flags = HQ_OPT_POSITIONAL | (FLAGS),                      \
        .help = "Allocation queue."                                                                                    \
    }
const struct hq_opt alloc_queue_opts[ALLOC_QUEUE_OPTS] = {QUEUE_ROW("QUEUE_ID", HQ_OPT_REQUIRED)};
const struct hq_opt alloc_info_opts[ALLOC_INFO_OPTS] = {
    QUEUE_ROW("QUEUE", HQ_OPT_REQUIRED),
    {.name = "filter",
     .parse = parse_filter,
     .at = Q(filter),
     .values = filter_words,
     .help = "Only allocations in this state."},
};
const struct hq_opt alloc_remove_opts[ALLOC_REMOVE_OPTS] = {
    QUEUE_ROW("QUEUE_ID", HQ_OPT_REQUIRED),
    {.name = "force", .at = Q(is_forced), .help = "Also with running allocations: they are cancelled."},
};
const struct hq_opt alloc_status_opts[ALLOC_STATUS_OPTS] = {QUEUE_ROW("QUEUE", 0)};
const struct hq_opt alloc_log_opts[ALLOC_LOG_OPTS] = {
    {.name = "ALLOCATION",
     .parse = hq_opt_str,
     .at = offsetof(struct alloc_log_args, allocation),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "ID that the batch system gave."},
    {.name = "CHANNEL",
     .parse = hq_opt_word,
     .at = offsetof(struct alloc_log_args, channel),
     .values = channel_words,
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "Which of its outputs."},
};

static struct hq_str
text_of(ProtobufCBinaryData d)
{
    return hq_str_make((const char *)d.data, d.len);
}

/* ---- add, dry-run */
int
cmd_alloc_add_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct alloc_add_args *args = p->args;
    enum alloc_add_kind kind = (enum alloc_add_kind)p->cmd->kind;
    bool is_trial_only = kind == ALLOC_TRIAL_PBS || kind == ALLOC_TRIAL_SLURM;
    Hq__AllocParams params;
    int rc = alloc_build(&params, args, kind == ALLOC_ADD_PBS || kind == ALLOC_TRIAL_PBS, &cli->arena, err);
    if (rc == 0) {
        rc = client_prepare(cli, err);
    }
    if (rc < 0) {
        return rc;
    }
    if (args->idle_timeout_ms > IDLE_MS_WARN) {
        hq_log_warn(
            "You have set an idle timeout longer than 10 minutes. This can result in wasted allocation duration.");
    }
    if (args->cpus.text.len == 0 && args->resources.count == 0) {
        hq_log_warn("No worker resources were provided for this queue. Before the first worker connects from an "
                    "allocation submitted by this queue, the queue will operate in probing mode.");
    }
    Hq__AllocAdd req = HQ__ALLOC_ADD__INIT;
    req.params = &params;
    req.is_trial_only = is_trial_only;
    req.with_trial = !is_trial_only && !args->no_dry_run;
    bool has_trial = is_trial_only || req.with_trial;
    struct client_query q = {.type = HQ__MESSAGE_TYPE__TYPE_ALLOC_ADD,
                             .request = &req.base,
                             .answer_type = HQ__MESSAGE_TYPE__TYPE_ALLOC_ADDED,
                             .answer = &hq__alloc_added__descriptor,
                             .wait_ms = has_trial ? TRIAL_WAIT_MS : 0,
                             .is_plain_error = !is_trial_only};
    ProtobufCMessage *msg = NULL;
    rc = client_call(cli, &q, &msg, err);
    if (rc == -EREMOTEIO && req.with_trial) {
        hq_log_error("Dry-run (test allocation submission) has failed");
    }
    if (rc < 0) {
        return rc;
    }
    if (has_trial) {
        hq_log_info("A trial allocation was submitted successfully. It was immediately canceled to avoid wasting "
                    "resources.");
    }
    if (!is_trial_only) {
        hq_log_info("Allocation queue %u successfully created", ((const Hq__AllocAdded *)(const void *)msg)->queue);
    }
    return 0;
}

/* ---- pause, resume, remove */
static int
change(struct hq_cli *cli, uint16_t type, const ProtobufCMessage *req, uint32_t queue, const char *done,
       struct hq_err *err)
{
    struct client_query q = {.type = type, .request = req, .answer_type = HQ__MESSAGE_TYPE__TYPE_DONE};
    int rc = client_call(cli, &q, NULL, err);
    if (rc == 0) {
        hq_log_info("Allocation queue %u successfully %s", queue, done);
    }
    return rc;
}

static int
set_paused(struct hq_cli *cli, const struct hq_parsed *p, bool is_pause, struct hq_err *err)
{
    const struct alloc_queue_args *args = p->args;
    Hq__AllocPause req = HQ__ALLOC_PAUSE__INIT;
    req.queue = args->queue;
    req.is_pause = is_pause;
    return change(cli, HQ__MESSAGE_TYPE__TYPE_ALLOC_PAUSE, &req.base, args->queue, is_pause ? "paused" : "resumed",
                  err);
}

int
cmd_alloc_pause_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    return set_paused(cli, p, true, err);
}

int
cmd_alloc_resume_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    return set_paused(cli, p, false, err);
}

int
cmd_alloc_remove_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct alloc_queue_args *args = p->args;
    Hq__AllocRemove req = HQ__ALLOC_REMOVE__INIT;
    req.queue = args->queue;
    req.is_forced = args->is_forced;
    return change(cli, HQ__MESSAGE_TYPE__TYPE_ALLOC_REMOVE, &req.base, args->queue, "removed", err);
}

/* ---- list, info */
static int
get_queues(struct hq_cli *cli, Hq__AllocList *req, struct alloc_pages *ret, struct hq_err *err)
{
    struct client_query q = {.type = HQ__MESSAGE_TYPE__TYPE_ALLOC_LIST,
                             .request = &req->base,
                             .answer_type = HQ__MESSAGE_TYPE__TYPE_ALLOC_LIST_ANSWER,
                             .answer = &hq__alloc_list_answer__descriptor};
    for (;;) {
        ProtobufCMessage *msg = NULL;
        int rc = client_call(cli, &q, &msg, err);
        if (rc < 0) {
            return rc;
        }
        const Hq__AllocListAnswer *a = (const Hq__AllocListAnswer *)(const void *)msg;
        ret->first = ret->first == NULL ? a : ret->first;
        const Hq__AllocQueueInfo *queue = a->n_queues == 1 ? a->queues[0] : NULL;
        size_t more = queue == NULL ? 0 : queue->n_allocations;
        hq_arena_grow(&cli->arena, &ret->allocs, &ret->cap, ret->count + more + 1, sizeof *ret->allocs);
        for (size_t i = 0; i < more; i++) {
            ret->allocs[ret->count++] = queue->allocations[i];
        }
        if (!a->has_more || more == 0) {
            return 0;
        }
        req->after_number = ret->allocs[ret->count - 1]->number;
    }
}

int
cmd_alloc_list_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    Hq__AllocList req = HQ__ALLOC_LIST__INIT;
    struct alloc_pages w = {0};
    (void)p; /* no options */
    int rc = get_queues(cli, &req, &w, err);
    if (rc < 0) {
        return rc;
    }
    alloc_print_list(&w, cli);
    return 0;
}

static int
cmp_alloc(const void *pa, const void *pb)
{
    const Hq__AllocationInfo *a = *(Hq__AllocationInfo *const *)pa;
    const Hq__AllocationInfo *b = *(Hq__AllocationInfo *const *)pb;
    return hq_str_cmp(text_of(a->allocation_id), text_of(b->allocation_id));
}

static void
filter(struct alloc_pages *w, int wanted)
{
    size_t n = 0;
    for (size_t i = 0; i < w->count; i++) {
        if (wanted == 0 || strcmp(alloc_state_word(w->allocs[i]), filter_words[wanted - 1]) == 0) {
            w->allocs[n++] = w->allocs[i];
        }
    }
    w->count = n;
    qsort(w->allocs, n, sizeof *w->allocs, cmp_alloc);
}

int
cmd_alloc_info_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct alloc_queue_args *args = p->args;
    Hq__AllocList req = HQ__ALLOC_LIST__INIT;
    struct alloc_pages w = {0};
    req.queue = args->queue;
    int rc = args->queue == 0 ? client_prepare(cli, err) : get_queues(cli, &req, &w, err);
    if (rc < 0) {
        return rc;
    }
    if (w.first == NULL || w.first->n_queues == 0) {
        return hq_err_set(err, -ENOENT, "Error: Queue %u not found", args->queue);
    }
    filter(&w, args->filter);
    alloc_print_info(&w, cli);
    return 0;
}

/* ---- log */
static int
copy_file(struct hq_cli *cli, const char *path, struct hq_err *err)
{
    HQ_AUTO(hq_fs_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        hq_log_warn("File at `%s` cannot be opened: Os { code: %d, kind: %s, message: \"%s\" }", path, errno,
                    errno == ENOENT   ? "NotFound"
                    : errno == EACCES ? "PermissionDenied"
                                      : "Other",
                    strerror(errno));
        return 0;
    }
    for (;;) {
        char bytes[65536];
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n <= 0) {
            return n == 0 ? 0 : hq_err_sys(err, -errno, "File at `%s` cannot be read", path);
        }
        hq_out_str(&cli->out, hq_str_make(bytes, (size_t)n));
        hq_out_flush(&cli->out);
    }
}

int
cmd_alloc_log_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct alloc_log_args *args = p->args;
    Hq__AllocList req = HQ__ALLOC_LIST__INIT;
    struct alloc_pages w = {0};
    int rc = 0;
    req.allocation_id =
        (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)args->allocation.ptr, .len = args->allocation.len};
    if (args->allocation.len > 0) {
        rc = get_queues(cli, &req, &w, err);
    }
    if (rc < 0) {
        return rc;
    }
    if (w.count == 0) {
        return hq_err_set(err, -ENOENT, "Error: Allocation %.*s not found", HQ_STR_FMT(args->allocation));
    }
    struct hq_str dir = text_of(w.allocs[w.count - 1]->work_dir);
    const char *path = hq_arena_printf(&cli->arena, "%.*s/%s", HQ_STR_FMT(dir), channel_words[args->channel]);
    switch (cli->out.mode) {
    case HQ_OUT_CLI:
        hq_log_info("Outputting allocation path at %s", path);
        return copy_file(cli, path, err);
    case HQ_OUT_JSON:
        return hq_err_set(err, -EOPNOTSUPP, "JSON output mode doesn't support allocation output");
    case HQ_OUT_QUIET:
        break;
    }
    return 0;
}
