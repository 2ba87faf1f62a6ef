/* alloc_turn.h - hq-allocd's turns, lists of queues for clients, and the wait for allocations at an orderly end.
 *
 * Purpose    a turn brings reports (answered when they are on disk) or is held until something for hq-allocd has changed:
 *            queues, allocations, demand, trials. One hq-allocd at a time: the newest that registers.
 * Threads    loop thread.
 * Units      ms of the monotonic clock.
 * Limits     ALLOC_TURN_WAIT_MS_MAX a turn is held; demand is asked of the scheduler at most ALLOC_LOOKS_PER_S times a
 *            second; at the end of the server ALLOC_DRAIN_MS_MAX for allocations to be cancelled.
 */
#ifndef HQ_HQD_ALLOC_TURN_H
#define HQ_HQD_ALLOC_TURN_H

#include "common/id.h"
#include "common/str.h"
#include "hqd/core/input.h"
#include "hqd/core/record.h"

#include "proto/alloc.pb-c.h"

#define ALLOC_TURN_WAIT_MS_MAX 30000
#define ALLOC_LOOKS_PER_S 10
#define ALLOC_DRAIN_MS_MAX 15000

struct shell;
struct peer;

struct alloc_turn {
    bool is_there;
    unsigned char incarnation[INCARNATION_BYTES];
    uint32_t pid;
    hq_wall_ms since_ms;
    hq_ms heard_ms;
    char *problem;       /* what it complains of; NULL = nothing */
    char *start_problem; /* why it is not there; NULL = nothing known */
    uint64_t held;       /* handle of the turn that waits, 0 = none */
    uint64_t held_version;
    hq_ms held_until_ms;
    uint64_t
        held_after_seq;   /* it brought reports: answered at the end of the turn, sent when that is on disk; 0 = none */
    struct hq_buf demand; /* as last told, packed */
    hq_ms looked_ms;
    bool is_look_due;
    bool wants_status; /* a user asked: hq-allocd looks soon */
    bool is_draining;  /* the server ends: allocations first */
    hq_ms drain_until_ms;
    struct input_client stop; /* who asked for the end */
};

void alloc_turn_init(struct alloc_turn *t);
void alloc_turn_fini(struct alloc_turn *t);
void alloc_turn_on_turn(struct shell *s, struct peer *peer, uint64_t handle, uint64_t request_id,
                        const Hq__AllocTurn *m, const struct input *in);
void alloc_turn_on_list(struct shell *s, uint64_t handle, uint64_t request_id, const Hq__AllocList *m);
/* True: the end has to wait for allocations; it goes on by itself. */
bool alloc_turn_hold_stop(struct shell *s, const struct input_client *from);
/* End of a turn of the loop; returns when to be called again, INT64_MAX = no need. */
hq_ms alloc_turn_progress(struct shell *s, hq_ms now_ms);
void alloc_turn_log(const struct record *rec);
/* hq-allocd can't be started: those who wait for a trial are told. */
void alloc_turn_not_there(struct shell *s, const char *why);

#endif
