/* stream.h - streamed output of tasks: pipes, a thread that empties them, and what is left when a task ends.
 *
 * Purpose    a task writes into pipes; everything goes into the append-only file of its directory (stream_file.h).
 *            When stream_close returns, all that the task wrote is in the file.
 * Ownership  stream_open gives a struct stream and the ends for the child (the caller closes them); stream_close frees it.
 * Threads    stream_open and stream_close on launcher threads; one reader thread inside.
 * Errors     stream_open: negative errno with the task's text; -EMFILE, -ENFILE, -ENOMEM mean "not now".
 *            stream_close: the first failed write of this task.
 * Limits     a pipe holds what the kernel gives it: a task that writes faster than the disk waits.
 */
#ifndef HQ_WORKERD_STREAM_H
#define HQ_WORKERD_STREAM_H

#include "common/err.h"
#include "common/id.h"
#include "common/str.h"

struct streams;
struct stream;

HQ_MUST_CHECK int streams_create(struct streams **ret, struct hq_err *err);
void streams_destroy(struct streams *s); /* ends the thread; open streams are given up; NULL is fine */
void streams_set_worker(struct streams *s, hq_worker_id worker); /* named in new files; any thread */

struct stream_open {
    const char *dir;         /* resolved, absolute */
    struct hq_str server_uid;
    hq_job_id job;
    hq_task_ix task;
    uint32_t instance;
    bool with_channel[2];    /* stdout, stderr; at least one */
    bool is_ranked;          /* hq-stepd writes into the pipes, in frames that name ranks (stream_file.h) */
};
HQ_MUST_CHECK int stream_open(struct streams *s, const struct stream_open *what, struct stream **ret, int ret_fds[2],
                              struct hq_err *err);
/* All processes of the task have ended. Takes what is still in the pipes and writes the end. */
HQ_MUST_CHECK int stream_close(struct stream *st);
void stream_abandon(struct stream *st); /* of a task that was not started: nothing is written; NULL is fine */

#endif
