/* framed.h - frames of a 32-bit little-endian length and as many bytes, over a non-blocking socket.
 *
 * Purpose    reads whole frames, queues what the other side does not take yet; knows nothing of what they hold.
 * Ownership  create takes the socket. A frame is the callback's until it returns; it may be changed in place.
 * Threads    loop thread.
 * Units      bytes.
 * Errors     on_end, once, always from the loop and never from inside a call: 0 the stream ended between two frames;
 *            -EPROTO inside one; -EMSGSIZE a longer frame was announced; -ENOMEM; negative errno of the socket.
 * Limits     frame_bytes_max per frame. What is queued is bounded by who sends (framed_queued); reading stops while paused.
 */
#ifndef HQ_WORKERD_FRAMED_H
#define HQ_WORKERD_FRAMED_H

#include "common/err.h"
#include "common/str.h"

#define FRAMED_HEAD_BYTES 4u

struct ev_loop;
struct framed;

struct framed_calls { /* they may call all functions here, framed_destroy too */
    void *ctx;
    void (*on_frame)(void *ctx, unsigned char *body, size_t len);
    void (*on_drained)(void *ctx); /* all of what was queued has left; NULL = nobody asks */
    void (*on_end)(void *ctx, int rc);
};

HQ_MUST_CHECK int framed_create(struct framed **ret, struct ev_loop *loop, int fd, size_t frame_bytes_max,
                                const struct framed_calls *calls); /* -ENOMEM: the socket is still the caller's */
void framed_destroy(struct framed *f); /* closes; what has not left is dropped; NULL is fine */
/* Bytes that were read from the socket before: they come first. */
HQ_MUST_CHECK int framed_feed(struct framed *f, struct hq_str bytes);
/* Room for a frame of `len` bytes at the end of the queue, to be filled before any other call; then framed_flush. NULL
 * without memory. */
HQ_MUST_CHECK void *framed_put(struct framed *f, size_t len);
void framed_flush(struct framed *f); /* sends what the socket takes now */
HQ_MUST_CHECK int framed_send(struct framed *f, struct hq_str body); /* both */
size_t framed_queued(const struct framed *f);
void framed_set_max(struct framed *f, size_t frame_bytes_max); /* of the frames behind the present one */
void framed_pause(struct framed *f, bool is_paused); /* reads no more, delivers no more frames */

uint32_t framed_get_le32(const void *p);
void framed_put_le32(void *p, uint32_t v);

#endif
