/* core.h - the scheduler as a deterministic state machine: (state, input, now) -> effects.
 *
 * Purpose    facade of hqd/core and hqd/sched: all that outsiders may include besides input.h, effect.h, record.h,
 * query.h. Live:     effects_clear, core_step for each message, effects carried out after each; when the batch of the
 * loop turn is drained: core_schedule once (one pass, answers to held turns), effects carried out. Restart:  core_apply
 * for every record of the journal in order, then core_resume once. Durable state changes in core_apply alone; core_step
 * emits a record and applies the same struct. Ownership  the core owns its state and copies what it keeps from inputs
 * and records. Threads    none: no system call, no clock, no global. Units      two clocks, see struct core_now. Errors
 * core_apply: -EBADMSG for a record that cannot follow (numbers). Records about jobs or tasks that are not known
 * (pruned) are skipped. All else is an answer in the effects. Limits     limits.h.
 */
#ifndef HQ_HQD_CORE_CORE_H
#define HQ_HQD_CORE_CORE_H

#include "common/err.h"
#include "hqd/core/effect.h"
#include "hqd/core/input.h"
#include "hqd/core/record.h"

struct core;

struct core_conf {
    hq_ms idle_timeout_ms; /* of workers without their own; 0 = none */
    hq_ms peer_gone_ms;    /* closed connection until lost; 0 = 2000 */
    hq_ms return_grace_ms; /* known workers come back after a restart; 0 = 60000 */
    hq_ms stop_grace_ms;   /* told to stop until dropped; 0 = 60000 */
    uint64_t seed;         /* of hash maps */
};

struct core_now {
    hq_ms mono_ms;
    hq_wall_ms wall_ms;
    uint64_t committed_seq; /* newest record known to be on disk: receipts of turns say what is journaled */
};

/* What this run of hqd is; becomes the server-started record. */
struct core_identity {
    struct hq_str server_uid;
    struct hq_str incarnation; /* 16 bytes */
    struct hq_str version;
    struct hq_str boot_id;
    struct hq_str host;
    uint32_t pid;
    unsigned char step_key[STEP_KEY_BYTES]; /* keys between nodes of a task are derived from it; a run that resumes tasks
                                             * gives the one that they were started with */
};

HQ_MUST_CHECK int core_create(struct core **ret, const struct core_conf *conf, struct hq_err *err);
void core_destroy(struct core *core); /* NULL is fine */

/* Replay. Times of records are wall clock. */
HQ_MUST_CHECK int core_apply(struct core *core, const struct record *rec, struct hq_err *err);
/* After the last record, or at once with an empty journal; before the first step. Emits server-started, finishes what a
 * crash cut in half, gives known workers time to come back. */
void core_resume(struct core *core, const struct core_identity *id, const struct core_now *now, struct effects *fx);
/* UID of the last server-started record; empty = none. For shells that resume. */
struct hq_str core_server_uid(const struct core *core);
/* True when the last thing that happened is an orderly end (or nothing at all). */
bool core_is_ended(const struct core *core);

void core_step(struct core *core, const struct input *in, const struct core_now *now, struct effects *fx);
/* End of a loop turn. */
void core_schedule(struct core *core, const struct core_now *now, struct effects *fx);
/* Monotonic time at which INPUT_TIMER is due; INT64_MAX = never. */
hq_ms core_next_timer(const struct core *core);
uint64_t core_newest_seq(const struct core *core);
/* Before a prune: a record of the ids that must not be given again, whatever is dropped. */
void core_checkpoint(struct core *core, const struct core_now *now, struct effects *fx);

#endif
