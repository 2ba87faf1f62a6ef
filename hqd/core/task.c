#include "hqd/core/task.h"

#include "common/mem.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_TASK_BYTES (2 * sizeof(int64_t) + 2 * sizeof(uint32_t) + sizeof(uint16_t) + 2)
_Static_assert(PAGE_TASK_BYTES <= 32, "the promise of the design: 32 bytes a task that has run");
_Static_assert(TASK_PAGE_TASKS % 8 == 0, "columns stay aligned in full pages");

const unsigned char task_next[TASK_STATES][TASK_EVENTS] = {
    [TASK_WAITING] = {[TASK_ON_ASSIGN] = TASK_ASSIGNED,
                      [TASK_ON_FAIL] = TASK_FAILED,
                      [TASK_ON_CANCEL] = TASK_CANCELED,
                      [TASK_ON_ABORT] = TASK_ABORTED},
    [TASK_ASSIGNED] = {[TASK_ON_UNASSIGN] = TASK_WAITING,
                       [TASK_ON_START] = TASK_RUNNING,
                       [TASK_ON_FINISH] = TASK_FINISHED,
                       [TASK_ON_FAIL] = TASK_FAILED,
                       [TASK_ON_CANCEL] = TASK_CANCELED,
                       [TASK_ON_ABORT] = TASK_ABORTED,
                       [TASK_ON_RESTART] = TASK_WAITING},
    [TASK_RUNNING] = {[TASK_ON_FINISH] = TASK_FINISHED,
                      [TASK_ON_FAIL] = TASK_FAILED,
                      [TASK_ON_CANCEL] = TASK_CANCELED,
                      [TASK_ON_ABORT] = TASK_ABORTED,
                      [TASK_ON_RESTART] = TASK_WAITING},
};

static const char *const names[] = {
    [TASK_NONE] = "none",         [TASK_WAITING] = "waiting", [TASK_ASSIGNED] = "assigned", [TASK_RUNNING] = "running",
    [TASK_FINISHED] = "finished", [TASK_FAILED] = "failed",   [TASK_CANCELED] = "canceled", [TASK_ABORTED] = "aborted",
};
_Static_assert(HQ_ARRAY_LEN(names) == TASK_STATES, "a state without a name");

static const unsigned char words[] = {
    [TASK_NONE] = TASK_WORD_WAITING,      [TASK_WAITING] = TASK_WORD_WAITING,   [TASK_ASSIGNED] = TASK_WORD_WAITING,
    [TASK_RUNNING] = TASK_WORD_RUNNING,   [TASK_FINISHED] = TASK_WORD_FINISHED, [TASK_FAILED] = TASK_WORD_FAILED,
    [TASK_CANCELED] = TASK_WORD_CANCELED, [TASK_ABORTED] = TASK_WORD_ABORTED,
};
_Static_assert(HQ_ARRAY_LEN(words) == TASK_STATES, "a state without a word");

const char *
task_state_name(enum task_state s)
{
    return names[s];
}

enum task_state_word
task_state_word(enum task_state s)
{
    return words[s];
}

void
task_table_fini(struct task_table *t)
{
    for (uint32_t i = 0; i < t->page_count; i++) {
        free(t->pages[i]);
    }
    free(t->pages);
    free(t->uniform);
    *t = (struct task_table){0};
}

static struct task_page *
new_page(uint32_t cap, unsigned char state)
{
    struct task_page *p = hq_xalloc(sizeof(*p) + cap * PAGE_TASK_BYTES);
    p->cap = cap;
    memset(page_state(p), state, cap);
    return p;
}

/* An open job's last page was made for fewer tasks than it must hold now. */
static struct task_page *
wider_page(struct task_page *old, uint32_t cap)
{
    struct task_page *p = new_page(cap, TASK_WAITING);
    uint32_t n = old->cap;
    p->held = old->held;
    memcpy(page_started(p), page_started(old), n * sizeof(int64_t));
    memcpy(page_ended(p), page_ended(old), n * sizeof(int64_t));
    memcpy(page_worker(p), page_worker(old), n * sizeof(uint32_t));
    memcpy(page_instance(p), page_instance(old), n * sizeof(uint32_t));
    memcpy(page_crashes(p), page_crashes(old), n * sizeof(uint16_t));
    memcpy(page_state(p), page_state(old), n);
    memcpy(page_variant(p), page_variant(old), n);
    free(old);
    return p;
}

/* Room for n tasks; small pages double so that a job that grows task by task copies little. */
static uint32_t
page_room(uint32_t n)
{
    uint32_t cap = 1;
    while (cap < n) {
        cap *= 2;
    }
    return cap;
}

void
task_table_grow(struct task_table *t, uint32_t task_count)
{
    HQ_ASSERT(task_count >= t->task_count);
    if (task_count == t->task_count) {
        return;
    }
    uint32_t old_count = t->task_count;
    uint32_t last_ix = old_count == 0 ? 0 : (old_count - 1) / TASK_PAGE_TASKS;
    uint32_t pages = task_count / TASK_PAGE_TASKS + (task_count % TASK_PAGE_TASKS != 0);
    if (pages > t->page_cap) {
        uint32_t cap = t->page_cap == 0 ? pages : HQ_MAX(pages, t->page_cap * 2);
        t->pages = hq_xrealloc(t->pages, cap, sizeof(struct task_page *));
        t->uniform = hq_xrealloc(t->uniform, cap, 1);
        t->page_cap = cap;
    }
    for (uint32_t i = t->page_count; i < pages; i++) {
        t->pages[i] = NULL;
        t->uniform[i] = TASK_WAITING;
    }
    t->page_count = pages;
    t->task_count = task_count;
    if (old_count % TASK_PAGE_TASKS == 0) {
        return;
    }
    struct task_page *last = t->pages[last_ix];
    uint32_t size = task_page_size(t, last_ix);
    if (last != NULL && last->cap < size) {
        t->pages[last_ix] = wider_page(last, page_room(size));
    } else if (last == NULL && t->uniform[last_ix] != TASK_WAITING) {
        /* Its tasks ended unseen, the new ones wait: no longer one state for all. */
        struct task_page *p = new_page(page_room(size), TASK_WAITING);
        memset(page_state(p), t->uniform[last_ix], old_count % TASK_PAGE_TASKS);
        t->pages[last_ix] = p;
    }
}

struct task_page *
task_table_page(struct task_table *t, uint32_t pos)
{
    HQ_ASSERT(pos < t->task_count);
    uint32_t ix = pos / TASK_PAGE_TASKS;
    if (t->pages[ix] == NULL) {
        t->pages[ix] = new_page(page_room(task_page_size(t, ix)), t->uniform[ix]);
    }
    return t->pages[ix];
}
