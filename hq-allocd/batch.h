/* batch.h - what a batch system must offer: submit, status of many, look up, cancel.
 *
 * Purpose    the only thing the shell knows of Slurm and PBS. Each function either writes a command line or reads an
 *            answer; none runs anything.
 * Ownership  command lines and rows lie in the arena given.
 * Threads    pure.
 * Units      ms since the epoch.
 * Errors     outcomes say whose fault it is. Nothing that a batch system prints is trusted: what cannot be read is
 *            BATCH_UNKNOWN or left out, never an end of an allocation.
 * Limits     BATCH_OUTPUT_BYTES_MAX of output are read; BATCH_ROWS_MAX rows; BATCH_ID_BYTES_MAX of an id.
 */
#ifndef HQ_HQ_ALLOCD_BATCH_H
#define HQ_HQ_ALLOCD_BATCH_H

#include "common/arena.h"
#include "common/id.h"
#include "common/str.h"

#define BATCH_OUTPUT_BYTES_MAX (16u << 20)
#define BATCH_ROWS_MAX 100000u
#define BATCH_ID_BYTES_MAX 256u
#define BATCH_ENV_MAX 8u

enum batch_outcome {
    BATCH_OK = 0,
    BATCH_REJECTED,    /* the user's request was refused: nothing was submitted */
    BATCH_UNREACHABLE, /* the batch system does not answer: ask again later */
    BATCH_AMBIGUOUS,   /* nobody knows whether a job exists: look it up */
    BATCH_GONE,        /* cancel: there is no such job (any more) */
};

/* A command that has ended. */
struct batch_result {
    int start_errno;   /* > 0: it could not be started */
    bool is_timed_out; /* and was killed */
    int status;        /* as of waitpid */
    bool is_cut;       /* it printed more than is read */
    struct hq_str out;
    struct hq_str err;
};

struct batch_cmd {
    const char **argv; /* NULL-terminated, in the arena */
    size_t argc;
    size_t cap;
    const char *env[BATCH_ENV_MAX]; /* "NAME=value", laid over ours */
    size_t env_count;
    struct hq_arena *arena;
};
void batch_arg(struct batch_cmd *cmd, const char *word);
void batch_env(struct batch_cmd *cmd, const char *assignment);

enum batch_state {
    BATCH_UNKNOWN = 0, /* a word that we do not know: changes nothing */
    BATCH_PENDING,
    BATCH_HELD,
    BATCH_RUNNING,
    BATCH_ENDED_OK,
    BATCH_ENDED_FAILED,
};
const char *batch_state_name(enum batch_state s);

struct batch_row { /* one job as the batch system shows it; texts may be empty, times 0 */
    struct hq_str id;
    struct hq_str script; /* absolute path of what was submitted */
    struct hq_str word;   /* the state as it calls it */
    struct hq_str reason; /* why it waits or how it ended */
    enum batch_state state;
    hq_wall_ms submitted_ms;
    hq_wall_ms started_ms;
    hq_wall_ms ended_ms;
};

struct batch_rows {
    struct batch_row *v; /* by script once batch_sort_rows was called */
    size_t count;
    size_t cap;
};

struct batch {
    const char *name;        /* "slurm" */
    const char *submit_tool; /* "sbatch" */
    void (*submit)(struct batch_cmd *cmd, const char *script);
    /* OK: *ret_id in the arena. Else `why` is the text that users read. */
    enum batch_outcome (*submitted)(const struct batch_result *r, struct hq_arena *arena, struct hq_str *ret_id,
                                    struct hq_buf *why);
    /* Jobs that have that script's name or are in `ids`. Slurm lists all jobs of the user in one command. */
    void (*status)(struct batch_cmd *cmd, const struct hq_str *ids, size_t count);
    enum batch_outcome (*statuses)(const struct batch_result *r, int32_t utc_offset_s, struct hq_arena *arena,
                                   struct batch_rows *ret, struct hq_buf *why);
    /* Ids of jobs with that name, and of all that user's jobs that are not over. NULL, both: status() lists jobs whose id
     * is not known, too. */
    void (*find)(struct batch_cmd *cmd, const char *job_name);
    void (*mine)(struct batch_cmd *cmd, const char *user);
    enum batch_outcome (*found)(const struct batch_result *r, struct hq_arena *arena, struct hq_str **ret_ids,
                                size_t *ret_count, struct hq_buf *why);
    void (*cancel)(struct batch_cmd *cmd, const char *id);
    enum batch_outcome (*canceled)(const struct batch_result *r, struct hq_buf *why);
    bool (*is_permanent)(struct hq_str reason); /* a reason to wait that will not go away by itself */
};
extern const struct batch batch_slurm;
extern const struct batch batch_pbs;

/* Shared by both: what is true of any command. */
/* "sbatch start failed" or "sbatch execution failed" with its causes. */
void batch_why(const struct batch_result *r, const char *tool, struct hq_buf *why);
bool batch_is_clean(const struct batch_result *r); /* started, not killed, read to its end, exit status 0 */
bool batch_says(struct hq_str text, const char *what);
/* What a submission came to. is_trouble: it was the way to the batch system that failed. */
enum batch_outcome batch_submit_outcome(const struct batch_result *r, const char *tool, bool has_id, bool is_trouble,
                                        struct hq_buf *why);
/* Printable, no blanks, not too long: what may stand in a command line and in our state. */
bool batch_id_ok(struct hq_str id);
/* Next line of what a command printed, without its end; false at the end of it. */
bool batch_next_line(struct hq_str *rest, struct hq_str *ret_line);
struct batch_row *batch_add_row(struct batch_rows *rows, struct hq_arena *arena); /* NULL: the bound is reached */
void batch_sort_rows(struct batch_rows *rows);
/* In sorted rows, the row of a job that is ours: same id (when known), same script, submitted after it was planned. */
const struct batch_row *batch_find_row(const struct batch_rows *rows, struct hq_str id, struct hq_str script,
                                       hq_wall_ms planned_ms);

#endif
