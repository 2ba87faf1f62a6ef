/* optab_text.h - inner face of the option tables: parse state, and the texts of help, usage and errors.
 *
 * Purpose    shared by the optab*.c files only.
 * Ownership  everything is borrowed from the parse in progress.
 */
#ifndef HQ_COMMON_OPTAB_TEXT_H
#define HQ_COMMON_OPTAB_TEXT_H

#include "common/optab.h"

enum optab_style {
    OPTAB_PLAIN = 0,
    OPTAB_LITERAL, /* what is typed as it stands: bold */
    OPTAB_HEADER,  /* bold, underlined */
    OPTAB_ERROR,   /* bold, red */
    OPTAB_BAD,     /* yellow: the offence */
    OPTAB_GOOD,    /* green: what would have been right */
};
struct optab_text {
    struct hq_buf *out;
    bool with_color;
};
void optab_put(struct optab_text *t, enum optab_style style, struct hq_str s);
void optab_putz(struct optab_text *t, enum optab_style style, const char *s);

/* A row and whether it is a global one. */
struct optab_row {
    const struct hq_opt *opt; /* NULL = none */
    size_t ix;
    bool is_global;
};

/* One level of the command line while it is read. */
struct optab_parse {
    const struct hq_optab *tab;   /* NULL for directives */
    const struct hq_command *cmd; /* NULL for directives */
    const char *path;
    const struct hq_opt *opts;
    size_t opt_count;
    void *args;
    struct hq_arena *arena;
    struct optab_text text;
    struct hq_buf *hints;
    uint64_t given; /* rows of opts */
    uint64_t typed;
    uint64_t global_typed;                   /* on this level */
    struct optab_row order[2 * HQ_OPTS_MAX]; /* typed rows, in order of their first appearance */
    size_t order_count;
    size_t next_positional; /* index in opts from which the next positional is looked for */
    bool is_directive;
    enum hq_optab_end end; /* set by the error functions */
};

struct optab_words { /* what is left to read */
    const struct hq_str *v;
    size_t count;
    size_t ix;
    bool is_after_dashes;
};

/* Reads up to the end or to the name of a sub-command (*ret_sub). These return false with the error written. */
bool optab_read_level(struct optab_parse *p, struct optab_words *w, const struct hq_command **ret_sub);
bool optab_store(struct optab_parse *p, struct optab_row row, struct hq_str value);
void *optab_target(const struct optab_parse *p, struct optab_row row);

/* "--array <ARRAY>", "-t <TIME_LIMIT>", "<SELECTOR>", "--wait" */
void optab_display(struct hq_buf *b, const struct hq_opt *opt);
void optab_hint(struct hq_buf *b, const struct hq_opt *opt); /* "ARRAY" */
/* "hq x <DIR> list": path of a sub-command, with the positionals of the command above it. */
const char *optab_sub_path(struct hq_arena *arena, const struct hq_command *cmd, const char *path, const char *sub);
void optab_put_opt(struct optab_text *t, enum optab_style style, const struct hq_opt *opt);
/* "Usage: hq job list [OPTIONS]" with an empty line in front: all options together. */
void optab_put_usage(struct optab_parse *p);
/* The form that repeats what was typed (without `less`), plus what is required and `more`. Without anything typed it is
 * the general one, unless is_forced. */
void optab_put_usage_used(struct optab_parse *p, const struct hq_opt *more, const struct hq_opt *const *less,
                          size_t less_count, bool is_forced);

/* The error texts; each sets p->end and returns false. */
bool optab_err_unknown(struct optab_parse *p, struct hq_str word, bool is_long);
bool optab_err_extra(struct optab_parse *p, struct hq_str word);
bool optab_err_command(struct optab_parse *p, struct hq_str word);
bool optab_err_no_command(struct optab_parse *p);
bool optab_err_no_value(struct optab_parse *p, const struct hq_opt *opt);
bool optab_err_value(struct optab_parse *p, const struct hq_opt *opt, struct hq_str value, const struct hq_err *err);
bool optab_err_unneeded(struct optab_parse *p, const struct hq_opt *opt, struct hq_str value);
bool optab_err_twice(struct optab_parse *p, const struct hq_opt *opt);
bool optab_err_conflict(struct optab_parse *p, const struct hq_opt *opt, const struct hq_opt *const *others,
                        size_t count);
bool optab_err_missing(struct optab_parse *p, const struct hq_opt *const *missing, size_t count);

/* Similarity of two words, 0 to 1 (Jaro). */
double optab_similarity(struct hq_str a, struct hq_str b);

#endif
