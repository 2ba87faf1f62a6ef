#include "hq/doc.h"

#include "common/num.h"
#include "hq/toml_shim.h"

/* Line `number` of the text, without its end. */
static struct hq_str
line_of(struct hq_str text, uint32_t number)
{
    struct hq_str rest = text;
    struct hq_str line = HQ_STR_NULL;
    for (uint32_t ix = 0; ix < number; ix++) {
        if (!hq_str_split(&rest, '\n', &line) && ix + 1 < number) {
            return HQ_STR_NULL;
        }
    }
    return hq_str_ends(line, HQ_STR("\r")) ? hq_str_sub(line, 0, line.len - 1) : line;
}

int
doc_error(struct hq_err *err, const struct doc *d, struct doc_at at, const char *reason)
{
    struct hq_str line = line_of(d->text, at.line);
    HQ_AUTO(hq_buf_fini) struct hq_buf number = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf mark = HQ_BUF_INIT;
    hq_buf_u64(&number, at.line);
    size_t width = hq_str_width(line);
    size_t from = at.column > 0 ? HQ_MIN((size_t)at.column - 1, width) : 0;
    size_t to = at.end_line == at.line && at.end_column > at.column ? (size_t)at.end_column - 1 : width;
    hq_buf_rep(&mark, ' ', from);
    hq_buf_rep(&mark, '^', HQ_MAX(HQ_MIN(to, width), from + 1) - from);
    int digits = (int)number.len;
    return hq_err_set(err, -EINVAL, "%s parse error at line %u, column %u\n%*s |\n%s | %.*s\n%*s | %s\n%s\n",
                      d->language, at.line, at.column, digits, "", number.ptr, HQ_STR_FMT(line), digits, "", mark.ptr,
                      reason);
}

const char *
doc_describe(const struct doc_node *n, struct hq_arena *arena)
{
    struct hq_buf real = HQ_BUF_INIT;
    const char *text = "map";
    switch (n->kind) {
    case DOC_STRING:
        text = hq_arena_printf(arena, "string \"%.*s\"", HQ_STR_FMT(n->text));
        break;
    case DOC_INT:
        text = hq_arena_printf(arena, "integer `%lld`", (long long)n->i);
        break;
    case DOC_REAL:
        hq_num_f64_print(&real, n->real);
        text = hq_arena_printf(arena, "floating point `%s`", real.ptr);
        hq_buf_fini(&real);
        break;
    case DOC_BOOL:
        text = n->i != 0 ? "boolean `true`" : "boolean `false`";
        break;
    case DOC_DATE:
        text = "datetime";
        break;
    case DOC_NULL:
        text = "null";
        break;
    case DOC_ARRAY:
        text = "sequence";
        break;
    case DOC_TABLE:
        break;
    }
    return text;
}

/* ---- TOML: the calls of the shim build the tree */

struct builder {
    struct doc *doc;
    struct hq_arena *arena;
    struct hq_err *err;
    struct doc_node *open[DOC_DEPTH_MAX];
    size_t depth;
    size_t nodes;
    struct hq_str key;
    struct doc_at key_at;
    int rc;
};

static struct doc_at
at_of(struct toml_shim_span s)
{
    return (struct doc_at){.line = s.line, .column = s.column, .end_line = s.end_line, .end_column = s.end_column};
}

/* A new value in its place; NULL (b->rc is set) at a bound. */
static struct doc_node *
add_node(struct builder *b, enum doc_kind kind, struct toml_shim_span at)
{
    if (++b->nodes > DOC_NODES_MAX || (b->depth == DOC_DEPTH_MAX && kind >= DOC_ARRAY)) {
        b->rc =
            doc_error(b->err, b->doc, at_of(at), b->nodes > DOC_NODES_MAX ? "too many values" : "nested too deeply");
        return NULL;
    }
    struct doc_node *n = hq_arena_alloc(b->arena, sizeof *n);
    n->kind = kind;
    n->at = at_of(at);
    if (b->depth == 0) {
        b->doc->root = n;
        return n;
    }
    struct doc_node *parent = b->open[b->depth - 1];
    parent->items[parent->count++] = (struct doc_item){.key = b->key, .key_at = b->key_at, .value = n};
    return n;
}

static int
open_node(struct builder *b, enum doc_kind kind, struct toml_shim_span at, size_t count)
{
    struct doc_node *n = add_node(b, kind, at);
    if (n == NULL) {
        return -1;
    }
    n->items = hq_arena_array(b->arena, count, sizeof *n->items);
    b->open[b->depth++] = n;
    return 0;
}

static int
on_table(void *ctx, struct toml_shim_span at, size_t count)
{
    return open_node(ctx, DOC_TABLE, at, count);
}

static int
on_array(void *ctx, struct toml_shim_span at, size_t count)
{
    return open_node(ctx, DOC_ARRAY, at, count);
}

static int
on_end(void *ctx)
{
    struct builder *b = ctx;
    b->depth--;
    return 0;
}

static int
on_key(void *ctx, const char *text, size_t len, struct toml_shim_span at)
{
    struct builder *b = ctx;
    b->key = hq_arena_str(b->arena, hq_str_make(text, len));
    b->key_at = at_of(at);
    return 0;
}

static int
on_string(void *ctx, const char *text, size_t len, struct toml_shim_span at)
{
    struct builder *b = ctx;
    struct doc_node *n = add_node(b, DOC_STRING, at);
    if (n != NULL) {
        n->text = hq_arena_str(b->arena, hq_str_make(text, len));
    }
    return n != NULL ? 0 : -1;
}

static int
on_integer(void *ctx, int64_t v, struct toml_shim_span at)
{
    struct doc_node *n = add_node(ctx, DOC_INT, at);
    if (n != NULL) {
        n->i = v;
    }
    return n != NULL ? 0 : -1;
}

static int
on_real(void *ctx, double v, struct toml_shim_span at)
{
    struct doc_node *n = add_node(ctx, DOC_REAL, at);
    if (n != NULL) {
        n->real = v;
    }
    return n != NULL ? 0 : -1;
}

static int
on_boolean(void *ctx, int v, struct toml_shim_span at)
{
    struct doc_node *n = add_node(ctx, DOC_BOOL, at);
    if (n != NULL) {
        n->i = v;
    }
    return n != NULL ? 0 : -1;
}

static int
on_date(void *ctx, struct toml_shim_span at)
{
    return add_node(ctx, DOC_DATE, at) != NULL ? 0 : -1;
}

/* The two slips that people make most, in the words they know; other texts are the library's. */
static const char *
known_words(const char *why)
{
    static const struct {
        const char *library;
        const char *known;
    } words[] = {
        {"Error while parsing array: expected comma or closing ']'",
         "missing comma between array elements, expected `,`"},
        {"Error while parsing key-value pair: expected value, saw '\\n'",
         "string values must be quoted, expected literal string"},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(words); ix++) {
        if (hq_str_starts(hq_str_from(why), hq_str_from(words[ix].library))) {
            return words[ix].known;
        }
    }
    return why;
}

int
doc_parse_toml(struct doc *ret, struct hq_str text, struct hq_arena *arena, struct hq_err *err)
{
    struct doc d = {.language = "TOML", .text = text};
    struct builder b = {.doc = &d, .arena = arena, .err = err};
    struct toml_shim_sink sink = {.ctx = &b,
                                  .table = on_table,
                                  .array = on_array,
                                  .end = on_end,
                                  .key = on_key,
                                  .string = on_string,
                                  .integer = on_integer,
                                  .real = on_real,
                                  .boolean = on_boolean,
                                  .date = on_date};
    struct toml_shim_span bad = {0};
    char why[512];
    int rc = toml_shim_read(text.len > 0 ? text.ptr : "", text.len, &sink, &bad, why, sizeof why);
    if (rc == -1) {
        struct doc_at at = at_of(bad);
        bool is_point = at.end_line == at.line && at.end_column == at.column;
        at.end_column += is_point ? 1 : 0;
        return doc_error(err, &d, at, known_words(why));
    }
    if (rc < 0) {
        return b.rc;
    }
    *ret = d;
    return 0;
}
