#include "hq/cmd_submit.h"

#include "common/fs.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"
#include "hq/client.h"
#include "hq/cmd_wait.h"
#include "hq/directive.h"
#include "hq/job_print.h"
#include "hq/progress.h"
#include "hq/submit_build.h"
#include "hq/submit_send.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define LARGE_LINES_BYTES (100u << 20) /* --each-line of a larger file: a WARN */

struct submit { /* one run of the command */
    struct hq_cli *cli;
    struct submit_args *args;
    uint64_t given;
    struct hq_strv command; /* shebang words in front */
    struct hq_buf stdin_data;
    struct entries entries;
    bool has_entries;
};

static void
submit_fini(struct submit *s)
{
    hq_buf_fini(&s->stdin_data);
    entries_fini(&s->entries);
}

/* ---- standard input and directives */

static int
read_stdin(struct submit *s, struct hq_err *err)
{
    if (!s->args->with_stdin) {
        return 0;
    }
    if (isatty(STDIN_FILENO)) {
        static const char hint[] = "Reading data from stdin. In the interactive mode press Ctrl-D to submit.\n";
        (void)!hq_fs_write_all(STDERR_FILENO, hint, sizeof hint - 1); /* only a hint */
    }
    int rc = hq_fs_read_fd(&s->stdin_data, STDIN_FILENO, HQ_STDIN_BYTES_MAX, err);
    return rc < 0 ? hq_err_prefix(err, "Cannot read stdin") : 0;
}

/* The first DIRECTIVE_BYTES_MAX of a file. */
static int
read_head(struct hq_buf *ret, struct hq_str name, struct hq_err *err)
{
    HQ_AUTO(hq_mem_freep) char *path = hq_str_dupz(name);
    HQ_AUTO(hq_fs_closep) int fd = hq_fs_open(path, O_RDONLY, 0, err);
    if (fd < 0) {
        return fd;
    }
    hq_buf_reserve(ret, DIRECTIVE_BYTES_MAX);
    while (ret->len < DIRECTIVE_BYTES_MAX) {
        ssize_t got = read(fd, ret->ptr + ret->len, DIRECTIVE_BYTES_MAX - ret->len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            int code = -errno;
            return hq_err_set(err, code, "%s", hq_err_os(code));
        }
        if (got == 0) {
            break;
        }
        ret->len += (size_t)got;
    }
    return 0;
}

static int
apply_directives(struct submit *s, struct hq_str text, bool with_shebang, struct hq_err *err)
{
    struct directives d;
    int rc = directive_scan(&d, text, &s->cli->arena, err);
    if (rc < 0) {
        return rc;
    }
    struct submit_args from = {0};
    uint64_t given = 0;
    HQ_AUTO(hq_buf_fini) struct hq_buf said = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf hints = HQ_BUF_INIT;
    if (!hq_optab_parse_directives(submit_opts, SUBMIT_OPTS, d.words.v, d.words.count, &from, &s->cli->arena, &given,
                                   &said, &hints)) {
        return hq_err_set(err, -EINVAL, "You have used invalid parameter(s) after a #HQ directive.\n%s", said.ptr);
    }
    struct hq_str rest = hq_buf_view(&hints);
    for (struct hq_str line; rest.len > 0;) {
        (void)hq_str_split(&rest, '\n', &line); /* each ends with a newline */
        hq_log_info("%.*s", HQ_STR_FMT(line));
    }
    if (with_shebang && d.shebang.count > 0) {
        struct hq_strv whole = {0};
        size_t count = d.shebang.count + s->command.count;
        hq_arena_grow(&s->cli->arena, &whole.v, &whole.cap, count, sizeof *whole.v);
        for (size_t ix = 0; ix < count; ix++) {
            whole.v[whole.count++] = ix < d.shebang.count ? d.shebang.v[ix] : s->command.v[ix - d.shebang.count];
        }
        s->command = whole;
    }
    return submit_args_merge(s->args, &s->given, &from, given, &s->cli->arena, err);
}

static int
read_directives(struct submit *s, struct hq_err *err)
{
    struct hq_str program = s->args->command.v[0];
    if (s->args->directives == SUBMIT_DIRECTIVES_STDIN) {
        if (!s->args->with_stdin) {
            return hq_err_set(err, -EINVAL, "You have to use `--stdin` when you specify `--directives=stdin`.");
        }
        return apply_directives(s, hq_buf_view(&s->stdin_data), false, err);
    }
    bool is_script = hq_str_ends(program, HQ_STR(".sh"));
    if (s->args->directives == SUBMIT_DIRECTIVES_OFF || (s->args->directives == SUBMIT_DIRECTIVES_AUTO && !is_script)) {
        return 0;
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    int rc = read_head(&text, program, err);
    if (rc == 0) {
        rc = apply_directives(s, hq_buf_view(&text), !s->args->with_stdin, err);
    }
    return rc < 0 ? hq_err_prefix(err, "Could not parse directives from %.*s", HQ_STR_FMT(program)) : 0;
}

/* ---- sources of tasks */

static int
read_entries(struct submit *s, struct hq_err *err)
{
    const struct submit_args *a = s->args;
    bool by_line = submit_args_given(s->given, "each-line");
    if (!by_line && !submit_args_given(s->given, "from-json")) {
        return 0;
    }
    s->has_entries = true;
    char *path = hq_arena_strz(&s->cli->arena, by_line ? a->each_line : a->from_json);
    const struct hq_ranges *only = submit_args_given(s->given, "array") ? &a->array : NULL;
    hq_log_info("Reading %sfile: %s", by_line ? "" : "json ", path);
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    int rc = hq_fs_read(&text, path, HQ_UPLOAD_BYTES_MAX, err);
    if (rc < 0) {
        return hq_err_prefix(err, "%s", path);
    }
    if (by_line && text.len > LARGE_LINES_BYTES) {
        hq_log_warn("The file %s has %zu bytes; its lines are kept by the server until the job is forgotten", path,
                    text.len);
    }
    if (!by_line) {
        return entries_from_json(&s->entries, hq_buf_view(&text), path, only, err);
    }
    rc = entries_from_lines(&s->entries, &text, only, err);
    return rc < 0 ? hq_err_prefix(err, "%s", path) : 0;
}

static void
log_warnings(const struct submit_input *in, uint64_t task_count, struct hq_arena *arena)
{
    struct hq_strv texts = {0};
    submit_warnings(&texts, in, task_count, arena);
    for (size_t ix = 0; ix < texts.count; ix++) {
        struct hq_str rest = texts.v[ix];
        struct hq_str line;
        (void)hq_str_split(&rest, '\n', &line); /* most have one line only */
        hq_log_warn("%.*s", HQ_STR_FMT(line));
        if (rest.len > 0 && hq_log_on(HQ_LOG_WARN)) {
            (void)dprintf(STDERR_FILENO, "%.*s\n", HQ_STR_FMT(rest)); /* advice: nothing depends on it */
        }
    }
}

static uint64_t
count_tasks(const struct submit *s)
{
    if (s->has_entries) {
        return s->entries.count;
    }
    return submit_args_given(s->given, "array") ? hq_ranges_size(&s->args->array) : 1;
}

/* ---- the command */

int
submit_wait(struct hq_cli *cli, const struct submit_wait *w, struct hq_err *err)
{
    if (!w->is_waiting && !w->with_progress) {
        return 0;
    }
    hq_out_flush(&cli->out);
    struct hq_selector jobs = {.kind = HQ_SELECT_RANGES, .ids = HQ_RANGES_INIT};
    hq_ranges_add(&jobs.ids, w->job, 1, 1);
    int rc;
    if (w->notify != NULL) { /* the job is completed then, but for a broken connection: what follows knows */
        notify_follow(w->notify, w->job, w->with_progress);
    }
    if (w->is_waiting || w->notify != NULL) {
        rc = wait_for_jobs(cli, &jobs, false, w->with_fail, err);
    } else {
        bool has_failed = false;
        bool has_canceled = false;
        rc = progress_run(cli, &jobs, PROGRESS_SUBMITTED, &has_failed, &has_canceled, err);
        if (rc == 0 && w->with_fail && (has_failed || has_canceled)) {
            rc = hq_err_set(err, -ECANCELED, "Some jobs have failed or have been canceled");
        }
    }
    hq_ranges_fini(&jobs.ids);
    return rc;
}

static int
make_and_send(struct submit *s, struct hq_str submit_dir, uint32_t *ret_job, struct hq_err *err)
{
    struct submit_input in = {
        .args = s->args,
        .given = s->given,
        .submit_dir = submit_dir,
        .command = s->command.v,
        .command_count = s->command.count,
        .has_stdin = s->stdin_data.len > 0,
    };
    Hq__Submit *head = NULL;
    int rc = submit_check(&in, &s->cli->arena, err);
    if (rc == 0) {
        rc = read_entries(s, err);
    }
    in.has_entries = s->has_entries;
    if (rc == 0) {
        rc = submit_build(&head, &in, &s->cli->arena, err);
    }
    if (rc < 0) {
        return rc;
    }
    log_warnings(&in, count_tasks(s), &s->cli->arena);
    struct submit_load load = {
        .head = head,
        .entries = s->has_entries ? &s->entries : NULL,
        .stdin_data = hq_buf_view(&s->stdin_data),
    };
    return submit_send(s->cli, &load, ret_job, err);
}

static int
run(struct submit *s, struct hq_err *err)
{
    HQ_AUTO(hq_mem_freep) char *dir = getcwd(NULL, 0);
    if (dir == NULL) {
        return hq_err_sys(err, -errno, "Cannot get the current directory");
    }
    int rc = client_prepare(s->cli, err);
    if (rc == 0) {
        rc = read_stdin(s, err);
    }
    if (rc == 0) {
        rc = read_directives(s, err);
    }
    uint32_t job = 0;
    struct notify notify;
    bool has_notify = submit_args_given(s->given, "on-notify") && (s->args->wait || s->args->progress);
    if (rc == 0 && has_notify) {
        rc = notify_begin(&notify, s->cli, s->args->on_notify, err);
    }
    if (rc == 0) {
        rc = make_and_send(s, hq_str_from(dir), &job, err);
    }
    if (rc == 0) {
        job_print_submitted(&s->cli->out, job);
        rc = submit_wait(s->cli,
                         &(struct submit_wait){.job = job,
                                               .is_waiting = s->args->wait,
                                               .with_progress = s->args->progress,
                                               .with_fail = s->args->fail,
                                               .notify = has_notify ? &notify : NULL},
                         err);
    }
    return rc;
}

int
cmd_submit_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    struct submit_args *args = p->args;
    struct submit s = {.cli = cli, .args = args, .given = p->given, .command = args->command};
    int rc = run(&s, err);
    submit_fini(&s);
    return rc;
}
