/* task.h - states of tasks, their transitions, and the pages they live in.
 *
 * Purpose    a task costs nothing until it leaves WAITING: a job's positions are cut into pages of TASK_PAGE_TASKS, and
 * a page exists only once a task in it has been given to a worker, or failed. A page all of whose tasks were canceled
 * or aborted unseen is one byte. Ownership  the job owns its page table. Units      a task that has run costs 28 bytes:
 * times 2 x 8, worker 4, instance 4, crashes 2, state 1, variant 1. Limits     crash counters stop at 65535
 * (HQ_CRASH_LIMIT_MAX), variants are below HQ_VARIANTS_MAX.
 */
#ifndef HQ_HQD_CORE_TASK_H
#define HQ_HQD_CORE_TASK_H

#include "common/id.h"
#include "hqd/core/types.h"

#define TASK_PAGE_TASKS 1024u

enum task_state {
    TASK_NONE = 0,
    TASK_WAITING = 1,  /* for dependencies or in the ready queue */
    TASK_ASSIGNED = 2, /* a worker has it and has not said that it started */
    TASK_RUNNING = 3,
    TASK_FINISHED = 4,
    TASK_FAILED = 5,
    TASK_CANCELED = 6,
    TASK_ABORTED = 7,
};
#define TASK_STATES 8

enum task_event {
    TASK_ON_ASSIGN = 0,
    TASK_ON_UNASSIGN,
    TASK_ON_START,
    TASK_ON_FINISH,
    TASK_ON_FAIL,
    TASK_ON_CANCEL,
    TASK_ON_ABORT,
    TASK_ON_RESTART,
};
#define TASK_EVENTS 8

extern const unsigned char task_next[TASK_STATES][TASK_EVENTS]; /* TASK_NONE = refused */
const char *task_state_name(enum task_state s);
enum task_state_word task_state_word(enum task_state s);

static inline bool
task_is_ended(unsigned state)
{
    return state >= TASK_FINISHED;
}
static inline bool
task_is_held(unsigned state)
{
    return state == TASK_ASSIGNED || state == TASK_RUNNING;
}

/* Columns follow the head; see the accessors. */
struct task_page {
    uint32_t cap;  /* tasks it has room for */
    uint32_t held; /* assigned or running */
};

static inline int64_t *
page_started(struct task_page *p)
{
    return (int64_t *)(void *)(p + 1);
}
static inline int64_t *
page_ended(struct task_page *p)
{
    return page_started(p) + p->cap;
}
static inline uint32_t *
page_worker(struct task_page *p)
{
    return (uint32_t *)(void *)(page_ended(p) + p->cap);
}
static inline uint32_t *
page_instance(struct task_page *p)
{
    return page_worker(p) + p->cap;
}
static inline uint16_t *
page_crashes(struct task_page *p)
{
    return (uint16_t *)(void *)(page_instance(p) + p->cap);
}
static inline unsigned char *
page_state(struct task_page *p)
{
    return (unsigned char *)(page_crashes(p) + p->cap);
}
static inline unsigned char *
page_variant(struct task_page *p)
{
    return page_state(p) + p->cap;
}

struct task_table {
    struct task_page **pages; /* NULL: all its tasks are in the state `uniform` says, and were never held */
    unsigned char *uniform;   /* TASK_WAITING, TASK_CANCELED or TASK_ABORTED */
    uint32_t page_count;
    uint32_t page_cap;
    uint32_t task_count;
};

void task_table_fini(struct task_table *t);
void task_table_grow(struct task_table *t, uint32_t task_count);
/* The page that has the position, made when there is none. */
struct task_page *task_table_page(struct task_table *t, uint32_t pos);
static inline struct task_page *
task_table_peek(const struct task_table *t, uint32_t pos)
{
    return t->pages[pos / TASK_PAGE_TASKS];
}
static inline enum task_state
task_state_at(const struct task_table *t, uint32_t pos)
{
    struct task_page *p = t->pages[pos / TASK_PAGE_TASKS];
    return p == NULL ? t->uniform[pos / TASK_PAGE_TASKS] : page_state(p)[pos % TASK_PAGE_TASKS];
}
/* Tasks of page `ix` that exist. */
static inline uint32_t
task_page_size(const struct task_table *t, uint32_t ix)
{
    return HQ_MIN(TASK_PAGE_TASKS, t->task_count - ix * TASK_PAGE_TASKS);
}

#endif
