#include "hq/jobfile.h"

#include "common/num.h"

#include <stdio.h>

/* ---- what all tables share */

/* "In jobs.toml, task 2, key `request.resources`": the line that is shown may stand in the file a hundred times. */
static void
say_where(struct hq_buf *text, const struct jobfile_reader *r)
{
    hq_buf_printf(text, "\nIn %s", r->file);
    if (r->task_number > 0) {
        hq_buf_printf(text, ", task %zu", r->task_number);
    }
    for (size_t ix = 0; ix < r->trail_len; ix++) {
        hq_buf_printf(text, "%s%s", ix == 0 ? ", key `" : ".", r->trail[ix]);
    }
    hq_buf_cstr(text, r->trail_len > 0 ? "`" : "");
}

int
jobfile_fail(struct jobfile_reader *r, struct doc_at at, const char *fmt, ...)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf reason = HQ_BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    hq_buf_vprintf(&reason, fmt, ap);
    va_end(ap);
    if (!r->is_plain) {
        say_where(&reason, r);
    }
    (void)doc_error(r->err, r->doc, at, reason.ptr); /* the code is the same */
    return hq_err_prefix(r->err, "Deserialization error");
}

int
jobfile_fail_type(struct jobfile_reader *r, const struct doc_node *n, const char *expected)
{
    return jobfile_fail(r, n->at, "invalid type: %s, expected %s", doc_describe(n, r->arena), expected);
}

static const struct jobfile_key *
find_key(const struct jobfile_table *table, struct hq_str name)
{
    for (size_t ix = 0; ix < table->count; ix++) {
        const struct jobfile_key *k = &table->keys[ix];
        if (hq_str_is(name, k->name) || (k->older != NULL && hq_str_is(name, k->older))) {
            return k;
        }
    }
    return NULL;
}

int
jobfile_read_table(struct jobfile_reader *r, const struct doc_node *n, const struct jobfile_table *table, void *target)
{
    uint64_t seen = 0;
    bool was_plain = r->is_plain;
    if (n->kind != DOC_TABLE) {
        return jobfile_fail_type(r, n, "a table");
    }
    HQ_ASSERT(r->trail_len < JOBFILE_TRAIL_MAX);
    for (size_t ix = 0; ix < n->count; ix++) {
        const struct doc_item *item = &n->items[ix];
        const struct jobfile_key *key = find_key(table, item->key);
        r->is_plain = table->is_plain;
        if (key == NULL) {
            return jobfile_fail(r, item->key_at, "unknown field `%.*s`%s", HQ_STR_FMT(item->key), table->unknown);
        }
        uint64_t bit = (uint64_t)1 << (key - table->keys);
        if ((seen & bit) != 0) { /* by its older spelling too */
            return jobfile_fail(r, item->key_at, "duplicate field `%s`", key->name);
        }
        seen |= bit;
        r->is_plain = table->is_plain || key->is_plain;
        r->trail[r->trail_len++] = key->name;
        int rc = key->read(r, item->value, target);
        if (rc < 0) {
            return rc;
        }
        r->trail_len--;
    }
    r->is_plain = was_plain;
    return 0;
}

int
jobfile_string(struct jobfile_reader *r, const struct doc_node *n, const char *expected, struct hq_str *ret)
{
    if (n->kind != DOC_STRING) {
        return jobfile_fail_type(r, n, expected);
    }
    *ret = n->text;
    return 0;
}

int
jobfile_u32(struct jobfile_reader *r, const struct doc_node *n, uint32_t *ret)
{
    if (n->kind != DOC_INT) {
        return jobfile_fail_type(r, n, "u32");
    }
    if (n->i < 0 || n->i > UINT32_MAX) {
        return jobfile_fail(r, n->at, "invalid value: integer `%lld`, expected u32", (long long)n->i);
    }
    *ret = (uint32_t)n->i;
    return 0;
}

int
jobfile_bool(struct jobfile_reader *r, const struct doc_node *n, bool *ret)
{
    if (n->kind != DOC_BOOL) {
        return jobfile_fail_type(r, n, "a boolean");
    }
    *ret = n->i != 0;
    return 0;
}

int
jobfile_duration(struct jobfile_reader *r, const struct doc_node *n, int64_t *ret_ms)
{
    struct hq_str text;
    struct hq_err why = {0};
    int64_t ns;
    int rc = jobfile_string(r, n, "a string", &text);
    if (rc < 0) {
        return rc;
    }
    if (hq_duration_parse_human(text, &ns, &why) < 0) {
        return jobfile_fail(r, n->at, "%s", why.text);
    }
    *ret_ms = HQ_MAX(hq_ms_from_ns_up(ns), 1);
    return 0;
}

/* ---- the top table */

static int
read_name(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    struct jobfile *f = target;
    struct hq_err why = {0};
    f->has_name = true;
    int rc = jobfile_string(r, n, "a string", &f->name);
    if (rc == 0 && submit_check_name(f->name, &why) < 0) {
        rc = jobfile_fail(r, n->at, "%s", why.text);
    }
    return rc;
}

static int
read_max_fails(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    struct jobfile *f = target;
    f->has_max_fails = true;
    return jobfile_u32(r, n, &f->max_fails);
}

static int
read_stream(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    struct jobfile *f = target;
    f->has_stream = true;
    int rc = jobfile_string(r, n, "path string", &f->stream);
    if (rc == 0 && f->stream.len == 0) {
        rc = jobfile_fail(r, n->at, "the path of a stream must not be empty");
    }
    return rc;
}

static int
read_data_layer(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    (void)target;
    bool unused; /* a remnant of releases that moved data between tasks */
    return jobfile_bool(r, n, &unused);
}

static int
read_tasks(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    struct jobfile *f = target;
    if (n->kind != DOC_ARRAY) {
        return jobfile_fail_type(r, n, "a sequence");
    }
    if (f->is_array) {
        return hq_err_set(r->err, -EINVAL,
                          "Deserialization error: Definition of array job and individual task cannot be mixed");
    }
    f->tasks = hq_arena_array(r->arena, n->count + 1, sizeof *f->tasks);
    int rc = 0;
    for (size_t ix = 0; ix < n->count && rc == 0; ix++) {
        r->task_number = ix + 1;
        rc = jobfile_read_task(r, n->items[ix].value, false, &f->tasks[f->task_count++]);
    }
    r->task_number = 0;
    return rc;
}

static int
read_array(struct jobfile_reader *r, const struct doc_node *n, void *target)
{
    struct jobfile *f = target;
    if (f->task_count > 0) {
        return hq_err_set(r->err, -EINVAL,
                          "Deserialization error: Definition of array job and individual task cannot be mixed");
    }
    f->is_array = true;
    f->tasks = hq_arena_array(r->arena, 1, sizeof *f->tasks);
    f->task_count = 1;
    int rc = jobfile_read_task(r, n, true, &f->tasks[0]);
    if (rc < 0) {
        return rc;
    }
    const struct jobfile_task *t = &f->tasks[0];
    if (!t->has_ids && !t->has_entries) {
        return hq_err_set(r->err, -EINVAL,
                          "Deserialization error: One of attributes of array must be defined: 'ids', 'entries'");
    }
    if (t->has_ids && t->has_entries && hq_ranges_size(&t->ids) != t->entries.count) {
        return hq_err_set(r->err, -EINVAL, "Deserialization error: Items 'ids' and 'entries' does not match");
    }
    return 0;
}

static const struct jobfile_key top_keys[] = {
    {.name = "name", .read = read_name},
    {.name = "max_fails", .read = read_max_fails},
    {.name = "task", .read = read_tasks},
    {.name = "array", .read = read_array},
    {.name = "stream", .read = read_stream, .older = "stream_log"},
    {.name = "data_layer", .read = read_data_layer},
};
static const struct jobfile_table top_table = {
    .keys = top_keys,
    .count = HQ_ARRAY_LEN(top_keys),
    .unknown = ", expected one of `name`, `max_fails`, `task`, `array`, `stream`, `data_layer`",
    .is_plain = true,
};

int
jobfile_read(struct jobfile *ret, const struct doc *d, const char *file, struct hq_arena *arena, struct hq_err *err)
{
    struct jobfile f = {0};
    struct jobfile_reader r = {.doc = d, .arena = arena, .err = err, .file = file, .is_plain = true};
    int rc = jobfile_read_table(&r, d->root, &top_table, &f);
    if (rc == 0 && f.task_count == 0) {
        rc = hq_err_set(err, -EINVAL, "Deserialization error: No tasks defined");
    }
    if (rc < 0) {
        jobfile_fini(&f);
        return rc;
    }
    *ret = f;
    return 0;
}

void
jobfile_fini(struct jobfile *f)
{
    for (size_t ix = 0; ix < f->task_count && f->is_array; ix++) {
        hq_ranges_fini(&f->tasks[ix].ids);
        entries_fini(&f->tasks[ix].entries);
    }
    *f = (struct jobfile){0};
}
