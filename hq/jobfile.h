/* jobfile.h - job definition files: a document, checked key by key, as tasks ready to submit.
 *
 * Purpose    TOML and YAML (by suffix) with the same keys; every refusal shows the line it is about.
 * Ownership  everything lies in the arena but `ids` and `entries` of the array: jobfile_fini.
 * Threads    pure.
 * Errors     -EINVAL "Deserialization error: ..." or, for the graph as a whole, "Error: Task ...".
 * Limits     those of doc.h, HQ_TASKS_PER_SUBMIT_MAX.
 */
#ifndef HQ_HQ_JOBFILE_H
#define HQ_HQ_JOBFILE_H

#include "hq/doc.h"
#include "hq/entries.h"
#include "hq/submit_args.h"

#include "proto/client.pb-c.h"

struct jobfile_task {
    struct hq_str *command;
    size_t command_count;
    struct submit_env env;
    struct hq_str cwd; /* empty = submit directory */
    bool has_stdout;
    bool has_stderr;
    struct submit_stdio to_stdout;
    struct submit_stdio to_stderr;
    struct hq_str stdin_text;
    int pin; /* enum submit_pin */
    struct hq_mpi mpi;
    bool task_dir;
    int64_t time_limit_ms; /* 0 = none */
    int32_t priority;
    uint32_t crash_limit;
    struct hq_request request;
    /* [[task]] only */
    bool has_id;
    uint32_t id;
    uint32_t *deps;
    size_t dep_count;
    /* [array] only */
    bool has_ids;
    struct hq_ranges ids;
    bool has_entries;
    struct entries entries;
};

struct jobfile {
    bool has_name;
    struct hq_str name;
    bool has_max_fails;
    uint32_t max_fails;
    bool has_stream;
    struct hq_str stream;
    bool is_array;
    struct jobfile_task *tasks; /* is_array: one */
    size_t task_count;
};

/* `file`: its name for errors. */
HQ_MUST_CHECK int jobfile_read(struct jobfile *ret, const struct doc *d, const char *file, struct hq_arena *arena,
                               struct hq_err *err);
void jobfile_fini(struct jobfile *f);
/* Gives automatic ids (behind the largest explicit one and behind the known ones), then looks for ids that come twice,
 * unknown dependencies and cycles. `known`: ids that the job has already, sorted; NULL = none. */
HQ_MUST_CHECK int jobfile_check_graph(struct jobfile *f, const struct hq_ranges *known, struct hq_err *err);

/* ---- used between the files of this module */
#define JOBFILE_TRAIL_MAX 6 /* nested tables: task, request, resources */
struct jobfile_reader {
    const struct doc *doc;
    struct hq_arena *arena;
    struct hq_err *err;
    const char *file; /* its name in errors */
    /* Where the reader is: keys from the top table on, and which task counted from 1 (0 = none). */
    const char *trail[JOBFILE_TRAIL_MAX];
    size_t trail_len;
    size_t task_number;
    bool is_plain; /* the line shown says all: top table, and keys whose errors users know as they are */
};
int jobfile_fail(struct jobfile_reader *r, struct doc_at at, const char *fmt, ...) HQ_PRINTF(3, 4);
int jobfile_fail_type(struct jobfile_reader *r, const struct doc_node *n, const char *expected);

typedef int (*jobfile_read_fn)(struct jobfile_reader *r, const struct doc_node *value, void *target);
struct jobfile_key {
    const char *name;
    jobfile_read_fn read;
    const char *older; /* another spelling, NULL = none */
    bool is_plain;     /* its errors name no file and key */
};
struct jobfile_table {
    const struct jobfile_key *keys;
    size_t count;
    const char *unknown; /* behind "unknown field `x`" */
    bool is_plain;
};
/* Every key of a table by its row. */
HQ_MUST_CHECK int jobfile_read_table(struct jobfile_reader *r, const struct doc_node *n,
                                     const struct jobfile_table *table, void *target);
HQ_MUST_CHECK int jobfile_string(struct jobfile_reader *r, const struct doc_node *n, const char *expected,
                                 struct hq_str *ret);
HQ_MUST_CHECK int jobfile_u32(struct jobfile_reader *r, const struct doc_node *n, uint32_t *ret);
HQ_MUST_CHECK int jobfile_bool(struct jobfile_reader *r, const struct doc_node *n, bool *ret);
/* Human form, at least 1 ms. */
HQ_MUST_CHECK int jobfile_duration(struct jobfile_reader *r, const struct doc_node *n, int64_t *ret_ms);
HQ_MUST_CHECK int jobfile_read_task(struct jobfile_reader *r, const struct doc_node *n, bool is_array,
                                    struct jobfile_task *ret);
/* Keys of ranks, jobfile_mpi.c; `target` is the struct jobfile_task. */
HQ_MUST_CHECK int jobfile_read_mpi(struct jobfile_reader *r, const struct doc_node *n, void *target);
HQ_MUST_CHECK int jobfile_read_ranks_per_node(struct jobfile_reader *r, const struct doc_node *n, void *target);
HQ_MUST_CHECK int jobfile_read_ranks(struct jobfile_reader *r, const struct doc_node *n, void *target);
HQ_MUST_CHECK int jobfile_read_cpus_per_rank(struct jobfile_reader *r, const struct doc_node *n, void *target);
HQ_MUST_CHECK int jobfile_read_oversubscribe(struct jobfile_reader *r, const struct doc_node *n, void *target);
HQ_MUST_CHECK int jobfile_read_tag_output(struct jobfile_reader *r, const struct doc_node *n, void *target);
/* Rules between keys about ranks, and their shape against the request; `n` is the task. */
HQ_MUST_CHECK int jobfile_check_mpi(struct jobfile_reader *r, const struct doc_node *n, struct jobfile_task *t);
HQ_MUST_CHECK int jobfile_read_request(struct jobfile_reader *r, const struct doc_node *n,
                                       void *target); /* struct hq_request */

#endif
