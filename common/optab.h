/* optab.h - option tables and command trees: one table parses, prints help, completes, and writes manual pages.
 *
 * Purpose    command lines and #HQ directives by the rules of spec section "Option syntax", with its exact error texts.
 * Ownership  tables are static const. Parsed strings borrow argv, the environment or the default text; what a parser
 *            builds lies in the arena given to hq_optab_parse.
 * Threads    pure: the environment is passed in, nothing is printed.
 * Units      durations in ms, rounded up.
 * Errors     no error codes: the outcome is an enum, the finished text lies in a buffer.
 * Limits     HQ_OPTS_MAX rows in one table; HQ_COMMAND_DEPTH_MAX levels of commands.
 *
 * A row whose `parse` is NULL is a flag (target bool). Every other row stores what its parser says below. `at` is the
 * offset in the argument struct of the command (in the struct of global options for HQ_OPT_GLOBAL rows). The struct
 * is zeroed first, then the rows with a `def` are parsed from it, so that "not given and no default" is all zero.
 */
#ifndef HQ_COMMON_OPTAB_H
#define HQ_COMMON_OPTAB_H

#include "common/arena.h"
#include "common/err.h"
#include "common/ranges.h"
#include "common/str.h"

#define HQ_OPTS_MAX 64u
#define HQ_COMMAND_DEPTH_MAX 4u

struct hq_opt;
/* Parses `value` into `target`. Negative with the reason in err, as it follows "invalid value 'x' for '--y <Y>': ".
 * Called once per occurrence; repeatable options append. */
typedef int (*hq_opt_parse_fn)(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena,
                               struct hq_err *err);

enum hq_opt_flag {
    HQ_OPT_POSITIONAL = 1 << 0, /* `name` is its display name in capitals: "SELECTOR" */
    HQ_OPT_REQUIRED = 1 << 1,
    HQ_OPT_REPEAT = 1 << 2,     /* may be given again and adds up; everything else is an error the second time. A
                                 * positional takes all bare words, and everything behind "--" */
    HQ_OPT_TRAILING = 1 << 3,   /* positional (hq_opt_strv); from its first word on all belongs to it, options too */
    HQ_OPT_MORE_WORDS = 1 << 4, /* `values` goes on behind its NULL: words that work but are not shown */
    HQ_OPT_GLOBAL = 1 << 5,     /* accepted by every command; heading GLOBAL OPTIONS of --help */
    HQ_OPT_HIDDEN = 1 << 6,     /* not in help, completion, usage lines */
    HQ_OPT_OPTIONAL_VALUE = 1 << 7, /* a following word is its value only if it is one of `values`; bare = `bare` */
    HQ_OPT_DIRECTIVE = 1 << 8,      /* allowed in #HQ lines */
    HQ_OPT_NONEMPTY = 1 << 9,       /* the empty text counts as no value at all */
    HQ_OPT_RAW_ERROR = 1 << 10,     /* the parser's text is the whole message after "error: " */
    HQ_OPT_RAW_USAGE = 1 << 11,     /* the same, followed by the usage line */
    HQ_OPT_OLD = 1 << 12,           /* older spelling: works, hidden, one INFO hint naming `instead` */
};

enum hq_complete { /* what a shell offers for the value */
                   HQ_COMPLETE_NONE = 0,
                   HQ_COMPLETE_FILE,
                   HQ_COMPLETE_DIR,
                   HQ_COMPLETE_COMMAND,
                   HQ_COMPLETE_HOST,
};

struct hq_opt {
    const char *name;          /* long name without dashes, or NULL with only a short one */
    char short_name;           /* 0 = none */
    const char *env;           /* environment variable, NULL = none */
    const char *hint;          /* value name without brackets; NULL = `name` in capitals */
    hq_opt_parse_fn parse;     /* NULL = flag */
    size_t at;                 /* offset of the target */
    const char *def;           /* parsed when neither given nor in the environment; shown by --help */
    const char *bare;          /* value of the bare option; without HQ_OPT_OPTIONAL_VALUE it never takes another one */
    const char *const *values; /* NULL-terminated list of allowed words (the empty text then counts as no value) */
    const char *conflicts;     /* names separated by blanks; one side is enough */
    const char *help;          /* one sentence, ending with a dot */
    const char *instead;       /* HQ_OPT_OLD: the present spelling as the hint shows it ("--journal", "--x=none"). If it
                                * names a row, that one counts as given too and the two exclude each other. NULL:
                                * without effect, the hint says so */
    enum hq_complete complete;
    uint32_t flags; /* enum hq_opt_flag */
};

/* ---- parsers and their target types */
struct hq_strv { /* of repeatable texts; memory in the arena */
    struct hq_str *v;
    size_t count;
    size_t cap;
};
int hq_opt_str(const struct hq_opt *, struct hq_str, void *, struct hq_arena *, struct hq_err *); /* struct hq_str */
int hq_opt_strv(const struct hq_opt *, struct hq_str, void *, struct hq_arena *,
                struct hq_err *); /* struct hq_strv, appends */
int hq_opt_u32(const struct hq_opt *, struct hq_str, void *, struct hq_arena *,
               struct hq_err *); /* uint32_t, "x is not in 0..=4294967295" */
int hq_opt_id(const struct hq_opt *, struct hq_str, void *, struct hq_arena *,
              struct hq_err *); /* uint32_t, "invalid digit found in string" */
int hq_opt_i32(const struct hq_opt *, struct hq_str, void *, struct hq_arena *, struct hq_err *);  /* int32_t */
int hq_opt_port(const struct hq_opt *, struct hq_str, void *, struct hq_arena *, struct hq_err *); /* uint16_t */
int hq_opt_word(const struct hq_opt *, struct hq_str, void *, struct hq_arena *,
                struct hq_err *); /* int: index in `values` */
int hq_opt_words(const struct hq_opt *, struct hq_str, void *, struct hq_arena *,
                 struct hq_err *); /* uint32_t: bit per index; comma list, adds up */
int hq_opt_bool(const struct hq_opt *, struct hq_str, void *, struct hq_arena *,
                struct hq_err *); /* bool, "true" / "false" / "1" / "0" / "" */
int hq_opt_span(const struct hq_opt *, struct hq_str, void *, struct hq_arena *,
                struct hq_err *); /* int64_t ms, clock or human form */
int hq_opt_span_human(const struct hq_opt *, struct hq_str, void *, struct hq_arena *,
                      struct hq_err *); /* int64_t ms, human form only */
int hq_opt_ranges(const struct hq_opt *, struct hq_str, void *, struct hq_arena *,
                  struct hq_err *); /* struct hq_ranges */
int hq_opt_none(const struct hq_opt *, struct hq_str, void *, struct hq_arena *,
                struct hq_err *); /* takes any value and drops it */

/* ---- commands */
struct hq_cli; /* of the program that runs the commands */
struct hq_parsed;
typedef int (*hq_command_fn)(struct hq_cli *cli, const struct hq_parsed *parsed, struct hq_err *err);

struct hq_command {
    const char *name;
    const char *help;           /* one sentence */
    const char *text;           /* longer explanation for --help and the manual, NULL = none */
    const char *const *aliases; /* NULL-terminated; work, hidden */
    const struct hq_opt *opts;
    size_t opt_count;
    size_t args_bytes; /* size of the argument struct; 0 with no options */
    const struct hq_command *subs;
    size_t sub_count;
    hq_command_fn run;   /* NULL for a command that only has sub-commands; with none of these either: it
                          * is gone, `instead` is the tip of the error */
    const char *instead; /* old spelling of a command: hidden, one INFO hint ("hq job list") */
    uint32_t kind;       /* free for the program: tells apart spellings that share `run` */
};

struct hq_parsed {
    const struct hq_command *cmd;
    const char *path;                  /* "hq job list", "hq x <DIR> cat"; in the arena */
    void *args;                        /* the command's argument struct, in the arena, aligned for anything */
    const void *parent_args;           /* argument struct of the enclosing command, NULL = it has none */
    uint64_t given;                    /* bit i: row i of cmd->opts came from the command line or the environment */
    uint64_t typed;                    /* bit i: from the command line */
    int word_ix[HQ_COMMAND_DEPTH_MAX]; /* index in argv of each word that named a command: "job", "list" */
    size_t word_count;
};
/* Was the option (long name, or display name of a positional) given by command line or environment? */
bool hq_parsed_given(const struct hq_parsed *p, const char *name);
/* Bit of a row in a table; the name must exist. */
uint64_t hq_opt_bit(const struct hq_opt *opts, size_t count, const char *name);

/* Value of a variable in a "NAME=value" list, or NULL. */
const char *hq_optab_env(char *const *envp, const char *name);

enum hq_optab_end {
    HQ_OPTAB_RUN = 0,   /* ret is complete; run it */
    HQ_OPTAB_INFO = 1,  /* help or version: text goes to stdout, exit 0 */
    HQ_OPTAB_USAGE = 2, /* text goes to stderr, exit 2 */
};

struct hq_optab {
    const struct hq_command *root; /* name = program word ("hq") */
    const struct hq_opt *globals;  /* HQ_OPT_GLOBAL rows */
    size_t global_count;
    void *global_args;   /* zeroed by the caller */
    const char *version; /* printed by --version / -V of the root, one line without newline */
    char *const *envp;   /* "NAME=value" list, NULL = none */
    bool color_out;      /* help may be coloured */
    bool color_err;
    struct hq_arena *arena;
};

/* argv[0] is not read. `text` receives help or the error; `hints` INFO sentences about old spellings, one a line. */
enum hq_optab_end hq_optab_parse(const struct hq_optab *tab, int argc, char *const *argv, struct hq_parsed *ret,
                                 struct hq_buf *text, struct hq_buf *hints);
/* Parses the words against the command's own table only, after `path` in usage lines: a daemon started directly. */
enum hq_optab_end hq_optab_parse_command(const struct hq_optab *tab, const struct hq_command *cmd, const char *path,
                                         int argc, char *const *argv, struct hq_parsed *ret, struct hq_buf *text,
                                         struct hq_buf *hints);
/* Parses the words of #HQ lines: HQ_OPT_DIRECTIVE rows only, no defaults, no environment, no required ones.
 * `args` is the struct to fill (zeroed by the caller). false: `text` holds "error: ..." up to and including
 * "Usage: #HQ <hq submit parameters>\n". */
bool hq_optab_parse_directives(const struct hq_opt *opts, size_t count, const struct hq_str *words, size_t word_count,
                               void *args, struct hq_arena *arena, uint64_t *ret_given, struct hq_buf *text,
                               struct hq_buf *hints);

/* ---- other products of the tables */
void hq_optab_help(const struct hq_optab *tab, const struct hq_command *cmd, const char *path, bool is_long,
                   bool with_color, struct hq_buf *out);
void hq_optab_usage(const struct hq_command *cmd, const char *path, struct hq_buf *out); /* "hq job list [OPTIONS]" */
/* shell: "bash", "zsh" or "fish"; false for others. */
bool hq_optab_completion(const struct hq_optab *tab, const char *shell, struct hq_buf *out);
void hq_optab_page_name(const char *path, struct hq_buf *out);
/* troff page of one command, all levels below it included. */
void hq_optab_man(const struct hq_optab *tab, const struct hq_command *cmd, const char *path, const char *date,
                  struct hq_buf *out);
/* Calls fn for every command that help lists, parents first, with its full path ("hq job list"); a negative result ends
 * the walk and is returned. */
typedef int (*hq_optab_visit_fn)(void *ctx, const struct hq_command *cmd, const char *path, struct hq_err *err);
HQ_MUST_CHECK int hq_optab_walk(const struct hq_optab *tab, hq_optab_visit_fn fn, void *ctx, struct hq_err *err);
/* docs/cli.md: every command with its options. */
void hq_optab_markdown(const struct hq_optab *tab, struct hq_buf *out);

#endif
