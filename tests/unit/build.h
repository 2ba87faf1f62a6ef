/* build.h - builders for jobs, workers and inputs: a core with a clock and a log of its effects.
 *
 * Purpose    a test says what happens in a few words and compares the effects as text.
 * Ownership  rig_fini frees everything, inputs included.
 * Units      the clock stands at 1,000 ms (monotonic) and 1,000,000 ms (wall) until rig_wait moves both.
 */
#ifndef HQ_TESTS_UNIT_BUILD_H
#define HQ_TESTS_UNIT_BUILD_H

#include "common/arena.h"
#include "hqd/core/core.h"
#include "hqd/core/query.h"

struct rig_record {
    uint64_t seq;
    size_t at;
    size_t len;
};

#define RIG_WORKERS 64

struct rig {
    struct core *core;
    struct core_conf conf;
    struct core_now now;
    struct effects fx;
    struct hq_buf log;     /* effects since the last rig_expect, one a line; records without their numbers */
    struct hq_arena arena; /* of inputs */
    struct hq_buf journal; /* all records so far, encoded as hqd does it */
    struct rig_record *records;
    size_t record_count;
    size_t record_cap;
    uint64_t handle;                   /* of the last request */
    uint64_t turn_seq[RIG_WORKERS];    /* by worker id: last turn sent */
    uint64_t command_seq[RIG_WORKERS]; /* by worker id: last answer with commands seen */
    uint32_t uid;
    hq_ms worker_idle_ms; /* of the next workers: their idle timeout, 0 = the server's */
    hq_ms worker_time_limit_ms;
    uint32_t worker_min_utilization_x10000;
    uint64_t duration_ms; /* of tasks that finish; 0 = 10 */
};

void rig_init(struct rig *r);
void rig_init_conf(struct rig *r, const struct core_conf *conf);
void rig_fini(struct rig *r);
void rig_wait(struct rig *r, hq_ms ms); /* and lets due timers fire */
/* One step; its effects are logged. */
void rig_step(struct rig *r, const struct input *in);
void rig_schedule(struct rig *r);
void rig_clear(struct rig *r);
/* Fails with both texts when the log is not `text`; clears it. Checks all invariants. */
void rig_expect(struct rig *r, const char *text);
/* True when the log has that line or part of it. */
bool rig_saw(const struct rig *r, const char *part);

/* ---- requests of tasks */
struct hq_request *rig_cpus(struct rig *r, double cpus);
struct hq_request *rig_two(struct rig *r, const char *name1, double amount1, const char *name2, double amount2);
struct hq_request *rig_nodes(struct rig *r, uint32_t n);
struct hq_ranges rig_ranges(struct rig *r, const char *text);

/* ---- clients */
struct rig_job {
    uint32_t job;                     /* 0 = new */
    const char *ids;                  /* NULL = automatic */
    uint32_t count;                   /* automatic ids; 0 = 1 */
    const char *entries;              /* lines, one a task */
    double cpus;                      /* 0 = 1 */
    const struct hq_request *request; /* instead of cpus */
    int32_t priority;
    uint32_t crash_limit; /* 0 = 5 */
    bool never_restart;
    int64_t min_time_ms;
    bool has_max_fails;
    uint32_t max_fails;
    uint64_t request_id;
    struct hq_mpi mpi;
};
void rig_array(struct rig *r, const struct rig_job *j);
/* "1 2:1 3:1,2": ids with their dependencies. */
void rig_graph(struct rig *r, uint32_t job, const char *text);
void rig_open(struct rig *r);
void rig_close(struct rig *r, const char *ids);
void rig_cancel(struct rig *r, const char *ids, const char *reason);
void rig_forget(struct rig *r, const char *ids);

/* ---- workers */
void rig_worker(struct rig *r, const char *pools, const char *group); /* "cpus=4 gpus=2" */
void rig_worker_again(struct rig *r, uint32_t worker, const struct held_tasks *held, size_t held_count);
/* News of the next turn of a worker: parts separated by blanks, instance 0 unless "#N" follows:
 * "start 1@0-3", "finish 1@0-3", "fail 1@2", "return 1@4-9", "reject 1@4", "no-time 1@4", "node-lost 1@4", "leave", "unsettled".
 * An empty text is an empty turn. */
void rig_turn(struct rig *r, uint32_t worker, const char *news);
void rig_turn_seq(struct rig *r, uint32_t worker, uint64_t seq, const char *news);
void rig_gone(struct rig *r, uint32_t worker);
void rig_stop_worker(struct rig *r, uint32_t worker);

/* ---- restart */
/* Replays all records into a new core, compares the durable states, resumes it in place of the old one. */
void rig_restart(struct rig *r, const char *boot_id);
/* Replays the records kept (a test may have cut them) into r->core, which is new, and resumes. */
void rig_reload(struct rig *r, const char *boot_id);
/* Replays and compares only. */
void rig_check_replay(struct rig *r);
/* "1 waiting, 2 running, ..." of a job as "w/r/f/F/c/a" */
void rig_expect_counts(struct rig *r, uint32_t job, const char *text);

#endif
