#include "hq/progress.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/out_table.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_MS 100 /* at most that often; the last line always shows the final state */
#define LINE_MS 1000  /* where no terminal rewrites it: a file shall not grow by ten lines a second */

struct totals {
    struct hq_bar_counts tasks;
    uint64_t jobs;
    uint64_t jobs_done;
    uint64_t jobs_unfinished; /* with waiting or running tasks */
    uint64_t tasks_unfinished;
};

static struct totals
add_up(Hq__JobInfo *const *jobs, size_t count)
{
    struct totals t = {.jobs = count};
    for (size_t ix = 0; ix < count; ix++) {
        const Hq__JobCounts *c = jobs[ix]->counts;
        t.jobs_done += follow_is_completed(jobs[ix]);
        t.jobs_unfinished += !follow_is_terminated(jobs[ix]);
        if (c == NULL) {
            continue;
        }
        t.tasks.by_state[HQ_STATE_WAITING] += c->waiting;
        t.tasks.by_state[HQ_STATE_RUNNING] += c->running;
        t.tasks.by_state[HQ_STATE_FINISHED] += c->finished;
        t.tasks.by_state[HQ_STATE_FAILED] += c->failed;
        t.tasks.by_state[HQ_STATE_CANCELED] += c->canceled;
        t.tasks.by_state[HQ_STATE_ABORTED] += c->aborted;
        t.tasks.total += follow_task_count(jobs[ix]);
        t.tasks_unfinished += c->waiting + c->running;
    }
    return t;
}

void
progress_line(struct hq_buf *b, Hq__JobInfo *const *jobs, size_t count, enum progress_form form, bool with_color)
{
    static const enum hq_task_state order[] = {HQ_STATE_RUNNING, HQ_STATE_FINISHED, HQ_STATE_FAILED, HQ_STATE_CANCELED,
                                               HQ_STATE_ABORTED};
    struct totals t = add_up(jobs, count);
    bool is_old = form == PROGRESS_OLD;
    size_t states = HQ_ARRAY_LEN(order) - (is_old ? 1 : 0); /* the old form knew no ABORTED */
    uint64_t completed = t.tasks.by_state[HQ_STATE_FINISHED] + t.tasks.by_state[HQ_STATE_FAILED] +
                         t.tasks.by_state[HQ_STATE_CANCELED] + (is_old ? 0 : t.tasks.by_state[HQ_STATE_ABORTED]);
    bool has_one = false;
    hq_fmt_bar(b, &t.tasks, with_color);
    hq_buf_printf(b, " %llu/%llu jobs, %llu/%llu tasks ", (unsigned long long)t.jobs_done, (unsigned long long)t.jobs,
                  (unsigned long long)completed, (unsigned long long)t.tasks.total);
    for (size_t ix = 0; ix < states; ix++) {
        uint64_t n = t.tasks.by_state[order[ix]];
        if (n == 0) {
            continue;
        }
        hq_buf_cstr(b, is_old ? (has_one ? ", " : "(") : (has_one ? " " : ""));
        hq_buf_printf(b, "%llu ", (unsigned long long)n);
        hq_color_add(b, with_color, hq_state_count_color(order[ix]), hq_str_from(hq_state_word(order[ix])));
        has_one = true;
    }
    hq_buf_cstr(b, is_old && has_one ? ")" : "");
}

struct display {
    struct hq_out *out;
    enum progress_form form;
    bool is_tty;
    hq_ms drawn_at_ms;
    struct hq_buf line; /* drawn last */
};

/* A line that wraps could not be rewritten: what stands above the cursor's row stays for ever. The width is asked for each
 * time, so a window that was resized is right from the next change on. */
static void
fit(struct hq_buf *line, const struct display *d, const struct follow *f)
{
    struct winsize size = {0};
    if (!d->is_tty || ioctl(d->out->fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 ||
        hq_str_width(hq_buf_view(line)) <= size.ws_col) {
        return;
    }
    hq_buf_clear(line);
    progress_line(line, f->state->jobs, f->state->n_jobs, d->form, false); /* no colour is cut in two */
    line->len = HQ_MIN(line->len, (size_t)size.ws_col);
}

/* On a terminal one line is rewritten; elsewhere each change is a line of its own. Not more often than the pause
 * allows, unless is_forced. false: what is drawn is older than the state. */
static bool
draw(struct display *d, const struct follow *f, bool is_forced)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf line = HQ_BUF_INIT;
    progress_line(&line, f->state->jobs, f->state->n_jobs, d->form, d->out->with_color);
    fit(&line, d, f);
    if (hq_str_eq(hq_buf_view(&line), hq_buf_view(&d->line))) {
        return true;
    }
    hq_ms now_ms = hq_clock_ms();
    if (!is_forced && now_ms - d->drawn_at_ms < (d->is_tty ? REDRAW_MS : LINE_MS)) {
        return false;
    }
    d->drawn_at_ms = now_ms;
    hq_buf_clear(&d->line);
    hq_buf_str(&d->line, hq_buf_view(&line));
    hq_out_text(d->out, d->is_tty ? "\r\x1b[2K" : "");
    hq_out_str(d->out, hq_buf_view(&line));
    hq_out_text(d->out, d->is_tty ? "" : "\n");
    hq_out_flush(d->out);
    return true;
}

static void
log_start(const struct totals *t, enum progress_form form)
{
    uint64_t jobs = form == PROGRESS_OLD ? t->jobs_unfinished : t->jobs;
    uint64_t tasks = form == PROGRESS_SUBMITTED ? t->tasks.total : t->tasks_unfinished;
    hq_log_info("Waiting for %llu job%s with %llu task%s", (unsigned long long)jobs, jobs == 1 ? "" : "s",
                (unsigned long long)tasks, tasks == 1 ? "" : "s");
}

static bool
is_over(const struct follow *f)
{
    struct totals t = add_up(f->state->jobs, f->state->n_jobs);
    return t.jobs_done == t.jobs;
}

static int
show(struct hq_cli *cli, struct follow *f, enum progress_form form, struct hq_err *err)
{
    struct display d = {.out = &cli->out, .form = form, .is_tty = isatty(cli->out.fd)};
    bool is_drawn = draw(&d, f, true);
    int rc = 0;
    while (rc == 0 && !is_over(f) && cli->out.write_rc == 0) {
        rc = follow_next(f, is_drawn ? 0 : REDRAW_MS, err);
        if (rc < 0) {
            break;
        }
        is_drawn = draw(&d, f, is_over(f));
        if (!is_over(f)) {
            (void)poll(NULL, 0, REDRAW_MS); /* bounds the rate: what changes meanwhile is in the next answer */
        }
    }
    if (d.is_tty) {
        hq_out_text(&cli->out, "\n");
        hq_out_flush(&cli->out);
    }
    hq_buf_fini(&d.line);
    return rc;
}

int
progress_run(struct hq_cli *cli, const struct hq_selector *jobs, enum progress_form form, bool *ret_failed,
             bool *ret_canceled, struct hq_err *err)
{
    struct follow f;
    follow_init(&f, cli, jobs);
    int rc = follow_next(&f, 0, err);
    if (rc == 0) {
        struct totals t = add_up(f.state->jobs, f.state->n_jobs);
        if (t.jobs_unfinished == 0 && form != PROGRESS_SUBMITTED) {
            hq_log_warn("There are no jobs to wait for");
        } else {
            log_start(&t, form);
            rc = show(cli, &f, form, err);
        }
    }
    if (rc == 0) {
        struct totals t = add_up(f.state->jobs, f.state->n_jobs);
        if (ret_failed != NULL) {
            *ret_failed = t.tasks.by_state[HQ_STATE_FAILED] > 0;
        }
        if (ret_canceled != NULL) {
            *ret_canceled = t.tasks.by_state[HQ_STATE_CANCELED] > 0;
        }
    }
    follow_fini(&f);
    return rc;
}
