/* tasksock.h - local socket on which tasks talk to their worker (hq task notify, hq-stepd).
 *
 * Purpose    one request per connection: "notify TOKEN LENGTH\n" and LENGTH bytes; the answer is "ok\n" or
 *            "error REASON\n", then the connection ends. TOKEN is the part of HQ_ACCESS_KEY behind the first colon.
 *            Connections that begin with the length of a frame (proto/step.proto) are handed over: no text has so small
 *            a number in its first four bytes.
 * Ownership  the socket file is made and removed here; mode 0600.
 * Threads    loop thread.
 * Errors     negative errno at the start; bad requests are answered and dropped.
 * Limits     TASKSOCK_PEERS_MAX connections, TASKSOCK_MS_MAX for one, HQ_NOTIFY_BYTES_MAX of a message.
 */
#ifndef HQ_WORKERD_TASKSOCK_H
#define HQ_WORKERD_TASKSOCK_H

#include "common/err.h"
#include "common/str.h"

#define TASKSOCK_PEERS_MAX 64u
#define TASKSOCK_MS_MAX 5000

struct ev_loop;
struct tasksock;

/* NULL: taken. Else the reason that the sender gets. */
typedef const char *(*tasksock_notify_fn)(void *ctx, struct hq_str token, struct hq_str message);

/* A connection that speaks in frames: the socket is the callee's; `bytes` have been read from it. */
typedef void (*tasksock_frames_fn)(void *ctx, int fd, struct hq_str bytes);

/* Makes TMPDIR/hq-lc-XXXXXXXX; the path is in tasksock_path. `frames` NULL: those are refused. */
HQ_MUST_CHECK int tasksock_create(struct tasksock **ret, struct ev_loop *loop, const char *tmp_dir,
                                  tasksock_notify_fn fn, tasksock_frames_fn frames, void *ctx, struct hq_err *err);
void tasksock_destroy(struct tasksock *t); /* NULL is fine */
const char *tasksock_path(const struct tasksock *t);

#endif
