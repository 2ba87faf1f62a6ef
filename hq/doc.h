/* doc.h - a TOML or YAML text as one tree of values that know where they stand.
 *
 * Purpose    job definition files; readers name file, line and key of what they refuse.
 * Ownership  everything lies in the arena given to doc_parse_*; `text` of the document is borrowed.
 * Units      lines and columns count from 1.
 * Errors     -EINVAL "<language> parse error at line 2, column 5" with the line, a mark under it and the reason.
 * Limits     DOC_NODES_MAX values, DOC_DEPTH_MAX levels.
 */
#ifndef HQ_HQ_DOC_H
#define HQ_HQ_DOC_H

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

#define DOC_NODES_MAX (4u << 20)
#define DOC_DEPTH_MAX 64u

struct doc_at {
    uint32_t line;
    uint32_t column;
    uint32_t end_line;
    uint32_t end_column; /* behind the last character */
};

enum doc_kind {
    DOC_STRING = 0,
    DOC_INT,
    DOC_REAL,
    DOC_BOOL,
    DOC_DATE, /* TOML only */
    DOC_NULL, /* YAML only */
    DOC_ARRAY,
    DOC_TABLE,
};

struct doc_node {
    enum doc_kind kind;
    struct doc_at at;
    union {                 /* by kind; 400,000 numbers are a usual file */
        struct hq_str text; /* STRING */
        int64_t i;          /* INT, BOOL */
        double real;        /* REAL */
        struct {            /* ARRAY, TABLE: in the order of the file (TOML tables: by key) */
            struct doc_item *items;
            size_t count;
        };
    };
};
struct doc_item {
    struct hq_str key; /* TABLE */
    struct doc_at key_at;
    struct doc_node *value;
};

struct doc {
    const char *language; /* "TOML", "YAML" */
    struct hq_str text;
    struct doc_node *root;
};

HQ_MUST_CHECK int doc_parse_toml(struct doc *ret, struct hq_str text, struct hq_arena *arena, struct hq_err *err);
HQ_MUST_CHECK int doc_parse_yaml(struct doc *ret, struct hq_str text, struct hq_arena *arena, struct hq_err *err);

/* "TOML parse error at line 2, column 5\n  |\n2 | ids="3-1"\n  |     ^^^^^\n<reason>\n"; returns -EINVAL. */
int doc_error(struct hq_err *err, const struct doc *d, struct doc_at at, const char *reason);
/* "string \"a\"", "integer `1`", "sequence", ... as in "invalid type: ..." */
const char *doc_describe(const struct doc_node *n, struct hq_arena *arena);

#endif
