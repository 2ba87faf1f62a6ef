/* sink.h - one output of ours into which streams of ranks are merged.
 *
 * Purpose    writes at once where the kernel takes it; what a pipe does not take waits here.
 * Ownership  the fd stays the caller's. Data is copied.
 * Threads    loop thread; waits for a file system, and for a reader that is far behind.
 * Limits     SINK_HIGH_BYTES: sink_is_full, the callers stop reading; SINK_BYTES_MAX: sink_write waits for the reader.
 */
#ifndef HQ_STEPD_SINK_H
#define HQ_STEPD_SINK_H

#include "common/str.h"

#include <ev.h>

#define SINK_HIGH_BYTES ((size_t)4 << 20)
#define SINK_BYTES_MAX ((size_t)64 << 20)

struct sink {
    struct ev_loop *loop;
    int fd;
    bool is_failed;  /* nobody reads, or the disk is full: the rest is dropped */
    bool is_framed;  /* each write is a frame that names its source (hq-workerd/stream_file.h) */
    bool is_open_line;
    uint32_t source; /* of the open line */
    struct hq_buf queue;
    size_t at;
    ev_io writable;
    void (*on_drained)(void *ctx);
    void *ctx;
};
void sink_init(struct sink *s, struct ev_loop *loop, int fd, void (*on_drained)(void *ctx), void *ctx);
void sink_fini(struct sink *s); /* writes all that is left, waiting */
/* Whole lines of `source`. An open line of another source is ended first. */
void sink_write(struct sink *s, uint32_t source, struct hq_str data);
bool sink_is_full(const struct sink *s);

#endif
