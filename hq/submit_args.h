/* submit_args.h - options of submit and job submit as rows, shared with #HQ lines.
 *
 * Purpose    one table parses the command line and the directives; submit_args_merge joins the two.
 * Ownership  texts borrow argv or the words of directives; lists lie in the arena; `array` is heap for the whole run.
 * Threads    pure.
 * Units      ms; amounts and weights in 1/10000.
 * Errors     parsers are hq_opt_parse_fn; merge: -EINVAL with the sentence for the user (exit 1).
 */
#ifndef HQ_HQ_SUBMIT_ARGS_H
#define HQ_HQ_SUBMIT_ARGS_H

#include "common/mpi.h"
#include "common/optab.h"
#include "common/ranges.h"
#include "common/request.h"

#define SUBMIT_CRASH_NEVER 0u /* never-restart, as on the wire */
#define SUBMIT_CRASH_UNLIMITED UINT32_MAX

enum submit_directives { /* --directives */
                         SUBMIT_DIRECTIVES_AUTO = 0,
                         SUBMIT_DIRECTIVES_FILE,
                         SUBMIT_DIRECTIVES_STDIN,
                         SUBMIT_DIRECTIVES_OFF,
};
enum submit_pin { /* --pin; the same numbers as PinMode of proto/common.proto */
                  SUBMIT_PIN_NONE = 0,
                  SUBMIT_PIN_TASKSET = 1,
                  SUBMIT_PIN_OMP = 2,
};

struct submit_amount { /* --cpus */
    hq_amount amount;
    enum hq_policy policy;
};
struct submit_entries { /* of repeated --resource, in the order given */
    struct hq_request_entry *v;
    size_t count;
    size_t cap;
};
struct submit_env_var {
    struct hq_str key;
    struct hq_str value;
};
struct submit_env { /* of repeated --env, in the order given, keys may repeat */
    struct submit_env_var *v;
    size_t count;
    size_t cap;
};
struct submit_stdio { /* --stdout, --stderr */
    bool is_none;
    struct hq_str path; /* as written; empty = default path */
    bool remove_if_finished;
};

struct submit_args {
    struct hq_str name;
    uint32_t max_fails;
    struct submit_amount cpus;
    struct submit_entries resources;
    uint32_t nodes;
    int64_t time_request_ms;
    uint64_t weight_x10000;
    int pin; /* enum submit_pin */
    struct hq_mpi mpi;
    struct hq_str cwd;
    struct submit_stdio to_stdout;
    struct submit_stdio to_stderr;
    struct hq_str stream; /* also by the older --log */
    struct submit_env env;
    struct hq_str each_line;
    struct hq_str from_json;
    struct hq_ranges array;
    int32_t priority;
    int64_t time_limit_ms;
    uint32_t crash_limit;
    bool task_dir;
    uint32_t job;
    bool wait;
    bool progress;
    bool fail;
    struct hq_str on_notify;
    bool with_stdin;
    int directives;         /* enum submit_directives */
    struct hq_strv command; /* program and arguments */
};

#define SUBMIT_OPTS 35
extern const struct hq_opt submit_opts[SUBMIT_OPTS];

/* Was the option given? `given` is hq_parsed.given, or the bits of directives, or both. --log counts as stream. */
bool submit_args_given(uint64_t given, const char *name);
/* Adds what the #HQ lines say; the command line wins. *given becomes the union (without those that lost). */
HQ_MUST_CHECK int submit_args_merge(struct submit_args *args, uint64_t *given, const struct submit_args *dir,
                                    uint64_t dir_given, struct hq_arena *arena, struct hq_err *err);

/* ---- values whose grammar other places share (job files) */
HQ_MUST_CHECK int submit_parse_stdio(struct hq_str text, struct submit_stdio *ret, struct hq_err *err);
HQ_MUST_CHECK int submit_parse_crash_limit(struct hq_str text, uint32_t *ret, struct hq_err *err);
/* Job names have neither newline nor tab. */
HQ_MUST_CHECK int submit_check_name(struct hq_str name, struct hq_err *err);

#endif
