/* runner.h - commands of the batch system, asynchronous, each with its own kill time-out.
 *
 * Purpose    starts a program, collects what it prints up to a bound, kills it when its time is over, and tells the end
 *            once. Nothing waits: sbatch may hang for two minutes while the controller is down.
 * Ownership  a run owns pipes, pidfd and output until its callback returns; runner_destroy kills what still runs.
 * Threads    loop thread; programs are started by two threads of ours (aside.h): their directory, or they themselves, may
 *            lie on a filesystem that hangs. The time-out counts from the start of the program.
 * Units      ms.
 * Errors     a program that can't be started ends like one that failed: batch_result.start_errno.
 * Limits     RUNNER_MAX at once; more wait in order. BATCH_OUTPUT_BYTES_MAX of output, the rest is dropped.
 */
#ifndef HQ_HQ_ALLOCD_RUNNER_H
#define HQ_HQ_ALLOCD_RUNNER_H

#include "common/err.h"
#include "hq-allocd/batch.h"

#define RUNNER_MAX 16u

struct aside;
struct ev_loop;
struct runner;

typedef void (*runner_fn)(void *ctx, const struct batch_result *r);

struct runner *runner_create(struct ev_loop *loop);
void runner_destroy(struct runner *r); /* callbacks do not come any more; NULL is fine */
/* cmd is copied. dir: NULL = ours. The callback comes exactly once, never from inside the call. */
void runner_start(struct runner *r, const struct batch_cmd *cmd, const char *dir, hq_ms timeout_ms, runner_fn fn,
                  void *ctx);
struct aside *runner_shared(const struct runner *r); /* for other work on shared filesystems */
size_t runner_count(const struct runner *r); /* running and waiting */

#endif
