/* stream_index.h - what lies in a directory of streamed output: live streams, their chunks, superseded ones.
 *
 * Purpose    reads the heads of all records of all files once; data is read when it is printed.
 * Ownership  create/destroy; files stay open until destroy. Chunks are addressed by index.
 * Threads    none.
 * Units      sizes in bytes, times wall clock ms.
 * Errors     system's text alone for a path that can't be read; "Error: No log files found"; "Error: Found streams from
 *            multiple server instances: ..." (spec section "output-log").
 * Limits     a file ends at its first torn or damaged record: everything before it is readable.
 */
#ifndef HQ_HQ_STREAM_INDEX_H
#define HQ_HQ_STREAM_INDEX_H

#include "common/map.h"
#include "common/streamlog.h"

#define STREAM_NO_CHUNK UINT32_MAX

struct stream_chunk {
    uint64_t offset; /* of the data */
    hq_wall_ms at_ms;
    uint32_t file_ix;
    uint32_t size;
    uint32_t data_crc;
    uint32_t stream_ix;
    uint32_t next; /* of the same stream, in order; STREAM_NO_CHUNK */
    uint16_t rank1; /* 0 = of no rank */
    uint8_t channel;
    bool is_end;
};

struct stream {
    hq_job_id job;
    hq_task_ix task;
    uint32_t instance;
    bool is_live; /* the largest instance of its task */
    bool is_finished;
    uint64_t bytes[2];
    uint32_t first; /* chunk */
    uint32_t last;
};

struct stream_file {
    int fd;
    char *path;
    char *server_uid;
};

struct stream_index {
    struct stream_file *files;
    size_t file_count;
    size_t file_cap;
    struct stream *streams;
    size_t stream_count;
    size_t stream_cap;
    struct stream_chunk *chunks; /* live and superseded; file by file */
    size_t chunk_count;
    size_t chunk_cap;
    struct hq_map live; /* job and task -> index of the live stream + 1 */
};

struct stream_summary {
    uint64_t file_count;
    uint64_t job_count;
    uint64_t task_count;
    uint64_t stream_count;
    uint64_t opened_count;
    uint64_t bytes[2];
    uint64_t superseded_count;
    uint64_t superseded_bytes[2];
};

/* PATH: a directory, or one file with the suffix. server_uid: only its files; empty = there must be one in all. */
HQ_MUST_CHECK int stream_index_create(struct stream_index **ret, const char *path, struct hq_str server_uid,
                                      struct hq_err *err);
void stream_index_destroy(struct stream_index *ix); /* NULL is fine */
void stream_index_summary(const struct stream_index *ix, struct stream_summary *ret);
/* Live streams of a job, ascending by task: heap array of indices, *ret_count. Job 0 = of all jobs, by job and task. */
size_t stream_index_live(const struct stream_index *ix, hq_job_id job, uint32_t **ret);
const struct stream *stream_index_find(const struct stream_index *ix, hq_job_id job, hq_task_ix task); /* live or NULL */
/* Appends the data of a chunk; -EBADMSG when it is damaged. */
HQ_MUST_CHECK int stream_index_read(const struct stream_index *ix, const struct stream_chunk *c, struct hq_buf *out,
                                    struct hq_err *err);

#endif
