#include "common/settings.h"

#include "common/fs.h"
#include "common/limits.h"
#include "common/num.h"

#include <yaml.h>

/* A value on its way from text to target. */
union value {
    int64_t number;
    bool flag;
    int word;
    const char *text;
};

static int
parse_bool(struct hq_str s, bool *ret, struct hq_err *err)
{
    static const char *const yes[] = {"true", "yes", "on"};
    static const char *const no[] = {"false", "no", "off"};
    for (size_t i = 0; i < HQ_ARRAY_LEN(yes); i++) {
        if (hq_str_is(s, yes[i]) || hq_str_is(s, no[i])) {
            *ret = hq_str_is(s, yes[i]);
            return 0;
        }
    }
    return hq_err_set(err, -EINVAL, "expected true or false");
}

static int
parse_word(const struct hq_setting *row, struct hq_str s, int *ret, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf list = HQ_BUF_INIT;
    for (int i = 0; row->words[i] != NULL; i++) {
        if (hq_str_is(s, row->words[i])) {
            *ret = i;
            return 0;
        }
        hq_buf_printf(&list, "%s%s", i == 0 ? "" : ", ", row->words[i]);
    }
    return hq_err_set(err, -EINVAL, "expected one of: %s", list.ptr);
}

static void
print_number(const struct hq_setting *row, int64_t v, struct hq_buf *out)
{
    if (row->kind == HQ_SET_MS && v >= 0) {
        hq_duration_print(out, hq_ns_from_ms(v));
    } else {
        hq_buf_i64(out, v);
    }
}

static int
check_bounds(const struct hq_setting *row, int64_t v, struct hq_err *err)
{
    if ((row->min == 0 && row->max == 0) || (v >= row->min && v <= row->max)) {
        return 0;
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    hq_buf_cstr(&text, "must be between ");
    print_number(row, row->min, &text);
    hq_buf_cstr(&text, " and ");
    print_number(row, row->max, &text);
    return hq_err_set(err, -ERANGE, "%s", text.ptr);
}

static int
parse_number(const struct hq_setting *row, struct hq_str s, int64_t *ret, struct hq_err *err)
{
    int64_t v = 0;
    uint64_t bytes = 0;
    int rc;
    if (row->kind == HQ_SET_MS) {
        rc = hq_duration_parse_cli(s, &v, NULL);
        v = hq_ms_from_ns_up(v);
        if (rc < 0) {
            return hq_err_set(err, rc, "expected a duration, for example 30s or 1h 30m");
        }
    } else if (row->kind == HQ_SET_BYTES) {
        rc = hq_num_bytes(s, &bytes, NULL);
        v = (int64_t)bytes;
        if (rc < 0 || bytes > INT64_MAX) {
            return hq_err_set(err, -EINVAL, "expected a size, for example 4096 or 64MiB");
        }
    } else {
        rc = hq_num_i64_sep(s, &v, NULL);
        if (rc < 0) {
            return hq_err_set(err, rc, "expected an integer");
        }
    }
    rc = check_bounds(row, v, err);
    if (rc == 0) {
        *ret = v;
    }
    return rc;
}

static int
parse_text(const struct hq_setting *row, struct hq_str s, struct hq_arena *arena, const char **ret, struct hq_err *err)
{
    if (hq_str_find_byte(s, '\0') >= 0) {
        return hq_err_set(err, -EINVAL, "contains a NUL byte");
    }
    if (row->kind == HQ_SET_PATH && (s.len == 0 || s.ptr[0] != '/')) {
        return hq_err_set(err, -EINVAL, "expected an absolute path");
    }
    *ret = hq_arena_strz(arena, s);
    return 0;
}

static int
parse_value(const struct hq_settings *s, const struct hq_setting *row, struct hq_str text, union value *ret,
            struct hq_err *err)
{
    switch (row->kind) {
    case HQ_SET_MS:
    case HQ_SET_INT:
    case HQ_SET_BYTES:
        return parse_number(row, text, &ret->number, err);
    case HQ_SET_BOOL:
        return parse_bool(text, &ret->flag, err);
    case HQ_SET_STR:
    case HQ_SET_PATH:
        return parse_text(row, text, s->arena, &ret->text, err);
    case HQ_SET_WORD:
        return parse_word(row, text, &ret->word, err);
    }
    HQ_ASSERT(false);
    return -EINVAL;
}

static void *
target_of(const struct hq_settings *s, const struct hq_setting *row)
{
    return (char *)s->conf + row->at;
}

static void
store(struct hq_settings *s, const struct hq_setting *row, const union value *v)
{
    void *target = target_of(s, row);
    switch (row->kind) {
    case HQ_SET_MS:
    case HQ_SET_INT:
    case HQ_SET_BYTES:
        *(int64_t *)target = v->number;
        return;
    case HQ_SET_BOOL:
        *(bool *)target = v->flag;
        return;
    case HQ_SET_STR:
    case HQ_SET_PATH:
        *(const char **)target = v->text;
        return;
    case HQ_SET_WORD:
        *(int *)target = v->word;
        return;
    }
}

/* Checks the value, and stores it unless a higher origin came before. */
static int
set(struct hq_settings *s, size_t ix, struct hq_str text, enum hq_setting_origin origin, struct hq_err *err)
{
    union value v = {0};
    int rc = parse_value(s, &s->rows[ix], text, &v, err);
    if (rc < 0) {
        return rc;
    }
    if ((int)origin >= (int)s->origins[ix]) {
        store(s, &s->rows[ix], &v);
        s->origins[ix] = (uint8_t)origin;
    }
    return 0;
}

static ptrdiff_t
find_row(const struct hq_settings *s, struct hq_str name)
{
    for (size_t i = 0; i < s->count; i++) {
        if (hq_str_is(name, s->rows[i].name)) {
            return (ptrdiff_t)i;
        }
    }
    return -1;
}

void
hq_settings_init(struct hq_settings *s, const struct hq_setting *rows, size_t count, void *conf, struct hq_arena *arena)
{
    HQ_ASSERT(count <= HQ_SETTINGS_MAX);
    *s = (struct hq_settings){.rows = rows, .count = count, .conf = conf, .arena = arena};
    for (size_t i = 0; i < count; i++) {
        int rc = 0;
        if (rows[i].def != NULL) {
            rc = set(s, i, hq_str_from(rows[i].def), HQ_FROM_BUILT_IN, NULL);
        } else {
            store(s, &rows[i], &(union value){0});
        }
        HQ_ASSERT(rc == 0);
    }
}

/* ---- YAML: one flat mapping */

struct reader {
    struct hq_settings *s;
    const char *name;
    struct hq_str text;
    yaml_parser_t parser;
    bool seen[HQ_SETTINGS_MAX];
    struct hq_err *err;
};

static int
fail(const struct reader *r, size_t line, const char *text)
{
    return hq_err_set(r->err, -EINVAL, "%s:%zu: %s", r->name, line + 1, text);
}

static int
next_event(struct reader *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->parser, event) != 0) {
        return 0;
    }
    const char *problem = r->parser.problem != NULL ? r->parser.problem : "out of memory";
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    hq_buf_printf(&text, "no valid YAML: %s", problem);
    size_t line_ix = r->parser.problem_mark.line;
    if (r->parser.error == YAML_READER_ERROR) { /* bytes that are no text: only their offset is told */
        struct hq_str before = hq_str_sub(r->text, 0, r->parser.problem_offset);
        for (size_t i = 0; i < before.len; i++) {
            line_ix += before.ptr[i] == '\n';
        }
    }
    return fail(r, line_ix, text.ptr);
}

static struct hq_str
scalar_of(const yaml_event_t *event)
{
    return hq_str_make((const char *)event->data.scalar.value, event->data.scalar.length);
}

/* The value of row ix, in `event`. */
static int
take_value(struct reader *r, size_t ix, const yaml_event_t *event)
{
    size_t line = event->start_mark.line;
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    struct hq_err why = {0};
    if (event->type != YAML_SCALAR_EVENT) {
        hq_buf_printf(&text, "%s: expected a single value", r->s->rows[ix].name);
        return fail(r, line, text.ptr);
    }
    if (set(r->s, ix, scalar_of(event), HQ_FROM_FILE, &why) < 0) {
        hq_buf_printf(&text, "%s: %s", r->s->rows[ix].name, why.text);
        return fail(r, line, text.ptr);
    }
    return 0;
}

/* A key in `event`, and its value, the event behind it. */
static int
take_pair(struct reader *r, const yaml_event_t *key)
{
    size_t line = key->start_mark.line;
    if (key->type != YAML_SCALAR_EVENT) {
        return fail(r, line, "expected the name of a setting");
    }
    ptrdiff_t ix = find_row(r->s, scalar_of(key));
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    if (ix < 0) {
        hq_buf_cstr(&text, "unknown setting ");
        hq_buf_quoted(&text, hq_str_sub(scalar_of(key), 0, 200));
        return fail(r, line, text.ptr);
    }
    if (r->seen[ix]) {
        hq_buf_printf(&text, "%s is given twice", r->s->rows[ix].name);
        return fail(r, line, text.ptr);
    }
    r->seen[ix] = true;
    yaml_event_t value;
    int rc = next_event(r, &value);
    if (rc == 0) {
        rc = take_value(r, (size_t)ix, &value);
        yaml_event_delete(&value);
    }
    return rc;
}

/* What may come next. */
enum place {
    PLACE_START, /* of the document's content */
    PLACE_KEY,
    PLACE_AFTER, /* behind the mapping */
};

static int
take_event(struct reader *r, const yaml_event_t *event, enum place *place)
{
    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return 0;
    case YAML_DOCUMENT_START_EVENT:
        return *place == PLACE_START ? 0 : fail(r, event->start_mark.line, "a second document");
    case YAML_MAPPING_START_EVENT:
        if (*place != PLACE_START) {
            return take_pair(r, event);
        }
        *place = PLACE_KEY;
        return 0;
    case YAML_MAPPING_END_EVENT:
        *place = PLACE_AFTER;
        return 0;
    case YAML_SCALAR_EVENT:
        if (*place == PLACE_START && event->data.scalar.length == 0) {
            *place = PLACE_AFTER; /* "---" and nothing else */
            return 0;
        }
        return *place == PLACE_KEY ? take_pair(r, event)
                                   : fail(r, event->start_mark.line, "expected lines of the form name: value");
    case YAML_SEQUENCE_START_EVENT:
    case YAML_SEQUENCE_END_EVENT:
    case YAML_ALIAS_EVENT:
        break;
    }
    return fail(r, event->start_mark.line, "expected lines of the form name: value");
}

int
hq_settings_text(struct hq_settings *s, const char *name, struct hq_str text, struct hq_err *err)
{
    struct reader r = {.s = s, .name = name, .text = text, .err = err};
    enum place place = PLACE_START;
    bool at_end = false;
    int rc = 0;
    if (yaml_parser_initialize(&r.parser) == 0) {
        return hq_err_set(err, -ENOMEM, "%s: out of memory", name);
    }
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.len == 0 ? "" : text.ptr), text.len);
    while (rc == 0 && !at_end) {
        yaml_event_t event;
        rc = next_event(&r, &event);
        if (rc == 0) {
            at_end = event.type == YAML_STREAM_END_EVENT;
            rc = take_event(&r, &event, &place);
            yaml_event_delete(&event);
        }
    }
    yaml_parser_delete(&r.parser);
    return rc;
}

int
hq_settings_file(struct hq_settings *s, const char *path, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    int rc = hq_fs_read(&text, path, HQ_SETTINGS_BYTES_MAX, err);
    if (rc < 0) {
        (void)hq_err_prefix(err, "Cannot read %s", path);
        return rc;
    }
    return hq_settings_text(s, path, hq_buf_view(&text), err);
}

/* ---- other sources */

static struct hq_str
env_value(char *const *envp, const char *name, bool *ret_found)
{
    size_t len = strlen(name);
    for (size_t i = 0; envp[i] != NULL; i++) {
        if (strncmp(envp[i], name, len) == 0 && envp[i][len] == '=') {
            *ret_found = true;
            return hq_str_from(envp[i] + len + 1);
        }
    }
    *ret_found = false;
    return HQ_STR_NULL;
}

int
hq_settings_env(struct hq_settings *s, char *const *envp, struct hq_err *err)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->rows[i].env == NULL) {
            continue;
        }
        bool is_set;
        struct hq_str value = env_value(envp, s->rows[i].env, &is_set);
        int rc = is_set ? set(s, i, value, HQ_FROM_ENV, err) : 0;
        if (rc < 0) {
            (void)hq_err_prefix(err, "environment variable %s", s->rows[i].env);
            return rc;
        }
    }
    return 0;
}

int
hq_settings_flag(struct hq_settings *s, struct hq_str name, struct hq_str value, struct hq_err *err)
{
    ptrdiff_t ix = find_row(s, name);
    if (ix < 0) {
        HQ_AUTO(hq_buf_fini) struct hq_buf shown = HQ_BUF_INIT;
        hq_buf_quoted(&shown, hq_str_sub(name, 0, 200));
        return hq_err_set(err, -EINVAL, "unknown setting %s", shown.ptr);
    }
    int rc = set(s, (size_t)ix, value, HQ_FROM_FLAG, err);
    if (rc < 0) {
        (void)hq_err_prefix(err, "%s", s->rows[ix].name);
    }
    return rc;
}

/* ---- printing */

/* YAML's double quotes: what needs no escape stays. */
static void
print_quoted(const char *text, struct hq_buf *out)
{
    hq_buf_byte(out, '"');
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') {
            hq_buf_printf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            hq_buf_printf(out, "\\x%02x", c);
        } else {
            hq_buf_byte(out, *p);
        }
    }
    hq_buf_byte(out, '"');
}

/* false: a text that is not set. */
static bool
print_value(const struct hq_settings *s, const struct hq_setting *row, struct hq_buf *out)
{
    const void *target = target_of(s, row);
    switch (row->kind) {
    case HQ_SET_MS:
    case HQ_SET_INT:
    case HQ_SET_BYTES:
        print_number(row, *(const int64_t *)target, out);
        return true;
    case HQ_SET_BOOL:
        hq_buf_cstr(out, *(const bool *)target ? "true" : "false");
        return true;
    case HQ_SET_WORD:
        hq_buf_cstr(out, row->words[*(const int *)target]);
        return true;
    case HQ_SET_STR:
    case HQ_SET_PATH:
        break;
    }
    const char *text = *(const char *const *)target;
    if (text != NULL) {
        print_quoted(text, out);
    }
    return text != NULL;
}

void
hq_settings_print(const struct hq_settings *s, struct hq_buf *out)
{
    static const char *const words[] = {[HQ_FROM_BUILT_IN] = "built-in",
                                        [HQ_FROM_FILE] = "file",
                                        [HQ_FROM_ENV] = "environment",
                                        [HQ_FROM_FLAG] = "flag"};
    for (size_t i = 0; i < s->count; i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf value = HQ_BUF_INIT;
        bool is_set = print_value(s, &s->rows[i], &value);
        hq_buf_printf(out, "%s%s: %s # %s\n", is_set ? "" : "# ", s->rows[i].name, is_set ? value.ptr : "(not set)",
                      words[s->origins[i]]);
    }
}

void
hq_settings_print_example(const struct hq_setting *rows, size_t count, struct hq_buf *out)
{
    static const char *const kinds[] = {
        [HQ_SET_MS] = "duration", [HQ_SET_BOOL] = "true or false", [HQ_SET_INT] = "integer", [HQ_SET_BYTES] = "size",
        [HQ_SET_STR] = "text",    [HQ_SET_PATH] = "absolute path", [HQ_SET_WORD] = "one of",
    };
    for (size_t i = 0; i < count; i++) {
        const struct hq_setting *row = &rows[i];
        hq_buf_printf(out, "%s# %s\n# (%s", i == 0 ? "" : "\n", row->help, kinds[row->kind]);
        for (size_t k = 0; row->kind == HQ_SET_WORD && row->words[k] != NULL; k++) {
            hq_buf_printf(out, "%s %s", k == 0 ? "" : ",", row->words[k]);
        }
        if (row->min != 0 || row->max != 0) {
            hq_buf_cstr(out, ", ");
            print_number(row, row->min, out);
            hq_buf_cstr(out, " to ");
            print_number(row, row->max, out);
        }
        if (row->env != NULL) {
            hq_buf_printf(out, ", environment %s", row->env);
        }
        hq_buf_printf(out, ")\n# %s: %s\n", row->name, row->def != NULL ? row->def : "");
    }
}
