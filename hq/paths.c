#include "hq/paths.h"

static void
add_text(struct path_plan *plan, struct hq_str text, struct hq_arena *arena)
{
    if (text.len > 0) {
        hq_arena_grow(arena, &plan->v, &plan->cap, plan->count + 1, sizeof *plan->v);
        plan->v[plan->count++] = (struct path_piece){.kind = HQ_PH_JOB_ID, .text = text};
    }
}

static void
add_open(struct path_plan *plan, enum hq_placeholder kind, struct hq_arena *arena)
{
    hq_arena_grow(arena, &plan->v, &plan->cap, plan->count + 1, sizeof *plan->v);
    plan->v[plan->count++] = (struct path_piece){.kind = kind};
    plan->is_open = true;
}

static void
add_plan(struct path_plan *plan, const struct path_plan *other, struct hq_arena *arena)
{
    hq_arena_grow(arena, &plan->v, &plan->cap, plan->count + other->count, sizeof *plan->v);
    for (size_t ix = 0; ix < other->count; ix++) {
        plan->v[plan->count++] = other->v[ix];
    }
}

static bool
is_task_kind(enum hq_placeholder kind)
{
    return kind == HQ_PH_TASK_ID || kind == HQ_PH_INSTANCE_ID;
}

/* One known placeholder. */
static void
add_value(struct path_plan *plan, enum hq_placeholder kind, const struct hq_placeholders *known,
          const struct path_plan *cwd, struct hq_arena *arena)
{
    if (is_task_kind(kind)) {
        add_open(plan, kind, arena);
    } else if (kind == HQ_PH_CWD) {
        plan->is_open = plan->is_open || cwd->is_open;
        add_plan(plan, cwd, arena);
    } else {
        add_text(plan, known->values[kind], arena);
    }
}

/* Name between "%{" at `at` and "}" as one of `allowed`; -1 for anything else. */
static int
kind_at(struct hq_str text, size_t at, uint32_t allowed, size_t *ret_end)
{
    struct hq_str rest = hq_str_sub(text, at + 2, text.len);
    ptrdiff_t len = hq_str_find_byte(rest, '}');
    if (len < 0) {
        return -1;
    }
    struct hq_str whole = hq_str_sub(text, at, at + 2 + (size_t)len + 1);
    uint32_t bits = hq_placeholder_bits(whole) & allowed;
    if (bits == 0 || (bits & (bits - 1)) != 0) {
        return -1;
    }
    *ret_end = at + whole.len;
    return __builtin_ctz(bits);
}

static struct path_plan
plan_make(struct hq_str text, uint32_t allowed, const struct hq_placeholders *known, const struct path_plan *cwd,
          struct hq_arena *arena)
{
    struct path_plan plan = {0};
    size_t done = 0;
    for (size_t at = 0; at + 1 < text.len; at++) {
        size_t end = 0;
        int kind = text.ptr[at] == '%' && text.ptr[at + 1] == '{' ? kind_at(text, at, allowed, &end) : -1;
        if (kind >= 0) {
            add_text(&plan, hq_str_sub(text, done, at), arena);
            add_value(&plan, (enum hq_placeholder)kind, known, cwd, arena);
            done = end;
            at = end - 1;
        }
    }
    add_text(&plan, hq_str_sub(text, done, text.len), arena);
    return plan;
}

static bool
is_relative(const struct path_plan *plan)
{
    return plan->count == 0 || is_task_kind(plan->v[0].kind) || plan->v[0].text.ptr[0] != '/';
}

/* Puts `base` and "/" in front of a relative path. */
static void
plan_complete(struct path_plan *plan, const struct path_plan *base, struct hq_arena *arena)
{
    if (!is_relative(plan)) {
        return;
    }
    struct path_plan whole = {.is_open = plan->is_open};
    add_plan(&whole, base, arena);
    add_text(&whole, HQ_STR("/"), arena);
    add_plan(&whole, plan, arena);
    *plan = whole;
}

static struct path
path_make(struct hq_str text, uint32_t allowed, const struct hq_placeholders *known, const struct path *base,
          struct hq_arena *arena)
{
    struct path p = {
        .full = plan_make(text, allowed, known, &base->full, arena),
        .shown = plan_make(text, allowed, known, &base->shown, arena),
    };
    plan_complete(&p.full, &base->full, arena);
    if (!p.shown.is_open) {
        plan_complete(&p.shown, &base->shown, arena);
    }
    return p;
}

static enum paths_stdio
kind_of(const Hq__Stdio *io)
{
    if (io == NULL || io->kind == HQ__STDIO_KIND__STDIO_FILE) {
        return PATHS_FILE;
    }
    return io->kind == HQ__STDIO_KIND__STDIO_STREAM ? PATHS_STREAM : PATHS_NONE;
}

static struct path
stdio_make(const Hq__Stdio *io, const char *def, const struct hq_placeholders *known, const struct path *cwd,
           struct hq_arena *arena)
{
    struct hq_str text = hq_str_from(def);
    if (io != NULL && io->path.len > 0) {
        text = hq_str_make((const char *)io->path.data, io->path.len);
    }
    return path_make(text, HQ_PH_IN_STDIO, known, cwd, arena);
}

void
paths_init(struct paths *ret, const Hq__TaskDesc *desc, const struct paths_job *job, struct hq_arena *arena)
{
    struct hq_placeholders known = {0};
    hq_placeholders_set(&known, HQ_PH_JOB_ID, hq_str_from(hq_arena_printf(arena, "%u", job->job)));
    hq_placeholders_set(&known, HQ_PH_SUBMIT_DIR, job->submit_dir);
    hq_placeholders_set(&known, HQ_PH_SERVER_UID, job->server_uid);
    struct path base = {0};
    add_text(&base.full, job->submit_dir, arena);
    add_text(&base.shown, job->submit_dir, arena);
    struct paths p = {.cwd = base, .stdout_kind = kind_of(desc->stdout), .stderr_kind = kind_of(desc->stderr)};
    if (desc->cwd.len > 0) {
        struct hq_str cwd = hq_str_make((const char *)desc->cwd.data, desc->cwd.len);
        p.cwd = path_make(cwd, HQ_PH_IN_CWD, &known, &base, arena);
    }
    p.to_stdout = stdio_make(desc->stdout, "%{CWD}/job-%{JOB_ID}/%{TASK_ID}.stdout", &known, &p.cwd, arena);
    p.to_stderr = stdio_make(desc->stderr, "%{CWD}/job-%{JOB_ID}/%{TASK_ID}.stderr", &known, &p.cwd, arena);
    *ret = p;
}

void
paths_fmt_shown(struct hq_buf *out, const struct path *path)
{
    for (size_t ix = 0; ix < path->shown.count; ix++) {
        const struct path_piece *piece = &path->shown.v[ix];
        if (is_task_kind(piece->kind)) {
            hq_buf_printf(out, "%%{%s}", hq_placeholder_name(piece->kind));
        } else {
            hq_buf_str(out, piece->text);
        }
    }
}

void
paths_fmt_task(struct hq_buf *out, const struct path *path, uint32_t task, uint32_t instance)
{
    for (size_t ix = 0; ix < path->full.count; ix++) {
        const struct path_piece *piece = &path->full.v[ix];
        if (is_task_kind(piece->kind)) {
            hq_buf_u64(out, piece->kind == HQ_PH_TASK_ID ? task : instance);
        } else {
            hq_buf_str(out, piece->text);
        }
    }
}
