/* paths.h - where a task's files are: the paths that job info and task info show.
 *
 * Purpose    each path is taken apart once per description; a task's paths are then put together without a search.
 *            The same rules as on the worker (spec section "Placeholders").
 * Ownership  everything lies in the arena; values are views of the caller.
 * Threads    pure.
 */
#ifndef HQ_HQ_PATHS_H
#define HQ_HQ_PATHS_H

#include "common/arena.h"
#include "common/placeholder.h"

#include "proto/client.pb-c.h"

struct path_piece {
    enum hq_placeholder kind; /* TASK_ID or INSTANCE_ID; HQ_PH_JOB_ID stands for `text` */
    struct hq_str text;
};
struct path_plan {
    struct path_piece *v;
    size_t count;
    size_t cap;
    bool is_open; /* depends on task or instance */
};
struct path {
    struct path_plan full;  /* of a task: absolute */
    struct path_plan shown; /* as far as it is known at submit */
};

enum paths_stdio {
    PATHS_FILE = 0,
    PATHS_NONE,
    PATHS_STREAM,
};
struct paths { /* of one description */
    struct path cwd;
    struct path to_stdout;
    struct path to_stderr;
    enum paths_stdio stdout_kind;
    enum paths_stdio stderr_kind;
};

struct paths_job { /* what is known for the whole job */
    uint32_t job;
    struct hq_str server_uid;
    struct hq_str submit_dir;
};

void paths_init(struct paths *ret, const Hq__TaskDesc *desc, const struct paths_job *job, struct hq_arena *arena);
/* As known at submit: %{TASK_ID} and %{INSTANCE_ID} stay; a relative path with one of them is not completed. */
void paths_fmt_shown(struct hq_buf *out, const struct path *path);
/* Of one task. */
void paths_fmt_task(struct hq_buf *out, const struct path *path, uint32_t task, uint32_t instance);

#endif
