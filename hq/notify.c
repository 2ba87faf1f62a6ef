#include "hq/notify.h"

#include "common/log.h"
#include "common/mem.h"
#include "hq/client.h"
#include "hq/desc_print.h"
#include "hq/follow.h"
#include "hq/progress.h"

#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLLOW_WAIT_MS 30000 /* hqd answers earlier when there is news */

/* ---- the command */

struct splitter {
    struct hq_str text;
    size_t at;
    struct hq_buf word;
    bool has_word;
};

/* Up to the closing quote; false without one. Inside "..." a backslash protects only $ ` " \ and a newline. */
static bool
split_quoted(struct splitter *s, char quote)
{
    for (s->at++; s->at < s->text.len; s->at++) {
        char c = s->text.ptr[s->at];
        if (c == quote) {
            return true;
        }
        if (c == '\\' && quote == '"' && s->at + 1 < s->text.len &&
            strchr("$`\"\\\n", s->text.ptr[s->at + 1]) != NULL) {
            s->at++;
            c = s->text.ptr[s->at];
            if (c == '\n') {
                continue;
            }
        }
        hq_buf_byte(&s->word, c);
    }
    return false;
}

static void
split_end_word(struct splitter *s, struct hq_strv *words, struct hq_arena *arena)
{
    if (s->has_word) {
        hq_arena_grow(arena, &words->v, &words->cap, words->count + 1, sizeof *words->v);
        words->v[words->count++] = hq_arena_str(arena, hq_buf_view(&s->word));
        hq_buf_clear(&s->word);
        s->has_word = false;
    }
}

static bool
split_all(struct splitter *s, struct hq_strv *words, struct hq_arena *arena)
{
    for (; s->at < s->text.len; s->at++) {
        char c = s->text.ptr[s->at];
        if (c == ' ' || c == '\t' || c == '\n') {
            split_end_word(s, words, arena);
            continue;
        }
        s->has_word = true;
        if (c == '\'' || c == '"') {
            if (!split_quoted(s, c)) {
                return false;
            }
        } else if (c == '\\') {
            if (s->at + 1 >= s->text.len) {
                return false;
            }
            hq_buf_byte(&s->word, s->text.ptr[++s->at]);
        } else {
            hq_buf_byte(&s->word, c);
        }
    }
    split_end_word(s, words, arena);
    return true;
}

void
notify_split(struct hq_strv *ret, struct hq_str text, struct hq_arena *arena)
{
    struct splitter s = {.text = text};
    *ret = (struct hq_strv){0};
    if (!split_all(&s, ret, arena) || ret->count == 0) {
        *ret = (struct hq_strv){0};
        hq_arena_grow(arena, &ret->v, &ret->cap, 1, sizeof *ret->v);
        ret->v[ret->count++] = text;
    }
    hq_buf_fini(&s.word);
}

/* ---- one callback */

static void
log_callback(const struct notify *n, const Hq__TaskNotified *m)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf line = HQ_BUF_INIT;
    hq_buf_str(&line, n->words.v[0]);
    hq_buf_cstr(&line, " [");
    for (size_t ix = 1; ix < n->words.count; ix++) {
        hq_buf_cstr(&line, ix > 1 ? ", " : "");
        hq_json_quote(&line, n->words.v[ix]);
    }
    hq_buf_printf(&line, "]: TaskNotification { task_id: %u@%u, worker_id: %u, message: ", m->job, m->task, m->worker);
    hq_json_quote(&line, desc_str(m->message));
    hq_buf_cstr(&line, " }");
    hq_log_info("Running on_notify callback: %s", line.ptr);
}

/* The client's environment, ours in front: the first one of a name counts for most programs, so others are left out. */
static char **
make_env(const struct hq_cli *cli, const Hq__TaskNotified *m, struct hq_arena *arena)
{
    static const char *const names[] = {"HQ_JOB_ID=", "HQ_TASK_ID=", "HQ_WORKER_ID="};
    const uint32_t values[] = {m->job, m->task, m->worker};
    size_t count = 0;
    while (cli->envp[count] != NULL) {
        count++;
    }
    char **env = hq_arena_array(arena, count + HQ_ARRAY_LEN(names) + 1, sizeof *env);
    size_t at = 0;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(names); ix++) {
        env[at++] = hq_arena_printf(arena, "%s%u", names[ix], values[ix]);
    }
    for (size_t ix = 0; ix < count; ix++) {
        bool is_ours = false;
        for (size_t k = 0; k < HQ_ARRAY_LEN(names); k++) {
            is_ours = is_ours || strncmp(cli->envp[ix], names[k], strlen(names[k])) == 0;
        }
        if (!is_ours) {
            env[at++] = cli->envp[ix];
        }
    }
    return env;
}

static void
log_end(int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        hq_log_warn("on_notify callback finished with exit code: exit status: %d", WEXITSTATUS(status));
    } else if (WIFSIGNALED(status)) {
        hq_log_warn("on_notify callback finished with exit code: signal: %d", WTERMSIG(status));
    }
}

static void
run_callback(struct notify *n, const Hq__TaskNotified *m)
{
    struct hq_arena arena;
    hq_arena_init(&arena, 0);
    char **argv = hq_arena_array(&arena, n->words.count + 2, sizeof *argv);
    for (size_t ix = 0; ix < n->words.count; ix++) {
        argv[ix] = hq_arena_strz(&arena, n->words.v[ix]);
    }
    argv[n->words.count] = hq_arena_strz(&arena, desc_str(m->message));
    log_callback(n, m);
    hq_out_flush(&n->cli->out);
    pid_t pid;
    int rc = posix_spawnp(&pid, argv[0], NULL, NULL, argv, make_env(n->cli, m, &arena));
    if (rc != 0) {
        hq_log_warn("Failed to run on_notify callback: %s", hq_err_os(rc));
    } else {
        int status = 0;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        log_end(status);
    }
    hq_arena_fini(&arena);
}

/* ---- following */

static int
ask(struct notify *n, uint32_t wait_ms, struct hq_arena *arena, const Hq__FollowAnswer **ret, struct hq_err *err)
{
    Hq__Follow req = HQ__FOLLOW__INIT;
    ProtobufCMessage *msg = NULL;
    req.after_seq = n->after_seq;
    req.wait_ms = wait_ms;
    int rc = client_call(n->cli,
                         &(struct client_query){.type = HQ__MESSAGE_TYPE__TYPE_FOLLOW,
                                                .request = &req.base,
                                                .answer_type = HQ__MESSAGE_TYPE__TYPE_FOLLOW_ANSWER,
                                                .answer = &hq__follow_answer__descriptor,
                                                .wait_ms = wait_ms,
                                                .arena = arena},
                         &msg, err);
    if (rc == 0) {
        *ret = (const Hq__FollowAnswer *)(const void *)msg;
        n->after_seq = (*ret)->last_seq;
    }
    return rc;
}

/* hqd hands events out from the first question of a session on: that one is asked here. */
int
notify_begin(struct notify *n, struct hq_cli *cli, struct hq_str command, struct hq_err *err)
{
    *n = (struct notify){.cli = cli};
    notify_split(&n->words, command, &cli->arena);
    ProtobufCMessage *msg = NULL;
    int rc = client_call(cli,
                         &(struct client_query){.type = HQ__MESSAGE_TYPE__TYPE_SERVER_INFO,
                                                .answer_type = HQ__MESSAGE_TYPE__TYPE_SERVER_INFO_ANSWER,
                                                .answer = &hq__server_info_answer__descriptor},
                         &msg, err);
    if (rc < 0) {
        return rc;
    }
    const Hq__FollowAnswer *unused;
    n->after_seq = ((const Hq__ServerInfoAnswer *)(const void *)msg)->newest_record;
    return ask(n, 0, &cli->arena, &unused, err);
}

struct bar { /* drawn after each answer */
    struct follow follow;
    struct hq_buf drawn;
};

static void
draw(struct bar *b, struct hq_cli *cli)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf line = HQ_BUF_INIT;
    struct hq_err unused;
    b->follow.version = 0; /* answered at once */
    if (follow_next(&b->follow, 0, &unused) < 0) {
        return; /* the wait that follows says so */
    }
    progress_line(&line, b->follow.state->jobs, b->follow.state->n_jobs, PROGRESS_NOW, cli->out.with_color);
    if (!hq_str_eq(hq_buf_view(&line), hq_buf_view(&b->drawn))) {
        bool is_tty = isatty(cli->out.fd);
        hq_out_printf(&cli->out, "%s%s%s", is_tty ? "\r\x1b[2K" : "", line.ptr, is_tty ? "" : "\n");
        hq_out_flush(&cli->out);
        hq_buf_clear(&b->drawn);
        hq_buf_str(&b->drawn, hq_buf_view(&line));
    }
}

/* true: the job is completed. Messages of its last turn may stand behind that record. */
static bool
take_records(struct notify *n, const Hq__FollowAnswer *a, uint32_t job)
{
    bool is_over = false;
    for (size_t ix = 0; ix < a->n_records; ix++) {
        const Hq__Record *r = a->records[ix];
        if (r->body_case == HQ__RECORD__BODY_TASK_NOTIFIED && r->task_notified->job == job) {
            run_callback(n, r->task_notified);
        } else if (r->body_case == HQ__RECORD__BODY_JOB_COMPLETED && r->job_completed->job == job) {
            is_over = true;
        }
    }
    return is_over;
}

void
notify_follow(struct notify *n, uint32_t job, bool with_progress)
{
    struct hq_err err = {0};
    struct hq_arena arena;
    struct bar bar = {0};
    struct hq_selector jobs = {.kind = HQ_SELECT_RANGES, .ids = HQ_RANGES_INIT};
    hq_ranges_add(&jobs.ids, job, 1, 1);
    follow_init(&bar.follow, n->cli, &jobs);
    hq_arena_init(&arena, 0);
    bool is_over = false;
    for (bool is_last = false; !is_last;) {
        const Hq__FollowAnswer *a;
        is_last = is_over; /* once more, without waiting: for what was published with the last record */
        hq_arena_reset(&arena);
        if (ask(n, is_last ? 0 : FOLLOW_WAIT_MS, &arena, &a, &err) < 0) {
            hq_log_warn("Notifications cannot be followed any more: %s", err.text);
            break;
        }
        is_over = take_records(n, a, job) || a->is_stopping || is_over;
        if (with_progress) {
            draw(&bar, n->cli);
        }
    }
    if (with_progress && isatty(n->cli->out.fd)) {
        hq_out_text(&n->cli->out, "\n");
    }
    hq_out_flush(&n->cli->out);
    hq_arena_fini(&arena);
    hq_buf_fini(&bar.drawn);
    follow_fini(&bar.follow);
    hq_ranges_fini(&jobs.ids);
}
