/* script.h - text of the batch script, and the names that go with it.
 *
 * Purpose    what users' sites know: directives in fixed order, one worker per node.
 * Threads    pure.
 * Units      ms.
 * Errors     none: `hq` has refused what cannot be written (newlines, nodes and walltime among the extra arguments);
 *            the caller asks script_dir_ok.
 */
#ifndef HQ_HQ_ALLOCD_SCRIPT_H
#define HQ_HQ_ALLOCD_SCRIPT_H

#include "common/id.h"
#include "common/str.h"

struct script {
    bool is_pbs;
    bool is_trial;  /* dry run: held where the batch system can do that */
    uint32_t queue; /* 0 = trial */
    uint32_t number;
    uint32_t nodes;
    hq_ms time_limit_ms;
    hq_ms idle_timeout_ms;
    struct hq_str name; /* empty = none */
    struct hq_str dir;  /* of the allocation */
    struct hq_str server_dir;
    struct hq_str hq;       /* path of hq */
    struct hq_str rust_log; /* empty = not set */
    const struct hq_str *worker_args;
    size_t worker_arg_count;
    const struct hq_str *extra_args;
    size_t extra_arg_count;
    struct hq_str start_cmd; /* empty = none */
    struct hq_str stop_cmd;
    struct hq_str wrap_cmd;
};

/* Can that directory stand in a directive? A newline would begin a line of its own. */
bool script_dir_ok(struct hq_str dir);
void script_text(const struct script *s, struct hq_buf *out);
/* "NAME-n" or "hq-QUEUE-n" */
void script_job_name(struct hq_str name, uint32_t queue, uint32_t number, struct hq_buf *out);
/* "SERVERDIR/autoalloc/QUEUE[-NAME]/nnn" */
void script_dir(struct hq_str server_dir, struct hq_str name, uint32_t queue, uint32_t number, struct hq_buf *out);

#endif
