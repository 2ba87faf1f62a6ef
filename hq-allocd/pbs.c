#include "hq-allocd/pbs.h"

#include "common/num.h"

#include <jansson.h>
#include <sys/wait.h>

#define EXIT_UNKNOWN_JOB 153
#define EXIT_FINISHED_JOB 35
#define EXIT_NO_SERVER 162
#define EXIT_NO_SERVER_QSTAT 255
#define EXIT_STATUS_WALLTIME (-29)

static void
submit(struct batch_cmd *cmd, const char *script)
{
    batch_arg(cmd, "qsub");
    batch_arg(cmd, script);
    batch_env(cmd, "LC_ALL=C");
}

static int
exit_code(const struct batch_result *r)
{
    return r->start_errno == 0 && !r->is_timed_out && WIFEXITED(r->status) ? WEXITSTATUS(r->status) : -1;
}

static bool
is_link_trouble(const struct batch_result *r)
{
    return r->is_timed_out || exit_code(r) == EXIT_NO_SERVER || batch_says(r->err, "onnection refused") ||
           batch_says(r->err, "cannot connect to server") || batch_says(r->err, "reserved ports in use") ||
           batch_says(r->err, "onnection timed out") || batch_says(r->err, "End of File") ||
           batch_says(r->err, "ommunication failure") || batch_says(r->err, "Couldn't connect");
}

static bool
is_id(struct hq_str line)
{
    return batch_id_ok(line) && line.ptr[0] >= '0' && line.ptr[0] <= '9';
}

/* The id is the last line that looks like one: a site's banner may stand before it. */
static bool
find_id(struct hq_str out, struct hq_arena *arena, struct hq_str *ret_id)
{
    bool found = false;
    struct hq_str line;
    while (batch_next_line(&out, &line)) {
        line = hq_str_trim(line);
        if (is_id(line)) {
            *ret_id = hq_arena_str(arena, line);
            found = true;
        }
    }
    return found;
}

static enum batch_outcome
submitted(const struct batch_result *r, struct hq_arena *arena, struct hq_str *ret_id, struct hq_buf *why)
{
    bool has_id = find_id(r->out, arena, ret_id);
    return batch_submit_outcome(r, "qsub", has_id, is_link_trouble(r), why);
}

static void
status(struct batch_cmd *cmd, const struct hq_str *ids, size_t count)
{
    batch_arg(cmd, "qstat");
    batch_arg(cmd, "-f");
    if (count > 1) {
        batch_arg(cmd, "-E"); /* one request for all; without it only the first comes back */
    }
    for (size_t i = 0; i < count; i++) {
        batch_arg(cmd, hq_arena_strz(cmd->arena, ids[i]));
    }
    batch_arg(cmd, "-F");
    batch_arg(cmd, "json");
    batch_arg(cmd, "-x");
    batch_env(cmd, "LC_ALL=C");
}

hq_wall_ms
pbs_time(struct hq_str text, int32_t utc_offset_s)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct hq_str w[5];
    size_t n = 0;
    struct hq_str rest = hq_str_trim(text);
    while (n < 5 && rest.len > 0) {
        (void)hq_str_split(&rest, ' ', &w[n]);
        n += w[n].len > 0; /* "Nov  4": two blanks */
    }
    if (n != 5 || rest.len > 0 || w[1].len != 3 || w[3].len != 8) {
        return 0;
    }
    const char *month_at = NULL;
    for (size_t i = 0; i < 12 && month_at == NULL; i++) {
        month_at = memcmp(months + 3 * i, w[1].ptr, 3) == 0 ? months + 3 * i : NULL;
    }
    uint32_t day;
    uint32_t year;
    uint32_t hms[3];
    if (month_at == NULL || hq_num_u32(w[2], &day, NULL) < 0 || hq_num_u32(w[4], &year, NULL) < 0 || year < 1970 ||
        year > 3000 || day < 1 || day > 31) {
        return 0;
    }
    for (size_t i = 0; i < 3; i++) {
        if (hq_num_u32(hq_str_sub(w[3], 3 * i, 3 * i + 2), &hms[i], NULL) < 0 || hms[i] > 60) {
            return 0;
        }
    }
    /* Days since the epoch of a Gregorian date, months counted from March. */
    int64_t month = (month_at - months) / 3 + 1;
    int64_t y = (int64_t)year - (month <= 2);
    int64_t days =
        365 * y + y / 4 - y / 100 + y / 400 + (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1 - 719468;
    int64_t secs = days * 86400 + hms[0] * 3600 + hms[1] * 60 + hms[2] - utc_offset_s;
    return secs > 0 ? secs * 1000 : 0;
}

static struct hq_str
text_of(const json_t *job, const char *key, struct hq_arena *arena)
{
    const json_t *v = json_object_get(job, key);
    if (!json_is_string(v)) {
        return HQ_STR_NULL;
    }
    return hq_arena_str(arena, hq_str_make(json_string_value(v), json_string_length(v)));
}

static enum batch_state
ended_state(const json_t *job)
{
    const json_t *exit_status = json_object_get(job, "Exit_status");
    json_int_t code = json_is_integer(exit_status) ? json_integer_value(exit_status) : -1;
    bool is_clean = code == 0 || code == EXIT_STATUS_WALLTIME; /* used up to its end */
    return is_clean ? BATCH_ENDED_OK : BATCH_ENDED_FAILED;
}

static enum batch_state
state_of(const json_t *job, struct hq_str word)
{
    switch (word.len == 1 ? word.ptr[0] : '?') {
    case 'Q':
    case 'W':
    case 'T':
        return BATCH_PENDING;
    case 'H':
        return BATCH_HELD;
    case 'R':
    case 'E':
    case 'S':
    case 'U':
    case 'B':
        return BATCH_RUNNING;
    case 'F':
    case 'X':
        return ended_state(job);
    default:
        return BATCH_UNKNOWN;
    }
}

/* Last word of the submit arguments: what was submitted. Ours has no blanks unless the directory has. */
static struct hq_str
script_of(struct hq_str arguments)
{
    ptrdiff_t at = hq_str_find(arguments, HQ_STR(" /"));
    while (at >= 0) {
        struct hq_str rest = hq_str_sub(arguments, (size_t)at + 1, arguments.len);
        ptrdiff_t next = hq_str_find(rest, HQ_STR(" /"));
        if (next < 0) {
            return rest;
        }
        at += next + 1;
    }
    return arguments;
}

static void
add_job(struct batch_rows *ret, const char *id, const json_t *job, int32_t utc_offset_s, struct hq_arena *arena)
{
    struct hq_str name = hq_str_from(id);
    struct batch_row *row = json_is_object(job) && batch_id_ok(name) ? batch_add_row(ret, arena) : NULL;
    if (row == NULL) {
        return;
    }
    row->id = hq_arena_str(arena, name);
    row->word = text_of(job, "job_state", arena);
    row->state = state_of(job, row->word);
    row->reason = hq_str_sub(text_of(job, "comment", arena), 0, 200);
    row->script = script_of(text_of(job, "Submit_arguments", arena));
    row->submitted_ms = pbs_time(text_of(job, "ctime", arena), utc_offset_s);
    bool is_over = row->state == BATCH_ENDED_OK || row->state == BATCH_ENDED_FAILED;
    if (is_over || row->state == BATCH_RUNNING) { /* a queued job may carry the times of its last run */
        row->started_ms = pbs_time(text_of(job, "stime", arena), utc_offset_s);
    }
    if (is_over) {
        struct hq_str end = text_of(job, "obittime", arena);
        row->ended_ms = pbs_time(end.len > 0 ? end : text_of(job, "mtime", arena), utc_offset_s);
    }
}

/* Variables of some job that are no UTF-8 are passed through and would spoil the answer about all: shown as U+FFFD. */
static json_t *
load_json(struct hq_str text)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf clean = HQ_BUF_INIT;
    json_error_t bad;
    if (hq_str_is_utf8(text)) {
        return json_loadb(text.ptr, text.len, JSON_ALLOW_NUL, &bad);
    }
    hq_buf_utf8_lossy(&clean, text);
    return json_loadb(clean.ptr, clean.len, JSON_ALLOW_NUL, &bad);
}

static enum batch_outcome
statuses(const struct batch_result *r, int32_t utc_offset_s, struct hq_arena *arena, struct batch_rows *ret,
         struct hq_buf *why)
{
    /* qstat may fail and still tell of the jobs it knows; when the server is down its JSON is valid and empty. */
    int code = exit_code(r);
    bool is_down = code == EXIT_NO_SERVER_QSTAT || is_link_trouble(r) || r->is_cut;
    json_t *root = is_down || r->start_errno != 0 || r->out.len == 0 ? NULL : load_json(r->out);
    if (!json_is_object(root)) {
        json_decref(root);
        if (code == EXIT_FINISHED_JOB || code == EXIT_UNKNOWN_JOB) {
            return BATCH_OK; /* no job of them is known */
        }
        batch_why(r, "qstat", why);
        return BATCH_UNREACHABLE;
    }
    bool is_blind = batch_says(r->err, "not configured to maintain job history");
    const json_t *jobs = json_object_get(root, "Jobs");
    const char *id;
    json_t *job;
    json_object_foreach(json_is_object(jobs) ? (json_t *)(uintptr_t)jobs : NULL, id, job)
    {
        add_job(ret, id, job, utc_offset_s, arena);
    }
    json_decref(root);
    if (is_blind) {
        hq_buf_cstr(why, "PBS keeps no history of jobs: their state can't be asked for");
        return BATCH_UNREACHABLE;
    }
    return BATCH_OK;
}

static void
find(struct batch_cmd *cmd, const char *job_name)
{
    batch_arg(cmd, "qselect");
    batch_arg(cmd, "-x");
    batch_arg(cmd, "-N");
    batch_arg(cmd, job_name);
    batch_env(cmd, "LC_ALL=C");
}

static void
mine(struct batch_cmd *cmd, const char *user)
{
    batch_arg(cmd, "qselect");
    batch_arg(cmd, "-u");
    batch_arg(cmd, user);
    batch_env(cmd, "LC_ALL=C");
}

static enum batch_outcome
found(const struct batch_result *r, struct hq_arena *arena, struct hq_str **ret_ids, size_t *ret_count,
      struct hq_buf *why)
{
    *ret_ids = NULL;
    *ret_count = 0;
    if (!batch_is_clean(r)) {
        batch_why(r, "qselect", why);
        return BATCH_UNREACHABLE;
    }
    size_t cap = 0;
    struct hq_str out = r->out;
    struct hq_str line;
    while (*ret_count < BATCH_ROWS_MAX && batch_next_line(&out, &line)) {
        line = hq_str_trim(line);
        if (is_id(line)) {
            hq_arena_grow(arena, ret_ids, &cap, *ret_count + 1, sizeof **ret_ids);
            (*ret_ids)[(*ret_count)++] = hq_arena_str(arena, line);
        }
    }
    return BATCH_OK;
}

static void
cancel(struct batch_cmd *cmd, const char *id)
{
    batch_arg(cmd, "qdel");
    batch_arg(cmd, id);
    batch_env(cmd, "LC_ALL=C");
}

static enum batch_outcome
canceled(const struct batch_result *r, struct hq_buf *why)
{
    if (batch_is_clean(r)) {
        return BATCH_OK;
    }
    if (exit_code(r) == EXIT_UNKNOWN_JOB || exit_code(r) == EXIT_FINISHED_JOB) {
        return BATCH_GONE;
    }
    batch_why(r, "qdel", why);
    return r->start_errno == 0 && is_link_trouble(r) ? BATCH_UNREACHABLE : BATCH_REJECTED;
}

static bool
is_permanent(struct hq_str reason)
{
    return hq_str_starts(reason, HQ_STR("Can Never Run")) || batch_says(reason, "too many failed attempts");
}

const struct batch batch_pbs = {
    .name = "pbs",
    .submit_tool = "qsub",
    .submit = submit,
    .submitted = submitted,
    .status = status,
    .statuses = statuses,
    .find = find,
    .mine = mine,
    .found = found,
    .cancel = cancel,
    .canceled = canceled,
    .is_permanent = is_permanent,
};
