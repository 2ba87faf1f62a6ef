#include "hq/doc.h"

#include "common/num.h"

#include <yaml.h>

#define TABLE_KEYS_MAX 10000u     /* each is compared with all before it */
#define ALIASED_NODES_MAX 100000u /* a few aliases of aliases are millions of values */

struct reader {
    yaml_document_t yaml;
    struct doc *doc;
    struct hq_arena *arena;
    struct hq_err *err;
    size_t nodes;
    size_t nodes_max; /* without aliases a value is a byte at least */
    size_t depth;
};

static struct doc_at
at_of(yaml_mark_t begin, yaml_mark_t end)
{
    return (struct doc_at){.line = (uint32_t)begin.line + 1,
                           .column = (uint32_t)begin.column + 1,
                           .end_line = (uint32_t)end.line + 1,
                           .end_column = (uint32_t)end.column + 1};
}

static bool
is_one_of(struct hq_str s, const char *const *words)
{
    for (size_t ix = 0; words[ix] != NULL; ix++) {
        if (hq_str_is(s, words[ix])) {
            return true;
        }
    }
    return false;
}

/* Plain scalars by the core schema (decimal numbers only); quoted ones are always strings. */
static void
read_scalar(struct doc_node *n, const yaml_node_t *y, struct hq_arena *arena)
{
    static const char *const yes[] = {"true", "True", "TRUE", NULL};
    static const char *const no[] = {"false", "False", "FALSE", NULL};
    static const char *const nil[] = {"", "~", "null", "Null", "NULL", NULL};
    struct hq_str s = hq_str_make((const char *)y->data.scalar.value, y->data.scalar.length);
    int64_t i;
    double real;
    n->kind = DOC_STRING;
    n->text = hq_arena_str(arena, s);
    if (y->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return;
    }
    if (is_one_of(s, yes) || is_one_of(s, no)) {
        n->kind = DOC_BOOL;
        n->i = is_one_of(s, yes);
    } else if (is_one_of(s, nil)) {
        n->kind = DOC_NULL;
    } else if (hq_num_i64(s, &i, NULL) == 0) {
        n->kind = DOC_INT;
        n->i = i;
    } else if (hq_num_f64(s, &real, NULL) == 0) {
        n->kind = DOC_REAL;
        n->real = real;
    }
}

static int read_node(struct reader *r, int index, struct doc_node **ret);

static int
add_item(struct reader *r, struct doc_node *parent, int key, int value)
{
    struct doc_item item = {0};
    if (key != 0) {
        const yaml_node_t *k = yaml_document_get_node(&r->yaml, key);
        item.key_at = at_of(k->start_mark, k->end_mark);
        if (k->type != YAML_SCALAR_NODE) {
            return doc_error(r->err, r->doc, item.key_at, "a key has to be a scalar");
        }
        item.key = hq_arena_str(r->arena, hq_str_make((const char *)k->data.scalar.value, k->data.scalar.length));
        for (size_t ix = 0; ix < parent->count; ix++) {
            if (hq_str_eq(parent->items[ix].key, item.key)) {
                return doc_error(r->err, r->doc, item.key_at, "duplicate key");
            }
        }
    }
    int rc = read_node(r, value, &item.value);
    if (rc == 0) {
        parent->items[parent->count++] = item;
    }
    return rc;
}

/* Aliases are followed, so a small file can mean a large tree: the bound on values holds for the tree. */
static int
read_children(struct reader *r, const yaml_node_t *y, struct doc_node *n)
{
    int rc = 0;
    if (++r->depth > DOC_DEPTH_MAX) {
        return doc_error(r->err, r->doc, n->at, "nested too deeply");
    }
    size_t count = y->type == YAML_SEQUENCE_NODE ? (size_t)(y->data.sequence.items.top - y->data.sequence.items.start)
                                                 : (size_t)(y->data.mapping.pairs.top - y->data.mapping.pairs.start);
    if (y->type != YAML_SEQUENCE_NODE && count > TABLE_KEYS_MAX) {
        return doc_error(r->err, r->doc, n->at, "too many keys");
    }
    n->items = hq_arena_array(r->arena, count, sizeof *n->items);
    if (y->type == YAML_SEQUENCE_NODE) {
        n->kind = DOC_ARRAY;
        for (const yaml_node_item_t *it = y->data.sequence.items.start; rc == 0 && it < y->data.sequence.items.top;
             it++) {
            rc = add_item(r, n, 0, *it);
        }
    } else {
        n->kind = DOC_TABLE;
        for (const yaml_node_pair_t *it = y->data.mapping.pairs.start; rc == 0 && it < y->data.mapping.pairs.top;
             it++) {
            rc = add_item(r, n, it->key, it->value);
        }
    }
    r->depth--;
    return rc;
}

static int
read_node(struct reader *r, int index, struct doc_node **ret)
{
    const yaml_node_t *y = yaml_document_get_node(&r->yaml, index);
    struct doc_node *n = hq_arena_alloc(r->arena, sizeof *n);
    n->at = at_of(y->start_mark, y->end_mark);
    *ret = n;
    if (++r->nodes > r->nodes_max) {
        return doc_error(r->err, r->doc, n->at, "too many values");
    }
    if (y->type == YAML_SCALAR_NODE) {
        read_scalar(n, y, r->arena);
        return 0;
    }
    return read_children(r, y, n);
}

static int
parse_failed(struct hq_err *err, const struct doc *d, const yaml_parser_t *p)
{
    bool is_marked = p->error == YAML_SCANNER_ERROR || p->error == YAML_PARSER_ERROR || p->error == YAML_COMPOSER_ERROR;
    struct doc_at at = {.line = 1, .column = 1};
    if (is_marked) {
        at.line = (uint32_t)p->problem_mark.line + 1;
        at.column = (uint32_t)p->problem_mark.column + 1;
    } else if (p->error == YAML_READER_ERROR) { /* bytes that are no text: only their offset is told */
        for (size_t i = 0; i < HQ_MIN(p->problem_offset, d->text.len); i++) {
            bool is_end = d->text.ptr[i] == '\n';
            at.line += is_end;
            at.column = is_end ? 1 : at.column + 1;
        }
    }
    at.end_line = at.line;
    at.end_column = at.column + 1;
    return doc_error(err, d, at, p->problem != NULL ? p->problem : "out of memory");
}

int
doc_parse_yaml(struct doc *ret, struct hq_str text, struct hq_arena *arena, struct hq_err *err)
{
    struct doc d = {.language = "YAML", .text = text};
    struct reader r = {.doc = &d, .arena = arena, .err = err};
    r.nodes_max = HQ_MIN(HQ_MAX(text.len, (size_t)ALIASED_NODES_MAX), (size_t)DOC_NODES_MAX);
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        return hq_err_set(err, -ENOMEM, "Out of memory");
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.len > 0 ? text.ptr : ""), text.len);
    int rc;
    if (yaml_parser_load(&parser, &r.yaml) == 0) {
        rc = parse_failed(err, &d, &parser);
    } else {
        if (yaml_document_get_root_node(&r.yaml) != NULL) {
            rc = read_node(&r, 1, &d.root); /* the root is the first node */
        } else {
            d.root = hq_arena_alloc(arena, sizeof *d.root); /* an empty document is an empty table */
            d.root->kind = DOC_TABLE;
            d.root->at = (struct doc_at){.line = 1, .column = 1, .end_line = 1, .end_column = 1};
            rc = 0;
        }
        yaml_document_delete(&r.yaml);
    }
    yaml_parser_delete(&parser);
    if (rc == 0) {
        *ret = d;
    }
    return rc;
}
