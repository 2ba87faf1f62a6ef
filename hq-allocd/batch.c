#include "hq-allocd/batch.h"

#include "common/err.h"

#include <stdlib.h>
#include <sys/wait.h>

#define CLOCKS_APART_MS 600000 /* between this host and the batch system's */

void
batch_arg(struct batch_cmd *cmd, const char *word)
{
    hq_arena_grow(cmd->arena, &cmd->argv, &cmd->cap, cmd->argc + 2, sizeof *cmd->argv);
    cmd->argv[cmd->argc++] = word;
    cmd->argv[cmd->argc] = NULL;
}

void
batch_env(struct batch_cmd *cmd, const char *assignment)
{
    HQ_ASSERT(cmd->env_count < BATCH_ENV_MAX);
    cmd->env[cmd->env_count++] = assignment;
}

static const char *const state_names[] = {
    [BATCH_UNKNOWN] = "unknown", [BATCH_PENDING] = "pending",   [BATCH_HELD] = "held",
    [BATCH_RUNNING] = "running", [BATCH_ENDED_OK] = "finished", [BATCH_ENDED_FAILED] = "failed",
};

const char *
batch_state_name(enum batch_state s)
{
    HQ_ASSERT((size_t)s < HQ_ARRAY_LEN(state_names));
    return state_names[s];
}

bool
batch_is_clean(const struct batch_result *r)
{
    return r->start_errno == 0 && !r->is_timed_out && !r->is_cut && WIFEXITED(r->status) && WEXITSTATUS(r->status) == 0;
}

void
batch_why(const struct batch_result *r, const char *tool, struct hq_buf *why)
{
    if (r->start_errno != 0) {
        hq_buf_printf(why, "%s start failed\n\nCaused by:\n    %s", tool, hq_err_os(r->start_errno));
        return;
    }
    hq_buf_printf(why, "%s execution failed\n\nCaused by:\n    ", tool);
    if (r->is_timed_out) {
        hq_buf_cstr(why, "It did not end in time and was killed");
    } else if (r->is_cut) {
        hq_buf_printf(why, "It printed more than %u bytes", BATCH_OUTPUT_BYTES_MAX);
    } else if (WIFSIGNALED(r->status)) {
        hq_buf_printf(why, "Signal: %d", WTERMSIG(r->status));
    } else {
        hq_buf_printf(why, "Exit code: %d", WEXITSTATUS(r->status));
    }
    struct hq_str texts[2] = {hq_str_trim(r->err), hq_str_trim(r->out)};
    hq_buf_cstr(why, "\n    Stderr: ");
    hq_buf_str(why, hq_str_sub(texts[0], 0, 800));
    hq_buf_cstr(why, "\n    Stdout: ");
    hq_buf_str(why, hq_str_sub(texts[1], 0, 400));
}

bool
batch_id_ok(struct hq_str id)
{
    if (id.len == 0 || id.len > BATCH_ID_BYTES_MAX || id.ptr[0] == '-') {
        return false;
    }
    for (size_t i = 0; i < id.len; i++) {
        unsigned char c = (unsigned char)id.ptr[i];
        if (c <= ' ' || c > '~' || c == ',' || c == '"' || c == '\'') {
            return false;
        }
    }
    return true;
}

bool
batch_says(struct hq_str text, const char *what)
{
    return hq_str_find(text, hq_str_from(what)) >= 0;
}

enum batch_outcome
batch_submit_outcome(const struct batch_result *r, const char *tool, bool has_id, bool is_trouble, struct hq_buf *why)
{
    if (batch_is_clean(r) && has_id) {
        return BATCH_OK;
    }
    if (batch_is_clean(r)) {
        hq_buf_printf(why, "Missing job id in %s output", tool);
        return BATCH_AMBIGUOUS;
    }
    batch_why(r, tool, why);
    if (r->start_errno != 0) {
        return BATCH_REJECTED;
    }
    bool is_sure = !r->is_timed_out && !r->is_cut && WIFEXITED(r->status) && !has_id && !is_trouble;
    return is_sure ? BATCH_REJECTED : BATCH_AMBIGUOUS;
}

bool
batch_next_line(struct hq_str *rest, struct hq_str *ret_line)
{
    if (rest->len == 0) {
        return false;
    }
    (void)hq_str_split(rest, '\n', ret_line);
    return true;
}

struct batch_row *
batch_add_row(struct batch_rows *rows, struct hq_arena *arena)
{
    if (rows->count >= BATCH_ROWS_MAX) {
        return NULL;
    }
    hq_arena_grow(arena, &rows->v, &rows->cap, rows->count + 1, sizeof *rows->v);
    struct batch_row *row = &rows->v[rows->count++];
    *row = (struct batch_row){0};
    return row;
}

static int
cmp_row(const void *pa, const void *pb)
{
    const struct batch_row *a = pa;
    const struct batch_row *b = pb;
    int order = hq_str_cmp(a->script, b->script);
    return order != 0 ? order : hq_str_cmp(a->id, b->id);
}

void
batch_sort_rows(struct batch_rows *rows)
{
    if (rows->count > 1) {
        qsort(rows->v, rows->count, sizeof *rows->v, cmp_row);
    }
}

/* First row whose script is not before it. O(log n) */
static size_t
lower_bound(const struct batch_rows *rows, struct hq_str script)
{
    size_t low = 0;
    size_t high = rows->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (hq_str_cmp(rows->v[mid].script, script) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static const struct batch_row *
find_in(const struct batch_rows *rows, struct hq_str id, struct hq_str script, hq_wall_ms planned_ms)
{
    for (size_t i = lower_bound(rows, script); i < rows->count && hq_str_eq(rows->v[i].script, script); i++) {
        const struct batch_row *row = &rows->v[i];
        bool is_id = id.len == 0 || hq_str_eq(row->id, id);
        bool is_time = row->submitted_ms == 0 || row->submitted_ms + CLOCKS_APART_MS >= planned_ms;
        if (is_id && is_time) {
            return row;
        }
    }
    return NULL;
}

const struct batch_row *
batch_find_row(const struct batch_rows *rows, struct hq_str id, struct hq_str script, hq_wall_ms planned_ms)
{
    const struct batch_row *row = find_in(rows, id, script, planned_ms);
    /* A row that does not tell its script is believed by its id alone. */
    return row == NULL && id.len > 0 ? find_in(rows, id, HQ_STR_NULL, planned_ms) : row;
}
