/* launcher.h - threads that start tasks and see them end.
 *
 * Purpose    the agent hands over tasks (lanes) and the places to run them (slots); a slot whose task has ended takes the
 *            next one of its lane by itself: a freed core waits neither for the loop nor for hqd. Threads live as long
 *            as the process, because the parent-death signal of a task fires when the thread that made it ends.
 * Ownership  batches and grants given to it are its own. Events belong to the caller of launcher_drain until the next one.
 * Threads    all functions on the loop's thread, except those ending in _thr. One lock; never held over a system call
 *            that may block.
 * Units      ms; wall clock in events.
 * Errors     negative errno.
 * Limits     LAUNCHER_EVENTS_MAX events wait for the loop; beyond, launcher threads wait. runs_max processes at once.
 */
#ifndef HQ_WORKERD_LAUNCHER_H
#define HQ_WORKERD_LAUNCHER_H

#include "hq-workerd/core/event.h"
#include "hq-workerd/core/lane.h"
#include "hq-workerd/grant.h"
#include "hq-workerd/run.h"

#define LAUNCHER_EVENTS_MAX 16384u
#define LAUNCHER_THREADS_MAX 64u

struct launcher;

struct launcher_conf {
    struct run_conf run;
    uint32_t thread_count;
    uint32_t runs_max;
    unsigned char key[16]; /* secrets of runs are made with it */
};

HQ_MUST_CHECK int launcher_create(struct launcher **ret, const struct launcher_conf *conf, struct hq_err *err);
/* Ends the threads; processes that still run get the parent-death signal. NULL is fine. */
void launcher_destroy(struct launcher *l);

/* Readable when there are events. While the loop says that it will look again by itself (`will_poll`), only a slot that
 * has run dry makes it readable: thousands of tasks a second cost one wake-up per look. */
int launcher_fd(const struct launcher *l);
size_t launcher_drain(struct launcher *l, bool will_poll, struct run_event **ret);

HQ_MUST_CHECK int launcher_push(struct launcher *l, uint32_t lane_ix, struct batch *batch); /* takes it, also on failure */
HQ_MUST_CHECK int launcher_open(struct launcher *l, uint32_t slot_ix, uint32_t lane_ix, struct grant *grant);
void launcher_resume(struct launcher *l, uint32_t slot_ix); /* of a slot that has reported RUN_SLOT_IDLE */
void launcher_close(struct launcher *l, uint32_t slot_ix);  /* the same, for good */
void launcher_pause(struct launcher *l, bool is_paused);    /* paused: slots become idle instead of going on */

/* Takes waiting tasks out of all lanes. A slot that was about to start one is left alone. */
HQ_MUST_CHECK int launcher_withdraw(struct launcher *l, const struct lane_match *match, struct lane_gone_list *gone);

struct launcher_run {
    uint32_t slot_ix;
    uint64_t serial;
};
struct launcher_runs {
    struct launcher_run *v; /* heap */
    size_t count;
    size_t cap;
};
/* Runs whose task matches (starting or running), appended. */
HQ_MUST_CHECK int launcher_find(struct launcher *l, const struct lane_match *match, struct launcher_runs *ret);
/* The reason that its end will get. -ESRCH: it has ended. */
int launcher_mark(struct launcher *l, struct launcher_run run, enum run_why why);
/* Signal to the process group. -ESRCH: it has ended; -EAGAIN: its process does not exist yet, ask again. */
int launcher_signal(struct launcher *l, struct launcher_run run, int sig);
uint32_t launcher_running(struct launcher *l); /* processes and launches under way */

/* Is `secret` (second part of HQ_ACCESS_KEY) the one of a run that has not ended? Which task? */
bool launcher_check_secret(struct launcher *l, struct hq_str secret, uint32_t *ret_job, uint32_t *ret_task);

struct launcher_task { /* a run that has not ended */
    struct lane_task task; /* holds its batch */
    const struct image *image;
    char *cpu_list; /* "0,1,5"; NULL = none were granted */
};
bool launcher_find_secret(struct launcher *l, struct hq_str secret, struct launcher_task *ret);
void launcher_task_fini(struct launcher_task *t); /* also the cleanup form */

struct launcher_held { /* a task that was given to us and whose end was not reported */
    uint32_t job_id, task_id, instance, variant;
    hq_wall_ms started_ms; /* 0 = it waits, or is about to start */
};
struct launcher_held_list {
    struct launcher_held *v; /* heap */
    size_t count, cap;
};
/* All of them at one moment: each task is here or in an event. Cancelled and hidden runs are left out. */
HQ_MUST_CHECK int launcher_list_held(struct launcher *l, struct launcher_held_list *ret);

#endif
