#include "hq/cmd_submit.h"

#include "common/fs.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/placeholder.h"
#include "hq/client.h"
#include "hq/desc_print.h"
#include "hq/job_fetch.h"
#include "hq/jobfile.h"
#include "hq/submit_build.h"
#include "hq/submit_mpi.h"
#include "hq/submit_send.h"

#include <stdlib.h>
#include <unistd.h>

#define FILE_BYTES_MAX (256u << 20) /* of a job file */
#define EQUAL_DESCS_FROM 1000u      /* from so many tasks on, equal descriptions are sent once */

#define AT(field) offsetof(struct submit_file_args, field)
const struct hq_opt submit_file_opts[SUBMIT_FILE_OPTS] = {
    {.name = "path",
     .hint = "PATH",
     .parse = hq_opt_str,
     .at = AT(path),
     .complete = HQ_COMPLETE_FILE,
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED | HQ_OPT_NONEMPTY,
     .help = "Job definition file: TOML, or YAML if its name ends with .yaml or .yml."},
    {.name = "job", .parse = hq_opt_id, .at = AT(job), .help = "Add the tasks to this open job."},
    {.name = "wait", .at = AT(wait), .conflicts = "progress", .help = "Wait until the job is completed."},
    {.name = "progress", .at = AT(progress), .help = "Show a progress bar until the job is completed."},
    {.name = "fail",
     .at = AT(fail),
     .help = "With --wait or --progress: exit with status 1 when tasks failed or were canceled."},
};

struct run {
    struct hq_cli *cli;
    const struct submit_file_args *args;
    bool is_job_given;
    struct hq_str submit_dir;
    struct hq_buf text;
    struct jobfile file;
    struct hq_buf stdin_data;
    struct submit_graph graph;
};

static int
read_file(struct run *r, struct hq_err *err)
{
    char *path = hq_arena_strz(&r->cli->arena, r->args->path);
    struct doc doc;
    int rc = hq_fs_read(&r->text, path, FILE_BYTES_MAX, err);
    if (rc < 0) {
        return hq_err_prefix(err, "Cannot read %s", path);
    }
    bool is_yaml = hq_str_ends(r->args->path, HQ_STR(".yaml")) || hq_str_ends(r->args->path, HQ_STR(".yml"));
    rc = is_yaml ? doc_parse_yaml(&doc, hq_buf_view(&r->text), &r->cli->arena, err)
                 : doc_parse_toml(&doc, hq_buf_view(&r->text), &r->cli->arena, err);
    if (rc < 0) {
        return hq_err_prefix(err, "Deserialization error");
    }
    return jobfile_read(&r->file, &doc, path, &r->cli->arena, err);
}

/* ---- checks that need the job */

static int
check_open_job(struct run *r, struct hq_err *err)
{
    if (!r->is_job_given || !(r->file.has_name || r->file.has_max_fails)) {
        return 0;
    }
    struct job_detail d; /* that there is no such job tells more */
    bool is_found;
    int rc = job_fetch_detail(r->cli, r->args->job, false, &d, &is_found, &r->cli->arena, err);
    if (rc == 0 && !is_found) {
        rc = hq_err_set(err, -ENOENT, "Job %u not found.", r->args->job);
    }
    if (rc < 0) {
        return rc;
    }
    if (r->file.has_name) {
        return hq_err_set(err, -EINVAL, "Parameter --name is not allowed when submitting to an open job.");
    }
    return hq_err_set(err, -EINVAL, "Parameter --max-fails is not allowed when submitting to an open job.");
}

/* Automatic ids go on behind those of the job, and dependencies may name its tasks. */
static int
check_graph(struct run *r, struct hq_err *err)
{
    struct hq_ranges known = HQ_RANGES_INIT;
    int rc = 0;
    if (r->is_job_given) {
        struct job_detail d;
        bool is_found;
        rc = job_fetch_detail(r->cli, r->args->job, false, &d, &is_found, &r->cli->arena, err);
        if (rc == 0 && !is_found) {
            rc = hq_err_set(err, -ENOENT, "Job %u not found.", r->args->job);
        } else if (rc == 0) {
            rc = selector_ranges_read(&known, d.answer->task_ids, err);
        }
    }
    if (rc == 0) {
        rc = jobfile_check_graph(&r->file, r->is_job_given ? &known : NULL, err);
    }
    hq_ranges_fini(&known);
    return rc;
}

/* ---- descriptions */

static Hq__TaskDesc *
make_desc(struct run *r, const struct jobfile_task *t)
{
    struct hq_arena *arena = &r->cli->arena;
    Hq__TaskDesc *d = hq_arena_alloc(arena, sizeof *d);
    bool is_twice;
    hq__task_desc__init(d);
    d->args = hq_arena_array(arena, t->command_count, sizeof *d->args);
    for (size_t ix = 0; ix < t->command_count; ix++) {
        d->args[d->n_args++] = desc_bytes(t->command[ix]);
    }
    submit_env_wire(d, &t->env, arena, &is_twice); /* the document has no key twice */
    d->cwd = desc_bytes(t->cwd);
    d->stdout = submit_stdio_wire(&t->to_stdout, t->has_stdout, r->file.has_stream, arena);
    d->stderr = submit_stdio_wire(&t->to_stderr, t->has_stderr, r->file.has_stream, arena);
    d->pin = (Hq__PinMode)t->pin;
    d->task_dir = t->task_dir;
    d->time_limit_ms = (uint64_t)t->time_limit_ms;
    d->priority = t->priority;
    d->crash_limit = t->crash_limit;
    d->request = submit_request_wire(&t->request, arena);
    d->mpi = submit_mpi_wire(&t->mpi, arena);
    d->has_stdin = t->stdin_text.len > 0;
    if (d->has_stdin && !r->file.is_array) {
        d->stdin_from = r->stdin_data.len;
        d->stdin_bytes = t->stdin_text.len;
    }
    hq_buf_str(&r->stdin_data, t->stdin_text);
    return d;
}

static void
warn_task(struct hq_strv *texts, const struct jobfile_task *t, struct hq_arena *arena)
{
    submit_warn_unknown(texts, t->to_stdout.path, HQ_PH_IN_STDIO, "stdout path", arena);
    submit_warn_unknown(texts, t->to_stderr.path, HQ_PH_IN_STDIO, "stderr path", arena);
    submit_warn_unknown(texts, t->cwd, HQ_PH_IN_CWD, "working directory path", arena);
}

/* The same text of many tasks is said once. */
static void
log_warnings(struct run *r)
{
    struct hq_strv texts = {0};
    submit_warn_unknown(&texts, r->file.stream, HQ_PH_IN_STREAM, "log path", &r->cli->arena);
    for (size_t ix = 0; ix < r->file.task_count; ix++) {
        size_t before = texts.count;
        warn_task(&texts, &r->file.tasks[ix], &r->cli->arena);
        for (size_t k = before; k < texts.count && before > 0; k++) {
            if (hq_str_eq(texts.v[k], texts.v[k - 1])) {
                texts.count = k;
            }
        }
    }
    for (size_t ix = 0; ix < texts.count; ix++) {
        hq_log_warn("%.*s", HQ_STR_FMT(texts.v[ix]));
    }
}

/* ---- graph */

struct packed_desc { /* to find equal ones */
    struct hq_str bytes;
    uint32_t ix;
};

static int
by_bytes(const void *pa, const void *pb)
{
    const struct packed_desc *a = pa;
    const struct packed_desc *b = pb;
    int c = hq_str_cmp(a->bytes, b->bytes);
    return c != 0 ? c : (a->ix > b->ix) - (a->ix < b->ix);
}

/* first_of[task] = the first task whose description is the same. */
static void
find_equal(struct run *r, Hq__TaskDesc *const *descs, size_t count, uint32_t *first_of)
{
    struct packed_desc *v = hq_xcalloc(count, sizeof *v);
    for (size_t ix = 0; ix < count; ix++) {
        size_t bytes = hq__task_desc__get_packed_size(descs[ix]);
        uint8_t *p = hq_arena_alloc(&r->cli->arena, bytes);
        hq__task_desc__pack(descs[ix], p);
        v[ix] = (struct packed_desc){.bytes = hq_str_make((const char *)p, bytes), .ix = (uint32_t)ix};
    }
    qsort(v, count, sizeof *v, by_bytes);
    for (size_t ix = 0; ix < count; ix++) {
        bool is_same = ix > 0 && hq_str_eq(v[ix].bytes, v[ix - 1].bytes);
        first_of[v[ix].ix] = is_same ? first_of[v[ix - 1].ix] : v[ix].ix;
    }
    free(v);
}

static void
make_graph(struct run *r)
{
    struct hq_arena *arena = &r->cli->arena;
    size_t count = r->file.task_count;
    struct submit_graph g = {.count = count};
    size_t edges = 0;
    Hq__TaskDesc **descs = hq_arena_array(arena, count, sizeof(Hq__TaskDesc *));
    uint32_t *first_of = hq_arena_array(arena, count, sizeof *first_of);
    for (size_t ix = 0; ix < count; ix++) {
        descs[ix] = make_desc(r, &r->file.tasks[ix]);
        first_of[ix] = (uint32_t)ix;
        edges += r->file.tasks[ix].dep_count;
    }
    if (count >= EQUAL_DESCS_FROM) {
        find_equal(r, descs, count, first_of);
    }
    g.descs = hq_arena_array(arena, count, sizeof(Hq__TaskDesc *));
    g.ids = hq_arena_array(arena, count, sizeof *g.ids);
    g.desc = hq_arena_array(arena, count, sizeof *g.desc);
    g.dep_count = hq_arena_array(arena, count, sizeof *g.dep_count);
    g.deps = hq_arena_array(arena, edges + 1, sizeof *g.deps);
    size_t at = 0;
    for (size_t ix = 0; ix < count; ix++) {
        const struct jobfile_task *t = &r->file.tasks[ix];
        bool is_first = first_of[ix] == ix;
        g.desc[ix] = is_first ? (uint32_t)g.desc_count : g.desc[first_of[ix]];
        if (is_first) {
            g.descs[g.desc_count++] = descs[ix];
        }
        g.ids[ix] = t->id;
        g.dep_count[ix] = (uint32_t)t->dep_count;
        for (size_t k = 0; k < t->dep_count; k++) {
            g.deps[at++] = t->deps[k];
        }
    }
    r->graph = g;
}

static int
check_tasks(const struct run *r, struct hq_err *err)
{
    for (size_t ix = 0; ix < r->file.task_count; ix++) {
        if (r->file.tasks[ix].dep_count > HQ_DEPS_PER_TASK_MAX) {
            return hq_err_set(err, -E2BIG, "Task %u has more than %u dependencies", r->file.tasks[ix].id,
                              HQ_DEPS_PER_TASK_MAX);
        }
    }
    return 0;
}

/* ---- the command */

static Hq__Submit *
make_head(struct run *r)
{
    struct hq_arena *arena = &r->cli->arena;
    Hq__SubmitPart *part = hq_arena_alloc(arena, sizeof *part);
    hq__submit_part__init(part);
    Hq__Submit *s = hq_arena_alloc(arena, sizeof *s);
    hq__submit__init(s);
    s->job = r->is_job_given ? r->args->job : 0;
    s->name = desc_bytes(r->file.has_name ? r->file.name : submit_default_name(r->file.tasks[0].command[0]));
    if (s->job == 0) {
        s->has_max_fails = r->file.has_max_fails;
        s->max_fails = r->file.max_fails;
    }
    s->submit_dir = desc_bytes(r->submit_dir);
    s->stream_dir = desc_bytes(r->file.stream);
    s->is_graph = !r->file.is_array;
    s->part = part;
    return s;
}

static int
send_file(struct run *r, uint32_t *ret_job, struct hq_err *err)
{
    struct submit_load load = {.head = make_head(r)};
    struct jobfile_task *first = &r->file.tasks[0];
    if (r->file.is_array) {
        Hq__SubmitPart *part = load.head->part;
        part->descs = hq_arena_array(&r->cli->arena, 1, sizeof(Hq__TaskDesc *));
        part->descs[0] = make_desc(r, first);
        part->n_descs = 1;
        if (first->has_entries) {
            first->entries.has_ids = first->has_ids;
            first->entries.ids = first->ids;
            first->ids = HQ_RANGES_INIT;
            load.entries = &first->entries;
        } else {
            part->ids = selector_ranges_wire(&first->ids, &r->cli->arena);
        }
    } else {
        make_graph(r);
        load.graph = &r->graph;
    }
    load.stdin_data = hq_buf_view(&r->stdin_data);
    if (load.stdin_data.len > HQ_STDIN_BYTES_MAX) {
        return hq_err_set(err, -E2BIG, "Standard input of all tasks is over %u bytes", HQ_STDIN_BYTES_MAX);
    }
    return submit_send(r->cli, &load, ret_job, err);
}

static int
run_all(struct run *r, uint32_t *ret_job, struct hq_err *err)
{
    int rc = client_prepare(r->cli, err);
    if (rc == 0) {
        rc = read_file(r, err);
    }
    if (rc == 0) {
        rc = check_open_job(r, err);
    }
    if (rc == 0 && !r->file.is_array) {
        rc = check_graph(r, err);
    }
    if (rc == 0) {
        rc = check_tasks(r, err);
    }
    if (rc == 0) {
        log_warnings(r);
        rc = send_file(r, ret_job, err);
    }
    return rc;
}

int
cmd_submit_file_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    HQ_AUTO(hq_mem_freep) char *dir = getcwd(NULL, 0);
    if (dir == NULL) {
        return hq_err_sys(err, -errno, "Cannot get the current directory");
    }
    struct run r = {.cli = cli, .args = p->args, .submit_dir = hq_str_from(dir)};
    r.is_job_given = hq_parsed_given(p, "job");
    uint32_t job = 0;
    int rc = run_all(&r, &job, err);
    jobfile_fini(&r.file);
    hq_buf_fini(&r.stdin_data);
    hq_buf_fini(&r.text);
    if (rc == 0) {
        job_print_submitted(&cli->out, job);
        rc = submit_wait(
            cli,
            &(struct submit_wait){
                .job = job, .is_waiting = r.args->wait, .with_progress = r.args->progress, .with_fail = r.args->fail},
            err);
    }
    return rc;
}
