/* journal_impl.h - what the journal's own files share: its state, and who may touch it.
 *
 * Purpose    journal.c (the loop's side), journal_writer.c (writing, fdatasync, a new file after a failure),
 *            journal_reader.c (reading and prune). Nobody else includes this.
 * Threads    "mu" = under the mutex; "loop" = that thread alone; "writer" = whoever has set is_writing.
 */
#ifndef HQ_HQD_JOURNAL_IMPL_H
#define HQ_HQD_JOURNAL_IMPL_H

#include <pthread.h>
#include <sys/queue.h>

#include "hqd/journal.h"

struct journal_chunk { /* one batch; lives until a commit covers it */
    TAILQ_ENTRY(journal_chunk) link;
    struct hq_buf bytes;
    uint64_t before_seq; /* number of the record before it */
    uint64_t last_seq;
    bool is_written;
};
TAILQ_HEAD(journal_chunks, journal_chunk);

struct journal_switch { /* a pruned file that waits for the writer */
    char *tmp_path;
    int fd;
    uint64_t copied_seq;       /* last record that it has */
    uint64_t copied_last_in_file;
    uint64_t bytes;
    struct hq_record_head head;
    struct journal_index index;
    bool is_done;
    int rc;
    struct hq_err err;
};

struct journal {
    struct journal_conf conf;  /* const after create */
    char *path;                /* const */
    pthread_t workers[2];      /* equals: each takes what is to be done, writing before syncing */
    pthread_t reader;
    bool has_threads;

    /* loop */
    struct hq_buf open;        /* the present batch */
    uint64_t open_before_seq;
    uint64_t appended_seq;

    pthread_mutex_t mu;
    pthread_cond_t wake_worker; /* there may be something to do */
    pthread_cond_t wake_reader;
    pthread_cond_t progress;   /* for journal_finish, recovery and prune */
    /* mu */
    struct journal_chunks chunks; /* oldest first; all that no commit covers */
    struct journal_chunk *spare;  /* memory of the last one */
    size_t pending_bytes;         /* in chunks */
    uint64_t written_seq;
    uint64_t committed_seq;
    uint64_t want_seq;            /* commit asked for up to here */
    uint64_t file_bytes;
    uint64_t synced_bytes;        /* of the live file */
    uint64_t reserved_bytes;      /* of the live file: blocks up to here are ours, whoever else fills the disk */
    bool can_reserve;             /* the filesystem knows fallocate */
    bool is_tight;                /* the last reservation failed: reserve_why */
    struct hq_err reserve_why;
    hq_ms reserve_retry_ms;
    hq_ms reserve_at_ms;          /* when the next attempt is due */
    struct hq_record_head head;   /* of the live file */
    struct journal_index index;
    int fd;                       /* changed by the writer only */
    unsigned idle_workers;
    bool is_writing;              /* one at a time: writing, making a new file, switching to a pruned one */
    bool is_syncing;              /* one at a time, beside a writer */
    uint64_t tell_written_seq;    /* the loop waits for records up to here to be written; 0 = for none */
    bool is_posted;               /* on_progress is on its way */
    bool is_failing;
    bool is_lost;
    bool is_stopping;
    struct hq_err why;
    struct journal_switch *pruned;
    struct journal_read *reads;   /* first in, first out */
    struct journal_read **reads_tail;
    bool is_pruning;
    pthread_t pruner;             /* while is_pruning */

    /* writer */
    uint64_t marked_bytes;        /* last offset that a mark has named */
    hq_ms wrote_at_ms;
    hq_ms retry_ms;               /* pause between two attempts at a new file */
    hq_ms retry_at_ms;            /* mu: when the next one is due */
};

void journal_post_progress_thr(struct journal *j); /* mu held */
void *journal_worker_main(void *arg);
/* mu held: there is something to do. */
void journal_wake_worker(struct journal *j);
void *journal_reader_main(void *arg);
/* Writes all of it; negative errno. */
int journal_write_all_thr(int fd, struct hq_str bytes, struct hq_err *err);
/* fsync of the directory that `path` lies in; makes names durable. */
int journal_sync_dir_thr(const char *path, struct hq_err *err);
/* -EBUSY: another process has this file open as its journal. Filesystems without locks: 0. */
int journal_lock_fd_thr(int fd, const char *path, struct hq_err *err);
/* Creates `path` (which must not exist) with its head, locked, for writing. */
int journal_new_file_thr(const char *path, const struct hq_record_head *head, struct hq_err *err);

#endif
