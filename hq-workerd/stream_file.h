/* stream_file.h - one append-only file of streamed output per directory (format: common/streamlog.h).
 *
 * Purpose    records of all tasks of a directory, each whole or not at all.
 * Ownership  the set owns its files; a user holds one from stream_file_get to stream_file_put.
 * Threads    any; stream_file_lock guards a file's buffer and its end. The files may lie on a filesystem that hangs:
 *            never from the loop.
 * Errors     negative errno. After a failed write the file is cut back to its last whole record, or given up and
 *            replaced by a new one at the next use.
 * Limits     STREAM_FILES_IDLE_MAX files stay open without a user; STREAM_READ_BYTES are moved at once.
 */
#ifndef HQ_WORKERD_STREAM_FILE_H
#define HQ_WORKERD_STREAM_FILE_H

#include "common/streamlog.h"

#define STREAM_FILES_IDLE_MAX 16u
#define STREAM_READ_BYTES (256u * 1024)

struct stream_files;
struct stream_file;

HQ_MUST_CHECK int stream_files_create(struct stream_files **ret, struct hq_err *err);
void stream_files_destroy(struct stream_files *s); /* nobody may hold a file; NULL is fine */
void stream_files_set_worker(struct stream_files *s, hq_worker_id worker); /* of new files; any thread */

/* The file of a directory, made with its parents at the first use, and anew for a job that finds it removed or moved away.
 * The text is the task's error. */
HQ_MUST_CHECK int stream_file_get(struct stream_files *s, const char *dir, struct hq_str server_uid, hq_job_id job,
                                  struct stream_file **ret, struct hq_err *err);
void stream_file_put(struct stream_file *f); /* NULL is fine */

/* Reads what is in the pipe now, at most STREAM_READ_BYTES, and appends it as one record; size and sum are set here.
 * Bytes moved, 0 at the end of the pipe, -EAGAIN when it is empty. */
HQ_MUST_CHECK int stream_file_move(struct stream_file *f, int pipe_fd, const struct hq_stream_record *rec);

/* Pipes of hq-stepd: frames of STREAM_FRAME_HEAD_BYTES ("HQrk", rank and length, 32-bit little-endian) and output of that
 * rank. What is no frame, a last word of hq-stepd's own, and all behind it is of no rank. */
#define STREAM_FRAME_HEAD_BYTES 12u
struct stream_frames { /* where in the pipe we are; zero at first */
    unsigned char head[STREAM_FRAME_HEAD_BYTES];
    uint32_t head_len;
    uint32_t left; /* bytes of the frame that are still to come */
    uint16_t rank1;
    bool is_raw;
};
/* As stream_file_move, with a record for each part of a frame. */
HQ_MUST_CHECK int stream_file_move_frames(struct stream_file *f, int pipe_fd, const struct hq_stream_record *rec,
                                          struct stream_frames *at);
/* What looked like the begin of a frame when the pipe came to its end. */
HQ_MUST_CHECK int stream_file_flush_frames(struct stream_file *f, const struct hq_stream_record *rec,
                                           struct stream_frames *at);
HQ_MUST_CHECK int stream_file_end(struct stream_file *f, const struct hq_stream_record *rec);

#endif
