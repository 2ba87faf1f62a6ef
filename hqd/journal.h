/* journal.h - append-only record of all that must survive hqd.
 *
 * Purpose    one writer with group commit; followers and error texts are read beside it. Knows nothing of what records
 *            mean (prune asks a function which ones to keep).
 * Ownership  append copies the body. The path, its ".N" older files and its ".new"/".tmp" are the journal's alone.
 * Threads    all functions on the loop's thread unless their name ends in _thr; they never block but for create and
 *            finish. Threads of its own: two that write and call fdatasync (at most one does each at a time, so that a
 *            write need not wait for the disk), one reads, and one for each prune.
 * Units      offsets and sizes in bytes, times in ms, seq counts from 1.
 * Errors     negative errno of create. Later failures never lose a record: it stays in memory until a new file has it;
 *            journal_failing() says why it waits.
 * Limits     HQ_RECORD_BYTES_MAX a record; callers refuse changes while journal_refuses(): the rest is bounded by what
 *            workers may have out.
 *
 * Two promises: a record up to journal_written_seq() survives the end of this process (the kernel has it), one up to
 * journal_committed_seq() a power cut (fdatasync returned). After a failed write or fdatasync the kernel may have dropped
 * the pages and called them clean: that file is never written again; everything behind the last commit goes to a new one.
 *
 * So that a full disk is noticed before a change is taken and not after, blocks for the next JOURNAL_RESERVE_BYTES are reserved
 * ahead of the end (fallocate, without changing the file's size); when that fails, only what still fits is taken.
 */
#ifndef HQ_HQD_JOURNAL_H
#define HQ_HQD_JOURNAL_H

#include "common/bridge.h"
#include "common/id.h"
#include "common/record.h"

struct journal;

struct journal_point { /* where reading can start */
    uint64_t last_seq;   /* number of the record before it */
    uint64_t offset;
    uint32_t segment_ix;
};
struct journal_index { /* sparse: one point per JOURNAL_POINT_BYTES */
    struct journal_point *v;
    size_t count;
    size_t cap;
};
#define JOURNAL_POINT_BYTES (64u << 10)
void journal_index_add(struct journal_index *ix, uint64_t last_seq, uint64_t offset, uint32_t segment_ix);
void journal_index_fini(struct journal_index *ix);

struct journal_conf {
    struct hq_bridge *bridge;
    const char *path;
    void *ctx;
    void (*on_progress)(void *ctx);  /* marks have moved, or failing began or ended; coalesced */
    /* Called on the writing thread before a write that follows JOURNAL_QUIET_MS of silence: negative when another hqd
     * has taken over. Then nothing is written any more (journal_lost). NULL = not asked. */
    int (*check_owner_thr)(void *ctx, struct hq_err *err);
    /* What a replay has found; NULL = the file does not exist and is made with its directory as it is. */
    const struct journal_resume *resume;
};
#define JOURNAL_QUIET_MS 5000
#define JOURNAL_RESERVE_BYTES (64u << 10)
#define JOURNAL_KEEP_BYTES (8u << 10) /* of the reserve: for what workers and timers cause, not for changes */

struct journal_resume {
    int fd;                       /* of the live file, from journal_lock; the journal takes it over */
    struct hq_record_head head;   /* of the live file */
    uint64_t end_offset;          /* end of the last good frame: the rest is cut */
    uint64_t last_seq;
    struct journal_index index;   /* moves into the journal */
};

/* Opens the live file for one owner: fd, -ENOENT, or -EBUSY while another process holds it. Before a replay, so that
 * nobody appends between reading and writing. Blocks: start-up only. */
HQ_MUST_CHECK int journal_lock(const char *path, struct hq_err *err);
HQ_MUST_CHECK int journal_create(struct journal **ret, const struct journal_conf *conf, struct hq_err *err);
/* Stops the threads; what is not committed is not written. NULL is fine. */
void journal_destroy(struct journal *j);

/* Adds a record to the present batch. seq grows; gaps are kept. */
void journal_append(struct journal *j, uint64_t seq, struct hq_str body);
/* Hands the batch to the threads. with_commit: fdatasync as soon as it is written, then on_progress. tell_written:
 * on_progress as soon as it is written; each call of it wakes the loop, so it is asked for only when something waits. */
void journal_submit(struct journal *j, bool with_commit, bool tell_written);
uint64_t journal_appended_seq(const struct journal *j);  /* newest record given */
uint64_t journal_written_seq(struct journal *j);
uint64_t journal_committed_seq(struct journal *j);
uint64_t journal_bytes(struct journal *j);               /* of the live file */
/* true: records wait because the file can't be written; *ret_why (if not NULL) is the reason. */
bool journal_failing(struct journal *j, struct hq_err *ret_why);
/* true: no change of about that many bytes, please: the file can't be written, or the disk is full but for what is reserved,
 * or more than JOURNAL_PENDING_BYTES_MAX wait for a slow disk. */
bool journal_refuses(struct journal *j, size_t bytes, struct hq_err *ret_why);
/* true: another hqd owns this journal now; the process must end without another word. */
bool journal_lost(struct journal *j, struct hq_err *ret_why);
/* Orderly end: waits until everything is on disk, at most wait_ms. -ETIMEDOUT, or why it can't be written. */
HQ_MUST_CHECK int journal_finish(struct journal *j, hq_ms wait_ms, struct hq_err *err);

/* ---- reading old records, on the reading thread; the answer comes through the bridge */
struct journal_read {
    /* in */
    uint64_t after_seq;
    uint64_t until_seq;        /* at most this one */
    size_t bytes_max;          /* of `out` (the first record always fits) */
    const uint64_t *wanted;    /* NULL = all in between; else only these numbers, ascending */
    size_t wanted_count;
    /* Called for each record; appends to `out` what is wanted of it. */
    void (*take_thr)(struct journal_read *rd, uint64_t seq, struct hq_str body);
    void (*done)(struct journal_read *rd);  /* on the loop; owns rd again */
    /* out */
    struct hq_buf out;
    uint64_t last_seq;         /* the last record looked at */
    bool has_more;             /* bytes_max ended it before until_seq */
    int rc;
    struct hq_err err;
    /* private */
    struct journal_read *next;
};
void journal_read_start(struct journal *j, struct journal_read *rd);

/* ---- prune: the file without what is not needed any more */
struct journal_prune {
    void *ctx;
    /* On the pruning thread, for all records up to until_seq: first scan_thr (NULL = no need), then keep_thr. */
    void (*scan_thr)(void *ctx, struct hq_str body);
    bool (*keep_thr)(void *ctx, uint64_t seq, struct hq_str body);
    uint64_t until_seq;        /* later records are kept unseen; must be submitted already. This one itself must be kept:
                                * the numbers of those after it are counted from it */
    void (*done)(struct journal_prune *p, int rc, const struct hq_err *err); /* on the loop; owns p again */
    /* private */
    struct journal *journal;
    int rc;
    struct hq_err err;
};
/* -EBUSY: one is running. */
HQ_MUST_CHECK int journal_prune_start(struct journal *j, struct journal_prune *p, struct hq_err *err);

#endif
